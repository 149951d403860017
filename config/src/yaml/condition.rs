//! Conditions of authorization policies.
//!
//! A condition is a map of which all fields hold. One of one part is that part, so that what is written out reads back
//! as the same.

use super::headers;
use super::reader::{Fields, Part, Reader, scalar_of};
use super::route_match::path_match;
use super::scalar::{self, Problem, problem_with_help};
use super::shapes::{CLAIM_MATCH, CONDITION, PATH_MATCH, STRING_MATCH};
use super::tree::{Node, Value};
use crate::model::{ClaimMatch, Condition, ServerNameMatch, SpiffeMatch, StringMatch};
use std::ops::RangeInclusive;

/// Conditions inside each other at most, which bounds what deciding costs in stack.
const DEPTH_MAX: usize = 8;
/// Values in one list at most.
const VALUES_MAX: usize = 10_000;
/// Keys of a claim's path at most.
const CLAIM_KEYS_MAX: usize = 16;

pub(super) fn condition(reader: &mut Reader<'_>, node: &Node, depth: usize) -> Option<Condition> {
    if depth >= DEPTH_MAX {
        let message = format!("more than {DEPTH_MAX} conditions inside each other");
        reader.fault_with_help(node.span, message, "split the policy");
        return None;
    }
    if matches!(&node.value, Value::Map(entries) if entries.is_empty()) {
        let help = "write `always: true` where everything is meant";
        reader.fault_with_help(node.span, "this condition asks nothing", help);
        return None;
    }
    let fields = reader.fields(node, &CONDITION)?;
    let mut all = Vec::new();
    for (name, condition) in [
        ("always", Condition::Always),
        ("authenticated", Condition::Authenticated),
    ] {
        if only_true(reader, &fields, name) {
            all.push(condition);
        }
    }
    of_the_peer(reader, &fields, &mut all);
    of_the_connection(reader, &fields, &mut all);
    of_the_request(reader, &fields, &mut all);
    if let Some(node) = fields.node(reader, "not") {
        let inner = condition_below(reader, node, depth);
        all.extend(inner.map(|inner| Condition::Not(Box::new(inner))));
    }
    let any_of = below(reader, &fields, "any_of", depth);
    all.extend(one_or(any_of, Condition::AnyOf));
    let all_of = below(reader, &fields, "all_of", depth);
    all.extend(one_or(all_of, Condition::All));
    one_or(all, Condition::All)
}

fn condition_below(reader: &mut Reader<'_>, node: &Node, depth: usize) -> Option<Condition> {
    condition(reader, node, depth + 1)
}

fn below(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str, depth: usize) -> Vec<Condition> {
    let mut conditions = Vec::new();
    for node in bounded(reader, fields, name) {
        conditions.extend(condition_below(reader, node, depth));
    }
    conditions
}

fn one_or(mut conditions: Vec<Condition>, of: fn(Vec<Condition>) -> Condition) -> Option<Condition> {
    match conditions.len() {
        0 | 1 => conditions.pop(),
        _ => Some(of(conditions)),
    }
}

pub(super) fn only_true(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str) -> bool {
    let Some(value) = fields.boolean(reader, name) else {
        return false;
    };
    if !value {
        let message = format!("`{name}: false` matches nothing");
        reader.fault_with_help(
            fields.span_of(name),
            message,
            format!("write `not: {{{name}: true}}`"),
        );
    }
    value
}

/// The items of a list, of which there are not too many.
fn bounded<'n>(reader: &mut Reader<'_>, fields: &Fields<'n>, name: &str) -> &'n [std::sync::Arc<Node>] {
    let nodes = fields.list(reader, name);
    if nodes.len() <= VALUES_MAX {
        return nodes;
    }
    let message = format!(
        "`{name}` has {} items; at most {VALUES_MAX} are allowed",
        nodes.len()
    );
    reader.fault(fields.span_of(name), message);
    &nodes[..VALUES_MAX]
}

/// One of the texts in the list `name`.
fn any_text(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    name: &str,
    parse: impl Fn(&str) -> Result<Condition, Problem>,
) -> Option<Condition> {
    let mut conditions = Vec::new();
    for node in bounded(reader, fields, name) {
        conditions.extend(reader.parse(node, "a text", &parse));
    }
    one_or(conditions, Condition::AnyOf)
}

fn of_the_peer(reader: &mut Reader<'_>, fields: &Fields<'_>, all: &mut Vec<Condition>) {
    all.extend(any_text(reader, fields, "spiffe_ids", |text| {
        Ok(Condition::Identity(SpiffeMatch::Exact(scalar::workload_id(
            text,
        )?)))
    }));
    all.extend(any_text(reader, fields, "spiffe_prefixes", |text| {
        Ok(Condition::Identity(SpiffeMatch::Prefix(scalar::spiffe_id(text)?)))
    }));
    all.extend(any_text(reader, fields, "trust_domains", |text| {
        Ok(Condition::Identity(SpiffeMatch::TrustDomain(
            scalar::trust_domain(text)?,
        )))
    }));
    let whole = |text: &str| Ok(StringMatch::Exact(text.to_owned()));
    let names = strings(reader, fields, "peer_names", whole);
    all.extend(one_or(
        names.into_iter().map(Condition::PeerName).collect(),
        Condition::AnyOf,
    ));
}

fn of_the_connection(reader: &mut Reader<'_>, fields: &Fields<'_>, all: &mut Vec<Condition>) {
    all.extend(any_text(reader, fields, "remote_addresses", |text| {
        scalar::prefix(text).map(Condition::RemoteAddress)
    }));
    all.extend(any_text(reader, fields, "direct_addresses", |text| {
        scalar::prefix(text).map(Condition::DirectAddress)
    }));
    all.extend(any_text(reader, fields, "destination_addresses", |text| {
        scalar::prefix(text).map(Condition::DestinationAddress)
    }));
    all.extend(any_text(reader, fields, "destination_ports", |text| {
        ports(text).map(Condition::DestinationPort)
    }));
    let names = strings(reader, fields, "server_names", |text| {
        Ok(match scalar::dns_name_match(text)? {
            ServerNameMatch::Exact(name) => StringMatch::Exact(name),
            ServerNameMatch::Suffix(suffix) => StringMatch::Suffix(suffix),
        })
    });
    let names = names.into_iter().map(lower_case).map(Condition::ServerName);
    all.extend(one_or(names.collect(), Condition::AnyOf));
}

/// What is compared with texts that are in lower case.
pub(super) fn lower_case(name: StringMatch) -> StringMatch {
    match name {
        StringMatch::Exact(text) => StringMatch::Exact(text.to_ascii_lowercase()),
        StringMatch::Prefix(text) => StringMatch::Prefix(text.to_ascii_lowercase()),
        StringMatch::Suffix(text) => StringMatch::Suffix(text.to_ascii_lowercase()),
        StringMatch::Contains(text) => StringMatch::Contains(text.to_ascii_lowercase()),
        other => other,
    }
}

fn of_the_request(reader: &mut Reader<'_>, fields: &Fields<'_>, all: &mut Vec<Condition>) {
    all.extend(any_text(reader, fields, "methods", |text| {
        scalar::method(text).map(Condition::Method)
    }));
    let mut paths = Vec::new();
    for node in bounded(reader, fields, "paths") {
        if let Some(fields) = reader.fields(node, &PATH_MATCH) {
            paths.extend(path_match(reader, &fields).map(Condition::Path));
        }
    }
    all.extend(one_or(paths, Condition::AnyOf));
    all.extend(any_text(reader, fields, "hosts", |text| {
        scalar::domain(text).map(Condition::Host)
    }));
    let headers = headers::header_matches(reader, fields, "headers");
    all.extend(headers.into_iter().map(Condition::Header));
    let query = headers::query_matches(reader, fields);
    all.extend(query.into_iter().map(Condition::Query));
    for node in bounded(reader, fields, "claims") {
        all.extend(claim(reader, node).map(Condition::Claim));
    }
}

/// Texts that are compared as a whole, by what `whole` makes of them, or as a map says.
pub(super) fn strings(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    name: &str,
    whole: impl Fn(&str) -> Result<StringMatch, Problem>,
) -> Vec<StringMatch> {
    let mut matches = Vec::new();
    for node in bounded(reader, fields, name) {
        matches.extend(string(reader, node, &whole));
    }
    matches
}

/// As one of [`strings`].
pub(super) fn string(
    reader: &mut Reader<'_>,
    node: &Node,
    whole: impl Fn(&str) -> Result<StringMatch, Problem>,
) -> Option<StringMatch> {
    if scalar_of(node).is_some() {
        return reader.parse(node, "a text or a map (text match)", whole);
    }
    let fields = reader.fields(node, &STRING_MATCH)?;
    headers::compared_or_present(reader, &fields)
}

fn claim(reader: &mut Reader<'_>, node: &Node) -> Option<ClaimMatch> {
    let fields = reader.fields(node, &CLAIM_MATCH)?;
    let provider = reader.reference(&fields, "provider", Part::JwtProvider);
    let path = fields
        .node(reader, "path")
        .and_then(|node| claim_path(reader, node));
    let value = headers::compared_or_present(reader, &fields);
    Some(ClaimMatch {
        provider,
        path: path?,
        value: value?,
    })
}

/// Keys from the outside in: a text with dots between them, or a list.
pub(super) fn claim_path(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<String>> {
    let path: Vec<String> = match &node.value {
        Value::List(_) => {
            let mut keys = Vec::new();
            for node in reader.items(node, true) {
                keys.push(reader.text(node, "a key")?);
            }
            keys
        }
        _ => reader
            .text(node, "a text or a list of keys")?
            .split('.')
            .map(str::to_owned)
            .collect(),
    };
    if path.iter().any(String::is_empty) {
        let help = "a key that holds a dot stands in a list: `[a.b]`";
        reader.fault_with_help(node.span, "a key of a claim may not be empty", help);
        return None;
    }
    if path.len() > CLAIM_KEYS_MAX {
        reader.fault(
            node.span,
            format!("a claim's path has at most {CLAIM_KEYS_MAX} keys"),
        );
        return None;
    }
    (!path.is_empty()).then_some(path)
}

/// `443`, `8000-8100`.
fn ports(text: &str) -> Result<RangeInclusive<u16>, Problem> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (port(first), port(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => problem_with_help(
            format!(
                "expected a port or a range of ports, found `{}`",
                scalar::shortened(text)
            ),
            "such as `443` or `8000-8100`",
        ),
    }
}
