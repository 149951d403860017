//! Who asks for a certificate, and whether it may have the one that it asks for.

use super::join_token::{JoinToken, JoinTokens};
use super::kubernetes::Kubernetes;
use super::refusal::Refusal;
use super::report::Proof;
use crate::access::{TokenDigest, printable};
use crate::listen::Peer;
use outrigger_config::model::{SpiffeId, TrustDomain};
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::UnixTime;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Everything that somebody can prove something by.
pub(super) struct Requesters {
    pub(super) trust_domain: TrustDomain,
    /// Those of the settings, which stand as long as the server.
    pub(super) fixed_tokens: Vec<JoinToken>,
    pub(super) join_tokens: Arc<dyn JoinTokens>,
    pub(super) kubernetes: Option<Arc<Kubernetes>>,
}

/// What was shown holds.
pub(super) struct Proven {
    pub(super) proof: Proof,
    /// A token that this certificate uses up.
    pub(super) spends: Option<JoinToken>,
}

impl Requesters {
    /// Whether what was shown is good for `id`. A certificate of ours renews its own id, whatever token comes with it:
    /// that one may be used up by now.
    pub(super) async fn prove(
        &self,
        id: &SpiffeId,
        peer: Option<&Peer>,
        bearer: Option<&str>,
        ours: &dyn ClientCertVerifier,
        now: SystemTime,
    ) -> Result<Proven, Refusal> {
        if id.trust_domain() != self.trust_domain.as_str() || id.path().is_empty() {
            let domain = &self.trust_domain;
            let problem = format!("{id} cannot be had; expected an id below spiffe://{domain}/");
            return Err(Refusal::Forbidden(problem));
        }
        let shown = peer.and_then(|peer| peer.spiffe_id().map(|shown| (peer, shown)));
        if let Some((peer, shown)) = shown
            && shown == id
            && let Some(serial) = renewable(peer, ours, now)
        {
            return Ok(Proven {
                proof: Proof::Certificate(serial),
                spends: None,
            });
        }
        match (bearer, shown) {
            (Some(token), _) if token.bytes().filter(|byte| *byte == b'.').count() == 2 => {
                self.prove_by_account(id, token, now)
            }
            (Some(token), _) => self.prove_by_token(id, token, now).await,
            (None, Some((_, shown))) if shown == id => Err(Refusal::Unauthenticated(
                "the certificate shown is not of this authority; expected one that is, or a token".to_owned(),
            )),
            (None, Some((_, shown))) => Err(Refusal::Forbidden(format!(
                "the certificate shown is for {shown}; it renews that id alone"
            ))),
            (None, None) => Err(Refusal::Unauthenticated(
                "nothing shows who asks; expected a join token or a service-account token (`authorization: Bearer TOKEN`), \
                 or a certificate of this authority"
                    .to_owned(),
            )),
        }
    }

    async fn prove_by_token(&self, id: &SpiffeId, token: &str, now: SystemTime) -> Result<Proven, Refusal> {
        let digest = TokenDigest::of(token);
        let fixed = self.fixed_tokens.iter().find(|token| token.digest == digest);
        let found = match fixed {
            Some(token) => Some(token.clone()),
            None => self.join_tokens.find(&digest).await?,
        };
        let Some(token) = found else {
            return Err(Refusal::Unauthenticated(
                "the join token is not known, or was used already".to_owned(),
            ));
        };
        if token.is_expired(now) {
            let problem = format!("join token `{}` has expired", printable(&token.name));
            return Err(Refusal::Unauthenticated(problem));
        }
        if !token.allows.matches(id) {
            let problem = format!("join token `{}` is not for {id}", printable(&token.name));
            return Err(Refusal::Forbidden(problem));
        }
        Ok(Proven {
            proof: Proof::JoinToken(token.name.clone()),
            spends: (!token.reusable).then_some(token),
        })
    }

    fn prove_by_account(&self, id: &SpiffeId, token: &str, now: SystemTime) -> Result<Proven, Refusal> {
        let kubernetes = self.kubernetes.as_ref().ok_or_else(|| {
            Refusal::Unauthenticated("no issuer of service-account tokens is configured here".to_owned())
        })?;
        let account = kubernetes.verify(token, now)?;
        let own = account.spiffe_id(&self.trust_domain);
        if own.as_ref() != Some(id) {
            let problem = format!(
                "service account {}/{} is not {id}; expected spiffe://{}/ns/{0}/sa/{1}",
                account.namespace, account.name, self.trust_domain
            );
            return Err(Refusal::Forbidden(problem));
        }
        Ok(Proven {
            proof: Proof::ServiceAccount {
                namespace: account.namespace,
                name: account.name,
            },
            spends: None,
        })
    }
}

/// The serial number of the certificate that was shown, if it is of our authority and holds. The listener may believe
/// other authorities, too, which vouch for no id of ours.
fn renewable(peer: &Peer, ours: &dyn ClientCertVerifier, now: SystemTime) -> Option<String> {
    let [leaf, others @ ..] = &peer.certificates[..] else {
        return None;
    };
    let now = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).ok()?);
    ours.verify_client_cert(leaf, others, now).ok()?;
    Some(peer.identity.as_ref()?.serial.clone())
}
