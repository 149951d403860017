//! Durations in buckets.

use super::{Counter, Series, Terms};
use crate::exposition::{Kind, Samples};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const MILLISECOND: u64 = 1_000_000;
/// Upper bounds where none are configured, in nanoseconds. From half a millisecond, where a hop on one machine ends, to
/// a minute, where timeouts do; close to each other from 100 to 500 ms, where objectives of latency lie.
const DEFAULT_BOUNDS: [u64; 18] = [
    500_000,
    MILLISECOND,
    2_500_000,
    5 * MILLISECOND,
    10 * MILLISECOND,
    25 * MILLISECOND,
    50 * MILLISECOND,
    100 * MILLISECOND,
    200 * MILLISECOND,
    250 * MILLISECOND,
    300 * MILLISECOND,
    500 * MILLISECOND,
    1_000 * MILLISECOND,
    2_500 * MILLISECOND,
    5_000 * MILLISECOND,
    10_000 * MILLISECOND,
    30_000 * MILLISECOND,
    60_000 * MILLISECOND,
];

/// The buckets of every histogram of the process: inclusive upper bounds; above the last there is one more.
#[derive(Clone, PartialEq, Eq)]
pub struct LatencyBuckets {
    /// In nanoseconds, rising.
    bounds: Box<[u64]>,
    /// The bounds in seconds, as the label `le` has them.
    texts: Box<[String]>,
    /// For each power of two, the bucket of the power itself: what lies between two powers is in this one, or in one of
    /// the few within the octave.
    first: [u8; 64],
}

impl LatencyBuckets {
    /// Bounds at most: each is a sample of every histogram.
    pub const BOUNDS_MAX: usize = 40;

    /// Buckets with these upper bounds. None: there is none or more than [`LatencyBuckets::BOUNDS_MAX`], they do not
    /// rise, or one is longer than five centuries.
    pub fn new(bounds: &[Duration]) -> Option<LatencyBuckets> {
        let nanos: Option<Box<[u64]>> = bounds
            .iter()
            .map(|bound| u64::try_from(bound.as_nanos()).ok())
            .collect();
        let fits = (1..=LatencyBuckets::BOUNDS_MAX).contains(&bounds.len());
        let rises = bounds.windows(2).all(|pair| pair[0] < pair[1]);
        nanos.filter(|_| fits && rises).map(LatencyBuckets::of)
    }

    fn of(bounds: Box<[u64]>) -> LatencyBuckets {
        let first = std::array::from_fn(|exponent| {
            let below = bounds.iter().take_while(|bound| (1_u64 << exponent) > **bound);
            u8::try_from(below.count()).expect("there are 40 bounds at most")
        });
        LatencyBuckets {
            texts: bounds.iter().map(|bound| seconds_text(*bound)).collect(),
            first,
            bounds,
        }
    }

    /// The bounds in seconds, as the label `le` has them.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    #[inline]
    fn measure(&self, duration: Duration) -> Measured {
        let nanos = duration
            .as_secs()
            .saturating_mul(1_000_000_000)
            .saturating_add(duration.subsec_nanos().into());
        Measured {
            nanos,
            bucket: self.bucket_of(nanos),
        }
    }

    #[inline]
    fn bucket_of(&self, nanos: u64) -> usize {
        let mut bucket = usize::from(self.first[(nanos | 1).ilog2() as usize]);
        while self.bounds.get(bucket).is_some_and(|bound| nanos > *bound) {
            bucket += 1;
        }
        bucket
    }
}

impl Default for LatencyBuckets {
    fn default() -> LatencyBuckets {
        LatencyBuckets::of(DEFAULT_BOUNDS.into())
    }
}

impl fmt::Debug for LatencyBuckets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(&self.texts).finish()
    }
}

/// A bound in seconds, always with a fraction: OpenMetrics has whole numbers so, and one spelling in both formats keeps
/// the series the same whichever is scraped.
fn seconds_text(nanos: u64) -> String {
    let mut text = (nanos as f64 / 1e9).to_string();
    if !text.contains('.') {
        text.push_str(".0");
    }
    text
}

/// A duration whose bucket has been found: one that several histograms count is looked up once. All histograms of a
/// process have the same buckets.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    nanos: u64,
    bucket: usize,
}

/// Durations in the process's buckets, with a single writer.
#[derive(Debug)]
pub struct Histogram {
    buckets: Arc<LatencyBuckets>,
    /// One for each bucket, then the sum in nanoseconds. Made by the first observation, on the thread that writes: a
    /// mesh has many clusters that most sidecars never call.
    counts: OnceLock<Box<[Counter]>>,
}

impl Histogram {
    /// A histogram without observations.
    pub fn new(buckets: Arc<LatencyBuckets>) -> Histogram {
        Histogram {
            buckets,
            counts: OnceLock::new(),
        }
    }

    /// Counts one duration: two additions.
    #[inline]
    pub fn observe(&self, duration: Duration) {
        self.count_measured(self.measure(duration));
    }

    /// Finds a duration's bucket, for this histogram and others.
    #[inline]
    pub fn measure(&self, duration: Duration) -> Measured {
        self.buckets.measure(duration)
    }

    /// Counts one duration.
    #[inline]
    pub fn count_measured(&self, duration: Measured) {
        let counts = self.counts.get_or_init(|| self.first_counts());
        if let Some((sum, buckets)) = counts.split_last() {
            buckets[duration.bucket].inc();
            sum.add(duration.nanos);
        }
    }

    #[cold]
    fn first_counts(&self) -> Box<[Counter]> {
        let length = self.buckets.bounds.len() + 2;
        (0..length).map(|_| Counter::default()).collect()
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        (0..=self.buckets.bounds.len())
            .map(|bucket| self.count_in(bucket))
            .sum()
    }

    /// The sum of all durations.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.count_in(self.buckets.bounds.len() + 1))
    }

    fn count_in(&self, place: usize) -> u64 {
        self.counts.get().map_or(0, |counts| counts[place].value())
    }
}

impl Series for Histogram {
    const KIND: Kind = Kind::Histogram;

    fn new(terms: &Terms) -> Histogram {
        Histogram::new(Arc::clone(&terms.buckets))
    }

    /// Nothing before the first observation: a histogram is twenty-one lines.
    fn write<C>(workers: &[C], cell: impl Fn(&C) -> &Histogram, out: &mut Samples<'_>) {
        let Some(first) = workers.first() else { return };
        let sum_of = |place: usize| {
            workers
                .iter()
                .map(|worker| cell(worker).count_in(place))
                .sum::<u64>()
        };
        let buckets = &cell(first).buckets;
        let bounds = buckets.bounds.len();
        if workers.iter().all(|worker| cell(worker).counts.get().is_none()) {
            return;
        }
        let mut cumulative = [0; LatencyBuckets::BOUNDS_MAX];
        let mut count = 0;
        for (bucket, place) in cumulative.iter_mut().enumerate().take(bounds) {
            count += sum_of(bucket);
            *place = count;
        }
        count += sum_of(bounds);
        let below = buckets.texts.iter().map(String::as_str).zip(cumulative);
        out.histogram(below, count, sum_of(bounds + 1) as f64 / 1e9);
    }

    #[cfg(test)]
    fn touch(&self) {
        self.observe(Duration::from_micros(700));
        self.observe(Duration::from_secs(3_000));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::tests::written;

    fn buckets(seconds: &[f64]) -> Arc<LatencyBuckets> {
        let bounds: Vec<Duration> = seconds
            .iter()
            .map(|bound| Duration::from_secs_f64(*bound))
            .collect();
        Arc::new(LatencyBuckets::new(&bounds).unwrap())
    }

    #[test]
    fn every_bound_is_inclusive_and_agrees_with_a_linear_search() {
        let crowded = [0.001, 0.0011, 0.0012, 0.0013, 1.0, 1.5, 1.75, 3600.0];
        for buckets in [
            Arc::default(),
            buckets(&crowded),
            buckets(&[0.0001]),
            buckets(&[60.0]),
        ] {
            let bounds = &buckets.bounds;
            let around = bounds.iter().flat_map(|bound| [bound - 1, *bound, bound + 1]);
            let powers = (0..64).flat_map(|exponent| [1_u64 << exponent, (1_u64 << exponent) - 1]);
            for nanos in around.chain(powers).chain([0, u64::MAX]) {
                let linear = bounds
                    .iter()
                    .position(|bound| nanos <= *bound)
                    .unwrap_or(bounds.len());
                assert_eq!(buckets.bucket_of(nanos), linear, "{nanos} of {buckets:?}");
            }
        }
    }

    #[test]
    fn bounds_that_cannot_be_are_refused() {
        let second = Duration::from_secs(1);
        for bounds in [
            vec![],
            vec![second, second],
            vec![second * 2, second],
            vec![Duration::MAX],
            (1..=41).map(|number| second * number).collect(),
        ] {
            assert_eq!(LatencyBuckets::new(&bounds), None);
        }
    }

    #[test]
    fn bounds_are_written_with_a_fraction() {
        let texts = buckets(&[0.0001, 0.0005, 0.25, 1.0, 2.5, 30.0]).texts().join(" ");
        assert_eq!(texts, "0.0001 0.0005 0.25 1.0 2.5 30.0");
    }

    #[test]
    fn workers_are_summed_into_cumulative_buckets() {
        let buckets = buckets(&[0.01, 0.05, 1.0]);
        let workers = [0, 1].map(|_| Histogram::new(Arc::clone(&buckets)));
        assert_eq!(written(|out| Histogram::write(&workers, |cell| cell, out)), "");
        workers[0].observe(Duration::from_micros(400));
        workers[0].observe(Duration::from_millis(20));
        workers[1].observe(Duration::from_millis(20));
        workers[1].observe(Duration::from_secs(3));
        assert_eq!((workers[0].count(), workers[1].count()), (2, 2));
        assert_eq!(workers[0].sum(), Duration::from_micros(20_400));
        let text = written(|out| Histogram::write(&workers, |cell| cell, out));
        let counts: Vec<&str> = text.lines().filter_map(|line| line.rsplit(' ').next()).collect();
        assert_eq!(counts, ["1", "3", "3", "4", "3.0404", "4"]);
    }

    #[test]
    fn what_nobody_observes_takes_no_room_and_what_is_longest_fits() {
        let histogram = Histogram::new(Arc::default());
        assert!(histogram.counts.get().is_none());
        assert!(size_of::<Histogram>() <= 40);
        histogram.observe(Duration::MAX);
        assert_eq!(histogram.count(), 1);
    }
}
