//! A token as it is sent: the compact form of a signed one (RFC 7515 section 3.1), read strictly.

use super::fault::JwtFault;
use super::json;
use super::key::algorithm_of;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use outrigger_config::model::JwtAlgorithm;
use serde_json::{Map, Value};
use std::fmt;

/// Bytes of a token: twice what most servers take as one header field.
const BYTES_MAX: usize = 16 * 1024;

/// The times of a token, in seconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenTimes {
    /// `iat`: when it was issued.
    pub issued_at: Option<u64>,
    /// `nbf`: from when on it is valid.
    pub not_before: Option<u64>,
    /// `exp`: from when on it is not.
    pub expires: Option<u64>,
}

/// A token that is well formed. Nothing that it says is proven.
pub struct Token<'t> {
    /// Header and payload as they stand: what is signed.
    pub(super) signed: &'t [u8],
    /// The payload as it stands.
    pub(super) encoded_payload: &'t str,
    pub(super) algorithm: JwtAlgorithm,
    pub(super) kid: Option<String>,
    pub(super) claims: Map<String, Value>,
    pub(super) times: TokenTimes,
    pub(super) signature: Vec<u8>,
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl<'t> Token<'t> {
    /// Reads a token.
    ///
    /// # Errors
    /// Whatever makes it none: also an algorithm without a public key, a header that says that something of it must be
    /// understood, and an encrypted or nested token.
    pub fn parse(token: &'t [u8]) -> Result<Token<'t>, JwtFault> {
        if token.len() > BYTES_MAX {
            return Err(JwtFault::TooLong);
        }
        let token = std::str::from_utf8(token).map_err(|_| JwtFault::BadFormat)?;
        let mut parts = token.split('.');
        let (Some(header), Some(encoded_payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(JwtFault::BadFormat);
        };
        let (algorithm, kid) = read_header(header)?;
        let payload = URL_SAFE_NO_PAD
            .decode(encoded_payload)
            .map_err(|_| JwtFault::PayloadBase64)?;
        let claims = json::read_object(&payload).ok_or(JwtFault::PayloadJson)?;
        let times = read_claims(&claims)?;
        let signed = header.len() + 1 + encoded_payload.len();
        Ok(Token {
            signed: &token.as_bytes()[..signed],
            encoded_payload,
            algorithm,
            kid,
            claims,
            times,
            signature: URL_SAFE_NO_PAD
                .decode(signature)
                .map_err(|_| JwtFault::SignatureBase64)?,
        })
    }
}

fn read_header(encoded: &str) -> Result<(JwtAlgorithm, Option<String>), JwtFault> {
    let header = URL_SAFE_NO_PAD
        .decode(encoded)
        .map_err(|_| JwtFault::HeaderBase64)?;
    let mut header = json::read_object(&header).ok_or(JwtFault::HeaderJson)?;
    let Some(Value::String(algorithm)) = header.get("alg") else {
        return Err(JwtFault::HeaderAlg);
    };
    let algorithm = algorithm_of(algorithm).ok_or(JwtFault::AlgorithmNotSupported)?;
    if header.contains_key("crit") {
        return Err(JwtFault::HeaderCritical);
    }
    // RFC 7519 section 5.2: `JWT`, in any case, is a token in a token.
    if header.get("cty").is_some_and(is_nested) {
        return Err(JwtFault::Nested);
    }
    let kid = match header.remove("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid),
        Some(_) => return Err(JwtFault::HeaderKid),
    };
    Ok((algorithm, kid))
}

fn is_nested(content_type: &Value) -> bool {
    content_type.as_str().is_none_or(|name| {
        let name = name.strip_prefix("application/").unwrap_or(name);
        name.eq_ignore_ascii_case("jwt")
    })
}

/// The times, if all registered claims are of the types that RFC 7519 section 4.1 gives them.
fn read_claims(claims: &Map<String, Value>) -> Result<TokenTimes, JwtFault> {
    let is_text = |name: &str| claims.get(name).is_none_or(Value::is_string);
    if !is_text("iss") {
        return Err(JwtFault::IssuerNotString);
    }
    if !is_text("sub") {
        return Err(JwtFault::SubjectNotString);
    }
    match claims.get("aud") {
        None | Some(Value::String(_)) => {}
        Some(Value::Array(list)) if list.iter().all(Value::is_string) => {}
        Some(_) => return Err(JwtFault::AudienceNotString),
    }
    // Parts of a second are rounded to the strict side.
    Ok(TokenTimes {
        issued_at: time(claims, "iat", f64::ceil).ok_or(JwtFault::BadIssuedAt)?,
        not_before: time(claims, "nbf", f64::ceil).ok_or(JwtFault::BadNotBefore)?,
        expires: time(claims, "exp", f64::floor).ok_or(JwtFault::BadExpiration)?,
    })
}

/// A claim that is a NumericDate if it is there; none if it is something else.
fn time(claims: &Map<String, Value>, name: &str, round: fn(f64) -> f64) -> Option<Option<u64>> {
    let number = match claims.get(name) {
        None => return Some(None),
        Some(Value::Number(number)) => number,
        Some(_) => return None,
    };
    if let Some(seconds) = number.as_u64() {
        return Some(Some(seconds));
    }
    let seconds = round(number.as_f64()?);
    // What is above can be told apart no more, and is no time of anybody.
    (0.0..=9_007_199_254_740_992.0)
        .contains(&seconds)
        .then_some(Some(seconds as u64))
}
