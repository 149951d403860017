//! The byte streams that connections are made of: plain TCP or TLS over it, as one enum, so that nothing above is
//! generic over I/O.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
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
    TlsClient(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Stream {
    /// The connection's socket.
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Stream::Plain(tcp) => tcp,
            Stream::TlsServer(tls) => tls.get_ref().0,
            Stream::TlsClient(tls) => tls.get_ref().0,
        }
    }

    /// The other end's address; none if it has gone.
    pub(crate) fn peer_address(&self) -> Option<SocketAddr> {
        self.tcp().peer_addr().ok()
    }

    /// The protocol that ALPN settled, if any.
    pub(crate) fn alpn(&self) -> Option<&[u8]> {
        match self {
            Stream::Plain(_) => None,
            Stream::TlsServer(tls) => tls.get_ref().1.alpn_protocol(),
            Stream::TlsClient(tls) => tls.get_ref().1.alpn_protocol(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Stream::TlsServer(tls) => Pin::new(tls.as_mut()).poll_read(cx, buf),
            Stream::TlsClient(tls) => Pin::new(tls.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write(cx, data),
            Stream::TlsServer(tls) => Pin::new(tls.as_mut()).poll_write(cx, data),
            Stream::TlsClient(tls) => Pin::new(tls.as_mut()).poll_write(cx, data),
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
            Stream::TlsClient(tls) => Pin::new(tls.as_mut()).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(_) => Poll::Ready(Ok(())),
            Stream::TlsServer(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
            Stream::TlsClient(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::TlsServer(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
            Stream::TlsClient(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
        }
    }
}
