//! What collectors are told, and where they are.

use super::reader::{Fields, Reader, is_off};
use super::scalar::{self, Problem, problem, problem_with_help};
use super::shapes::{COLLECTOR, RECORDER, TELEMETRY};
use super::tree::Node;
use super::{Unique, headers, targets, tls};
use crate::model::{
    Collector, CollectorCompression, CollectorEndpoint, CollectorProtocol, FlightRecorder, HeaderName,
    MeshConfig, Name, Roots, Secret, Telemetry, defaults,
};
use crate::receipt::Code;
use std::sync::Arc;
use std::time::Duration;

/// Attributes of the resource at most: OpenTelemetry's limit of attributes of anything.
const RESOURCE_ATTRIBUTES_MAX: usize = 128;
/// Bytes of a key or value of the resource.
const ATTRIBUTE_BYTES_MAX: usize = 4096;
/// Headers that are added to each request; servers refuse heads with more than a hundred.
const HEADERS_MAX: usize = 64;
/// The port that is everybody's habit for the other protocol.
const HABITUAL_PORTS: [(CollectorProtocol, u16); 2] =
    [(CollectorProtocol::Grpc, 4318), (CollectorProtocol::Http, 4317)];

/// Bounds of buckets at most: each is a sample of every histogram.
const BUCKETS_MAX: usize = 40;
/// Shorter ones are below what can be measured from outside, longer ones above every timeout.
const BUCKET_MIN: Duration = Duration::from_micros(100);
const BUCKET_MAX: Duration = Duration::from_secs(3600);

/// The document's `telemetry`.
pub(super) fn telemetry(reader: &mut Reader<'_>, document: &Fields<'_>) -> Telemetry {
    let node = document.node(reader, "telemetry");
    let Some(fields) = node.and_then(|node| reader.fields(node, &TELEMETRY)) else {
        return Telemetry::default();
    };
    let service_name = fields.parsed(reader, "service_name", attribute);
    let resource = targets::pairs(reader, &fields, "resource");
    if resource.len() > RESOURCE_ATTRIBUTES_MAX {
        let message = format!("more than {RESOURCE_ATTRIBUTES_MAX} attributes");
        reader.fault(fields.span_of("resource"), message);
    }
    for entry in fields.map(reader, "resource") {
        if entry.key == "service.name" {
            let help = "write `service_name`";
            reader.fault_with_help(entry.key_span, "`service.name` is not said here", help);
        }
        let long = |text: &str| text.len() > ATTRIBUTE_BYTES_MAX;
        if entry.key.is_empty() || long(&entry.key) || resource.get(&entry.key).is_some_and(|text| long(text))
        {
            let message = format!("a key has 1 to {ATTRIBUTE_BYTES_MAX} bytes, a value at most as many");
            reader.fault(entry.key_span, message);
        }
    }
    let latency_buckets = latency_buckets(reader, &fields);
    let mut names = Unique::new("collector");
    let collectors = fields.list(reader, "collectors").iter();
    let collectors = collectors
        .filter_map(|node| collector(reader, node, &mut names))
        .map(Arc::new);
    let collectors = collectors.collect();
    Telemetry {
        service_name,
        resource,
        latency_buckets,
        collectors,
        recorder: recorder(reader, &fields),
    }
}

/// On, unless it says `off`.
fn recorder(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<FlightRecorder> {
    let node = match fields.node(reader, "recorder") {
        Some(node) if is_off(node) => return None,
        Some(node) => node,
        None => return Some(FlightRecorder::default()),
    };
    let mut recorder = FlightRecorder::default();
    if let Some(fields) = reader.fields(node, &RECORDER) {
        if let Some(bytes) = fields
            .size(reader, "memory")
            .and_then(|bytes| usize::try_from(bytes).ok())
        {
            recorder.memory_bytes = bytes;
        }
        recorder.slow = fields.duration(reader, "slow").unwrap_or(recorder.slow);
    }
    Some(recorder)
}

/// Bounds that rise.
fn latency_buckets(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<Duration> {
    if fields.entry("latency_buckets").is_none() {
        return defaults::LATENCY_BUCKETS.to_vec();
    }
    let nodes = fields.list(reader, "latency_buckets");
    if !(1..=BUCKETS_MAX).contains(&nodes.len()) {
        let message = format!("{} bounds; there are 1 to {BUCKETS_MAX}", nodes.len());
        reader.fault(fields.span_of("latency_buckets"), message);
        return Vec::new();
    }
    let mut bounds: Vec<Duration> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let Some(bound) = reader.duration(node, false, false) else {
            continue;
        };
        if !(BUCKET_MIN..=BUCKET_MAX).contains(&bound) {
            reader.fault(node.span, "a bound is of 100us to 1h");
        } else if bounds.last().is_some_and(|last| bound <= *last) {
            let help = "write each once, the shortest first";
            reader.fault_with_help(node.span, "a bound is above the one before", help);
        }
        bounds.push(bound);
    }
    let objective = defaults::LATENCY_OBJECTIVE;
    if !bounds.contains(&objective) {
        reader.warn(
            Code::LatencyObjectiveNotMeasured,
            fields.key_span_of("latency_buckets"),
            format!("no bound is {objective:?}, where the rules for alerts of `deploy/prometheus` look"),
            format!("add {objective:?}, or look elsewhere with rules of your own"),
        );
    }
    bounds
}

fn attribute(text: &str) -> Result<String, Problem> {
    match text.len() {
        1..=ATTRIBUTE_BYTES_MAX => Ok(text.to_owned()),
        _ => problem(format!("expected 1 to {ATTRIBUTE_BYTES_MAX} bytes")),
    }
}

fn collector(reader: &mut Reader<'_>, node: &Node, names: &mut Unique<Name>) -> Option<Collector> {
    let fields = reader.fields(node, &COLLECTOR)?;
    let name = fields.name(reader, "name");
    if let Some(name) = &name {
        names.insert(reader, name.clone(), fields.span_of("name"));
    }
    let words = [
        ("grpc", CollectorProtocol::Grpc),
        ("http", CollectorProtocol::Http),
    ];
    let protocol = fields.choice(reader, "protocol", &words);
    let protocol = protocol.unwrap_or(defaults::COLLECTOR_PROTOCOL);
    let compressions = [
        ("none", CollectorCompression::None),
        ("gzip", CollectorCompression::Gzip),
    ];
    let compression = fields.choice(reader, "compression", &compressions);
    let endpoint = fields.parsed(reader, "endpoint", |text| endpoint(text, protocol));
    let host = endpoint.as_ref().map(|endpoint| endpoint.host.as_str());
    let tls = fields.node(reader, "tls");
    let tls = tls.map(|node| tls::upstream_to(reader, node, host));
    let headers = headers(reader, &fields);
    let timeout = fields.duration(reader, "timeout");
    let queue_max = fields
        .integer32(reader, "queue_max")
        .unwrap_or(defaults::COLLECTOR_QUEUE_MAX);
    let batch_max = fields.integer32(reader, "batch_max");
    if let Some(batch_max) = batch_max.filter(|batch_max| *batch_max > queue_max) {
        let message = format!("`batch_max` is {batch_max}, above `queue_max`, {queue_max}");
        reader.fault(fields.span_of("batch_max"), message);
    }
    let batch_delay = fields.duration(reader, "batch_delay");
    check(reader, &fields, endpoint.as_ref(), protocol);
    Some(Collector {
        name: name?,
        endpoint: endpoint?,
        protocol,
        compression: compression.unwrap_or(defaults::COLLECTOR_COMPRESSION),
        tls: match tls {
            Some(tls) => Some(tls?),
            None => None,
        },
        headers,
        timeout: timeout.unwrap_or(defaults::COLLECTOR_TIMEOUT),
        queue_max,
        batch_max: batch_max.unwrap_or(defaults::COLLECTOR_BATCH_MAX.min(queue_max)),
        batch_delay: batch_delay.unwrap_or(defaults::COLLECTOR_BATCH_DELAY),
        origin: reader.origin(fields.span),
    })
}

/// Holds the endpoint and what belongs to it together.
fn check(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    endpoint: Option<&CollectorEndpoint>,
    protocol: CollectorProtocol,
) {
    let Some(endpoint) = endpoint else { return };
    let has_tls = fields.entry("tls").is_some();
    if endpoint.tls && !has_tls {
        let help = "write `tls: {roots: system}`, or believe an authority of your own by `ca_file` or `trust_bundle`";
        reader.fault_with_help(
            fields.span_of("endpoint"),
            "a collector with TLS, and nothing says whose certificate is believed",
            help,
        );
    }
    if !endpoint.tls && has_tls {
        let message = format!("`tls`, and {} is spoken to in plain text", endpoint.url());
        reader.fault_with_help(
            fields.key_span_of("tls"),
            message,
            "write `https://`, or remove it",
        );
    }
    if HABITUAL_PORTS.contains(&(protocol, endpoint.port)) {
        let (spoken, other) = match protocol {
            CollectorProtocol::Grpc => ("gRPC", "http"),
            CollectorProtocol::Http => ("HTTP", "grpc"),
        };
        let message = format!(
            "{spoken} to port {}, where collectors take the other protocol",
            endpoint.port
        );
        let help = format!("write `protocol: {other}`, or another port");
        reader.warn(Code::CollectorPortOdd, fields.span_of("endpoint"), message, help);
    }
}

fn endpoint(text: &str, protocol: CollectorProtocol) -> Result<CollectorEndpoint, Problem> {
    let shown = scalar::shortened(text);
    let help = "such as `http://127.0.0.1:4317`";
    let schemes = [("https://", true), ("http://", false)];
    let found = schemes
        .iter()
        .find_map(|(scheme, tls)| Some((text.strip_prefix(scheme)?, *tls)));
    let Some((rest, tls)) = found else {
        let message = format!("`{shown}` does not begin with `http://` or `https://`");
        return problem_with_help(message, help);
    };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let path = path.trim_end_matches('/');
    if !path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'?' && byte != b'#')
    {
        return problem(format!(
            "`{}` is not a path without a query",
            scalar::shortened(path)
        ));
    }
    if protocol == CollectorProtocol::Grpc && !path.is_empty() {
        let message = format!("`{}` is a path, and gRPC has its own", scalar::shortened(path));
        return problem_with_help(message, "remove it, or write `protocol: http`");
    }
    for added in ["/v1/traces", "/v1/logs"] {
        if path.ends_with(added) {
            return problem_with_help(format!("`{added}` is added anyway"), "leave it out");
        }
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if scalar::is_host(host) => match port.parse() {
            Ok(port @ 1..) => Ok(CollectorEndpoint {
                tls,
                host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
                port,
                path: path.to_owned(),
            }),
            _ => problem_with_help(format!("`{shown}` has no port"), help),
        },
        _ => problem_with_help(format!("`{shown}` is not `http://HOST:PORT`"), help),
    }
}

fn headers(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<(HeaderName, Secret)> {
    let mut read: Vec<(HeaderName, Secret)> = Vec::new();
    let entries = fields.map(reader, "headers");
    if entries.len() > HEADERS_MAX {
        let message = format!("more than {HEADERS_MAX} headers");
        reader.fault(fields.span_of("headers"), message);
    }
    for entry in entries.iter().take(HEADERS_MAX) {
        let name = match header_name(&entry.key) {
            Ok(name) if read.iter().all(|(other, _)| *other != name) => Some(name),
            Ok(name) => {
                reader.fault(entry.key_span, format!("a second header `{}`", name.as_str()));
                None
            }
            Err(Problem { message, help }) => {
                match help {
                    Some(help) => reader.fault_with_help(entry.key_span, message, help),
                    None => reader.fault(entry.key_span, message),
                }
                None
            }
        };
        let value = reader.parse(&entry.value, "a header value", header_value);
        read.extend(name.zip(value));
    }
    read
}

/// None that the protocol itself writes.
fn header_name(text: &str) -> Result<HeaderName, Problem> {
    let name = headers::editable_name(text)?;
    let word = name.as_str();
    let is_written = ["content-type", "content-encoding", "user-agent", "retry-after"].contains(&word);
    match is_written || word.starts_with("grpc-") || word.ends_with("-bin") {
        true => problem(format!("`{word}` is the protocol's own")),
        false => Ok(name),
    }
}

/// What gRPC's metadata may hold, too: printable ASCII. The value is in no message.
fn header_value(text: &str) -> Result<Secret, Problem> {
    if text == super::write::REDACTED_HEADER {
        return problem_with_help(
            "this value was taken out when the configuration was shown",
            "put the value in its place",
        );
    }
    let value = scalar::header_value(text)?;
    match value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        true => Ok(Secret::new(value.into_bytes())),
        false => problem("a header value of a collector is printable ASCII"),
    }
}

/// The identities and authorities that collectors name, where they are put together with what came apart.
pub(super) fn references(config: &MeshConfig) -> Vec<crate::document::Reference> {
    use crate::document::{Reference, ReferenceKind};
    use crate::model::CertificateSource;
    let mut references = Vec::new();
    for collector in &config.telemetry.collectors {
        let Some(tls) = &collector.tls else { continue };
        let mut refer = |kind, name: &str| {
            let (name, origin) = (name.to_owned(), collector.origin.clone());
            references.push(Reference { kind, name, origin });
        };
        match &tls.validation.roots {
            Roots::Bundle(name) => refer(ReferenceKind::TrustBundle, name.as_str()),
            Roots::Spiffe => refer(ReferenceKind::SomeTrustDomain, ""),
            Roots::File(_) | Roots::System => {}
        }
        if let Some(CertificateSource::Identity(name)) = &tls.certificate {
            refer(ReferenceKind::Identity, name.as_str());
        }
    }
    references
}
