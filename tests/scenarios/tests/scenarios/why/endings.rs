//! Requests that end by what endpoints and clients do, or by having nowhere to go.

use super::{PATH, cut, fetched, hold, nowhere, recorded, silent, told};
use outrigger_fixtures::Scripted;
use outrigger_fixtures::blackhole::Blackhole;
use outrigger_fixtures::frames::{Frame, FrameKind, FrameServer, code};
use outrigger_harness::{Client, Document, Proxy, client};
use serde_json::Value;

pub(super) async fn no_endpoints() -> Value {
    fetched(Document::to(&[])).await
}

pub(super) async fn none_healthy() -> Value {
    let address = nowhere().await;
    fetched(format!(
        "admin: {{ address: 127.0.0.1:0 }}\n\
         runtime: {{ workers: 1 }}\n\
         listeners:\n\
         - name: edge\n  \
           address: 127.0.0.1:0\n  \
           filter_chains: [{{ http: {{ route_configuration: main }} }}]\n\
         route_configurations:\n\
         - name: main\n  \
           virtual_hosts: [{{ name: all, domains: ['*'], routes: [{{ match: {{ prefix: / }}, forward: {{ cluster: upstream }} }}] }}]\n\
         clusters:\n\
         - {{ name: upstream, endpoints: [{{ address: '{address}', status: unhealthy }}], fails_in_panic: true }}\n"
    ))
    .await
}

pub(super) async fn refused() -> Value {
    fetched(Document::to(&[nowhere().await])).await
}

pub(super) async fn connect_timeout() -> Value {
    let address = nowhere().await;
    let _blackhole = Blackhole::at(address).unwrap();
    fetched(Document::to(&[address]).cluster("connect_timeout: 50ms")).await
}

pub(super) async fn no_tls() -> Value {
    let upstream = Scripted::start(|mut script| async move {
        script
            .send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            .await?;
        script.until_closed().await
    })
    .await;
    let document =
        Document::to(&[upstream.address()]).cluster("tls: { roots: system, server_name: a.example }");
    fetched(document).await
}

pub(super) async fn retries_used_up() -> Value {
    let retry = "retry: { retry_on: [connect-failure], retries_max: 2, backoff: { base: 1ms } }";
    fetched(Document::to(&[nowhere().await]).forward(retry)).await
}

pub(super) async fn answers_used_up() -> Value {
    let upstream = Scripted::answering("HTTP/1.1 503 Gone\r\ncontent-length: 0\r\n\r\n").await;
    let retry = "retry: { retry_on: [5xx], retries_max: 1, backoff: { base: 1ms } }";
    fetched(Document::to(&[upstream.address()]).forward(retry)).await
}

pub(super) async fn own_answer() -> Value {
    let upstream = Scripted::answering("HTTP/1.1 503 Gone\r\ncontent-length: 0\r\n\r\n").await;
    fetched(Document::to(&[upstream.address()])).await
}

/// What becomes of a POST, which is not tried again, where the upstream does this with it.
async fn posted(upstream: &Scripted) -> Value {
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    let request = format!("POST {PATH} HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\r\nabc");
    client.send(request).await;
    assert_eq!(client.response("POST").await.status(), 503);
    told(&proxy).await
}

pub(super) async fn closed() -> Value {
    let upstream = Scripted::start(|mut script| async move {
        script.request().await?;
        Ok(())
    })
    .await;
    posted(&upstream).await
}

pub(super) async fn reset() -> Value {
    let upstream = Scripted::start(|mut script| async move {
        script.request().await?;
        script.reset()
    })
    .await;
    posted(&upstream).await
}

pub(super) async fn stream_reset() -> Value {
    let server = FrameServer::start(|mut connection, _| async move {
        connection.greet(&[]).await?;
        while let Some(frame) = connection.next().await? {
            if frame.kind == FrameKind::Headers {
                connection
                    .send(Frame::reset(frame.stream, code::INTERNAL_ERROR))
                    .await?;
            }
        }
        Ok(())
    })
    .await
    .unwrap();
    fetched(Document::to(&[server.address()]).cluster("protocol: http2")).await
}

pub(super) async fn route_timeout() -> Value {
    let upstream = silent().await;
    fetched(Document::to(&[upstream.address()]).forward("timeout: 50ms")).await
}

pub(super) async fn per_try_timeout() -> Value {
    let upstream = silent().await;
    let retry = "retry: { retry_on: [5xx], retries_max: 1, per_try_timeout: 20ms, backoff: { base: 1ms } }";
    fetched(Document::to(&[upstream.address()]).forward(retry)).await
}

pub(super) async fn garbage() -> Value {
    let upstream = Scripted::answering("garbage\r\n\r\n").await;
    fetched(Document::to(&[upstream.address()])).await
}

pub(super) async fn idle() -> Value {
    let upstream = silent().await;
    cut(Document::to(&[upstream.address()]).http("stream_idle_timeout: 50ms")).await
}

pub(super) async fn aged() -> Value {
    let upstream = silent().await;
    cut(Document::to(&[upstream.address()]).forward("stream_duration_max: 50ms")).await
}

pub(super) async fn client_leaves() -> Value {
    let upstream = silent().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    drop(hold(&proxy, &upstream).await);
    recorded(&proxy, "last-error").await[0].clone()
}

pub(super) async fn no_virtual_host() -> Value {
    let host = "{ name: other, domains: [shop.example], routes: [{ match: { prefix: / }, forward: { cluster: upstream } }] }";
    fetched(Document::to(&[]).virtual_hosts(host)).await
}

pub(super) async fn no_route() -> Value {
    fetched(Document::to(&[]).routes("{ match: { prefix: /other }, forward: { cluster: upstream } }")).await
}

pub(super) async fn bad_path() -> Value {
    let proxy = Proxy::start(Document::to(&[])).await;
    let response = client::fetch(proxy.address(), "/a/%00", "").await;
    assert_eq!(response.status(), 400);
    recorded(&proxy, "last-error").await[0].clone()
}

pub(super) async fn bad_head() -> Value {
    let proxy = Proxy::start(Document::to(&[])).await;
    let mut client = Client::connect(proxy.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n").await;
    assert_eq!(client.response("GET").await.status(), 400);
    recorded(&proxy, "flag=DPE").await[0].clone()
}
