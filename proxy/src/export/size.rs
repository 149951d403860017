//! How long spans and log records are as OTLP's messages, before they are: never less, and little more where texts are long.

use outrigger_telemetry::export::LogRecord;
use outrigger_telemetry::trace::{AttributeValue, FinishedSpan, SpanEvent, SpanStatus};
use std::borrow::Cow;

/// Of a span beside its texts, attributes and events: ids (16, 8 and 8), times (8 and 8), flags (4), kind (1), and tags and
/// lengths: of these 7, of name, tracestate and status, and of the span, 6 each at most.
const SPAN: usize = 128;
/// Of a log record likewise: ids (16 and 8), times (8 and 8), flags (4), severity (1 and a word of 5).
const RECORD: usize = 128;
/// Of an event beside its name and attributes: its time (9), and two tags and lengths.
const EVENT: usize = 24;
/// Of an attribute beside its texts: tags and lengths of the pair, the key, the value and what it holds; a number has 10 bytes.
const ATTRIBUTE: usize = 24;

pub(super) fn span(span: &FinishedSpan) -> usize {
    let status = match &span.status {
        SpanStatus::Unset => 0,
        SpanStatus::Error(message) => message.len(),
    };
    let events = span.events.iter().map(event).sum::<usize>();
    SPAN + span.name.len() + span.tracestate.len() + status + attributes(&span.attributes) + events
}

pub(super) fn log_record(record: &LogRecord) -> usize {
    RECORD + record.body.len() + attributes(&record.attributes)
}

fn event(event: &SpanEvent) -> usize {
    EVENT + event.name.len() + attributes(&event.attributes)
}

fn attributes(attributes: &[(Cow<'static, str>, AttributeValue)]) -> usize {
    let one = |(key, value): &(Cow<'static, str>, AttributeValue)| {
        let text = match value {
            AttributeValue::Text(text) => text.len(),
            AttributeValue::Integer(_) | AttributeValue::Bool(_) => 0,
        };
        ATTRIBUTE + key.len() + text
    };
    attributes.iter().map(one).sum()
}

#[cfg(test)]
mod tests {
    use crate::export::signal::{Logs, Observed, Signal, Spans};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use outrigger_telemetry::export::{LogRecord, Severity};
    use outrigger_telemetry::trace::{
        AttributeValue, FinishedSpan, SpanEvent, SpanId, SpanKind, SpanStatus, TraceId,
    };
    use std::time::{Duration, UNIX_EPOCH};

    /// How much longer a request is for one item more.
    fn length<S: Signal<Item: Clone>>(item: &S::Item) -> usize {
        let of = |count| S::message(&Resource::default(), vec![item.clone(); count]).len();
        of(2) - of(1)
    }

    fn span(text: &str) -> FinishedSpan {
        let attributes = vec![
            ("text".into(), text.to_owned().into()),
            ("number".into(), AttributeValue::Integer(-7)),
            ("truth".into(), AttributeValue::Bool(true)),
        ];
        let at = UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        FinishedSpan {
            trace_id: TraceId::new(u128::MAX).unwrap(),
            span_id: SpanId::new(u64::MAX).unwrap(),
            parent: SpanId::new(u64::MAX),
            parent_is_remote: true,
            flags: 3,
            tracestate: text.to_owned(),
            name: text.to_owned(),
            kind: SpanKind::Client,
            start: at,
            end: at,
            attributes: attributes.clone(),
            events: vec![
                SpanEvent {
                    name: text.to_owned().into(),
                    at,
                    attributes,
                };
                3
            ],
            status: SpanStatus::Error(text.to_owned().into()),
        }
    }

    #[test]
    fn an_estimate_is_never_short_and_hardly_long() {
        for long in [0, 100, 20_000, 100_000] {
            let text = "x".repeat(long);
            let span = span(&text);
            let record = LogRecord {
                time: span.start,
                severity: Severity::Error,
                body: text,
                attributes: span.attributes.clone(),
                trace_id: Some(span.trace_id),
                span_id: Some(span.span_id),
                trace_flags: 3,
            };
            let record = Observed {
                at: record.time,
                record,
            };
            for (estimate, length) in [
                (Spans::size(&span), length::<Spans>(&span)),
                (Logs::size(&record), length::<Logs>(&record)),
            ] {
                assert!(
                    length <= estimate && estimate < length + 300,
                    "{estimate} for {length} with {long}"
                );
            }
        }
    }
}
