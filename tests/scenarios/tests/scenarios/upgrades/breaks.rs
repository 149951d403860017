//! Tunnels of which a side breaks off: what was said before still arrives, and both sides learn of it.

use super::peers::{End, Fields, RST, Then, Tunnel, Upstream};
use super::{opening, switching};
use outrigger_fixtures::frames::{Frame, FrameConnection, FrameKind, setting};
use outrigger_fixtures::scripted::Scripted;
use outrigger_fixtures::{Authority, wire::Wire};
use outrigger_harness::{Client, Document, Proxy, wait_until};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

const DOWNSTREAM_RESET: &str = "outrigger_listener_tunnels_ended_total{reason=\"downstream_reset\"}";
const UPSTREAM_RESET: &str = "outrigger_listener_tunnels_ended_total{reason=\"upstream_reset\"}";

/// An upstream that speaks TLS, switches protocols, says something, and ends TCP under its TLS.
async fn truncating_upstream(authority: &Authority) -> SocketAddr {
    let config = authority
        .issue("upstream", &["upstream.example"])
        .server_config(&["http/1.1"]);
    let acceptor = tokio_rustls::TlsAcceptor::from(config);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut wire = Wire::new(acceptor.accept(tcp).await?);
                wire.head().await?;
                wire.send((switching() + "last words").as_bytes()).await?;
                wire.stream().get_mut().0.shutdown().await?;
                wire.to_close().await?;
                io::Result::Ok(())
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_upstream_says_before_it_ends_without_close_notify_arrives() {
    let authority = Authority::new("truncating");
    let tls = format!(
        "tls: {{ ca_file: {}, server_name: upstream.example }}, protocol: http1",
        authority.root().display()
    );
    let address = truncating_upstream(&authority).await;
    let proxy = Proxy::start(Document::to(&[address]).cluster(&tls)).await;
    let mut client = Client::connect(proxy.address()).await;
    client.send(opening("")).await;
    assert_eq!(client.head().await.status(), 101);
    let mut tunnel = Tunnel::Http1(client);
    assert_eq!(tunnel.rest().await, ("last words".to_owned(), End::Order));
    tunnel.finish().await;
    let closed = "outrigger_listener_tunnels_ended_total{reason=\"closed\"}";
    proxy.admin().wait_for_metric(closed, 1.0).await;

    // A client that speaks TLS is left to judge for itself.
    let server = authority.issue("server", &["a.example"]);
    let document = Document::to(&[address])
        .cluster(&tls)
        .chain(&format!("tls: {{ certificates: [{}] }}", server.yaml()));
    let proxy = Proxy::start(document).await;
    let config = authority.client_config(&["http/1.1"], None);
    let client = Client::connect_tls(proxy.address(), config, "a.example").await;
    let mut client = client.unwrap();
    client.send(opening("")).await;
    assert_eq!(client.head().await.status(), 101);
    assert_eq!(client.take(10).await, b"last words");
    let end = client.wire().fill().await;
    assert_eq!(
        end.map_err(|error| error.kind()),
        Err(io::ErrorKind::UnexpectedEof)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_says_before_it_ends_without_close_notify_arrives() {
    for up in [false, true] {
        let authority = Authority::new("truncating");
        let server = authority.issue("server", &["a.example"]);
        let upstream = Upstream::start(up, Then::Echo).await;
        let document = Document::to(&[upstream.address()])
            .chain(&format!("tls: {{ certificates: [{}] }}", server.yaml()))
            .cluster(if up { "protocol: http2" } else { "protocol: http1" });
        let proxy = Proxy::start(document).await;
        let tcp = TcpStream::connect(proxy.address()).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(authority.client_config(&["http/1.1"], None));
        let tls = connector.connect("a.example".try_into().unwrap(), tcp).await;
        let mut wire = Wire::new(tls.unwrap());
        wire.send(opening("").as_bytes()).await.unwrap();
        assert_eq!(wire.head().await.unwrap().unwrap().status(), 101, "{up}");
        wire.send(b"last words").await.unwrap();
        wire.stream().get_mut().0.shutdown().await.unwrap();
        assert_eq!(
            upstream.heard().await,
            ("last words".to_owned(), End::Order),
            "{up}"
        );
        let mut rest = wire.to_close().await.unwrap_or_default();
        rest.truncate("last wordsbye".len());
        assert_eq!(String::from_utf8_lossy(&rest), "last wordsbye", "{up}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_upstream_says_before_it_resets_arrives() {
    for http2 in [false, true] {
        let upstream = Scripted::start(|mut script| async move {
            let head = script.head().await?.unwrap_or_default();
            let fields: Fields = head.fields.into_iter().collect();
            let accept = super::accept_of(&fields["sec-websocket-key"]);
            script.send(super::switching_with(&accept)).await?;
            script.wire().take(2).await?;
            script.send("last words").await?;
            script.reset()
        })
        .await;
        let proxy = Proxy::start(Document::to(&[upstream.address()]).workers(1)).await;
        let (mut tunnel, _, _) = Tunnel::open(proxy.address(), http2, &[]).await;
        tunnel.send("go").await;
        let (heard, end) = tunnel.rest().await;
        assert_eq!(heard, "last words", "{http2}");
        assert!(matches!(end, End::Reset(_)), "{http2}");
        proxy.admin().wait_for_metric(UPSTREAM_RESET, 1.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_resets_after_its_end_is_noticed_while_the_upstream_is_silent() {
    for up in [false, true] {
        let upstream = Upstream::start(up, Then::Silent).await;
        let proxy = super::translations::proxy(&upstream, up, "").await;
        let (mut tunnel, _, _) = Tunnel::open(proxy.address(), false, &[]).await;
        tunnel.send("hello").await;
        tunnel.finish().await;
        assert_eq!(upstream.heard().await, ("hello".to_owned(), End::Order), "{up}");
        tunnel.reset().await;
        let admin = proxy.admin();
        admin.wait_for_metric(DOWNSTREAM_RESET, 1.0).await;
        admin
            .wait_for_metric("outrigger_listener_connections_active", 0.0)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_resets_after_its_end_is_noticed_while_the_client_is_silent() {
    for http2 in [false, true] {
        let go = Arc::new(Semaphore::new(0));
        let told = Arc::clone(&go);
        let upstream = Scripted::start(move |mut script| {
            let told = Arc::clone(&told);
            async move {
                let head = script.head().await?.unwrap_or_default();
                let fields: Fields = head.fields.into_iter().collect();
                let accept = super::accept_of(&fields["sec-websocket-key"]);
                script.send(super::switching_with(&accept) + "all").await?;
                script.half_close().await?;
                told.acquire().await.map_err(io::Error::other)?.forget();
                script.reset()
            }
        })
        .await;
        let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
        let (mut tunnel, _, _) = Tunnel::open(proxy.address(), http2, &[]).await;
        assert_eq!(tunnel.rest().await, ("all".to_owned(), End::Order), "{http2}");
        go.add_permits(1);
        proxy.admin().wait_for_metric(UPSTREAM_RESET, 1.0).await;
        if http2 {
            let (_, end) = tunnel.rest().await;
            assert_ne!(end, End::Reset(RST), "its connection goes on");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_resets_while_its_upstream_reads_nothing_is_noticed() {
    let upstream = Scripted::start(|mut script| async move {
        script.head().await?;
        script.send(switching()).await?;
        std::future::pending().await
    })
    .await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    client.send(opening("")).await;
    assert_eq!(client.head().await.status(), 101);
    let admin = proxy.admin();
    let mut before = -1.0;
    let stalled = wait_until("the flow to stop", async || {
        let sent = admin.metric("outrigger_cluster_sent_bytes_total").await;
        let stood = sent == std::mem::replace(&mut before, sent);
        (stood && sent > 100_000.0).then_some(())
    });
    let piece = vec![7; 1 << 20];
    let writing = async {
        loop {
            client.wire().send(&piece).await.unwrap();
        }
    };
    tokio::select! {
        () = stalled => {}
        () = writing => {}
    }
    client.reset();
    admin.wait_for_metric(DOWNSTREAM_RESET, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_a_byte_now_and_then_is_not_idle() {
    const IDLE: Duration = Duration::from_secs(2);
    let text = "slowly read";
    let upstream = Scripted::start(move |mut script| async move {
        let head = script.head().await?.unwrap_or_default();
        let fields: Fields = head.fields.into_iter().collect();
        let accept = super::accept_of(&fields["sec-websocket-key"]);
        script.send(super::switching_with(&accept) + text).await?;
        script.until_closed().await
    })
    .await;
    let http = format!("upgrade_idle_timeout: {}ms", IDLE.as_millis());
    let proxy = Proxy::start(Document::to(&[upstream.address()]).http(&http)).await;
    // The client's window says exactly what it takes.
    let mut client = FrameConnection::connect(proxy.address(), &[(setting::INITIAL_WINDOW_SIZE, 0)])
        .await
        .unwrap();
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", "test"),
        (":path", "/"),
    ];
    client.send(Frame::headers(1, &fields, false)).await.unwrap();
    assert_eq!(client.next_headers().await.unwrap().field(":status"), Some("200"));
    for byte in text.bytes() {
        // Twice the idle time in all, and far below it each time.
        tokio::time::sleep(IDLE * 2 / text.len() as u32).await;
        client.send(Frame::window_update(1, 1)).await.unwrap();
        let frame = client.next_where(|frame| frame.stream == 1).await.unwrap();
        assert_eq!((frame.kind, &frame.payload[..]), (FrameKind::Data, &[byte][..]));
    }
}
