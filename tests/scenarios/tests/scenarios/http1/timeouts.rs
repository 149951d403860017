//! Times that run out, each with its answer. How long they take is never asserted.

use super::OK;
use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Document, Proxy, wait_until};

/// An upstream that takes requests and says nothing.
async fn silent() -> Scripted {
    Scripted::start(|mut script| async move {
        script.request().await?;
        script.until_closed().await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_end_is_answered_408() {
    let proxy = Proxy::start(Document::to(&[]).http("request_headers_timeout: 50ms")).await;
    for begun in ["G", "GET / HTTP/1.1\r\nhost: a\r\n", "\r\nGET"] {
        let mut client = Client::connect(proxy.address()).await;
        client.send(begun).await;
        let response = client.response("GET").await;
        assert_eq!(
            (response.status(), response.field("connection")),
            (408, Some("close")),
            "{begun:?}"
        );
        assert!(
            !response.body.bytes.is_empty() && client.is_closed().await,
            "{begun:?}"
        );
    }
    let refused = "outrigger_listener_requests_refused_total{reason=\"request_header_timeout\"}";
    proxy.admin().wait_for_metric(refused, 3.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_header_timeout_starts_with_the_first_byte() {
    let upstream = Scripted::answering(OK).await;
    let http = "request_headers_timeout: 20ms, idle_timeout: 400ms";
    let proxy = Proxy::start(Document::to(&[upstream.address()]).http(http)).await;
    let mut client = Client::connect(proxy.address()).await;
    assert_eq!(client.fetch("/", "").await.status(), 200);
    // Idle for longer than a head may take: closed by the idle timeout, without an answer.
    assert!(client.is_closed().await, "no 408 for a connection that is idle");
    proxy
        .admin()
        .wait_for_metric(
            "outrigger_listener_connections_closed_total{reason=\"idle\"}",
            1.0,
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_reaches_its_greatest_age() {
    let upstream = Scripted::answering(OK).await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).http("connection_age_max: 100ms")).await;
    let mut client = Client::connect(proxy.address()).await;
    assert_eq!(client.fetch("/", "").await.status(), 200);
    assert!(client.is_closed().await);
    proxy
        .admin()
        .wait_for_metric(
            "outrigger_listener_connections_closed_total{reason=\"age_max\"}",
            1.0,
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_route_timeout_is_answered_504() {
    let upstream = silent().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).forward("timeout: 50ms")).await;
    let mut client = Client::connect(proxy.address()).await;
    for count in 1..=2 {
        let response = client.fetch("/", "").await;
        assert_eq!((response.status(), response.field("connection")), (504, None));
        wait_until("the upstream to be left", || async {
            (upstream.open_connections() == 0).then_some(())
        })
        .await;
        assert_eq!(
            upstream.request_count(),
            count,
            "what timed out is not tried again"
        );
    }
    proxy
        .admin()
        .wait_for_metric("outrigger_route_response_flags_total{flag=\"UT\"}", 2.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_route_timeout_runs_from_the_end_of_the_request_to_the_end_of_the_response() {
    let upstream = Scripted::start(|mut script| async move {
        script.request().await?;
        script
            .send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
            .await?;
        script.until_closed().await
    })
    .await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).forward("timeout: 100ms")).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\na")
        .await;
    wait_until("the head upstream", || async {
        (upstream.head_count() == 1).then_some(())
    })
    .await;
    // Longer than the timeout, and in vain: the request has not ended.
    let early = tokio::time::timeout(std::time::Duration::from_millis(400), client.wire().fill()).await;
    assert!(early.is_err(), "the timeout ran before the request's end");
    client.send("b").await;
    let answer = client.try_response_within().await;
    assert!(
        answer.is_err(),
        "a response that stops in the middle is cut: {answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_timeout_where_it_is_off() {
    let (go, gone) = tokio::sync::watch::channel(false);
    let upstream = Scripted::start(move |mut script| {
        let mut gone = gone.clone();
        async move {
            script.request().await?;
            let _ = gone.wait_for(|go| *go).await;
            script.send(OK).await
        }
    })
    .await;
    let routes = "{ match: { path: /fast }, forward: { cluster: upstream, timeout: 30ms } }, \
                  { match: { prefix: / }, forward: { cluster: upstream, timeout: off } }";
    let proxy = Proxy::start(Document::to(&[upstream.address()]).routes(routes)).await;
    let mut patient = Client::connect(proxy.address()).await;
    patient.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await;
    wait_until("the request upstream", || async {
        (upstream.request_count() == 1).then_some(())
    })
    .await;
    assert_eq!(
        Client::connect(proxy.address())
            .await
            .fetch("/fast", "")
            .await
            .status(),
        504
    );
    go.send(true).unwrap();
    assert_eq!(patient.response("GET").await.text(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_on_which_nothing_moves_is_ended() {
    // The client stops in its body: 408. The upstream says nothing: 504.
    let upstream = silent().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).http("stream_idle_timeout: 50ms")).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\na")
        .await;
    let response = client.response("POST").await;
    assert_eq!(
        (response.status(), response.field("connection")),
        (408, Some("close"))
    );
    assert!(client.is_closed().await);
    let mut client = Client::connect(proxy.address()).await;
    assert_eq!(client.fetch("/", "").await.status(), 504);
    proxy
        .admin()
        .wait_for_metric("outrigger_route_response_flags_total{flag=\"SI\"}", 2.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_routes_stream_idle_timeout_wins() {
    let upstream = silent().await;
    let document = Document::to(&[upstream.address()])
        .http("stream_idle_timeout: 1h")
        .forward("stream_idle_timeout: 50ms");
    let proxy = Proxy::start(document).await;
    assert_eq!(
        Client::connect(proxy.address())
            .await
            .fetch("/", "")
            .await
            .status(),
        504
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_does_not_come_about_times_out() {
    // A listener whose queue is full answers no SYN.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let _listener = socket.listen(1).unwrap();
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(
        std::time::Duration::from_millis(200),
        tokio::net::TcpStream::connect(address),
    )
    .await
    {
        queued.push(stream);
    }
    let proxy = Proxy::start(Document::to(&[address]).cluster("connect_timeout: 50ms")).await;
    let response = Client::connect(proxy.address()).await.fetch("/", "").await;
    assert_eq!(
        (response.status(), response.text().as_str()),
        (503, "upstream connect error\n")
    );
    let failures = "outrigger_cluster_connection_failures_total{reason=\"timeout\"}";
    proxy.admin().wait_for(failures, |count| count >= 1.0).await;
    proxy
        .admin()
        .wait_for_metric("outrigger_route_response_flags_total{flag=\"UF\"}", 1.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_upstream_connections_end_before_the_server_ends_them() {
    let upstream =
        Scripted::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nkeep-alive: timeout=1\r\n\r\nok").await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).cluster("pool: { idle_timeout: 1h }")).await;
    let mut client = Client::connect(proxy.address()).await;
    // The server keeps it for a second at most, and a second is held back: it is not used again at all.
    assert_eq!(client.fetch("/", "").await.status(), 200);
    assert_eq!(client.fetch("/", "").await.status(), 200);
    assert_eq!(upstream.connections(), 2);
    let upstream = Scripted::answering(OK).await;
    let proxy =
        Proxy::start(Document::to(&[upstream.address()]).cluster("pool: { idle_timeout: 50ms }")).await;
    assert_eq!(
        Client::connect(proxy.address())
            .await
            .fetch("/", "")
            .await
            .status(),
        200
    );
    wait_until("the idle connection's end", || async {
        (upstream.open_connections() == 0).then_some(())
    })
    .await;
    proxy
        .admin()
        .wait_for_metric("outrigger_cluster_connections_closed_total{reason=\"idle\"}", 1.0)
        .await;
}
