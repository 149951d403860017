//! Health checks and outlier detection as YAML.

use super::emit::{Map, Out, list, text};
use super::route::put_string_match;
use super::{boolean, duration, number, number_or_off};
use crate::model::{
    GrpcHealthCheck, HealthCheck, HealthCheckProtocol, HttpHealthCheck, OutlierDetection, TcpHealthCheck,
};
use crate::yaml::health::OF_LOCAL_ORIGIN;
use std::fmt::Write;
use std::ops::RangeInclusive;

pub(super) fn check(check: &HealthCheck) -> Map {
    let mut map = match &check.protocol {
        HealthCheckProtocol::Http(asked) => Map::default().with("http", http(asked)),
        HealthCheckProtocol::Grpc(asked) => Map::default().with("grpc", grpc(asked)),
        HealthCheckProtocol::Tcp(asked) => Map::default().with("tcp", tcp(asked)),
    };
    map = map
        .with("timeout", duration(check.timeout))
        .with("interval", duration(check.interval))
        .with("jitter", number(check.jitter_percent.into()));
    for (name, interval) in [
        ("unhealthy_interval", check.unhealthy_interval),
        ("no_traffic_interval", check.no_traffic_interval),
    ] {
        match interval {
            Some(interval) => map.put(name, duration(interval)),
            None => map.comment(format!("{name}: the same")),
        }
    }
    map = map
        .with("unhealthy_threshold", number(check.unhealthy_threshold.into()))
        .with("healthy_threshold", number(check.healthy_threshold.into()));
    match check.port {
        Some(port) => map.put("port", number(port.into())),
        None => map.comment("port: the endpoint's"),
    }
    map.with("reuse_connection", boolean(check.reuses_connection))
}

fn http(check: &HttpHealthCheck) -> Map {
    let mut map = Map::default()
        .with("path", text(&check.path))
        .with("method", text(&check.method));
    match &check.host {
        Some(host) => map.put("host", text(host)),
        None => map.comment("host: the cluster's name"),
    }
    if !check.headers.is_empty() {
        let mut headers = Map::default();
        for (name, value) in &check.headers {
            headers.put(name.as_str(), text(value));
        }
        map.put("headers", headers);
    }
    map.put("expected_statuses", statuses(&check.expected_statuses));
    if !check.retriable_statuses.is_empty() {
        map.put("retriable_statuses", statuses(&check.retriable_statuses));
    }
    if let Some(body) = &check.expected_body {
        let mut expected = Map::default();
        put_string_match(&mut expected, body);
        map.put("expected_body", expected);
    }
    map
}

fn statuses(ranges: &[RangeInclusive<u16>]) -> Out {
    list(ranges.iter().map(|range| match range.start() == range.end() {
        true => text(range.start()),
        false => text(format!("{}-{}", range.start(), range.end())),
    }))
}

fn grpc(check: &GrpcHealthCheck) -> Map {
    let mut map = Map::default();
    match check.service.as_str() {
        "" => map.comment("service: the whole server"),
        service => map.put("service", text(service)),
    }
    match &check.authority {
        Some(authority) => map.put("authority", text(authority)),
        None => map.comment("authority: the cluster's name"),
    }
    map
}

fn tcp(check: &TcpHealthCheck) -> Map {
    let mut map = Map::default();
    match check.send.is_empty() {
        true => map.comment("send: nothing"),
        false => map.put("send", bytes(&check.send)),
    }
    match check.receive.is_empty() {
        true => map.comment("receive: not waited for"),
        false => map.put("receive", list(check.receive.iter().map(|part| bytes(part)))),
    }
    map
}

fn bytes(bytes: &[u8]) -> Out {
    match std::str::from_utf8(bytes) {
        Ok(plain) => text(plain),
        Err(_) => {
            let digits = bytes.iter().fold(String::new(), |mut digits, byte| {
                let _ = write!(digits, "{byte:02x}");
                digits
            });
            Map::default().with("hex", text(digits)).into()
        }
    }
}

pub(super) fn outlier_detection(detection: Option<&OutlierDetection>) -> Out {
    let Some(detection) = detection else {
        return boolean(false);
    };
    let mut map = Map::default();
    // Where failures seen here are not counted apart, what is said of them would be warned of.
    let default = OutlierDetection::default();
    let mut put = |name: &str, value: Out, is_default: bool| {
        if detection.split_external_local_origin_errors || !is_default || !OF_LOCAL_ORIGIN.contains(&name) {
            map.put(name, value);
        }
    };
    macro_rules! fields {
        ($($write:ident $field:ident,)*) => {
            $(put(
                stringify!($field),
                $write(detection.$field.into()),
                detection.$field == default.$field,
            );)*
        };
    }
    fields! {
        number_or_off consecutive_5xx,
        number enforcing_consecutive_5xx,
        number_or_off consecutive_gateway_failure,
        number enforcing_consecutive_gateway_failure,
        number_or_off consecutive_local_origin_failure,
        number enforcing_consecutive_local_origin_failure,
        boolean split_external_local_origin_errors,
        duration interval,
        duration base_ejection_time,
        duration max_ejection_time,
        duration max_ejection_time_jitter,
        number max_ejection_percent,
        boolean always_eject_one,
        number success_rate_minimum_hosts,
        number success_rate_request_volume,
        number success_rate_stdev_factor,
        number enforcing_success_rate,
        number enforcing_local_origin_success_rate,
        number failure_percentage_threshold,
        number enforcing_failure_percentage,
        number enforcing_failure_percentage_local_origin,
        number failure_percentage_minimum_hosts,
        number failure_percentage_request_volume,
        boolean successful_active_health_check_uneject_host,
    }
    map.into()
}
