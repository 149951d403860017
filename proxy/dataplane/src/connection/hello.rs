//! Reading a ClientHello out of a connection, once: for connections whose TLS ends here.

use super::client_hello::ClientHello;
use super::first_bytes::FirstBytes;
use crate::tls;
use crate::worker::Worker;
use outrigger_telemetry::TlsFailure;
use rustls::server::{Accepted, Acceptor};
use std::io::{self, Write};
use tokio::net::TcpStream;

/// Bytes that are read at once: as many as rustls takes.
const READ_BYTES: usize = 4096;

/// First byte of a TLS record that holds a handshake (RFC 8446 section 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// Reads until it can be told: a whole ClientHello, which rustls bounds at 64 KiB, or something else, of which the
/// beginning has been read then. Not cancel safe: what was read is lost.
pub(super) async fn read(stream: &TcpStream, worker: &Worker) -> Result<FirstBytes, TlsFailure> {
    let mut acceptor = Acceptor::default();
    let mut has_begun = false;
    loop {
        stream.readable().await.map_err(|_| TlsFailure::Closed)?;
        let scratch = &mut worker.scratch.borrow_mut()[..READ_BYTES];
        let bytes = match stream.try_read(scratch) {
            Ok(0) => return Err(TlsFailure::Closed),
            Ok(count) => &scratch[..count],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => return Err(TlsFailure::Closed),
        };
        if !has_begun && bytes[0] != HANDSHAKE_RECORD {
            return Ok(FirstBytes::Other(bytes.to_vec()));
        }
        has_begun = true;
        if let Some(accepted) = feed(&mut acceptor, bytes, stream)? {
            return Ok(FirstBytes::Read(Box::new(accepted)));
        }
    }
}

/// Answers what is no ClientHello with an alert, which is the TLS library's to choose. What was read so far, then what
/// has come meanwhile.
pub(super) fn refuse(stream: &TcpStream, read: &[u8], worker: &Worker) -> TlsFailure {
    let mut acceptor = Acceptor::default();
    let scratch = &mut worker.scratch.borrow_mut()[..READ_BYTES];
    let mut bytes = read;
    loop {
        match feed(&mut acceptor, bytes, stream) {
            Err(failure) => return failure,
            // The library reads more into it than what picks filter chains does: it is closed all the same.
            Ok(Some(_)) => return TlsFailure::Protocol,
            Ok(None) => {}
        }
        match stream.try_read(scratch) {
            Ok(count) if count > 0 => bytes = &scratch[..count],
            _ => return TlsFailure::Protocol,
        }
    }
}

/// What picks filter chains.
pub(super) fn facts(accepted: &Accepted) -> ClientHello {
    let hello = accepted.client_hello();
    ClientHello {
        server_name: hello.server_name().map(str::to_ascii_lowercase),
        application_protocols: hello
            .alpn()
            .map(|names| names.map(<[u8]>::to_vec).collect())
            .unwrap_or_default(),
    }
}

fn feed(
    acceptor: &mut Acceptor,
    mut bytes: &[u8],
    stream: &TcpStream,
) -> Result<Option<Accepted>, TlsFailure> {
    while !bytes.is_empty() {
        acceptor.read_tls(&mut bytes).map_err(|_| TlsFailure::Protocol)?;
    }
    acceptor.accept().map_err(|(error, mut alert)| {
        // A connection that is new has room for as little; whoever does not hear it sees the close.
        let _ = alert.write(&mut Unbuffered(stream));
        tracing::debug!(%error, "no ClientHello that could be used");
        tls::failure(&error)
    })
}

/// Writes what the socket takes at once.
struct Unbuffered<'s>(&'s TcpStream);

impl Write for Unbuffered<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
