//! What all workers count of one endpoint. A good answer of an endpoint that is well writes nothing but, where statistics
//! are kept, one count.

use super::EjectionKind;
use super::statistics::Tally;
use outrigger_config::model::OutlierDetection;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

/// What an attempt, or a connection, came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with this status; for gRPC the status that [`grpc_status_as_http`] gives.
    Answered(u16),
    /// No connection, or none any more before an answer: 503 where it is not counted apart.
    Failed,
    /// No answer in time: 504 where it is not counted apart.
    TimedOut,
    /// A connection whose bytes are nobody's business here: 200 where it is not counted apart.
    Connected,
}

/// What counts, compiled: what a worker needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutlierRules {
    /// `u32::MAX`: off.
    pub(super) consecutive_5xx: u32,
    pub(super) consecutive_gateway_failure: u32,
    pub(super) consecutive_local_origin_failure: u32,
    pub(super) splits_local_origin: bool,
    /// Success rates or failure percentages of so many endpoints mean something.
    pub(super) keeps_statistics: bool,
}

impl OutlierRules {
    /// The rules of a cluster with so many endpoints. Statistics are kept where it has enough for any to be made of them.
    pub fn new(config: &OutlierDetection, endpoints: usize) -> OutlierRules {
        let threshold = |wanted: Option<u32>| wanted.map_or(u32::MAX, |wanted| wanted.max(1));
        let hosts_min = config
            .success_rate_minimum_hosts()
            .min(config.failure_percentage_minimum_hosts());
        OutlierRules {
            consecutive_5xx: threshold(config.consecutive_5xx()),
            consecutive_gateway_failure: threshold(config.consecutive_gateway_failure()),
            consecutive_local_origin_failure: threshold(config.consecutive_local_origin_failure()),
            splits_local_origin: config.split_external_local_origin_errors(),
            keeps_statistics: endpoints >= hosts_min as usize,
        }
    }
}

/// Runs that have reached their thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crossings(u8);

const GATEWAY: u8 = 1;
const ANY_5XX: u8 = 2;
const LOCAL: u8 = 4;

impl Crossings {
    /// What they are, in Envoy's order.
    pub fn kinds(self) -> impl Iterator<Item = EjectionKind> {
        [
            (GATEWAY, EjectionKind::ConsecutiveGatewayFailure),
            (ANY_5XX, EjectionKind::Consecutive5xx),
            (LOCAL, EjectionKind::ConsecutiveLocalOriginFailure),
        ]
        .into_iter()
        .filter(move |(bit, _)| self.0 & bit != 0)
        .map(|(_, kind)| kind)
    }
}

/// Counts of one endpoint, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct OutlierCounts {
    consecutive_5xx: AtomicU32,
    consecutive_gateway_failure: AtomicU32,
    consecutive_local_origin_failure: AtomicU32,
    /// Runs that were told of and not heard yet: bits as in [`Crossings`].
    told: AtomicU8,
    answers: AtomicU64,
    answers_failed: AtomicU64,
    connections: AtomicU64,
    connections_failed: AtomicU64,
}

impl OutlierCounts {
    /// Takes an outcome in. What has reached its threshold is told once, until [`OutlierCounts::heard`].
    #[inline]
    pub fn record(&self, outcome: Outcome, rules: &OutlierRules) -> Option<Crossings> {
        if rules.splits_local_origin {
            return self.record_split(outcome, rules);
        }
        match outcome {
            Outcome::Answered(status) => self.record_status(status, rules),
            Outcome::Failed => self.record_status(503, rules),
            Outcome::TimedOut => self.record_status(504, rules),
            Outcome::Connected => self.record_status(200, rules),
        }
    }

    #[inline]
    fn record_status(&self, status: u16, rules: &OutlierRules) -> Option<Crossings> {
        if rules.keeps_statistics {
            self.answers.fetch_add(1, Relaxed);
        }
        if (500..600).contains(&status) {
            return self.record_5xx(status, rules);
        }
        clear(&self.consecutive_5xx);
        clear(&self.consecutive_gateway_failure);
        None
    }

    #[cold]
    fn record_5xx(&self, status: u16, rules: &OutlierRules) -> Option<Crossings> {
        if rules.keeps_statistics {
            self.answers_failed.fetch_add(1, Relaxed);
        }
        let mut crossed = 0;
        if (502..=504).contains(&status) {
            let run = count(&self.consecutive_gateway_failure);
            crossed |= GATEWAY * u8::from(run >= rules.consecutive_gateway_failure);
        } else {
            clear(&self.consecutive_gateway_failure);
        }
        let run = count(&self.consecutive_5xx);
        crossed |= ANY_5XX * u8::from(run >= rules.consecutive_5xx);
        self.tell(crossed)
    }

    fn record_split(&self, outcome: Outcome, rules: &OutlierRules) -> Option<Crossings> {
        if rules.keeps_statistics {
            self.connections.fetch_add(1, Relaxed);
        }
        match outcome {
            Outcome::Answered(status) => {
                clear(&self.consecutive_local_origin_failure);
                self.record_status(status, rules)
            }
            Outcome::Connected => {
                clear(&self.consecutive_local_origin_failure);
                None
            }
            Outcome::Failed | Outcome::TimedOut => {
                if rules.keeps_statistics {
                    self.connections_failed.fetch_add(1, Relaxed);
                }
                let run = count(&self.consecutive_local_origin_failure);
                self.tell(LOCAL * u8::from(run >= rules.consecutive_local_origin_failure))
            }
        }
    }

    /// What nobody has been told of yet.
    fn tell(&self, crossed: u8) -> Option<Crossings> {
        if crossed == 0 {
            return None;
        }
        let fresh = crossed & !self.told.fetch_or(crossed, Relaxed);
        (fresh != 0).then_some(Crossings(fresh))
    }

    /// Nobody could be told of these runs: the next failure of each tells again.
    pub fn untold(&self, crossings: Crossings) {
        self.told.fetch_and(!crossings.0, Relaxed);
    }

    /// A run was acted on: it begins anew, so that a bout that goes on is found again without a success in between.
    pub fn heard(&self, kind: EjectionKind) {
        let (run, bit) = match kind {
            EjectionKind::Consecutive5xx => (&self.consecutive_5xx, ANY_5XX),
            EjectionKind::ConsecutiveGatewayFailure => (&self.consecutive_gateway_failure, GATEWAY),
            EjectionKind::ConsecutiveLocalOriginFailure => (&self.consecutive_local_origin_failure, LOCAL),
            _ => return,
        };
        run.store(0, Relaxed);
        self.told.fetch_and(!bit, Relaxed);
    }

    /// All runs begin anew: an endpoint that comes back is not ejected for what came before.
    pub(super) fn reset_runs(&self) {
        self.heard(EjectionKind::Consecutive5xx);
        self.heard(EjectionKind::ConsecutiveGatewayFailure);
        self.heard(EjectionKind::ConsecutiveLocalOriginFailure);
    }

    /// Answers since the last time, and how many were failures.
    pub(super) fn take_answers(&self) -> Tally {
        take(&self.answers, &self.answers_failed)
    }

    /// Attempts to connect since the last time, and how many failed here.
    pub(super) fn take_connections(&self) -> Tally {
        take(&self.connections, &self.connections_failed)
    }
}

fn take(all: &AtomicU64, failed: &AtomicU64) -> Tally {
    // An outcome that is being counted in between lands in the next interval with one of its halves: failures are never
    // more than all.
    let failed = failed.swap(0, Relaxed);
    let all = all.swap(0, Relaxed);
    Tally {
        all,
        failed: failed.min(all),
    }
}

fn count(run: &AtomicU32) -> u32 {
    run.fetch_add(1, Relaxed).saturating_add(1)
}

#[inline]
fn clear(run: &AtomicU32) {
    // Nothing is written to a line that all workers read as long as all is well.
    if run.load(Relaxed) != 0 {
        run.store(0, Relaxed);
    }
}

/// The HTTP status that a gRPC status counts as, by Envoy's table; a status that is none counts as 500.
pub fn grpc_status_as_http(status: u32) -> u16 {
    match status {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}
