//! Where one thing ends and another begins: reads that split a head, bodies that are empty, connections that end inside
//! an answer, listeners that change their name or come back.

mod counts;
mod listeners;

use outrigger_fixtures::frames::{Frame, FrameConnection, FrameKind, FrameServer, flag};
use outrigger_fixtures::scripted::{Script, Scripted};
use outrigger_harness::{Client, Document, Proxy, within};
use std::io;
use std::net::SocketAddr;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A proxy with one worker that has served nothing yet.
async fn cold(upstream: SocketAddr) -> Proxy {
    let document = Document::to(&[upstream])
        .workers(1)
        .cluster("pool: { idle_timeout: 1h }")
        // Reading the kernel's table for each piece may take long.
        .forward("timeout: off");
    Proxy::start(document).await
}

/// Sends bytes in one write, and waits until the proxy has read them: what follows comes in another read.
async fn send_alone(script: &mut Script, bytes: &[u8]) -> io::Result<()> {
    script.send(bytes).await?;
    let stream = script.wire().stream();
    let (upstream, proxy) = (stream.local_addr()?, stream.peer_addr()?);
    let read = async {
        while unread_bytes(proxy.port(), upstream.port()) > 0 {
            tokio::task::yield_now().await;
        }
    };
    within("the proxy's read", read).await;
    Ok(())
}

/// What the kernel has for the socket between these ports, and nobody has read. 0 if there is no such socket.
fn unread_bytes(local: u16, remote: u16) -> u64 {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ends = |columns: &[&str]| {
        columns[1].ends_with(&format!(":{local:04X}")) && columns[2].ends_with(&format!(":{remote:04X}"))
    };
    let rows = table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut queues = rows.filter(|columns| ends(columns)).map(|columns| {
        let (_, unread) = columns[4].split_once(':').unwrap();
        u64::from_str_radix(unread, 16).unwrap()
    });
    queues.next().unwrap_or_default()
}

/// An upstream whose answer comes in three reads for each of its lines: the first byte, the last, and what is between.
async fn piecewise(answer: &'static str) -> Scripted {
    Scripted::start(move |mut script| async move {
        while script.request().await?.is_some() {
            for line in answer.split_inclusive('\n') {
                let (first, rest) = line.as_bytes().split_at(1);
                let (middle, last) = rest.split_at(rest.len().saturating_sub(1));
                for piece in [first, middle, last] {
                    if !piece.is_empty() {
                        send_alone(&mut script, piece).await?;
                    }
                }
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_in_pieces_keeps_its_status() {
    let upstream = piecewise("HTTP/1.1 404 Not Found\r\nx-a: 1\r\ncontent-length: 4\r\n\r\ngone").await;
    let proxy = cold(upstream.address()).await;
    let mut client = Client::connect(proxy.address()).await;
    for request in ["the first", "another"] {
        let response = client.fetch("/", "").await;
        assert_eq!(
            (response.status(), response.field("x-a"), response.text().as_str()),
            (404, Some("1"), "gone"),
            "{request}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interim_and_final_heads_in_pieces_keep_their_statuses() {
    let upstream = piecewise(
        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n\
         HTTP/1.1 500 Internal Server Error\r\nx-a: 1\r\ncontent-length: 6\r\n\r\nbroken",
    )
    .await;
    let proxy = cold(upstream.address()).await;
    let mut client = Client::connect(proxy.address()).await;
    for request in ["the first", "another"] {
        let response = client.fetch("/", "").await;
        let interim: Vec<_> = response
            .interim
            .iter()
            .map(|head| (head.status(), head.field("link")))
            .collect();
        assert_eq!(interim, [(103, Some("</a.css>; rel=preload"))], "{request}");
        assert_eq!(
            (response.status(), response.field("x-a"), response.text().as_str()),
            (500, Some("1"), "broken"),
            "{request}"
        );
    }
}

/// When the DATA that is empty and ends the stream comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    WithTheHead,
    /// The proxy has read the head before.
    AfterTheHead,
}

/// Answers paths `/STATUS` with a head and an empty DATA that ends the stream, `/whole` with a body.
async fn empty_data(mut connection: FrameConnection, end: End) -> anyhow::Result<()> {
    connection.greet(&[]).await?;
    let mut unended = 0;
    while let Some(frame) = connection.read().await? {
        let stream = frame.stream;
        match frame.kind {
            FrameKind::Ping if frame.flags & flag::ACK != 0 => {
                connection.send(Frame::data(unended, "", true)).await?;
            }
            FrameKind::Headers if frame.field(":path") == Some("/whole") => {
                let answer = [
                    Frame::response(stream, "200", false),
                    Frame::data(stream, "whole", true),
                ];
                connection.send_all(&answer).await?;
            }
            FrameKind::Headers => {
                let status = frame.field(":path").unwrap().trim_start_matches('/');
                let head = match frame.field(":method") {
                    // The length of what a GET would get.
                    Some("HEAD") => {
                        Frame::headers(stream, &[(":status", status), ("content-length", "5")], false)
                    }
                    _ => Frame::response(stream, status, false),
                };
                connection.send(head).await?;
                match end {
                    End::WithTheHead => connection.send(Frame::data(stream, "", true)).await?,
                    End::AfterTheHead => connection.send(Frame::ping(*b"has read")).await?,
                }
                unended = stream;
            }
            _ => {}
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_end_of_a_response_without_a_body_adds_no_bytes() {
    for end in [End::WithTheHead, End::AfterTheHead] {
        let server = FrameServer::start(move |connection, _| empty_data(connection, end))
            .await
            .unwrap();
        let document = Document::to(&[server.address()])
            .cluster("protocol: http2")
            .workers(1);
        let proxy = Proxy::start(document).await;
        let mut client = Client::connect(proxy.address()).await;
        for (method, status) in [("GET", 204), ("GET", 304), ("HEAD", 200), ("GET", 204)] {
            let what = format!("{method} {status} {end:?}");
            let request = format!("{method} /{status} HTTP/1.1\r\nhost: a\r\n\r\n");
            // A body's bytes would be read as the beginning of the next head.
            let response = client.exchange(request).await;
            assert_eq!(response.status(), status, "{what}");
            assert_eq!(response.field("transfer-encoding"), None, "{what}");
            assert_eq!(response.field("connection"), None, "{what}");
            let next = client.fetch("/whole", "").await;
            assert_eq!(
                (next.status(), next.text().as_str()),
                (200, "whole"),
                "after {what}"
            );
        }
        client
            .send("GET /204 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await;
        assert_eq!(client.response("GET").await.status(), 204, "{end:?}");
        assert_eq!(client.to_close().await, b"", "{end:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_answer_has_begun_is_not_run_again() {
    for (begun, interim) in [
        ("HTTP/1.1 200 OK\r\n", 0),
        ("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", 1),
        (
            "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n",
            1,
        ),
    ] {
        for read_before_the_close in [false, true] {
            let what = format!("{begun:?}, read before the close: {read_before_the_close}");
            let upstream = Scripted::start(move |mut script| async move {
                while let Some(request) = script.request().await? {
                    if request.head.target() == "/warm" {
                        script.send(OK).await?;
                        continue;
                    }
                    if read_before_the_close {
                        send_alone(&mut script, begun.as_bytes()).await?;
                    } else {
                        script.send(begun).await?;
                    }
                    break;
                }
                Ok(())
            })
            .await;
            let proxy = cold(upstream.address()).await;
            let mut client = Client::connect(proxy.address()).await;
            assert_eq!(client.fetch("/warm", "").await.status(), 200, "{what}");
            let response = client.fetch("/", "x-id: once\r\n").await;
            assert_eq!(
                (
                    upstream.runs_of("once"),
                    response.status(),
                    response.interim.len()
                ),
                (1, 503, interim),
                "{what}"
            );
            assert_eq!(upstream.connections(), 1, "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_proxies_may_say_is_taken_from_a_client() {
    let upstream = Scripted::ok().await;
    let proxy = cold(upstream.address()).await;
    let mut client = Client::connect(proxy.address()).await;
    let said = [
        ("x-envoy-upstream-service-time", "1"),
        ("x-envoy-attempt-count", "7"),
        ("x-outrigger-x", "y"),
        ("X-Envoy-Attempt-Count", "7"),
    ];
    let mut lines: String = said
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    lines.push_str("x-stays: 1\r\n");
    assert_eq!(client.fetch("/", &lines).await.status(), 200);
    let mut http2 = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let mut fields = said[..3].to_vec();
    fields.push(("x-stays", "1"));
    http2
        .send(Frame::request(1, "GET", "/", &fields, true))
        .await
        .unwrap();
    let head = http2.next_headers().await.unwrap();
    assert_eq!(head.field(":status"), Some("200"));
    let requests = upstream.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        for (name, _) in &said[..3] {
            assert_eq!(request.head.field(name), None, "{name}");
        }
        assert_eq!(request.head.field("x-stays"), Some("1"));
    }
}
