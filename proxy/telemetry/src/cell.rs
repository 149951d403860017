//! The cells that numbers are kept in.
//!
//! [`Counter`], [`Gauge`] and [`Histogram`] have one writer, the worker that owns them: an addition is a load and a
//! store, without a locked instruction. Readers on other threads see each value whole, and perhaps a moment late.
//! [`SharedCounter`] and [`SharedGauge`] may be written from anywhere. Nothing here knows names or labels.

pub(crate) mod labelled;

use prometheus::proto::{self, LabelPair, Metric, MetricType};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A count that only grows, with a single writer: two threads that add at once lose additions.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `amount`.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    /// What has been counted.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A count that only grows, with any number of writers; for what happens rarely.
#[derive(Debug, Default)]
pub struct SharedCounter(AtomicU64);

impl SharedCounter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `amount`.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }

    /// What has been counted.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that rises and falls, with a single writer. What one worker began another may end: each side's gauge is
/// then off, one below zero perhaps, and the sum over the workers is right.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.set(self.value().wrapping_add(1));
    }

    /// Takes one away.
    #[inline]
    pub fn dec(&self) {
        self.set(self.value().wrapping_sub(1));
    }

    /// Replaces the value.
    #[inline]
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// A number that any thread may replace.
#[derive(Debug, Default)]
pub struct SharedGauge(AtomicI64);

impl SharedGauge {
    /// Replaces the value.
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    /// The value.
    pub fn value(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// A moment that is waited for, shown as the seconds that are left when it is read: negative once it has passed, and
/// nothing while there is none. Any thread may replace it.
#[derive(Debug)]
pub struct Countdown(AtomicI64);

impl Countdown {
    /// No moment is waited for.
    const NONE: i64 = i64::MIN;

    /// Replaces the moment.
    pub fn set(&self, moment: Option<SystemTime>) {
        let seconds = moment.map(seconds_since_1970);
        self.0.store(seconds.unwrap_or(Countdown::NONE), Relaxed);
    }

    /// What is left at `now`, in seconds; none while no moment is waited for.
    pub fn left(&self, now: SystemTime) -> Option<i64> {
        let moment = self.0.load(Relaxed);
        (moment != Countdown::NONE).then(|| moment.saturating_sub(seconds_since_1970(now)))
    }
}

impl Default for Countdown {
    fn default() -> Countdown {
        Countdown(AtomicI64::new(Countdown::NONE))
    }
}

fn seconds_since_1970(time: SystemTime) -> i64 {
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => seconds(since),
        Err(before) => -seconds(before.duration()),
    }
}

/// Upper bounds of the buckets, inclusive, in nanoseconds; above the last there is one more bucket without a bound.
/// From half a millisecond, where a hop on one machine ends, to a minute, where timeouts do.
const BOUNDS: [u64; 16] = [
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
];

/// For each power of two, the bucket of the power itself. No two bounds lie within one octave, so that the bucket of
/// any value is this one or the next: one comparison instead of sixteen.
const FIRST_BUCKET: [u8; 64] = {
    let mut table = [0; 64];
    let mut exponent = 0;
    while exponent < 64 {
        let mut bucket = 0;
        while bucket < BOUNDS.len() && (1_u64 << exponent) > BOUNDS[bucket] {
            bucket += 1;
        }
        table[exponent] = bucket as u8;
        exponent += 1;
    }
    table
};

/// Durations in fixed buckets, with a single writer.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BOUNDS.len() + 1],
    sum_nanos: Counter,
}

impl Histogram {
    /// Counts one duration: two additions.
    #[inline]
    pub fn observe(&self, duration: Duration) {
        let nanos = duration
            .as_secs()
            .saturating_mul(1_000_000_000)
            .saturating_add(duration.subsec_nanos().into());
        self.buckets[bucket_of(nanos)].inc();
        self.sum_nanos.add(nanos);
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(Counter::value).sum()
    }

    /// The sum of all durations.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_nanos.value())
    }
}

#[inline]
fn bucket_of(nanos: u64) -> usize {
    let bucket = FIRST_BUCKET[(nanos | 1).ilog2() as usize] as usize;
    match BOUNDS.get(bucket) {
        Some(bound) => bucket + usize::from(nanos > *bound),
        None => BOUNDS.len(),
    }
}

/// How cells of one kind, one a worker, become the samples of one label set.
pub(crate) trait Series: Sized {
    /// The family's type.
    const KIND: MetricType;
    /// The label that tells the cells of one value apart, if there is one.
    const LABEL: Option<&'static str> = None;

    /// A cell that has counted nothing. `refusal_reasons` are the process's own.
    fn new(refusal_reasons: &'static [&'static str]) -> Self;

    /// Appends the samples of the sum of `cells`.
    fn samples(cells: &[&Self], labels: &[LabelPair], out: &mut Vec<Metric>);
}

/// A counter's sample.
fn counter_metric(value: u64, labels: Vec<LabelPair>) -> Metric {
    let mut counter = proto::Counter::default();
    counter.set_value(value as f64);
    let mut metric = Metric::from_label(labels);
    metric.set_counter(counter);
    metric
}

/// A gauge's sample.
fn gauge_metric(value: i64, labels: Vec<LabelPair>) -> Metric {
    let mut gauge = proto::Gauge::default();
    gauge.set_value(value as f64);
    let mut metric = Metric::from_label(labels);
    metric.set_gauge(gauge);
    metric
}

impl Series for Counter {
    const KIND: MetricType = MetricType::COUNTER;

    fn new(_: &'static [&'static str]) -> Counter {
        Counter::default()
    }

    fn samples(cells: &[&Counter], labels: &[LabelPair], out: &mut Vec<Metric>) {
        out.push(counter_metric(
            cells.iter().map(|cell| cell.value()).sum(),
            labels.to_vec(),
        ));
    }
}

impl Series for SharedCounter {
    const KIND: MetricType = MetricType::COUNTER;

    fn new(_: &'static [&'static str]) -> SharedCounter {
        SharedCounter::default()
    }

    fn samples(cells: &[&SharedCounter], labels: &[LabelPair], out: &mut Vec<Metric>) {
        out.push(counter_metric(
            cells.iter().map(|cell| cell.value()).sum(),
            labels.to_vec(),
        ));
    }
}

impl Series for Gauge {
    const KIND: MetricType = MetricType::GAUGE;

    fn new(_: &'static [&'static str]) -> Gauge {
        Gauge::default()
    }

    fn samples(cells: &[&Gauge], labels: &[LabelPair], out: &mut Vec<Metric>) {
        out.push(gauge_metric(
            cells.iter().map(|cell| cell.value()).sum(),
            labels.to_vec(),
        ));
    }
}

impl Series for SharedGauge {
    const KIND: MetricType = MetricType::GAUGE;

    fn new(_: &'static [&'static str]) -> SharedGauge {
        SharedGauge::default()
    }

    fn samples(cells: &[&SharedGauge], labels: &[LabelPair], out: &mut Vec<Metric>) {
        out.push(gauge_metric(
            cells.iter().map(|cell| cell.value()).sum(),
            labels.to_vec(),
        ));
    }
}

impl Series for Countdown {
    const KIND: MetricType = MetricType::GAUGE;

    fn new(_: &'static [&'static str]) -> Countdown {
        Countdown::default()
    }

    /// The nearest one, if several are told apart by nothing.
    fn samples(cells: &[&Countdown], labels: &[LabelPair], out: &mut Vec<Metric>) {
        let now = SystemTime::now();
        if let Some(left) = cells.iter().filter_map(|cell| cell.left(now)).min() {
            out.push(gauge_metric(left, labels.to_vec()));
        }
    }
}

impl Series for Histogram {
    const KIND: MetricType = MetricType::HISTOGRAM;

    fn new(_: &'static [&'static str]) -> Histogram {
        Histogram::default()
    }

    /// Nothing before the first observation: a mesh has many clusters that most sidecars never call, and a histogram
    /// is nineteen lines.
    fn samples(cells: &[&Histogram], labels: &[LabelPair], out: &mut Vec<Metric>) {
        let count_of = |bucket: usize| cells.iter().map(|cell| cell.buckets[bucket].value()).sum::<u64>();
        let mut cumulative = 0;
        let mut buckets = Vec::with_capacity(BOUNDS.len());
        for (index, bound) in BOUNDS.iter().enumerate() {
            cumulative += count_of(index);
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(*bound as f64 / 1e9);
            bucket.set_cumulative_count(cumulative);
            buckets.push(bucket);
        }
        let count = cumulative + count_of(BOUNDS.len());
        if count == 0 {
            return;
        }
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(count);
        histogram.set_sample_sum(cells.iter().map(|cell| cell.sum_nanos.value()).sum::<u64>() as f64 / 1e9);
        let mut metric = Metric::from_label(labels.to_vec());
        metric.set_histogram(histogram);
        out.push(metric);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_may_fall_below_zero_on_one_worker() {
        let (began, ended) = (Gauge::default(), Gauge::default());
        began.inc();
        ended.dec();
        let mut out = Vec::new();
        Gauge::samples(&[&began, &ended], &[], &mut out);
        assert_eq!((ended.value(), out[0].get_gauge().get_value()), (-1, 0.0));
    }

    #[test]
    fn a_countdown_goes_below_zero_and_is_absent_without_a_moment() {
        let (countdown, now) = (Countdown::default(), UNIX_EPOCH + Duration::from_secs(1_000));
        let mut out = Vec::new();
        Countdown::samples(&[&countdown], &[], &mut out);
        assert!(out.is_empty());
        for (moment, left) in [(1_500, 500), (1_000, 0), (400, -600)] {
            countdown.set(Some(UNIX_EPOCH + Duration::from_secs(moment)));
            assert_eq!(countdown.left(now), Some(left));
        }
        Countdown::samples(&[&countdown], &[], &mut out);
        assert!(out[0].get_gauge().get_value() < -600.0);
        countdown.set(None);
        assert_eq!(countdown.left(now), None);
    }

    #[test]
    fn every_bound_is_inclusive_and_agrees_with_a_linear_search() {
        let around = BOUNDS.iter().flat_map(|bound| [bound - 1, *bound, bound + 1]);
        let powers = (0..64).flat_map(|exponent| [1_u64 << exponent, (1_u64 << exponent) - 1]);
        for nanos in around.chain(powers).chain([u64::MAX]) {
            let expected = BOUNDS
                .iter()
                .position(|bound| nanos <= *bound)
                .unwrap_or(BOUNDS.len());
            assert_eq!(bucket_of(nanos), expected, "{nanos}");
        }
    }

    #[test]
    fn a_histogram_is_cumulative_when_read_and_absent_when_empty() {
        let (one, two) = (Histogram::default(), Histogram::default());
        let mut out = Vec::new();
        Histogram::samples(&[&one, &two], &[], &mut out);
        assert!(out.is_empty());

        one.observe(Duration::from_micros(400));
        one.observe(Duration::from_millis(20));
        two.observe(Duration::from_millis(20));
        two.observe(Duration::MAX);
        assert_eq!(two.count(), 2);
        assert_eq!(one.sum(), Duration::from_micros(20_400));
        Histogram::samples(&[&one, &two], &[], &mut out);
        let histogram = out[0].get_histogram();
        let counts: Vec<u64> = histogram
            .get_bucket()
            .iter()
            .map(|b| b.cumulative_count())
            .collect();
        assert_eq!(counts, [1, 1, 1, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3]);
        assert_eq!(histogram.get_sample_count(), 4);
    }
}
