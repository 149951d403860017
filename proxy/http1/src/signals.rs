//! What the fields of a head say about framing and connection, on either side.
//!
//! It collects while lines are read and judges at the end, so that the verdict does not depend on the fields' order.

use crate::error::Fault;
use crate::event::Framing;
use crate::known::KnownName;
use crate::method::Version;
use crate::scan;

/// Whether a name is one of those that are noted in every head.
#[inline(always)]
pub(crate) const fn is_noted(known: KnownName) -> bool {
    // They are the first of all, so that this is one comparison for each field.
    known as u8 <= KnownName::Expect as u8
}

const _: () = {
    let noted = [
        KnownName::Host,
        KnownName::Connection,
        KnownName::ContentLength,
        KnownName::TransferEncoding,
        KnownName::Te,
        KnownName::Upgrade,
        KnownName::Expect,
    ];
    let mut at = 0;
    while at < noted.len() {
        assert!(is_noted(noted[at]));
        at += 1;
    }
};

const CHUNKED: u16 = 1;
const UNKNOWN_CODING: u16 = 1 << 1;
const CLOSE: u16 = 1 << 2;
const KEEP_ALIVE: u16 = 1 << 3;
const NAMES_UPGRADE: u16 = 1 << 4;
const UPGRADE: u16 = 1 << 5;
const EXPECT_CONTINUE: u16 = 1 << 6;
const EXPECT_UNKNOWN: u16 = 1 << 7;
const TE_TRAILERS: u16 = 1 << 8;
const HOST: u16 = 1 << 9;
const REPEATED_CODING: u16 = 1 << 10;
const REPEATED_LENGTH: u16 = 1 << 11;
const INVALID_LENGTH: u16 = 1 << 12;

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Signals {
    content_length: Option<u64>,
    flags: u16,
}

impl Signals {
    /// Takes a field's value into account; of `host` only that it was there.
    pub(crate) fn note(&mut self, known: KnownName, value: &[u8]) {
        self.flags |= match known {
            KnownName::Host => HOST,
            KnownName::ContentLength => self.content_length(value),
            KnownName::TransferEncoding => self.transfer_encoding(value),
            KnownName::Connection => connection(value),
            KnownName::Upgrade => UPGRADE,
            KnownName::Expect if value.eq_ignore_ascii_case(b"100-continue") => EXPECT_CONTINUE,
            KnownName::Expect => EXPECT_UNKNOWN,
            KnownName::Te => te(value),
            _ => 0,
        };
    }

    fn content_length(&mut self, value: &[u8]) -> u16 {
        if self.content_length.is_some() || self.has(INVALID_LENGTH) {
            return REPEATED_LENGTH;
        }
        self.content_length = parse_length(value);
        if self.content_length.is_none() {
            INVALID_LENGTH
        } else {
            0
        }
    }

    fn transfer_encoding(&self, value: &[u8]) -> u16 {
        if self.has(CHUNKED | UNKNOWN_CODING) {
            REPEATED_CODING
        } else if value.eq_ignore_ascii_case(b"chunked") {
            CHUNKED
        } else {
            UNKNOWN_CODING
        }
    }

    fn has(self, flags: u16) -> bool {
        self.flags & flags != 0
    }

    pub(crate) fn has_host(self) -> bool {
        self.has(HOST)
    }

    /// The body that the fields announce; `None` if they announce none.
    pub(crate) fn framing(self, version: Version) -> Result<Framing, Fault> {
        const UNUSUAL: u16 = UNKNOWN_CODING | REPEATED_CODING | REPEATED_LENGTH | INVALID_LENGTH;
        if self.has(UNUSUAL | CHUNKED) {
            self.check(version)?;
            return Ok(Framing::Chunked);
        }
        Ok(self.content_length.map_or(Framing::None, Framing::Length))
    }

    fn check(self, version: Version) -> Result<(), Fault> {
        let has_length = self.content_length.is_some() || self.has(INVALID_LENGTH);
        if has_length && self.has(CHUNKED | UNKNOWN_CODING) {
            Err(Fault::BothLengths)
        } else if self.has(REPEATED_LENGTH) {
            Err(Fault::RepeatedContentLength)
        } else if self.has(INVALID_LENGTH) {
            Err(Fault::InvalidContentLength)
        } else if version == Version::Http10 {
            Err(Fault::TransferEncodingInHttp10)
        } else if self.has(REPEATED_CODING) {
            Err(Fault::RepeatedTransferEncoding)
        } else if self.has(UNKNOWN_CODING) {
            Err(Fault::UnknownTransferCoding)
        } else {
            Ok(())
        }
    }

    /// Whether the connection persists by what both version and fields say (RFC 9112, 9.3).
    pub(crate) fn keep_alive(self, version: Version) -> bool {
        !self.has(CLOSE) && (version == Version::Http11 || self.has(KEEP_ALIVE))
    }

    /// Whether an upgrade is asked for; HTTP/1.0 cannot (RFC 9110, 7.8).
    pub(crate) fn upgrade(self, version: Version) -> bool {
        version == Version::Http11 && self.has(UPGRADE) && self.has(NAMES_UPGRADE)
    }

    pub(crate) fn expect_continue(self, version: Version) -> bool {
        version == Version::Http11 && self.has(EXPECT_CONTINUE)
    }

    pub(crate) fn has_unknown_expectation(self) -> bool {
        self.has(EXPECT_UNKNOWN)
    }

    pub(crate) fn te_trailers(self) -> bool {
        self.has(TE_TRAILERS)
    }
}

/// Digits only, and no more than a `u64` holds.
fn parse_length(value: &[u8]) -> Option<u64> {
    /// So many digits are less than 2^64 in any case.
    const SAFE_DIGITS: usize = 19;
    let (safe, rest) = value.split_at(value.len().min(SAFE_DIGITS));
    let mut length = 0;
    for byte in safe {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        length = length * 10 + digit as u64;
    }
    for byte in rest {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        length = length.checked_mul(10)?.checked_add(digit as u64)?;
    }
    (!value.is_empty()).then_some(length)
}

fn connection(value: &[u8]) -> u16 {
    // Nearly every value has one member.
    match connection_option(value) {
        0 => scan::list_members(value)
            .map(connection_option)
            .fold(0, |flags, flag| flags | flag),
        flag => flag,
    }
}

/// Whether a `connection` value is `keep-alive` or `close` and nothing else.
#[inline]
pub(crate) fn is_persistence(value: &[u8]) -> bool {
    connection_option(value) & (KEEP_ALIVE | CLOSE) != 0
}

#[inline]
fn connection_option(option: &[u8]) -> u16 {
    match *option {
        [b0, b1, b2, b3, b4, b5, b6, b7, b8, b9] => {
            let start = u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]);
            let is_start = scan::lower_word(start) == u64::from_le_bytes(*b"keep-ali");
            if is_start && [b8, b9].eq_ignore_ascii_case(b"ve") {
                KEEP_ALIVE
            } else {
                0
            }
        }
        [_, _, _, _, _] if option.eq_ignore_ascii_case(b"close") => CLOSE,
        [_, _, _, _, _, _, _] if option.eq_ignore_ascii_case(b"upgrade") => NAMES_UPGRADE,
        _ => 0,
    }
}

fn te(value: &[u8]) -> u16 {
    if names_trailers(value) { TE_TRAILERS } else { 0 }
}

/// Whether a `te` value has the member `trailers`, with or without parameters.
pub(crate) fn names_trailers(value: &[u8]) -> bool {
    scan::list_members(value).any(|member| {
        let name = member.split(|&b| b == b';').next().unwrap_or_default();
        scan::trim(name).eq_ignore_ascii_case(b"trailers")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_plain_digits_within_64_bits() {
        assert_eq!(parse_length(b"0"), Some(0));
        assert_eq!(parse_length(b"007"), Some(7));
        assert_eq!(parse_length(b"18446744073709551615"), Some(u64::MAX));
        for bad in [
            "",
            "18446744073709551616",
            "+1",
            "-1",
            "1 ",
            "1,1",
            "0x1",
            "1.0",
            "1_0",
            "\u{661}",
        ] {
            assert_eq!(parse_length(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn the_verdict_does_not_depend_on_the_order() {
        let coding = (KnownName::TransferEncoding, "gzip");
        let length = (KnownName::ContentLength, "x");
        for order in [[coding, length], [length, coding]] {
            let mut signals = Signals::default();
            order
                .iter()
                .for_each(|(known, value)| signals.note(*known, value.as_bytes()));
            assert_eq!(signals.framing(Version::Http11), Err(Fault::BothLengths));
        }
    }

    #[test]
    fn te_finds_trailers_among_others() {
        assert!(names_trailers(b"gzip;q=0.5, Trailers"));
        assert!(names_trailers(b"trailers;q=1"));
        assert!(!names_trailers(b"trailersx, gzip"));
    }
}
