//! What a certificate says, in words, and certificates out of PEM.

use crate::distinguished_name;
use crate::error::{IdentityError, Place};
use crate::files::bad_pem;
use aws_lc_rs::digest;
use outrigger_config::model::SpiffeId;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{self, PemObject};
use std::fmt::Write;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use webpki::EndEntityCert;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// The time in which a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From.
    pub not_before: SystemTime,
    /// Until, itself included.
    pub not_after: SystemTime,
}

impl Validity {
    pub(crate) fn of(certificate: &X509Certificate<'_>) -> Validity {
        let validity = certificate.validity();
        Validity {
            not_before: time_of(validity.not_before.timestamp()),
            not_after: time_of(validity.not_after.timestamp()),
        }
    }

    /// How long it holds in all; zero if it ends before it begins.
    pub fn lifetime(&self) -> Duration {
        self.not_after.duration_since(self.not_before).unwrap_or_default()
    }

    /// What is left of it at `now`; zero once it is over.
    pub fn left(&self, now: SystemTime) -> Duration {
        self.not_after.duration_since(now).unwrap_or_default()
    }
}

/// Seconds since 1970 as a time; what is out of range is 1970.
pub(crate) fn time_of(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = match seconds < 0 {
        true => UNIX_EPOCH.checked_sub(distance),
        false => UNIX_EPOCH.checked_add(distance),
    };
    time.unwrap_or(UNIX_EPOCH)
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The subject, as RFC 2253 writes it: `CN=api,O=Example`.
    pub subject: String,
    /// The issuer, likewise.
    pub issuer: String,
    /// The serial number: hexadecimal, lower case, without separators.
    pub serial: String,
    /// The SPIFFE id, if it is an X.509-SVID; of an authority, that of its trust domain.
    pub spiffe_id: Option<SpiffeId>,
    /// The subject alternative names, as `DNS:a.example`, `URI:spiffe://a/b`, `IP:192.0.2.1`, `email:a@b`.
    pub names: Vec<String>,
    /// When it holds.
    pub validity: Validity,
    /// SHA-256 of the DER: hexadecimal, lower case, without separators.
    pub fingerprint: String,
    /// The kind of its key: `RSA`, `ECDSA P-256`, `ECDSA P-384`, `ECDSA P-521`, `Ed25519` or `other`.
    pub key_kind: &'static str,
}

impl CertificateFacts {
    /// What a certificate says; none if it cannot be parsed.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<CertificateFacts> {
        let parsed = parse(certificate)?;
        Some(CertificateFacts {
            subject: distinguished_name::text(parsed.subject()),
            issuer: distinguished_name::text(parsed.issuer()),
            serial: hexadecimal(parsed.raw_serial()),
            spiffe_id: crate::svid::spiffe_id(&parsed).ok().flatten(),
            names: names(&parsed),
            validity: Validity::of(&parsed),
            fingerprint: hexadecimal(&fingerprint(certificate)),
            key_kind: key_kind(&parsed),
        })
    }
}

/// The certificate's parts; none if it is not one, or has bytes after its end.
pub(crate) fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    match X509Certificate::from_der(certificate) {
        Ok(([], parsed)) => Some(parsed),
        _ => None,
    }
}

/// SHA-256 of the DER.
pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, certificate);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(format!("DNS:{name}")),
        GeneralName::URI(name) => Some(format!("URI:{name}")),
        GeneralName::RFC822Name(name) => Some(format!("email:{name}")),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| format!("IP:{address}")),
        _ => None,
    };
    extension.value.general_names.iter().filter_map(text).collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let version4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    version4
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

fn key_kind(certificate: &X509Certificate<'_>) -> &'static str {
    let algorithm = &certificate.public_key().algorithm;
    let curve = || {
        let parameters = algorithm.parameters.as_ref()?;
        Some(parameters.as_oid().ok()?.to_id_string())
    };
    match algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.1" => "RSA",
        "1.3.101.112" => "Ed25519",
        "1.2.840.10045.2.1" => match curve().as_deref() {
            Some("1.2.840.10045.3.1.7") => "ECDSA P-256",
            Some("1.3.132.0.34") => "ECDSA P-384",
            Some("1.3.132.0.35") => "ECDSA P-521",
            _ => "other",
        },
        _ => "other",
    }
}

/// The certificates of a PEM text, in its order; at least one, and every one usable.
pub(crate) fn chain_of(pem: &[u8], place: &Place) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let certificates = certificates_of(pem, place)?;
    if certificates.is_empty() {
        return Err(IdentityError::NoCertificate { place: place.clone() });
    }
    for (index, certificate) in certificates.iter().enumerate() {
        EndEntityCert::try_from(certificate)
            .map_err(|error| bad_certificate(place, index, error.to_string()))?;
    }
    Ok(certificates)
}

/// The certificates of a PEM text, whether or not they can be used.
pub(crate) fn certificates_of(
    pem: &[u8],
    place: &Place,
) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let certificates: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(pem).collect();
    certificates.map_err(|error| bad_pem(place, &error))
}

pub(crate) fn bad_certificate(place: &Place, index: usize, problem: String) -> IdentityError {
    IdentityError::BadCertificate {
        place: place.clone(),
        position: index + 1,
        problem,
    }
}
