//! Listeners: addresses, limits, sockets.

use super::reader::{Fields, Reader, is_off, scalar_of};
use super::shapes::{CONNECTION_RATE, HTTP2, LISTENER, TCP_KEEPALIVE};
use super::tree::Node;
use super::{Unique, alike, chain, proxy_protocol};
use crate::model::{
    Admin, ConnectionRate, Http2Options, Interception, Listener, Name, TcpKeepalive, TrafficDirection,
    defaults,
};
use std::net::SocketAddr;

/// Chains of one listener at most; chains that could match alike are compared with each other.
const FILTER_CHAINS_MAX: usize = 10_000;

pub(super) fn listener(
    reader: &mut Reader<'_>,
    node: &Node,
    names: &mut Unique<Name>,
    addresses: &mut Unique<SocketAddr>,
    admin: &Admin,
) -> Option<Listener> {
    let fields = reader.fields(node, &LISTENER)?;
    let name = fields.name(reader, "name");
    if let Some(name) = &name {
        names.insert(reader, name.clone(), fields.span_of("name"));
        reader.enter("listener", name);
    }
    let address = fields.address(reader, "address");
    if let Some(address) = address.filter(|address| address.port() != 0) {
        let span = fields.span_of("address");
        addresses.insert(reader, address, span);
        if address == admin.address {
            reader.fault_with_help(
                span,
                format!("the admin endpoint listens on {address}"),
                "choose another port",
            );
        }
    }
    let connections_max = fields
        .integer32(reader, "connections_max")
        .map(|number| number as usize);
    let backlog = fields.integer32(reader, "backlog");
    let connection_rate_max = connection_rate(reader, &fields);
    let interception = fields.choice(
        reader,
        "interception",
        &[
            ("off", Interception::Off),
            ("redirect", Interception::Redirect),
            ("tproxy", Interception::Tproxy),
        ],
    );
    let directions = [
        TrafficDirection::Unspecified,
        TrafficDirection::Inbound,
        TrafficDirection::Outbound,
    ];
    let directions = directions.map(|direction| (direction.as_str(), direction));
    let direction = fields.choice(reader, "direction", &directions);
    let proxy_protocol = proxy_protocol::downstream(reader, &fields);
    let tcp_keepalive = tcp_keepalive(reader, &fields);
    let tcp_user_timeout = fields.duration_or_off(reader, "tcp_user_timeout").flatten();
    let chains = fields.list(reader, "filter_chains");
    if chains.len() > FILTER_CHAINS_MAX {
        reader.fault(
            fields.span_of("filter_chains"),
            format!("more than {FILTER_CHAINS_MAX} filter chains"),
        );
        return None;
    }
    let mut chain_names = Unique::new("filter chain");
    let mut filter_chains = Vec::with_capacity(chains.len());
    for (index, node) in chains.iter().enumerate() {
        if let Some(chain) =
            reader.within(|reader| chain::filter_chain(reader, node, index, &mut chain_names))
        {
            filter_chains.push(chain);
        }
    }
    alike::refuse(reader, &filter_chains);
    Some(Listener {
        name: name?,
        address: address?,
        connections_max: connections_max.unwrap_or(defaults::LISTENER_CONNECTIONS_MAX),
        backlog: backlog.unwrap_or(defaults::LISTENER_BACKLOG),
        connection_rate_max,
        proxy_protocol,
        interception: interception.unwrap_or(Interception::Off),
        direction: direction.unwrap_or(TrafficDirection::Unspecified),
        tcp_keepalive,
        tcp_user_timeout,
        filter_chains,
        origin: reader.origin(node.span),
    })
}

/// The settings in a field that may be `off`; none if they are, or not given.
pub(super) fn settings<'n>(reader: &mut Reader<'_>, fields: &Fields<'n>, name: &str) -> Option<&'n Node> {
    let node = fields.node(reader, name).filter(|node| !is_off(node))?;
    if scalar_of(node).is_some() {
        reader.mismatch(node, "`off` or a map");
        return None;
    }
    Some(node)
}

fn connection_rate(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<ConnectionRate> {
    let node = settings(reader, fields, "connection_rate_max")?;
    let fields = reader.fields(node, &CONNECTION_RATE)?;
    let per_second = fields.integer32(reader, "per_second");
    let burst = fields.integer32(reader, "burst").or(per_second);
    Some(ConnectionRate {
        per_second: per_second?,
        burst: burst?,
    })
}

/// The `tcp_keepalive` of a listener or a cluster; none: off.
pub(super) fn tcp_keepalive(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<TcpKeepalive> {
    let node = settings(reader, fields, "tcp_keepalive")?;
    let fields = reader.fields(node, &TCP_KEEPALIVE)?;
    Some(TcpKeepalive {
        time: fields
            .duration(reader, "time")
            .unwrap_or(defaults::TCP_KEEPALIVE_TIME),
        interval: fields
            .duration(reader, "interval")
            .unwrap_or(defaults::TCP_KEEPALIVE_INTERVAL),
        probes: fields
            .integer32(reader, "probes")
            .unwrap_or(defaults::TCP_KEEPALIVE_PROBES),
    })
}

/// The `http2` of a filter chain or a cluster.
pub(super) fn http2(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Http2Options {
    let mut options = Http2Options::default();
    let Some(fields) = fields
        .node(reader, "http2")
        .and_then(|node| reader.fields(node, &HTTP2))
    else {
        return options;
    };
    if let Some(streams) = fields.integer32(reader, "concurrent_streams_max") {
        options.concurrent_streams_max = streams;
    }
    let window = |reader: &mut Reader<'_>, name| {
        fields
            .size(reader, name)
            .and_then(|size| u32::try_from(size).ok())
    };
    if let Some(bytes) = window(reader, "stream_window") {
        options.stream_window_bytes = bytes;
    }
    if let Some(bytes) = window(reader, "connection_window") {
        options.connection_window_bytes = bytes;
    }
    options.keepalive_interval = fields.duration_or_off(reader, "keepalive_interval").flatten();
    if let Some(timeout) = fields.duration(reader, "keepalive_timeout") {
        options.keepalive_timeout = timeout;
    }
    options
}
