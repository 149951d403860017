//! Collectors: what they are sent, and that a bad one harms nobody.

mod delivery;
mod failures;
mod tls;

use outrigger_fixtures::otlp::Wire;
use outrigger_fixtures::{Echo, OtlpCollector};
use outrigger_harness::client::fetch;
use outrigger_harness::{Document, Proxy, wait_until};
use std::net::SocketAddr;

/// Spans of a request that needs one attempt: its own, and the attempt's.
const SPANS: usize = 2;
/// Batches are sent at once.
const AT_ONCE: &str = "batch_delay: 1ms";
/// Batches are only sent when they are full, or at the end.
const WHEN_FULL: &str = "batch_delay: 1h";

/// A configuration that traces every request, with a collector of these fields.
fn traced(upstream: &Echo, collector: &str) -> Document {
    let all = format!("telemetry: {{ collectors: [{{ name: c, {collector} }}] }}");
    let document = Document::to(&[upstream.address()]).http("tracing: { collector: c }");
    document.with(&all)
}

/// The fields of a collector in plain text.
fn plain(wire: Wire, address: SocketAddr, more: &str) -> String {
    let protocol = match wire {
        Wire::Grpc => "grpc",
        Wire::Http => "http",
    };
    format!("endpoint: 'http://{address}', protocol: {protocol}, {more}")
}

/// Sends requests that must all be answered as if there were no collector.
async fn send(proxy: &Proxy, count: usize) {
    for number in 0..count {
        let response = fetch(proxy.address(), &format!("/{number}"), "").await;
        assert_eq!(response.status(), 200);
    }
}

/// Waits until the collector took this many spans.
async fn arrived(collector: &OtlpCollector, count: usize) {
    wait_until(&format!("{count} spans"), async || {
        (collector.spans().len() == count).then_some(())
    })
    .await;
}

/// A series of what is counted for the collector's spans.
fn series(name: &str, more: &str) -> String {
    format!("outrigger_telemetry_{name}{{collector=\"c\",signal=\"spans\"{more}}}")
}

fn dropped(reason: &str) -> String {
    series("dropped_total", &format!(",reason=\"{reason}\""))
}

fn failures(reason: &str) -> String {
    series("failures_total", &format!(",reason=\"{reason}\""))
}
