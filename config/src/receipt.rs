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
use findings::Findings;

/// Remarks that a receipt keeps; the rest is counted.
pub const REMARKS_MAX: usize = 1_000;

/// What is odd about one configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    remarks: Vec<Diagnostic>,
    left_out: usize,
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
/// to the configuration.
pub fn receipt(config: &MeshConfig) -> Receipt {
    let mut receipt = Receipt::default();
    receipt.extend(config.notes().as_slice().iter().cloned());
    let found = find(config);
    receipt.steps = found.steps;
    receipt.extend(found.remarks);
    receipt.left_out += found.left_out;
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
    /// How many more there are than [`REMARKS_MAX`].
    pub fn left_out(&self) -> usize {
        self.left_out
    }
    /// Nothing is odd.
    pub fn is_empty(&self) -> bool {
        self.remarks.is_empty()
    }
    /// How often rules looked at a part, or compared two: the cost, whatever the machine.
    pub fn steps(&self) -> u64 {
        self.steps
    }
    /// How many remarks there are of each code that has any; those that were left out are not among them.
    pub fn counts(&self) -> impl Iterator<Item = (Code, usize)> {
        let of = |code: Code| {
            self.remarks
                .iter()
                .filter(|remark| remark.code == Some(code))
                .count()
        };
        let counts = Code::ALL.iter().map(move |code| (*code, of(*code)));
        counts.filter(|(_, count)| *count > 0)
    }

    /// Adds a remark that does not follow from the configuration alone.
    pub fn add(&mut self, code: Code, place: Place<'_>, message: String, help: &str) {
        self.extend([Diagnostic::remark(code, place, message, help.to_owned())]);
    }

    /// Gives the remarks of a document the lines that they point at.
    pub fn with_lines(mut self, source: &Source) -> Receipt {
        let own = self
            .remarks
            .iter_mut()
            .filter(|remark| remark.path.is_none() && *remark.file == *source.name);
        crate::yaml::give_lines_of(own, source);
        self
    }

    pub(crate) fn into_remarks(self) -> Vec<Diagnostic> {
        self.remarks
    }

    fn extend(&mut self, remarks: impl IntoIterator<Item = Diagnostic>) {
        for remark in remarks {
            match self.remarks.len() {
                REMARKS_MAX.. => self.left_out += 1,
                _ => self.remarks.push(remark),
            }
        }
        self.remarks.sort_by(|one, other| one.order().cmp(&other.order()));
    }
}

#[cfg(test)]
mod tests;
