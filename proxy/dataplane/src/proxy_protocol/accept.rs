//! Taking the header off a connection, and not one byte more.

use super::{Decoded, HEADER_BYTES_MAX, Header, decode, passes};
use crate::peek::{Peeked, peek_until};
use outrigger_config::model::{DownstreamProxyProtocol, ProxyProtocolMode};
use std::io;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Why a connection got no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A header is required, and the connection begins otherwise.
    Missing,
    /// A header begins, and it is wrong.
    Malformed,
    /// It did not come in time.
    Timeout,
    /// The peer ended its side before it said anything.
    Silent,
    /// The peer closed before the header's end, or the socket failed.
    Gone,
}

/// Takes the header that a connection begins with, if the listener's settings have it so. `None`: there is none, and
/// nothing was taken. Not cancel safe: a header may be lost.
pub(crate) async fn receive(
    stream: &TcpStream,
    settings: &DownstreamProxyProtocol,
) -> Result<Option<Header>, Fault> {
    let required = match settings.mode() {
        ProxyProtocolMode::Off => return Ok(None),
        ProxyProtocolMode::Optional => false,
        ProxyProtocolMode::Required => true,
    };
    match timeout(settings.timeout(), take(stream)).await {
        // A client that says nothing may wait for the server to speak first, which is its right where no header is
        // required.
        Err(_) if !required => Ok(None),
        Err(_) => Err(Fault::Timeout),
        // A client may end its side at once where the server speaks alone.
        Ok(Err(Fault::Silent)) if !required => Ok(None),
        Ok(Err(fault)) => Err(fault),
        Ok(Ok(None)) if required => Err(Fault::Missing),
        Ok(Ok(None)) => Ok(None),
        Ok(Ok(Some(mut header))) => {
            header.tlvs.retain(|tlv| passes(settings.pass_tlvs(), tlv.kind));
            Ok(Some(header))
        }
    }
}

async fn take(stream: &TcpStream) -> Result<Option<Header>, Fault> {
    let mut buffer = [0; HEADER_BYTES_MAX];
    let mut has_begun = false;
    let decoded = peek_until(stream, &mut buffer, |bytes| {
        has_begun = true;
        match decode(bytes) {
            Decoded::Partial => None,
            decided => Some(decided),
        }
    });
    match decoded.await.map_err(|_| Fault::Gone)? {
        Peeked::Decided(Decoded::Header { bytes, header }) => {
            discard(stream, bytes).await.map_err(|_| Fault::Gone)?;
            Ok(Some(header))
        }
        Peeked::Decided(Decoded::Malformed(reason)) => {
            tracing::debug!(reason, "malformed PROXY protocol header");
            Err(Fault::Malformed)
        }
        Peeked::Decided(Decoded::Absent | Decoded::Partial) => Ok(None),
        // No header is longer than the buffer.
        Peeked::Full => Err(Fault::Malformed),
        Peeked::Ended if has_begun => Err(Fault::Gone),
        Peeked::Ended => Err(Fault::Silent),
    }
}

/// Reads as many bytes, which have been seen, and throws them away.
async fn discard(stream: &TcpStream, mut bytes: usize) -> io::Result<()> {
    let mut buffer = [0; 512];
    while bytes > 0 {
        let part = bytes.min(buffer.len());
        match stream.try_read(&mut buffer[..part]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => bytes -= read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.readable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
