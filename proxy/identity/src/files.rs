//! Reading files, and knowing whether they have changed.

use crate::error::IdentityError;
use outrigger_config::model::{CertificateSource, DownstreamTls, Roots, UpstreamTls};
use rustls_pki_types::pem;
use std::fmt;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A bundle of every public authority is a quarter of this.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Reads a file of bounded length.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, IdentityError> {
    let unreadable = |source: io::Error| IdentityError::Unreadable {
        file: file.to_owned(),
        source,
    };
    let mut contents = Vec::new();
    let opened = File::open(file).map_err(unreadable)?;
    opened
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut contents)
        .map_err(unreadable)?;
    if contents.len() as u64 > FILE_BYTES_MAX {
        return Err(IdentityError::TooLong {
            file: file.to_owned(),
            limit_bytes: FILE_BYTES_MAX,
        });
    }
    Ok(contents)
}

/// A PEM fault, without the bytes that caused it: they may be a key's.
pub(crate) fn bad_pem(file: &Path, error: &pem::Error) -> IdentityError {
    let problem = match error {
        pem::Error::MissingSectionEnd { .. } => "a BEGIN line has no END line",
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line is malformed",
        pem::Error::Base64Decode(_) => "a block is not base64",
        pem::Error::SectionTooLarge => "a block is too large",
        _ => "it cannot be parsed",
    };
    IdentityError::BadPem {
        file: file.to_owned(),
        problem,
    }
}

fn certificate_files(source: &CertificateSource) -> Vec<PathBuf> {
    match source {
        CertificateSource::Files(files) => {
            vec![files.certificate_file().clone(), files.private_key_file().clone()]
        }
        CertificateSource::Identity(_) => Vec::new(),
    }
}

fn roots_file(roots: &Roots) -> Option<PathBuf> {
    match roots {
        Roots::File(file) => Some(file.clone()),
        _ => None,
    }
}

/// Every file that [`crate::downstream`] reads, to be watched.
pub fn files_of_downstream(tls: &DownstreamTls) -> Vec<PathBuf> {
    let certificates = tls.certificates().iter().flat_map(certificate_files);
    let roots = tls
        .client()
        .as_ref()
        .and_then(|client| roots_file(client.validation().roots()));
    certificates.chain(roots).collect()
}

/// Every file that [`crate::upstream`] reads, to be watched.
pub fn files_of_upstream(tls: &UpstreamTls) -> Vec<PathBuf> {
    let certificate = tls.certificate().iter().flat_map(certificate_files);
    roots_file(tls.validation().roots())
        .into_iter()
        .chain(certificate)
        .collect()
}

/// The contents of some files at one moment, as a hash: two stamps differ when a name or a content does. A file that
/// cannot be read counts as one without contents that is different from an empty one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FileStamp(u64);

impl FileStamp {
    /// The stamp of these files, in this order. Blocking: for the thread that applies configurations.
    pub fn of(files: &[PathBuf]) -> FileStamp {
        // Chance is what this guards against, not malice: who can write the files needs no collision.
        let mut hasher = DefaultHasher::new();
        for file in files {
            file.hash(&mut hasher);
            read(file).ok().hash(&mut hasher);
        }
        FileStamp(hasher.finish())
    }
}

/// The hash stays inside: it is a function of a private key.
impl fmt::Debug for FileStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileStamp(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_stamp_follows_contents_and_absence_not_times() {
        let directory = tempfile::tempdir().unwrap();
        let files = [directory.path().join("a"), directory.path().join("b")];
        let absent = FileStamp::of(&files);
        fs::write(&files[0], "").unwrap();
        let empty = FileStamp::of(&files);
        assert_ne!(absent, empty);
        fs::write(&files[0], "one").unwrap();
        let one = FileStamp::of(&files);
        assert_ne!(empty, one);
        fs::write(&files[0], "one").unwrap();
        assert_eq!(one, FileStamp::of(&files));
        fs::rename(&files[0], &files[1]).unwrap();
        assert_ne!(one, FileStamp::of(&files));
        assert_eq!(format!("{one:?}"), "FileStamp(..)");
    }

    #[test]
    fn an_endless_file_is_refused() {
        let error = read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "/dev/zero is longer than 1048576 bytes; expected certificates or a key in PEM"
        );
    }
}
