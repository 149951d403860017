//! A JSON Web Key Set (RFC 7517 section 5), and which of its keys may have signed a token.

use super::json;
use super::key::Key;
use outrigger_config::model::JwtAlgorithm;
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};

pub use super::key::IgnoredKey;

/// Bytes of a key set: Envoy's limit for one that it fetches; the largest public issuers publish less than 20 KiB.
const BYTES_MAX: usize = 1024 * 1024;
/// Keys of a set: issuers publish a handful.
const KEYS_MAX: usize = 256;
/// Keys that are tried for one token: each costs a signature, and whoever sends tokens pays for none.
const TRIES_MAX: usize = 8;

/// Why a text is no key set that could be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Longer than any key set.
    #[error("Jwks is longer than {BYTES_MAX} bytes")]
    TooLong,
    /// Not an object of JSON, or a name stands twice.
    #[error("Jwks is an invalid JSON")]
    Json,
    /// No list `keys`.
    #[error("Jwks does not have [keys] field")]
    NoKeys,
    /// More keys than any issuer has.
    #[error("Jwks has more than {KEYS_MAX} keys")]
    TooManyKeys,
    /// Nothing in it can check a signature; what is wrong with the first, if there is one.
    #[error("Jwks doesn't have any valid public key{}", because(.0))]
    NoValidKeys(Option<IgnoredKey>),
}

fn because(ignored: &Option<IgnoredKey>) -> String {
    ignored.map_or_else(String::new, |ignored| format!(": {ignored}"))
}

/// The public keys of an issuer.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
    ignored: Vec<IgnoredKey>,
    version: u64,
}

/// What may be shown of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyReport<'k> {
    /// Its id, if it has one.
    pub kid: Option<&'k str>,
    /// `RSA`, or its curve.
    pub kind: &'static str,
}

impl KeySet {
    /// Reads a key set. Keys that cannot be used are left out, and noted: a set often holds some for other purposes.
    ///
    /// # Errors
    /// If it is no key set, or no key in it can be used.
    pub fn parse(text: &[u8]) -> Result<KeySet, JwksError> {
        if text.len() > BYTES_MAX {
            return Err(JwksError::TooLong);
        }
        let set = json::read_object(text).ok_or(JwksError::Json)?;
        let Some(Value::Array(entries)) = set.get("keys") else {
            return Err(JwksError::NoKeys);
        };
        if entries.len() > KEYS_MAX {
            return Err(JwksError::TooManyKeys);
        }
        let (mut keys, mut ignored) = (Vec::new(), Vec::new());
        for entry in entries {
            match Key::read(entry) {
                Ok(key) => keys.push(key),
                Err(why) => ignored.push(why),
            }
        }
        if keys.is_empty() {
            return Err(JwksError::NoValidKeys(ignored.first().copied()));
        }
        static VERSIONS: AtomicU64 = AtomicU64::new(1);
        Ok(KeySet {
            keys,
            ignored,
            version: VERSIONS.fetch_add(1, Ordering::Relaxed),
        })
    }

    /// True if nothing that matters for tokens differs from the other: the same keys, in the same order.
    pub fn is_same(&self, other: &KeySet) -> bool {
        self.keys == other.keys
    }

    /// A number that no other set of this process has: what was verified by another set may not be valid by this one.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What may be shown of the keys, in the order of the set.
    pub fn reports(&self) -> impl ExactSizeIterator<Item = KeyReport<'_>> {
        self.keys.iter().map(|key| KeyReport {
            kid: key.kid.as_deref(),
            kind: key.kind,
        })
    }

    /// Why keys of the set are not used.
    pub fn ignored(&self) -> &[IgnoredKey] {
        &self.ignored
    }

    /// The check of the keys that may have signed a token with this `kid` and algorithm: those with its `kid`, and those
    /// without one, which may be any. A token without `kid` may be by any key. Bounded.
    pub(super) fn candidates<'k>(
        &'k self,
        kid: Option<&'k str>,
        algorithm: JwtAlgorithm,
    ) -> impl Iterator<Item = &'k aws_lc_rs::signature::ParsedPublicKey> {
        let may_be = move |key: &&Key| match (kid, key.kid.as_deref()) {
            (Some(asked), Some(has)) => asked == has,
            _ => true,
        };
        self.keys
            .iter()
            .filter(may_be)
            .filter_map(move |key| key.check(algorithm))
            .take(TRIES_MAX)
    }
}
