//! HTTPS at the edge: plain requests are redirected before any route, and answers over HTTPS say to ask by it only.

use outrigger_fixtures::frames::{Frame, FrameConnection};
use outrigger_fixtures::{Authority, Scripted};
use outrigger_harness::{Client, Document, Proxy, client};
use std::net::SocketAddr;

const FORWARDED: &str = "routes: [{ match: { prefix: /app }, forward: { cluster: upstream } }]";

/// One virtual host for everything, with these fields, that forwards `/app`.
fn host(upstream: &[SocketAddr], fields: &str) -> Document {
    let host = format!("{{ name: all, domains: ['*'], {fields}, {FORWARDED} }}");
    Document::to(upstream).virtual_hosts(&host)
}

async fn redirecting(fields: &str) -> (Scripted, Proxy) {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(host(&[upstream.address()], fields).http("accept_http_10: true")).await;
    (upstream, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_requests_are_redirected_as_they_were_sent() {
    let (upstream, proxy) = redirecting("https_redirect: true").await;
    for (host, target, location) in [
        ("a.example", "/app", "https://a.example/app"),
        (
            "a.example:8080",
            "/app?x=1&y=%2F",
            "https://a.example/app?x=1&y=%2F",
        ),
        ("[::1]:80", "/", "https://[::1]/"),
        // Not what routes would see, but what was sent: the HTTPS side reads it for itself.
        (
            "a.example",
            "/b/../app/%7euser",
            "https://a.example/b/../app/%7euser",
        ),
        ("a.example", "//b.example/x", "https://a.example//b.example/x"),
        // No route takes it, and none is asked.
        ("a.example", "/elsewhere", "https://a.example/elsewhere"),
    ] {
        let mut client = Client::connect(proxy.address()).await;
        let response = client
            .exchange(format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n"))
            .await;
        assert_eq!(response.status(), 301, "{target}");
        assert_eq!(response.field("location"), Some(location), "{target}");
        // The connection goes on.
        assert_eq!(client.fetch("/app", "").await.status(), 301);
    }
    assert_eq!(upstream.head_count(), 0);
    let series = "outrigger_listener_edge_answers_total{answer=\"https_redirect\"}";
    proxy.admin().wait_for_metric(series, 12.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_with_a_body_keep_their_method() {
    for (setting, get, post) in [
        ("https_redirect: true", 301, 308),
        ("https_redirect: { status: 302 }", 302, 307),
        ("https_redirect: { status: 303 }", 303, 303),
        ("https_redirect: { status: 307 }", 307, 307),
        ("https_redirect: { status: 308, port: 8443 }", 308, 308),
    ] {
        let (_upstream, proxy) = redirecting(setting).await;
        let mut client = Client::connect(proxy.address()).await;
        assert_eq!(client.fetch("/app", "").await.status(), get, "{setting}");
        let head = client.exchange("HEAD /app HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(head.status(), get, "{setting}");
        let request = "POST /app HTTP/1.1\r\nhost: a:80\r\ncontent-length: 4\r\n\r\nbody";
        let posted = client.exchange(request).await;
        assert_eq!(posted.status(), post, "{setting}");
        let port = if setting.contains("8443") { ":8443" } else { "" };
        assert_eq!(
            posted.field("location"),
            Some(format!("https://a{port}/app").as_str())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_no_redirect_is_told_so() {
    let (upstream, proxy) = redirecting("https_redirect: true").await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let fields = [("content-type", "application/grpc"), ("te", "trailers")];
    connection
        .send(Frame::request(1, "POST", "/app", &fields, true))
        .await
        .unwrap();
    let head = connection.next_headers().await.unwrap();
    assert_eq!(head.field(":status"), Some("200"));
    assert_eq!(head.field("grpc-status"), Some("9"));
    assert_eq!(head.field("location"), None);
    let mut client = Client::connect(proxy.address()).await;
    let refused = client
        .exchange("CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n")
        .await;
    assert_eq!(refused.status(), 403);
    let mut old = Client::connect(proxy.address()).await;
    old.send("GET /app HTTP/1.0\r\n\r\n").await;
    assert_eq!(old.response("GET").await.status(), 400);
    assert_eq!(upstream.head_count(), 0);
    let series = "outrigger_listener_edge_answers_total{answer=\"https_required\"}";
    proxy.admin().wait_for_metric(series, 3.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_says_what_the_client_spoke_and_nobody_else_does() {
    let upstream = Scripted::ok().await;
    let document = host(&[upstream.address()], "https_redirect: true, hsts: true");
    let untrusting = Proxy::start(document.clone()).await;
    let said = "x-forwarded-proto: https\r\n";
    let response = client::fetch(untrusting.address(), "/app", said).await;
    assert_eq!(
        (response.status(), response.field("strict-transport-security")),
        (301, None)
    );
    let trusting = Proxy::start(document.http("xff_num_trusted_hops: 1")).await;
    for (said, status) in [
        ("x-forwarded-proto: https\r\n", 200),
        ("x-forwarded-proto: HTTPS\r\n", 200),
        ("x-forwarded-proto: http\r\n", 301),
        ("x-forwarded-proto: https, http\r\n", 301),
        ("x-forwarded-proto: https\r\nx-forwarded-proto: http\r\n", 301),
        ("", 301),
    ] {
        let response = client::fetch(trusting.address(), "/app", said).await;
        assert_eq!(response.status(), status, "{said}");
        let hsts = (status == 200).then_some("max-age=31536000");
        assert_eq!(response.field("strict-transport-security"), hsts, "{said}");
    }
    assert_eq!(
        upstream.last_request().head.field("x-forwarded-proto"),
        Some("https")
    );
}

/// An upstream that says a policy of its own, behind TLS, and plain.
async fn both(fields: &str) -> (Scripted, Proxy, Authority) {
    let authority = Authority::new("root");
    let server = authority.issue("server", &["a.example"]);
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nstrict-transport-security: max-age=1\r\n\r\nok";
    let upstream = Scripted::answering(answer).await;
    let document = host(&[upstream.address()], fields)
        .chain(&format!("tls: {{ certificates: [{}] }}", server.yaml()))
        .with_listener("plain");
    (upstream, Proxy::start(document).await, authority)
}

#[tokio::test(flavor = "multi_thread")]
async fn hsts_is_on_every_answer_over_https_and_on_none_over_http() {
    let value = "max-age=31536000; includeSubDomains; preload";
    let setting = "hsts: { max_age: 8760h, include_subdomains: true, preload: true }";
    let (_upstream, proxy, authority) = both(setting).await;
    let config = authority.client_config(&["http/1.1"], None);
    let mut secure = Client::connect_tls(proxy.address(), config, "a.example")
        .await
        .unwrap();
    // In place of the upstream's, and on what is answered here.
    for (path, status) in [("/app", 200), ("/none", 404)] {
        let response = secure.fetch(path, "").await;
        assert_eq!(response.status(), status);
        let said: Vec<&str> = response.head.all("strict-transport-security").collect();
        assert_eq!(said, [value], "{path}");
        let plain = client::fetch(proxy.address_of("plain"), path, "").await;
        assert_eq!(plain.status(), status);
        assert_eq!(plain.field("strict-transport-security"), None, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_policy_the_upstreams_passes() {
    let (_upstream, proxy, _authority) = both("error_pages: []").await;
    let response = client::fetch(proxy.address_of("plain"), "/app", "").await;
    assert_eq!(response.field("strict-transport-security"), Some("max-age=1"));
}
