//! Listeners: addresses, sockets, filter chains.

mod chain;
mod listener_filters;
mod network;
mod tcp;

pub(crate) use chain::FOR_OTHERS;
pub(crate) use network::OF_LISTENER;

use super::carried::Carried;
use super::cluster::tcp_keepalive;
use super::tls::Credentials;
use super::{Refusals, check_name, extras, matching, value};
use crate::support::{Message, message};
use envoy_types::pb::envoy::config::core::v3::{SocketOption, TrafficDirection, socket_option};
pub(super) use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::google::protobuf::BoolValue;
use network::Limits;
use outrigger_config::document::{Map, Parts, Path, Value, read_parts};

/// What is read here.
pub(crate) const MESSAGES: &[&[&Message]] = &[
    &[&LISTENER, &SOCKET_OPTION],
    listener_filters::MESSAGES,
    chain::MESSAGES,
    network::MESSAGES,
    tcp::MESSAGES,
];

message! {
    pub(super) LISTENER, refuse_listener: Listener as "envoy.config.listener.v3.Listener" {
        used: name, address, filter_chains, default_filter_chain, metadata, listener_filters,
            listener_filters_timeout, transparent, socket_options, tcp_backlog_size, bind_to_port, tcp_keepalive,
            use_original_dst, api_listener, freebind, traffic_direction;
        refused: additional_addresses, fcds_config, filter_chain_matcher, per_connection_buffer_high_watermark_timeout,
            deprecated_v1, drain_type, tcp_fast_open_queue_length, udp_listener_config, connection_balance_config,
            access_log, enable_mptcp, ignore_global_conn_limit, bypass_overload_manager, listener_specifier;
        ignored: stat_prefix = "metrics are labelled by the listener's name",
            stats_matcher = "metrics have names of their own",
            per_connection_buffer_limit_bytes = "what is buffered of a stream is bounded by 64 KiB and its window",
            continue_on_listener_filters_timeout = "a client that has said too little is served as what it is so far",
            reuse_port = "every worker accepts from a socket of its own",
            enable_reuse_port = "every worker accepts from a socket of its own",
            max_connections_to_accept_per_socket_event = "workers take turns otherwise";
    }
}
message! {
    pub(super) SOCKET_OPTION, refuse_socket_option: SocketOption as "envoy.config.core.v3.SocketOption" {
        used: level, name, value;
        refused: r#type, ip_version;
        ignored: description = "a remark", state = "it is set where it is of use";
    }
}

/// `IPPROTO_TCP` and `TCP_USER_TIMEOUT` of Linux: the one socket option that is known.
pub(crate) const TCP_USER_TIMEOUT: (i64, i64) = (6, 18);

/// A listener that is a resource.
pub(super) fn resource(refusals: &mut Refusals, name: &str, message: &Listener) -> Option<Parts> {
    let path = Path::root();
    check_name(refusals, "name", name, &message.name);
    let mut extras = extras(&path, message.metadata.as_ref());
    let mut carried = Carried::new(refusals, name, &mut extras);
    let mut credentials = Credentials::new(name);
    let mut document = Map::new(&path);
    let mut map = listener(refusals, (&mut carried, &mut credentials), name, message);
    extras.merge(refusals, &mut map);
    document.put("listeners", Value::list(&path, [map.into()]));
    carried.put(&mut document, &path);
    credentials.put(&mut document, &path);
    if !refusals.is_empty() {
        return None;
    }
    match read_parts(&format!("listener `{name}`"), document.into()) {
        Ok(mut parts) => {
            credentials.refer(&mut parts);
            Some(parts)
        }
        Err(faults) => {
            refusals.extend(&faults);
            None
        }
    }
}

fn listener(
    refusals: &mut Refusals,
    carried: (&mut Carried, &mut Credentials),
    name: &str,
    message: &Listener,
) -> Map {
    let path = Path::root();
    refuse_listener(refusals, &path, message);
    if message.api_listener.is_some() {
        let message = "a listener for gRPC's own clients; nothing is listened on by it here";
        refusals.fault(&path.field("api_listener"), message);
    }
    let mut map = Map::new(&path).with("name", Value::text(&path.field("name"), name));
    match &message.address {
        Some(address) => {
            map.put_some(
                "address",
                matching::socket_address(refusals, &path.field("address"), address),
            );
        }
        None => refusals.fault(&path.field("address"), "an address is missing"),
    }
    put_direction(refusals, &mut map, &path, message);
    refuse_flags(refusals, &path, message);
    put_socket(refusals, &mut map, &path, message);
    listener_filters::read(refusals, &path, message, &mut map);
    put_chains(refusals, carried, &mut map, name, message);
    map
}

/// What is not specified says nothing: whoever writes for both sides may say it in metadata.
fn put_direction(refusals: &mut Refusals, map: &mut Map, path: &Path, message: &Listener) {
    let path = path.field("traffic_direction");
    let word = match TrafficDirection::try_from(message.traffic_direction) {
        Ok(TrafficDirection::Unspecified) => return,
        Ok(TrafficDirection::Inbound) => "inbound",
        Ok(TrafficDirection::Outbound) => "outbound",
        Err(_) => return refusals.fault(&path, format!("{} is no direction", message.traffic_direction)),
    };
    map.put("direction", Value::plain(&path, word));
}

fn refuse_flags(refusals: &mut Refusals, path: &Path, message: &Listener) {
    let is = |flag: &Option<BoolValue>, value: bool| flag.is_some_and(|flag| flag.value == value);
    if is(&message.bind_to_port, false) {
        refusals.unsupported(&path.field("bind_to_port"), "a listener that listens nowhere");
    }
    if is(&message.use_original_dst, true) {
        let what = "handing connections to the listener of their destination";
        refusals.unsupported(&path.field("use_original_dst"), what);
    }
    if is(&message.freebind, true) {
        refusals.unsupported(&path.field("freebind"), "binding to an address that is not there");
    }
}

fn put_socket(refusals: &mut Refusals, map: &mut Map, path: &Path, message: &Listener) {
    map.put_some(
        "backlog",
        value::number(&path.field("tcp_backlog_size"), message.tcp_backlog_size.as_ref()),
    );
    if let Some(keepalive) = &message.tcp_keepalive {
        let keepalive = tcp_keepalive(refusals, &path.field("tcp_keepalive"), keepalive);
        map.put("tcp_keepalive", keepalive);
    }
    for (index, option) in message.socket_options.iter().enumerate() {
        let path = path.field("socket_options").index(index);
        refuse_socket_option(refusals, &path, option);
        match &option.value {
            Some(socket_option::Value::IntValue(milliseconds))
                if (option.level, option.name) == TCP_USER_TIMEOUT =>
            {
                let value = Value::plain(&path, format_args!("{milliseconds}ms"));
                map.put("tcp_user_timeout", value);
            }
            _ => refusals.unsupported(&path, "a socket option other than TCP_USER_TIMEOUT"),
        }
    }
}

fn put_chains(
    refusals: &mut Refusals,
    (carried, credentials): (&mut Carried, &mut Credentials),
    map: &mut Map,
    name: &str,
    message: &Listener,
) {
    let path = Path::root();
    let place = path.field("filter_chains");
    let mut messages: Vec<_> = message.filter_chains.iter().enumerate().collect();
    messages.extend(
        message
            .default_filter_chain
            .iter()
            .map(|chain| (usize::MAX, chain)),
    );
    let mut chains: Vec<Value> = Vec::with_capacity(messages.len());
    let mut limits: Vec<Limits> = Vec::with_capacity(messages.len());
    for (index, chain) in messages {
        let path = match index {
            usize::MAX => path.field("default_filter_chain"),
            index => place.index(index),
        };
        let resource = chain::Resource {
            name,
            number: chains.len(),
        };
        carried.allowing_filter = false;
        if let Some((chain, limited)) =
            chain::chain(refusals, (carried, credentials), &path, (&resource, chain))
        {
            chains.push(chain.into());
            limits.push(limited);
        }
    }
    network::put_limits(refusals, map, limits);
    map.put("filter_chains", Value::list(&place, chains));
}

#[cfg(test)]
mod tests;
