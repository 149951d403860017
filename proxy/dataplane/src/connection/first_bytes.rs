//! Looking at a connection's first bytes for a ClientHello, without taking them.

use super::client_hello::{self, BYTES_MAX, ClientHello, Parsed};
use super::{ConnectionRefusal, Refused, TlsFailure};
use crate::peek::{Peeked, peek_until};
use rustls::server::Accepted;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Bytes that are looked at first: most ClientHellos are shorter.
const LOOK_BYTES: usize = 4 * 1024;

/// Times that one connection's bytes are looked at: each look reads them all again, and a ClientHello that comes in more
/// pieces is not one.
const LOOKS_MAX: u32 = 4096;

/// What the first bytes are.
pub(super) enum FirstBytes {
    /// A ClientHello, still in the socket.
    Hello(ClientHello),
    /// A ClientHello that was read out of it.
    Read(Box<Accepted>),
    /// They begin as one and are none.
    MalformedHello,
    /// Anything else; what of it was read.
    Other(Vec<u8>),
    /// There are none: the client waits, or has ended its side.
    Silent(TlsFailure),
}

/// Looks until it can be told. A client may be silent for as long as `patience`; a ClientHello that has begun and does
/// not come to its end in `hello_timeout` is an error.
pub(super) async fn look(
    stream: &TcpStream,
    patience: Duration,
    hello_timeout: Duration,
) -> Result<FirstBytes, Refused> {
    let mut seen = 0;
    let first = patience.min(hello_timeout);
    let mut looked = timeout(first, look_further(stream, &mut seen)).await;
    if looked.is_err() {
        let limit = if seen > 0 { hello_timeout } else { patience };
        looked = timeout(limit.saturating_sub(first), look_further(stream, &mut seen)).await;
    }
    let failure = match looked {
        Ok(Ok(Some(Parsed::Hello(hello)))) => return Ok(FirstBytes::Hello(hello)),
        Ok(Ok(Some(Parsed::Absent))) => return Ok(FirstBytes::Other(Vec::new())),
        Ok(Ok(Some(Parsed::Malformed | Parsed::Partial))) => return Ok(FirstBytes::MalformedHello),
        Ok(Ok(None)) => TlsFailure::Closed,
        Ok(Err(_)) => return Err(ConnectionRefusal::Detection.into()),
        Err(_) => TlsFailure::Timeout,
    };
    if seen == 0 {
        Ok(FirstBytes::Silent(failure))
    } else {
        Err(Refused::Tls(failure))
    }
}

/// `None`: the client has ended its side before it could be told. `seen`: how many bytes were looked at.
async fn look_further(stream: &TcpStream, seen: &mut usize) -> std::io::Result<Option<Parsed>> {
    let mut buffer = vec![0; LOOK_BYTES];
    let mut looks = 0;
    loop {
        let looking = peek_until(stream, &mut buffer, |bytes| {
            *seen = bytes.len();
            looks += 1;
            match client_hello::parse(bytes) {
                Parsed::Partial if looks >= LOOKS_MAX => Some(Parsed::Malformed),
                Parsed::Partial => None,
                parsed => Some(parsed),
            }
        });
        match looking.await? {
            Peeked::Decided(parsed) => return Ok(Some(parsed)),
            Peeked::Ended => return Ok(None),
            Peeked::Full if buffer.len() >= BYTES_MAX => return Ok(Some(Parsed::Malformed)),
            Peeked::Full => buffer.resize((buffer.len() * 4).min(BYTES_MAX), 0),
        }
    }
}
