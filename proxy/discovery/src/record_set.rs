//! One question's state: the answer in force, until when, and when to ask again.

use crate::question::{Answer, Failure, Question, Records};
use outrigger_config::model::DnsDiscovery;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The first wait after a failure is between this and twice this.
const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// No wait after a failure is longer.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// How long "there are none" holds where the answer does not say (it has no SOA record): Envoy's `dns_refresh_rate`.
const EMPTY_TTL: Duration = Duration::from_secs(5);

/// The state of one question.
#[derive(Debug, Clone)]
pub(crate) struct RecordSet {
    in_force: Option<InForce>,
    /// It has had an outcome, be it a failure.
    settled: bool,
    /// When to ask; none while it is being asked.
    ask_at: Option<Instant>,
    /// Failures since the last answer.
    failures: u32,
    last_failure: Option<(Failure, String)>,
}

#[derive(Debug, Clone)]
struct InForce {
    /// None: there are none.
    records: Option<Records>,
    received: Instant,
    expires: Instant,
}

/// What the state of one question looks like from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordReport {
    /// The question.
    pub question: Question,
    /// The answer in force; none if there is none, empty if it says that there are no records.
    pub records: Option<Vec<String>>,
    /// Since when that answer is in force.
    pub age: Option<Duration>,
    /// What is left of its TTL; zero when it is over.
    pub ttl_left: Option<Duration>,
    /// True if its TTL is over and it is kept because later questions failed.
    pub stale: bool,
    /// Failures since the last answer.
    pub failures: u32,
    /// The last failure, if no answer came since.
    pub last_error: Option<String>,
}

impl RecordSet {
    /// A question that has not been asked.
    pub(crate) fn new(now: Instant) -> RecordSet {
        RecordSet {
            in_force: None,
            settled: false,
            ask_at: Some(now),
            failures: 0,
            last_failure: None,
        }
    }

    /// The same answer under other settings, to be asked for again at once.
    pub(crate) fn adopted(&self, now: Instant) -> RecordSet {
        RecordSet {
            ask_at: Some(now),
            ..self.clone()
        }
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.settled
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.ask_at.is_some_and(|at| at <= now)
    }

    pub(crate) fn begin(&mut self) {
        self.ask_at = None;
    }

    /// Takes what came of the question. `random` is any 64 bits, uniform.
    pub(crate) fn answer(&mut self, answer: Answer, settings: &DnsDiscovery, now: Instant, random: u64) {
        self.settled = true;
        let (records, ttl) = match answer {
            Answer::Found { records, ttl } => (Some(records), ttl),
            Answer::Empty { ttl } => (None, ttl.unwrap_or(EMPTY_TTL)),
            Answer::Failed { failure, detail } => {
                self.failures = self.failures.saturating_add(1);
                self.last_failure = Some((failure, detail));
                self.ask_at = Some(now + backoff(self.failures, random));
                return;
            }
        };
        let expires = now + ttl.min(settings.ttl_max()).max(settings.ttl_min());
        self.in_force = Some(InForce {
            records,
            received: now,
            expires,
        });
        self.failures = 0;
        self.last_failure = None;
        self.ask_at = Some(expires);
    }

    /// Drops an answer that has been stale for too long; true if it had records.
    pub(crate) fn expire(&mut self, now: Instant, stale_max: Duration) -> bool {
        let over = self.stale_until(stale_max).is_some_and(|until| until <= now);
        let dropped = if over { self.in_force.take() } else { None };
        dropped.is_some_and(|dropped| dropped.records.is_some())
    }

    /// When the answer in force goes if no other comes; none while none has failed.
    fn stale_until(&self, stale_max: Duration) -> Option<Instant> {
        let in_force = self.in_force.as_ref().filter(|_| self.failures > 0)?;
        Some(in_force.expires + stale_max)
    }

    /// When something is to be done next.
    pub(crate) fn wake_at(&self, stale_max: Duration) -> Option<Instant> {
        self.ask_at.into_iter().chain(self.stale_until(stale_max)).min()
    }

    pub(crate) fn is_stale(&self, now: Instant) -> bool {
        self.failures > 0
            && self
                .in_force
                .as_ref()
                .is_some_and(|in_force| in_force.expires <= now)
    }

    pub(crate) fn received(&self) -> Option<Instant> {
        Some(self.in_force.as_ref()?.received)
    }

    pub(crate) fn addresses(&self) -> &[IpAddr] {
        match self.records() {
            Some(Records::Addresses(addresses)) => addresses,
            _ => &[],
        }
    }

    pub(crate) fn records(&self) -> Option<&Records> {
        self.in_force.as_ref()?.records.as_ref()
    }

    pub(crate) fn last_failure(&self) -> Option<&(Failure, String)> {
        self.last_failure.as_ref()
    }

    pub(crate) fn report(&self, question: &Question, now: Instant) -> RecordReport {
        let texts = |records: &Option<Records>| match records {
            None => Vec::new(),
            Some(Records::Addresses(addresses)) => addresses.iter().map(IpAddr::to_string).collect(),
            Some(Records::Services(services)) => services
                .iter()
                .map(|service| {
                    let (priority, weight, port) = (service.priority, service.weight, service.port);
                    format!("{priority} {weight} {port} {}", service.target)
                })
                .collect(),
        };
        let in_force = self.in_force.as_ref();
        RecordReport {
            question: question.clone(),
            records: in_force.map(|in_force| texts(&in_force.records)),
            age: in_force.map(|in_force| now.saturating_duration_since(in_force.received)),
            ttl_left: in_force.map(|in_force| in_force.expires.saturating_duration_since(now)),
            stale: self.is_stale(now),
            failures: self.failures,
            last_error: self
                .last_failure
                .as_ref()
                .map(|(failure, detail)| format!("{}: {detail}", failure.as_str())),
        }
    }
}

impl Records {
    /// The same records in an order of their own, each once, so that a resolver that rotates them changes nothing.
    pub(crate) fn sorted(mut self) -> Records {
        match &mut self {
            Records::Addresses(addresses) => {
                addresses.sort_unstable();
                addresses.dedup();
            }
            Records::Services(services) => {
                services.sort_unstable();
                services.dedup();
            }
        }
        self
    }
}

/// The wait after so many failures in a row: doubling, and between half of that and all of it.
fn backoff(failures: u32, random: u64) -> Duration {
    let doubled = BACKOFF_MIN.saturating_mul(1 << failures.min(16));
    let longest = doubled.min(BACKOFF_MAX);
    let half = longest / 2;
    let share = (random >> 32) as f64 / f64::from(u32::MAX);
    half + half.mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_with_jitter_from_one_second_to_thirty() {
        let bounds = |failures| {
            (
                backoff(failures, 0).as_secs_f64(),
                backoff(failures, u64::MAX).as_secs_f64(),
            )
        };
        assert_eq!(bounds(1), (1.0, 2.0));
        assert_eq!(bounds(2), (2.0, 4.0));
        assert_eq!(bounds(4), (8.0, 16.0));
        assert_eq!(bounds(5), (15.0, 30.0));
        assert_eq!(bounds(u32::MAX), (15.0, 30.0));
        let middle = backoff(1, u64::MAX / 2);
        assert!(middle > BACKOFF_MIN && middle < 2 * BACKOFF_MIN, "{middle:?}");
    }
}
