//! Tracing: contexts that come and go, what is kept, and the spans that a collector gets.

mod formats;
mod refusals;
mod sampling;
mod spans;
mod w3c;

use outrigger_fixtures::otlp::{OtlpCollector, Span, Wire, attribute};
use outrigger_fixtures::wire::Head;
use outrigger_harness::{Document, wait_until};
use std::fmt::Write;

/// OTLP's kinds of spans.
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
/// OTLP's status of an error.
const ERROR: i32 = 2;

/// The document, with its requests traced to the collector; `tracing` are fields beside its name.
fn traced(document: Document, collector: &OtlpCollector, tracing: &str) -> Document {
    with_collector(document, collector).http(&format!("tracing: {{ {tracing}collector: otel }}"))
}

/// The document, with the collector `otel`, to which spans go at once.
fn with_collector(document: Document, collector: &OtlpCollector) -> Document {
    document.with(&format!(
        "telemetry: {{ collectors: [{{ name: otel, endpoint: 'http://{}', batch_delay: 10ms }}] }}",
        collector.address()
    ))
}

async fn collector() -> OtlpCollector {
    OtlpCollector::start(Wire::Grpc).await
}

/// All spans, once there are so many.
async fn spans(collector: &OtlpCollector, count: usize) -> Vec<Span> {
    wait_until("spans", async || {
        let spans = collector.spans();
        (spans.len() >= count).then_some(spans)
    })
    .await
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a text takes everything");
        text
    })
}

fn one(span: &Span, key: &str) -> Option<String> {
    attribute(&span.attributes, key)
}

/// The span of this kind and, of attempts, of this place.
fn of_kind(spans: &[Span], kind: i32) -> Vec<&Span> {
    let mut found: Vec<&Span> = spans.iter().filter(|span| span.kind == kind).collect();
    found.sort_by_key(|span| span.start_time_unix_nano);
    found
}

/// Trace id, parent id and flags of the `traceparent` that came.
fn traceparent(head: &Head) -> (String, String, String) {
    let values: Vec<&str> = head.all("traceparent").collect();
    let [value] = values.as_slice() else {
        panic!("one traceparent: {values:?}")
    };
    let parts: Vec<&str> = value.split('-').collect();
    let ["00", trace, parent, flags] = parts.as_slice() else {
        panic!("{value}")
    };
    assert_eq!((trace.len(), parent.len(), flags.len()), (32, 16, 2), "{value}");
    ((*trace).to_owned(), (*parent).to_owned(), (*flags).to_owned())
}
