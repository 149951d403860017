//! Upgrades that do not come about: refused by policy or upstream, answered wrongly, or cut off.

use super::peers::{End, Then, Tunnel, Upstream};
use super::translations::PAIRS;
use super::{opening, say, switching, switching_with};
use outrigger_fixtures::frames::{Frame, FrameConnection, FrameServer, setting};
use outrigger_fixtures::scripted::Scripted;
use outrigger_harness::{Client, Document, Proxy, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_on_the_list_is_served_without_over_http1_and_403_over_http2() {
    let upstream = Scripted::ok().await;
    for (http, forward, protocol, allowed) in [
        ("upgrades: []", "timeout: 5s", "websocket", false),
        ("upgrades: [websocket]", "upgrades: [other]", "websocket", false),
        ("upgrades: [websocket]", "timeout: 5s", "other", false),
        ("upgrades: []", "upgrades: [websocket]", "websocket", true),
    ] {
        let before = upstream.request_count();
        let document = Document::to(&[upstream.address()]).http(http).forward(forward);
        let proxy = Proxy::start(document).await;
        let mut client = Client::connect(proxy.address()).await;
        let head = format!(
            "GET / HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\
             sec-websocket-key: {}\r\n\r\n",
            super::KEY
        );
        let response = client.exchange(&head).await;
        assert_eq!(response.status(), 200, "{http} {forward}");
        let asked = upstream.last_request().head.field("upgrade").is_some();
        assert_eq!(asked, allowed, "{http} {forward}");
        // A client of WebSockets waits for the answer. Others may have sent what is no request.
        let goes_on = protocol == "websocket";
        assert_eq!(response.field("connection"), (!goes_on).then_some("close"));
        if goes_on {
            assert_eq!(client.fetch("/again", "").await.status(), 200, "{http} {forward}");
        }
        assert_eq!(upstream.request_count(), before + 1 + usize::from(goes_on));
        let mut client = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
        let announced = client
            .peer_settings
            .as_ref()
            .and_then(|settings| settings.setting(setting::ENABLE_CONNECT_PROTOCOL));
        assert_eq!(
            announced == Some(1),
            http != "upgrades: []" || allowed,
            "{http} {forward}"
        );
        if announced != Some(1) || allowed {
            continue;
        }
        let more = [(":protocol", protocol)];
        let request = Frame::request(1, "CONNECT", "/", &more, false);
        client.send(request).await.unwrap();
        let head = client.next_headers().await.unwrap();
        assert_eq!(head.field(":status"), Some("403"), "{http} {forward}");
        let series = "outrigger_listener_upgrades_denied_total";
        proxy.admin().wait_for_metric(series, 2.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_protocols_the_first_allowed_is_asked_for() {
    let upstream = Scripted::start(|mut script| async move {
        let Some(head) = script.head().await? else {
            return Ok(());
        };
        let protocol = head.field("upgrade").unwrap_or_default().to_owned();
        script.ran(head, Default::default());
        script
            .send(format!(
                "HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\r\n"
            ))
            .await?;
        super::echo(&mut script).await
    })
    .await;
    let document = Document::to(&[upstream.address()]).http("upgrades: [websocket, spdy/3.1]");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .send("POST /exec HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c, SPDY/3.1\r\nupgrade: websocket\r\n\r\n")
        .await;
    let head = client.head().await;
    assert_eq!((head.status(), head.field("upgrade")), (101, Some("SPDY/3.1")));
    let sent = upstream.last_request().head;
    assert_eq!(sent.all("upgrade").collect::<Vec<_>>(), ["SPDY/3.1"]);
    assert_eq!(sent.start_line, "POST /exec HTTP/1.1");
    say(&mut client, "hello").await;
    proxy
        .admin()
        .wait_for_metric(
            "outrigger_listener_upgrades_established_total{protocol=\"other\"}",
            1.0,
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_a_body_is_not_upgraded() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    for body in [
        "content-length: 4\r\n\r\nbody",
        "transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    ] {
        let head = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n";
        let response = client.exchange(format!("{head}{body}")).await;
        assert_eq!(response.status(), 200, "{body:?}");
        let request = upstream.last_request();
        assert_eq!(request.body.bytes, b"body");
        for name in ["upgrade", "connection"] {
            assert_eq!(request.head.field(name), None, "{body:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_declines_is_heard_and_both_connections_go_on() {
    for status in [200, 403, 426] {
        let upstream = Scripted::answering(format!(
            "HTTP/1.1 {status} x\r\nx-from: upstream\r\ncontent-length: 2\r\n\r\nno"
        ))
        .await;
        let proxy = Proxy::start(Document::to(&[upstream.address()]).workers(1)).await;
        let mut client = Client::connect(proxy.address()).await;
        for _ in 0..2 {
            let response = client.exchange(opening("")).await;
            assert_eq!((response.status(), response.text().as_str()), (status, "no"));
            assert_eq!(response.field("x-from"), Some("upstream"));
            assert_eq!(response.field("connection"), None);
        }
        assert_eq!(client.fetch("/", "").await.status(), status);
        assert_eq!((upstream.connections(), upstream.request_count()), (1, 3));
        // With 200 a client of HTTP/2 would think that its WebSocket is there.
        let (mut tunnel, status_http2, _) = Tunnel::open(proxy.address(), true, &[]).await;
        assert_eq!(status_http2, if status == 200 { 502 } else { status });
        if status != 200 {
            assert_eq!(tunnel.rest().await, ("no".to_owned(), End::Order));
        }
        let refused = "outrigger_listener_upgrades_refused_total{protocol=\"websocket\"}";
        let refusals = if status == 200 { 2.0 } else { 3.0 };
        proxy.admin().wait_for_metric(refused, refusals).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_declined_upgrade_is_not_read_as_a_request() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .send(opening("") + "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    let response = client.response("GET").await;
    assert_eq!(
        (response.status(), response.field("connection")),
        (200, Some("close"))
    );
    assert!(client.is_closed().await);
    assert_eq!(upstream.request_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_with_its_upgrade_unless_the_client_waits_for_the_answer() {
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()])
        .http("upgrades: [websocket, other]")
        .workers(1);
    let proxy = Proxy::start(document).await;
    for (offers, rest, goes_on) in [
        ("websocket", "", true),
        ("h2c", "http2-settings: AAMAAABk\r\n", true),
        ("h2c, WebSocket", "", true),
        ("other", "", false),
        ("websocket, other", "", false),
        ("unheard-of", "", false),
        // It is served without, and what follows the body may still be meant for it.
        ("other", "content-length: 0\r\n", false),
    ] {
        let mut client = Client::connect(proxy.address()).await;
        let head =
            format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: {offers}\r\n{rest}\r\n");
        let response = client.exchange(head).await;
        assert_eq!(response.status(), 200, "{offers}");
        assert_eq!(
            response.field("connection"),
            (!goes_on).then_some("close"),
            "{offers}"
        );
        let before = upstream.request_count();
        client.send("GET /next HTTP/1.1\r\nhost: a\r\n\r\n").await;
        if goes_on {
            assert_eq!(client.response("GET").await.status(), 200, "{offers}");
        } else {
            assert!(client.is_closed().await, "{offers}");
        }
        assert_eq!(
            upstream.request_count(),
            before + usize::from(goes_on),
            "{offers}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_place_of_a_refusal_is_no_tunnel() {
    let pages = "error_pages: [{ statuses: [403], page: { status: 200, body: page } }]";
    let upstream = Scripted::ok().await;
    let hosts = format!(
        "{{ name: all, domains: ['*'], {pages}, routes: [{{ match: {{ prefix: / }}, \
         forward: {{ cluster: upstream, upgrades: [other] }} }}] }}"
    );
    let proxy = Proxy::start(Document::to(&[upstream.address()]).virtual_hosts(&hosts)).await;
    let (mut tunnel, status, _) = Tunnel::open(proxy.address(), true, &[]).await;
    assert_eq!(status, 403);
    assert_eq!(tunnel.rest().await, ("page".to_owned(), End::Order));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_upstream_that_declines_is_heard() {
    let upstream = FrameServer::start(|mut connection, _| async move {
        connection.greet(&[(setting::ENABLE_CONNECT_PROTOCOL, 1)]).await?;
        while let Ok(head) = connection.next_headers().await {
            connection
                .send(Frame::response(head.stream, "404", false))
                .await?;
            connection.send(Frame::data(head.stream, "no", true)).await?;
        }
        Ok(())
    })
    .await
    .unwrap();
    let proxy = Proxy::start(Document::to(&[upstream.address()]).cluster("protocol: http2")).await;
    let mut client = Client::connect(proxy.address()).await;
    for _ in 0..2 {
        let response = client.exchange(opening("")).await;
        assert_eq!((response.status(), response.text().as_str()), (404, "no"));
    }
    let (mut tunnel, status, _) = Tunnel::open(proxy.address(), true, &[]).await;
    assert_eq!(
        (status, tunnel.rest().await),
        (404, ("no".to_owned(), End::Order))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_upstream_that_did_not_offer_it_is_not_asked() {
    let upstream = FrameServer::start(|mut connection, _| async move {
        connection.greet(&[]).await?;
        let head = connection.next_headers().await?;
        anyhow::bail!("asked: {:?}", head.fields)
    })
    .await
    .unwrap();
    let proxy = Proxy::start(Document::to(&[upstream.address()]).cluster("protocol: http2")).await;
    for http2 in [false, true] {
        let (_, status, _) = Tunnel::open(proxy.address(), http2, &[]).await;
        assert_eq!(status, 502, "{http2}");
    }
    let admin = proxy.admin();
    admin
        .wait_for_metric(
            "outrigger_listener_upgrades_failed_total{protocol=\"websocket\"}",
            2.0,
        )
        .await;
    admin
        .wait_for_metric("outrigger_route_response_flags_total{flag=\"UPE\"}", 2.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_answer_is_502_and_reaches_nobody() {
    let wrong = "HTTP/1.1 101 Switching Protocols\r\n";
    for (answer, asked_by_http2_only) in [
        (
            format!("{wrong}connection: upgrade\r\nupgrade: other\r\n\r\n"),
            false,
        ),
        (
            format!("{wrong}connection: upgrade\r\nupgrade: websocket\r\nupgrade: other\r\n\r\n"),
            false,
        ),
        (format!("{wrong}upgrade: websocket\r\n\r\n"), false),
        (format!("{wrong}connection: upgrade\r\n\r\n"), false),
        (
            format!("{wrong}connection: upgrade\r\nupgrade: websocket\r\ncontent-length: 6\r\n\r\n"),
            false,
        ),
        // Over HTTP/1 the client checks this itself.
        (switching_with("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), true),
        (
            "HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n".to_owned(),
            true,
        ),
    ] {
        let upstream = Scripted::answering(answer.clone() + "secret").await;
        let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
        if !asked_by_http2_only {
            let mut client = Client::connect(proxy.address()).await;
            let response = client.exchange(opening("")).await;
            assert_eq!(response.status(), 502, "{answer:?}");
            assert!(!response.text().contains("secret"), "{answer:?}");
        }
        let (_, status, _) = Tunnel::open(proxy.address(), true, &[]).await;
        assert_eq!(status, 502, "{answer:?}");
        let expected = if asked_by_http2_only { 1 } else { 2 };
        wait_until("both connections' end", async || {
            (upstream.open_connections() == 0).then_some(())
        })
        .await;
        assert_eq!(upstream.connections(), expected, "{answer:?}: none is retried");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_none_is_refused_where_the_answer_is_made_here() {
    let upstream = Upstream::start(true, Then::Echo).await;
    let proxy = super::translations::proxy(&upstream, true, "").await;
    let head = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n";
    for key in [
        "",
        "sec-websocket-key: short\r\n",
        "sec-websocket-key: a\r\nsec-websocket-key: b\r\n",
    ] {
        let mut client = Client::connect(proxy.address()).await;
        let response = client.exchange(format!("{head}{key}\r\n")).await;
        assert_eq!(response.status(), 400, "{key:?}");
    }
    assert_eq!(upstream.heads(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_dies_before_its_answer_is_503() {
    for http2 in [false, true] {
        let upstream = Scripted::start(|mut script| async move {
            script.head().await?;
            script.reset()
        })
        .await;
        let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
        let (_, status, _) = Tunnel::open(proxy.address(), http2, &[]).await;
        assert_eq!(status, 503, "{http2}");
        assert_eq!(upstream.head_count(), 1, "it may have run");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_cannot_be_reached_is_passed_over() {
    let nowhere = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap()
    };
    for (downstream, up) in PAIRS {
        let upstream = Upstream::start(up, Then::Echo).await;
        let protocol = if up { "http2" } else { "http1" };
        let document = Document::to(&[nowhere, upstream.address()]).cluster(&format!("protocol: {protocol}"));
        let proxy = Proxy::start(document).await;
        for _ in 0..2 {
            let (mut tunnel, _, _) = Tunnel::open(proxy.address(), downstream, &[]).await;
            tunnel.say("hello").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_before_the_answer_takes_the_upstream_with_it() {
    for http2 in [false, true] {
        let upstream = Scripted::start(|mut script| async move {
            script.head().await?;
            script.until_closed().await
        })
        .await;
        let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
        let mut client = Client::connect(proxy.address()).await;
        let mut frames = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
        if http2 {
            let more = [(":protocol", "websocket")];
            frames
                .send(Frame::request(1, "CONNECT", "/", &more, false))
                .await
                .unwrap();
        } else {
            client.send(opening("")).await;
        }
        wait_until("the request", async || (upstream.head_count() == 1).then_some(())).await;
        drop((client, frames));
        wait_until("the upstream's end", async || {
            (upstream.open_connections() == 0).then_some(())
        })
        .await;
        let flag = "outrigger_route_response_flags_total{flag=\"DC\"}";
        proxy.admin().wait_for_metric(flag, 1.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_that_was_written_bounds_the_answer_and_not_the_tunnel() {
    let upstream = Scripted::start(|mut script| async move {
        let head = script.head().await?.unwrap_or_default();
        if head.target() == "/never" {
            return script.until_closed().await;
        }
        script.send(switching()).await?;
        super::echo(&mut script).await
    })
    .await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).forward("timeout: 200ms")).await;
    let mut client = Client::connect(proxy.address()).await;
    client.send(opening("")).await;
    assert_eq!(client.head().await.status(), 101);
    let mut other = Client::connect(proxy.address()).await;
    let never = opening("").replace("/chat?room=1", "/never");
    assert_eq!(other.exchange(never).await.status(), 504);
    // By now the time of the first has passed too.
    say(&mut client, "still here").await;
}

/// What the attempt before made of its answer says nothing of this one's.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_passed_on_after_an_attempt_that_switched_wrongly() {
    let upstream = Scripted::start(|mut script| async move {
        let Some(head) = script.head().await? else {
            return Ok(());
        };
        script.ran(head, Default::default());
        if script.index() == 0 {
            script.send(switching_with("wrong")).await?;
            return script.until_closed().await;
        }
        script
            .send("HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno")
            .await
    })
    .await;
    let document = Document::to(&[upstream.address()])
        .workers(1)
        .http("upgrades: [websocket]")
        .forward("retry: { retry_on: [5xx], backoff: { base: 1ms } }");
    let proxy = Proxy::start(document).await;
    let mut client = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let more = [(":protocol", "websocket"), ("sec-websocket-version", "13")];
    let request = Frame::request(1, "CONNECT", "/", &more, false);
    client.send(request).await.unwrap();
    let head = client.next_headers().await.unwrap();
    assert_eq!(head.field(":status"), Some("403"));
    assert_eq!(upstream.connections(), 2);
}
