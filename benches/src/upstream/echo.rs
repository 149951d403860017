//! An echo, which takes WebSocket handshakes too, a banner, and the collector beside them.
//!
//! The echo gives back every byte as it came, also after a WebSocket handshake: what lies between reads no frames. A
//! kibibyte counts as one answer.

use std::net::TcpListener;

use anyhow::{Context, Result};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Bodies, collector};

/// What a server says that speaks first.
pub(crate) const BANNER: &[u8] = b"220 upstream ready\r\n";

/// The key of RFC 6455 section 1.3, which every client of this program sends, and the answer to it.
pub(crate) const WEBSOCKET_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const WEBSOCKET_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const READ_BYTES: usize = 64 << 10;
const ANSWER_BYTES: u64 = 1 << 10;

/// Serves all three for ever.
pub(super) fn serve(
    echo: TcpListener,
    banner: TcpListener,
    collector: TcpListener,
    bodies: Bodies,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let echo = accept(echo, move |socket| echo_all(socket, bodies.clone()));
        let banner = accept(banner, greet);
        let collector = accept(collector, collector::take);
        tokio::try_join!(echo, banner, collector).map(|_| ())
    })
}

async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F) -> Result<()>
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (socket, _) = listener.accept().await.context("accepting")?;
        socket.set_nodelay(true)?;
        tokio::spawn(serve(socket));
    }
}

async fn greet(mut socket: TcpStream) -> std::io::Result<()> {
    socket.write_all(BANNER).await?;
    // Until the client goes.
    while socket.read(&mut [0; 64]).await? > 0 {}
    Ok(())
}

async fn echo_all(mut socket: TcpStream, bodies: Bodies) -> std::io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    let mut length = socket.read(&mut buffer).await?;
    if buffer[..length].starts_with(b"GET ") {
        let end = loop {
            if let Some(at) = memmem::find(&buffer[..length], b"\r\n\r\n") {
                break at + 4;
            }
            let read = socket.read(&mut buffer[length..]).await?;
            if read == 0 {
                return Ok(());
            }
            length += read;
        };
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
             sec-websocket-accept: {WEBSOCKET_ACCEPT}\r\n\r\n"
        );
        socket.write_all(answer.as_bytes()).await?;
        buffer.copy_within(end..length, 0);
        length -= end;
        if length == 0 {
            length = socket.read(&mut buffer).await?;
        }
    }
    let mut bytes = 0;
    while length > 0 {
        socket.write_all(&buffer[..length]).await?;
        let before = bytes / ANSWER_BYTES;
        bytes += length as u64;
        bodies.count(bytes / ANSWER_BYTES - before);
        length = socket.read(&mut buffer).await?;
    }
    Ok(())
}
