//! Times in fixed buckets, recorded by any thread.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Buckets to each doubling of the time: a bucket's middle is off by 1/64 of the time at most, 1.6 %.
const PER_OCTAVE: usize = 32;
/// Buckets in all: up to 2^27 microseconds, 134 seconds. Below 64 microseconds they are a microsecond wide.
const BUCKETS: usize = 736;
/// The longest time that is told from longer ones, in microseconds.
const MICROSECONDS_MAX: u64 = (1 << 27) - 1;

/// How often which time was recorded.
#[derive(Debug)]
pub(super) struct TimeHistogram {
    count: AtomicU32,
    buckets: Box<[AtomicU32]>,
}

impl TimeHistogram {
    /// Nothing recorded.
    pub(super) fn new() -> TimeHistogram {
        TimeHistogram {
            count: AtomicU32::new(0),
            buckets: (0..BUCKETS).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    /// Records a time; how many are recorded with it.
    pub(super) fn record(&self, time: Duration) -> u32 {
        self.buckets[bucket_of(time)].fetch_add(1, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// How many times are recorded.
    pub(super) fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// The time that `percent` of those recorded do not exceed, and forgets all of them; none if there are none. What
    /// others record meanwhile counts now or the next time.
    pub(super) fn take_quantile(&self, percent: u32) -> Option<Duration> {
        self.count.store(0, Ordering::Relaxed);
        let mut taken = [0u32; BUCKETS];
        let mut total = 0u64;
        for (bucket, taken) in self.buckets.iter().zip(&mut taken) {
            if bucket.load(Ordering::Relaxed) > 0 {
                *taken = bucket.swap(0, Ordering::Relaxed);
                total += u64::from(*taken);
            }
        }
        let rank = (total * u64::from(percent.min(100))).div_ceil(100).max(1);
        let mut below = 0;
        for (index, taken) in taken.into_iter().enumerate() {
            below += u64::from(taken);
            if below >= rank {
                return Some(middle_of(index));
            }
        }
        None
    }
}

fn bucket_of(time: Duration) -> usize {
    let value = u64::try_from(time.as_micros())
        .unwrap_or(u64::MAX)
        .min(MICROSECONDS_MAX);
    // How often the value has to be halved to be below twice the buckets of an octave.
    let halvings = (64 - value.leading_zeros() as usize).saturating_sub(6);
    halvings * PER_OCTAVE + (value >> halvings) as usize
}

fn middle_of(bucket: usize) -> Duration {
    let halvings = (bucket / PER_OCTAVE).saturating_sub(1);
    let nanoseconds = ((bucket - halvings * PER_OCTAVE) as u64 * 1000) << halvings;
    let width = 1000u64 << halvings;
    Duration::from_nanos(nanoseconds + width / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_off_by_a_sixty_fourth_at_most() {
        let mut micros = 64u64;
        while micros < MICROSECONDS_MAX {
            let found = middle_of(bucket_of(Duration::from_micros(micros))).as_secs_f64() * 1e6;
            let off = (found - micros as f64).abs() / micros as f64;
            assert!(off <= 1.0 / 64.0 + 1e-9, "{micros} is taken for {found}");
            micros += micros / 7 + 1;
        }
        for micros in 0..64 {
            let found = middle_of(bucket_of(Duration::from_micros(micros)));
            assert_eq!(found.as_micros(), u128::from(micros));
        }
        assert_eq!(bucket_of(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_of_what_was_recorded_since_the_last() {
        let histogram = TimeHistogram::new();
        let micros_at = |percent| Some(histogram.take_quantile(percent)?.as_micros());
        for micros in 1..=60 {
            histogram.record(Duration::from_micros(micros));
        }
        assert_eq!(histogram.count(), 60);
        assert_eq!(micros_at(50), Some(30));
        assert_eq!(histogram.count(), 0);
        assert_eq!(histogram.take_quantile(50), None);
        for micros in 1..=60 {
            histogram.record(Duration::from_micros(micros));
        }
        assert_eq!(micros_at(90), Some(54));
        histogram.record(Duration::from_micros(7));
        assert_eq!(micros_at(1), Some(7));
    }
}
