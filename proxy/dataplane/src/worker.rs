//! A worker: one thread, one single-threaded runtime, its own listening sockets, connections and pools.
//!
//! What hangs on a worker is `!Send` and needs no lock. Other threads speak to it through [`Command`]s only.

use crate::accept;
use crate::auto::Outcomes;
use crate::compression::EncoderMemory;
use crate::decisions::Decisions;
use crate::external_authorization::AuthorizationCodec;
use crate::interception::{Ourselves, OwnConnections};
use crate::overload::{self, WorkerOverload};
use crate::pick::Destinations;
use crate::pool::Pools;
use crate::rate_limit::RateLimitCodec;
use crate::relay::RelayMemory;
use crate::rights::{self, Announcements, Rights, UpstreamConnections};
use crate::snapshot::{ChainPolicy, ChainSlot, Snapshot, SocketKey};
use crate::spares::Spares;
use crate::tls;
use outrigger_config::MeshConfig;
use outrigger_identity::jwt::TokenMemory;
use outrigger_telemetry::recorder::{Recorder, RecorderSettings, RecorderWriter};
use outrigger_telemetry::{ConnectionClose, Metrics, WorkerCells};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

/// Bytes that one read of a head takes at most; a scratch buffer that all connections of a worker share, so that an
/// idle connection holds none.
const SCRATCH_BYTES: usize = 32 * 1024;

/// Connections handed to a worker that it has not taken up yet; beyond that the accepting worker keeps them.
pub(crate) const HAND_OVER_QUEUE_MAX: usize = 1024;

/// How long a connection that is to drain waits for a request that may be on its way, to answer it with
/// `Connection: close`, before it is closed: closing at once would fail that request.
const DRAIN_IDLE_GRACE: Duration = Duration::from_millis(100);

/// The same after another process has taken the sockets over: nobody waits for the end, and a client that thinks for
/// some seconds between two requests never meets a close.
const RELEASE_IDLE_GRACE: Duration = Duration::from_secs(5);

/// What the apply side tells a worker. Unbounded, because the one applier waits for each publish to be acknowledged
/// before it sends the next.
pub(crate) enum Command {
    /// A new snapshot is in force, with sockets to open and to close.
    Publish {
        snapshot: Arc<Snapshot>,
        open: Vec<(SocketKey, std::net::TcpListener)>,
        close: Vec<SocketKey>,
        /// Where the process listens from now on, the admin endpoint included.
        listening: Arc<[SocketAddr]>,
        done: oneshot::Sender<()>,
    },
    /// Stop accepting: another process goes on with the sockets of these keys, the others close.
    Release {
        kept: Arc<HashSet<SocketKey>>,
        done: oneshot::Sender<()>,
    },
    /// Stop accepting; end connections as they become free. The worker ends when none is left.
    Drain,
    /// End now.
    Stop,
}

/// A connection accepted by one worker and given to another.
pub(crate) struct HandOver {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) stream: std::net::TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) key: SocketKey,
    pub(crate) permit: crate::accept::ConnectionPermit,
}

/// How other workers see a worker.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) connections: AtomicUsize,
    pub(crate) hand_over: mpsc::Sender<HandOver>,
    /// Somebody waits for a connection, for which an idle one of this worker could be closed.
    pub(crate) make_room: Notify,
}

/// The published snapshot as a worker's connections hold it: counted without atomics.
pub(crate) struct LocalSnapshot(pub(crate) Arc<Snapshot>);

impl Deref for LocalSnapshot {
    type Target = Snapshot;
    fn deref(&self) -> &Snapshot {
        &self.0
    }
}

/// What a worker's tasks share.
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) pools: Pools,
    pub(crate) destinations: Destinations,
    pub(crate) ourselves: Ourselves,
    /// The mark of sockets to upstreams.
    pub(crate) socket_mark: Option<u32>,
    pub(crate) peers: Arc<[Peer]>,
    pub(crate) scratch: RefCell<Box<[u8]>>,
    snapshot: RefCell<Rc<LocalSnapshot>>,
    connections: RefCell<ConnectionTable>,
    connection_ids: Arc<AtomicU64>,
    random: Cell<u64>,
    draining: Cell<bool>,
    drain_idle_grace: Cell<Duration>,
    /// Decisions of authorization services.
    pub(crate) decisions: Decisions,
    pub(crate) authorization_codec: Arc<dyn AuthorizationCodec>,
    pub(crate) rate_limit_codec: Arc<dyn RateLimitCodec>,
    /// Bytes of bodies that were read ahead of their requests.
    pub(crate) bodies_ahead_bytes: Cell<usize>,
    /// Copies of requests that are being made or sent.
    pub(crate) mirrors: Cell<usize>,
    log_line: RefCell<Vec<u8>>,
    /// There while something is recorded.
    pub(crate) recorder: RefCell<Option<RecorderWriter>>,
    recorders: Arc<Recorder>,
    pub(crate) spares: Rc<Spares>,
    pub(crate) encoders: EncoderMemory,
    pub(crate) relays: RelayMemory,
    /// What destinations turned out to speak.
    pub(crate) outcomes: Outcomes,
    pub(crate) tls_reports: tls::Reports,
    /// Who is connected by mutual TLS.
    pub(crate) known_peers: tls::Peers,
    pub(crate) metrics: Arc<Metrics>,
    /// What is done near the process's limits.
    pub(crate) overload: WorkerOverload,
    pub(crate) tokens: TokenMemory,
    pub(crate) announcements: Announcements,
    pub(crate) upstreams: Rc<UpstreamConnections>,
    now: Cell<Instant>,
}

impl Worker {
    /// Reads the clock. A read costs about as much as a map look-up, so that each phase of a request reads it once.
    pub(crate) fn tick(&self) -> Instant {
        let now = Instant::now();
        self.now.set(now);
        now
    }

    /// The time of the last [`Worker::tick`] on this worker: right for whoever ticked without an await in between.
    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    /// What this worker counts for itself.
    pub(crate) fn cells(&self) -> &WorkerCells {
        self.metrics.workers().worker(self.index)
    }

    /// Lends the buffer in which access log lines are made.
    pub(crate) fn with_log_line(&self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.log_line.borrow_mut());
    }

    /// The snapshot in force.
    pub(crate) fn snapshot(&self) -> Rc<LocalSnapshot> {
        Rc::clone(&self.snapshot.borrow())
    }

    /// True after [`Command::Drain`].
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// How long a connection that drains waits for one more request.
    pub(crate) fn drain_idle_grace(&self) -> Duration {
        self.drain_idle_grace.get()
    }

    /// A random number: wyrand, seeded per worker; balancing and request ids need no secrecy.
    pub(crate) fn random(&self) -> u64 {
        let state = self.random.get().wrapping_add(0xa076_1d64_78bd_642f);
        self.random.set(state);
        let wide = u128::from(state) * u128::from(state ^ 0xe703_7ed1_a0b4_28db);
        (wide >> 64) as u64 ^ wide as u64
    }

    /// Registers a connection under the chain that was just picked from `snapshot`; no await lies between. A snapshot
    /// that is not in force any more belongs to a listener that was removed: its connections drain.
    pub(crate) fn register(self: &Rc<Self>, snapshot: Rc<LocalSnapshot>, slot: ChainSlot) -> Registration {
        let id = self.connection_ids.fetch_add(1, Ordering::Relaxed);
        let current = self.snapshot();
        let outdated = snapshot.generation() < current.generation();
        // Endpoints may have been published since: chains are the same in all snapshots of a configuration.
        let snapshot = if !outdated && snapshot.revision < current.revision {
            current
        } else {
            snapshot
        };
        let control = Rc::new(ConnectionControl {
            id,
            slot,
            snapshot: RefCell::new(snapshot),
            draining: Cell::new((self.draining.get() || outdated).then(Instant::now)),
            retired: Cell::new(false),
            waker: RefCell::new(None),
            rights: Rights::default(),
        });
        let index = self.connections.borrow_mut().insert(Rc::clone(&control));
        Registration {
            worker: Rc::clone(self),
            control,
            index,
        }
    }

    fn publish(self: &Rc<Self>, snapshot: Arc<Snapshot>, listening: Arc<[SocketAddr]>) {
        self.ourselves.publish(listening, snapshot.intercepts());
        self.overload.limit(snapshot.config().overload());
        self.set_recorder(&snapshot);
        let local = Rc::new(LocalSnapshot(snapshot));
        let before = self.snapshot.replace(Rc::clone(&local));
        for control in self.connections.borrow().iter() {
            control.adopt(&local);
        }
        self.decisions.reap(&before, &local);
        rights::announce(self, &before, &local, self.connections.borrow().iter());
        self.destinations.reap(&local, &self.pools, self.index);
        self.pools.reap(&before.clusters, &local.clusters);
    }

    /// Begins to record anew if a configuration says other than the one before.
    fn set_recorder(&self, snapshot: &Snapshot) {
        let wanted = recorder_settings(snapshot.config());
        let mut recorder = self.recorder.borrow_mut();
        if recorder.as_ref().map(RecorderWriter::settings) != wanted {
            // Dropped first, so that both are never there at once.
            *recorder = None;
            *recorder = self.recorders.open(self.index, wanted);
        }
    }

    /// Ends one in `share` of the connections that are left, and at least one, each as soon as nothing is in flight on it.
    /// `cursor`: where to begin, what was given back the last time.
    pub(crate) fn retire(&self, share: usize, cursor: usize) -> usize {
        let connections = self.connections.borrow();
        let left = connections.iter().filter(|control| !control.is_draining());
        let mut count = left.count().div_ceil(share);
        let places = connections.entries.len();
        let mut next = cursor;
        for place in (cursor..places).chain(0..cursor.min(places)) {
            if count == 0 {
                break;
            }
            next = place + 1;
            if let Some(control) = &connections.entries[place]
                && !control.is_draining()
            {
                control.retire();
                count -= 1;
            }
        }
        next
    }

    fn drain(&self) {
        self.draining.set(true);
        for control in self.connections.borrow().iter() {
            control.drain();
        }
        self.pools.clear();
    }
}

/// What a configuration says of the flight recorder; none: it is off.
fn recorder_settings(config: &MeshConfig) -> Option<RecorderSettings> {
    let wanted = config.telemetry().recorder().as_ref()?;
    Some(RecorderSettings {
        memory_bytes: wanted.memory_bytes(),
        slow: wanted.slow(),
    })
}

/// What a worker knows of one of its downstream connections.
pub(crate) struct ConnectionControl {
    pub(crate) id: u64,
    slot: ChainSlot,
    snapshot: RefCell<Rc<LocalSnapshot>>,
    /// Since when.
    draining: Cell<Option<Instant>>,
    /// It should end all the same, in its own time: the process is near what it may have.
    retired: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    pub(crate) rights: Rights,
}

impl ConnectionControl {
    pub(crate) fn slot(&self) -> ChainSlot {
        self.slot
    }

    /// The snapshot that this connection's next request is served by.
    pub(crate) fn snapshot(&self) -> Rc<LocalSnapshot> {
        Rc::clone(&self.snapshot.borrow())
    }

    /// The connection's filter chain in a snapshot that [`ConnectionControl::snapshot`] gave.
    pub(crate) fn chain<'s>(&self, snapshot: &'s LocalSnapshot) -> &'s Arc<ChainPolicy> {
        snapshot
            .chain(self.slot)
            .expect("a connection only adopts snapshots that hold its chain")
    }

    /// True if the connection should end as soon as nothing is in flight on it.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get().is_some() || self.retired.get()
    }

    /// Why it should end, if it should.
    pub(crate) fn end_reason(&self) -> Option<ConnectionClose> {
        match (self.draining.get(), self.retired.get()) {
            (Some(_), _) => Some(ConnectionClose::Drain),
            (None, true) => Some(ConnectionClose::Overload),
            (None, false) => None,
        }
    }

    /// When what is still in flight on a draining connection is cut: a request ends by itself, a tunnel may not.
    pub(crate) fn drain_deadline(&self) -> Option<Instant> {
        let timeout = self.snapshot.borrow().config().drain().timeout();
        self.draining.get()?.checked_add(timeout)
    }

    /// Wakes the connection's task when it is to drain.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        let mut slot = self.waker.borrow_mut();
        if !slot.as_ref().is_some_and(|old| old.will_wake(waker)) {
            *slot = Some(waker.clone());
        }
    }

    /// Goes over to a new snapshot if it still has this connection's chain, and drains otherwise: the old snapshot
    /// then serves what is in flight. One that drains keeps its configuration, and takes new endpoints.
    fn adopt(&self, snapshot: &Rc<LocalSnapshot>) {
        if self.draining.get().is_some() && self.snapshot.borrow().generation() != snapshot.generation() {
            return;
        }
        match snapshot.chain(self.slot) {
            Some(_) => *self.snapshot.borrow_mut() = Rc::clone(snapshot),
            None => self.drain(),
        }
    }

    fn drain(&self) {
        if self.draining.get().is_none() {
            self.draining.set(Some(Instant::now()));
        }
        self.wake();
    }

    /// Has it end as soon as nothing is in flight on it; nothing on it is ever cut for that.
    fn retire(&self) {
        self.retired.set(true);
        self.wake();
    }

    /// Polls the connection's task again.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// A registered connection; dropping it takes it off the worker's table.
pub(crate) struct Registration {
    worker: Rc<Worker>,
    pub(crate) control: Rc<ConnectionControl>,
    index: usize,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.worker.connections.borrow_mut().remove(self.index);
    }
}

/// The worker's connections: a slab.
#[derive(Default)]
struct ConnectionTable {
    entries: Vec<Option<Rc<ConnectionControl>>>,
    free: Vec<usize>,
}

impl ConnectionTable {
    fn insert(&mut self, control: Rc<ConnectionControl>) -> usize {
        match self.free.pop() {
            Some(index) => {
                self.entries[index] = Some(control);
                index
            }
            None => {
                self.entries.push(Some(control));
                self.entries.len() - 1
            }
        }
    }

    fn remove(&mut self, index: usize) {
        self.entries[index] = None;
        self.free.push(index);
    }

    fn iter(&self) -> impl Iterator<Item = &Rc<ConnectionControl>> {
        self.entries.iter().flatten()
    }
}

/// What a worker is started with.
pub(crate) struct Seed {
    pub(crate) index: usize,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) peers: Arc<[Peer]>,
    pub(crate) connection_ids: Arc<AtomicU64>,
    pub(crate) own_connections: Arc<OwnConnections>,
    pub(crate) socket_mark: Option<u32>,
    pub(crate) authorization_codec: Arc<dyn AuthorizationCodec>,
    pub(crate) rate_limit_codec: Arc<dyn RateLimitCodec>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) overload: WorkerOverload,
    pub(crate) recorders: Arc<Recorder>,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    pub(crate) hand_overs: mpsc::Receiver<HandOver>,
}

/// Runs a worker on the calling thread until it is stopped or drained.
pub(crate) fn run(seed: Seed) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .event_interval(31)
        .build_local(tokio::runtime::LocalOptions::default())
        .expect("epoll and a timer can be had");
    runtime.block_on(serve(seed));
    // Dropping the runtime drops what is still in flight: only a stop gets here with connections left.
}

async fn serve(seed: Seed) {
    let Seed {
        index,
        snapshot,
        peers,
        connection_ids,
        own_connections,
        socket_mark,
        authorization_codec,
        rate_limit_codec,
        metrics,
        overload: worker_overload,
        recorders,
        mut commands,
        mut hand_overs,
    } = seed;
    let relays = RelayMemory::new(peers.len());
    let worker = Rc::new(Worker {
        index,
        pools: Pools::default(),
        destinations: Destinations::default(),
        ourselves: Ourselves::new(index, own_connections),
        socket_mark,
        peers,
        scratch: RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice()),
        snapshot: RefCell::new(Rc::new(LocalSnapshot(snapshot))),
        connections: RefCell::default(),
        connection_ids,
        random: Cell::new(fastrand::u64(..)),
        draining: Cell::new(false),
        drain_idle_grace: Cell::new(DRAIN_IDLE_GRACE),
        decisions: Decisions::default(),
        authorization_codec,
        rate_limit_codec,
        bodies_ahead_bytes: Cell::new(0),
        mirrors: Cell::new(0),
        log_line: RefCell::default(),
        recorder: RefCell::default(),
        recorders,
        spares: Rc::default(),
        encoders: EncoderMemory::default(),
        relays,
        outcomes: Outcomes::default(),
        tls_reports: tls::Reports::default(),
        known_peers: tls::Peers::default(),
        metrics,
        overload: worker_overload,
        tokens: TokenMemory::default(),
        announcements: Announcements::default(),
        upstreams: Rc::default(),
        now: Cell::new(Instant::now()),
    });
    worker.pools.reap(&[], &worker.snapshot().clusters);
    worker.set_recorder(&worker.snapshot());
    tokio::task::spawn_local(overload::follow(Rc::clone(&worker)));
    let reaper = tokio::task::spawn_local(crate::pool::reap_idle(Rc::clone(&worker)));
    let event_loop = worker.metrics.event_loop("worker");
    let _lateness = tokio::task::spawn_local(crate::event_loop::measure(event_loop, index));
    let _room = tokio::task::spawn_local(crate::pool::make_room(Rc::clone(&worker)));
    let mut listeners = accept::Listeners::default();
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Publish { snapshot, open, close, listening, done }) => {
                    worker.publish(snapshot, listening);
                    listeners.open(&worker, open);
                    listeners.adjust(&worker.snapshot());
                    listeners.close(&close).await;
                    // The applier may have given up waiting; the snapshot is in force all the same.
                    let _ = done.send(());
                }
                Some(Command::Release { kept, done }) => {
                    worker.drain_idle_grace.set(RELEASE_IDLE_GRACE);
                    listeners.release(&kept).await;
                    let _ = done.send(());
                }
                Some(Command::Drain) => {
                    listeners.close_all();
                    worker.drain();
                    break;
                }
                Some(Command::Stop) | None => return,
            },
            Some(hand_over) = hand_overs.recv() => accept::take_over(&worker, hand_over),
        }
    }
    reaper.abort();
    drained(&worker, &mut commands, &mut hand_overs, &mut listeners).await;
}

/// Waits until nothing is left, or until a stop. Endpoints still change meanwhile.
async fn drained(
    worker: &Rc<Worker>,
    commands: &mut mpsc::UnboundedReceiver<Command>,
    hand_overs: &mut mpsc::Receiver<HandOver>,
    listeners: &mut accept::Listeners,
) {
    let connections = &worker.peers[worker.index].connections;
    let mut poll = tokio::time::interval(Duration::from_millis(5));
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Publish { snapshot, listening, done, .. }) => {
                    worker.publish(snapshot, listening);
                    let _ = done.send(());
                }
                // It accepts no more already.
                Some(Command::Release { .. } | Command::Drain) => {}
                Some(Command::Stop) | None => return,
            },
            Some(hand_over) = hand_overs.recv() => accept::take_over(worker, hand_over),
            _ = poll.tick() => {
                // Counted from accept, hand-overs under way included, so zero means none.
                if listeners.are_closed() && connections.load(Ordering::Acquire) == 0 {
                    // A worker that is told later may be about to hand a connection over: from here on it keeps it.
                    hand_overs.close();
                    match hand_overs.recv().await {
                        Some(hand_over) => accept::take_over(worker, hand_over),
                        None => return,
                    }
                }
            }
        }
    }
}
