//! Connections at their limit: waiting for one, and giving idle ones up.

use super::{Awaited, Pools};
use crate::error::AttemptError;
use crate::places::{ConnectionPlace, Given, LocalPlaces, PendingRequest, Wanted, pool_key};
use crate::snapshot::{ClusterPolicy, EndpointState};
use crate::upstream::{http1, http2};
use crate::worker::Worker;
use outrigger_config::model::RoutePriority;
use outrigger_telemetry::Overflow;
use outrigger_traffic::retry::AttemptFailure;
use smallvec::SmallVec;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use tokio::time::Instant;

/// What a request is refused with for which there is no room. It is never tried again, and never ran.
pub(crate) fn overflow(limit: Overflow) -> AttemptError {
    AttemptError {
        limit: Some(limit),
        ..AttemptError::new(AttemptFailure::Overflow, "overflow")
    }
}

impl Pools {
    /// What this worker has of a cluster's connections.
    pub(super) fn local(&self, worker: &Worker, cluster: &ClusterPolicy) -> Rc<LocalPlaces> {
        let mut clusters = self.clusters.borrow_mut();
        let local = clusters
            .entry(Arc::as_ptr(&cluster.shared))
            .or_insert_with(|| LocalPlaces::new(&cluster.shared, worker));
        Rc::clone(local)
    }

    /// A place for a connection whose bytes are passed on, if the limits allow one. No other gives way to it.
    pub(crate) fn claim(
        &self,
        worker: &Worker,
        cluster: &ClusterPolicy,
        endpoint: &EndpointState,
    ) -> Option<ConnectionPlace> {
        let wanted = Wanted::new(cluster, endpoint, RoutePriority::Default);
        self.local(worker, cluster).try_claim_strictly(&wanted)
    }

    /// True if a request could be sent to the endpoint on a connection that is here: as far as can be seen.
    pub(crate) fn has_free(&self, endpoint: u64, priority: RoutePriority) -> bool {
        let endpoints = self.endpoints.borrow();
        let pool = endpoints.get(&pool_key(endpoint, priority));
        pool.is_some_and(|pool| !pool.idle.is_empty() || !pool.http2.is_empty())
    }

    /// A place for a connection that no pool keeps; waited for at the limit, as `awaited` says. Cancel safe.
    pub(crate) async fn place(
        &self,
        worker: &Rc<Worker>,
        cluster: &Arc<ClusterPolicy>,
        endpoint: &Arc<EndpointState>,
        priority: RoutePriority,
        awaited: &Cell<Awaited>,
    ) -> Result<ConnectionPlace, AttemptError> {
        let local = self.local(worker, cluster);
        let mut wanted = Wanted::new(cluster, endpoint, priority);
        if let Some(place) = local.try_claim(&wanted) {
            return Ok(place);
        }
        let _pending =
            PendingRequest::begin(cluster, worker, priority).ok_or_else(|| overflow(Overflow::Pending))?;
        wanted.takes_pooled = false;
        let until = worker.tick() + cluster.config.connect_timeout();
        match self
            .queue(worker, cluster, (local, wanted), until, awaited)
            .await?
        {
            Given::Place(place) => Ok(place),
            // It takes none that is there.
            Given::Connection(_) | Given::Stream(_) => Err(overflow(Overflow::Pending)),
        }
    }

    /// Waits in the queue for a connection, until `until`: then there is none. Cancel safe.
    pub(super) async fn queue(
        &self,
        worker: &Worker,
        cluster: &ClusterPolicy,
        (local, wanted): (Rc<LocalPlaces>, Wanted),
        until: Instant,
        awaited: &Cell<Awaited>,
    ) -> Result<Given, AttemptError> {
        awaited.set(Awaited::Queue);
        let cells = cluster.metrics.worker(worker.index);
        cells.connection_limit_waits.inc();
        let queue = cluster.shared.places.of(wanted.priority);
        let waiting = local.wait(wanted);
        // An idle connection to another endpoint, or of another worker, gives way.
        queue.want_room();
        self.make_room(&local);
        if queue.wants_room() {
            local.ask_others();
        }
        waiting.given(until).await.ok_or_else(|| {
            cells.overflows[Overflow::PendingTimeout].inc();
            overflow(Overflow::PendingTimeout)
        })
    }

    /// Closes idle connections for those who wait, of whatever worker.
    fn make_all_room(&self) {
        let wanting: SmallVec<[Rc<LocalPlaces>; 4]> = self
            .clusters
            .borrow()
            .values()
            .filter(|local| local.wants_room())
            .map(Rc::clone)
            .collect();
        for local in wanting {
            self.make_room(&local);
        }
    }

    /// Closes idle connections of one cluster for those who wait: of the endpoints that are waited for first.
    fn make_room(&self, local: &LocalPlaces) {
        // Closed when the pools are not borrowed any more: whoever is told may look into them.
        let (mut http1, mut http2) = (Vec::new(), Vec::new());
        let mut endpoints = self.endpoints.borrow_mut();
        let keys = local.pools();
        for by_endpoint in [true, false] {
            for key in &keys {
                let Some(pool) = endpoints.get_mut(key) else {
                    continue;
                };
                while let Some(oldest) = pool.idle.first()
                    && oldest.place().take_room_wanted(by_endpoint)
                {
                    // The one that was unused for longest.
                    http1.push(pool.idle.remove(0));
                }
                let take = |connection: &Rc<http2::Connection>| connection.take_room_wanted(by_endpoint);
                while let Some(idle) = pool.http2.iter().position(take) {
                    http2.push(pool.http2.remove(idle));
                }
            }
        }
        drop(endpoints);
        for connection in http1 {
            connection.give_way();
        }
        for connection in http2 {
            connection.give_way();
        }
    }
}

/// Passes a connection that is free on to who waits: to one of this worker who can use it as it is, else as the place that
/// it leaves. Gives it back if that would help nobody.
#[cold]
pub(super) fn pass_on(connection: Box<http1::Connection>) -> Option<Box<http1::Connection>> {
    match connection.place().next_waiter(connection.place().key()) {
        Some(waiter) => waiter.give(Given::Connection(connection)),
        None if connection.place().is_of_use() => connection.give_way(),
        None => return Some(connection),
    }
    None
}

/// Closes idle connections whenever another worker asks for it; runs for as long as the worker does.
pub(crate) async fn make_room(worker: Rc<Worker>) {
    loop {
        worker.peers[worker.index].make_room.notified().await;
        worker.pools.make_all_room();
    }
}
