//! What upstreams are told of tokens: payloads and claims in headers, which are never the client's.

use crate::snapshot::tokens::TokenProviders;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use outrigger_config::model::JwtProvider;
use outrigger_http1::{Fields, RequestHead};
use outrigger_identity::jwt::VerifiedToken;
use serde_json::Value;
use std::borrow::Cow;

/// Takes off what the client has written in place of this proxy.
pub(super) fn take_off(providers: &TokenProviders, head: &mut RequestHead) {
    if !providers.reserved.is_empty() {
        head.fields.retain(|field| !providers.is_reserved(field.name));
    }
}

/// Tells of a token that holds.
pub(super) fn tell(provider: &JwtProvider, token: &VerifiedToken, fields: &mut Fields) {
    if let Some(name) = provider.payload_header() {
        fields.set(name.as_str().as_bytes(), token.encoded_payload().as_bytes());
    }
    for claim in provider.claim_headers() {
        let text = token.claim(claim.path()).and_then(text_of);
        if let Some(text) = text.filter(|text| is_value(text.as_bytes())) {
            fields.set(claim.header().as_str().as_bytes(), text.as_bytes());
        }
    }
}

/// A claim as a header's value, as Envoy writes it: texts, numbers and booleans as they are, lists and objects as
/// base64url of their JSON; null says nothing.
fn text_of(claim: &Value) -> Option<Cow<'_, str>> {
    Some(match claim {
        Value::Null => return None,
        Value::String(text) => Cow::Borrowed(text),
        Value::Bool(_) | Value::Number(_) => Cow::Owned(claim.to_string()),
        Value::Array(_) | Value::Object(_) => Cow::Owned(URL_SAFE_NO_PAD.encode(claim.to_string())),
    })
}

/// Whether a header may have this value and mean it: no controls, nothing at the ends that readers take off. Another
/// claim is not told: what would be left of it could be somebody else's.
fn is_value(text: &[u8]) -> bool {
    !text.is_empty() && text.trim_ascii().len() == text.len() && !text.iter().any(u8::is_ascii_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn claims_are_written_as_they_are_or_not_at_all() {
        let text = |claim: Value| text_of(&claim).map(Cow::into_owned);
        assert_eq!(text(json!("alice")), Some("alice".into()));
        assert_eq!(text(json!(7)), Some("7".into()));
        assert_eq!(text(json!(true)), Some("true".into()));
        assert_eq!(text(json!(null)), None);
        assert_eq!(text(json!(["a"])), Some(URL_SAFE_NO_PAD.encode(r#"["a"]"#)));
        for bad in [
            "",
            " alice",
            "alice ",
            "alice\r\nx-admin: 1",
            "a\0",
            "a\tb",
            "\u{7f}",
        ] {
            assert!(!is_value(bad.as_bytes()), "{bad:?}");
        }
        assert!(is_value("Jürgen B.".as_bytes()));
    }
}
