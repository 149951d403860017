//! Over HTTP: what is asked, what a yes brings, what a no says.

use super::{OUTCOMES, asking_http};
use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Proxy, client};

#[tokio::test(flavor = "multi_thread")]
async fn the_question_is_the_request_without_most_of_its_headers() {
    let upstream = Scripted::ok().await;
    let service = Scripted::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let document = asking_http(upstream.address(), &[service.address()], "", "");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    let request = "POST /a?b=c HTTP/1.1\r\nhost: a.example\r\nauthorization: secret\r\nx-a: 1\r\ncookie: d=e\r\ncontent-length: 2\r\n\r\nhi";
    assert_eq!(client.exchange(request).await.text(), "ok\n");
    let asked = service.last_request();
    assert_eq!(asked.head.start_line, "POST /a?b=c HTTP/1.1");
    let mut fields = asked.head.fields.clone();
    fields.sort();
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected = [
        field("authorization", "secret"),
        field("content-length", "0"),
        field("host", "a.example"),
    ];
    assert_eq!(fields, expected);
    assert_eq!(&upstream.last_request().body.bytes[..], b"hi");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_is_told_and_elsewhere_if_it_is_configured() {
    let upstream = Scripted::ok().await;
    let service = Scripted::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let document = asking_http(
        upstream.address(),
        &[service.address()],
        ", authority: authz.example, path_prefix: /check",
        ", request_headers: [x-a, { prefix: x-forwarded- }]",
    );
    let proxy = Proxy::start(document).await;
    assert_eq!(
        client::fetch(proxy.address(), "/p?q", "x-a: 1\r\nx-b: 2\r\n")
            .await
            .status(),
        200
    );
    let asked = service.last_request().head;
    assert_eq!(asked.start_line, "GET /check/p?q HTTP/1.1");
    assert_eq!(asked.field("host"), Some("authz.example"));
    assert_eq!((asked.field("x-a"), asked.field("x-b")), (Some("1"), None));
    assert_eq!(asked.field("x-forwarded-proto"), Some("http"));
    assert!(asked.field("x-forwarded-host").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_brings_headers_for_the_upstream_and_takes_others() {
    let upstream = Scripted::ok().await;
    let service = Scripted::answering(
        "HTTP/1.1 200 OK\r\nx-user: alice\r\nx-role: a\r\nx-role: b\r\nx-other: o\r\nconnection: x-user-hop\r\n\
         x-user-hop: h\r\nx-envoy-auth-headers-to-remove: cookie, x-gone\r\ncontent-length: 3\r\n\r\nyes",
    )
    .await;
    let fields = ", upstream_headers: [{ prefix: x-user }, x-role, content-length]";
    let document = asking_http(upstream.address(), &[service.address()], fields, "");
    let proxy = Proxy::start(document).await;
    let sent = "x-user: mallory\r\nx-role: admin\r\ncookie: c\r\nx-gone: g\r\n";
    assert_eq!(client::fetch(proxy.address(), "/", sent).await.status(), 200);
    let head = upstream.last_request().head;
    assert_eq!(head.all("x-user").collect::<Vec<_>>(), ["alice"]);
    assert_eq!(head.all("x-role").collect::<Vec<_>>(), ["a", "b"]);
    for absent in ["x-other", "x-user-hop", "cookie", "x-gone", "content-length"] {
        assert_eq!(head.field(absent), None, "{absent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_is_the_services_answer() {
    for (status, body) in [(302, ""), (401, "who?"), (404, "none"), (204, "")] {
        let upstream = Scripted::ok().await;
        let length = if status == 204 {
            String::new()
        } else {
            format!("content-length: {}\r\n", body.len())
        };
        let service = Scripted::answering(format!(
            "HTTP/1.1 {status} No\r\nlocation: /login\r\nset-cookie: a=b\r\nset-cookie: c=d\r\nx-why: w\r\nx-inner: i\r\n\
             content-type: text/html\r\n{length}\r\n{body}"
        ))
        .await;
        let fields = ", client_headers: [x-why]";
        let proxy = Proxy::start(asking_http(upstream.address(), &[service.address()], fields, "")).await;
        let response = client::fetch(proxy.address(), "/", "").await;
        assert_eq!((response.status(), response.text().as_str()), (status, body));
        assert_eq!(response.field("location"), Some("/login"));
        assert_eq!(
            response.head.all("set-cookie").collect::<Vec<_>>(),
            ["a=b", "c=d"]
        );
        assert_eq!(
            (response.field("x-why"), response.field("x-inner")),
            (Some("w"), None)
        );
        assert_eq!(upstream.head_count(), 0);
        let denied = format!("{OUTCOMES}{{outcome=\"denied\"}}");
        assert_eq!(proxy.admin().metric(&denied).await, 1.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_cannot_be_asked_and_is_not_let_through() {
    let (upstream, service) = (Scripted::ok().await, Scripted::ok().await);
    let document = asking_http(
        upstream.address(),
        &[service.address()],
        "",
        ", failure_allowed: true",
    )
    .routes("{ match: { connect: true }, forward: { cluster: upstream } }");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .send("CONNECT a.example:443 HTTP/1.1\r\nhost: a.example:443\r\n\r\n")
        .await;
    assert_eq!(client.response("GET").await.status(), 403);
    assert_eq!((service.head_count(), upstream.connections()), (0, 0));
}
