//! Counters that a fixed label tells apart: one array, indexed by what the label can say.
//!
//! A sample appears once it has counted something; a label set that never saw a reason does not list it.

use super::{Counter, Series, counter_metric};
use crate::flags::ResponseFlags;
use prometheus::proto::{LabelPair, Metric, MetricType};
use std::marker::PhantomData;
use std::ops::Index;

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
    const KIND: MetricType = MetricType::COUNTER;
    const LABEL: Option<&'static str> = Some(L::NAME);

    fn new(_: &'static [&'static str]) -> CounterBy<L, N> {
        const { assert!(N == L::VALUES.len(), "a counter for each value") };
        CounterBy {
            counters: std::array::from_fn(|_| Counter::default()),
            label: PhantomData,
        }
    }

    fn samples(cells: &[&CounterBy<L, N>], labels: &[LabelPair], out: &mut Vec<Metric>) {
        for (index, value) in L::VALUES.iter().enumerate() {
            let sum = cells.iter().map(|cell| cell.counters[index].value()).sum();
            push_counted(sum, L::NAME, value, labels, out);
        }
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
    const KIND: MetricType = MetricType::COUNTER;
    const LABEL: Option<&'static str> = Some("reason");

    fn new(reasons: &'static [&'static str]) -> RefusalCounters {
        RefusalCounters {
            reasons,
            counters: reasons.iter().map(|_| Counter::default()).collect(),
        }
    }

    fn samples(cells: &[&RefusalCounters], labels: &[LabelPair], out: &mut Vec<Metric>) {
        let Some(first) = cells.first() else { return };
        for (index, reason) in first.reasons.iter().enumerate() {
            let sum = cells.iter().map(|cell| cell.counters[index].value()).sum();
            push_counted(sum, "reason", reason, labels, out);
        }
    }
}

/// Requests by response flag; a request with two flags counts once for each.
#[derive(Debug, Default)]
pub struct FlagCounters {
    counters: [Counter; ResponseFlags::COUNT],
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
        for index in flags.indexes() {
            self.counters[index].inc();
        }
    }
}

impl Series for FlagCounters {
    const KIND: MetricType = MetricType::COUNTER;
    const LABEL: Option<&'static str> = Some("flag");

    fn new(_: &'static [&'static str]) -> FlagCounters {
        FlagCounters::default()
    }

    fn samples(cells: &[&FlagCounters], labels: &[LabelPair], out: &mut Vec<Metric>) {
        for (index, flag) in ResponseFlags::NAMES.iter().enumerate() {
            let sum = cells.iter().map(|cell| cell.counters[index].value()).sum();
            push_counted(sum, "flag", flag, labels, out);
        }
    }
}

/// A name and a value.
pub(crate) fn label_pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

/// Appends a sample with one label more than `labels`, unless nothing was counted.
fn push_counted(sum: u64, name: &str, value: &str, labels: &[LabelPair], out: &mut Vec<Metric>) {
    if sum > 0 {
        let mut labels = labels.to_vec();
        labels.push(label_pair(name, value));
        out.push(counter_metric(sum, labels));
    }
}
