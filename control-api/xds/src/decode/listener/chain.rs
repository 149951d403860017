//! Filter chains: what they match, and their filters.

use super::network::{self, Limits};
use super::tcp;
use crate::decode::carried::Carried;
use crate::decode::tls::{self, Credentials};
use crate::decode::{Extras, Refusals, extras, http, matching, read_as, type_url, value};
use crate::support::{Message, message};
use envoy_types::pb::envoy::config::core::v3::{TransportSocket, transport_socket};
use envoy_types::pb::envoy::config::listener::v3::{
    Filter, FilterChain, FilterChainMatch, filter::ConfigType, filter_chain_match::ConnectionSourceType,
};
use envoy_types::pb::envoy::extensions::filters::network::{
    http_connection_manager::v3::HttpConnectionManager, tcp_proxy::v3::TcpProxy,
};
use envoy_types::pb::envoy::extensions::transport_sockets::{
    raw_buffer::v3::RawBuffer, tls::v3::DownstreamTlsContext,
};
use envoy_types::pb::google::protobuf::Any;
use outrigger_config::document::{Map, Path, Value};

pub(super) const MESSAGES: &[&Message] = &[&FILTER_CHAIN, &CHAIN_MATCH, &FILTER, &TRANSPORT_SOCKET];

message! {
    pub(super) FILTER_CHAIN, refuse_chain: FilterChain as "envoy.config.listener.v3.FilterChain" {
        used: filter_chain_match, filters, metadata, transport_socket, transport_socket_connect_timeout, name;
        refused: use_proxy_proto;
        ignored: ;
    }
}
message! {
    pub(super) CHAIN_MATCH, refuse_match: FilterChainMatch as "envoy.config.listener.v3.FilterChainMatch" {
        used: destination_port, prefix_ranges, source_type, source_prefix_ranges, server_names, transport_protocol,
            application_protocols;
        refused: address_suffix, suffix_len, direct_source_prefix_ranges, source_ports;
        ignored: ;
    }
}
message! {
    pub(super) FILTER, refuse_filter: Filter as "envoy.config.listener.v3.Filter" {
        used: config_type;
        refused: ;
        ignored: name = "the type says what it is";
    }
}
message! {
    pub(super) TRANSPORT_SOCKET, refuse_transport_socket: TransportSocket
        as "envoy.config.core.v3.TransportSocket" {
        used: config_type;
        refused: ;
        ignored: name = "the type says what it is";
    }
}

/// What a chain is part of.
pub(super) struct Resource<'a> {
    pub(super) name: &'a str,
    /// Chains before it.
    pub(super) number: usize,
}

/// The field of a chain's metadata by which our own control API says that it is there for other programs: what it says is
/// said by another chain.
pub(crate) const FOR_OTHERS: &str = "for_others";

/// The chain's part and what it says of the listener; none if it is there for others.
pub(super) fn chain(
    refusals: &mut Refusals,
    (carried, credentials): (&mut Carried, &mut Credentials),
    path: &Path,
    (resource, message): (&Resource<'_>, &FilterChain),
) -> Option<(Map, Limits)> {
    let mut extras = extras(path, message.metadata.as_ref());
    if extras.take(FOR_OTHERS).is_some() {
        if !carried.is_shared() {
            refusals.fault(
                &path.field("metadata"),
                "only with `shared: true` in the listener's metadata",
            );
        }
        return None;
    }
    credentials.take(refusals, &mut extras);
    refuse_chain(refusals, path, message);
    let mut map = Map::new(path);
    if !message.name.is_empty() {
        map.put("name", Value::text(&path.field("name"), message.name.as_str()));
    }
    if let Some(found) = &message.filter_chain_match {
        let matches = chain_match(refusals, &path.field("filter_chain_match"), found);
        let is_ours = extras.has("match") && carried.is_shared();
        if !matches.is_empty() && !is_ours {
            map.put("match", matches.into());
        }
    }
    let timeout = value::duration_value(
        refusals,
        &path.field("transport_socket_connect_timeout"),
        message.transport_socket_connect_timeout.as_ref(),
    );
    if let Some(socket) = &message.transport_socket {
        let path = path.field("transport_socket");
        if let Some(mut tls) = transport_socket(refusals, &path, socket, credentials) {
            tls.put_some("handshake_timeout", timeout);
            map.put("tls", tls.into());
        }
    }
    let mut limits = Limits::default();
    let chain = match message.name.is_empty() {
        true => format!("{}/chain-{}", resource.name, resource.number),
        false => format!("{}/{}", resource.name, message.name),
    };
    let mut reading = Reading {
        chain: &chain,
        map: &mut map,
        extras: &mut extras,
        limits: &mut limits,
        names: network::Names::default(),
    };
    let place = path.field("filters");
    for (index, filter) in message.filters.iter().enumerate() {
        let path = place.index(index);
        refuse_filter(refusals, &path, filter);
        let last = index + 1 == message.filters.len();
        match &filter.config_type {
            Some(ConfigType::TypedConfig(any)) => {
                reading.filter(refusals, carried, &path.field("typed_config"), any, last);
            }
            Some(ConfigType::ConfigDiscovery(_)) => {
                refusals.unsupported(&path.field("config_discovery"), "configuring a filter by ECDS");
            }
            None => refusals.fault(&path, "`typed_config` is missing"),
        }
    }
    reading.finish(&place);
    if map.has("http") && map.has("tcp") {
        refusals.fault(&place, "two filters that end a chain");
    }
    extras.merge(refusals, &mut map);
    Some((map, limits))
}

fn chain_match(refusals: &mut Refusals, path: &Path, found: &FilterChainMatch) -> Map {
    refuse_match(refusals, path, found);
    if found.source_type != ConnectionSourceType::Any as i32 {
        refusals.unsupported(
            &path.field("source_type"),
            "asking whether the peer is on this machine",
        );
    }
    let mut map = Map::new(path);
    let port = value::number(&path.field("destination_port"), found.destination_port.as_ref());
    map.put_some("destination_port", port);
    let ranges = matching::prefixes(refusals, &path.field("prefix_ranges"), &found.prefix_ranges);
    map.put_some("destination_prefixes", ranges);
    let place = path.field("source_prefix_ranges");
    map.put_some(
        "source_prefixes",
        matching::prefixes(refusals, &place, &found.source_prefix_ranges),
    );
    for (field, texts) in [
        ("server_names", &found.server_names),
        ("application_protocols", &found.application_protocols),
    ] {
        if !texts.is_empty() {
            let place = path.field(field);
            let values = texts.iter().enumerate();
            let values = values.map(|(index, text)| Value::text(&place.index(index), text.as_str()));
            map.put(field, Value::list(&place, values));
        }
    }
    let place = path.field("transport_protocol");
    match found.transport_protocol.as_str() {
        "" => {}
        "raw_buffer" => map.put("transport", Value::plain(&place, "raw")),
        "tls" => map.put("transport", Value::plain(&place, "tls")),
        other => refusals.unsupported(&place, format_args!("the transport `{other}`")),
    }
    map
}

/// The chain's TLS; none if it is plain text.
fn transport_socket(
    refusals: &mut Refusals,
    path: &Path,
    socket: &TransportSocket,
    credentials: &mut Credentials,
) -> Option<Map> {
    refuse_transport_socket(refusals, path, socket);
    let path = path.field("typed_config");
    let Some(transport_socket::ConfigType::TypedConfig(any)) = &socket.config_type else {
        refusals.fault(&path, "it is missing");
        return None;
    };
    if any.type_url == type_url::<DownstreamTlsContext>() {
        let context: DownstreamTlsContext = read_as(refusals, &path, &any.value)?;
        return Some(tls::downstream(refusals, &path, &context, credentials));
    }
    if any.type_url != type_url::<RawBuffer>() {
        refusals.fault(&path, format!("{} is not implemented", any.type_url));
    }
    None
}

/// A chain that is being read.
struct Reading<'a> {
    /// The names of listener and chain.
    chain: &'a str,
    map: &'a mut Map,
    extras: &'a mut Extras,
    limits: &'a mut Limits,
    names: network::Names,
}

impl Reading<'_> {
    fn filter(&mut self, refusals: &mut Refusals, carried: &mut Carried, path: &Path, any: &Any, last: bool) {
        let url = any.type_url.as_str();
        if url == type_url::<HttpConnectionManager>() {
            let Some(manager) = read_as::<HttpConnectionManager>(refusals, path, &any.value) else {
                return;
            };
            let given = self.extras.within("http");
            let http = http::manager(refusals, carried, path, (self.chain, &manager), given);
            self.names.authorization.extend(http.authorization);
            self.map.put("http", http.fields.into());
            self.names.ends_in_http = true;
        } else if url == type_url::<TcpProxy>() {
            if let Some(proxy) = read_as::<TcpProxy>(refusals, path, &any.value) {
                let mut tcp = tcp::proxy(refusals, path, &proxy);
                let given = self.extras.within("tcp");
                // What others cannot be told exactly stands in the metadata, in place of what they are told.
                for name in ["access_logs", "weighted_clusters"] {
                    if given.has(name) && carried.is_shared() {
                        drop(tcp.take(name));
                    }
                }
                self.extras.put_back("tcp", given);
                self.map.put("tcp", tcp.into());
            }
        } else {
            if last {
                refusals.fault(
                    path,
                    "the last filter is an HTTP connection manager or a TCP proxy",
                );
            }
            network::filter(refusals, carried, path, any, (&mut self.names, &mut *self.limits));
            return;
        }
        if !last {
            refusals.fault(path, "nothing can come after this filter");
        }
    }

    /// Puts names of policies and limits where they belong.
    fn finish(self, path: &Path) {
        let network::Names {
            authorization,
            rate_limits,
            ends_in_http,
            ..
        } = self.names;
        if !authorization.is_empty() && !self.extras.has("authorization") {
            self.map.put("authorization", Value::list(path, authorization));
        }
        if ends_in_http || rate_limits.is_empty() {
            return;
        }
        if let Some(Ok(mut tcp)) = self.map.take("tcp").map(Value::into_map) {
            let given = self.extras.within("tcp");
            if !given.has("rate_limits") {
                tcp.put("rate_limits", Value::list(path, rate_limits));
            }
            self.map.put("tcp", tcp.into());
            self.extras.put_back("tcp", given);
        }
    }
}
