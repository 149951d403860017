//! Authorities that are believed, and which of them speak for whom.

mod spiffe_bundle;
mod system;

pub(crate) use system::system_roots;

use crate::certificate::{CertificateFacts, bad_certificate, certificates_of};
use crate::credential::InputDigest;
use crate::error::{IdentityError, Place};
use crate::files::read;
use outrigger_config::model::{Name, TrustDomain};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Authorities that are believed. Shared by `Arc` for as long as it stays the same, so that "unchanged" is pointer
/// equality.
pub struct RootSet {
    store: RootCertStore,
    authorities: Vec<CertificateFacts>,
    sequence: Option<u64>,
    refresh_hint: Option<Duration>,
    digest: InputDigest,
}

impl RootSet {
    /// Authorities out of DER.
    ///
    /// # Errors
    /// If there is none, or one cannot be used.
    pub fn new(certificates: Vec<CertificateDer<'static>>) -> Result<RootSet, IdentityError> {
        let digest = InputDigest::of(certificates.iter().map(|certificate| certificate.as_ref()));
        RootSet::assemble(certificates, &Place::Given("the answer"), digest)
    }

    /// Those of the operating system, read once for the whole process.
    ///
    /// # Errors
    /// If there is none that could be used.
    pub fn of_system() -> Result<Arc<RootSet>, IdentityError> {
        system_roots()
    }

    /// Authorities out of PEM, or of a SPIFFE bundle (JSON), told apart by the first character.
    ///
    /// # Errors
    /// As [`RootSet::new`], and if the text is neither.
    pub fn from_text(text: &[u8]) -> Result<RootSet, IdentityError> {
        RootSet::parse(text, &Place::Given("the configuration"))
    }

    /// The file anew; `previous` if it holds what that was made of.
    pub(crate) fn read(file: &Path, previous: Option<&Arc<RootSet>>) -> Result<Arc<RootSet>, IdentityError> {
        let contents = read(file)?;
        RootSet::reuse(&contents, &Place::File(file.to_owned()), previous)
    }

    /// What the configuration itself holds; `previous` if that was made of the same.
    pub(crate) fn inline(text: &str, previous: Option<&Arc<RootSet>>) -> Result<Arc<RootSet>, IdentityError> {
        RootSet::reuse(text.as_bytes(), &Place::Given("the configuration"), previous)
    }

    fn reuse(
        text: &[u8],
        place: &Place,
        previous: Option<&Arc<RootSet>>,
    ) -> Result<Arc<RootSet>, IdentityError> {
        match previous.filter(|previous| previous.digest == InputDigest::of([text])) {
            Some(previous) => Ok(Arc::clone(previous)),
            None => RootSet::parse(text, place).map(Arc::new),
        }
    }

    fn parse(text: &[u8], place: &Place) -> Result<RootSet, IdentityError> {
        let digest = InputDigest::of([text]);
        if text.trim_ascii_start().first() != Some(&b'{') {
            return RootSet::assemble(certificates_of(text, place)?, place, digest);
        }
        let bundle = spiffe_bundle::parse(text, place)?;
        let mut roots = RootSet::assemble(bundle.certificates, place, digest)?;
        roots.sequence = bundle.sequence;
        roots.refresh_hint = bundle.refresh_hint;
        Ok(roots)
    }

    fn assemble(
        certificates: Vec<CertificateDer<'static>>,
        place: &Place,
        digest: InputDigest,
    ) -> Result<RootSet, IdentityError> {
        if certificates.is_empty() {
            return Err(IdentityError::NoRoots { place: place.clone() });
        }
        let mut store = RootCertStore::empty();
        let mut authorities = Vec::with_capacity(certificates.len());
        for (index, certificate) in certificates.into_iter().enumerate() {
            let unreadable = || bad_certificate(place, index, "it cannot be parsed".to_owned());
            authorities.push(CertificateFacts::of(&certificate).ok_or_else(unreadable)?);
            store
                .add(certificate)
                .map_err(|error| bad_certificate(place, index, error.to_string()))?;
        }
        Ok(RootSet {
            store,
            authorities,
            sequence: None,
            refresh_hint: None,
            digest,
        })
    }

    pub(crate) fn is_made_of_the_same(&self, other: &RootSet) -> bool {
        self.digest == other.digest
    }

    /// The authorities as rustls wants them.
    pub fn store(&self) -> &RootCertStore {
        &self.store
    }

    /// What their certificates say.
    pub fn authorities(&self) -> &[CertificateFacts] {
        &self.authorities
    }

    /// The number of this version of a SPIFFE bundle (`spiffe_sequence`).
    pub fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// How soon a SPIFFE bundle asks to be looked at again (`spiffe_refresh_hint`).
    pub fn refresh_hint(&self) -> Option<Duration> {
        self.refresh_hint
    }
}

impl fmt::Debug for RootSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootSet")
            .field("authorities", &self.authorities.len())
            .finish_non_exhaustive()
    }
}

/// The trust bundles: by the name that policy calls them, and by the trust domain for which they speak.
#[derive(Debug, Default)]
pub struct TrustBundles {
    by_name: HashMap<Name, TrustedBundle>,
    names_by_domain: HashMap<TrustDomain, Name>,
}

/// A trust bundle's authorities.
#[derive(Debug, Clone)]
pub(crate) struct TrustedBundle {
    pub(crate) roots: Arc<RootSet>,
    /// The trust domain for which they speak, and for no other.
    pub(crate) trust_domain: Option<TrustDomain>,
}

impl TrustBundles {
    pub(crate) fn new(by_name: HashMap<Name, TrustedBundle>) -> TrustBundles {
        let domain =
            |(name, bundle): (&Name, &TrustedBundle)| Some((bundle.trust_domain.clone()?, name.clone()));
        let names_by_domain = by_name.iter().filter_map(domain).collect();
        TrustBundles {
            by_name,
            names_by_domain,
        }
    }

    /// The authorities of the bundle of this name; none if it is not there yet.
    pub fn named(&self, name: &Name) -> Option<&Arc<RootSet>> {
        Some(&self.by_name.get(name)?.roots)
    }

    /// The authorities that speak for a trust domain.
    pub fn of_trust_domain(&self, trust_domain: &str) -> Option<&Arc<RootSet>> {
        let (_, name) = self
            .names_by_domain
            .iter()
            .find(|(domain, _)| domain.as_str() == trust_domain)?;
        self.named(name)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Arc<RootSet>, Option<&TrustDomain>)> {
        self.by_name
            .iter()
            .map(|(name, bundle)| (name, &bundle.roots, bundle.trust_domain.as_ref()))
    }

    pub(crate) fn bundles(&self) -> &HashMap<Name, TrustedBundle> {
        &self.by_name
    }

    /// True if nothing differs from the other.
    pub(crate) fn is_same(&self, other: &TrustBundles) -> bool {
        self.by_name.len() == other.by_name.len()
            && self.by_name.iter().all(|(name, bundle)| {
                other.by_name.get(name).is_some_and(|other| {
                    Arc::ptr_eq(&bundle.roots, &other.roots) && bundle.trust_domain == other.trust_domain
                })
            })
    }
}
