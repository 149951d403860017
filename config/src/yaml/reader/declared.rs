//! Names that the document declares, for references to them.

use super::readings::Referred;
use super::{Fields, Reader, scalar_of};
use crate::diagnostic::Span;
use crate::document::{Reference, ReferenceKind};
use crate::model::{Name, Origin};
use crate::yaml::Unique;
use crate::yaml::tree::{Node, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Declared names of one kind, and whether something refers to them.
#[derive(Default)]
struct Declared(BTreeMap<String, bool>);

impl Declared {
    /// Names that the items of a top-level list give themselves, read before anything else so that order is free.
    /// A list inside of a section is written with a dot.
    fn collect(root: &Node, list: &str, field: &str) -> Declared {
        let mut names = BTreeMap::new();
        let entries = |node: &Node, key: &str| match &node.value {
            Value::Map(entries) => entries
                .iter()
                .find(|entry| entry.key == key)
                .map(|entry| Arc::clone(&entry.value)),
            _ => None,
        };
        let node = match list.split_once('.') {
            Some((section, list)) => entries(root, section).and_then(|section| entries(&section, list)),
            None => entries(root, list),
        };
        if let Some(node) = node
            && let Value::List(items) = &node.value
        {
            for value in items.iter().filter_map(|item| entries(item, field)) {
                if let Some(scalar) = scalar_of(&value) {
                    names.insert(scalar.text.clone(), false);
                }
            }
        }
        Declared(names)
    }

    /// Notes that a name is used; false if it is not declared.
    fn refer(&mut self, name: &str) -> bool {
        self.0.get_mut(name).map(|used| *used = true).is_some()
    }
}

/// Parts that policy refers to by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Cluster,
    RouteConfiguration,
    Identity,
    TrustBundle,
    AuthorizationPolicy,
    JwtProvider,
    RateLimit,
    Collector,
}

impl Part {
    const ALL: [Part; 8] = [
        Part::Cluster,
        Part::RouteConfiguration,
        Part::Identity,
        Part::TrustBundle,
        Part::AuthorizationPolicy,
        Part::JwtProvider,
        Part::RateLimit,
        Part::Collector,
    ];

    /// What messages call it.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Part::Cluster => "cluster",
            Part::RouteConfiguration => "route configuration",
            Part::Identity => "identity",
            Part::TrustBundle => "trust bundle",
            Part::AuthorizationPolicy => "authorization policy",
            Part::JwtProvider => "JWT provider",
            Part::RateLimit => "rate limit",
            Part::Collector => "collector",
        }
    }

    /// What references to it are called.
    fn kind(self) -> ReferenceKind {
        match self {
            Part::Cluster => ReferenceKind::Cluster,
            Part::RouteConfiguration => ReferenceKind::RouteConfiguration,
            Part::Identity => ReferenceKind::Identity,
            Part::TrustBundle => ReferenceKind::TrustBundle,
            Part::AuthorizationPolicy => ReferenceKind::AuthorizationPolicy,
            Part::JwtProvider => ReferenceKind::JwtProvider,
            Part::RateLimit => ReferenceKind::RateLimit,
            Part::Collector => ReferenceKind::Collector,
        }
    }

    /// The list that declares it: a top-level one, or one in a section.
    pub(crate) fn list(self) -> &'static str {
        match self {
            Part::Cluster => "clusters",
            Part::RouteConfiguration => "route_configurations",
            Part::Identity => "identities",
            Part::TrustBundle => "trust_bundles",
            Part::AuthorizationPolicy => "authorization_policies",
            Part::JwtProvider => "jwt_providers",
            Part::RateLimit => "rate_limits",
            Part::Collector => "telemetry.collectors",
        }
    }
}

/// The declared names of every kind of part.
#[derive(Default)]
pub(crate) struct Declarations {
    parts: [Declared; Part::ALL.len()],
    trust_domains: Declared,
    /// Trust bundles are looked for by trust domain.
    by_trust_domain: bool,
    /// What names refer to may be elsewhere: they are kept, with where they stand first.
    open: Option<Open>,
    /// Of these, only what belongs to the place where a proxy runs: the rest is here.
    local_only: bool,
}

/// References that are asked for later.
type Open = BTreeMap<(ReferenceKind, String), Origin>;

impl Declarations {
    pub(crate) fn collect(root: &Node) -> Declarations {
        Declarations {
            parts: Part::ALL.map(|part| Declared::collect(root, part.list(), "name")),
            trust_domains: Declared::collect(root, Part::TrustBundle.list(), "trust_domain"),
            by_trust_domain: false,
            open: None,
            local_only: false,
        }
    }

    /// As [`Declarations::collect`], where the rest of the configuration is elsewhere.
    pub(crate) fn open(root: &Node) -> Declarations {
        Declarations {
            open: Some(Open::new()),
            ..Declarations::collect(root)
        }
    }

    /// As [`Declarations::collect`], where identities, trust bundles and collectors are elsewhere.
    pub(crate) fn without_local(root: &Node) -> Declarations {
        Declarations {
            local_only: true,
            ..Declarations::open(root)
        }
    }

    /// What was referred to, where declarations are open.
    pub(crate) fn take_references(&mut self) -> Vec<Reference> {
        let open = self.open.take().unwrap_or_default();
        let reference = |((kind, name), origin)| Reference { kind, name, origin };
        open.into_iter().map(reference).collect()
    }

    fn of(&mut self, part: Part) -> &mut Declared {
        &mut self.parts[part as usize]
    }

    /// It is declared, and nothing refers to it.
    pub(crate) fn is_unused(&self, part: Part, name: &Name) -> bool {
        self.parts[part as usize].0.get(name.as_str()) == Some(&false)
    }

    /// Something looks for trust bundles by trust domain.
    pub(crate) fn is_by_trust_domain(&self) -> bool {
        self.by_trust_domain
    }
}

impl Reader<'_> {
    /// Notes a reference to a part; a fault if there is none of that name.
    pub(crate) fn refer(&mut self, part: Part, name: &Name, span: Span) {
        self.readings
            .referred(|| Referred::Part(part, name.clone(), span));
        if self.keep(part.kind(), name.as_str(), span) {
            return;
        }
        if self.declarations.of(part).refer(name.as_str()) {
            return;
        }
        let declared = std::mem::take(self.declarations.of(part));
        let message = format!("no {} is named `{name}`", part.what());
        match self.nearest(name.as_str(), declared.0.keys().map(String::as_str)) {
            Some(near) => self.fault_with_help(span, message, format!("did you mean `{near}`?")),
            None => self.fault(span, message),
        }
        *self.declarations.of(part) = declared;
    }

    /// A field that names a part.
    pub(crate) fn reference(&mut self, fields: &Fields<'_>, field: &str, part: Part) -> Option<Name> {
        let name = fields.name(self, field)?;
        self.refer(part, &name, fields.span_of(field));
        Some(name)
    }

    /// A list that names parts, none twice.
    pub(crate) fn references(
        &mut self,
        fields: &Fields<'_>,
        field: &str,
        part: Part,
        what: &'static str,
    ) -> Vec<Name> {
        let mut seen = Unique::new(what);
        let mut names = Vec::new();
        for node in fields.list(self, field) {
            if let Some(name) = self.name(node) {
                self.refer(part, &name, node.span);
                seen.insert(self, name.clone(), node.span);
                names.push(name);
            }
        }
        names
    }

    /// Keeps a reference for later, where declarations are open.
    fn keep(&mut self, kind: ReferenceKind, name: &str, span: Span) -> bool {
        let Some(open) = &self.declarations.open else {
            return false;
        };
        if self.declarations.local_only && !kind.is_local() {
            return false;
        }
        let key = (kind, name.to_owned());
        if !open.contains_key(&key) {
            let origin = self.origin(span);
            let open = self.declarations.open.as_mut().expect("looked at above");
            open.insert(key, origin);
        }
        true
    }

    /// Notes that trust bundles are looked for by trust domain; false if none could be found.
    pub(crate) fn speaks_for_a_trust_domain(&mut self, span: Span) -> bool {
        self.readings.referred(|| Referred::SomeTrustDomain(span));
        if self.keep(ReferenceKind::SomeTrustDomain, "", span) {
            return true;
        }
        self.declarations.by_trust_domain = true;
        !self.declarations.trust_domains.0.is_empty()
    }

    /// Trust bundles speak for more than one trust domain; false where that is asked later.
    pub(crate) fn is_federated(&mut self, span: Span) -> bool {
        self.readings.referred(|| Referred::OneTrustDomain(span));
        if self.keep(ReferenceKind::OneTrustDomain, "", span) {
            return false;
        }
        self.declarations.trust_domains.0.len() > 1
    }

    /// A trust bundle speaks for this trust domain, or may.
    pub(crate) fn speaks_for(&self, trust_domain: &str) -> bool {
        self.declarations.open.is_some() || self.declarations.trust_domains.0.contains_key(trust_domain)
    }
}
