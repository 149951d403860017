//! HTTP without TLS where only TLS is served: a common mistake that deserves an answer in words.

use std::io;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What clients that speak HTTP begin with. Others are not answered in HTTP, of which they know nothing.
const BEGINNINGS: [&[u8]; 10] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"CONNECT ",
    b"OPTIONS ",
    b"TRACE ",
    b"PATCH ",
    b"PRI * HTTP/2.0\r\n",
];

/// The answer, as nginx (497, sent as 400) and Go give it.
const ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 51\r\n\
connection: close\r\n\r\nthis port speaks TLS; the request came in the clear";

/// How long the client may go on sending: closing at once would reset the connection and destroy the answer.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes that are discarded while lingering, at most.
const LINGER_BYTES_MAX: usize = 256 * 1024;

/// Answers a client that speaks HTTP, and closes. False if this one does not, as far as it says within `patience`;
/// nothing was sent then. `read`: what was read of it, which may become more.
pub(super) async fn answer(stream: &TcpStream, read: &mut Vec<u8>, patience: Duration) -> bool {
    if !matches!(timeout(patience, begins_http(stream, read)).await, Ok(Ok(true))) {
        return false;
    }
    // A connection that is new has room for as little.
    let _ = stream.try_write(ANSWER);
    let _ = socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Write);
    // Neither a failure nor the end of patience changes anything: the connection is closed.
    let _ = timeout(LINGER_TIMEOUT, discard(stream)).await;
    true
}

/// Reads until it can be told.
async fn begins_http(stream: &TcpStream, read: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        if let Some(decision) = speaks_http(read) {
            return Ok(decision);
        }
        stream.readable().await?;
        let mut more = [0; 64];
        match stream.try_read(&mut more) {
            Ok(0) => return Ok(false),
            Ok(count) => read.extend_from_slice(&more[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// None while it cannot be told.
fn speaks_http(bytes: &[u8]) -> Option<bool> {
    if BEGINNINGS.iter().any(|beginning| bytes.starts_with(beginning)) {
        return Some(true);
    }
    let may = BEGINNINGS.iter().any(|beginning| beginning.starts_with(bytes));
    (!may).then_some(false)
}

async fn discard(stream: &TcpStream) -> io::Result<()> {
    let mut buffer = [0; 2048];
    let mut discarded = 0;
    while discarded < LINGER_BYTES_MAX {
        stream.ready(Interest::READABLE).await?;
        match stream.try_read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => discarded += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
    }

    #[test]
    fn what_speaks_http_is_told_as_soon_as_it_can_be() {
        for (bytes, expected) in [
            (b"G".as_slice(), None),
            (b"GET", None),
            (b"GET ", Some(true)),
            (b"GETX", Some(false)),
            (b"PRI * HTTP/2.0\r\n\r\n", Some(true)),
            (b"P", None),
            (b"EHLO", Some(false)),
            (b"\x80", Some(false)),
        ] {
            assert_eq!(speaks_http(bytes), expected, "{bytes:?}");
        }
    }
}
