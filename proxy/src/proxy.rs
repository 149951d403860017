//! A whole proxy in this process: data plane, admin endpoint, and the one task that applies configurations.

mod hand_over;
mod reload;
mod start;

pub(crate) use hand_over::HandOver;

use crate::admin::endpoint::Endpoint;
use crate::configuration::{ConfigurationSource, Rejection};
use crate::control::{Control, Push};
use crate::discovery::Discovery;
use crate::export::Exports;
use crate::health::Health;
use crate::identities::Identities;
use crate::jwks::Jwks;
use crate::logging::Logging;
use crate::notify::Notifier;
use crate::status::{Ask, Phase, Status};
use crate::upgrade::UpgradeError;
use crate::upgrade::predecessor::{Step, UpgradeSocket};
use outrigger_config::MeshConfig;
use outrigger_dataplane::{ApplyError, ConnectionCount, DataPlane, ListeningSocket};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

/// Admin asks that wait; one more is told to try again.
const ASKS_MAX: usize = 8;

/// What a proxy is started with beside its configuration.
#[derive(Debug, Default)]
pub struct ProxyOptions {
    /// The log whose filter the admin endpoint may change; none: it belongs to whoever embeds the proxy.
    pub(crate) logging: Option<Logging>,
    /// Where upgrades in place are asked for, and where this process asks; none: it has no part in them.
    pub(crate) upgrade_socket: Option<PathBuf>,
    /// Sockets that the service manager passed.
    pub(crate) activated: Vec<ListeningSocket>,
    /// Who is told where the process is in its life.
    pub(crate) notifier: Notifier,
}

/// What there is to do for the control loop.
pub(crate) enum Asked {
    /// By a call of the admin endpoint.
    Admin(Ask),
    /// By a process that wants the sockets.
    Upgrade(Step),
    /// By a reload: the configuration is read, and to be put in force, or it cannot be read.
    Apply(Box<Result<reload::Outcome, Rejection>>),
    /// By the control plane: a configuration is to be put in force.
    Pushed(Push),
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
    /// A listening socket cannot be had, or sockets cannot be marked.
    #[error("{0}")]
    Bind(ApplyError),
    /// Identities, or what a control plane sends, did not come in time, and there is a running process that goes on with
    /// what it has.
    #[error("{0}")]
    Identity(String),
    /// The sockets of a running process cannot be had, or the upgrade socket cannot.
    #[error("{0}")]
    Upgrade(#[from] UpgradeError),
}

/// A running proxy. It must be started and driven inside a Tokio runtime, which serves the admin endpoint; requests are
/// served by threads of its own.
pub struct Proxy {
    /// Configurations and discovered endpoints are put in force one at a time.
    plane: Arc<Mutex<DataPlane>>,
    discovery: Arc<Discovery>,
    health: Arc<Health>,
    jwks: Arc<Jwks>,
    identities: Arc<Identities>,
    exports: Arc<Exports>,
    connections: ConnectionCount,
    source: ConfigurationSource,
    /// Where policy comes from besides the source; none: nowhere.
    control: Option<Control>,
    reloads: reload::Reloads,
    status: Arc<Status>,
    admin: Endpoint,
    _publishers: Vec<Task>,
    asks: mpsc::Receiver<Ask>,
    upgrades: Option<UpgradeSocket>,
    notifier: Notifier,
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
            .field("admin_address", &self.admin.address())
            .finish_non_exhaustive()
    }
}

impl Proxy {
    /// Where the admin endpoint listens.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
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

    /// Opens the files of access logs anew, meanwhile.
    pub(crate) fn reopen_logs(&self) {
        let status = Arc::clone(&self.status);
        tokio::spawn(async move { status.reopen_logs().await });
    }

    /// Where the proxy is in its life.
    pub fn phase(&self) -> Phase {
        self.status.phase()
    }

    /// Downstream connections that are open.
    pub fn connections(&self) -> usize {
        self.connections.open()
    }

    /// The next thing that somebody asks for. Cancel safe.
    pub(crate) async fn asked(&mut self) -> Asked {
        // What is put in force must not change the sockets that a successor has.
        let may_apply = !self.is_handing_over();
        let upgrades = &mut self.upgrades;
        let step = async {
            match upgrades {
                Some(upgrades) => upgrades.step().await,
                None => std::future::pending().await,
            }
        };
        let may_push = may_apply && self.reloads.is_idle();
        let control = &mut self.control;
        let pushed = async {
            match control {
                Some(control) => control.pushed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(ask) = self.asks.recv() => Asked::Admin(ask),
            step = step => Asked::Upgrade(step),
            read = self.reloads.read(), if may_apply => Asked::Apply(Box::new(read)),
            push = pushed, if may_push => Asked::Pushed(push),
            else => std::future::pending().await,
        }
    }

    /// Tells the service manager what is in force.
    fn tell_ready(&self) {
        let generation = self.status.published.load().generation();
        let refused = match &*self.status.rejection.lock() {
            Some(_) => "; a newer one was refused",
            None => "",
        };
        self.notifier
            .ready(&format!("Configuration {generation} in force{refused}"));
    }

    /// Turns readiness off; requests are still accepted.
    pub fn begin_drain(&self) {
        self.status.begin_drain();
        self.notifier.stopping("Draining");
    }

    /// Ends in order: not ready, `grace` with everything going on, then nothing new, then up to `timeout` for what is
    /// in flight, while endpoints are still discovered, and collectors are sent what waits for them. True if nothing had to be cut.
    pub async fn drain(mut self, grace: Duration, timeout: Duration) -> bool {
        self.begin_drain();
        // Nobody can take over any more. A successor that has the sockets already goes on alone.
        self.upgrades = None;
        self.abandon_reload();
        tokio::time::sleep(grace).await;
        let drained = self.plane.lock().await.drain(timeout);
        let drained = drained.await;
        // Nobody adds anything any more.
        self.exports.finish().await;
        drained
    }
}
