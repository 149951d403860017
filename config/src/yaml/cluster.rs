//! Clusters and their endpoints.

use super::listener::{http2, tcp_keepalive};
use super::reader::{Fields, Reader};
use super::shapes::{CLUSTER, ENDPOINT, POOL};
use super::tree::Node;
use super::{Unique, balancing, breakers, discovery, health, proxy_protocol, scalar, targets, tls};
use crate::document::EndpointSet;
use crate::model::{
    Cluster, Endpoint, EndpointStatus, LocalityBalancing, Name, PoolOptions, UpstreamProtocol, defaults,
};
use crate::receipt::Code;
use std::collections::BTreeSet;
use std::net::SocketAddr;

pub(super) fn cluster(reader: &mut Reader<'_>, node: &Node, names: &mut Unique<Name>) -> Option<Cluster> {
    let fields = reader.fields(node, &CLUSTER)?;
    let name = fields.name(reader, "name");
    if let Some(name) = &name {
        names.insert(reader, name.clone(), fields.span_of("name"));
        reader.enter("cluster", name);
    }
    let discovery = discovery::discovery(reader, &fields);
    let endpoints = endpoints(reader, &fields);
    let load_balancing = balancing::policy(reader, &fields);
    let balancing = balancing::options(reader, &fields, &discovery, load_balancing);
    let locality_weights = balancing::locality_weights(reader, &fields, &balancing.localities);
    let tls = fields
        .node(reader, "tls")
        .and_then(|node| tls::upstream(reader, node));
    let protocol = protocol(reader, &fields);
    let health_check = health::check(reader, &fields, &discovery, protocol);
    let outlier_detection = health::outlier_detection(reader, &fields, &discovery);
    let pool = fields.node(reader, "pool").and_then(|node| pool(reader, node));
    let bytes_max = fields
        .size(reader, "response_headers_bytes_max")
        .map(|bytes| bytes as usize);
    let count_max = fields
        .integer(reader, "response_headers_count_max")
        .map(|count| count as usize);
    let cluster = Cluster {
        name: name.unwrap_or(Name("".into())),
        discovery,
        endpoints,
        load_balancing,
        balancing,
        locality_weights,
        health_check,
        outlier_detection,
        circuit_breakers: breakers::circuit_breakers(reader, &fields),
        adaptive_concurrency: breakers::adaptive_concurrency(reader, &fields),
        retry_budget: breakers::retry_budget(reader, &fields),
        protocol,
        tls,
        proxy_protocol: proxy_protocol::upstream(reader, &fields),
        connect_timeout: fields
            .duration(reader, "connect_timeout")
            .unwrap_or(defaults::CONNECT_TIMEOUT),
        pool: pool.unwrap_or(PoolOptions {
            idle_timeout: None,
            connection_age_max: None,
            requests_per_connection_max: None,
        }),
        http2: http2(reader, &fields),
        tcp_keepalive: tcp_keepalive(reader, &fields),
        tcp_user_timeout: fields.duration_or_off(reader, "tcp_user_timeout").flatten(),
        response_headers_bytes_max: bytes_max.unwrap_or(defaults::HEADERS_BYTES_MAX),
        response_headers_count_max: count_max.unwrap_or(defaults::HEADERS_COUNT_MAX),
        origin: reader.origin(node.span),
    };
    Some(cluster)
}

/// What [`endpoint_set`] reads.
pub(super) const ENDPOINT_SET: [&str; 3] = ["endpoints", "locality_weights", "overprovisioning_factor"];

/// The endpoints and the shares of their localities, which came apart from their cluster.
pub(super) fn endpoint_set(reader: &mut Reader<'_>, fields: &Fields<'_>) -> EndpointSet {
    let endpoints = endpoints(reader, fields);
    // Whether shares have an effect is the cluster's to say.
    let locality_weights = balancing::locality_weights(reader, fields, &LocalityBalancing::Weighted);
    EndpointSet {
        endpoints,
        locality_weights,
        overprovisioning_factor: fields.integer32(reader, "overprovisioning_factor"),
    }
}

fn endpoints(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<Endpoint> {
    let nodes = fields.list(reader, "endpoints");
    let mut addresses = Unique::new("endpoint");
    let endpoints: Vec<Endpoint> = nodes
        .iter()
        .filter_map(|node| endpoint(reader, node, &mut addresses))
        .collect();
    let sum: u64 = endpoints.iter().map(|endpoint| u64::from(endpoint.weight)).sum();
    if sum > u64::from(u32::MAX) {
        let message = format!("the weights sum to {sum}, more than {}", u32::MAX);
        reader.fault(fields.span_of("endpoints"), message);
    }
    let priorities: BTreeSet<u32> = endpoints.iter().map(|endpoint| endpoint.priority).collect();
    let missing = (0..)
        .zip(&priorities)
        .find(|(expected, found)| expected != *found);
    if let Some((missing, next)) = missing.filter(|_| endpoints.len() == nodes.len()) {
        let message = format!("no endpoint has the priority {missing}, and some have {next}");
        reader.fault_with_help(
            fields.span_of("endpoints"),
            message,
            "priorities count from 0 without a gap",
        );
    }
    endpoints
}

fn endpoint(reader: &mut Reader<'_>, node: &Node, addresses: &mut Unique<SocketAddr>) -> Option<Endpoint> {
    let fields = reader.fields(node, &ENDPOINT)?;
    let address = fields
        .node(reader, "address")
        .and_then(|node| reader.parse(node, "an IP address and a port", scalar::endpoint_address));
    if let Some(address) = address {
        let span = fields.span_of("address");
        addresses.insert(reader, address, span);
        if address.port() == 0 {
            reader.fault(span, "an endpoint needs a port");
        }
        if address.ip().is_unspecified() {
            let help = "`127.0.0.1` is this host";
            reader.fault_with_help(
                span,
                format!("{} is not the address of an endpoint", address.ip()),
                help,
            );
        }
    }
    let weight = fields
        .integer32(reader, "weight")
        .unwrap_or(defaults::ENDPOINT_WEIGHT);
    let metadata = targets::pairs(reader, &fields, "metadata");
    let statuses = [
        ("healthy", EndpointStatus::Healthy),
        ("draining", EndpointStatus::Draining),
        ("unhealthy", EndpointStatus::Unhealthy),
        ("degraded", EndpointStatus::Degraded),
    ];
    let locality = balancing::locality(reader, &fields, "locality");
    let priority = fields.integer32(reader, "priority");
    let status = fields.choice(reader, "status", &statuses);
    Some(Endpoint {
        address: address?,
        weight,
        metadata,
        locality,
        priority: priority.unwrap_or(0),
        status: status.unwrap_or(EndpointStatus::Healthy),
    })
}

fn protocol(reader: &mut Reader<'_>, fields: &Fields<'_>) -> UpstreamProtocol {
    let words = [
        ("http1", UpstreamProtocol::Http1),
        ("http2", UpstreamProtocol::Http2),
        ("auto", UpstreamProtocol::Auto),
    ];
    let has_tls = fields.entry("tls").is_some();
    let default = if has_tls {
        UpstreamProtocol::Auto
    } else {
        UpstreamProtocol::Http1
    };
    let protocol = fields.choice(reader, "protocol", &words).unwrap_or(default);
    if protocol == UpstreamProtocol::Auto && !has_tls {
        let help = "the version is settled by ALPN: give the cluster `tls`, or write `http1` or `http2`";
        reader.fault_with_help(fields.span_of("protocol"), "`protocol: auto` without `tls`", help);
    }
    if protocol == UpstreamProtocol::Http1 && fields.entry("http2").is_some() {
        let help = "write `protocol: http2`, or remove `http2`";
        reader.warn(
            Code::Http2SettingsUnused,
            fields.key_span_of("http2"),
            "`http2` has no effect: the protocol is http1",
            help,
        );
    }
    protocol
}

fn pool(reader: &mut Reader<'_>, node: &Node) -> Option<PoolOptions> {
    let fields = reader.fields(node, &POOL)?;
    Some(PoolOptions {
        idle_timeout: fields.duration(reader, "idle_timeout"),
        connection_age_max: fields.duration_or_off(reader, "connection_age_max").flatten(),
        requests_per_connection_max: fields.integer32_or_off(reader, "requests_per_connection_max"),
    })
}
