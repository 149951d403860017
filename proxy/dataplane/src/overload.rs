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

/// What the workers are told.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    /// Counts what was told.
    number: u64,
    actions: Actions,
}

/// Tells the workers what to do near limits, and what they use.
#[derive(Clone)]
pub struct OverloadControl {
    places: Arc<ProcessPlaces>,
    told: Arc<watch::Sender<Told>>,
    /// Of each worker the number of what it has done; its sender ends with it.
    done: Vec<watch::Receiver<u64>>,
    metrics: Arc<WorkerMetrics>,
}

impl std::fmt::Debug for OverloadControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OverloadControl")
            .field("told", &*self.told.borrow())
            .finish_non_exhaustive()
    }
}

impl OverloadControl {
    /// With the sides of so many workers.
    pub(crate) fn new(metrics: &Metrics, workers: usize) -> (OverloadControl, Vec<WorkerOverload>) {
        let (senders, done): (Vec<_>, Vec<_>) = (0..workers).map(|_| watch::channel(0)).unzip();
        let control = OverloadControl {
            places: Arc::default(),
            told: Arc::default(),
            done,
            metrics: Arc::clone(metrics.workers()),
        };
        let sides = senders.into_iter().map(|done| control.worker(done)).collect();
        (control, sides)
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
                buffered_bytes(&self.metrics),
                limits.buffered_bytes_max(),
            ),
        ]
    }

    /// Has the workers do this from now on. To be called at each look while connections are not kept alive, since each
    /// call ends some of them. What it gives is ready once every worker does it: until then, some serve requests and take
    /// connections as before. It need not be waited for, and is cancel safe.
    pub fn act(&self, actions: Actions) -> impl Future<Output = ()> + Send + use<> {
        self.told.send_if_modified(|told| {
            let news = actions.any() || actions != told.actions;
            if news {
                *told = Told {
                    number: told.number + 1,
                    actions,
                };
            }
            news
        });
        let number = self.told.borrow().number;
        let done = self.done.clone();
        async move {
            for mut worker in done {
                // A worker that has ended serves nothing any more.
                let _ = worker.wait_for(|done| *done >= number).await;
            }
        }
    }

    /// A worker's side.
    fn worker(&self, done: watch::Sender<u64>) -> WorkerOverload {
        WorkerOverload {
            places: Arc::clone(&self.places),
            told: self.told.subscribe(),
            done,
            metrics: Arc::clone(&self.metrics),
            refuse_requests: Cell::new(Share::NONE),
            refuse_connections: Cell::new(false),
            pressed: Cell::new(None),
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
    places: Arc<ProcessPlaces>,
    told: watch::Receiver<Told>,
    done: watch::Sender<u64>,
    metrics: Arc<WorkerMetrics>,
    refuse_requests: Cell<Share>,
    refuse_connections: Cell<bool>,
    /// What is under pressure, if anything is done.
    pressed: Cell<Option<Resource>>,
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

    /// Takes over what is to be done, but for connections that are to end.
    fn take(&self, actions: Actions) {
        self.refuse_requests.set(actions.refuse_requests);
        self.refuse_connections.set(actions.refuse_connections);
        self.pressed.set(actions.by);
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

    /// Which resource is under the pressure by which something is done, and the share of requests that is refused, of a
    /// hundred.
    pub(crate) fn pressed(&self) -> (Option<Resource>, u32) {
        (self.pressed.get(), self.refuse_requests.get().percent())
    }

    /// Whether a new request may be served, and its place among those in flight, if they are counted.
    #[cold]
    pub(crate) fn admit_request(&self, random: u64) -> Result<Option<Place>, OverloadRefusal> {
        if self.refuse_requests.get().takes(random) {
            return Err(OverloadRefusal::Pressure);
        }
        match self.requests_max.get() {
            None => Ok(None),
            limit => match self.places.requests.take(limit) {
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
        let places = &self.places.connections;
        places
            .take(self.connections_max.get())
            .ok_or(ConnectionRefusal::ProcessLimit)
    }

    /// Whether so many more bytes may be kept; exact but for what other workers begin to keep at the same moment.
    pub(crate) fn may_keep(&self, bytes: usize) -> bool {
        self.buffered_bytes_max
            .get()
            .is_none_or(|max| buffered_bytes(&self.metrics).saturating_add(bytes as u64) <= max)
    }
}

/// Does what is told, until the data plane ends.
pub(crate) async fn follow(worker: Rc<Worker>) {
    let overload = &worker.overload;
    let mut told = overload.told.clone();
    // What was told before there was anybody to hear it.
    told.mark_changed();
    while told.changed().await.is_ok() {
        let Told { number, actions } = *told.borrow_and_update();
        overload.take(actions);
        if actions.stop_keepalive {
            overload
                .cursor
                .set(worker.retire(RETIRED_SHARE, overload.cursor.get()));
        }
        overload.done.send_replace(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    const REFUSE: Actions = Actions {
        stop_keepalive: false,
        refuse_requests: Share::ALL,
        refuse_connections: true,
        by: Some(Resource::Memory),
    };

    /// As [`follow`] does it.
    fn hear(worker: &WorkerOverload) {
        let Told { number, actions } = *worker.told.borrow();
        worker.take(actions);
        worker.done.send_replace(number);
    }

    #[test]
    fn what_is_told_is_done_once_every_worker_does_it_or_has_ended() {
        let (control, mut workers) = OverloadControl::new(&Metrics::new(3, &[]), 3);
        let mut context = Context::from_waker(Waker::noop());
        let mut poll = |acted: std::pin::Pin<&mut dyn Future<Output = ()>>| acted.poll(&mut context);
        assert_eq!(poll(pin!(control.act(Actions::default()))), Poll::Ready(()));
        let mut acted = pin!(control.act(REFUSE));
        for worker in &workers {
            assert_eq!(poll(acted.as_mut()), Poll::Pending);
            assert!(worker.admit_connection().is_ok());
            hear(worker);
            assert!(worker.admit_connection().is_err());
        }
        assert_eq!(poll(acted), Poll::Ready(()));
        let mut over = pin!(control.act(Actions::default()));
        // Nothing new is told, but what was told before is not done yet.
        let mut again = pin!(control.act(Actions::default()));
        drop(workers.pop());
        for worker in &workers {
            assert_eq!(poll(over.as_mut()), Poll::Pending);
            assert_eq!(poll(again.as_mut()), Poll::Pending);
            hear(worker);
        }
        assert_eq!(poll(over), Poll::Ready(()));
        assert_eq!(poll(again), Poll::Ready(()));
    }
}
