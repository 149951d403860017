//! Certificates, keys and roots out of PEM files.

use crate::error::IdentityError;
use crate::files::{bad_pem, read};
use crate::provider::provider;
use outrigger_config::model::CertificateFiles;
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use webpki::EndEntityCert;

/// The certificates of a file, in its order; at least one.
pub(crate) fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let certificates = read_certificates(file)?;
    if certificates.is_empty() {
        return Err(IdentityError::NoCertificate {
            file: file.to_owned(),
        });
    }
    for (index, certificate) in certificates.iter().enumerate() {
        EndEntityCert::try_from(certificate)
            .map_err(|error| bad_certificate(file, index, error.to_string()))?;
    }
    Ok(certificates)
}

/// The roots of a file; at least one, and every one usable.
pub(crate) fn read_roots(file: &Path) -> Result<RootCertStore, IdentityError> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in read_certificates(file)?.into_iter().enumerate() {
        roots
            .add(certificate)
            .map_err(|error| bad_certificate(file, index, error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(IdentityError::NoRoots {
            file: file.to_owned(),
        });
    }
    Ok(roots)
}

/// A certificate chain with the key that fits it.
pub(crate) fn read_certified_key(files: &CertificateFiles) -> Result<CertifiedKey, IdentityError> {
    let (certificate_file, private_key_file) = (files.certificate_file(), files.private_key_file());
    let chain = read_chain(certificate_file)?;
    let key = read_private_key(private_key_file)?;
    let key = provider()
        .key_provider
        .load_private_key(key)
        .map_err(|_| IdentityError::BadPrivateKey {
            file: private_key_file.clone(),
        })?;
    let certified_key = CertifiedKey::new(chain, key);
    match certified_key.keys_match() {
        // Unknown is said of keys that cannot show their public half; a file's always can, and a device's is trusted.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified_key),
        Err(rustls::Error::InconsistentKeys(_)) => Err(IdentityError::KeyMismatch {
            certificate_file: certificate_file.clone(),
            private_key_file: private_key_file.clone(),
        }),
        Err(error) => Err(bad_certificate(certificate_file, 0, error.to_string())),
    }
}

/// The certificates of a file, whether or not they can be used.
pub(crate) fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let contents = read(file)?;
    let certificates: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&contents).collect();
    certificates.map_err(|error| bad_pem(file, &error))
}

fn read_private_key(file: &Path) -> Result<PrivateKeyDer<'static>, IdentityError> {
    let contents = read(file)?;
    PrivateKeyDer::from_pem_slice(&contents).map_err(|error| match error {
        pem::Error::NoItemsFound if holds_encrypted_key(&contents) => IdentityError::EncryptedPrivateKey {
            file: file.to_owned(),
        },
        pem::Error::NoItemsFound => IdentityError::NoPrivateKey {
            file: file.to_owned(),
        },
        error => bad_pem(file, &error),
    })
}

fn holds_encrypted_key(contents: &[u8]) -> bool {
    let label = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    contents.windows(label.len()).any(|window| window == label)
}

fn bad_certificate(file: &Path, index: usize, problem: String) -> IdentityError {
    IdentityError::BadCertificate {
        file: file.to_owned(),
        position: index + 1,
        problem,
    }
}
