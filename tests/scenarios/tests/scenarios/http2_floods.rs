//! HTTP/2 clients that cost more than they ask for: floods, and abuse of windows and streams.

use outrigger_fixtures::frames::{Frame, FrameConnection, FrameKind, code, literal_block, setting};
use outrigger_fixtures::{Echo, Scripted};
use outrigger_harness::{Document, Proxy};

/// A kind of flood, and a piece of it.
type Flood = (&'static str, fn() -> Vec<Frame>);

const ERRORS: &str = "outrigger_listener_http2_connection_errors_total";

/// Sends frames over and over until the proxy ends the connection, and gives the code of its GOAWAY. A client that is
/// not stopped after `rounds` fails the test.
async fn flood(
    connection: &mut FrameConnection,
    rounds: u32,
    frames: impl Fn(u32) -> Vec<Frame>,
) -> Option<u32> {
    for round in 0..rounds {
        let mut sent = frames(round);
        sent.push(Frame::ping(*b"answered"));
        if connection.send_all(&sent).await.is_err() {
            break;
        }
        // The proxy keeps up, so that nothing but the flood can end the connection.
        loop {
            match connection.read().await {
                Ok(Some(frame)) if frame.kind == FrameKind::GoAway => return frame.error_code(),
                Ok(Some(frame)) if frame.kind == FrameKind::Ping && frame.payload[..] == *b"answered" => {
                    break;
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_resets_ends_the_connection() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let frames: Vec<Frame> = (0..200)
        .flat_map(|index| {
            let stream = 1 + 2 * index;
            [
                Frame::request(stream, "GET", "/", &[], true),
                Frame::reset(stream, code::CANCEL),
            ]
        })
        .collect();
    let _ = connection.send_all(&frames).await;
    let answer = connection.read_to_end().await.unwrap();
    let code = answer
        .iter()
        .filter(|frame| frame.kind == FrameKind::GoAway)
        .find_map(Frame::error_code);
    assert_eq!(code, Some(code::ENHANCE_YOUR_CALM));
    proxy.admin().wait_for_metric(ERRORS, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_resets_end_the_connection_too() {
    // Each stream is taken up, and reset before its answer: the flood that a count of waiting streams does not see.
    let upstream = Scripted::start(|mut script| async move { script.until_closed().await }).await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let mut ended = false;
    for index in 0..1000 {
        let stream = 1 + 2 * index;
        let sent = async {
            connection
                .send(Frame::request(stream, "GET", "/", &[], true))
                .await?;
            connection.settle_ping().await?;
            connection.send(Frame::reset(stream, code::CANCEL)).await
        };
        if sent.await.is_err() {
            ended = true;
            break;
        }
    }
    assert!(
        ended,
        "1,000 streams were reset before their answers, and the connection is still there"
    );
    proxy.admin().wait_for_metric(ERRORS, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_cancels_now_and_then_is_no_flood() {
    let upstream = Echo::start().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    for index in 0..600 {
        let stream = 1 + 4 * index;
        connection
            .send(Frame::request(stream, "POST", "/", &[], false))
            .await
            .unwrap();
        connection.settle_ping().await.unwrap();
        connection.send(Frame::reset(stream, code::CANCEL)).await.unwrap();
        for other in [stream + 2] {
            connection
                .send(Frame::request(other, "GET", "/", &[], true))
                .await
                .unwrap();
            let head = connection
                .next_where(|frame| frame.stream == other)
                .await
                .unwrap();
            assert_eq!(head.field(":status"), Some("200"));
            if !head.ends_stream() {
                connection.rest_of(&head).await.unwrap();
            }
        }
    }
    assert_eq!(proxy.admin().metric(ERRORS).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_continuations_ends_the_connection() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let block = literal_block(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/"),
    ]);
    connection
        .send(Frame::new(FrameKind::Headers, 1, 1, block))
        .await
        .unwrap();
    let piece = literal_block(&[("x", "y")]);
    for _ in 0..10_000 {
        if connection
            .send(Frame::continuation(1, piece.clone(), false))
            .await
            .is_err()
        {
            break;
        }
    }
    let answer = connection.read_to_end().await.unwrap();
    let code = answer
        .iter()
        .filter(|frame| frame.kind == FrameKind::GoAway)
        .find_map(Frame::error_code);
    assert_eq!(code, Some(code::ENHANCE_YOUR_CALM));
    proxy.admin().wait_for_metric(ERRORS, 1.0).await;
    assert_eq!(upstream.request_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_frames_that_carry_nothing_end_the_connection() {
    let floods: [Flood; 7] = [
        ("empty DATA", || vec![Frame::data(1, "", false); 64]),
        ("PING", || vec![Frame::ping(*b"floodfld"); 64]),
        // `h2` writes a warning for each.
        ("answers to no PING", || {
            vec![Frame::new(FrameKind::Ping, 1, 0, "unasked!"); 64]
        }),
        ("SETTINGS", || {
            vec![Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 65_535)]); 64]
        }),
        ("PRIORITY", || {
            vec![Frame::new(FrameKind::Priority, 0, 1, "\0\0\0\0\x10"); 64]
        }),
        ("WINDOW_UPDATE", || vec![Frame::window_update(1, 1); 64]),
        ("unknown frames", || {
            vec![Frame::new(FrameKind::Unknown(0x77), 0, 0, ""); 64]
        }),
    ];
    let upstream = Scripted::start(|mut script| async move { script.until_closed().await }).await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut faults = Vec::new();
    for (what, frames) in floods {
        let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
        connection
            .send(Frame::request(1, "POST", "/", &[], false))
            .await
            .unwrap();
        let code = flood(&mut connection, 1000, |_| frames()).await;
        if code != Some(code::ENHANCE_YOUR_CALM) {
            faults.push(format!("{what}: {code:?}"));
        }
    }
    assert!(faults.is_empty(), "not stopped: {}", faults.join(", "));
    proxy.admin().wait_for_metric(ERRORS, floods.len() as f64).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_cannot_be_overrun_or_overflown() {
    let upstream = Scripted::start(|mut script| async move {
        script.head().await?;
        script.until_closed().await
    })
    .await;
    let proxy = Proxy::start(
        Document::to(&[upstream.address()]).http("http2: { stream_window: 64KiB, connection_window: 64KiB }"),
    )
    .await;
    let ended = |frames: Vec<Frame>| {
        frames
            .iter()
            .find(|frame| frame.kind == FrameKind::GoAway)
            .and_then(Frame::error_code)
    };

    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let request = Frame::request(1, "POST", "/", &[], false);
    connection
        .send_all(&[request, Frame::window_update(1, 0)])
        .await
        .unwrap();
    assert_eq!(
        ended(connection.read_to_end().await.unwrap()),
        Some(code::PROTOCOL_ERROR),
        "an increment of 0"
    );

    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let request = Frame::request(3, "POST", "/", &[], false);
    connection
        .send_all(&[request, Frame::window_update(3, (1 << 31) - 1)])
        .await
        .unwrap();
    let reset = connection
        .next_where(|frame| frame.kind == FrameKind::RstStream)
        .await
        .unwrap();
    assert_eq!(reset.error_code(), Some(code::FLOW_CONTROL_ERROR), "beyond 2^31");

    // The windows that were granted are 64 KiB; nobody grants more, since the upstream does not read.
    connection
        .send(Frame::request(5, "POST", "/", &[], false))
        .await
        .unwrap();
    let mut over = false;
    for _ in 0..4096 {
        if connection
            .send(Frame::data(5, vec![0; 16 * 1024], false))
            .await
            .is_err()
        {
            over = true;
            break;
        }
    }
    let _ = connection.finish().await;
    let answer = connection.read_to_end().await.unwrap();
    let code = answer
        .iter()
        .filter(|frame| matches!(frame.kind, FrameKind::GoAway | FrameKind::RstStream))
        .find_map(Frame::error_code);
    assert!(over || code.is_some(), "64 MiB were taken in a window of 64 KiB");
    assert_eq!(code, Some(code::FLOW_CONTROL_ERROR));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_beyond_the_limit_are_refused() {
    let upstream = Scripted::start(|mut script| async move {
        script.request().await?;
        script.until_closed().await
    })
    .await;
    let proxy =
        Proxy::start(Document::to(&[upstream.address()]).http("http2: { concurrent_streams_max: 3 }")).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let offered = connection
        .peer_settings
        .as_ref()
        .and_then(|frame| frame.setting(setting::MAX_CONCURRENT_STREAMS));
    assert_eq!(offered, Some(3));
    for stream in [1, 3, 5, 7, 9] {
        connection
            .send(Frame::request(stream, "GET", "/", &[], true))
            .await
            .unwrap();
    }
    let mut refused = Vec::new();
    while refused.len() < 2 {
        let frame = connection
            .next_where(|frame| frame.kind == FrameKind::RstStream)
            .await
            .unwrap();
        refused.push((frame.stream, frame.error_code()));
    }
    assert_eq!(
        refused,
        [(7, Some(code::REFUSED_STREAM)), (9, Some(code::REFUSED_STREAM))]
    );
    // A place that is free again is a place.
    connection
        .send_all(&[
            Frame::reset(1, code::CANCEL),
            Frame::request(11, "GET", "/", &[], true),
        ])
        .await
        .unwrap();
    let told = connection.settle_ping().await.unwrap();
    assert!(told.iter().all(|frame| frame.stream != 11), "{told:?}");
}
