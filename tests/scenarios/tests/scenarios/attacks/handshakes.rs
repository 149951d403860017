//! Handshakes that do not end, that come in pieces, or where none should be.

use super::{Gallery, NAME, guarded};
use outrigger_harness::{Client, Document, Proxy};
use rustls::ClientConnection;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The first flight of a client with the right certificate.
fn client_hello(gallery: &Gallery) -> (ClientConnection, Vec<u8>) {
    let config = gallery
        .authority
        .client_config(&["http/1.1"], Some(&gallery.good));
    let name = rustls::pki_types::ServerName::try_from(NAME).unwrap();
    let mut connection = ClientConnection::new(Arc::clone(&config), name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    (connection, hello)
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_handshake_and_silence_end_by_the_timeout() {
    let gallery = Gallery::new();
    let proxy = Proxy::start(guarded(&gallery, &gallery.good, ", handshake_timeout: 300ms")).await;
    let (_, hello) = client_hello(&gallery);
    for (what, sent) in [
        ("nothing", &hello[..0]),
        ("a byte", &hello[..1]),
        ("half a ClientHello", &hello[..hello.len() / 2]),
        ("a ClientHello and nothing more", &hello[..]),
    ] {
        let series = "outrigger_listener_tls_handshake_failures_total{reason=\"timeout\"}";
        let before = proxy.admin().metric(series).await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let mut rest = Vec::new();
        // It ends, by a close or a reset.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(60), stream.read_to_end(&mut rest))
            .await
            .unwrap_or_else(|_| panic!("{what} is waited for without an end"));
        proxy.admin().wait_for_metric(series, before + 1.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_hello_in_single_bytes_is_understood() {
    let gallery = Gallery::new();
    for more in ["", ", mode: permissive"] {
        let proxy = Proxy::start(guarded(&gallery, &gallery.good, more)).await;
        let (mut connection, hello) = client_hello(&gallery);
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for byte in hello {
            stream.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut buffer = [0; 16 << 10];
        while connection.is_handshaking() {
            let length = stream.read(&mut buffer).await.unwrap();
            assert!(length > 0, "the handshake goes on");
            connection.read_tls(&mut &buffer[..length]).unwrap();
            connection.process_new_packets().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_gets_nothing_from_a_port_of_tls() {
    let gallery = Gallery::new();
    let proxy = Proxy::start(guarded(&gallery, &gallery.good, "")).await;
    let mut client = Client::connect(proxy.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let answer = client.to_close().await;
    assert!(answer.starts_with(b"HTTP/1.1 400 "), "{}", answer.escape_ascii());
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_gets_nothing_from_a_plain_port() {
    let gallery = Gallery::new();
    let document =
        Document::to(&[]).routes("{ match: { prefix: / }, direct_response: { status: 200, body: ok } }");
    let proxy = Proxy::start(document).await;
    let (_, hello) = client_hello(&gallery);
    let mut client = Client::connect(proxy.address()).await;
    client.send(&hello).await;
    let answer = client.to_close().await;
    assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", answer.escape_ascii());
    let series = "outrigger_listener_requests_refused_total{reason=\"tls_on_plain_port\"}";
    proxy.admin().wait_for_metric(series, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_name_that_no_chain_has_is_refused() {
    let gallery = Gallery::new();
    let chain = format!(
        "filter_chains: [{{ match: {{ server_names: [{NAME}] }}, tls: {{ certificates: [{}] }}, \
         http: {{ route_configuration: main }} }}]",
        gallery.good.yaml()
    );
    let document = Document::to(&[])
        .routes("{ match: { prefix: / }, direct_response: { status: 200, body: ok } }")
        .listener(&chain);
    let proxy = Proxy::start(document).await;
    let config = gallery.authority.client_config(&["http/1.1"], None);
    assert!(
        Client::connect_tls(proxy.address(), config, "other.example")
            .await
            .is_err()
    );
    let refused = "outrigger_listener_connections_refused_total{reason=\"no_filter_chain\"}";
    proxy.admin().wait_for_metric(refused, 1.0).await;
}
