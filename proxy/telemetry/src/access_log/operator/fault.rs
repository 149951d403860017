//! What is wrong with a format.

use super::{header, plain, rare};

/// Why a format cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// There is no such operator.
    #[error("unknown operator %{operator}% at byte {offset}{}", suggestion(*nearest))]
    UnknownOperator {
        /// What was written.
        operator: String,
        /// Where its percent sign stands, counted from 0.
        offset: usize,
        /// The operator that it resembles most.
        nearest: Option<&'static str>,
    },
    /// An operator of Envoy's that does not exist here.
    #[error("operator %{operator}% at byte {offset} does not exist here: {instead}")]
    NotHere {
        /// Its name.
        operator: &'static str,
        /// Where its percent sign stands, counted from 0.
        offset: usize,
        /// Why, or what to use instead.
        instead: &'static str,
    },
    /// A percent sign without its partner.
    #[error("the operator at byte {offset} has no closing %; a percent sign is written %%")]
    Unterminated {
        /// Where the percent sign stands, counted from 0.
        offset: usize,
    },
    /// An argument is missing, superfluous or malformed.
    #[error("operator %{operator}% at byte {offset}: {problem}")]
    Argument {
        /// The operator's name.
        operator: &'static str,
        /// Where its percent sign stands, counted from 0.
        offset: usize,
        /// What is wrong and what would be right.
        problem: &'static str,
    },
    /// The fault is in the template of one JSON key.
    #[error("key {key:?}: {source}")]
    InKey {
        /// The key.
        key: String,
        /// The fault.
        source: Box<FormatError>,
    },
    /// A JSON object cannot have a key twice.
    #[error("key {key:?} occurs twice")]
    DuplicateKey {
        /// The key.
        key: String,
    },
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or(String::new(), |nearest| format!("; did you mean %{nearest}%?"))
}

/// The operator that `name` was probably meant to be.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    // Nobody's mistake is longer than this; the cost below is quadratic.
    if name.len() > 64 {
        return None;
    }
    let names = plain::all()
        .map(|plain| plain.name)
        .chain(header::HEADERS.iter().map(|header| header.name))
        .chain(rare::RARE.iter().map(|rare| rare.name));
    let upper_case = name.to_ascii_uppercase();
    names
        .map(|known| (edit_distance(upper_case.as_bytes(), known.as_bytes()), known))
        .filter(|(distance, known)| *distance <= known.len().max(name.len()) / 2)
        .min()
        .map(|(_, known)| known)
}

/// Insertions, deletions and replacements that make one of the other (Levenshtein).
fn edit_distance(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (deleted, byte) in from.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], deleted + 1);
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(byte != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}
