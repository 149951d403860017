//! What was learnt of one endpoint's health, and where that puts it among the others.

use crate::health::OutlierCounts;
use outrigger_config::model::EndpointStatus;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

/// Something that was learnt of an endpoint while it was in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum HealthMark {
    /// An active check failed, or has not been made yet.
    FailedCheck = 1,
    /// It was ejected for its answers.
    Ejected = 2,
    /// It said of itself that it is degraded.
    Degraded = 4,
    /// Its first active check is still to come; [`HealthMark::FailedCheck`] is set until then.
    Unchecked = 8,
}

/// Where an endpoint stands among those of its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It serves.
    Healthy,
    /// It serves where healthy endpoints are too few.
    Degraded,
    /// It serves in panic only.
    Unhealthy,
    /// Nobody knows yet: where others are it counts nowhere and gets nothing, alone it is as if unhealthy.
    Unchecked,
    /// It gets no new work, in panic neither, and counts nowhere; what it has goes on.
    Draining,
}

/// What was learnt of one endpoint's health: process-wide, kept for as long as its cluster has its address, across
/// configurations, discovery and other material.
///
/// Marks are set and cleared by whoever learns of them, on the `control` thread. **Nothing on the data path decides by them**:
/// balancers are made over the standing that endpoints have at that time, so that a change is in force with the publish
/// that its author asks for (`DataPlane::set_health`).
#[derive(Debug, Default)]
pub struct EndpointHealth {
    marks: AtomicU8,
    /// Milliseconds since the epoch of whoever notes them; [`NEVER`] while it is not used.
    usable_since: AtomicU64,
    /// There once somebody looks for outliers.
    outlier_counts: OnceLock<Box<OutlierCounts>>,
}

/// An endpoint that is not used.
const NEVER: u64 = u64::MAX;

impl EndpointHealth {
    /// An endpoint of which nothing is known, and which has been there all along.
    pub const fn new() -> EndpointHealth {
        EndpointHealth {
            marks: AtomicU8::new(0),
            usable_since: AtomicU64::new(0),
            outlier_counts: OnceLock::new(),
        }
    }

    /// An endpoint that came later than others of its cluster: it is new from when it is first used.
    pub const fn newcomer() -> EndpointHealth {
        EndpointHealth {
            marks: AtomicU8::new(0),
            usable_since: AtomicU64::new(NEVER),
            outlier_counts: OnceLock::new(),
        }
    }

    /// Sets a mark; true if it was not set before, and a publish is due.
    pub fn mark(&self, mark: HealthMark) -> bool {
        self.marks.fetch_or(mark as u8, Ordering::Relaxed) & mark as u8 == 0
    }

    /// Takes a mark off; true if it was set, and a publish is due.
    pub fn clear(&self, mark: HealthMark) -> bool {
        self.marks.fetch_and(!(mark as u8), Ordering::Relaxed) & mark as u8 != 0
    }

    /// True if the mark is set.
    pub fn has(&self, mark: HealthMark) -> bool {
        self.marks.load(Ordering::Relaxed) & mark as u8 != 0
    }

    /// What its answers are counted into, where outliers are looked for: the one thing here that the data path uses.
    #[inline]
    pub fn outlier_counts(&self) -> &OutlierCounts {
        self.outlier_counts.get_or_init(Box::default)
    }

    /// Where it stands, with what the configuration says of it.
    pub fn standing(&self, status: EndpointStatus) -> Standing {
        let failing = self.has(HealthMark::FailedCheck) || self.has(HealthMark::Ejected);
        match status {
            EndpointStatus::Draining => Standing::Draining,
            EndpointStatus::Unhealthy => Standing::Unhealthy,
            _ if self.has(HealthMark::Unchecked) && !self.has(HealthMark::Ejected) => Standing::Unchecked,
            _ if failing => Standing::Unhealthy,
            EndpointStatus::Degraded => Standing::Degraded,
            EndpointStatus::Healthy if self.has(HealthMark::Degraded) => Standing::Degraded,
            EndpointStatus::Healthy => Standing::Healthy,
        }
    }

    /// True if what an endpoint has may stay with it: sessions, for one.
    pub fn keeps(&self, status: EndpointStatus) -> bool {
        let failing = self.has(HealthMark::FailedCheck) || self.has(HealthMark::Ejected);
        status != EndpointStatus::Unhealthy && !failing
    }

    /// Notes whether it is used from `now` on, and gives since when it has been; none if it is not. Times are since any
    /// epoch, always the same; zero is all along.
    pub fn note_usable(&self, usable: bool, now: Duration) -> Option<Duration> {
        let since = match (usable, self.usable_since.load(Ordering::Relaxed)) {
            (false, _) => NEVER,
            // Not zero, which is "all along".
            (true, NEVER) => u64::try_from(now.as_millis()).unwrap_or(NEVER - 1).max(1),
            (true, since) => since,
        };
        self.usable_since.store(since, Ordering::Relaxed);
        (since != NEVER).then(|| Duration::from_millis(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_and_what_was_learnt_make_a_standing() {
        use EndpointStatus as Status;
        let cases: [(Status, &[HealthMark], Standing, bool); 13] = [
            (Status::Healthy, &[], Standing::Healthy, true),
            (
                Status::Healthy,
                &[HealthMark::FailedCheck],
                Standing::Unhealthy,
                false,
            ),
            (
                Status::Healthy,
                &[HealthMark::Ejected],
                Standing::Unhealthy,
                false,
            ),
            (Status::Healthy, &[HealthMark::Degraded], Standing::Degraded, true),
            (
                Status::Healthy,
                &[HealthMark::Degraded, HealthMark::Ejected],
                Standing::Unhealthy,
                false,
            ),
            (Status::Degraded, &[], Standing::Degraded, true),
            (
                Status::Degraded,
                &[HealthMark::FailedCheck],
                Standing::Unhealthy,
                false,
            ),
            (
                Status::Healthy,
                &[HealthMark::FailedCheck, HealthMark::Unchecked],
                Standing::Unchecked,
                false,
            ),
            (
                Status::Unhealthy,
                &[HealthMark::FailedCheck, HealthMark::Unchecked],
                Standing::Unhealthy,
                false,
            ),
            (
                Status::Draining,
                &[HealthMark::FailedCheck, HealthMark::Unchecked],
                Standing::Draining,
                false,
            ),
            (Status::Unhealthy, &[], Standing::Unhealthy, false),
            (Status::Draining, &[], Standing::Draining, true),
            (
                Status::Draining,
                &[HealthMark::Ejected],
                Standing::Draining,
                false,
            ),
        ];
        for (status, marks, standing, keeps) in cases {
            let health = EndpointHealth::new();
            for &mark in marks {
                assert!(health.mark(mark), "{mark:?} is new");
                assert!(!health.mark(mark), "{mark:?} is not new any more");
            }
            assert_eq!(health.standing(status), standing, "{status:?} {marks:?}");
            assert_eq!(health.keeps(status), keeps, "{status:?} {marks:?}");
            for &mark in marks {
                assert!(health.clear(mark) && !health.clear(mark));
            }
            assert_eq!(health.standing(status), EndpointHealth::new().standing(status));
        }
    }

    #[test]
    fn an_endpoint_is_used_from_when_it_can_be_again() {
        let second = Duration::from_secs;
        let health = EndpointHealth::new();
        assert_eq!(
            health.note_usable(true, second(7)),
            Some(Duration::ZERO),
            "all along"
        );
        assert_eq!(health.note_usable(false, second(8)), None);
        assert_eq!(health.note_usable(true, second(9)), Some(second(9)));
        assert_eq!(health.note_usable(true, second(10)), Some(second(9)));
        assert_eq!(
            EndpointHealth::newcomer().note_usable(true, second(3)),
            Some(second(3))
        );
    }
}
