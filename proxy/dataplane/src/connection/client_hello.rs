//! The first bytes of a connection, read as a TLS ClientHello: as much as picking a filter chain takes.
//!
//! Pure: bytes in, a decision out, which more bytes never change. It is more lenient than the TLS library that serves
//! connections: a ClientHello that is only passed on may offer what nobody here speaks.

/// Bytes that a ClientHello takes at most, record headers included; it is refused beyond. Post-quantum key shares make
/// 2 KiB usual; RFC 8446 allows 2^24, which nobody sends.
pub(super) const BYTES_MAX: usize = 64 * 1024;

/// First byte of a TLS record that holds a handshake (RFC 8446 section 5.1).
const HANDSHAKE_RECORD: u8 = 22;
/// First byte of a handshake message that is a ClientHello (RFC 8446 section 4).
const CLIENT_HELLO: u8 = 1;
/// Bytes of a record at most (RFC 8446 section 5.1).
const RECORD_BYTES_MAX: usize = 1 << 14;
/// The `server_name` extension (RFC 6066 section 3).
const SERVER_NAME: u16 = 0;
/// The ALPN extension (RFC 7301).
const APPLICATION_PROTOCOLS: u16 = 16;
/// Bytes of a host name at most (RFC 1035).
const HOST_BYTES_MAX: usize = 255;

/// What a ClientHello says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ClientHello {
    /// SNI, in lower case.
    pub(super) server_name: Option<String>,
    /// ALPN names.
    pub(super) application_protocols: Vec<Vec<u8>>,
}

/// What first bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parsed {
    /// The beginning of a ClientHello; more must be seen.
    Partial,
    /// No ClientHello begins like this.
    Absent,
    /// A ClientHello begins, and it is wrong.
    Malformed,
    /// A whole one.
    Hello(ClientHello),
}

/// Reads the first bytes of a connection.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    if !begins_hello(bytes) {
        return Parsed::Absent;
    }
    let mut message = Vec::new();
    let mut rest = bytes;
    loop {
        let Some((header, records)) = rest.split_first_chunk::<5>() else {
            return Parsed::Partial;
        };
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if header[0] != HANDSHAKE_RECORD || header[1] != 3 || !(1..=RECORD_BYTES_MAX).contains(&length) {
            return Parsed::Malformed;
        }
        let part = &records[..length.min(records.len())];
        message.extend_from_slice(part);
        if let Some(body) = whole_message(&message) {
            return hello(body).map_or(Parsed::Malformed, Parsed::Hello);
        }
        if message.len() > BYTES_MAX || announced_bytes(&message) > BYTES_MAX {
            return Parsed::Malformed;
        }
        if part.len() < length {
            return Parsed::Partial;
        }
        rest = &records[length..];
    }
}

/// True if the bytes begin a record with a ClientHello, as far as they go.
fn begins_hello(bytes: &[u8]) -> bool {
    let expected = [
        Some(HANDSHAKE_RECORD),
        Some(3),
        None,
        None,
        None,
        Some(CLIENT_HELLO),
    ];
    let fits = |(byte, expected): (&u8, Option<u8>)| expected.is_none_or(|expected| *byte == expected);
    bytes.iter().zip(expected).all(fits)
}

/// The length of the message with its header, as far as it is known.
fn announced_bytes(message: &[u8]) -> usize {
    match message {
        [_, a, b, c, ..] => 4 + (usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c)),
        _ => 0,
    }
}

/// The body of the first handshake message, if it is all there.
fn whole_message(message: &[u8]) -> Option<&[u8]> {
    let end = announced_bytes(message);
    (end >= 4).then(|| message.get(4..end)).flatten()
}

fn hello(body: &[u8]) -> Option<ClientHello> {
    let mut input = Input(body);
    // Version and random.
    input.take(2 + 32)?;
    input.vector8()?;
    input.vector16()?;
    input.vector8()?;
    let mut hello = ClientHello::default();
    if input.0.is_empty() {
        // Before extensions there were none.
        return Some(hello);
    }
    let mut extensions = Input(input.vector16()?);
    let mut seen = [false; 2];
    while !extensions.0.is_empty() {
        let kind = extensions.number16()?;
        let content = extensions.vector16()?;
        let place = match kind {
            SERVER_NAME => 0,
            APPLICATION_PROTOCOLS => 1,
            _ => continue,
        };
        // Two of a kind could be read in two ways.
        if std::mem::replace(&mut seen[place], true) {
            return None;
        }
        match kind {
            SERVER_NAME => hello.server_name = server_name(content)?,
            _ => hello.application_protocols = application_protocols(content)?,
        }
    }
    input.0.is_empty().then_some(hello)
}

/// The host name of the list; `Some(None)` if it holds names of other kinds only.
fn server_name(content: &[u8]) -> Option<Option<String>> {
    let mut outer = Input(content);
    let mut list = Input(outer.vector16()?);
    let mut host = None;
    while !list.0.is_empty() {
        let kind = list.take(1)?[0];
        let name = list.vector16()?;
        if kind != 0 {
            continue;
        }
        let visible = name.iter().all(u8::is_ascii_graphic);
        if host.is_some() || name.is_empty() || name.len() > HOST_BYTES_MAX || !visible {
            return None;
        }
        host = Some(String::from_utf8_lossy(name).to_ascii_lowercase());
    }
    outer.0.is_empty().then_some(host)
}

fn application_protocols(content: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut outer = Input(content);
    let mut list = Input(outer.vector16()?);
    let mut names = Vec::new();
    while !list.0.is_empty() {
        names.push(list.vector8()?.to_vec());
    }
    outer.0.is_empty().then_some(names)
}

/// Bytes that are taken from the front.
struct Input<'i>(&'i [u8]);

impl<'i> Input<'i> {
    fn take(&mut self, count: usize) -> Option<&'i [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number16(&mut self) -> Option<u16> {
        let bytes = self.take(2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// Bytes after their length in one byte.
    fn vector8(&mut self) -> Option<&'i [u8]> {
        let length = self.take(1)?[0];
        self.take(length.into())
    }

    /// Bytes after their length in two bytes.
    fn vector16(&mut self) -> Option<&'i [u8]> {
        let length = self.number16()?;
        self.take(length.into())
    }
}

#[cfg(test)]
mod tests;
