//! Gateways: where requests come in from outside, and to which services they go.

use super::mentions::Mentions;
use super::read::{Defaults, label_name, taken, taken_over};
use super::service::{derived, identities};
use super::shapes::{GATEWAY, GATEWAY_LISTENER, GATEWAY_VIRTUAL_HOST, MESH_HTTP};
use crate::diagnostic::Span;
use crate::yaml::Unique;
use crate::yaml::reader::{Fields, Reader};
use crate::yaml::tree::Node;
use std::sync::Arc;

/// Routes for a set of domains.
#[derive(Debug)]
pub(super) struct VirtualHost {
    pub(super) node: Arc<Node>,
    /// The service whose routes are these, with the place of its name.
    pub(super) service: Option<(Arc<str>, Span)>,
}

/// A listener with its one filter chain.
#[derive(Debug)]
pub(super) struct GatewayListener {
    pub(super) node: Arc<Node>,
    pub(super) name: Arc<str>,
    pub(super) tls: Option<Arc<Node>>,
    pub(super) http: Option<Arc<Node>>,
    pub(super) tcp: Option<Arc<Node>>,
    pub(super) authorization: Option<Arc<Node>>,
    /// None: the gateway's.
    pub(super) virtual_hosts: Option<Vec<VirtualHost>>,
}

/// Proxies that take requests from outside.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) node: Arc<Node>,
    pub(super) span: Span,
    pub(super) name: Arc<str>,
    identity: Vec<(String, Span)>,
    pub(super) listeners: Vec<GatewayListener>,
    pub(super) virtual_hosts: Vec<VirtualHost>,
    pub(super) mentions: Mentions,
}

impl Gateway {
    /// The ids that are said of it, with their places.
    pub(super) fn written_identities(&self) -> &[(String, Span)] {
        &self.identity
    }

    /// Who its proxies are, towards services.
    pub(super) fn identities(&self, defaults: &Defaults) -> Vec<String> {
        match &defaults.trust_domain {
            Some(domain) if self.identity.is_empty() => vec![derived(domain, &self.name)],
            _ => self.identity.iter().map(|(id, _)| id.clone()).collect(),
        }
    }
}

pub(super) fn gateway(reader: &mut Reader<'_>, node: &Arc<Node>) -> Option<Gateway> {
    let fields = reader.fields(node, &GATEWAY)?;
    let name = fields.parsed(reader, "name", label_name);
    let identity = identities(reader, &fields);
    let virtual_hosts = virtual_hosts(reader, &fields);
    let mut names = Unique::new("listener");
    let mut listeners = Vec::new();
    for node in fields.list(reader, "listeners") {
        if let Some((listener, span)) = listener(reader, node) {
            names.insert(reader, Arc::clone(&listener.name), span);
            let hosts = listener.virtual_hosts.as_ref().unwrap_or(&virtual_hosts);
            if listener.tcp.is_none() && hosts.is_empty() {
                let message = "a listener for HTTP without virtual hosts would answer nothing but 404";
                let help = "give the gateway or the listener `virtual_hosts`";
                reader.fault_with_help(node.span, message, help);
            }
            listeners.push(listener);
        }
    }
    let span = fields.span_of("name");
    Some(Gateway {
        node: Arc::clone(node),
        span,
        name: name?,
        identity,
        listeners,
        virtual_hosts,
        mentions: Mentions::of(node),
    })
}

fn listener(reader: &mut Reader<'_>, node: &Arc<Node>) -> Option<(GatewayListener, Span)> {
    let fields = reader.fields(node, &GATEWAY_LISTENER)?;
    let name = fields.name(reader, "name");
    let given = fields.node(reader, "virtual_hosts").is_some();
    let virtual_hosts = virtual_hosts(reader, &fields);
    let tcp = taken(reader, &fields, "tcp");
    if given && tcp.is_some() {
        let message = "`virtual_hosts` on a listener that passes bytes on";
        reader.fault(fields.key_span_of("virtual_hosts"), message);
    }
    let span = fields.span_of("name");
    let listener = GatewayListener {
        node: Arc::clone(node),
        name: name
            .as_ref()
            .map_or_else(|| "".into(), |name| Arc::clone(&name.0)),
        tls: taken(reader, &fields, "tls"),
        http: taken_over(reader, &fields, "http", &MESH_HTTP),
        tcp,
        authorization: taken(reader, &fields, "authorization"),
        virtual_hosts: given.then_some(virtual_hosts),
    };
    // The rest is the listener's that is made of it.
    fields.pass_on();
    name.map(|_| (listener, span))
}

fn virtual_hosts(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<VirtualHost> {
    let mut hosts = Vec::new();
    for node in fields.list(reader, "virtual_hosts") {
        let Some(fields) = reader.fields(node, &GATEWAY_VIRTUAL_HOST) else {
            continue;
        };
        let service = fields.name(reader, "service");
        hosts.push(VirtualHost {
            node: Arc::clone(node),
            service: service.map(|name| (name.0, fields.span_of("service"))),
        });
        fields.pass_on();
    }
    hosts
}
