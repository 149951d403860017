//! Which HTTP version is spoken to endpoints, and its limits.

use super::{Remainder, value};
use crate::decode::OPTIONS_KEY;
use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::upstreams::http::v3 as http;
use http::http_protocol_options::explicit_http_config::ProtocolConfig;
use http::http_protocol_options::{AutoHttpConfig, ExplicitHttpConfig, UpstreamProtocolOptions};
use outrigger_config::model::{Cluster, Http2Options, UpstreamProtocol};

/// Envoy's largest head, in KiB.
const HEAD_KIB_MAX: usize = 8192;

/// Puts the options; gives the ALPN names to offer. Where ALPN settles the version, Envoy offers them by itself.
pub(super) fn put(
    model: &Cluster,
    remainder: &mut Remainder,
    message: &mut cluster::Cluster,
) -> &'static [&'static str] {
    let http1 = core::Http1ProtocolOptions::default();
    let explicit = |config| {
        UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
            protocol_config: Some(config),
        })
    };
    let (spoken, alpn): (_, &[&str]) = match model.protocol() {
        UpstreamProtocol::Http1 => (
            explicit(ProtocolConfig::HttpProtocolOptions(http1)),
            &["http/1.1"],
        ),
        UpstreamProtocol::Http2 => {
            let options = ProtocolConfig::Http2ProtocolOptions(http2(model.http2()));
            (explicit(options), &["h2"])
        }
        UpstreamProtocol::Auto => {
            let options = UpstreamProtocolOptions::AutoConfig(AutoHttpConfig {
                http_protocol_options: Some(http1),
                http2_protocol_options: Some(http2(model.http2())),
                ..AutoHttpConfig::default()
            });
            (options, &[])
        }
    };
    remainder.said("protocol");
    if model.protocol() != UpstreamProtocol::Http1 {
        remainder.said("http2");
    }
    let options = http::HttpProtocolOptions {
        common_http_protocol_options: Some(common(model, remainder)),
        upstream_protocol_options: Some(spoken),
        ..http::HttpProtocolOptions::default()
    };
    message
        .typed_extension_protocol_options
        .insert(OPTIONS_KEY.to_owned(), value::any(&options));
    alpn
}

fn common(model: &Cluster, remainder: &mut Remainder) -> core::HttpProtocolOptions {
    let pool = model.pool();
    for said in [
        "idle_timeout",
        "connection_age_max",
        "requests_per_connection_max",
    ] {
        remainder.said(&format!("pool.{said}"));
    }
    // What is left of an empty map.
    remainder.said("pool");
    let bytes = model.response_headers_bytes_max();
    let is_whole = bytes.is_multiple_of(1024) && (1..=HEAD_KIB_MAX).contains(&(bytes / 1024));
    let kib = u32::try_from(bytes / 1024).ok().filter(|_| is_whole);
    if kib.is_some() {
        remainder.said("response_headers_bytes_max");
    }
    let count = u32::try_from(model.response_headers_count_max()).ok();
    if count.is_some() {
        remainder.said("response_headers_count_max");
    }
    core::HttpProtocolOptions {
        idle_timeout: pool.idle_timeout().map(value::duration),
        max_connection_duration: pool.connection_age_max().map(value::duration),
        max_requests_per_connection: pool.requests_per_connection_max().map(value::number),
        max_headers_count: count.map(value::number),
        max_response_headers_kb: kib.map(value::number),
        ..core::HttpProtocolOptions::default()
    }
}

/// All of it: our windows are not Envoy's.
fn http2(model: &Http2Options) -> core::Http2ProtocolOptions {
    core::Http2ProtocolOptions {
        max_concurrent_streams: Some(value::number(model.concurrent_streams_max())),
        initial_stream_window_size: Some(value::number(model.stream_window_bytes())),
        initial_connection_window_size: Some(value::number(model.connection_window_bytes())),
        connection_keepalive: Some(core::KeepaliveSettings {
            interval: model.keepalive_interval().map(value::duration),
            timeout: Some(value::duration(model.keepalive_timeout())),
            ..core::KeepaliveSettings::default()
        }),
        ..core::Http2ProtocolOptions::default()
    }
}
