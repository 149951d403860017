//! What a WebSocket's opening says over HTTP/1 and not over HTTP/2: a key and its echo (RFC 6455 section 4).

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use outrigger_http1::Fields;

/// The client's key.
pub(super) const KEY: &str = "sec-websocket-key";
/// What the server makes of it.
pub(super) const ACCEPT: &str = "sec-websocket-accept";

/// Every server appends this (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes of a key before it is encoded.
const KEY_BYTES: usize = 16;

/// The client's key, if there is one and it is what RFC 6455 says.
pub(super) fn client_key(fields: &Fields) -> Option<Box<[u8]>> {
    let mut keys = fields.find_all(KEY);
    let (key, other) = (keys.next()?, keys.next());
    let is_key = other.is_none() && STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == KEY_BYTES);
    is_key.then(|| key.into())
}

/// A key made of 128 random bits. It keeps caches apart and is no secret.
pub(super) fn make_key(random: [u64; 2]) -> Box<[u8]> {
    let [high, low] = random.map(u64::to_le_bytes);
    let mut bytes = [0; KEY_BYTES];
    bytes[..8].copy_from_slice(&high);
    bytes[8..].copy_from_slice(&low);
    STANDARD.encode(bytes).into_bytes().into()
}

/// `sec-websocket-accept` for a key.
pub(super) fn accept(key: &[u8]) -> Vec<u8> {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key);
    context.update(GUID);
    STANDARD.encode(context.finish()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_are_those_of_the_rfc() {
        // RFC 6455 section 1.3.
        assert_eq!(
            accept(b"dGhlIHNhbXBsZSBub25jZQ=="),
            b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn keys_are_sixteen_bytes_and_one() {
        let key = |values: &[&str]| {
            let mut fields = Fields::new();
            for value in values {
                fields.push(KEY.as_bytes(), value.as_bytes());
            }
            client_key(&fields).is_some()
        };
        assert!(key(&["dGhlIHNhbXBsZSBub25jZQ=="]));
        assert!(!key(&[]));
        assert!(!key(&["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="]));
        for bad in [
            "",
            "short",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZSB0b28gbG9uZw==",
        ] {
            assert!(!key(&[bad]), "{bad}");
        }
        let mut fields = Fields::new();
        fields.push(KEY.as_bytes(), &make_key([1, u64::MAX]));
        assert!(client_key(&fields).is_some(), "what is made here is a key");
    }
}
