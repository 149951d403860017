//! Active health checks and outlier detection.

use crate::decode::{Refusals, value};
use crate::support::message;
use core::health_check::{self as check, HealthChecker};
use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::r#type::v3::{CodecClientType, Int64Range};
use outrigger_config::document::{Map, Path, Value};
use std::time::Duration;

/// From one check to the next while nothing is sent to the cluster: `no_traffic_interval`'s default.
const NO_TRAFFIC_INTERVAL: Duration = Duration::from_secs(60);

message! {
    pub(super) OUTLIERS, refuse_outliers: cluster::OutlierDetection as "envoy.config.cluster.v3.OutlierDetection" {
        used: interval, base_ejection_time, max_ejection_percent, enforcing_success_rate,
            success_rate_minimum_hosts, success_rate_request_volume, success_rate_stdev_factor,
            consecutive_5xx, enforcing_consecutive_5xx, consecutive_gateway_failure,
            enforcing_consecutive_gateway_failure, split_external_local_origin_errors,
            consecutive_local_origin_failure, enforcing_consecutive_local_origin_failure,
            enforcing_local_origin_success_rate, failure_percentage_threshold, enforcing_failure_percentage,
            enforcing_failure_percentage_local_origin, failure_percentage_minimum_hosts,
            failure_percentage_request_volume, max_ejection_time, max_ejection_time_jitter,
            successful_active_health_check_uneject_host, always_eject_one_host;
        refused: monitors, detect_degraded_hosts;
        ignored: ;
    }
}
message! {
    pub(super) CHECK, refuse_check: core::HealthCheck as "envoy.config.core.v3.HealthCheck" {
        used: timeout, interval, interval_jitter_percent, unhealthy_threshold, healthy_threshold, alt_port,
            reuse_connection, no_traffic_interval, unhealthy_interval, health_checker;
        refused: initial_jitter, interval_jitter, no_traffic_healthy_interval, unhealthy_edge_interval,
            healthy_edge_interval, event_log_path, event_logger, event_service, always_log_health_check_failures,
            always_log_health_check_success, tls_options, transport_socket_match_criteria;
        ignored: ;
    }
}
message! {
    pub(super) HTTP, refuse_http: check::HttpHealthCheck as "envoy.config.core.v3.HealthCheck.HttpHealthCheck" {
        used: host, path, receive, request_headers_to_add, expected_statuses, retriable_statuses,
            codec_client_type, method;
        refused: send, request_headers_to_remove, service_name_matcher;
        ignored: response_buffer_size = "64 KiB of an answer are looked at";
    }
}
message! {
    pub(super) GRPC, refuse_grpc: check::GrpcHealthCheck as "envoy.config.core.v3.HealthCheck.GrpcHealthCheck" {
        used: service_name, authority;
        refused: initial_metadata;
        ignored: ;
    }
}
message! {
    pub(super) TCP, refuse_tcp: check::TcpHealthCheck as "envoy.config.core.v3.HealthCheck.TcpHealthCheck" {
        used: send, receive;
        refused: proxy_protocol_config;
        ignored: ;
    }
}
message! {
    pub(super) HEADER, refuse_header: core::HeaderValueOption as "envoy.config.core.v3.HeaderValueOption" {
        used: header, keep_empty_value;
        refused: ;
        ignored: append = "a check's request has no header before", append_action = "a check's request has no header before";
    }
}

pub(super) fn put(refusals: &mut Refusals, path: &Path, message: &cluster::Cluster, map: &mut Map) {
    let at = path.field("health_checks");
    for (index, message) in message.health_checks.iter().enumerate() {
        let at = at.index(index);
        match index {
            0 => {
                let check = health_check(refusals, &at, message);
                map.put("health_check", check.into());
            }
            _ => refusals.unsupported(&at, "more than one health check"),
        }
    }
    if let Some(message) = &message.outlier_detection {
        let detection = outlier_detection(refusals, &path.field("outlier_detection"), message);
        map.put("outlier_detection", detection.into());
    }
}

fn outlier_detection(refusals: &mut Refusals, path: &Path, message: &cluster::OutlierDetection) -> Map {
    refuse_outliers(refusals, path, message);
    let mut map = Map::new(path);
    macro_rules! fields {
        ($($kind:ident $field:ident;)*) => {$(
            if let Some(given) = &message.$field {
                fields!(@$kind refusals, path, map, $field, given);
            }
        )*};
        // None in a row is not to look.
        (@in_a_row $refusals:ident, $path:ident, $map:ident, $field:ident, $given:ident) => {
            let at = $path.field(stringify!($field));
            let value = match $given.value {
                0 => Value::plain(&at, "off"),
                number => Value::plain(&at, number),
            };
            $map.put(stringify!($field), value);
        };
        (@number $refusals:ident, $path:ident, $map:ident, $field:ident, $given:ident) => {
            $map.put(stringify!($field), Value::plain(&$path.field(stringify!($field)), $given.value));
        };
        (@duration $refusals:ident, $path:ident, $map:ident, $field:ident, $given:ident) => {
            let at = $path.field(stringify!($field));
            $map.put_some(stringify!($field), value::duration_value($refusals, &at, Some($given)));
        };
    }
    fields! {
        in_a_row consecutive_5xx;
        number enforcing_consecutive_5xx;
        in_a_row consecutive_gateway_failure;
        number enforcing_consecutive_gateway_failure;
        in_a_row consecutive_local_origin_failure;
        number enforcing_consecutive_local_origin_failure;
        duration interval;
        duration base_ejection_time;
        duration max_ejection_time;
        duration max_ejection_time_jitter;
        number max_ejection_percent;
        number success_rate_minimum_hosts;
        number success_rate_request_volume;
        number success_rate_stdev_factor;
        number enforcing_success_rate;
        number enforcing_local_origin_success_rate;
        number failure_percentage_threshold;
        number enforcing_failure_percentage;
        number enforcing_failure_percentage_local_origin;
        number failure_percentage_minimum_hosts;
        number failure_percentage_request_volume;
        number successful_active_health_check_uneject_host;
    }
    if message.split_external_local_origin_errors {
        let field = "split_external_local_origin_errors";
        map.put(field, Value::plain(&path.field(field), true));
    }
    if let Some(one) = &message.always_eject_one_host {
        let at = path.field("always_eject_one_host");
        map.put("always_eject_one", Value::plain(&at, one.value));
    }
    map
}

fn health_check(refusals: &mut Refusals, path: &Path, message: &core::HealthCheck) -> Map {
    refuse_check(refusals, path, message);
    let mut map = Map::new(path);
    for (name, given) in [
        ("timeout", &message.timeout),
        ("interval", &message.interval),
        ("unhealthy_interval", &message.unhealthy_interval),
    ] {
        map.put_some(
            name,
            value::duration_value(refusals, &path.field(name), given.as_ref()),
        );
    }
    let at = path.field("interval_jitter_percent");
    map.put("jitter", Value::plain(&at, message.interval_jitter_percent));
    put_no_traffic(refusals, path, message, &mut map);
    for (name, field, given) in [
        (
            "unhealthy_threshold",
            "unhealthy_threshold",
            &message.unhealthy_threshold,
        ),
        (
            "healthy_threshold",
            "healthy_threshold",
            &message.healthy_threshold,
        ),
        ("port", "alt_port", &message.alt_port),
    ] {
        map.put_some(name, value::number(&path.field(field), given.as_ref()));
    }
    if let Some(reuse) = &message.reuse_connection {
        let at = path.field("reuse_connection");
        map.put("reuse_connection", Value::plain(&at, reuse.value));
    }
    match &message.health_checker {
        Some(HealthChecker::HttpHealthCheck(message)) => {
            let http = http(refusals, &path.field("http_health_check"), message);
            map.put("http", http.into());
        }
        Some(HealthChecker::GrpcHealthCheck(message)) => {
            let at = path.field("grpc_health_check");
            refuse_grpc(refusals, &at, message);
            let mut grpc = Map::new(&at);
            put_text(&at, "service", "service_name", &message.service_name, &mut grpc);
            put_text(&at, "authority", "authority", &message.authority, &mut grpc);
            map.put("grpc", grpc.into());
        }
        Some(HealthChecker::TcpHealthCheck(message)) => {
            let at = path.field("tcp_health_check");
            refuse_tcp(refusals, &at, message);
            let mut tcp = Map::new(&at);
            if let Some(send) = &message.send {
                tcp.put_some("send", payload(refusals, &at.field("send"), send));
            }
            let received = payloads(refusals, &at.field("receive"), &message.receive);
            tcp.put_some("receive", received);
            map.put("tcp", tcp.into());
        }
        Some(HealthChecker::CustomHealthCheck(custom)) => {
            let at = path.field("custom_health_check");
            refusals.unsupported(&at, format!("the health check `{}`", custom.name));
        }
        None => refusals.fault(path, "it does not say how endpoints are asked"),
    }
    map
}

/// Where the interval without traffic is the one with it, nothing is written.
fn put_no_traffic(refusals: &mut Refusals, path: &Path, message: &core::HealthCheck, map: &mut Map) {
    let at = path.field("no_traffic_interval");
    if message.no_traffic_interval.is_some() && message.no_traffic_interval == message.interval {
        return;
    }
    let given = match &message.no_traffic_interval {
        Some(given) => value::duration(refusals, &at, given),
        None => Some(NO_TRAFFIC_INTERVAL),
    };
    map.put_some(
        "no_traffic_interval",
        given.map(|given| Value::duration(&at, given)),
    );
}

fn put_text(path: &Path, name: &str, field: &'static str, text: &str, map: &mut Map) {
    if !text.is_empty() {
        map.put(name, Value::text(&path.field(field), text));
    }
}

fn http(refusals: &mut Refusals, path: &Path, message: &check::HttpHealthCheck) -> Map {
    refuse_http(refusals, path, message);
    let mut map = Map::new(path).with("path", Value::text(&path.field("path"), message.path.as_str()));
    put_text(path, "host", "host", &message.host, &mut map);
    let at = path.field("method");
    match core::RequestMethod::try_from(message.method) {
        Ok(core::RequestMethod::MethodUnspecified) => {}
        Ok(method) => map.put("method", Value::text(&at, method.as_str_name())),
        Err(_) => refusals.fault(&at, "there is no such method"),
    }
    if message.codec_client_type == CodecClientType::Http3 as i32 {
        refusals.unsupported(&path.field("codec_client_type"), "HTTP/3");
    }
    for (name, statuses) in [
        ("expected_statuses", &message.expected_statuses),
        ("retriable_statuses", &message.retriable_statuses),
    ] {
        if !statuses.is_empty() {
            let at = path.field(name);
            let ranges = statuses.iter().enumerate();
            map.put(
                name,
                Value::list(&at, ranges.map(|(index, range)| status(&at.index(index), range))),
            );
        }
    }
    put_headers(refusals, path, &message.request_headers_to_add, &mut map);
    let at = path.field("receive");
    match message.receive.as_slice() {
        [] => {}
        [one] => {
            let text = bytes(refusals, &at.index(0), one).map(String::from_utf8);
            match text {
                Some(Ok(text)) => map.put("expected_body", Value::text(&at, text)),
                Some(Err(_)) => refusals.unsupported(&at.index(0), "a body that is no text"),
                None => {}
            }
        }
        _ => refusals.unsupported(&at, "more than one part of a body"),
    }
    map
}

/// The end of Envoy's range is not in it.
fn status(path: &Path, range: &Int64Range) -> Value {
    let Int64Range { start, end } = range;
    let last = end.saturating_sub(1);
    match *start == last {
        true => Value::text(path, start.to_string()),
        false => Value::text(path, format!("{start}-{last}")),
    }
}

/// Values are literal here; Envoy formats them.
fn put_headers(refusals: &mut Refusals, path: &Path, headers: &[core::HeaderValueOption], map: &mut Map) {
    let path = path.field("request_headers_to_add");
    let mut added = Map::new(&path);
    for (index, option) in headers.iter().enumerate() {
        let at = path.index(index);
        refuse_header(refusals, &at, option);
        let Some(core::HeaderValue {
            key,
            value,
            raw_value,
        }) = &option.header
        else {
            refusals.fault(&at.field("header"), "this field is missing");
            continue;
        };
        refusals.refuse_set(&at.field("header"), "raw_value", !raw_value.is_empty());
        let at = at.field("header").field("value");
        match value.replace("%%", "").contains('%') {
            true => refusals.unsupported(&at, "an operator in the value of a check's header"),
            false if added.has(key) => refusals.unsupported(&at, "a header that is sent twice"),
            false => added.put(key.as_str(), Value::text(&at, value.replace("%%", "%"))),
        }
    }
    if !added.is_empty() {
        map.put("headers", added.into());
    }
}

fn payloads(refusals: &mut Refusals, path: &Path, payloads: &[check::Payload]) -> Option<Value> {
    let mut values = Vec::new();
    for (index, one) in payloads.iter().enumerate() {
        values.extend(payload(refusals, &path.index(index), one));
    }
    (!values.is_empty()).then(|| Value::list(path, values))
}

fn payload(refusals: &mut Refusals, path: &Path, payload: &check::Payload) -> Option<Value> {
    let bytes = bytes(refusals, path, payload)?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(Map::new(path).with("hex", Value::text(path, digits)).into())
}

/// The bytes of a payload, whose text is hexadecimal digits.
fn bytes(refusals: &mut Refusals, path: &Path, payload: &check::Payload) -> Option<Vec<u8>> {
    let digits = match &payload.payload {
        Some(check::payload::Payload::Binary(bytes)) => return Some(bytes.clone()),
        Some(check::payload::Payload::Text(digits)) => digits,
        None => {
            refusals.fault(path, "there is nothing in it");
            return None;
        }
    };
    let pairs = digits.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            let text = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(text, 16).ok()
        }
        _ => None,
    });
    let bytes: Option<Vec<u8>> = pairs.collect();
    if bytes.is_none() {
        refusals.fault(
            &path.field("text"),
            "expected two hexadecimal digits for each byte",
        );
    }
    bytes
}
