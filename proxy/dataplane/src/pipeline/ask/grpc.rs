//! Asking over gRPC: one message there and one back, in the framing of gRPC's `PROTOCOL-HTTP2.md`.

use super::{Message, NoAnswer, Reply};
use crate::body::BodyLength;
use crate::head::{grpc_timeout_text, is_grpc};
use bytes::{BufMut, Bytes, BytesMut};
use outrigger_http1::{KnownName, Method, RequestHead};
use std::time::Duration;

/// Before each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// The call of `method`, a path, with this message.
pub(in crate::pipeline) fn message(
    method: &str,
    authority: &str,
    timeout: Duration,
    question: &[u8],
) -> Message {
    let mut head = RequestHead::new();
    head.method = Method::Post;
    head.set_authority(authority);
    head.set_path_and_query(method);
    let fields = &mut head.fields;
    fields.push_known(KnownName::ContentType, b"application/grpc");
    fields.push_known(KnownName::Te, b"trailers");
    fields.push_known(KnownName::GrpcTimeout, grpc_timeout_text(timeout).as_bytes());
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + question.len());
    framed.put_u8(0);
    // What is told of requests is bounded far below what a length can say.
    framed.put_u32(u32::try_from(question.len()).unwrap_or(u32::MAX));
    framed.put_slice(question);
    Message {
        head,
        length: BodyLength::Unknown,
        pieces: vec![framed.freeze()],
        trailers: None,
    }
}

/// The message of an answer.
pub(in crate::pipeline) fn read(reply: &Reply) -> Result<Bytes, NoAnswer> {
    if reply.head.status != 200 {
        return Err(NoAnswer::Status);
    }
    if !is_grpc(&reply.head.fields) {
        return Err(NoAnswer::Unreadable);
    }
    // Without a message the trailers are the head.
    let trailers = reply.trailers.as_deref().unwrap_or(&reply.head.fields);
    match trailers.get(KnownName::GrpcStatus) {
        Some(b"0") => unframed(&reply.body).ok_or(NoAnswer::Unreadable),
        Some(_) => Err(NoAnswer::Status),
        None => Err(NoAnswer::Unreadable),
    }
}

/// The one message of a body.
fn unframed(body: &Bytes) -> Option<Bytes> {
    let (prefix, message) = body.split_at_checked(PREFIX_BYTES)?;
    let length = u32::from_be_bytes(prefix[1..].try_into().ok()?);
    // Nobody was told that it may be compressed.
    let is_whole = prefix[0] == 0 && message.len() == length as usize;
    is_whole.then(|| body.slice(PREFIX_BYTES..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_framed_and_unframed() {
        let asked = message("/a.B/C", "authz", Duration::from_millis(200), b"abc");
        assert_eq!(asked.head.path(), "/a.B/C");
        assert_eq!(&asked.pieces[0][..], b"\0\0\0\0\x03abc");
        assert_eq!(unframed(&asked.pieces[0]).as_deref(), Some(&b"abc"[..]));
        for body in [
            &b""[..],
            b"\0\0\0\0",
            b"\0\0\0\0\x04abc",
            b"\0\0\0\0\x02abc",
            b"\x01\0\0\0\x03abc",
            b"\0\0\0\0\x01a\0\0\0\0\x01b",
        ] {
            assert_eq!(unframed(&Bytes::copy_from_slice(body)), None, "{body:?}");
        }
        assert_eq!(
            unframed(&Bytes::from_static(b"\0\0\0\0\0")).as_deref(),
            Some(&b""[..])
        );
    }
}
