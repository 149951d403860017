//! TLS that is passed through by SNI, terminated for TCP, and originated for it.

use super::*;
use outrigger_fixtures::Authority;
use outrigger_fixtures::authority::Issued;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A TLS server that says its name, and then sends everything back until the client ends.
async fn naming(authority: &Authority, name: &'static str) -> Scripted {
    let config = authority.issue(name, &[name]).server_config(&[]);
    Scripted::start(move |mut script| {
        let acceptor = TlsAcceptor::from(Arc::clone(&config));
        async move {
            let mut stream = acceptor.accept(script.wire().stream()).await?;
            stream.write_all(name.as_bytes()).await?;
            let (mut read, mut write) = tokio::io::split(&mut stream);
            tokio::io::copy(&mut read, &mut write).await?;
            write.shutdown().await
        }
    })
    .await
}

async fn connect_tls(
    authority: &Authority,
    address: SocketAddr,
    name: &str,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = connect(address).await;
    let connecting = TlsConnector::from(authority.client_config(&[], None)).connect(name, stream);
    within("a handshake", connecting).await
}

async fn first_words(stream: &mut TlsStream<TcpStream>, count: usize) -> String {
    let mut words = vec![0; count];
    within("words", stream.read_exact(&mut words)).await.unwrap();
    String::from_utf8(words).unwrap()
}

fn terminating(issued: &Issued) -> String {
    format!("tls: {{ certificates: [{}] }}", issued.yaml())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_name_picks_among_servers_that_terminate_tls_themselves() {
    let authority = Authority::new("root");
    let (one, two) = (
        naming(&authority, "one.example").await,
        naming(&authority, "two.example").await,
    );
    let ours = authority.issue("ours", &["three.example"]);
    let three = saying("plain three").await;
    let document = Document::to(&[])
        .with_cluster("one", &[one.address()], "")
        .with_cluster("two", &[two.address()], "")
        .with_cluster("three", &[three.address()], "")
        .listener(&format!(
            "filter_chains: [{{ name: one, match: {{ server_names: [one.example] }}, tcp: {{ cluster: one }} }}, \
             {{ name: two, match: {{ server_names: ['*.example'] }}, tcp: {{ cluster: two }} }}, \
             {{ name: three, match: {{ server_names: [three.example] }}, {}, tcp: {{ cluster: three }} }}]",
            terminating(&ours)
        ));
    let proxy = Proxy::start(document).await;
    for (name, expected) in [
        ("one.example", "one.example"),
        ("two.example", "two.example"),
        ("three.example", "plain three"),
    ] {
        let mut client = connect_tls(&authority, proxy.address(), name).await.unwrap();
        assert_eq!(first_words(&mut client, expected.len()).await, expected);
    }
    // A name that no chain takes, and no TLS at all.
    assert!(
        connect_tls(&authority, proxy.address(), "other.test")
            .await
            .is_err()
    );
    let mut plain = connect(proxy.address()).await;
    plain.write_all(b"EHLO a\r\n").await.unwrap();
    assert!(to_end(&mut plain).await.0.is_empty());
    let refused = "outrigger_listener_connections_refused_total{reason=\"no_filter_chain\"}";
    proxy.admin().wait_for_metric(refused, 2.0).await;
    assert_eq!(
        proxy
            .admin()
            .metric("outrigger_listener_tls_handshakes_total")
            .await,
        1.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hello_in_many_segments_and_records_is_passed_on_as_it_came() {
    let mut config = (*Authority::new("root").client_config(&[], None)).clone();
    // Long enough for several records, however they are cut.
    config.alpn_protocols = (0..100)
        .map(|number| format!("{number:0>200}").into_bytes())
        .collect();
    let name = ServerName::try_from("long.example").unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut hello).unwrap();
    }
    assert!(hello.len() > 18 * 1024, "{}", hello.len());
    let length = hello.len();
    let upstream = Scripted::start(move |mut script| async move {
        let came = script.wire().take(length).await?;
        script.send(&came).await?;
        script.until_closed().await
    })
    .await;
    let document = Document::to(&[upstream.address()])
        .listener("filter_chains: [{ match: { server_names: [long.example] }, tcp: { cluster: upstream } }]");
    let proxy = Proxy::start(document).await;
    let mut client = connect(proxy.address()).await;
    client.set_nodelay(true).unwrap();
    let (mut read, mut write) = client.split();
    let writing = async {
        for (place, part) in hello.chunks(700).enumerate() {
            // The first bytes drip.
            let size = if place == 0 { 1 } else { part.len() };
            for piece in part.chunks(size) {
                write.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    };
    let mut back = vec![0; length];
    let reading = within("the hello", read.read_exact(&mut back));
    let ((), read) = tokio::join!(writing, reading);
    read.unwrap();
    assert!(back == hello, "the hello came changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_pass_between_tls_and_plain_connections() {
    let authority = Authority::new("root");
    let ours = authority.issue("ours", &["ours.example"]);
    let plain = echoing().await;
    let secret = naming(&authority, "secret.example").await;
    let upstream_tls = format!(
        "tls: {{ ca_file: '{}', server_name: secret.example }}",
        authority.root().display()
    );
    for (cluster, greeting) in [("plain", ""), ("secret", "secret.example")] {
        let document = Document::to(&[])
            .with_cluster("plain", &[plain.address()], "")
            .with_cluster("secret", &[secret.address()], &upstream_tls)
            .listener(&format!(
                "filter_chains: [{{ {}, tcp: {{ cluster: {cluster} }} }}]",
                terminating(&ours)
            ));
        let proxy = Proxy::start(document).await;
        let mut client = connect_tls(&authority, proxy.address(), "ours.example")
            .await
            .unwrap();
        assert_eq!(first_words(&mut client, greeting.len()).await, greeting);
        client.write_all(b"ping").await.unwrap();
        assert_eq!(first_words(&mut client, 4).await, "ping");
        // `close_notify`: the echo is still heard, and the server's end comes as one, too.
        client.write_all(b"last").await.unwrap();
        client.shutdown().await.unwrap();
        let mut rest = Vec::new();
        within("the end", client.read_to_end(&mut rest)).await.unwrap();
        assert_eq!(rest, b"last");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_to_a_cluster_offers_no_protocol_for_bytes() {
    let authority = Authority::new("root");
    // It refuses clients that offer something else.
    let config = authority
        .issue("picky", &["picky.example"])
        .server_config(&["picky/1"]);
    let upstream = Scripted::start(move |mut script| {
        let acceptor = TlsAcceptor::from(Arc::clone(&config));
        async move {
            let mut stream = acceptor.accept(script.wire().stream()).await?;
            stream.write_all(b"fine").await?;
            stream.shutdown().await
        }
    })
    .await;
    let tls = format!(
        "tls: {{ ca_file: '{}', server_name: picky.example }}",
        authority.root().display()
    );
    let proxy = Proxy::start(passing(&[upstream.address()], "").cluster(&tls)).await;
    let mut client = connect(proxy.address()).await;
    assert_eq!(take(&mut client, 4).await, b"fine");
}
