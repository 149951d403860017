//! The downstream side: connections that carry requests, in either version of HTTP.

pub(crate) mod http1;
pub(crate) mod http2;

use crate::body::{BodyFrame, BodyLength};
use crate::connection::Accepted;
use crate::error::DownstreamError;
use crate::io::Stream;
use crate::timer::TimerSlot;
use bytes::{Bytes, BytesMut};
use outrigger_http1::{Fields, ResponseHead, Version};
use std::pin::Pin;
use std::task::{Context, Poll};

/// True if ALPN has not settled on HTTP/2.
pub(crate) fn is_http1(stream: &Stream) -> bool {
    stream.alpn() != Some(b"h2")
}

/// Serves a connection that speaks HTTP. `first`: what was read of it so far.
pub(crate) async fn serve_http(stream: Stream, first: BytesMut, accepted: Accepted) {
    match stream.alpn() {
        // Boxed here and where HTTP/1 finds out: the state of an HTTP/2 connection is several times that of an idle
        // HTTP/1 connection, and would be part of it.
        Some(b"h2") => Box::pin(http2::serve(stream, first.freeze(), accepted)).await,
        Some(_) => http1::serve(stream, first, accepted, false).await,
        // Without ALPN a client may speak HTTP/2 by prior knowledge: its first bytes tell.
        None => http1::serve(stream, first, accepted, true).await,
    }
}

/// Makes a future in its box. What is made first and boxed then is copied, all of it.
#[inline(always)]
pub(crate) fn in_box<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    let place = Box::new_uninit();
    Box::into_pin(Box::write(place, make()))
}

/// What a request asks of its connection or stream, but for the method CONNECT, which says so by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks<'d> {
    /// An answer and nothing more.
    Answer,
    /// HTTP/1: another protocol, one of those that `upgrade` names.
    Upgrade,
    /// HTTP/2: this protocol, by an extended CONNECT (RFC 8441).
    Extended(&'d str),
}

/// One request's side of a downstream connection: its body in, its response out. All calls are poll-style, because
/// both directions of a request are served by one task at the same time.
pub(crate) enum Downstream<'c> {
    Http1(&'c mut http1::Connection),
    Http2(&'c mut http2::ServerStream),
}

impl Downstream<'_> {
    /// The version that the client spoke.
    pub(crate) fn version(&self) -> Version {
        match self {
            Downstream::Http1(connection) => connection.request_version(),
            Downstream::Http2(_) => Version::Http2,
        }
    }

    /// What the request asks of its connection or stream.
    #[inline]
    pub(crate) fn asks(&self) -> Asks<'_> {
        match self {
            Downstream::Http1(connection) if connection.asks_upgrade() => Asks::Upgrade,
            Downstream::Http1(_) => Asks::Answer,
            Downstream::Http2(stream) => stream.protocol().map_or(Asks::Answer, Asks::Extended),
        }
    }

    /// True if bytes came behind the request that would have been a tunnel's and may be anything now.
    pub(crate) fn has_early_bytes(&self) -> bool {
        match self {
            Downstream::Http1(connection) => connection.has_early_bytes(),
            Downstream::Http2(_) => false,
        }
    }

    /// The next frame of the request's body.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyFrame, DownstreamError>> {
        match self {
            Downstream::Http1(connection) => connection.poll_body(cx),
            Downstream::Http2(stream) => stream.poll_body(cx),
        }
    }

    /// Reads a piece of the request's body to throw it away: its length, and whether it was the last. `None` if the
    /// body cannot be read to its end.
    pub(crate) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<Option<(usize, bool)>> {
        let frame = match self {
            Downstream::Http1(connection) if connection.owes_continue() => return Poll::Ready(None),
            Downstream::Http1(connection) => connection.poll_body(cx),
            // HTTP/2 has a better way: its stream is reset when it is dropped.
            Downstream::Http2(_) => return Poll::Ready(None),
        };
        frame.map(|frame| match frame.ok()? {
            BodyFrame::Data { bytes, end } => Some((bytes.len(), end)),
            BodyFrame::Trailers(_) | BodyFrame::End => Some((0, true)),
        })
    }

    /// Ready when the client is gone; asked only after the request's body has ended, since before that
    /// [`Downstream::poll_body`] tells.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<DownstreamError> {
        match self {
            Downstream::Http1(connection) => connection.poll_gone(cx),
            Downstream::Http2(stream) => stream.poll_gone(cx),
        }
    }

    /// Sends an interim response.
    pub(crate) fn send_informational(&mut self, head: &ResponseHead) {
        match self {
            Downstream::Http1(connection) => connection.send_informational(head),
            Downstream::Http2(stream) => stream.send_informational(head),
        }
    }

    /// Starts the response. `may_go_on`: the request was read to its end, so that an HTTP/1 connection may serve another.
    pub(crate) fn send_head(
        &mut self,
        head: &ResponseHead,
        length: BodyLength,
        may_go_on: bool,
    ) -> Result<(), DownstreamError> {
        match self {
            Downstream::Http1(connection) => {
                connection.send_head(head, length, may_go_on);
                Ok(())
            }
            Downstream::Http2(stream) => stream.send_head(head, length),
        }
    }

    /// Sends the head by which the client learns that its tunnel is there: nothing that follows is HTTP/1, or the
    /// stream's data is the tunnel's.
    pub(crate) fn send_tunnel_head(&mut self, head: &ResponseHead) -> Result<(), DownstreamError> {
        match self {
            Downstream::Http1(connection) => {
                connection.send_tunnel_head(head);
                Ok(())
            }
            Downstream::Http2(stream) => stream.send_head(head, BodyLength::Unknown),
        }
    }

    /// Ready when the next piece of the response's body may be sent.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DownstreamError>> {
        match self {
            Downstream::Http1(connection) => connection.poll_room(cx),
            Downstream::Http2(stream) => stream.poll_room(cx),
        }
    }

    /// Sends a piece of the response's body.
    pub(crate) fn send_data(&mut self, data: Bytes, end: bool) -> Result<(), DownstreamError> {
        match self {
            Downstream::Http1(connection) => connection.send_data(data, end),
            Downstream::Http2(stream) => stream.send_data(data, end),
        }
    }

    /// Ends the response, with trailers if there are any.
    pub(crate) fn finish(&mut self, trailers: Option<&Fields>) -> Result<(), DownstreamError> {
        match self {
            Downstream::Http1(connection) => connection.finish(trailers),
            Downstream::Http2(stream) => stream.finish(trailers),
        }
    }

    /// Ready when all that was sent has left (HTTP/1) or is the connection's to send (HTTP/2).
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DownstreamError>> {
        match self {
            Downstream::Http1(connection) => connection.poll_flush(cx),
            Downstream::Http2(stream) => stream.poll_room(cx),
        }
    }

    /// Ends an HTTP/2 response with these trailers, if all that came before them has left for the connection.
    pub(crate) fn end_early(&mut self, trailers: &Fields) -> bool {
        match self {
            Downstream::Http1(_) => false,
            Downstream::Http2(stream) => stream.end_early(trailers),
        }
    }

    /// Cuts the response off: its rest will not come, and the client must be able to tell.
    pub(crate) fn abort(&mut self) {
        match self {
            Downstream::Http1(connection) => connection.abort(),
            Downstream::Http2(stream) => stream.abort(),
        }
    }

    /// Breaks off as a network might: the connection is reset, or the stream.
    pub(crate) fn reset(&mut self) {
        match self {
            Downstream::Http1(connection) => connection.cut(),
            Downstream::Http2(stream) => stream.abort(),
        }
    }

    /// Cuts the response off because the request has lost its right: the connection is reset, or the stream.
    pub(crate) fn cut(&mut self) {
        match self {
            Downstream::Http1(connection) => connection.cut(),
            Downstream::Http2(stream) => stream.cut(),
        }
    }

    /// The timer that this request's deadlines share.
    pub(crate) fn timer(&mut self) -> &mut TimerSlot {
        match self {
            Downstream::Http1(connection) => connection.timer(),
            Downstream::Http2(stream) => stream.timer(),
        }
    }
}
