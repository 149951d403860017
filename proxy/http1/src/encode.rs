//! Heads to bytes. Framing fields are written from the framing, never from what the head may hold of them.
//!
//! The fields are written as they are: hop-by-hop ones are the caller's to drop before (see `strip_hop_by_hop`), and
//! those of an upgrade the caller's to add.

use crate::event::Framing;
use crate::head::{RequestHead, ResponseHead};
use crate::known::{KnownName, KnownSet};
use crate::method::{Method, Version};
use crate::status;

const FRAMING: KnownSet = KnownSet::of(&[KnownName::ContentLength, KnownName::TransferEncoding]);
const REQUEST_SKIPPED: KnownSet = FRAMING.union(KnownSet::of(&[KnownName::Host]));
const CODING: KnownSet = KnownSet::of(&[KnownName::TransferEncoding]);

/// Appends a request's head in HTTP/1.1: origin-form, or authority-form for CONNECT and `*` for OPTIONS of `*`; then
/// `host`, the fields, and what `framing` asks for.
///
/// [`Framing::None`] writes no length; [`Framing::UntilClose`] is not for requests, which is asserted in debug builds.
#[inline]
pub fn encode_request_head(head: &RequestHead, framing: Framing, out: &mut Vec<u8>) {
    debug_assert!(
        framing != Framing::UntilClose,
        "requests do not end with the connection"
    );
    let target = match (&head.method, head.path_and_query()) {
        (Method::Connect, _) => head.authority(),
        (_, "") => "/",
        (_, target) => target,
    };
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    out.extend_from_slice(head.authority().as_bytes());
    out.extend_from_slice(b"\r\n");
    head.fields.write_wire(REQUEST_SKIPPED, out);
    end_head(framing, out);
}

/// Appends an answer's head in HTTP/1.1: the status with its usual phrase, the fields, what `framing` asks for, and
/// `connection: close` if `close`, or else `connection: keep-alive` to an HTTP/1.0 peer.
///
/// [`Framing::None`] is for answers without a body whatever their fields say: to HEAD, and 304. Their `content-length`
/// passes; that of 1xx and 204 does not. [`Framing::UntilClose`] says `close` in any case. Interim answers and 101 get
/// no `connection`. For an HTTP/1.0 peer take [`Framing::for_peer`] first.
pub fn encode_response_head(
    head: &ResponseHead,
    framing: Framing,
    request_version: Version,
    close: bool,
    out: &mut Vec<u8>,
) {
    debug_assert!(
        framing == framing.for_peer(request_version),
        "HTTP/1.0 knows no chunks"
    );
    status::write_status_line(head.status, out);
    let is_bodiless = head.status < 200 || head.status == 204;
    let keeps_length = framing == Framing::None && !is_bodiless;
    head.fields
        .write_wire(if keeps_length { CODING } else { FRAMING }, out);
    if head.status >= 200 {
        if close || framing == Framing::UntilClose {
            out.extend_from_slice(b"connection: close\r\n");
        } else if request_version == Version::Http10 {
            out.extend_from_slice(b"connection: keep-alive\r\n");
        }
    }
    end_head(if is_bodiless { Framing::None } else { framing }, out);
}

fn end_head(framing: Framing, out: &mut Vec<u8>) {
    match framing {
        Framing::None | Framing::UntilClose => out.extend_from_slice(b"\r\n"),
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n"),
        Framing::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            write_decimal(length, out);
            out.extend_from_slice(b"\r\n\r\n");
        }
    }
}

fn write_decimal(mut number: u64, out: &mut Vec<u8>) {
    // As many digits as `u64::MAX` has.
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_written_to_the_last_digit() {
        for number in [0, 7, 10, 99, 100, 1_234_567, u64::MAX] {
            let mut out = Vec::new();
            write_decimal(number, &mut out);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
