//! Counters that a fixed label tells apart: one array, indexed by what the label can say.
//!
//! A sample appears once it has counted something; a label set that never saw a reason does not list it.

use super::{Counter, Series, SharedCounter, Terms};
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

    /// This value's place in [`Label::VALUES`].
    fn index(self) -> usize;
}

/// One [`Counter`] for each value of the label `L`; `N` is how many there are.
///
/// `counters[TlsFailure::Timeout].inc()`.
#[derive(Debug)]
pub struct CounterBy<L, const N: usize> {
    counters: [Counter; N],
    label: PhantomData<L>,
}

impl<L: Label, const N: usize> Index<L> for CounterBy<L, N> {
    type Output = Counter;

    #[inline]
    fn index(&self, label: L) -> &Counter {
        &self.counters[label.index()]
    }
}

impl<L: Label, const N: usize> Series for CounterBy<L, N> {
    const KIND: Kind = Kind::Counter;
    const LABEL: Option<&'static str> = Some(L::NAME);
    const VALUES: &'static [&'static str] = L::VALUES;

    fn new(_: &Terms) -> CounterBy<L, N> {
        const { assert!(N == L::VALUES.len(), "a counter for each value") };
        CounterBy {
            counters: std::array::from_fn(|_| Counter::default()),
            label: PhantomData,
        }
    }

    fn write<C>(workers: &[C], cell: impl Fn(&C) -> &CounterBy<L, N>, out: &mut Samples<'_>) {
        let sum_of = |index: usize| {
            workers
                .iter()
                .map(|worker| cell(worker).counters[index].value())
                .sum()
        };
        write_counted(L::NAME, L::VALUES, sum_of, out);
    }

    #[cfg(test)]
    fn touch(&self) {
        self.counters.iter().for_each(Series::touch);
    }
}

/// The same with any number of writers; for what happens rarely.
#[derive(Debug)]
pub struct SharedCounterBy<L, const N: usize> {
    counters: [SharedCounter; N],
    label: PhantomData<L>,
}

impl<L: Label, const N: usize> Index<L> for SharedCounterBy<L, N> {
    type Output = SharedCounter;

    fn index(&self, label: L) -> &SharedCounter {
        &self.counters[label.index()]
    }
}

impl<L: Label, const N: usize> Series for SharedCounterBy<L, N> {
    const KIND: Kind = Kind::Counter;
    const LABEL: Option<&'static str> = Some(L::NAME);
    const VALUES: &'static [&'static str] = L::VALUES;

    fn new(_: &Terms) -> SharedCounterBy<L, N> {
        const { assert!(N == L::VALUES.len(), "a counter for each value") };
        SharedCounterBy {
            counters: std::array::from_fn(|_| SharedCounter::default()),
            label: PhantomData,
        }
    }

    fn write<C>(workers: &[C], cell: impl Fn(&C) -> &SharedCounterBy<L, N>, out: &mut Samples<'_>) {
        let sum_of = |index: usize| {
            workers
                .iter()
                .map(|worker| cell(worker).counters[index].value())
                .sum()
        };
        write_counted(L::NAME, L::VALUES, sum_of, out);
    }

    #[cfg(test)]
    fn touch(&self) {
        self.counters.iter().for_each(Series::touch);
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

    fn write<C>(workers: &[C], cell: impl Fn(&C) -> &RefusalCounters, out: &mut Samples<'_>) {
        let Some(first) = workers.first() else { return };
        let sum_of = |index: usize| {
            workers
                .iter()
                .map(|worker| cell(worker).counters[index].value())
                .sum()
        };
        write_counted("reason", cell(first).reasons, sum_of, out);
    }

    #[cfg(test)]
    fn touch(&self) {
        self.counters.iter().for_each(Series::touch);
    }
}

/// Requests by response flag; a request with two flags counts once for each.
///
/// Flags are rare: the counters are made by the first one, on the thread that writes.
#[derive(Debug, Default)]
pub struct FlagCounters {
    counters: OnceLock<Box<[Counter; ResponseFlags::COUNT]>>,
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
        let counters = self
            .counters
            .get_or_init(|| Box::new(std::array::from_fn(|_| Counter::default())));
        for index in flags.indexes() {
            counters[index].inc();
        }
    }
}

impl Series for FlagCounters {
    const KIND: Kind = Kind::Counter;
    const LABEL: Option<&'static str> = Some("flag");
    const VALUES: &'static [&'static str] = ResponseFlags::NAMES;

    fn new(_: &Terms) -> FlagCounters {
        FlagCounters::default()
    }

    fn write<C>(workers: &[C], cell: impl Fn(&C) -> &FlagCounters, out: &mut Samples<'_>) {
        let value_of = |cell: &FlagCounters, index: usize| {
            cell.counters.get().map_or(0, |counters| counters[index].value())
        };
        let sum_of = |index: usize| workers.iter().map(|worker| value_of(cell(worker), index)).sum();
        write_counted("flag", ResponseFlags::NAMES, sum_of, out);
    }

    #[cfg(test)]
    fn touch(&self) {
        self.add(ResponseFlags::UH | ResponseFlags::DC);
    }
}

/// Writes a sample for each value that has counted something.
fn write_counted(label: &str, values: &[&str], sum_of: impl Fn(usize) -> u64, out: &mut Samples<'_>) {
    for (index, value) in values.iter().enumerate() {
        let sum = sum_of(index);
        if sum > 0 {
            out.value_by(label, value, sum);
        }
    }
}
