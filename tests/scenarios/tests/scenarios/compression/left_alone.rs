//! Responses that are not compressed, and what is counted for each.

use super::{ALL, text};
use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Document, Proxy, client};

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_be_changed_is_not() {
    let long = text(4000);
    let table = [
        ("200 OK", "content-type: image/png\r\n", "content_type"),
        ("200 OK", "x-no: type\r\n", "content_type"),
        ("200 OK", "content-type: text/event-stream\r\n", "content_type"),
        (
            "200 OK",
            "content-type: text/html\r\ncontent-encoding: br\r\n",
            "content_encoding",
        ),
        (
            "200 OK",
            "content-type: text/html\r\ncache-control: public, No-Transform\r\n",
            "no_transform",
        ),
        (
            "200 OK",
            "content-type: text/html\r\ncontent-digest: sha-256=:x:\r\n",
            "digest",
        ),
        (
            "200 OK",
            "content-type: text/html\r\ncontent-range: bytes 0-3999/5000\r\n",
            "range",
        ),
        (
            "206 Partial Content",
            "content-type: text/html\r\ncontent-range: bytes 0-3999/5000\r\n",
            "range",
        ),
        ("404 Not Found", "content-type: text/html\r\n", "status"),
        (
            "500 Internal Server Error",
            "content-type: text/html\r\n",
            "status",
        ),
    ];
    for (status, fields, reason) in table {
        let answer =
            format!("HTTP/1.1 {status}\r\n{fields}content-length: 4000\r\netag: \"a\"\r\n\r\n{long}");
        let upstream = Scripted::answering(answer).await;
        let proxy = Proxy::start(Document::to(&[upstream.address()]).http(ALL)).await;
        let response = client::fetch(proxy.address(), "/", "accept-encoding: gzip, br\r\n").await;
        assert_eq!(response.text(), long, "{status} {fields}");
        assert_eq!(
            response.field("content-length"),
            Some("4000"),
            "{status} {fields}"
        );
        assert_eq!(response.field("etag"), Some("\"a\""), "{status} {fields}");
        assert_eq!(response.field("vary"), None, "{status} {fields}");
        let series = format!("outrigger_listener_not_compressed_responses_total{{reason=\"{reason}\"}}");
        proxy.admin().wait_for_metric(&series, 1.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn short_bodies_empty_ones_and_routes_that_say_so_are_left_alone() {
    let answer = |bytes: usize| {
        let body = text(bytes);
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {bytes}\r\n\r\n{body}")
    };
    for (bytes, http, route, compressed) in [
        (1023, ALL, "", false),
        (1024, ALL, "", true),
        (0, "compression: { algorithms: [gzip], bytes_min: 0 }", "", false),
        (1, "compression: { algorithms: [gzip], bytes_min: 0 }", "", true),
        (4000, ALL, "compression: off", false),
        (
            4000,
            "compression: { algorithms: [gzip], content_types: [text/html] }",
            "",
            false,
        ),
        (4000, "compression: off", "", false),
    ] {
        let upstream = Scripted::answering(answer(bytes)).await;
        let proxy = Proxy::start(Document::to(&[upstream.address()]).http(http).route(route)).await;
        let response = client::fetch(proxy.address(), "/", "accept-encoding: gzip\r\n").await;
        let what = format!("{bytes} {http} {route}");
        assert_eq!(response.field("content-encoding").is_some(), compressed, "{what}");
        assert_eq!(response.field("content-length").is_some(), !compressed, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_0_keeps_its_length_and_its_connection() {
    let body = text(4000);
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 4000\r\n\r\n{body}");
    let upstream = Scripted::answering(answer).await;
    let http = format!("accept_http_10: true, {ALL}");
    let proxy = Proxy::start(Document::to(&[upstream.address()]).http(&http)).await;
    let mut client = Client::connect(proxy.address()).await;
    for _ in 0..2 {
        let request = "GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\naccept-encoding: gzip\r\n\r\n";
        let response = client.exchange(request).await;
        assert_eq!(response.field("content-length"), Some("4000"));
        assert_eq!(response.field("vary"), Some("accept-encoding"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_has_a_compression_of_its_own() {
    let body = text(4000);
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ncontent-length: 4000\r\n\r\n{body}");
    let upstream = Scripted::answering(answer).await;
    let http = "compression: { algorithms: [gzip], content_types: [application/*] }";
    let proxy = Proxy::start(Document::to(&[upstream.address()]).http(http)).await;
    let response = client::fetch(proxy.address(), "/", "accept-encoding: gzip\r\n").await;
    assert_eq!(
        (response.field("content-encoding"), response.text()),
        (None, body)
    );
}
