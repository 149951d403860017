//! Listeners as Envoy's.

mod chain;
mod http;
mod tracing;

use super::filters::Carrying;
use super::{Encoding, Remainder, canonical, value};
use crate::decode::listener::TCP_USER_TIMEOUT;
use envoy_types::pb::envoy::config::core;
use envoy_types::pb::envoy::config::core::v3::{
    Address, Metadata, ProxyProtocolPassThroughTlVs as PassThrough, SocketAddress, SocketOption,
    TcpKeepalive, address, proxy_protocol_pass_through_tl_vs::PassTlVsMatchType as MatchType, socket_address,
    socket_option,
};
use envoy_types::pb::envoy::config::listener::v3::{
    Listener as Message, ListenerFilter, listener_filter::ConfigType,
};
use envoy_types::pb::envoy::extensions::filters::listener::{
    http_inspector::v3::HttpInspector, original_dst::v3::OriginalDst, proxy_protocol::v3::ProxyProtocol,
    tls_inspector::v3::TlsInspector,
};
use envoy_types::pb::google::protobuf::Any;
use outrigger_config::model::{
    ChainMode, FilterChain, Interception, Listener, PassTlvs, ProxyProtocolMode, TrafficDirection,
};
use serde_json::{Value as Json, json};
use std::net::SocketAddr;
use std::time::Duration;

/// Connections at once that ours take where nothing is said; see `model::defaults::LISTENER_CONNECTIONS_MAX`.
const CONNECTIONS_MAX: u64 = 100_000;

/// All listeners.
pub(super) fn encode(encoding: &mut Encoding<'_>) {
    let config = encoding.config;
    for (index, model) in config.listeners().iter().enumerate() {
        let written = encoding.document["listeners"][index].clone();
        let (message, only_ours) = message(encoding, model, written);
        let resource = format!("listener {}", model.name());
        encoding.note(&resource, only_ours.iter().map(String::as_str));
        let name = model.name().as_str().to_owned();
        encoding
            .encoded
            .listeners
            .push((name, canonical::encode(&message)));
    }
}

/// A listener and what of it only ours obey. `written` is the part in the document.
fn message(encoding: &Encoding<'_>, model: &Listener, mut written: Json) -> (Message, Vec<String>) {
    let chains = written["filter_chains"].take();
    let mut remainder = Remainder::of(written);
    let mut carrying = Carrying::new(encoding.config, &encoding.document);
    remainder.said("name");
    remainder.said("address");
    remainder.said("filter_chains");
    let mut message = Message {
        name: model.name().as_str().to_owned(),
        address: Some(address(model.address())),
        tcp_backlog_size: Some(value::number(model.backlog())),
        ..Message::default()
    };
    remainder.said("backlog");
    message.set_traffic_direction(match model.direction() {
        TrafficDirection::Unspecified => core::v3::TrafficDirection::Unspecified,
        TrafficDirection::Inbound => core::v3::TrafficDirection::Inbound,
        TrafficDirection::Outbound => core::v3::TrafficDirection::Outbound,
    });
    remainder.said("direction");
    put_socket(model, &mut remainder, &mut message);
    put_filters(model, &mut remainder, &mut message);
    let limits = chain::Limits::of(model, &mut remainder);
    let mut only_ours: Vec<String> = Vec::new();
    for (index, chain) in model.filter_chains().iter().enumerate() {
        let of_chain = chain::chain(encoding, &mut carrying, (chain, chains[index].clone()), &limits);
        only_ours.extend(of_chain.only_ours);
        message.filter_chains.extend(of_chain.messages);
    }
    // What nobody limits: how many connections ours take at most is not told, and so the same on both ways.
    remainder.unless("connections_max", CONNECTIONS_MAX);
    only_ours.extend(remainder.names().map(str::to_owned));
    only_ours.append(&mut carrying.only_ours);
    carrying.put(&mut remainder);
    message.metadata = remainder.into_metadata(None);
    (message, only_ours)
}

fn address(address: SocketAddr) -> Address {
    Address {
        address: Some(address::Address::SocketAddress(SocketAddress {
            address: address.ip().to_string(),
            port_specifier: Some(socket_address::PortSpecifier::PortValue(address.port().into())),
            ..SocketAddress::default()
        })),
    }
}

/// Whole seconds, if it is any.
fn seconds(duration: Duration) -> Option<u32> {
    let is_whole = duration.subsec_nanos() == 0;
    is_whole.then(|| u32::try_from(duration.as_secs()).ok()).flatten()
}

fn put_socket(model: &Listener, remainder: &mut Remainder, message: &mut Message) {
    match model.tcp_keepalive() {
        None => {
            remainder.said("tcp_keepalive");
        }
        Some(keepalive) => {
            let (time, interval) = (seconds(keepalive.time()), seconds(keepalive.interval()));
            if let (Some(time), Some(interval)) = (time, interval) {
                message.tcp_keepalive = Some(TcpKeepalive {
                    keepalive_probes: Some(value::number(keepalive.probes())),
                    keepalive_time: Some(value::number(time)),
                    keepalive_interval: Some(value::number(interval)),
                });
                remainder.said("tcp_keepalive");
            }
        }
    }
    match model.tcp_user_timeout() {
        None => {
            remainder.said("tcp_user_timeout");
        }
        Some(timeout) => {
            let milliseconds = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
            if timeout == Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default()) {
                let (level, name) = TCP_USER_TIMEOUT;
                message.socket_options.push(SocketOption {
                    level,
                    name,
                    value: Some(socket_option::Value::IntValue(milliseconds)),
                    ..SocketOption::default()
                });
                remainder.said("tcp_user_timeout");
            }
        }
    }
}

fn listener_filter(name: &str, config: Any) -> ListenerFilter {
    ListenerFilter {
        name: format!("envoy.filters.listener.{name}"),
        config_type: Some(ConfigType::TypedConfig(config)),
        ..ListenerFilter::default()
    }
}

fn put_filters(model: &Listener, remainder: &mut Remainder, message: &mut Message) {
    let filters = &mut message.listener_filters;
    let proxy = model.proxy_protocol();
    match proxy.mode() {
        ProxyProtocolMode::Off => remainder.unless("proxy_protocol", "off"),
        mode => {
            let pass = |match_type: MatchType, types: Vec<u32>| PassThrough {
                match_type: match_type.into(),
                tlv_type: types,
            };
            let pass_through_tlvs = match proxy.pass_tlvs() {
                PassTlvs::None => None,
                PassTlvs::All => Some(pass(MatchType::IncludeAll, Vec::new())),
                PassTlvs::Listed(types) => Some(pass(
                    MatchType::Include,
                    types.iter().copied().map(u32::from).collect(),
                )),
            };
            let filter = ProxyProtocol {
                allow_requests_without_proxy_protocol: mode == ProxyProtocolMode::Optional,
                pass_through_tlvs,
                ..ProxyProtocol::default()
            };
            filters.push(listener_filter("proxy_protocol", canonical::any(&filter)));
            message.listener_filters_timeout = Some(value::duration(proxy.timeout()));
            remainder.said("proxy_protocol");
        }
    }
    match model.interception() {
        Interception::Off => {}
        intercepted => {
            filters.push(listener_filter(
                "original_dst",
                canonical::any(&OriginalDst::default()),
            ));
            if intercepted == Interception::Tproxy {
                message.transparent = Some(value::boolean(true));
            }
        }
    }
    remainder.said("interception");
    let chains = model.filter_chains();
    if chains.iter().any(looks_for_tls) {
        filters.push(listener_filter(
            "tls_inspector",
            canonical::any(&TlsInspector::default()),
        ));
    }
    if chains
        .iter()
        .any(|chain| matches!(chain.mode(), ChainMode::Auto(_)))
    {
        filters.push(listener_filter(
            "http_inspector",
            canonical::any(&HttpInspector::default()),
        ));
        // Who has said too little to tell is served as TCP.
        message.continue_on_listener_filters_timeout = true;
    }
}

fn looks_for_tls(chain: &FilterChain) -> bool {
    let matches = chain.matches();
    !matches.server_names().is_empty()
        || !matches.application_protocols().is_empty()
        || matches.transport().is_some()
        || chain::is_permissive(chain)
}

/// Metadata of a chain that is there for others than ours: it says what another chain says to ours.
fn for_others() -> Option<Metadata> {
    let mut remainder = Remainder::of(json!({}));
    remainder.put(crate::decode::listener::FOR_OTHERS, Json::Bool(true));
    remainder.into_metadata(None)
}
