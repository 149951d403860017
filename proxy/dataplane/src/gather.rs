//! Gathers the writes of an HTTP/2 connection until its poll ends.
//!
//! `h2` flushes every response's frames by themselves, a `writev` each. Here frames go into one buffer, and the
//! connection's driver writes it out once, after it has polled the connection: many streams' frames, one system call.
//!
//! Until [`Gather::start`] the wrapper passes everything through: during the handshake nobody calls
//! [`Gather::poll_gathered`], so a gathered SETTINGS frame would never leave, and a peer that waits for it would wait
//! for ever.

use crate::flood::FrameMeter;
use crate::spares::Spares;
use crate::tls;
use bytes::Bytes;
use outrigger_telemetry::TlsFailure;
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// Bytes gathered before a write is forced; one writev of this size is as good as a larger one.
const GATHER_BYTES_MAX: usize = 64 * 1024;

struct Inner<S> {
    io: S,
    /// Bytes that were read before HTTP/2 was recognized; they are read first.
    read_ahead: Bytes,
    spares: Rc<Spares>,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that are written already.
    written: usize,
    gathering: bool,
    /// Bytes read and written, until they are asked for.
    read: u64,
    wrote: u64,
    /// Why reading failed, where TLS says so: `h2` passes on only that it did.
    tls_failure: Option<TlsFailure>,
    /// Weighs the frames that pass; for downstream connections.
    meter: Option<Box<FrameMeter>>,
}

/// An I/O stream whose writes are gathered. Clones share the stream: one is given to `h2`, one stays with the driver.
pub(crate) struct Gather<S>(Rc<RefCell<Inner<S>>>);

impl<S> Clone for Gather<S> {
    fn clone(&self) -> Self {
        Gather(Rc::clone(&self.0))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Gather<S> {
    /// Wraps `io`, passing everything through.
    pub(crate) fn new(io: S, spares: &Rc<Spares>) -> Gather<S> {
        Gather::wrap(io, Bytes::new(), None, spares)
    }

    /// Wraps a client's `io`, of which some bytes were read already, and weighs the client's frames.
    pub(crate) fn metered(io: S, read_ahead: Bytes, meter: FrameMeter, spares: &Rc<Spares>) -> Gather<S> {
        Gather::wrap(io, read_ahead, Some(Box::new(meter)), spares)
    }

    fn wrap(io: S, read_ahead: Bytes, meter: Option<Box<FrameMeter>>, spares: &Rc<Spares>) -> Gather<S> {
        let spares = Rc::clone(spares);
        let inner = Inner {
            io,
            read_ahead,
            spares,
            buffer: Vec::new(),
            written: 0,
            gathering: false,
            read: 0,
            wrote: 0,
            tls_failure: None,
            meter,
        };
        Gather(Rc::new(RefCell::new(inner)))
    }

    /// True once the peer has flooded the connection with frames that carry nothing.
    pub(crate) fn is_flooded(&self) -> bool {
        self.0
            .borrow()
            .meter
            .as_ref()
            .is_some_and(|meter| meter.is_flooded())
    }

    /// Why reading failed, where TLS says so.
    pub(crate) fn tls_failure(&self) -> Option<TlsFailure> {
        self.0.borrow().tls_failure
    }

    /// After writing failed: reads to the end, for what TLS says of it. An alert may be there when the connection is reset.
    pub(crate) async fn into_tls_failure(self) -> Option<TlsFailure> {
        let mut stream = self;
        let mut discarded = [0; 256];
        while stream.tls_failure().is_none() {
            match stream.read(&mut discarded).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        stream.tls_failure()
    }

    /// Lends the stream that is wrapped.
    pub(crate) fn with_io<T>(&self, look: impl FnOnce(&S) -> T) -> T {
        look(&self.0.borrow().io)
    }

    /// Bytes read and written since this was last asked.
    pub(crate) fn take_counts(&self) -> (u64, u64) {
        let inner = &mut *self.0.borrow_mut();
        (std::mem::take(&mut inner.read), std::mem::take(&mut inner.wrote))
    }

    /// From now on writes are gathered; the caller must call [`Gather::poll_gathered`] after each poll of the
    /// connection.
    pub(crate) fn start(&self) {
        self.0.borrow_mut().gathering = true;
    }

    /// Writes what was gathered. `Pending` registers the waker: the task is polled again when the socket takes more.
    pub(crate) fn poll_gathered(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.borrow_mut();
        ready!(inner.poll_write_out(cx))?;
        Pin::new(&mut inner.io).poll_flush(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Inner<S> {
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.buffer.len() {
            let n = ready!(Pin::new(&mut self.io).poll_write(cx, &self.buffer[self.written..]))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += n;
        }
        if self.buffer.capacity() > 0 {
            self.written = 0;
            self.spares.keep_buffer(std::mem::take(&mut self.buffer));
        }
        Poll::Ready(Ok(()))
    }

    fn note_sent(&mut self, bytes: &[u8]) {
        self.wrote += bytes.len() as u64;
        if let Some(meter) = &mut self.meter {
            meter.send(bytes);
        }
    }

    /// Makes room in the buffer; `Pending` while the socket takes nothing and the buffer is full.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.buffer.len() - self.written >= GATHER_BYTES_MAX {
            ready!(self.poll_write_out(cx))?;
        }
        if self.buffer.capacity() == 0 {
            self.buffer = self.spares.buffer();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gather<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.0.borrow_mut();
        let before = buf.filled().len();
        if inner.read_ahead.is_empty() {
            ready!(Pin::new(&mut inner.io).poll_read(cx, buf)).inspect_err(|error| {
                inner.tls_failure = tls::rustls_error(error).map(tls::failure);
            })?;
            inner.read += (buf.filled().len() - before) as u64;
        } else {
            let n = inner.read_ahead.len().min(buf.remaining());
            buf.put_slice(&inner.read_ahead.split_to(n));
        }
        if let Some(meter) = &mut inner.meter {
            meter.receive(&buf.filled()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gather<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let inner = &mut *self.0.borrow_mut();
        if !inner.gathering {
            let n = ready!(Pin::new(&mut inner.io).poll_write(cx, data))?;
            inner.note_sent(&data[..n]);
            return Poll::Ready(Ok(n));
        }
        ready!(inner.poll_room(cx))?;
        inner.note_sent(data);
        inner.buffer.extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let inner = &mut *self.0.borrow_mut();
        if !inner.gathering {
            let n = ready!(Pin::new(&mut inner.io).poll_write_vectored(cx, slices))?;
            let mut left = n;
            for slice in slices {
                let taken = left.min(slice.len());
                inner.note_sent(&slice[..taken]);
                left -= taken;
            }
            return Poll::Ready(Ok(n));
        }
        ready!(inner.poll_room(cx))?;
        let before = inner.buffer.len();
        for slice in slices {
            inner.note_sent(slice);
            inner.buffer.extend_from_slice(slice);
        }
        Poll::Ready(Ok(inner.buffer.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.0.borrow_mut();
        if inner.gathering {
            // The driver flushes when the connection's poll has ended.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut inner.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.0.borrow_mut();
        ready!(inner.poll_write_out(cx))?;
        Pin::new(&mut inner.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn passes_through_until_started_and_gathers_after() {
        let (near, mut far) = tokio::io::duplex(1024);
        let gather = Gather::new(near, &Rc::default());
        let mut writer = gather.clone();
        writer.write_all(b"preface").await.unwrap();
        let mut seen = [0u8; 7];
        far.read_exact(&mut seen).await.unwrap();
        gather.start();
        writer.write_all(b"one").await.unwrap();
        writer.write_all(b"two").await.unwrap();
        writer.flush().await.unwrap();
        let mut buf = [0u8; 16];
        let idle = std::future::poll_fn(|cx| {
            let mut read = ReadBuf::new(&mut buf);
            Poll::Ready(Pin::new(&mut far).poll_read(cx, &mut read).is_pending())
        });
        assert!(idle.await, "nothing leaves before the driver's flush");
        std::future::poll_fn(|cx| gather.poll_gathered(cx)).await.unwrap();
        let mut seen = [0u8; 6];
        far.read_exact(&mut seen).await.unwrap();
        assert_eq!(&seen, b"onetwo");
    }

    #[tokio::test]
    async fn a_full_buffer_makes_the_writer_wait() {
        let (near, mut far) = tokio::io::duplex(16);
        let gather = Gather::new(near, &Rc::default());
        gather.start();
        let mut writer = gather.clone();
        writer.write_all(&vec![7u8; GATHER_BYTES_MAX]).await.unwrap();
        let pending =
            std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut writer).poll_write(cx, b"x").is_pending()));
        assert!(pending.await);
        let drain = async {
            let mut sink = vec![0u8; GATHER_BYTES_MAX];
            far.read_exact(&mut sink).await.unwrap();
        };
        let flush = std::future::poll_fn(|cx| gather.poll_gathered(cx));
        let (_, flushed) = tokio::join!(drain, flush);
        flushed.unwrap();
    }
}
