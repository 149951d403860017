//! Tunnels and connections whose bytes are passed on.

use super::*;
use outrigger_fixtures::Scripted;
use std::io;

const OPENING: &str = "GET /chat HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
     sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";

/// Switches protocols where it is asked to, and sends back what comes.
pub(super) async fn echoing(switches: bool) -> Scripted {
    Scripted::start(move |mut script| async move {
        if switches {
            let Some(head) = script.head().await? else {
                return Ok(());
            };
            script.ran(head, Default::default());
            script
                .send(
                    "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                     sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
                )
                .await?;
        }
        loop {
            if script.wire().unread().is_empty() && script.wire().fill().await? == 0 {
                return Ok(());
            }
            let count = script.wire().unread().len();
            let bytes = script.wire().take(count).await?;
            script.send(bytes).await?;
        }
    })
    .await
}

pub(super) async fn say(client: &mut Client, text: &str) {
    client.send(text).await;
    assert_eq!(client.take(text.len()).await, text.as_bytes());
}

pub(super) async fn is_reset(client: &mut Client) {
    let end = client.wire().fill().await;
    assert!(
        matches!(&end, Err(error) if error.kind() == io::ErrorKind::ConnectionReset),
        "{end:?}"
    );
}

async fn websocket(mesh: &Mesh, proxy: &Proxy, name: &str) -> Client {
    let mut client = mesh.http1(proxy, name).await;
    upgrade(&mut client).await;
    client
}

/// Makes a WebSocket of a connection.
pub(super) async fn upgrade(client: &mut Client) {
    client.send(OPENING).await;
    assert_eq!(client.head().await.status(), 101);
    say(client, "hello").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_reset_and_another_goes_on() {
    let mesh = Mesh::new();
    let upstream = echoing(true).await;
    let document = Document::to(&[upstream.address()])
        .chain(&mesh.tls())
        .http("upgrades: [websocket]");
    let proxy = Proxy::start(&document).await;
    let mut cut = websocket(&mesh, &proxy, "one").await;
    let mut kept = websocket(&mesh, &proxy, "two").await;
    proxy
        .reload(document.clone().with(&denying(&["one"])))
        .await
        .unwrap();
    is_reset(&mut cut).await;
    say(&mut kept, "still here").await;
    let admin = proxy.admin();
    for (metric, count) in [
        (
            "outrigger_listener_tunnels_ended_total{reason=\"right_lost\"}",
            1.0,
        ),
        (
            "outrigger_listener_requests_cut_total{reason=\"identity_revoked\"}",
            1.0,
        ),
        ("outrigger_listener_tunnels_active", 1.0),
    ] {
        admin.wait_for_metric(metric, count).await;
    }
    outrigger_harness::wait_until("the upstream's side is closed", async || {
        (upstream.open_connections() == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relayed_connection_is_reset_and_another_goes_on() {
    let mesh = Mesh::new();
    let upstream = echoing(false).await;
    let document = Document::to(&[upstream.address()]).listener(&format!(
        "filter_chains: [{{ name: bytes, {}, tcp: {{ cluster: upstream }} }}]",
        mesh.tls()
    ));
    let proxy = Proxy::start(&document).await;
    let mut cut = mesh.http1(&proxy, "one").await;
    let mut kept = mesh.http1(&proxy, "two").await;
    for client in [&mut cut, &mut kept] {
        say(client, "hello").await;
    }
    proxy
        .reload(document.clone().with(&denying(&["one"])))
        .await
        .unwrap();
    is_reset(&mut cut).await;
    say(&mut kept, "still here").await;
    let cuts = "outrigger_listener_connections_cut_total{reason=\"identity_revoked\"}";
    proxy.admin().wait_for_metric(cuts, 1.0).await;
    let closed = "outrigger_listener_connections_closed_total{reason=\"right_lost\"}";
    proxy.admin().wait_for_metric(closed, 1.0).await;
}
