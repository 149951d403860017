//! Cold starts: many requests at once at a proxy that has no connection yet. What HTTP/2's writes are gathered in must
//! not lose one frame, whatever the order of the first polls.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use outrigger_fixtures::Echo;
use outrigger_harness::{Client, Document, Proxy, within};
use std::net::SocketAddr;
use tokio::task::JoinSet;

const ROUNDS: usize = 50;
const STREAMS: usize = 200;

/// A body that tells one request from another, of a length of its own.
fn body_of(round: usize, index: usize) -> Vec<u8> {
    let length = 1 + (index * 37 + round * 101) % 3000;
    format!("{round}/{index};")
        .into_bytes()
        .into_iter()
        .cycle()
        .take(length)
        .collect()
}

async fn client(address: SocketAddr) -> hyper::client::conn::http2::SendRequest<Full<Bytes>> {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let io = TokioIo::new(stream);
    let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .handshake(io)
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

/// One round over HTTP/2: `connections` clients with [`STREAMS`] requests in all, none waiting for another.
async fn http2_round(address: SocketAddr, round: usize, connections: usize) {
    let mut senders = Vec::new();
    for _ in 0..connections {
        senders.push(client(address).await);
    }
    let mut requests = JoinSet::new();
    for index in 0..STREAMS {
        let mut sender = senders[index % connections].clone();
        requests.spawn(async move {
            let body = body_of(round, index);
            let request = Request::post("http://a.example/")
                .body(Full::new(Bytes::from(body.clone())))
                .unwrap();
            let response = sender
                .send_request(request)
                .await
                .unwrap_or_else(|error| panic!("{round}/{index}: {error}"));
            assert_eq!(response.status(), 200, "{round}/{index}");
            let echoed = response
                .into_body()
                .collect()
                .await
                .unwrap_or_else(|error| panic!("{round}/{index}: {error}"));
            assert!(echoed.to_bytes() == body, "{round}/{index}: another body");
        });
    }
    while let Some(done) = within("a cold start", requests.join_next()).await {
        done.unwrap();
    }
}

/// One round over HTTP/1: [`STREAMS`] clients with a request each.
async fn http1_round(address: SocketAddr, round: usize) {
    let mut requests = JoinSet::new();
    for index in 0..STREAMS {
        requests.spawn(async move {
            let body = body_of(round, index);
            let mut client = Client::connect(address).await;
            let head = format!(
                "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let response = client.exchange([head.as_bytes(), &body].concat()).await;
            assert_eq!(response.status(), 200, "{round}/{index}: {}", response.text());
            assert!(response.body.bytes == body, "{round}/{index}: another body");
        });
    }
    while let Some(done) = within("a cold start", requests.join_next()).await {
        done.unwrap();
    }
}

fn document(upstream: &Echo) -> Document {
    Document::to(&[upstream.address()]).cluster("protocol: http2")
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_to_http2_starts_cold_on_fresh_proxies() {
    let upstream = Echo::start().await;
    for round in 0..ROUNDS {
        let proxy = Proxy::start(document(&upstream)).await;
        http2_round(proxy.address(), round, 1 + round % 3).await;
    }
    assert_eq!(upstream.requests(), ROUNDS * STREAMS, "each ran once");
}

#[tokio::test(flavor = "multi_thread")]
async fn http1_to_http2_starts_cold_on_fresh_proxies() {
    let upstream = Echo::start().await;
    for round in 0..ROUNDS {
        let proxy = Proxy::start(document(&upstream)).await;
        http1_round(proxy.address(), round).await;
    }
    assert_eq!(upstream.requests(), ROUNDS * STREAMS, "each ran once");
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_to_http2_starts_cold_on_fresh_upstream_connections() {
    // Each reload renames the cluster, and so each round has new connections to the upstream under the same proxy.
    let upstream = Echo::start().await;
    let named = |round: usize| {
        let route = format!("{{ match: {{ prefix: / }}, forward: {{ cluster: round-{round} }} }}");
        let cluster = format!("round-{round}");
        Document::to(&[])
            .routes(&route)
            .with_cluster(&cluster, &[upstream.address()], "protocol: http2")
    };
    let proxy = Proxy::start(named(0)).await;
    for round in 0..ROUNDS {
        if round > 0 {
            proxy.reload(named(round)).await.unwrap();
        }
        http2_round(proxy.address(), round, 2).await;
    }
    assert_eq!(upstream.requests(), ROUNDS * STREAMS, "each ran once");
    assert!(
        upstream.connections() >= ROUNDS,
        "{} connections",
        upstream.connections()
    );
}
