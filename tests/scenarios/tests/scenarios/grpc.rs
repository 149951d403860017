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
