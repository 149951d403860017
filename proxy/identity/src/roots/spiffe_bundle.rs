//! The SPIFFE bundle format: a JWKS whose keys are authorities ("SPIFFE Trust Domain and Bundle", section 4).

use crate::error::{IdentityError, Place};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use serde::Deserialize;
use std::time::Duration;

/// What a bundle says of X.509.
pub(super) struct SpiffeBundle {
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) sequence: Option<u64>,
    pub(super) refresh_hint: Option<Duration>,
}

/// Members that are not known are ignored, as the standard asks.
#[derive(Deserialize)]
struct Document {
    keys: Vec<Key>,
    spiffe_sequence: Option<u64>,
    /// In seconds.
    spiffe_refresh_hint: Option<u64>,
}

#[derive(Deserialize)]
struct Key {
    #[serde(rename = "use")]
    purpose: Option<String>,
    x5c: Option<Vec<String>>,
}

/// The authorities for X.509 of a bundle: its keys with `use: x509-svid`, whose `x5c` holds one certificate each
/// (section 4.2.2). Other keys are left out; `x509-svid` alone is what a verifier of X.509 may believe.
pub(super) fn parse(text: &[u8], place: &Place) -> Result<SpiffeBundle, IdentityError> {
    let fault = |problem: String| IdentityError::BadBundle {
        place: place.clone(),
        problem,
    };
    let document: Document =
        serde_json::from_slice(text).map_err(|error| fault(format!("line {}: {error}", error.line())))?;
    let mut certificates = Vec::new();
    for (index, key) in document.keys.iter().enumerate() {
        if key.purpose.as_deref() != Some("x509-svid") {
            continue;
        }
        let fault = |problem: &str| fault(format!("key {}: {problem}", index + 1));
        let [certificate] = key.x5c.as_deref().unwrap_or_default() else {
            return Err(fault("expected one certificate in `x5c`"));
        };
        let der = STANDARD
            .decode(certificate)
            .map_err(|_| fault("`x5c` is not base64"))?;
        certificates.push(CertificateDer::from(der));
    }
    Ok(SpiffeBundle {
        certificates,
        sequence: document.spiffe_sequence,
        refresh_hint: document.spiffe_refresh_hint.map(Duration::from_secs),
    })
}
