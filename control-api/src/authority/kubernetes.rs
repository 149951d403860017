//! Service accounts of Kubernetes: their tokens, verified by the issuer's keys, and the SPIFFE ids that they stand for.

mod keys;

pub use keys::{KeysError, keep_keys};

use super::refusal::Refusal;
use arc_swap::ArcSwapOption;
use outrigger_config::model::{SpiffeId, TrustDomain};
use outrigger_identity::jwt::{JwtFault, KeySet, VerifiedToken, Verifier};
use serde_json::Value;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;

/// Whose tokens are believed, and the keys as they are now.
pub struct Kubernetes {
    verifier: Verifier,
    keys: ArcSwapOption<KeySet>,
    wanted: Notify,
}

/// A service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServiceAccount {
    pub(super) namespace: String,
    pub(super) name: String,
}

impl ServiceAccount {
    /// Istio's and SPIRE's way to name it: `spiffe://DOMAIN/ns/NAMESPACE/sa/NAME`.
    pub(super) fn spiffe_id(&self, trust_domain: &TrustDomain) -> Option<SpiffeId> {
        let Self { namespace, name } = self;
        format!("spiffe://{trust_domain}/ns/{namespace}/sa/{name}")
            .parse()
            .ok()
    }
}

impl Kubernetes {
    /// Tokens of this issuer for one of these audiences, by RS256 or ES256. It has no keys yet.
    pub fn new(issuer: String, audiences: Vec<String>) -> Kubernetes {
        Kubernetes {
            verifier: Verifier::pinned(issuer, audiences),
            keys: ArcSwapOption::empty(),
            wanted: Notify::new(),
        }
    }

    /// The issuer's keys from now on.
    pub fn set_keys(&self, keys: KeySet) {
        self.keys.store(Some(Arc::new(keys)));
    }

    /// True once there are keys.
    pub fn has_keys(&self) -> bool {
        self.keys.load().is_some()
    }

    /// Waits until a token names a key that is not there. Cancel safe.
    async fn wanted(&self) {
        self.wanted.notified().await;
    }

    pub(super) fn verify(&self, token: &str, now: SystemTime) -> Result<ServiceAccount, Refusal> {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let keys = self.keys.load();
        match self.verifier.verify(token.as_bytes(), keys.as_deref(), now) {
            Ok(token) => account(&token),
            Err(fault) => {
                if matches!(fault, JwtFault::KeyNotFound | JwtFault::KeysUnavailable) {
                    self.wanted.notify_one();
                }
                let problem = format!("the service-account token does not hold: {}", fault.text());
                Err(Refusal::Unauthenticated(problem))
            }
        }
    }
}

/// Whose token it is. `sub` and the claims of bound tokens must say the same; tokens from before Kubernetes 1.21 have no
/// such claims.
fn account(token: &VerifiedToken) -> Result<ServiceAccount, Refusal> {
    let unclear = || {
        Refusal::Unauthenticated(
            "the token names no service account; expected `sub` as `system:serviceaccount:NAMESPACE:NAME`, and the same in \
             `kubernetes.io`"
                .to_owned(),
        )
    };
    let text = |path: &[&str]| -> Option<String> {
        let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
        token.claim(&path).and_then(Value::as_str).map(str::to_owned)
    };
    let subject = text(&["sub"]).ok_or_else(unclear)?;
    let (namespace, name) = subject
        .strip_prefix("system:serviceaccount:")
        .and_then(|rest| rest.split_once(':'))
        .ok_or_else(unclear)?;
    let bound = token.claims().get("kubernetes.io").is_some();
    let says_the_same = text(&["kubernetes.io", "namespace"]).as_deref() == Some(namespace)
        && text(&["kubernetes.io", "serviceaccount", "name"]).as_deref() == Some(name);
    let is_name = |text: &str| {
        let legal =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        !text.is_empty() && text.bytes().all(legal)
    };
    if (bound && !says_the_same) || !is_name(namespace) || !is_name(name) {
        return Err(unclear());
    }
    Ok(ServiceAccount {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    })
}

#[cfg(test)]
pub(super) mod tests;
