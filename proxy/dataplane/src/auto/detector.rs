//! What first bytes are: bytes in, a decision out.
//!
//! It decides as soon as nothing else is possible, and the decision does not depend on how the bytes were cut.
//!
//! * **TLS**: a handshake record that begins with a ClientHello. A chain without TLS passes it on.
//! * **HTTP/2**: the whole preface.
//! * **HTTP/1**: a request line to the end of its version, `METHOD SP target SP HTTP/digit.digit` and CR or LF, strictly:
//!   one space each, a method of token characters, a target of visible ones (RFC 9112 section 3). One that is longer than
//!   [`LINE_BYTES_MAX`] and flawless so far is HTTP/1 too, whose own limits then answer it.
//! * **Other**: everything that can no longer become one of these.

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

/// Bytes of a request line after which it is HTTP/1 without its end being seen: twice what nginx and Apache accept in
/// their defaults is nothing that another protocol would send by chance.
pub(crate) const LINE_BYTES_MAX: usize = 8 * 1024;

/// Bytes of a method at most. The longest that is registered has 17; other protocols begin with long tokens.
const METHOD_BYTES_MAX: usize = 32;

/// HTTP/2's first bytes (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the version of a request line looks like; `0` stands for any digit.
const VERSION: &[u8] = b"HTTP/0.0";

/// What first bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// An HTTP/1 request line.
    Http1,
    /// HTTP/2's preface.
    Http2,
    /// A TLS ClientHello.
    Tls,
    /// None of these.
    Other,
}

/// Reads first bytes one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Detector {
    seen: usize,
    may_be_tls: bool,
    may_be_preface: bool,
    line: Line,
}

/// How far a request line has come, with the bytes of the part that it is in.
#[derive(Debug, Clone, Copy)]
enum Line {
    Method(usize),
    Target(usize),
    Version(usize),
    /// It is one.
    Whole,
    /// It is none.
    Broken,
}

impl Default for Detector {
    fn default() -> Detector {
        Detector {
            seen: 0,
            may_be_tls: true,
            may_be_preface: true,
            line: Line::Method(0),
        }
    }
}

impl Detector {
    /// Reads the next bytes. What it has decided it stays by, and more bytes are not looked at.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Option<Protocol> {
        if let Some(decided) = self.decided() {
            return Some(decided);
        }
        bytes.iter().find_map(|&byte| {
            self.step(byte);
            self.decided()
        })
    }

    /// True if what was read begins a request line, its method whole, or has begun HTTP/2's preface: time is up, and it
    /// can hardly be anything else.
    pub(crate) fn leans_to_http(&self) -> bool {
        matches!(self.line, Line::Target(_) | Line::Version(_)) || (self.may_be_preface && self.seen > 0)
    }

    fn step(&mut self, byte: u8) {
        self.may_be_tls &= match self.seen {
            0 => byte == 22,
            1 => byte == 3,
            5 => byte == 1,
            _ => true,
        };
        self.may_be_preface &= PREFACE.get(self.seen) == Some(&byte);
        self.seen += 1;
        self.line = self.line.step(byte);
        if self.seen >= LINE_BYTES_MAX && !matches!(self.line, Line::Broken) {
            self.line = Line::Whole;
        }
    }

    fn decided(&self) -> Option<Protocol> {
        if self.may_be_tls && self.seen > 5 {
            return Some(Protocol::Tls);
        }
        if self.may_be_preface && self.seen == PREFACE.len() {
            return Some(Protocol::Http2);
        }
        match self.line {
            // The preface begins with what looks like a line of HTTP/1.
            _ if self.may_be_tls || self.may_be_preface => None,
            Line::Whole => Some(Protocol::Http1),
            Line::Broken => Some(Protocol::Other),
            Line::Method(_) | Line::Target(_) | Line::Version(_) => None,
        }
    }
}

impl Line {
    fn step(self, byte: u8) -> Line {
        match self {
            Line::Method(count @ 1..) if byte == b' ' => {
                debug_assert!(count <= METHOD_BYTES_MAX);
                Line::Target(0)
            }
            Line::Method(count) if count < METHOD_BYTES_MAX && is_token(byte) => Line::Method(count + 1),
            Line::Target(1..) if byte == b' ' => Line::Version(0),
            Line::Target(count) if byte.is_ascii_graphic() => Line::Target(count + 1),
            Line::Version(count) if count == VERSION.len() => match byte {
                b'\r' | b'\n' => Line::Whole,
                _ => Line::Broken,
            },
            Line::Version(count) => match (VERSION[count], byte) {
                (b'0', b'0'..=b'9') => Line::Version(count + 1),
                (expected, byte) if expected == byte && expected != b'0' => Line::Version(count + 1),
                _ => Line::Broken,
            },
            Line::Whole => Line::Whole,
            Line::Method(_) | Line::Target(_) | Line::Broken => Line::Broken,
        }
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
