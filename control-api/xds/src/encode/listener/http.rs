//! What ends a chain: HTTP connection managers and TCP proxies.

use super::tracing;
use crate::encode::filters::{self, Carrying};
use crate::encode::{Remainder, access_log, canonical, value};
use envoy_types::pb::envoy::config::core::v3::{
    Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions, KeepaliveSettings, Metadata,
};
use envoy_types::pb::envoy::config::listener::v3::{Filter, filter::ConfigType};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, Rds,
    http_connection_manager::{
        ForwardClientCertDetails, PathWithEscapedSlashesAction, RouteSpecifier, ServerHeaderTransformation,
        SetCurrentClientCertDetails, UpgradeConfig,
    },
};
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::{
    TcpProxy as TcpMessage,
    tcp_proxy::{ClusterSpecifier, WeightedCluster as Weighted, weighted_cluster::ClusterWeight},
};
use envoy_types::pb::envoy::r#type::v3::{HashPolicy, hash_policy};
use envoy_types::pb::google::protobuf::{Duration as Span, Struct, Value, value::Kind};
use outrigger_config::model::{
    ClientCertificateDetail, EscapedSlashes, FilterChain, ForwardClientCertificateMode, Http2Options,
    HttpOptions, ProxyHeader, RepeatedSlashes, TcpProxy, WeightedCluster,
};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

const KIBIBYTE: usize = 1024;

/// A span, or Envoy's zero for none.
fn or_zero(duration: Option<Duration>) -> Span {
    value::duration(duration.unwrap_or_default())
}

/// A chain's connection manager. What it says is taken out of `remainder`, the chain's.
pub(super) fn manager(
    carrying: &mut Carrying<'_>,
    chain: &FilterChain,
    http: &HttpOptions,
    remainder: &mut Remainder,
) -> HttpConnectionManager {
    let http_filters = filters::chain(carrying, chain, http, remainder);
    let (server_name, transformation) = server(http, remainder);
    let upgrades = http.upgrades().iter().map(|upgrade| UpgradeConfig {
        upgrade_type: upgrade.clone(),
        ..UpgradeConfig::default()
    });
    let connect = filters::takes_connect(carrying, http).then(|| UpgradeConfig {
        upgrade_type: "CONNECT".to_owned(),
        ..UpgradeConfig::default()
    });
    let mut message = HttpConnectionManager {
        stat_prefix: chain.name().as_str().to_owned(),
        http_filters,
        server_name,
        server_header_transformation: transformation.into(),
        stream_idle_timeout: Some(or_zero(http.stream_idle_timeout())),
        request_timeout: Some(or_zero(http.request_timeout())),
        request_headers_timeout: Some(value::duration(http.request_headers_timeout())),
        access_log: access_log::logs(http.access_logs(), "http.access_logs", remainder),
        use_remote_address: Some(value::boolean(true)),
        xff_num_trusted_hops: http.xff_num_trusted_hops(),
        via: via(http, remainder),
        upgrade_configs: upgrades.chain(connect).collect(),
        tracing: http.tracing().as_deref().map(tracing::message),
        normalize_path: Some(value::boolean(true)),
        route_specifier: Some(RouteSpecifier::Rds(Rds {
            config_source: Some(value::config_source()),
            route_config_name: http.route_configuration().as_str().to_owned(),
        })),
        ..HttpConnectionManager::default()
    };
    for field in [
        "route_configuration",
        "stream_idle_timeout",
        "request_timeout",
        "request_headers_timeout",
        "xff_num_trusted_hops",
        "upgrades",
    ] {
        remainder.said(&format!("http.{field}"));
    }
    // Where routes do not say otherwise; and how long a tunnel may be idle is said by the connection's own.
    remainder.unless("http.upgrade_idle_timeout", "1h");
    remainder.unless("http.tracing", "off");
    remainder.unless("http.hint_peers", json!({ "authenticated": true }));
    put_protocol(http, remainder, &mut message);
    put_paths(http, remainder, &mut message);
    put_client_certificate(http, remainder, &mut message);
    message
}

fn server(http: &HttpOptions, remainder: &mut Remainder) -> (String, ServerHeaderTransformation) {
    match http.server_header() {
        ProxyHeader::Set(name) => {
            remainder.said("http.server_header");
            (name.clone(), ServerHeaderTransformation::Overwrite)
        }
        ProxyHeader::Pass => {
            remainder.said("http.server_header");
            (String::new(), ServerHeaderTransformation::PassThrough)
        }
        ProxyHeader::Append(_) => (String::new(), ServerHeaderTransformation::PassThrough),
    }
}

fn via(http: &HttpOptions, remainder: &mut Remainder) -> String {
    match http.via_header() {
        ProxyHeader::Pass => {
            remainder.said("http.via_header");
            String::new()
        }
        ProxyHeader::Append(name) => {
            remainder.said("http.via_header");
            name.clone()
        }
        ProxyHeader::Set(_) => String::new(),
    }
}

fn put_protocol(http: &HttpOptions, remainder: &mut Remainder, message: &mut HttpConnectionManager) {
    message.common_http_protocol_options = Some(HttpProtocolOptions {
        idle_timeout: Some(value::duration(http.idle_timeout())),
        max_connection_duration: http.connection_age_max().map(value::duration),
        max_headers_count: u32::try_from(http.request_headers_count_max())
            .ok()
            .map(value::number),
        max_requests_per_connection: http.requests_per_connection_max().map(value::number),
        ..HttpProtocolOptions::default()
    });
    message.http_protocol_options = Some(Http1ProtocolOptions {
        accept_http_10: http.accept_http_10(),
        enable_trailers: true,
        ..Http1ProtocolOptions::default()
    });
    message.http2_protocol_options = Some(http2(http.http2(), remainder));
    for field in [
        "idle_timeout",
        "connection_age_max",
        "request_headers_count_max",
        "requests_per_connection_max",
        "accept_http_10",
    ] {
        remainder.said(&format!("http.{field}"));
    }
    let bytes = http.request_headers_bytes_max();
    let kibibytes = u32::try_from(bytes.div_ceil(KIBIBYTE)).unwrap_or(u32::MAX);
    message.max_request_headers_kb = Some(value::number(kibibytes));
    if bytes.is_multiple_of(KIBIBYTE) {
        remainder.said("http.request_headers_bytes_max");
    } else {
        // Ours know it exactly, by the metadata alone.
        message.max_request_headers_kb = None;
    }
}

fn http2(options: &Http2Options, remainder: &mut Remainder) -> Http2ProtocolOptions {
    for field in [
        "concurrent_streams_max",
        "stream_window",
        "connection_window",
        "keepalive_interval",
    ] {
        remainder.said(&format!("http.http2.{field}"));
    }
    match options.keepalive_interval() {
        Some(_) => {
            remainder.said("http.http2.keepalive_timeout");
        }
        None => remainder.unless("http.http2.keepalive_timeout", "20s"),
    }
    Http2ProtocolOptions {
        max_concurrent_streams: Some(value::number(options.concurrent_streams_max())),
        initial_stream_window_size: Some(value::number(options.stream_window_bytes())),
        initial_connection_window_size: Some(value::number(options.connection_window_bytes())),
        allow_connect: true,
        connection_keepalive: options.keepalive_interval().map(|interval| KeepaliveSettings {
            interval: Some(value::duration(interval)),
            timeout: Some(value::duration(options.keepalive_timeout())),
            ..KeepaliveSettings::default()
        }),
        ..Http2ProtocolOptions::default()
    }
}

fn put_paths(http: &HttpOptions, remainder: &mut Remainder, message: &mut HttpConnectionManager) {
    let action = match http.escaped_slashes() {
        EscapedSlashes::Keep => PathWithEscapedSlashesAction::KeepUnchanged,
        EscapedSlashes::Unescape => PathWithEscapedSlashesAction::UnescapeAndForward,
        EscapedSlashes::Refuse => PathWithEscapedSlashesAction::RejectRequest,
    };
    message.path_with_escaped_slashes_action = action.into();
    remainder.said("http.escaped_slashes");
    match http.repeated_slashes() {
        RepeatedSlashes::Keep => {
            remainder.said("http.repeated_slashes");
        }
        RepeatedSlashes::Merge => {
            message.merge_slashes = true;
            remainder.said("http.repeated_slashes");
        }
        // Others pass them as they are.
        RepeatedSlashes::Refuse => {}
    }
}

fn put_client_certificate(
    http: &HttpOptions,
    remainder: &mut Remainder,
    message: &mut HttpConnectionManager,
) {
    let forward = http.forward_client_certificate();
    let mode = match forward.mode() {
        ForwardClientCertificateMode::Sanitize => ForwardClientCertDetails::Sanitize,
        ForwardClientCertificateMode::ForwardOnly => ForwardClientCertDetails::ForwardOnly,
        ForwardClientCertificateMode::AppendForward => ForwardClientCertDetails::AppendForward,
        ForwardClientCertificateMode::SanitizeSet => ForwardClientCertDetails::SanitizeSet,
        ForwardClientCertificateMode::AlwaysForwardOnly => ForwardClientCertDetails::AlwaysForwardOnly,
    };
    message.forward_client_cert_details = mode.into();
    let tells = |detail| forward.details().contains(&detail);
    if !forward.details().is_empty() {
        message.set_current_client_cert_details = Some(SetCurrentClientCertDetails {
            subject: tells(ClientCertificateDetail::Subject).then(|| value::boolean(true)),
            cert: tells(ClientCertificateDetail::Certificate),
            chain: tells(ClientCertificateDetail::Chain),
            dns: tells(ClientCertificateDetail::Dns),
            uri: tells(ClientCertificateDetail::Uri),
            ..SetCurrentClientCertDetails::default()
        });
    }
    remainder.said("http.forward_client_certificate");
}

/// The namespace in which Envoy looks for what picks endpoints.
const LOAD_BALANCING: &str = "envoy.lb";

fn subset(subset: &BTreeMap<String, String>) -> Option<Metadata> {
    if subset.is_empty() {
        return None;
    }
    let value = |text: &String| Value {
        kind: Some(Kind::StringValue(text.clone())),
    };
    let fields = subset.iter().map(|(key, text)| (key.clone(), value(text)));
    let mut metadata = Metadata::default();
    let fields = Struct {
        fields: fields.collect(),
    };
    metadata.filter_metadata.insert(LOAD_BALANCING.to_owned(), fields);
    Some(metadata)
}

fn share(share: &WeightedCluster) -> ClusterWeight {
    ClusterWeight {
        name: share.cluster().as_str().to_owned(),
        weight: share.weight(),
        metadata_match: subset(share.subset()),
    }
}

/// The filters that pass bytes on: limits on connections, and the TCP proxy. `name` is the chain's; what they say is taken
/// out of `remainder`, the chain's.
pub(super) fn tcp(
    carrying: &mut Carrying<'_>,
    (name, proxy): (&str, &TcpProxy),
    remainder: &mut Remainder,
) -> Vec<Filter> {
    let limits = filters::network_limits(carrying, proxy.rate_limits());
    if limits.exact {
        remainder.said("tcp.rate_limits");
    }
    let (specifier, metadata_match) = match proxy.clusters().as_slice() {
        [only] if only.weight() == 1 => (
            ClusterSpecifier::Cluster(only.cluster().as_str().to_owned()),
            subset(only.subset()),
        ),
        shares => {
            // A share of nothing is none at all to Envoy.
            let clusters: Vec<_> = shares
                .iter()
                .map(share)
                .filter(|share| share.weight > 0)
                .collect();
            if clusters.len() == shares.len() {
                remainder.said("tcp.weighted_clusters");
            }
            (ClusterSpecifier::WeightedClusters(Weighted { clusters }), None)
        }
    };
    remainder.said("tcp.cluster");
    remainder.said("tcp.subset");
    let message = TcpMessage {
        stat_prefix: name.to_owned(),
        metadata_match,
        idle_timeout: Some(or_zero(proxy.idle_timeout())),
        max_downstream_connection_duration: proxy.connection_duration_max().map(value::duration),
        access_log: access_log::logs(proxy.access_logs(), "tcp.access_logs", remainder),
        max_connect_attempts: Some(value::number(proxy.connect_attempts_max())),
        hash_policy: proxy
            .hash_source_address()
            .then_some(HashPolicy {
                policy_specifier: Some(hash_policy::PolicySpecifier::SourceIp(hash_policy::SourceIp {})),
            })
            .into_iter()
            .collect(),
        cluster_specifier: Some(specifier),
        ..TcpMessage::default()
    };
    for field in [
        "idle_timeout",
        "connection_duration_max",
        "connect_attempts_max",
        "hash_source_address",
    ] {
        remainder.said(&format!("tcp.{field}"));
    }
    let limits = limits.filters.into_iter();
    let proxy = (
        "envoy.filters.network.tcp_proxy".to_owned(),
        canonical::any(&message),
    );
    let filters = limits.chain(std::iter::once(proxy));
    filters
        .map(|(name, config)| Filter {
            name,
            config_type: Some(ConfigType::TypedConfig(config)),
        })
        .collect()
}
