//! Requests for which there is no room.

use super::{PATH, beside, fetched, hold, nowhere, silent, told};
use outrigger_harness::{Client, Document, Proxy, client};
use serde_json::Value;

pub(super) async fn retry_budget() -> Value {
    let retry = "retry: { retry_on: [connect-failure], retries_max: 2, backoff: { base: 1ms } }";
    let document = Document::to(&[nowhere().await])
        .forward(retry)
        .cluster("retry_budget: { percent: 0, concurrency_min: 0 }");
    fetched(document).await
}

/// Beside one request, where the cluster says this.
async fn limited(cluster: &str) -> Value {
    let upstream = silent().await;
    beside(Document::to(&[upstream.address()]).cluster(cluster), &upstream).await
}

pub(super) async fn requests() -> Value {
    limited("circuit_breakers: { default: { requests_max: 1 } }").await
}

pub(super) async fn pending() -> Value {
    let upstream = silent().await;
    let document = Document::to(&[upstream.address()]).workers(1).cluster(
        "connect_timeout: 1h, circuit_breakers: { default: { connections_max: 1, pending_max: 1 } }",
    );
    let proxy = Proxy::start(document).await;
    let _held = hold(&proxy, &upstream).await;
    let mut waiting = Client::connect(proxy.address()).await;
    waiting.send("GET /waits HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let left =
        "outrigger_cluster_breaker_remaining{cluster=\"upstream\",priority=\"default\",breaker=\"pending\"}";
    proxy.admin().wait_for_metric(left, 0.0).await;
    assert_eq!(client::fetch(proxy.address(), PATH, "").await.status(), 503);
    told(&proxy).await
}

pub(super) async fn pending_timeout() -> Value {
    limited("connect_timeout: 50ms, circuit_breakers: { default: { connections_max: 1 } }").await
}

pub(super) async fn endpoints() -> Value {
    limited("circuit_breakers: { endpoint: { requests_max: 1 } }").await
}

pub(super) async fn adaptive() -> Value {
    limited("adaptive_concurrency: { concurrency_min: 1, min_rtt_requests: 4 }").await
}

pub(super) async fn pressure() -> Value {
    let upstream = silent().await;
    let thresholds = "stop_keepalive: 20, refuse_requests: 40, refuse_all: 50, refuse_connections: 100";
    // A look is taken at each reload, of what is in flight then.
    let document = |http: &str| {
        Document::to(&[upstream.address()])
            .workers(1)
            .http(http)
            .with(&format!(
                "overload: {{ requests_max: 2, interval: 1h, {thresholds} }}"
            ))
    };
    let proxy = Proxy::start(document("")).await;
    let _held = hold(&proxy, &upstream).await;
    proxy.reload(document("accept_http_10: true")).await.unwrap();
    let _ = client::fetch(proxy.address(), PATH, "").await;
    told(&proxy).await
}

pub(super) async fn overload() -> Value {
    let upstream = silent().await;
    let document = Document::to(&[upstream.address()]).with("overload: { requests_max: 1, interval: 1h }");
    beside(document, &upstream).await
}
