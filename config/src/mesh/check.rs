//! Holds the documents of a mesh to each other: names, hosts, ports, addresses.

use super::Mesh;
use super::made::{entries_of, field};
use super::read::MutualTls;
use super::service::{Port, Service};
use super::sidecar::{Interception, Place, Sidecar};
use super::targets::text_of;
use crate::diagnostic::Span;
use crate::receipt::Code;
use crate::yaml::Unique;
use crate::yaml::reader::{Part, Reader};
use crate::yaml::tree::Node;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;

/// Names that are listed in a message at most.
const LISTED_MAX: usize = 10;

pub(super) fn check(reader: &mut Reader<'_>, mesh: &Mesh) {
    hosts(reader, mesh);
    for service in mesh.services.values() {
        ports(reader, service);
        identities(reader, mesh, service);
        uses(reader, mesh, service);
        speaks(reader, service);
        if let Some(sidecar) = &service.sidecar {
            sidecar_ports(reader, service, sidecar);
        } else {
            needs_sidecar(reader, service);
        }
    }
    nodes(reader, mesh);
    addresses(reader, mesh);
    intercepted(reader, mesh);
    foreign_identities(reader, mesh);
    unused(reader, mesh);
}

/// A fault: no service has this name.
pub(super) fn no_service(reader: &mut Reader<'_>, mesh: &Mesh, name: &str, span: Span) {
    let message = format!("no service is named `{name}`");
    let near = reader.nearest(name, mesh.services.keys().map(|name| &**name));
    match near {
        Some(near) => reader.fault_with_help(span, message, format!("did you mean `{near}`?")),
        None if !name.contains('/') => {
            reader.fault_with_help(span, message, "names are written whole: `NAMESPACE/NAME`");
        }
        None => reader.fault(span, message),
    }
}

/// A service's port by its number, a fault if there is none.
pub(super) fn port_of<'m>(
    reader: &mut Reader<'_>,
    service: &'m Service,
    number: u16,
    span: Span,
) -> Option<&'m Port> {
    let found = service.port(number);
    if found.is_none() {
        let numbers = service.ports.iter().map(|port| port.number.to_string());
        let numbers: Vec<_> = numbers.take(LISTED_MAX).collect();
        let message = format!("`{}` has no port {number}", service.name);
        reader.fault_with_help(span, message, format!("it has {}", numbers.join(", ")));
    }
    found
}

/// A host is one service's.
fn hosts(reader: &mut Reader<'_>, mesh: &Mesh) {
    let mut seen: HashMap<String, (&Service, Span)> = HashMap::new();
    for service in mesh.services.values() {
        for (host, span) in service.every_host(&mesh.defaults) {
            let Some((first, at)) = seen.get(&host) else {
                seen.insert(host, (service, span));
                continue;
            };
            let message = match first.name == service.name {
                true => format!("the host `{host}` twice"),
                false => format!("the host `{host}` is the service `{}`'s already", first.name),
            };
            let help = format!("the first stands at {}", reader.shown(*at, span));
            reader.fault_with_help(span, message, help);
        }
    }
}

/// Endpoints say numbers of ports that are there; DNS says one.
fn ports(reader: &mut Reader<'_>, service: &Service) {
    for endpoint in &service.endpoints {
        let Some(ports) = field(endpoint, "ports") else {
            continue;
        };
        for entry in entries_of(ports) {
            port_named(reader, service, &entry.key, entry.key_span);
        }
    }
    if let Some(discovery) = &service.discovery {
        if service.ports.len() > 1 {
            let message = "`discovery` of a service with several ports";
            let help = "make it a service for each, or list its `endpoints`";
            reader.fault_with_help(discovery.span, message, help);
        }
        if let Some(kind) = field(discovery, "type")
            && text_of(kind) == Some("original_destination")
        {
            let message = "`original_destination` finds no endpoints of a service";
            let help = "for what is not known there is `unknown: pass` in `outbound`";
            reader.fault_with_help(kind.span, message, help);
        }
    }
}

fn port_named(reader: &mut Reader<'_>, service: &Service, name: &str, span: Span) {
    if service.port_named(name).is_some() {
        return;
    }
    let message = format!("no port of `{}` is named `{name}`", service.name);
    let near = reader.nearest(name, service.ports.iter().map(|port| &*port.name));
    match near {
        Some(near) => reader.fault_with_help(span, message, format!("did you mean `{near}`?")),
        None => reader.fault(span, message),
    }
}

/// Who asks for identities has one.
fn identities(reader: &mut Reader<'_>, mesh: &Mesh, service: &Service) {
    let identities = service.identities(&mesh.defaults);
    if let Some((MutualTls::Strict | MutualTls::Permissive, span)) = service.mutual_tls
        && identities.is_empty()
    {
        let message = format!("mutual TLS with `{}`, which has no identity", service.name);
        let help = "give it an `identity`, or the mesh a `trust_domain`";
        reader.fault_with_help(span, message, help);
    }
    if let Some(tls) = &service.tls
        && service.mutual_tls(&mesh.defaults) != MutualTls::Off
    {
        let message = "`tls` of a service whose sidecars ask for mutual TLS";
        reader.fault_with_help(tls.span, message, "remove it, or write `mutual_tls: off`");
    }
}

fn uses(reader: &mut Reader<'_>, mesh: &Mesh, service: &Service) {
    let mut seen = Unique::new("use of");
    for used in &service.uses {
        let Some(found) = mesh.services.get(&used.service) else {
            no_service(reader, mesh, &used.service, used.span);
            continue;
        };
        let name = match used.port {
            None => used.service.to_string(),
            Some((number, span)) => {
                port_of(reader, found, number, span);
                format!("{}:{number}", used.service)
            }
        };
        seen.insert(reader, name, used.span);
    }
}

/// What is said of HTTP or TCP is for a port that speaks it.
fn speaks(reader: &mut Reader<'_>, service: &Service) {
    let http = service.ports.iter().any(|port| port.protocol.is_http());
    let bytes = service.ports.iter().any(|port| port.protocol.is_bytes());
    for (node, field, spoken, what) in [
        (&service.inbound.http, "http", http, "HTTP"),
        (&service.inbound.routes, "routes", http, "HTTP"),
        (&service.inbound.tcp, "tcp", bytes, "TCP"),
        (&service.routes, "routes", http, "HTTP"),
        (&service.virtual_host, "virtual_host", http, "HTTP"),
    ] {
        if let Some(node) = node
            && !spoken
        {
            let message = format!("`{field}` of `{}`, no port of which speaks {what}", service.name);
            reader.fault_with_help(node.span, message, "remove it, or say so by a port's `protocol`");
        }
    }
}

fn sidecar_ports(reader: &mut Reader<'_>, service: &Service, sidecar: &Sidecar) {
    let inbound = sidecar
        .inbound_ports
        .iter()
        .map(|(name, place)| (name, place.span));
    let application = sidecar
        .application_ports
        .iter()
        .map(|(name, (_, span))| (name, *span));
    for (name, span) in inbound.chain(application) {
        port_named(reader, service, name, span);
    }
}

/// What sidecars do is for services that have some.
fn needs_sidecar(reader: &mut Reader<'_>, service: &Service) {
    let inbound = &service.inbound;
    let outbound = &service.outbound;
    let nodes = [
        &inbound.authorization,
        &inbound.http,
        &inbound.tcp,
        &inbound.routes,
        &inbound.cluster,
        &outbound.http,
        &outbound.tcp,
    ];
    if let Some(node) = nodes.into_iter().flatten().next() {
        let message = format!("what sidecars of `{}` do, which has none", service.name);
        reader.fault_with_help(node.span, message, "give it `sidecar: {}`");
    }
}

fn nodes(reader: &mut Reader<'_>, mesh: &Mesh) {
    for node in mesh.nodes.values() {
        let Some(service) = mesh.services.get(&node.service) else {
            no_service(reader, mesh, &node.service, node.service_span);
            continue;
        };
        if service.sidecar.is_none() {
            let message = format!("a sidecar of `{}`, which has none", service.name);
            reader.fault_with_help(node.service_span, message, "give it `sidecar: {}`");
        }
        sidecar_ports(reader, service, &node.sidecar);
    }
}

/// Where sidecars listen on this machine's loopback there is one each; and no endpoint is where a sidecar listens for
/// its own application: requests would go round.
fn addresses(reader: &mut Reader<'_>, mesh: &Mesh) {
    let mut inbound: HashMap<SocketAddr, Span> = HashMap::new();
    let mut outbound: HashMap<SocketAddr, Span> = HashMap::new();
    let of_services = mesh
        .services
        .values()
        .filter_map(|service| Some((service.sidecar.as_ref()?, mesh.defaults.sidecar.clone())));
    let of_nodes = mesh.nodes.values().filter_map(|node| {
        let service = mesh.services.get(&node.service)?.sidecar.as_ref()?;
        Some((&node.sidecar, service.or(&mesh.defaults.sidecar)))
    });
    for (sidecar, others) in of_services.chain(of_nodes) {
        if sidecar.or(&others).interception() != Interception::Off {
            continue;
        }
        let own = sidecar
            .inbound
            .iter()
            .flatten()
            .chain(sidecar.inbound_ports.values());
        for place in own.filter(|place| place.address.ip().is_loopback()) {
            alone(reader, &mut inbound, *place);
        }
        for place in sidecar.outbound.iter().flatten() {
            outbound.insert(place.address, place.span);
        }
    }
    let mut listeners: Vec<_> = outbound.iter().collect();
    listeners.sort_by_key(|(_, span)| **span);
    for (address, span) in listeners {
        if let Some(first) = inbound.get(address) {
            let message = format!("{address} is where a sidecar listens for callers");
            let help = format!("that stands at {}", reader.shown(*first, *span));
            reader.fault_with_help(*span, message, help);
        }
    }
    if outbound.is_empty() {
        return;
    }
    for service in mesh.services.values() {
        for endpoint in &service.endpoints {
            let Some(node) = field(endpoint, "address") else {
                continue;
            };
            let address = text_of(node).and_then(|address| address.parse::<SocketAddr>().ok());
            if let Some(at) = address.and_then(|address| outbound.get(&address)) {
                let message = "requests would go round: a sidecar listens there for its own application";
                let help = format!("that stands at {}", reader.shown(*at, node.span));
                reader.fault_with_help(node.span, message, help);
            }
        }
    }
}

/// With interception an endpoint's port is where the application listens: its sidecar knows no others.
fn intercepted(reader: &mut Reader<'_>, mesh: &Mesh) {
    let declared: BTreeSet<&str> = mesh.nodes.values().map(|node| &*node.service).collect();
    for service in mesh.services.values() {
        let Some(sidecar) = &service.sidecar else { continue };
        let sidecar = sidecar.or(&mesh.defaults.sidecar);
        // Declared nodes may have other ports.
        if sidecar.interception() == Interception::Off || declared.contains(&*service.name) {
            continue;
        }
        for endpoint in &service.endpoints {
            for port in &service.ports {
                let said = sidecar.application_ports.get(&port.name);
                let listens = said.map_or(port.application_port, |(number, _)| *number);
                let Some((number, span)) = endpoint_port(service, port, endpoint) else {
                    continue;
                };
                if number != listens {
                    let message = format!(
                        "the endpoint's port is {number}, and sidecars take connections to {listens} for the port {}",
                        port.name
                    );
                    let help = format!("say `application_port: {number}`, or have the endpoint at {listens}");
                    reader.fault_with_help(span, message, help);
                }
            }
        }
    }
}

/// The number that an endpoint says it has for a port, with its place.
fn endpoint_port(service: &Service, port: &Port, endpoint: &Node) -> Option<(u16, Span)> {
    let ports = field(endpoint, "ports");
    if let Some(number) = ports.and_then(|ports| field(ports, &port.name)) {
        return Some((text_of(number)?.parse().ok()?, number.span));
    }
    let address = field(endpoint, "address").filter(|_| service.is_first(port))?;
    let parsed: SocketAddr = text_of(address)?.parse().ok()?;
    Some((parsed.port(), address.span))
}

/// Who may write a namespace's services may not make them somebody of another namespace.
fn foreign_identities(reader: &mut Reader<'_>, mesh: &Mesh) {
    let services = mesh
        .services
        .values()
        .map(|service| (&service.name, service.written_identities()));
    let gateways = mesh
        .gateways
        .values()
        .map(|gateway| (&gateway.name, gateway.written_identities()));
    let mut owners: HashMap<&str, (&str, Span)> = HashMap::new();
    for (name, identities) in services.chain(gateways) {
        let namespace = Mesh::namespace_of(name);
        for (id, span) in identities {
            let (owner, first) = *owners.entry(id.as_str()).or_insert((namespace, *span));
            let said = id.split_once("/ns/").and_then(|(_, rest)| rest.split_once('/'));
            if owner != namespace {
                let message = format!("`{id}` is an identity in the namespaces `{owner}` and `{namespace}`");
                let help = format!("the first stands at {}", reader.shown(first, *span));
                reader.fault_with_help(*span, message, help);
            } else if let Some((said, _)) = said
                && said != namespace
            {
                let message = format!("an identity of the namespace `{said}` in the namespace `{namespace}`");
                let help = "who may change one namespace speaks for no other";
                reader.fault_with_help(*span, message, help);
            }
        }
    }
}

fn alone(reader: &mut Reader<'_>, seen: &mut HashMap<SocketAddr, Span>, place: Place) {
    if let Some(first) = seen.insert(place.address, place.span) {
        let message = format!("a second sidecar listens on {}", place.address);
        let help = format!("the first stands at {}", reader.shown(first, place.span));
        reader.fault_with_help(place.span, message, help);
    }
}

/// Warns of what nothing refers to.
fn unused(reader: &mut Reader<'_>, mesh: &Mesh) {
    let mut named = super::policy::Named::default();
    let mut called = BTreeSet::new();
    for service in mesh.services.values() {
        called.extend(service.uses.iter().map(|used| &*used.service));
    }
    let services = mesh.services.values().map(|service| &service.mentions);
    let gateways = mesh.gateways.values().map(|gateway| &gateway.mentions);
    for mentions in services.chain(gateways) {
        mentions
            .names()
            .for_each(|name| mesh.policies.named_by(name, &mut named));
        called.extend(mentions.services());
    }
    let used: Vec<BTreeSet<_>> = named
        .each()
        .map(|(_, used)| used.keys().cloned().collect())
        .collect();
    for ((kind, all), used) in mesh.policies.each().zip(used) {
        if kind == Part::RateLimit {
            all.values().for_each(|node| services_in(node, &mut called));
        }
        for (name, node) in all.iter().filter(|(name, _)| !used.contains(*name)) {
            let span = field(node, "name").map_or(node.span, |name| name.span);
            let message = format!("nothing refers to the {} `{name}`", kind.what());
            reader.warn(Code::PolicyUnused, span, message, "refer to it, or remove it");
        }
    }
    let uncalled = mesh
        .services
        .values()
        .filter(|service| service.sidecar.is_none() && service.uses.is_empty())
        .filter(|service| !called.contains(&*service.name));
    for service in uncalled {
        let message = format!("nothing calls the service `{}`", service.name);
        reader.warn(
            Code::ServiceUnused,
            service.span,
            message,
            "name it in `uses` of a service, or in routes, or remove it",
        );
    }
}

/// Names of services in a tree.
fn services_in<'m>(node: &'m Node, called: &mut BTreeSet<&'m str>) {
    for entry in entries_of(node) {
        if entry.key == "service" {
            called.extend(text_of(&entry.value));
        }
        services_in(&entry.value, called);
    }
    for item in super::made::items_of(node) {
        services_in(item, called);
    }
}
