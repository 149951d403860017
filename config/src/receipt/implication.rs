//! Whether one condition follows from another, where that is certain.

use crate::model::{Condition, Domain, PathMatch, SpiffeMatch, StringMatch};

/// Conditions inside each other that are compared at most: those deeper are taken to be unlike.
const DEPTH_MAX: usize = 8;

/// Whatever `one` holds for, one of `others` holds for. False also where it is not known. `left` are the comparisons that
/// may be made.
pub(super) fn implies_one(one: &Condition, others: &[Condition], left: &mut u32) -> bool {
    if let Condition::AnyOf(any) = one {
        return any.iter().all(|one| implies_one(one, others, left));
    }
    others.iter().any(|other| implies(one, other, left))
        || matches!(one, Condition::All(all) if all.iter().any(|one| implies_one(one, others, left)))
}

/// Whatever `one` holds for, `other` holds for. False also where it is not known.
fn implies(one: &Condition, other: &Condition, left: &mut u32) -> bool {
    follows(one, other, 0, left)
}

fn follows(one: &Condition, other: &Condition, depth: usize, left: &mut u32) -> bool {
    if depth > DEPTH_MAX || *left == 0 {
        return false;
    }
    *left -= 1;
    let mut next = |one, other| follows(one, other, depth + 1, left);
    match (one, other) {
        (_, Condition::Always) => true,
        (one, other) if one == other => true,
        (Condition::AnyOf(any), other) => any.iter().all(|one| next(one, other)),
        (one, Condition::All(all)) => all.iter().all(|other| next(one, other)),
        (one, Condition::AnyOf(any)) if any.iter().any(|other| next(one, other)) => true,
        (Condition::All(all), other) => all.iter().any(|one| next(one, other)),
        (Condition::Not(one), Condition::Not(other)) => next(other, one),
        (one, other) => leaf(one, other),
    }
}

fn leaf(one: &Condition, other: &Condition) -> bool {
    match (one, other) {
        (Condition::Identity(one), Condition::Identity(other)) => identity(one, other),
        // A SPIFFE id is known of certificates that hold only.
        (Condition::Identity(_) | Condition::PeerName(_), Condition::Authenticated) => true,
        (Condition::RemoteAddress(one), Condition::RemoteAddress(other))
        | (Condition::DirectAddress(one), Condition::DirectAddress(other))
        | (Condition::DestinationAddress(one), Condition::DestinationAddress(other)) => other.contains(one),
        (Condition::DestinationPort(one), Condition::DestinationPort(other)) => {
            other.start() <= one.start() && one.end() <= other.end()
        }
        (Condition::Path(one), Condition::Path(other)) => path(one, other),
        (Condition::Host(one), Condition::Host(other)) => host(one, other),
        (Condition::ServerName(one), Condition::ServerName(other))
        | (Condition::PeerName(one), Condition::PeerName(other)) => text(one, other),
        (Condition::Header(one), Condition::Header(other)) => {
            one.name == other.name && !one.invert && !other.invert && text(&one.value, &other.value)
        }
        _ => false,
    }
}

/// Every id that `one` takes, `other` takes.
pub(crate) fn identity(one: &SpiffeMatch, other: &SpiffeMatch) -> bool {
    match (one, other) {
        (SpiffeMatch::Exact(id) | SpiffeMatch::Prefix(id), SpiffeMatch::TrustDomain(domain)) => {
            id.trust_domain() == domain.as_str()
        }
        (SpiffeMatch::Exact(id) | SpiffeMatch::Prefix(id), SpiffeMatch::Prefix(_)) => other.matches(id),
        (one, other) => one == other,
    }
}

fn path(one: &PathMatch, other: &PathMatch) -> bool {
    match (one, other) {
        (_, PathMatch::Prefix(prefix)) if prefix == "/" => true,
        (PathMatch::Exact(path) | PathMatch::Prefix(path), PathMatch::Prefix(prefix)) => below(path, prefix),
        (
            PathMatch::Exact(path) | PathMatch::Prefix(path) | PathMatch::StringPrefix(path),
            PathMatch::StringPrefix(prefix),
        ) => path.starts_with(prefix.as_str()),
        (PathMatch::Exact(path), PathMatch::Regex(pattern)) => pattern.anchored().is_match(path),
        _ => false,
    }
}

/// `path` is `prefix`, or below it on a border of segments.
fn below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

fn host(one: &Domain, other: &Domain) -> bool {
    match (one, other) {
        (_, Domain::Any) => true,
        (Domain::Exact(host) | Domain::Suffix(host), Domain::Suffix(suffix)) => {
            host.ends_with(suffix.as_str()) && (host.len() > suffix.len() || matches!(one, Domain::Suffix(_)))
        }
        (Domain::Exact(host) | Domain::Prefix(host), Domain::Prefix(prefix)) => {
            host.starts_with(prefix.as_str())
                && (host.len() > prefix.len() || matches!(one, Domain::Prefix(_)))
        }
        _ => false,
    }
}

/// Every text that `one` matches, `other` matches; one that is there matches [`StringMatch::Present`].
pub(crate) fn text(one: &StringMatch, other: &StringMatch) -> bool {
    match (one, other) {
        (_, StringMatch::Present) => true,
        (StringMatch::Exact(text) | StringMatch::Prefix(text), StringMatch::Prefix(prefix)) => {
            text.starts_with(prefix.as_str())
        }
        (StringMatch::Exact(text) | StringMatch::Suffix(text), StringMatch::Suffix(suffix)) => {
            text.ends_with(suffix.as_str())
        }
        (
            StringMatch::Exact(text)
            | StringMatch::Prefix(text)
            | StringMatch::Suffix(text)
            | StringMatch::Contains(text),
            StringMatch::Contains(part),
        ) => text.contains(part.as_str()),
        (StringMatch::Exact(text), StringMatch::Regex(pattern)) => pattern.anchored().is_match(text),
        (one, other) => one == other,
    }
}
