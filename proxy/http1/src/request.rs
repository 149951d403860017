//! The decoder of the downstream side: bytes to requests.

use crate::body::BodyDecoder;
use crate::error::RequestError;
use crate::event::{Decoded, Event, HeadInfo, Limits};
use crate::fields::Fields;
use crate::head::RequestHead;
use crate::known::KnownName;
use crate::lines::{Keep, Section};
use crate::method::{Method, Version};
use crate::signals::{self, Signals};
use crate::target;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the request line; an empty line may still come, or has come.
    Start {
        had_empty_line: bool,
    },
    Fields,
    Body,
    Failed(RequestError),
}

/// Decodes the requests of one connection, one after the other.
///
/// It keeps no input. Pass what has been read and not been consumed, take the event, drop what was consumed, repeat
/// until [`Event::NeedMore`]. Whole lines of a head are consumed as they come, into the head passed in: pass the same
/// one until [`Event::Head`]. The first line of the next request clears it, and nothing touches it in between.
///
/// The decoder stops at [`Event::End`], so pipelined requests are taken one by one. It fails for good: after an error
/// every call returns that error. After the head of a CONNECT or of an accepted upgrade, what follows is the caller's.
#[derive(Debug)]
pub struct RequestDecoder {
    limits: Limits,
    state: State,
    section: Section,
    signals: Signals,
    body: BodyDecoder,
}

impl RequestDecoder {
    /// A decoder at the start of a connection.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Start {
                had_empty_line: false,
            },
            section: Section::default(),
            signals: Signals::default(),
            body: BodyDecoder::new(),
        }
    }

    /// The next event in `input`.
    pub fn decode(&mut self, input: &[u8], head: &mut RequestHead) -> Result<Decoded, RequestError> {
        let result = match self.state {
            State::Start { had_empty_line } => self.decode_start(input, had_empty_line, head),
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

    /// The trailers of the message at hand, from [`Event::Trailers`] until the next message's head.
    pub fn trailers(&self) -> &Fields {
        self.body.trailers()
    }

    /// Whether it is between two messages and has seen nothing of the next, but for an empty line. Bytes that the
    /// caller holds and has not passed in are not known here.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Start { .. }) && self.section.scanned == 0
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

    fn decode_start(
        &mut self,
        input: &[u8],
        had_empty_line: bool,
        head: &mut RequestHead,
    ) -> Result<Decoded, RequestError> {
        let mut start = 0;
        if !had_empty_line && self.section.scanned == 0 {
            match input {
                [b'\r', b'\n', ..] => start = 2,
                [b'\r'] => return Ok(Decoded::new(0, Event::NeedMore)),
                _ => {}
            }
            self.state = State::Start {
                had_empty_line: start > 0,
            };
        }
        let limit = self.head_bytes_max();
        let view = &input[start..input.len().min(start + limit)];
        let line_bytes = match target::read_usual_request_line(view, head) {
            Some(line_bytes) => line_bytes,
            None => {
                let Some(lf) = self.section.find_lf(view) else {
                    if view.len() == limit {
                        return Err(RequestError::RequestLineTooLarge);
                    }
                    return Ok(Decoded::new(start, Event::NeedMore));
                };
                let line = view[..lf].strip_suffix(b"\r").ok_or(RequestError::BareLf)?;
                head.clear();
                target::read_request_line(line, self.limits.accept_http_10, head)?;
                lf + 1
            }
        };
        self.signals = Signals::default();
        self.section = Section {
            bytes: line_bytes as u32,
            ..Section::default()
        };
        self.state = State::Fields;
        self.decode_fields(input, start + line_bytes, head)
    }

    fn decode_fields(
        &mut self,
        input: &[u8],
        start: usize,
        head: &mut RequestHead,
    ) -> Result<Decoded, RequestError> {
        let left = self.head_bytes_max() - self.section.bytes as usize;
        let view = &input[start..input.len().min(start + left)];
        let authority_is_set = !head.authority().is_empty();
        let (signals, fields_max) = (&mut self.signals, self.limits.fields_max);
        let (fields, authority) = head.fields_and_authority();
        let progress = self
            .section
            .read(view, fields, fields_max, signals::is_noted, |known, value| {
                let has_host = signals.has_host();
                signals.note(known, value);
                if known != KnownName::Host {
                    return Ok(Keep::Yes);
                }
                if has_host {
                    return Err(RequestError::RepeatedHost);
                }
                // The target's authority wins (RFC 9112, 3.2.2).
                let is_valid = match authority_is_set {
                    true => target::is_authority(value),
                    false => authority.set_checked(value, target::is_authority),
                };
                if !is_valid {
                    return Err(RequestError::InvalidHost);
                }
                Ok(Keep::No)
            })?;
        let consumed = start + progress.consumed;
        if progress.is_end {
            return self.finish_head(consumed, head);
        }
        if view.len() == left {
            return Err(RequestError::HeadTooLarge);
        }
        Ok(Decoded::new(consumed, Event::NeedMore))
    }

    fn finish_head(&mut self, consumed: usize, head: &RequestHead) -> Result<Decoded, RequestError> {
        let (signals, version) = (self.signals, head.version);
        let framing = signals.framing(version)?;
        if version == Version::Http11 && !signals.has_host() {
            return Err(RequestError::MissingHost);
        }
        if signals.has_unknown_expectation() {
            return Err(RequestError::UnknownExpectation);
        }
        // Whether bytes after a CONNECT are its body or the tunnel's would be read in two ways.
        if head.method == Method::Connect && !framing.is_empty() {
            return Err(RequestError::BodyOnConnect);
        }
        let info = HeadInfo {
            framing,
            keep_alive: signals.keep_alive(version),
            expect_continue: signals.expect_continue(version) && !framing.is_empty(),
            upgrade: signals.upgrade(version),
            te_trailers: signals.te_trailers(),
        };
        self.body.begin(framing);
        self.state = State::Body;
        Ok(Decoded::new(consumed, Event::Head(info)))
    }

    fn decode_body(&mut self, input: &[u8]) -> Result<Decoded, RequestError> {
        let decoded = self.body.decode(input, &self.limits)?;
        if decoded.event == Event::End {
            self.end();
        }
        Ok(decoded)
    }

    fn end(&mut self) {
        self.state = State::Start {
            had_empty_line: false,
        };
        self.section = Section::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_whole_where_a_refusal_says_so() {
        for (text, expected) in [
            ("GET / HTTP/1.1\r\n", RequestError::MissingHost),
            (
                "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n",
                RequestError::BothLengths,
            ),
            (
                "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n",
                RequestError::InvalidContentLength,
            ),
            (
                "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n",
                RequestError::RepeatedContentLength,
            ),
            (
                "GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
                RequestError::RepeatedTransferEncoding,
            ),
            (
                "GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n",
                RequestError::UnknownTransferCoding,
            ),
            (
                "GET / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n",
                RequestError::TransferEncodingInHttp10,
            ),
            (
                "GET / HTTP/1.1\r\nhost: a\r\nexpect: b\r\n",
                RequestError::UnknownExpectation,
            ),
            (
                "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\ncontent-length: 1\r\n",
                RequestError::BodyOnConnect,
            ),
            (
                "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n",
                RequestError::RepeatedHost,
            ),
            (
                "GET / HTTP/1.1\r\nhost : a\r\n",
                RequestError::WhitespaceBeforeColon,
            ),
            ("GET /# HTTP/1.1\r\nhost: a\r\n", RequestError::FragmentInTarget),
        ] {
            let limits = Limits {
                accept_http_10: true,
                ..Limits::default()
            };
            let mut head = RequestHead::new();
            let message = format!("{text}x-last: 1\r\n\r\n");
            let error = RequestDecoder::new(limits).decode(message.as_bytes(), &mut head);
            assert_eq!(error.unwrap_err(), expected, "{text}");
            let is_whole = head.fields.find("x-last").is_some();
            assert_eq!(expected.has_whole_head(), is_whole, "{text}");
        }
    }

    #[test]
    fn an_end_is_taken_once_and_only_where_it_is_next() {
        let mut decoder = RequestDecoder::new(Limits::default());
        let mut head = RequestHead::new();
        for (message, body_bytes) in [
            (&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..], 0),
            (b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc", 3),
        ] {
            assert!(!decoder.take_end());
            let decoded = decoder.decode(message, &mut head).unwrap();
            assert!(matches!(decoded.event, Event::Head(_)));
            if body_bytes > 0 {
                assert!(!decoder.take_end());
                let body = decoder.decode(&message[decoded.consumed..], &mut head).unwrap();
                assert_eq!(body.consumed, body_bytes);
            }
            assert!(decoder.take_end() && !decoder.take_end());
            assert!(decoder.is_idle());
        }
    }
}
