//! Connections to endpoints that showed a certificate: known to the worker for as long as they are open, judged by it,
//! and cut by what they are read through.
//!
//! One that has lost its right fails to read and to write from then on ([`crate::io::Stream`]), whoever uses it and for
//! what, and its user is woken: a request gets no (further) answer, a relay and a tunnel end. Whether a request is tried
//! elsewhere is for retry policy to say, as after any failure of a connection.

use crate::snapshot::{ClusterPolicy, ClusterShared, Snapshot};
use crate::tls::KnownPeer;
use crate::worker::Worker;
use outrigger_identity::Belief;
use outrigger_telemetry::{ClusterMetrics, RightLost};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::SystemTime;

/// Connections that are judged at once. One costs some microseconds, and some tens where a chain is verified again.
const JUDGED_PER_TURN: usize = 32;

/// The connections to endpoints of one worker that showed a certificate: a slab.
#[derive(Default)]
pub(crate) struct UpstreamConnections {
    entries: RefCell<Vec<Option<Rc<UpstreamRights>>>>,
    free: RefCell<Vec<usize>>,
    /// Those that wait to be judged; each at most once.
    queue: RefCell<VecDeque<Rc<UpstreamRights>>>,
    /// A task is at it.
    running: Cell<bool>,
}

/// What is known of one connection.
struct UpstreamRights {
    peer: Rc<KnownPeer>,
    opened: SystemTime,
    /// By which it was accepted.
    belief: RefCell<Arc<Belief>>,
    /// By which it is to be judged, if that is another.
    pending: RefCell<Option<Arc<Belief>>>,
    /// Tells its cluster in any snapshot.
    cluster: Arc<ClusterShared>,
    metrics: Arc<ClusterMetrics>,
    lost: Cell<Option<RightLost>>,
    queued: Cell<bool>,
    /// Whoever reads from it.
    reader: RefCell<Option<Waker>>,
}

/// A connection's place among those of its worker, for as long as it is open.
pub(crate) struct UpstreamPlace {
    connections: Rc<UpstreamConnections>,
    rights: Rc<UpstreamRights>,
    index: usize,
}

impl std::fmt::Debug for UpstreamPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamPlace")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

impl UpstreamPlace {
    /// Fails once the connection has lost its right.
    #[inline]
    pub(crate) fn check(&self) -> io::Result<()> {
        match self.rights.lost.get() {
            None => Ok(()),
            Some(lost) => Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                EndpointLost(lost),
            )),
        }
    }

    /// Why the connection may not be used any more, if that is so.
    pub(crate) fn lost(&self) -> Option<RightLost> {
        self.rights.lost.get()
    }

    /// Judges a connection that was just made by what is in force: it may have been made by an older policy.
    pub(crate) fn judge_late(&self, worker: &Worker) {
        let snapshot = worker.snapshot();
        let mut clusters = snapshot.clusters.iter().flatten();
        let cluster = clusters.find(|cluster| Arc::ptr_eq(&cluster.shared, &self.rights.cluster));
        let belief = cluster.and_then(|cluster| belief_of(cluster));
        // By the one that it was made by, it was judged in the handshake.
        let other = belief.filter(|belief| !Arc::ptr_eq(belief, &self.rights.belief.borrow()));
        *self.rights.pending.borrow_mut() = other.cloned();
        self.rights.judge(worker);
    }

    /// Has the task that reads polled again when the connection loses its right.
    pub(crate) fn follow(&self, cx: &mut Context<'_>) {
        let mut reader = self.rights.reader.borrow_mut();
        if !reader.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *reader = Some(cx.waker().clone());
        }
    }
}

impl Drop for UpstreamPlace {
    fn drop(&mut self) {
        self.connections.entries.borrow_mut()[self.index] = None;
        self.connections.free.borrow_mut().push(self.index);
    }
}

impl UpstreamConnections {
    /// Notes a connection to a peer that `belief` has accepted.
    pub(crate) fn register(
        self: &Rc<Self>,
        peer: &Rc<KnownPeer>,
        belief: &Arc<Belief>,
        cluster: &ClusterPolicy,
    ) -> UpstreamPlace {
        let rights = Rc::new(UpstreamRights {
            peer: Rc::clone(peer),
            opened: SystemTime::now(),
            belief: RefCell::new(Arc::clone(belief)),
            pending: RefCell::new(None),
            cluster: Arc::clone(&cluster.shared),
            metrics: Arc::clone(&cluster.metrics),
            lost: Cell::new(None),
            queued: Cell::new(false),
            reader: RefCell::new(None),
        });
        let mut entries = self.entries.borrow_mut();
        let index = match self.free.borrow_mut().pop() {
            Some(index) => index,
            None => {
                entries.push(None);
                entries.len() - 1
            }
        };
        entries[index] = Some(Rc::clone(&rights));
        UpstreamPlace {
            connections: Rc::clone(self),
            rights,
            index,
        }
    }

    fn enqueue(&self, rights: &Rc<UpstreamRights>, belief: Option<Arc<Belief>>) {
        if belief.is_some() {
            *rights.pending.borrow_mut() = belief;
        }
        if !rights.queued.replace(true) {
            self.queue.borrow_mut().push_back(Rc::clone(rights));
        }
    }

    fn start(&self, worker: &Rc<Worker>) {
        if !self.queue.borrow().is_empty() && !self.running.replace(true) {
            tokio::task::spawn_local(judge(Rc::clone(worker)));
        }
    }
}

/// Has the connections judged from which `after` may have taken something that `before` gave.
pub(super) fn announce(worker: &Rc<Worker>, before: &Snapshot, after: &Snapshot) {
    let connections = &worker.upstreams;
    let entries = connections.entries.borrow();
    if entries.iter().all(Option::is_none) {
        return;
    }
    let revocations = !Arc::ptr_eq(before.revocations(), after.revocations());
    let mut beliefs: HashMap<*const ClusterShared, Arc<Belief>> = HashMap::new();
    for (slot, cluster) in after.clusters.iter().enumerate() {
        let (Some(cluster), Some(Some(old))) = (cluster, before.clusters.get(slot)) else {
            continue;
        };
        if let (false, Some(belief)) = (Arc::ptr_eq(old, cluster), belief_of(cluster))
            && !belief_of(old).is_some_and(|old| Arc::ptr_eq(old, belief))
        {
            beliefs.insert(Arc::as_ptr(&cluster.shared), Arc::clone(belief));
        }
    }
    if !revocations && beliefs.is_empty() {
        return;
    }
    for rights in entries.iter().flatten() {
        let belief = beliefs.get(&Arc::as_ptr(&rights.cluster)).cloned();
        if revocations || belief.is_some() {
            connections.enqueue(rights, belief);
        }
    }
    drop(entries);
    connections.start(worker);
}

fn belief_of(cluster: &ClusterPolicy) -> Option<&Arc<Belief>> {
    cluster.tls.as_ref()?.belief.as_ref()
}

/// Judges whoever is queued, and ends.
async fn judge(worker: Rc<Worker>) {
    let connections = &worker.upstreams;
    loop {
        let mut is_any_lost = false;
        for _ in 0..JUDGED_PER_TURN {
            let Some(rights) = connections.queue.borrow_mut().pop_front() else {
                connections.running.set(false);
                break;
            };
            rights.queued.set(false);
            is_any_lost |= rights.judge(&worker);
        }
        if is_any_lost {
            worker.pools.drop_lost();
        }
        if !connections.running.get() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

impl UpstreamRights {
    /// Judges the connection by the snapshot in force; true if it is to be cut.
    fn judge(&self, worker: &Worker) -> bool {
        if self.lost.get().is_some() {
            return false;
        }
        let revocations = Arc::clone(worker.snapshot().revocations());
        let pending = self.pending.borrow_mut().take();
        let lost = match revocations.refuses(&self.peer, SystemTime::now()) {
            Some(_) => Some(RightLost::Revoked),
            None => pending.and_then(|belief| self.distrusted(&belief, worker)),
        };
        let Some(lost) = lost else { return false };
        self.lost.set(Some(lost));
        self.metrics.worker(worker.index).connections_cut[lost].inc();
        tracing::debug!(
            reason = lost.as_str(),
            "a connection to an endpoint has lost its right"
        );
        if let Some(reader) = &*self.reader.borrow() {
            reader.wake_by_ref();
        }
        true
    }

    fn distrusted(&self, belief: &Arc<Belief>, worker: &Worker) -> Option<RightLost> {
        let before = Arc::clone(&self.belief.borrow());
        let announcements = &worker.announcements;
        let lost = announcements.distrusted(&self.peer, Some(&before), belief, self.opened);
        if lost.is_some() {
            return lost;
        }
        *self.belief.borrow_mut() = Arc::clone(belief);
        None
    }
}

/// What reading from a connection that has lost its right fails with.
#[derive(Debug, thiserror::Error)]
#[error("the endpoint's certificate is believed no more: {}", .0.as_str())]
struct EndpointLost(RightLost);

/// Why a connection to an endpoint failed, if it has lost its right.
pub(crate) fn upstream_lost(error: &io::Error) -> Option<RightLost> {
    let lost = error.get_ref()?.downcast_ref::<EndpointLost>()?;
    Some(lost.0)
}

/// What the access log says of a request whose endpoint is believed no more.
pub(crate) const UPSTREAM_LOST: &str = "upstream_identity_lost";
