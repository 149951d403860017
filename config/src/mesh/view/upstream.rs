//! Clusters of services, as their callers have them.

use super::{Builder, IDENTITY};
use crate::diagnostic::Span;
use crate::mesh::made::{again, entries_of, entry, field, list, map, overlay, plain, text};
use crate::mesh::read::MutualTls;
use crate::mesh::service::{Port, Protocol, Service};
use crate::mesh::targets::{application, text_of};
use crate::yaml::tree::{Entry, Node};
use std::net::SocketAddr;
use std::sync::Arc;

impl<'m> Builder<'m> {
    /// The cluster of a service's port, by its name; it is part of the view from now on. `span` is where it is meant.
    pub(in crate::mesh) fn cluster(&mut self, service: &'m Service, port: &'m Port, span: Span) -> String {
        let name = service.at(port);
        self.services.insert(service.name.to_string());
        if self.clusters.contains_key(&name) {
            return name;
        }
        let mode = service.mutual_tls(self.defaults());
        if mode == MutualTls::Strict && !self.has_identity {
            let message = format!(
                "`{}` asks its callers for an identity, and this one has none",
                service.name
            );
            let help = "give it an `identity`, or that service `mutual_tls: permissive`";
            self.reader.fault_with_help(span, message, help);
        }
        let known = self.looking.mesh().kept.cluster(&name, self.has_identity);
        self.owners.insert(name.clone(), Arc::clone(&service.name));
        if let Some(known) = known {
            self.clusters.insert(name.clone(), Arc::clone(&known.node));
            let known_clusters = &mut self.reader.readings.clusters.before;
            known_clusters.insert(Arc::clone(&known.name.0), known);
            return name;
        }
        let mut made = vec![
            entry("name", text(port.span, &*name)),
            entry("protocol", plain(port.span, spoken(port.protocol))),
        ];
        match &service.discovery {
            Some(discovery) => made.push(entry("discovery", Arc::clone(discovery))),
            None => {
                let endpoints = service.endpoints.iter().map(|node| endpoint(service, port, node));
                made.push(entry("endpoints", list(service.endpoints_span, endpoints)));
            }
        }
        if mode != MutualTls::Off && self.has_identity {
            made.push(entry("tls", mutual_tls(service.span, &self.identities(service))));
        } else if let Some(tls) = &service.tls {
            made.push(entry("tls", Arc::clone(tls)));
        }
        let defaults = self.defaults().cluster.as_ref();
        let cluster = overlay(service.span, made, [service.cluster.as_ref(), defaults]);
        self.clusters.insert(name.clone(), cluster);
        name
    }

    fn identities(&self, service: &Service) -> Vec<String> {
        service.identities(self.defaults())
    }

    /// The application, on a port; the cluster's name.
    pub(super) fn application(&mut self, service: &Service, port: &Port, listens: u16) -> String {
        let name = application(port);
        let address = entry("address", text(port.span, format!("127.0.0.1:{listens}")));
        let made = vec![
            entry("name", text(port.span, &*name)),
            entry("protocol", plain(port.span, spoken(port.protocol))),
            entry("endpoints", list(port.span, [map(port.span, vec![address])])),
        ];
        let cluster = overlay(port.span, made, [service.inbound.cluster.as_ref()]);
        self.clusters.insert(name.clone(), cluster);
        name
    }

    /// Wherever intercepted connections were meant for; the cluster's name.
    pub(super) fn anywhere(&mut self, span: Span) -> String {
        let name = "passed".to_owned();
        let kind = entry("type", plain(span, "original_destination"));
        let made = vec![
            entry("name", text(span, &*name)),
            entry("discovery", map(span, vec![kind])),
        ];
        self.clusters.insert(name.clone(), map(span, made));
        name
    }
}

/// What is spoken with endpoints: what the application speaks, so that nothing is turned into what it is not.
fn spoken(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http2 | Protocol::Grpc => "http2",
        Protocol::Http | Protocol::Tcp | Protocol::Auto => "http1",
    }
}

/// Mutual TLS with proxies of these identities.
fn mutual_tls(span: Span, identities: &[String]) -> Arc<Node> {
    let peers = identities
        .iter()
        .map(|id| map(span, vec![entry("spiffe_id", text(span, &**id))]));
    let own = map(span, vec![entry("identity", text(span, IDENTITY))]);
    map(
        span,
        vec![
            entry("roots", plain(span, "spiffe")),
            entry("peers", list(span, peers)),
            entry("certificate", own),
        ],
    )
}

/// An endpoint for a port: its address is for the first, and has another number for the others.
fn endpoint(service: &Service, port: &Port, node: &Arc<Node>) -> Arc<Node> {
    let ports = field(node, "ports");
    let number = ports
        .and_then(|ports| field(ports, &port.name))
        .and_then(|number| text_of(number))
        .and_then(|number| number.parse::<u16>().ok());
    if service.is_first(port) && ports.is_none() {
        return Arc::clone(node);
    }
    let number = match (number, service.is_first(port)) {
        (Some(number), _) => Some(number),
        (None, true) => None,
        (None, false) => Some(port.application_port),
    };
    let others = entries_of(node).iter().filter(|entry| entry.key != "ports");
    let entries = others.map(|written| match (written.key.as_str(), number) {
        ("address", Some(number)) => with_port(written, number),
        _ => again(written),
    });
    map(node.span, entries.collect())
}

/// An address with another port; as it stands if it is none, which the reader says.
fn with_port(written: &Entry, number: u16) -> Entry {
    let address = text_of(&written.value).and_then(|address| address.parse::<SocketAddr>().ok());
    match address {
        Some(mut address) => {
            address.set_port(number);
            Entry {
                value: text(written.value.span, address.to_string()),
                ..again(written)
            }
        }
        None => again(written),
    }
}
