//! What is told of a cluster's resolution: metrics, the log, and changes of endpoints.

use super::Shared;
use outrigger_config::model::Name;
use outrigger_discovery::{Answer, Endpoint, Failure, Observe, Question, Resolution};
use outrigger_telemetry::{DiscoveryCells, DiscoveryMetrics, ResolutionOutcome};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A cluster whose resolution comes and goes is reported once in this time; the report says how often it was not.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Watches one cluster's resolution.
pub(super) struct Observer {
    cluster: Name,
    metrics: Arc<DiscoveryMetrics>,
    shared: Arc<Shared>,
    seen: Mutex<Seen>,
}

/// What was seen last.
#[derive(Default)]
struct Seen {
    endpoints: Option<Arc<[Endpoint]>>,
    condition: Condition,
    answers_expired: u64,
    addresses_left_out: u64,
    logged: Option<Instant>,
    /// The condition that the log knows of.
    told: Condition,
    /// Changes that were not logged since.
    untold: u64,
}

/// How a cluster's resolution stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Condition {
    #[default]
    Good,
    /// Old answers are in force, for want of new ones.
    Stale,
    /// A question that has no answer at all fails.
    Unresolved,
}

impl Observer {
    pub(super) fn new(cluster: Name, metrics: Arc<DiscoveryMetrics>, shared: Arc<Shared>) -> Observer {
        Observer {
            cluster,
            metrics,
            shared,
            seen: Mutex::default(),
        }
    }

    /// One task writes: that of the cluster's resolver.
    fn cells(&self) -> &DiscoveryCells {
        self.metrics.worker(0)
    }

    fn note_endpoints(&self, seen: &mut Seen, resolution: &Resolution) {
        let endpoints = resolution.endpoints();
        if seen
            .endpoints
            .as_ref()
            .is_some_and(|before| Arc::ptr_eq(before, endpoints))
        {
            return;
        }
        let first = seen.endpoints.replace(Arc::clone(endpoints)).is_none();
        self.cells().addresses.set(count(endpoints.len() as u64));
        // The first state is none yet: what was found by the time that the configuration is applied goes with it.
        if !first {
            self.cells().updates.inc();
            tracing::debug!(cluster = %self.cluster, addresses = endpoints.len(), "endpoints changed");
            self.shared.note_changed(&self.cluster);
        }
    }

    fn note_condition(&self, seen: &mut Seen, resolution: &Resolution, now: Instant) {
        let condition = if resolution.is_stale(now) {
            Condition::Stale
        } else if resolution.last_error().is_some() {
            Condition::Unresolved
        } else {
            Condition::Good
        };
        self.cells().stale.set(i64::from(condition == Condition::Stale));
        if condition != seen.condition {
            seen.condition = condition;
            seen.untold += 1;
        }
        let due = seen
            .logged
            .is_none_or(|logged| now.saturating_duration_since(logged) >= LOG_INTERVAL);
        if seen.told == condition || !due {
            return;
        }
        let changes = std::mem::take(&mut seen.untold);
        seen.told = condition;
        seen.logged = Some(now);
        let (cluster, error) = (&self.cluster, resolution.last_error().unwrap_or_default());
        match condition {
            Condition::Good => tracing::warn!(%cluster, changes, "names resolve again"),
            Condition::Stale => {
                tracing::warn!(%cluster, error, changes, "names do not resolve: the last answers stay in force");
            }
            Condition::Unresolved => {
                tracing::warn!(%cluster, error, changes, "names do not resolve, and no answer is in force");
            }
        }
    }
}

impl Observe for Observer {
    fn answered(&self, question: &Question, answer: &Answer) {
        let outcome = match answer {
            Answer::Found { .. } => ResolutionOutcome::Success,
            Answer::Empty { .. } => ResolutionOutcome::Empty,
            Answer::Failed { failure, .. } => match failure {
                Failure::Timeout => ResolutionOutcome::Timeout,
                Failure::ServerFailure => ResolutionOutcome::ServerFailure,
                Failure::Refused => ResolutionOutcome::Refused,
                Failure::ErrorCode => ResolutionOutcome::ErrorCode,
                Failure::Network => ResolutionOutcome::Network,
                Failure::Protocol => ResolutionOutcome::Protocol,
            },
        };
        self.cells().resolutions[outcome].inc();
        tracing::debug!(cluster = %self.cluster, %question, ?answer, "resolved");
    }

    fn progressed(&self, resolution: &Resolution, now: Instant) {
        let mut seen = self.seen.lock();
        self.note_endpoints(&mut seen, resolution);
        self.note_condition(&mut seen, resolution, now);
        let cells = self.cells();
        let expired = resolution.answers_expired();
        cells.answers_expired.add(expired - seen.answers_expired);
        seen.answers_expired = expired;
        let left_out = resolution.addresses_left_out();
        cells.addresses_left_out.add(left_out - seen.addresses_left_out);
        seen.addresses_left_out = left_out;
        let age = resolution
            .oldest_answer()
            .map(|received| now.saturating_duration_since(received));
        let time = age.and_then(|age| {
            SystemTime::now()
                .checked_sub(age)?
                .duration_since(UNIX_EPOCH)
                .ok()
        });
        cells
            .answer_time
            .set(time.map_or(0, |time| count(time.as_secs())));
    }
}

fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
