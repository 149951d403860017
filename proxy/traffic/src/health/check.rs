//! Active checks of one endpoint: what a result makes of its health, and when it is asked again.
//!
//! The rules are Envoy's (`config.core.v3.HealthCheck`, "Health checking" of its guide): thresholds in a row, the first
//! check decides by itself, an answer that says "no" counts at once where one that is missing counts to the threshold.

use outrigger_config::model::HealthCheck;
use std::time::Duration;

/// The first checks of endpoints that are new are spread over this at most: a start waits for them.
const FIRST_SPREAD_MAX: Duration = Duration::from_millis(200);

/// When an endpoint is asked, and what it takes to change its health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckSchedule {
    interval: Duration,
    unhealthy_interval: Option<Duration>,
    no_traffic_interval: Option<Duration>,
    jitter_percent: u32,
    unhealthy_threshold: u32,
    healthy_threshold: u32,
}

impl From<&HealthCheck> for CheckSchedule {
    fn from(config: &HealthCheck) -> CheckSchedule {
        CheckSchedule {
            interval: config.interval(),
            unhealthy_interval: config.unhealthy_interval(),
            no_traffic_interval: config.no_traffic_interval(),
            jitter_percent: config.jitter_percent(),
            unhealthy_threshold: config.unhealthy_threshold(),
            healthy_threshold: config.healthy_threshold(),
        }
    }
}

impl CheckSchedule {
    /// From when an endpoint is known to its first check: a random part of the jitter, at most 200 ms, so that the
    /// checks of many endpoints do not start in one moment and a start does not wait long for them.
    pub fn first_delay(&self, random: u64) -> Duration {
        part(self.jitter_max(self.interval).min(FIRST_SPREAD_MAX), random)
    }

    fn jittered(&self, interval: Duration, random: u64) -> Duration {
        interval.saturating_add(part(self.jitter_max(interval), random))
    }

    fn jitter_max(&self, interval: Duration) -> Duration {
        interval.saturating_mul(self.jitter_percent) / 100
    }
}

/// What came of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckResult {
    /// It serves.
    Passed,
    /// It did not say so: no connection, no answer in time, an answer that is to be tried again.
    Failed,
    /// It said that it does not serve.
    Refused,
}

/// A change of health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckChange {
    /// It gets requests from now on.
    Healthy,
    /// It gets none any more.
    Unhealthy,
}

/// What follows a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckStep {
    /// None: health is as it was.
    pub change: Option<CheckChange>,
    /// From the end of this check to the next.
    pub delay: Duration,
}

/// How an endpoint stands by its checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckState {
    healthy: bool,
    checked: bool,
    passed_in_row: u32,
    failed_in_row: u32,
}

impl CheckState {
    /// An endpoint that was not there before: it serves once a check has passed.
    pub fn unknown() -> CheckState {
        CheckState {
            healthy: false,
            checked: false,
            passed_in_row: 0,
            failed_in_row: 0,
        }
    }

    /// An endpoint that has served without checks: it goes on until the first result, which decides by itself.
    pub fn serving() -> CheckState {
        CheckState {
            healthy: true,
            ..CheckState::unknown()
        }
    }

    /// The same endpoint under other settings: its health stays, and counts begin anew.
    #[must_use]
    pub fn restarted(self) -> CheckState {
        CheckState {
            passed_in_row: 0,
            failed_in_row: 0,
            ..self
        }
    }

    /// It serves.
    pub fn is_healthy(self) -> bool {
        self.healthy
    }

    /// At least one check has ended.
    pub fn is_checked(self) -> bool {
        self.checked
    }

    /// Checks that passed since the last one that did not, up to `u32::MAX`.
    pub fn passed_in_row(self) -> u32 {
        self.passed_in_row
    }

    /// Checks that did not pass since the last one that did, up to `u32::MAX`.
    pub fn failed_in_row(self) -> u32 {
        self.failed_in_row
    }

    /// Takes a result in. `has_traffic`: something was sent to the cluster since the last check. `random` is any 64 bits,
    /// uniform and new.
    pub fn apply(
        &mut self,
        result: CheckResult,
        schedule: &CheckSchedule,
        has_traffic: bool,
        random: u64,
    ) -> CheckStep {
        let is_first = !std::mem::replace(&mut self.checked, true);
        let before = self.healthy;
        if result == CheckResult::Passed {
            self.failed_in_row = 0;
            self.passed_in_row = self.passed_in_row.saturating_add(1);
            self.healthy |= is_first || self.passed_in_row >= schedule.healthy_threshold;
        } else {
            self.passed_in_row = 0;
            self.failed_in_row = self.failed_in_row.saturating_add(1);
            let counts = is_first
                || result == CheckResult::Refused
                || self.failed_in_row >= schedule.unhealthy_threshold;
            self.healthy &= !counts;
        }
        let change = match (before, self.healthy) {
            (false, true) => Some(CheckChange::Healthy),
            (true, false) => Some(CheckChange::Unhealthy),
            _ => None,
        };
        CheckStep {
            change,
            delay: schedule.jittered(self.interval(schedule, has_traffic), random),
        }
    }

    fn interval(self, schedule: &CheckSchedule, has_traffic: bool) -> Duration {
        let quiet = schedule.no_traffic_interval.filter(|_| !has_traffic);
        let unhealthy = schedule.unhealthy_interval.filter(|_| !self.healthy);
        // An endpoint of a cluster that nobody asks for is not asked more often because it is down.
        quiet.or(unhealthy).unwrap_or(schedule.interval)
    }
}

/// A random part, uniform, of a duration: from zero to all of it.
fn part(whole: Duration, random: u64) -> Duration {
    let nanoseconds = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
    let part = ((u128::from(nanoseconds) + 1) * u128::from(random)) >> 64;
    Duration::from_nanos(part as u64)
}

#[cfg(test)]
mod tests;
