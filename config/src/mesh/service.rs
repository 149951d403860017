//! Services: under which names and ports they are called, where they run, who they are, whom they call.

use super::made::items_of;
use super::mentions::Mentions;
use super::read::{Defaults, MutualTls, label_name, mutual_tls, one_or_more, taken, taken_over};
use super::shapes::{
    INBOUND, MESH_HTTP, MESH_TCP, OUTBOUND, PORT, PROTOCOLS, SERVICE, SERVICE_CLUSTER, SERVICE_ENDPOINT,
    SERVICE_VIRTUAL_HOST, USE,
};
use super::sidecar::{self, Sidecar};
use crate::diagnostic::Span;
use crate::yaml::Unique;
use crate::yaml::reader::{Fields, Reader, scalar_of};
use crate::yaml::scalar;
use crate::yaml::tree::Node;
use std::sync::Arc;

/// Endpoints of one service at most: as many as one proxy is measured with.
const ENDPOINTS_MAX: usize = 1_000_000;

/// What is spoken on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    Http2,
    Grpc,
    Tcp,
    Auto,
}

impl Protocol {
    /// Requests can be routed.
    pub(super) fn is_http(self) -> bool {
        self != Protocol::Tcp
    }
    /// Bytes can be passed on.
    pub(super) fn is_bytes(self) -> bool {
        matches!(self, Protocol::Tcp | Protocol::Auto)
    }
}

/// A port on which a service is called.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) span: Span,
    pub(super) number: u16,
    pub(super) name: Arc<str>,
    pub(super) protocol: Protocol,
    pub(super) application_port: u16,
    pub(super) addresses: Option<Arc<Node>>,
}

/// What a service's proxies do with requests to it.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    pub(super) authorization: Option<Arc<Node>>,
    pub(super) http: Option<Arc<Node>>,
    pub(super) tcp: Option<Arc<Node>>,
    pub(super) routes: Option<Arc<Node>>,
    pub(super) cluster: Option<Arc<Node>>,
}

/// What a service's proxies do with what it sends.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    pub(super) http: Option<Arc<Node>>,
    pub(super) tcp: Option<Arc<Node>>,
    /// Where it stands that what is not known passes.
    pub(super) pass: Option<Span>,
}

/// A service that is called.
#[derive(Debug)]
pub(super) struct Use {
    pub(super) span: Span,
    pub(super) service: Arc<str>,
    pub(super) port: Option<(u16, Span)>,
    pub(super) address: Option<Arc<Node>>,
}

/// A service of the mesh.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) node: Arc<Node>,
    pub(super) span: Span,
    pub(super) name: Arc<str>,
    pub(super) hosts: Vec<(String, Span)>,
    /// Never empty where there is no fault.
    pub(super) ports: Vec<Port>,
    pub(super) endpoints: Vec<Arc<Node>>,
    pub(super) endpoints_span: Span,
    pub(super) discovery: Option<Arc<Node>>,
    identity: Vec<(String, Span)>,
    pub(super) mutual_tls: Option<(MutualTls, Span)>,
    pub(super) tls: Option<Arc<Node>>,
    pub(super) cluster: Option<Arc<Node>>,
    pub(super) virtual_host: Option<Arc<Node>>,
    pub(super) routes: Option<Arc<Node>>,
    pub(super) inbound: Inbound,
    pub(super) outbound: Outbound,
    pub(super) uses: Vec<Use>,
    pub(super) sidecar: Option<Sidecar>,
    pub(super) mentions: Mentions,
}

impl Service {
    /// The namespace, and the name in it.
    pub(super) fn parts(&self) -> (&str, &str) {
        self.name.split_once('/').unwrap_or(("", &self.name))
    }

    /// The host by which it is known everywhere: `catalog.shop`.
    pub(super) fn host(&self) -> String {
        let (namespace, name) = self.parts();
        format!("{name}.{namespace}")
    }

    /// What the cluster of one of its ports is called, and the virtual host: `catalog.shop:80`.
    pub(super) fn at(&self, port: &Port) -> String {
        format!("{}:{}", self.host(), port.number)
    }

    /// Every host by which it is called wherever the caller is.
    pub(super) fn every_host(&self, defaults: &Defaults) -> Vec<(String, Span)> {
        let host = self.host();
        let full = format!("{host}.{}", defaults.domain());
        let own = [(host, self.span), (full, self.span)];
        own.into_iter().chain(self.hosts.iter().cloned()).collect()
    }

    pub(super) fn port(&self, number: u16) -> Option<&Port> {
        self.ports.iter().find(|port| port.number == number)
    }

    pub(super) fn port_named(&self, name: &str) -> Option<&Port> {
        self.ports.iter().find(|port| &*port.name == name)
    }

    /// It is the first of the service's ports: endpoints' addresses are for it.
    pub(super) fn is_first(&self, port: &Port) -> bool {
        self.ports
            .first()
            .is_some_and(|first| first.number == port.number)
    }

    /// The ids that are said of it, with their places.
    pub(super) fn written_identities(&self) -> &[(String, Span)] {
        &self.identity
    }

    /// Who its proxies are.
    pub(super) fn identities(&self, defaults: &Defaults) -> Vec<String> {
        match (&defaults.trust_domain, &self.sidecar) {
            (Some(domain), Some(_)) if self.identity.is_empty() => vec![derived(domain, &self.name)],
            _ => self.identity.iter().map(|(id, _)| id.clone()).collect(),
        }
    }

    /// Whether its proxies ask callers for a certificate.
    pub(super) fn mutual_tls(&self, defaults: &Defaults) -> MutualTls {
        if self.identities(defaults).is_empty() {
            return MutualTls::Off;
        }
        let own = self.mutual_tls.map(|(mode, _)| mode);
        own.or(defaults.mutual_tls).unwrap_or(MutualTls::Strict)
    }
}

/// The id of a proxy that none is said of.
pub(super) fn derived(trust_domain: &str, name: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    format!("spiffe://{trust_domain}/ns/{namespace}/sa/{name}")
}

pub(super) fn service(reader: &mut Reader<'_>, node: &Arc<Node>) -> Option<Service> {
    let fields = reader.fields(node, &SERVICE)?;
    let name = fields.parsed(reader, "name", label_name);
    let mut hosts = Vec::new();
    for node in fields.list(reader, "hosts") {
        let host = reader.parse(node, "a host", |text| scalar::host(&text.to_ascii_lowercase()));
        hosts.extend(host.map(|host| (host, node.span)));
    }
    let ports = ports(reader, &fields);
    let endpoints = endpoints(reader, &fields);
    let read = Service {
        node: Arc::clone(node),
        span: fields.span_of("name"),
        name: name.clone().unwrap_or_else(|| "".into()),
        hosts,
        ports,
        endpoints,
        endpoints_span: fields.span_of("endpoints"),
        discovery: taken(reader, &fields, "discovery"),
        identity: identities(reader, &fields),
        mutual_tls: mutual_tls(reader, &fields).map(|mode| (mode, fields.span_of("mutual_tls"))),
        tls: taken(reader, &fields, "tls"),
        cluster: taken_over(reader, &fields, "cluster", &SERVICE_CLUSTER),
        virtual_host: taken_over(reader, &fields, "virtual_host", &SERVICE_VIRTUAL_HOST),
        routes: taken(reader, &fields, "routes"),
        inbound: inbound(reader, &fields),
        outbound: outbound(reader, &fields),
        uses: uses(reader, &fields),
        sidecar: fields
            .node(reader, "sidecar")
            .map(|node| sidecar::sidecar(reader, node)),
        mentions: Mentions::of(node),
    };
    name.map(|_| read)
}

/// The SPIFFE ids in `identity`, of a service or a gateway.
pub(super) fn identities(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<(String, Span)> {
    let mut seen = Unique::new("identity");
    let mut identities = Vec::new();
    for node in one_or_more(reader, fields, "identity").unwrap_or_default() {
        if let Some(id) = reader.parse(node, "a SPIFFE id", scalar::workload_id) {
            let id = id.to_string();
            seen.insert(reader, id.clone(), node.span);
            identities.push((id, node.span));
        }
    }
    identities
}

fn ports(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<Port> {
    let mut ports = Vec::new();
    let (mut numbers, mut names) = (Unique::new("port"), Unique::new("port"));
    for node in fields.list(reader, "ports") {
        let Some(fields) = reader.fields(node, &PORT) else {
            continue;
        };
        let number = fields.integer(reader, "port");
        let number = number.and_then(|number| u16::try_from(number).ok());
        let name = fields.name(reader, "name").map(|name| name.0);
        let [http, http2, grpc, tcp, auto] = PROTOCOLS;
        let words = [
            (http, Protocol::Http),
            (http2, Protocol::Http2),
            (grpc, Protocol::Grpc),
            (tcp, Protocol::Tcp),
            (auto, Protocol::Auto),
        ];
        let protocol = fields
            .choice(reader, "protocol", &words)
            .unwrap_or(Protocol::Http);
        let application_port = fields.integer(reader, "application_port");
        let addresses = taken(reader, &fields, "addresses");
        let Some(number) = number else { continue };
        numbers.insert(reader, number, fields.span_of("port"));
        let name = name.unwrap_or_else(|| number.to_string().into());
        names.insert(reader, Arc::clone(&name), fields.span_of("name"));
        let application_port = application_port.and_then(|port| u16::try_from(port).ok());
        ports.push(Port {
            span: fields.span_of("port"),
            number,
            name,
            protocol,
            application_port: application_port.unwrap_or(number),
            addresses,
        });
    }
    ports
}

fn endpoints(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<Arc<Node>> {
    let nodes = fields.list(reader, "endpoints");
    if nodes.len() > ENDPOINTS_MAX {
        reader.fault(
            fields.span_of("endpoints"),
            format!("more than {ENDPOINTS_MAX} endpoints"),
        );
        return Vec::new();
    }
    for node in nodes {
        // Their own fields are read with the cluster that they are part of.
        if let Some(fields) = reader.fields(node, &SERVICE_ENDPOINT) {
            for entry in fields.map(reader, "ports") {
                sidecar::port_number(reader, &entry.value);
            }
            fields.pass_on();
        }
    }
    nodes.to_vec()
}

fn inbound(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Inbound {
    let node = fields.node(reader, "inbound");
    let Some(fields) = node.and_then(|node| reader.fields(node, &INBOUND)) else {
        return Inbound::default();
    };
    Inbound {
        authorization: taken(reader, &fields, "authorization"),
        http: taken_over(reader, &fields, "http", &MESH_HTTP),
        tcp: taken_over(reader, &fields, "tcp", &MESH_TCP),
        routes: taken(reader, &fields, "routes"),
        cluster: taken_over(reader, &fields, "cluster", &SERVICE_CLUSTER),
    }
}

fn outbound(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Outbound {
    let node = fields.node(reader, "outbound");
    let Some(fields) = node.and_then(|node| reader.fields(node, &OUTBOUND)) else {
        return Outbound::default();
    };
    let pass = fields.choice(reader, "unknown", &[("refuse", false), ("pass", true)]);
    Outbound {
        http: taken_over(reader, &fields, "http", &MESH_HTTP),
        tcp: taken_over(reader, &fields, "tcp", &MESH_TCP),
        pass: pass.filter(|pass| *pass).map(|_| fields.span_of("unknown")),
    }
}

fn uses(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<Use> {
    let Some(node) = fields.node(reader, "uses") else {
        return Vec::new();
    };
    reader.items(node, false);
    let mut uses = Vec::new();
    for node in items_of(node) {
        if scalar_of(node).is_some() {
            uses.extend(reader.name(node).map(|name| Use {
                span: node.span,
                service: name.0,
                port: None,
                address: None,
            }));
            continue;
        }
        let Some(fields) = reader.fields(node, &USE) else {
            continue;
        };
        let service = fields.name(reader, "service");
        let port = fields.integer(reader, "port");
        let port = port.and_then(|port| u16::try_from(port).ok());
        let address = taken(reader, &fields, "address");
        uses.extend(service.map(|name| Use {
            span: fields.span_of("service"),
            service: name.0,
            port: port.map(|port| (port, fields.span_of("port"))),
            address,
        }));
    }
    uses
}
