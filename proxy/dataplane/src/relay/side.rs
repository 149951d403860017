//! One side of a relay: reads, writes and ends, with what each kind of stream needs.

use super::socket_failed;
use crate::io::Stream;
use socket2::SockRef;
use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// One side. A plain one is borrowed shared, so that it can be watched while it is served.
pub(super) enum Side<'s> {
    Plain(&'s TcpStream),
    Tls(&'s mut Stream),
}

/// How a side ended what it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// In order.
    Whole,
    /// TCP ended and TLS had not: somebody may have cut it short (RFC 8446 section 6.1).
    Truncated,
}

/// What a read came to.
pub(super) enum Read {
    Bytes(usize),
    End(Ending),
}

impl<'s> Side<'s> {
    pub(super) fn new(stream: &'s mut Stream) -> Side<'s> {
        match stream {
            Stream::Plain(tcp) => Side::Plain(tcp),
            tls => Side::Tls(tls),
        }
    }

    pub(super) fn poll_read(&mut self, buffer: &mut [u8], cx: &mut Context<'_>) -> Poll<io::Result<Read>> {
        let read = match self {
            Side::Plain(tcp) => ready!(poll_read_plain(tcp, buffer, cx))?,
            Side::Tls(stream) => {
                let mut read = ReadBuf::new(buffer);
                match ready!(Pin::new(&mut **stream).poll_read(cx, &mut read)) {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                        return Poll::Ready(Ok(Read::End(Ending::Truncated)));
                    }
                    result => result?,
                }
                read.filled().len()
            }
        };
        Poll::Ready(Ok(match read {
            0 => Read::End(Ending::Whole),
            count => Read::Bytes(count),
        }))
    }

    pub(super) fn poll_write(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let written = match self {
            Side::Plain(tcp) => loop {
                ready!(tcp.poll_write_ready(cx))?;
                match tcp.try_write(bytes) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    written => break written?,
                }
            },
            Side::Tls(stream) => ready!(Pin::new(&mut **stream).poll_write(cx, bytes))?,
        };
        Poll::Ready(match written {
            0 => Err(io::ErrorKind::WriteZero.into()),
            count => Ok(count),
        })
    }

    /// Ready when all that was written is the kernel's to send.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Side::Plain(_) => Poll::Ready(Ok(())),
            Side::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    /// Ends what is sent to this side as the other side ended it. What was written must be flushed.
    pub(super) fn poll_end(&mut self, ending: Ending, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tcp = match (self, ending) {
            (Side::Plain(tcp), _) => *tcp,
            (Side::Tls(stream), Ending::Whole) => return Pin::new(&mut **stream).poll_shutdown(cx),
            // Without `close_notify`: this peer, too, must be able to tell.
            (Side::Tls(stream), Ending::Truncated) => stream.tcp(),
        };
        Poll::Ready(match SockRef::from(tcp).shutdown(Shutdown::Write) {
            // It has ended both ways by itself.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        })
    }
}

fn poll_read_plain(tcp: &TcpStream, buffer: &mut [u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    loop {
        ready!(tcp.poll_read_ready(cx))?;
        match tcp.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(count) => {
                if 0 < count && count < buffer.len() {
                    // The kernel had no more: said to the runtime here, it saves a call that would only say so again.
                    let _ = tcp.try_io(Interest::READABLE, || {
                        Err::<(), _>(io::ErrorKind::WouldBlock.into())
                    });
                }
                return Poll::Ready(Ok(count));
            }
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

/// Notices the failure of a plain connection that is not being read. It costs nothing until it is first asked.
#[derive(Default)]
pub(super) struct Watch<'s>(Option<Pin<Box<dyn Future<Output = ()> + 's>>>);

impl<'s> Watch<'s> {
    /// True if the side has failed; otherwise the task is polled again when it does.
    pub(super) fn poll_failed(&mut self, side: &Side<'s>, cx: &mut Context<'_>) -> bool {
        let Side::Plain(tcp) = side else {
            return false;
        };
        let tcp: &'s TcpStream = tcp;
        let watching = self.0.get_or_insert_with(|| Box::pin(socket_failed(tcp)));
        watching.as_mut().poll(cx).is_ready()
    }
}
