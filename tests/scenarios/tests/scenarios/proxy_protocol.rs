//! The PROXY protocol, from load balancers in front and to upstreams behind.

use outrigger_fixtures::{Authority, Scripted};
use outrigger_harness::client::fetch;
use outrigger_harness::{Client, Document, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

mod upstream;

fn listening(mode: &str) -> String {
    format!("proxy_protocol: {mode}")
}

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// A version 2 header for 192.0.2.7:5000 to 198.51.100.9:80, with these bytes behind the addresses.
fn binary(fields: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
    header.extend_from_slice(&(12 + fields.len() as u16).to_be_bytes());
    header.extend_from_slice(&[192, 0, 2, 7, 198, 51, 100, 9, 0x13, 0x88, 0, 80]);
    header.extend_from_slice(fields);
    header
}

async fn refused(proxy: &Proxy, reason: &str) -> f64 {
    let series = format!("outrigger_listener_connections_refused_total{{reason=\"{reason}\"}}");
    proxy.admin().metric(&series).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_is_who_the_header_says() {
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()]).listener(&listening("required"));
    let proxy = Proxy::start(document).await;
    for header in [
        b"PROXY TCP4 192.0.2.7 198.51.100.9 5000 80\r\n".to_vec(),
        binary(&[]),
        binary(&[4, 0, 1, 0]),
    ] {
        for bytewise in [false, true] {
            let mut client = Client::connect(proxy.address()).await;
            let whole = [header.as_slice(), REQUEST.as_bytes()].concat();
            match bytewise {
                true => client.send_bytewise(&whole).await,
                false => client.send(&whole).await,
            }
            assert_eq!(client.response("GET").await.status(), 200);
            let seen = upstream.last_request();
            assert_eq!(
                seen.head.field("x-forwarded-for"),
                Some("192.0.2.7"),
                "{header:?}"
            );
            assert_eq!(
                client.fetch("/again", "").await.status(),
                200,
                "no header before a second request"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_about_nobody_leaves_the_connection_to_speak_for_itself() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).listener(&listening("required"))).await;
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0".to_vec();
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), local] {
        let mut client = Client::connect(proxy.address()).await;
        client
            .send([header.as_slice(), REQUEST.as_bytes()].concat())
            .await;
        assert_eq!(client.response("GET").await.status(), 200);
        assert_eq!(
            upstream.last_request().head.field("x-forwarded-for"),
            Some("127.0.0.1")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn optional_serves_both_and_off_reads_none() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).listener(&listening("optional"))).await;
    assert_eq!(fetch(proxy.address(), "/", "").await.status(), 200);
    assert_eq!(
        upstream.last_request().head.field("x-forwarded-for"),
        Some("127.0.0.1")
    );
    let mut client = Client::connect(proxy.address()).await;
    // A method that begins as a header does.
    client
        .send_bytewise("PROPFIND / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    assert_eq!(client.response("PROPFIND").await.status(), 200);
    assert_eq!(upstream.last_request().head.method(), "PROPFIND");
    let mut client = Client::connect(proxy.address()).await;
    client.send([&binary(&[]), REQUEST.as_bytes()].concat()).await;
    assert_eq!(client.response("GET").await.status(), 200);
    assert_eq!(
        upstream.last_request().head.field("x-forwarded-for"),
        Some("192.0.2.7")
    );

    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .send(format!("PROXY TCP4 192.0.2.7 198.51.100.9 5000 80\r\n{REQUEST}"))
        .await;
    assert_eq!(client.response("GET").await.status(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_header_may_end_its_side_before_it_says_anything() {
    let upstream = Scripted::start(|mut script| async move {
        let said = script.wire().to_close().await?;
        script.send(format!("{} bytes", said.len())).await?;
        script.half_close().await
    })
    .await;
    for (mode, expected) in [("optional", "0 bytes"), ("required", "")] {
        let document = Document::to(&[upstream.address()]).listener(&format!(
            "proxy_protocol: {mode}\nfilter_chains: [{{ tcp: {{ cluster: upstream }} }}]"
        ));
        let proxy = Proxy::start(document).await;
        let mut client = Client::connect(proxy.address()).await;
        client.half_close().await;
        assert_eq!(
            String::from_utf8_lossy(&client.to_close().await),
            expected,
            "{mode}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_header_is_closed_and_counted() {
    let upstream = Scripted::ok().await;
    let document =
        Document::to(&[upstream.address()]).listener("proxy_protocol: { mode: required, timeout: 300ms }");
    let proxy = Proxy::start(document).await;
    let mut crc = binary(&[3, 0, 4, 1, 2, 3, 4]);
    crc.extend_from_slice(REQUEST.as_bytes());
    for (bytes, reason) in [
        (REQUEST.as_bytes().to_vec(), "proxy_protocol_missing"),
        (
            b"PROXY TCP4 192.0.2.7 198.51.100.9 5000\r\n".to_vec(),
            "proxy_protocol_malformed",
        ),
        (crc, "proxy_protocol_malformed"),
        (b"\r\n\r\n\0\r\nQUIT\n\x31".to_vec(), "proxy_protocol_malformed"),
        (b"PROXY TCP4 192.0.2.7".to_vec(), "proxy_protocol_timeout"),
        (Vec::new(), "proxy_protocol_timeout"),
    ] {
        let before = refused(&proxy, reason).await;
        let mut client = Client::connect(proxy.address()).await;
        client.send(&bytes).await;
        assert!(client.is_closed().await, "{bytes:?}");
        let series = format!("outrigger_listener_connections_refused_total{{reason=\"{reason}\"}}");
        proxy.admin().wait_for_metric(&series, before + 1.0).await;
    }
    let before = refused(&proxy, "detection").await;
    let mut gone = TcpStream::connect(proxy.address()).await.unwrap();
    gone.write_all(b"PROXY TC").await.unwrap();
    gone.shutdown().await.unwrap();
    assert_eq!(gone.read(&mut [0; 1]).await.unwrap_or(0), 0);
    let series = "outrigger_listener_connections_refused_total{reason=\"detection\"}";
    proxy.admin().wait_for_metric(series, before + 1.0).await;
    assert_eq!(upstream.request_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_comes_before_tls_and_picks_the_chain() {
    let upstream = Scripted::ok().await;
    let authority = Authority::new("proxied");
    let server = authority.issue("server", &["a.example"]);
    let document = Document::to(&[upstream.address()])
        .listener(&listening("required"))
        .chain(&format!(
            "match: {{ source_prefixes: [192.0.2.0/24] }}, tls: {{ certificates: [{}] }}",
            server.yaml()
        ));
    let proxy = Proxy::start(document).await;
    let from = |source: &str| format!("PROXY TCP4 {source} 198.51.100.9 5000 443\r\n");
    let mut tcp = TcpStream::connect(proxy.address()).await.unwrap();
    tcp.write_all(from("192.0.2.7").as_bytes()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(authority.client_config(&["http/1.1"], None));
    let mut tls = connector
        .connect("a.example".try_into().unwrap(), tcp)
        .await
        .unwrap();
    tls.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    tls.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(
        upstream.last_request().head.field("x-forwarded-for"),
        Some("192.0.2.7")
    );

    let mut elsewhere = TcpStream::connect(proxy.address()).await.unwrap();
    elsewhere.write_all(from("203.0.113.1").as_bytes()).await.unwrap();
    let refusal = connector_failure(&authority, elsewhere).await;
    assert!(refusal, "no chain takes that source");
}

async fn connector_failure(authority: &Authority, tcp: TcpStream) -> bool {
    let connector = tokio_rustls::TlsConnector::from(authority.client_config(&["http/1.1"], None));
    connector
        .connect("a.example".try_into().unwrap(), tcp)
        .await
        .is_err()
}
