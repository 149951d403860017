//! Who a peer is: what its verified certificate says.

use crate::certificate::{Validity, fingerprint, hexadecimal, parse};
use crate::{distinguished_name, svid};
use outrigger_config::model::SpiffeId;
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

/// What the certificate says that a peer has shown and that was verified. It does not keep the certificate: the
/// connection has that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    /// Its SPIFFE id, if its certificate is an X.509-SVID.
    pub spiffe_id: Option<SpiffeId>,
    /// All its URI names, that of `spiffe_id` included.
    pub uri_names: Vec<String>,
    /// All its DNS names.
    pub dns_names: Vec<String>,
    /// The subject, as RFC 2253 writes it: `CN=api,O=Example`. Visible ASCII and spaces only.
    pub subject: String,
    /// The issuer, likewise.
    pub issuer: String,
    /// The serial number: hexadecimal, lower case, without separators.
    pub serial: String,
    /// SHA-256 of the certificate's DER.
    pub fingerprint: [u8; 32],
    /// When the certificate holds.
    pub validity: Validity,
    /// The names of issuers (DER) and serial numbers (contents of DER) of the certificate and the authorities above it that were shown.
    issued: Vec<Issued>,
}

impl PeerIdentity {
    /// What a verified chain says, leaf first; none if it is empty or cannot be parsed.
    pub fn of(chain: &[CertificateDer<'_>]) -> Option<PeerIdentity> {
        let leaf_der = chain.first()?;
        let leaf = parse(leaf_der)?;
        let (mut uri_names, mut dns_names) = (Vec::new(), Vec::new());
        if let Ok(Some(names)) = leaf.subject_alternative_name() {
            for name in &names.value.general_names {
                match name {
                    GeneralName::URI(name) => uri_names.push((*name).to_owned()),
                    GeneralName::DNSName(name) => dns_names.push((*name).to_owned()),
                    _ => {}
                }
            }
        }
        Some(PeerIdentity {
            spiffe_id: svid::leaf_id(&leaf).ok().flatten(),
            uri_names,
            dns_names,
            subject: distinguished_name::text(leaf.subject()),
            issuer: distinguished_name::text(leaf.issuer()),
            serial: hexadecimal(leaf.raw_serial()),
            fingerprint: fingerprint(leaf_der),
            validity: Validity::of(&leaf),
            issued: issued(&leaf, &chain[1..]),
        })
    }

    /// The fingerprint: hexadecimal, lower case, without separators.
    pub fn fingerprint_text(&self) -> String {
        hexadecimal(&self.fingerprint)
    }

    /// What revocation lists may name: the issuer's name (DER) and the serial number (the contents of its DER) of the
    /// certificate and of each authority above it that was shown.
    pub(crate) fn issued(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.issued.iter().map(|(issuer, serial)| (&**issuer, &**serial))
    }
}

/// An issuer's name and a serial number, as they stand in a certificate.
type Issued = (Box<[u8]>, Box<[u8]>);

/// Issuers and serials of the leaf and of every certificate that may be above it by the names. What else was shown is
/// no authority of this peer's, and a root's own certificate is nobody's to revoke.
fn issued(leaf: &X509Certificate<'_>, others: &[CertificateDer<'_>]) -> Vec<Issued> {
    let entry = |certificate: &X509Certificate<'_>| {
        (
            certificate.issuer().as_raw().into(),
            certificate.raw_serial().into(),
        )
    };
    let mut entries: Vec<Issued> = vec![entry(leaf)];
    let mut others: Vec<X509Certificate<'_>> = others.iter().filter_map(parse).collect();
    others.retain(|other| other.issuer().as_raw() != other.subject().as_raw());
    let mut at = 0;
    while at < entries.len() {
        let above = |other: &X509Certificate<'_>| *other.subject().as_raw() == *entries[at].0;
        let (found, rest): (Vec<_>, Vec<_>) = others.into_iter().partition(above);
        entries.extend(found.iter().map(entry));
        others = rest;
        at += 1;
    }
    entries
}
