//! HTTP/2 requests that are malformed or could be read two ways: none reaches the upstream, and the connection serves
//! the next request.

mod table;

use outrigger_fixtures::Scripted;
use outrigger_fixtures::frames::{Frame, FrameConnection, FrameKind, code, literal_block};
use outrigger_harness::{Document, Proxy};
use table::{AUTHORITY, Fields, METHOD, PATH, SCHEME, malformed, with};

/// What a request on stream `stream` came to.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// The stream was reset with PROTOCOL_ERROR.
    Reset,
    /// A response of this status.
    Status(&'static str),
    /// GOAWAY with PROTOCOL_ERROR: what cannot be a header block is taken for a broken peer.
    Ended,
}
use Outcome::{Ended, Reset, Status};

async fn outcome(connection: &mut FrameConnection, stream: u32) -> String {
    let wanted = |frame: &Frame| frame.stream == stream || frame.kind == FrameKind::GoAway;
    let Ok(frame) = connection.next_where(wanted).await else {
        return "the connection ended".to_owned();
    };
    match frame.kind {
        FrameKind::RstStream => format!("reset {}", frame.error_code().unwrap()),
        FrameKind::Headers => {
            let status = frame.field(":status").unwrap().to_owned();
            connection.rest_of(&frame).await.unwrap();
            format!("status {status}")
        }
        other => format!("{other:?} {:?}", frame.error_code()),
    }
}

impl Outcome {
    fn text(&self) -> String {
        match self {
            Reset => format!("reset {}", code::PROTOCOL_ERROR),
            Status(status) => format!("status {status}"),
            Ended => format!("GoAway {:?}", Some(code::PROTOCOL_ERROR)),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused_and_the_connection_goes_on() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let (mut stream, mut good, mut faults) = (1, 0, Vec::new());
    for (what, fields, expected) in malformed() {
        connection
            .send(Frame::headers(stream, &fields, true))
            .await
            .unwrap();
        let found = outcome(&mut connection, stream).await;
        if found != expected.text() {
            faults.push(format!("{what}: {found}, expected {}", expected.text()));
        }
        if expected == Ended || found != expected.text() {
            connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
            stream = 1;
            continue;
        }
        connection
            .send(Frame::request(stream + 2, "GET", "/good", &[], true))
            .await
            .unwrap();
        assert_eq!(
            outcome(&mut connection, stream + 2).await,
            "status 200",
            "after {what}"
        );
        stream += 4;
        good += 1;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(upstream.request_count(), good, "{:?}", upstream.requests());
    assert!(
        upstream
            .requests()
            .iter()
            .all(|request| request.head.target() == "/good")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_requests_that_are_right_pass() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let requests: Vec<Fields> = vec![
        vec![PATH, AUTHORITY, SCHEME, METHOD],
        vec![METHOD, SCHEME, PATH, ("host", "a.example")],
        with("host", "a.example"),
        with("te", "trailers"),
        with("content-length", "0"),
        with("empty", ""),
        with("a", "\u{e9}"),
        vec![METHOD, SCHEME, (":authority", "[::1]:8080"), PATH],
        vec![(":method", "BREW"), SCHEME, AUTHORITY, PATH],
        vec![METHOD, (":scheme", "https"), AUTHORITY, (":path", "/?")],
        // What came over which scheme is known from the connection; `h2` drops a fragment before anyone sees it.
        vec![METHOD, (":scheme", ""), AUTHORITY, (":path", "/a#b")],
        vec![METHOD, SCHEME, AUTHORITY, (":path", "/../../a")],
        vec![(":method", "OPTIONS"), SCHEME, AUTHORITY, (":path", "*")],
    ];
    for (index, fields) in requests.iter().enumerate() {
        let stream = 1 + 2 * index as u32;
        connection
            .send(Frame::headers(stream, fields, true))
            .await
            .unwrap();
        assert_eq!(outcome(&mut connection, stream).await, "status 200", "{fields:?}");
    }
    assert_eq!(upstream.request_count(), requests.len());
    assert_eq!(upstream.last_request().head.start_line, "OPTIONS * HTTP/1.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn split_cookies_reach_an_http1_upstream_as_one() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let request = Frame::request(
        1,
        "GET",
        "/",
        &[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")],
        true,
    );
    connection.send(request).await.unwrap();
    assert_eq!(outcome(&mut connection, 1).await, "status 200");
    let head = upstream.last_request().head;
    assert_eq!(
        head.all("cookie").collect::<Vec<_>>(),
        ["a=1; b=2"],
        "RFC 9113 section 8.2.3"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_belies_its_length_resets_the_stream() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    for (index, (length, data)) in [("3", "four"), ("5", "four"), ("0", "x")].into_iter().enumerate() {
        let stream = 1 + 2 * index as u32;
        let head = Frame::request(stream, "POST", "/", &[("content-length", length)], false);
        connection
            .send_all(&[head, Frame::data(stream, data, true)])
            .await
            .unwrap();
        assert_eq!(
            outcome(&mut connection, stream).await,
            "reset 1",
            "{length} for {data:?}"
        );
    }
    assert_eq!(
        upstream.request_count(),
        0,
        "none is whole: {:?}",
        upstream.requests()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_trailers_reset_the_stream() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let trailers: [(&str, Fields, bool); 3] = [
        ("connection", vec![("connection", "close")], true),
        ("te", vec![("te", "gzip")], true),
        ("without END_STREAM", vec![("a", "b")], false),
    ];
    for (index, (what, fields, end)) in trailers.into_iter().enumerate() {
        let stream = 1 + 2 * index as u32;
        let head = Frame::request(stream, "POST", "/", &[], false);
        let trailers = Frame::headers(stream, &fields, end);
        connection
            .send_all(&[head, Frame::data(stream, "x", false), trailers])
            .await
            .unwrap();
        assert_eq!(outcome(&mut connection, stream).await, "reset 1", "{what}");
    }
    assert_eq!(
        upstream.request_count(),
        0,
        "none is whole: {:?}",
        upstream.requests()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_list_beyond_the_limit_is_refused() {
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()]).http("request_headers_bytes_max: 8KiB");
    let proxy = Proxy::start(document).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let long = "x".repeat(10 * 1024);
    connection
        .send(Frame::request(1, "GET", "/", &[("long", &long)], true))
        .await
        .unwrap();
    assert_eq!(outcome(&mut connection, 1).await, "status 431");
    let fits = "x".repeat(7 * 1024);
    connection
        .send(Frame::request(3, "GET", "/", &[("long", &fits)], true))
        .await
        .unwrap();
    assert_eq!(outcome(&mut connection, 3).await, "status 200");
    assert_eq!(upstream.request_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_fields_than_allowed_are_refused() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()]).http("request_headers_count_max: 10")).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let names: Vec<String> = (0..11).map(|index| format!("x-{index}")).collect();
    let fields: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    connection
        .send(Frame::request(1, "GET", "/", &fields, true))
        .await
        .unwrap();
    assert_eq!(outcome(&mut connection, 1).await, "status 431");
    connection
        .send(Frame::request(3, "GET", "/", &fields[..10], true))
        .await
        .unwrap();
    assert_eq!(outcome(&mut connection, 3).await, "status 200");
    assert_eq!(upstream.request_count(), 1);
}

/// Frames that are wrong for the whole connection.
fn fatal() -> Vec<(&'static str, Vec<Frame>)> {
    let request = || Frame::request(1, "POST", "/", &[], false);
    let block = literal_block(&[METHOD, SCHEME, AUTHORITY, PATH]);
    let headers_open = Frame::new(FrameKind::Headers, 1, 1, block);
    vec![
        ("DATA on stream 0", vec![Frame::data(0, "x", false)]),
        ("DATA on an idle stream", vec![Frame::data(1, "x", true)]),
        (
            "HEADERS on stream 0",
            vec![Frame::request(0, "GET", "/", &[], true)],
        ),
        (
            "HEADERS on a server's stream",
            vec![Frame::request(2, "GET", "/", &[], true)],
        ),
        (
            "a stream below the last",
            vec![
                Frame::request(5, "GET", "/", &[], true),
                Frame::request(3, "GET", "/", &[], true),
            ],
        ),
        (
            "PING of seven bytes",
            vec![Frame::new(FrameKind::Ping, 0, 0, "seven..")],
        ),
        (
            "PING on a stream",
            vec![Frame::new(FrameKind::Ping, 0, 1, "12345678")],
        ),
        (
            "SETTINGS on a stream",
            vec![Frame::new(FrameKind::Settings, 0, 1, "")],
        ),
        (
            "SETTINGS of five bytes",
            vec![Frame::new(FrameKind::Settings, 0, 0, "12345")],
        ),
        (
            "SETTINGS that acknowledge with a payload",
            vec![Frame::new(FrameKind::Settings, 1, 0, "123456")],
        ),
        (
            "an initial window beyond 2^31",
            vec![Frame::settings(&[(4, 1 << 31)])],
        ),
        ("a frame size below 2^14", vec![Frame::settings(&[(5, 1)])]),
        ("RST_STREAM on an idle stream", vec![Frame::reset(1, 8)]),
        ("RST_STREAM on stream 0", vec![Frame::reset(0, 8)]),
        (
            "PUSH_PROMISE from a client",
            vec![request(), Frame::new(FrameKind::PushPromise, 4, 1, "\0\0\0\x02")],
        ),
        (
            "CONTINUATION without HEADERS",
            vec![Frame::continuation(1, "", true)],
        ),
        (
            "a frame inside a header block",
            vec![headers_open.clone(), Frame::ping(*b"12345678")],
        ),
        (
            "another stream's CONTINUATION",
            vec![headers_open, Frame::continuation(3, "", true)],
        ),
        (
            "a header block that is cut",
            vec![Frame::new(FrameKind::Headers, 5, 1, "\0\x05a")],
        ),
        (
            "padding longer than its frame",
            vec![request(), Frame::new(FrameKind::Data, 8, 1, "\x09abc")],
        ),
        (
            "a window update of the connection of 0",
            vec![Frame::window_update(0, 0)],
        ),
        (
            "a connection window beyond 2^31",
            vec![Frame::window_update(0, (1 << 31) - 1)],
        ),
        (
            "GOAWAY on a stream",
            vec![Frame::new(FrameKind::GoAway, 0, 1, "\0\0\0\0\0\0\0\0")],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_break_the_connection_end_it_and_are_counted() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut faults = Vec::new();
    for (what, frames) in fatal() {
        let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
        // It may be closed while the rest is on its way.
        let _ = connection.send_all(&frames).await;
        let answer = connection.read_to_end().await.unwrap();
        let code = answer
            .iter()
            .filter(|frame| frame.kind == FrameKind::GoAway)
            .find_map(Frame::error_code);
        if code.is_none_or(|code| code == code::NO_ERROR) {
            faults.push(format!("{what}: {code:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let ended = fatal().len() as f64;
    proxy
        .admin()
        .wait_for_metric("outrigger_listener_http2_connection_errors_total", ended)
        .await;
    proxy
        .admin()
        .wait_for_metric(
            "outrigger_listener_connections_closed_total{reason=\"protocol\"}",
            ended,
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn priorities_and_unknown_frames_change_nothing() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let mut prioritized = Frame::request(3, "GET", "/", &[], true);
    prioritized.payload = [b"\0\0\0\x01\x10", &prioritized.payload[..]].concat().into();
    prioritized.flags |= outrigger_fixtures::frames::flag::PRIORITY;
    let frames = [
        Frame::new(FrameKind::Priority, 0, 1, "\0\0\0\0\x10"),
        Frame::new(FrameKind::Unknown(0x55), 0xff, 0, "whatever"),
        Frame::settings(&[(0x5555, 7)]),
        prioritized,
        Frame::new(FrameKind::Priority, 0, 3, "\0\0\0\x01\x7f"),
        Frame::new(FrameKind::Unknown(0x56), 0, 3, ""),
    ];
    connection.send_all(&frames).await.unwrap();
    assert_eq!(outcome(&mut connection, 3).await, "status 200");
}
