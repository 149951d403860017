//! Places among a cluster's connections: each connection to an endpoint holds one for as long as it is open, and
//! whoever finds none waits for one.
//!
//! The count is the process's ([`outrigger_traffic::breakers`]), connections are a worker's. So, at the limit:
//!
//! * a worker may always have one connection of each cluster, even above the limit: what waits on it would else wait for
//!   workers that know nothing of it;
//! * an idle connection gives way to whoever waits: to one of its own worker who can use it as it is, else by being
//!   closed. A worker that has to wait asks the others to look for idle ones ([`crate::pool::Pools::make_room`]);
//! * a place that is free again wakes one who waits, of whatever worker, in the order in which they came; connections
//!   and streams that are free again go to those of their own worker, in their order.
//!
//! Whoever waits holds a place among the pending requests, and leaves the queue when its future is dropped. A connection
//! that it was given meanwhile goes on to the next.

mod queue;

pub(crate) use queue::{Given, PlaceQueue, PlaceQueues, Waiter, Waiting};

use crate::snapshot::{ClusterPolicy, ClusterShared, EndpointState};
use crate::worker::{Peer, Worker};
use foldhash::HashMap;
use outrigger_config::model::RoutePriority;
use outrigger_telemetry::Overflow;
use outrigger_traffic::EndpointLoad;
use outrigger_traffic::breakers::{Breaker, BreakerKind};
use smallvec::SmallVec;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

/// The pool of an endpoint for one priority: endpoint ids do not reach the highest bit.
pub(crate) fn pool_key(endpoint: u64, priority: RoutePriority) -> u64 {
    match priority {
        RoutePriority::Default => endpoint,
        RoutePriority::High => endpoint | 1 << 63,
    }
}

/// The priority of such a pool.
pub(crate) fn priority_of(key: u64) -> RoutePriority {
    if key >> 63 == 0 {
        RoutePriority::Default
    } else {
        RoutePriority::High
    }
}

/// What one worker has of a cluster's connections, and who of it waits for more.
pub(crate) struct LocalPlaces {
    shared: Arc<ClusterShared>,
    /// The pools to which connections of this worker belong, and how many: nowhere else is anything idle.
    pools: RefCell<HashMap<u64, u32>>,
    peers: Arc<[Peer]>,
    worker: usize,
    default_priority: Side,
    high_priority: Side,
}

/// The same for one priority.
#[derive(Default)]
struct Side {
    connections: Cell<u32>,
    waiters: RefCell<VecDeque<Rc<Waiter>>>,
}

/// For whom a place is.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) priority: RoutePriority,
    pub(crate) load: Arc<EndpointLoad>,
    /// Connections of the endpoint at most.
    pub(crate) endpoint_max: Option<u32>,
    /// The pool that the connection will belong to.
    pub(crate) pool: u64,
    /// A connection of that pool would do as well; else a new one is wanted.
    pub(crate) takes_pooled: bool,
}

impl Wanted {
    /// A place for a connection to `endpoint`.
    pub(crate) fn new(cluster: &ClusterPolicy, endpoint: &EndpointState, priority: RoutePriority) -> Wanted {
        Wanted {
            priority,
            load: Arc::clone(&endpoint.load),
            endpoint_max: cluster
                .endpoint_limits
                .and_then(|limits| limits.connections_max()),
            pool: pool_key(endpoint.id, priority),
            takes_pooled: true,
        }
    }
}

/// A request that waits for a connection: because one is being made, or because no more may be.
pub(crate) struct PendingRequest {
    shared: Arc<ClusterShared>,
    priority: RoutePriority,
}

impl PendingRequest {
    /// Counts it; none if too many wait.
    pub(crate) fn begin(
        cluster: &ClusterPolicy,
        worker: &Worker,
        priority: RoutePriority,
    ) -> Option<PendingRequest> {
        let pending = cluster.shared.breakers.of(priority).kind(BreakerKind::Pending);
        if !pending.try_begin() {
            cluster.metrics.worker(worker.index).overflows[Overflow::Pending].inc();
            return None;
        }
        Some(PendingRequest {
            shared: Arc::clone(&cluster.shared),
            priority,
        })
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        self.shared
            .breakers
            .of(self.priority)
            .kind(BreakerKind::Pending)
            .end();
    }
}

/// A connection's place. Dropping it gives it back, and tells who waits.
pub(crate) struct ConnectionPlace {
    local: Rc<LocalPlaces>,
    wanted: Wanted,
}

impl LocalPlaces {
    pub(crate) fn new(shared: &Arc<ClusterShared>, worker: &Worker) -> Rc<LocalPlaces> {
        Rc::new(LocalPlaces {
            shared: Arc::clone(shared),
            pools: RefCell::default(),
            peers: Arc::clone(&worker.peers),
            worker: worker.index,
            default_priority: Side::default(),
            high_priority: Side::default(),
        })
    }

    fn side(&self, priority: RoutePriority) -> &Side {
        match priority {
            RoutePriority::Default => &self.default_priority,
            RoutePriority::High => &self.high_priority,
        }
    }

    fn breaker(&self, priority: RoutePriority) -> &Breaker {
        self.shared.breakers.of(priority).kind(BreakerKind::Connections)
    }

    fn queue(&self, priority: RoutePriority) -> &PlaceQueue {
        self.shared.places.of(priority)
    }

    /// A place, unless the limits are reached: the endpoint's, or the cluster's for a worker that has a connection.
    fn claim(self: &Rc<Self>, wanted: &Wanted, strict: bool) -> Option<ConnectionPlace> {
        if !wanted.load.try_begin_connection(wanted.endpoint_max) {
            return None;
        }
        let (side, breaker) = (self.side(wanted.priority), self.breaker(wanted.priority));
        if !breaker.try_begin() {
            if strict || side.connections.get() > 0 {
                wanted.load.end_connection();
                return None;
            }
            breaker.begin_anyway();
        }
        side.connections.set(side.connections.get() + 1);
        *self.pools.borrow_mut().entry(wanted.pool).or_insert(0) += 1;
        Some(ConnectionPlace {
            local: Rc::clone(self),
            wanted: wanted.clone(),
        })
    }

    /// A place for somebody who comes now: not before those who wait, unless they may wait for another endpoint.
    pub(crate) fn try_claim(self: &Rc<Self>, wanted: &Wanted) -> Option<ConnectionPlace> {
        let has_none = self.side(wanted.priority).connections.get() == 0;
        if !has_none && wanted.endpoint_max.is_none() && self.queue(wanted.priority).is_waited_for() {
            return None;
        }
        self.claim(wanted, false)
    }

    /// A place within the limit, whatever this worker has.
    pub(crate) fn try_claim_strictly(self: &Rc<Self>, wanted: &Wanted) -> Option<ConnectionPlace> {
        self.claim(wanted, true)
    }

    /// Puts whoever wants a place at the end of the queue.
    pub(crate) fn wait(self: &Rc<Self>, wanted: Wanted) -> Waiting {
        let waiter = Rc::new(Waiter::new(wanted));
        let side = self.side(waiter.wanted.priority);
        side.waiters.borrow_mut().push_back(Rc::clone(&waiter));
        Waiting::new(Rc::clone(self), waiter)
    }

    /// Asks the other workers for idle connections that can be closed.
    pub(crate) fn ask_others(&self) {
        for (index, peer) in self.peers.iter().enumerate() {
            if index != self.worker {
                peer.make_room.notify_one();
            }
        }
    }

    /// Idle connections, of whatever worker, are to give way to one who waits.
    pub(crate) fn ask_for_room(&self, priority: RoutePriority) {
        self.queue(priority).want_room();
        for peer in self.peers.iter() {
            peer.make_room.notify_one();
        }
    }

    /// True if somebody waits for a connection.
    pub(crate) fn is_waited_for(&self, priority: RoutePriority) -> bool {
        self.queue(priority).is_waited_for()
    }

    /// True if it helps somebody who waits to have a connection to this endpoint closed: the cluster has no place left, or
    /// the endpoint is the one that is waited for.
    fn is_of_use(&self, priority: RoutePriority, load: &EndpointLoad) -> bool {
        self.breaker(priority).is_open() || load.is_connection_wanted()
    }

    fn take_room_wanted(&self, priority: RoutePriority, load: &EndpointLoad, by_endpoint: bool) -> bool {
        let is_of_use = if by_endpoint {
            load.is_connection_wanted()
        } else {
            self.is_of_use(priority, load)
        };
        is_of_use && self.queue(priority).take_room_wanted()
    }

    /// True if idle connections of this cluster are to give way.
    pub(crate) fn wants_room(&self) -> bool {
        self.shared.places.wants_room()
    }

    /// The pools in which this worker may have something that is idle.
    pub(crate) fn pools(&self) -> SmallVec<[u64; 8]> {
        self.pools.borrow().keys().copied().collect()
    }

    fn leave(&self, waiter: &Rc<Waiter>) {
        let side = self.side(waiter.wanted.priority);
        side.waiters
            .borrow_mut()
            .retain(|other| !Rc::ptr_eq(other, waiter));
    }

    /// Takes the first who waits and whom `fits`, or the very first if it was passed over often enough: for that one
    /// there is nothing then.
    fn next(&self, priority: RoutePriority, key: u64) -> Option<Rc<Waiter>> {
        let mut waiters = self.side(priority).waiters.borrow_mut();
        let place = waiters
            .iter()
            .position(|waiter| waiter.wanted.takes_pooled && waiter.wanted.pool == key)?;
        if place > 0 && !waiters[0].pass_over() {
            return None;
        }
        waiters.remove(place)
    }

    fn leave_pool(&self, key: u64) {
        let mut pools = self.pools.borrow_mut();
        if let Some(count) = pools.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                pools.remove(&key);
            }
        }
    }

    /// A worker without a connection may have one: its first who waits gets it.
    fn grant_own(self: &Rc<Self>, priority: RoutePriority) {
        let side = self.side(priority);
        if side.connections.get() > 0 {
            return;
        }
        let first = side.waiters.borrow().front().cloned();
        if let Some(waiter) = first
            && let Some(place) = self.claim(&waiter.wanted, false)
        {
            self.leave(&waiter);
            waiter.give(Given::Place(place));
        }
    }
}

impl ConnectionPlace {
    /// True if it helps somebody who waits to have the connection closed.
    pub(crate) fn is_of_use(&self) -> bool {
        self.local.is_of_use(self.wanted.priority, &self.wanted.load)
    }

    /// Takes it on to close the connection, which is idle, if that is wanted and of use; `by_endpoint`: to who waits for its
    /// endpoint.
    pub(crate) fn take_room_wanted(&self, by_endpoint: bool) -> bool {
        let Wanted { priority, load, .. } = &self.wanted;
        self.local.take_room_wanted(*priority, load, by_endpoint)
    }

    /// Those whose place it is.
    pub(crate) fn local(&self) -> &Rc<LocalPlaces> {
        &self.local
    }

    /// True if somebody waits for a connection of this cluster and priority.
    #[inline]
    pub(crate) fn is_waited_for(&self) -> bool {
        self.local.queue(self.wanted.priority).is_waited_for()
    }

    /// The pool that the connection belongs to.
    pub(crate) fn key(&self) -> u64 {
        self.wanted.pool
    }

    /// Who of this worker waits for a connection of this pool, and is next.
    #[cold]
    pub(crate) fn next_waiter(&self, key: u64) -> Option<Rc<Waiter>> {
        self.local.next(self.wanted.priority, key)
    }

    /// What is told of streams of the connection that end.
    pub(crate) fn stream_ends(&self) -> StreamEnds {
        StreamEnds {
            local: Rc::clone(&self.local),
            priority: self.wanted.priority,
            key: self.key(),
            load: Arc::clone(&self.wanted.load),
        }
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        let Wanted { priority, load, .. } = &self.wanted;
        let side = self.local.side(*priority);
        side.connections.set(side.connections.get() - 1);
        load.end_connection();
        self.local.leave_pool(self.wanted.pool);
        self.local.breaker(*priority).end();
        let queue = self.local.queue(*priority);
        if queue.is_waited_for_now() {
            self.local.grant_own(*priority);
            queue.freed(self.wanted.endpoint_max.is_some());
        }
    }
}

/// Where an HTTP/2 connection's streams that end make room.
pub(crate) struct StreamEnds {
    local: Rc<LocalPlaces>,
    priority: RoutePriority,
    key: u64,
    load: Arc<EndpointLoad>,
}

impl StreamEnds {
    /// As [`ConnectionPlace::take_room_wanted`].
    pub(crate) fn take_room_wanted(&self, by_endpoint: bool) -> bool {
        self.local
            .take_room_wanted(self.priority, &self.load, by_endpoint)
    }

    /// True if somebody waits for a connection of this cluster and priority.
    #[inline]
    pub(crate) fn is_waited_for(&self) -> bool {
        self.local.queue(self.priority).is_waited_for()
    }

    /// Who of this worker waits for a stream of this connection, and is next.
    #[cold]
    pub(crate) fn next_waiter(&self) -> Option<Rc<Waiter>> {
        self.local.next(self.priority, self.key)
    }

    /// The connection has no stream any more: it may give way.
    #[cold]
    pub(crate) fn idle(&self) {
        self.local.queue(self.priority).want_room();
        self.local.peers[self.local.worker].make_room.notify_one();
    }
}
