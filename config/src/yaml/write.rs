//! The effective configuration as YAML: every default written out.
//!
//! What is written loads to an equal configuration (given a source name without a directory, if file names are
//! relative). Where a default depends on something else (workers, pool idle, route timeout), a comment stands for it.

mod access_log;
mod authorization;
mod balancing;
mod breakers;
mod chain;
mod control;
mod cors;
mod discovery;
mod edge;
mod emit;
mod external_authorization;
mod fault;
mod health;
mod http;
mod identity;
mod jwt;
mod proxy_protocol;
mod rate_limit;
mod retry;
mod route;
mod telemetry;
mod tls;
mod tracing;

use super::route::domain_text;
use super::scalar::{DURATION_UNITS, SIZE_UNITS};
use crate::model::{
    Cluster, ConnectionRate, Discovery, Endpoint, EndpointStatus, Http2Options, Interception, Listener,
    MeshConfig, Name, TcpKeepalive, UpstreamProtocol, WeightedCluster, defaults,
};
use emit::{Map, Out, list, text};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Stands for a private key: it loads as none.
pub(crate) const REDACTED: &str = "[a private key, which is not shown]";

/// Stands for the value of a header that is sent to a collector: it loads as none.
pub(crate) const REDACTED_HEADER: &str = "[a header's value, which is not shown]";

/// Writes a configuration with every default in place, and without its private keys and collectors' headers: what is written
/// of an identity whose key stands in the document, or of such a header, loads once the key or value is put back.
pub fn to_yaml(config: &MeshConfig) -> String {
    emit::document(&document(config))
}

/// What [`to_yaml`] writes, as JSON: the same fields with the same words, numbers and truth values as such.
pub fn to_json(config: &MeshConfig) -> serde_json::Value {
    emit::json_of_map(&document(config))
}

fn document(config: &MeshConfig) -> Map {
    let mut runtime = Map::default();
    match config.runtime.workers {
        Some(workers) => runtime.put("workers", number(workers as u64)),
        None => runtime.comment("workers: one per available core"),
    }
    match config.runtime.socket_mark {
        Some(mark) => runtime.put("socket_mark", number(mark.into())),
        None => runtime.comment("socket_mark: none"),
    }
    match &config.runtime.locality {
        Some(locality) => runtime.put("locality", balancing::locality(locality)),
        None => runtime.comment("locality: unknown"),
    }
    let mut document = Map::default();
    document.put(
        "admin",
        Map::default().with("address", text(config.admin.address)),
    );
    document.put("runtime", runtime);
    let drain = Map::default()
        .with("grace", duration(config.drain.grace))
        .with("timeout", duration(config.drain.timeout));
    document.put("drain", drain);
    document.put(
        "listeners",
        list(config.listeners.iter().map(|part| listener(part))),
    );
    document.put(
        "route_configurations",
        list(
            config
                .route_configurations
                .iter()
                .map(|part| route::route_configuration(part)),
        ),
    );
    document.put("clusters", list(config.clusters.iter().map(|part| cluster(part))));
    put_identities(&mut document, config);
    document.put("overload", fault::overload(&config.overload));
    document.put("telemetry", telemetry::telemetry(config));
    if let Some(control) = &config.control {
        document.put("control", control::control(control));
    }
    document
}

fn put_identities(document: &mut Map, config: &MeshConfig) {
    if !config.identities.is_empty() {
        let identities = config.identities.iter().map(|part| identity::identity(part));
        document.put("identities", list(identities));
    }
    if !config.trust_bundles.is_empty() {
        let bundles = config
            .trust_bundles
            .iter()
            .map(|part| identity::trust_bundle(part));
        document.put("trust_bundles", list(bundles));
    }
    if !config.authorization_policies.is_empty() {
        let policies = config.authorization_policies.iter();
        document.put(
            "authorization_policies",
            list(policies.map(|part| authorization::policy(part))),
        );
    }
    if !config.jwt_providers.is_empty() {
        let providers = config.jwt_providers.iter().map(|part| jwt::provider(part));
        document.put("jwt_providers", list(providers));
    }
    if !config.rate_limits.is_empty() {
        let limits = config.rate_limits.iter().map(|part| rate_limit::limit(part));
        document.put("rate_limits", list(limits));
    }
    document.put("revocation", identity::revocation(&config.revocation));
}

/// The rate limits that apply somewhere.
fn put_rate_limits(map: &mut Map, names: &[Name]) {
    if !names.is_empty() {
        map.put("rate_limits", list(names.iter().map(text)));
    }
}

fn number(value: u64) -> Out {
    Out::Plain(value.to_string())
}

fn boolean(value: bool) -> Out {
    Out::Plain(value.to_string())
}

fn word(word: &str) -> Out {
    Out::Plain(word.to_owned())
}

/// In the largest unit that loses nothing.
fn duration(span: Duration) -> Out {
    let nanoseconds = span.as_nanos();
    let unit = DURATION_UNITS
        .iter()
        .find(|(_, unit)| nanoseconds.is_multiple_of(u128::from(*unit)));
    match unit {
        Some((name, unit)) if nanoseconds > 0 => {
            Out::Plain(format!("{}{name}", nanoseconds / u128::from(*unit)))
        }
        _ => word("0s"),
    }
}

fn duration_or_off(span: Option<Duration>) -> Out {
    span.map_or_else(|| word("off"), duration)
}

fn number_or_off(value: Option<u32>) -> Out {
    value.map_or_else(|| word("off"), |value| number(value.into()))
}

/// In the largest unit that loses nothing.
fn size(bytes: u64) -> Out {
    match SIZE_UNITS
        .iter()
        .find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit))
    {
        Some((name, unit)) => Out::Plain(format!("{}{name}", bytes / unit)),
        None => number(bytes),
    }
}

fn path(file: &Path) -> Out {
    text(file.display())
}

fn listener(listener: &Listener) -> Out {
    let interception = match listener.interception {
        Interception::Off => "off",
        Interception::Redirect => "redirect",
        Interception::Tproxy => "tproxy",
    };
    Map::default()
        .with("name", text(&listener.name))
        .with("address", text(listener.address))
        .with("connections_max", number(listener.connections_max as u64))
        .with("backlog", number(listener.backlog.into()))
        .with(
            "connection_rate_max",
            connection_rate(listener.connection_rate_max),
        )
        .with(
            "proxy_protocol",
            proxy_protocol::downstream(&listener.proxy_protocol),
        )
        .with("interception", word(interception))
        .with("direction", word(listener.direction.as_str()))
        .with("tcp_keepalive", tcp_keepalive(listener.tcp_keepalive.as_ref()))
        .with("tcp_user_timeout", duration_or_off(listener.tcp_user_timeout))
        .with(
            "filter_chains",
            list(listener.filter_chains.iter().map(chain::filter_chain)),
        )
        .into()
}

fn connection_rate(rate: Option<ConnectionRate>) -> Out {
    let Some(rate) = rate else {
        return word("off");
    };
    Map::default()
        .with("per_second", number(rate.per_second.into()))
        .with("burst", number(rate.burst.into()))
        .into()
}

fn tcp_keepalive(keepalive: Option<&TcpKeepalive>) -> Out {
    let Some(keepalive) = keepalive else {
        return word("off");
    };
    Map::default()
        .with("time", duration(keepalive.time))
        .with("interval", duration(keepalive.interval))
        .with("probes", number(keepalive.probes.into()))
        .into()
}

fn http2(options: &Http2Options) -> Map {
    Map::default()
        .with(
            "concurrent_streams_max",
            number(options.concurrent_streams_max.into()),
        )
        .with("stream_window", size(options.stream_window_bytes.into()))
        .with("connection_window", size(options.connection_window_bytes.into()))
        .with("keepalive_interval", duration_or_off(options.keepalive_interval))
        .with("keepalive_timeout", duration(options.keepalive_timeout))
}

fn cluster(cluster: &Cluster) -> Out {
    let protocol = match cluster.protocol {
        UpstreamProtocol::Http1 => "http1",
        UpstreamProtocol::Http2 => "http2",
        UpstreamProtocol::Auto => "auto",
    };
    let mut map = Map::default()
        .with("name", text(&cluster.name))
        .with("discovery", discovery::discovery(&cluster.discovery));
    let is_static = cluster.discovery == Discovery::Static;
    if is_static {
        map.put("endpoints", list(cluster.endpoints.iter().map(endpoint)));
    }
    let is_balanced = is_static || matches!(cluster.discovery, Discovery::StrictDns(_));
    balancing::put(&mut map, cluster, is_balanced);
    map.put("protocol", word(protocol));
    if let Some(tls) = &cluster.tls {
        map.put("tls", tls::upstream(tls));
    }
    map.put(
        "proxy_protocol",
        proxy_protocol::upstream(cluster.proxy_protocol.as_ref()),
    );
    map.put("connect_timeout", duration(cluster.connect_timeout));
    match &cluster.health_check {
        Some(check) => map.put("health_check", health::check(check)),
        None => map.comment("health_check: off"),
    }
    let is_one = matches!(cluster.discovery, Discovery::LogicalDns(_));
    if !is_one || cluster.outlier_detection.is_some() {
        let detection = cluster.outlier_detection.as_ref();
        map.put("outlier_detection", health::outlier_detection(detection));
    }
    breakers::put(&mut map, cluster);
    map.put("pool", pool(cluster));
    // Where only HTTP/1 is spoken these have no effect, and writing them would be warned of.
    if cluster.protocol != UpstreamProtocol::Http1 || cluster.http2 != Http2Options::default() {
        map.put("http2", http2(&cluster.http2));
    }
    map.with("tcp_keepalive", tcp_keepalive(cluster.tcp_keepalive.as_ref()))
        .with("tcp_user_timeout", duration_or_off(cluster.tcp_user_timeout))
        .with(
            "response_headers_bytes_max",
            size(cluster.response_headers_bytes_max as u64),
        )
        .with(
            "response_headers_count_max",
            number(cluster.response_headers_count_max as u64),
        )
        .into()
}

fn endpoint(endpoint: &Endpoint) -> Out {
    let mut map = Map::default()
        .with("address", text(endpoint.address))
        .with("weight", number(endpoint.weight.into()));
    if !endpoint.metadata.is_empty() {
        map.put("metadata", pairs(&endpoint.metadata));
    }
    match &endpoint.locality {
        Some(locality) => map.put("locality", balancing::locality(locality)),
        None => map.comment("locality: unknown"),
    }
    let status = match endpoint.status {
        EndpointStatus::Healthy => "healthy",
        EndpointStatus::Draining => "draining",
        EndpointStatus::Unhealthy => "unhealthy",
        EndpointStatus::Degraded => "degraded",
    };
    map.with("priority", number(endpoint.priority.into()))
        .with("status", word(status))
        .into()
}

/// Of a hundred, from parts of a million.
fn percent(parts: u32) -> Out {
    let digits = format!("{:04}", parts % 10_000);
    Out::Plain(match digits.trim_end_matches('0') {
        "" => (parts / 10_000).to_string(),
        digits => format!("{}.{digits}", parts / 10_000),
    })
}

/// Free keys and values.
fn pairs(pairs: &BTreeMap<String, String>) -> Map {
    let mut map = Map::default();
    for (key, value) in pairs {
        map.put(key, text(value));
    }
    map
}

fn put_targets(map: &mut Map, clusters: &[WeightedCluster]) {
    let put_subset = |map: &mut Map, one: &WeightedCluster| {
        if !one.subset.is_empty() {
            map.put("subset", pairs(&one.subset));
        }
    };
    match clusters {
        [one] if one.weight == 1 => {
            map.put("cluster", text(&one.cluster));
            put_subset(map, one);
        }
        several => {
            let clusters = several.iter().map(|one| {
                let mut map = Map::default()
                    .with("cluster", text(&one.cluster))
                    .with("weight", number(one.weight.into()));
                put_subset(&mut map, one);
                map
            });
            map.put("weighted_clusters", list(clusters));
        }
    }
}

fn pool(cluster: &Cluster) -> Map {
    let mut map = Map::default();
    match cluster.pool.idle_timeout {
        Some(timeout) => map.put("idle_timeout", duration(timeout)),
        None => map.comment(format!(
            "idle_timeout: {}s for HTTP/1, {}s for HTTP/2",
            defaults::POOL_IDLE_TIMEOUT_HTTP1.as_secs(),
            defaults::POOL_IDLE_TIMEOUT_HTTP2.as_secs()
        )),
    }
    map.with(
        "connection_age_max",
        duration_or_off(cluster.pool.connection_age_max),
    )
    .with(
        "requests_per_connection_max",
        number_or_off(cluster.pool.requests_per_connection_max),
    )
}
