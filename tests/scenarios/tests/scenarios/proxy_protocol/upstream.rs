//! Headers that upstreams get: who speaks, and never for another.

use super::{REQUEST, binary, listening};
use outrigger_fixtures::{Script, Scripted};
use outrigger_harness::{Client, Document, Proxy};
use std::io;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Takes a version 1 line off a connection, byte by byte.
async fn line(script: &mut Script) -> io::Result<String> {
    let mut line = String::new();
    while !line.ends_with("\r\n") {
        line.push(script.wire().take(1).await?[0] as char);
    }
    Ok(line)
}

/// An upstream whose connections begin with a version 1 line, which its answers repeat.
async fn told_by_line() -> Scripted {
    Scripted::start(|mut script| async move {
        let line = line(&mut script).await?;
        let said = line.trim_end().to_owned();
        while script.request().await?.is_some() {
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-said: {said}\r\n\r\n");
            script.send(answer).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_downstream_connection_is_announced_and_has_its_own_upstream_connection() {
    let upstream = told_by_line().await;
    let document = Document::to(&[upstream.address()])
        .cluster("proxy_protocol: v1")
        .workers(1);
    let proxy = Proxy::start(document).await;
    let mut clients = Vec::new();
    for connections in 1..=3 {
        let mut client = Client::connect(proxy.address()).await;
        let (local, to) = (client.local_address(), proxy.address());
        let expected = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}", local.port(), to.port());
        for _ in 0..3 {
            let response = client.fetch("/", "").await;
            assert_eq!(response.field("x-said"), Some(expected.as_str()));
        }
        assert_eq!(
            upstream.connections(),
            connections,
            "one for each client, used again"
        );
        clients.push(client);
    }
    // What one client has left is for nobody else.
    drop(clients);
    let mut client = Client::connect(proxy.address()).await;
    let port = client.local_address().port().to_string();
    let said = client.fetch("/", "").await.field("x-said").unwrap().to_owned();
    assert!(said.contains(&port), "{said}");
    assert_eq!(upstream.connections(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_announcing() {
    let upstream = told_by_line().await;
    let document = Document::to(&[upstream.address()]).cluster("proxy_protocol: v1");
    let proxy = Proxy::start(&document.to_string()).await;
    let mut client = Client::connect(proxy.address()).await;
    let first = client.fetch("/", "").await.field("x-said").unwrap().to_owned();
    proxy
        .reload(document.cluster("connect_timeout: 4s"))
        .await
        .unwrap();
    for _ in 0..2 {
        assert_eq!(client.fetch("/", "").await.field("x-said"), Some(first.as_str()));
    }
    assert!(
        upstream.connections() <= 2,
        "{} connections",
        upstream.connections()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_load_balancer_said_is_passed_on_with_the_fields_that_policy_keeps() {
    let upstream = Scripted::start(|mut script| async move {
        let head = script.wire().take(16).await?;
        let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
        let rest = script.wire().take(length).await?;
        while script.request().await?.is_some() {
            let hex: String = head
                .iter()
                .chain(&rest)
                .map(|byte| format!("{byte:02x}"))
                .collect();
            script
                .send(format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-said: {hex}\r\n\r\n"
                ))
                .await?;
        }
        Ok(())
    })
    .await;
    let document = Document::to(&[upstream.address()])
        .listener("proxy_protocol: { mode: required, pass_tlvs: [0xE0, 0xE1] }")
        .cluster("proxy_protocol: { version: v2, pass_tlvs: [0xE0] }");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    let fields = [0xe0, 0, 1, 7, 0xe1, 0, 1, 8, 0xe2, 0, 1, 9];
    client.send([&binary(&fields), REQUEST.as_bytes()].concat()).await;
    let response = client.response("GET").await;
    let expected: String = binary(&fields[..4])
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(response.field("x-said"), Some(expected.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_it_shares_connections_as_ever() {
    let upstream = Scripted::answering(OK).await;
    let document = Document::to(&[upstream.address()])
        .listener(&listening("required"))
        .workers(1);
    let proxy = Proxy::start(document).await;
    for _ in 0..3 {
        let mut client = Client::connect(proxy.address()).await;
        client.send([&binary(&[]), REQUEST.as_bytes()].concat()).await;
        assert_eq!(client.response("GET").await.status(), 200);
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tcp_connection_is_announced_too() {
    let upstream = Scripted::start(|mut script| async move {
        let line = line(&mut script).await?;
        script.send(format!("heard {line}")).await?;
        script.until_closed().await
    })
    .await;
    let document = Document::to(&[upstream.address()])
        .listener("filter_chains: [{ tcp: { cluster: upstream } }]")
        .cluster("proxy_protocol: v1");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    let (from, to) = (client.local_address().port(), proxy.address().port());
    let expected = format!("heard PROXY TCP4 127.0.0.1 127.0.0.1 {from} {to}\r\n");
    assert_eq!(client.take(expected.len()).await, expected.as_bytes());
}
