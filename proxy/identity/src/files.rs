//! Reading files, and which ones a configuration asks for.

use crate::error::{IdentityError, Place};
use outrigger_config::MeshConfig;
use outrigger_config::model::{
    CertificateFiles, CertificateSource, IdentitySource, JwksSource, RevocationList, Roots, TrustSource,
};
use rustls_pki_types::pem;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A bundle of every public authority is a quarter of this.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// A certificate revocation list with 100,000 entries is half of this.
const LIST_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Reads a file of bounded length. What it held is overwritten when the buffer goes: it may be a key.
pub(crate) fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    read_up_to(file, FILE_BYTES_MAX)
}

/// Reads a file of certificate revocation lists.
pub(crate) fn read_lists(file: &Path) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    read_up_to(file, LIST_BYTES_MAX)
}

fn read_up_to(file: &Path, limit_bytes: u64) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    let unreadable = |source: io::Error| IdentityError::Unreadable {
        file: file.to_owned(),
        source,
    };
    let opened = File::open(file).map_err(unreadable)?;
    // With room for all of it from the start: a buffer that grows leaves copies behind that nobody overwrites.
    let length = opened.metadata().map_err(unreadable)?.len().min(limit_bytes);
    let mut contents = Zeroizing::new(Vec::with_capacity(length as usize + 1));
    opened
        .take(limit_bytes + 1)
        .read_to_end(&mut contents)
        .map_err(unreadable)?;
    if contents.len() as u64 > limit_bytes {
        return Err(IdentityError::TooLong {
            file: file.to_owned(),
            limit_bytes,
        });
    }
    Ok(contents)
}

/// A PEM fault, without the bytes that caused it: they may be a key's.
pub(crate) fn bad_pem(place: &Place, error: &pem::Error) -> IdentityError {
    let problem = match error {
        pem::Error::MissingSectionEnd { .. } => "a BEGIN line has no END line",
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line is malformed",
        pem::Error::Base64Decode(_) => "a block is not base64",
        pem::Error::SectionTooLarge => "a block is too large",
        _ => "it cannot be parsed",
    };
    IdentityError::BadPem {
        place: place.clone(),
        problem,
    }
}

/// Every file that [`crate::Material::load`] reads for a configuration, to be watched.
pub fn files_of(config: &MeshConfig) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    let chains = config
        .listeners()
        .iter()
        .flat_map(|listener| listener.filter_chains());
    for tls in chains.filter_map(|chain| chain.tls().as_ref()) {
        for source in tls.certificates() {
            add_source(source, &mut files);
        }
        if let Some(client) = tls.client() {
            add_roots(client.validation().roots(), &mut files);
        }
    }
    let clusters = config.clusters().iter().map(|cluster| cluster.tls());
    let collectors = config.telemetry().collectors().iter();
    let collectors = collectors.map(|collector| collector.tls());
    for tls in clusters.chain(collectors).flatten() {
        add_roots(tls.validation().roots(), &mut files);
        if let Some(source) = tls.certificate() {
            add_source(source, &mut files);
        }
    }
    for identity in config.identities() {
        match identity.source() {
            IdentitySource::Files(source) => add_certificate(source, &mut files),
            IdentitySource::Authority(authority) => add_roots(authority.roots(), &mut files),
            IdentitySource::Inline(_) | IdentitySource::WorkloadApi(_) => {}
        }
    }
    for bundle in config.trust_bundles() {
        if let TrustSource::File(file) = bundle.source() {
            files.insert(file.clone());
        }
    }
    for provider in config.jwt_providers() {
        if let JwksSource::Url(url) = provider.keys() {
            add_roots(url.roots(), &mut files);
        }
    }
    for list in config.revocation().lists() {
        if let RevocationList::File(file) = list {
            files.insert(file.clone());
        }
    }
    files
}

fn add_source(source: &CertificateSource, files: &mut BTreeSet<PathBuf>) {
    if let CertificateSource::Files(source) = source {
        add_certificate(source, files);
    }
}

fn add_certificate(source: &CertificateFiles, files: &mut BTreeSet<PathBuf>) {
    files.insert(source.certificate_file().clone());
    files.insert(source.private_key_file().clone());
    files.extend(source.ocsp_staple_file().clone());
}

fn add_roots(roots: &Roots, files: &mut BTreeSet<PathBuf>) {
    if let Roots::File(file) = roots {
        files.insert(file.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_file_is_refused() {
        let error = read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "/dev/zero is longer than 1048576 bytes; expected certificates or a key in PEM"
        );
    }
}
