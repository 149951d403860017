//! How often something may happen: a token bucket without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A token bucket that all workers share, exact: never are more tokens taken than came back and the burst holds.
///
/// It is kept as one number, the time at which the bucket will be full again (the generic cell rate algorithm), so that
/// taking a token is one exchange, and rate and burst may change from call to call. Times are passed in: they are since
/// an epoch that all callers share.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct TokenBucket {
    /// Nanoseconds since the epoch. A bucket that was never asked is full.
    full_at: AtomicU64,
}

impl TokenBucket {
    /// A full bucket.
    pub const fn new() -> TokenBucket {
        TokenBucket {
            full_at: AtomicU64::new(0),
        }
    }

    /// Takes a token if there is one, where `per_second` come back and `burst` fit; zeros count as one. A `now` that is
    /// earlier than another worker's is no error: that worker's view counts.
    #[must_use]
    pub fn try_take(&self, now: Duration, per_second: u32, burst: u32) -> bool {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        // Rounded up: a rate is never exceeded.
        let token = 1_000_000_000u64.div_ceil(per_second.max(1).into());
        let depth = token.saturating_mul(burst.max(1).into());
        let take = |full_at: u64| {
            let next = full_at.max(now).saturating_add(token);
            (next - now <= depth).then_some(next)
        };
        self.full_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bucket: &TokenBucket, at_milliseconds: u64, per_second: u32, burst: u32, tries: usize) -> usize {
        let now = Duration::from_millis(at_milliseconds);
        (0..tries)
            .filter(|_| bucket.try_take(now, per_second, burst))
            .count()
    }

    #[test]
    fn a_burst_at_first_and_then_the_rate() {
        let bucket = TokenBucket::new();
        assert_eq!(taken(&bucket, 0, 10, 5, 20), 5);
        assert_eq!(taken(&bucket, 99, 10, 5, 20), 0);
        assert_eq!(taken(&bucket, 100, 10, 5, 20), 1);
        assert_eq!(taken(&bucket, 350, 10, 5, 20), 2);
        // Idle for long, it holds its burst and no more.
        assert_eq!(taken(&bucket, 60_000, 10, 5, 20), 5);
    }

    #[test]
    fn a_bucket_that_is_first_asked_late_is_full_and_one_of_zero_counts_as_one() {
        assert_eq!(taken(&TokenBucket::new(), 123_456, 3, 4, 10), 4);
        let bucket = TokenBucket::new();
        assert_eq!(taken(&bucket, 0, 0, 0, 10), 1);
        assert_eq!(taken(&bucket, 1_000, 0, 0, 10), 1);
    }

    #[test]
    fn rate_and_burst_may_change() {
        let bucket = TokenBucket::new();
        assert_eq!(taken(&bucket, 0, 1, 10, 20), 10);
        // What was taken at one a second fills up at a hundred a second only by and by.
        assert_eq!(taken(&bucket, 1_000, 1, 1, 20), 0);
        assert_eq!(taken(&bucket, 10_000, 100, 2, 20), 2);
    }

    #[test]
    fn a_clock_that_lags_takes_no_more() {
        let bucket = TokenBucket::new();
        assert_eq!(taken(&bucket, 1_000, 10, 2, 10), 2);
        assert_eq!(taken(&bucket, 900, 10, 2, 10), 0);
    }

    #[test]
    fn many_threads_take_exactly_what_there_is() {
        let bucket = TokenBucket::new();
        let sum: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| taken(&bucket, 500, 7, 1_000, 1_000)))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(sum, 1_000);
    }
}
