//! Whom one side of a configuration believes, asked again for peers whose connections are open.
//!
//! A handshake asks once. When authorities or accepted names change, what was accepted under the old [`Belief`] is held
//! against the new one. Most of it needs no cryptography: [`Belief::taken_since`] says which authorities are not believed
//! any more, and a chain that names none of them ends where it ended before.

use crate::basis::{Basis, Trust};
use crate::material::Material;
use crate::peer::PeerIdentity;
use crate::peer_fault::PeerFault;
use crate::verify::Verifier;
use outrigger_config::model::{DownstreamTls, UpstreamTls};
use rustls::DistinguishedName;
use rustls_pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use webpki::KeyUsage;

/// Whom one side of one configuration believes.
pub struct Belief {
    verifier: Verifier,
    side: Side,
}

#[derive(Debug, Clone, PartialEq)]
enum Side {
    /// Clients, which must show a certificate or may.
    Clients { required: bool },
    /// Servers, which hold this name where no peers are named.
    Servers(Option<ServerName<'static>>),
}

/// What a new belief has taken from an older one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// Nothing: whoever was believed is.
    Nothing,
    /// Authorities of these names (DER): what they vouched for must be verified again.
    Authorities(HashSet<Vec<u8>>),
    /// It asks for something else: everybody must be verified again.
    Anything,
}

impl Belief {
    /// Of a filter chain; none if no client is asked for a certificate.
    pub fn of_downstream(tls: &DownstreamTls, material: &Material) -> Option<Belief> {
        let client = tls.client().as_ref()?;
        let basis = Basis::of_downstream(tls, material);
        let (trust, revocations) = basis.believed()?;
        let peers = client.validation().peers().clone();
        Some(Belief {
            verifier: Verifier::new(trust.clone(), Arc::clone(revocations), peers),
            side: Side::Clients {
                required: client.required(),
            },
        })
    }

    /// Of a cluster.
    pub fn of_upstream(tls: &UpstreamTls, material: &Material) -> Option<Belief> {
        let basis = Basis::of_upstream(tls, material);
        let (trust, revocations) = basis.believed()?;
        let peers = tls.validation().peers().clone();
        let name = tls.server_name().as_deref();
        let name = name.and_then(|name| ServerName::try_from(name.to_owned()).ok());
        Some(Belief {
            verifier: Verifier::new(trust.clone(), Arc::clone(revocations), peers),
            side: Side::Servers(name),
        })
    }

    /// True if a client must show a certificate.
    pub fn requires_certificate(&self) -> bool {
        matches!(self.side, Side::Clients { required: true })
    }

    /// What has been taken since `before` of those whom it believed. Revocations are not looked at: they are asked by
    /// [`crate::Revocations::refuses`].
    pub fn taken_since(&self, before: &Belief) -> Taken {
        let names = |side: &Side| match side {
            Side::Clients { .. } => None,
            Side::Servers(name) => Some(name.clone()),
        };
        if self.verifier.peers() != before.verifier.peers() || names(&self.side) != names(&before.side) {
            return Taken::Anything;
        }
        let mut gone = HashSet::new();
        match (before.verifier.trust(), self.verifier.trust()) {
            (old, new) if old == new => {}
            (Trust::Roots(old, old_domain), Trust::Roots(new, new_domain)) if old_domain == new_domain => {
                note_gone(&old.0.store().roots, &new.0.store().roots, &mut gone);
            }
            (Trust::Spiffe(old), Trust::Spiffe(new)) => {
                for (_, roots, domain) in old.0.iter() {
                    let Some(domain) = domain else { continue };
                    let left = new.0.of_trust_domain(domain.as_str());
                    let left = left.map_or(&[][..], |left| &left.store().roots);
                    note_gone(&roots.store().roots, left, &mut gone);
                }
            }
            _ => return Taken::Anything,
        }
        match gone.is_empty() {
            true => Taken::Nothing,
            false => Taken::Authorities(gone),
        }
    }

    /// Verifies a chain that was accepted at a handshake, leaf first, as of `at`: a certificate that has expired since
    /// was good enough for its connection then.
    ///
    /// # Errors
    /// Why it would be refused.
    pub fn accepts(&self, chain: &[CertificateDer<'_>], at: SystemTime) -> Result<(), PeerFault> {
        let (leaf, others) = chain.split_first().ok_or(PeerFault::NoCertificate)?;
        let since_epoch = at
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let at = UnixTime::since_unix_epoch(since_epoch);
        let (usage, name) = match &self.side {
            Side::Clients { .. } => (KeyUsage::client_auth(), None),
            Side::Servers(name) => (KeyUsage::server_auth(), name.as_ref()),
        };
        self.verifier.verify(leaf, others, usage, name, at)
    }
}

impl fmt::Debug for Belief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Belief")
            .field("side", &self.side)
            .finish_non_exhaustive()
    }
}

impl Taken {
    /// True if a peer that was accepted must be verified again.
    pub fn concerns(&self, peer: &PeerIdentity) -> bool {
        match self {
            Taken::Nothing => false,
            Taken::Authorities(names) => peer.issued().any(|(issuer, _)| names.contains(issuer)),
            Taken::Anything => true,
        }
    }
}

/// Notes the names of the old authorities that are not among the new.
fn note_gone(old: &[TrustAnchor<'static>], new: &[TrustAnchor<'static>], gone: &mut HashSet<Vec<u8>>) {
    for anchor in old.iter().filter(|anchor| !new.contains(anchor)) {
        gone.insert(DistinguishedName::in_sequence(&anchor.subject).as_ref().to_vec());
    }
}
