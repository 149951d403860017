//! A strict HTTP/1 codec for both sides, as a state machine over bytes.
//!
//! Bytes go in, events come out ([`RequestDecoder`], [`ResponseDecoder`]); heads and bodies go in, bytes come out
//! ([`encode_request_head`], [`encode_response_head`], [`BodyEncoder`]). The caller owns every socket and every
//! buffer: a decoder remembers where it is in a message and nothing else, so an idle connection costs its size.
//!
//! What could be read in two ways is refused, with a reason that has a status ([`RequestError::status`]) and a name
//! for metrics and logs ([`RequestError::reason`]).
//!
//! What this crate never does: I/O, timeouts, policy, connection reuse, and repairing of malformed messages.
//!
//! # Choices where RFC 9112 leaves one
//! - One empty line (CRLF) before a request line is ignored, a second one is refused; none before a status line.
//! - A line is judged when it is whole, so that any split of the input gives the same events and the same error.
//! - A repeated `content-length` is refused even if the values agree, and so is a list of values.
//! - `transfer-encoding` is `chunked`, once, or refused; chunk sizes have at most 16 digits and no whitespace.
//! - A trailer section that names framing, routing or credentials is refused; see [`RequestError::ForbiddenTrailer`].
//! - Only `http` and `https` are taken in absolute-form; an authority has no userinfo, no empty host and no empty port.
//! - A status line may end right after the three digits; the reason phrase is checked and forgotten.
#![deny(unsafe_code)] // Allowed in `blocks` alone.

mod blocks;
mod body;
mod body_encoder;
mod encode;
mod error;
mod event;
mod fields;
mod head;
mod hop_by_hop;
mod known;
mod lines;
mod method;
mod request;
mod response;
mod scan;
mod signals;
mod status;
mod target;

pub use body_encoder::{BodyEncoder, BodyLengthError};
pub use encode::{encode_request_head, encode_response_head};
pub use error::{RequestError, ResponseError};
pub use event::{Decoded, Event, Framing, HeadInfo, Limits};
pub use fields::{Field, Fields};
pub use head::{RequestHead, ResponseHead};
pub use hop_by_hop::strip_hop_by_hop;
pub use known::{KnownName, KnownSet};
pub use method::{Method, TargetForm, Version};
pub use request::RequestDecoder;
pub use response::ResponseDecoder;
pub use status::reason_phrase;
pub use target::is_authority;
