//! The certificate authority: short-lived SPIFFE certificates for whoever proves to be somebody.
//!
//! [`Authority::certify`] is the one way for others: a signing request, and a join token, a service-account token of
//! Kubernetes or a certificate that holds still. Whoever has one of these gets the id that it stands for and no other, for
//! a bounded time, so often and no more; what is issued and refused is told to the [`Audit`] before it is handed out.
//! [`Authority::make_identity`] is the server's own way, for itself and for nodes that cannot make a request. Roots are
//! rolled over by [`Authority::roll`], one step at a time.
//!
//! Keys, tokens and requests are never logged. Where keys are kept is a [`KeyStore`]'s matter, where join tokens are a
//! [`JoinTokens`]'; neither is this module's. [`AuthorityService`] is the wire.

mod in_force;
mod join_token;
mod keep;
mod key_store;
pub mod kubernetes;
mod rate;
mod refusal;
mod report;
mod request;
mod requester;
mod rollover;
mod service;
mod signer;
mod stored;

pub use in_force::{Bundle, RootReport};
pub use join_token::{JOIN_TOKEN_PREFIX, JoinToken, JoinTokens, JoinTokensFault, MemoryJoinTokens};
pub use keep::{AuthoritySurroundings, StartError};
pub use key_store::{Kept, KeyFile, KeyStore, KeyStoreError};
pub use kubernetes::Kubernetes;
pub use rate::{BURST, REFILL};
pub use refusal::Refusal;
pub use report::{Audit, AuthorityEvent, AuthorityMetrics, Happening, Proof};
pub use request::RequestFault;
pub use rollover::{Evidence, KeyRing, Phase, RolloverRefusal, RootState, Step, Waits};
pub use service::AuthorityService;
pub use signer::{BACKDATE, Certificate, ROOT_VALIDITY, SignerFault, SignerPem};
pub use stored::StoredAuthority;

use crate::access::Secret;
use crate::listen::Peer;
use arc_swap::ArcSwap;
use in_force::InForce;
use outrigger_config::model::{SpiffeId, SpiffeMatch, TrustDomain};
use outrigger_identity::{Credential, IdentityError};
use parking_lot::Mutex;
use rate::Rates;
use report::Report;
use request::Asked;
use requester::Requesters;
use rustls_pki_types::PrivateKeyDer;
use signer::Wanted;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use zeroize::Zeroizing;

/// The authority cannot do what it is told.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The keys cannot be kept.
    #[error(transparent)]
    KeyStore(#[from] KeyStoreError),
    /// What is kept is no ring of keys.
    #[error("what is kept as the authority's keys cannot be read; expected what this server wrote, whole")]
    Unreadable,
    /// A key and its chain cannot be used.
    #[error(transparent)]
    Signer(#[from] SignerFault),
    /// Roots cannot be used.
    #[error("the authority's roots cannot be used: {0}")]
    Roots(String),
    /// It is not the step's turn.
    #[error(transparent)]
    Rollover(#[from] RolloverRefusal),
    /// The signing key is somebody else's.
    #[error(
        "the signing key comes from files; expected the next root in `roots_file` first, and the files to be replaced once \
         every node has it"
    )]
    Given,
    /// It cannot be written down, or join tokens cannot be kept.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is a join token of this name.
    #[error("there is a join token `{0}`; expected another name")]
    NameTaken(String),
}

/// Where the signing key is.
pub enum KeySource {
    /// Made at the first start, kept there, and rolled over.
    Kept(Arc<dyn KeyStore>),
    /// Somebody else's.
    Given {
        /// The key and its chain.
        signer: SignerPem,
        /// Further roots that are given out (PEM); may be empty.
        further_roots: String,
    },
}

/// What an authority is made of.
pub struct AuthorityParts {
    /// Whose ids it gives out.
    pub trust_domain: TrustDomain,
    /// How long a certificate holds at most.
    pub validity_max: Duration,
    /// The signing key.
    pub key: KeySource,
    /// Join tokens that stand as long as the server.
    pub fixed_tokens: Vec<JoinToken>,
    /// Join tokens that are made and used up.
    pub join_tokens: Arc<dyn JoinTokens>,
    /// Service accounts; none: their tokens are refused.
    pub kubernetes: Option<Arc<Kubernetes>>,
    /// The audit log.
    pub audit: Arc<dyn Audit>,
    /// Metrics.
    pub metrics: AuthorityMetrics,
}

/// What somebody asks for a certificate with.
#[derive(Clone, Copy)]
pub struct CertificateCall<'a> {
    /// The signing request: one PEM block.
    pub request: &'a str,
    /// How long it should hold; none, or more than may be: as long as may be.
    pub validity: Option<Duration>,
    /// The connection that it came by.
    pub peer: Option<&'a Peer>,
    /// The token of `authorization: Bearer`.
    pub bearer: Option<&'a str>,
}

/// A whole identity: a certificate with its key.
pub struct WholeIdentity {
    /// The certificate.
    pub certificate: Certificate,
    /// Its key: PKCS#8, P-256.
    pub private_key: Zeroizing<PrivateKeyDer<'static>>,
}

impl WholeIdentity {
    /// The chain as PEM, leaf first.
    pub fn chain_pem(&self) -> String {
        self.certificate.chain.iter().map(in_force::to_pem).collect()
    }

    /// The key as PEM.
    pub fn private_key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(in_force::pem_block("PRIVATE KEY", self.private_key.secret_der()))
    }

    /// The same, ready to be shown in handshakes.
    ///
    /// # Errors
    /// If it cannot be, which what the authority made always can.
    pub fn credential(&self) -> Result<Credential, IdentityError> {
        let key = self.private_key.clone_key();
        Credential::new(self.certificate.chain.clone(), key.into(), None)
    }
}

/// The authority.
pub struct Authority {
    validity_max: Duration,
    store: Option<Arc<dyn KeyStore>>,
    further_roots: String,
    in_force: ArcSwap<InForce>,
    bundle: watch::Sender<Arc<Bundle>>,
    /// One change of the keys at a time.
    changing: tokio::sync::Mutex<()>,
    requesters: Requesters,
    rates: Mutex<Rates>,
    report: Report,
}

impl Authority {
    /// Answers a request for a certificate. Not cancel safe: what was begun may have used up a token.
    ///
    /// # Errors
    /// Why there is none; it was told to the audit log.
    pub async fn certify(
        &self,
        call: CertificateCall<'_>,
        now: SystemTime,
    ) -> Result<(Certificate, Arc<Bundle>), Refusal> {
        let mut id = None;
        let certified = self.certify_asked(call, &mut id, now).await;
        if let Err(refusal) = &certified {
            let from = call.peer.map(|peer| peer.address);
            self.report.refused(refusal, id, from, now).await;
        }
        certified
    }

    /// What costs little is looked at first, and a token is used up last.
    async fn certify_asked(
        &self,
        call: CertificateCall<'_>,
        id: &mut Option<SpiffeId>,
        now: SystemTime,
    ) -> Result<(Certificate, Arc<Bundle>), Refusal> {
        let asked = Asked::parse(call.request)?;
        let id = id.insert(asked.id.clone());
        let in_force = self.in_force.load_full();
        let ours = in_force.verifier();
        let proven = self
            .requesters
            .prove(id, call.peer, call.bearer, ours, now)
            .await?;
        self.rates.lock().take(id, now).map_err(Refusal::RateLimited)?;
        asked.verify()?;
        let wanted = Wanted {
            id,
            dns_names: &[],
            addresses: &[],
            validity: self.validity(call.validity),
        };
        let certificate = in_force.signer().issue(&asked, &wanted, now)?;
        if let Some(token) = &proven.spends
            && !self.requesters.join_tokens.spend(token, id).await?
        {
            return Err(Refusal::Spent(token.name.clone()));
        }
        self.tell_issued(&certificate, proven.proof, call.peer, now)
            .await?;
        Ok((certificate, Arc::clone(in_force.bundle())))
    }

    /// Makes a key and its certificate: for the server itself, and for nodes that get theirs by SDS. `purpose` says to the
    /// audit log what for. Names beside the id are for servers that are reached by them.
    ///
    /// # Errors
    /// If the id is of another trust domain, or it cannot be made or written down.
    pub async fn make_identity(
        &self,
        id: &SpiffeId,
        names: (&[String], &[IpAddr]),
        validity: Option<Duration>,
        purpose: &str,
        now: SystemTime,
    ) -> Result<WholeIdentity, Refusal> {
        if id.trust_domain() != self.trust_domain().as_str() {
            let problem = format!("{id} is not of trust domain {}", self.trust_domain());
            return Err(Refusal::Forbidden(problem));
        }
        let wanted = Wanted {
            id,
            dns_names: names.0,
            addresses: names.1,
            validity: self.validity(validity),
        };
        let (certificate, key) = self.in_force.load().signer().issue_with_key(&wanted, now)?;
        let proof = Proof::Server(purpose.to_owned());
        self.tell_issued(&certificate, proof, None, now).await?;
        Ok(WholeIdentity {
            certificate,
            private_key: key.into(),
        })
    }

    async fn tell_issued(
        &self,
        certificate: &Certificate,
        proof: Proof,
        peer: Option<&Peer>,
        now: SystemTime,
    ) -> Result<(), Refusal> {
        let happening = Happening::Issued {
            id: certificate.id.clone(),
            serial: certificate.serial.clone(),
            not_after: certificate.validity.not_after,
            proof,
        };
        let from = peer.map(|peer| peer.address);
        self.report
            .record(AuthorityEvent {
                at: now,
                from,
                happening,
            })
            .await
    }

    fn validity(&self, asked: Option<Duration>) -> Duration {
        let asked = asked.filter(|asked| !asked.is_zero());
        asked.unwrap_or(self.validity_max).min(self.validity_max)
    }

    /// Whose ids it gives out.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.requesters.trust_domain
    }

    /// Makes a join token for an id, or for those below a prefix. Its text is in the answer and nowhere else.
    ///
    /// # Errors
    /// If it is for another trust domain, if there is one of this name, or if it cannot be kept.
    pub async fn make_join_token(
        &self,
        name: &str,
        allows: SpiffeMatch,
        lifetime: Duration,
        reusable: bool,
        (by, now): (&str, SystemTime),
    ) -> Result<Secret, AuthorityError> {
        let domain = match &allows {
            SpiffeMatch::Exact(id) | SpiffeMatch::Prefix(id) => id.trust_domain(),
            SpiffeMatch::TrustDomain(domain) => domain.as_str(),
        };
        if domain != self.trust_domain().as_str() {
            let problem = format!("a token for trust domain {domain} is good for nothing here");
            return Err(Refusal::Forbidden(problem).into());
        }
        let is_fixed = self
            .requesters
            .fixed_tokens
            .iter()
            .any(|token| token.name == name);
        let secret = Secret::generate(JOIN_TOKEN_PREFIX);
        let token = JoinToken {
            name: name.to_owned(),
            digest: secret.digest(),
            allows,
            expires: Some(now + lifetime),
            reusable,
        };
        let tokens = &self.requesters.join_tokens;
        if is_fixed || !tokens.add(token).await.map_err(Refusal::from)? {
            return Err(AuthorityError::NameTaken(name.to_owned()));
        }
        if let Err(refusal) = self.tell_join_token(name, true, by, now).await {
            // Nobody has its text: what is left of it is good for nothing.
            let _ = tokens.remove(name).await;
            return Err(refusal.into());
        }
        Ok(secret)
    }

    /// Takes a join token back; false if there is none of this name. Those of the settings are not taken back so.
    ///
    /// # Errors
    /// If that cannot be kept.
    pub async fn remove_join_token(&self, name: &str, by: &str, now: SystemTime) -> Result<bool, Refusal> {
        let tokens = self.requesters.join_tokens.list().await?;
        if !tokens.iter().any(|token| token.name == name) {
            return Ok(false);
        }
        self.tell_join_token(name, false, by, now).await?;
        Ok(self.requesters.join_tokens.remove(name).await?)
    }

    /// All join tokens: those of the settings, then those that were made.
    ///
    /// # Errors
    /// If they cannot be looked at.
    pub async fn join_tokens(&self) -> Result<Vec<JoinToken>, Refusal> {
        let mut tokens = self.requesters.fixed_tokens.clone();
        tokens.extend(self.requesters.join_tokens.list().await?);
        Ok(tokens)
    }

    async fn tell_join_token(
        &self,
        name: &str,
        made: bool,
        by: &str,
        now: SystemTime,
    ) -> Result<(), Refusal> {
        let happening = Happening::JoinToken {
            name: name.to_owned(),
            made,
            by: by.to_owned(),
        };
        self.report
            .record(AuthorityEvent {
                at: now,
                from: None,
                happening,
            })
            .await
    }
}

#[cfg(test)]
mod tests;
