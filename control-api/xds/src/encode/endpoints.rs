//! Endpoints of a cluster, by their localities.

use super::value;
use crate::decode::{NAMESPACE, SUBSETS_NAMESPACE};
use endpoint::cluster_load_assignment::Policy;
use endpoint::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::core::v3::{self as core, HealthStatus};
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};
use outrigger_config::model::{Cluster, DnsName, Endpoint, EndpointStatus, Locality, defaults};
use std::collections::HashMap;
use std::net::IpAddr;

/// What says that a share of 1 is said, and not only what is without saying.
const LISTED: &str = "listed";
/// What says where in the list an endpoint stands, where its locality's do not stand together.
const ORDER: &str = "order";

/// The endpoints that a cluster lists. Those of one locality and priority stand together, as gRPC asks for it.
pub(crate) fn listed(cluster: &Cluster) -> endpoint::ClusterLoadAssignment {
    let mut groups: Vec<endpoint::LocalityLbEndpoints> = Vec::new();
    let mut places: HashMap<(Option<Locality>, u32), usize> = HashMap::new();
    let mut place = |groups: &mut Vec<_>, locality: Option<&Locality>, priority| {
        *places.entry((locality.cloned(), priority)).or_insert_with(|| {
            groups.push(group(locality, priority));
            groups.len() - 1
        })
    };
    let mut before = 0;
    let mut is_in_order = true;
    let mut numbers: Vec<Vec<usize>> = Vec::new();
    for (number, one) in cluster.endpoints().iter().enumerate() {
        let at = place(&mut groups, one.locality().as_ref(), one.priority());
        groups[at].lb_endpoints.push(lb_endpoint(one));
        numbers.resize_with(groups.len(), Vec::new);
        numbers[at].push(number);
        is_in_order &= at >= before;
        before = at;
    }
    if !is_in_order {
        for (group, numbers) in groups.iter_mut().zip(&numbers) {
            for (one, number) in group.lb_endpoints.iter_mut().zip(numbers) {
                let number = Kind::NumberValue(*number as f64);
                put(one.metadata.get_or_insert_default(), NAMESPACE, ORDER, number);
            }
        }
    }
    for share in cluster.locality_weights() {
        let at = place(&mut groups, Some(share.locality()), share.priority());
        groups[at].load_balancing_weight = match share.weight() {
            0 => None,
            weight => Some(value::number(weight)),
        };
        if share.weight() == 1 {
            let metadata = groups[at].metadata.get_or_insert_default();
            put(metadata, NAMESPACE, LISTED, Kind::BoolValue(true));
        }
    }
    assignment(cluster, groups)
}

/// The names of a cluster whose endpoints come from DNS.
pub(crate) fn names(cluster: &Cluster, names: &[DnsName]) -> endpoint::ClusterLoadAssignment {
    let mut all = group(None, 0);
    for name in names {
        let mut one = lb_endpoint_at(name.host(), name.port().unwrap_or(0), name.weight());
        if name.port().is_none() {
            // Envoy does not ask for SRV records: to it, the port is none.
            put(
                one.metadata.get_or_insert_default(),
                NAMESPACE,
                "srv",
                Kind::BoolValue(true),
            );
        }
        all.lb_endpoints.push(one);
    }
    assignment(cluster, vec![all])
}

fn assignment(
    cluster: &Cluster,
    endpoints: Vec<endpoint::LocalityLbEndpoints>,
) -> endpoint::ClusterLoadAssignment {
    let factor = cluster.balancing().overprovisioning_factor();
    let is_default = factor == defaults::OVERPROVISIONING_FACTOR_PERCENT;
    endpoint::ClusterLoadAssignment {
        cluster_name: cluster.name().as_str().to_owned(),
        endpoints,
        policy: (!is_default).then(|| Policy {
            overprovisioning_factor: Some(value::number(factor)),
            ..Policy::default()
        }),
        ..endpoint::ClusterLoadAssignment::default()
    }
}

/// A locality's share is 1 if none is given; gRPC passes over those without one.
fn group(locality: Option<&Locality>, priority: u32) -> endpoint::LocalityLbEndpoints {
    endpoint::LocalityLbEndpoints {
        locality: Some(
            locality.map_or_else(core::Locality::default, |locality| core::Locality {
                region: locality.region().to_owned(),
                zone: locality.zone().to_owned(),
                sub_zone: locality.sub_zone().to_owned(),
            }),
        ),
        load_balancing_weight: Some(value::number(1)),
        priority,
        ..endpoint::LocalityLbEndpoints::default()
    }
}

fn lb_endpoint(one: &Endpoint) -> endpoint::LbEndpoint {
    let address = one.address();
    let host = match address.ip() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => address.to_string(),
    };
    let mut listed = lb_endpoint_at(&host, address.port(), one.weight());
    listed.health_status = match one.status() {
        EndpointStatus::Healthy => HealthStatus::Unknown,
        EndpointStatus::Draining => HealthStatus::Draining,
        EndpointStatus::Unhealthy => HealthStatus::Unhealthy,
        EndpointStatus::Degraded => HealthStatus::Degraded,
    } as i32;
    for (key, text) in one.metadata() {
        let metadata = listed.metadata.get_or_insert_default();
        put(metadata, SUBSETS_NAMESPACE, key, Kind::StringValue(text.clone()));
    }
    listed
}

fn lb_endpoint_at(host: &str, port: u16, weight: u32) -> endpoint::LbEndpoint {
    let socket = core::SocketAddress {
        address: host.to_owned(),
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(port.into())),
        ..core::SocketAddress::default()
    };
    let address = core::Address {
        address: Some(core::address::Address::SocketAddress(socket)),
    };
    let is_default = weight == defaults::ENDPOINT_WEIGHT;
    endpoint::LbEndpoint {
        load_balancing_weight: (!is_default).then(|| value::number(weight)),
        host_identifier: Some(HostIdentifier::Endpoint(endpoint::Endpoint {
            address: Some(address),
            ..endpoint::Endpoint::default()
        })),
        ..endpoint::LbEndpoint::default()
    }
}

fn put(metadata: &mut core::Metadata, namespace: &str, key: &str, kind: Kind) {
    let fields: &mut Struct = metadata.filter_metadata.entry(namespace.to_owned()).or_default();
    fields.fields.insert(key.to_owned(), Value { kind: Some(kind) });
}
