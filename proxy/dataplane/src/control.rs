//! Starting the data plane and putting configurations in force.

mod end;
mod membership;

use crate::accept;
use crate::external_authorization::AuthorizationCodec;
use crate::interception::OwnConnections;
use crate::overload::OverloadControl;
use crate::rate_limit::RateLimitCodec;
use crate::snapshot::{CompileFault, Compiler, Discovered, HealthLinks, ListenerPolicy, Snapshot, SocketKey};
use crate::sockets::{self, Bound, ListeningSocket};
use crate::upstream::socket::check_mark;
use crate::worker::{Command, HAND_OVER_QUEUE_MAX, Peer, Seed};
use arc_swap::ArcSwap;
use outrigger_config::MeshConfig;
use outrigger_config::model::{Interception, Name};
use outrigger_identity::Material;
use outrigger_identity::jwt::KeyCells;
use outrigger_telemetry::export::LogSinks;
use outrigger_telemetry::recorder::Recorder;
use outrigger_telemetry::trace::SpanSinks;
use outrigger_telemetry::{AccessLogSinks, Metrics};
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use tokio::sync::{Notify, mpsc, oneshot, watch};

/// What the data plane is started with.
#[derive(Clone)]
pub struct Options {
    /// Worker threads; at least one is started.
    pub workers: usize,
    /// Where the workers count. It was made for as many workers.
    pub metrics: Arc<Metrics>,
    /// Where the process listens beside its listeners: nothing is forwarded there by original destination.
    pub own_addresses: Vec<SocketAddr>,
    /// Speaks to authorization services over gRPC.
    pub authorization_codec: Arc<dyn AuthorizationCodec>,
    /// Speaks to rate limit services.
    pub rate_limit_codec: Arc<dyn RateLimitCodec>,
    /// Where somebody keeps the keys of JWT providers.
    pub keys: KeyCells,
    /// Who looks after the health of endpoints.
    pub health: HealthLinks,
    /// Where records of access logs for collectors are sent; None: nowhere.
    pub log_sinks: Option<Arc<dyn LogSinks>>,
    /// Where spans are sent; None: nowhere.
    pub span_sinks: Option<Arc<dyn SpanSinks>>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

/// Why a configuration was not put in force. The one before stays, and nothing of the new one is left.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Files that the configuration names are at fault.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Compile(Vec<CompileFault>),
    /// A listening socket cannot be had.
    #[error("listener `{listener}`: cannot listen on {address}: {source}")]
    Bind {
        /// The listener's name.
        listener: String,
        /// The address that was tried.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Connections cannot have their clients' addresses.
    #[error("cluster `{cluster}`: cannot keep source addresses: {source}")]
    Source {
        /// The cluster's name.
        cluster: String,
        /// Why.
        source: io::Error,
    },
    /// Sockets cannot be given the mark that they are to have.
    #[error(
        "cannot mark sockets with {mark:#x} (`runtime.socket_mark`), which needs the capability CAP_NET_ADMIN: {source}"
    )]
    Mark {
        /// The mark.
        mark: u32,
        /// Why.
        source: io::Error,
    },
}

/// What was put in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// The number of the configuration, from 1.
    pub generation: u64,
    /// Listening addresses that were opened.
    pub opened: usize,
    /// Listening addresses that were closed.
    pub closed: usize,
}

/// A listener and the address that it is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerAddress {
    /// The listener's name.
    pub name: String,
    /// The address, with the port that the kernel picked if 0 was asked for.
    pub address: SocketAddr,
}

/// An address that the workers are about to accept from.
struct Opened {
    key: SocketKey,
    /// Usually one for each worker.
    sockets: Vec<TcpListener>,
}

struct WorkerHandle {
    commands: mpsc::UnboundedSender<Command>,
    thread: Option<JoinHandle<()>>,
}

/// The running data plane. Dropping it stops its workers at once; [`DataPlane::drain`] ends it in order.
pub struct DataPlane {
    compiler: Compiler,
    sinks: Arc<AccessLogSinks>,
    current: Arc<ArcSwap<Snapshot>>,
    workers: Vec<WorkerHandle>,
    peers: Arc<[Peer]>,
    bound: HashMap<SocketKey, Bound>,
    own_addresses: Vec<SocketAddr>,
    overload: OverloadControl,
    recorder: Arc<Recorder>,
    revisions: watch::Sender<u64>,
    /// False for good once it is released or drains: whatever is published, no socket is opened.
    accepts: bool,
}

impl std::fmt::Debug for DataPlane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataPlane")
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}

/// Counts the downstream connections of a data plane.
#[derive(Debug, Clone)]
pub struct ConnectionCount(Arc<[Peer]>);

impl ConnectionCount {
    /// Downstream connections that are open.
    pub fn open(&self) -> usize {
        let peers = self.0.iter();
        peers.map(|peer| peer.connections.load(Ordering::Acquire)).sum()
    }
}

impl DataPlane {
    /// Starts workers and puts the first configuration in force, with what discovery has found for its clusters and what
    /// its identities are made of.
    ///
    /// `inherited` are sockets that another process bound: those that listeners want are taken and accepted from
    /// instead of new ones, every one of them for as long as its address is listened on. What is left in it is nobody's.
    /// [`DataPlane::complete_sockets`] should follow once they are this process's alone.
    pub async fn start(
        options: Options,
        config: Arc<MeshConfig>,
        discovered: &Discovered,
        material: Arc<Material>,
        inherited: &mut Vec<ListeningSocket>,
    ) -> Result<DataPlane, ApplyError> {
        let sinks = AccessLogSinks::new(Arc::clone(&options.metrics));
        let sinks = Arc::new(sinks.with_collectors(options.log_sinks.clone()));
        let compiler = Compiler::new(Arc::clone(&options.metrics), Arc::clone(&sinks))
            .with_keys(options.keys.clone())
            .with_health_links(options.health.clone())
            .with_span_sinks(options.span_sinks.clone());
        let socket_mark = config_mark(&config)?;
        let empty = compiler
            .compile(config, discovered, material, None)
            .map_err(ApplyError::Compile)?;
        let count = options.workers.max(1);
        let (peers, hand_overs): (Vec<Peer>, Vec<_>) = (0..count)
            .map(|_| {
                let (hand_over, receiver) = mpsc::channel(HAND_OVER_QUEUE_MAX);
                (
                    Peer {
                        connections: AtomicUsize::new(0),
                        hand_over,
                        make_room: Notify::new(),
                    },
                    receiver,
                )
            })
            .unzip();
        let peers: Arc<[Peer]> = peers.into();
        let first = Arc::new(empty);
        let connection_ids = Arc::new(AtomicU64::new(1));
        let own_connections = Arc::new(OwnConnections::new(count));
        let recorder = Arc::new(Recorder::new(count));
        let (overload, sides) = OverloadControl::new(&options.metrics, count);
        let workers = hand_overs
            .into_iter()
            .zip(sides)
            .enumerate()
            .map(|(index, (hand_overs, overload))| {
                let (commands, receiver) = mpsc::unbounded_channel();
                let seed = Seed {
                    index,
                    snapshot: Arc::clone(&first),
                    peers: Arc::clone(&peers),
                    connection_ids: Arc::clone(&connection_ids),
                    own_connections: Arc::clone(&own_connections),
                    socket_mark,
                    authorization_codec: Arc::clone(&options.authorization_codec),
                    rate_limit_codec: Arc::clone(&options.rate_limit_codec),
                    metrics: Arc::clone(&options.metrics),
                    overload,
                    recorders: Arc::clone(&recorder),
                    commands: receiver,
                    hand_overs,
                };
                let thread = std::thread::Builder::new()
                    .name(format!("worker-{index}"))
                    .spawn(move || crate::worker::run(seed))
                    .expect("a thread can be had");
                WorkerHandle {
                    commands,
                    thread: Some(thread),
                }
            })
            .collect();
        let current = Arc::new(ArcSwap::from(Arc::clone(&first)));
        let mut plane = DataPlane {
            compiler,
            sinks,
            current,
            workers,
            peers,
            bound: HashMap::new(),
            own_addresses: options.own_addresses,
            overload,
            recorder,
            revisions: watch::Sender::new(0),
            accepts: true,
        };
        plane.publish(first, inherited).await?;
        Ok(plane)
    }

    /// The snapshot in force; cheap, and never blocks.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The published snapshot, for readers that outlive borrows of the data plane.
    pub fn published(&self) -> Arc<ArcSwap<Snapshot>> {
        Arc::clone(&self.current)
    }

    /// The sinks of its access logs.
    pub fn access_logs(&self) -> Arc<AccessLogSinks> {
        Arc::clone(&self.sinks)
    }

    /// What the workers record of requests and connections.
    pub fn recorder(&self) -> Arc<Recorder> {
        Arc::clone(&self.recorder)
    }

    /// Tells of each publish, once all workers go by it: the snapshot's revision.
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.revisions.subscribe()
    }

    /// Puts a configuration in force on all workers, with what discovery has found for its clusters and what its identities
    /// are made of: when this returns, every new request is served by it. Listeners take those of
    /// `sockets`, which another process left, that are theirs. On an error nothing has changed. Not cancel safe: run it to
    /// its end.
    pub async fn apply(
        &mut self,
        config: Arc<MeshConfig>,
        discovered: &Discovered,
        material: Arc<Material>,
        sockets: &mut Vec<ListeningSocket>,
    ) -> Result<Applied, ApplyError> {
        let previous = self.snapshot();
        let snapshot = self
            .compiler
            .compile(config, discovered, material, Some(&previous))
            .map_err(ApplyError::Compile)?;
        self.publish(Arc::new(snapshot), sockets).await
    }

    /// Puts discovered endpoints in force on all workers. Of an endpoint that stays by its address, pools, load and
    /// budgets stay too. What names a cluster that is not there, or whose endpoints are not discovered, is ignored. The
    /// configuration's generation stays. Works during a drain too. Not cancel safe: run it to its end.
    pub async fn set_endpoints(&mut self, changed: &Discovered) {
        let previous = self.snapshot();
        if let Some(snapshot) = self.compiler.with_endpoints(&previous, changed)
            && let Err(error) = self.publish(Arc::new(snapshot), &mut Vec::new()).await
        {
            // Listeners are as they were, so that no socket is needed. The endpoints before stay in force.
            tracing::error!(%error, "cannot put endpoints in force");
        }
    }

    /// Balances the clusters that are named by the present health of their endpoints
    /// ([`crate::snapshot::EndpointState::health`]), on all workers: when this returns, every new pick is by it. Names that
    /// are not there are ignored. Its cost is that of the clusters named, and of a publish: gather changes that come
    /// together (`proxy/src/rebalancing.rs` does). The configuration's generation stays, and so do pools and counts. Works
    /// during a drain too. Not cancel safe: run it to its end.
    pub async fn set_health(&mut self, changed: &HashSet<Name>) {
        let previous = self.snapshot();
        if let Some(snapshot) = self.compiler.with_health(&previous, changed)
            && let Err(error) = self.publish(Arc::new(snapshot), &mut Vec::new()).await
        {
            // Listeners are as they were, so that no socket is needed. The balancers before stay in force.
            tracing::error!(%error, "cannot put the health of endpoints in force");
        }
    }

    /// Puts other material in force on all workers: when this returns, every new handshake is served by it. Chains and
    /// clusters that are not made of what changed keep their sessions and pools; connections of the others finish, and
    /// those to upstreams are not used again. The configuration's generation stays. Works during a drain too. Not cancel
    /// safe: run it to its end.
    ///
    /// # Errors
    /// If TLS cannot be set up with it; then nothing has changed.
    pub async fn set_material(&mut self, material: Arc<Material>) -> Result<(), ApplyError> {
        let previous = self.snapshot();
        if Arc::ptr_eq(&previous.material, &material) {
            return Ok(());
        }
        let snapshot = self
            .compiler
            .with_material(&previous, material)
            .map_err(ApplyError::Compile)?;
        self.publish(Arc::new(snapshot), &mut Vec::new()).await?;
        Ok(())
    }

    /// Sockets for the listeners that have none yet.
    fn open_missing(
        &self,
        snapshot: &Snapshot,
        inherited: &mut Vec<ListeningSocket>,
    ) -> Result<Vec<(Opened, Bound)>, ApplyError> {
        let missing = snapshot
            .listeners
            .iter()
            .filter(|listener| self.accepts && !self.bound.contains_key(&listener.key));
        // Who asks for a port comes before who takes any.
        let (any, given): (Vec<_>, Vec<_>) = missing.partition(|listener| listener.key.address.port() == 0);
        let open = |listener: &Arc<ListenerPolicy>| {
            let config = &listener.config;
            let taken = sockets::take(inherited, config);
            sockets::open(config, taken, self.workers.len())
                .map(|(bound, sockets)| {
                    let key = listener.key.clone();
                    (Opened { key, sockets }, bound)
                })
                .map_err(|source| ApplyError::Bind {
                    listener: config.name().to_string(),
                    address: config.address(),
                    source,
                })
        };
        given.into_iter().chain(any).map(open).collect()
    }

    async fn publish(
        &mut self,
        snapshot: Arc<Snapshot>,
        inherited: &mut Vec<ListeningSocket>,
    ) -> Result<Applied, ApplyError> {
        self.check_transparency(&snapshot)?;
        let opened = self.open_missing(&snapshot, inherited)?;
        let closed: Vec<SocketKey> = self
            .bound
            .keys()
            .filter(|key| snapshot.listener(key).is_none())
            .cloned()
            .collect();
        let applied = Applied {
            generation: snapshot.generation,
            opened: opened.len(),
            closed: closed.len(),
        };
        // Before the workers close theirs: nothing may come into a backlog once it has been emptied.
        for key in &closed {
            self.bound.remove(key);
        }
        let count = self.workers.len();
        let mut open = self.nothing_to_open();
        for (opened, bound) in opened {
            for (index, socket) in opened.sockets.into_iter().enumerate() {
                open[index % count].push((opened.key.clone(), socket));
            }
            self.bound.insert(opened.key, bound);
        }
        membership::note(&self.snapshot(), &snapshot);
        // Limits are the process's: they hold for what went by the snapshot before, too.
        snapshot.limit_clusters(&self.current.load());
        self.current.store(Arc::clone(&snapshot));
        self.tell_published(&snapshot, open, &closed).await;
        self.revisions.send_replace(snapshot.revision);
        Ok(applied)
    }

    /// Binds sockets of our own beside those that another process bound, where there are more workers. Only once that
    /// process does not go on with the addresses, whatever happens here: what waits in these sockets' backlogs is lost
    /// with this process. Not cancel safe.
    pub async fn complete_sockets(&mut self) {
        let snapshot = self.snapshot();
        let count = self.workers.len();
        let mut open = self.nothing_to_open();
        for listener in &snapshot.listeners {
            let Some(bound) = self.bound.get_mut(&listener.key) else {
                continue;
            };
            let first = bound.sockets.len();
            let added = sockets::complete(bound, &listener.config, count);
            for (index, socket) in added.into_iter().enumerate() {
                open[(first + index) % count].push((listener.key.clone(), socket));
            }
        }
        self.tell_published(&snapshot, open, &[]).await;
    }

    /// For each worker what it is to open: nothing yet.
    fn nothing_to_open(&self) -> Vec<Vec<(SocketKey, TcpListener)>> {
        self.workers.iter().map(|_| Vec::new()).collect()
    }

    /// Has the workers go over to a snapshot, and waits until they have.
    async fn tell_published(
        &self,
        snapshot: &Arc<Snapshot>,
        open: Vec<Vec<(SocketKey, TcpListener)>>,
        closed: &[SocketKey],
    ) {
        let own = self
            .own_addresses
            .iter()
            .chain(self.bound.values().map(|bound| &bound.address));
        let listening: Arc<[SocketAddr]> = own.copied().collect();
        let mut acknowledged = Vec::new();
        for (worker, open) in self.workers.iter().zip(open) {
            let (done, receiver) = oneshot::channel();
            let publish = Command::Publish {
                snapshot: Arc::clone(snapshot),
                open,
                close: closed.to_vec(),
                listening: Arc::clone(&listening),
                done,
            };
            if worker.commands.send(publish).is_ok() {
                acknowledged.push(receiver);
            }
        }
        for worker in acknowledged {
            // A worker that ended meanwhile serves nothing any more.
            let _ = worker.await;
        }
    }

    /// A listener that is bound already may be told to intercept by TPROXY: its sockets change later, and must be able to;
    /// so must sockets to clusters that keep source addresses.
    fn check_transparency(&self, snapshot: &Snapshot) -> Result<(), ApplyError> {
        for cluster in snapshot.clusters() {
            let policy = cluster.destinations.as_ref();
            if policy.is_some_and(|policy| policy.settings.keep_source()) {
                let any = SocketAddr::from(([0, 0, 0, 0], 0));
                accept::check_transparency(any).map_err(|source| ApplyError::Source {
                    cluster: cluster.config.name().to_string(),
                    source,
                })?;
            }
        }
        for listener in &snapshot.listeners {
            let config = &listener.config;
            if config.interception() == Interception::Tproxy && self.bound.contains_key(&listener.key) {
                accept::check_transparency(config.address()).map_err(|source| ApplyError::Bind {
                    listener: config.name().to_string(),
                    address: config.address(),
                    source,
                })?;
            }
        }
        Ok(())
    }

    /// The bound listeners, in the order of the configuration.
    pub fn listeners(&self) -> Vec<ListenerAddress> {
        let snapshot = self.snapshot();
        let bound = snapshot.listeners.iter().filter_map(|listener| {
            let address = self.bound.get(&listener.key)?.address;
            Some(ListenerAddress {
                name: listener.config.name().to_string(),
                address,
            })
        });
        bound.collect()
    }

    /// The address that a listener is bound to.
    pub fn listener_address(&self, name: &Name) -> Option<SocketAddr> {
        self.listeners()
            .into_iter()
            .find(|listener| listener.name == name.as_str())
            .map(|listener| listener.address)
    }

    /// Tells the workers what to do near limits, and what they use; outlives borrows of the data plane.
    pub fn overload(&self) -> OverloadControl {
        self.overload.clone()
    }

    /// Counts downstream connections, for readers that outlive borrows of the data plane.
    pub fn connection_count(&self) -> ConnectionCount {
        ConnectionCount(Arc::clone(&self.peers))
    }

    /// A second descriptor of every listening socket, for another process to accept from.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn sockets(&self) -> io::Result<Vec<ListeningSocket>> {
        let snapshot = self.snapshot();
        let mut sockets = Vec::new();
        for listener in &snapshot.listeners {
            let Some(bound) = self.bound.get(&listener.key) else {
                continue;
            };
            for socket in &bound.sockets {
                let name = listener.config.name().to_string();
                sockets.push(ListeningSocket::new(name, bound.address, socket.try_clone()?));
            }
        }
        Ok(sockets)
    }
}

/// The mark of sockets to upstreams, which can be set.
fn config_mark(config: &MeshConfig) -> Result<Option<u32>, ApplyError> {
    let mark = config.runtime().socket_mark();
    if let Some(mark) = mark {
        check_mark(mark).map_err(|source| ApplyError::Mark { mark, source })?;
    }
    Ok(mark)
}
