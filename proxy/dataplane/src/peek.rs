//! Looking at a connection's first bytes without taking them: whoever serves it finds them all.

use rustix::net::{RecvFlags, recv};
use std::io;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// What a look at the first bytes came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Peeked<T> {
    /// What was decided.
    Decided(T),
    /// The buffer is full, and nothing was decided.
    Full,
    /// The peer said no more, and nothing was decided.
    Ended,
}

/// Shows the bytes that have come to `decide`, again whenever there are more, until it decides, the buffer is full or
/// the peer has ended its side. Waits without spinning, however slowly the bytes come. Cancel safe: nothing is taken.
pub(crate) async fn peek_until<T>(
    stream: &TcpStream,
    buffer: &mut [u8],
    mut decide: impl FnMut(&[u8]) -> Option<T>,
) -> io::Result<Peeked<T>> {
    let mut seen = 0;
    loop {
        let ready = stream.ready(Interest::READABLE).await?;
        let peeked = stream.try_io(Interest::READABLE, || match peek(stream, buffer)? {
            // The same bytes as before: to the runtime that is a socket that is not ready, and it waits for the
            // kernel to tell of more.
            count if count == seen && !ready.is_read_closed() => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        });
        let count = match peeked {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        if count > seen
            && let Some(decision) = decide(&buffer[..count])
        {
            return Ok(Peeked::Decided(decision));
        }
        if count == buffer.len() {
            return Ok(Peeked::Full);
        }
        if count == seen || count == 0 {
            return Ok(Peeked::Ended);
        }
        seen = count;
    }
}

fn peek(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let (count, _) = recv(stream, buffer, RecvFlags::PEEK)?;
    Ok(count)
}
