//! How endpoints are found to serve or not: active checks, and their answers to requests.

use super::condition::string;
use super::headers::editable_name;
use super::reader::{Fields, Reader, Said};
use super::scalar::{self, Problem, problem, problem_with_help};
use super::shapes::{
    GRPC_HEALTH_CHECK, HEALTH_CHECK, HEX, HTTP_HEALTH_CHECK, OUTLIER_DETECTION, TCP_HEALTH_CHECK,
};
use super::tree::{Node, Value};
use crate::model::{
    Discovery, GrpcHealthCheck, HeaderName, HealthCheck, HealthCheckProtocol, HttpHealthCheck,
    OutlierDetection, StringMatch, TcpHealthCheck, UpstreamProtocol, defaults,
};
use crate::receipt::Code;
use std::ops::RangeInclusive;

/// Bytes that a TCP check sends or looks for, each, at most.
const CHECK_BYTES_MAX: usize = 4096;
/// Fields of outlier detection that count failures seen here, which are told from others only on request.
pub(super) const OF_LOCAL_ORIGIN: [&str; 4] = [
    "consecutive_local_origin_failure",
    "enforcing_consecutive_local_origin_failure",
    "enforcing_local_origin_success_rate",
    "enforcing_failure_percentage_local_origin",
];

/// A cluster's `health_check`; none: endpoints are not asked.
pub(super) fn check(
    reader: &mut Reader<'_>,
    cluster: &Fields<'_>,
    discovery: &Discovery,
    spoken: UpstreamProtocol,
) -> Option<HealthCheck> {
    let node = cluster.node(reader, "health_check")?;
    let fields = reader.fields(node, &HEALTH_CHECK)?;
    let key = cluster.key_span_of("health_check");
    if matches!(discovery, Discovery::OriginalDestination(_)) {
        let message =
            "`health_check` on a cluster whose endpoints are not known before somebody connects to them";
        reader.fault_with_help(key, message, "remove it");
    }
    let protocol = protocol(reader, &fields);
    if matches!(protocol, Some(HealthCheckProtocol::Grpc(_))) && spoken == UpstreamProtocol::Http1 {
        let message = "the cluster is asked over gRPC, and speaks HTTP/1";
        reader.fault_with_help(
            fields.key_span_of("grpc"),
            message,
            "give the cluster `protocol: http2`",
        );
    }
    let timeout = fields.duration(reader, "timeout");
    let interval = fields.duration(reader, "interval");
    let jitter_percent = fields.integer32(reader, "jitter");
    let unhealthy_interval = fields.duration(reader, "unhealthy_interval");
    let no_traffic_interval = fields.duration(reader, "no_traffic_interval");
    let unhealthy_threshold = fields.integer32(reader, "unhealthy_threshold");
    let healthy_threshold = fields.integer32(reader, "healthy_threshold");
    let port = fields
        .integer(reader, "port")
        .and_then(|port| u16::try_from(port).ok());
    let reuses_connection = fields.boolean(reader, "reuse_connection");
    let timeout = timeout.unwrap_or(defaults::HEALTH_CHECK_TIMEOUT);
    let interval = interval.unwrap_or(defaults::HEALTH_CHECK_INTERVAL);
    if timeout > interval {
        let message = format!("a check may take {timeout:?}, longer than the interval of {interval:?}");
        let help = "a failure is found later than the interval says: lower `timeout`";
        reader.warn(Code::HealthCheckLongerThanInterval, fields.span, message, help);
    }
    Some(HealthCheck {
        protocol: protocol?,
        timeout,
        interval,
        jitter_percent: jitter_percent.unwrap_or(defaults::HEALTH_CHECK_JITTER_PERCENT),
        unhealthy_interval,
        no_traffic_interval,
        unhealthy_threshold: unhealthy_threshold.unwrap_or(defaults::HEALTH_CHECK_UNHEALTHY_THRESHOLD),
        healthy_threshold: healthy_threshold.unwrap_or(defaults::HEALTH_CHECK_HEALTHY_THRESHOLD),
        port,
        reuses_connection: reuses_connection.unwrap_or(true),
    })
}

fn protocol(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<HealthCheckProtocol> {
    let http = fields.node(reader, "http").and_then(|node| http(reader, node));
    let grpc = fields.node(reader, "grpc").and_then(|node| grpc(reader, node));
    let tcp = fields.node(reader, "tcp").and_then(|node| tcp(reader, node));
    http.or(grpc).or(tcp)
}

fn http(reader: &mut Reader<'_>, node: &Node) -> Option<HealthCheckProtocol> {
    let fields = reader.fields(node, &HTTP_HEALTH_CHECK)?;
    let path = fields.parsed(reader, "path", path);
    let method = fields.parsed(reader, "method", method);
    let host = fields.parsed(reader, "host", scalar::authority);
    let headers = headers(reader, &fields);
    let expected_statuses = statuses(reader, &fields, "expected_statuses");
    let retriable_statuses = statuses(reader, &fields, "retriable_statuses");
    let expected_body = fields
        .node(reader, "expected_body")
        .and_then(|node| string(reader, node, contained));
    let method = method.unwrap_or_else(|| "GET".to_owned());
    if method == "HEAD" && expected_body.is_some() {
        let message = "`expected_body`, and the answer to HEAD has none";
        reader.fault_with_help(
            fields.key_span_of("expected_body"),
            message,
            "write `method: GET`",
        );
    }
    Some(HealthCheckProtocol::Http(HttpHealthCheck {
        method,
        path: path?,
        host,
        headers,
        expected_statuses: match expected_statuses.is_empty() {
            true => vec![200..=200],
            false => expected_statuses,
        },
        retriable_statuses,
        expected_body,
    }))
}

fn contained(text: &str) -> Result<StringMatch, Problem> {
    match text {
        "" => problem("every body contains this"),
        _ => Ok(StringMatch::Contains(text.to_owned())),
    }
}

/// A path as it is sent, with its query.
fn path(text: &str) -> Result<String, Problem> {
    if !text.starts_with('/') || text.len() > 4096 {
        return problem("a path begins with `/` and has at most 4096 bytes");
    }
    match text
        .chars()
        .find(|letter| !letter.is_ascii_graphic() || *letter == '#')
    {
        Some(letter) => problem(format!("a path may not contain {letter:?}")),
        None => Ok(text.to_owned()),
    }
}

fn method(text: &str) -> Result<String, Problem> {
    match scalar::method(text)? {
        method if method == "CONNECT" => problem("CONNECT asks for a tunnel, not for health"),
        method => Ok(method),
    }
}

fn headers(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<(HeaderName, String)> {
    let mut headers = Vec::new();
    for entry in fields.map(reader, "headers") {
        let name = match editable_name(&entry.key) {
            Ok(name) => name,
            Err(problem) => {
                let severity = crate::Severity::Error;
                reader.report(severity, entry.key_span, problem.message, problem.help);
                continue;
            }
        };
        if let Some(value) = reader.parse(&entry.value, "a field value", scalar::literal_value) {
            headers.push((name, value));
        }
    }
    headers
}

fn statuses(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str) -> Vec<RangeInclusive<u16>> {
    let nodes = fields.list(reader, name);
    let read = |node: &std::sync::Arc<Node>| reader.parse(node, "a status or a range of statuses", status);
    nodes.iter().filter_map(read).collect()
}

/// `200`, `200-299`.
fn status(text: &str) -> Result<RangeInclusive<u16>, Problem> {
    let status = |text: &str| {
        text.parse::<u16>()
            .ok()
            .filter(|status| (100..=599).contains(status))
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (status(first), status(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => problem_with_help(
            format!(
                "expected a status or a range of statuses, found `{}`",
                scalar::shortened(text)
            ),
            "such as `200` or `200-299`",
        ),
    }
}

fn grpc(reader: &mut Reader<'_>, node: &Node) -> Option<HealthCheckProtocol> {
    let fields = reader.fields(node, &GRPC_HEALTH_CHECK)?;
    let service = fields.parsed(reader, "service", |text| match text.len() {
        0..=1024 => Ok(text.to_owned()),
        _ => problem("the name of a service has at most 1024 bytes"),
    });
    let authority = fields.parsed(reader, "authority", scalar::authority);
    Some(HealthCheckProtocol::Grpc(GrpcHealthCheck {
        service: service.unwrap_or_default(),
        authority,
    }))
}

fn tcp(reader: &mut Reader<'_>, node: &Node) -> Option<HealthCheckProtocol> {
    let fields = reader.fields(node, &TCP_HEALTH_CHECK)?;
    let send = fields.node(reader, "send").and_then(|node| bytes(reader, node));
    let nodes = fields.list(reader, "receive");
    let receive = nodes.iter().filter_map(|node| bytes(reader, node)).collect();
    Some(HealthCheckProtocol::Tcp(TcpHealthCheck {
        send: send.unwrap_or_default(),
        receive,
    }))
}

/// A text, or `{hex: 00ff}`; never empty.
fn bytes(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<u8>> {
    let bounded = |bytes: Vec<u8>| match bytes.len() {
        1..=CHECK_BYTES_MAX => Ok(bytes),
        length => problem(format!(
            "this has {length} bytes; 1 to {CHECK_BYTES_MAX} are allowed"
        )),
    };
    if let Value::Map(_) = &node.value {
        let fields = reader.fields(node, &HEX)?;
        return fields.parsed(reader, "hex", |text| bounded(hex(text)?));
    }
    reader.parse(node, "a text or `{hex: 00ff}`", |text| {
        bounded(text.as_bytes().to_vec())
    })
}

fn hex(text: &str) -> Result<Vec<u8>, Problem> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|letter| letter.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    match digits {
        Some(digits) if digits.len().is_multiple_of(2) => {
            Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
        }
        _ => problem_with_help("expected two hexadecimal digits for each byte", "such as `00ff`"),
    }
}

/// A cluster's `outlier_detection`; none: nothing is ejected.
pub(super) fn outlier_detection(
    reader: &mut Reader<'_>,
    cluster: &Fields<'_>,
    discovery: &Discovery,
) -> Option<OutlierDetection> {
    let said = cluster.said(reader, "outlier_detection");
    if matches!(discovery, Discovery::LogicalDns(_)) && !matches!(said, Said::Off) {
        let message =
            "`outlier_detection` has no effect: the name is one endpoint, and the last one is never ejected";
        reader.warn(
            Code::OutlierDetectionUnused,
            cluster.key_span_of("outlier_detection"),
            message,
            "remove it",
        );
    }
    if matches!(discovery, Discovery::OriginalDestination(_)) && !matches!(said, Said::Off) {
        let message = "`outlier_detection` on a cluster whose endpoints are whatever clients ask for: there is no other to use";
        reader.fault_with_help(cluster.key_span_of("outlier_detection"), message, "remove it");
    }
    let node = match said {
        Said::Off => return None,
        Said::On => return Some(OutlierDetection::default()),
        Said::Settings(node) => node,
    };
    let fields = reader.fields(node, &OUTLIER_DETECTION)?;
    let mut detection = OutlierDetection::default();
    read_consecutive(reader, &fields, &mut detection);
    read_statistics(reader, &fields, &mut detection);
    read_ejection(reader, &fields, &mut detection);
    if !detection.split_external_local_origin_errors {
        for name in OF_LOCAL_ORIGIN {
            if fields.entry(name).is_some() {
                let message = format!("`{name}` has no effect: failures seen here are not counted apart");
                let help = "write `split_external_local_origin_errors: true`, or remove it";
                reader.warn(
                    Code::LocalOriginNotCounted,
                    fields.key_span_of(name),
                    message,
                    help,
                );
            }
        }
    }
    Some(detection)
}

fn read_consecutive(reader: &mut Reader<'_>, fields: &Fields<'_>, detection: &mut OutlierDetection) {
    for (name, value) in [
        ("consecutive_5xx", &mut detection.consecutive_5xx),
        (
            "consecutive_gateway_failure",
            &mut detection.consecutive_gateway_failure,
        ),
        (
            "consecutive_local_origin_failure",
            &mut detection.consecutive_local_origin_failure,
        ),
    ] {
        if fields.entry(name).is_some() {
            *value = fields.integer32_or_off(reader, name);
        }
    }
}

fn read_statistics(reader: &mut Reader<'_>, fields: &Fields<'_>, detection: &mut OutlierDetection) {
    macro_rules! numbers {
        ($($field:ident),*) => {
            $(if let Some(value) = fields.integer32(reader, stringify!($field)) {
                detection.$field = value;
            })*
        };
    }
    numbers!(
        enforcing_consecutive_5xx,
        enforcing_consecutive_gateway_failure,
        enforcing_consecutive_local_origin_failure,
        success_rate_minimum_hosts,
        success_rate_request_volume,
        success_rate_stdev_factor,
        enforcing_success_rate,
        enforcing_local_origin_success_rate,
        failure_percentage_threshold,
        enforcing_failure_percentage,
        enforcing_failure_percentage_local_origin,
        failure_percentage_minimum_hosts,
        failure_percentage_request_volume,
        max_ejection_percent
    );
}

fn read_ejection(reader: &mut Reader<'_>, fields: &Fields<'_>, detection: &mut OutlierDetection) {
    for (name, value) in [
        (
            "split_external_local_origin_errors",
            &mut detection.split_external_local_origin_errors,
        ),
        ("always_eject_one", &mut detection.always_eject_one),
        (
            "successful_active_health_check_uneject_host",
            &mut detection.successful_active_health_check_uneject_host,
        ),
    ] {
        *value = fields.boolean(reader, name).unwrap_or(*value);
    }
    for (name, value) in [
        ("interval", &mut detection.interval),
        ("base_ejection_time", &mut detection.base_ejection_time),
        (
            "max_ejection_time_jitter",
            &mut detection.max_ejection_time_jitter,
        ),
    ] {
        *value = fields.duration(reader, name).unwrap_or(*value);
    }
    let base = detection.base_ejection_time;
    match fields.duration(reader, "max_ejection_time") {
        Some(max) if max < base => {
            let message = format!("the longest ejection, {max:?}, is shorter than the first, {base:?}");
            reader.fault(fields.span_of("max_ejection_time"), message);
        }
        Some(max) => detection.max_ejection_time = max,
        // As Envoy has it.
        None => detection.max_ejection_time = base.max(defaults::OUTLIER_MAX_EJECTION_TIME),
    }
}
