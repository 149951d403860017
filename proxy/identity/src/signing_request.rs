//! A key of our own and the request (PKCS#10, RFC 2986) by which an authority is asked to vouch for it.

use outrigger_config::model::{KeyKind, SpiffeId};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, SanType, SignatureAlgorithm};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// A new key, and the request for its certificate. The key is written nowhere.
pub struct SigningRequest {
    pem: String,
    key: Zeroizing<Vec<u8>>,
}

/// A key or a request cannot be made. It holds nothing of the key.
#[derive(Debug, thiserror::Error)]
#[error("cannot make {what}: {source}")]
pub struct SigningRequestError {
    what: &'static str,
    source: rcgen::Error,
}

impl SigningRequest {
    /// Makes a key of this kind and a request for this id, with an empty subject. An RSA key takes a while: not for a
    /// thread that others wait for.
    ///
    /// # Errors
    /// If the key cannot be made or cannot sign.
    pub fn new(kind: KeyKind, spiffe_id: &SpiffeId) -> Result<SigningRequest, SigningRequestError> {
        let failed = |what| move |source| SigningRequestError { what, source };
        let mut key = KeyPair::generate_for(algorithm(kind)).map_err(failed("a key"))?;
        let request = request(&key, spiffe_id).map_err(failed("a signing request"));
        let der = Zeroizing::new(key.serialize_der());
        key.zeroize();
        Ok(SigningRequest {
            pem: request?,
            key: der,
        })
    }

    /// The request: one PEM block `CERTIFICATE REQUEST`.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The key, in PKCS#8.
    pub fn into_key(self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.to_vec()).into()
    }
}

impl fmt::Debug for SigningRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningRequest(..)")
    }
}

fn request(key: &KeyPair, spiffe_id: &SpiffeId) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(spiffe_id.as_str().try_into()?)];
    params.serialize_request(key)?.pem()
}

fn algorithm(kind: KeyKind) -> &'static SignatureAlgorithm {
    match kind {
        KeyKind::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        KeyKind::EcdsaP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
        KeyKind::Ed25519 => &rcgen::PKCS_ED25519,
        KeyKind::Rsa2048 => &rcgen::PKCS_RSA_SHA256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::sign::SigningKey;
    use std::sync::Arc;
    use x509_parser::prelude::*;

    fn signing_key(request: SigningRequest) -> Arc<dyn SigningKey> {
        crate::provider()
            .key_provider
            .load_private_key(request.into_key())
            .unwrap()
    }

    #[test]
    fn a_request_names_the_id_and_is_signed_by_its_key() {
        let id: SpiffeId = "spiffe://example.org/ns/a/sa/b".parse().unwrap();
        for kind in [
            KeyKind::EcdsaP256,
            KeyKind::EcdsaP384,
            KeyKind::Ed25519,
            KeyKind::Rsa2048,
        ] {
            let request = SigningRequest::new(kind, &id).unwrap();
            assert_eq!(format!("{request:?}"), "SigningRequest(..)");
            let (_, pem) = parse_x509_pem(request.pem().as_bytes()).unwrap();
            assert_eq!(pem.label, "CERTIFICATE REQUEST");
            let (rest, parsed) = X509CertificationRequest::from_der(&pem.contents).unwrap();
            assert!(rest.is_empty());
            let info = &parsed.certification_request_info;
            assert_eq!(info.subject.iter().count(), 0);
            let names: Vec<String> = parsed
                .requested_extensions()
                .unwrap()
                .filter_map(|extension| match extension {
                    ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
                    _ => None,
                })
                .flatten()
                .map(|name| format!("{name}"))
                .collect();
            assert_eq!(names, ["URI(spiffe://example.org/ns/a/sa/b)"]);
            let public = info.subject_pki.raw.to_vec();
            let key = signing_key(request);
            assert_eq!(key.public_key().unwrap().as_ref(), public, "{kind:?}");
        }
    }

    #[test]
    fn every_request_has_a_key_of_its_own() {
        let id: SpiffeId = "spiffe://example.org".parse().unwrap();
        let keys = [(); 2].map(|()| signing_key(SigningRequest::new(KeyKind::EcdsaP256, &id).unwrap()));
        assert_ne!(
            keys[0].public_key().unwrap().as_ref(),
            keys[1].public_key().unwrap().as_ref()
        );
    }
}
