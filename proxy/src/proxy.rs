//! A whole proxy in this process: data plane, admin endpoint, and the one task that applies configurations.

use crate::admin;
use crate::configuration::{ConfigurationSource, Rejection};
use crate::discovery::{self, Discovery};
use crate::logging::Logging;
use crate::status::{Ask, Phase, Status};
use outrigger_config::{MeshConfig, difference, reuse};
use outrigger_dataplane::{ApplyError, ConnectionCount, DataPlane, Options, refusals};
use outrigger_telemetry::Metrics;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

/// Admin asks that wait; one more is told to try again.
const ASKS_MAX: usize = 8;

/// What a proxy is started with beside its configuration.
#[derive(Debug, Clone, Default)]
pub struct ProxyOptions {
    /// The log whose filter the admin endpoint may change; none: it belongs to whoever embeds the proxy.
    pub(crate) logging: Option<Logging>,
}

/// Why a proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is at fault; the text is ready to be shown.
    #[error("{0}")]
    Configuration(String),
    /// The admin endpoint's address cannot be had.
    #[error("cannot listen on the admin address {address}: {source}")]
    Admin {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A listening socket cannot be had.
    #[error("{0}")]
    Bind(ApplyError),
}

/// A running proxy. It must be started and driven inside a Tokio runtime, which serves the admin endpoint; requests are
/// served by threads of its own.
pub struct Proxy {
    /// Configurations and discovered endpoints are put in force one at a time; none once it drains.
    plane: Arc<Mutex<Option<DataPlane>>>,
    discovery: Discovery,
    connections: ConnectionCount,
    source: ConfigurationSource,
    status: Arc<Status>,
    admin_address: SocketAddr,
    _admin: Task,
    _publisher: Task,
    asks: mpsc::Receiver<Ask>,
}

/// A task that ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy")
            .field("admin_address", &self.admin_address)
            .finish_non_exhaustive()
    }
}

impl Proxy {
    /// Loads the configuration and puts it in force. Ready when this returns.
    pub async fn start(source: ConfigurationSource, options: ProxyOptions) -> Result<Proxy, StartError> {
        let loaded = source.load().map_err(StartError::Configuration)?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let config = Arc::new(loaded.config);
        let workers = config.runtime().workers().unwrap_or_else(available_cores);
        let address = config.admin().address();
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| StartError::Admin { address, source })?;
        let admin_address = listener
            .local_addr()
            .map_err(|source| StartError::Admin { address, source })?;
        let routes = Arc::new(OnceLock::new());
        let admin = Task(tokio::spawn(admin::serve(listener, Arc::clone(&routes))));
        let metrics = Metrics::new(workers, refusals::reasons());
        let discovery = Discovery::new(Arc::clone(&metrics));
        let prepared = discovery.prepare(&config);
        prepared.warm().await;
        let started = DataPlane::start(
            Options {
                workers,
                metrics: Arc::clone(&metrics),
                own_addresses: vec![admin_address],
            },
            config,
            &prepared.discovered(),
            &mut Vec::new(),
        )
        .await;
        let plane = started.map_err(|error| match error {
            ApplyError::Compile(_) => StartError::Configuration(format!("error: {error}\n")),
            ApplyError::Bind { .. } => StartError::Bind(error),
        })?;
        discovery.commit(prepared);
        let (sender, asks) = mpsc::channel(ASKS_MAX);
        let logging = options.logging.unwrap_or_else(Logging::foreign);
        let status = Arc::new(Status::new(
            plane.published(),
            metrics,
            logging,
            plane.listeners(),
            discovery.shared(),
            sender,
        ));
        note_accepted(&status, plane.snapshot().generation());
        routes
            .set(admin::routes(Arc::clone(&status)))
            .expect("routes are set here only");
        let connections = plane.connection_count();
        let plane = Arc::new(Mutex::new(Some(plane)));
        let publishing = discovery::publish(discovery.shared(), Arc::clone(&plane));
        Ok(Proxy {
            plane,
            discovery,
            connections,
            source,
            status,
            admin_address,
            _admin: admin,
            _publisher: Task(tokio::spawn(publishing)),
            asks,
        })
    }

    /// Where the admin endpoint listens.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Where a listener listens; none if there is no such listener.
    pub fn listener_address(&self, name: &str) -> Option<SocketAddr> {
        self.status
            .listeners
            .lock()
            .iter()
            .find(|listener| listener.name == name)
            .map(|listener| listener.address)
    }

    /// The configuration in force.
    pub fn configuration(&self) -> Arc<MeshConfig> {
        Arc::clone(self.status.published.load().config())
    }

    /// Where the proxy is in its life.
    pub fn phase(&self) -> Phase {
        self.status.phase()
    }

    /// Downstream connections that are open.
    pub fn connections(&self) -> usize {
        self.connections.open()
    }

    /// Replaces the source and reloads from it.
    pub async fn reload_from(&mut self, source: ConfigurationSource) -> Result<u64, Rejection> {
        self.source = source;
        self.reload().await
    }

    /// Reads the configuration again and puts it in force; gives its number. A bad one changes nothing.
    pub async fn reload(&mut self) -> Result<u64, Rejection> {
        let result = self.try_reload().await;
        match &result {
            Ok(generation) => {
                note_accepted(&self.status, *generation);
                tracing::info!(generation, "configuration in force");
            }
            Err(rejection) => {
                self.status.metrics.process().configuration_updates_rejected.inc();
                *self.status.rejection.lock() = Some(rejection.clone());
                tracing::error!(
                    "the new configuration is refused, the one before stays in force:\n{}",
                    rejection.reason
                );
            }
        }
        result
    }

    async fn try_reload(&mut self) -> Result<u64, Rejection> {
        let reject = |reason: String| Rejection {
            at: SystemTime::now(),
            reason,
        };
        let source = self.source.clone();
        // Reading and parsing may take long: the admin endpoint goes on meanwhile.
        let loaded = tokio::task::spawn_blocking(move || source.load())
            .await
            .map_err(|error| reject(format!("error: loading failed: {error}\n")))?
            .map_err(reject)?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let old = self.configuration();
        let changes = difference(&old, &loaded.config);
        if changes.runtime_changed() || changes.admin_changed() {
            tracing::warn!("`runtime` and `admin` are read at start only: their changes need a restart");
        }
        let config = Arc::new(reuse(&old, loaded.config));
        let prepared = self.discovery.prepare(&config);
        prepared.warm().await;
        let mut plane = self.plane.lock().await;
        let Some(plane) = plane.as_mut() else {
            return Err(reject("error: the process is ending\n".to_owned()));
        };
        let applied = plane
            .apply(config, &prepared.discovered())
            .await
            .map_err(|error| reject(format!("error: {error}\n")))?;
        self.discovery.commit(prepared);
        *self.status.listeners.lock() = plane.listeners();
        Ok(applied.generation)
    }

    /// The next thing that the admin endpoint asks for.
    pub(crate) async fn asked(&mut self) -> Ask {
        match self.asks.recv().await {
            Some(ask) => ask,
            None => std::future::pending().await,
        }
    }

    /// Turns readiness off; requests are still accepted.
    pub fn begin_drain(&self) {
        self.status.begin_drain();
    }

    /// Ends in order: not ready, `grace` with everything going on, then nothing new, then up to `timeout` for what is
    /// in flight. True if nothing had to be cut.
    pub async fn drain(self, grace: Duration, timeout: Duration) -> bool {
        self.begin_drain();
        tokio::time::sleep(grace).await;
        let plane = self.plane.lock().await.take();
        match plane {
            Some(plane) => plane.drain(timeout).await,
            None => true,
        }
    }
}

fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn note_accepted(status: &Status, generation: u64) {
    let now = SystemTime::now();
    *status.accepted_at.lock() = now;
    *status.rejection.lock() = None;
    let process = status.metrics.process();
    process.configuration_updates_accepted.inc();
    process
        .configuration_generation
        .set(i64::try_from(generation).unwrap_or(i64::MAX));
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    process
        .configuration_last_success
        .set(i64::try_from(seconds).unwrap_or(i64::MAX));
}
