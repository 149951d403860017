//! Message bodies as they pass through: frames in, frames out.

use bytes::Bytes;
use outrigger_http1::Fields;

/// A piece of a body.
#[derive(Debug)]
pub(crate) enum BodyFrame {
    /// Data, never empty unless `end`; `end` if it is known that nothing follows.
    Data { bytes: Bytes, end: bool },
    /// Trailers; nothing follows.
    Trailers(Box<Fields>),
    /// Nothing follows.
    End,
}

impl BodyFrame {
    /// True if nothing follows this frame.
    pub(crate) fn is_last(&self) -> bool {
        match self {
            BodyFrame::Data { end, .. } => *end,
            BodyFrame::Trailers(_) | BodyFrame::End => true,
        }
    }
}

/// What is known of a body before its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyLength {
    /// There is none.
    None,
    /// This many bytes.
    Exact(u64),
    /// It ends where it ends.
    Unknown,
}
