//! An HTTP/1 downstream connection: one task, one request after the other.

mod phases;

pub(crate) use phases::serve;

use crate::body::{BodyFrame, BodyLength};
use crate::error::DownstreamError;
use crate::incoming::{Incoming, ReadError};
use crate::io::Stream;
use crate::timer::TimerSlot;
use crate::tunnel::{Http1Side, Side};
use crate::worker::Worker;
use crate::writer::Writer;
use bytes::Bytes;
use outrigger_config::model::defaults::STREAM_BUFFER_BYTES_MAX;
use outrigger_http1::{
    BodyEncoder, Fields, Framing, HeadInfo, KnownName, Limits, Method, RequestDecoder, RequestHead,
    ResponseHead, Version, encode_response_head,
};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// What may still become of the connection after the response that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// Another request may come.
    Reuse,
    /// It is closed when the response has left.
    Close,
    /// It is cut.
    Abort,
}

/// The connection's state beside its policy.
pub(crate) struct Connection {
    io: Stream,
    incoming: Incoming<RequestDecoder>,
    writer: Writer,
    encoder: BodyEncoder,
    timer: TimerSlot,
    worker: Rc<Worker>,
    info: HeadInfo,
    version: Version,
    is_head: bool,
    /// The response has no body, whatever its head says.
    bodiless: bool,
    /// The response ends where the connection does.
    until_close: bool,
    /// A `100 Continue` is owed before the body is read.
    continue_owed: bool,
    /// The request's body has been read to its end.
    request_ended: bool,
    /// A response head was sent.
    answered: bool,
    after: After,
    /// The connection should end after this response, whatever the client asked for.
    last: bool,
}

/// Protocols whose clients say nothing before they have an answer (RFC 6455 section 4.1, RFC 7540 section 3.2).
const AWAITED: [&str; 2] = ["websocket", "h2c"];

/// True if no request can be told from what follows this one, should there be no tunnel.
///
/// A client that asks for a tunnel may speak in it before it has the answer, and what it says may look like a request:
/// another client's words, if it is a proxy. Bytes that are still under way cannot be seen, so that the answer, whoever
/// gives it, is the connection's last (RFC 9931). That is so for CONNECT, and for upgrades unless all that is offered is
/// known to wait: a WebSocket that is declined, or the `h2c` that some clients always offer, costs no connection.
#[inline]
fn is_last(info: &HeadInfo, head: &RequestHead) -> bool {
    head.method == Method::Connect || info.upgrade && !awaits_answer(head)
}

#[cold]
fn awaits_answer(head: &RequestHead) -> bool {
    let awaits = |offer: &[u8]| {
        let offer = offer.trim_ascii();
        offer.is_empty()
            || AWAITED
                .iter()
                .any(|name| offer.eq_ignore_ascii_case(name.as_bytes()))
    };
    let mut values = head.fields.get_all(KnownName::Upgrade);
    values.all(|value| value.split(|byte| *byte == b',').all(awaits))
}

impl Connection {
    fn new(io: Stream, worker: Rc<Worker>, limits: Limits) -> Connection {
        Connection {
            io,
            incoming: Incoming::new(RequestDecoder::new(limits), RequestHead::new()),
            writer: Writer::default(),
            encoder: BodyEncoder::new(Framing::None),
            timer: TimerSlot::default(),
            worker,
            info: HeadInfo {
                framing: Framing::None,
                keep_alive: false,
                expect_continue: false,
                upgrade: false,
                te_trailers: false,
            },
            version: Version::Http11,
            is_head: false,
            bodiless: false,
            until_close: false,
            continue_owed: false,
            request_ended: false,
            answered: false,
            after: After::Reuse,
            last: false,
        }
    }

    /// Starts the request whose head was just read.
    fn begin(&mut self, info: HeadInfo, head: &RequestHead, last: bool) {
        self.info = info;
        self.version = head.version;
        self.is_head = head.method == Method::Head;
        self.continue_owed = info.expect_continue;
        self.request_ended = false;
        self.answered = false;
        self.bodiless = false;
        self.until_close = false;
        self.after = After::Reuse;
        self.last = last || is_last(&info, head);
    }

    pub(crate) fn request_version(&self) -> Version {
        self.version
    }

    /// True if the request asks for another protocol, and could have it: what follows a head with a body would be read as
    /// that body by some and as the other protocol by others, so that such a request is served without.
    #[inline]
    pub(crate) fn asks_upgrade(&self) -> bool {
        self.info.upgrade && self.info.framing.is_empty()
    }

    /// True if bytes came behind the request.
    pub(crate) fn has_early_bytes(&self) -> bool {
        !self.incoming.buffer.is_empty()
    }

    /// What is left when HTTP is over: the stream, what was read of it, and what is still to be written.
    fn into_side(self) -> Side {
        Side::Http1(Box::new(Http1Side {
            io: self.io,
            incoming: self.incoming,
            writer: self.writer,
        }))
    }

    pub(crate) fn timer(&mut self) -> &mut TimerSlot {
        &mut self.timer
    }

    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyFrame, DownstreamError>> {
        if std::mem::take(&mut self.continue_owed) && self.incoming.buffer.is_empty() && !self.answered {
            self.writer
                .text()
                .extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        if !self.answered && !self.writer.is_empty() {
            // An interim response must not wait for anything: the client may wait for it.
            let _ = self.poll_flush(cx)?;
        }
        let frame = match ready!(self.incoming.poll_body(&mut self.io, &self.worker, cx)) {
            Ok(frame) => frame,
            Err(ReadError::Io(error)) => return Poll::Ready(Err(error.into())),
            Err(ReadError::Eof) => return Poll::Ready(Err(DownstreamError::Gone)),
            Err(ReadError::Refused(error)) => return Poll::Ready(Err(error.into())),
        };
        self.request_ended = frame.is_last();
        Poll::Ready(Ok(frame))
    }

    /// True while the client waits for `100 Continue`.
    pub(crate) fn owes_continue(&self) -> bool {
        self.continue_owed
    }

    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<DownstreamError> {
        match ready!(self.incoming.poll_closed(&mut self.io, &self.worker, cx)) {
            // A client that half-closes its request connection has gone.
            Ok(()) => Poll::Ready(DownstreamError::Gone),
            Err(error) => Poll::Ready(error.into()),
        }
    }

    pub(crate) fn send_informational(&mut self, head: &ResponseHead) {
        if self.version == Version::Http11 {
            encode_response_head(head, Framing::None, self.version, false, self.writer.text());
        }
    }

    pub(crate) fn send_head(&mut self, head: &ResponseHead, length: BodyLength, may_go_on: bool) {
        let framing = match length {
            // Whatever the upstream sends behind such a head, nothing may follow it here.
            _ if self.is_head || matches!(head.status, 204 | 304) => {
                self.bodiless = true;
                Framing::None
            }
            BodyLength::None => Framing::Length(0),
            BodyLength::Exact(length) => Framing::Length(length),
            BodyLength::Unknown => Framing::Chunked.for_peer(self.version),
        };
        let close = self.last || !self.info.keep_alive || !may_go_on || framing == Framing::UntilClose;
        if close {
            self.after = After::Close;
        }
        self.answered = true;
        self.continue_owed = false;
        self.writer.provide(&self.worker.spares);
        encode_response_head(head, framing, self.version, close, self.writer.text());
        self.encoder = BodyEncoder::new(framing);
        self.until_close = framing == Framing::UntilClose;
    }

    pub(crate) fn send_tunnel_head(&mut self, head: &ResponseHead) {
        self.answered = true;
        self.continue_owed = false;
        self.writer.provide(&self.worker.spares);
        encode_response_head(head, Framing::None, self.version, false, self.writer.text());
    }

    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DownstreamError>> {
        if !self.writer.has_room(STREAM_BUFFER_BYTES_MAX) {
            ready!(self.poll_flush(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn send_data(&mut self, data: Bytes, end: bool) -> Result<(), DownstreamError> {
        if !data.is_empty() && !self.bodiless {
            self.encoder
                .begin(data.len(), self.writer.text())
                .map_err(std::io::Error::other)?;
            let length = data.len();
            self.writer.push_data(data);
            self.encoder.end(length, self.writer.text());
        }
        if end { self.finish(None) } else { Ok(()) }
    }

    pub(crate) fn finish(&mut self, trailers: Option<&Fields>) -> Result<(), DownstreamError> {
        self.encoder
            .finish(trailers, self.writer.text())
            .map_err(std::io::Error::other)?;
        Ok(())
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DownstreamError>> {
        self.writer
            .poll_flush(&mut self.io, cx)
            .map_err(DownstreamError::from)
    }

    /// The connection is reset: what was sent and is still here does not leave any more.
    pub(crate) fn cut(&mut self) {
        self.after = After::Abort;
        // Fails only for a socket that is gone.
        let _ = socket2::SockRef::from(self.io.tcp()).set_linger(Some(std::time::Duration::ZERO));
    }

    /// The connection is closed without the response's end, and so the client knows that it did not come.
    pub(crate) fn abort(&mut self) {
        self.after = After::Abort;
        if let (true, Stream::Plain(tcp)) = (self.until_close, &self.io) {
            // An orderly close would say that the response is whole: this one is a reset.
            let _ = socket2::SockRef::from(tcp).set_linger(Some(std::time::Duration::ZERO));
        }
    }
}
