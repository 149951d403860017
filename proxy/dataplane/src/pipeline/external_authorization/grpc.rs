//! Asking over gRPC: one message there and one back, in the framing of gRPC's `PROTOCOL-HTTP2.md`.

use super::super::ask::{Message, Reply};
use super::Fault;
use crate::body::BodyLength;
use crate::external_authorization::{Answer, AuthorizationCodec};
use crate::head::{grpc_timeout_text, is_grpc};
use bytes::{BufMut, Bytes, BytesMut};
use outrigger_http1::{KnownName, Method, RequestHead};
use std::time::Duration;

/// The method that is called.
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// Before each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// The call with this message.
pub(super) fn message(authority: &str, timeout: Duration, check: &[u8]) -> Message {
    let mut head = RequestHead::new();
    head.method = Method::Post;
    head.set_authority(authority);
    head.set_path_and_query(CHECK);
    let fields = &mut head.fields;
    fields.push_known(KnownName::ContentType, b"application/grpc");
    fields.push_known(KnownName::Te, b"trailers");
    fields.push_known(KnownName::GrpcTimeout, grpc_timeout_text(timeout).as_bytes());
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + check.len());
    framed.put_u8(0);
    // Bodies that are told are bounded far below what a length can say.
    framed.put_u32(u32::try_from(check.len()).unwrap_or(u32::MAX));
    framed.put_slice(check);
    Message {
        head,
        length: BodyLength::Unknown,
        pieces: vec![framed.freeze()],
        trailers: None,
    }
}

/// What the service answered.
pub(super) fn read(reply: &Reply, codec: &dyn AuthorizationCodec) -> Result<Answer, Fault> {
    if reply.head.status != 200 {
        return Err(Fault::Status);
    }
    if !is_grpc(&reply.head.fields) {
        return Err(Fault::Unreadable);
    }
    // Without a message the trailers are the head.
    let trailers = reply.trailers.as_deref().unwrap_or(&reply.head.fields);
    match trailers.get(KnownName::GrpcStatus) {
        Some(b"0") => {}
        Some(_) => return Err(Fault::Status),
        None => return Err(Fault::Unreadable),
    }
    let check = unframed(&reply.body).ok_or(Fault::Unreadable)?;
    codec.decode_check(&check).map_err(|fault| {
        tracing::debug!(%fault, "an authorization service's answer cannot be read");
        Fault::Unreadable
    })
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
        let asked = message("authz", Duration::from_millis(200), b"abc");
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
