//! What gateways are told.

use super::Builder;
use crate::diagnostic::Span;
use crate::mesh::gateway::{Gateway, GatewayListener, VirtualHost};
use crate::mesh::made::{again, entries_of, entry, field, list, map, overlay, text};
use crate::mesh::targets::Own;
use crate::yaml::shapes::{TCP, VIRTUAL_HOST};
use crate::yaml::tree::Node;
use std::sync::Arc;

/// The fields of a gateway's listener that its filter chain has.
const CHAIN: [&str; 5] = ["tls", "http", "tcp", "authorization", "virtual_hosts"];

impl<'m> Builder<'m> {
    pub(super) fn gateway(&mut self, gateway: &'m Gateway) {
        // Listeners without virtual hosts of their own share one route configuration.
        let shares = |listener: &GatewayListener| listener.tcp.is_none() && listener.virtual_hosts.is_none();
        let shared = "gateway";
        if gateway.listeners.iter().any(shares) {
            self.gateway_routes(gateway.span, shared, &gateway.virtual_hosts);
        }
        for listener in &gateway.listeners {
            let routes = match &listener.virtual_hosts {
                Some(hosts) => {
                    let name = format!("gateway/{}", listener.name);
                    self.gateway_routes(listener.node.span, &name, hosts);
                    name
                }
                None => shared.to_owned(),
            };
            let made = self.gateway_listener(listener, &routes);
            self.listeners.push(made);
        }
    }

    fn gateway_listener(&mut self, listener: &'m GatewayListener, routes: &str) -> Arc<Node> {
        let span = listener.node.span;
        let mut chain = vec![entry("name", text(span, &*listener.name))];
        for (name, written) in [("tls", &listener.tls), ("authorization", &listener.authorization)] {
            chain.extend(written.as_ref().map(|node| entry(name, Arc::clone(node))));
        }
        match &listener.tcp {
            Some(tcp) => {
                let written = self.fields_in_document(tcp, &TCP, Own::None);
                let mut made = Vec::new();
                self.log(&mut made, Some(&written));
                chain.push(entry("tcp", overlay(written.span, made, [Some(&written)])));
            }
            None => chain.push(self.http(span, listener.http.as_ref(), routes)),
        }
        let own = entries_of(&listener.node).iter();
        let own = own
            .filter(|entry| !CHAIN.contains(&entry.key.as_str()))
            .map(again);
        let chains = entry("filter_chains", list(span, [map(span, chain)]));
        map(span, own.chain([chains]).collect())
    }

    fn gateway_routes(&mut self, span: Span, name: &str, hosts: &'m [VirtualHost]) {
        let made = hosts.iter().map(|host| self.gateway_host(host)).collect();
        self.route_configuration(span, name, made);
    }

    fn gateway_host(&mut self, host: &'m VirtualHost) -> Arc<Node> {
        let written = self.fields_in_document(&host.node, &VIRTUAL_HOST, Own::None);
        let own = entries_of(&written).iter().filter(|entry| entry.key != "service");
        let mut entries: Vec<_> = own.map(again).collect();
        let mut layers = Vec::new();
        if let Some((name, span)) = &host.service
            && let Some(service) = self.service(name, *span)
            && let Some(port) = service.ports.iter().find(|port| port.protocol.is_http())
        {
            let own = Own::Port(service, port);
            let routes = match &service.routes {
                Some(routes) => self.routes(routes, own),
                None => self.all_to(*span, own),
            };
            entries.push(entry("routes", routes));
            let written = service.virtual_host.as_ref();
            layers.extend(written.map(|node| self.fields_in_document(node, &VIRTUAL_HOST, Own::None)));
        } else if let Some((name, span)) = &host.service
            && self.looking.service(name).is_some()
        {
            let message = format!("no port of `{name}` speaks HTTP");
            self.reader.fault(*span, message);
        }
        let made = overlay(written.span, entries, layers.iter().map(Some));
        if field(&made, "retry").is_none()
            && let Some(retry) = &self.defaults().retry
        {
            let retry = vec![entry("retry", Arc::clone(retry))];
            return overlay(written.span, retry, [Some(&made)]);
        }
        made
    }
}
