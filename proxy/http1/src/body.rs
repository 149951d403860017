//! Bodies: where they end, chunks taken off, trailers read. The same for requests and answers.

use crate::error::Fault;
use crate::event::{Decoded, Event, Framing, Limits};
use crate::fields::Fields;
use crate::known::{KnownName, KnownSet};
use crate::lines::{Keep, Section};
use crate::scan;

/// A chunk size has at most as many digits as 64 bits need.
const SIZE_DIGITS_MAX: usize = 16;

/// In a trailer these could change how the message is framed, routed or authorized after it has been: refused
/// (RFC 9110, 6.5.1).
const REFUSED_TRAILERS: KnownSet = KnownSet::of(&[
    KnownName::Host,
    KnownName::Connection,
    KnownName::ContentLength,
    KnownName::TransferEncoding,
    KnownName::Te,
    KnownName::Upgrade,
    KnownName::Expect,
    KnownName::Trailer,
    KnownName::KeepAlive,
    KnownName::ProxyConnection,
    KnownName::ProxyAuthorization,
    KnownName::Authorization,
    KnownName::Cookie,
    KnownName::Forwarded,
    KnownName::XForwardedFor,
    KnownName::XForwardedHost,
    KnownName::XForwardedPort,
    KnownName::XForwardedProto,
    KnownName::XForwardedClientCert,
]);

/// In a trailer these come too late to be heeded: dropped, as RFC 9110, 6.5.1, has a recipient do.
const DROPPED_TRAILERS: KnownSet = KnownSet::of(&[
    KnownName::CacheControl,
    KnownName::ContentEncoding,
    KnownName::ContentRange,
    KnownName::ContentType,
    KnownName::MaxForwards,
    KnownName::ProxyAuthenticate,
    KnownName::SetCookie,
    KnownName::WwwAuthenticate,
]);

/// What is never written as a trailer either.
pub(crate) const UNSENT_TRAILERS: KnownSet = REFUSED_TRAILERS.union(DROPPED_TRAILERS);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Length(u64),
    UntilClose,
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    Done,
}

#[derive(Debug)]
pub(crate) struct BodyDecoder {
    state: State,
    extension_bytes: u32,
    section: Section,
    trailers: Fields,
}

impl BodyDecoder {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Done,
            extension_bytes: 0,
            section: Section::default(),
            trailers: Fields::new(),
        }
    }

    pub(crate) fn begin(&mut self, framing: Framing) {
        self.state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkSize,
            Framing::UntilClose => State::UntilClose,
        };
        if framing == Framing::Chunked {
            self.extension_bytes = 0;
            self.section = Section::default();
        }
        if !self.trailers.is_empty() {
            self.trailers.clear();
        }
    }

    pub(crate) fn trailers(&self) -> &Fields {
        &self.trailers
    }

    pub(crate) fn release(&mut self) {
        self.trailers.release();
    }

    pub(crate) fn is_until_close(&self) -> bool {
        self.state == State::UntilClose
    }

    /// Whether `End` is next.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Done
    }

    /// The next event; `End` once the body is over, without consuming a byte after it.
    #[inline(always)]
    pub(crate) fn decode(&mut self, input: &[u8], limits: &Limits) -> Result<Decoded, Fault> {
        match self.state {
            State::Done => Ok(Decoded::new(0, Event::End)),
            State::Length(left) if !input.is_empty() => {
                let (length, left) = split(input, left);
                self.state = if left == 0 {
                    State::Done
                } else {
                    State::Length(left)
                };
                Ok(data(0, length))
            }
            State::Length(_) => Ok(Decoded::new(0, Event::NeedMore)),
            _ => self.decode_unframed(input, limits),
        }
    }

    /// `decode` of what has no length known ahead.
    #[inline(never)]
    fn decode_unframed(&mut self, input: &[u8], limits: &Limits) -> Result<Decoded, Fault> {
        let mut at = 0;
        loop {
            let rest = &input[at..];
            match self.state {
                _ if rest.is_empty() => return Ok(Decoded::new(at, Event::NeedMore)),
                State::UntilClose => return Ok(data(at, rest.len())),
                State::ChunkData(left) => {
                    let (length, left) = split(rest, left);
                    self.state = if left == 0 {
                        State::ChunkEnd
                    } else {
                        State::ChunkData(left)
                    };
                    return Ok(data(at, length));
                }
                State::ChunkEnd => match rest {
                    [b'\r', b'\n', ..] => {
                        at += 2;
                        self.state = State::ChunkSize;
                    }
                    [b'\r'] => return Ok(Decoded::new(at, Event::NeedMore)),
                    _ => return Err(Fault::InvalidChunkEnd),
                },
                State::ChunkSize => {
                    let Some((size, length)) = self.chunk_line(rest, limits)? else {
                        return Ok(Decoded::new(at, Event::NeedMore));
                    };
                    at += length;
                    self.state = if size == 0 {
                        State::Trailers
                    } else {
                        State::ChunkData(size)
                    };
                }
                State::Trailers => return self.read_trailers(input, at, limits),
                // `decode` has done these.
                State::Done | State::Length(_) => return self.decode(input, limits),
            }
        }
    }

    /// The size that the chunk line says, and the line's length.
    fn chunk_line(&mut self, rest: &[u8], limits: &Limits) -> Result<Option<(u64, usize)>, Fault> {
        let extensions_left = limits
            .chunk_extension_bytes_max
            .saturating_sub(self.extension_bytes) as usize;
        let line_max = SIZE_DIGITS_MAX + extensions_left + 2;
        let view = &rest[..rest.len().min(line_max)];
        let Some(lf) = self.section.find_lf(view) else {
            return match view.contains(&b';') {
                _ if view.len() < line_max => Ok(None),
                true => Err(Fault::ChunkExtensionsTooLarge),
                false => Err(Fault::InvalidChunkSize),
            };
        };
        let line = view[..lf].strip_suffix(b"\r").ok_or(Fault::BareLf)?;
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        if digits == 0 || digits > SIZE_DIGITS_MAX {
            return Err(Fault::InvalidChunkSize);
        }
        let size = line[..digits]
            .iter()
            .fold(0, |size, &digit| size << 4 | hex_value(digit));
        let extensions = &line[digits..];
        if !extensions.is_empty() {
            if extensions[0] != b';' {
                return Err(if extensions[0] == b'\r' {
                    Fault::BareCr
                } else {
                    Fault::InvalidChunkSize
                });
            }
            if extensions.len() > extensions_left {
                return Err(Fault::ChunkExtensionsTooLarge);
            }
            check_extensions(extensions)?;
            self.extension_bytes += extensions.len() as u32;
        }
        Ok(Some((size, lf + 1)))
    }

    fn read_trailers(&mut self, input: &[u8], at: usize, limits: &Limits) -> Result<Decoded, Fault> {
        let left = limits.head_bytes_max.min(Limits::HEAD_BYTES_CEILING) - self.section.bytes;
        let view = &input[at..input.len().min(at + left as usize)];
        let section = &mut self.section;
        let progress = section.read(
            view,
            &mut self.trailers,
            limits.fields_max,
            |known| UNSENT_TRAILERS.contains(known),
            |known, _| {
                if REFUSED_TRAILERS.contains(known) {
                    Err(Fault::ForbiddenTrailer)
                } else {
                    Ok(Keep::No)
                }
            },
        );
        let progress = progress.map_err(|fault| match fault {
            Fault::TooManyFields => Fault::TooManyTrailers,
            Fault::HeadTooLarge => Fault::TrailersTooLarge,
            other => other,
        })?;
        let consumed = at + progress.consumed;
        if progress.is_end {
            self.state = State::Done;
            let event = if self.trailers.is_empty() {
                Event::End
            } else {
                Event::Trailers
            };
            return Ok(Decoded::new(consumed, event));
        }
        if view.len() == left as usize {
            return Err(Fault::TrailersTooLarge);
        }
        Ok(Decoded::new(consumed, Event::NeedMore))
    }
}

fn data(at: usize, length: usize) -> Decoded {
    Decoded::new(at + length, Event::Data(at..at + length))
}

/// How many bytes of `rest` belong to a body part of `left` bytes, and how many are then left.
fn split(rest: &[u8], left: u64) -> (usize, u64) {
    let length = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
    (length, left - length as u64)
}

fn hex_value(digit: u8) -> u64 {
    let value = if digit.is_ascii_digit() {
        digit - b'0'
    } else {
        (digit | 0x20) - b'a' + 10
    };
    value as u64
}

/// `*( ";" name [ "=" ( token / quoted-string ) ] )` of RFC 9112, 7.1.1, without its bad whitespace.
fn check_extensions(bytes: &[u8]) -> Result<(), Fault> {
    let mut rest = bytes;
    while let Some(after) = rest.strip_prefix(b";") {
        rest = skip_token(after)?;
        let Some(value) = rest.strip_prefix(b"=") else {
            continue;
        };
        rest = match value.strip_prefix(b"\"") {
            Some(quoted) => skip_quoted(quoted)?,
            None => skip_token(value)?,
        };
    }
    match rest {
        [] => Ok(()),
        [b'\r', ..] => Err(Fault::BareCr),
        _ => Err(Fault::InvalidChunkExtension),
    }
}

fn skip_token(bytes: &[u8]) -> Result<&[u8], Fault> {
    let length = bytes
        .iter()
        .take_while(|&&b| scan::TOKEN_LOWER[b as usize] != 0)
        .count();
    if length == 0 {
        Err(Fault::InvalidChunkExtension)
    } else {
        Ok(&bytes[length..])
    }
}

fn skip_quoted(mut bytes: &[u8]) -> Result<&[u8], Fault> {
    loop {
        bytes = match bytes {
            [b'"', rest @ ..] => return Ok(rest),
            [b'\\', escaped, rest @ ..] if scan::is_value(&[*escaped]) => rest,
            [b'\\', ..] => return Err(Fault::InvalidChunkExtension),
            [b'\r', ..] => return Err(Fault::BareCr),
            [byte, rest @ ..] if scan::is_value(&[*byte]) => rest,
            _ => return Err(Fault::InvalidChunkExtension),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_follow_the_grammar_without_whitespace() {
        for good in [
            "",
            ";a",
            ";a=b",
            ";a;b=c;d",
            ";a=\"b c;\\\" \\\\\t\";x",
            ";a=\"\"",
        ] {
            assert_eq!(check_extensions(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in [
            ";",
            ";;",
            ";a=",
            ";=b",
            ";a b",
            "; a",
            ";a =b",
            ";a=\"b",
            ";a=\"b\"c",
            ";a=\"\0\"",
            ";a=\"\\",
            ";a[",
            "x",
        ] {
            assert_eq!(
                check_extensions(bad.as_bytes()),
                Err(Fault::InvalidChunkExtension),
                "{bad}"
            );
        }
        assert_eq!(check_extensions(b";a\rb"), Err(Fault::BareCr));
        assert_eq!(check_extensions(b";a=\"\r\""), Err(Fault::BareCr));
    }

    #[test]
    fn hex_digits_have_their_values() {
        for (digits, value) in [("0", 0), ("9", 9), ("a", 10), ("F", 15)] {
            assert_eq!(hex_value(digits.as_bytes()[0]), value);
        }
    }
}
