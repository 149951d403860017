//! Pages of one's own: in place of everything under maintenance, and in place of local replies.

use outrigger_fixtures::Scripted;
use outrigger_fixtures::frames::{Frame, FrameConnection};
use outrigger_harness::{Client, Document, Proxy, client};
use std::net::SocketAddr;

/// One virtual host with these fields, that forwards `/app`, and `/down` to nowhere.
fn host(upstream: &[SocketAddr], fields: &str) -> Document {
    let routes = "routes: [{ match: { prefix: /app }, forward: { cluster: upstream } }, \
                  { match: { prefix: /down }, forward: { cluster: nowhere } }]";
    Document::to(upstream)
        .virtual_hosts(&format!("{{ name: all, domains: ['*'], {fields}, {routes} }}"))
        .with_cluster("nowhere", &[], "")
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_answers_everybody_but_those_who_may_pass() {
    let upstream = Scripted::ok().await;
    let setting = "maintenance: { page: { body: '<h1>soon</h1>' }, retry_after: 90s, allow: [10.0.0.0/8] }";
    let document = host(&[upstream.address()], setting).http("xff_num_trusted_hops: 1");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    for path in ["/app", "/none"] {
        let response = client.fetch(path, "").await;
        assert_eq!(
            (response.status(), response.text().as_str()),
            (503, "<h1>soon</h1>"),
            "{path}"
        );
        assert_eq!(response.field("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(response.field("content-length"), Some("13"));
        assert_eq!(response.field("retry-after"), Some("90"));
        assert_eq!(response.field("cache-control"), Some("no-store"));
    }
    let head = client.exchange("HEAD /app HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!((head.status(), head.field("content-length")), (503, Some("13")));
    assert_eq!(upstream.head_count(), 0);
    // The client is who the trusted proxy says: the last entry, whatever stands before it.
    for (told, status) in [
        ("10.1.2.3", 200),
        ("192.0.2.1, 10.1.2.3", 200),
        ("10.1.2.3, 192.0.2.1", 503),
        ("::ffff:10.1.2.3", 200),
        ("10.1.2.3.4", 503),
    ] {
        let response = client
            .fetch("/app", &format!("x-forwarded-for: {told}\r\n"))
            .await;
        assert_eq!(response.status(), status, "{told}");
    }
    let series = "outrigger_listener_edge_answers_total{answer=\"maintenance\"}";
    proxy.admin().wait_for_metric(series, 5.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_is_unavailable_to_grpc_and_comes_after_https() {
    let setting = "maintenance: { page: { body: soon, status: 200, content_type: text/plain } }";
    let proxy = Proxy::start(host(&[], setting)).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let fields = [("content-type", "application/grpc"), ("te", "trailers")];
    connection
        .send(Frame::request(1, "POST", "/app", &fields, true))
        .await
        .unwrap();
    let head = connection.next_headers().await.unwrap();
    assert_eq!(
        (head.field(":status"), head.field("grpc-status")),
        (Some("200"), Some("14"))
    );
    connection
        .send(Frame::request(3, "GET", "/app", &[], true))
        .await
        .unwrap();
    let head = connection.next_headers().await.unwrap();
    assert_eq!(head.field(":status"), Some("200"));
    assert_eq!(head.field("content-type"), Some("text/plain"));
    assert_eq!(head.field("cache-control"), Some("no-store"));
    assert_eq!(connection.rest_of(&head).await.unwrap().0, b"soon");
    proxy
        .reload(host(&[], &format!("{setting}, https_redirect: true")))
        .await
        .unwrap();
    assert_eq!(client::fetch(proxy.address(), "/app", "").await.status(), 301);
    proxy.reload(host(&[], "hsts: true")).await.unwrap();
    assert_eq!(client::fetch(proxy.address(), "/none", "").await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn error_pages_stand_for_local_replies_and_for_nothing_else() {
    let missing = "HTTP/1.1 404 Not Found\r\ncontent-length: 6\r\n\r\ntheirs";
    let upstream = Scripted::answering(missing).await;
    let setting = "error_pages: [{ statuses: [404, 403], page: { body: gone } }, \
                   { statuses: [503], page: { body: '{}', content_type: application/json, status: 502 } }]";
    let proxy = Proxy::start(host(&[upstream.address()], setting)).await;
    let mut client = Client::connect(proxy.address()).await;
    let none = client.fetch("/none", "").await;
    assert_eq!((none.status(), none.text().as_str()), (404, "gone"));
    let down = client.fetch("/down", "").await;
    assert_eq!((down.status(), down.text().as_str()), (502, "{}"));
    assert_eq!(down.field("content-type"), Some("application/json"));
    assert_eq!(down.field("cache-control"), None);
    assert_eq!(client.fetch("/app", "").await.text(), "theirs");
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let fields = [("content-type", "application/grpc"), ("te", "trailers")];
    connection
        .send(Frame::request(1, "POST", "/none", &fields, true))
        .await
        .unwrap();
    assert_eq!(
        connection.next_headers().await.unwrap().field("grpc-status"),
        Some("12")
    );
    let series = "outrigger_listener_edge_answers_total{answer=\"error_page\"}";
    proxy.admin().wait_for_metric(series, 2.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_read_from_its_file_again_at_each_reload() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("page.html");
    let text = format!(
        "error_pages: [{{ statuses: [404], page: {{ body_file: '{}' }} }}]",
        file.display()
    );
    let document = || host(&[], &text);
    let refused = Proxy::try_start(document()).await.err().unwrap();
    assert!(
        refused.contains("page.html") && refused.contains("virtual host `all`"),
        "{refused}"
    );
    std::fs::write(&file, "first").unwrap();
    let proxy = Proxy::start(document()).await;
    let page = || async { client::fetch(proxy.address(), "/none", "").await.text() };
    assert_eq!(page().await, "first");
    std::fs::write(&file, "second").unwrap();
    assert_eq!(page().await, "first");
    proxy.reload(document()).await.unwrap();
    assert_eq!(page().await, "second");
    std::fs::write(&file, vec![b'x'; (64 << 10) + 1]).unwrap();
    let refused = proxy.reload(document()).await.unwrap_err();
    assert!(refused.contains("longer than 65536 bytes"), "{refused}");
    assert_eq!(page().await, "second");
}
