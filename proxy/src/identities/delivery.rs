//! What a source gives, before and after it is checked.

use super::failure::Failure;
use outrigger_config::model::{Name, SpiffeId, TrustDomain};
use outrigger_identity::{CertificateFacts, Credential, RevocationLists, RootSet, Validity};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

/// An identity whose time begins later than this is refused: one of the clocks is wrong.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(60);

/// What a source gave, as it came.
pub(super) struct Given {
    /// The id that it is said to be.
    pub(super) id: SpiffeId,
    /// Leaf first, without the root.
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: Zeroizing<PrivateKeyDer<'static>>,
    /// The authorities of each trust domain; those of the identity's own first.
    pub(super) bundles: Vec<(TrustDomain, Vec<CertificateDer<'static>>)>,
    pub(super) lists: Vec<CertificateRevocationListDer<'static>>,
}

/// What a source gave, checked. Parts that are what they were before are the same by pointer.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) credential: Arc<Credential>,
    /// The authorities of each trust domain; those of the identity's own first.
    pub(crate) bundles: Vec<(TrustDomain, Arc<RootSet>)>,
    pub(crate) lists: Option<Arc<RevocationLists>>,
}

impl Delivery {
    /// Checks what was given for the identity of this name: the key fits the certificate, which names the one id, holds
    /// now, and chains to the authorities that came with it.
    pub(super) fn check(
        given: Given,
        name: &Name,
        before: Option<&Delivery>,
        now: SystemTime,
    ) -> Result<Delivery, Failure> {
        let credential = Credential::new(given.chain, given.key, None).map_err(Failure::answer)?;
        check_id(&credential, &given.id)?;
        let validity = credential.facts().validity;
        if validity.not_after < now {
            return Err(Failure::answer("its certificate has expired"));
        }
        if validity.not_before > now + CLOCK_SKEW_MAX {
            return Err(Failure::answer(
                "its certificate is not valid yet; is the clock right?",
            ));
        }
        let mut bundles = Vec::with_capacity(given.bundles.len());
        for (domain, certificates) in given.bundles {
            let roots = RootSet::new(certificates)
                .map_err(|error| Failure::answer(format!("bundle of {domain}: {error}")))?;
            let before = before.and_then(|before| before.bundle(&domain));
            let roots = same_or(before, Arc::new(roots), |roots| roots.authorities());
            bundles.push((domain, roots));
        }
        if let Some((domain, own)) = bundles.first() {
            // A certificate that begins a moment from now by our clock holds by that of who made it.
            let now = now.max(validity.not_before);
            credential.verify(own, Some(domain), now).map_err(|fault| {
                Failure::answer(format!("its chain does not lead to its trust bundle: {fault}"))
            })?;
        }
        let lists = RevocationLists::given(name, &given.lists).map_err(Failure::answer)?;
        let before = before.map(|before| &before.credential);
        Ok(Delivery {
            credential: same_or(before, Arc::new(credential), |credential| credential.chain()),
            bundles,
            lists,
        })
    }

    /// From when to when the certificate is valid.
    pub(crate) fn validity(&self) -> Validity {
        self.credential.facts().validity
    }

    /// The authorities that speak for a trust domain.
    pub(crate) fn bundle(&self, domain: &TrustDomain) -> Option<&Arc<RootSet>> {
        let (_, roots) = self.bundles.iter().find(|(known, _)| known == domain)?;
        Some(roots)
    }

    /// The authorities of the identity's own trust domain.
    pub(crate) fn own_bundle(&self) -> Option<&Arc<RootSet>> {
        self.bundles.first().map(|(_, roots)| roots)
    }
}

fn check_id(credential: &Credential, id: &SpiffeId) -> Result<(), Failure> {
    match &credential.facts().spiffe_id {
        Some(found) if found == id => Ok(()),
        Some(found) => Err(Failure::answer(format!(
            "its certificate is for {found} instead of {id}"
        ))),
        None => Err(Failure::answer("its certificate names no SPIFFE id")),
    }
}

/// The one before, if it holds the same certificates.
fn same_or<T>(
    before: Option<&Arc<T>>,
    now: Arc<T>,
    certificates: impl Fn(&T) -> &[CertificateFacts],
) -> Arc<T> {
    let is_same = |before: &&Arc<T>| {
        let (before, now) = (certificates(before).iter(), certificates(&now).iter());
        before
            .map(|certificate| &certificate.fingerprint)
            .eq(now.map(|certificate| &certificate.fingerprint))
    };
    before
        .filter(is_same)
        .map_or_else(|| Arc::clone(&now), Arc::clone)
}

/// Certificates in DER, one behind the other, each by itself; none if the bytes are no such thing.
pub(super) fn split_der(mut bytes: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let length = element_bytes(bytes)?;
        let (element, rest) = bytes.split_at_checked(length)?;
        found.push(CertificateDer::from(element.to_vec()));
        bytes = rest;
    }
    Some(found)
}

/// How long the SEQUENCE is that the bytes begin with, its head included (X.690, section 8.1.3).
fn element_bytes(bytes: &[u8]) -> Option<usize> {
    const SEQUENCE: u8 = 0x30;
    const LONG_FORM: u8 = 0x80;
    let (&tag, &length) = (bytes.first()?, bytes.get(1)?);
    if tag != SEQUENCE {
        return None;
    }
    if length < LONG_FORM {
        return Some(2 + usize::from(length));
    }
    let count = usize::from(length & !LONG_FORM);
    if !(1..=4).contains(&count) {
        return None;
    }
    let length = bytes
        .get(2..2 + count)?
        .iter()
        .try_fold(0_usize, |length, byte| {
            length.checked_mul(256)?.checked_add(usize::from(*byte))
        })?;
    length.checked_add(2 + count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
        let found = split_der(bytes)?;
        Some(found.iter().map(|element| element.to_vec()).collect())
    }

    #[test]
    fn elements_are_told_apart() {
        assert_eq!(split(&[]), Some(vec![]));
        assert_eq!(split(&[0x30, 0]), Some(vec![vec![0x30, 0]]));
        assert_eq!(
            split(&[0x30, 1, 9, 0x30, 2, 8, 8]),
            Some(vec![vec![0x30, 1, 9], vec![0x30, 2, 8, 8]])
        );
        let mut long = vec![0x30, 0x82, 0x01, 0x00];
        long.extend([7; 256]);
        let mut two = long.clone();
        two.extend([0x30, 0x81, 1, 5]);
        assert_eq!(split(&two), Some(vec![long, vec![0x30, 0x81, 1, 5]]));
    }

    #[test]
    fn what_is_no_element_is_refused_whole() {
        for bytes in [
            &[0x30][..],
            &[0x31, 0],
            &[0x30, 1],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x85, 0, 0, 0, 0, 0],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x30, 0x82, 1],
            &[0x30, 0, 0],
        ] {
            assert_eq!(split(bytes), None, "{bytes:?}");
        }
    }
}
