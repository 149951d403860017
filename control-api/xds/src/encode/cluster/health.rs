//! Active health checks and outlier detection.

use super::{Remainder, value};
use core::health_check::{self as check, HealthChecker};
use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::r#type::v3::{CodecClientType, Int64Range};
use envoy_types::pb::google::protobuf::UInt64Value;
use outrigger_config::model::{
    Cluster, HealthCheck, HealthCheckProtocol, HttpHealthCheck, OutlierDetection, StringMatch,
    TcpHealthCheck, UpstreamProtocol, defaults,
};
use std::ops::RangeInclusive;

pub(super) fn put(model: &Cluster, remainder: &mut Remainder, message: &mut cluster::Cluster) {
    if let Some(check) = model.health_check() {
        message.health_checks = vec![health_check(check, model.protocol(), remainder)];
    }
    if let Some(detection) = model.outlier_detection() {
        message.outlier_detection = Some(outlier_detection(detection));
        remainder.said("outlier_detection");
    }
}

fn health_check(
    model: &HealthCheck,
    spoken: UpstreamProtocol,
    remainder: &mut Remainder,
) -> core::HealthCheck {
    for said in [
        "timeout",
        "interval",
        "jitter",
        "unhealthy_interval",
        "unhealthy_threshold",
        "healthy_threshold",
        "port",
        "reuse_connection",
    ] {
        remainder.said(&format!("health_check.{said}"));
    }
    // If it is the interval itself, that is read as nothing said: what is said then stays.
    if model.no_traffic_interval() != Some(model.interval()) {
        remainder.said("health_check.no_traffic_interval");
    }
    let checker = match model.protocol() {
        HealthCheckProtocol::Http(model) => HealthChecker::HttpHealthCheck(http(model, spoken, remainder)),
        HealthCheckProtocol::Grpc(model) => {
            remainder.said("health_check.grpc");
            HealthChecker::GrpcHealthCheck(check::GrpcHealthCheck {
                service_name: model.service().clone(),
                authority: model.authority().clone().unwrap_or_default(),
                ..check::GrpcHealthCheck::default()
            })
        }
        HealthCheckProtocol::Tcp(model) => {
            remainder.said("health_check.tcp");
            HealthChecker::TcpHealthCheck(tcp(model))
        }
    };
    core::HealthCheck {
        timeout: Some(value::duration(model.timeout())),
        interval: Some(value::duration(model.interval())),
        interval_jitter_percent: model.jitter_percent(),
        unhealthy_interval: model.unhealthy_interval().map(value::duration),
        no_traffic_interval: Some(value::duration(
            model.no_traffic_interval().unwrap_or(model.interval()),
        )),
        unhealthy_threshold: Some(value::number(model.unhealthy_threshold())),
        healthy_threshold: Some(value::number(model.healthy_threshold())),
        alt_port: model.port().map(|port| value::number(port.into())),
        reuse_connection: Some(value::boolean(model.reuses_connection())),
        health_checker: Some(checker),
        ..core::HealthCheck::default()
    }
}

fn http(
    model: &HttpHealthCheck,
    spoken: UpstreamProtocol,
    remainder: &mut Remainder,
) -> check::HttpHealthCheck {
    let method = core::RequestMethod::from_str_name(model.method());
    let mut said = vec![
        "path",
        "host",
        "headers",
        "expected_statuses",
        "retriable_statuses",
    ];
    if method.is_some() {
        said.push("method");
    }
    // Of bodies, Envoy only asks whether they hold something.
    let held = match model.expected_body() {
        Some(StringMatch::Contains(text)) => {
            said.push("expected_body");
            vec![binary(text.as_bytes())]
        }
        _ => Vec::new(),
    };
    for field in said {
        remainder.said(&format!("health_check.http.{field}"));
    }
    let looked_at = UInt64Value {
        value: defaults::HEALTH_CHECK_ANSWER_BYTES_MAX as u64,
    };
    check::HttpHealthCheck {
        host: model.host().clone().unwrap_or_default(),
        path: model.path().clone(),
        response_buffer_size: (!held.is_empty()).then_some(looked_at),
        receive: held,
        request_headers_to_add: model
            .headers()
            .iter()
            .map(|(name, value)| header(name.as_str(), value))
            .collect(),
        expected_statuses: model.expected_statuses().iter().map(statuses).collect(),
        retriable_statuses: model.retriable_statuses().iter().map(statuses).collect(),
        codec_client_type: match spoken {
            UpstreamProtocol::Http1 | UpstreamProtocol::Auto => CodecClientType::Http1,
            UpstreamProtocol::Http2 => CodecClientType::Http2,
        } as i32,
        method: method.unwrap_or(core::RequestMethod::MethodUnspecified) as i32,
        ..check::HttpHealthCheck::default()
    }
}

/// The end is not in Envoy's range.
fn statuses(range: &RangeInclusive<u16>) -> Int64Range {
    Int64Range {
        start: (*range.start()).into(),
        end: i64::from(*range.end()) + 1,
    }
}

/// Envoy formats values: what would be an operator is escaped.
fn header(name: &str, value: &str) -> core::HeaderValueOption {
    core::HeaderValueOption {
        header: Some(core::HeaderValue {
            key: name.to_owned(),
            value: value.replace('%', "%%"),
            ..core::HeaderValue::default()
        }),
        append_action: core::header_value_option::HeaderAppendAction::OverwriteIfExistsOrAdd as i32,
        keep_empty_value: value.is_empty(),
        ..core::HeaderValueOption::default()
    }
}

fn tcp(model: &TcpHealthCheck) -> check::TcpHealthCheck {
    check::TcpHealthCheck {
        send: (!model.send().is_empty()).then(|| binary(model.send())),
        receive: model.receive().iter().map(|part| binary(part)).collect(),
        ..check::TcpHealthCheck::default()
    }
}

fn binary(bytes: &[u8]) -> check::Payload {
    check::Payload {
        payload: Some(check::payload::Payload::Binary(bytes.to_vec())),
    }
}

/// All of it: what is by default here may be another thing there.
fn outlier_detection(model: &OutlierDetection) -> cluster::OutlierDetection {
    let number = |number| Some(value::number(number));
    let in_a_row = |number: Option<u32>| Some(value::number(number.unwrap_or(0)));
    cluster::OutlierDetection {
        consecutive_5xx: in_a_row(model.consecutive_5xx()),
        enforcing_consecutive_5xx: number(model.enforcing_consecutive_5xx()),
        consecutive_gateway_failure: in_a_row(model.consecutive_gateway_failure()),
        enforcing_consecutive_gateway_failure: number(model.enforcing_consecutive_gateway_failure()),
        consecutive_local_origin_failure: in_a_row(model.consecutive_local_origin_failure()),
        enforcing_consecutive_local_origin_failure: number(
            model.enforcing_consecutive_local_origin_failure(),
        ),
        split_external_local_origin_errors: model.split_external_local_origin_errors(),
        interval: Some(value::duration(model.interval())),
        base_ejection_time: Some(value::duration(model.base_ejection_time())),
        max_ejection_time: Some(value::duration(model.max_ejection_time())),
        max_ejection_time_jitter: Some(value::duration(model.max_ejection_time_jitter())),
        max_ejection_percent: number(model.max_ejection_percent()),
        always_eject_one_host: Some(value::boolean(model.always_eject_one())),
        success_rate_minimum_hosts: number(model.success_rate_minimum_hosts()),
        success_rate_request_volume: number(model.success_rate_request_volume()),
        success_rate_stdev_factor: number(model.success_rate_stdev_factor()),
        enforcing_success_rate: number(model.enforcing_success_rate()),
        enforcing_local_origin_success_rate: number(model.enforcing_local_origin_success_rate()),
        failure_percentage_threshold: number(model.failure_percentage_threshold()),
        enforcing_failure_percentage: number(model.enforcing_failure_percentage()),
        enforcing_failure_percentage_local_origin: number(model.enforcing_failure_percentage_local_origin()),
        failure_percentage_minimum_hosts: number(model.failure_percentage_minimum_hosts()),
        failure_percentage_request_volume: number(model.failure_percentage_request_volume()),
        successful_active_health_check_uneject_host: Some(value::boolean(
            model.successful_active_health_check_uneject_host(),
        )),
        ..cluster::OutlierDetection::default()
    }
}
