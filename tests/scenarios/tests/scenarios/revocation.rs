//! Rights that are lost while they are used: whom a revocation, another trust or another policy cuts off, how that looks,
//! and that nobody else notices.

mod authorization;
mod http1;
mod lists;
mod relays;
mod trust;
mod upstream;

use outrigger_fixtures::authority::{Issued, uri};
use outrigger_fixtures::frames::{Frame, FrameConnection, FrameKind, code};
use outrigger_fixtures::{Authority, Echo};
use outrigger_harness::{Client, Document, Proxy};
use rustls::ClientConfig;
use std::net::SocketAddr;
use std::sync::Arc;

/// The name that clients ask for.
const NAME: &str = "a.example";

/// An authority, and the proxy's certificate.
struct Mesh {
    authority: Authority,
    server: Issued,
}

impl Mesh {
    fn new() -> Mesh {
        let authority = Authority::new("root");
        let server = authority.issue_with("server", &[NAME], |params| {
            params.subject_alt_names.push(uri(&id("server")));
        });
        Mesh { authority, server }
    }

    /// The chain's TLS: a client must show a certificate of the authority.
    fn tls(&self) -> String {
        let root = self.authority.root();
        self.tls_of(&format!("ca_file: {}", root.display()))
    }

    /// The same with other fields of `client`.
    fn tls_of(&self, client: &str) -> String {
        format!(
            "tls: {{ certificates: [{}], client: {{ {client} }} }}",
            self.server.yaml()
        )
    }

    /// Everything goes to one upstream, in HTTP/2.
    fn document(&self, upstream: SocketAddr) -> Document {
        Document::to(&[upstream])
            .cluster("protocol: http2")
            .chain(&self.tls())
    }

    /// A certificate for a client of this name.
    fn issue(&self, name: &str) -> Issued {
        self.authority.issue_svid(name, &id(name))
    }

    /// A client of this name that speaks HTTP/2.
    fn client(&self, name: &str) -> Arc<ClientConfig> {
        self.authority.client_config(&["h2"], Some(&self.issue(name)))
    }

    /// A connection of a client in HTTP/1.
    async fn http1(&self, proxy: &Proxy, name: &str) -> Client {
        let config = self
            .authority
            .client_config(&["http/1.1"], Some(&self.issue(name)));
        Client::connect_tls(proxy.address(), config, NAME).await.unwrap()
    }
}

fn id(name: &str) -> String {
    format!("spiffe://example.org/{name}")
}

/// A block that denies clients of these names.
fn denying(names: &[&str]) -> String {
    let ids: Vec<String> = names
        .iter()
        .map(|name| format!("{{ spiffe_id: '{}' }}", id(name)))
        .collect();
    format!("revocation: {{ denied: [{}] }}", ids.join(", "))
}

/// Long streams on one connection, each of which has been answered and may go on.
struct Streams {
    connection: FrameConnection,
    ids: Vec<u32>,
}

const GRPC: &[(&str, &str)] = &[("content-type", "application/grpc"), ("te", "trailers")];

impl Streams {
    async fn open(address: SocketAddr, config: Arc<ClientConfig>, path: &str, count: u32) -> Streams {
        let connection = FrameConnection::connect_tls(address, config, NAME, &[]).await;
        let mut streams = Streams {
            connection: connection.unwrap(),
            ids: Vec::new(),
        };
        streams.add(path, GRPC, count).await;
        streams
    }

    /// Opens more; what is said on one comes back on it.
    async fn add(&mut self, path: &str, fields: &[(&str, &str)], count: u32) {
        let first = self.ids.last().map_or(1, |last| last + 2);
        let ids: Vec<u32> = (0..count).map(|index| first + 2 * index).collect();
        for id in &ids {
            let request = Frame::request(*id, "POST", path, fields, false);
            self.connection.send(request).await.unwrap();
        }
        for _ in &ids {
            let head = self.connection.next_headers().await.unwrap();
            assert_eq!(head.field(":status"), Some("200"));
        }
        self.ids.extend(ids);
    }

    /// Says something on every stream and hears it, to the streams' ends: nothing has happened to them.
    async fn go_on(mut self) {
        for id in &self.ids {
            let last = Frame::data(*id, "bye", true);
            self.connection.send(last).await.unwrap();
        }
        let mut left = self.ids.clone();
        while !left.is_empty() {
            let frame = self
                .connection
                .next()
                .await
                .unwrap()
                .expect("the connection is there");
            // Of streams that were cut the rest may come.
            if frame.stream != 0 && !self.ids.contains(&frame.stream) {
                continue;
            }
            assert!(
                matches!(frame.kind, FrameKind::Data | FrameKind::Headers),
                "{frame:?}"
            );
            if frame.ends_stream() {
                left.retain(|id| *id != frame.stream);
            }
        }
    }

    /// The connection ends with GOAWAY, and every stream with it.
    async fn are_cut(mut self) {
        let away = self
            .connection
            .next_where(|frame| frame.kind == FrameKind::GoAway)
            .await
            .unwrap();
        assert_eq!(away.error_code(), Some(code::INADEQUATE_SECURITY));
        while let Ok(Some(frame)) = self.connection.next().await {
            assert!(
                frame.kind != FrameKind::Headers && !frame.ends_stream(),
                "{frame:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_thousand_streams_those_of_the_denied_identity_end_and_no_other() {
    let mesh = Mesh::new();
    let upstream = Echo::start().await;
    let document = mesh
        .document(upstream.address())
        .cluster("circuit_breakers: { default: { requests_max: 2000 } }");
    let proxy = Proxy::start(&document).await;
    let mut streams: Vec<(&str, Streams)> = Vec::new();
    for name in ["one", "two", "three", "four"] {
        let config = mesh.client(name);
        for _ in 0..5 {
            let opened = Streams::open(proxy.address(), Arc::clone(&config), "/", 100).await;
            streams.push((name, opened));
        }
    }
    proxy
        .reload(document.clone().with(&denying(&["three"])))
        .await
        .unwrap();
    for (name, streams) in streams {
        match name {
            "three" => streams.are_cut().await,
            _ => streams.go_on().await,
        }
    }
    let admin = proxy.admin();
    for (metric, count) in [
        (
            "outrigger_listener_requests_cut_total{reason=\"identity_revoked\"}",
            500.0,
        ),
        (
            "outrigger_listener_connections_cut_total{reason=\"identity_revoked\"}",
            5.0,
        ),
        (
            "outrigger_listener_connections_closed_total{reason=\"right_lost\"}",
            5.0,
        ),
        ("outrigger_listener_requests_active", 0.0),
    ] {
        admin.wait_for_metric(metric, count).await;
    }
    let metrics = admin.metrics().await;
    assert_eq!(metrics.sum("outrigger_listener_requests_cut_total"), 500.0);
    assert_eq!(metrics.sum("outrigger_listener_connections_cut_total"), 5.0);
    assert_eq!(metrics.sum("outrigger_route_response_flags_total"), 0.0);
    // Who is denied does not come in again, and who is not does.
    let again = Streams::open(proxy.address(), mesh.client("one"), "/", 1).await;
    again.go_on().await;
    let refused = FrameConnection::connect_tls(proxy.address(), mesh.client("three"), NAME, &[]).await;
    assert!(refused.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_that_take_nothing_cut_nobody() {
    let mesh = Mesh::new();
    let upstream = Echo::start().await;
    let document = mesh.document(upstream.address()).with(&denying(&["nobody"]));
    let proxy = Proxy::start(&document).await;
    let streams = Streams::open(proxy.address(), mesh.client("one"), "/", 20).await;
    for round in 0..20 {
        let changed = document
            .clone()
            .http(&format!("server_header: {{ set: round-{round} }}"));
        proxy.reload(changed).await.unwrap();
    }
    // Another certificate of our own, too, and somebody else's revocation.
    let server = mesh.authority.issue("other", &[NAME]);
    let renewed = Mesh {
        server,
        authority: mesh.authority,
    };
    let document = renewed
        .document(upstream.address())
        .with(&denying(&["nobody", "two"]));
    proxy.reload(document).await.unwrap();
    streams.go_on().await;
    let metrics = proxy.admin().metrics().await;
    assert_eq!(metrics.sum("outrigger_listener_connections_cut_total"), 0.0);
    assert_eq!(metrics.sum("outrigger_listener_requests_cut_total"), 0.0);
}
