//! The life of an HTTP/2 client's streams: trailers, cancellation, halves, GOAWAY, drain.

use outrigger_fixtures::frames::{Field, Frame, FrameConnection, FrameKind, FrameServer, code};
use outrigger_fixtures::{Echo, Scripted};
use outrigger_harness::{Document, Proxy, wait_until};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

const SLOW_HEAD: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";
const SLOW_END: &str = "4\r\nlast\r\n0\r\n\r\n";

/// An upstream that sends half of its answer, and the rest when it is told.
async fn half_an_answer() -> (Scripted, Arc<tokio::sync::Semaphore>) {
    let go_on = Arc::new(tokio::sync::Semaphore::new(0));
    let told = Arc::clone(&go_on);
    let upstream = Scripted::start(move |mut script| {
        let told = Arc::clone(&told);
        async move {
            while script.request().await?.is_some() {
                script.send(SLOW_HEAD).await?;
                tokio::select! {
                    told = told.acquire() => told.unwrap().forget(),
                    closed = script.until_closed() => return closed,
                }
                script.send(SLOW_END).await?;
            }
            Ok(())
        }
    })
    .await;
    (upstream, go_on)
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_pass_both_ways() {
    let upstream = Echo::start().await;
    for protocol in ["http1", "http2"] {
        let document = Document::to(&[upstream.address()]).cluster(&format!("protocol: {protocol}"));
        let proxy = Proxy::start(document).await;
        let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
        let frames = [
            Frame::request(1, "POST", "/", &[("trailer", "x-sum"), ("te", "trailers")], false),
            Frame::data(1, "body", false),
            Frame::headers(1, &[("x-sum", "42")], true),
        ];
        connection.send_all(&frames).await.unwrap();
        let head = connection.next_headers().await.unwrap();
        assert_eq!(head.field(":status"), Some("200"), "{protocol}");
        let (body, trailers) = connection.rest_of(&head).await.unwrap();
        assert_eq!(body, b"body", "{protocol}");
        assert_eq!(
            trailers,
            [Field {
                name: "x-sum".into(),
                value: "42".into()
            }],
            "{protocol}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_cancels_the_request_at_an_http1_upstream() {
    let (upstream, _go_on) = half_an_answer().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    connection
        .send(Frame::request(1, "GET", "/", &[], true))
        .await
        .unwrap();
    connection
        .next_where(|frame| frame.kind == FrameKind::Data)
        .await
        .unwrap();
    assert_eq!(upstream.open_connections(), 1);
    connection.send(Frame::reset(1, code::CANCEL)).await.unwrap();
    wait_until("the upstream's connection is closed", || async {
        (upstream.open_connections() == 0).then_some(())
    })
    .await;
    // The client's connection is none the worse.
    connection
        .send(Frame::request(3, "GET", "/", &[], true))
        .await
        .unwrap();
    assert_eq!(connection.next_headers().await.unwrap().stream, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_cancels_the_stream_at_an_http2_upstream() {
    for (answered, body) in [(false, true), (true, true), (false, false), (true, false)] {
        let (seen, mut resets) = mpsc::unbounded_channel();
        let upstream = FrameServer::start(move |mut connection, _| {
            let seen = seen.clone();
            async move {
                connection.greet(&[]).await?;
                let request = connection.next_headers().await?;
                if answered {
                    let head = Frame::response(request.stream, "200", false);
                    connection
                        .send_all(&[head, Frame::data(request.stream, "half", false)])
                        .await?;
                }
                seen.send(None).unwrap();
                let reset = connection
                    .next_where(|frame| frame.kind == FrameKind::RstStream)
                    .await?;
                seen.send(Some((reset.stream == request.stream, reset.error_code())))
                    .unwrap();
                Ok(())
            }
        })
        .await
        .unwrap();
        let proxy = Proxy::start(Document::to(&[upstream.address()]).cluster("protocol: http2")).await;
        let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
        connection
            .send(Frame::request(1, "POST", "/", &[], !body))
            .await
            .unwrap();
        assert_eq!(resets.recv().await, Some(None), "the request arrived");
        if answered {
            connection
                .next_where(|frame| frame.kind == FrameKind::Data)
                .await
                .unwrap();
        }
        connection.send(Frame::reset(1, code::CANCEL)).await.unwrap();
        let reset = outrigger_harness::within("the reset", resets.recv()).await;
        assert_eq!(
            reset,
            Some(Some((true, Some(code::CANCEL)))),
            "answered {answered}, body {body}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ends_cancels_all_its_streams() {
    let (upstream, _go_on) = half_an_answer().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    for reset in [false, true] {
        let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
        for stream in [1, 3, 5] {
            connection
                .send(Frame::request(stream, "GET", "/", &[], true))
                .await
                .unwrap();
        }
        for _ in 0..3 {
            connection
                .next_where(|frame| frame.kind == FrameKind::Data)
                .await
                .unwrap();
        }
        assert_eq!(upstream.open_connections(), 3);
        if reset {
            connection.reset()
        } else {
            drop(connection)
        }
        wait_until("all is cancelled", || async {
            (upstream.open_connections() == 0).then_some(())
        })
        .await;
    }
    proxy
        .admin()
        .wait_for_metric("outrigger_listener_requests_active", 0.0)
        .await;
    proxy
        .admin()
        .wait_for_metric("outrigger_cluster_requests_active", 0.0)
        .await;
    proxy
        .admin()
        .wait_for_metric("outrigger_listener_connections_active", 0.0)
        .await;
    proxy
        .admin()
        .wait_for_metric("outrigger_route_response_flags_total{flag=\"DC\"}", 6.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_may_end_before_its_request_and_the_rest_is_not_wanted() {
    let upstream = Scripted::start(|mut script| async move {
        script.head().await?;
        script
            .send("HTTP/1.1 413 Too Much\r\ncontent-length: 4\r\nconnection: close\r\n\r\nenou")
            .await
    })
    .await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    connection
        .send_all(&[
            Frame::request(1, "POST", "/", &[], false),
            Frame::data(1, "part", false),
        ])
        .await
        .unwrap();
    let head = connection.next_headers().await.unwrap();
    assert_eq!(head.field(":status"), Some("413"));
    assert_eq!(connection.rest_of(&head).await.unwrap().0, b"enou");
    let reset = connection
        .next_where(|frame| frame.kind == FrameKind::RstStream)
        .await
        .unwrap();
    assert_eq!(reset.error_code(), Some(code::NO_ERROR), "RFC 9113 section 8.1");
    // What was under way when the reset came is no fault.
    connection.send(Frame::data(1, "late", true)).await.unwrap();
    assert!(
        connection
            .settle_ping()
            .await
            .unwrap()
            .iter()
            .all(|frame| frame.kind != FrameKind::GoAway)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_on_a_stream_that_has_ended_do_not_end_the_connection_s_other_streams() {
    let (upstream, go_on) = half_an_answer().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    connection
        .send(Frame::request(1, "GET", "/", &[], true))
        .await
        .unwrap();
    connection
        .next_where(|frame| frame.kind == FrameKind::Data)
        .await
        .unwrap();
    go_on.add_permits(1);
    connection.next_where(Frame::ends_stream).await.unwrap();
    // What may have been under way when the stream ended.
    let late = [
        Frame::window_update(1, 1),
        Frame::reset(1, code::CANCEL),
        Frame::new(FrameKind::Priority, 0, 1, "\0\0\0\0\x10"),
    ];
    connection.send_all(&late).await.unwrap();
    connection
        .send(Frame::request(3, "GET", "/", &[], true))
        .await
        .unwrap();
    let head = connection.next_headers().await.unwrap();
    go_on.add_permits(1);
    assert_eq!(
        (head.stream, connection.rest_of(&head).await.unwrap().0),
        (3, b"firstlast".to_vec())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_s_goaway_lets_its_streams_finish() {
    let (upstream, go_on) = half_an_answer().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    connection
        .send(Frame::request(1, "GET", "/", &[], true))
        .await
        .unwrap();
    let head = connection.next_headers().await.unwrap();
    connection.send(Frame::go_away(0, code::NO_ERROR)).await.unwrap();
    connection.settle_ping().await.unwrap();
    go_on.add_permits(1);
    let mut body = Vec::new();
    let frames = connection.read_to_end().await.unwrap();
    for frame in frames
        .iter()
        .filter(|frame| frame.kind == FrameKind::Data && frame.stream == head.stream)
    {
        body.extend_from_slice(&frame.payload);
    }
    assert!(body.ends_with(b"last"), "{frames:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_sends_goaway_and_lets_streams_finish() {
    let (upstream, go_on) = half_an_answer().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let mut idle = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    idle.settle_ping().await.unwrap();
    connection
        .send(Frame::request(1, "GET", "/", &[], true))
        .await
        .unwrap();
    let head = connection.next_headers().await.unwrap();
    let mut drained = proxy.drain(Duration::ZERO, Duration::from_secs(60));
    let away = connection
        .next_where(|frame| frame.kind == FrameKind::GoAway)
        .await
        .unwrap();
    assert_eq!(away.error_code(), Some(code::NO_ERROR));
    // The first GOAWAY names no stream, so that nothing under way is lost; a stream that comes before the second is
    // served.
    assert_eq!(away.last_stream(), Some((1 << 31) - 1));
    let ended = idle.read_to_end_politely().await;
    assert!(
        ended.iter().any(|frame| frame.kind == FrameKind::GoAway),
        "an idle connection is told too: {ended:?}"
    );
    assert!(drained.try_recv().is_err(), "a stream is in flight");
    go_on.add_permits(1);
    let mut body = Vec::new();
    for frame in connection.read_to_end_politely().await {
        if frame.kind == FrameKind::Data && frame.stream == head.stream {
            body.extend_from_slice(&frame.payload);
        }
    }
    assert!(body.ends_with(b"last"));
    assert!(
        outrigger_harness::within("the drain", drained).await.unwrap(),
        "nothing was cut"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_takes_too_long_cuts() {
    let (upstream, _go_on) = half_an_answer().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    connection
        .send(Frame::request(1, "GET", "/", &[], true))
        .await
        .unwrap();
    connection.next_headers().await.unwrap();
    let drained = proxy.drain(Duration::ZERO, Duration::from_millis(100));
    let frames = connection.read_to_end_politely().await;
    assert!(
        frames.iter().all(|frame| !frame.ends_stream()),
        "a cut response does not look whole: {frames:?}"
    );
    assert!(!outrigger_harness::within("the drain", drained).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_at_its_request_limit_is_told_to_go_and_finishes() {
    let upstream = Scripted::ok().await;
    let proxy =
        Proxy::start(Document::to(&[upstream.address()]).http("requests_per_connection_max: 2")).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    connection
        .send_all(&[
            Frame::request(1, "GET", "/", &[], true),
            Frame::request(3, "GET", "/", &[], true),
        ])
        .await
        .unwrap();
    let frames = connection.read_to_end_politely().await;
    let ended: Vec<u32> = frames
        .iter()
        .filter(|frame| frame.ends_stream())
        .map(|frame| frame.stream)
        .collect();
    assert_eq!(ended.len(), 2, "{frames:?}");
    assert!(
        frames
            .iter()
            .any(|frame| frame.kind == FrameKind::GoAway && frame.error_code() == Some(0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_told_to_go() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).http("idle_timeout: 50ms")).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let frames = connection.read_to_end_politely().await;
    assert!(
        frames
            .iter()
            .any(|frame| frame.kind == FrameKind::GoAway && frame.error_code() == Some(0))
    );
    proxy
        .admin()
        .wait_for_metric(
            "outrigger_listener_connections_closed_total{reason=\"idle\"}",
            1.0,
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_half_a_preface_is_let_go() {
    let upstream = Scripted::ok().await;
    let proxy =
        Proxy::start(Document::to(&[upstream.address()]).http("request_headers_timeout: 100ms")).await;
    let stream = tokio::net::TcpStream::connect(proxy.address()).await.unwrap();
    let mut connection = FrameConnection::new(stream);
    connection.send_raw(b"PRI * HTTP/2.0\r\n\r\nSM").await.unwrap();
    assert!(connection.read_raw_to_end().await.unwrap().len() < 1024);
    proxy
        .admin()
        .wait_for_metric("outrigger_listener_connections_active", 0.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preface_that_comes_byte_by_byte_is_a_preface() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let stream = tokio::net::TcpStream::connect(proxy.address()).await.unwrap();
    let mut connection = FrameConnection::new(stream);
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(Frame::settings(&[]).bytes());
    bytes.extend(Frame::request(1, "GET", "/", &[], true).bytes());
    for byte in bytes {
        connection.send_raw(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(
        connection.next_headers().await.unwrap().field(":status"),
        Some("200")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_streams_at_once_are_served_as_they_come() {
    let served = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&served);
    let upstream = Scripted::start(move |mut script| {
        let count = Arc::clone(&count);
        async move {
            while script.request().await?.is_some() {
                let n = count.fetch_add(1, Ordering::SeqCst).to_string();
                script
                    .send(format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{n}",
                        n.len()
                    ))
                    .await?;
            }
            Ok(())
        }
    })
    .await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let frames: Vec<Frame> = (0..1000)
        .map(|index| Frame::request(1 + 2 * index, "GET", "/", &[], true))
        .collect();
    connection.send_all(&frames).await.unwrap();
    let mut ended = 0;
    while ended < 1000 {
        let frame = connection.next().await.unwrap().expect("the connection stays");
        assert!(
            frame.field(":status").is_none_or(|status| status == "200"),
            "{frame:?}"
        );
        assert_ne!(frame.kind, FrameKind::RstStream, "{frame:?}");
        ended += usize::from(frame.ends_stream());
    }
    assert_eq!(served.load(Ordering::SeqCst), 1000);
}
