//! Aborts, resets, and answers that are slowed down.

use super::*;
use outrigger_fixtures::frames::{Frame, FrameConnection, FrameKind, code};
use outrigger_harness::Client;
use outrigger_harness::client::fetch;
use std::io;

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_is_answered_here_over_both_versions_and_logged() {
    let scene = Scene::with("{ abort: { status: 418 } }").await;
    let mut client = Client::connect(scene.proxy.address()).await;
    for _ in 0..2 {
        let response = client.fetch("/", "").await;
        assert_eq!(
            (response.status(), response.text().as_str()),
            (418, "fault filter abort\n")
        );
    }
    let mut connection = FrameConnection::connect(scene.proxy.address(), &[])
        .await
        .unwrap();
    connection
        .send(Frame::request(1, "GET", "/", &[], true))
        .await
        .unwrap();
    let head = connection.next_headers().await.unwrap();
    assert_eq!(head.field(":status"), Some("418"));
    assert_eq!(scene.lines(3).await, ["418 FI fault_filter_abort"; 3]);
    assert_eq!(scene.upstream.connections(), 0);
    assert_eq!(scene.metric(&format!("{INJECTED}{{kind=\"abort\"}}")).await, 3.0);
    let flagged = "outrigger_route_response_flags_total{flag=\"FI\"}";
    assert_eq!(scene.metric(flagged).await, 3.0);
}

/// A status of gRPC, given as it is or by the HTTP status that stands for it; and what others get.
#[tokio::test(flavor = "multi_thread")]
async fn grpc_gets_a_status_and_others_its_translation() {
    for (abort, grpc, other) in [
        ("grpc_status: 14", "14", "503"),
        ("grpc_status: 8", "8", "429"),
        ("grpc_status: 0", "0", "200"),
        ("status: 503", "14", "503"),
        ("status: 404", "12", "404"),
    ] {
        let scene = Scene::with(&format!("{{ abort: {{ {abort} }} }}")).await;
        let mut connection = FrameConnection::connect(scene.proxy.address(), &[])
            .await
            .unwrap();
        let fields = [("content-type", "application/grpc"), ("te", "trailers")];
        connection
            .send_all(&[
                Frame::request(1, "POST", "/a.B/C", &fields, true),
                Frame::request(3, "GET", "/", &[], true),
            ])
            .await
            .unwrap();
        for _ in 0..2 {
            let head = connection.next_headers().await.unwrap();
            if head.stream == 1 {
                assert_eq!(head.field(":status"), Some("200"), "{abort}");
                assert_eq!(head.field("grpc-status"), Some(grpc), "{abort}");
                assert_eq!(head.field("grpc-message"), Some("fault filter abort"), "{abort}");
            } else {
                assert_eq!(head.field(":status"), Some(other), "{abort}");
            }
        }
        assert_eq!(scene.upstream.connections(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_ends_a_connection_of_http1_and_a_stream_of_http2() {
    let scene = Scene::with("{ headers: [{ name: x-break, exact: 'yes' }], abort: { reset: true } }").await;
    let mut client = Client::connect(scene.proxy.address()).await;
    assert_eq!(client.fetch("/", "").await.status(), 200);
    client
        .send("GET / HTTP/1.1\r\nhost: test\r\nx-break: yes\r\n\r\n")
        .await;
    let end = client.wire().fill().await;
    assert!(
        matches!(&end, Err(error) if error.kind() == io::ErrorKind::ConnectionReset),
        "{end:?}"
    );
    let mut connection = FrameConnection::connect(scene.proxy.address(), &[])
        .await
        .unwrap();
    connection
        .send(Frame::request(1, "GET", "/", &[("x-break", "yes")], true))
        .await
        .unwrap();
    let reset = connection
        .next_where(|frame| frame.kind == FrameKind::RstStream)
        .await
        .unwrap();
    assert_eq!(
        (reset.stream, reset.error_code()),
        (1, Some(code::INTERNAL_ERROR))
    );
    connection
        .send(Frame::request(3, "GET", "/", &[], true))
        .await
        .unwrap();
    let head = connection.next_headers().await.unwrap();
    assert_eq!((head.stream, head.field(":status")), (3, Some("200")));
    assert_eq!(scene.upstream.request_count(), 2);
    let lines = scene.lines(4).await;
    let broken = lines.iter().filter(|line| *line == "0 FI fault_filter_abort");
    assert_eq!(broken.count(), 2, "{lines:?}");
    assert_eq!(scene.metric(&format!("{INJECTED}{{kind=\"reset\"}}")).await, 2.0);
}

/// At 1,024 bytes a second a piece has 64: as many frames as the body has pieces, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_goes_piece_by_piece() {
    let body: String = ('a'..='z').cycle().take(400).collect();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n{body}");
    let upstream = Scripted::answering(answer).await;
    let document = Document::to(&[upstream.address()])
        .route("fault: { expires: never, response_rate: { bytes_per_second: 1KiB } }");
    let proxy = Proxy::start(document).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    connection
        .send(Frame::request(1, "GET", "/", &[], true))
        .await
        .unwrap();
    let head = connection.next_headers().await.unwrap();
    assert_eq!(head.field(":status"), Some("200"));
    let (mut sizes, mut received) = (Vec::new(), Vec::new());
    loop {
        let frame = connection
            .next_where(|frame| frame.kind == FrameKind::Data)
            .await
            .unwrap();
        if !frame.payload.is_empty() {
            sizes.push(frame.payload.len());
        }
        received.extend_from_slice(&frame.payload);
        if sizes.len() == 1 {
            assert_eq!(proxy.admin().metric(ACTIVE).await, 1.0);
        }
        if frame.ends_stream() {
            break;
        }
    }
    assert_eq!(sizes, [64, 64, 64, 64, 64, 64, 16]);
    assert_eq!(received, body.as_bytes());
    proxy.admin().wait_for_metric(ACTIVE, 0.0).await;
    let slowed = format!("{INJECTED}{{kind=\"response_rate\"}}");
    assert_eq!(proxy.admin().metric(&slowed).await, 1.0);
    // HTTP/1: the same body in one, for a client that does not see pieces.
    assert_eq!(fetch(proxy.address(), "/", "").await.text(), body);
}

/// What is not yet due stays with the upstream, which cannot write on: nothing is gathered here.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_answer_holds_its_upstream_back() {
    let (sent, told) = tokio::sync::watch::channel(0usize);
    let upstream = Scripted::start(move |mut script| {
        let sent = sent.clone();
        async move {
            if script.request().await?.is_some() {
                script
                    .send("HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n")
                    .await?;
                loop {
                    script.send(vec![b'x'; 64 * 1024]).await?;
                    sent.send_modify(|bytes| *bytes += 64 * 1024);
                }
            }
            Ok(())
        }
    })
    .await;
    let document = Document::to(&[upstream.address()])
        .route("fault: { expires: never, response_rate: { bytes_per_second: 1KiB } }");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 200);
    // Some seconds' worth: had the proxy read on, it would have taken all of the GiB by then.
    assert_eq!(client.take(1024).await.len(), 1024);
    let held = *told.borrow();
    assert!(held < 64 * 1024 * 1024, "{held} bytes were taken");
    client.reset();
    proxy.admin().wait_for_metric(ACTIVE, 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_and_direct_responses_are_broken_too() {
    let scene = Scene::edited(|document| {
        document.routes(
            "{ match: { prefix: /moved }, redirect: { path: /new }, fault: { expires: never, abort: { status: 500 } } }, \
             { match: { prefix: / }, direct_response: { status: 200, body: here }, fault: { expires: never, abort: { status: 502 } } }",
        )
    })
    .await;
    let address = scene.proxy.address();
    assert_eq!(fetch(address, "/moved", "").await.status(), 500);
    assert_eq!(fetch(address, "/", "").await.status(), 502);
}
