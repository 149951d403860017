//! Checks by connections.

use super::*;
use outrigger_harness::wait_until;

/// A server that answers what is said on a connection with these bytes.
async fn answering(answer: &'static str) -> Scripted {
    Scripted::start(move |mut script| async move {
        if script.wire().take(4).await.is_ok_and(|said| said == b"PING") {
            script.send_bytewise(answer).await?;
        }
        script.until_closed().await
    })
    .await
}

const PING: &str = "tcp: { send: PING, receive: [PO, NG] }";

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_enough_if_nothing_is_said() {
    let good = answering("").await;
    let refusing = outrigger_fixtures::Refusing::bind().unwrap();
    let gone = refusing.address();
    let proxy = Proxy::start(checking(&[good.address(), gone], "tcp: {}")).await;
    wait_for_healthy(&proxy, 1).await;
    assert_eq!(
        endpoint(&proxy, good.address()).await["health_check"]["healthy"],
        true
    );
    let found = endpoint(&proxy, gone).await["health_check"]["last_result"].clone();
    assert!(found.as_str().unwrap().starts_with("no connection"), "{found}");
    // Each check has its connection, and leaves none open.
    wait_until("several checks", async || (good.connections() >= 4).then_some(())).await;
    assert!(good.open_connections() <= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_looked_for_must_come_in_order_and_in_time() {
    // What is answered, and what is found.
    let cases = [
        ("+PO NG", "passed"),
        ("NGPO", "no answer in time"),
        ("", "no answer in time"),
        ("P", "no answer in time"),
    ];
    for (answer, expected) in cases {
        let server = answering(answer).await;
        let proxy = Proxy::start(checking(&[server.address()], PING)).await;
        let shown = endpoint(&proxy, server.address()).await;
        assert_eq!(shown["health_check"]["last_result"], expected, "{answer}");
        assert_eq!(shown["health_check"]["healthy"], expected == "passed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_before_the_answer_and_an_endless_answer_are_failures() {
    let closing = Scripted::start(|mut script| async move {
        script.wire().take(4).await?;
        script.send("PO").await
    })
    .await;
    let endless = Scripted::start(|mut script| async move {
        let noise = vec![b'x'; 16 * 1024];
        loop {
            script.send(&noise).await?;
        }
    })
    .await;
    let document = checking(&[closing.address(), endless.address()], PING);
    let proxy = Proxy::start(document).await;
    wait_for_healthy(&proxy, 0).await;
    let found = async |address| endpoint(&proxy, address).await["health_check"]["last_result"].clone();
    assert_eq!(
        found(closing.address()).await,
        "the connection ended before the answer did"
    );
    assert_eq!(
        found(endless.address()).await,
        "what is looked for is not in the answer"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_protocol_is_spoken_first() {
    for (version, expected) in [
        ("v1", b"PROXY UNKNOWN\r\n".as_slice()),
        ("v2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".as_slice()),
    ] {
        let server = Scripted::start(move |mut script| async move {
            if script.wire().take(expected.len()).await? == expected
                && script.wire().take(4).await? == b"PING"
            {
                script.send("PONG").await?;
            }
            script.until_closed().await
        })
        .await;
        let document =
            checking(&[server.address()], PING).cluster(&format!("proxy_protocol: {{ version: {version} }}"));
        let proxy = Proxy::start(document).await;
        wait_for_healthy(&proxy, 1).await;
    }
}
