//! Where rules are found by what is known of a connection and its request.
//!
//! What a peer says is only ever looked up, at no more places than it has readings; keys are the configuration's.

use super::super::condition::{ResolvedPath, claim_texts, identity};
use super::super::facts::{Facts, RequestFacts};
use super::super::networks::{AddressKind, Networks};
use super::super::reading::{self, Doubt, Question};
use super::anchor::{Anchor, PathAnchor};
use crate::routing::{Candidate, Candidates, PathIndex};
use foldhash::fast::FixedState;
use outrigger_config::model::{Name, PathMatch};
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Rules of one anchor, in order.
type Rules = Vec<Candidate>;
type Map<K> = HashMap<K, Rules, FixedState>;

/// Where a claim is found: whose token, and which keys.
type ClaimPlace = (Option<Name>, Vec<String>);

/// Rules by the values of a header or parameter.
type Values = Map<Box<[u8]>>;

/// Rules by their anchors.
#[derive(Debug, Default)]
pub(super) struct Tables {
    identities: Map<Box<str>>,
    identities_below: Map<Box<str>>,
    trust_domains: Map<Box<str>>,
    peer_names: Map<Box<str>>,
    remote: Networks<Rules>,
    direct: Networks<Rules>,
    destination: Networks<Rules>,
    ports: Map<u16>,
    server_names: Map<Box<str>>,
    methods: Map<Box<str>>,
    hosts: Map<Box<str>>,
    host_suffixes: Map<Box<str>>,
    host_prefixes: Map<Box<str>>,
    /// The most dots that a suffix or prefix of a host has: it is looked up at so many, from its side.
    host_dots_max: usize,
    headers: Vec<(Box<str>, Values)>,
    queries: Vec<(Box<str>, Values)>,
    claims: Vec<(ClaimPlace, Map<Box<str>>)>,
    /// Paths as they are written.
    paths: Option<PathIndex>,
    /// Paths that are others when they are resolved, as those.
    resolved_paths: Option<PathIndex>,
    /// Every rule that is anchored at a path.
    at_paths: Rules,
    asks_for_requests: bool,
}

/// Tables that are being filled.
#[derive(Default)]
pub(super) struct Builder {
    tables: Tables,
    paths: Vec<(Candidate, PathMatch)>,
    resolved_paths: Vec<(Candidate, PathMatch)>,
}

/// Adds a rule behind those that are there, once.
fn push(rules: &mut Rules, rule: Candidate) {
    if rules.last() != Some(&rule) {
        rules.push(rule);
    }
}

/// The map of a name or place, which is made when it is first asked for.
fn map_of<K, V: Default>(maps: &mut Vec<(K, V)>, is: impl Fn(&K) -> bool, new: impl FnOnce() -> K) -> &mut V {
    let at = maps.iter().position(|(key, _)| is(key)).unwrap_or_else(|| {
        maps.push((new(), V::default()));
        maps.len() - 1
    });
    &mut maps[at].1
}

impl Builder {
    /// Adds a rule at its anchors. Rules come in order.
    pub(super) fn add(&mut self, rule: Candidate, anchors: Vec<Anchor<'_>>) {
        anchors.into_iter().for_each(|anchor| self.add_at(rule, anchor));
    }

    fn add_at(&mut self, rule: Candidate, anchor: Anchor<'_>) {
        let tables = &mut self.tables;
        tables.asks_for_requests |= anchor.asks_for_request();
        let text = |map: &mut Map<Box<str>>, text: &str| push(map.entry(text.into()).or_default(), rule);
        let bytes = |map: &mut Map<Box<[u8]>>, value: &str| {
            push(map.entry(value.as_bytes().into()).or_default(), rule);
        };
        match anchor {
            Anchor::Identity(id) => text(&mut tables.identities, id),
            Anchor::IdentityBelow(id) => text(&mut tables.identities_below, id),
            Anchor::TrustDomain(domain) => text(&mut tables.trust_domains, domain),
            Anchor::PeerName(name) => text(&mut tables.peer_names, name),
            Anchor::Address(AddressKind::Remote, net) => push(tables.remote.entry(net), rule),
            Anchor::Address(AddressKind::Direct, net) => push(tables.direct.entry(net), rule),
            Anchor::Address(AddressKind::Destination, net) => push(tables.destination.entry(net), rule),
            Anchor::Port(port) => push(tables.ports.entry(port).or_default(), rule),
            Anchor::ServerName(name) => text(&mut tables.server_names, &name.to_ascii_lowercase()),
            Anchor::Method(method) => text(&mut tables.methods, method),
            Anchor::Host(host) => text(&mut tables.hosts, host),
            Anchor::HostSuffix(part) | Anchor::HostPrefix(part) => {
                let dots = part.bytes().filter(|&byte| byte == b'.').count();
                tables.host_dots_max = tables.host_dots_max.max(dots);
                match anchor {
                    Anchor::HostSuffix(_) => text(&mut tables.host_suffixes, part),
                    _ => text(&mut tables.host_prefixes, part),
                }
            }
            Anchor::Header(name, value) => {
                bytes(
                    map_of(&mut tables.headers, |key| **key == *name, || name.into()),
                    value,
                );
            }
            Anchor::Query(name, value) => {
                bytes(
                    map_of(&mut tables.queries, |key| **key == *name, || name.into()),
                    value,
                );
            }
            Anchor::Claim(provider, path, value) => {
                let is = |key: &ClaimPlace| key.0.as_ref() == provider && key.1 == path;
                let new = || (provider.cloned(), path.to_vec());
                text(map_of(&mut tables.claims, is, new), value);
            }
            Anchor::Path(PathAnchor(path)) => {
                push(&mut tables.at_paths, rule);
                self.paths.push((rule, path.clone()));
                if let ResolvedPath::Path(resolved) = ResolvedPath::of(path) {
                    self.resolved_paths.push((rule, resolved));
                }
            }
        }
    }

    pub(super) fn finish(mut self) -> Tables {
        let compiled = |paths: Vec<(Candidate, PathMatch)>| {
            (!paths.is_empty()).then(|| PathIndex::of(paths.iter().map(|(rule, path)| (*rule, path))))
        };
        self.tables.paths = compiled(self.paths);
        self.tables.resolved_paths = compiled(self.resolved_paths);
        self.tables
    }
}

impl Tables {
    /// What the tables are asked by is not known, so that every rule must be.
    pub(super) fn asks_for_unknown(&self, facts: &Facts<'_>) -> bool {
        (self.asks_for_requests && facts.request.is_none())
            || (facts.remote.is_none() && !self.remote.is_empty())
    }

    /// Adds the rules that stand where the facts lead.
    pub(super) fn collect<'t>(&'t self, question: &Question<'_>, candidates: &mut Candidates<'t>) {
        let facts = question.facts;
        if facts.peer.is_some() {
            self.collect_peer(facts, candidates);
        }
        for (kind, networks) in [
            (AddressKind::Remote, &self.remote),
            (AddressKind::Direct, &self.direct),
            (AddressKind::Destination, &self.destination),
        ] {
            if !networks.is_empty()
                && let Some(address) = kind.of(facts)
            {
                networks.covering(address, &mut |rules| candidates.add(rules));
            }
        }
        look_up(&self.ports, &facts.destination.port(), candidates);
        if let Some(name) = facts.server_name {
            look_up(&self.server_names, name.trim_end_matches('.'), candidates);
        }
        if self.asks_for_requests
            && let Some(request) = facts.request
        {
            self.collect_request(question, request, candidates);
        }
    }

    fn collect_peer<'t>(&'t self, facts: &Facts<'_>, candidates: &mut Candidates<'t>) {
        if let Some(id) = identity(facts) {
            look_up(&self.identities, id.as_str(), candidates);
            look_up(&self.trust_domains, id.trust_domain(), candidates);
            if !self.identities_below.is_empty() {
                look_up(&self.identities_below, id.as_str(), candidates);
                let path_at = id.as_str().len() - id.path().len();
                for (slash, _) in id.path().match_indices('/') {
                    look_up(
                        &self.identities_below,
                        &id.as_str()[..path_at + slash],
                        candidates,
                    );
                }
            }
        }
        if let (Some(peer), false) = (facts.peer, self.peer_names.is_empty()) {
            peer.names(&mut |name| look_up(&self.peer_names, name, candidates));
        }
    }

    fn collect_request<'t, 'f>(
        &'t self,
        question: &Question<'f>,
        request: &'f dyn RequestFacts,
        candidates: &mut Candidates<'t>,
    ) {
        look_up(&self.methods, request.method(), candidates);
        self.collect_hosts(question, request, candidates);
        self.collect_paths(question, request, candidates);
        for (name, values) in &self.headers {
            let each = &mut |value: &[u8]| look_up(values, value, candidates);
            if !reading::header_readings(request, name, each) {
                values.values().for_each(|rules| candidates.add(rules));
            }
        }
        for (name, values) in &self.queries {
            let each = &mut |value: &[u8]| look_up(values, value, candidates);
            if !reading::query_readings(request.query(), name, each) {
                values.values().for_each(|rules| candidates.add(rules));
            }
        }
        if let Some(claims) = request.claims() {
            for ((provider, path), values) in &self.claims {
                for claim in claims.find(provider.as_ref(), path) {
                    claim_texts(claim, &mut |text| look_up(values, text, candidates));
                }
            }
        }
    }

    fn collect_paths<'t, 'f>(
        &'t self,
        question: &Question<'f>,
        request: &'f dyn RequestFacts,
        candidates: &mut Candidates<'t>,
    ) {
        if self.paths.is_none() {
            return;
        }
        let (kept, others) = question.paths(request);
        if others.doubt == Doubt::Everything {
            return candidates.add(&self.at_paths);
        }
        for path in std::iter::once(kept).chain(others.path.as_deref()) {
            for index in [&self.paths, &self.resolved_paths].into_iter().flatten() {
                index.collect_at(path, candidates);
            }
        }
    }

    fn collect_hosts<'t, 'f>(
        &'t self,
        question: &Question<'f>,
        request: &'f dyn RequestFacts,
        candidates: &mut Candidates<'t>,
    ) {
        if self.hosts.is_empty() && self.host_suffixes.is_empty() && self.host_prefixes.is_empty() {
            return;
        }
        let (kept, decoded) = question.hosts(request);
        for host in std::iter::once(kept).chain(decoded) {
            look_up(&self.hosts, host, candidates);
            for (dot, _) in host.rmatch_indices('.').take(self.host_dots_max) {
                look_up(&self.host_suffixes, &host[dot..], candidates);
            }
            for (dot, _) in host.match_indices('.').take(self.host_dots_max) {
                look_up(&self.host_prefixes, &host[..=dot], candidates);
            }
        }
    }
}

fn look_up<'t, K, Q>(map: &'t Map<K>, key: &Q, candidates: &mut Candidates<'t>)
where
    K: Borrow<Q> + Hash + Eq,
    Q: Hash + Eq + ?Sized,
{
    if !map.is_empty()
        && let Some(rules) = map.get(key)
    {
        candidates.add(rules);
    }
}
