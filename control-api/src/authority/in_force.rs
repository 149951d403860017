//! The keys and roots in force: opened at start, rolled over step by step, and kept in step with other servers.

use super::rollover::{Evidence, KeyRing, Phase, Step, Waits};
use super::signer::{self, BACKDATE, Signer, SignerFault, SignerPem, certificates};
use super::{
    Authority, AuthorityError, AuthorityEvent, AuthorityParts, Happening, KeySource, KeyStore, KeyStoreError,
    Report, Requesters,
};
use arc_swap::ArcSwap;
use outrigger_config::model::TrustDomain;
use outrigger_identity::{CertificateFacts, RootSet, provider};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::CertificateDer;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// How often a conflict with another server is tried again before it is an error.
const CONFLICTS_MAX: u32 = 3;

/// The roots that nodes are to believe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    roots: Vec<CertificateDer<'static>>,
    pem: String,
    fingerprints: Vec<String>,
}

impl Bundle {
    fn new(roots: Vec<CertificateDer<'static>>) -> Bundle {
        let pem = roots.iter().map(to_pem).collect();
        let facts = roots.iter().filter_map(CertificateFacts::of);
        let fingerprints = facts.map(|facts| facts.fingerprint).collect();
        Bundle {
            roots,
            pem,
            fingerprints,
        }
    }

    /// The roots, that of the signing key first.
    pub fn roots(&self) -> &[CertificateDer<'static>] {
        &self.roots
    }

    /// SHA-256 of each, hexadecimal.
    pub fn fingerprints(&self) -> &[String] {
        &self.fingerprints
    }

    /// The same as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }
}

/// A certificate as PEM.
pub(super) fn to_pem(certificate: &CertificateDer<'_>) -> String {
    pem_block("CERTIFICATE", certificate)
}

/// DER as PEM.
pub(super) fn pem_block(label: &str, der: &[u8]) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    /// RFC 7468 section 2.
    const LINE: usize = 64;
    let encoded = STANDARD.encode(der);
    let mut pem = String::with_capacity(encoded.len() + encoded.len() / LINE + 64);
    pem.push_str(&format!("-----BEGIN {label}-----\n"));
    for line in encoded.as_bytes().chunks(LINE) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

/// What may be shown of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootReport {
    /// How far it has come.
    pub phase: Phase,
    /// Since when.
    pub since: SystemTime,
    /// What its certificate says.
    pub facts: CertificateFacts,
}

/// Everything that follows from the keys.
pub(super) struct InForce {
    ring: KeyRing,
    /// Which version is kept; none where nothing is.
    version: Option<u64>,
    signer: Signer,
    bundle: Arc<Bundle>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl InForce {
    fn new(
        ring: KeyRing,
        version: Option<u64>,
        further_roots: &str,
        trust_domain: &TrustDomain,
        now: SystemTime,
    ) -> Result<InForce, AuthorityError> {
        let signer = Signer::load(&ring.signer(), trust_domain, now)?;
        let mut roots = vec![signer.root().clone()];
        for root in ring.roots().filter(|root| root.phase != Phase::Prepared) {
            roots.extend(certificates(root.chain)?.pop());
        }
        roots.extend(certificates(further_roots)?);
        let mut bundle: Vec<CertificateDer<'static>> = Vec::with_capacity(roots.len());
        for root in roots {
            if !bundle.contains(&root) {
                bundle.push(root);
            }
        }
        let unusable = |problem: &dyn std::fmt::Display| AuthorityError::Roots(problem.to_string());
        let set = RootSet::new(bundle.clone()).map_err(|error| unusable(&error))?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(set.store().clone()), provider())
            .build()
            .map_err(|error| unusable(&error))?;
        Ok(InForce {
            ring,
            version,
            signer,
            bundle: Arc::new(Bundle::new(bundle)),
            verifier,
        })
    }

    pub(super) fn signer(&self) -> &Signer {
        &self.signer
    }

    pub(super) fn bundle(&self) -> &Arc<Bundle> {
        &self.bundle
    }

    /// Believes client certificates by the bundle's roots alone.
    pub(super) fn verifier(&self) -> &dyn ClientCertVerifier {
        &*self.verifier
    }
}

impl Authority {
    /// Opens the authority: with the keys that are kept, or with new ones, which are kept then.
    ///
    /// # Errors
    /// If keys cannot be read, made, kept or used.
    pub async fn open(parts: AuthorityParts, now: SystemTime) -> Result<Authority, AuthorityError> {
        let AuthorityParts {
            trust_domain,
            validity_max,
            key,
            fixed_tokens,
            join_tokens,
            kubernetes,
            audit,
            metrics,
        } = parts;
        let (store, further_roots, ring, version) = match key {
            KeySource::Given {
                signer,
                further_roots,
            } => (None, further_roots, KeyRing::new(signer, now), None),
            KeySource::Kept(store) => {
                let (ring, version) = load_or_generate(&*store, &trust_domain, now).await?;
                (Some(store), String::new(), ring, Some(version))
            }
        };
        let in_force = InForce::new(ring, version, &further_roots, &trust_domain, now)?;
        let authority = Authority {
            validity_max,
            store,
            further_roots,
            bundle: watch::Sender::new(Arc::clone(&in_force.bundle)),
            in_force: ArcSwap::from_pointee(in_force),
            changing: tokio::sync::Mutex::new(()),
            requesters: Requesters {
                trust_domain,
                fixed_tokens,
                join_tokens,
                kubernetes,
            },
            rates: parking_lot::Mutex::default(),
            report: Report::new(audit, metrics),
        };
        authority.tell_metrics();
        Ok(authority)
    }

    /// The roots that nodes are to believe now.
    pub fn bundle(&self) -> Arc<Bundle> {
        Arc::clone(&self.in_force.load().bundle)
    }

    /// The same, and every change of them.
    pub fn watch_bundle(&self) -> watch::Receiver<Arc<Bundle>> {
        self.bundle.subscribe()
    }

    /// What may be shown of the roots, the signing one among them.
    pub fn roots(&self) -> Vec<RootReport> {
        let in_force = self.in_force.load();
        let report = |root: super::RootState<'_>| {
            let last = certificates(root.chain).ok()?.pop()?;
            Some(RootReport {
                phase: root.phase,
                since: root.since,
                facts: CertificateFacts::of(&last)?,
            })
        };
        in_force.ring.roots().filter_map(report).collect()
    }

    /// How long a rollover's steps wait where time is the evidence: until whoever renews has renewed, and until what the
    /// old key signed has expired everywhere.
    pub fn waits(&self) -> Waits {
        Waits {
            distribution: self.validity_max,
            retirement: self.validity_max + BACKDATE,
        }
    }

    /// Takes a step of a root rollover, and keeps it before it is in force. For [`Step::Prepare`] a key may be `supplied`;
    /// else one is made. Other servers see it at their next [`Authority::refresh`].
    ///
    /// # Errors
    /// If it is not the step's turn, if the step before may not have reached everybody, or if it cannot be kept or written
    /// down; all stays as it is then.
    pub async fn roll(
        &self,
        step: Step,
        evidence: Evidence,
        supplied: Option<SignerPem>,
        (by, now): (&str, SystemTime),
    ) -> Result<Arc<Bundle>, AuthorityError> {
        let store = self.store.as_ref().ok_or(AuthorityError::Given)?;
        let _changing = self.changing.lock().await;
        // Another server may have taken this step.
        self.reload(&**store, now).await?;
        let before = self.in_force.load_full();
        let ring = match step {
            Step::Prepare => before.ring.prepare(self.new_signer(supplied, now)?, now)?,
            _ => before.ring.advance(step, evidence, self.waits(), now)?,
        };
        let happening = Happening::Rollover {
            step,
            evidence,
            by: by.to_owned(),
        };
        let mut next = InForce::new(ring, None, &self.further_roots, self.trust_domain(), now)?;
        let event = AuthorityEvent {
            at: now,
            from: None,
            happening,
        };
        self.report.record(event).await?;
        next.version = Some(store.save(&next.ring.to_text(), before.version).await?);
        let bundle = Arc::clone(&next.bundle);
        self.put_in_force(next);
        Ok(bundle)
    }

    fn new_signer(&self, supplied: Option<SignerPem>, now: SystemTime) -> Result<SignerPem, SignerFault> {
        match supplied {
            Some(pem) => {
                // What could not sign when its turn comes is refused now.
                Signer::load(&pem, self.trust_domain(), now)?;
                Ok(pem)
            }
            None => signer::generate(self.trust_domain(), now),
        }
    }

    /// Takes over what another server has done with the keys. To be called every few seconds where servers share a store;
    /// without one it does nothing.
    ///
    /// # Errors
    /// If what is kept cannot be read or used; all stays as it is then.
    pub async fn refresh(&self, now: SystemTime) -> Result<(), AuthorityError> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let _changing = self.changing.lock().await;
        self.reload(&**store, now).await
    }

    async fn reload(&self, store: &dyn KeyStore, now: SystemTime) -> Result<(), AuthorityError> {
        let kept = store.load().await?.ok_or(AuthorityError::Unreadable)?;
        if Some(kept.version) == self.in_force.load().version {
            return Ok(());
        }
        let ring = KeyRing::parse(&kept.text).ok_or(AuthorityError::Unreadable)?;
        let (roots, domain) = (&self.further_roots, self.trust_domain());
        self.put_in_force(InForce::new(ring, Some(kept.version), roots, domain, now)?);
        Ok(())
    }

    fn put_in_force(&self, next: InForce) {
        let bundle = Arc::clone(&next.bundle);
        self.in_force.store(Arc::new(next));
        self.tell_metrics();
        self.bundle.send_if_modified(|current| {
            let changes = **current != *bundle;
            *current = bundle;
            changes
        });
    }

    fn tell_metrics(&self) {
        let in_force = self.in_force.load();
        let phases = in_force.ring.roots().map(|root| root.phase);
        let expires = in_force.signer.validity().not_after;
        self.report.metrics().in_force(expires, phases);
    }

    /// How long the signing certificate holds still.
    pub fn signer_left(&self, now: SystemTime) -> Duration {
        self.in_force.load().signer.validity().left(now)
    }
}

/// The keys that are kept; new ones if there are none. Of several servers that start at once one makes them.
async fn load_or_generate(
    store: &dyn KeyStore,
    trust_domain: &TrustDomain,
    now: SystemTime,
) -> Result<(KeyRing, u64), AuthorityError> {
    let mut conflicts = 0;
    loop {
        if let Some(kept) = store.load().await? {
            let ring = KeyRing::parse(&kept.text).ok_or(AuthorityError::Unreadable)?;
            return Ok((ring, kept.version));
        }
        let ring = KeyRing::new(signer::generate(trust_domain, now)?, now);
        match store.save(&ring.to_text(), None).await {
            Ok(version) => return Ok((ring, version)),
            Err(KeyStoreError::Conflict) if conflicts < CONFLICTS_MAX => conflicts += 1,
            Err(error) => return Err(error.into()),
        }
    }
}
