//! Endpoints: those of a cluster that come apart from it, and those that stand in it.

use super::{Extras, Refusals, check_name, extras, value};
use crate::support::{self, message};
use endpoint::lb_endpoint::HostIdentifier;
use endpoint::locality_lb_endpoints::LbConfig;
use envoy_types::pb::envoy::config::core::v3::{self as core, HealthStatus, socket_address::PortSpecifier};
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;
use outrigger_config::document::{EndpointSet, Map, Path, Value, read_endpoints};

pub(super) use endpoint::ClusterLoadAssignment as Message;

pub(crate) const MESSAGES: &[&support::Message] = &[
    &ASSIGNMENT,
    &POLICY,
    &GROUP,
    &LB_ENDPOINT,
    &ENDPOINT,
    &LOCALITY,
    &ADDRESS,
];

/// Where Envoy looks for what subsets are made of.
pub(crate) const SUBSETS_NAMESPACE: &str = "envoy.lb";

message! {
    ASSIGNMENT, refuse_assignment: endpoint::ClusterLoadAssignment
        as "envoy.config.endpoint.v3.ClusterLoadAssignment" {
        used: cluster_name, endpoints, policy;
        refused: named_endpoints;
        ignored: ;
    }
}
message! {
    POLICY, refuse_policy: endpoint::cluster_load_assignment::Policy
        as "envoy.config.endpoint.v3.ClusterLoadAssignment.Policy" {
        used: overprovisioning_factor;
        refused: drop_overloads, endpoint_stale_after, weighted_priority_health;
        ignored: ;
    }
}
message! {
    GROUP, refuse_group: endpoint::LocalityLbEndpoints as "envoy.config.endpoint.v3.LocalityLbEndpoints" {
        used: locality, metadata, lb_endpoints, load_balancing_weight, priority, lb_config;
        refused: proximity;
        ignored: ;
    }
}
message! {
    LB_ENDPOINT, refuse_lb_endpoint: endpoint::LbEndpoint as "envoy.config.endpoint.v3.LbEndpoint" {
        used: health_status, metadata, load_balancing_weight, host_identifier;
        refused: ;
        ignored: ;
    }
}
message! {
    ENDPOINT, refuse_endpoint: endpoint::Endpoint as "envoy.config.endpoint.v3.Endpoint" {
        used: address;
        refused: health_check_config, additional_addresses;
        ignored: hostname = "it is used by what is refused: automatic rewriting of hosts, hashing by names",
            observability_name = "an endpoint is shown by its address";
    }
}
message! {
    LOCALITY, refuse_locality: core::Locality as "envoy.config.core.v3.Locality" {
        used: region, zone, sub_zone;
        refused: ;
        ignored: ;
    }
}
message! {
    ADDRESS, refuse_address: core::SocketAddress as "envoy.config.core.v3.SocketAddress" {
        used: protocol, address, port_specifier;
        refused: resolver_name, network_namespace_filepath;
        ignored: ipv4_compat = "an address says itself of which family it is";
    }
}

/// Endpoints that come apart from the clusters that ask for them.
pub(super) fn decode(
    refusals: &mut Refusals,
    name: &str,
    message: &endpoint::ClusterLoadAssignment,
) -> Option<EndpointSet> {
    let path = Path::root();
    check_name(refusals, "cluster_name", name, &message.cluster_name);
    let mut map = Map::new(&path);
    put_listed(refusals, &path, message, &mut map);
    if !refusals.is_empty() {
        return None;
    }
    read_endpoints(&format!("endpoints `{name}`"), map.into())
        .map_err(|faults| refusals.extend(&faults))
        .ok()
}

/// An endpoint and where it stands in the document's list.
struct Placed {
    order: usize,
    value: Value,
}

/// Puts `endpoints`, `locality_weights` and `overprovisioning_factor`.
pub(super) fn put_listed(
    refusals: &mut Refusals,
    path: &Path,
    message: &endpoint::ClusterLoadAssignment,
    map: &mut Map,
) {
    put_policy(refusals, path, message, map);
    let at = path.field("endpoints");
    let mut endpoints = Vec::new();
    let mut weights = Vec::new();
    let says_weights = message
        .endpoints
        .iter()
        .any(|group| group.load_balancing_weight.is_some());
    for (index, group) in message.endpoints.iter().enumerate() {
        let at = at.index(index);
        let locality = put_group(refusals, &at, group, &mut endpoints);
        if let Some(locality) = locality.filter(|_| says_weights) {
            weights.extend(group_weight(refusals, &at, group, locality));
        }
    }
    endpoints.sort_by_key(|placed| placed.order);
    if !endpoints.is_empty() {
        map.put(
            "endpoints",
            Value::list(&at, endpoints.into_iter().map(|placed| placed.value)),
        );
    }
    if !weights.is_empty() {
        map.put("locality_weights", Value::list(&at, weights));
    }
}

fn put_policy(
    refusals: &mut Refusals,
    path: &Path,
    message: &endpoint::ClusterLoadAssignment,
    map: &mut Map,
) {
    refuse_assignment(refusals, path, message);
    if let Some(policy) = &message.policy {
        let at = path.field("policy");
        refuse_policy(refusals, &at, policy);
        let factor = value::number(
            &at.field("overprovisioning_factor"),
            policy.overprovisioning_factor.as_ref(),
        );
        map.put_some("overprovisioning_factor", factor);
    }
}

/// Adds a group's endpoints; gives its locality.
fn put_group(
    refusals: &mut Refusals,
    path: &Path,
    group: &endpoint::LocalityLbEndpoints,
    endpoints: &mut Vec<Placed>,
) -> Option<Value> {
    refuse_group(refusals, path, group);
    let locality = locality(refusals, path, group.locality.as_ref());
    let own;
    let listed = match &group.lb_config {
        None => &group.lb_endpoints,
        Some(LbConfig::LoadBalancerEndpoints(list)) => {
            own = &list.lb_endpoints;
            own
        }
        Some(LbConfig::LedsClusterLocalityConfig(_)) => {
            let what = "asking for endpoints one by one (LEDS)";
            refusals.unsupported(&path.field("leds_cluster_locality_config"), what);
            return locality;
        }
    };
    let at = path.field("lb_endpoints");
    for (index, listed) in listed.iter().enumerate() {
        let at = at.index(index);
        let Some((address, mut own)) = lb_endpoint(refusals, &at, listed) else {
            continue;
        };
        let mut map = Map::new(&at).with("address", address.text());
        put_weight(&at, listed, &mut map);
        map.put_some("metadata", subset_metadata(&at, listed.metadata.as_ref()));
        map.put_some("locality", locality.clone());
        if group.priority != 0 {
            map.put("priority", Value::plain(&path.field("priority"), group.priority));
        }
        put_status(refusals, &at, listed.health_status, &mut map);
        let order = own
            .take("order")
            .and_then(|order| order.as_scalar()?.parse().ok());
        let order = order.unwrap_or(endpoints.len());
        own.merge(refusals, &mut map);
        endpoints.push(Placed {
            order,
            value: map.into(),
        });
    }
    locality
}

/// The share of a locality: that of one which says none is nothing, where others say one. A share of 1 is as if nothing
/// were said, unless the metadata says that something is.
fn group_weight(
    refusals: &mut Refusals,
    path: &Path,
    group: &endpoint::LocalityLbEndpoints,
    locality: Value,
) -> Option<Value> {
    let at = path.field("load_balancing_weight");
    let weight = group
        .load_balancing_weight
        .as_ref()
        .map_or(0, |weight| weight.value);
    let own = extras(path, group.metadata.as_ref());
    let mut map = Map::new(path);
    own.merge(refusals, &mut map);
    let is_listed = map.take("listed").is_some();
    if weight == 1 && !is_listed {
        return None;
    }
    map.put("locality", locality);
    map.put("weight", Value::plain(&at, weight));
    map.put("priority", Value::plain(&path.field("priority"), group.priority));
    Some(map.into())
}

fn locality(refusals: &mut Refusals, path: &Path, locality: Option<&core::Locality>) -> Option<Value> {
    let locality = locality?;
    let at = path.field("locality");
    refuse_locality(refusals, &at, locality);
    let mut map = Map::new(&at);
    for (name, part) in [
        ("region", &locality.region),
        ("zone", &locality.zone),
        ("sub_zone", &locality.sub_zone),
    ] {
        if !part.is_empty() {
            map.put(name, Value::text(&at.field(name), part.as_str()));
        }
    }
    (!map.is_empty()).then(|| map.into())
}

fn put_weight(path: &Path, listed: &endpoint::LbEndpoint, map: &mut Map) {
    let at = path.field("load_balancing_weight");
    map.put_some(
        "weight",
        value::number(&at, listed.load_balancing_weight.as_ref()),
    );
}

fn subset_metadata(path: &Path, metadata: Option<&core::Metadata>) -> Option<Value> {
    let fields = metadata?.filter_metadata.get(SUBSETS_NAMESPACE)?;
    let at = path
        .field("metadata")
        .field("filter_metadata")
        .key(SUBSETS_NAMESPACE);
    (!fields.fields.is_empty()).then(|| value::struct_map(&at, fields).into())
}

fn put_status(refusals: &mut Refusals, path: &Path, status: i32, map: &mut Map) {
    let at = path.field("health_status");
    let word = match HealthStatus::try_from(status) {
        Ok(HealthStatus::Unknown | HealthStatus::Healthy) => return,
        Ok(HealthStatus::Unhealthy | HealthStatus::Timeout) => "unhealthy",
        Ok(HealthStatus::Draining) => "draining",
        Ok(HealthStatus::Degraded) => "degraded",
        Err(_) => return refusals.fault(&at, format!("there is no status {status}")),
    };
    map.put("status", Value::plain(&at, word));
}

/// Where an endpoint is: an address or a name, and a port.
pub(super) struct Place {
    path: Path,
    host: String,
    port: u32,
}

impl Place {
    fn text(&self) -> Value {
        let Place { path, host, port } = self;
        match host.contains(':') {
            true => Value::text(path, format!("[{host}]:{port}")),
            false => Value::text(path, format!("{host}:{port}")),
        }
    }
}

fn lb_endpoint(
    refusals: &mut Refusals,
    path: &Path,
    listed: &endpoint::LbEndpoint,
) -> Option<(Place, Extras)> {
    refuse_lb_endpoint(refusals, path, listed);
    let own = extras(path, listed.metadata.as_ref());
    let endpoint = match &listed.host_identifier {
        Some(HostIdentifier::Endpoint(endpoint)) => endpoint,
        Some(HostIdentifier::EndpointName(_)) => {
            refusals.unsupported(&path.field("endpoint_name"), "an endpoint by name");
            return None;
        }
        None => {
            refusals.fault(&path.field("endpoint"), "this field is missing");
            return None;
        }
    };
    let path = path.field("endpoint");
    refuse_endpoint(refusals, &path, endpoint);
    let place = place(refusals, &path.field("address"), endpoint.address.as_ref())?;
    Some((place, own))
}

/// A host and its port.
pub(super) fn place(refusals: &mut Refusals, path: &Path, address: Option<&core::Address>) -> Option<Place> {
    use core::address::Address;
    let socket = match address.and_then(|address| address.address.as_ref()) {
        Some(Address::SocketAddress(socket)) => socket,
        Some(Address::Pipe(_)) => {
            refusals.unsupported(&path.field("pipe"), "a Unix socket");
            return None;
        }
        Some(Address::EnvoyInternalAddress(_)) => {
            refusals.unsupported(&path.field("envoy_internal_address"), "an internal address");
            return None;
        }
        None => {
            refusals.fault(path, "this field is missing");
            return None;
        }
    };
    let path = path.field("socket_address");
    refuse_address(refusals, &path, socket);
    if socket.protocol != 0 {
        refusals.unsupported(&path.field("protocol"), "a protocol other than TCP");
    }
    let port = match &socket.port_specifier {
        Some(PortSpecifier::PortValue(port)) => *port,
        Some(PortSpecifier::NamedPort(_)) => {
            refusals.unsupported(&path.field("named_port"), "a port by name");
            return None;
        }
        None => {
            refusals.fault(&path.field("port_value"), "this field is missing");
            return None;
        }
    };
    Some(Place {
        path,
        host: socket.address.clone(),
        port,
    })
}

/// An address as it is written, with its port.
pub(super) fn address_text(refusals: &mut Refusals, path: &Path, address: &core::Address) -> Option<Value> {
    Some(place(refusals, path, Some(address))?.text())
}

/// Names to resolve, of a cluster whose endpoints come from DNS.
pub(super) fn put_names(
    refusals: &mut Refusals,
    path: &Path,
    message: &endpoint::ClusterLoadAssignment,
    cluster: &mut Map,
) -> Value {
    put_policy(refusals, path, message, cluster);
    let at = path.field("endpoints");
    let mut names = Vec::new();
    for (index, group) in message.endpoints.iter().enumerate() {
        let at = at.index(index);
        refuse_group(refusals, &at, group);
        let has_place = group
            .locality
            .as_ref()
            .is_some_and(|locality| *locality != core::Locality::default());
        if has_place {
            refusals.unsupported(&at.field("locality"), "the locality of a name that DNS resolves");
        }
        if group.priority != 0 {
            refusals.unsupported(&at.field("priority"), "the priority of a name that DNS resolves");
        }
        if group.lb_config.is_some() {
            refusals.unsupported(&at.field("lb_config"), "a list of endpoints of another kind");
        }
        let at = at.field("lb_endpoints");
        for (index, listed) in group.lb_endpoints.iter().enumerate() {
            let at = at.index(index);
            let Some((place, own)) = lb_endpoint(refusals, &at, listed) else {
                continue;
            };
            if !matches!(
                HealthStatus::try_from(listed.health_status),
                Ok(HealthStatus::Unknown | HealthStatus::Healthy)
            ) {
                refusals.unsupported(
                    &at.field("health_status"),
                    "the health of a name that DNS resolves",
                );
            }
            if subset_metadata(&at, listed.metadata.as_ref()).is_some() {
                let at = at.field("metadata");
                refusals.unsupported(&at, "metadata of a name that DNS resolves");
            }
            let mut map = Map::new(&at).with("host", Value::text(&place.path.field("address"), place.host));
            if place.port != 0 {
                map.put("port", Value::plain(&place.path.field("port_value"), place.port));
            }
            put_weight(&at, listed, &mut map);
            own.merge(refusals, &mut map);
            names.push(map.into());
        }
    }
    Value::list(&at, names)
}
