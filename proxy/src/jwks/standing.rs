//! How a provider's keys stand: what came of asking for them, for metrics, the log and the admin endpoint.

use outrigger_config::model::{JwtProvider, Name};
use outrigger_identity::jwt::{JwksError, KeyCell, KeySet};
use outrigger_telemetry::{KeySetCells, KeySetFetch, KeySetMetrics};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// Why keys could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyFault {
    #[error("cannot connect: {0}")]
    Network(String),
    #[error("no TLS: {0}")]
    Tls(String),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("status {0}; expected 200, and redirects are not followed")]
    Status(u16),
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    #[error("{0}")]
    Invalid(#[from] JwksError),
}

impl KeyFault {
    fn result(&self) -> KeySetFetch {
        match self {
            KeyFault::Network(_) => KeySetFetch::Network,
            KeyFault::Tls(_) => KeySetFetch::Tls,
            KeyFault::Timeout(_) => KeySetFetch::Timeout,
            KeyFault::Status(_) => KeySetFetch::Status,
            KeyFault::Unreadable(_) => KeySetFetch::Unreadable,
            KeyFault::Invalid(JwksError::TooLong) => KeySetFetch::TooLong,
            KeyFault::Invalid(_) => KeySetFetch::Invalid,
        }
    }
}

/// One provider's. Its keeper writes, the admin endpoint reads.
pub(super) struct Standing {
    provider: Name,
    cell: Arc<KeyCell>,
    metrics: Arc<KeySetMetrics>,
    told: Mutex<Told>,
    /// True once something has come of the first attempt.
    attempted: watch::Sender<bool>,
}

#[derive(Default)]
struct Told {
    fetched: Option<SystemTime>,
    next: Option<SystemTime>,
    error: Option<String>,
}

/// A provider's keys as the admin endpoint shows them.
pub(crate) struct Report {
    pub(crate) provider: Name,
    /// Its file or URL, or `inline`.
    pub(crate) source: String,
    pub(crate) keys: Option<Arc<KeySet>>,
    pub(crate) fetched: Option<SystemTime>,
    pub(crate) next: Option<SystemTime>,
    pub(crate) error: Option<String>,
}

impl Standing {
    pub(super) fn new(provider: Name, cell: Arc<KeyCell>, metrics: Arc<KeySetMetrics>) -> Standing {
        Standing {
            provider,
            cell,
            metrics,
            told: Mutex::default(),
            attempted: watch::Sender::new(false),
        }
    }

    pub(super) fn cell(&self) -> &Arc<KeyCell> {
        &self.cell
    }

    /// Waits until something has come of the first attempt.
    pub(super) async fn first_attempt(&self) {
        // The sender lives as long as this.
        let _ = self.attempted.subscribe().wait_for(|attempted| *attempted).await;
    }

    /// One task writes: the keeper, or whoever starts it.
    fn cells(&self) -> &KeySetCells {
        self.metrics.worker(0)
    }

    /// Puts keys in force. Of the same keys as before only the time changes, so that tokens stay remembered.
    pub(super) fn succeeded(&self, keys: KeySet) {
        let now = SystemTime::now();
        let cells = self.cells();
        cells.fetches[KeySetFetch::Success].inc();
        cells.keys.set(count(keys.reports().len()));
        cells.keys_left_out.set(count(keys.ignored().len()));
        cells.fetch_time.set(seconds(now));
        cells.failing.set(0);
        let was_failing = {
            let mut told = self.told.lock();
            told.fetched = Some(now);
            told.error.take().is_some()
        };
        let before = self.cell.keys_owned();
        if before.is_none_or(|before| !before.is_same(&keys)) {
            let ignored = keys.ignored().first().map(ToString::to_string);
            tracing::info!(
                provider = %self.provider,
                keys = keys.reports().len(),
                left_out = keys.ignored().len(),
                first_left_out = ignored,
                "a key set is in force"
            );
            self.cell.set(Arc::new(keys));
        } else if was_failing {
            tracing::info!(provider = %self.provider, "the key set can be had again");
        }
        self.attempted.send_replace(true);
    }

    /// Notes why keys could not be had; those before stay. What is wrong is logged when it begins, and when it changes.
    pub(super) fn failed(&self, fault: &KeyFault) {
        let cells = self.cells();
        cells.fetches[fault.result()].inc();
        cells.failing.set(1);
        let error = fault.to_string();
        let mut told = self.told.lock();
        if told.error.as_ref() != Some(&error) {
            let has_keys = told.fetched.is_some();
            tracing::warn!(provider = %self.provider, error, has_keys, "the key set cannot be had");
            told.error = Some(error);
        }
        drop(told);
        self.attempted.send_replace(true);
    }

    /// Notes when keys are asked for next.
    pub(super) fn waits(&self, time: Duration) {
        self.told.lock().next = SystemTime::now().checked_add(time);
    }

    pub(super) fn report(&self, provider: &JwtProvider) -> Report {
        use outrigger_config::model::JwksSource;
        let source = match provider.keys() {
            JwksSource::File(file) => file.display().to_string(),
            JwksSource::Inline(_) => "inline".to_owned(),
            JwksSource::Url(url) => url.url().clone(),
        };
        let told = self.told.lock();
        Report {
            provider: self.provider.clone(),
            source,
            keys: self.cell.keys_owned(),
            fetched: told.fetched,
            next: told.next,
            error: told.error.clone(),
        }
    }
}

fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
