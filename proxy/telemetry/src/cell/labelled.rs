//! Counters that a fixed label tells apart: one array, indexed by what the label can say.
//!
//! A sample appears once it has counted something; a label set that never saw a reason does not list it. What alerts look at
//! is there from the start ([`CounterFromZeroBy`]).

use super::{Count, Counter, Series, SharedCounter, Terms};
use crate::exposition::{Kind, Samples};
use crate::flags::ResponseFlags;
use std::marker::PhantomData;
use std::ops::Index;
use std::sync::OnceLock;

/// A closed set of label values, small numbers in memory.
pub trait Label: Copy + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// Every value's text; a value's [`Label::index`] is its place.
    const VALUES: &'static [&'static str];
    /// Which of them are shown from zero on, where a family is ([`CounterFromZeroBy`]).
    const FROM_ZERO: &'static [bool] = &[];

    /// This value's place in [`Label::VALUES`].
    fn index(self) -> usize;
}

/// One counter for each value of the label `L`, on one writer or several as `C` allows; `N` is how many there are.
///
/// `FROM_ZERO`: the values that the label says so of are shown before they have counted anything.
///
/// `counters[TlsFailure::Timeout].inc()`.
#[derive(Debug)]
pub struct CountersBy<C, L, const N: usize, const FROM_ZERO: bool = false> {
    counters: [C; N],
    label: PhantomData<L>,
}

/// A [`Counter`] for each value of the label `L`.
pub type CounterBy<L, const N: usize> = CountersBy<Counter, L, N>;

/// The same of which alerts look at how it grows. A series that begins with its first burst has not grown by it: what is
/// looked at is there from zero on.
pub type CounterFromZeroBy<L, const N: usize> = CountersBy<Counter, L, N, true>;

/// The same with any number of writers; for what happens rarely.
pub type SharedCounterBy<L, const N: usize> = CountersBy<SharedCounter, L, N>;

/// [`CounterFromZeroBy`] with any number of writers.
pub type SharedCounterFromZeroBy<L, const N: usize> = CountersBy<SharedCounter, L, N, true>;

impl<C, L: Label, const N: usize, const FROM_ZERO: bool> Index<L> for CountersBy<C, L, N, FROM_ZERO> {
    type Output = C;

    #[inline]
    fn index(&self, label: L) -> &C {
        &self.counters[label.index()]
    }
}

impl<C: Count, L: Label, const N: usize, const FROM_ZERO: bool> Series for CountersBy<C, L, N, FROM_ZERO> {
    const KIND: Kind = Kind::Counter;
    const LABEL: Option<&'static str> = Some(L::NAME);
    const VALUES: &'static [&'static str] = L::VALUES;
    const FROM_ZERO: &'static [bool] = if FROM_ZERO { L::FROM_ZERO } else { &[] };

    fn new(_: &Terms) -> Self {
        const { assert!(N == L::VALUES.len(), "a counter for each value") };
        CountersBy {
            counters: std::array::from_fn(|_| C::default()),
            label: PhantomData,
        }
    }

    fn write<W>(workers: &[W], cell: impl Fn(&W) -> &Self, out: &mut Samples<'_>) {
        let count_of = |worker: &W, index: usize| cell(worker).counters[index].count();
        write_counted((L::NAME, L::VALUES, Self::FROM_ZERO), workers, count_of, out);
    }

    #[cfg(test)]
    fn touch(&self) {
        self.counters.iter().for_each(Series::touch);
    }
}

/// The counters of a label whose values are rare: the first count makes them, on the thread that writes.
#[derive(Debug, Default)]
struct LateCounters<const N: usize>(OnceLock<Box<[Counter; N]>>);

impl<const N: usize> LateCounters<N> {
    fn at(&self, index: usize) -> &Counter {
        let make = || Box::new(std::array::from_fn(|_| Counter::default()));
        &self.0.get_or_init(make)[index]
    }

    fn count(&self, index: usize) -> u64 {
        self.0.get().map_or(0, |counters| counters[index].value())
    }
}

/// A [`Counter`] for each value of the label `L`, for labels that most label sets never count: until the first time this
/// is a pointer.
#[derive(Debug)]
pub struct RareCounterBy<L, const N: usize> {
    counters: LateCounters<N>,
    label: PhantomData<L>,
}

impl<L: Label, const N: usize> RareCounterBy<L, N> {
    /// Adds one.
    pub fn inc(&self, label: L) {
        self.counters.at(label.index()).inc();
    }
}

impl<L: Label, const N: usize> Series for RareCounterBy<L, N> {
    const KIND: Kind = Kind::Counter;
    const LABEL: Option<&'static str> = Some(L::NAME);
    const VALUES: &'static [&'static str] = L::VALUES;

    fn new(_: &Terms) -> RareCounterBy<L, N> {
        const { assert!(N == L::VALUES.len(), "a counter for each value") };
        RareCounterBy {
            counters: LateCounters::default(),
            label: PhantomData,
        }
    }

    fn write<W>(workers: &[W], cell: impl Fn(&W) -> &RareCounterBy<L, N>, out: &mut Samples<'_>) {
        let count_of = |worker: &W, index: usize| cell(worker).counters.count(index);
        write_counted((L::NAME, L::VALUES, &[]), workers, count_of, out);
    }

    #[cfg(test)]
    fn touch(&self) {
        (0..N).for_each(|index| self.counters.at(index).inc());
    }
}

/// Refused requests, by the reasons that [`crate::Metrics::new`] was given.
#[derive(Debug)]
pub struct RefusalCounters {
    reasons: &'static [&'static str],
    counters: Box<[Counter]>,
}

impl RefusalCounters {
    /// Counts one refusal for the reason with this index.
    ///
    /// # Panics
    /// If there is no such reason: the list and the indexes are written by the same hand.
    pub fn refuse(&self, reason: usize) {
        self.counters[reason].inc();
    }
}

impl Series for RefusalCounters {
    const KIND: Kind = Kind::Counter;
    const LABEL: Option<&'static str> = Some("reason");

    fn new(terms: &Terms) -> RefusalCounters {
        RefusalCounters {
            reasons: terms.refusal_reasons,
            counters: terms.refusal_reasons.iter().map(|_| Counter::default()).collect(),
        }
    }

    fn write<W>(workers: &[W], cell: impl Fn(&W) -> &RefusalCounters, out: &mut Samples<'_>) {
        let Some(first) = workers.first() else { return };
        let count_of = |worker: &W, index: usize| cell(worker).counters[index].value();
        write_counted(("reason", cell(first).reasons, &[]), workers, count_of, out);
    }

    #[cfg(test)]
    fn touch(&self) {
        self.counters.iter().for_each(Series::touch);
    }
}

/// Requests by response flag; a request with two flags counts once for each.
///
/// Flags are rare: the counters are made by the first one.
#[derive(Debug, Default)]
pub struct FlagCounters {
    counters: LateCounters<{ ResponseFlags::COUNT }>,
}

impl FlagCounters {
    /// Counts each of `flags`: one test when there are none.
    #[inline]
    pub fn add(&self, flags: ResponseFlags) {
        if !flags.is_empty() {
            self.add_each(flags);
        }
    }

    #[cold]
    fn add_each(&self, flags: ResponseFlags) {
        flags.indexes().for_each(|index| self.counters.at(index).inc());
    }
}

impl Series for FlagCounters {
    const KIND: Kind = Kind::Counter;
    const LABEL: Option<&'static str> = Some("flag");
    const VALUES: &'static [&'static str] = ResponseFlags::NAMES;

    fn new(_: &Terms) -> FlagCounters {
        FlagCounters::default()
    }

    fn write<W>(workers: &[W], cell: impl Fn(&W) -> &FlagCounters, out: &mut Samples<'_>) {
        let count_of = |worker: &W, index: usize| cell(worker).counters.count(index);
        write_counted(("flag", ResponseFlags::NAMES, &[]), workers, count_of, out);
    }

    #[cfg(test)]
    fn touch(&self) {
        self.add(ResponseFlags::UH | ResponseFlags::DC);
    }
}

/// Writes a sample for each value that has counted something or is shown from zero on, the workers' counts summed.
fn write_counted<W>(
    (label, values, from_zero): (&str, &[&str], &[bool]),
    workers: &[W],
    count_of: impl Fn(&W, usize) -> u64,
    out: &mut Samples<'_>,
) {
    for (index, value) in values.iter().enumerate() {
        let sum: u64 = workers.iter().map(|worker| count_of(worker, index)).sum();
        if sum > 0 || from_zero.get(index) == Some(&true) {
            out.value_by(label, value, sum);
        }
    }
}
