//! A certificate signing request (PKCS#10, RFC 2986): what of it counts, and what is refused.
//!
//! Of a request only the key and the one SPIFFE id are taken. What else it asks for is not given: a request for an authority's
//! rights, or for other names, is refused, since whoever sent it expects something that will not come.

use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1,
    ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    UnparsedPublicKey, VerificationAlgorithm,
};
use outrigger_config::model::{SpiffeFault, SpiffeId};
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::extensions::{GeneralName, ParsedExtension, X509Extension};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// A request in PEM at most: with an RSA key of 4,096 bits and an id of 2,048 characters it has about 4 KiB.
pub(crate) const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// RSA keys: what RFC 9688 and the CA/Browser Forum ask for at least, and what a handshake can bear.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// Longer than any request.
    #[error("the signing request is longer than {REQUEST_BYTES_MAX} bytes")]
    TooLong,
    /// No PEM of one request.
    #[error("expected one PEM block `CERTIFICATE REQUEST`")]
    Pem,
    /// Not of PKCS#10's shape.
    #[error("the signing request cannot be parsed")]
    Malformed,
    /// What is signed is not what is there, or it is somebody else's key.
    #[error("the signing request is not signed by its own key")]
    Signature,
    /// A key that is not accepted.
    #[error("expected a key of ECDSA P-256 or P-384, Ed25519, or RSA of 2,048 to 4,096 bits")]
    Key,
    /// A signature algorithm that is not accepted, or not of the key.
    #[error(
        "expected a signature by ECDSA or RSA (PKCS#1) with SHA-256 or SHA-384, RSA with SHA-512, or Ed25519"
    )]
    Algorithm,
    /// None or several names, or names of another kind.
    #[error("expected one name: the URI of the SPIFFE id")]
    Names,
    /// The URI is no SPIFFE id.
    #[error("the URI is no SPIFFE id: {0}")]
    SpiffeId(SpiffeFault),
    /// It asks to sign certificates.
    #[error("the signing request asks for the rights of an authority, which are not given")]
    Authority,
}

/// A request that was read; its signature is not yet looked at.
#[derive(Debug)]
pub(super) struct Asked {
    /// The id in it.
    pub(super) id: SpiffeId,
    /// `SubjectPublicKeyInfo` (DER).
    pub(super) public_key: Vec<u8>,
    der: CertificateSigningRequestDer<'static>,
}

impl Asked {
    /// Reads a request in PEM.
    pub(super) fn parse(pem: &str) -> Result<Asked, RequestFault> {
        if pem.len() > REQUEST_BYTES_MAX {
            return Err(RequestFault::TooLong);
        }
        let mut blocks = CertificateSigningRequestDer::pem_slice_iter(pem.as_bytes());
        let der = match (blocks.next(), blocks.next()) {
            (Some(Ok(der)), None) => der,
            _ => return Err(RequestFault::Pem),
        };
        let (id, public_key) = {
            let parsed = parse(&der)?;
            let info = &parsed.certification_request_info;
            let id = asked_id(&parsed)?;
            check_key(&info.subject_pki)?;
            (id, info.subject_pki.raw.to_vec())
        };
        Ok(Asked { id, public_key, der })
    }

    /// Whether whoever made it has the key: it is signed by it.
    pub(super) fn verify(&self) -> Result<(), RequestFault> {
        let parsed = parse(&self.der)?;
        let info = &parsed.certification_request_info;
        let algorithm = algorithm(&parsed)?;
        let signature = &parsed.signature_value;
        if signature.unused_bits != 0 {
            return Err(RequestFault::Signature);
        }
        UnparsedPublicKey::new(algorithm, &info.subject_pki.subject_public_key.data)
            .verify(info.raw, &signature.data)
            .map_err(|_| RequestFault::Signature)
    }
}

fn parse<'a>(
    der: &'a CertificateSigningRequestDer<'_>,
) -> Result<X509CertificationRequest<'a>, RequestFault> {
    match X509CertificationRequest::from_der(der) {
        Ok(([], parsed)) => Ok(parsed),
        _ => Err(RequestFault::Malformed),
    }
}

/// The one SPIFFE id; every extension that is asked for is looked at.
fn asked_id(request: &X509CertificationRequest<'_>) -> Result<SpiffeId, RequestFault> {
    let mut names = None;
    for attribute in request.certification_request_info.iter_attributes() {
        let ParsedCriAttribute::ExtensionRequest(asked) = attribute.parsed_attribute() else {
            continue;
        };
        for extension in &asked.extensions {
            check_rights(extension)?;
            if let ParsedExtension::SubjectAlternativeName(given) = extension.parsed_extension()
                && names.replace(&given.general_names).is_some()
            {
                return Err(RequestFault::Names);
            }
        }
    }
    match names.map(Vec::as_slice) {
        Some([GeneralName::URI(uri)]) => uri.parse().map_err(RequestFault::SpiffeId),
        _ => Err(RequestFault::Names),
    }
}

fn check_rights(extension: &X509Extension<'_>) -> Result<(), RequestFault> {
    match extension.parsed_extension() {
        ParsedExtension::BasicConstraints(constraints) if constraints.ca => Err(RequestFault::Authority),
        ParsedExtension::KeyUsage(usage) if usage.key_cert_sign() || usage.crl_sign() => {
            Err(RequestFault::Authority)
        }
        ParsedExtension::ParseError { .. } => Err(RequestFault::Malformed),
        _ => Ok(()),
    }
}

/// The kinds of keys that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyKind {
    P256,
    P384,
    Ed25519,
    Rsa,
}

fn check_key(key: &SubjectPublicKeyInfo<'_>) -> Result<KeyKind, RequestFault> {
    let curve = || {
        let parameters = key.algorithm.parameters.as_ref()?;
        Some(parameters.as_oid().ok()?.to_id_string())
    };
    if key.subject_public_key.unused_bits != 0 {
        return Err(RequestFault::Key);
    }
    match key.algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.10045.2.1" => match curve().as_deref() {
            Some("1.2.840.10045.3.1.7") => Ok(KeyKind::P256),
            Some("1.3.132.0.34") => Ok(KeyKind::P384),
            _ => Err(RequestFault::Key),
        },
        "1.3.101.112" => Ok(KeyKind::Ed25519),
        "1.2.840.113549.1.1.1" => match key.parsed() {
            Ok(PublicKey::RSA(key)) if RSA_BITS.contains(&key.key_size()) => Ok(KeyKind::Rsa),
            _ => Err(RequestFault::Key),
        },
        _ => Err(RequestFault::Key),
    }
}

/// How it is signed, if the key can sign so.
fn algorithm(
    request: &X509CertificationRequest<'_>,
) -> Result<&'static dyn VerificationAlgorithm, RequestFault> {
    let kind = check_key(&request.certification_request_info.subject_pki)?;
    let oid = request.signature_algorithm.algorithm.to_id_string();
    let rsa: fn(&'static signature::RsaParameters) -> &'static dyn VerificationAlgorithm = |rsa| rsa;
    Ok(match (kind, oid.as_str()) {
        (KeyKind::P256, "1.2.840.10045.4.3.2") => &ECDSA_P256_SHA256_ASN1,
        (KeyKind::P256, "1.2.840.10045.4.3.3") => &ECDSA_P256_SHA384_ASN1,
        (KeyKind::P384, "1.2.840.10045.4.3.2") => &ECDSA_P384_SHA256_ASN1,
        (KeyKind::P384, "1.2.840.10045.4.3.3") => &ECDSA_P384_SHA384_ASN1,
        (KeyKind::Ed25519, "1.3.101.112") => &ED25519,
        (KeyKind::Rsa, "1.2.840.113549.1.1.11") => rsa(&RSA_PKCS1_2048_8192_SHA256),
        (KeyKind::Rsa, "1.2.840.113549.1.1.12") => rsa(&RSA_PKCS1_2048_8192_SHA384),
        (KeyKind::Rsa, "1.2.840.113549.1.1.13") => rsa(&RSA_PKCS1_2048_8192_SHA512),
        _ => return Err(RequestFault::Algorithm),
    })
}

#[cfg(test)]
mod tests;
