//! Rate limits: what is let through, to the request; what is told of it; what a service is asked, and what becomes of
//! requests when it says nothing.

mod connections;
mod envoy;
mod failures;
mod global;
mod grpc;
mod keys;
mod local;
mod reload;

use outrigger_fixtures::Scripted;
use outrigger_harness::client::{self, Response};
use outrigger_harness::{Document, Proxy};

const DECISIONS: &str = "outrigger_rate_limit_decisions_total";
const FAULTS: &str = "outrigger_rate_limit_service_faults_total";

/// A limit of this process that gives no token back while a test runs; `more` are fields of the limit, `local` of its
/// `local`.
fn limit(name: &str, burst: u32, local: &str, more: &str) -> String {
    format!(
        "{{ name: {name}, local: {{ limit: {{ requests: {burst}, per: 1000h }}{} }}{} }}",
        separated(local),
        separated(more)
    )
}

fn separated(fields: &str) -> String {
    match fields {
        "" => String::new(),
        fields => format!(", {fields}"),
    }
}

/// Adds these limits to a document.
fn limits(document: Document, limits: &[String]) -> Document {
    document.with(&format!("rate_limits: [{}]", limits.join(", ")))
}

/// Every request is counted by these limits, by the chain's leave.
async fn limited(all: &[String], names: &str) -> (Scripted, Proxy) {
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()]).http(&format!("rate_limits: [{names}]"));
    (upstream, Proxy::start(limits(document, all)).await)
}

/// The statuses of so many requests.
async fn statuses(proxy: &Proxy, count: usize, path: &str, fields: &str) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(fetch(proxy, path, fields).await.status());
    }
    statuses
}

async fn fetch(proxy: &Proxy, path: &str, fields: &str) -> Response {
    client::fetch(proxy.address(), path, fields).await
}

/// How often a limit has decided so.
async fn decided(proxy: &Proxy, name: &str, outcome: &str) -> f64 {
    let series = format!("{DECISIONS}{{outcome=\"{outcome}\",rate_limit=\"{name}\"}}");
    proxy.admin().metric(&series).await
}
