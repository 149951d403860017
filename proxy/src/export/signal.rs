//! What can be sent: spans and log records, each with its place in the protocol.

use super::{encode, size};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::resource::v1::Resource;
use outrigger_telemetry::export::LogRecord;
use outrigger_telemetry::trace::FinishedSpan;
use prost::Message;
use std::time::SystemTime;

/// The version of OpenTelemetry's semantic conventions by which attributes are named.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.27.0";
/// Two fields' tags and lengths, each of a byte and five at most.
const WRAPPING_BYTES_MAX: usize = 12;

const GROWS: &str = "a vector has room for everything";

/// One kind of what collectors take.
pub(super) trait Signal: Send + Sync + 'static {
    /// A piece of it.
    type Item: Send + 'static;

    /// What metrics call it.
    const NAME: &'static str;
    /// The method over gRPC.
    const METHOD: &'static str;
    /// The path over HTTP, after the endpoint's.
    const PATH: &'static str;

    /// Bytes that it takes in a request, or some more; the same whenever it is asked.
    fn size(item: &Self::Item) -> usize;

    /// The request that sends these.
    fn message(resource: &Resource, items: Vec<Self::Item>) -> Vec<u8>;

    /// How many items the answer says were not wanted, and why; none if all were, or if it cannot be read: by its status
    /// they were taken.
    fn rejection(answer: &[u8]) -> Option<(u64, String)>;
}

/// Spans.
pub(super) enum Spans {}

impl Signal for Spans {
    type Item = FinishedSpan;

    const NAME: &'static str = "spans";
    const METHOD: &'static str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    const PATH: &'static str = "/v1/traces";

    fn size(item: &FinishedSpan) -> usize {
        size::span(item)
    }

    fn message(resource: &Resource, items: Vec<FinishedSpan>) -> Vec<u8> {
        wrapped(resource, items.into_iter().map(encode::span))
    }

    fn rejection(answer: &[u8]) -> Option<(u64, String)> {
        let answer = ExportTraceServiceResponse::decode(answer).ok()?;
        let partial = answer.partial_success?;
        rejected(partial.rejected_spans, partial.error_message)
    }
}

/// Log records.
pub(super) enum Logs {}

/// A log record, and when it was handed over: what it tells of has mostly begun before.
#[derive(Clone)]
pub(super) struct Observed {
    pub(super) record: LogRecord,
    pub(super) at: SystemTime,
}

impl Signal for Logs {
    type Item = Observed;

    const NAME: &'static str = "logs";
    const METHOD: &'static str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    const PATH: &'static str = "/v1/logs";

    fn size(item: &Observed) -> usize {
        size::log_record(&item.record)
    }

    fn message(resource: &Resource, items: Vec<Observed>) -> Vec<u8> {
        wrapped(resource, items.into_iter().map(encode::log_record))
    }

    fn rejection(answer: &[u8]) -> Option<(u64, String)> {
        let answer = ExportLogsServiceResponse::decode(answer).ok()?;
        let partial = answer.partial_success?;
        rejected(partial.rejected_log_records, partial.error_message)
    }
}

/// The request that sends these. Both signals' have the same fields: a list of one resource's (1), which has the resource (1)
/// and a list of one scope's (2), which has the scope (1), the items (2) and the schema's URL (3). Put together from within:
/// encoded as one message, each item is measured again for every message around it.
fn wrapped<M: Message>(resource: &Resource, items: impl Iterator<Item = M>) -> Vec<u8> {
    let mut of_scope = Vec::new();
    put_message(1, &encode::scope(), &mut of_scope);
    for item in items {
        put_message(2, &item, &mut of_scope);
    }
    put(3, SCHEMA_URL.as_bytes(), &mut of_scope);
    let mut of_resource = Vec::with_capacity(of_scope.len() + resource.encoded_len() + WRAPPING_BYTES_MAX);
    put_message(1, resource, &mut of_resource);
    put(2, &of_scope, &mut of_resource);
    drop(of_scope);
    let mut request = Vec::with_capacity(of_resource.len() + WRAPPING_BYTES_MAX);
    put(1, &of_resource, &mut request);
    request
}

/// Puts a field that is a message.
fn put_message(field: u8, message: &impl Message, out: &mut Vec<u8>) {
    out.push(tag(field));
    message.encode_length_delimited(out).expect(GROWS);
}

/// Puts a field that is encoded already, or is a text.
fn put(field: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag(field));
    prost::encode_length_delimiter(bytes.len(), out).expect(GROWS);
    out.extend_from_slice(bytes);
}

/// What stands before a field with a length, of a number below 16.
fn tag(field: u8) -> u8 {
    field << 3 | 2
}

/// A message without a count is a hint, and nothing was rejected.
fn rejected(count: i64, why: String) -> Option<(u64, String)> {
    let count = u64::try_from(count).ok()?;
    (count > 0).then_some((count, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::KeyValue;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

    #[test]
    fn a_request_put_together_is_the_request_encoded_as_a_whole() {
        let long = "x".repeat(1_000);
        let spans: Vec<Span> = ["a", &long]
            .iter()
            .map(|name| Span {
                name: (*name).to_owned(),
                ..Span::default()
            })
            .collect();
        let resource = Resource {
            attributes: vec![KeyValue::default()],
            ..Resource::default()
        };
        for count in 0..=spans.len() {
            let spans = spans[..count].to_vec();
            let whole = ExportTraceServiceRequest {
                resource_spans: vec![ResourceSpans {
                    resource: Some(resource.clone()),
                    scope_spans: vec![ScopeSpans {
                        scope: Some(encode::scope()),
                        spans: spans.clone(),
                        schema_url: SCHEMA_URL.to_owned(),
                    }],
                    schema_url: String::new(),
                }],
            };
            assert_eq!(wrapped(&resource, spans.into_iter()), whole.encode_to_vec());
        }
    }
}
