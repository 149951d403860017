//! Authorization policies as YAML.
//!
//! Conditions are written in the fields in which people write them, as long as they read back as the same: in the
//! reader's order, one value's list after the other.

use super::emit::{Map, Out, list, text};
use super::route::{put_string_match, string_match};
use super::{boolean, domain_text, number, word};
use crate::model::{
    AuthorizationAction, AuthorizationPolicy, ClaimMatch, Condition, PathMatch, SpiffeMatch, StringMatch,
};
use crate::yaml::shapes::CONDITION;

pub(super) fn policy(policy: &AuthorizationPolicy) -> Out {
    let action = match policy.action {
        AuthorizationAction::Allow => "allow",
        AuthorizationAction::Deny => "deny",
        AuthorizationAction::Audit => "audit",
    };
    Map::default()
        .with("name", text(&policy.name))
        .with("action", word(action))
        .with("shadow", boolean(policy.shadow))
        .with("rules", list(policy.rules.iter().map(condition)))
        .into()
}

fn condition(condition: &Condition) -> Map {
    let Condition::All(all) = condition else {
        let (field, value) = field(condition);
        return Map::default().with(field, value.into_out());
    };
    let mut fields: Vec<(&'static str, Written)> = Vec::new();
    for (name, value) in all.iter().map(field) {
        match (fields.last_mut(), value) {
            (None, value) => fields.push((name, value)),
            (Some((last, _)), value) if order(last) < order(name) => fields.push((name, value)),
            (Some((last, Written::All(before))), Written::All(more)) if *last == name => before.extend(more),
            _ => return Map::default().with("all_of", list(all.iter().map(self::condition))),
        }
    }
    let mut map = Map::default();
    for (name, value) in fields {
        map.put(name, value.into_out());
    }
    map
}

fn order(name: &str) -> usize {
    CONDITION
        .field_names()
        .position(|field| field == name)
        .expect("conditions are written in fields of their shape")
}

/// The value of a condition's field.
enum Written {
    /// A list of which one holds.
    Any(Vec<Out>),
    /// A list of which all hold.
    All(Vec<Out>),
    Other(Out),
}

impl Written {
    fn into_out(self) -> Out {
        match self {
            Written::Any(items) | Written::All(items) => Out::List(items),
            Written::Other(out) => out,
        }
    }
}

fn field(condition: &Condition) -> (&'static str, Written) {
    match condition {
        Condition::Always => ("always", Written::Other(boolean(true))),
        Condition::Authenticated => ("authenticated", Written::Other(boolean(true))),
        Condition::Header(one) => (
            "headers",
            Written::All(vec![
                string_match(one.name.as_str(), &one.value, one.invert).into(),
            ]),
        ),
        Condition::Query(one) => (
            "query",
            Written::All(vec![string_match(&one.name, &one.value, one.invert).into()]),
        ),
        Condition::Claim(one) => ("claims", Written::All(vec![claim(one).into()])),
        Condition::Not(inner) => ("not", Written::Other(self::condition(inner).into())),
        Condition::All(all) => ("all_of", Written::Other(list(all.iter().map(self::condition)))),
        Condition::AnyOf(any) => match one_field(any) {
            Some((name, values)) => (name, Written::Any(values)),
            None => ("any_of", Written::Other(list(any.iter().map(self::condition)))),
        },
        leaf => match value(leaf) {
            Some((name, out)) => (name, Written::Any(vec![out])),
            None => unreachable!("every other condition is a value of a list"),
        },
    }
}

/// Conditions that are values of the same list.
fn one_field(any: &[Condition]) -> Option<(&'static str, Vec<Out>)> {
    let values: Vec<(&'static str, Out)> = any.iter().map(value).collect::<Option<_>>()?;
    let name = values.first()?.0;
    let same = values.len() > 1 && values.iter().all(|(other, _)| *other == name);
    same.then(|| (name, values.into_iter().map(|(_, out)| out).collect()))
}

/// A condition that is a value of a list of which one holds.
fn value(condition: &Condition) -> Option<(&'static str, Out)> {
    Some(match condition {
        Condition::Identity(SpiffeMatch::Exact(id)) => ("spiffe_ids", text(id)),
        Condition::Identity(SpiffeMatch::Prefix(id)) => ("spiffe_prefixes", text(id)),
        Condition::Identity(SpiffeMatch::TrustDomain(domain)) => ("trust_domains", text(domain)),
        Condition::PeerName(name) => ("peer_names", string(name)),
        Condition::RemoteAddress(prefix) => ("remote_addresses", text(prefix)),
        Condition::DirectAddress(prefix) => ("direct_addresses", text(prefix)),
        Condition::DestinationAddress(prefix) => ("destination_addresses", text(prefix)),
        Condition::DestinationPort(ports) if ports.start() == ports.end() => {
            ("destination_ports", number((*ports.start()).into()))
        }
        Condition::DestinationPort(ports) => {
            let range = format!("{}-{}", ports.start(), ports.end());
            ("destination_ports", Out::Plain(range))
        }
        // As a map: what a text of its own means depends on its first characters.
        Condition::ServerName(name) => {
            let mut map = Map::default();
            put_string_match(&mut map, name);
            ("server_names", map.into())
        }
        Condition::Method(method) => ("methods", text(method)),
        Condition::Path(path) => ("paths", path_match(path).into()),
        Condition::Host(domain) => ("hosts", text(domain_text(domain))),
        Condition::Always
        | Condition::All(_)
        | Condition::AnyOf(_)
        | Condition::Not(_)
        | Condition::Authenticated
        | Condition::Header(_)
        | Condition::Query(_)
        | Condition::Claim(_) => return None,
    })
}

pub(super) fn string(value: &StringMatch) -> Out {
    let mut map = Map::default();
    put_string_match(&mut map, value);
    match value {
        StringMatch::Exact(exact) => text(exact),
        _ => map.into(),
    }
}

fn path_match(path: &PathMatch) -> Map {
    let map = Map::default();
    match path {
        PathMatch::Exact(path) => map.with("path", text(path)),
        PathMatch::Prefix(path) => map.with("prefix", text(path)),
        PathMatch::StringPrefix(path) => map.with("string_prefix", text(path)),
        PathMatch::Template(template) => map.with("template", text(&template.source)),
        PathMatch::Regex(pattern) => map.with("regex", text(pattern.source())),
    }
}

fn claim(claim: &ClaimMatch) -> Map {
    let mut map = Map::default();
    if let Some(provider) = &claim.provider {
        map.put("provider", text(provider));
    }
    map.put("path", list(claim.path.iter().map(text)));
    put_string_match(&mut map, &claim.value);
    map
}
