//! How an HTTP/2 upstream may fail, and what is retried: what provably never ran, once; anything else, never twice.

use outrigger_fixtures::frames::{Frame, FrameConnection, FrameKind, FrameServer, code, literal_block};
use outrigger_harness::{Client, Document, Proxy, Response, wait_until};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;

/// The heads of requests that reached an upstream: connection, method and path.
type Heads = mpsc::UnboundedReceiver<(usize, String)>;

/// What an upstream does to a request, the `request`th on its `connection`th connection.
type Act = fn(connection: usize, request: usize) -> Deed;

/// A faulty response on a stream, and what is wrong with it.
type Fault = (&'static str, fn(u32) -> Vec<Frame>);

#[derive(Debug, Clone, Copy)]
enum Deed {
    /// 200, with the body `whole`.
    Answer,
    /// GOAWAY whose last stream is below the request's; the connection stays open for a moment.
    GoAwayBelow,
    /// GOAWAY whose last stream is the request's, then the answer.
    GoAwayAndAnswer,
    /// GOAWAY whose last stream is the request's, then the connection ends without an answer.
    GoAwayAndClose,
    /// RST_STREAM with this code.
    Reset(u32),
    /// A head, then RST_STREAM with this code.
    HeadAndReset(u32),
    /// The connection ends in order.
    Close,
    /// The connection ends by a TCP reset.
    CloseHard,
}
use Deed::*;

async fn upstream(act: Act) -> (FrameServer, Heads) {
    let (seen, heads) = mpsc::unbounded_channel();
    let server = FrameServer::start(move |connection, index| serve(connection, index, act, seen.clone()))
        .await
        .unwrap();
    (server, heads)
}

async fn serve(
    mut connection: FrameConnection,
    index: usize,
    act: Act,
    seen: mpsc::UnboundedSender<(usize, String)>,
) -> anyhow::Result<()> {
    connection.greet(&[]).await?;
    let mut request = 0;
    while let Some(frame) = connection.next().await? {
        if frame.kind != FrameKind::Headers {
            continue;
        }
        let head = format!(
            "{} {}",
            frame.field(":method").unwrap(),
            frame.field(":path").unwrap()
        );
        let _ = seen.send((index, head));
        let stream = frame.stream;
        let answer = [
            Frame::response(stream, "200", false),
            Frame::data(stream, "whole", true),
        ];
        match act(index, request) {
            Answer => connection.send_all(&answer).await?,
            GoAwayBelow => {
                connection
                    .send(Frame::go_away(stream.saturating_sub(2), code::NO_ERROR))
                    .await?
            }
            GoAwayAndAnswer => {
                connection.send(Frame::go_away(stream, code::NO_ERROR)).await?;
                connection.settle_ping().await?;
                connection.send_all(&answer).await?;
            }
            GoAwayAndClose => {
                connection.send(Frame::go_away(stream, code::NO_ERROR)).await?;
                return Ok(());
            }
            Reset(code) => connection.send(Frame::reset(stream, code)).await?,
            HeadAndReset(code) => {
                connection
                    .send_all(&[Frame::response(stream, "200", false), Frame::reset(stream, code)])
                    .await?;
            }
            Close => return Ok(()),
            CloseHard => {
                connection.reset();
                return Ok(());
            }
        }
        request += 1;
    }
    Ok(())
}

fn document(upstream: &FrameServer) -> Document {
    // One worker has one pool, so that the number of connections is known.
    Document::to(&[upstream.address()])
        .cluster("protocol: http2")
        .workers(1)
}

fn request(method: &str) -> String {
    let length = if method == "POST" {
        "content-length: 4\r\n\r\nbody"
    } else {
        "\r\n"
    };
    format!("{method} /r HTTP/1.1\r\nhost: a\r\n{length}")
}

/// The answer, its flags by the metrics, and how often the request reached the upstream.
async fn outcome(act: Act, method: &str, before: usize) -> (String, Vec<(usize, String)>) {
    let (server, mut heads) = upstream(act).await;
    let proxy = Proxy::start(document(&server)).await;
    let mut client = Client::connect(proxy.address()).await;
    for _ in 0..before {
        assert_eq!(client.exchange(request("GET")).await.status(), 200);
        heads.recv().await.unwrap();
    }
    client.send(request(method)).await;
    let text = match client.try_response(method).await {
        Ok(response) => answer_text(&response, &proxy).await,
        Err(error) => format!("cut: {}", error.kind()),
    };
    drop(proxy);
    let mut reached = Vec::new();
    while let Ok(head) = heads.try_recv() {
        reached.push(head);
    }
    (text, reached)
}

async fn answer_text(response: &Response, proxy: &Proxy) -> String {
    if response.status() == 200 {
        return format!("200 {}", response.text());
    }
    // A request is counted when its response has left: the client may be here a moment before.
    let flags = wait_until("the flags of the answer", async || {
        let mut flags = String::new();
        for flag in ["UC", "UF", "UH", "UO", "UPE", "UR", "URX", "UT"] {
            let series = format!("outrigger_route_response_flags_total{{flag=\"{flag}\"}}");
            if proxy.admin().metric(&series).await > 0.0 {
                flags.push(' ');
                flags.push_str(flag);
            }
        }
        (!flags.is_empty()).then_some(flags)
    });
    format!("{}{}", response.status(), flags.await)
}

/// What a failing upstream comes to: (what, deed, method, requests before, answer, how often it reached an upstream).
#[rustfmt::skip]
fn cases() -> Vec<(&'static str, Act, &'static str, usize, &'static str, usize)> {
    vec![
        ("GOAWAY below, new connection answers", |c, _| if c == 0 { GoAwayBelow } else { Answer }, "POST", 0, "200 whole", 2),
        ("GOAWAY below, again and again", |_, _| GoAwayBelow, "GET", 0, "503 UC URX", 2),
        ("GOAWAY of the stream, answered", |_, _| GoAwayAndAnswer, "POST", 0, "200 whole", 1),
        ("GOAWAY of the stream, closed", |_, _| GoAwayAndClose, "POST", 0, "503 UC", 1),
        ("GOAWAY of the stream, closed, GET on a fresh connection", |_, _| GoAwayAndClose, "GET", 0, "503 UC", 1),
        ("refused, then answered", |_, r| if r == 0 { Reset(code::REFUSED_STREAM) } else { Answer }, "POST", 0, "200 whole", 2),
        ("refused again", |_, _| Reset(code::REFUSED_STREAM), "POST", 0, "503 UR URX", 2),
        ("internal error, POST", |_, _| Reset(code::INTERNAL_ERROR), "POST", 0, "503 UR", 1),
        ("internal error, GET", |_, _| Reset(code::INTERNAL_ERROR), "GET", 0, "503 UR", 1),
        ("cancelled", |_, _| Reset(code::CANCEL), "GET", 0, "503 UR", 1),
        ("NO_ERROR without an answer", |_, _| Reset(code::NO_ERROR), "GET", 0, "503 UR", 1),
        ("head and reset", |_, _| HeadAndReset(code::INTERNAL_ERROR), "GET", 0, "cut: unexpected end of file", 1),
        ("head and refusal", |_, _| HeadAndReset(code::REFUSED_STREAM), "GET", 0, "cut: unexpected end of file", 1),
        ("fresh connection closed, GET", |_, _| Close, "GET", 0, "503 UC", 1),
        ("fresh connection closed, POST", |_, _| Close, "POST", 0, "503 UC", 1),
        ("fresh connection reset, GET", |_, _| CloseHard, "GET", 0, "503 UC", 1),
        ("reused connection closed, GET", |c, r| if c == 0 && r == 1 { Close } else { Answer }, "GET", 1, "200 whole", 2),
        ("reused connection reset, GET", |c, r| if c == 0 && r == 1 { CloseHard } else { Answer }, "GET", 1, "200 whole", 2),
        ("reused connection closed, POST", |_, r| if r == 1 { Close } else { Answer }, "POST", 1, "503 UC", 1),
        ("reused connection reset, POST", |_, r| if r == 1 { CloseHard } else { Answer }, "POST", 1, "503 UC", 1),
        ("reused connection refuses a POST", |_, r| if r == 1 { Reset(code::REFUSED_STREAM) } else { Answer }, "POST", 1, "200 whole", 2),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_retried_exactly_where_nothing_can_have_run() {
    let mut faults = Vec::new();
    for (what, act, method, before, expected, times) in cases() {
        let (answer, reached) = outcome(act, method, before).await;
        if answer != expected || reached.len() != times {
            faults.push(format!(
                "{what}: {answer}, reached {reached:?}; expected {expected}, {times} times"
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_goaway_uses_another_connection() {
    let (server, mut heads) = upstream(|c, _| if c == 0 { GoAwayBelow } else { Answer }).await;
    let proxy = Proxy::start(document(&server)).await;
    let response = Client::connect(proxy.address())
        .await
        .exchange(request("POST"))
        .await;
    assert_eq!((response.status(), response.text().as_str()), (200, "whole"));
    assert_eq!(heads.recv().await, Some((0, "POST /r".into())));
    assert_eq!(heads.recv().await, Some((1, "POST /r".into())));
    let admin = proxy.admin();
    admin
        .wait_for_metric("outrigger_cluster_retries_total{reason=\"goaway\"}", 1.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_above_a_goaway_move_and_streams_below_it_stay() {
    // Three requests wait on one connection; GOAWAY names the first. It finishes there, the others move.
    let (seen, mut heads) = mpsc::unbounded_channel();
    let server = FrameServer::start(move |mut connection, index| {
        let seen = seen.clone();
        async move {
            connection.greet(&[]).await?;
            if index == 0 {
                let mut paths = Vec::new();
                while paths.len() < 3 {
                    let head = connection.next_headers().await?;
                    paths.push((head.stream, head.field(":path").unwrap().to_owned()));
                }
                let (first, path) = paths[0].clone();
                connection.send(Frame::go_away(first, code::NO_ERROR)).await?;
                connection.settle_ping().await?;
                seen.send((0, path))?;
                connection
                    .send_all(&[
                        Frame::response(first, "200", false),
                        Frame::data(first, "there", true),
                    ])
                    .await?;
                connection.read_to_end().await?;
                return Ok(());
            }
            while let Some(frame) = connection.next().await? {
                if frame.kind == FrameKind::Headers {
                    seen.send((index, frame.field(":path").unwrap().to_owned()))?;
                    let answer = [
                        Frame::response(frame.stream, "200", false),
                        Frame::data(frame.stream, "moved", true),
                    ];
                    connection.send_all(&answer).await?;
                }
            }
            Ok(())
        }
    })
    .await
    .unwrap();
    let proxy = Proxy::start(document(&server)).await;
    let mut client = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    for stream in [1, 3, 5] {
        client
            .send(Frame::request(stream, "POST", &format!("/{stream}"), &[], true))
            .await
            .unwrap();
    }
    let mut bodies = Vec::new();
    while bodies.len() < 3 {
        let frame = client
            .next_where(|frame| frame.kind == FrameKind::Data)
            .await
            .unwrap();
        bodies.push(String::from_utf8_lossy(&frame.payload).into_owned());
    }
    bodies.sort();
    assert_eq!(bodies, ["moved", "moved", "there"]);
    let mut reached: Vec<(usize, String)> = Vec::new();
    while reached.len() < 3 {
        reached.push(heads.recv().await.unwrap());
    }
    let on_first: Vec<_> = reached
        .iter()
        .filter(|(connection, _)| *connection == 0)
        .collect();
    assert_eq!(on_first.len(), 1, "{reached:?}");
    let mut paths: Vec<&str> = reached.iter().map(|(_, path)| path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/1", "/3", "/5"], "each ran once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_longer_than_the_replay_buffer_is_sent_once() {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    let server = FrameServer::start(move |mut connection, _| {
        let count = Arc::clone(&count);
        async move {
            connection
                .greet(&[(outrigger_fixtures::frames::setting::INITIAL_WINDOW_SIZE, 1 << 20)])
                .await?;
            connection.send(Frame::window_update(0, 1 << 20)).await?;
            let head = connection.next_headers().await?;
            count.fetch_add(1, Ordering::SeqCst);
            connection.next_where(Frame::ends_stream).await?;
            connection
                .send(Frame::reset(head.stream, code::REFUSED_STREAM))
                .await?;
            connection.read_to_end().await.map(drop)
        }
    })
    .await
    .unwrap();
    let proxy = Proxy::start(document(&server)).await;
    let mut client = Client::connect(proxy.address()).await;
    let mut request = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n".to_vec();
    request.resize(request.len() + 100_000, b'x');
    let response = client.exchange(request).await;
    assert_eq!((response.status(), runs.load(Ordering::SeqCst)), (503, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_body_is_whole() {
    let server = FrameServer::start(|mut connection, index| async move {
        connection.greet(&[]).await?;
        loop {
            let head = connection.next_headers().await?;
            if index == 0 && head.stream == 1 {
                connection.next_where(Frame::ends_stream).await?;
                connection.send(Frame::reset(1, code::REFUSED_STREAM)).await?;
                continue;
            }
            let (body, trailers) = connection.rest_of(&head).await?;
            let answer = [
                Frame::response(head.stream, "200", false),
                Frame::data(head.stream, format!("{} {}", body.len(), trailers.len()), true),
            ];
            connection.send_all(&answer).await?;
        }
    })
    .await
    .unwrap();
    let proxy = Proxy::start(document(&server)).await;
    let mut client = Client::connect(proxy.address()).await;
    let chunk = format!("4e20\r\n{}\r\n", "y".repeat(20_000));
    let request = format!(
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunk}{chunk}0\r\nx-t: 1\r\n\r\n"
    );
    let response = client.exchange(request).await;
    assert_eq!((response.status(), response.text().as_str()), (200, "40000 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_that_break_the_rules_are_502() {
    let faults: Vec<Fault> = vec![
        ("no status", |s| vec![Frame::headers(s, &[("a", "b")], true)]),
        ("a status that is no number", |s| {
            vec![Frame::headers(s, &[(":status", "abc")], true)]
        }),
        ("uppercase name", |s| {
            vec![Frame::headers(s, &[(":status", "200"), ("Upper", "x")], true)]
        }),
        ("connection", |s| {
            vec![Frame::headers(
                s,
                &[(":status", "200"), ("connection", "close")],
                true,
            )]
        }),
        ("data before the head", |s| vec![Frame::data(s, "x", true)]),
        ("a length that the end belies", |s| {
            vec![Frame::headers(
                s,
                &[(":status", "200"), ("content-length", "3")],
                true,
            )]
        }),
        ("101", |s| vec![Frame::headers(s, &[(":status", "101")], false)]),
        ("too many fields", |s| {
            let names: Vec<String> = (0..101).map(|index| format!("x-{index}")).collect();
            let fields =
                std::iter::once((":status", "200")).chain(names.iter().map(|name| (name.as_str(), "v")));
            vec![Frame::headers(s, &fields.collect::<Vec<_>>(), true)]
        }),
        ("a head that is too long", |s| {
            let long = "x".repeat(14_000);
            let pieces: Vec<Vec<u8>> = (0..5).map(|_| literal_block(&[("long", &long)])).collect();
            let mut frames = vec![Frame::response(s, "200", false).with_flags(1)];
            frames.extend(
                pieces
                    .iter()
                    .enumerate()
                    .map(|(n, piece)| Frame::continuation(s, piece.clone(), n == 4)),
            );
            frames
        }),
        ("an interim response that ends", |s| {
            vec![Frame::headers(s, &[(":status", "103")], true)]
        }),
    ];
    let mut wrong = Vec::new();
    for (what, frames) in faults {
        let server = FrameServer::start(move |mut connection, _| async move {
            connection.greet(&[]).await?;
            let head = connection.next_headers().await?;
            connection.send_all(&frames(head.stream)).await?;
            connection.read_to_end().await.map(drop)
        })
        .await
        .unwrap();
        let proxy = Proxy::start(document(&server)).await;
        let response = Client::connect(proxy.address())
            .await
            .exchange(request("GET"))
            .await;
        if response.status() != 502 {
            wrong.push(format!("{what}: {}", response.status()));
            continue;
        }
        proxy
            .admin()
            .wait_for_metric("outrigger_route_response_flags_total{flag=\"UPE\"}", 1.0)
            .await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join(", "));
}
