//! A policy's condition, compiled: everything that does not depend on what is asked is done ahead.

use super::facts::{Facts, PeerFacts, RequestFacts};
use super::networks::{AddressKind, Networks, comparable};
use super::reading::{self, Doubt, Question, Resolved};
use super::truth::Truth;
use crate::routing::{path_matches, value_matches};
use ipnet::IpNet;
use outrigger_config::model::{
    ClaimMatch, Condition, Domain, HeaderMatch, PathMatch, QueryMatch, SpiffeId, SpiffeMatch, StringMatch,
    TemplateSegment,
};
use serde_json::Value;
use std::collections::HashSet;
use std::ops::RangeInclusive;

/// Alternatives of one kind that are compared one by one; more are looked up.
const ALTERNATIVES_COMPARED_MAX: usize = 4;

/// A compiled condition.
#[derive(Debug)]
pub(super) enum Node {
    Constant(Truth),
    All(Box<[Node]>),
    AnyOf(Box<[Node]>),
    Not(Box<Node>),
    Identity(SpiffeMatch),
    /// One of these, exactly.
    Identities(HashSet<SpiffeId, foldhash::fast::FixedState>),
    Authenticated,
    PeerName(StringMatch),
    Address(AddressKind, IpNet),
    Addresses(AddressKind, Networks<()>),
    DestinationPort(RangeInclusive<u16>),
    ServerName(StringMatch),
    Method(String),
    Path(PathMatch, ResolvedPath),
    Host(Domain),
    Header(HeaderMatch),
    Query(QueryMatch),
    Claim(ClaimMatch),
}

/// What a path condition is to paths that are resolved.
#[derive(Debug)]
pub(super) enum ResolvedPath {
    /// The same.
    Same,
    /// A path of its own.
    Path(PathMatch),
    /// A template's segments; none: any that is not empty.
    Template(Box<[Option<String>]>),
}

impl ResolvedPath {
    pub(super) fn of(path: &PathMatch) -> ResolvedPath {
        let path = match path {
            PathMatch::Exact(path) => Resolved::of(path).path.map(PathMatch::Exact),
            PathMatch::Prefix(path) => Resolved::of(path).path.map(PathMatch::Prefix),
            PathMatch::Template(template) => {
                return ResolvedPath::of_template(template.segments());
            }
            // What an expression, or a text that ends anywhere, means for an escape that is gone cannot be told: it is asked
            // as it is.
            PathMatch::StringPrefix(_) | PathMatch::Regex(_) => None,
        };
        path.map_or(ResolvedPath::Same, ResolvedPath::Path)
    }

    fn of_template(segments: &[TemplateSegment]) -> ResolvedPath {
        let resolve = |literal: &String| {
            let resolved = Resolved::of(&format!("/{literal}")).path?;
            Some(resolved[1..].to_owned())
        };
        let literals = segments.iter().map(|segment| match segment {
            TemplateSegment::Literal(literal) => Some(literal),
            TemplateSegment::Variable(_) => None,
        });
        if !literals
            .clone()
            .flatten()
            .any(|literal| resolve(literal).is_some())
        {
            return ResolvedPath::Same;
        }
        let resolved = |literal: Option<&String>| {
            literal.map(|literal| resolve(literal).unwrap_or_else(|| literal.clone()))
        };
        ResolvedPath::Template(literals.map(resolved).collect())
    }
}

/// What a set of policies is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// A connection: what requests say is unknown.
    Connection,
    /// A request.
    Request,
}

impl Node {
    pub(super) fn compile(condition: &Condition, scope: Scope) -> Node {
        let compiled = |conditions: &[Condition]| -> Vec<Node> {
            conditions.iter().map(|part| Node::compile(part, scope)).collect()
        };
        match condition {
            Condition::Always => Node::Constant(Truth::True),
            Condition::All(parts) => all(compiled(parts)),
            Condition::AnyOf(parts) => any_of(compiled(parts)),
            Condition::Not(part) => match Node::compile(part, scope) {
                Node::Constant(truth) => Node::Constant(!truth),
                node => Node::Not(Box::new(node)),
            },
            Condition::Identity(identity) => Node::Identity(identity.clone()),
            Condition::Authenticated => Node::Authenticated,
            Condition::PeerName(name) => Node::PeerName(name.clone()),
            Condition::RemoteAddress(net) => Node::Address(AddressKind::Remote, comparable(*net)),
            Condition::DirectAddress(net) => Node::Address(AddressKind::Direct, comparable(*net)),
            Condition::DestinationAddress(net) => Node::Address(AddressKind::Destination, comparable(*net)),
            Condition::DestinationPort(ports) => Node::DestinationPort(ports.clone()),
            Condition::ServerName(name) => Node::ServerName(lower_case(name)),
            _ if scope == Scope::Connection => Node::Constant(Truth::Unknown),
            Condition::Method(method) => Node::Method(method.clone()),
            Condition::Path(path) => Node::Path(path.clone(), ResolvedPath::of(path)),
            Condition::Host(host) => Node::Host(reading::normal_domain(host)),
            Condition::Header(header) => Node::Header(header.clone()),
            Condition::Query(query) => Node::Query(query.clone()),
            Condition::Claim(claim) => Node::Claim(claim.clone()),
        }
    }

    /// Whether it holds.
    pub(super) fn truth(&self, question: &Question<'_>) -> Truth {
        let facts = question.facts;
        match self {
            Node::Constant(truth) => *truth,
            Node::All(parts) => {
                let mut truth = Truth::True;
                for part in parts {
                    truth = truth.and(part.truth(question));
                    if truth == Truth::False {
                        break;
                    }
                }
                truth
            }
            Node::AnyOf(parts) => {
                let mut truth = Truth::False;
                for part in parts {
                    truth = truth.or(part.truth(question));
                    if truth == Truth::True {
                        break;
                    }
                }
                truth
            }
            Node::Not(part) => !part.truth(question),
            Node::Identity(wanted) => identity(facts).is_some_and(|id| wanted.matches(id)).into(),
            Node::Identities(wanted) => identity(facts).is_some_and(|id| wanted.contains(id)).into(),
            Node::Authenticated => facts.peer.is_some().into(),
            Node::PeerName(wanted) => facts
                .peer
                .is_some_and(|peer| any_name(peer, &|name| value_matches(wanted, name.as_bytes())))
                .into(),
            Node::Address(kind, net) => kind
                .of(facts)
                .map_or(Truth::Unknown, |address| net.contains(&address).into()),
            Node::Addresses(kind, networks) => kind
                .of(facts)
                .map_or(Truth::Unknown, |address| networks.contains(address).into()),
            Node::DestinationPort(ports) => ports.contains(&facts.destination.port()).into(),
            Node::ServerName(wanted) => facts
                .server_name
                .is_some_and(|name| value_matches(wanted, name.trim_end_matches('.').as_bytes()))
                .into(),
            _ => facts
                .request
                .map_or(Truth::Unknown, |request| self.truth_of_request(question, request)),
        }
    }

    fn truth_of_request<'f>(&self, question: &Question<'f>, request: &'f dyn RequestFacts) -> Truth {
        match self {
            Node::Method(method) => (request.method() == method).into(),
            Node::Path(wanted, resolved) => path_truth(wanted, resolved, question, request),
            Node::Host(wanted) => {
                let (kept, decoded) = question.hosts(request);
                let truth = Truth::from(domain_matches(wanted, kept));
                decoded.map_or(truth, |decoded| {
                    truth.agreed(domain_matches(wanted, decoded).into())
                })
            }
            Node::Header(wanted) => {
                let test = |value: &[u8]| value_matches(wanted.value(), value);
                inverted(
                    wanted.invert(),
                    reading::header_truth(request, wanted.name().as_str(), &test),
                )
            }
            Node::Query(wanted) => {
                let test = |value: &[u8]| value_matches(wanted.value(), value);
                inverted(
                    wanted.invert(),
                    reading::query_truth(request.query(), wanted.name(), &test),
                )
            }
            Node::Claim(wanted) => claim_holds(wanted, request).into(),
            _ => unreachable!("what connections tell is decided before"),
        }
    }
}

fn inverted(invert: bool, truth: Truth) -> Truth {
    if invert { !truth } else { truth }
}

/// The peer's SPIFFE id.
pub(super) fn identity<'f>(facts: &Facts<'f>) -> Option<&'f SpiffeId> {
    facts.peer.and_then(|peer| peer.spiffe_id())
}

fn any_name(peer: &dyn PeerFacts, test: &dyn Fn(&str) -> bool) -> bool {
    let mut found = false;
    peer.names(&mut |name| found = found || test(name));
    found
}

fn path_truth<'f>(
    wanted: &PathMatch,
    resolved: &ResolvedPath,
    question: &Question<'f>,
    request: &'f dyn RequestFacts,
) -> Truth {
    let (kept, others) = question.paths(request);
    if kept.is_empty() {
        // CONNECT has no path, and nothing is true of none.
        return Truth::False;
    }
    let is_in_doubt = match wanted {
        // Whatever it is read as, it is below the root.
        PathMatch::Prefix(prefix) if prefix == "/" => false,
        PathMatch::StringPrefix(_) | PathMatch::Regex(_) => others.doubt != Doubt::Nothing,
        _ => others.doubt == Doubt::Everything,
    };
    if is_in_doubt {
        return Truth::Unknown;
    }
    let read = others.path.as_deref();
    let truth = Truth::from(path_matches(wanted, kept));
    let other = match (resolved, read) {
        (ResolvedPath::Same, None) => return truth,
        (ResolvedPath::Same, Some(read)) => path_matches(wanted, read),
        (ResolvedPath::Path(wanted), read) => path_matches(wanted, read.unwrap_or(kept)),
        (ResolvedPath::Template(segments), read) => template_matches(segments, read.unwrap_or(kept)),
    };
    truth.agreed(other.into())
}

fn template_matches(segments: &[Option<String>], path: &str) -> bool {
    let Some(path) = path.strip_prefix('/') else {
        return false;
    };
    path.split('/').count() == segments.len()
        && path.split('/').zip(segments).all(|(came, wanted)| match wanted {
            Some(literal) => came == literal,
            None => !came.is_empty(),
        })
}

fn domain_matches(wanted: &Domain, host: &str) -> bool {
    match wanted {
        Domain::Exact(name) => name == host,
        Domain::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
        Domain::Prefix(prefix) => host.len() > prefix.len() && host.starts_with(prefix.as_str()),
        Domain::Any => true,
    }
}

fn claim_holds(wanted: &ClaimMatch, request: &dyn RequestFacts) -> bool {
    request.claims().is_some_and(|claims| {
        claims
            .find(wanted.provider().as_ref(), wanted.path())
            .any(|value| claim_matches(wanted.value(), value))
    })
}

fn claim_matches(wanted: &StringMatch, value: &Value) -> bool {
    if *wanted == StringMatch::Present {
        return true;
    }
    let mut matched = false;
    claim_texts(value, &mut |text| {
        matched = matched || value_matches(wanted, text.as_bytes());
    });
    matched
}

/// Calls `each` with what a claim says: texts, numbers and booleans, and those of a list.
pub(super) fn claim_texts(value: &Value, each: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => each(text),
        Value::Bool(value) => each(if *value { "true" } else { "false" }),
        Value::Number(number) => each(&number.to_string()),
        Value::Array(elements) => elements
            .iter()
            .filter(|element| !element.is_array())
            .for_each(|element| claim_texts(element, each)),
        Value::Null | Value::Object(_) => {}
    }
}

fn lower_case(wanted: &StringMatch) -> StringMatch {
    match wanted {
        StringMatch::Exact(text) => StringMatch::Exact(text.to_ascii_lowercase()),
        StringMatch::Prefix(text) => StringMatch::Prefix(text.to_ascii_lowercase()),
        StringMatch::Suffix(text) => StringMatch::Suffix(text.to_ascii_lowercase()),
        StringMatch::Contains(text) => StringMatch::Contains(text.to_ascii_lowercase()),
        StringMatch::Regex(_) | StringMatch::Present => wanted.clone(),
    }
}

fn all(mut parts: Vec<Node>) -> Node {
    let known = constant(&mut parts, Truth::True, Truth::and);
    match known {
        _ if parts.is_empty() => Node::Constant(known),
        Truth::False => Node::Constant(Truth::False),
        Truth::Unknown => {
            parts.push(Node::Constant(Truth::Unknown));
            Node::All(parts.into())
        }
        Truth::True => Node::All(parts.into()),
    }
}

fn any_of(mut parts: Vec<Node>) -> Node {
    let known = constant(&mut parts, Truth::False, Truth::or);
    match known {
        _ if parts.is_empty() => return Node::Constant(known),
        Truth::True => return Node::Constant(Truth::True),
        Truth::Unknown => parts.push(Node::Constant(Truth::Unknown)),
        Truth::False => {}
    }
    gather_identities(&mut parts);
    for kind in AddressKind::ALL {
        gather_addresses(&mut parts, kind);
    }
    Node::AnyOf(parts.into())
}

/// Takes the constants out of the parts, and joins them.
fn constant(parts: &mut Vec<Node>, neutral: Truth, join: fn(Truth, Truth) -> Truth) -> Truth {
    let mut known = neutral;
    parts.retain(|part| match part {
        Node::Constant(truth) => {
            known = join(known, *truth);
            false
        }
        _ => true,
    });
    known
}

fn gather_identities(parts: &mut Vec<Node>) {
    let is_exact = |part: &Node| matches!(part, Node::Identity(SpiffeMatch::Exact(_)));
    if parts.iter().filter(|part| is_exact(part)).count() <= ALTERNATIVES_COMPARED_MAX {
        return;
    }
    let mut gathered = HashSet::default();
    parts.retain(|part| match part {
        Node::Identity(SpiffeMatch::Exact(id)) => {
            gathered.insert(id.clone());
            false
        }
        _ => true,
    });
    parts.push(Node::Identities(gathered));
}

fn gather_addresses(parts: &mut Vec<Node>, kind: AddressKind) {
    let is_kind = |part: &Node| matches!(part, Node::Address(other, _) if *other == kind);
    if parts.iter().filter(|part| is_kind(part)).count() <= ALTERNATIVES_COMPARED_MAX {
        return;
    }
    let mut gathered = Networks::default();
    parts.retain(|part| match part {
        Node::Address(other, net) if *other == kind => {
            gathered.insert(*net, ());
            false
        }
        _ => true,
    });
    parts.push(Node::Addresses(kind, gathered));
}
