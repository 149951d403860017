//! What of a head stays, what goes, and what is added.

use super::OK;
use outrigger_fixtures::Scripted;
use outrigger_fixtures::scripted::Request;
use outrigger_harness::{Client, Document, Proxy, Response};

/// The request that an upstream gets, and the response that the client gets, to fields on both sides.
async fn through(http: &str, request_fields: &str, response_fields: &str) -> (Request, Response) {
    let response = format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n{response_fields}\r\nok");
    let upstream = Scripted::answering(response).await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).http(http)).await;
    let mut client = Client::connect(proxy.address()).await;
    let response = client
        .exchange(format!(
            "GET / HTTP/1.1\r\nhost: a.example:81\r\n{request_fields}\r\n"
        ))
        .await;
    assert_eq!(response.text(), "ok");
    (upstream.last_request(), response)
}

#[tokio::test(flavor = "multi_thread")]
async fn hop_by_hop_fields_never_pass() {
    let (request, response) = through(
        "",
        "connection: x-hop, Keep-Alive, TE\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nproxy-connection: keep-alive\r\n\
         te: gzip\r\nupgrade: websocket\r\nproxy-authorization: Basic x\r\nx-stays: 1\r\n",
        "connection: X-Hop, keep-alive\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nproxy-connection: x\r\n\
         proxy-authenticate: Basic\r\nupgrade: h2c\r\nx-stays: 1\r\n",
    )
    .await;
    for name in [
        "connection",
        "x-hop",
        "keep-alive",
        "proxy-connection",
        "te",
        "upgrade",
    ] {
        assert_eq!(request.head.field(name), None, "{name} reached the upstream");
    }
    for name in ["connection", "x-hop", "keep-alive", "proxy-connection", "upgrade"] {
        assert_eq!(response.field(name), None, "{name} reached the client");
    }
    assert_eq!(
        (request.head.field("x-stays"), response.field("x-stays")),
        (Some("1"), Some("1"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_cannot_name_what_must_stay() {
    let (request, _) = through("", "connection: host, x-forwarded-for, x-request-id\r\n", "").await;
    assert_eq!(request.head.field("host"), Some("a.example:81"));
    assert_eq!(request.head.field("x-forwarded-for"), Some("127.0.0.1"));
    assert!(request.head.field("x-request-id").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_no_route_allows_is_not_asked_for() {
    let (request, response) = through("", "connection: upgrade\r\nupgrade: h2c\r\n", "").await;
    assert_eq!(
        (request.head.field("upgrade"), request.head.field("connection")),
        (None, None)
    );
    assert_eq!(response.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_untrusted_client_says_of_itself_is_replaced() {
    let lies = "x-forwarded-for: 6.6.6.6\r\nx-forwarded-proto: https\r\nx-forwarded-host: evil\r\nx-request-id: evil\r\n\
                x-envoy-internal: true\r\nX-Outrigger-Anything: 1\r\nX_Forwarded_For: 6.6.6.6\r\n\
                x_envoy_internal: true\r\nx_other: stays\r\n";
    let (request, _) = through("", lies, "").await;
    let all = |name: &str| request.head.all(name).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(all("x-forwarded-proto"), ["http"]);
    assert_eq!(all("x-forwarded-host"), ["a.example:81"]);
    assert_eq!(
        (all("x-envoy-internal"), all("x-outrigger-anything")),
        (vec![], vec![])
    );
    // What a server that knows headers as variables would take for one of these.
    assert_eq!(
        (all("x_forwarded_for"), all("x_envoy_internal")),
        (vec![], vec![])
    );
    assert_eq!(all("x_other"), ["stays"]);
    let ids = all("x-request-id");
    assert_eq!((ids.len(), ids[0].len()), (1, 36), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_trusted_proxy_says_of_its_client_stays() {
    let said = "x-forwarded-for: 6.6.6.6\r\nx-forwarded-for: 7.7.7.7\r\nx-forwarded-proto: https\r\n\
                x-forwarded-host: b\r\nx-request-id: mine\r\n";
    let (request, _) = through("xff_num_trusted_hops: 1", said, "").await;
    let all = |name: &str| request.head.all(name).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(all("x-forwarded-for"), ["6.6.6.6, 7.7.7.7, 127.0.0.1"]);
    assert_eq!(all("x-forwarded-proto"), ["https"]);
    assert_eq!(all("x-forwarded-host"), ["b"]);
    assert_eq!(all("x-request-id"), ["mine"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn server_and_via_pass_are_set_or_appended_to() {
    let theirs = "server: theirs\r\nvia: 1.1 theirs\r\n";
    for (http, request_via, server, via) in [
        ("", Some("1.1 client"), "outrigger", "1.1 theirs"),
        (
            "server_header: pass, via_header: pass",
            Some("1.1 client"),
            "theirs",
            "1.1 theirs",
        ),
        (
            "server_header: { set: me }, via_header: { set: '1.1 me' }",
            Some("1.1 me"),
            "me",
            "1.1 me",
        ),
        (
            "server_header: { append: me }, via_header: { append: '1.1 me' }",
            Some("1.1 client, 1.1 me"),
            "theirs, me",
            "1.1 theirs, 1.1 me",
        ),
    ] {
        let (request, response) = through(http, "via: 1.1 client\r\n", theirs).await;
        assert_eq!(request.head.field("via"), request_via, "{http}");
        assert_eq!(
            (response.field("server"), response.field("via")),
            (Some(server), Some(via)),
            "{http}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_keep_their_order_their_values_and_their_repetitions() {
    let (request, response) = through(
        "",
        "b: 2\r\na: 1\r\nb: 3\r\n",
        "set-cookie: a\r\nx: 1\r\nset-cookie: b\r\n",
    )
    .await;
    let sent: Vec<_> = request
        .head
        .fields
        .iter()
        .filter(|(name, _)| name.len() == 1)
        .cloned()
        .collect();
    assert_eq!(
        sent,
        [("b", "2"), ("a", "1"), ("b", "3")].map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert_eq!(response.head.all("set-cookie").collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn local_replies_say_who_speaks() {
    let proxy = Proxy::start(Document::to(&[])).await;
    let response = Client::connect(proxy.address()).await.fetch("/", "").await;
    assert_eq!(
        (response.status(), response.field("server")),
        (503, Some("outrigger"))
    );
    assert!(response.field("date").is_some(), "{response:?}");
    assert_eq!(response.field("content-type"), Some("text/plain"));
}

#[tokio::test(flavor = "multi_thread")]
async fn access_logs_tell_one_line_for_each_request() {
    let upstream = Scripted::answering(OK).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("access.log");
    let log = format!("access_logs: [{{ path: '{}', format: json }}]", file.display());
    let proxy = Proxy::start(Document::to(&[upstream.address()]).http(&log)).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .fetch("/logged?q=1", "user-agent: test \"quoted\"\r\n")
        .await;
    let line = outrigger_harness::wait_until("the log line", || async {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        text.ends_with('\n').then_some(text)
    })
    .await;
    assert_eq!(line.lines().count(), 1);
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let text = line.to_string();
    for part in [
        "/logged?q=1",
        "test \\\"quoted\\\"",
        "via_upstream",
        &upstream.address().to_string(),
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}
