//! Bodies of all framings both ways, interim responses, and trailers.

use super::OK;
use outrigger_fixtures::echo::PATTERN;
use outrigger_fixtures::wire::Framing;
use outrigger_fixtures::{Echo, Scripted};
use outrigger_harness::{Client, Document, Proxy, wait_until, within};

const SIZES: [usize; 6] = [0, 1, 16 * 1024, 64 * 1024 + 1, 1024 * 1024, 5 * 1024 * 1024];

fn pattern(bytes: usize) -> Vec<u8> {
    PATTERN.iter().copied().cycle().take(bytes).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_all_sizes_and_framings_pass_both_ways() {
    let upstream = Echo::start().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).workers(1)).await;
    for size in SIZES {
        let body = pattern(size);
        let with_length = [
            format!("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n").into_bytes(),
            body.clone(),
        ];
        let mut chunked = vec![b"PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()];
        for piece in body.chunks(10_007) {
            chunked.push(format!("{:x}\r\n", piece.len()).into_bytes());
            chunked.push(piece.to_vec());
            chunked.push(b"\r\n".to_vec());
        }
        chunked.push(b"0\r\n\r\n".to_vec());
        for request in [with_length.concat(), chunked.concat()] {
            // Larger bodies come back while they are still being sent.
            let mut client = Client::connect(proxy.address()).await;
            let response = duplex(&mut client, request).await;
            assert_eq!((response.status(), response.body.bytes.len()), (200, size));
            assert!(response.body.bytes == body, "the body of {size} bytes changed");
        }
        let mut client = Client::connect(proxy.address()).await;
        let response = client.fetch("/", &format!("x-want-bytes: {size}\r\n")).await;
        assert_eq!(response.head.framing(), Some(Framing::Length(size as u64)));
        assert!(response.body.bytes == body, "the body of {size} bytes changed");
    }
    assert_eq!(upstream.connections(), 1, "every message ended where it should");
}

/// Sends a request and reads its response at the same time.
async fn duplex(client: &mut Client, request: Vec<u8>) -> outrigger_harness::Response {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (mut read, mut write) = tokio::io::split(client.wire().stream());
    let mut received = Vec::new();
    let sending = async {
        write.write_all(&request).await.unwrap();
        write.flush().await.unwrap();
    };
    let receiving = async {
        // Only what comes while it is sent; the rest is read below.
        while received.len() < request.len() / 2 {
            if read.read_buf(&mut received).await.unwrap() == 0 {
                break;
            }
        }
    };
    within("an echo", async { tokio::join!(sending, receiving) }).await;
    client.wire().put_back(received);
    client.response("PUT").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_framed_by_the_connections_end_is_framed_anew() {
    let upstream = Scripted::start(|mut script| async move {
        script.request().await?;
        script.send("HTTP/1.1 200 OK\r\n\r\nuntil the end").await
    })
    .await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    for _ in 0..2 {
        let response = client.fetch("/", "").await;
        assert_eq!(response.head.framing(), Some(Framing::Chunked));
        assert_eq!(response.text(), "until the end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_without_a_body_have_none() {
    let upstream = Scripted::start(|mut script| async move {
        while let Some(request) = script.request().await? {
            let length = if request.head.target() == "/204" {
                ""
            } else {
                "content-length: 9\r\n"
            };
            let status = if request.head.method() == "HEAD" {
                "200"
            } else {
                &request.head.target()[1..]
            };
            script
                .send(format!("HTTP/1.1 {status} x\r\n{length}etag: \"a\"\r\n\r\n"))
                .await?;
        }
        Ok(())
    })
    .await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    for (method, target, length) in [
        ("HEAD", "/", Some("9")),
        ("GET", "/304", Some("9")),
        ("GET", "/204", None),
        ("HEAD", "/", Some("9")),
    ] {
        let response = client
            .exchange(format!("{method} {target} HTTP/1.1\r\nhost: a\r\n\r\n"))
            .await;
        assert_eq!(response.field("content-length"), length, "{method} {target}");
        assert_eq!(
            (response.field("etag"), response.field("transfer-encoding")),
            (Some("\"a\""), None)
        );
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn head_requests_get_no_body_from_here_either() {
    let proxy = Proxy::start(Document::to(&[])).await;
    let mut client = Client::connect(proxy.address()).await;
    for _ in 0..2 {
        let response = client.exchange("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(response.status(), 503);
        assert_ne!(response.field("content-length"), Some("0"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_pass_both_ways_announced_or_not() {
    let upstream = Scripted::answering(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\nx-more: 2\r\n\r\n",
    )
    .await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    let request = "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\r\n\
                   2\r\nab\r\n0\r\nx-sum: 3\r\nx-more: 4\r\n\r\n";
    let response = client.exchange(request).await;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(response.body.trailers, [pair("x-sum", "1"), pair("x-more", "2")]);
    let request = upstream.last_request();
    assert_eq!(request.body.trailers, [pair("x-sum", "3"), pair("x-more", "4")]);
    assert_eq!(
        request.head.field("te"),
        Some("trailers"),
        "the one value of TE that passes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn expectations_are_answered_here_and_not_passed_on() {
    let upstream = Scripted::answering(OK).await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n";
    client.send(head).await;
    assert_eq!(client.head().await.start_line, "HTTP/1.1 100 Continue");
    client.send("abc").await;
    assert_eq!(client.response("POST").await.text(), "ok");
    let request = upstream.last_request();
    assert_eq!(
        (request.body.bytes.as_slice(), request.head.field("expect")),
        (&b"abc"[..], None)
    );

    // Who does not wait needs no leave.
    let response = client.exchange(format!("{head}abc")).await;
    assert_eq!((response.text().as_str(), response.interim.len()), ("ok", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_expectation_gets_its_answer_at_once() {
    let proxy = Proxy::start(Document::to(&[])).await;
    let mut client = Client::connect(proxy.address()).await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n";
    let response = client.exchange(head).await;
    assert_eq!((response.status(), response.interim.len()), (503, 0));
    // The body may or may not come: the connection cannot go on.
    assert_eq!(response.field("connection"), Some("close"));
    assert!(client.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn interim_responses_pass_as_they_come() {
    let (go, gone) = tokio::sync::watch::channel(false);
    let upstream = Scripted::start(move |mut script| {
        let mut gone = gone.clone();
        async move {
            script.request().await?;
            script
                .send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\nconnection: x\r\nx: 1\r\n\r\n")
                .await?;
            let _ = gone.wait_for(|go| *go).await;
            script.send(OK).await
        }
    })
    .await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let hints = client.head().await;
    assert_eq!(
        (hints.status(), hints.field("link"), hints.field("x")),
        (103, Some("</a>"), None)
    );
    go.send(true).unwrap();
    assert_eq!(client.response("GET").await.text(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_streams_piece_by_piece_in_both_directions() {
    let upstream = Echo::start().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    assert_eq!(client.head().await.status(), 200);
    for piece in ["one", "two", "three"] {
        let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
        client.send(&chunk).await;
        // It is back before the next is sent: nobody waits for more.
        assert_eq!(client.take(chunk.len()).await, chunk.as_bytes());
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(client.take(5).await, b"0\r\n\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_response_passes_whole_while_the_body_is_on_its_way() {
    let upstream = Scripted::start(|mut script| async move {
        script.head().await?;
        script
            .send("HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\nconnection: close\r\n\r\nlarge")
            .await?;
        script.half_close().await?;
        script.until_closed().await
    })
    .await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000\r\n\r\n")
        .await;
    client.send(pattern(100_000)).await;
    let response = client.response("POST").await;
    assert_eq!((response.status(), response.text().as_str()), (413, "large"));
    assert_eq!(
        response.field("connection"),
        Some("close"),
        "what is left of the body cannot be told from a request"
    );
    assert!(client.is_closed().await);
    wait_until("the upstream to be left", || async {
        (upstream.open_connections() == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_answers_early_and_resets_is_still_heard() {
    // The answer is whole before the connection dies under the rest of the request.
    let upstream = Scripted::start(|mut script| async move {
        script.head().await?;
        script
            .send("HTTP/1.1 401 No\r\ncontent-length: 2\r\n\r\nno")
            .await
    })
    .await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nabc")
        .await;
    let response = client.response("POST").await;
    assert_eq!((response.status(), response.text().as_str()), (401, "no"));
}
