//! Filter chains. One that detects its protocol, or serves clients with and without TLS, is two for others.

use super::{for_others, http};
use crate::decode::listener::OF_LISTENER;
use crate::encode::filters::{self, Carrying};
use crate::encode::{Encoding, Remainder, canonical, matching, tls, value};
use envoy_types::pb::envoy::config::core::v3::TransportSocket;
use envoy_types::pb::envoy::config::listener::v3::{
    Filter, FilterChain as Message, FilterChainMatch as MatchMessage, filter::ConfigType,
};
use envoy_types::pb::envoy::extensions::filters::network::{
    connection_limit::v3::ConnectionLimit, local_ratelimit::v3::LocalRateLimit,
};
use envoy_types::pb::envoy::r#type::v3::TokenBucket;
use envoy_types::pb::google::protobuf::{Any, Duration as Seconds, UInt64Value};
use outrigger_config::model::{
    ChainMode, FilterChain, FilterChainMatch, Listener, ServerNameMatch, TlsMode, Transport,
};
use serde_json::{Value as Json, json};

/// What a listener limits, which its chains say to others.
pub(super) struct Limits {
    connections: Option<u64>,
    rate: Option<TokenBucket>,
}

impl Limits {
    pub(super) fn of(model: &Listener, remainder: &mut Remainder) -> Limits {
        let connections = model.connections_max() as u64;
        let alone = model.filter_chains().len() == 1 && split(&model.filter_chains()[0]).is_none();
        let limited = alone && connections != super::CONNECTIONS_MAX;
        if limited {
            remainder.said("connections_max");
        }
        remainder.said("connection_rate_max");
        Limits {
            connections: limited.then_some(connections),
            rate: model.connection_rate_max().map(|rate| TokenBucket {
                max_tokens: rate.burst(),
                tokens_per_fill: Some(value::number(rate.per_second())),
                fill_interval: Some(Seconds { seconds: 1, nanos: 0 }),
            }),
        }
    }
}

/// What a chain became.
pub(super) struct Chain {
    pub(super) messages: Vec<Message>,
    /// What only ours obey.
    pub(super) only_ours: Vec<String>,
}

/// Clients without TLS are served by this chain, too.
pub(super) fn is_permissive(chain: &FilterChain) -> bool {
    chain
        .tls()
        .as_ref()
        .is_some_and(|tls| tls.mode() == TlsMode::Permissive)
}

/// Why a chain is two for others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Split {
    /// The second serves bytes that are no HTTP.
    Protocol,
    /// The second serves clients without TLS.
    Transport,
}

fn split(chain: &FilterChain) -> Option<Split> {
    match chain.mode() {
        // Behind TLS others detect nothing.
        ChainMode::Auto(_) if chain.tls().is_none() => Some(Split::Protocol),
        _ if is_permissive(chain) => Some(Split::Transport),
        _ => None,
    }
}

fn filter(name: impl Into<String>, config: Any) -> Filter {
    Filter {
        name: name.into(),
        config_type: Some(ConfigType::TypedConfig(config)),
    }
}

/// A chain; `written` is the part in the document.
pub(super) fn chain(
    encoding: &Encoding<'_>,
    carrying: &mut Carrying<'_>,
    (model, written): (&FilterChain, Json),
    limits: &Limits,
) -> Chain {
    let mut remainder = Remainder::of(written.clone());
    let name = model.name().as_str();
    remainder.said("name");
    let matches = chain_match(model.matches());
    let before = limiting(limits);
    let (mut filters, mut tcp_filters) = (before.clone(), before);
    if let Some(options) = model.mode().http() {
        let manager = http::manager(carrying, model, options, &mut remainder);
        filters.push(filter(
            "envoy.filters.network.http_connection_manager",
            canonical::any(&manager),
        ));
    }
    if let Some(proxy) = model.mode().tcp() {
        let policies = filters::network_rbac(carrying, model.authorization());
        if policies.in_order && model.mode().http().is_none() {
            remainder.said("authorization");
        }
        tcp_filters.extend(
            policies
                .filters
                .into_iter()
                .map(|(name, config)| filter(name, config)),
        );
        tcp_filters.extend(http::tcp(carrying, (name, proxy), &mut remainder));
    }
    let socket = model.tls().as_ref().map(|tls| {
        let context = tls::downstream(tls, &encoding.believed, &mut remainder);
        tls::socket("envoy.transport_sockets.tls", &context)
    });
    let connect_timeout = model
        .tls()
        .as_ref()
        .map(|tls| value::duration(tls.handshake_timeout()));
    if model.tls().is_some() {
        remainder.said("tls.handshake_timeout");
    }
    let split = split(model);
    let mut only_ours = Vec::new();
    match model.mode() {
        ChainMode::Http(_) | ChainMode::Tcp(_) => {
            remainder.said("match");
            remainder.said("mode");
        }
        ChainMode::Auto(_) => {
            // The whole truth for ours; others have it in two chains.
            remainder.put("tcp", written["tcp"].clone());
            if split.is_none() {
                only_ours.push(format!("filter_chains {name} mode"));
            }
        }
    }
    let mut first = Message {
        name: name.to_owned(),
        filter_chain_match: matches.clone(),
        filters: match model.mode() {
            ChainMode::Tcp(_) => tcp_filters.clone(),
            _ => filters,
        },
        transport_socket: socket,
        transport_socket_connect_timeout: connect_timeout,
        ..Message::default()
    };
    let mut messages = Vec::with_capacity(2);
    if let Some(split) = split {
        let second = divide(&mut first, split, tcp_filters);
        if written["match"].is_null() {
            remainder.put("match", json!({}));
        } else {
            remainder.put("match", written["match"].clone());
        }
        messages.push(second);
    }
    only_ours.extend(ours_alone(&remainder, name, split.is_some()));
    first.metadata = remainder.into_metadata(None);
    messages.insert(0, first);
    Chain { messages, only_ours }
}

/// What of a chain's remainder others are not told in another way.
fn ours_alone(remainder: &Remainder, name: &str, is_split: bool) -> Vec<String> {
    let told: &[&str] = if is_split {
        &["tcp", "mode", "match", "detection_timeout"]
    } else {
        &[]
    };
    let names = remainder.leaves();
    let names = names
        .into_iter()
        .filter(|field| !told.iter().any(|told| field.split('.').next() == Some(told)));
    names
        .filter(|field| {
            let is_said = is_split && field == "tls.mode";
            !is_said && !field.starts_with("trust_bundles")
        })
        .map(|field| format!("filter_chains {name} {field}"))
        .collect()
}

/// Makes a chain two: what stays in the first is matched more closely.
fn divide(first: &mut Message, split: Split, tcp_filters: Vec<Filter>) -> Message {
    let mut second = first.clone();
    second.metadata = for_others();
    let narrowed = first.filter_chain_match.get_or_insert_default();
    match split {
        Split::Protocol => {
            narrowed.application_protocols = ["http/1.0", "http/1.1", "h2c"].map(str::to_owned).to_vec();
            second.name = format!("{}~tcp", second.name);
            second.filters = tcp_filters;
        }
        Split::Transport => {
            narrowed.transport_protocol = "tls".to_owned();
            let plain: &mut MatchMessage = second.filter_chain_match.get_or_insert_default();
            plain.transport_protocol = "raw_buffer".to_owned();
            plain.server_names.clear();
            plain.application_protocols.clear();
            second.name = format!("{}~plain", second.name);
            second.transport_socket = None::<TransportSocket>;
            second.transport_socket_connect_timeout = None;
        }
    }
    second
}

fn limiting(limits: &Limits) -> Vec<Filter> {
    let mut filters = Vec::new();
    if let Some(most) = limits.connections {
        let limit = ConnectionLimit {
            stat_prefix: "outrigger".to_owned(),
            max_connections: Some(UInt64Value { value: most }),
            ..ConnectionLimit::default()
        };
        filters.push(filter(
            "envoy.filters.network.connection_limit",
            canonical::any(&limit),
        ));
    }
    if let Some(bucket) = &limits.rate {
        let limit = LocalRateLimit {
            stat_prefix: OF_LISTENER.to_owned(),
            token_bucket: Some(*bucket),
            share_key: OF_LISTENER.to_owned(),
            ..LocalRateLimit::default()
        };
        filters.push(filter(
            "envoy.filters.network.local_ratelimit",
            canonical::any(&limit),
        ));
    }
    filters
}

fn chain_match(matches: &FilterChainMatch) -> Option<MatchMessage> {
    let server_names = matches.server_names().iter().map(|name| match name {
        ServerNameMatch::Exact(name) => name.clone(),
        ServerNameMatch::Suffix(suffix) => format!("*{suffix}"),
    });
    let message = MatchMessage {
        destination_port: matches.destination_port().map(|port| value::number(port.into())),
        prefix_ranges: matches
            .destination_prefixes()
            .iter()
            .map(matching::prefix)
            .collect(),
        source_prefix_ranges: matches.source_prefixes().iter().map(matching::prefix).collect(),
        server_names: server_names.collect(),
        application_protocols: matches.application_protocols().clone(),
        transport_protocol: match matches.transport() {
            None => String::new(),
            Some(Transport::Raw) => "raw_buffer".to_owned(),
            Some(Transport::Tls) => "tls".to_owned(),
        },
        ..MatchMessage::default()
    };
    (message != MatchMessage::default()).then_some(message)
}
