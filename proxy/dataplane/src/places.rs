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
use outrigger_config::model::RoutePriority;
use outrigger_telemetry::Overflow;
use outrigger_traffic::EndpointLoad;
use outrigger_traffic::breakers::{Breaker, BreakerKind};
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
    /// The pool whose connections would do as well; none: a new one is wanted.
    pub(crate) key: Option<u64>,
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
            key: Some(pool_key(endpoint.id, priority)),
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
        let place = waiters.iter().position(|waiter| waiter.wanted.key == Some(key))?;
        if place > 0 && !waiters[0].pass_over() {
            return None;
        }
        waiters.remove(place)
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
    /// True if somebody waits for a connection of this cluster and priority.
    #[inline]
    pub(crate) fn is_waited_for(&self) -> bool {
        self.local.queue(self.wanted.priority).is_waited_for()
    }

    /// The pool that the connection belongs to.
    pub(crate) fn key(&self, endpoint: u64) -> u64 {
        pool_key(endpoint, self.wanted.priority)
    }

    /// Who of this worker waits for a connection of this pool, and is next.
    #[cold]
    pub(crate) fn next_waiter(&self, key: u64) -> Option<Rc<Waiter>> {
        self.local.next(self.wanted.priority, key)
    }

    /// What is told of streams of the connection that end.
    pub(crate) fn stream_ends(&self, endpoint: u64) -> StreamEnds {
        StreamEnds {
            local: Rc::clone(&self.local),
            priority: self.wanted.priority,
            key: self.key(endpoint),
        }
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        let Wanted { priority, load, .. } = &self.wanted;
        let side = self.local.side(*priority);
        side.connections.set(side.connections.get() - 1);
        load.end_connection();
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
}

impl StreamEnds {
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
