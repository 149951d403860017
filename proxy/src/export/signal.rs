//! What can be sent: spans and log records, each with its place in the protocol.

use super::{encode, size};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::logs::v1::{ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use outrigger_telemetry::export::LogRecord;
use outrigger_telemetry::trace::FinishedSpan;
use prost::Message;
use std::time::SystemTime;

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
        let scope_spans = ScopeSpans {
            scope: Some(encode::scope()),
            spans: items.into_iter().map(encode::span).collect(),
            schema_url: String::new(),
        };
        let resource_spans = ResourceSpans {
            resource: Some(resource.clone()),
            scope_spans: vec![scope_spans],
            schema_url: String::new(),
        };
        let request = ExportTraceServiceRequest {
            resource_spans: vec![resource_spans],
        };
        request.encode_to_vec()
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
        let scope_logs = ScopeLogs {
            scope: Some(encode::scope()),
            log_records: items.into_iter().map(encode::log_record).collect(),
            schema_url: String::new(),
        };
        let resource_logs = ResourceLogs {
            resource: Some(resource.clone()),
            scope_logs: vec![scope_logs],
            schema_url: String::new(),
        };
        let request = ExportLogsServiceRequest {
            resource_logs: vec![resource_logs],
        };
        request.encode_to_vec()
    }

    fn rejection(answer: &[u8]) -> Option<(u64, String)> {
        let answer = ExportLogsServiceResponse::decode(answer).ok()?;
        let partial = answer.partial_success?;
        rejected(partial.rejected_log_records, partial.error_message)
    }
}

/// A message without a count is a hint, and nothing was rejected.
fn rejected(count: i64, why: String) -> Option<(u64, String)> {
    let count = u64::try_from(count).ok()?;
    (count > 0).then_some((count, why))
}
