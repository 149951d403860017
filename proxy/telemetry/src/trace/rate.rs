//! How many traces are begun a second: one bucket for the whole process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A bucket that holds a second's worth, shared by all workers. It is only asked for traces that are to be kept.
#[derive(Debug)]
pub struct TraceRate {
    /// Nanoseconds between two traces.
    interval: u64,
    /// When the bucket would be full again, in nanoseconds of the caller's clock.
    full_at: AtomicU64,
}

/// How much the bucket holds, in nanoseconds of waiting; a slower rate's holds one trace.
const DEPTH: u64 = 1_000_000_000;

impl TraceRate {
    /// So many traces a second, at least one.
    pub fn per_second(traces: u32) -> TraceRate {
        TraceRate {
            interval: DEPTH / u64::from(traces.max(1)),
            full_at: AtomicU64::new(0),
        }
    }

    /// Takes one trace, if there is one left. `now`: since a moment that stays the same and is the same for all workers.
    pub fn take(&self, now: Duration) -> bool {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX / 2);
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        loop {
            // A clock of another worker may be a little ahead: that only makes it wait.
            let next = full_at.max(now).saturating_add(self.interval);
            if next > now.saturating_add(DEPTH) {
                return false;
            }
            match self
                .full_at
                .compare_exchange_weak(full_at, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(other) => full_at = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_s_worth_is_taken_at_once_and_then_one_by_one() {
        let rate = TraceRate::per_second(10);
        let at = Duration::from_millis;
        assert_eq!((0..20).filter(|_| rate.take(at(5_000))).count(), 10);
        assert!(!rate.take(at(5_099)));
        assert!(rate.take(at(5_100)));
        assert!(!rate.take(at(5_100)));
        assert_eq!((0..20).filter(|_| rate.take(at(5_400))).count(), 3);
        // What is not taken is not kept for longer than a second.
        assert_eq!((0..20).filter(|_| rate.take(at(60_000))).count(), 10);
        // A clock that is behind takes nothing that is not there.
        assert!(!rate.take(at(59_000)));
    }

    #[test]
    fn one_a_second_is_one() {
        let rate = TraceRate::per_second(1);
        assert!(rate.take(Duration::ZERO));
        assert!(!rate.take(Duration::from_millis(999)));
        assert!(rate.take(Duration::from_secs(1)));
        let none = TraceRate::per_second(0);
        assert!(none.take(Duration::from_secs(9)));
        assert!(!none.take(Duration::from_secs(9)));
    }
}
