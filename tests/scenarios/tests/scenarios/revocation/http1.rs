//! HTTP/1: an answer that is under way, one that is waited for, none; and what is not sent any more.

use super::*;
use outrigger_fixtures::Scripted;
use std::io;

/// Answers the first half, and the rest never; to `/silent` nothing.
async fn half() -> Scripted {
    Scripted::start(|mut script| async move {
        while let Some(head) = script.head().await? {
            let is_silent = head.target() == "/silent";
            script.ran(head, Default::default());
            if !is_silent {
                script
                    .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
                    .await?;
            }
            script.until_closed().await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_reset_whatever_it_is_at() {
    let mesh = Mesh::new();
    let upstream = half().await;
    let document = Document::to(&[upstream.address()]).chain(&mesh.tls());
    let proxy = Proxy::start(&document).await;
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
    let (mut streaming, mut waiting, mut other) = (
        mesh.http1(&proxy, "one").await,
        mesh.http1(&proxy, "one").await,
        mesh.http1(&proxy, "two").await,
    );
    for client in [&mut streaming, &mut other] {
        client.send(request("/")).await;
        let head = client.head().await;
        assert_eq!(head.status(), 200);
        assert_eq!(client.take(10).await, b"5\r\nfirst\r\n");
    }
    waiting.send(request("/silent")).await;
    outrigger_harness::wait_until("both requests are under way", async || {
        (upstream.head_count() == 3).then_some(())
    })
    .await;
    let mut idle = mesh.http1(&proxy, "one").await;
    proxy
        .reload(document.clone().with(&denying(&["one"])))
        .await
        .unwrap();
    for (client, name) in [(&mut streaming, "streaming"), (&mut waiting, "waiting")] {
        let end = client.wire().fill().await;
        assert!(
            matches!(&end, Err(error) if error.kind() == io::ErrorKind::ConnectionReset),
            "{name}: {end:?}"
        );
    }
    // Whose connection carries nothing may be closed as it is.
    assert!(idle.is_closed().await);
    outrigger_harness::wait_until("the upstream's requests are given up", async || {
        (upstream.open_connections() == 1).then_some(())
    })
    .await;
    let metrics = proxy.admin();
    metrics
        .wait_for_metric(
            "outrigger_listener_connections_cut_total{reason=\"identity_revoked\"}",
            3.0,
        )
        .await;
    metrics
        .wait_for_metric(
            "outrigger_listener_requests_cut_total{reason=\"identity_revoked\"}",
            2.0,
        )
        .await;
    // The other's answer is still under way.
    other.reset();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_why_a_request_ended() {
    let mesh = Mesh::new();
    let upstream = half().await;
    let log = mesh.authority.path("access.log");
    let document = Document::to(&[upstream.address()]).chain(&mesh.tls()).http(&format!(
        "access_logs: [{{ path: {}, format: {{ text: '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%' }} }}]",
        log.display()
    ));
    let proxy = Proxy::start(&document).await;
    let mut client = mesh.http1(&proxy, "one").await;
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 200);
    proxy
        .reload(document.clone().with(&denying(&["one"])))
        .await
        .unwrap();
    let line = outrigger_harness::wait_until("a line of the log", async || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.lines().next().map(str::to_owned)
    })
    .await;
    assert_eq!(line, "200 - identity_revoked");
}
