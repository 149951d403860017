//! A signing key with the chain above it: makes certificates.

use super::request::Asked;
use outrigger_config::model::{SpiffeId, TrustDomain};
use outrigger_identity::{CertificateFacts, Credential, RootSet, Validity};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use zeroize::{Zeroize, Zeroizing};

/// Certificates begin so much before now: a peer's clock may be behind ours by a minute, as with tokens.
pub const BACKDATE: Duration = Duration::from_secs(60);
/// A root that is made here holds for ten years, as SPIRE's and Istio's.
pub const ROOT_VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// A signer that holds for less than this signs no more.
const LEFT_MIN: Duration = Duration::from_secs(1);
/// Certificates of a signer's chain at most: what verifiers follow.
const CHAIN_CERTIFICATES_MAX: usize = 6;

/// Why a key and a chain are no signer.
#[derive(Debug, thiserror::Error)]
pub enum SignerFault {
    /// The certificates cannot be read.
    #[error(
        "the signer's certificates cannot be used: {0}; expected PEM, the signing certificate first, the root last"
    )]
    Chain(String),
    /// The key cannot be read.
    #[error("the signing key cannot be used; expected an unencrypted key (PEM) of ECDSA, Ed25519 or RSA")]
    Key,
    /// A certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// What it signs would be refused.
    #[error("what the signer signs is refused by its own root: {0}")]
    Refused(String),
    /// It holds no more, or not yet.
    #[error("the signer's certificate {0} has expired; expected a root rollover before")]
    Expired(String),
}

/// A signer as it is kept: PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct SignerPem {
    /// The signing certificate first, the root last; they may be the same.
    pub chain: String,
    /// PKCS#8.
    pub private_key: Zeroizing<String>,
}

/// A certificate that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Whose.
    pub id: SpiffeId,
    /// The leaf first, then what stands between it and its root, without the root.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's serial number: hexadecimal, lower case.
    pub serial: String,
    /// When it holds.
    pub validity: Validity,
}

/// What a leaf is made for.
pub(super) struct Wanted<'a> {
    pub(super) id: &'a SpiffeId,
    pub(super) dns_names: &'a [String],
    pub(super) addresses: &'a [IpAddr],
    pub(super) validity: Duration,
}

/// A signer, ready to sign.
pub(super) struct Signer {
    issuer: Issuer<'static, KeyPair>,
    /// Certificates between a leaf and the root, the signer's own included unless it is the root.
    between: Vec<CertificateDer<'static>>,
    root: CertificateDer<'static>,
    /// Of the certificate in the chain that holds shortest.
    validity: Validity,
    subject: String,
}

/// Makes a root of a new key (P-256), which vouches for leaves alone.
pub(super) fn generate(trust_domain: &TrustDomain, now: SystemTime) -> Result<SignerPem, SignerFault> {
    let mut key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    let serial = random_serial();
    // Roots of one trust domain have different names, so that a verifier never tries the wrong one.
    let name = format!("{trust_domain} {}", &hexadecimal(&serial[1..])[..8]);
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Outrigger");
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    let uri = format!("spiffe://{trust_domain}");
    params.subject_alt_names = vec![SanType::URI(uri.as_str().try_into()?)];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (now - BACKDATE).into();
    params.not_after = (now + ROOT_VALIDITY).into();
    let chain = params.self_signed(&key)?.pem();
    let private_key = Zeroizing::new(key.serialize_pem());
    key.zeroize();
    Ok(SignerPem { chain, private_key })
}

impl Signer {
    /// A signer out of PEM. It is tried: a certificate that it makes must lead to its root.
    pub(super) fn load(
        pem: &SignerPem,
        trust_domain: &TrustDomain,
        now: SystemTime,
    ) -> Result<Signer, SignerFault> {
        let chain = certificates(&pem.chain)?;
        let facts: Vec<CertificateFacts> = chain
            .iter()
            .map(|certificate| {
                CertificateFacts::of(certificate)
                    .ok_or_else(|| SignerFault::Chain("one cannot be parsed".to_owned()))
            })
            .collect::<Result<_, _>>()?;
        let (root, between) = match &chain[..] {
            [between @ .., root] if between.len() < CHAIN_CERTIFICATES_MAX => (root, between),
            [] => return Err(SignerFault::Chain("there is none".to_owned())),
            _ => return Err(SignerFault::Chain("there are too many".to_owned())),
        };
        let last = facts.last().expect("there is one for each certificate");
        if last.subject != last.issuer {
            let problem = format!("the last, {}, is no root", last.subject);
            return Err(SignerFault::Chain(problem));
        }
        if let Some(id) = facts[0].spiffe_id.as_ref()
            && id.trust_domain() != trust_domain.as_str()
        {
            let problem = format!(
                "they are of trust domain {}, not {trust_domain}",
                id.trust_domain()
            );
            return Err(SignerFault::Chain(problem));
        }
        check_depths(&chain)?;
        let key = KeyPair::from_pem(&pem.private_key).map_err(|_| SignerFault::Key)?;
        let starts = facts.iter().map(|facts| facts.validity.not_before).max();
        let ends = facts.iter().map(|facts| facts.validity.not_after).min();
        let signer = Signer {
            issuer: Issuer::from_ca_cert_der(&chain[0], key)?,
            between: between.to_vec(),
            root: root.clone(),
            validity: Validity {
                not_before: starts.expect("there is one for each certificate"),
                not_after: ends.expect("there is one for each certificate"),
            },
            subject: facts[0].subject.clone(),
        };
        signer.try_out(trust_domain, now)?;
        Ok(signer)
    }

    /// Makes a leaf and shows it to a verifier, as a peer would.
    fn try_out(&self, trust_domain: &TrustDomain, now: SystemTime) -> Result<(), SignerFault> {
        let id = format!("spiffe://{trust_domain}/outrigger/trial")
            .parse()
            .expect("a path below a trust domain is an id");
        let refused = |problem: &dyn std::fmt::Display| SignerFault::Refused(problem.to_string());
        let wanted = Wanted {
            id: &id,
            dns_names: &[],
            addresses: &[],
            validity: BACKDATE,
        };
        let (certificate, key) = self.issue_with_key(&wanted, now)?;
        let credential =
            Credential::new(certificate.chain, key.into(), None).map_err(|error| refused(&error))?;
        let roots = RootSet::new(vec![self.root.clone()]).map_err(|error| refused(&error))?;
        credential
            .verify(&Arc::new(roots), Some(trust_domain), now)
            .map_err(|fault| refused(&fault))
    }

    /// The root that what it signs leads to.
    pub(super) fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// When it can sign.
    pub(super) fn validity(&self) -> Validity {
        self.validity
    }

    /// Certifies the key of a request.
    pub(super) fn issue(
        &self,
        asked: &Asked,
        wanted: &Wanted<'_>,
        now: SystemTime,
    ) -> Result<Certificate, SignerFault> {
        let key = SubjectPublicKeyInfo::from_der(&asked.public_key)?;
        self.certify(&key, wanted, now)
    }

    /// Makes a key (P-256) and certifies it.
    pub(super) fn issue_with_key(
        &self,
        wanted: &Wanted<'_>,
        now: SystemTime,
    ) -> Result<(Certificate, PrivateKeyDer<'static>), SignerFault> {
        let mut key = KeyPair::generate()?;
        let certificate = self.certify(&key, wanted, now);
        let der = PrivatePkcs8KeyDer::from(key.serialize_der());
        key.zeroize();
        Ok((certificate?, der.into()))
    }

    fn certify(
        &self,
        key: &impl PublicKeyData,
        wanted: &Wanted<'_>,
        now: SystemTime,
    ) -> Result<Certificate, SignerFault> {
        let left = self.validity.left(now);
        if left < LEFT_MIN {
            return Err(SignerFault::Expired(self.subject.clone()));
        }
        let not_before = (now - BACKDATE).max(self.validity.not_before);
        let not_after = now + wanted.validity.min(left);
        let serial = random_serial();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.not_before = not_before.into();
        params.not_after = not_after.into();
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params
            .subject_alt_names
            .push(SanType::URI(wanted.id.as_str().try_into()?));
        for name in wanted.dns_names {
            params
                .subject_alt_names
                .push(SanType::DnsName(name.as_str().try_into()?));
        }
        let addresses = wanted.addresses.iter().copied().map(SanType::IpAddress);
        params.subject_alt_names.extend(addresses);
        let leaf = params.signed_by(key, &self.issuer)?;
        let facts = CertificateFacts::of(leaf.der()).expect("what was just made can be parsed");
        let mut chain = vec![leaf.der().clone()];
        chain.extend(self.between.iter().cloned());
        Ok(Certificate {
            id: wanted.id.clone(),
            chain,
            serial: facts.serial,
            validity: facts.validity,
        })
    }
}

/// Whether each certificate may have so many authorities below it (RFC 5280 section 4.2.1.9). Some verifiers look at that
/// of roots, too, and some do not.
fn check_depths(chain: &[CertificateDer<'_>]) -> Result<(), SignerFault> {
    for (below, certificate) in chain.iter().enumerate() {
        let unreadable = || SignerFault::Chain("one cannot be parsed".to_owned());
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| unreadable())?;
        let constraints = parsed.basic_constraints().map_err(|_| unreadable())?;
        let limit = constraints.and_then(|constraints| constraints.value.path_len_constraint);
        if let Some(limit) = limit.filter(|limit| (*limit as usize) < below) {
            let problem = format!(
                "{} allows {limit} authorities below it, and there are {below}",
                parsed.subject()
            );
            return Err(SignerFault::Chain(problem));
        }
    }
    Ok(())
}

/// The certificates of a PEM text, in its order.
pub(super) fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, SignerFault> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| SignerFault::Chain("they are not PEM".to_owned()))
}

/// 128 random bits behind a byte that keeps the number positive and its length the same.
fn random_serial() -> [u8; 17] {
    let mut serial = [1; 17];
    aws_lc_rs::rand::fill(&mut serial[1..]).expect("the system has random numbers");
    serial
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
