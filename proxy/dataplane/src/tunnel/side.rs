//! One side of a tunnel: an HTTP/1 connection that carries HTTP no more, or a stream of HTTP/2.

use crate::body::BodyFrame;
use crate::http2::{Http2Receiver, Http2Sender};
use crate::incoming::{Decoder, Incoming};
use crate::io::Stream;
use crate::relay::Ending;
use crate::tunnel::watch::Watch;
use crate::upstream::{http1, http2};
use crate::worker::Worker;
use crate::writer::Writer;
use bytes::Bytes;
use outrigger_config::model::defaults::STREAM_BUFFER_BYTES_MAX;
use outrigger_http1::RequestDecoder;
use socket2::SockRef;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::AsyncWrite;

/// Why a side can go on no longer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SideError {
    /// Reading or writing the connection failed; a reset among others.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The stream was reset, or its connection died.
    #[error("{0}")]
    Http2(#[from] h2::Error),
}

/// What a read came to.
pub(super) enum Read {
    Bytes(Bytes),
    End(Ending),
}

/// One side of a tunnel. Dropping it closes its connection or resets its stream.
pub(crate) enum Side {
    /// A downstream HTTP/1 connection.
    Http1(Box<Http1Side>),
    /// An HTTP/1 connection to an endpoint, which no pool gets back.
    Upstream(Box<http1::Connection>),
    /// A stream, of either side.
    Http2(Box<Http2Side>),
}

/// A downstream HTTP/1 connection: what was read and not decoded is its first bytes.
pub(crate) struct Http1Side {
    pub(crate) io: Stream,
    pub(crate) incoming: Incoming<RequestDecoder>,
    pub(crate) writer: Writer,
}

/// The halves of a stream.
pub(crate) struct Http2Side {
    pub(crate) receiver: Http2Receiver,
    pub(crate) sender: Http2Sender,
    pub(crate) finished: bool,
    /// Last, so that the stream's handles are dropped before its place on the connection is free.
    pub(crate) _guard: Option<http2::StreamGuard>,
}

impl Side {
    /// The next bytes, or the end of its direction.
    pub(super) fn poll_read(
        &mut self,
        worker: &Worker,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Read, SideError>> {
        match self {
            Side::Http1(side) => side.raw().poll_read(worker, cx).map_err(SideError::from),
            Side::Upstream(connection) => connection.raw().poll_read(worker, cx).map_err(SideError::from),
            Side::Http2(stream) => Poll::Ready(Ok(match ready!(stream.receiver.poll_body(cx))? {
                BodyFrame::Data { bytes, .. } => Read::Bytes(bytes),
                // Trailers say nothing in a tunnel.
                BodyFrame::Trailers(_) | BodyFrame::End => Read::End(Ending::Whole),
            })),
        }
    }

    /// Ready when more bytes may be sent.
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SideError>> {
        match self {
            Side::Http1(side) => side.raw().poll_room(cx).map_err(SideError::from),
            Side::Upstream(connection) => connection.raw().poll_room(cx).map_err(SideError::from),
            Side::Http2(stream) => stream.sender.poll_room(cx).map_err(SideError::from),
        }
    }

    /// Sends bytes. The caller asked [`Side::poll_room`] before.
    pub(super) fn send(&mut self, bytes: Bytes, worker: &Worker) -> Result<(), SideError> {
        match self {
            Side::Http1(side) => side.raw().send(bytes, worker),
            Side::Upstream(connection) => connection.raw().send(bytes, worker),
            Side::Http2(stream) => stream.sender.send_data(bytes, false)?,
        }
        Ok(())
    }

    /// Ready when what was sent has left (HTTP/1) or is the connection's to send (HTTP/2). No buffer is held then.
    pub(super) fn poll_flush(
        &mut self,
        worker: &Worker,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SideError>> {
        match self {
            Side::Http1(side) => side.raw().poll_flush(worker, cx).map_err(SideError::from),
            Side::Upstream(connection) => connection.raw().poll_flush(worker, cx).map_err(SideError::from),
            Side::Http2(stream) => stream.sender.poll_room(cx).map_err(SideError::from),
        }
    }

    /// Ends the direction to this side as its source ended it: FIN, or END_STREAM, which has no way to say more. Ready
    /// when that has left.
    pub(super) fn poll_finish(
        &mut self,
        ending: Ending,
        worker: &Worker,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SideError>> {
        match self {
            Side::Http1(side) => side
                .raw()
                .poll_finish(ending, worker, cx)
                .map_err(SideError::from),
            Side::Upstream(connection) => connection
                .raw()
                .poll_finish(ending, worker, cx)
                .map_err(SideError::from),
            Side::Http2(stream) => {
                if !std::mem::replace(&mut stream.finished, true) {
                    stream.sender.finish()?;
                }
                stream.sender.poll_room(cx).map_err(SideError::from)
            }
        }
    }

    /// Ready when the peer has reset the stream or connection; asked while it is not read from, since reading tells too.
    /// TLS can only be asked by reading.
    pub(super) fn poll_reset(&mut self, watch: &mut Watch, cx: &mut Context<'_>) -> Poll<SideError> {
        let io = match self {
            Side::Http1(side) => &side.io,
            Side::Upstream(connection) => connection.io(),
            Side::Http2(stream) => {
                return stream.sender.poll_reset(cx).map(|reset| match reset {
                    Ok(reason) => SideError::Http2(reason.into()),
                    Err(error) => SideError::Http2(error),
                });
            }
        };
        match io {
            Stream::Plain(tcp) => watch.poll_failed(tcp, cx).map(SideError::Io),
            _ => Poll::Pending,
        }
    }

    /// True if what was sent leaves only when another task has had its turn.
    pub(super) fn has_driver(&self) -> bool {
        matches!(self, Side::Http2(_))
    }

    /// Bytes that were sent to it and that neither the kernel nor its connection has taken.
    pub(super) fn unsent_bytes(&self) -> usize {
        match self {
            Side::Http1(side) => side.writer.unwritten_bytes(),
            Side::Upstream(connection) => connection.unwritten_bytes(),
            Side::Http2(stream) => stream.sender.waiting_bytes(),
        }
    }

    /// Tells the peer that the tunnel did not end in order: RST, or RST_STREAM.
    pub(crate) fn reset(&mut self, reason: h2::Reason) {
        let io = match self {
            Side::Http1(side) => &side.io,
            Side::Upstream(connection) => connection.io(),
            Side::Http2(stream) => return stream.sender.reset(reason),
        };
        // Fails only for a socket that is gone, and then there is nobody to tell.
        let _ = SockRef::from(io.tcp()).set_linger(Some(Duration::ZERO));
    }

    /// Bytes read and written since this was last asked, where nobody else counts them.
    pub(super) fn take_counts(&mut self) -> (u64, u64) {
        match self {
            Side::Http1(side) => {
                let counts = (side.incoming.take_bytes_read(), side.writer.bytes_written());
                side.writer.start_counting();
                counts
            }
            Side::Upstream(connection) => {
                connection.count_bytes();
                (0, 0)
            }
            // The driver of its connection counts.
            Side::Http2(_) => (0, 0),
        }
    }
}

impl Http1Side {
    fn raw(&mut self) -> Raw<'_, RequestDecoder> {
        Raw {
            io: &mut self.io,
            incoming: &mut self.incoming,
            writer: &mut self.writer,
        }
    }
}

/// The parts of an HTTP/1 connection, used without HTTP.
pub(crate) struct Raw<'s, D: Decoder> {
    pub(crate) io: &'s mut Stream,
    pub(crate) incoming: &'s mut Incoming<D>,
    pub(crate) writer: &'s mut Writer,
}

impl<D: Decoder> Raw<'_, D> {
    fn poll_read(self, worker: &Worker, cx: &mut Context<'_>) -> Poll<io::Result<Read>> {
        Poll::Ready(match ready!(self.incoming.poll_bytes(self.io, worker, cx)) {
            Ok(Some(bytes)) => Ok(Read::Bytes(bytes)),
            Ok(None) => Ok(Read::End(Ending::Whole)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Read::End(Ending::Truncated)),
            Err(error) => Err(error),
        })
    }

    fn poll_room(self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.writer.has_room(STREAM_BUFFER_BYTES_MAX) {
            return Poll::Ready(Ok(()));
        }
        self.writer.poll_flush(self.io, cx)
    }

    fn send(self, bytes: Bytes, worker: &Worker) {
        self.writer.provide(&worker.spares);
        self.writer.push_data(bytes);
    }

    fn poll_flush(self, worker: &Worker, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.writer.poll_flush(self.io, cx))?;
        self.writer.release(&worker.spares);
        Poll::Ready(Ok(()))
    }

    fn poll_finish(self, ending: Ending, worker: &Worker, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.writer.poll_flush(self.io, cx))?;
        self.writer.release(&worker.spares);
        let finished = match ending {
            Ending::Whole => ready!(Pin::new(self.io).poll_shutdown(cx)),
            // Without `close_notify`: this peer, too, must be able to tell.
            Ending::Truncated => SockRef::from(self.io.tcp()).shutdown(Shutdown::Write),
        };
        Poll::Ready(match finished {
            // The peer has closed both directions already: there is nothing left to end.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        })
    }
}
