//! Bodies: what is told of them, and that the upstream gets them whole and framed as they came.

use super::{OUTCOMES, Scene, allow, asking_http, response};
use outrigger_fixtures::Scripted;
use outrigger_fixtures::frames::{Frame, FrameConnection, FrameKind};
use outrigger_harness::{Client, Proxy};

const LIMITED: &str = ", body: { bytes_max: 8 }";
const PARTIAL: &str = ", body: { bytes_max: 8, partial_allowed: true }";

fn with_length(body: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn chunked(pieces: &[&str], trailers: &str) -> String {
    let chunks: String = pieces
        .iter()
        .map(|piece| format!("{:x}\r\n{piece}\r\n", piece.len()))
        .collect();
    format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\n{trailers}\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_told_and_pass_as_they_came() {
    let table = [
        (LIMITED, with_length("abc"), "abc", "false", "abc"),
        (LIMITED, with_length("12345678"), "12345678", "false", "12345678"),
        (
            LIMITED,
            chunked(&["ab", "cde"], "x-sum: 5\r\n"),
            "abcde",
            "false",
            "abcde",
        ),
        (
            PARTIAL,
            with_length("1234567890"),
            "12345678",
            "true",
            "1234567890",
        ),
        (
            PARTIAL,
            chunked(&["1234", "56789", "0"], ""),
            "12345678",
            "true",
            "1234567890",
        ),
    ];
    for (fields, request, told, partial, whole) in table {
        let scene = Scene::new(fields, |_| allow()).await;
        let mut client = Client::connect(scene.proxy.address()).await;
        for _ in 0..2 {
            assert_eq!(client.exchange(&request).await.text(), "ok\n", "{request}");
        }
        let check = scene.service.last_check();
        assert_eq!(check.http().body, told, "{request}");
        assert_eq!(
            check.http().headers["x-envoy-auth-partial-body"],
            partial,
            "{request}"
        );
        let sent = scene.upstream.last_request();
        assert_eq!(&sent.body.bytes[..], whole.as_bytes(), "{request}");
        let is_chunked = request.contains("chunked");
        assert_eq!(
            sent.head.field("transfer-encoding").is_some(),
            is_chunked,
            "{request}"
        );
        if request.contains("x-sum") {
            assert_eq!(sent.body.trailers, [("x-sum".to_owned(), "5".to_owned())]);
        }
        let held = "outrigger_listener_external_authorization_body_bytes";
        scene.proxy.admin().wait_for_metric(held, 0.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_body_is_told_without() {
    let scene = Scene::new(LIMITED, |_| allow()).await;
    let mut client = Client::connect(scene.proxy.address()).await;
    assert_eq!(client.fetch("/", "").await.status(), 200);
    let check = scene.service.last_check();
    assert_eq!((check.http().body.as_str(), check.http().size), ("", 0));
    assert!(!check.http().headers.contains_key("x-envoy-auth-partial-body"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_long_is_refused_unasked() {
    for request in [with_length("123456789"), chunked(&["12345", "6789"], "")] {
        let scene = Scene::new(LIMITED, |_| allow()).await;
        let mut client = Client::connect(scene.proxy.address()).await;
        assert_eq!(client.exchange(&request).await.status(), 413, "{request}");
        assert!(scene.service.checks().is_empty());
        assert_eq!(scene.upstream.head_count(), 0);
        assert_eq!(scene.outcome("body_too_long").await, 1.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_body_streams_on_behind_its_beginning() {
    let scene = Scene::new(PARTIAL, |_| allow()).await;
    let mut client = Client::connect(scene.proxy.address()).await;
    let body: String = (0..300_000)
        .map(|index| char::from(b'a' + (index % 26) as u8))
        .collect();
    assert_eq!(client.exchange(with_length(&body)).await.text(), "ok\n");
    assert_eq!(&scene.upstream.last_request().body.bytes[..], body.as_bytes());
    assert_eq!(scene.service.last_check().http().body, "abcdefgh");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_is_told_to_go_on() {
    let scene = Scene::new(LIMITED, |_| allow()).await;
    let mut client = Client::connect(scene.proxy.address()).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n")
        .await;
    assert_eq!(client.head().await.status(), 100);
    client.send("abc").await;
    assert_eq!(client.response("POST").await.text(), "ok\n");
    assert_eq!(scene.service.last_check().http().body, "abc");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_not_read_if_it_is_not_told() {
    let scene = Scene::new("", |_| response(7, None)).await;
    let mut client = Client::connect(scene.proxy.address()).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n")
        .await;
    assert_eq!(client.response("POST").await.status(), 403, "without 100 before");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_the_body_is_the_questions() {
    let upstream = Scripted::ok().await;
    let service = Scripted::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let proxy = Proxy::start(asking_http(upstream.address(), &[service.address()], "", PARTIAL)).await;
    let mut client = Client::connect(proxy.address()).await;
    assert_eq!(client.exchange(with_length("1234567890")).await.text(), "ok\n");
    let asked = service.last_request();
    assert_eq!(&asked.body.bytes[..], b"12345678");
    assert_eq!(asked.head.field("x-envoy-auth-partial-body"), Some("true"));
    assert_eq!(&upstream.last_request().body.bytes[..], b"1234567890");
    let allowed = format!("{OUTCOMES}{{outcome=\"allowed\"}}");
    assert_eq!(proxy.admin().metric(&allowed).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_stream_is_decided_on_by_its_first_message() {
    let fields = ", body: { bytes_max: 1KiB, partial_allowed: true }";
    let scene = Scene::edited(
        fields,
        |_| response(7, None),
        |document| document.cluster("protocol: http2"),
    )
    .await;
    let mut client = FrameConnection::connect(scene.proxy.address(), &[])
        .await
        .unwrap();
    let fields = [("content-type", "application/grpc"), ("te", "trailers")];
    client
        .send(Frame::request(1, "POST", "/a.B/C", &fields, false))
        .await
        .unwrap();
    // Cut in the middle of its prefix, and the stream stays open.
    for piece in ["\0\0", "\0\0\x05whole"] {
        client.send(Frame::data(1, piece, false)).await.unwrap();
    }
    let denied = client
        .next_where(|frame| frame.kind == FrameKind::Headers)
        .await
        .unwrap();
    assert_eq!(denied.field("grpc-status"), Some("7"));
    assert_eq!(scene.service.last_check().http().body, "\0\0\0\0\x05whole");
}
