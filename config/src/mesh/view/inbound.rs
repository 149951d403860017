//! What sidecars do with requests to their own service.

use super::{Builder, IDENTITY};
use crate::diagnostic::Span;
use crate::mesh::made::{entry, list, map, plain, text};
use crate::mesh::read::MutualTls;
use crate::mesh::service::{Port, Service};
use crate::mesh::sidecar::{Interception, Place, Sidecar};
use crate::mesh::targets::Own;
use crate::model::TrafficDirection;
use crate::yaml::tree::{Entry, Node};
use std::net::SocketAddr;
use std::sync::Arc;

impl<'m> Builder<'m> {
    pub(super) fn inbound(&mut self, service: &'m Service, settings: &Sidecar) {
        match settings.interception() {
            Interception::Off => self.inbound_addressed(service, settings),
            mode => self.inbound_intercepted(service, settings, mode),
        }
    }

    /// A listener for every port, with a chain for each.
    fn inbound_intercepted(&mut self, service: &'m Service, settings: &Sidecar, mode: Interception) {
        let mut chains = Vec::new();
        for port in &service.ports {
            let listens = application_port(settings, port);
            let number = entry("destination_port", plain(port.span, listens));
            let matches = entry("match", map(port.span, vec![number]));
            chains.push(self.inbound_chain(service, port, listens, Some(matches)));
        }
        for (index, place) in settings.inbound().into_iter().enumerate() {
            let name = numbered("inbound", index);
            let mut entries = listener(place, TrafficDirection::Inbound, &name, chains.clone());
            entries.push(entry("interception", plain(place.span, mode.word())));
            self.listeners.push(map(place.span, entries));
        }
    }

    /// A listener for each port, which is told where.
    fn inbound_addressed(&mut self, service: &'m Service, settings: &Sidecar) {
        for port in &service.ports {
            let places = match settings.inbound_ports.get(&port.name) {
                Some(place) => vec![*place],
                None if service.is_first(port) => settings.inbound(),
                None => Vec::new(),
            };
            if places.is_empty() {
                let field = if service.is_first(port) {
                    "inbound"
                } else {
                    "inbound_ports"
                };
                let message = format!(
                    "no address for the port {} of `{}`, where its sidecars are to listen without interception",
                    port.name, service.name
                );
                let help = format!("give it in `{field}` of `sidecar`");
                self.reader.fault_with_help(port.span, message, help);
                continue;
            }
            let listens = application_port(settings, port);
            let chain = self.inbound_chain(service, port, listens, None);
            for (index, place) in places.into_iter().enumerate() {
                self.refuse_circle(place, listens);
                let name = numbered(&format!("inbound/{}", port.name), index);
                let entries = listener(place, TrafficDirection::Inbound, &name, vec![Arc::clone(&chain)]);
                self.listeners.push(map(place.span, entries));
            }
        }
    }

    /// A sidecar may not listen where it looks for the application.
    fn refuse_circle(&mut self, place: Place, listens: u16) {
        let application = SocketAddr::from(([127, 0, 0, 1], listens));
        let takes = place.address.ip().is_unspecified() || place.address.ip() == application.ip();
        if takes && place.address.port() == listens {
            let message =
                format!("the application is looked for at {application}, where the sidecar listens");
            let help = "requests would go round; give one of them another port";
            self.reader.fault_with_help(place.span, message, help);
        }
    }

    fn inbound_chain(
        &mut self,
        service: &'m Service,
        port: &'m Port,
        listens: u16,
        matches: Option<Entry>,
    ) -> Arc<Node> {
        let span = port.span;
        let cluster = self.application(service, port, listens);
        let mut chain = vec![entry("name", text(span, &*port.name))];
        chain.extend(matches);
        let mode = service.mutual_tls(self.defaults());
        if mode != MutualTls::Off {
            let span = service.mutual_tls.map_or(service.span, |(_, span)| span);
            chain.push(entry("tls", downstream_tls(span, mode)));
        }
        if let Some(policies) = &service.inbound.authorization {
            chain.push(entry("authorization", Arc::clone(policies)));
        }
        if port.protocol.is_http() {
            self.inbound_routes(service, port, &cluster);
            chain.push(self.http(span, service.inbound.http.as_ref(), &cluster));
        }
        if port.protocol.is_bytes() {
            chain.push(self.tcp(span, service.inbound.tcp.as_ref(), &cluster));
        }
        map(span, chain)
    }

    /// The route configuration of a port, which has the name of the application's cluster.
    fn inbound_routes(&mut self, service: &'m Service, port: &'m Port, cluster: &str) {
        let span = port.span;
        let own = Own::Application(port);
        let routes = match &service.inbound.routes {
            Some(routes) => self.routes(routes, own),
            None => self.all_to(span, own),
        };
        let host = map(
            span,
            vec![
                entry("name", text(span, &*port.name)),
                entry("domains", list(span, [text(span, "*")])),
                entry("routes", routes),
            ],
        );
        self.route_configuration(span, cluster, vec![host]);
    }
}

/// A listener's name; further ones of one kind have numbers.
pub(super) fn numbered(name: &str, index: usize) -> String {
    match index {
        0 => name.to_owned(),
        index => format!("{name}/{}", index + 1),
    }
}

/// A listener with its chains.
pub(super) fn listener(
    place: Place,
    direction: TrafficDirection,
    name: &str,
    chains: Vec<Arc<Node>>,
) -> Vec<Entry> {
    let span = place.span;
    vec![
        entry("name", text(span, name)),
        entry("address", text(span, place.address.to_string())),
        entry("direction", plain(span, direction.as_str())),
        entry("filter_chains", list(span, chains)),
    ]
}

fn application_port(settings: &Sidecar, port: &Port) -> u16 {
    let said = settings.application_ports.get(&port.name);
    said.map_or(port.application_port, |(number, _)| *number)
}

/// TLS that asks callers for a certificate of a trust domain that is believed; who of them may do what, policies say.
fn downstream_tls(span: Span, mode: MutualTls) -> Arc<Node> {
    let word = match mode {
        MutualTls::Permissive => "permissive",
        MutualTls::Strict | MutualTls::Off => "strict",
    };
    let own = map(span, vec![entry("identity", text(span, IDENTITY))]);
    let client = map(span, vec![entry("roots", plain(span, "spiffe"))]);
    map(
        span,
        vec![
            entry("mode", plain(span, word)),
            entry("certificates", list(span, [own])),
            entry("client", client),
        ],
    )
}
