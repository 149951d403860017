//! Documents to a mesh: what each object is, before they are held to each other.

use super::gateway;
use super::policy::Policies;
use super::service;
use super::shapes::{DEFAULTS, MESH, MUTUAL_TLS_WORDS, NODE, SERVICE_CLUSTER};
use super::sidecar::{self, Sidecar};
use super::{ByName, Mesh};
use crate::diagnostic::{Severity, Span};
use crate::source::{Environment, Source};
use crate::yaml::Unique;
use crate::yaml::reader::{Fields, Reader};
use crate::yaml::scalar::{self, Problem};
use crate::yaml::shape::Shape;
use crate::yaml::tree::{self, Node};
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
    pub(super) service: Arc<str>,
    pub(super) service_span: Span,
    pub(super) sidecar: Sidecar,
}

pub(super) fn read(reader: &mut Reader<'_>, sources: &[Source], environment: &Environment) -> Mesh {
    let mut mesh = Mesh {
        sources: sources.to_vec(),
        defaults: Defaults::default(),
        services: ByName::new(),
        gateways: ByName::new(),
        nodes: ByName::new(),
        policies: Policies::default(),
        warnings: Vec::new(),
    };
    let mut names = Names {
        services: Unique::new("service"),
        gateways: Unique::new("gateway"),
        nodes: Unique::new("node"),
    };
    for (number, source) in sources.iter().enumerate() {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let parsed = tree::parse(&source.text, number, environment);
        for fault in parsed.faults {
            reader.report(Severity::Error, fault.span, fault.message, fault.help);
        }
        // A document without content declares nothing, which is no fault: a directory may hold one.
        if let Some(root) = &parsed.root {
            document(reader, root, &mut mesh, &mut names);
        }
    }
    mesh
}

struct Names {
    services: Unique<Arc<str>>,
    gateways: Unique<Arc<str>>,
    nodes: Unique<Arc<str>>,
}

fn document(reader: &mut Reader<'_>, root: &Node, mesh: &mut Mesh, names: &mut Names) {
    let Some(fields) = reader.fields(root, &MESH) else {
        return;
    };
    if let Some(node) = taken(reader, &fields, "defaults") {
        match &mesh.defaults.node {
            None => mesh.defaults = defaults(reader, &node),
            Some(first) => {
                let help = format!("the first stand at {}", reader.shown(first.span, node.span));
                reader.fault_with_help(
                    fields.key_span_of("defaults"),
                    "second defaults of one mesh",
                    help,
                );
            }
        }
    }
    for node in fields.list(reader, "services") {
        if let Some(read) = service::service(reader, node) {
            names.services.insert(reader, Arc::clone(&read.name), read.span);
            mesh.services.entry(Arc::clone(&read.name)).or_insert(read);
        }
    }
    for node in fields.list(reader, "gateways") {
        if let Some(read) = gateway::gateway(reader, node) {
            names.gateways.insert(reader, Arc::clone(&read.name), read.span);
            mesh.gateways.entry(Arc::clone(&read.name)).or_insert(read);
        }
    }
    for node in fields.list(reader, "nodes") {
        if let Some((name, span, read)) = declared_node(reader, node) {
            names.nodes.insert(reader, Arc::clone(&name), span);
            mesh.nodes.entry(name).or_insert(read);
        }
    }
    mesh.policies.read(reader, &fields);
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

fn declared_node(reader: &mut Reader<'_>, node: &Arc<Node>) -> Option<(Arc<str>, Span, DeclaredNode)> {
    let fields = reader.fields(node, &NODE)?;
    let name = fields.name(reader, "name");
    let service = fields.name(reader, "service");
    let sidecar = fields
        .node(reader, "sidecar")
        .map(|node| sidecar::sidecar(reader, node));
    let read = DeclaredNode {
        node: Arc::clone(node),
        service: service?.0,
        service_span: fields.span_of("service"),
        sidecar: sidecar?,
    };
    Some((name?.0, fields.span_of("name"), read))
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
