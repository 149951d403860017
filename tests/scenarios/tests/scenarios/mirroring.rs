//! Copies of requests: what mirrors get, and that the original is the same whatever becomes of them.

use outrigger_fixtures::Echo;
use outrigger_fixtures::scripted::{Request, Scripted};
use outrigger_harness::{Client, Document, Proxy, wait_until, within};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

const DROPPED: &str = "outrigger_route_mirrors_dropped_total";

/// Everything goes to `upstream`, and a copy to `shadow`.
fn mirrored(upstream: &Scripted, shadow: &[SocketAddr]) -> Document {
    Document::to(&[upstream.address()])
        .with_cluster("shadow", shadow, "")
        .forward("mirrors: [{ cluster: shadow }]")
}

async fn copy_at(shadow: &Scripted) -> Request {
    wait_until("a copy", async || shadow.requests().pop()).await
}

async fn wait_for_drops(proxy: &Proxy, reason: &str, count: f64) {
    let series = format!("{DROPPED}{{reason=\"{reason}\"}}");
    proxy.admin().wait_for_metric(&series, count).await;
}

/// All fields but the host, as names and values.
fn fields(request: &Request) -> Vec<(String, String)> {
    let mut fields = request.head.fields.clone();
    fields.retain(|(name, _)| name != "host");
    fields
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_what_the_upstream_got_under_another_host() {
    let (upstream, shadow) = (
        Scripted::ok().await,
        Scripted::answering("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n").await,
    );
    let document = mirrored(&upstream, &[shadow.address()])
        .forward("prefix_rewrite: /v2, host_rewrite: 'inner.example:81'")
        .route("request_headers: { set: { x-edited: 'yes' } }");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    for request in [
        "GET /a?b=c HTTP/1.1\r\nhost: test\r\nx-a: 1\r\nx-a: 2\r\n\r\n",
        "POST /a HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nhello",
        "PUT /a HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nx-sum: 5\r\n\r\n",
    ] {
        let before = shadow.request_count();
        assert_eq!(client.exchange(request).await.text(), "ok\n");
        wait_until("a copy", async || (shadow.request_count() > before).then_some(())).await;
        let (original, copy) = (upstream.last_request(), shadow.last_request());
        assert_eq!(copy.head.start_line, original.head.start_line);
        assert_eq!(fields(&copy), fields(&original), "{request:?}");
        assert_eq!(copy.body, original.body, "{request:?}");
        assert_eq!(original.head.field("host"), Some("inner.example:81"));
        assert_eq!(copy.head.field("host"), Some("inner.example-shadow:81"));
    }
    let admin = proxy.admin();
    admin.wait_for_metric("outrigger_route_mirrored_total", 3.0).await;
    admin
        .wait_for_metric(
            "outrigger_cluster_requests_total{cluster=\"shadow\",code_class=\"5xx\"}",
            3.0,
        )
        .await;
    assert_eq!(admin.metric(DROPPED).await, 0.0);
    assert_eq!(upstream.request_count(), 3, "the original is sent once");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mirror_gets_its_share() {
    let (upstream, all, some) = (Scripted::ok().await, Scripted::ok().await, Scripted::ok().await);
    let document = Document::to(&[upstream.address()])
        .with_cluster("all", &[all.address()], "")
        .with_cluster("some", &[some.address()], "")
        .forward("mirrors: [{ cluster: all }, { cluster: some, percent: 25 }]");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    const REQUESTS: usize = 800;
    for _ in 0..REQUESTS {
        assert_eq!(client.fetch("/", "").await.status(), 200);
    }
    wait_until("all copies", async || {
        (all.request_count() == REQUESTS).then_some(())
    })
    .await;
    let mirrored = |metrics: f64| metrics as usize == all.request_count() + some.request_count();
    proxy
        .admin()
        .wait_for("outrigger_route_mirrored_total", mirrored)
        .await;
    // 200 expected, standard deviation 12.2: seven of them either way.
    let count = some.request_count();
    assert!((115..=285).contains(&count), "{count} of {REQUESTS}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_fails_fails_nobody_else() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = closed.local_addr().unwrap();
    drop(closed);
    let resets = Scripted::start(async |mut script| {
        script.request().await?;
        script.reset()
    })
    .await;
    let garbage = Scripted::answering("what?\r\n\r\n").await;
    let endless = Scripted::answering(format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n{}",
        "x".repeat(2_000_000)
    ))
    .await;
    let half = Scripted::start(async |mut script| {
        script.request().await?;
        script
            .send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
            .await
    })
    .await;
    let mirrors: [(&[SocketAddr], &str); 6] = [
        (&[], "no_endpoint"),
        (&[nobody], "connect"),
        (&[resets.address()], "failed"),
        (&[half.address()], "failed"),
        (&[garbage.address()], "failed"),
        (&[endless.address()], "answer_too_long"),
    ];
    for (shadow, reason) in mirrors {
        let upstream = Scripted::ok().await;
        let proxy = Proxy::start(mirrored(&upstream, shadow)).await;
        let mut client = Client::connect(proxy.address()).await;
        for _ in 0..3 {
            let response = client
                .exchange("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc")
                .await;
            assert_eq!(
                (response.status(), response.text().as_str()),
                (200, "ok\n"),
                "{reason}"
            );
        }
        wait_for_drops(&proxy, reason, 3.0).await;
        let admin = proxy.admin();
        assert_eq!(
            admin.metric("outrigger_route_mirrored_total").await,
            0.0,
            "{reason}"
        );
        assert_eq!(
            admin.metric("outrigger_route_response_flags_total").await,
            0.0,
            "{reason}"
        );
        assert_eq!(upstream.request_count(), 3, "{reason}");
    }
}

/// A mirror that never answers; its connections are accepted by the kernel alone.
fn silent() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_hangs_holds_up_neither_requests_nor_the_drain() {
    let upstream = Scripted::ok().await;
    let (_silent, address) = silent();
    let proxy = Proxy::start(mirrored(&upstream, &[address])).await;
    let mut client = Client::connect(proxy.address()).await;
    for _ in 0..5 {
        let body = "x".repeat(60_000);
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 60000\r\n\r\n{body}");
        assert_eq!(client.exchange(request).await.text(), "ok\n");
    }
    let active = "outrigger_cluster_requests_active{cluster=\"shadow\"}";
    proxy.admin().wait_for_metric(active, 5.0).await;
    drop(client);
    let whole = proxy.drain(Duration::ZERO, Duration::from_secs(3600));
    assert!(within("the drain", whole).await.unwrap(), "no request was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_bounded_in_number() {
    // A connection that is never greeted: all copies wait for the one.
    const COPIES_MAX: usize = 1024;
    let upstream = Scripted::ok().await;
    let (_silent, address) = silent();
    let document = Document::to(&[upstream.address()])
        .workers(1)
        .with_cluster("shadow", &[address], "protocol: http2, connect_timeout: 1h")
        .forward("mirrors: [{ cluster: shadow }]");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    for _ in 0..COPIES_MAX + 7 {
        assert_eq!(client.fetch("/", "").await.status(), 200);
    }
    wait_for_drops(&proxy, "limit", 7.0).await;
    assert_eq!(upstream.request_count(), COPIES_MAX + 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_bodies_are_not_copied() {
    const COPIED_BYTES_MAX: usize = 64 * 1024;
    let (upstream, shadow) = (Scripted::ok().await, Scripted::ok().await);
    let proxy = Proxy::start(mirrored(&upstream, &[shadow.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    let with_length = |bytes: usize| {
        format!(
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {bytes}\r\n\r\n{}",
            "x".repeat(bytes)
        )
    };
    let chunked = |bytes: usize| {
        format!(
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{bytes:x}\r\n{}\r\n0\r\n\r\n",
            "x".repeat(bytes)
        )
    };
    let mut dropped = 0.0;
    for (bytes, is_copied) in [
        (COPIED_BYTES_MAX, true),
        (COPIED_BYTES_MAX + 1, false),
        (3_000_000, false),
    ] {
        for request in [with_length(bytes), chunked(bytes)] {
            let before = shadow.request_count();
            assert_eq!(client.exchange(&request).await.text(), "ok\n");
            assert_eq!(
                upstream.last_request().body.bytes.len(),
                bytes,
                "the original is whole"
            );
            if is_copied {
                wait_until("a copy", async || (shadow.request_count() > before).then_some(())).await;
                assert_eq!(shadow.last_request().body.bytes.len(), bytes);
            } else {
                dropped += 1.0;
                wait_for_drops(&proxy, "body_too_long", dropped).await;
            }
        }
    }
    assert_eq!(shadow.head_count(), 2, "nothing of a long request is sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_ends_halfway_is_not_copied() {
    let (upstream, shadow) = (Scripted::ok().await, Scripted::ok().await);
    let proxy = Proxy::start(mirrored(&upstream, &[shadow.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf")
        .await;
    wait_until("the original", async || {
        (upstream.head_count() == 1).then_some(())
    })
    .await;
    drop(client);
    wait_for_drops(&proxy, "incomplete", 1.0).await;
    // Nor one that is too long for the route, or that no endpoint takes to its end.
    let document = mirrored(&upstream, &[shadow.address()]).route("request_body_max: 10B");
    proxy.reload(document).await.unwrap();
    let mut client = Client::connect(proxy.address()).await;
    let chunked = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n14\r\n01234567890123456789\r\n0\r\n\r\n";
    assert_eq!(client.exchange(chunked).await.status(), 413);
    wait_for_drops(&proxy, "incomplete", 2.0).await;
    assert_eq!(shadow.head_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_goes_out_though_the_original_fails() {
    let (upstream, shadow) = (Scripted::answering("nothing\r\n\r\n").await, Scripted::ok().await);
    let proxy = Proxy::start(mirrored(&upstream, &[shadow.address()])).await;
    let response = Client::connect(proxy.address()).await.fetch("/x", "").await;
    assert_eq!(response.status(), 502);
    assert_eq!(copy_at(&shadow).await.head.target(), "/x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirrors_connection_is_used_again() {
    let (upstream, shadow) = (Scripted::ok().await, Scripted::ok().await);
    let proxy = Proxy::start(mirrored(&upstream, &[shadow.address()]).workers(1)).await;
    let mut client = Client::connect(proxy.address()).await;
    for count in 1..=10 {
        assert_eq!(client.fetch("/", "").await.status(), 200);
        proxy
            .admin()
            .wait_for_metric("outrigger_route_mirrored_total", f64::from(count))
            .await;
    }
    assert_eq!((shadow.request_count(), shadow.connections()), (10, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_may_speak_the_other_version() {
    let (upstream, shadow) = (Scripted::ok().await, Echo::start().await);
    let document = Document::to(&[upstream.address()])
        .workers(1)
        .with_cluster("shadow", &[shadow.address()], "protocol: http2")
        .forward("mirrors: [{ cluster: shadow }]");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    for count in 1..=5 {
        let request = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 3\r\n\r\n";
        assert_eq!(client.exchange(request).await.text(), "ok\n");
        proxy
            .admin()
            .wait_for_metric("outrigger_route_mirrored_total", f64::from(count))
            .await;
    }
    assert_eq!((shadow.requests(), shadow.connections()), (5, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_is_not_copied_and_brings_its_session_cookie() {
    // The key and its answer of RFC 6455 section 1.3.
    let upstream = Scripted::answering(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    )
    .await;
    let shadow = Scripted::ok().await;
    let document = mirrored(&upstream, &[shadow.address()]).forward("session_cookie: { name: stay }");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .send(
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .await;
    let head = client.head().await;
    assert_eq!(head.status(), 101);
    assert!(
        head.field("set-cookie")
            .is_some_and(|cookie| cookie.starts_with("stay="))
    );
    // An ordinary request behind it, on the same route, is copied: what was not by then will not be.
    assert_eq!(upstream.request_count(), 1);
    let mut other = Client::connect(proxy.address()).await;
    other.send("GET /other HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(copy_at(&shadow).await.head.target(), "/other");
    assert_eq!(shadow.request_count(), 1);
}
