//! What a route does not let through, and what it cannot reach.

use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Document, Proxy, wait_until};
use std::sync::Arc;
use tokio::sync::Notify;

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_413_before_or_while_it_comes() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).route("request_body_max: 10B")).await;
    let with_length = |bytes: usize| {
        format!(
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {bytes}\r\n\r\n{}",
            "x".repeat(bytes)
        )
    };
    let chunked = |pieces: &[&str]| {
        let chunks: String = pieces
            .iter()
            .map(|piece| format!("{:x}\r\n{piece}\r\n", piece.len()))
            .collect();
        format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
    };
    for (request, status) in [
        (with_length(10), 200),
        (with_length(11), 413),
        (chunked(&["01234", "56789"]), 200),
        (chunked(&["01234", "567890"]), 413),
        (chunked(&["01234567890"]), 413),
    ] {
        let mut client = Client::connect(proxy.address()).await;
        let response = client.exchange(&request).await;
        assert_eq!(response.status(), status, "{request:?}");
        if status == 413 {
            assert_eq!(response.text(), "request body too large\n");
        }
    }
    assert_eq!(
        upstream.request_count(),
        2,
        "no body over the limit reached the upstream whole"
    );
    wait_until("upstreams of cut bodies to be left", async || {
        (upstream.open_connections() <= 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_length_over_the_limit_is_refused_without_waiting_for_it() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).route("request_body_max: 1KiB")).await;
    let mut client = Client::connect(proxy.address()).await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 1000000000\r\n\r\n";
    let response = client.exchange(head).await;
    assert_eq!((response.status(), response.interim.len()), (413, 0));
    assert!(client.is_closed().await);
    assert_eq!(upstream.connections(), 0);
}

const TOO_LONG: &str = "outrigger_route_responses_too_long_total";

fn at_most_10_bytes(upstream: &Scripted) -> Document {
    Document::to(&[upstream.address()]).route("response_body_max: 10B")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_announces_too_much_is_502() {
    let with_length = |bytes: usize| {
        let body = "x".repeat(bytes);
        format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n{body}")
    };
    let only_head = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n".to_owned();
    for (response, method, status) in [
        (with_length(10), "GET", 200),
        (with_length(11), "GET", 502),
        (only_head, "HEAD", 200),
    ] {
        let upstream = Scripted::answering(response.clone()).await;
        let proxy = Proxy::start(at_most_10_bytes(&upstream)).await;
        let mut client = Client::connect(proxy.address()).await;
        let response = client
            .exchange(format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n"))
            .await;
        assert_eq!(response.status(), status, "{response:?}");
        let refused = f64::from(u8::from(status == 502));
        let admin = proxy.admin();
        admin
            .wait_for_metric(&format!("{TOO_LONG}{{result=\"refused\"}}"), refused)
            .await;
        admin
            .wait_for_metric("outrigger_route_response_flags_total{flag=\"UPE\"}", refused)
            .await;
        if status == 502 {
            assert_eq!(response.text(), "upstream response too large\n");
            assert_eq!(
                client.fetch("/", "").await.status(),
                502,
                "the connection goes on"
            );
        }
        assert_eq!(
            upstream.request_count(),
            1 + usize::from(status == 502),
            "no retry"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_turns_out_too_long_is_cut() {
    for (second, is_whole) in [("56789", true), ("567890", false)] {
        let seen = Arc::new(Notify::new());
        let wait = Arc::clone(&seen);
        let upstream = Scripted::start(move |mut script| {
            let wait = Arc::clone(&wait);
            async move {
                script.request().await?;
                script
                    .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n01234\r\n")
                    .await?;
                wait.notified().await;
                let rest = format!("{:x}\r\n{second}\r\n0\r\n\r\n", second.len());
                script.send(rest).await?;
                script.until_closed().await
            }
        })
        .await;
        let proxy = Proxy::start(at_most_10_bytes(&upstream)).await;
        let mut client = Client::connect(proxy.address()).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let head = client.head().await;
        assert_eq!(head.status(), 200);
        seen.notify_one();
        let body = client.body(&head).await;
        assert_eq!(body.is_ok(), is_whole, "{second}");
        let cut = f64::from(u8::from(!is_whole));
        let admin = proxy.admin();
        admin
            .wait_for_metric(&format!("{TOO_LONG}{{result=\"cut\"}}"), cut)
            .await;
        admin
            .wait_for_metric("outrigger_route_response_flags_total{flag=\"UPE\"}", cut)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_endpoints_is_503_uh() {
    let proxy = Proxy::start(Document::to(&[])).await;
    let response = Client::connect(proxy.address()).await.fetch("/", "").await;
    assert_eq!(
        (response.status(), response.text().as_str()),
        (503, "no healthy upstream\n")
    );
    proxy
        .admin()
        .wait_for_metric("outrigger_route_response_flags_total{flag=\"UH\"}", 1.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_are_normalized_as_the_listener_says() {
    let upstream = Scripted::ok().await;
    for (http, target, expected) in [
        ("", "/a%2Fb//c", Some("/a%2Fb//c")),
        ("escaped_slashes: unescape", "/a%2Fb", Some("/a/b")),
        ("escaped_slashes: unescape", "/a/%2e%2e%2fb", Some("/b")),
        ("escaped_slashes: refuse", "/a%2Fb", None),
        ("repeated_slashes: merge", "//a///b/", Some("/a/b/")),
        ("repeated_slashes: refuse", "/a//b", None),
        (
            "escaped_slashes: unescape, repeated_slashes: merge",
            "/a%2F%2Fb",
            Some("/a/b"),
        ),
    ] {
        let proxy = Proxy::start(Document::to(&[upstream.address()]).http(http)).await;
        let response = Client::connect(proxy.address()).await.fetch(target, "").await;
        match expected {
            Some(path) => {
                assert_eq!(response.status(), 200, "{http} {target}");
                assert_eq!(upstream.last_request().head.target(), path, "{http}");
            }
            None => assert_eq!(response.status(), 400, "{http} {target}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_cannot_be_gone_around_by_spelling() {
    let upstream = Scripted::ok().await;
    let routes = "{ match: { prefix: /admin }, direct_response: { status: 403 } }, \
                  { match: { prefix: / }, forward: { cluster: upstream } }";
    let http = "escaped_slashes: unescape, repeated_slashes: merge";
    let proxy = Proxy::start(Document::to(&[upstream.address()]).routes(routes).http(http)).await;
    let mut client = Client::connect(proxy.address()).await;
    for target in [
        "/admin",
        "/%61dmin",
        "/a/../admin",
        "/a/%2e%2e/admin",
        "//admin",
        "/./admin/",
        "/x%2f..%2fadmin",
        "/%2fadmin",
        "/admin/..%2fadmin",
        "http://test//admin",
    ] {
        assert_eq!(client.fetch(target, "").await.status(), 403, "{target}");
    }
    assert_eq!(upstream.request_count(), 0);
}
