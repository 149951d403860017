//! How many remarks there are.

use super::Code;
use std::collections::BTreeMap;

/// How many remarks there are of each code; exact, whatever becomes of their texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<Code, usize>);

impl Counts {
    /// One more; what has no code is no remark.
    pub(crate) fn add(&mut self, code: Option<Code>) {
        if let Some(code) = code {
            *self.0.entry(code).or_default() += 1;
        }
    }

    /// As many more as those.
    pub(crate) fn merge(&mut self, others: &Counts) {
        for (code, count) in others.iter() {
            *self.0.entry(code).or_default() += count;
        }
    }

    /// Those that there are any of.
    pub fn iter(&self) -> impl Iterator<Item = (Code, usize)> + '_ {
        self.0.iter().map(|(code, count)| (*code, *count))
    }

    /// How many there are in all.
    pub fn sum(&self) -> usize {
        self.0.values().sum()
    }
}
