//! Receipts: what a configuration says that never comes to anything, that contradicts itself, or that will soon fail.
//!
//! A receipt's remarks are warnings ([`Diagnostic`]) with a [`Code`], the part that they are about, and what would be
//! right. Some are found while a document is read, because only the reader knows what was written and what is a default:
//! they come with the configuration ([`crate::model::Notes`]). The others follow from the configuration as a whole: one function
//! for each rule, below here. A rule speaks only where it is certain; what it cannot decide, or could only at a cost that
//! grows with the square of the configuration, it passes over. No clock, no files, no sockets.

mod breakers;
mod clusters;
mod code;
mod counts;
mod faults;
mod findings;
pub(crate) mod implication;
mod listeners;
mod policies;
mod rate_limits;
mod retries;
mod routes;
mod timeouts;

pub use code::Code;

use crate::diagnostic::Diagnostic;
use crate::model::{MeshConfig, Origin};
use crate::source::Source;
pub use counts::Counts;
use findings::Findings;
use std::time::SystemTime;

/// Remarks of which a receipt keeps the text; the rest is counted.
pub const REMARKS_MAX: usize = 1_000;

/// What is odd about one configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    remarks: Vec<Diagnostic>,
    /// Of all, also of those that are not kept.
    counts: Counts,
    steps: u64,
}

/// A part with its field, as a remark names them.
#[derive(Debug, Clone, Copy)]
pub struct Place<'p> {
    /// What kind of part it is: `cluster`.
    pub what: &'p str,
    /// Its name.
    pub name: &'p str,
    /// Where it was written.
    pub origin: &'p Origin,
    /// The field that is meant, from the part on: `retry.per_try_timeout`. Empty: the whole part.
    pub field: &'p str,
}

/// Makes the receipt of a configuration: what was noted when it was read, and what all rules find. Costs time in proportion
/// to the configuration. What depends on the time is added by [`Receipt::add_expired`].
pub fn receipt(config: &MeshConfig) -> Receipt {
    let notes = config.notes();
    let mut receipt = find(config);
    receipt.keep(notes.as_slice().iter().cloned());
    receipt.counts.merge(notes.counts());
    receipt
}

/// What the rules find, without what was noted.
pub(crate) fn find(config: &MeshConfig) -> Receipt {
    let mut findings = Findings::new(config);
    for rule in RULES {
        rule(&mut findings);
    }
    findings.into_receipt()
}

/// For how long what is found as of some time is what would be found.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Holding {
    /// None: always before.
    since: Option<SystemTime>,
    /// None: for ever.
    until: Option<SystemTime>,
}

impl Holding {
    pub(crate) fn of(config: &MeshConfig, now: SystemTime) -> Holding {
        Holding {
            since: faults::expiries(config).filter(|moment| *moment <= now).max(),
            until: faults::expiries(config).filter(|moment| *moment > now).min(),
        }
    }

    pub(crate) fn is_at(&self, now: SystemTime) -> bool {
        self.since.is_none_or(|since| since <= now) && self.until.is_none_or(|until| now < until)
    }
}

type Rule = fn(&mut Findings<'_>);

/// Every rule: one function for each thing that is looked at.
const RULES: &[Rule] = &[
    listeners::covered,
    listeners::limits,
    listeners::chains,
    listeners::certificates,
    timeouts::of_connections,
    timeouts::of_routes,
    retries::of_routes,
    routes::of_routes,
    routes::of_hosts,
    routes::of_subsets,
    faults::of_all,
    clusters::of_each,
    breakers::of_each,
    policies::known,
    policies::contradictions,
    rate_limits::stricter,
    rate_limits::overrides,
];

impl Receipt {
    /// The remarks, in the order of documents.
    pub fn remarks(&self) -> &[Diagnostic] {
        &self.remarks
    }
    /// How many there are in all.
    pub fn count(&self) -> usize {
        self.counts.sum()
    }
    /// How many there are beside those of which the text is kept, at most [`REMARKS_MAX`].
    pub fn left_out(&self) -> usize {
        self.count().saturating_sub(self.remarks.len())
    }
    /// Nothing is odd.
    pub fn is_empty(&self) -> bool {
        self.remarks.is_empty()
    }
    /// How often rules looked at a part, or compared two: the cost, whatever the machine.
    pub fn steps(&self) -> u64 {
        self.steps
    }
    /// How many remarks there are of each code that has any, those without text included.
    pub fn counts(&self) -> impl Iterator<Item = (Code, usize)> {
        self.counts.iter()
    }

    /// Adds a remark that does not follow from the configuration alone.
    pub fn add(&mut self, code: Code, place: Place<'_>, message: String, help: &str) {
        self.extend([Diagnostic::remark(code, place, message, help.to_owned())]);
    }

    /// Adds a remark for each fault of the configuration whose time is over as of `now`.
    pub fn add_expired(&mut self, config: &MeshConfig, now: SystemTime) {
        self.extend(faults::expired(config, now));
    }

    /// Gives the remarks of a document the lines that they point at.
    pub fn with_lines(mut self, source: &Source) -> Receipt {
        let own = self
            .remarks
            .iter_mut()
            .filter(|remark| remark.path.is_none() && *remark.file == *source.name);
        crate::yaml::give_lines_of(own, &source.text);
        self
    }

    pub(crate) fn into_remarks(self) -> Vec<Diagnostic> {
        self.remarks
    }

    fn extend(&mut self, remarks: impl IntoIterator<Item = Diagnostic>) {
        let mut counts = std::mem::take(&mut self.counts);
        self.keep(remarks.into_iter().inspect(|remark| counts.add(remark.code)));
        self.counts = counts;
    }

    /// Keeps the text of as many as there is room for; they are counted already.
    fn keep(&mut self, remarks: impl Iterator<Item = Diagnostic>) {
        for remark in remarks {
            if self.remarks.len() < REMARKS_MAX {
                self.remarks.push(remark);
            }
        }
        self.remarks.sort_by(|one, other| one.order().cmp(&other.order()));
    }
}

#[cfg(test)]
mod tests;
