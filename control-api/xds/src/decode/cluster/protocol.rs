//! Which HTTP version is spoken to endpoints, and its limits.

use crate::decode::{Refusals, unpack, value};
use crate::support::message;
use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::upstreams::http::v3 as http;
use http::http_protocol_options::explicit_http_config::ProtocolConfig;
use http::http_protocol_options::{ExplicitHttpConfig, UpstreamProtocolOptions};
use outrigger_config::document::{Map, Path, Value};

/// The key and the type of the options.
pub(crate) const OPTIONS_KEY: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const OPTIONS_URL: &str = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

message! {
    pub(super) OPTIONS, refuse_options: http::HttpProtocolOptions
        as "envoy.extensions.upstreams.http.v3.HttpProtocolOptions" {
        used: common_http_protocol_options, upstream_protocol_options;
        refused: upstream_http_protocol_options, http_filters, header_validation_config, outlier_detection,
            request_mirror_policies, hash_policy, retry_policy;
        ignored: ;
    }
}
message! {
    pub(super) COMMON, refuse_common: core::HttpProtocolOptions as "envoy.config.core.v3.HttpProtocolOptions" {
        used: idle_timeout, max_connection_duration, max_headers_count, max_response_headers_kb,
            max_requests_per_connection;
        refused: max_connection_duration_jitter, max_stream_duration, headers_with_underscores_action;
        ignored: ;
    }
}
message! {
    pub(super) HTTP1, refuse_http1: core::Http1ProtocolOptions as "envoy.config.core.v3.Http1ProtocolOptions" {
        used: ;
        refused: accept_http_10, default_host_for_http_10, header_key_format, allow_chunked_length,
            override_stream_error_on_invalid_http_message, send_fully_qualified_url, allow_custom_methods,
            ignore_http_11_upgrade;
        ignored: allow_absolute_url = "it is about requests that come in",
            enable_trailers = "trailers are passed on always",
            use_balsa_parser = "there is one parser";
    }
}
message! {
    pub(super) HTTP2, refuse_http2: core::Http2ProtocolOptions as "envoy.config.core.v3.Http2ProtocolOptions" {
        used: max_concurrent_streams, initial_stream_window_size, initial_connection_window_size,
            connection_keepalive;
        refused: hpack_table_size, allow_metadata, stream_error_on_invalid_http_messaging,
            override_stream_error_on_invalid_http_message, custom_settings_parameters, max_metadata_size,
            max_header_field_size_kb, disallow_obs_text;
        ignored: allow_connect = "CONNECT is allowed where a route asks for it",
            max_outbound_frames = "floods are bounded here in their own way",
            max_outbound_control_frames = "floods are bounded here in their own way",
            max_consecutive_inbound_frames_with_empty_payload = "floods are bounded here in their own way",
            max_inbound_priority_frames_per_stream = "floods are bounded here in their own way",
            max_inbound_window_update_frames_per_data_frame_sent = "floods are bounded here in their own way",
            use_oghttp2_codec = "there is one codec",
            enable_huffman_encoding = "it changes the number of bytes only",
            stream_reset_burst = "floods are bounded here in their own way",
            stream_reset_rate = "floods are bounded here in their own way";
    }
}
message! {
    pub(super) KEEPALIVE, refuse_keepalive: core::KeepaliveSettings as "envoy.config.core.v3.KeepaliveSettings" {
        used: interval, timeout;
        refused: connection_idle_interval;
        ignored: interval_jitter = "PINGs of connections are not in step: each counts from its own last frame";
    }
}

/// Puts `protocol`, `http2`, `pool` and the limits of heads; gives the ALPN names that are offered.
pub(super) fn put(
    refusals: &mut Refusals,
    path: &Path,
    message: &cluster::Cluster,
    map: &mut Map,
) -> &'static [&'static str] {
    let mut pool = Map::new(path);
    let options = options(refusals, path, message);
    let spoken = match &options {
        Some((path, options)) => {
            refuse_options(refusals, path, options);
            if let Some(common) = &options.common_http_protocol_options {
                put_common(
                    refusals,
                    &path.field("common_http_protocol_options"),
                    common,
                    &mut pool,
                    map,
                );
            }
            put_protocol(refusals, path, options.upstream_protocol_options.as_ref(), map)
        }
        None => put_older(refusals, path, message, &mut pool, map),
    };
    #[allow(deprecated, reason = "older control planes still say it like this")]
    let most = message.max_requests_per_connection.as_ref();
    if !pool.has("requests_per_connection_max") {
        put_requests(&path.field("max_requests_per_connection"), most, &mut pool);
    }
    if !pool.is_empty() {
        map.put("pool", pool.into());
    }
    map.put("protocol", Value::plain(&spoken.0, spoken.1));
    match spoken.1 {
        "http1" => &["http/1.1"],
        "http2" => &["h2"],
        _ => &["h2", "http/1.1"],
    }
}

fn options(
    refusals: &mut Refusals,
    path: &Path,
    message: &cluster::Cluster,
) -> Option<(Path, http::HttpProtocolOptions)> {
    let at = path.field("typed_extension_protocol_options");
    let mut others: Vec<&String> = message.typed_extension_protocol_options.keys().collect();
    others.sort();
    for key in others.into_iter().filter(|key| *key != OPTIONS_KEY) {
        refusals.unsupported(&at.key(key), "options of another kind");
    }
    let any = message.typed_extension_protocol_options.get(OPTIONS_KEY)?;
    let at = at.key(OPTIONS_KEY);
    let options = unpack(refusals, &at, any, OPTIONS_URL)?;
    Some((at, options))
}

type Spoken = (Path, &'static str);

fn put_protocol(
    refusals: &mut Refusals,
    path: &Path,
    options: Option<&UpstreamProtocolOptions>,
    map: &mut Map,
) -> Spoken {
    let (path, http1, http2, word) = match options {
        None => return (path.clone(), "http1"),
        Some(UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig { protocol_config })) => {
            let path = path.field("explicit_http_config");
            match protocol_config {
                None => return (path, "http1"),
                Some(ProtocolConfig::HttpProtocolOptions(options)) => (path, Some(options), None, "http1"),
                Some(ProtocolConfig::Http2ProtocolOptions(options)) => (path, None, Some(options), "http2"),
                Some(ProtocolConfig::Http3ProtocolOptions(_)) => {
                    refusals.unsupported(&path.field("http3_protocol_options"), "HTTP/3");
                    return (path, "http2");
                }
            }
        }
        Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(_)) => {
            let path = path.field("use_downstream_protocol_config");
            refusals.unsupported(&path, "speaking what the client speaks");
            return (path, "http1");
        }
        Some(UpstreamProtocolOptions::AutoConfig(options)) => {
            let path = path.field("auto_config");
            let http::http_protocol_options::AutoHttpConfig {
                http_protocol_options,
                http2_protocol_options,
                http3_protocol_options,
                alternate_protocols_cache_options,
            } = options;
            refusals.refuse_set(&path, "http3_protocol_options", http3_protocol_options.is_some());
            let is_set = alternate_protocols_cache_options.is_some();
            refusals.refuse_set(&path, "alternate_protocols_cache_options", is_set);
            (
                path,
                http_protocol_options.as_ref(),
                http2_protocol_options.as_ref(),
                "auto",
            )
        }
    };
    if let Some(options) = http1 {
        refuse_http1(refusals, &path.field("http_protocol_options"), options);
    }
    if let Some(options) = http2 {
        put_http2(refusals, &path.field("http2_protocol_options"), options, map);
    }
    (path, word)
}

/// Options in the cluster itself.
#[allow(deprecated, reason = "older control planes still say it like this")]
fn put_older(
    refusals: &mut Refusals,
    path: &Path,
    message: &cluster::Cluster,
    pool: &mut Map,
    map: &mut Map,
) -> Spoken {
    if let Some(common) = &message.common_http_protocol_options {
        put_common(
            refusals,
            &path.field("common_http_protocol_options"),
            common,
            pool,
            map,
        );
    }
    if let Some(options) = &message.http_protocol_options {
        refuse_http1(refusals, &path.field("http_protocol_options"), options);
    }
    match &message.http2_protocol_options {
        None => (path.clone(), "http1"),
        Some(options) => {
            let at = path.field("http2_protocol_options");
            put_http2(refusals, &at, options, map);
            (at, "http2")
        }
    }
}

fn put_requests(path: &Path, most: Option<&envoy_types::pb::google::protobuf::UInt32Value>, pool: &mut Map) {
    // None is no limit.
    if let Some(most) = most.filter(|most| most.value > 0) {
        pool.put("requests_per_connection_max", Value::plain(path, most.value));
    }
}

fn put_common(
    refusals: &mut Refusals,
    path: &Path,
    common: &core::HttpProtocolOptions,
    pool: &mut Map,
    map: &mut Map,
) {
    refuse_common(refusals, path, common);
    for (name, field, given) in [
        ("idle_timeout", "idle_timeout", &common.idle_timeout),
        (
            "connection_age_max",
            "max_connection_duration",
            &common.max_connection_duration,
        ),
    ] {
        pool.put_some(
            name,
            value::duration_value(refusals, &path.field(field), given.as_ref()),
        );
    }
    let most = common.max_requests_per_connection.as_ref();
    put_requests(&path.field("max_requests_per_connection"), most, pool);
    let at = path.field("max_headers_count");
    map.put_some(
        "response_headers_count_max",
        value::number(&at, common.max_headers_count.as_ref()),
    );
    if let Some(most) = &common.max_response_headers_kb {
        let at = path.field("max_response_headers_kb");
        let size = Value::plain(&at, format_args!("{}KiB", most.value));
        map.put("response_headers_bytes_max", size);
    }
}

fn put_http2(refusals: &mut Refusals, path: &Path, options: &core::Http2ProtocolOptions, map: &mut Map) {
    refuse_http2(refusals, path, options);
    let mut http2 = Map::new(path);
    for (name, field, given) in [
        (
            "concurrent_streams_max",
            "max_concurrent_streams",
            &options.max_concurrent_streams,
        ),
        (
            "stream_window",
            "initial_stream_window_size",
            &options.initial_stream_window_size,
        ),
        (
            "connection_window",
            "initial_connection_window_size",
            &options.initial_connection_window_size,
        ),
    ] {
        http2.put_some(name, value::number(&path.field(field), given.as_ref()));
    }
    if let Some(keepalive) = &options.connection_keepalive {
        let at = path.field("connection_keepalive");
        refuse_keepalive(refusals, &at, keepalive);
        for (name, field, given) in [
            ("keepalive_interval", "interval", &keepalive.interval),
            ("keepalive_timeout", "timeout", &keepalive.timeout),
        ] {
            http2.put_some(
                name,
                value::duration_value(refusals, &at.field(field), given.as_ref()),
            );
        }
    }
    map.put("http2", http2.into());
}
