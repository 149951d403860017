//! What a provider asks of a token, and what is left of one that holds.

use super::fault::JwtFault;
use super::key_set::KeySet;
use super::token::{Token, TokenTimes};
use outrigger_config::model::{JwtAlgorithm, JwtProvider, defaults};
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// A provider's rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Verifier {
    pub(super) issuer: Option<String>,
    pub(super) audiences: Vec<String>,
    pub(super) algorithms: Vec<JwtAlgorithm>,
    pub(super) clock_skew_seconds: u64,
    pub(super) expiration_required: bool,
}

/// A token that was verified.
pub struct VerifiedToken {
    claims: Arc<Value>,
    encoded_payload: Box<str>,
    times: TokenTimes,
    clock_skew_seconds: u64,
}

/// Claims are somebody's.
impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken")
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}

impl Verifier {
    /// The rules of a provider.
    pub fn new(provider: &JwtProvider) -> Verifier {
        Verifier {
            issuer: provider.issuer().clone(),
            audiences: provider.audiences().clone(),
            algorithms: provider.algorithms().clone(),
            clock_skew_seconds: provider.clock_skew().as_secs(),
            expiration_required: provider.expiration_required(),
        }
    }

    /// Rules that pin everything: this issuer, one of these audiences, an expiry, and what providers have by default of
    /// algorithms and clock skew. With no audience none is looked at, as of a provider.
    pub fn pinned(issuer: String, audiences: Vec<String>) -> Verifier {
        Verifier {
            issuer: Some(issuer),
            audiences,
            algorithms: defaults::JWT_ALGORITHMS.to_vec(),
            clock_skew_seconds: defaults::JWT_CLOCK_SKEW.as_secs(),
            expiration_required: true,
        }
    }

    /// Verifies a token by the provider's keys; `now` in seconds since 1970. What the token claims is looked at before
    /// its signature, which costs most.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn verify(&self, token: &[u8], keys: Option<&KeySet>, now: u64) -> Result<VerifiedToken, JwtFault> {
        let token = Token::parse(token)?;
        // First whose it is: of another issuer's token there is nothing else to say.
        self.check_issuer(&token)?;
        if !self.algorithms.contains(&token.algorithm) {
            return Err(JwtFault::AlgorithmNotSupported);
        }
        if token.times.expires.is_none() && self.expiration_required {
            return Err(JwtFault::ExpirationMissing);
        }
        check_times(token.times, self.clock_skew_seconds, now)?;
        self.check_audience(&token)?;
        check_signature(&token, keys.ok_or(JwtFault::KeysUnavailable)?)?;
        Ok(VerifiedToken {
            encoded_payload: token.encoded_payload.into(),
            claims: Arc::new(Value::Object(token.claims)),
            times: token.times,
            clock_skew_seconds: self.clock_skew_seconds,
        })
    }

    fn check_issuer(&self, token: &Token<'_>) -> Result<(), JwtFault> {
        let claimed = token.claims.get("iss").and_then(Value::as_str);
        match &self.issuer {
            Some(issuer) if claimed != Some(issuer) => Err(JwtFault::UnknownIssuer),
            _ => Ok(()),
        }
    }

    fn check_audience(&self, token: &Token<'_>) -> Result<(), JwtFault> {
        if self.audiences.is_empty() {
            return Ok(());
        }
        let is_ours = |audience: &Value| {
            let named = audience.as_str();
            self.audiences.iter().any(|ours| named == Some(ours))
        };
        let allowed = match token.claims.get("aud") {
            Some(Value::Array(list)) => list.iter().any(is_ours),
            Some(one) => is_ours(one),
            None => false,
        };
        if allowed {
            Ok(())
        } else {
            Err(JwtFault::AudienceNotAllowed)
        }
    }
}

/// RFC 7519 sections 4.1.4 and 4.1.5, with clocks that differ. A token that says that it was issued in the future is as
/// one that is not valid yet.
fn check_times(times: TokenTimes, skew: u64, now: u64) -> Result<(), JwtFault> {
    if times.expires.is_some_and(|at| now >= at.saturating_add(skew)) {
        return Err(JwtFault::Expired);
    }
    let is_to_come = |at: Option<u64>| at.is_some_and(|at| now < at.saturating_sub(skew));
    if is_to_come(times.not_before) || is_to_come(times.issued_at) {
        return Err(JwtFault::NotYetValid);
    }
    Ok(())
}

fn check_signature(token: &Token<'_>, keys: &KeySet) -> Result<(), JwtFault> {
    let mut candidates = keys.candidates(token.kid.as_deref(), token.algorithm).peekable();
    if candidates.peek().is_none() {
        return Err(JwtFault::KeyNotFound);
    }
    let signed_it =
        |key: &aws_lc_rs::signature::ParsedPublicKey| key.verify_sig(token.signed, &token.signature).is_ok();
    if candidates.any(signed_it) {
        Ok(())
    } else {
        Err(JwtFault::VerificationFails)
    }
}

impl VerifiedToken {
    /// Whether it is still valid, and valid yet: of one that is kept only time can change that. `now` in seconds since
    /// 1970.
    ///
    /// # Errors
    /// Why not.
    pub fn check_times(&self, now: u64) -> Result<(), JwtFault> {
        check_times(self.times, self.clock_skew_seconds, now)
    }

    /// All claims: an object.
    pub fn claims(&self) -> &Arc<Value> {
        &self.claims
    }

    /// The claim at a path of keys, from the outside in.
    pub fn claim(&self, path: &[String]) -> Option<&Value> {
        let mut keys = path.iter();
        let first = self.claims.get(keys.next()?)?;
        keys.try_fold(first, |value, key| value.as_object()?.get(key))
    }

    /// The payload as it stood in the token: base64url, without padding, of JSON.
    pub fn encoded_payload(&self) -> &str {
        &self.encoded_payload
    }
}
