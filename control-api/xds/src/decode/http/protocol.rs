//! Options of HTTP/1 and HTTP/2, and of both.

use crate::decode::{Refusals, value};
use crate::support::{Message, message};
use envoy_types::pb::envoy::config::core::v3::{
    Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions, KeepaliveSettings,
};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use outrigger_config::document::{Map, Path, Value};

pub(super) const MESSAGES: &[&Message] = &[&COMMON, &HTTP1, &HTTP2, &KEEPALIVE];

message! {
    pub(super) COMMON, refuse_common: HttpProtocolOptions as "envoy.config.core.v3.HttpProtocolOptions (downstream)" {
        used: idle_timeout, max_connection_duration, max_headers_count, max_requests_per_connection;
        refused: max_connection_duration_jitter, max_response_headers_kb, max_stream_duration,
            headers_with_underscores_action;
        ignored: ;
    }
}
message! {
    pub(super) HTTP1, refuse_http1: Http1ProtocolOptions
        as "envoy.config.core.v3.Http1ProtocolOptions (downstream)" {
        used: allow_absolute_url, accept_http_10;
        refused: default_host_for_http_10, header_key_format, allow_chunked_length,
            override_stream_error_on_invalid_http_message, send_fully_qualified_url, use_balsa_parser,
            allow_custom_methods, ignore_http_11_upgrade;
        ignored: enable_trailers = "trailers always pass";
    }
}

pub(super) fn put(refusals: &mut Refusals, map: &mut Map, path: &Path, manager: &HttpConnectionManager) {
    if let Some(common) = &manager.common_http_protocol_options {
        let path = path.field("common_http_protocol_options");
        put_common(refusals, map, &path, common);
    }
    if let Some(http1) = &manager.http_protocol_options {
        let path = path.field("http_protocol_options");
        refuse_http1(refusals, &path, http1);
        if http1.allow_absolute_url.is_some_and(|allowed| !allowed.value) {
            refusals.unsupported(&path.field("allow_absolute_url"), "refusing absolute targets");
        }
        if http1.accept_http_10 {
            map.put(
                "accept_http_10",
                Value::plain(&path.field("accept_http_10"), true),
            );
        }
    }
    if let Some(http2) = &manager.http2_protocol_options {
        let options = http2_options(refusals, &path.field("http2_protocol_options"), http2);
        if !options.is_empty() {
            map.put("http2", options.into());
        }
    }
}

fn put_common(refusals: &mut Refusals, map: &mut Map, path: &Path, common: &HttpProtocolOptions) {
    refuse_common(refusals, path, common);
    let idle = value::duration_value(
        refusals,
        &path.field("idle_timeout"),
        common.idle_timeout.as_ref(),
    );
    map.put_some("idle_timeout", idle);
    let place = path.field("max_connection_duration");
    let age = value::duration_or_off(refusals, &place, common.max_connection_duration.as_ref());
    map.put_some("connection_age_max", age);
    let place = path.field("max_headers_count");
    map.put_some(
        "request_headers_count_max",
        value::number(&place, common.max_headers_count.as_ref()),
    );
    if let Some(most) = &common.max_requests_per_connection {
        let place = path.field("max_requests_per_connection");
        map.put(
            "requests_per_connection_max",
            value::number_or_off(&place, most.value),
        );
    }
}

message! {
    pub(super) HTTP2, refuse_http2: Http2ProtocolOptions
        as "envoy.config.core.v3.Http2ProtocolOptions (downstream)" {
        used: max_concurrent_streams, initial_stream_window_size, initial_connection_window_size,
            connection_keepalive;
        refused: hpack_table_size, allow_metadata, max_outbound_frames, max_outbound_control_frames,
            max_consecutive_inbound_frames_with_empty_payload, max_inbound_priority_frames_per_stream,
            max_inbound_window_update_frames_per_data_frame_sent, stream_error_on_invalid_http_messaging,
            override_stream_error_on_invalid_http_message, custom_settings_parameters, use_oghttp2_codec,
            max_metadata_size, enable_huffman_encoding, max_header_field_size_kb, disallow_obs_text,
            stream_reset_burst, stream_reset_rate;
        ignored: allow_connect = "which CONNECT requests are taken is said by routes";
    }
}
message! {
    pub(super) KEEPALIVE, refuse_keepalive: KeepaliveSettings
        as "envoy.config.core.v3.KeepaliveSettings (downstream)" {
        used: interval, timeout;
        refused: interval_jitter, connection_idle_interval;
        ignored: ;
    }
}

/// Windows that are not given are ours (1 MiB and 4 MiB): Envoy's let one slow peer hold too much.
fn http2_options(refusals: &mut Refusals, path: &Path, http2: &Http2ProtocolOptions) -> Map {
    refuse_http2(refusals, path, http2);
    let mut map = Map::new(path);
    for (field, name, number) in [
        (
            "max_concurrent_streams",
            "concurrent_streams_max",
            &http2.max_concurrent_streams,
        ),
        (
            "initial_stream_window_size",
            "stream_window",
            &http2.initial_stream_window_size,
        ),
        (
            "initial_connection_window_size",
            "connection_window",
            &http2.initial_connection_window_size,
        ),
    ] {
        map.put_some(name, value::number(&path.field(field), number.as_ref()));
    }
    if let Some(keepalive) = &http2.connection_keepalive {
        let path = path.field("connection_keepalive");
        refuse_keepalive(refusals, &path, keepalive);
        let interval = value::duration_value(refusals, &path.field("interval"), keepalive.interval.as_ref());
        map.put_some("keepalive_interval", interval);
        let timeout = value::duration_value(refusals, &path.field("timeout"), keepalive.timeout.as_ref());
        map.put_some("keepalive_timeout", timeout);
    }
    map
}
