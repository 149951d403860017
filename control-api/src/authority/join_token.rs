//! Join tokens: what an administrator gives to a machine or a program that has no other proof of who it is.

use crate::access::TokenDigest;
use outrigger_config::model::{SpiffeId, SpiffeMatch};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::SystemTime;

/// What every join token begins with: whoever finds one knows what it is.
pub const JOIN_TOKEN_PREFIX: &str = "ojt_";
/// Tokens that are kept in memory at most.
const TOKENS_MAX: usize = 10_000;

/// A join token, of which only the digest is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// Its name, unique among join tokens, by which the audit log knows it.
    pub name: String,
    /// SHA-256 of it.
    pub digest: TokenDigest,
    /// Which identities it is good for: one, or those below a prefix.
    pub allows: SpiffeMatch,
    /// From when on it is refused; none: never.
    pub expires: Option<SystemTime>,
    /// It may be used again until it expires; else one certificate is all that it gives.
    pub reusable: bool,
}

impl JoinToken {
    /// True if it is refused from its expiry on.
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }
}

/// The tokens cannot be read or changed now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot reach the join tokens: {0}")]
pub struct JoinTokensFault(pub String);

/// Keeps join tokens. Several servers may share one.
#[tonic::async_trait]
pub trait JoinTokens: Send + Sync {
    /// The token of this digest, expired or not; none if there is none, or it was used up.
    ///
    /// # Errors
    /// If that cannot be said now.
    async fn find(&self, digest: &TokenDigest) -> Result<Option<JoinToken>, JoinTokensFault>;

    /// Uses up a token that is not reusable, for this identity. True for the one who does it; false if somebody else has,
    /// on whichever server.
    ///
    /// # Errors
    /// If that cannot be done now.
    async fn spend(&self, token: &JoinToken, by: &SpiffeId) -> Result<bool, JoinTokensFault>;

    /// Keeps a token; false if there is one of this name or digest.
    ///
    /// # Errors
    /// If that cannot be done now, or there are as many as may be.
    async fn add(&self, token: JoinToken) -> Result<bool, JoinTokensFault>;

    /// Takes a token back; false if there is none of this name.
    ///
    /// # Errors
    /// If that cannot be done now.
    async fn remove(&self, name: &str) -> Result<bool, JoinTokensFault>;

    /// All tokens that are not used up, by name.
    ///
    /// # Errors
    /// If that cannot be said now.
    async fn list(&self) -> Result<Vec<JoinToken>, JoinTokensFault>;
}

/// Tokens of one server, which end with it.
#[derive(Default)]
pub struct MemoryJoinTokens {
    tokens: Mutex<HashMap<TokenDigest, JoinToken>>,
}

#[tonic::async_trait]
impl JoinTokens for MemoryJoinTokens {
    async fn find(&self, digest: &TokenDigest) -> Result<Option<JoinToken>, JoinTokensFault> {
        Ok(self.tokens.lock().get(digest).cloned())
    }

    async fn spend(&self, token: &JoinToken, _: &SpiffeId) -> Result<bool, JoinTokensFault> {
        Ok(self.tokens.lock().remove(&token.digest).is_some())
    }

    async fn add(&self, token: JoinToken) -> Result<bool, JoinTokensFault> {
        let mut tokens = self.tokens.lock();
        let is_same = |other: &JoinToken| other.name == token.name || other.digest == token.digest;
        if tokens.values().any(is_same) {
            return Ok(false);
        }
        if tokens.len() >= TOKENS_MAX {
            let problem =
                format!("there are {TOKENS_MAX}, as many as may be; expected some to be taken back");
            return Err(JoinTokensFault(problem));
        }
        tokens.insert(token.digest, token);
        Ok(true)
    }

    async fn remove(&self, name: &str) -> Result<bool, JoinTokensFault> {
        let mut tokens = self.tokens.lock();
        let before = tokens.len();
        tokens.retain(|_, token| token.name != name);
        Ok(tokens.len() < before)
    }

    async fn list(&self) -> Result<Vec<JoinToken>, JoinTokensFault> {
        let mut listed: Vec<JoinToken> = self.tokens.lock().values().cloned().collect();
        listed.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(listed)
    }
}
