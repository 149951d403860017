//! What the data plane does near the process's limits. How near it is, and what follows from that, is decided by others
//! ([`outrigger_traffic::overload`]) and told through [`OverloadControl`].
//!
//! Each worker has what is done in cells of its own, so that a request asks one of them and no more. The limits on
//! connections and on requests in flight are exact: places are counted for the whole process, those of requests only
//! where they are limited.

use crate::worker::Worker;
use outrigger_config::model::Overload;
use outrigger_telemetry::{ConnectionRefusal, Metrics, OverloadRefusal, WorkerMetrics};
use outrigger_traffic::overload::{Actions, Resource, Share, Usage};
use outrigger_traffic::{Place, Places};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::watch;

/// While connections are not kept alive, each look ends one in so many of those that are left on a worker, and at least
/// one: they go within seconds, and their clients do not all come back at once.
const RETIRED_SHARE: usize = 8;

/// Places of which the process has so many.
#[derive(Debug, Default)]
struct ProcessPlaces {
    connections: Arc<Places>,
    requests: Arc<Places>,
}

/// Tells the workers what to do near limits, and what they use.
#[derive(Clone)]
pub struct OverloadControl {
    places: Arc<ProcessPlaces>,
    actions: Arc<watch::Sender<Actions>>,
    workers: Arc<WorkerMetrics>,
}

impl std::fmt::Debug for OverloadControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OverloadControl")
            .field("actions", &*self.actions.borrow())
            .finish_non_exhaustive()
    }
}

impl OverloadControl {
    pub(crate) fn new(metrics: &Metrics) -> OverloadControl {
        OverloadControl {
            places: Arc::default(),
            actions: Arc::new(watch::Sender::new(Actions::default())),
            workers: Arc::clone(metrics.workers()),
        }
    }

    /// What the data plane uses of what these limits limit.
    pub fn usages(&self, limits: &Overload) -> [Usage; 3] {
        let usage = |resource, used, limit| Usage {
            resource,
            used,
            limit,
        };
        [
            usage(
                Resource::Connections,
                self.places.connections.taken(),
                limits.connections_max(),
            ),
            usage(
                Resource::Requests,
                self.places.requests.taken(),
                limits.requests_max(),
            ),
            usage(
                Resource::BufferedBytes,
                buffered_bytes(&self.workers),
                limits.buffered_bytes_max(),
            ),
        ]
    }

    /// Has the workers do this from now on. To be called at each look while connections are not kept alive, since each
    /// call ends some of them.
    pub fn act(&self, actions: Actions) {
        if actions.any() || actions != *self.actions.borrow() {
            self.actions.send_replace(actions);
        }
    }

    /// A worker's side.
    pub(crate) fn worker(&self) -> WorkerOverload {
        WorkerOverload {
            control: self.clone(),
            refuse_requests: Cell::new(Share::NONE),
            refuse_connections: Cell::new(false),
            requests_max: Cell::new(None),
            connections_max: Cell::new(None),
            buffered_bytes_max: Cell::new(None),
            concerns_requests: Cell::new(false),
            cursor: Cell::new(0),
        }
    }
}

/// Bytes that all workers keep.
fn buffered_bytes(workers: &WorkerMetrics) -> u64 {
    let cells = workers.workers().iter();
    let sum: i64 = cells.map(|cells| cells.buffered_bytes.value()).sum();
    u64::try_from(sum).unwrap_or(0)
}

/// What a worker does near the process's limits.
pub(crate) struct WorkerOverload {
    control: OverloadControl,
    refuse_requests: Cell<Share>,
    refuse_connections: Cell<bool>,
    requests_max: Cell<Option<u64>>,
    connections_max: Cell<Option<u64>>,
    buffered_bytes_max: Cell<Option<u64>>,
    /// Some of the above concerns new requests.
    concerns_requests: Cell<bool>,
    /// Where among the connections the next to be ended is looked for.
    cursor: Cell<usize>,
}

impl WorkerOverload {
    /// Takes limits over.
    pub(crate) fn limit(&self, limits: &Overload) {
        self.requests_max.set(limits.requests_max());
        self.connections_max.set(limits.connections_max());
        self.buffered_bytes_max.set(limits.buffered_bytes_max());
        self.note_concern();
    }

    fn note_concern(&self) {
        let concerns = self.requests_max.get().is_some() || self.refuse_requests.get() > Share::NONE;
        self.concerns_requests.set(concerns);
    }

    /// False if requests need not be asked about: the usual case.
    #[inline]
    pub(crate) fn concerns_requests(&self) -> bool {
        self.concerns_requests.get()
    }

    /// Whether a new request may be served, and its place among those in flight, if they are counted.
    #[cold]
    pub(crate) fn admit_request(&self, random: u64) -> Result<Option<Place>, OverloadRefusal> {
        if self.refuse_requests.get().takes(random) {
            return Err(OverloadRefusal::Pressure);
        }
        match self.requests_max.get() {
            None => Ok(None),
            limit => match self.control.places.requests.take(limit) {
                Some(place) => Ok(Some(place)),
                None => Err(OverloadRefusal::RequestsMax),
            },
        }
    }

    /// The place of a new connection, if there may be one more.
    pub(crate) fn admit_connection(&self) -> Result<Place, ConnectionRefusal> {
        if self.refuse_connections.get() {
            return Err(ConnectionRefusal::Overload);
        }
        let places = &self.control.places.connections;
        places
            .take(self.connections_max.get())
            .ok_or(ConnectionRefusal::ProcessLimit)
    }

    /// Whether so many more bytes may be kept; exact but for what other workers begin to keep at the same moment.
    pub(crate) fn may_keep(&self, bytes: usize) -> bool {
        self.buffered_bytes_max
            .get()
            .is_none_or(|max| buffered_bytes(&self.control.workers).saturating_add(bytes as u64) <= max)
    }
}

/// Does what is told, until the data plane ends.
pub(crate) async fn follow(worker: Rc<Worker>) {
    let mut actions = worker.overload.control.actions.subscribe();
    // What was told before there was anybody to hear it.
    actions.mark_changed();
    while actions.changed().await.is_ok() {
        let Actions {
            stop_keepalive,
            refuse_requests,
            refuse_connections,
        } = *actions.borrow_and_update();
        let overload = &worker.overload;
        overload.refuse_requests.set(refuse_requests);
        overload.refuse_connections.set(refuse_connections);
        overload.note_concern();
        if stop_keepalive {
            overload
                .cursor
                .set(worker.retire(RETIRED_SHARE, overload.cursor.get()));
        }
    }
}
