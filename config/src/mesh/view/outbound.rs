//! What sidecars and clients do with requests of their own service.

use super::Builder;
use super::inbound::{listener, numbered};
use crate::diagnostic::Span;
use crate::mesh::check;
use crate::mesh::made::{entry, list, map, plain, text};
use crate::mesh::service::{Port, Service, Use};
use crate::mesh::sidecar::{Interception, Place, Sidecar};
use crate::model::TrafficDirection;
use crate::yaml::scalar;
use crate::yaml::tree::Node;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// A port of a service that is called.
#[derive(Clone, Copy)]
struct Called<'m> {
    used: &'m Use,
    service: &'m Service,
    port: &'m Port,
}

impl Called<'_> {
    fn name(&self) -> String {
        self.service.at(self.port)
    }
}

impl<'m> Builder<'m> {
    pub(super) fn outbound(&mut self, own: &'m Service, settings: &Sidecar) {
        let called = self.called(own);
        let (addressed, rest): (Vec<_>, Vec<_>) = called
            .into_iter()
            .partition(|called| called.used.address.is_some());
        for called in addressed {
            self.listener_of(own, called);
        }
        match settings.interception() {
            Interception::Off => self.outbound_addressed(own, settings, &rest),
            mode => self.outbound_intercepted(own, settings, mode, &rest),
        }
    }

    /// Route configurations of everything that a client calls, for it to ask for by host and port.
    pub(super) fn client(&mut self) {
        let own = self.caller.expect("a client's view is made for one");
        let mut called = self.called(own);
        called.retain(|called| called.port.protocol.is_http());
        let said: HashMap<String, &Arc<str>> = called
            .iter()
            .flat_map(|called| {
                let hosts = called.service.every_host(self.defaults()).into_iter();
                hosts.map(|(host, _)| (host, &called.service.name))
            })
            .collect();
        let mut made = HashSet::new();
        for called in &called {
            if made.insert(called.name()) {
                self.routes_alone(called.service, called.port, called.used.span);
            }
            for (host, _) in self.hosts(*called) {
                // A host that is said comes before one that follows from where the caller is.
                if said
                    .get(&host)
                    .is_some_and(|owner| **owner != called.service.name)
                {
                    continue;
                }
                if called.service.is_first(called.port) {
                    self.targets.insert(host.clone(), called.name());
                }
                let target = format!("{host}:{}", called.port.number);
                self.targets.insert(target, called.name());
            }
        }
    }

    /// Every port that a service calls, each once; faults where one is not there.
    fn called(&mut self, own: &'m Service) -> Vec<Called<'m>> {
        let mut called: Vec<Called<'m>> = Vec::new();
        let mut known = HashSet::new();
        for used in &own.uses {
            let Some(service) = self.service(&used.service, used.span) else {
                continue;
            };
            let ports: Vec<&Port> = match used.port {
                None => service.ports.iter().collect(),
                Some((number, span)) => check::port_of(&mut self.reader, service, number, span)
                    .into_iter()
                    .collect(),
            };
            if used.address.is_some() && ports.len() > 1 {
                let message = format!("one address for the {} ports of `{}`", ports.len(), service.name);
                let help = "say which is meant by `port`";
                self.reader.fault_with_help(used.span, message, help);
                continue;
            }
            for port in ports {
                let next = Called { used, service, port };
                // Named as a whole and with its port, it is meant once; an address is beside that.
                if used.address.is_some() || known.insert(next.name()) {
                    called.push(next);
                }
            }
        }
        called
    }

    /// The hosts by which its caller calls a service.
    fn hosts(&self, called: Called<'_>) -> Vec<(String, Span)> {
        let mut hosts = called.service.every_host(self.defaults());
        let (namespace, name) = called.service.parts();
        if self.caller.is_some_and(|caller| caller.parts().0 == namespace) {
            hosts.push((name.to_owned(), called.used.span));
        }
        hosts
    }

    /// Which of several that are called has which host: those that are said come before those that follow from where the
    /// caller is.
    fn said_hosts(&self, called: &[Called<'m>]) -> HashMap<String, String> {
        let mut taken = HashMap::new();
        for called in called.iter().filter(|called| called.port.protocol.is_http()) {
            for (host, _) in called.service.every_host(self.defaults()) {
                taken.entry(host).or_insert_with(|| called.name());
            }
        }
        taken
    }

    /// A virtual host of what is called; hosts that another has already are left to it.
    fn called_host(&mut self, called: Called<'m>, taken: &mut HashMap<String, String>) -> Option<Arc<Node>> {
        let name = called.name();
        let mut domains = Vec::new();
        for (host, span) in self.hosts(called) {
            let first = taken.entry(host.clone()).or_insert_with(|| name.clone());
            if *first == name {
                domains.push(text(span, host));
            }
        }
        if domains.is_empty() {
            return None;
        }
        Some(self.virtual_host(called.service, called.port, domains, called.used.span))
    }

    /// An HTTP proxy by hosts: the first HTTP port of each service, or the one that is named.
    fn outbound_addressed(&mut self, own: &'m Service, settings: &Sidecar, called: &[Called<'m>]) {
        let mut hosts = Vec::new();
        let mut taken = self.said_hosts(called);
        for called in called {
            if !called.port.protocol.is_http() {
                let message = format!(
                    "`{}` speaks TCP on {}, and without interception nothing tells what is meant for it",
                    called.service.name, called.port.number
                );
                let help = "give it an `address` in `uses`, with its `port`";
                self.reader.fault_with_help(called.used.span, message, help);
                continue;
            }
            let first = called.service.ports.iter().find(|port| port.protocol.is_http());
            let is_first = first.is_some_and(|first| first.number == called.port.number);
            if !is_first && called.used.port.is_none() {
                continue;
            }
            match self.called_host(*called, &mut taken) {
                Some(host) => hosts.push(host),
                None => {
                    let message = format!("a second port of `{}` by the same hosts", called.service.name);
                    let help = "give one of them an `address` in `uses`";
                    self.reader.fault_with_help(called.used.span, message, help);
                }
            }
        }
        if hosts.is_empty() {
            return;
        }
        self.route_configuration(own.span, "outbound", hosts);
        let http = self.http(own.span, own.outbound.http.as_ref(), "outbound");
        let chain = map(own.span, vec![http]);
        for (index, place) in settings.outbound().into_iter().enumerate() {
            let name = numbered("outbound", index);
            let entries = listener(place, TrafficDirection::Outbound, &name, vec![Arc::clone(&chain)]);
            self.listeners.push(map(place.span, entries));
        }
    }

    /// One listener for everything that the kernel leads there: HTTP by port and host, TCP by port and address.
    fn outbound_intercepted(
        &mut self,
        own: &'m Service,
        settings: &Sidecar,
        mode: Interception,
        called: &[Called<'m>],
    ) {
        let mut chains = Vec::new();
        let mut by_port: BTreeMap<u16, Vec<Called<'m>>> = BTreeMap::new();
        let mut alone: HashMap<u16, Called<'m>> = HashMap::new();
        for called in called {
            let number = called.port.number;
            if called.port.protocol.is_http() {
                by_port.entry(number).or_default().push(*called);
            } else if called.port.addresses.is_none()
                && let Some(first) = alone.insert(number, *called)
            {
                self.refuse_alike(*called, first);
                continue;
            }
            let is_told = called.port.addresses.is_some() || !called.port.protocol.is_http();
            if called.port.protocol.is_bytes() && is_told {
                chains.push(self.tcp_chain(own, *called));
            }
        }
        for (number, called) in &by_port {
            if let Some(tcp) = alone.get(number) {
                self.refuse_alike(called[0], *tcp);
                continue;
            }
            chains.push(self.http_chain(own, *number, called));
        }
        if let Some(span) = own.outbound.pass {
            let cluster = self.anywhere(span);
            let name = entry("name", text(span, "passed"));
            let tcp = self.tcp(span, own.outbound.tcp.as_ref(), &cluster);
            chains.push(map(span, vec![name, tcp]));
        }
        if chains.is_empty() {
            return;
        }
        for (index, place) in settings.outbound().into_iter().enumerate() {
            let name = numbered("outbound", index);
            let mut entries = listener(place, TrafficDirection::Outbound, &name, chains.clone());
            entries.push(entry("interception", plain(place.span, mode.word())));
            self.listeners.push(map(place.span, entries));
        }
    }

    fn refuse_alike(&mut self, called: Called<'m>, first: Called<'m>) {
        let message = format!(
            "`{}` and `{}` are both called on port {}, and nothing tells which is meant by a connection",
            first.service.name, called.service.name, called.port.number
        );
        let help = "give the port of the one that speaks TCP `addresses`, or its use an `address`";
        self.reader.fault_with_help(called.used.span, message, help);
    }

    /// The chain of all HTTP services on one port.
    fn http_chain(&mut self, own: &'m Service, number: u16, called: &[Called<'m>]) -> Arc<Node> {
        let name = format!("outbound/{number}");
        let mut hosts = Vec::new();
        let mut taken = self.said_hosts(called);
        for called in called {
            hosts.extend(self.called_host(*called, &mut taken));
        }
        if let Some(span) = own.outbound.pass {
            hosts.push(self.passed_host(span));
        }
        self.route_configuration(own.span, &name, hosts);
        let port = entry("destination_port", plain(own.span, number));
        let http = self.http(own.span, own.outbound.http.as_ref(), &name);
        let entries = vec![
            entry("name", text(own.span, format!("http/{number}"))),
            entry("match", map(own.span, vec![port])),
            http,
        ];
        map(own.span, entries)
    }

    /// The virtual host of all hosts that are not known.
    fn passed_host(&mut self, span: Span) -> Arc<Node> {
        let cluster = self.anywhere(span);
        let forward = map(span, vec![entry("cluster", text(span, cluster))]);
        let prefix = map(span, vec![entry("prefix", text(span, "/"))]);
        let route = map(span, vec![entry("match", prefix), entry("forward", forward)]);
        let entries = vec![
            entry("name", text(span, "passed")),
            entry("domains", list(span, [text(span, "*")])),
            entry("routes", list(span, [route])),
        ];
        map(span, entries)
    }

    /// The chain of one TCP port.
    fn tcp_chain(&mut self, own: &'m Service, called: Called<'m>) -> Arc<Node> {
        let span = called.used.span;
        let cluster = self.cluster(called.service, called.port, span);
        let mut matches = vec![entry("destination_port", plain(span, called.port.number))];
        if let Some(addresses) = &called.port.addresses {
            matches.push(entry("destination_prefixes", Arc::clone(addresses)));
        }
        let mut entries = vec![
            entry("name", text(span, format!("tcp/{cluster}"))),
            entry("match", map(span, matches)),
        ];
        if called.port.protocol.is_http() {
            let name = format!("outbound/{cluster}");
            self.any_host(called, &name);
            entries.push(self.http(span, own.outbound.http.as_ref(), &name));
        }
        entries.push(self.tcp(span, own.outbound.tcp.as_ref(), &cluster));
        map(span, entries)
    }

    /// A listener for one port of one service.
    fn listener_of(&mut self, own: &'m Service, called: Called<'m>) {
        let Some(address) = &called.used.address else {
            return;
        };
        let parsed = self
            .reader
            .parse(address, "an IP address and a port", scalar::address);
        let Some(parsed) = parsed else { return };
        let span = address.span;
        let name = format!("outbound/{}", called.name());
        let mut chain = Vec::new();
        if called.port.protocol.is_http() {
            self.any_host(called, &name);
            chain.push(self.http(span, own.outbound.http.as_ref(), &name));
        }
        if called.port.protocol.is_bytes() {
            let cluster = self.cluster(called.service, called.port, called.used.span);
            chain.push(self.tcp(span, own.outbound.tcp.as_ref(), &cluster));
        }
        let place = Place {
            address: parsed,
            span,
        };
        let entries = listener(place, TrafficDirection::Outbound, &name, vec![map(span, chain)]);
        self.listeners.push(map(span, entries));
    }

    /// A route configuration that takes every host to what is called.
    fn any_host(&mut self, called: Called<'m>, name: &str) {
        let span = called.used.span;
        let any = vec![text(span, "*")];
        let host = self.virtual_host(called.service, called.port, any, span);
        self.route_configuration(span, name, vec![host]);
    }
}
