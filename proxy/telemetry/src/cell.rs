//! The cells that numbers are kept in.
//!
//! [`Counter`], [`Gauge`] and [`histogram::Histogram`] have one writer, the worker that owns them: an addition is a load and a
//! store, without a locked instruction. Readers on other threads see each value whole, and perhaps a moment late.
//! [`SharedCounter`] and [`SharedGauge`] may be written from anywhere. Nothing here knows names or labels.

pub(crate) mod histogram;
pub(crate) mod labelled;

use crate::exposition::{Kind, Samples};
use histogram::LatencyBuckets;
use std::sync::Arc;
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

/// Time that is used up, in whole nanoseconds, written from anywhere and shown in seconds.
#[derive(Debug, Default)]
pub struct SharedDuration(AtomicU64);

impl SharedDuration {
    /// Replaces what has been used; it never falls.
    pub fn raise_to(&self, used: Duration) {
        let nanos = u64::try_from(used.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_max(nanos, Relaxed);
    }

    /// What has been used.
    pub fn value(&self) -> Duration {
        Duration::from_nanos(self.0.load(Relaxed))
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

/// A number that any thread may replace, and that is not shown before somebody does.
#[derive(Debug)]
pub struct LateGauge(AtomicI64);

impl LateGauge {
    /// Nobody has said a number.
    const NONE: i64 = i64::MIN;

    /// Replaces the number.
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    /// The number, if there is one.
    pub fn value(&self) -> Option<i64> {
        Some(self.0.load(Relaxed)).filter(|value| *value != LateGauge::NONE)
    }
}

impl Default for LateGauge {
    fn default() -> LateGauge {
        LateGauge(AtomicI64::new(LateGauge::NONE))
    }
}

/// A share that any thread may replace: set in percent, shown as a ratio.
#[derive(Debug, Default)]
pub struct SharedRatio(AtomicI64);

impl SharedRatio {
    /// Replaces the share.
    pub fn set_percent(&self, percent: u32) {
        self.0.store(i64::from(percent), Relaxed);
    }

    /// The share, of 1.
    pub fn value(&self) -> f64 {
        self.0.load(Relaxed) as f64 / 100.0
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

/// What all cells of the process are made by.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// The reasons of refused requests.
    pub(crate) refusal_reasons: &'static [&'static str],
    pub(crate) buckets: Arc<LatencyBuckets>,
}

/// How cells of one kind, one a worker, become the samples of one label set.
pub(crate) trait Series: Sized {
    /// The family's type.
    const KIND: Kind;
    /// The label that tells the cells of one value apart, if there is one.
    const LABEL: Option<&'static str> = None;
    /// What that label can say, where the cell alone decides it.
    const VALUES: &'static [&'static str] = &[];
    /// Which of them are shown before they have counted anything; those beyond its end are not.
    const FROM_ZERO: &'static [bool] = &[];
    /// What several holders of one cell write adds up. Where the last one to write counts, a cell that is shared by what
    /// has nothing to do with each other says nothing.
    const ADDS_UP: bool = true;

    /// A cell that has counted nothing.
    fn new(terms: &Terms) -> Self;

    /// Writes the samples of the sum over `workers` of what `cell` finds in each.
    fn write<C>(workers: &[C], cell: impl Fn(&C) -> &Self, out: &mut Samples<'_>);

    /// Counts something of everything that it can.
    #[cfg(test)]
    fn touch(&self);
}

/// A cell that only counts.
pub(crate) trait Count: Default + Series {
    /// What it has counted.
    fn count(&self) -> u64;
}

impl Count for Counter {
    fn count(&self) -> u64 {
        self.value()
    }
}

impl Count for SharedCounter {
    fn count(&self) -> u64 {
        self.value()
    }
}

/// Cells whose only sample is the sum of their values.
macro_rules! plain_series {
    ($($cell:ty as $kind:ident: $sum:ty, $adds_up:literal, $touch:expr;)*) => {$(
        impl Series for $cell {
            const KIND: Kind = Kind::$kind;
            const ADDS_UP: bool = $adds_up;

            fn new(_: &Terms) -> $cell {
                <$cell>::default()
            }

            fn write<C>(workers: &[C], cell: impl Fn(&C) -> &$cell, out: &mut Samples<'_>) {
                let values = workers.iter().map(|worker| cell(worker).value());
                out.value(values.fold(0, <$sum>::wrapping_add));
            }

            #[cfg(test)]
            fn touch(&self) {
                $touch(self);
            }
        }
    )*};
}

plain_series! {
    Counter as Counter: u64, true, Counter::inc;
    SharedCounter as Counter: u64, true, SharedCounter::inc;
    Gauge as Gauge: i64, true, Gauge::dec;
    SharedGauge as Gauge: i64, false, |gauge: &SharedGauge| gauge.set(i64::MAX);
}

impl Series for SharedDuration {
    const KIND: Kind = Kind::Counter;

    fn new(_: &Terms) -> SharedDuration {
        SharedDuration::default()
    }

    fn write<C>(workers: &[C], cell: impl Fn(&C) -> &SharedDuration, out: &mut Samples<'_>) {
        let used: Duration = workers.iter().map(|worker| cell(worker).value()).sum();
        out.value(used.as_secs_f64());
    }

    #[cfg(test)]
    fn touch(&self) {
        self.raise_to(Duration::from_millis(1));
    }
}

impl Series for LateGauge {
    const KIND: Kind = Kind::Gauge;
    const ADDS_UP: bool = false;

    fn new(_: &Terms) -> LateGauge {
        LateGauge::default()
    }

    fn write<C>(workers: &[C], cell: impl Fn(&C) -> &LateGauge, out: &mut Samples<'_>) {
        if let Some(value) = workers.iter().filter_map(|worker| cell(worker).value()).max() {
            out.value(value);
        }
    }

    #[cfg(test)]
    fn touch(&self) {
        self.set(1);
    }
}

impl Series for SharedRatio {
    const KIND: Kind = Kind::Gauge;
    const ADDS_UP: bool = false;

    fn new(_: &Terms) -> SharedRatio {
        SharedRatio::default()
    }

    fn write<C>(workers: &[C], cell: impl Fn(&C) -> &SharedRatio, out: &mut Samples<'_>) {
        let highest = workers.iter().map(|worker| cell(worker).value());
        out.value(highest.fold(0.0, f64::max));
    }

    #[cfg(test)]
    fn touch(&self) {
        self.set_percent(50);
    }
}

impl Series for Countdown {
    const KIND: Kind = Kind::Gauge;
    const ADDS_UP: bool = false;

    fn new(_: &Terms) -> Countdown {
        Countdown::default()
    }

    /// The nearest one, if several are told apart by nothing.
    fn write<C>(workers: &[C], cell: impl Fn(&C) -> &Countdown, out: &mut Samples<'_>) {
        let now = SystemTime::now();
        if let Some(left) = workers.iter().filter_map(|worker| cell(worker).left(now)).min() {
            out.value(left);
        }
    }

    #[cfg(test)]
    fn touch(&self) {
        self.set(Some(UNIX_EPOCH));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::exposition::{ExpositionFormat, Heading, Page};

    /// What is written of one label set, without the heading.
    pub(crate) fn written(write: impl FnOnce(&mut Samples<'_>)) -> String {
        let mut page = Page::new(ExpositionFormat::Text);
        page.family(Heading {
            name: "x",
            help: "x",
            kind: Kind::Gauge,
        });
        write(&mut page.samples(""));
        let text = page.take(0);
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| format!("{line}\n"))
            .collect()
    }

    #[test]
    fn a_gauge_may_fall_below_zero_on_one_worker() {
        let workers = [Gauge::default(), Gauge::default()];
        workers[0].inc();
        workers[1].dec();
        assert_eq!(workers[1].value(), -1);
        assert_eq!(written(|out| Gauge::write(&workers, |cell| cell, out)), "x 0\n");
    }

    #[test]
    fn a_countdown_goes_below_zero_and_is_absent_without_a_moment() {
        let (countdown, now) = (Countdown::default(), UNIX_EPOCH + Duration::from_secs(1_000));
        let shown = |countdown: &Countdown| {
            written(|out| Countdown::write(std::slice::from_ref(countdown), |cell| cell, out))
        };
        assert_eq!(shown(&countdown), "");
        for (moment, left) in [(1_500, 500), (1_000, 0), (400, -600)] {
            countdown.set(Some(UNIX_EPOCH + Duration::from_secs(moment)));
            assert_eq!(countdown.left(now), Some(left));
        }
        assert!(shown(&countdown).starts_with("x -"));
        countdown.set(None);
        assert_eq!(countdown.left(now), None);
    }

    #[test]
    fn time_that_is_used_is_shown_in_seconds_and_never_falls() {
        let used = SharedDuration::default();
        used.raise_to(Duration::from_millis(1_250));
        used.raise_to(Duration::from_millis(250));
        let shown = written(|out| SharedDuration::write(&[used], |cell| cell, out));
        assert_eq!(shown, "x 1.25\n");
    }
}
