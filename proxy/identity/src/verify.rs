//! Whether a peer's certificate is accepted: the chain, revocation, SPIFFE, and the names.

mod client;
mod server;

pub(crate) use client::ClientVerifier;
pub(crate) use server::ServerVerifier;

use crate::basis::Trust;
use crate::certificate::parse;
use crate::peer_fault::PeerFault;
use crate::provider::provider;
use crate::revocations::Revocations;
use crate::svid;
use outrigger_config::model::{PeerMatch, ServerNameMatch, SpiffeId};
use rustls::DistinguishedName;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{CertificateDer, DnsName, ServerName, TrustAnchor, UnixTime};
use std::sync::Arc;
use webpki::{
    EndEntityCert, ExpirationPolicy, KeyUsage, RevocationCheckDepth, RevocationOptionsBuilder,
    UnknownStatusPolicy,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

/// Certificates that a peer may show: a leaf, the six authorities between it and a root that webpki follows, the root,
/// which need not be shown, and two that are cross-signed. More are refused before any is looked at.
pub const CHAIN_CERTIFICATES_MAX: usize = 10;

/// Names of authorities that clients are told at most: each costs every handshake about 50 bytes.
const HINTS_MAX: usize = 16;

/// Verifies peers of one side of one configuration.
#[derive(Debug)]
pub(crate) struct Verifier {
    trust: Trust,
    revocations: Arc<Revocations>,
    peers: Vec<PeerMatch>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// A peer's certificate, in the forms in which it is looked at.
struct Leaf<'a> {
    certificate: EndEntityCert<'a>,
    parsed: X509Certificate<'a>,
    spiffe_id: Option<SpiffeId>,
}

impl Verifier {
    pub(crate) fn new(trust: Trust, revocations: Arc<Revocations>, peers: Vec<PeerMatch>) -> Verifier {
        Verifier {
            trust,
            revocations,
            peers,
            algorithms: provider().signature_verification_algorithms,
        }
    }

    /// Who is believed.
    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Whom a certificate must name.
    pub(crate) fn peers(&self) -> &[PeerMatch] {
        &self.peers
    }

    /// Accepts a chain, or says why not. Without `peers` the leaf must hold `server_name`, if there is one.
    pub(crate) fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        usage: KeyUsage,
        server_name: Option<&ServerName<'_>>,
        now: UnixTime,
    ) -> Result<(), PeerFault> {
        if others.len() >= CHAIN_CERTIFICATES_MAX {
            return Err(PeerFault::ChainTooLong);
        }
        let parsed = parse(leaf).ok_or(PeerFault::Malformed)?;
        let leaf = Leaf {
            certificate: EndEntityCert::try_from(leaf).map_err(|error| PeerFault::of_webpki(&error))?,
            spiffe_id: svid::leaf_id(&parsed)?,
            parsed,
        };
        let anchors = self.anchors(leaf.spiffe_id.as_ref())?;
        self.verify_chain(&leaf, others, anchors, usage, now)?;
        if let Some(id) = &leaf.spiffe_id
            && self.revocations.denies(id)
        {
            return Err(PeerFault::Denied);
        }
        if !self.peers.is_empty() {
            return self.check_peers(&leaf);
        }
        match server_name {
            Some(name) => leaf
                .certificate
                .verify_is_valid_for_subject_name(name)
                .map_err(|error| PeerFault::of_webpki(&error)),
            None => Ok(()),
        }
    }

    /// The names of all authorities that are believed; none where there are more than [`HINTS_MAX`].
    fn hints(&self) -> Vec<DistinguishedName> {
        let subjects = match &self.trust {
            Trust::Nobody => Vec::new(),
            Trust::Roots(roots, _) => roots.0.store().subjects(),
            Trust::Spiffe(bundles) => bundles
                .0
                .iter()
                .filter(|(_, _, domain)| domain.is_some())
                .flat_map(|(_, roots, _)| roots.store().subjects())
                .collect(),
        };
        match subjects.len() <= HINTS_MAX {
            true => subjects,
            false => Vec::new(),
        }
    }

    /// The authorities that may vouch for a leaf with this id.
    fn anchors(&self, id: Option<&SpiffeId>) -> Result<&[TrustAnchor<'static>], PeerFault> {
        match &self.trust {
            Trust::Nobody => Err(PeerFault::NoIdentity),
            Trust::Spiffe(bundles) => {
                let id = id.ok_or(PeerFault::NoSpiffeId)?;
                let roots = bundles.0.of_trust_domain(id.trust_domain());
                Ok(&roots.ok_or(PeerFault::UnknownTrustDomain)?.store().roots)
            }
            Trust::Roots(roots, domain) => match (domain, id) {
                (Some(domain), Some(id)) if domain.as_str() != id.trust_domain() => {
                    Err(PeerFault::UnknownTrustDomain)
                }
                _ => Ok(&roots.0.store().roots),
            },
        }
    }

    fn verify_chain(
        &self,
        leaf: &Leaf<'_>,
        others: &[CertificateDer<'_>],
        anchors: &[TrustAnchor<'_>],
        usage: KeyUsage,
        now: UnixTime,
    ) -> Result<(), PeerFault> {
        let lists: Vec<_> = self.revocations.lists().collect();
        if lists.is_empty() && self.revocations.list_required() {
            return Err(PeerFault::RevocationUnknown);
        }
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
            let status = match self.revocations.list_required() {
                true => UnknownStatusPolicy::Deny,
                false => UnknownStatusPolicy::Allow,
            };
            let expiration = match self.revocations.outdated_refused() {
                true => ExpirationPolicy::Enforce,
                false => ExpirationPolicy::Ignore,
            };
            options
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(status)
                .with_expiration_policy(expiration)
                .build()
        });
        let path = leaf
            .certificate
            .verify_for_usage(self.algorithms.all, anchors, others, now, usage, revocation, None)
            .map_err(|error| PeerFault::of_webpki(&error))?;
        let has_lists = !self.revocations.is_without_lists();
        self.check_listed(&leaf.parsed)?;
        if has_lists || leaf.spiffe_id.is_some() {
            for authority in path.intermediate_certificates() {
                let der = authority.der();
                let authority = parse(&der).ok_or(PeerFault::Malformed)?;
                self.check_listed(&authority)?;
                if leaf.spiffe_id.is_some() {
                    svid::check_authority(&authority)?;
                }
            }
        }
        Ok(())
    }

    /// Refuses what any list names: webpki has looked at one list of each issuer, and an open connection is cut by all.
    fn check_listed(&self, certificate: &X509Certificate<'_>) -> Result<(), PeerFault> {
        let (issuer, serial) = (certificate.issuer().as_raw(), certificate.raw_serial());
        match self.revocations.lists_certificate(issuer, serial) {
            true => Err(PeerFault::Revoked),
            false => Ok(()),
        }
    }

    /// The leaf must be one of the peers that are accepted.
    fn check_peers(&self, leaf: &Leaf<'_>) -> Result<(), PeerFault> {
        let accepts = |peer: &PeerMatch| match peer {
            PeerMatch::Spiffe(ids) => leaf.spiffe_id.as_ref().is_some_and(|id| ids.matches(id)),
            PeerMatch::Dns(ServerNameMatch::Exact(name)) => {
                DnsName::try_from(name.as_str()).is_ok_and(|name| {
                    let name = ServerName::DnsName(name);
                    leaf.certificate.verify_is_valid_for_subject_name(&name).is_ok()
                })
            }
            PeerMatch::Dns(ServerNameMatch::Suffix(suffix)) => holds_suffix(&leaf.parsed, suffix),
        };
        if self.peers.iter().any(accepts) {
            return Ok(());
        }
        let asks_for_ids = |peer: &PeerMatch| matches!(peer, PeerMatch::Spiffe(_));
        match leaf.spiffe_id.is_none() && self.peers.iter().all(asks_for_ids) {
            true => Err(PeerFault::NoSpiffeId),
            false => Err(PeerFault::NotAccepted),
        }
    }
}

/// True if a DNS name of the certificate ends with the suffix, which begins with a dot. `*.a.example` does so for
/// `.a.example`: every name that it stands for does.
fn holds_suffix(certificate: &X509Certificate<'_>, suffix: &str) -> bool {
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return false;
    };
    let holds = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => name
            .len()
            .checked_sub(suffix.len())
            .and_then(|at| name.get(at..))
            .is_some_and(|end| end.eq_ignore_ascii_case(suffix) && end.len() < name.len()),
        _ => false,
    };
    names.value.general_names.iter().any(holds)
}
