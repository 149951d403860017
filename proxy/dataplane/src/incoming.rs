//! The incoming side of an HTTP/1 connection: bytes read from the socket, handed to the decoder, and body frames out.
//!
//! Heads are read into a buffer that all connections of a worker share, and only what is left over is kept: a
//! connection without bytes holds no buffer.

use crate::body::BodyFrame;
use crate::io::Stream;
use crate::spares::Spares;
use crate::worker::Worker;
use bytes::{Buf, Bytes, BytesMut};
use outrigger_http1::{
    Decoded, Event, Fields, RequestDecoder, RequestError, RequestHead, ResponseDecoder, ResponseError,
    ResponseHead,
};
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// One read of a body takes at most this much: large enough that the system call's cost is spread over it.
const BODY_READ_BYTES: usize = 64 * 1024;

/// A read of at least this much says that more will come soon.
const FLOWING_BYTES: usize = 16 * 1024;

/// A decoder of either side.
pub(crate) trait Decoder {
    /// The head that it fills.
    type Head;
    /// Where that is, from the first byte of a head on.
    type Place;
    /// What it refuses with.
    type Error;
    fn decode(&mut self, input: &[u8], head: &mut Self::Head) -> Result<Decoded, Self::Error>;
    /// Takes the message's end, if that is next.
    fn take_end(&mut self) -> bool;
    fn trailers(&self) -> &Fields;
    /// The head at its place.
    fn head<'p>(place: &'p mut Self::Place, spares: &Spares) -> &'p mut Self::Head;
}

impl Decoder for RequestDecoder {
    type Head = RequestHead;
    type Place = Option<Box<RequestHead>>;
    type Error = RequestError;
    fn decode(&mut self, input: &[u8], head: &mut RequestHead) -> Result<Decoded, RequestError> {
        RequestDecoder::decode(self, input, head)
    }
    fn take_end(&mut self) -> bool {
        RequestDecoder::take_end(self)
    }
    fn trailers(&self) -> &Fields {
        RequestDecoder::trailers(self)
    }
    /// Takes what another request has left, when bytes of one are there.
    fn head<'p>(place: &'p mut Option<Box<RequestHead>>, spares: &Spares) -> &'p mut RequestHead {
        place.get_or_insert_with(|| spares.request())
    }
}

impl Decoder for ResponseDecoder {
    type Head = ResponseHead;
    type Place = ResponseHead;
    type Error = ResponseError;
    fn decode(&mut self, input: &[u8], head: &mut ResponseHead) -> Result<Decoded, ResponseError> {
        ResponseDecoder::decode(self, input, head)
    }
    fn take_end(&mut self) -> bool {
        ResponseDecoder::take_end(self)
    }
    fn trailers(&self) -> &Fields {
        ResponseDecoder::trailers(self)
    }
    /// The exchange brings one that has memory.
    fn head<'p>(place: &'p mut ResponseHead, _: &Spares) -> &'p mut ResponseHead {
        place
    }
}

/// Why no event came.
#[derive(Debug)]
pub(crate) enum ReadError<E> {
    /// The socket failed.
    Io(io::Error),
    /// The peer closed its side.
    Eof,
    /// What came is refused.
    Refused(E),
}

/// Bytes that were read and not yet decoded, and their decoder.
pub(crate) struct Incoming<D: Decoder> {
    pub(crate) decoder: D,
    pub(crate) buffer: BytesMut,
    /// What the decoder is given while it reads bodies, and does not touch.
    no_head: D::Head,
    stashed: Option<BodyFrame>,
    bytes_read: u64,
    /// The last read was a large one.
    flowing: bool,
}

impl<D: Decoder> Incoming<D> {
    pub(crate) fn new(decoder: D, no_head: D::Head) -> Incoming<D> {
        Incoming {
            decoder,
            buffer: BytesMut::new(),
            no_head,
            stashed: None,
            bytes_read: 0,
            flowing: false,
        }
    }

    /// True if bytes were read since they were last taken count of.
    pub(crate) fn has_read(&self) -> bool {
        self.bytes_read > 0
    }

    /// Counts bytes that were read by somebody else and put into the buffer.
    pub(crate) fn count_read(&mut self, bytes: usize) {
        self.bytes_read += bytes as u64;
    }

    /// Bytes read since this was last asked.
    pub(crate) fn take_bytes_read(&mut self) -> u64 {
        std::mem::take(&mut self.bytes_read)
    }

    /// The next event of a head, which goes to `place`: [`Event::Head`] or [`Event::Informational`]. Until one comes,
    /// every call must bring the same.
    #[inline(always)]
    pub(crate) fn poll_head(
        &mut self,
        place: &mut D::Place,
        io: &mut Stream,
        worker: &Worker,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Event, ReadError<D::Error>>> {
        loop {
            if !self.buffer.is_empty() {
                let head = D::head(place, &worker.spares);
                let decoded = self
                    .decoder
                    .decode(&self.buffer, head)
                    .map_err(ReadError::Refused)?;
                self.buffer.advance(decoded.consumed);
                if !matches!(decoded.event, Event::NeedMore) {
                    return Poll::Ready(Ok(decoded.event));
                }
            }
            let scratch = &mut *worker.scratch.borrow_mut();
            let mut read = ReadBuf::new(scratch);
            ready!(Pin::new(&mut *io).poll_read(cx, &mut read)).map_err(ReadError::Io)?;
            let filled = read.filled();
            if filled.is_empty() {
                return Poll::Ready(Err(ReadError::Eof));
            }
            self.bytes_read += filled.len() as u64;
            if self.buffer.is_empty() {
                // The usual case: the whole head in one read, decoded where it lies.
                let head = D::head(place, &worker.spares);
                let decoded = self.decoder.decode(filled, head).map_err(ReadError::Refused)?;
                self.buffer.extend_from_slice(&filled[decoded.consumed..]);
                if !matches!(decoded.event, Event::NeedMore) {
                    return Poll::Ready(Ok(decoded.event));
                }
            } else {
                self.buffer.extend_from_slice(filled);
            }
        }
    }

    /// The next frame of the body.
    #[inline(always)]
    pub(crate) fn poll_body(
        &mut self,
        io: &mut Stream,
        worker: &Worker,
        cx: &mut Context<'_>,
    ) -> Poll<Result<BodyFrame, ReadError<D::Error>>> {
        if let Some(frame) = self.stashed.take() {
            return Poll::Ready(Ok(frame));
        }
        loop {
            match self.decode_body().map_err(ReadError::Refused)? {
                Some(BodyFrame::Data { bytes, .. }) => {
                    // Whether this was the last piece is often known already, and saves the writer a frame.
                    if self.decoder.take_end() {
                        return Poll::Ready(Ok(BodyFrame::Data { bytes, end: true }));
                    }
                    let end = match self.decode_body().map_err(ReadError::Refused)? {
                        Some(BodyFrame::End) => true,
                        next => {
                            self.stashed = next;
                            false
                        }
                    };
                    return Poll::Ready(Ok(BodyFrame::Data { bytes, end }));
                }
                Some(frame) => return Poll::Ready(Ok(frame)),
                None => {}
            }
            let read = ready!(if self.flowing {
                self.poll_fill(io, cx)
            } else {
                self.poll_drip(io, worker, cx)
            })
            .map_err(ReadError::Io)?;
            self.bytes_read += read as u64;
            self.flowing = read >= FLOWING_BYTES;
            if read == 0 {
                return Poll::Ready(Err(ReadError::Eof));
            }
        }
    }

    /// The next bytes as they are, for a connection that has become a tunnel; `None`: the peer closed its side. No buffer
    /// is held while nothing comes.
    pub(crate) fn poll_bytes(
        &mut self,
        io: &mut Stream,
        worker: &Worker,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Bytes>>> {
        if self.buffer.is_empty() {
            let read = ready!(if self.flowing {
                self.poll_fill(io, cx)
            } else {
                self.poll_drip(io, worker, cx)
            })?;
            self.bytes_read += read as u64;
            self.flowing = read >= FLOWING_BYTES;
            if read == 0 {
                self.release();
                return Poll::Ready(Ok(None));
            }
        }
        Poll::Ready(Ok(Some(std::mem::take(&mut self.buffer).freeze())))
    }

    /// Reads into a buffer of its own, for bodies that flow: nothing is copied. While nothing comes, none is held.
    fn poll_fill(&mut self, io: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.buffer.reserve(BODY_READ_BYTES);
        let read = pin!(io.read_buf(&mut self.buffer)).poll(cx);
        if read.is_pending() {
            self.flowing = false;
            self.release();
        }
        read
    }

    /// Reads through the worker's buffer, for bodies that come in small pieces or slowly.
    fn poll_drip(
        &mut self,
        io: &mut Stream,
        worker: &Worker,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let scratch = &mut *worker.scratch.borrow_mut();
        let mut read = ReadBuf::new(scratch);
        ready!(Pin::new(io).poll_read(cx, &mut read))?;
        self.buffer.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    }

    fn decode_body(&mut self) -> Result<Option<BodyFrame>, D::Error> {
        loop {
            let decoded = self.decoder.decode(&self.buffer, &mut self.no_head)?;
            match decoded.event {
                Event::Data(range) => {
                    let bytes = self.take_data(range, decoded.consumed);
                    return Ok(Some(BodyFrame::Data { bytes, end: false }));
                }
                Event::Trailers => {
                    let trailers = Box::new(self.decoder.trailers().clone());
                    self.buffer.advance(decoded.consumed);
                    // The message's end takes no more bytes; without it, the next message could not begin.
                    let end = self.decoder.decode(&self.buffer, &mut self.no_head)?;
                    debug_assert_eq!(
                        (end.consumed, end.event),
                        (0, Event::End),
                        "trailers are the last of a message"
                    );
                    return Ok(Some(BodyFrame::Trailers(trailers)));
                }
                Event::End => {
                    self.buffer.advance(decoded.consumed);
                    return Ok(Some(BodyFrame::End));
                }
                Event::NeedMore => {
                    self.buffer.advance(decoded.consumed);
                    return Ok(None);
                }
                // A head cannot come before the body's end.
                Event::Head(_) | Event::Informational => self.buffer.advance(decoded.consumed),
            }
        }
    }

    fn take_data(&mut self, range: std::ops::Range<usize>, consumed: usize) -> Bytes {
        if range == (0..self.buffer.len()) {
            // The whole buffer goes: cheaper than sharing it.
            return std::mem::take(&mut self.buffer).freeze();
        }
        self.buffer.advance(range.start);
        let bytes = self.buffer.split_to(range.len()).freeze();
        self.buffer.advance(consumed - range.end);
        bytes
    }

    /// Takes the end of a body that has no bytes off the decoder, so that the next message can begin.
    pub(crate) fn finish_empty_body(&mut self) {
        let ended = self.decoder.take_end();
        debug_assert!(ended, "an empty body ends at once");
    }

    /// Reads ahead while no message is read, to notice the peer's close. Ready when it closed or failed; bytes that
    /// come instead are kept, and as long as there are any no more is read.
    pub(crate) fn poll_closed(
        &mut self,
        io: &mut Stream,
        worker: &Worker,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.buffer.is_empty() {
            let scratch = &mut *worker.scratch.borrow_mut();
            let mut read = ReadBuf::new(scratch);
            ready!(Pin::new(&mut *io).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.bytes_read += read.filled().len() as u64;
            self.buffer.extend_from_slice(read.filled());
        }
        Poll::Pending
    }

    /// As [`Incoming::poll_closed`], of a connection that nobody waits for: without being woken, and cheaper.
    pub(crate) fn closed_now(&mut self, io: &mut Stream, worker: &Worker) -> Poll<io::Result<()>> {
        if !self.buffer.is_empty() {
            return Poll::Pending;
        }
        let scratch = &mut *worker.scratch.borrow_mut();
        let read = ready!(io.read_now(scratch))?;
        if read == 0 {
            return Poll::Ready(Ok(()));
        }
        self.bytes_read += read as u64;
        self.buffer.extend_from_slice(&scratch[..read]);
        Poll::Pending
    }

    /// Gives the buffer back if nothing is in it.
    pub(crate) fn release(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }
}
