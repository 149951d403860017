//! The byte streams that connections are made of: plain TCP or TLS over it, as one enum, so that nothing above is
//! generic over I/O.

use crate::rights::UpstreamPlace;
use outrigger_telemetry::RightLost;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection's byte stream. TLS states are boxed: they are large, and plain connections should not pay for them.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS terminated here.
    TlsServer(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    /// TLS originated here.
    TlsClient(Box<TlsClient>),
}

/// TLS originated here, to an endpoint that may be believed no more one day.
#[derive(Debug)]
pub(crate) struct TlsClient {
    pub(crate) tls: tokio_rustls::client::TlsStream<TcpStream>,
    /// There unless the endpoint's certificate says nothing.
    pub(crate) place: Option<UpstreamPlace>,
}

impl TlsClient {
    fn check(&self) -> io::Result<()> {
        self.place.as_ref().map_or(Ok(()), UpstreamPlace::check)
    }
}

impl Stream {
    /// The connection's socket.
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Stream::Plain(tcp) => tcp,
            Stream::TlsServer(tls) => tls.get_ref().0,
            Stream::TlsClient(client) => client.tls.get_ref().0,
        }
    }

    /// The other end's address; none if it has gone.
    pub(crate) fn peer_address(&self) -> Option<SocketAddr> {
        self.tcp().peer_addr().ok()
    }

    /// Why the connection may not be used any more, if that is so.
    pub(crate) fn lost(&self) -> Option<RightLost> {
        match self {
            Stream::TlsClient(client) => client.place.as_ref()?.lost(),
            _ => None,
        }
    }

    /// The protocol that ALPN settled, if any.
    pub(crate) fn alpn(&self) -> Option<&[u8]> {
        match self {
            Stream::Plain(_) => None,
            Stream::TlsServer(tls) => tls.get_ref().1.alpn_protocol(),
            Stream::TlsClient(client) => client.tls.get_ref().1.alpn_protocol(),
        }
    }
}

impl Stream {
    /// Reads what has come, and is not woken when more does.
    pub(crate) fn read_now(&mut self, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if let Stream::Plain(tcp) = self {
            return match tcp.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
                read => Poll::Ready(read),
            };
        }
        let mut buffer = ReadBuf::new(buffer);
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(self)
            .poll_read(&mut cx, &mut buffer)
            .map_ok(|()| buffer.filled().len())
    }
}

impl Stream {
    fn poll_flush_tls(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(_) => Poll::Ready(Ok(())),
            Stream::TlsServer(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
            Stream::TlsClient(client) => Pin::new(&mut client.tls).poll_flush(cx),
        }
    }
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Stream::TlsServer(tls) => Pin::new(tls.as_mut()).poll_read(cx, buf),
            Stream::TlsClient(client) => {
                client.check()?;
                let read = Pin::new(&mut client.tls).poll_read(cx, buf);
                if let (Poll::Pending, Some(place)) = (&read, &client.place) {
                    place.follow(cx);
                }
                read
            }
        }
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            // Nearly always there is room, and then neither the task's budget nor its waker need be touched: reads
            // spend the budget, and nothing writes for long that does not read.
            Stream::Plain(tcp) => match tcp.try_write(data) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Pin::new(tcp).poll_write(cx, data),
                written => Poll::Ready(written),
            },
            Stream::TlsServer(tls) => Pin::new(tls.as_mut()).poll_write(cx, data),
            Stream::TlsClient(client) => {
                client.check()?;
                Pin::new(&mut client.tls).poll_write(cx, data)
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Stream::TlsServer(tls) => Pin::new(tls.as_mut()).poll_write_vectored(cx, slices),
            Stream::TlsClient(client) => {
                client.check()?;
                Pin::new(&mut client.tls).poll_write_vectored(cx, slices)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline(always)]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(_) => Poll::Ready(Ok(())),
            tls => tls.poll_flush_tls(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::TlsServer(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
            Stream::TlsClient(client) => Pin::new(&mut client.tls).poll_shutdown(cx),
        }
    }
}
