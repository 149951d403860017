//! What decoders are told and what they tell: limits, framing, events.

use std::ops::Range;

use crate::method::Version;

/// The bounds of what a decoder takes. All are exact: a message at the limit passes, one byte or field more does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head from the first byte of its first line to its empty line's LF, and, counted apart, of a trailer
    /// section. More than 1 GiB is taken as 1 GiB.
    pub head_bytes_max: u32,
    /// Field lines of a head, `host` included, and, counted apart, of a trailer section.
    pub fields_max: u32,
    /// Bytes of all chunk extensions of one message together, their semicolons included.
    pub chunk_extension_bytes_max: u32,
    /// Interim (1xx) answers before one final answer.
    pub informational_max: u32,
    /// Whether HTTP/1.0 requests are taken. HTTP/1.0 responses always are.
    pub accept_http_10: bool,
}

impl Limits {
    pub(crate) const HEAD_BYTES_CEILING: u32 = 1 << 30;
}

impl Default for Limits {
    /// 60 KiB and 100 fields (as Envoy), 16 KiB of extensions, 8 interim answers, no HTTP/1.0.
    fn default() -> Self {
        Self {
            head_bytes_max: 60 * 1024,
            fields_max: 100,
            chunk_extension_bytes_max: 16 * 1024,
            informational_max: 8,
            accept_http_10: false,
        }
    }
}

/// How the end of a body is told (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body, and none was announced.
    None,
    /// This many bytes.
    Length(u64),
    /// Chunks, and then perhaps trailers.
    Chunked,
    /// Until the connection closes; answers only.
    UntilClose,
}

impl Framing {
    /// Whether no byte of body can follow.
    pub fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Length(0))
    }

    /// What to send instead to a peer of `version`: HTTP/1.0 knows no chunks.
    #[must_use]
    pub fn for_peer(self, version: Version) -> Self {
        match (self, version) {
            (Self::Chunked, Version::Http10) => Self::UntilClose,
            _ => self,
        }
    }
}

/// What a head says about the message and its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadInfo {
    /// How the body ends.
    pub framing: Framing,
    /// Whether the connection may carry another message after this one.
    pub keep_alive: bool,
    /// The client waits for 100 (Continue) before it sends the body. Never of HTTP/1.0, nor where no body is to come.
    pub expect_continue: bool,
    /// Requests: an `upgrade` field that `connection` names, on HTTP/1.1. Answers: 101, or 2xx to CONNECT; what
    /// follows the head is then no HTTP/1 and not for this decoder.
    pub upgrade: bool,
    /// `te` names `trailers`.
    pub te_trailers: bool,
}

/// What a decoder found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing more can be told from this input: drop what was consumed, and call again with more after the rest.
    NeedMore,
    /// The head is whole.
    Head(HeadInfo),
    /// An interim answer (1xx but 101) is whole and in the head; the next call starts the next head.
    Informational,
    /// Bytes of the body, as a range of the input passed in. Never empty.
    Data(Range<usize>),
    /// The trailer section is whole, and not empty: see `trailers()`.
    Trailers,
    /// The message is over. Comes once after every `Head`, except one with `upgrade` in an answer.
    End,
}

/// The result of one call: what it found, and how much of the input it is done with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes at the start of the input that must not be passed again.
    pub consumed: usize,
    /// What was found in them.
    pub event: Event,
}

impl Decoded {
    pub(crate) fn new(consumed: usize, event: Event) -> Self {
        Self { consumed, event }
    }
}
