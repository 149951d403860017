//! Which of the things that a rule asks for it is found by.
// An anchor refers to a compiled pattern, whose caches take no part in its hash.
#![allow(clippy::mutable_key_type)]

use super::super::condition::{ResolvedPath, Scope};
use super::super::networks::{AddressKind, comparable};
use super::super::reading;
use foldhash::{HashMap, HashSet};
use ipnet::IpNet;
use outrigger_config::model::{Condition, Domain, Name, PathMatch, SpiffeMatch, StringMatch};

/// Ports of a range that are looked up one by one; a wider range is no anchor.
const PORTS_MAX: usize = 16;

/// Names of headers, parameters and claims that each request is asked for; where rules ask for more, their values are no
/// anchors.
const NAMES_MAX: usize = 32;

/// Something exact that a condition asks for. Without it the condition is false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Anchor<'m> {
    Identity(&'m str),
    PeerName(&'m str),
    Address(AddressKind, IpNet),
    Claim(Option<&'m Name>, &'m [String], &'m str),
    Path(PathAnchor<'m>),
    Header(&'m str, &'m str),
    Query(&'m str, &'m str),
    Host(&'m str),
    ServerName(&'m str),
    /// This id and those below.
    IdentityBelow(&'m str),
    HostSuffix(&'m str),
    HostPrefix(&'m str),
    TrustDomain(&'m str),
    Port(u16),
    Method(&'m str),
}

/// A path condition, which is the same as another that is written the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct PathAnchor<'m>(pub(super) &'m PathMatch);

impl<'m> PathAnchor<'m> {
    fn key(&self) -> (u8, &'m str) {
        match self.0 {
            PathMatch::Exact(path) => (0, path),
            PathMatch::Prefix(path) => (1, path),
            PathMatch::StringPrefix(path) => (4, path),
            PathMatch::Template(template) => (2, template.source()),
            PathMatch::Regex(pattern) => (3, pattern.source()),
        }
    }
}

impl PartialEq for PathAnchor<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for PathAnchor<'_> {}

impl std::hash::Hash for PathAnchor<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl Anchor<'_> {
    /// Only a request can meet it.
    pub(super) fn asks_for_request(&self) -> bool {
        matches!(
            self,
            Anchor::Claim(..)
                | Anchor::Path(_)
                | Anchor::Header(..)
                | Anchor::Query(..)
                | Anchor::Host(_)
                | Anchor::HostSuffix(_)
                | Anchor::HostPrefix(_)
                | Anchor::Method(_)
        )
    }

    /// It is looked up once for each name (of a header, a parameter, a claim) that rules ask for: how many may there be.
    fn is_named(&self) -> bool {
        matches!(self, Anchor::Header(..) | Anchor::Query(..) | Anchor::Claim(..))
    }

    /// How many requests are likely to meet it where nothing else tells: lower is fewer.
    fn rank(&self) -> u32 {
        match self {
            Anchor::Identity(_) | Anchor::PeerName(_) => 0,
            Anchor::Address(_, net) => 1 + 8 * u32::from(net.max_prefix_len() - net.prefix_len()) / 32,
            Anchor::Claim(..) => 2,
            Anchor::Path(PathAnchor(PathMatch::Exact(_))) => 2,
            Anchor::Path(_) => 3,
            Anchor::Header(..) | Anchor::Query(..) => 4,
            Anchor::Host(_) | Anchor::ServerName(_) => 5,
            Anchor::IdentityBelow(_) => 5,
            Anchor::HostSuffix(_) | Anchor::HostPrefix(_) => 6,
            Anchor::TrustDomain(_) | Anchor::Port(_) => 8,
            Anchor::Method(_) => 9,
        }
    }
}

/// How many rules ask for each thing.
pub(super) struct Popularity<'m> {
    counts: HashMap<Anchor<'m>, u32>,
    /// Rules ask for more names than are looked up: none of them is an anchor.
    has_many_names: bool,
    scope: Scope,
}

/// What a rule would be found by, and how good that is.
struct Cover<'m> {
    anchors: Vec<Anchor<'m>>,
    /// Rules that ask for the most popular of them.
    popularity: u32,
    rank: u32,
}

impl<'m> Popularity<'m> {
    /// Counts what all rules ask for.
    pub(super) fn of(rules: &[&'m Condition], scope: Scope) -> Popularity<'m> {
        let mut counts = HashMap::default();
        for rule in rules {
            count(rule, &mut counts);
        }
        let mut names = HashSet::default();
        names.extend(counts.keys().filter(|anchor| anchor.is_named()).map(named));
        Popularity {
            has_many_names: names.len() > NAMES_MAX,
            counts,
            scope,
        }
    }

    /// What the rule is found by; none: it must always be asked.
    pub(super) fn anchors(&self, rule: &'m Condition) -> Option<Vec<Anchor<'m>>> {
        self.cover(rule).map(|cover| cover.anchors)
    }

    fn cover(&self, condition: &'m Condition) -> Option<Cover<'m>> {
        match condition {
            Condition::All(parts) => parts
                .iter()
                .filter_map(|part| self.cover(part))
                .min_by_key(|cover| (cover.popularity, cover.rank, cover.anchors.len())),
            Condition::AnyOf(parts) => {
                let mut whole = Cover {
                    anchors: Vec::new(),
                    popularity: 0,
                    rank: 0,
                };
                for part in parts {
                    let cover = self.cover(part)?;
                    whole.anchors.extend(cover.anchors);
                    whole.popularity = whole.popularity.max(cover.popularity);
                    whole.rank = whole.rank.max(cover.rank);
                }
                Some(whole)
            }
            _ if self.scope == Scope::Connection && condition.needs_request() => None,
            condition => {
                let mut anchors = Vec::new();
                let is_anchored = atoms(condition, &mut |anchor| anchors.push(anchor));
                if !is_anchored || (self.has_many_names && anchors.iter().any(Anchor::is_named)) {
                    return None;
                }
                let popularity = anchors.iter().filter_map(|anchor| self.counts.get(anchor)).max();
                Some(Cover {
                    popularity: popularity.copied().unwrap_or(0),
                    rank: anchors.iter().map(Anchor::rank).max().unwrap_or(0),
                    anchors,
                })
            }
        }
    }
}

/// An anchor without its value.
fn named<'m>(anchor: &Anchor<'m>) -> Anchor<'m> {
    match *anchor {
        Anchor::Header(name, _) => Anchor::Header(name, ""),
        Anchor::Query(name, _) => Anchor::Query(name, ""),
        Anchor::Claim(provider, path, _) => Anchor::Claim(provider, path, ""),
        other => other,
    }
}

fn count<'m>(condition: &'m Condition, counts: &mut HashMap<Anchor<'m>, u32>) {
    match condition {
        Condition::All(parts) | Condition::AnyOf(parts) => {
            parts.iter().for_each(|part| count(part, counts));
        }
        condition => {
            atoms(condition, &mut |anchor| *counts.entry(anchor).or_default() += 1);
        }
    }
}

/// Calls `each` with the anchors of a condition without parts, one of which it needs. False: it has none.
fn atoms<'m>(condition: &'m Condition, each: &mut dyn FnMut(Anchor<'m>)) -> bool {
    let anchor = match condition {
        Condition::Identity(SpiffeMatch::Exact(id)) => Anchor::Identity(id.as_str()),
        Condition::Identity(SpiffeMatch::Prefix(id)) => Anchor::IdentityBelow(id.as_str()),
        Condition::Identity(SpiffeMatch::TrustDomain(domain)) => Anchor::TrustDomain(domain.as_str()),
        Condition::PeerName(StringMatch::Exact(name)) => Anchor::PeerName(name),
        Condition::RemoteAddress(net) => Anchor::Address(AddressKind::Remote, comparable(*net)),
        Condition::DirectAddress(net) => Anchor::Address(AddressKind::Direct, comparable(*net)),
        Condition::DestinationAddress(net) => Anchor::Address(AddressKind::Destination, comparable(*net)),
        Condition::DestinationPort(ports) if ports.len() <= PORTS_MAX => {
            ports.clone().for_each(|port| each(Anchor::Port(port)));
            return true;
        }
        Condition::ServerName(StringMatch::Exact(name)) => Anchor::ServerName(name),
        Condition::Method(method) => Anchor::Method(method),
        Condition::Path(path) if is_found(path) => Anchor::Path(PathAnchor(path)),
        // A host that is spelled in another way than requests' hosts are is not looked up.
        Condition::Host(host) if reading::normal_domain(host) != *host => return false,
        Condition::Host(Domain::Exact(name)) => Anchor::Host(name),
        Condition::Host(Domain::Suffix(suffix)) if suffix.starts_with('.') => Anchor::HostSuffix(suffix),
        Condition::Host(Domain::Prefix(prefix)) if prefix.ends_with('.') => Anchor::HostPrefix(prefix),
        Condition::Header(header) if !header.invert() => match header.value() {
            StringMatch::Exact(value) => Anchor::Header(header.name().as_str(), value),
            _ => return false,
        },
        Condition::Query(query) if !query.invert() => match query.value() {
            StringMatch::Exact(value) => Anchor::Query(query.name(), value),
            _ => return false,
        },
        Condition::Claim(claim) => match claim.value() {
            StringMatch::Exact(value) => Anchor::Claim(claim.provider().as_ref(), claim.path(), value),
            _ => return false,
        },
        _ => return false,
    };
    each(anchor);
    true
}

/// Path conditions that a path leads to.
fn is_found(path: &PathMatch) -> bool {
    match path {
        PathMatch::Exact(_) => true,
        PathMatch::Prefix(prefix) => prefix != "/",
        // What a text ends in may be half an escape.
        PathMatch::StringPrefix(_) => false,
        PathMatch::Template(_) => matches!(ResolvedPath::of(path), ResolvedPath::Same),
        PathMatch::Regex(_) => false,
    }
}
