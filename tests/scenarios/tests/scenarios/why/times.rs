//! Requests whose time was up: whose limit that was, and how long, as it was in force for them.

use super::calls::GRPC;
use super::{PATH, silent, told};
use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Document, Proxy, client};
use serde_json::Value;

const BELIEVED: &str = "hint_peers: { addresses: [127.0.0.0/8] }";

/// The record of a request with these fields to an upstream that never answers, by a route that says this.
async fn waited(forward: &str, fields: &str) -> Value {
    let upstream = silent().await;
    let document = Document::to(&[upstream.address()])
        .forward(forward)
        .http(BELIEVED);
    let proxy = Proxy::start(document).await;
    let _ = client::fetch(proxy.address(), PATH, fields).await;
    told(&proxy).await
}

pub(super) async fn client_deadline() -> Value {
    waited("timeout: 1h", &format!("{GRPC}grpc-timeout: 50m\r\n")).await
}

pub(super) async fn bounded_deadline() -> Value {
    waited("client_timeout_max: 40ms", &format!("{GRPC}grpc-timeout: 1H\r\n")).await
}

pub(super) async fn told_by_the_peer() -> Value {
    waited("timeout: 1h", "x-envoy-expected-rq-timeout-ms: 30\r\n").await
}

pub(super) async fn asked_by_the_peer() -> Value {
    waited("timeout: 1h", "x-envoy-upstream-rq-timeout-ms: 60\r\n").await
}

pub(super) async fn attempts_of_the_peer() -> Value {
    let retry = "timeout: 1h, retry: { retry_on: [5xx], retries_max: 5, per_try_timeout: 1h, backoff: { base: 1ms } }";
    let fields = "x-envoy-upstream-rq-per-try-timeout-ms: 20\r\nx-envoy-max-retries: 1\r\n";
    waited(retry, fields).await
}

pub(super) async fn no_time_left() -> Value {
    waited("timeout: 1h", &format!("{GRPC}grpc-timeout: 0m\r\n")).await
}

/// A chunk of an answer.
const PIECE: &[u8] = b"10\r\n0123456789abcdef\r\n";

/// An upstream whose answers never end: it goes on with this again and again, or with nothing.
async fn endless(piece: Option<&'static [u8]>) -> Scripted {
    Scripted::start(move |mut script| async move {
        script.head().await?;
        script
            .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
            .await?;
        while let Some(piece) = piece {
            script.send(piece).await?;
        }
        script.until_closed().await
    })
    .await
}

/// The record of a download of which the client takes the head alone.
async fn begun(upstream: &Scripted, edit: impl FnOnce(Document) -> Document) -> Value {
    let proxy = Proxy::start(edit(Document::to(&[upstream.address()]))).await;
    let mut client = Client::connect_with_receive_buffer(proxy.address(), 4096).await;
    client
        .send(format!("GET {PATH} HTTP/1.1\r\nhost: test\r\n\r\n"))
        .await;
    assert_eq!(client.head().await.status(), 200);
    told(&proxy).await
}

pub(super) async fn client_stalls() -> Value {
    let upstream = endless(Some(PIECE)).await;
    begun(&upstream, |document| document.http("stream_idle_timeout: 200ms")).await
}

pub(super) async fn endpoint_stalls() -> Value {
    begun(&endless(None).await, |document| {
        document.forward("stream_idle_timeout: 50ms")
    })
    .await
}

pub(super) async fn answer_takes_too_long() -> Value {
    begun(&endless(None).await, |document| document.forward("timeout: 50ms")).await
}
