//! Which SPIFFE id a certificate has, by the X.509-SVID standard (SPIFFE, "X509-SVID").
//!
//! A certificate that names no `spiffe:` URI is no SVID, which may be right: it says nothing of SPIFFE. One that names
//! one and breaks the standard is refused wherever it is shown, since what it claims to be cannot be told.

use crate::peer_fault::PeerFault;
use outrigger_config::model::SpiffeId;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

/// The scheme, in any case: an id in capitals is a broken one, not another name.
const SCHEME: &str = "spiffe:";
/// The tag of URIs among general names (RFC 5280 section 4.2.1.6).
const URI_TAG: u32 = 6;

/// The one SPIFFE id of a certificate; none if it claims none (sections 2 and 5.2).
///
/// # Errors
/// [`PeerFault::SpiffeId`] if it claims one that is malformed, or another URI beside it.
pub(crate) fn spiffe_id(certificate: &X509Certificate<'_>) -> Result<Option<SpiffeId>, PeerFault> {
    let Some(extension) = certificate
        .subject_alternative_name()
        .map_err(|_| PeerFault::Malformed)?
    else {
        return Ok(None);
    };
    let mut uris = 0;
    let mut claimed = None;
    for name in &extension.value.general_names {
        match name {
            GeneralName::URI(uri) => {
                uris += 1;
                if claims_spiffe(uri) {
                    claimed = Some(*uri);
                }
            }
            GeneralName::Invalid(tag, bytes) if tag.0 == URI_TAG => {
                uris += 1;
                if bytes
                    .get(..SCHEME.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(SCHEME.as_bytes()))
                {
                    return Err(PeerFault::SpiffeId);
                }
            }
            _ => {}
        }
    }
    match claimed {
        None => Ok(None),
        Some(uri) if uris == 1 => uri.parse().map(Some).map_err(|_| PeerFault::SpiffeId),
        Some(_) => Err(PeerFault::SpiffeId),
    }
}

/// The id of a leaf, whose key may sign handshakes and nothing else (sections 4.1, 4.3 and 5.2). A leaf that does not
/// say what its key is for is accepted, as validators by the standard do.
///
/// # Errors
/// What is broken, if it claims an id.
pub(crate) fn leaf_id(certificate: &X509Certificate<'_>) -> Result<Option<SpiffeId>, PeerFault> {
    let Some(id) = spiffe_id(certificate)? else {
        return Ok(None);
    };
    if certificate.is_ca() {
        return Err(PeerFault::KeyUsage);
    }
    let usage = certificate.key_usage().map_err(|_| PeerFault::Malformed)?;
    if let Some(usage) = usage {
        let usage = usage.value;
        if !usage.digital_signature() || usage.key_cert_sign() || usage.crl_sign() {
            return Err(PeerFault::KeyUsage);
        }
    }
    Ok(Some(id))
}

/// Checks an authority of a chain that leads to an SVID: if it has an id, that is a trust domain's own (section 3.2).
///
/// # Errors
/// [`PeerFault::SpiffeId`] if its id has a path or is malformed.
pub(crate) fn check_authority(certificate: &X509Certificate<'_>) -> Result<(), PeerFault> {
    match spiffe_id(certificate)? {
        Some(id) if !id.path().is_empty() => Err(PeerFault::SpiffeId),
        _ => Ok(()),
    }
}

fn claims_spiffe(uri: &str) -> bool {
    uri.as_bytes()
        .get(..SCHEME.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(SCHEME.as_bytes()))
}
