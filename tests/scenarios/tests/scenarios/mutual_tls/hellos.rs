//! ClientHellos in every shape: where they are read because TLS ends here, and where they are only looked at because it
//! may not.

use super::*;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Writes one byte at a time, each a segment.
struct Bytewise(TcpStream);

impl AsyncRead for Bytewise {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Bytewise {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, &data[..data.len().min(1)])
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A listener on which nothing but TLS comes, and one on which plain text may.
async fn both_kinds(mesh: &Mesh, more: &str) -> [Proxy; 2] {
    let http = "http: { route_configuration: main }";
    let tls = format!("{{ name: tls, tls: {{ {}{more} }}, {http} }}", mesh.mutual());
    let plain =
        format!("{{ name: plain, match: {{ transport: raw, source_prefixes: [10.0.0.0/8] }}, {http} }}");
    let start = |chains: String| async move {
        Proxy::start(
            Document::to(&[])
                .routes("{ match: { prefix: / }, direct_response: { status: 200 } }")
                .listener(&format!("filter_chains: [{chains}]")),
        )
        .await
    };
    [start(tls.clone()).await, start(format!("{tls}, {plain}")).await]
}

async fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// The bytes of a ClientHello.
fn hello(config: Arc<ClientConfig>) -> Vec<u8> {
    let name = rustls::pki_types::ServerName::try_from(NAME).unwrap();
    let mut client = rustls::ClientConnection::new(config, name).unwrap();
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_of_one_byte_and_records_of_few_are_a_handshake_like_any_other() {
    let mesh = Mesh::new();
    for proxy in both_kinds(&mesh, "").await {
        for fragment in [None, Some(32)] {
            let mut config = (*mesh.known()).clone();
            config.max_fragment_size = fragment;
            let name = rustls::pki_types::ServerName::try_from(NAME).unwrap();
            let connecting =
                TlsConnector::from(Arc::new(config)).connect(name, Bytewise(connect(&proxy).await));
            let mut stream = outrigger_harness::within("a handshake", connecting)
                .await
                .unwrap();
            stream
                .write_all(b"GET / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n")
                .await
                .unwrap();
            // So many segments may not go all at once.
            let flushing = stream.flush();
            outrigger_harness::within("the request's end", flushing)
                .await
                .unwrap();
            let mut answer = Vec::new();
            let reading = stream.read_to_end(&mut answer);
            outrigger_harness::within("an answer", reading).await.unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 200 "), "{fragment:?}");
        }
        let full = "outrigger_listener_tls_handshakes_total{kind=\"full\"}";
        assert_eq!(proxy.admin().metric(full).await, 2.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stops_halfway_is_ended_in_time_and_counted_for_what_it_was() {
    let mesh = Mesh::new();
    let whole = hello(mesh.known());
    for proxy in both_kinds(&mesh, ", handshake_timeout: 300ms").await {
        let admin = proxy.admin();
        // Half a ClientHello, a whole one and nothing after it.
        for bytes in [&whole[..whole.len() / 2], &whole[..]] {
            let before = admin.metric(&failures("listener", "timeout")).await;
            let mut client = Client::connect(proxy.address()).await;
            client.send(bytes).await;
            client.to_close().await;
            admin
                .wait_for_metric(&failures("listener", "timeout"), before + 1.0)
                .await;
        }
        // What is neither: a word that HTTP may begin with.
        let mut vague = Client::connect(proxy.address()).await;
        vague.send("GE").await;
        vague.to_close().await;
        let mut leaving = Client::connect(proxy.address()).await;
        leaving.send(&whole[..20]).await;
        leaving.half_close().await;
        leaving.to_close().await;
        admin.wait_for_metric(&failures("listener", "closed"), 1.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_ended_in_time_where_only_tls_is_spoken() {
    let mesh = Mesh::new();
    let [proxy, _] = both_kinds(&mesh, ", handshake_timeout: 200ms").await;
    let mut silent = Client::connect(proxy.address()).await;
    assert!(silent.is_closed().await);
    proxy
        .admin()
        .wait_for_metric(&failures("listener", "timeout"), 1.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hello_that_is_too_long_is_refused_before_it_is_all_there() {
    let mesh = Mesh::new();
    for proxy in both_kinds(&mesh, "").await {
        // A handshake message of 128 KiB, of which the records come one after the other.
        let mut bytes = vec![0x16, 3, 1, 0x40, 0, 1, 2, 0, 0];
        bytes.resize(5 + 0x4000, 0);
        let mut client = connect(&proxy).await;
        let mut answer = Vec::new();
        for _ in 0..6 {
            // It may be refused by then.
            if client.write_all(&bytes).await.is_err() {
                break;
            }
            bytes = [&[0x16, 3, 1, 0x40, 0][..], &[0; 0x4000]].concat();
        }
        let reading = client.read_to_end(&mut answer);
        let _ = outrigger_harness::within("the end", reading).await;
        proxy
            .admin()
            .wait_for_metric(&failures("listener", "protocol"), 1.0)
            .await;
        assert!(fetch_by(proxy.address(), mesh.known()).await.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_on_a_port_for_tls_is_told_so_however_it_comes() {
    let mesh = Mesh::new();
    for proxy in both_kinds(&mesh, "").await {
        for bytewise in [false, true] {
            let mut client = Client::connect(proxy.address()).await;
            let request = "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";
            match bytewise {
                true => client.send_bytewise(request).await,
                false => client.send(request).await,
            }
            let answer = String::from_utf8(client.to_close().await).unwrap();
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        }
        let refused = "outrigger_listener_connections_refused_total{reason=\"plain_http\"}";
        proxy.admin().wait_for_metric(refused, 2.0).await;
    }
}
