//! An upstream of HTTP/2, frame by frame.

use super::*;
use outrigger_fixtures::frames::{Frame, FrameConnection, FrameKind, FrameServer, code};

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// RST_STREAM with REFUSED_STREAM.
    Refuse,
    /// GOAWAY whose last stream is below this one.
    GoAwayBelow,
    /// GOAWAY with the highest id, then one whose last stream is below this one: the graceful order.
    GoAwayTwice,
    /// GOAWAY whose last stream is this one; then the connection ends.
    GoAwayThenClose,
    /// The answer's head, then GOAWAY whose last stream is below: the stream is answered all the same, or cut.
    HeadThenGoAwayBelow,
    /// RST_STREAM with INTERNAL_ERROR, before the body was read.
    Reset,
    /// The same when the request was read whole.
    ResetAfter,
    /// The answer's head, then RST_STREAM.
    HeadThenReset,
    /// The answer's head, then RST_STREAM with REFUSED_STREAM, which says nothing any more.
    HeadThenRefuse,
    /// The connection ends in order.
    Close,
    /// The connection is reset.
    CloseHard,
    /// 503.
    Status503,
    /// gRPC's UNAVAILABLE, in a head that is all of the answer.
    Unavailable,
    /// The same in trailers that come with the head.
    UnavailableInTrailers,
    /// 503 of a proxy that is overloaded.
    Overloaded,
    /// Nothing.
    Silence,
}
use Deed::*;

const DEEDS: [(Deed, Says); 15] = [
    (Refuse, Says::NeverRan),
    (GoAwayBelow, Says::NeverRan),
    (GoAwayTwice, Says::NeverRan),
    (GoAwayThenClose, Says::Died),
    (HeadThenGoAwayBelow, Says::Begun),
    (Reset, Says::MayHaveRun),
    (ResetAfter, Says::MayHaveRun),
    (HeadThenReset, Says::Begun),
    (HeadThenRefuse, Says::Begun),
    (Close, Says::Died),
    (CloseHard, Says::Died),
    (Status503, Says::MayHaveRun),
    (Unavailable, Says::MayHaveRun),
    (UnavailableInTrailers, Says::MayHaveRun),
    (Overloaded, Says::Refused),
];

async fn serve(mut connection: FrameConnection, deed: Deed, effects: Effects) -> anyhow::Result<()> {
    connection.greet(&[]).await?;
    while let Some(frame) = connection.next().await? {
        if frame.kind != FrameKind::Headers {
            continue;
        }
        let id = frame.field("x-id").unwrap_or_default().to_owned();
        let stream = frame.stream;
        let fails = effects.came(&id);
        let has_effect = !matches!(deed, Refuse | GoAwayBelow | GoAwayTwice | Overloaded);
        if !fails || has_effect {
            effects.ran(&id);
        }
        if !fails {
            connection.rest_of(&frame).await?;
            connection
                .send_all(&[
                    Frame::response(stream, "200", false),
                    Frame::data(stream, "ok", true),
                ])
                .await?;
            continue;
        }
        let head = Frame::response(stream, "200", false);
        let below = Frame::go_away(stream.saturating_sub(2), code::NO_ERROR);
        let grpc = [("grpc-status", "14")];
        let frames = match deed {
            Silence => continue,
            Close => return Ok(()),
            CloseHard => {
                connection.reset();
                return Ok(());
            }
            GoAwayThenClose => {
                connection.send(Frame::go_away(stream, code::NO_ERROR)).await?;
                return Ok(());
            }
            ResetAfter => {
                connection.rest_of(&frame).await?;
                vec![Frame::reset(stream, code::INTERNAL_ERROR)]
            }
            Refuse => vec![Frame::reset(stream, code::REFUSED_STREAM)],
            Reset => vec![Frame::reset(stream, code::INTERNAL_ERROR)],
            GoAwayBelow => vec![below],
            GoAwayTwice => vec![Frame::go_away(0x7fff_ffff, code::NO_ERROR), below],
            HeadThenGoAwayBelow => vec![head, below],
            HeadThenReset => vec![head, Frame::reset(stream, code::INTERNAL_ERROR)],
            HeadThenRefuse => vec![head, Frame::reset(stream, code::REFUSED_STREAM)],
            Status503 => vec![Frame::response(stream, "503", true)],
            Unavailable => vec![Frame::headers(
                stream,
                &[(":status", "200"), ("content-type", "application/grpc"), grpc[0]],
                true,
            )],
            UnavailableInTrailers => vec![head, Frame::headers(stream, &grpc, true)],
            Overloaded => {
                let fields = [(":status", "503"), ("x-envoy-overloaded", "true")];
                vec![Frame::headers(stream, &fields, true)]
            }
        };
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        // In one piece: what belongs together comes together.
        connection.send_raw(&bytes).await?;
        if deed == HeadThenGoAwayBelow {
            return Ok(());
        }
    }
    Ok(())
}

async fn case(deed: Deed, says: Says, timeouts: Timeouts, reused: bool) -> Vec<String> {
    let effects = Effects::default();
    let book = effects.clone();
    let upstream = FrameServer::start(move |connection, _| serve(connection, deed, book.clone()))
        .await
        .unwrap();
    let proxy = proxy(upstream.address(), "protocol: http2", timeouts, reused).await;
    judge(&format!("{deed:?}, {timeouts:?}"), says, &proxy, &effects, reused).await
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http2_what_may_have_run_and_is_not_idempotent_runs_once() {
    let mut faults = Vec::new();
    for (deed, says) in DEEDS {
        for reused in [false, true] {
            faults.extend(case(deed, says, Timeouts::No, reused).await);
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http2_a_request_whose_time_is_up_runs_once() {
    let faults = case(Silence, Says::TimeUp, Timeouts::Route, false).await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
