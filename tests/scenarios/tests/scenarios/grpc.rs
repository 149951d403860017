//! gRPC with Python's grpcio at both ends: all kinds of streaming, and what becomes of failures.

use crate::programs::{Beside, output, peer, python};
use outrigger_fixtures::frames::{Frame, FrameConnection, FrameKind, FrameServer, code};
use outrigger_harness::{Document, Proxy};
use std::path::PathBuf;
use std::process::Command;

struct Service {
    python: PathBuf,
    server: Beside,
    proxy: Proxy,
}

/// A gRPC server behind a proxy; none if there is no Python for it.
async fn service() -> Option<Service> {
    let python = python()?;
    let mut command = Command::new(&python);
    command.arg(peer("grpc_server.py"));
    let (server, address) = Beside::listening(command);
    let proxy = Proxy::start(Document::to(&[address]).cluster("protocol: http2")).await;
    Some(Service {
        python,
        server,
        proxy,
    })
}

impl Service {
    /// Runs cases of the client; they all pass.
    async fn passes(&self, cases: &[&str]) {
        calls(&self.python, &self.proxy, cases).await;
    }

    /// Waits for the end of a call at the server.
    fn ended(&self, line: &str) {
        loop {
            if self.server.line() == line {
                return;
            }
        }
    }
}

async fn calls(python: &PathBuf, proxy: &Proxy, cases: &[&str]) {
    let mut command = Command::new(python);
    command
        .arg(peer("grpc_client.py"))
        .arg(proxy.address().to_string())
        .args(cases);
    let said = output(command).await;
    let expected: Vec<String> = cases.iter().map(|case| format!("passed {case}")).collect();
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_call_passes() {
    let Some(service) = service().await else { return };
    service
        .passes(&[
            "unary",
            "client_streaming",
            "server_streaming",
            "chat",
            "large",
            "many",
            "metadata",
        ])
        .await;
    let admin = service.proxy.admin();
    let flagged = admin.metric("outrigger_route_response_flags_total").await;
    assert_eq!(flagged, 0.0, "nothing went wrong");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_come_as_they_were_sent() {
    let Some(service) = service().await else { return };
    service.passes(&["errors"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_stream_is_cancelled_at_the_server() {
    let Some(service) = service().await else { return };
    service.passes(&["cancel"]).await;
    service.ended("ended Count cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_the_call_at_both_ends() {
    let Some(service) = service().await else { return };
    service.passes(&["deadline"]).await;
    service.ended("ended Unary cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn local_replies_are_grpc_statuses() {
    let Some(python) = python() else { return };
    let away = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let proxy = Proxy::start(Document::to(&[away]).cluster("protocol: http2")).await;
    calls(&python, &proxy, &["unreachable"]).await;
    let routes = "{ match: { path: /else }, forward: { cluster: upstream } }";
    let proxy = Proxy::start(Document::to(&[away]).routes(routes)).await;
    calls(&python, &proxy, &["unrouted"]).await;
}

/// A gRPC call whose upstream sends its head, and then what the test says; how it ends for the client.
async fn ended_after_its_head(rest: fn(u32) -> Vec<Frame>, timeout: &str) -> Frame {
    let upstream = FrameServer::start(move |mut connection, _| async move {
        connection.greet(&[]).await?;
        let stream = connection.next_headers().await?.stream;
        let head = [(":status", "200"), ("content-type", "application/grpc")];
        connection.send(Frame::headers(stream, &head, false)).await?;
        connection.send_all(&rest(stream)).await?;
        connection.read_to_end().await.map(drop)
    })
    .await
    .unwrap();
    let proxy = Proxy::start(Document::to(&[upstream.address()]).cluster("protocol: http2")).await;
    let mut client = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let fields = [
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("grpc-timeout", timeout),
    ];
    client
        .send(Frame::request(1, "POST", "/a.B/C", &fields, true))
        .await
        .unwrap();
    let head = client.next_headers().await.unwrap();
    assert_eq!(
        (head.field(":status"), head.field("grpc-status")),
        (Some("200"), None)
    );
    let last = |frame: &Frame| frame.ends_stream() || frame.kind == FrameKind::RstStream;
    client.next_where(last).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_cut_after_its_head_ends_with_a_status() {
    let message = |stream| vec![Frame::data(stream, "\0\0\0\0\x05whole", false)];
    let deadline = ended_after_its_head(message, "200m").await;
    assert_eq!(deadline.field("grpc-status"), Some("4"), "{deadline:?}");
    let reset = ended_after_its_head(|stream| vec![Frame::reset(stream, code::INTERNAL_ERROR)], "1M").await;
    assert_eq!(reset.field("grpc-status"), Some("14"), "{reset:?}");
}

/// Answers each call by its path: with a status in trailers, in the head alone, or with none.
async fn answering_by_path() -> FrameServer {
    let server = FrameServer::start(|mut connection, _| async move {
        connection.greet(&[]).await?;
        // Until the proxy closes the connection.
        while let Ok(call) = connection.next_headers().await {
            let stream = call.stream;
            let head = [(":status", "200"), ("content-type", "application/grpc")];
            let with_trailers = |status| {
                vec![
                    Frame::headers(stream, &head, false),
                    Frame::data(stream, "\0\0\0\0\x02ok", false),
                    Frame::headers(stream, &[("grpc-status", status)], true),
                ]
            };
            let answer = match call.field(":path").unwrap_or_default() {
                "/shop.Cart/Add" => with_trailers("0"),
                "/shop.Cart/Late" => with_trailers("5"),
                "/shop.Cart/Strange" => with_trailers("99"),
                "/shop.Cart/Only" => vec![Frame::headers(
                    stream,
                    &[head[0], head[1], ("grpc-status", "7")],
                    true,
                )],
                "/shop.Cart/Plain" => vec![Frame::response(stream, "429", true)],
                // A stream that its client leaves.
                _ => vec![Frame::headers(stream, &head, false)],
            };
            connection.send_all(&answer).await?;
        }
        Ok(())
    });
    server.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_counted_by_the_status_that_their_client_got() {
    let upstream = answering_by_path().await;
    let routes = "{ name: cart, match: { prefix: /shop.Cart }, forward: { cluster: upstream } }, \
                  { name: away, match: { prefix: /shop.Away }, forward: { cluster: nobody } }";
    let document = Document::to(&[upstream.address()])
        .cluster("protocol: http2")
        .with_cluster("nobody", &[], "")
        .routes(routes);
    let proxy = Proxy::start(document).await;
    let mut client = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let mut stream = 1;
    let mut call = async |path: &str, content_type: &str| {
        let fields = [("content-type", content_type), ("te", "trailers")];
        let request = Frame::request(stream, "POST", path, &fields, true);
        stream += 2;
        client.send(request).await.unwrap();
        let last = |frame: &Frame| frame.ends_stream();
        client.next_where(last).await.unwrap()
    };
    for (path, content_type, told) in [
        ("/shop.Cart/Add", "application/grpc", Some("0")),
        ("/shop.Cart/Add", "application/grpc+proto", Some("0")),
        ("/shop.Cart/Late", "application/grpc", Some("5")),
        ("/shop.Cart/Only", "application/grpc", Some("7")),
        ("/shop.Cart/Strange", "application/grpc", Some("99")),
        ("/shop.Cart/Plain", "application/grpc", None),
        ("/shop.Away/Any", "application/grpc", Some("14")),
        ("/shop.Cart/Add", "application/grpc-web", Some("0")),
    ] {
        assert_eq!(
            call(path, content_type).await.field("grpc-status"),
            told,
            "{path}"
        );
    }
    let fields = [("content-type", "application/grpc")];
    let watch = Frame::request(stream, "POST", "/shop.Cart/Watch", &fields, true);
    client.send(watch).await.unwrap();
    client.next_headers().await.unwrap();
    client.send(Frame::reset(stream, code::CANCEL)).await.unwrap();
    let admin = proxy.admin();
    let series = |route: &str, status: &str| {
        format!("outrigger_route_grpc_requests_total{{grpc_status=\"{status}\",route=\"{route}\"}}")
    };
    admin.wait_for_metric(&series("cart", "none"), 1.0).await;
    for (route, status, count) in [
        ("cart", "OK", 2.0),
        ("cart", "NOT_FOUND", 1.0),
        ("cart", "PERMISSION_DENIED", 1.0),
        ("cart", "other", 1.0),
        // What gRPC's clients make of an answer that is none of gRPC.
        ("cart", "UNAVAILABLE", 1.0),
        ("away", "UNAVAILABLE", 1.0),
    ] {
        assert_eq!(
            admin.metric(&series(route, status)).await,
            count,
            "{route} {status}"
        );
    }
    let all = admin.metric("outrigger_route_grpc_requests_total").await;
    assert_eq!(all, 8.0, "what is not gRPC is not counted");
}
