//! Bodies to bytes: chunk framing around data that need not be copied, and the count of bytes that were promised.

use thiserror::Error;

use crate::body::UNSENT_TRAILERS;
use crate::event::Framing;
use crate::fields::Fields;

/// The body is not as long as its head promised. Close the connection: the peer would misread what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BodyLengthError {
    /// More bytes than `content-length`, or any where there is no body.
    #[error("the body is longer than was promised")]
    TooLong,
    /// Fewer bytes than `content-length`.
    #[error("the body is shorter than was promised")]
    TooShort,
}

/// Frames one body. Errors leave `out` as it was.
#[derive(Clone, Debug)]
pub struct BodyEncoder {
    framing: Framing,
    /// Of a length, the bytes still to come.
    left: u64,
}

impl BodyEncoder {
    /// For a body whose head was encoded with this framing.
    pub fn new(framing: Framing) -> Self {
        let left = if let Framing::Length(length) = framing {
            length
        } else {
            0
        };
        Self { framing, left }
    }

    /// What goes before `length` bytes of data, which the caller then sends by itself. Nothing for no data.
    pub fn begin(&mut self, length: usize, out: &mut Vec<u8>) -> Result<(), BodyLengthError> {
        let more = length as u64;
        match self.framing {
            _ if more == 0 => {}
            Framing::Chunked => write_chunk_line(more, out),
            Framing::UntilClose => {}
            Framing::None | Framing::Length(_) => {
                self.left = self.left.checked_sub(more).ok_or(BodyLengthError::TooLong)?;
            }
        }
        Ok(())
    }

    /// What goes after the `length` bytes of data that [`begin`](Self::begin) was told of.
    pub fn end(&self, length: usize, out: &mut Vec<u8>) {
        if self.framing == Framing::Chunked && length > 0 {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// `begin`, the data, and `end`.
    pub fn encode(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), BodyLengthError> {
        self.begin(data.len(), out)?;
        out.extend_from_slice(data);
        self.end(data.len(), out);
        Ok(())
    }

    /// What goes after the last data. Trailers pass only in chunks, and without those that no trailer may be.
    pub fn finish(&mut self, trailers: Option<&Fields>, out: &mut Vec<u8>) -> Result<(), BodyLengthError> {
        if self.framing == Framing::Chunked {
            out.extend_from_slice(b"0\r\n");
            if let Some(trailers) = trailers {
                trailers.write_wire(UNSENT_TRAILERS, out);
            }
            out.extend_from_slice(b"\r\n");
        }
        if self.left > 0 {
            Err(BodyLengthError::TooShort)
        } else {
            Ok(())
        }
    }
}

fn write_chunk_line(size: u64, out: &mut Vec<u8>) {
    let mut line = *b"0000000000000000\r\n";
    let mut at = 16;
    let mut left = size;
    while left > 0 {
        at -= 1;
        line[at] = b"0123456789abcdef"[(left & 15) as usize];
        left >>= 4;
    }
    out.extend_from_slice(&line[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known::KnownName;

    #[test]
    fn chunks_are_framed_and_empty_data_does_not_end_the_body() {
        let (mut encoder, mut out) = (BodyEncoder::new(Framing::Chunked), Vec::new());
        for data in [&b"hello"[..], b"", &[b'x'; 26]] {
            encoder.encode(data, &mut out).unwrap();
        }
        encoder.finish(None, &mut out).unwrap();
        assert_eq!(
            out,
            b"5\r\nhello\r\n1a\r\nxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n0\r\n\r\n"
        );
    }

    #[test]
    fn chunk_lines_hold_any_size() {
        for size in [1, 15, 16, 0xabc, u64::MAX] {
            let mut out = Vec::new();
            write_chunk_line(size, &mut out);
            assert_eq!(out, format!("{size:x}\r\n").as_bytes());
        }
    }

    #[test]
    fn trailers_pass_in_chunks_only_and_without_forbidden_ones() {
        let mut trailers = Fields::new();
        trailers.push_known(KnownName::GrpcStatus, b"0");
        trailers.push_known(KnownName::ContentLength, b"7");
        trailers.push(b"x-sum", b"1");
        let mut out = Vec::new();
        BodyEncoder::new(Framing::Chunked)
            .finish(Some(&trailers), &mut out)
            .unwrap();
        assert_eq!(out, b"0\r\ngrpc-status: 0\r\nx-sum: 1\r\n\r\n");
        out.clear();
        BodyEncoder::new(Framing::Length(0))
            .finish(Some(&trailers), &mut out)
            .unwrap();
        assert_eq!(out, b"");
    }

    #[test]
    fn promised_lengths_are_held_to_the_byte() {
        let mut out = Vec::new();
        let mut exact = BodyEncoder::new(Framing::Length(5));
        exact.encode(b"hel", &mut out).unwrap();
        assert_eq!(exact.encode(b"lo!", &mut out), Err(BodyLengthError::TooLong));
        assert_eq!(
            exact.clone().finish(None, &mut out),
            Err(BodyLengthError::TooShort)
        );
        exact.encode(b"lo", &mut out).unwrap();
        assert_eq!(exact.finish(None, &mut out), Ok(()));
        assert_eq!(out, b"hello");
        assert_eq!(
            BodyEncoder::new(Framing::None).encode(b"x", &mut out),
            Err(BodyLengthError::TooLong)
        );
        assert_eq!(
            BodyEncoder::new(Framing::UntilClose).encode(b"x", &mut out),
            Ok(())
        );
    }
}
