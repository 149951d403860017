//! Documents that other fronts made: read in parts, and put together.

use super::reader::{Declarations, Part, Reader};
use super::shapes::{CLUSTER, DOCUMENT};
use super::tree::Node;
use super::{
    Unique, authorization, cluster, consistency, drain, external_authorization, identity, jwt, listeners,
    overload, rate_limit, returning, route, telemetry,
};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::document::{Assembled, EndpointSet, Parts, Reference, ReferenceKind, Value};
use crate::model::{Admin, MeshConfig, Name, Notes, Origin};
use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// The fields that [`read`] understands.
const PARTS: [&str; 8] = [
    "listeners",
    "route_configurations",
    "clusters",
    "identities",
    "trust_bundles",
    "authorization_policies",
    "jwt_providers",
    "rate_limits",
];
const PROCESS: [&str; 4] = ["drain", "overload", "revocation", "telemetry"];

pub(crate) fn read(resource: &str, document: Value) -> Result<Parts, Diagnostics> {
    let mut reader = Reader::new(resource, Path::new(""));
    let mut parts = Parts::default();
    if let Some(root) = adopt(&mut reader, document) {
        reader.declarations = Declarations::open(&root);
        fill(&mut reader, &root, &mut parts);
    }
    let faults = reader.fault_count();
    parts.references = reader.declarations.take_references();
    parts.remarked = reader.remarked;
    let (errors, warnings) = split(reader.diagnostics);
    parts.warnings = warnings;
    if faults == 0 {
        Ok(parts)
    } else {
        Err(Diagnostics(errors))
    }
}

fn adopt(reader: &mut Reader<'_>, document: Value) -> Option<Arc<Node>> {
    let root = reader.adopt(document);
    if root.is_none() {
        let span = crate::diagnostic::Span::default();
        reader.fault(span, "more lists and maps inside each other than are read");
    }
    root
}

fn split(diagnostics: Vec<Diagnostic>) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
    diagnostics
        .into_iter()
        .partition(|diagnostic| diagnostic.severity == Severity::Error)
}

fn fill(reader: &mut Reader<'_>, root: &Node, parts: &mut Parts) {
    let Some(fields) = reader.fields(root, &DOCUMENT) else {
        return;
    };
    fields.refuse_others(reader, &PARTS);
    // Whether it is the admin endpoint's address is known when all is put together.
    let nowhere = Admin {
        address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
    };
    let nodes = fields.list(reader, "listeners");
    parts.listeners = listeners(reader, nodes, &nowhere);
    let mut names = Unique::new("route configuration");
    for node in fields.list(reader, "route_configurations") {
        let read = route::route_configuration(reader, node, &mut names);
        parts.route_configurations.extend(read.map(Arc::new));
    }
    let mut names = Unique::new("cluster");
    for node in fields.list(reader, "clusters") {
        let read = reader.within(|reader| cluster::cluster(reader, node, &mut names));
        parts.clusters.extend(read.map(Arc::new));
    }
    let nodes = fields.list(reader, "identities");
    parts.identities = identity::identities(reader, nodes);
    let nodes = fields.list(reader, "trust_bundles");
    parts.trust_bundles = identity::trust_bundles(reader, nodes, &parts.identities);
    let nodes = fields.list(reader, "authorization_policies");
    parts.authorization_policies = authorization::policies(reader, nodes);
    let nodes = fields.list(reader, "jwt_providers");
    parts.jwt_providers = jwt::providers(reader, nodes);
    let nodes = fields.list(reader, "rate_limits");
    parts.rate_limits = rate_limit::limits(reader, nodes);
}

pub(crate) fn endpoints(resource: &str, document: Value) -> Result<EndpointSet, Diagnostics> {
    let mut reader = Reader::new(resource, Path::new(""));
    let mut set = EndpointSet::empty();
    if let Some(root) = adopt(&mut reader, document)
        && let Some(fields) = reader.part_of(&root, &CLUSTER, &cluster::ENDPOINT_SET)
    {
        set = cluster::endpoint_set(&mut reader, &fields);
    }
    finish(reader, set)
}

pub(crate) fn process(resource: &str, document: Value, base: &MeshConfig) -> Result<MeshConfig, Diagnostics> {
    let mut reader = Reader::new(resource, Path::new(""));
    let mut config = base.clone();
    if let Some(root) = adopt(&mut reader, document)
        && let Some(fields) = reader.part_of(&root, &DOCUMENT, &PROCESS)
    {
        // Identities and authorities that collectors name are asked for when all is put together.
        reader.declarations = Declarations::open(&root);
        if let Some(node) = fields.node(&mut reader, "drain") {
            config.drain = drain(&mut reader, node);
        }
        if fields.entry("overload").is_some() {
            config.overload = overload::overload(&mut reader, &fields);
        }
        if fields.entry("revocation").is_some() {
            config.revocation = identity::revocation(&mut reader, &fields);
        }
        if fields.entry("telemetry").is_some() {
            config.telemetry = telemetry::telemetry(&mut reader, &fields);
        }
    }
    finish(reader, config)
}

fn finish<T>(reader: Reader<'_>, value: T) -> Result<T, Diagnostics> {
    match reader.fault_count() {
        0 => Ok(value),
        _ => Err(Diagnostics(split(reader.diagnostics).0)),
    }
}

pub(crate) fn assemble<'a>(
    base: &MeshConfig,
    parts: impl IntoIterator<Item = &'a Parts>,
) -> Result<Assembled, Diagnostics> {
    let mut reader = Reader::new("", Path::new(""));
    let mut config = base.clone();
    let mut references: Vec<&Reference> = Vec::new();
    let mut notes = base.notes.as_slice().to_vec();
    let mut remarked = base.notes.counts().clone();
    for part in parts {
        config.listeners.extend(part.listeners.iter().cloned());
        config
            .route_configurations
            .extend(part.route_configurations.iter().cloned());
        config.clusters.extend(part.clusters.iter().cloned());
        config.identities.extend(part.identities.iter().cloned());
        config.trust_bundles.extend(part.trust_bundles.iter().cloned());
        config
            .authorization_policies
            .extend(part.authorization_policies.iter().cloned());
        config.jwt_providers.extend(part.jwt_providers.iter().cloned());
        config.rate_limits.extend(part.rate_limits.iter().cloned());
        references.extend(&part.references);
        notes.extend(part.warnings.iter().cloned());
        remarked.merge(&part.remarked);
    }
    let names = once(&mut reader, &mut config);
    addresses(&mut reader, &config);
    let domains = trust_domains(&mut reader, &config);
    let of_collectors = telemetry::references(&config);
    for reference in references.into_iter().chain(&of_collectors) {
        resolve(&mut reader, &names, domains, reference);
    }
    authorization::check(&mut reader, &config);
    external_authorization::check(&mut reader, &config);
    consistency::check(&mut reader, &config);
    rate_limit::check(&mut reader, &config);
    returning::warn(&mut reader, &config);
    let faults = reader.fault_count();
    remarked.merge(&reader.remarked);
    let (errors, warnings) = split(reader.diagnostics);
    match faults {
        0 => {
            notes.extend(warnings.iter().cloned());
            config.notes = Notes::new(notes, remarked);
            Ok(Assembled { config, warnings })
        }
        _ => Err(Diagnostics(errors)),
    }
}

type Names = HashMap<Part, HashSet<Name>>;

/// Leaves each part once; a fault if two of one name differ.
fn once(reader: &mut Reader<'_>, config: &mut MeshConfig) -> Names {
    fn only<T: PartialEq>(
        reader: &mut Reader<'_>,
        what: &str,
        parts: &mut Vec<Arc<T>>,
        name: impl Fn(&T) -> (&Name, &Origin),
    ) -> HashSet<Name> {
        let mut seen: HashMap<Name, Arc<T>> = HashMap::with_capacity(parts.len());
        parts.retain(|part| {
            let (own, origin) = name(part);
            let Some(first) = seen.get(own) else {
                seen.insert(own.clone(), Arc::clone(part));
                return true;
            };
            if !(Arc::ptr_eq(first, part) || first == part) {
                let help = format!("the first is from {}", name(first).1);
                let at = reader.place(origin);
                reader.fault_with_help(at, format!("a second {what} `{own}`, which is another"), help);
            }
            false
        });
        seen.into_keys().collect()
    }
    let mut names = Names::new();
    macro_rules! kinds {
        ($($part:ident: $field:ident),* $(,)?) => {$(
            let seen = only(reader, Part::$part.what(), &mut config.$field, |part| (&part.name, &part.origin));
            names.insert(Part::$part, seen);
        )*};
    }
    kinds!(
        Cluster: clusters,
        RouteConfiguration: route_configurations,
        Identity: identities,
        TrustBundle: trust_bundles,
        AuthorizationPolicy: authorization_policies,
        JwtProvider: jwt_providers,
        RateLimit: rate_limits,
    );
    let collectors = config.telemetry.collectors.iter();
    names.insert(
        Part::Collector,
        collectors.map(|part| part.name.clone()).collect(),
    );
    only(reader, "listener", &mut config.listeners, |part| {
        (&part.name, &part.origin)
    });
    names
}

fn addresses(reader: &mut Reader<'_>, config: &MeshConfig) {
    let mut seen: HashMap<SocketAddr, &Name> = HashMap::new();
    for listener in &config.listeners {
        if listener.address.port() == 0 {
            continue;
        }
        let at = reader.place(&listener.origin);
        if listener.address == config.admin.address {
            let message = format!("the admin endpoint listens on {}", listener.address);
            reader.fault_with_help(at, message, "choose another port");
        }
        if let Some(first) = seen.insert(listener.address, &listener.name) {
            let message = format!(
                "the listeners `{first}` and `{}` have the address {}",
                listener.name, listener.address
            );
            reader.fault_with_help(at, message, "choose another port for one of them");
        }
    }
}

/// How many trust domains trust bundles speak for; a fault where two speak for one.
fn trust_domains(reader: &mut Reader<'_>, config: &MeshConfig) -> usize {
    let mut seen = HashMap::new();
    for bundle in &config.trust_bundles {
        let Some(domain) = &bundle.trust_domain else {
            continue;
        };
        if let Some(first) = seen.insert(domain, &bundle.name) {
            let at = reader.place(&bundle.origin);
            let message = format!("a second trust bundle speaks for the trust domain `{domain}`");
            reader.fault_with_help(at, message, format!("the first is `{first}`"));
        }
    }
    seen.len()
}

fn resolve(reader: &mut Reader<'_>, names: &Names, domains: usize, reference: &Reference) {
    let part = match reference.kind {
        ReferenceKind::Cluster => Part::Cluster,
        ReferenceKind::RouteConfiguration => Part::RouteConfiguration,
        ReferenceKind::Identity => Part::Identity,
        ReferenceKind::TrustBundle => Part::TrustBundle,
        ReferenceKind::AuthorizationPolicy => Part::AuthorizationPolicy,
        ReferenceKind::JwtProvider => Part::JwtProvider,
        ReferenceKind::RateLimit => Part::RateLimit,
        ReferenceKind::Collector => Part::Collector,
        ReferenceKind::SomeTrustDomain => {
            if domains == 0 {
                let at = reader.place(&reference.origin);
                reader.fault(
                    at,
                    "peers are believed by SPIFFE, and no trust bundle speaks for a trust domain",
                );
            }
            return;
        }
        ReferenceKind::OneTrustDomain => {
            if domains > 1 {
                let at = reader.place(&reference.origin);
                let message =
                    "a DNS name, and trust bundles of more than one trust domain: each could vouch for it";
                reader.fault_with_help(at, message, "say who it is by a SPIFFE id, or believe one bundle");
            }
            return;
        }
    };
    if !names[&part].contains(&Name(reference.name.as_str().into())) {
        let message = format!("no {} is named `{}`", part.what(), reference.name);
        let at = reader.place(&reference.origin);
        match reader.nearest(&reference.name, names[&part].iter().map(Name::as_str)) {
            Some(near) => reader.fault_with_help(at, message, format!("did you mean `{near}`?")),
            None => reader.fault(at, message),
        }
    }
}
