//! Refuses filter chains of one listener that match alike.

use super::reader::Reader;
use crate::model::{FilterChain, FilterChainMatch, ServerNameMatch};
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// Values of the shorter of two lists that are compared with each of the longer.
const COMPARED_MAX: usize = 8;

/// Refuses chains of which a connection could not tell which is meant: some combination of conditions is the same.
pub(super) fn refuse(reader: &mut Reader<'_>, chains: &[FilterChain]) {
    let mut groups: HashMap<_, Vec<&FilterChain>> = HashMap::new();
    for chain in chains {
        let matches = &chain.matches;
        let names = or_none(&matches.server_names);
        let mut equal = None;
        for name in names {
            let group = groups
                .entry((matches.destination_port, matches.transport, name))
                .or_default();
            equal = equal.or_else(|| {
                group
                    .iter()
                    .copied()
                    .find(|other| !std::ptr::eq(*other, chain) && overlap(&other.matches, matches))
            });
            group.push(chain);
        }
        if let Some(other) = equal {
            let span = reader.place(&chain.origin);
            let message = format!(
                "the filter chains `{}` and `{}` match alike",
                other.name, chain.name
            );
            let help = if other.tls.is_some() == chain.tls.is_some() {
                "give one of them a `match` of its own"
            } else {
                "give the one with `tls` the match `transport: tls`"
            };
            reader.fault_with_help(span, message, help);
        }
    }
}

fn overlap(one: &FilterChainMatch, other: &FilterChainMatch) -> bool {
    fn share<T: Eq + Hash>(one: &[T], other: &[T]) -> bool {
        if one.is_empty() || other.is_empty() {
            return one.is_empty() && other.is_empty();
        }
        // Long lists would take the product of their lengths.
        if one.len().min(other.len()) <= COMPARED_MAX {
            return one.iter().any(|value| other.contains(value));
        }
        let one: HashSet<&T> = one.iter().collect();
        other.iter().any(|value| one.contains(value))
    }
    share(&one.destination_prefixes, &other.destination_prefixes)
        && share(&one.application_protocols, &other.application_protocols)
        && share(&one.source_prefixes, &other.source_prefixes)
}

fn or_none(values: &[ServerNameMatch]) -> Vec<Option<&ServerNameMatch>> {
    if values.is_empty() {
        vec![None]
    } else {
        values.iter().map(Some).collect()
    }
}
