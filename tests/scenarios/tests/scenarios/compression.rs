//! Compression of responses: what a client that accepts it gets, what it says of itself, and what is left alone.

use outrigger_fixtures::Scripted;
use outrigger_fixtures::frames::{Frame, FrameConnection, FrameKind};
use outrigger_harness::{Client, Document, Proxy, Response, client};
use std::io::Read;
use tokio::sync::mpsc;

mod left_alone;

/// Every coding, at its least size.
const ALL: &str = "compression: { algorithms: [zstd, br, gzip] }";

/// A text of many packets, compressible and not the same twice.
fn text(bytes: usize) -> String {
    let mut text = String::new();
    let mut state = 1u32;
    while text.len() < bytes {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.push_str(&format!("word{} ", state >> 20));
    }
    text.truncate(bytes);
    text
}

/// What the bytes decode to, as far as they go.
pub(crate) fn decoded(coding: &str, bytes: &[u8]) -> String {
    let mut reader: Box<dyn Read + '_> = match coding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(bytes)),
        "br" => Box::new(brotli::Decompressor::new(bytes, 4096)),
        "zstd" => return decoded_zstd(bytes),
        other => panic!("coding {other}"),
    };
    let mut out = Vec::new();
    let mut piece = [0; 4096];
    // An end in the middle is an error after the last byte that is known.
    while let Ok(read @ 1..) = reader.read(&mut piece) {
        out.extend_from_slice(&piece[..read]);
    }
    String::from_utf8(out).unwrap()
}

fn decoded_zstd(bytes: &[u8]) -> String {
    let mut context = zstd_safe::DCtx::create();
    let mut input = zstd_safe::InBuffer::around(bytes);
    let mut out = Vec::new();
    loop {
        out.reserve(4096);
        let at = out.len();
        {
            let mut output = zstd_safe::OutBuffer::around_pos(&mut out, at);
            context.decompress_stream(&mut output, &mut input).unwrap();
        }
        if input.pos() == bytes.len() && out.len() < out.capacity() {
            return String::from_utf8(out).unwrap();
        }
    }
}

/// An upstream that answers with these lines of fields and this body, and a proxy that compresses in front of it.
async fn compressing(fields: &str, body: &str) -> (Scripted, Proxy) {
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n{fields}\r\n{body}"
    );
    let upstream = Scripted::answering(answer).await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).http(ALL)).await;
    (upstream, proxy)
}

async fn fetch(proxy: &Proxy, accepted: &str) -> Response {
    client::fetch(proxy.address(), "/", &format!("accept-encoding: {accepted}\r\n")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_coding_decodes_to_what_the_upstream_sent_over_both_versions() {
    let body = text(300_000);
    let (upstream, proxy) = compressing("", &body).await;
    for coding in ["gzip", "br", "zstd"] {
        let response = fetch(&proxy, coding).await;
        assert_eq!(response.field("content-encoding"), Some(coding));
        assert_eq!(response.field("content-length"), None);
        assert!(response.body.bytes.len() * 2 < body.len(), "{coding}");
        assert!(decoded(coding, &response.body.bytes) == body, "{coding}");
        // What the client accepts is the upstream's to know too.
        assert_eq!(
            upstream.last_request().head.field("accept-encoding"),
            Some(coding)
        );

        let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
        let request = Frame::request(1, "GET", "/", &[("accept-encoding", coding)], true);
        connection.send(request).await.unwrap();
        let head = connection.next_headers().await.unwrap();
        assert_eq!(head.field("content-encoding"), Some(coding));
        assert_eq!(head.field("content-length"), None);
        let (bytes, _) = connection.rest_of(&head).await.unwrap();
        assert!(decoded(coding, &bytes) == body, "{coding} over HTTP/2");
    }
    let admin = proxy.admin();
    for coding in ["gzip", "br", "zstd"] {
        let series = format!("outrigger_listener_compressed_responses_total{{coding=\"{coding}\"}}");
        admin.wait_for_metric(&series, 2.0).await;
    }
    let came = "outrigger_listener_compression_input_bytes_total";
    admin.wait_for_metric(came, (6 * body.len()) as f64).await;
    let became = admin
        .metric("outrigger_listener_compression_output_bytes_total")
        .await;
    assert!(became > 0.0 && became < (3 * body.len()) as f64, "{became}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_chooses_and_then_the_order_of_the_configuration() {
    let (_upstream, proxy) = compressing("", &text(4000)).await;
    for (accepted, coding) in [
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("gzip, br;q=0.5", Some("gzip")),
        ("*", Some("zstd")),
        ("*;q=0.1, br", Some("br")),
        ("identity, gzip;q=0.9", None),
        ("gzip;q=0", None),
        ("", None),
    ] {
        let response = fetch(&proxy, accepted).await;
        assert_eq!(response.field("content-encoding"), coding, "{accepted}");
        assert_eq!(response.field("vary"), Some("accept-encoding"), "{accepted}");
    }
    let response = client::fetch(proxy.address(), "/", "").await;
    assert_eq!(response.field("content-encoding"), None);
    assert_eq!(response.field("content-length"), Some("4000"));
    assert_eq!(response.field("vary"), Some("accept-encoding"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_says_what_became_of_the_body() {
    let fields = "etag: \"a\"\r\naccept-ranges: bytes\r\nvary: origin\r\nlast-modified: x\r\n";
    let (_upstream, proxy) = compressing(fields, &text(4000)).await;
    let response = fetch(&proxy, "gzip").await;
    assert_eq!(response.field("etag"), Some("W/\"a\""));
    assert_eq!(response.field("accept-ranges"), None);
    assert_eq!(response.field("vary"), Some("origin, accept-encoding"));
    assert_eq!(response.field("last-modified"), Some("x"));
    let plain = fetch(&proxy, "identity").await;
    assert_eq!(plain.field("etag"), Some("\"a\""));
    assert_eq!(plain.field("accept-ranges"), Some("bytes"));

    let (_upstream, proxy) = compressing("etag: W/\"a\"\r\nvary: *\r\n", &text(4000)).await;
    let response = fetch(&proxy, "gzip").await;
    assert_eq!(response.field("etag"), Some("W/\"a\""));
    assert_eq!(response.field("vary"), Some("*"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_request_is_told_what_get_would_be() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 4000\r\netag: \"a\"\r\n\r\n";
    let upstream = Scripted::answering(answer).await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).http(ALL)).await;
    let mut client = Client::connect(proxy.address()).await;
    for _ in 0..2 {
        let response = client
            .exchange("HEAD / HTTP/1.1\r\nhost: a\r\naccept-encoding: br\r\n\r\n")
            .await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.field("content-encoding"), Some("br"));
        assert_eq!(response.field("content-length"), None);
        assert_eq!(response.field("etag"), Some("W/\"a\""));
    }
    let plain = client.exchange("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(plain.field("content-length"), Some("4000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_304_names_the_tag_that_the_client_has() {
    let upstream = Scripted::answering("HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n").await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).http(ALL)).await;
    for (accepted, known, tag) in [
        ("gzip", "W/\"a\"", "W/\"a\""),
        ("gzip", "\"b\", W/\"a\"", "W/\"a\""),
        ("gzip", "\"a\"", "\"a\""),
        ("identity", "W/\"a\"", "\"a\""),
    ] {
        let fields = format!("accept-encoding: {accepted}\r\nif-none-match: {known}\r\n");
        let response = client::fetch(proxy.address(), "/", &fields).await;
        assert_eq!(
            (response.status(), response.field("etag")),
            (304, Some(tag)),
            "{accepted} {known}"
        );
    }
}

/// An upstream that sends a piece of a body whenever it is told one, and ends when the sender is gone.
async fn told() -> (Scripted, mpsc::UnboundedSender<String>) {
    let (sender, receiver) = mpsc::unbounded_channel::<String>();
    let receiver = std::sync::Arc::new(tokio::sync::Mutex::new(receiver));
    let upstream = Scripted::start(move |mut script| {
        let receiver = std::sync::Arc::clone(&receiver);
        async move {
            script.request().await?;
            script
                .send("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n")
                .await?;
            while let Some(piece) = receiver.lock().await.recv().await {
                script.send(format!("{:x}\r\n{piece}\r\n", piece.len())).await?;
            }
            script.send("0\r\nx-sum: 7\r\n\r\n").await
        }
    })
    .await;
    (upstream, sender)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_is_not_held_back_until_the_next_and_trailers_pass() {
    for coding in ["gzip", "br", "zstd"] {
        let (upstream, tell) = told().await;
        let proxy = Proxy::start(Document::to(&[upstream.address()]).http(ALL)).await;
        let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
        let fields = [("accept-encoding", coding), ("te", "trailers")];
        connection
            .send(Frame::request(1, "GET", "/", &fields, true))
            .await
            .unwrap();
        let head = connection.next_headers().await.unwrap();
        assert_eq!(head.field("content-encoding"), Some(coding));
        let mut bytes = Vec::new();
        let mut said = String::new();
        for piece in ["one ", "two ", "three "] {
            // The next piece is sent when this one has been read, and not before.
            tell.send(piece.to_owned()).unwrap();
            said.push_str(piece);
            while decoded(coding, &bytes) != said {
                let frame = connection
                    .next_where(|frame| frame.kind == FrameKind::Data)
                    .await
                    .unwrap();
                bytes.extend_from_slice(&frame.payload);
            }
        }
        drop(tell);
        let (rest, trailers) = connection.rest_of(&head).await.unwrap();
        bytes.extend_from_slice(&rest);
        assert_eq!(decoded(coding, &bytes), said);
        assert_eq!(trailers.len(), 1, "{coding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_is_cut_and_never_ended() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n";
    let upstream = Scripted::start(move |mut script| async move {
        script.request().await?;
        script.send(format!("{head}4\r\nhalf\r\n")).await
    })
    .await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).http(ALL)).await;
    for _ in 0..2 {
        let mut client = Client::connect(proxy.address()).await;
        client
            .send("GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n")
            .await;
        // Whether its head came before the end or not: what came is not whole.
        assert!(client.try_response_within().await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_a_response_is_of_what_the_upstream_sends() {
    let body = "a".repeat(200_000);
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    let upstream = Scripted::answering(answer).await;
    let document = |max: &str| Document::to(&[upstream.address()]).http(ALL).route(max);
    let proxy = Proxy::start(document("response_body_max: 100KiB")).await;
    let mut client = Client::connect(proxy.address()).await;
    client
        .send("GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n")
        .await;
    let head = client.head().await;
    assert!(client.body(&head).await.is_err());
    proxy.reload(document("response_body_max: 200KiB")).await.unwrap();
    let response = fetch(&proxy, "gzip").await;
    assert!(decoded("gzip", &response.body.bytes) == body);
}
