//! What both sides of HTTP/2 share: sending and receiving bodies under flow control, and the connection's driver.

use crate::body::BodyFrame;
use crate::gather::Gather;
use crate::head::{fill_fields, header_map};
use crate::io::Stream;
use crate::timer::TimerSlot;
use bytes::Bytes;
use outrigger_config::model::Http2Options;
use outrigger_http1::Fields;
use std::io;
use std::task::{Context, Poll, ready};
use tokio::time::Instant;

/// The sending half of a stream: at most one piece of data waits for the peer's window.
pub(crate) struct Http2Sender {
    stream: h2::SendStream<Bytes>,
    waiting: Bytes,
    end_after: bool,
    trailers_after: Option<http::HeaderMap>,
}

impl Http2Sender {
    pub(crate) fn new(stream: h2::SendStream<Bytes>) -> Http2Sender {
        Http2Sender {
            stream,
            waiting: Bytes::new(),
            end_after: false,
            trailers_after: None,
        }
    }

    /// Ready when the next piece may be sent: none is waiting.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        while !self.waiting.is_empty() {
            self.stream.reserve_capacity(self.waiting.len());
            match ready!(self.stream.poll_capacity(cx)) {
                Some(capacity) => self.send_up_to(capacity?)?,
                // The stream takes no more data: the peer reset it.
                None => {
                    let reason = ready!(self.stream.poll_reset(cx))?;
                    return Poll::Ready(Err(reason.into()));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Bytes of data that wait for the peer's window.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting.len()
    }

    /// True while data waits for the peer's window.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Sends data, or keeps it until the window allows. The caller asked [`Http2Sender::poll_room`] before.
    pub(crate) fn send_data(&mut self, data: Bytes, end: bool) -> Result<(), h2::Error> {
        self.end_after |= end;
        if data.is_empty() {
            return if end { self.finish() } else { Ok(()) };
        }
        self.stream.reserve_capacity(data.len());
        self.waiting = data;
        let capacity = self.stream.capacity();
        self.send_up_to(capacity)
    }

    /// Ends the stream after what waits.
    pub(crate) fn finish(&mut self) -> Result<(), h2::Error> {
        self.end_after = true;
        if self.waiting.is_empty() {
            self.stream.send_data(Bytes::new(), true)
        } else {
            Ok(())
        }
    }

    /// Ends the stream with trailers after what waits.
    pub(crate) fn send_trailers(&mut self, trailers: &Fields) -> Result<(), h2::Error> {
        let trailers = header_map(trailers);
        if self.waiting.is_empty() {
            return self.stream.send_trailers(trailers);
        }
        self.trailers_after = Some(trailers);
        Ok(())
    }

    /// Resets the stream.
    pub(crate) fn reset(&mut self, reason: h2::Reason) {
        self.stream.send_reset(reason);
    }

    /// Ready when the peer reset the stream.
    pub(crate) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<Result<h2::Reason, h2::Error>> {
        self.stream.poll_reset(cx)
    }

    fn send_up_to(&mut self, capacity: usize) -> Result<(), h2::Error> {
        if capacity == 0 {
            return Ok(());
        }
        let piece = self.waiting.split_to(capacity.min(self.waiting.len()));
        let last = self.waiting.is_empty();
        let trailers = if last { self.trailers_after.take() } else { None };
        self.stream
            .send_data(piece, last && self.end_after && trailers.is_none())?;
        match trailers {
            Some(trailers) => self.stream.send_trailers(trailers),
            None => Ok(()),
        }
    }
}

/// The receiving half of a stream. Window is given back as data is taken, and data is taken only when the other side
/// has room.
pub(crate) struct Http2Receiver {
    stream: h2::RecvStream,
    data_ended: bool,
}

impl Http2Receiver {
    pub(crate) fn new(stream: h2::RecvStream) -> Http2Receiver {
        Http2Receiver {
            stream,
            data_ended: false,
        }
    }

    /// True if the body is known to hold nothing more.
    pub(crate) fn is_end(&self) -> bool {
        self.stream.is_end_stream()
    }

    /// The next frame.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyFrame, h2::Error>> {
        if !self.data_ended {
            match ready!(self.stream.poll_data(cx)) {
                Some(bytes) => {
                    let bytes = bytes?;
                    // Fails only for more than was received.
                    let _ = self.stream.flow_control().release_capacity(bytes.len());
                    let end = self.stream.is_end_stream();
                    return Poll::Ready(Ok(BodyFrame::Data { bytes, end }));
                }
                None => self.data_ended = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(cx))?;
        Poll::Ready(Ok(match trailers {
            Some(headers) => {
                let mut fields = Fields::new();
                fill_fields(&headers, &mut fields);
                BodyFrame::Trailers(Box::new(fields))
            }
            None => BodyFrame::End,
        }))
    }
}

/// PINGs on a connection that may be dead.
pub(crate) struct Keepalive {
    ping_pong: h2::PingPong,
    interval: std::time::Duration,
    timeout: std::time::Duration,
    timer: TimerSlot,
    next: Instant,
    waiting: bool,
}

impl Keepalive {
    /// A keepalive, if the options ask for one.
    pub(crate) fn new(options: &Http2Options, ping_pong: Option<h2::PingPong>) -> Option<Keepalive> {
        let interval = options.keepalive_interval()?;
        Some(Keepalive {
            ping_pong: ping_pong?,
            interval,
            timeout: options.keepalive_timeout(),
            timer: TimerSlot::default(),
            next: Instant::now() + interval,
            waiting: false,
        })
    }

    /// Ready when the peer did not answer in time.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.waiting && self.ping_pong.poll_pong(cx).is_ready() {
                self.waiting = false;
                self.next = Instant::now() + self.interval;
            }
            ready!(self.timer.poll_until(cx, Some(self.next)));
            if self.waiting {
                return Poll::Ready(());
            }
            if self.ping_pong.send_ping(h2::Ping::opaque()).is_err() {
                // One is under way already, or the connection is closing: its own poll will tell.
                return Poll::Pending;
            }
            self.waiting = true;
            self.next = Instant::now() + self.timeout;
        }
    }
}

/// After a connection was polled: writes what its streams put out. An error of the socket ends the connection, once
/// `h2` sees it at its next read.
pub(crate) fn flush(gather: &Gather<Stream>, cx: &mut Context<'_>) -> io::Result<()> {
    match gather.poll_gathered(cx) {
        Poll::Ready(result) => result,
        Poll::Pending => Ok(()),
    }
}
