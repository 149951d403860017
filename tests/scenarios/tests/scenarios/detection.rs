//! Filter chains in mode `auto`: who speaks first decides, and nobody waits who need not.

use outrigger_fixtures::{Authority, Scripted};
use outrigger_harness::client::fetch;
use outrigger_harness::{Client, Document, Proxy, wait_until, within};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

/// HTTP is answered by the cluster `web`, everything else goes to `bytes`. `more` are fields of the chain.
fn detecting(web: SocketAddr, bytes: &[SocketAddr], more: &str) -> Document {
    Document::to(&[])
        .with_cluster("web", &[web], "")
        .with_cluster("bytes", bytes, "")
        .routes("{ match: { prefix: / }, forward: { cluster: web } }")
        .listener(&format!(
            "filter_chains: [{{ http: {{ route_configuration: main }}, tcp: {{ cluster: bytes }}, {more} }}]"
        ))
        .workers(1)
}

/// A time that no test waits for.
const PATIENT: &str = "detection_timeout: 1h";

/// A server that speaks first, and then sends back what it hears.
async fn mail() -> Scripted {
    Scripted::start(|mut script| async move {
        script.send("220 ready\r\n").await?;
        let (mut read, mut write) = script.wire().stream().split();
        tokio::io::copy(&mut read, &mut write).await?;
        write.shutdown().await
    })
    .await
}

/// A server that waits, and then says what it heard.
async fn waiting() -> Scripted {
    Scripted::start(|mut script| async move {
        let mut heard = [0; 1024];
        loop {
            let count = script.wire().stream().read(&mut heard).await?;
            if count == 0 {
                return script.half_close().await;
            }
            script.send(&heard[..count]).await?;
        }
    })
    .await
}

async fn assert_detected(proxy: &Proxy, outcome: &str, count: f64) {
    let series = format!("outrigger_listener_protocol_detected_total{{outcome=\"{outcome}\"}}");
    proxy.admin().wait_for_metric(&series, count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_speaks_first_is_heard_at_once() {
    let (web, bytes) = (Scripted::ok().await, mail().await);
    let proxy = Proxy::start(detecting(web.address(), &[bytes.address()], PATIENT)).await;
    for round in 1..3 {
        let mut client = Client::connect(proxy.address()).await;
        assert_eq!(client.take(11).await, b"220 ready\r\n");
        client.send("EHLO a\r\n").await;
        assert_eq!(client.take(8).await, b"EHLO a\r\n");
        // What looks like HTTP now is a mail all the same.
        client.send("GET / HTTP/1.1\r\n\r\n").await;
        assert_eq!(client.take(18).await, b"GET / HTTP/1.1\r\n\r\n");
        assert_detected(&proxy, "server_first", f64::from(round)).await;
    }
    assert_eq!(web.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_and_other_protocols_share_a_port_whoever_begins() {
    let (web, bytes) = (Scripted::ok().await, waiting().await);
    let proxy = Proxy::start(detecting(web.address(), &[bytes.address()], PATIENT)).await;
    // All at once, and byte by byte.
    for drips in [false, true] {
        let mut client = Client::connect(proxy.address()).await;
        let request = "GET /a HTTP/1.1\r\nhost: a\r\n\r\n";
        if drips {
            client.send_bytewise(request).await;
        } else {
            client.send(request).await;
        }
        assert_eq!(client.response("GET").await.text(), "ok\n");
        // The connection is HTTP's: it is kept alive, and read strictly.
        assert_eq!(client.fetch("/b", "").await.status(), 200);

        let mut client = Client::connect(proxy.address()).await;
        let words = "*1\r\n$4\r\nPING\r\n";
        if drips {
            client.send_bytewise(words).await;
        } else {
            client.send(words).await;
        }
        assert_eq!(client.take(words.len()).await, words.as_bytes());
    }
    let mut client = Client::connect(proxy.address()).await;
    client
        .send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await;
    // A SETTINGS frame on stream 0.
    let frame = client.take(9).await;
    assert_eq!((frame[3], &frame[5..]), (4, &[0; 4][..]), "{frame:?}");
    for (outcome, count) in [("http1", 2.0), ("tcp", 2.0), ("http2", 1.0)] {
        assert_detected(&proxy, outcome, count).await;
    }
    assert_eq!(web.request_count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_speaks_http_is_not_dialled_ahead_again() {
    let (web, bytes) = (Scripted::ok().await, waiting().await);
    let proxy = Proxy::start(detecting(web.address(), &[bytes.address()], PATIENT)).await;
    // Nothing is known of the destination: the connection ahead is made, and dropped when the client speaks.
    let mut first = Client::connect(proxy.address()).await;
    let opened = "outrigger_cluster_connections_opened_total{protocol=\"tcp\"}";
    proxy.admin().wait_for_metric(opened, 1.0).await;
    assert_eq!(first.fetch("/", "").await.status(), 200);
    wait_until("its end", async || (bytes.open_connections() == 0).then_some(())).await;
    let unused = "outrigger_cluster_connections_closed_total{reason=\"unused\"}";
    proxy.admin().wait_for_metric(unused, 1.0).await;
    for _ in 0..5 {
        assert_eq!(fetch(proxy.address(), "/", "").await.status(), 200);
    }
    assert_eq!(bytes.connections(), 1);
    // A client that is silent may be one that waits for another protocol's server.
    let _silent = Client::connect(proxy.address()).await;
    wait_until("a connection ahead", async || {
        (bytes.connections() == 2).then_some(())
    })
    .await;
    // What is remembered is only when to dial ahead: other bytes are served as what they are, and remembered.
    let mut client = Client::connect(proxy.address()).await;
    client.send("*1\r\n").await;
    assert_eq!(client.take(4).await, b"*1\r\n");
    let _silent = Client::connect(proxy.address()).await;
    wait_until("a connection ahead", async || {
        (bytes.connections() == 4).then_some(())
    })
    .await;
    assert_eq!(fetch(proxy.address(), "/", "").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_does_not_need_the_server_that_bytes_would_go_to() {
    let web = Scripted::ok().await;
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    for endpoints in [vec![], vec![nobody]] {
        let proxy = Proxy::start(detecting(web.address(), &endpoints, PATIENT)).await;
        let mut client = Client::connect(proxy.address()).await;
        // The dial has failed by now, if the kernel is quick.
        tokio::task::yield_now().await;
        assert_eq!(client.fetch("/", "").await.status(), 200);
        let mut other = Client::connect(proxy.address()).await;
        other.send("*1\r\n").await;
        assert!(other.to_close().await.is_empty());
        let closed = "outrigger_listener_connections_closed_total{reason=\"upstream\"}";
        proxy.admin().wait_for_metric(closed, 1.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stays_silent_or_says_too_little_is_served_as_tcp() {
    let (web, bytes) = (Scripted::ok().await, waiting().await);
    let document = detecting(web.address(), &[bytes.address()], "detection_timeout: 200ms");
    let proxy = Proxy::start(document).await;
    let mut silent = Client::connect(proxy.address()).await;
    assert_detected(&proxy, "silent", 1.0).await;
    let words = "GET / HTTP/1.1\r\n\r\n";
    silent.send(words).await;
    assert_eq!(silent.take(words.len()).await, words.as_bytes());
    let mut dribbling = Client::connect(proxy.address()).await;
    dribbling.send("HEL").await;
    assert_detected(&proxy, "silent", 2.0).await;
    assert_eq!(dribbling.take(3).await, b"HEL");
    assert_eq!(web.request_count(), 0);
    // What can hardly be anything else is HTTP, which has its own patience.
    let mut slow = Client::connect(proxy.address()).await;
    slow.send("GET / HT").await;
    assert_detected(&proxy, "http1", 1.0).await;
    slow.send("TP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(slow.response("GET").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_ends_its_side_early_hears_the_server() {
    let (web, bytes) = (Scripted::ok().await, mail().await);
    let proxy = Proxy::start(detecting(web.address(), &[bytes.address()], PATIENT)).await;
    let mut client = Client::connect(proxy.address()).await;
    client.half_close().await;
    assert_eq!(client.to_close().await, b"220 ready\r\n");
    let mut client = Client::connect(proxy.address()).await;
    client.send("GET / HT").await;
    client.half_close().await;
    assert_eq!(client.to_close().await, b"220 ready\r\nGET / HT");
    assert_eq!(web.request_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_passed_on_where_it_is_not_terminated_and_looked_into_where_it_is() {
    let authority = Authority::new("root");
    let config = authority.issue("inner", &["inner.example"]).server_config(&[]);
    let secret = Scripted::start(move |mut script| {
        let acceptor = TlsAcceptor::from(Arc::clone(&config));
        async move {
            let mut stream = acceptor.accept(script.wire().stream()).await?;
            stream.write_all(b"inside").await?;
            stream.shutdown().await
        }
    })
    .await;
    let web = Scripted::ok().await;
    let proxy = Proxy::start(detecting(web.address(), &[secret.address()], PATIENT)).await;
    let trusting = authority.client_config(&[], None);
    let mut client = Client::connect_tls(proxy.address(), trusting, "inner.example")
        .await
        .unwrap();
    assert_eq!(client.take(6).await, b"inside");
    assert_detected(&proxy, "tls", 1.0).await;

    let ours = authority.issue("ours", &["ours.example"]);
    let tls = format!("tls: {{ certificates: [{}] }}, {PATIENT}", ours.yaml());
    let open = async |proxy: &Proxy| {
        let config = authority.client_config(&[], None);
        Client::connect_tls(proxy.address(), config, "ours.example")
            .await
            .unwrap()
    };
    let bytes = mail().await;
    let proxy = Proxy::start(detecting(web.address(), &[bytes.address()], &tls)).await;
    assert_eq!(open(&proxy).await.take(11).await, b"220 ready\r\n");
    assert_detected(&proxy, "server_first", 1.0).await;
    // A server that waits: one that speaks first might be faster than the client.
    let bytes = waiting().await;
    let proxy = Proxy::start(detecting(web.address(), &[bytes.address()], &tls)).await;
    assert_eq!(open(&proxy).await.fetch("/", "").await.status(), 200);
    assert_detected(&proxy, "http1", 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_at_a_port_of_plain_http_is_answered_in_words() {
    let web = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[web.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
    let answer = client.response("GET").await;
    assert_eq!(answer.status(), 400);
    assert!(answer.text().contains("plain HTTP"), "{}", answer.text());
    let refused = "outrigger_listener_requests_refused_total{reason=\"tls_on_plain_port\"}";
    proxy.admin().wait_for_metric(refused, 1.0).await;
    within("the close", client.is_closed()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_speaks_first_is_heard_where_http_is_known() {
    let (web, bytes) = (Scripted::ok().await, mail().await);
    let proxy = Proxy::start(detecting(web.address(), &[bytes.address()], PATIENT)).await;
    for _ in 0..3 {
        // On a busy machine a client may be slower than the greeting.
        wait_until("a request before the greeting", async || {
            let mut client = Client::connect(proxy.address()).await;
            client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            (client.take(4).await == b"HTTP").then_some(())
        })
        .await;
        let mut client = Client::connect(proxy.address()).await;
        assert_eq!(client.take(11).await, b"220 ready\r\n");
    }
}
