//! Spans, log records and who tells of them, as OTLP's messages.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord as LogMessage, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind as KindNumber};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, SpanFlags, Status};
use outrigger_config::MeshConfig;
use outrigger_telemetry::export::{LogRecord, Severity};
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

pub(super) fn log_record(record: LogRecord) -> LogMessage {
    let (number, name) = match record.severity {
        Severity::Info => (SeverityNumber::Info, "INFO"),
        Severity::Warn => (SeverityNumber::Warn, "WARN"),
        Severity::Error => (SeverityNumber::Error, "ERROR"),
    };
    let time = nanoseconds(record.time);
    LogMessage {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number: number as i32,
        severity_text: name.to_owned(),
        body: Some(any(AttributeValue::from(record.body))),
        attributes: attributes(record.attributes),
        trace_id: record.trace_id.map_or_else(Vec::new, |id| id.to_bytes().to_vec()),
        span_id: record.span_id.map_or_else(Vec::new, |id| id.to_bytes().to_vec()),
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
