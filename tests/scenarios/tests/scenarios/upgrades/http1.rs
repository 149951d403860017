//! WebSockets from HTTP/1 to HTTP/1: head, bytes, ends.

use super::{ACCEPT, KEY, opening, say, switching, switching_upstream};
use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Document, Proxy, wait_until};
use std::sync::Arc;
use tokio::sync::Semaphore;

#[tokio::test(flavor = "multi_thread")]
async fn heads_pass_with_their_upgrade_and_bytes_both_ways() {
    let upstream = switching_upstream().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    client.send(opening("")).await;
    let head = client.head().await;
    assert_eq!(head.status(), 101);
    assert_eq!(head.field("upgrade"), Some("WebSocket"));
    assert_eq!(head.field("connection"), Some("upgrade"));
    assert_eq!(head.field("sec-websocket-accept"), Some(ACCEPT));
    assert_eq!(head.field("sec-websocket-protocol"), Some("chat"));
    assert_eq!(head.field("x-from"), Some("upstream"));
    assert_eq!(
        (head.field("content-length"), head.field("transfer-encoding")),
        (None, None)
    );
    let sent = upstream.last_request().head;
    assert_eq!(sent.start_line, "GET /chat?room=1 HTTP/1.1");
    assert_eq!(sent.field("connection"), Some("upgrade"));
    assert_eq!(sent.field("upgrade"), Some("WebSocket"));
    assert_eq!(sent.field("sec-websocket-key"), Some(KEY));
    assert_eq!(sent.field("x-forwarded-proto"), Some("http"));
    for text in ["a", "GET / HTTP/1.1\r\n\r\n", &"long".repeat(40_000)] {
        say(&mut client, text).await;
    }
    let admin = proxy.admin();
    admin
        .wait_for_metric("outrigger_listener_tunnels_active", 1.0)
        .await;
    admin
        .wait_for_metric("outrigger_cluster_requests_active", 1.0)
        .await;
    admin
        .wait_for_metric(
            "outrigger_listener_upgrades_established_total{protocol=\"websocket\"}",
            1.0,
        )
        .await;
    // The client's end goes through, and what the upstream says after it comes back.
    client.half_close().await;
    assert_eq!(client.to_close().await, b"bye");
    admin
        .wait_for_metric("outrigger_listener_tunnels_active", 0.0)
        .await;
    admin
        .wait_for_metric("outrigger_listener_tunnels_ended_total{reason=\"closed\"}", 1.0)
        .await;
    admin
        .wait_for_metric("outrigger_cluster_requests_active", 0.0)
        .await;
    admin
        .wait_for_metric("outrigger_route_requests_total{code_class=\"1xx\"}", 1.0)
        .await;
    assert_eq!(admin.metric("outrigger_cluster_connections_active").await, 0.0);
    assert_eq!(
        admin
            .metric("outrigger_cluster_connections_closed_total{reason=\"tunnel\"}")
            .await,
        1.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_ends_first_still_hears_its_client() {
    let heard = Arc::new(Semaphore::new(0));
    let told = Arc::clone(&heard);
    let upstream = Scripted::start(move |mut script| {
        let told = Arc::clone(&told);
        async move {
            script.head().await?;
            script.send(switching() + "all").await?;
            script.half_close().await?;
            let rest = script.wire().to_close().await?;
            assert_eq!(rest, b"late");
            told.add_permits(1);
            Ok(())
        }
    })
    .await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    client.send(opening("")).await;
    client.head().await;
    assert_eq!(client.to_close().await, b"all");
    client.send("late").await;
    client.half_close().await;
    heard.acquire().await.unwrap().forget();
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_behind_a_head_are_the_tunnels() {
    // The client's first bytes come with its head, the upstream's with its answer.
    let upstream = Scripted::start(|mut script| async move {
        script.head().await?;
        script.send(switching() + "first ").await?;
        super::echo(&mut script).await
    })
    .await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    client.send(opening("") + "early").await;
    client.head().await;
    assert_eq!(client.take(11).await, b"first early");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_slows_the_writer() {
    let upstream = Scripted::start(|mut script| async move {
        script.head().await?;
        script.send(switching()).await?;
        let piece = vec![7; 1 << 20];
        loop {
            script.send(&piece).await?;
        }
    })
    .await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut client = Client::connect_with_receive_buffer(proxy.address(), 64 * 1024).await;
    client.send(opening("")).await;
    client.head().await;
    let admin = proxy.admin();
    // It stops when all buffers are full, far below what the upstream would send.
    let mut before = -1.0;
    let stopped = wait_until("the flow to stop", async || {
        let received = admin.metric("outrigger_cluster_received_bytes_total").await;
        let stood = received == std::mem::replace(&mut before, received);
        (stood && received > 0.0).then_some(received)
    })
    .await;
    assert!(stopped < (64 << 20) as f64, "{stopped}");
    assert!(client.take(32 << 20).await.iter().all(|byte| *byte == 7));
}
