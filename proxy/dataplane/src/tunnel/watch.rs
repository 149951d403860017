//! Noticing that a plain connection has failed while nobody reads it.

use crate::relay::socket_failed;
use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::net::TcpStream;

/// A watch over one connection. It costs nothing until it is first asked; then it holds another descriptor of the
/// socket, because the connection itself is read and written meanwhile.
#[derive(Default)]
pub(super) struct Watch(Option<Pin<Box<dyn Future<Output = ()>>>>);

impl Watch {
    /// Ready, once, when the connection has failed; otherwise the task is polled again when it does.
    pub(super) fn poll_failed(&mut self, tcp: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Error> {
        let watching = self.0.get_or_insert_with(|| match again(tcp) {
            Ok(socket) => Box::pin(async move { socket_failed(&socket).await }),
            // Without descriptors it is the idle time that ends such a tunnel.
            Err(error) => {
                tracing::debug!(%error, "a tunnel's connection cannot be watched");
                Box::pin(std::future::pending())
            }
        });
        let failed = watching.as_mut().poll(cx);
        failed.map(|()| io::ErrorKind::ConnectionReset.into())
    }
}

/// The same socket once more.
fn again(tcp: &TcpStream) -> io::Result<TcpStream> {
    TcpStream::from_std(tcp.as_fd().try_clone_to_owned()?.into())
}
