//! CONNECT, where a route takes it: ended here, or passed on; over either version.

use super::peers::{End, Fields, Tunnel, fields_of};
use outrigger_fixtures::frames::{Frame, FrameConnection, FrameKind, FrameServer, code};
use outrigger_fixtures::scripted::Scripted;
use outrigger_harness::{Client, Document, Proxy, wait_until};
use tokio::sync::mpsc;

/// Routes that take CONNECT by this action, and one for everything else.
fn routes(action: &str) -> String {
    format!(
        "{{ match: {{ connect: true }}, forward: {{ cluster: upstream, connect: {action} }} }}, \
         {{ match: {{ prefix: / }}, direct_response: {{ status: 200, body: plain }} }}"
    )
}

async fn open(proxy: &Proxy, http2: bool) -> (Tunnel, u16, Fields) {
    if http2 {
        let fields = [(":method", "CONNECT"), (":authority", "db.example:5432")];
        return Tunnel::open_http2(proxy.address(), &fields).await;
    }
    let head = "CONNECT db.example:5432 HTTP/1.1\r\nhost: db.example:5432\r\n\r\n";
    Tunnel::open_http1(proxy.address(), head).await
}

/// An upstream that speaks first, then echoes, and says `bye` at the end.
async fn plain_upstream() -> Scripted {
    Scripted::start(|mut script| async move {
        script.send("banner ").await?;
        super::echo(&mut script).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_that_ends_here_is_bytes_to_an_endpoint() {
    for http2 in [false, true] {
        let upstream = plain_upstream().await;
        // What the cluster would speak is another matter.
        let document = Document::to(&[upstream.address()])
            .routes(&routes("terminate"))
            .cluster("protocol: http2");
        let proxy = Proxy::start(document).await;
        let (mut tunnel, status, answer) = open(&proxy, http2).await;
        assert_eq!(status, 200, "{http2}");
        for name in ["content-length", "transfer-encoding"] {
            assert_eq!(answer.get(name), None, "{http2} {name}");
        }
        tunnel.expect("banner ").await;
        tunnel.say("select 1").await;
        tunnel.finish().await;
        assert_eq!(tunnel.rest().await, ("bye".to_owned(), End::Order), "{http2}");
        let admin = proxy.admin();
        admin
            .wait_for_metric(
                "outrigger_listener_upgrades_established_total{protocol=\"connect\"}",
                1.0,
            )
            .await;
        admin
            .wait_for_metric(
                "outrigger_cluster_connections_opened_total{protocol=\"tcp\"}",
                1.0,
            )
            .await;
        assert_eq!(upstream.request_count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_sends_before_the_answer_reaches_the_endpoint() {
    let upstream = Scripted::start(|mut script| async move { super::echo(&mut script).await }).await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).routes(&routes("terminate"))).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .send("CONNECT db.example:5432 HTTP/1.1\r\nhost: db.example:5432\r\n\r\nearly")
        .await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(client.take(5).await, b"early");
    let mut client = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let fields = [(":method", "CONNECT"), (":authority", "db.example:5432")];
    let frames = [Frame::headers(1, &fields, false), Frame::data(1, "early", false)];
    client.send_all(&frames).await.unwrap();
    let mut tunnel = Tunnel::Http2(client);
    let head = tunnel.http2().next_headers().await.unwrap();
    assert_eq!(head.field(":status"), Some("200"));
    tunnel.expect("early").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_is_passed_on_to_another_proxy() {
    for http2 in [false, true] {
        let upstream = Scripted::start(|mut script| async move {
            let Some(head) = script.head().await? else {
                return Ok(());
            };
            script.ran(head, Default::default());
            // A length that such an answer cannot have is passed over (RFC 9110 section 9.3.6).
            script
                .send("HTTP/1.1 200 Connected\r\nx-from: other\r\ncontent-length: 5\r\n\r\n")
                .await?;
            super::echo(&mut script).await
        })
        .await;
        let proxy = Proxy::start(Document::to(&[upstream.address()]).routes(&routes("pass"))).await;
        let (mut tunnel, status, answer) = open(&proxy, http2).await;
        assert_eq!((status, answer["x-from"].as_str()), (200, "other"), "{http2}");
        assert_eq!(answer.get("content-length"), None, "{http2}");
        let head = upstream.last_request().head;
        assert_eq!(head.start_line, "CONNECT db.example:5432 HTTP/1.1", "{http2}");
        assert_eq!(head.field("host"), Some("db.example:5432"), "{http2}");
        assert_eq!((head.field("connection"), head.field("upgrade")), (None, None));
        tunnel.say("hello").await;
        tunnel.finish().await;
        assert_eq!(tunnel.rest().await, ("bye".to_owned(), End::Order), "{http2}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_is_passed_on_over_http2() {
    for http2 in [false, true] {
        let (seen, mut heads) = mpsc::unbounded_channel();
        let upstream = FrameServer::start(move |mut connection, _| {
            let seen = seen.clone();
            async move {
                // CONNECT needs no leave, unlike extended CONNECT.
                connection.greet(&[]).await?;
                let head = connection.next_headers().await?;
                seen.send(fields_of(&head))?;
                connection
                    .send(Frame::response(head.stream, "200", false))
                    .await?;
                let data = connection
                    .next_where(|frame| frame.kind == FrameKind::Data)
                    .await?;
                connection
                    .send(Frame::data(head.stream, data.payload.clone(), false))
                    .await?;
                connection
                    .next_where(|frame| frame.kind == FrameKind::Data)
                    .await?;
                let reset = code::CONNECT_ERROR.to_be_bytes().to_vec();
                connection
                    .send(Frame::new(FrameKind::RstStream, 0, head.stream, reset))
                    .await?;
                while connection.next().await?.is_some() {}
                Ok(())
            }
        })
        .await
        .unwrap();
        let document = Document::to(&[upstream.address()])
            .routes(&routes("pass"))
            .cluster("protocol: http2");
        let proxy = Proxy::start(document).await;
        let (mut tunnel, status, _) = open(&proxy, http2).await;
        assert_eq!(status, 200);
        let head = heads.recv().await.unwrap();
        assert_eq!(
            (head[":method"].as_str(), head[":authority"].as_str()),
            ("CONNECT", "db.example:5432")
        );
        for name in [":scheme", ":path", ":protocol", "host"] {
            assert_eq!(head.get(name), None, "{name}");
        }
        tunnel.say("hello").await;
        tunnel.send("break").await;
        let (_, end) = tunnel.rest().await;
        let expected = if http2 {
            code::CONNECT_ERROR
        } else {
            super::peers::RST
        };
        assert_eq!(end, End::Reset(expected), "{http2}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_declines_is_heard_and_the_connection_closed() {
    let upstream = Scripted::answering(
        "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: basic\r\ncontent-length: 2\r\n\r\nno",
    )
    .await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).routes(&routes("pass"))).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .send("CONNECT db.example:5432 HTTP/1.1\r\nhost: db.example:5432\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    let response = client.response("GET").await;
    assert_eq!((response.status(), response.text().as_str()), (407, "no"));
    assert!(
        client.is_closed().await,
        "what follows may be the tunnel's or a request"
    );
    assert_eq!(upstream.head_count(), 1);
    let (mut tunnel, status, _) = open(&proxy, true).await;
    assert_eq!(status, 407);
    assert_eq!(tunnel.rest().await, ("no".to_owned(), End::Order));
    proxy
        .admin()
        .wait_for_metric(
            "outrigger_listener_upgrades_refused_total{protocol=\"connect\"}",
            2.0,
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_cannot_be_reached_is_503() {
    let nowhere = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap()
    };
    let proxy = Proxy::start(Document::to(&[nowhere]).routes(&routes("terminate"))).await;
    for http2 in [false, true] {
        let (_, status, _) = open(&proxy, http2).await;
        assert_eq!(status, 503, "{http2}");
    }
    let admin = proxy.admin();
    admin
        .wait_for_metric(
            "outrigger_listener_upgrades_failed_total{protocol=\"connect\"}",
            2.0,
        )
        .await;
    admin
        .wait_for_metric("outrigger_route_response_flags_total{flag=\"UF\"}", 2.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_route_that_says_so_takes_connect() {
    let upstream = Scripted::ok().await;
    let everything = "{ match: { prefix: / }, forward: { cluster: upstream } }";
    let hosts = format!(
        "{{ name: db, domains: [db.example], routes: [{}] }}, {{ name: all, domains: ['*'], routes: [{everything}] }}",
        routes("terminate")
    );
    let proxy = Proxy::start(Document::to(&[upstream.address()]).virtual_hosts(&hosts)).await;
    let mut client = Client::connect(proxy.address()).await;
    let refused = client
        .exchange("CONNECT other.example:443 HTTP/1.1\r\nhost: other.example:443\r\n\r\n")
        .await;
    assert_eq!(refused.status(), 405);
    assert!(client.is_closed().await);
    let fields = [(":method", "CONNECT"), (":authority", "other.example:443")];
    let (_, status, _) = Tunnel::open_http2(proxy.address(), &fields).await;
    assert_eq!(status, 405);
    proxy
        .admin()
        .wait_for_metric(
            "outrigger_listener_upgrades_denied_total{protocol=\"connect\"}",
            2.0,
        )
        .await;
    assert_eq!(upstream.connections(), 0);
    // And such a route takes nothing else.
    let response = outrigger_harness::client::fetch(proxy.address(), "/", "host: db.example\r\n").await;
    assert_eq!(response.status(), 400, "two hosts");
    let mut client = Client::connect(proxy.address()).await;
    let response = client
        .exchange("GET / HTTP/1.1\r\nhost: db.example\r\n\r\n")
        .await;
    assert_eq!((response.status(), response.text().as_str()), (200, "plain"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_given_here_never_looks_like_a_tunnel() {
    let document = Document::to(&[]).routes(
        "{ match: { connect: true }, direct_response: { status: 200, body: hello } }, \
         { match: { prefix: / }, direct_response: { status: 200, body: hello } }",
    );
    let proxy = Proxy::start(document).await;
    for http2 in [false, true] {
        let (_, status, _) = open(&proxy, http2).await;
        assert_eq!(status, 405, "{http2}");
    }
    // Nor does a status of gRPC, which goes with 200.
    let fields = [
        (":method", "CONNECT"),
        (":authority", "db.example:1"),
        ("content-type", "application/grpc"),
    ];
    let (_, status, _) = Tunnel::open_http2(proxy.address(), &fields).await;
    assert_eq!(status, 405);
    // A client of HTTP/2 would take 200 for a WebSocket; one of HTTP/1 does not.
    let (_, status, _) = Tunnel::open(proxy.address(), true, &[]).await;
    assert_eq!(status, 403);
    let (_, status, _) = Tunnel::open(proxy.address(), false, &[]).await;
    assert_eq!(status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_with_a_declined_connect_even_if_nothing_came_behind_it() {
    for (status, body) in [
        (403, "content-length: 2\r\n\r\nno"),
        (407, "proxy-authenticate: basic\r\ncontent-length: 2\r\n\r\nno"),
        (502, "transfer-encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"),
    ] {
        let upstream = Scripted::answering(format!("HTTP/1.1 {status} x\r\n{body}")).await;
        let proxy = Proxy::start(Document::to(&[upstream.address()]).routes(&routes("pass"))).await;
        let mut client = Client::connect(proxy.address()).await;
        let response = client
            .exchange("CONNECT db.example:5432 HTTP/1.1\r\nhost: db.example:5432\r\n\r\n")
            .await;
        assert_eq!((response.status(), response.text().as_str()), (status, "no"));
        assert_eq!(response.field("connection"), Some("close"), "{status}");
        // The tunnel's bytes were under way when the answer came.
        client.send("GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(client.is_closed().await, "{status}");
        assert_eq!(upstream.head_count(), 1, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_connect_that_ends_here_has_a_time_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let upstream = plain_upstream().await;
    let document = Document::to(&[upstream.address()])
        .routes(&routes("terminate"))
        .http(&format!(
            "access_logs: [{{ path: '{}', format: {{ text: '%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_DURATION%' }} }}]",
            path.display()
        ));
    let proxy = Proxy::start(document).await;
    let (mut tunnel, _, _) = open(&proxy, false).await;
    tunnel.finish().await;
    tunnel.rest().await;
    let line = wait_until("the line", async || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        text.ends_with('\n').then_some(text)
    })
    .await;
    let duration = line.trim_end().strip_prefix("200 connect_terminated ");
    // It is what the route's histogram gets; without one that would be the tunnel's lifetime.
    assert!(duration.unwrap_or_default().parse::<u64>().is_ok(), "{line:?}");
}
