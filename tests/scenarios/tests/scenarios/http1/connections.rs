//! How long a connection lasts, and in which order it is answered.

use super::OK;
use outrigger_fixtures::{Echo, Scripted};
use outrigger_harness::{Client, Document, Proxy, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_one_request_after_the_other() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    for _ in 0..3 {
        let response = client.fetch("/a?b", "").await;
        assert_eq!((response.status(), response.text().as_str()), (200, "ok\n"));
        assert_eq!(upstream.last_request().head.start_line, "GET /a?b HTTP/1.1");
    }
    assert_eq!((upstream.request_count(), upstream.connections()), (3, 1));
    proxy
        .admin()
        .wait_for_metric("outrigger_route_requests_total{code_class=\"2xx\"}", 3.0)
        .await;
    proxy
        .admin()
        .wait_for_metric("outrigger_cluster_pool_hits_total", 2.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order_one_at_a_time() {
    let upstream = Echo::start().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    let mut pipeline = String::new();
    for index in 0..20 {
        // Bodies of all kinds between them: a reader that loses count answers with another's path.
        pipeline.push_str(&match index % 3 {
            0 => format!("GET /{index} HTTP/1.1\r\nhost: a\r\n\r\n"),
            1 => format!("POST /{index} HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nGET /"),
            _ => format!("POST /{index} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx: y\r\n\r\n"),
        });
    }
    client.send(&pipeline).await;
    for index in 0..20 {
        let response = client.response("GET").await;
        assert_eq!(response.field("x-path"), Some(format!("/{index}").as_str()));
        assert_eq!(response.text(), ["", "GET /", "ab"][index % 3]);
    }
    assert_eq!((upstream.requests(), upstream.connections()), (20, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipelined_request_waits_for_the_answer_before_it() {
    let upstream = Scripted::start(|mut script| async move {
        while let Some(request) = script.request().await? {
            // An answer to the second would be out before the first's body is.
            script
                .send("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n")
                .await?;
            for byte in request.head.target().repeat(3).bytes() {
                script.send([byte]).await?;
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    })
    .await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .send("GET /a HTTP/1.1\r\nhost: a\r\n\r\nGET /b HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await;
    assert_eq!(client.response("GET").await.text(), "/a/a/a");
    assert_eq!(client.response("GET").await.text(), "/b/b/b");
    assert!(client.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_close_gets_it() {
    let upstream = Scripted::answering(OK).await;
    // Pools are a worker's own.
    let proxy = Proxy::start(Document::to(&[upstream.address()]).workers(1)).await;
    for connection in ["close", "Close", "x, close", "keep-alive, close"] {
        let mut client = Client::connect(proxy.address()).await;
        let response = client.fetch("/", &format!("connection: {connection}\r\n")).await;
        assert_eq!(
            (response.status(), response.field("connection")),
            (200, Some("close"))
        );
        assert!(client.is_closed().await);
    }
    assert_eq!(
        upstream.connections(),
        1,
        "the upstream's connection is another matter"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_asks_for_a_close_is_not_used_again() {
    for response in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ] {
        let upstream = Scripted::answering(response).await;
        let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
        let mut client = Client::connect(proxy.address()).await;
        for count in 1..=3 {
            let answer = client.fetch("/", "").await;
            assert_eq!(
                (answer.text().as_str(), answer.field("connection")),
                ("ok", None),
                "{response:?}"
            );
            assert_eq!(upstream.connections(), count, "{response:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_0_is_accepted_where_it_is_configured() {
    let upstream =
        Scripted::answering("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
            .await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).http("accept_http_10: true")).await;
    let mut client = Client::connect(proxy.address()).await;
    let response = client.exchange("GET / HTTP/1.0\r\nhost: a\r\n\r\n").await;
    assert_eq!(response.text(), "ok");
    assert_eq!(
        (response.head.framing(), response.field("connection")),
        (None, Some("close")),
        "no chunks for HTTP/1.0"
    );

    let upstream = Scripted::answering(OK).await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).http("accept_http_10: true")).await;
    let mut client = Client::connect(proxy.address()).await;
    for _ in 0..2 {
        let response = client
            .exchange("GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n")
            .await;
        assert_eq!(
            (response.text().as_str(), response.field("connection")),
            ("ok", Some("keep-alive"))
        );
    }
    let response = client.exchange("GET / HTTP/1.0\r\nhost: a\r\n\r\n").await;
    assert_eq!(response.text(), "ok");
    assert!(client.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_half_closes_has_gone() {
    let upstream = Scripted::start(|mut script| async move {
        script.request().await?;
        script.until_closed().await
    })
    .await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    wait_until("the request upstream", || async {
        (upstream.request_count() == 1).then_some(())
    })
    .await;
    client.half_close().await;
    wait_until("the upstream's connection to be cut", || async {
        (upstream.open_connections() == 0).then_some(())
    })
    .await;
    assert!(client.is_closed().await, "there is no answer for who has gone");
    proxy
        .admin()
        .wait_for_metric("outrigger_route_response_flags_total{flag=\"DC\"}", 1.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_in_its_body_cancels_the_request() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc")
        .await;
    wait_until("the head upstream", || async {
        (upstream.head_count() == 1).then_some(())
    })
    .await;
    drop(client);
    wait_until("the upstream's connection to be cut", || async {
        (upstream.open_connections() == 0).then_some(())
    })
    .await;
    assert_eq!(upstream.request_count(), 0, "half a request is none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_after_its_greatest_number_of_requests() {
    let upstream = Scripted::answering(OK).await;
    let document = Document::to(&[upstream.address()]).http("requests_per_connection_max: 3");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    for connection in [None, None, Some("close")] {
        assert_eq!(client.fetch("/", "").await.field("connection"), connection);
    }
    assert!(client.is_closed().await);
    let closed = "outrigger_listener_connections_closed_total{reason=\"requests_max\"}";
    proxy.admin().wait_for_metric(closed, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_connections_end_after_their_greatest_number_of_requests() {
    let upstream = Scripted::answering(OK).await;
    let document = Document::to(&[upstream.address()]).cluster("pool: { requests_per_connection_max: 2 }");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    for connections in [1, 1, 2, 2, 3] {
        assert_eq!(client.fetch("/", "").await.status(), 200);
        assert_eq!(upstream.connections(), connections);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let upstream = Scripted::answering(OK).await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).listener("connections_max: 2")).await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(proxy.address()).await;
        assert_eq!(client.fetch("/", "").await.status(), 200);
        clients.push(client);
    }
    assert!(Client::connect(proxy.address()).await.is_closed().await);
    let refused = "outrigger_listener_connections_refused_total{reason=\"limit\"}";
    proxy.admin().wait_for_metric(refused, 1.0).await;
    drop(clients);
    proxy
        .admin()
        .wait_for_metric("outrigger_listener_connections_active", 0.0)
        .await;
    assert_eq!(
        Client::connect(proxy.address())
            .await
            .fetch("/", "")
            .await
            .status(),
        200
    );
}
