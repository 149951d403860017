//! Documents to a mesh: what each object is, before they are held to each other. Each is read by itself, so that what one says
//! is known as long as it stands.

use super::documents::Document;
use super::gateway::{self, Gateway};
use super::kept::{Kept, MeshWork};
use super::policy::{self, Policies, Policy};
use super::service::{self, Service};
use super::shapes::{DEFAULTS, MESH, MUTUAL_TLS_WORDS, NODE, SERVICE_CLUSTER};
use super::sidecar::{self, Sidecar};
use super::{ByName, Mesh};
use crate::diagnostic::{Severity, Span};
use crate::source::Environment;
use crate::yaml::Unique;
use crate::yaml::reader::{Fields, Reader};
use crate::yaml::scalar::{self, Problem};
use crate::yaml::shape::Shape;
use crate::yaml::tree::{self, Node};
use std::collections::HashMap;
use std::sync::Arc;

/// Whether a service's proxies ask callers for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MutualTls {
    Strict,
    Permissive,
    Off,
}

/// What holds where nothing else is said.
#[derive(Debug, Default)]
pub(super) struct Defaults {
    /// Where it stands; nowhere if it does not.
    pub(super) node: Option<Arc<Node>>,
    pub(super) trust_domain: Option<String>,
    pub(super) domain: Option<String>,
    pub(super) mutual_tls: Option<MutualTls>,
    pub(super) retry: Option<Arc<Node>>,
    pub(super) timeout: Option<Arc<Node>>,
    pub(super) access_logs: Option<Arc<Node>>,
    pub(super) cluster: Option<Arc<Node>>,
    pub(super) sidecar: Sidecar,
}

impl Defaults {
    /// What full names of services end with.
    pub(super) fn domain(&self) -> &str {
        self.domain.as_deref().unwrap_or("mesh")
    }
}

/// A proxy that differs from the others of its service.
#[derive(Debug)]
pub(super) struct DeclaredNode {
    pub(super) node: Arc<Node>,
    /// Where its name stands.
    pub(super) span: Span,
    pub(super) name: Arc<str>,
    pub(super) service: Arc<str>,
    pub(super) service_span: Span,
    pub(super) sidecar: Sidecar,
}

/// What a document says, by itself. Shared by all meshes that it is part of as it stands.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// With the place of their key.
    defaults: Option<(Span, Arc<Defaults>)>,
    services: Vec<Arc<Service>>,
    gateways: Vec<Arc<Gateway>>,
    nodes: Vec<Arc<DeclaredNode>>,
    policies: Vec<Policy>,
}

impl Said {
    /// The same, sharing what is the same in `before`, places included.
    fn sharing(mut self, before: &Said) -> Said {
        fn share<T>(own: &mut [Arc<T>], before: &[Arc<T>], of: impl Fn(&T) -> (&Arc<str>, &Arc<Node>)) {
            let known: HashMap<_, _> = before.iter().map(|part| (Arc::clone(of(part).0), part)).collect();
            for part in own {
                let (name, node) = of(part);
                if let Some(known) = known.get(name).filter(|known| of(known).1 == node) {
                    *part = Arc::clone(known);
                }
            }
        }
        if let (Some((_, own)), Some((_, before))) = (&mut self.defaults, &before.defaults)
            && own.node == before.node
        {
            *own = Arc::clone(before);
        }
        share(&mut self.services, &before.services, |service| {
            (&service.name, &service.node)
        });
        share(&mut self.gateways, &before.gateways, |gateway| {
            (&gateway.name, &gateway.node)
        });
        share(&mut self.nodes, &before.nodes, |node| (&node.name, &node.node));
        let known: HashMap<_, _> = before
            .policies
            .iter()
            .map(|policy| ((policy.kind, &*policy.name), policy))
            .collect();
        for policy in &mut self.policies {
            let before = known.get(&(policy.kind, &*policy.name));
            if let Some(before) = before.filter(|before| before.node == policy.node) {
                policy.node = Arc::clone(&before.node);
            }
        }
        self
    }
}

/// Reads documents, but not those of which is known what they say, and puts them together. `before` are those of the mesh
/// before.
pub(super) fn read(
    reader: &mut Reader<'_>,
    mut documents: Vec<Document>,
    before: &[Document],
    environment: &Environment,
    kept: Kept,
) -> Mesh {
    let mut mesh = Mesh {
        names: reader.documents(),
        documents: Vec::new(),
        defaults: Arc::default(),
        services: ByName::new(),
        gateways: ByName::new(),
        nodes: ByName::new(),
        policies: Policies::default(),
        warnings: Vec::new(),
        kept,
    };
    let mut names = Names {
        services: Unique::new("service"),
        gateways: Unique::new("gateway"),
        nodes: Unique::new("node"),
    };
    let mut documents_read = 0;
    for document in &mut documents {
        if document.said.is_none() {
            documents_read += 1;
            let (said, is_clean) = parsed(reader, document, before, environment);
            merge(reader, &said, &mut mesh, &mut names);
            document.said = is_clean.then(|| Arc::new(said));
        } else if let Some(said) = &document.said {
            merge(reader, said, &mut mesh, &mut names);
        }
    }
    mesh.kept.add(MeshWork {
        meshes_read: 1,
        documents_read,
        ..MeshWork::default()
    });
    mesh.documents = documents;
    mesh
}

/// What a document says, and whether nothing is wrong or odd about it.
fn parsed(
    reader: &mut Reader<'_>,
    document: &Document,
    before: &[Document],
    environment: &Environment,
) -> (Said, bool) {
    let found = (reader.fault_count(), reader.warning_count());
    let parsed = tree::parse(&document.text, document.number, environment);
    for fault in parsed.faults {
        reader.report(Severity::Error, fault.span, fault.message, fault.help);
    }
    // A document without content declares nothing, which is no fault: a directory may hold one.
    let said = parsed
        .root
        .and_then(|root| said(reader, &root))
        .unwrap_or_default();
    let before = before
        .binary_search_by_key(&document.number, |before| before.number)
        .ok()
        .map(|at| &before[at]);
    let before = before.filter(|before| before.name == document.name);
    let said = match before.and_then(|before| before.said.as_ref()) {
        Some(before) => said.sharing(before),
        None => said,
    };
    (said, found == (reader.fault_count(), reader.warning_count()))
}

struct Names {
    services: Unique<Arc<str>>,
    gateways: Unique<Arc<str>>,
    nodes: Unique<Arc<str>>,
}

fn said(reader: &mut Reader<'_>, root: &Node) -> Option<Said> {
    let fields = reader.fields(root, &MESH)?;
    let mut said = Said::default();
    if let Some(node) = taken(reader, &fields, "defaults") {
        said.defaults = Some((fields.key_span_of("defaults"), Arc::new(defaults(reader, &node))));
    }
    for node in fields.list(reader, "services") {
        said.services.extend(service::service(reader, node).map(Arc::new));
    }
    for node in fields.list(reader, "gateways") {
        said.gateways.extend(gateway::gateway(reader, node).map(Arc::new));
    }
    for node in fields.list(reader, "nodes") {
        said.nodes.extend(declared_node(reader, node).map(Arc::new));
    }
    said.policies = policy::policies(reader, &fields);
    Some(said)
}

/// Takes in what a document says; the first of a name stays.
fn merge(reader: &mut Reader<'_>, said: &Said, mesh: &mut Mesh, names: &mut Names) {
    if let Some((key, defaults)) = &said.defaults {
        let span = |defaults: &Defaults| defaults.node.as_ref().map(|node| node.span);
        match (span(&mesh.defaults), span(defaults)) {
            (Some(first), Some(second)) => {
                let help = format!("the first stand at {}", reader.shown(first, second));
                reader.fault_with_help(*key, "second defaults of one mesh", help);
            }
            _ => mesh.defaults = Arc::clone(defaults),
        }
    }
    for read in &said.services {
        names.services.insert(reader, Arc::clone(&read.name), read.span);
        let known = mesh.services.entry(Arc::clone(&read.name));
        known.or_insert_with(|| Arc::clone(read));
    }
    for read in &said.gateways {
        names.gateways.insert(reader, Arc::clone(&read.name), read.span);
        let known = mesh.gateways.entry(Arc::clone(&read.name));
        known.or_insert_with(|| Arc::clone(read));
    }
    for read in &said.nodes {
        names.nodes.insert(reader, Arc::clone(&read.name), read.span);
        let known = mesh.nodes.entry(Arc::clone(&read.name));
        known.or_insert_with(|| Arc::clone(read));
    }
    mesh.policies.merge(reader, &said.policies);
}

fn defaults(reader: &mut Reader<'_>, node: &Arc<Node>) -> Defaults {
    let mut defaults = Defaults {
        node: Some(Arc::clone(node)),
        ..Defaults::default()
    };
    let Some(fields) = reader.fields(node, &DEFAULTS) else {
        return defaults;
    };
    let trust_domain = fields.parsed(reader, "trust_domain", scalar::trust_domain);
    defaults.trust_domain = trust_domain.map(|domain| domain.to_string());
    defaults.domain = fields.parsed(reader, "domain", scalar::host);
    defaults.mutual_tls = mutual_tls(reader, &fields);
    defaults.retry = taken(reader, &fields, "retry");
    defaults.timeout = taken(reader, &fields, "timeout");
    defaults.access_logs = taken(reader, &fields, "access_logs");
    defaults.cluster = taken_over(reader, &fields, "cluster", &SERVICE_CLUSTER);
    if let Some(node) = fields.node(reader, "sidecar") {
        defaults.sidecar = sidecar::sidecar(reader, node);
    }
    defaults
}

fn declared_node(reader: &mut Reader<'_>, node: &Arc<Node>) -> Option<DeclaredNode> {
    let fields = reader.fields(node, &NODE)?;
    let name = fields.name(reader, "name");
    let service = fields.name(reader, "service");
    let sidecar = fields
        .node(reader, "sidecar")
        .map(|node| sidecar::sidecar(reader, node));
    Some(DeclaredNode {
        node: Arc::clone(node),
        span: fields.span_of("name"),
        name: name?.0,
        service: service?.0,
        service_span: fields.span_of("service"),
        sidecar: sidecar?,
    })
}

pub(super) fn mutual_tls(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<MutualTls> {
    let [strict, permissive, off] = MUTUAL_TLS_WORDS;
    let words = [
        (strict, MutualTls::Strict),
        (permissive, MutualTls::Permissive),
        (off, MutualTls::Off),
    ];
    fields.choice(reader, "mutual_tls", &words)
}

/// A field's value, which a view's document gets as it stands.
pub(super) fn taken(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str) -> Option<Arc<Node>> {
    fields.node(reader, name)?;
    fields.entry(name).map(|entry| Arc::clone(&entry.value))
}

/// As [`taken`], an object of which a view's document gets the fields: it has those of this shape.
pub(super) fn taken_over(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    name: &str,
    shape: &'static Shape,
) -> Option<Arc<Node>> {
    let node = taken(reader, fields, name)?;
    reader.fields(&node, shape)?.pass_on();
    Some(node)
}

/// A name of a service or a gateway, which hosts and identities are made of.
pub(super) fn label_name(text: &str) -> Result<Arc<str>, Problem> {
    let is_label = |text: &str| {
        (1..=63).contains(&text.len())
            && !text.starts_with('-')
            && !text.ends_with('-')
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    match text.split_once('/') {
        Some((namespace, name)) if is_label(namespace) && is_label(name) => Ok(text.into()),
        _ => scalar::problem_with_help(
            format!("`{}` is not a namespace and a name", scalar::shortened(text)),
            "such as `shop/catalog`: each of a-z 0-9 and -, at most 63",
        ),
    }
}

/// Values that may stand alone or in a list.
pub(super) fn one_or_more<'n>(
    reader: &mut Reader<'_>,
    fields: &Fields<'n>,
    name: &str,
) -> Option<Vec<&'n Arc<Node>>> {
    let node = fields.node(reader, name)?;
    Some(match &node.value {
        tree::Value::List(_) => reader.items(node, true).iter().collect(),
        _ => fields.entry(name).map(|entry| &entry.value).into_iter().collect(),
    })
}
