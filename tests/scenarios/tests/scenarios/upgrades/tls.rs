//! Tunnels over TLS, and upstreams that speak both versions but no extended CONNECT.

use super::{ACCEPT, accept_of, opening, say, switching_with};
use outrigger_fixtures::Authority;
use outrigger_fixtures::wire::Wire;
use outrigger_harness::{Client, Document, Proxy};
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How many connections spoke which version.
#[derive(Default)]
struct Spoken {
    http1: AtomicUsize,
    http2: AtomicUsize,
}

/// A server that answers 200 over HTTP/2, where it knows no extended CONNECT, and grants WebSockets over HTTP/1.
async fn upstream(config: Arc<ServerConfig>) -> (SocketAddr, Arc<Spoken>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let spoken = Arc::new(Spoken::default());
    let count = Arc::clone(&spoken);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, count) = (TlsAcceptor::from(Arc::clone(&config)), Arc::clone(&count));
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await?;
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    count.http2.fetch_add(1, Ordering::SeqCst);
                    serve_http2(stream).await
                } else {
                    count.http1.fetch_add(1, Ordering::SeqCst);
                    serve_http1(stream).await
                }
            });
        }
    });
    (address, spoken)
}

async fn serve_http2(stream: TlsStream<TcpStream>) -> anyhow::Result<()> {
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(accepted) = connection.accept().await {
        let (_, mut respond) = accepted?;
        respond.send_response(http::Response::new(()), true)?;
    }
    Ok(())
}

async fn serve_http1(stream: TlsStream<TcpStream>) -> anyhow::Result<()> {
    let mut wire = Wire::new(stream);
    while let Some(head) = wire.head().await? {
        let Some(key) = head.field("sec-websocket-key") else {
            wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
            continue;
        };
        wire.send(switching_with(&accept_of(key)).as_bytes()).await?;
        while wire.fill().await? > 0 {
            let unread = wire.unread().len();
            let bytes = wire.take(unread).await?;
            wire.send(&bytes).await?;
        }
        wire.send(b"bye").await?;
        wire.stream().shutdown().await?;
        return Ok(());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_of_both_versions_is_asked_in_http1_if_its_http2_cannot() {
    let authority = Authority::new("root");
    let server = authority.issue("server", &["a.example"]);
    let (address, spoken) = upstream(server.server_config(&["h2", "http/1.1"])).await;
    let document = Document::to(&[address])
        .cluster(&format!(
            "tls: {{ ca_file: {}, server_name: a.example }}",
            authority.root().display()
        ))
        .chain(&format!("tls: {{ certificates: [{}] }}", server.yaml()));
    let proxy = Proxy::start(document.workers(1)).await;
    let config = authority.client_config(&["http/1.1"], None);
    for count in 1..=2 {
        let mut client = Client::connect_tls(proxy.address(), Arc::clone(&config), "a.example")
            .await
            .unwrap();
        client.send(opening("")).await;
        let head = client.head().await;
        assert_eq!(
            (head.status(), head.field("sec-websocket-accept")),
            (101, Some(ACCEPT))
        );
        say(&mut client, "hello").await;
        // TLS keeps half-closes too.
        client.half_close().await;
        assert_eq!(client.to_close().await, b"bye");
        assert_eq!(spoken.http1.load(Ordering::SeqCst), count);
    }
    // Requests go on over HTTP/2, on the one connection that was there.
    let mut client = Client::connect_tls(proxy.address(), config, "a.example")
        .await
        .unwrap();
    assert_eq!(client.fetch("/", "").await.status(), 200);
    assert_eq!(spoken.http2.load(Ordering::SeqCst), 1);
    assert_eq!(spoken.http1.load(Ordering::SeqCst), 2);
}
