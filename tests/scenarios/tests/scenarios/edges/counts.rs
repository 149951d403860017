//! Requests in flight and bytes are counted whatever version is spoken on either side.

use super::FrameConnection;
use outrigger_fixtures::frames::{Frame, FrameServer};
use outrigger_fixtures::scripted::Scripted;
use outrigger_harness::{Client, Document, Proxy};
use std::net::SocketAddr;
use tokio::sync::watch;

const REQUEST_BODY: &str = "0123456789";
const ANSWER_BYTES: usize = 1000;

/// More than all heads, settings and frames of one exchange take.
const OVERHEAD_BYTES: f64 = 900.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http1,
    Http2,
}
use Version::*;

/// An upstream that answers when it is let go. Dropping it ends it.
enum Upstream {
    Scripted(Scripted),
    Frames(FrameServer),
}

impl Upstream {
    async fn start(version: Version, go: watch::Receiver<bool>) -> Upstream {
        match version {
            Http1 => Upstream::Scripted(http1_upstream(go).await),
            Http2 => Upstream::Frames(http2_upstream(go).await),
        }
    }

    fn address(&self) -> SocketAddr {
        match self {
            Upstream::Scripted(server) => server.address(),
            Upstream::Frames(server) => server.address(),
        }
    }
}

async fn http1_upstream(go: watch::Receiver<bool>) -> Scripted {
    Scripted::start(move |mut script| {
        let mut go = go.clone();
        async move {
            while script.request().await?.is_some() {
                let _ = go.wait_for(|go| *go).await;
                let body = "x".repeat(ANSWER_BYTES);
                script
                    .send(format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {ANSWER_BYTES}\r\n\r\n{body}"
                    ))
                    .await?;
            }
            Ok(())
        }
    })
    .await
}

async fn http2_upstream(go: watch::Receiver<bool>) -> FrameServer {
    let script = move |mut connection: FrameConnection, _| {
        let mut go = go.clone();
        async move {
            connection.greet(&[]).await?;
            loop {
                let head = connection.next_headers().await?;
                connection.rest_of(&head).await?;
                let _ = go.wait_for(|go| *go).await;
                let answer = [
                    Frame::response(head.stream, "200", false),
                    Frame::data(head.stream, "x".repeat(ANSWER_BYTES), true),
                ];
                connection.send_all(&answer).await?;
            }
        }
    };
    FrameServer::start(script).await.unwrap()
}

/// A client that has sent its request.
enum Sent {
    Http1(Client),
    Http2(Box<FrameConnection>),
}

impl Sent {
    async fn post(version: Version, address: SocketAddr) -> Sent {
        match version {
            Http1 => {
                let mut client = Client::connect(address).await;
                let length = REQUEST_BODY.len();
                client
                    .send(format!(
                        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{REQUEST_BODY}"
                    ))
                    .await;
                Sent::Http1(client)
            }
            Http2 => {
                let mut client = FrameConnection::connect(address, &[]).await.unwrap();
                let request = [
                    Frame::request(1, "POST", "/", &[], false),
                    Frame::data(1, REQUEST_BODY, true),
                ];
                client.send_all(&request).await.unwrap();
                Sent::Http2(Box::new(client))
            }
        }
    }

    /// The answer's body; the connection stays open.
    async fn answer(&mut self) -> Vec<u8> {
        match self {
            Sent::Http1(client) => client.response("POST").await.body.bytes,
            Sent::Http2(client) => {
                let head = client.next_headers().await.unwrap();
                client.rest_of(&head).await.unwrap().0
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_and_bytes_are_counted_for_each_version() {
    let mut faults = Vec::new();
    for (downstream, upstream) in [(Http1, Http1), (Http1, Http2), (Http2, Http1), (Http2, Http2)] {
        let (go, gone) = watch::channel(false);
        let server = Upstream::start(upstream, gone).await;
        let document = Document::to(&[server.address()]).cluster(match upstream {
            Http1 => "protocol: http1",
            Http2 => "protocol: http2",
        });
        let proxy = Proxy::start(document).await;
        let admin = proxy.admin();
        let mut client = Sent::post(downstream, proxy.address()).await;
        admin
            .wait_for_metric("outrigger_route_requests_active", 1.0)
            .await;
        go.send(true).unwrap();
        assert_eq!(client.answer().await.len(), ANSWER_BYTES);
        admin.wait_for_metric("outrigger_route_requests_total", 1.0).await;
        admin
            .wait_for_metric("outrigger_route_requests_active", 0.0)
            .await;
        // Bytes are added up when a connection ends at the latest.
        drop(client);
        admin
            .wait_for_metric("outrigger_listener_connections_active", 0.0)
            .await;
        drop(server);
        for (metric, body) in [
            ("outrigger_listener_received_bytes_total", REQUEST_BODY.len()),
            ("outrigger_listener_sent_bytes_total", ANSWER_BYTES),
            ("outrigger_cluster_sent_bytes_total", REQUEST_BODY.len()),
            ("outrigger_cluster_received_bytes_total", ANSWER_BYTES),
        ] {
            let (found, body) = (admin.metric(metric).await, body as f64);
            if found <= body || found >= body + OVERHEAD_BYTES {
                faults.push(format!(
                    "{downstream:?} to {upstream:?}: {metric} is {found}, the body alone {body}"
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
