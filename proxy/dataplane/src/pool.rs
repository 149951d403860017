//! A worker's connections to endpoints: idle HTTP/1 connections in a stack, HTTP/2 connections shared by streams.
//!
//! Pools are keyed by an endpoint's id, which changes when its connection settings do, and are dropped when a publish
//! leaves the endpoint out. The pool never retries and never picks an endpoint.

mod room;

pub(crate) use room::{make_room, overflow};

use crate::error::AttemptError;
use crate::places::{ConnectionPlace, Given, LocalPlaces, PendingRequest, Wanted, pool_key, priority_of};
use crate::snapshot::{ClusterPolicy, ClusterShared, EndpointState};
use crate::upstream::connect::{ConnectFault, Connected, connect};
use crate::upstream::{Upstream, http1, http2};
use crate::worker::Worker;
use foldhash::{HashMap, HashSet};
use outrigger_config::model::{RoutePriority, UpstreamProtocol};
use outrigger_telemetry::Overflow;
use outrigger_traffic::HealthMark;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Idle HTTP/1 connections of one endpoint on one worker, at most; one more is closed.
const IDLE_HTTP1_MAX: usize = 512;

/// How often idle connections are looked at. They are checked again when they are taken, so that this only bounds how
/// long an expired one holds its socket.
const REAP_INTERVAL: Duration = Duration::from_secs(1);

/// All pools of a worker.
#[derive(Default)]
pub(crate) struct Pools {
    endpoints: RefCell<HashMap<u64, EndpointPool>>,
    /// The endpoints of the snapshot in force, and the destinations that are remembered: only they have pools.
    live: RefCell<HashSet<u64>>,
    /// The places that this worker has among each cluster's connections; by a cluster that they keep alive.
    clusters: RefCell<HashMap<*const ClusterShared, Rc<LocalPlaces>>>,
}

struct EndpointPool {
    cluster: Arc<ClusterPolicy>,
    #[expect(
        clippy::vec_box,
        reason = "a connection is several hundred bytes and moves with every request"
    )]
    idle: Vec<Box<http1::Connection>>,
    http2: Vec<Rc<http2::Connection>>,
    /// Requests that wait for the one HTTP/2 connection that is being made.
    connecting: Option<Vec<oneshot::Sender<Result<(), ConnectFault>>>>,
    /// What ALPN settled, where the cluster leaves it open.
    speaks_http1: bool,
    /// The endpoint drains: no connection is kept for the next request.
    drains: bool,
}

impl EndpointPool {
    fn new(cluster: &Arc<ClusterPolicy>) -> EndpointPool {
        EndpointPool {
            cluster: Arc::clone(cluster),
            idle: Vec::new(),
            http2: Vec::new(),
            connecting: None,
            speaks_http1: cluster.config.protocol() == UpstreamProtocol::Http1,
            drains: false,
        }
    }
}

impl EndpointPool {
    /// A stream on a connection that is there: the HTTP/1 connection used last, or the first HTTP/2 connection with
    /// room, so that few connections stay busy and the others expire.
    fn take(
        &mut self,
        worker: &Rc<Worker>,
        cluster: &ClusterPolicy,
        endpoint: &Arc<EndpointState>,
    ) -> Option<Upstream> {
        let now = worker.now();
        let options = cluster.config.pool();
        while let Some(mut connection) = self.idle.pop() {
            if connection.unusable(options, worker, now).is_none() {
                return Some(exchange(worker, cluster, endpoint, connection));
            }
        }
        let connection = self
            .http2
            .iter()
            .find(|connection| connection.has_room(options, now));
        if let Some(connection) = connection {
            return Some(Upstream::Http2(Box::new(connection.reserve())));
        }
        self.http2.retain(|connection| !connection.is_finished());
        None
    }
}

impl EndpointPool {
    /// Closes what nobody uses, and streams' connections when they are done: the endpoint gets no new work, by what is said
    /// of it or by its checks. (One that is ejected keeps them: it will be back.) What a panic opens is kept as any other.
    fn let_go(&mut self) {
        self.idle.clear();
        for connection in &self.http2 {
            connection.let_go();
        }
        self.http2.retain(|connection| !connection.is_finished());
    }
}

/// What a request that has no connection waits for. Time in the queue is the proxy's own; while a connection is being made
/// it is the endpoint's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Awaited {
    #[default]
    Nothing,
    /// A place in the queue at the limit of connections.
    Queue,
    /// A connection that is being made.
    Connection,
}

/// What a look into the pool found.
enum Found {
    Ready(Box<Upstream>),
    /// Make a connection for this request, and keep nothing unless it can be shared: HTTP/1, or an endpoint that has left
    /// the configuration.
    Connect(ConnectionPlace),
    /// As many connections as may be are open.
    Full(Rc<LocalPlaces>, Wanted),
    /// Wait for the connection that is being made.
    Wait(oneshot::Receiver<Result<(), ConnectFault>>),
}

impl Pools {
    /// A stream on a pooled connection, if one is free now.
    pub(crate) fn try_acquire(
        &self,
        worker: &Rc<Worker>,
        cluster: &Arc<ClusterPolicy>,
        endpoint: &Arc<EndpointState>,
        priority: RoutePriority,
    ) -> Option<Upstream> {
        let mut endpoints = self.endpoints.borrow_mut();
        let pool = endpoints.get_mut(&pool_key(endpoint.id, priority))?;
        let upstream = pool.take(worker, cluster, endpoint)?;
        cluster.metrics.worker(worker.index).pool_hits.inc();
        Some(upstream)
    }

    /// A stream to the endpoint: on a pooled connection, or on a new one; at the limit of connections, on the first that
    /// is free, in the order of those who wait. `awaited` says for which of them, also to whoever gives up. Cancel safe: a
    /// connection that is being made for several stays; one made for this request alone is given up.
    pub(crate) async fn acquire(
        &self,
        worker: &Rc<Worker>,
        cluster: &Arc<ClusterPolicy>,
        endpoint: &Arc<EndpointState>,
        priority: RoutePriority,
        awaited: &Cell<Awaited>,
    ) -> Result<Upstream, AttemptError> {
        let now = worker.tick();
        if let Some(upstream) = self.try_acquire(worker, cluster, endpoint, priority) {
            return Ok(upstream);
        }
        let _pending =
            PendingRequest::begin(cluster, worker, priority).ok_or_else(|| overflow(Overflow::Pending))?;
        cluster.metrics.worker(worker.index).pool_waits.inc();
        let until = now + cluster.config.connect_timeout();
        let mut place = None;
        loop {
            worker.tick();
            match self.look(worker, cluster, endpoint, priority, place.take()) {
                Found::Ready(upstream) => return Ok(*upstream),
                Found::Connect(place) => {
                    awaited.set(Awaited::Connection);
                    return match connect(cluster, endpoint, worker, place).await {
                        Ok(Connected::Http1(connection)) => {
                            Ok(exchange(worker, cluster, endpoint, connection))
                        }
                        Ok(Connected::Http2(connection)) => {
                            let upstream = Upstream::Http2(Box::new(connection.reserve()));
                            self.add_http2(pool_key(endpoint.id, priority), connection);
                            Ok(upstream)
                        }
                        Err(fault) => Err(fault.into()),
                    };
                }
                Found::Full(local, wanted) => {
                    match self
                        .queue(worker, cluster, (local, wanted), until, awaited)
                        .await?
                    {
                        Given::Place(given) => place = Some(given),
                        Given::Connection(mut connection) => {
                            let options = cluster.config.pool();
                            if connection.unusable(options, worker, worker.tick()).is_none() {
                                return Ok(exchange(worker, cluster, endpoint, connection));
                            }
                        }
                        Given::Stream(stream) => return Ok(Upstream::Http2(stream)),
                    }
                }
                Found::Wait(done) => {
                    awaited.set(Awaited::Connection);
                    match done.await {
                        Ok(Ok(())) => {}
                        Ok(Err(fault)) => return Err(fault.into()),
                        // The pool was dropped with its endpoint, and is not looked for again.
                        Err(_) => {}
                    }
                }
            }
        }
    }

    /// Looks for a stream, or for what is to be done to have one. `place`: one that was waited for.
    fn look(
        &self,
        worker: &Rc<Worker>,
        cluster: &Arc<ClusterPolicy>,
        endpoint: &Arc<EndpointState>,
        priority: RoutePriority,
        place: Option<ConnectionPlace>,
    ) -> Found {
        let key = pool_key(endpoint.id, priority);
        let mut endpoints = self.endpoints.borrow_mut();
        let is_live = self.live.borrow().contains(&endpoint.id);
        if is_live {
            let pool = endpoints.entry(key).or_insert_with(|| EndpointPool::new(cluster));
            if let Some(upstream) = pool.take(worker, cluster, endpoint) {
                return Found::Ready(Box::new(upstream));
            }
            if let (false, Some(waiting)) = (pool.speaks_http1, &mut pool.connecting) {
                let (sender, receiver) = oneshot::channel();
                waiting.push(sender);
                return Found::Wait(receiver);
            }
        }
        let place = match place {
            Some(place) => place,
            None => {
                let local = self.local(worker, cluster);
                let wanted = Wanted::new(cluster, endpoint, priority);
                match local.try_claim(&wanted) {
                    Some(place) => place,
                    None => return Found::Full(local, wanted),
                }
            }
        };
        match endpoints.get_mut(&key).filter(|_| is_live) {
            Some(pool) if !pool.speaks_http1 => {
                let (sender, receiver) = oneshot::channel();
                pool.connecting = Some(vec![sender]);
                tokio::task::spawn_local(connect_shared(
                    Rc::clone(worker),
                    Arc::clone(cluster),
                    Arc::clone(endpoint),
                    place,
                ));
                Found::Wait(receiver)
            }
            _ => Found::Connect(place),
        }
    }

    fn add_http2(&self, key: u64, connection: Rc<http2::Connection>) {
        if let Some(pool) = self.endpoints.borrow_mut().get_mut(&key) {
            pool.http2.push(connection);
        }
    }

    /// Takes a clean HTTP/1 connection back.
    pub(crate) fn give_back(&self, connection: Box<http1::Connection>) {
        let key = connection.place().key();
        // No pool: the endpoint has left the configuration, or the worker drains.
        if let Some(pool) = self.endpoints.borrow_mut().get_mut(&key)
            && pool.idle.len() < IDLE_HTTP1_MAX
            && !pool.drains
        {
            let kept = if connection.place().is_waited_for() {
                room::pass_on(connection)
            } else {
                Some(connection)
            };
            pool.idle.extend(kept);
        }
    }

    /// Lets an endpoint that is in no snapshot have a pool.
    pub(crate) fn admit(&self, endpoint: u64) {
        self.live.borrow_mut().insert(endpoint);
    }

    /// Puts the pool of such an endpoint under its cluster's new policy.
    pub(crate) fn adopt(&self, endpoint: u64, cluster: &Arc<ClusterPolicy>) {
        let mut endpoints = self.endpoints.borrow_mut();
        for key in pool_keys(endpoint) {
            if let Some(pool) = endpoints.get_mut(&key) {
                pool.cluster = Arc::clone(cluster);
            }
        }
    }

    /// Drops the pool of such an endpoint. Streams in flight finish.
    pub(crate) fn forget(&self, endpoint: u64) {
        self.live.borrow_mut().remove(&endpoint);
        let mut endpoints = self.endpoints.borrow_mut();
        for key in pool_keys(endpoint) {
            endpoints.remove(&key);
        }
    }

    /// Drops the pools of endpoints that left from one snapshot's clusters to the next's. Streams in flight finish.
    /// Takes time in proportion to the clusters that changed, beside one comparison a cluster.
    pub(crate) fn reap(&self, before: &[Option<Arc<ClusterPolicy>>], after: &[Option<Arc<ClusterPolicy>>]) {
        let mut live = self.live.borrow_mut();
        let mut endpoints = self.endpoints.borrow_mut();
        let mut left: Vec<u64> = Vec::new();
        for slot in 0..before.len().max(after.len()) {
            let old = before.get(slot).and_then(Option::as_ref);
            let new = after.get(slot).and_then(Option::as_ref);
            if old.map(Arc::as_ptr) == new.map(Arc::as_ptr) {
                continue;
            }
            for endpoint in old.iter().flat_map(|cluster| &cluster.endpoints) {
                live.remove(&endpoint.id);
                left.push(endpoint.id);
            }
            if let Some(cluster) = new {
                for (place, endpoint) in cluster.endpoints.iter().enumerate() {
                    live.insert(endpoint.id);
                    for key in pool_keys(endpoint.id) {
                        if let Some(pool) = endpoints.get_mut(&key) {
                            pool.cluster = Arc::clone(cluster);
                            pool.drains = cluster.is_draining(place);
                            if pool.drains || endpoint.health.has(HealthMark::FailedCheck) {
                                pool.let_go();
                            }
                        }
                    }
                }
            }
        }
        for id in left {
            if !live.contains(&id) {
                for key in pool_keys(id) {
                    endpoints.remove(&key);
                }
            }
        }
        // Those of clusters to which nothing is connected are made again when they are needed.
        self.clusters
            .borrow_mut()
            .retain(|_, local| Rc::strong_count(local) > 1);
    }

    /// Closes idle connections that have lost their right. HTTP/2 connections notice by themselves.
    pub(crate) fn drop_lost(&self) {
        for pool in self.endpoints.borrow_mut().values_mut() {
            pool.idle.retain_mut(|connection| !connection.is_lost());
        }
    }

    /// Drops all pools.
    pub(crate) fn clear(&self) {
        self.endpoints.borrow_mut().clear();
    }

    fn expire(&self) {
        let now = Instant::now();
        for pool in self.endpoints.borrow_mut().values_mut() {
            pool.idle.retain_mut(|connection| !connection.is_expired(now));
            if pool.drains {
                pool.let_go();
            }
            for connection in &pool.http2 {
                connection.expire(pool.cluster.config.pool(), now);
            }
            pool.http2.retain(|connection| !connection.is_finished());
        }
    }
}

fn pool_keys(endpoint: u64) -> [u64; 2] {
    [RoutePriority::Default, RoutePriority::High].map(|priority| pool_key(endpoint, priority))
}

fn exchange(
    worker: &Rc<Worker>,
    cluster: &ClusterPolicy,
    endpoint: &Arc<EndpointState>,
    connection: Box<http1::Connection>,
) -> Upstream {
    let mut exchange = http1::Exchange::new(connection, worker, endpoint);
    exchange.set_idle_timeout(cluster.config.pool());
    Upstream::Http1(exchange)
}

/// Makes the connection that several requests may wait for, and wakes them: each then looks into the pool again, and
/// those for which there is no room wait for the next connection.
async fn connect_shared(
    worker: Rc<Worker>,
    cluster: Arc<ClusterPolicy>,
    endpoint: Arc<EndpointState>,
    place: ConnectionPlace,
) {
    let key = place.key();
    let local = Rc::clone(place.local());
    let connected = connect(&cluster, &endpoint, &worker, place).await;
    let mut endpoints = worker.pools.endpoints.borrow_mut();
    // No pool: the endpoint is gone; those who wait see their channel closed and help themselves.
    let Some(pool) = endpoints.get_mut(&key) else {
        return;
    };
    let waiting = pool.connecting.take().unwrap_or_default();
    // Nothing is kept for a next request then.
    let is_unwanted = pool.drains && waiting.iter().all(oneshot::Sender::is_closed);
    let result = match connected {
        Ok(_) if is_unwanted => return,
        Ok(Connected::Http1(mut connection)) => {
            pool.speaks_http1 = true;
            connection.set_idle_timeout(cluster.config.pool());
            pool.idle.push(connection);
            Ok(())
        }
        Ok(Connected::Http2(connection)) => {
            pool.http2.push(connection);
            Ok(())
        }
        Err(fault) => Err(fault),
    };
    for waiting in waiting {
        // Whoever gave up waiting is not told.
        let _ = waiting.send(result);
    }
    // If nobody is left for it, it gives way to who waits: looked at after those who were told.
    let priority = priority_of(key);
    if local.is_waited_for(priority) {
        local.ask_for_room(priority);
    }
}

/// Closes idle connections whose time is up, and forgets destinations likewise; runs for as long as the worker does.
pub(crate) async fn reap_idle(worker: Rc<Worker>) {
    let mut interval = tokio::time::interval(REAP_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        worker.pools.expire();
        worker.destinations.expire(&worker, Instant::now());
    }
}
