//! Spans, log records and who tells of them, as OTLP's messages.

use super::signal::Observed;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord as LogMessage, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind as KindNumber};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, SpanFlags, Status};
use outrigger_config::MeshConfig;
use outrigger_telemetry::export::Severity;
use outrigger_telemetry::trace::{AttributeValue, FinishedSpan, SpanEvent, SpanKind, SpanStatus};
use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

/// Who tells: the service, the node under a control plane, and what `telemetry.resource` says.
pub(super) fn resource(config: &MeshConfig) -> Resource {
    let mut attributes = vec![text("service.name", config.service_name())];
    let said = config.telemetry().resource();
    let node = config.control().as_ref().map(|control| control.node());
    if let Some(node) = node.filter(|_| !said.contains_key("service.instance.id")) {
        attributes.push(text("service.instance.id", node));
    }
    attributes.extend(said.iter().map(|(key, value)| text(key, value)));
    Resource {
        attributes,
        ..Resource::default()
    }
}

/// What made the spans and records.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

pub(super) fn span(span: FinishedSpan) -> Span {
    let mut flags = u32::from(span.flags) | SpanFlags::ContextHasIsRemoteMask as u32;
    if span.parent_is_remote {
        flags |= SpanFlags::ContextIsRemoteMask as u32;
    }
    Span {
        trace_id: span.trace_id.to_bytes().to_vec(),
        span_id: span.span_id.to_bytes().to_vec(),
        trace_state: span.tracestate,
        parent_span_id: span.parent.map_or_else(Vec::new, |id| id.to_bytes().to_vec()),
        flags,
        name: span.name,
        kind: match span.kind {
            SpanKind::Server => KindNumber::Server,
            SpanKind::Client => KindNumber::Client,
        } as i32,
        start_time_unix_nano: nanoseconds(span.start),
        end_time_unix_nano: nanoseconds(span.end),
        attributes: attributes(span.attributes),
        events: span.events.into_iter().map(event).collect(),
        status: match span.status {
            SpanStatus::Unset => None,
            SpanStatus::Error(message) => Some(Status {
                message: message.into_owned(),
                code: StatusCode::Error as i32,
            }),
        },
        ..Span::default()
    }
}

fn event(event: SpanEvent) -> Event {
    Event {
        time_unix_nano: nanoseconds(event.at),
        name: event.name.into_owned(),
        attributes: attributes(event.attributes),
        dropped_attributes_count: 0,
    }
}

pub(super) fn log_record(observed: Observed) -> LogMessage {
    let Observed { record, at } = observed;
    let (number, name) = match record.severity {
        Severity::Info => (SeverityNumber::Info, "INFO"),
        Severity::Warn => (SeverityNumber::Warn, "WARN"),
        Severity::Error => (SeverityNumber::Error, "ERROR"),
    };
    LogMessage {
        time_unix_nano: nanoseconds(record.time),
        observed_time_unix_nano: nanoseconds(at),
        severity_number: number as i32,
        severity_text: name.to_owned(),
        body: Some(any(AttributeValue::from(record.body))),
        attributes: attributes(record.attributes),
        trace_id: record.trace_id.map_or_else(Vec::new, |id| id.to_bytes().to_vec()),
        span_id: record.span_id.map_or_else(Vec::new, |id| id.to_bytes().to_vec()),
        // The low eight bits are W3C's, the others are kept for later.
        flags: record.trace_flags.into(),
        ..LogMessage::default()
    }
}

fn attributes(attributes: Vec<(Cow<'static, str>, AttributeValue)>) -> Vec<KeyValue> {
    let one = |(key, value): (Cow<'static, str>, AttributeValue)| KeyValue {
        key: key.into_owned(),
        value: Some(any(value)),
        ..KeyValue::default()
    };
    attributes.into_iter().map(one).collect()
}

fn any(value: AttributeValue) -> AnyValue {
    let value = match value {
        AttributeValue::Text(text) => Value::StringValue(text.into_owned()),
        AttributeValue::Integer(number) => Value::IntValue(number),
        AttributeValue::Bool(truth) => Value::BoolValue(truth),
    };
    AnyValue { value: Some(value) }
}

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(any(AttributeValue::from(value.to_owned()))),
        ..KeyValue::default()
    }
}

/// Since 1970; 0 for what is before.
fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use outrigger_config::{Environment, Source, load};
    use outrigger_telemetry::export::LogRecord;
    use outrigger_telemetry::trace::{SpanId, TraceId};
    use std::time::Duration;

    fn at(milliseconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(milliseconds)
    }

    fn known(key: &str, value: Value) -> KeyValue {
        KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(value) }),
            ..KeyValue::default()
        }
    }

    #[test]
    fn every_field_of_a_span_is_said() {
        let mut finished = FinishedSpan {
            trace_id: TraceId::new(0x1).unwrap(),
            span_id: SpanId::new(0x2).unwrap(),
            parent: SpanId::new(0x3),
            parent_is_remote: true,
            flags: 3,
            tracestate: "a=b".to_owned(),
            name: "GET /".to_owned(),
            kind: SpanKind::Server,
            start: at(1_000),
            end: at(1_500),
            attributes: vec![
                ("text".into(), "a".into()),
                ("number".into(), AttributeValue::Integer(-7)),
                ("truth".into(), AttributeValue::Bool(true)),
            ],
            events: vec![SpanEvent {
                name: "retry".into(),
                at: at(1_200),
                attributes: vec![("why".into(), "reset".into())],
            }],
            status: SpanStatus::Error("broken".into()),
        };
        let said = Span {
            trace_id: [vec![0; 15], vec![1]].concat(),
            span_id: vec![0, 0, 0, 0, 0, 0, 0, 2],
            parent_span_id: vec![0, 0, 0, 0, 0, 0, 0, 3],
            trace_state: "a=b".to_owned(),
            flags: 0x303,
            name: "GET /".to_owned(),
            kind: 2,
            start_time_unix_nano: 1_000_000_000,
            end_time_unix_nano: 1_500_000_000,
            attributes: vec![
                known("text", Value::StringValue("a".to_owned())),
                known("number", Value::IntValue(-7)),
                known("truth", Value::BoolValue(true)),
            ],
            events: vec![Event {
                time_unix_nano: 1_200_000_000,
                name: "retry".to_owned(),
                attributes: vec![known("why", Value::StringValue("reset".to_owned()))],
                dropped_attributes_count: 0,
            }],
            status: Some(Status {
                message: "broken".to_owned(),
                code: 2,
            }),
            ..Span::default()
        };
        assert_eq!(span(finished.clone()), said);
        finished.parent = None;
        finished.parent_is_remote = false;
        finished.kind = SpanKind::Client;
        finished.status = SpanStatus::Unset;
        let root = span(finished);
        assert_eq!((root.flags, root.kind, root.status), (0x103, 3, None));
        assert!(root.parent_span_id.is_empty());
    }

    #[test]
    fn every_field_of_a_log_record_is_said() {
        let record = LogRecord {
            time: at(1_000),
            severity: Severity::Warn,
            body: "GET / 503".to_owned(),
            attributes: vec![("http.response.status_code".into(), 503_u16.into())],
            trace_id: TraceId::new(1),
            span_id: SpanId::new(2),
            trace_flags: 3,
        };
        let said = log_record(Observed {
            record,
            at: at(3_000),
        });
        let body = said.body.unwrap().value;
        assert_eq!(body, Some(Value::StringValue("GET / 503".to_owned())));
        assert_eq!(
            said.attributes,
            [known("http.response.status_code", Value::IntValue(503))]
        );
        assert_eq!((said.severity_number, said.severity_text.as_str()), (13, "WARN"));
        assert_eq!(said.time_unix_nano, 1_000_000_000);
        assert_eq!(said.observed_time_unix_nano, 3_000_000_000);
        assert_eq!((said.trace_id.len(), said.trace_id[15]), (16, 1));
        assert_eq!((said.span_id.len(), said.span_id[7], said.flags), (8, 2, 3));
    }

    #[test]
    fn who_tells() {
        let of = |text: &str| {
            let source = Source {
                name: String::new(),
                text: text.to_owned(),
            };
            let config = load(&source, &Environment::empty()).unwrap().config;
            let attributes = resource(&config).attributes.into_iter();
            let shown = attributes.map(|one| match one.value.unwrap().value.unwrap() {
                Value::StringValue(text) => format!("{}={text}", one.key),
                other => panic!("{other:?}"),
            });
            shown.collect::<Vec<_>>()
        };
        assert_eq!(of("{}"), ["service.name=outrigger"]);
        let control = "control: {servers: ['http://127.0.0.1:1'], node: n, service: shop/catalog}\n";
        assert_eq!(
            of(control),
            ["service.name=shop/catalog", "service.instance.id=n"]
        );
        let told = "telemetry: {service_name: a, resource: {service.instance.id: i, zone: z}}\n";
        assert_eq!(
            of(&format!("{control}{told}")),
            ["service.name=a", "service.instance.id=i", "zone=z"]
        );
    }
}
