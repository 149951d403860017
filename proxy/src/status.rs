//! What the admin endpoint tells: shared, read often, written by the one that applies configurations.

use crate::admin::Scrapes;
use crate::configuration::Rejection;
use crate::control;
use crate::discovery;
use crate::health;
use crate::identities;
use crate::inheritance::Descent;
use crate::jwks;
use crate::logging::Logging;
use crate::overload::Overload;
use crate::receipts;
use crate::why::Legends;
use arc_swap::ArcSwap;
use outrigger_config::model::Name;
use outrigger_dataplane::ListenerAddress;
use outrigger_dataplane::snapshot::Snapshot;
use outrigger_telemetry::recorder::Recorder;
use outrigger_telemetry::{AccessLogSinks, Metrics, Reopened};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

/// How long a sink may take to come to the end of what it is writing when its file is to be opened anew.
const REOPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Listeners are bound and a configuration is in force; an identity that it names has not come yet.
    Starting,
    /// Listeners are bound and a configuration is in force.
    Ready,
    /// It ends: requests are finished, no new ones should be sent here.
    Draining,
}

impl Phase {
    /// As `/server_info` shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Ready => "ready",
            Phase::Draining => "draining",
        }
    }
}

/// What a changing admin call asks of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Drain and exit.
    Drain,
    /// Exit now.
    Quit,
}

/// What runs beside the data plane and feeds it.
pub(crate) struct Feeds {
    pub(crate) discovery: Arc<discovery::Shared>,
    pub(crate) health: Arc<health::Shared>,
    pub(crate) jwks: Arc<jwks::Shared>,
    pub(crate) identities: Arc<identities::Shared>,
    pub(crate) overload: Arc<Overload>,
    pub(crate) recorder: Arc<Recorder>,
    /// None: policy comes from the local document alone.
    pub(crate) control: Option<Arc<control::Shared>>,
    pub(crate) access_logs: Arc<AccessLogSinks>,
    pub(crate) receipts: Arc<receipts::Shared>,
}

pub(crate) struct Status {
    pub(crate) published: Arc<ArcSwap<Snapshot>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) scrapes: Scrapes,
    pub(crate) logging: Logging,
    pub(crate) started: SystemTime,
    pub(crate) listeners: Mutex<Vec<ListenerAddress>>,
    pub(crate) accepted_at: Mutex<SystemTime>,
    /// The last configuration that was refused, if nothing was accepted since.
    pub(crate) rejection: Mutex<Option<Rejection>>,
    pub(crate) discovery: Arc<discovery::Shared>,
    pub(crate) health: Arc<health::Shared>,
    pub(crate) jwks: Arc<jwks::Shared>,
    pub(crate) identities: Arc<identities::Shared>,
    pub(crate) overload: Arc<Overload>,
    pub(crate) control: Option<Arc<control::Shared>>,
    access_logs: Arc<AccessLogSinks>,
    pub(crate) receipts: Arc<receipts::Shared>,
    /// Once listeners have taken what they want of what another process left.
    pub(crate) descent: Mutex<Descent>,
    pub(crate) asks: mpsc::Sender<Ask>,
    pub(crate) recorder: Arc<Recorder>,
    /// Configurations that requests were served by.
    pub(crate) legends: Legends,
    phase: AtomicU8,
}

impl Status {
    pub(crate) fn new(
        published: Arc<ArcSwap<Snapshot>>,
        metrics: Arc<Metrics>,
        logging: Logging,
        listeners: Vec<ListenerAddress>,
        feeds: Feeds,
        descent: Descent,
        asks: mpsc::Sender<Ask>,
    ) -> Status {
        let now = SystemTime::now();
        Status {
            published,
            metrics,
            scrapes: Scrapes::default(),
            logging,
            started: now,
            listeners: Mutex::new(listeners),
            accepted_at: Mutex::new(now),
            rejection: Mutex::new(None),
            discovery: feeds.discovery,
            health: feeds.health,
            jwks: feeds.jwks,
            identities: feeds.identities,
            overload: feeds.overload,
            control: feeds.control,
            access_logs: feeds.access_logs,
            receipts: feeds.receipts,
            descent: Mutex::new(descent),
            asks,
            recorder: feeds.recorder,
            legends: Legends::default(),
            phase: AtomicU8::new(0),
        }
    }

    /// Opens the files of access logs anew, and says in the log what came of it. Waits for sinks that are slow, no longer
    /// than [`REOPEN_TIMEOUT`].
    pub(crate) async fn reopen_logs(&self) -> Reopened {
        let sinks = Arc::clone(&self.access_logs);
        let reopened = tokio::task::spawn_blocking(move || sinks.reopen(REOPEN_TIMEOUT)).await;
        let reopened = reopened.expect("sinks are opened anew without panics");
        tracing::info!(files = reopened.files, "access logs were opened anew");
        for (path, fault) in &reopened.faults {
            tracing::error!(?path, fault, "an access log could not be opened anew");
        }
        reopened
    }

    pub(crate) fn phase(&self) -> Phase {
        if self.phase.load(Ordering::Acquire) != 0 {
            Phase::Draining
        } else if self.awaited().is_some() || self.awaits_control() {
            Phase::Starting
        } else {
            Phase::Ready
        }
    }

    /// An identity that has to come before the process is ready.
    pub(crate) fn awaited(&self) -> Option<Name> {
        self.identities.awaited(self.published.load().material())
    }

    /// A first configuration has to come from the control plane before the process is ready.
    pub(crate) fn awaits_control(&self) -> bool {
        self.control
            .as_ref()
            .is_some_and(|control| !control.is_complete())
    }

    pub(crate) fn begin_drain(&self) {
        self.phase.store(1, Ordering::Release);
    }
}
