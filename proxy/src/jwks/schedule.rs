//! When a key set is asked for next. Pure: time and chance are passed in.

use std::time::{Duration, Instant};

/// The shortest time that an answer may ask to be used, unless `refresh` is shorter: a server must not be able to make a
/// storm of every proxy of a mesh.
const USE_MIN: Duration = Duration::from_secs(60);
/// The longest, unless `refresh` is longer: a key that was withdrawn is believed no longer than this.
const USE_MAX: Duration = Duration::from_secs(3600);
/// The first wait after a failure; it doubles with each.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// The longest wait after a failure, unless `refresh` is shorter.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// From one fetch because of an unknown key to the next: whoever sends tokens can name any key.
const EARLY_INTERVAL: Duration = Duration::from_secs(30);

/// The schedule of one source.
#[derive(Debug)]
pub(super) struct Schedule {
    refresh: Duration,
    failures: u32,
    /// When the last fetch because of an unknown key was, or will be.
    early: Option<Instant>,
}

impl Schedule {
    pub(super) fn new(refresh: Duration) -> Schedule {
        Schedule {
            refresh,
            failures: 0,
            early: None,
        }
    }

    /// How long keys are used that came with this `max-age`; `chance` is from 0 to 1. A tenth less or more, so that proxies
    /// which started together do not ask together.
    pub(super) fn after_success(&mut self, max_age: Option<Duration>, chance: f64) -> Duration {
        self.failures = 0;
        let asked = max_age.unwrap_or(self.refresh);
        let bounded = asked.clamp(self.refresh.min(USE_MIN), self.refresh.max(USE_MAX));
        bounded.mul_f64(0.9 + 0.2 * chance)
    }

    /// How long to wait after a failure: doubled with each, of which half is left to chance.
    pub(super) fn after_failure(&mut self, chance: f64) -> Duration {
        let doubled = RETRY_MIN * 2u32.saturating_pow(self.failures.min(10));
        self.failures = self.failures.saturating_add(1);
        doubled
            .min(RETRY_MAX)
            .min(self.refresh)
            .mul_f64(0.5 + 0.5 * chance)
    }

    /// When keys may be fetched because a token names one that is not there; they then must be.
    pub(super) fn early(&mut self, now: Instant) -> Instant {
        let at = match self.early {
            // It is on its way.
            Some(planned) if planned > now => planned,
            Some(last) => now.max(last + EARLY_INTERVAL),
            None => now,
        };
        self.early = Some(at);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn an_answer_says_within_bounds_how_long_it_is_used() {
        let mut schedule = Schedule::new(seconds(300));
        let mut after = |max_age| schedule.after_success(max_age, 0.5);
        assert_eq!(after(None), seconds(300));
        assert_eq!(after(Some(seconds(0))), seconds(60));
        assert_eq!(after(Some(seconds(120))), seconds(120));
        assert_eq!(after(Some(seconds(1800))), seconds(1800));
        assert_eq!(after(Some(seconds(86_400))), seconds(3600));
        // What the configuration says is never out of bounds.
        assert_eq!(
            Schedule::new(seconds(5)).after_success(Some(seconds(0)), 0.5),
            seconds(5)
        );
        assert_eq!(
            Schedule::new(seconds(7200)).after_success(None, 0.5),
            seconds(7200)
        );
        assert_eq!(schedule.after_success(None, 0.0), seconds(270));
        assert_eq!(schedule.after_success(None, 1.0), seconds(330));
    }

    #[test]
    fn failures_are_followed_by_longer_waits_up_to_a_bound() {
        let mut schedule = Schedule::new(seconds(300));
        let waits: Vec<u64> = (0..8).map(|_| schedule.after_failure(1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(schedule.after_failure(0.0), seconds(30));
        schedule.after_success(None, 0.5);
        assert_eq!(schedule.after_failure(1.0), seconds(1));
        let mut often = Schedule::new(seconds(3));
        let waits: Vec<u64> = (0..4).map(|_| often.after_failure(1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 3, 3]);
    }

    #[test]
    fn unknown_keys_bring_one_fetch_at_once_and_then_few() {
        let mut schedule = Schedule::new(seconds(300));
        let start = Instant::now();
        assert_eq!(schedule.early(start), start);
        // Asked again and again: one more, when its time has come.
        let next = start + seconds(30);
        assert_eq!(schedule.early(start + seconds(1)), next);
        assert_eq!(schedule.early(start + seconds(29)), next);
        assert_eq!(schedule.early(start + seconds(31)), next + seconds(30));
        let late = start + seconds(1000);
        assert_eq!(schedule.early(late), late);
    }
}
