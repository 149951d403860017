//! Endpoints that are believed no more: what is under way to them, and what is kept open.

use super::*;
use outrigger_fixtures::Scripted;
use outrigger_harness::wait_until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

/// Answers `/slow` with a part, `/silent` not at all, and anything else at once.
async fn endpoint(issued: &Issued) -> Scripted {
    let config = issued.server_config(&["http/1.1"]);
    Scripted::start(move |mut script| {
        let acceptor = TlsAcceptor::from(Arc::clone(&config));
        async move {
            let mut stream = acceptor.accept(script.wire().stream()).await?;
            let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
            loop {
                let count = stream.read(&mut buffer).await?;
                if count == 0 {
                    return Ok(());
                }
                read.extend_from_slice(&buffer[..count]);
                let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
                    continue;
                };
                let head = String::from_utf8_lossy(&read[..end]).into_owned();
                read.drain(..end + 4);
                if head.contains(" /slow ") {
                    let part = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nfirst";
                    stream.write_all(part.as_bytes()).await?;
                } else if !head.contains(" /silent ") {
                    let whole = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n";
                    stream.write_all(whole.as_bytes()).await?;
                }
                stream.flush().await?;
            }
        }
    })
    .await
}

fn to(mesh: &Mesh, upstream: SocketAddr) -> Document {
    let root = mesh.authority.root();
    Document::to(&[upstream]).cluster(&format!(
        "tls: {{ ca_file: {}, peers: [{{ trust_domain: example.org }}] }}, pool: {{ idle_timeout: 60s }}",
        root.display()
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_a_revoked_endpoint_end_and_its_idle_connections_close() {
    let mesh = Mesh::new();
    let issued = mesh.issue("endpoint");
    let upstream = endpoint(&issued).await;
    let document = to(&mesh, upstream.address());
    let proxy = Proxy::start(&document).await;
    let mut slow = Client::connect(proxy.address()).await;
    slow.send("GET /slow HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let head = slow.head().await;
    assert_eq!(slow.take(5).await, b"first");
    let mut silent = Client::connect(proxy.address()).await;
    silent.send("GET /silent HTTP/1.1\r\nhost: test\r\n\r\n").await;
    wait_until("three connections to the endpoint", async || {
        outrigger_harness::client::fetch(proxy.address(), "/", "").await;
        (upstream.open_connections() >= 3).then_some(())
    })
    .await;
    proxy
        .reload(document.clone().with(&denying(&["endpoint"])))
        .await
        .unwrap();
    assert!(slow.body(&head).await.is_err(), "the answer is cut off");
    let answer = silent.response("GET").await;
    assert_eq!(answer.status(), 503);
    wait_until("every connection to the endpoint is closed", async || {
        (upstream.open_connections() == 0).then_some(())
    })
    .await;
    let cuts = "outrigger_cluster_connections_cut_total{reason=\"identity_revoked\"}";
    proxy.admin().wait_for(cuts, |count| count >= 2.0).await;
    // A new handshake is refused as well.
    let refused = outrigger_harness::client::fetch(proxy.address(), "/", "").await;
    assert_eq!(refused.status(), 503);
    proxy.reload(&document).await.unwrap();
    let answer = outrigger_harness::client::fetch(proxy.address(), "/", "").await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_to_a_revoked_endpoint_end() {
    let mesh = Mesh::new();
    let (one, two) = (mesh.issue("one"), mesh.issue("two"));
    let upstream = async |issued: &Issued| Echo::start_tls(issued.server_config(&["h2"])).await;
    let (revoked, other) = (upstream(&one).await, upstream(&two).await);
    let root = mesh.authority.root();
    let tls = format!(
        "protocol: http2, tls: {{ ca_file: {}, peers: [{{ trust_domain: example.org }}] }}",
        root.display()
    );
    let document = Document::to(&[])
        .with_cluster("one", &[revoked.address()], &tls)
        .with_cluster("two", &[other.address()], &tls)
        .routes(
            "{ match: { prefix: /one }, forward: { cluster: one } }, \
             { match: { prefix: / }, forward: { cluster: two } }",
        );
    let proxy = Proxy::start(&document).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    for (stream, path) in [(1, "/one"), (3, "/two")] {
        let request = Frame::request(stream, "POST", path, &[], false);
        connection.send(request).await.unwrap();
        assert_eq!(
            connection.next_headers().await.unwrap().field(":status"),
            Some("200")
        );
    }
    proxy
        .reload(document.clone().with(&denying(&["one"])))
        .await
        .unwrap();
    let reset = connection.next().await.unwrap().unwrap();
    assert_eq!((reset.kind, reset.stream), (FrameKind::RstStream, 1));
    connection.send(Frame::data(3, "bye", true)).await.unwrap();
    let data = connection.next().await.unwrap().unwrap();
    assert_eq!((data.kind, data.stream), (FrameKind::Data, 3));
    let cuts = "outrigger_cluster_connections_cut_total{cluster=\"one\",reason=\"identity_revoked\"}";
    proxy.admin().wait_for_metric(cuts, 1.0).await;
    let all = proxy
        .admin()
        .metric("outrigger_cluster_connections_cut_total")
        .await;
    assert_eq!(all, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_began_before_connects_to_no_endpoint_that_is_believed_no_more() {
    let mesh = Mesh::new();
    let upstream = endpoint(&mesh.issue("endpoint")).await;
    let (asked, answers) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let notes = (Arc::clone(&asked), Arc::clone(&answers));
    let service = Scripted::start(move |mut script| {
        let (asked, answers) = (Arc::clone(&notes.0), Arc::clone(&notes.1));
        async move {
            script.request().await?;
            asked.notify_one();
            answers.notified().await;
            script.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await
        }
    })
    .await;
    let document = to(&mesh, upstream.address())
        .with_cluster("authz", &[service.address()], "")
        .http("external_authorization: { http: { cluster: authz }, timeout: 1h }");
    let proxy = Proxy::start(&document).await;
    let mut client = Client::connect(proxy.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    asked.notified().await;
    proxy
        .reload(document.clone().with(&denying(&["endpoint"])))
        .await
        .unwrap();
    answers.notify_one();
    assert_eq!(client.response("GET").await.status(), 503);
    let cuts = "outrigger_cluster_connections_cut_total{reason=\"identity_revoked\"}";
    proxy.admin().wait_for(cuts, |count| count >= 1.0).await;
}
