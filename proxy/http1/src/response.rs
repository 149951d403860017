//! The decoder of the upstream side: bytes to answers.

use crate::body::BodyDecoder;
use crate::error::ResponseError;
use crate::event::{Decoded, Event, Framing, HeadInfo, Limits};
use crate::fields::Fields;
use crate::head::ResponseHead;
use crate::lines::{Keep, Section};
use crate::method::Method;
use crate::scan;
use crate::signals::{self, Signals};
use crate::target;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No answer is due.
    Idle,
    StatusLine,
    Fields,
    Body,
    /// What follows is no HTTP/1: 101, or 2xx to CONNECT.
    Tunnel,
    Failed(ResponseError),
}

/// What of the request decides how its answer is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Head,
    Connect,
    Other,
}

/// Decodes the answers of one connection, one after the other, each after its [`begin`](Self::begin).
///
/// It keeps no input; input and head are passed as to [`RequestDecoder`](crate::RequestDecoder). It fails for good:
/// after an error every call returns that error.
#[derive(Debug)]
pub struct ResponseDecoder {
    limits: Limits,
    state: State,
    asked: Asked,
    informational: u32,
    section: Section,
    signals: Signals,
    body: BodyDecoder,
}

impl ResponseDecoder {
    /// A decoder at the start of a connection, with no answer due: bytes are an error until [`begin`](Self::begin).
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Idle,
            asked: Asked::Other,
            informational: 0,
            section: Section::default(),
            signals: Signals::default(),
            body: BodyDecoder::new(),
        }
    }

    /// Makes an answer due, to a request of this method. The one before must be over.
    pub fn begin(&mut self, request_method: &Method) {
        debug_assert!(
            matches!(self.state, State::Idle | State::Failed(_)),
            "answers do not overlap"
        );
        if self.state == State::Idle {
            self.state = State::StatusLine;
            self.informational = 0;
            self.section = Section::default();
            self.asked = match request_method {
                Method::Head => Asked::Head,
                Method::Connect => Asked::Connect,
                _ => Asked::Other,
            };
        }
    }

    /// The next event in `input`.
    ///
    /// Bytes when no answer is due are [`ResponseError::UnexpectedBytes`]; no bytes are [`Event::NeedMore`] then.
    pub fn decode(&mut self, input: &[u8], head: &mut ResponseHead) -> Result<Decoded, ResponseError> {
        let result = match self.state {
            State::Idle | State::Tunnel if input.is_empty() => Ok(Decoded::new(0, Event::NeedMore)),
            State::Idle | State::Tunnel => Err(ResponseError::UnexpectedBytes),
            State::StatusLine => self.decode_start(input, head),
            State::Fields => self.decode_fields(input, 0, head),
            State::Body => self.decode_body(input),
            State::Failed(error) => Err(error),
        };
        if let Err(error) = result {
            self.state = State::Failed(error);
        }
        result
    }

    /// Takes [`Event::End`], if that is next, as [`decode`](Self::decode) would give it: at once after the head of a
    /// message without a body, and after the last byte of one whose length was known.
    #[inline]
    pub fn take_end(&mut self) -> bool {
        let is_over = matches!(self.state, State::Body) && self.body.is_over();
        if is_over {
            self.end();
        }
        is_over
    }

    /// The connection was closed by the upstream, and all input before that was decoded.
    ///
    /// Right between two answers, in a tunnel, and as the end of a body that is framed so: such a body is then over,
    /// without an [`Event::End`]. [`ResponseError::Truncated`] anywhere else.
    pub fn eof(&mut self) -> Result<(), ResponseError> {
        let result = match self.state {
            State::Idle | State::Tunnel => Ok(()),
            State::Body if self.body.is_until_close() => {
                self.state = State::Idle;
                Ok(())
            }
            State::Failed(error) => Err(error),
            State::StatusLine | State::Fields | State::Body => Err(ResponseError::Truncated),
        };
        if let Err(error) = result {
            self.state = State::Failed(error);
        }
        result
    }

    /// The trailers of the message at hand, from [`Event::Trailers`] until the next message's head.
    pub fn trailers(&self) -> &Fields {
        self.body.trailers()
    }

    /// Whether no answer is due: bytes that come now were not asked for.
    pub fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// Gives back the memory of the trailers; for connections that go idle.
    pub fn release(&mut self) {
        self.body.release();
    }

    /// Back to the start of a connection.
    pub fn reset(&mut self) {
        let limits = self.limits.clone();
        *self = Self::new(limits);
    }

    fn head_bytes_max(&self) -> usize {
        self.limits.head_bytes_max.min(Limits::HEAD_BYTES_CEILING) as usize
    }

    fn decode_start(&mut self, input: &[u8], head: &mut ResponseHead) -> Result<Decoded, ResponseError> {
        let limit = self.head_bytes_max();
        let view = &input[..input.len().min(limit)];
        let line_bytes = match read_usual_status_line(view, head) {
            Some(line_bytes) => line_bytes,
            None => {
                let Some(lf) = self.section.find_lf(view) else {
                    if view.len() == limit {
                        return Err(ResponseError::HeadTooLarge);
                    }
                    return Ok(Decoded::new(0, Event::NeedMore));
                };
                let line = view[..lf].strip_suffix(b"\r").ok_or(ResponseError::BareLf)?;
                head.clear();
                read_status_line(line, head)?;
                lf + 1
            }
        };
        self.signals = Signals::default();
        self.section = Section {
            bytes: line_bytes as u32,
            ..Section::default()
        };
        self.state = State::Fields;
        self.decode_fields(input, line_bytes, head)
    }

    fn decode_fields(
        &mut self,
        input: &[u8],
        start: usize,
        head: &mut ResponseHead,
    ) -> Result<Decoded, ResponseError> {
        let left = self.head_bytes_max() - self.section.bytes as usize;
        let view = &input[start..input.len().min(start + left)];
        let signals = &mut self.signals;
        let fields_max = self.limits.fields_max;
        let progress = self.section.read(
            view,
            &mut head.fields,
            fields_max,
            signals::is_noted,
            |known, value| {
                signals.note(known, value);
                Ok::<_, ResponseError>(Keep::Yes)
            },
        )?;
        let consumed = start + progress.consumed;
        if progress.is_end {
            return self.finish_head(consumed, head);
        }
        if view.len() == left {
            return Err(ResponseError::HeadTooLarge);
        }
        Ok(Decoded::new(consumed, Event::NeedMore))
    }

    fn finish_head(&mut self, consumed: usize, head: &ResponseHead) -> Result<Decoded, ResponseError> {
        let announced = self.signals.framing(head.version)?;
        if (head.status < 200 || head.status == 204) && !announced.is_empty() {
            return Err(ResponseError::BodyOnBodiless);
        }
        if head.status < 200 && head.status != 101 {
            self.informational += 1;
            if self.informational > self.limits.informational_max {
                return Err(ResponseError::TooManyInformational);
            }
            self.section = Section::default();
            self.state = State::StatusLine;
            return Ok(Decoded::new(consumed, Event::Informational));
        }
        // It must say what it switches to, in `upgrade` and `connection` (RFC 9110, 7.8).
        if head.status == 101 && !self.signals.upgrade(head.version) {
            return Err(ResponseError::InvalidUpgrade);
        }
        let is_tunnel = head.status == 101 || (self.asked == Asked::Connect && head.status < 300);
        let framing = self.framing(head.status, is_tunnel, announced);
        self.body.begin(framing);
        self.state = if is_tunnel { State::Tunnel } else { State::Body };
        let info = HeadInfo {
            framing,
            keep_alive: self.signals.keep_alive(head.version) && framing != Framing::UntilClose && !is_tunnel,
            expect_continue: false,
            upgrade: is_tunnel,
            te_trailers: self.signals.te_trailers(),
        };
        Ok(Decoded::new(consumed, Event::Head(info)))
    }

    /// The rules of RFC 9112, 6.3, in their order.
    fn framing(&self, status: u16, is_tunnel: bool, announced: Framing) -> Framing {
        match announced {
            _ if self.asked == Asked::Head || is_tunnel || matches!(status, 204 | 304) => Framing::None,
            Framing::None => Framing::UntilClose,
            announced => announced,
        }
    }

    fn decode_body(&mut self, input: &[u8]) -> Result<Decoded, ResponseError> {
        let decoded = self.body.decode(input, &self.limits)?;
        if decoded.event == Event::End {
            self.end();
        }
        Ok(decoded)
    }

    fn end(&mut self) {
        self.state = State::Idle;
    }
}

/// Reads the status line that `view` starts with, if it is as nearly all are: HTTP/1.1, a phrase without tabs. Gives
/// its bytes with CRLF. The head is untouched if it is not.
#[inline(always)]
fn read_usual_status_line(view: &[u8], head: &mut ResponseHead) -> Option<usize> {
    let (start, rest) = view.split_first_chunk::<13>()?;
    let [
        b'H',
        b'T',
        b'T',
        b'P',
        b'/',
        b'1',
        b'.',
        b'1',
        b' ',
        hundreds,
        tens,
        ones,
        b' ',
    ] = *start
    else {
        return None;
    };
    let end = scan::first_control(rest, 0);
    if rest.get(end..end + 2) != Some(b"\r\n") {
        return None;
    }
    let digits = [hundreds, tens, ones].map(|digit| digit.wrapping_sub(b'0'));
    if digits[0] == 0 || digits.iter().any(|digit| *digit > 9) {
        return None;
    }
    head.clear();
    head.status = digits.iter().fold(0, |value, digit| value * 10 + *digit as u16);
    Some(start.len() + end + 2)
}

/// Reads a status line, without its CRLF, into a cleared head.
fn read_status_line(line: &[u8], head: &mut ResponseHead) -> Result<(), ResponseError> {
    read_status(line, head).map_err(|error| match error {
        _ if line.contains(&0) => ResponseError::NulByte,
        _ if line.contains(&b'\r') => ResponseError::BareCr,
        other => other,
    })
}

fn read_status(line: &[u8], head: &mut ResponseHead) -> Result<(), ResponseError> {
    let version_end = memchr::memchr(b' ', line).ok_or(ResponseError::InvalidStatusLine)?;
    head.version = target::parse_version(&line[..version_end])?;
    let (status, reason) = line[version_end + 1..]
        .split_first_chunk::<3>()
        .ok_or(ResponseError::InvalidStatus)?;
    if !status.iter().all(u8::is_ascii_digit) || status[0] == b'0' {
        return Err(ResponseError::InvalidStatus);
    }
    head.status = status
        .iter()
        .fold(0, |value, digit| value * 10 + (digit - b'0') as u16);
    match reason {
        [] | [b' '] => Ok(()),
        [b' ', text @ ..] if scan::is_value(text) => Ok(()),
        [b'0'..=b'9', ..] => Err(ResponseError::InvalidStatus),
        _ => Err(ResponseError::InvalidStatusLine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_status_lines_are_read_as_all_are() {
        let mut usual_lines = 0;
        for version in ["HTTP/1.1", "HTTP/1.0", "http/1.1"] {
            for status in ["200", "999", "099", "2x0", "20", "2000", "20\u{7f}"] {
                for reason in [
                    "",
                    " ",
                    " OK",
                    " a longer phrase than a block",
                    " a\tb",
                    " \0",
                    " é",
                    "x",
                ] {
                    for end in ["\r\n", "\n", "\r\r\n", ""] {
                        let line = format!("{version} {status}{reason}{end}");
                        let (mut usual, mut other) = (ResponseHead::new(), ResponseHead::new());
                        let Some(length) = read_usual_status_line(line.as_bytes(), &mut usual) else {
                            assert_eq!(usual, ResponseHead::new());
                            continue;
                        };
                        let stripped = &line.as_bytes()[..line.len() - 2];
                        assert_eq!(read_status_line(stripped, &mut other), Ok(()), "{line:?}");
                        assert_eq!((length, usual), (line.len(), other));
                        usual_lines += 1;
                    }
                }
            }
        }
        assert_eq!(usual_lines, 2 * 4, "two statuses, four phrases");
    }
}
