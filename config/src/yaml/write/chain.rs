//! Filter chains as YAML.

use super::emit::{Map, Out, list, text};
use super::{
    access_log, boolean, duration, duration_or_off, http, number, put_rate_limits, put_targets, tls, word,
};
use crate::model::{ChainMode, FilterChain, FilterChainMatch, ServerNameMatch, TcpProxy, Transport};

pub(super) fn filter_chain(chain: &FilterChain) -> Out {
    let mut map = Map::default().with("name", text(&chain.name));
    let matches = chain_match(&chain.matches);
    if !matches.is_empty() {
        map.put("match", matches);
    }
    if let Some(tls) = &chain.tls {
        map.put("tls", tls::downstream(tls));
    }
    if !chain.authorization.is_empty() {
        map.put("authorization", list(chain.authorization.iter().map(text)));
    }
    let mode = match &chain.mode {
        ChainMode::Http(_) => "http",
        ChainMode::Tcp(_) => "tcp",
        ChainMode::Auto(_) => "auto",
    };
    map.put("mode", word(mode));
    if let ChainMode::Auto(auto) = &chain.mode {
        map.put("detection_timeout", duration(auto.detection_timeout));
    }
    if let Some(options) = chain.mode.http() {
        map.put("http", http::http(options));
    }
    if let Some(proxy) = chain.mode.tcp() {
        map.put("tcp", tcp(proxy));
    }
    map.into()
}

fn tcp(proxy: &TcpProxy) -> Map {
    let mut map = Map::default();
    put_targets(&mut map, &proxy.clusters);
    put_rate_limits(&mut map, &proxy.rate_limits);
    map.with("idle_timeout", duration_or_off(proxy.idle_timeout))
        .with(
            "connection_duration_max",
            duration_or_off(proxy.connection_duration_max),
        )
        .with("connect_attempts_max", number(proxy.connect_attempts_max.into()))
        .with("hash_source_address", boolean(proxy.hash_source_address))
        .with(
            "access_logs",
            list(proxy.access_logs.iter().map(access_log::access_log)),
        )
}

fn chain_match(matches: &FilterChainMatch) -> Map {
    let mut map = Map::default();
    if let Some(port) = matches.destination_port {
        map.put("destination_port", number(port.into()));
    }
    let prefixes = [
        ("destination_prefixes", &matches.destination_prefixes),
        ("source_prefixes", &matches.source_prefixes),
    ];
    for (field, prefixes) in prefixes.into_iter().filter(|(_, prefixes)| !prefixes.is_empty()) {
        map.put(field, list(prefixes.iter().map(text)));
    }
    if !matches.server_names.is_empty() {
        let name = |name: &ServerNameMatch| match name {
            ServerNameMatch::Exact(name) => text(name),
            ServerNameMatch::Suffix(suffix) => text(format!("*{suffix}")),
        };
        map.put("server_names", list(matches.server_names.iter().map(name)));
    }
    if !matches.application_protocols.is_empty() {
        map.put(
            "application_protocols",
            list(matches.application_protocols.iter().map(text)),
        );
    }
    match matches.transport {
        Some(Transport::Raw) => map.put("transport", word("raw")),
        Some(Transport::Tls) => map.put("transport", word("tls")),
        None => {}
    }
    map
}
