//! Who may say who the client is: only trusted proxies, by their addresses, and only as many as are trusted.

use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Document, Proxy, wait_until};
use std::path::Path;

/// What a client may try to pass off.
const SPOOFED: &str = "x-forwarded-for: 203.0.113.9\r\nx-forwarded-proto: https\r\nx-forwarded-host: inside\r\n\
                       x-request-id: mine\r\nx-envoy-internal: true\r\nx-outrigger-secret: 1\r\n";

/// What the upstream saw of who the client is: `x-forwarded-for`, `-proto`, `-host`, and whether the rest passed.
async fn seen(http: &str, fields: &str) -> (String, String, String, bool) {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).http(http)).await;
    let mut client = Client::connect(proxy.address()).await;
    assert_eq!(client.fetch("/", fields).await.status(), 200);
    let head = upstream.last_request().head;
    let field = |name: &str| head.field(name).unwrap_or_default().to_owned();
    let rest = ["x-envoy-internal", "x-outrigger-secret"];
    let passed = rest.iter().all(|name| head.field(name).is_some());
    let none = rest.iter().all(|name| head.field(name).is_none());
    assert!(passed || none);
    assert_eq!(passed, head.field("x-request-id") == Some("mine"));
    (
        field("x-forwarded-for"),
        field("x-forwarded-proto"),
        field("x-forwarded-host"),
        passed,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn spoofing_gets_through_trusted_peers_only() {
    let trusted = ("203.0.113.9, 127.0.0.1", "https", "inside", true);
    let replaced = ("127.0.0.1", "http", "test", false);
    for (http, expected) in [
        ("accept_http_10: false", replaced),
        ("xff_num_trusted_hops: 1", trusted),
        ("xff_num_trusted_hops: 1, trusted_proxies: [127.0.0.0/8]", trusted),
        (
            "xff_num_trusted_hops: 2, trusted_proxies: ['::1/128', 127.0.0.1/32]",
            trusted,
        ),
        ("xff_num_trusted_hops: 1, trusted_proxies: [10.0.0.0/8]", replaced),
        (
            "xff_num_trusted_hops: 3, trusted_proxies: ['::1/128', 127.0.0.2/32]",
            replaced,
        ),
    ] {
        let (xff, proto, host, rest) = seen(http, SPOOFED).await;
        assert_eq!(
            (xff.as_str(), proto.as_str(), host.as_str(), rest),
            expected,
            "{http}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheme_that_is_none_is_replaced_even_from_a_trusted_proxy() {
    for (said, proto) in [
        ("x-forwarded-proto: https\r\n", "https"),
        ("x-forwarded-proto: https, http\r\n", "http"),
        ("x-forwarded-proto: https\r\nx-forwarded-proto: http\r\n", "http"),
        ("x-forwarded-proto: gopher\r\n", "http"),
        ("", "http"),
    ] {
        assert_eq!(seen("xff_num_trusted_hops: 1", said).await.1, proto, "{said}");
    }
}

async fn line(file: &Path) -> String {
    wait_until("a line of the log", || async {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines().next().map(str::to_owned)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_the_client_that_is_believed() {
    let upstream = Scripted::ok().await;
    for (trust, told, client) in [
        (
            "xff_num_trusted_hops: 1, trusted_proxies: [127.0.0.0/8]",
            "6.6.6.6, 192.0.2.1",
            "192.0.2.1",
        ),
        (
            "xff_num_trusted_hops: 2, trusted_proxies: [127.0.0.0/8]",
            "6.6.6.6, 192.0.2.1",
            "6.6.6.6",
        ),
        (
            "xff_num_trusted_hops: 3, trusted_proxies: [127.0.0.0/8]",
            "6.6.6.6, 192.0.2.1",
            "127.0.0.1",
        ),
        (
            "xff_num_trusted_hops: 1, trusted_proxies: [10.0.0.0/8]",
            "6.6.6.6, 192.0.2.1",
            "127.0.0.1",
        ),
        ("xff_num_trusted_hops: 1", "nonsense", "127.0.0.1"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("log");
        let format = "'%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %REQ(:SCHEME)%'";
        let log = format!(
            "{trust}, access_logs: [{{ path: '{}', format: {{ text: {format} }} }}]",
            file.display()
        );
        let proxy = Proxy::start(Document::to(&[upstream.address()]).http(&log)).await;
        let mut connection = Client::connect(proxy.address()).await;
        let fields = format!("x-forwarded-for: {told}\r\nx-forwarded-proto: https\r\n");
        connection.fetch("/", &fields).await;
        let scheme = if trust.contains("10.0.0.0") {
            "http"
        } else {
            "https"
        };
        assert_eq!(line(&file).await, format!("{client} {scheme}"), "{trust}");
    }
}
