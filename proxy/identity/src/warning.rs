//! What works, or may work again, and still wants attention: certificates outside their time, keys that others can
//! read. An expired certificate is no error, because refusing it at start would take down what a reload tomorrow mends.

use crate::certificate::read_certificates;
use crate::error::IdentityError;
use outrigger_config::model::{CertificateFiles, CertificateSource, DownstreamTls, Roots, UpstreamTls};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use webpki::{EndEntityCert, KeyUsage};

/// Something about a file that is not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityWarning {
    /// A certificate's time is over: peers refuse it.
    Expired {
        /// The file.
        file: PathBuf,
        /// Its place in the file, counted from 1.
        position: usize,
        /// For how long.
        since: Duration,
    },
    /// A certificate's time has not begun: peers refuse it.
    NotYetValid {
        /// The file.
        file: PathBuf,
        /// Its place in the file, counted from 1.
        position: usize,
        /// For how long still.
        remaining: Duration,
    },
    /// The group or everybody may read the private key.
    KeyReadableByOthers {
        /// The file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl fmt::Display for IdentityWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdentityWarning::Expired {
                file,
                position,
                since,
            } => {
                write!(
                    f,
                    "certificate {position} in {} expired {} ago",
                    file.display(),
                    Rough(*since)
                )
            }
            IdentityWarning::NotYetValid {
                file,
                position,
                remaining,
            } => {
                write!(
                    f,
                    "certificate {position} in {} is valid in {} only",
                    file.display(),
                    Rough(*remaining)
                )
            }
            IdentityWarning::KeyReadableByOthers { file, mode } => {
                write!(
                    f,
                    "private key {} has mode {mode:03o}; 600 is enough",
                    file.display()
                )
            }
        }
    }
}

/// A duration in its largest unit.
struct Rough(Duration);

impl fmt::Display for Rough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds @ 0..120 => write!(f, "{seconds} s"),
            seconds @ 120..7_200 => write!(f, "{} min", seconds / 60),
            seconds @ 7_200..172_800 => write!(f, "{} h", seconds / 3_600),
            seconds => write!(f, "{} days", seconds / 86_400),
        }
    }
}

/// What there is to say of the files of [`crate::downstream`], as of `now`.
///
/// # Errors
/// A certificate file cannot be read or parsed.
pub fn warnings_of_downstream(
    tls: &DownstreamTls,
    now: SystemTime,
) -> Result<Vec<IdentityWarning>, IdentityError> {
    let mut warnings = Vec::new();
    for source in tls.certificates() {
        if let CertificateSource::Files(files) = source {
            identity_warnings(files, now, &mut warnings)?;
        }
    }
    if let Some(Roots::File(file)) = tls.client().as_ref().map(|client| client.validation().roots()) {
        validity_warnings(file, now, &mut warnings)?;
    }
    Ok(warnings)
}

/// What there is to say of the files of [`crate::upstream`], as of `now`.
///
/// # Errors
/// A certificate file cannot be read or parsed.
pub fn warnings_of_upstream(
    tls: &UpstreamTls,
    now: SystemTime,
) -> Result<Vec<IdentityWarning>, IdentityError> {
    let mut warnings = Vec::new();
    if let Roots::File(file) = tls.validation().roots() {
        validity_warnings(file, now, &mut warnings)?;
    }
    if let Some(CertificateSource::Files(files)) = tls.certificate() {
        identity_warnings(files, now, &mut warnings)?;
    }
    Ok(warnings)
}

/// Logs each warning once: a configuration is made when files change, not per connection.
pub(crate) fn log(warnings: &[IdentityWarning]) {
    for warning in warnings {
        tracing::warn!(%warning, "TLS files want attention");
    }
}

fn identity_warnings(
    files: &CertificateFiles,
    now: SystemTime,
    warnings: &mut Vec<IdentityWarning>,
) -> Result<(), IdentityError> {
    validity_warnings(files.certificate_file(), now, warnings)?;
    let file = files.private_key_file();
    let unreadable = |source| IdentityError::Unreadable {
        file: file.clone(),
        source,
    };
    let mode = fs::metadata(file).map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & 0o044 != 0 {
        warnings.push(IdentityWarning::KeyReadableByOthers {
            file: file.clone(),
            mode,
        });
    }
    Ok(())
}

fn validity_warnings(
    file: &Path,
    now: SystemTime,
    warnings: &mut Vec<IdentityWarning>,
) -> Result<(), IdentityError> {
    let now = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default());
    for (index, certificate) in read_certificates(file)?.iter().enumerate() {
        let (file, position) = (file.to_owned(), index + 1);
        let between =
            |from: UnixTime, to: UnixTime| Duration::from_secs(to.as_secs().saturating_sub(from.as_secs()));
        match validity_fault(certificate, now) {
            Some(webpki::Error::CertExpired { not_after, .. }) => {
                warnings.push(IdentityWarning::Expired {
                    file,
                    position,
                    since: between(not_after, now),
                });
            }
            Some(webpki::Error::CertNotValidYet { not_before, .. }) => {
                let remaining = between(now, not_before);
                warnings.push(IdentityWarning::NotYetValid {
                    file,
                    position,
                    remaining,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// What webpki finds wrong with the certificate by itself. Its dates are looked at before its issuer is, which it then
/// misses, because none is given: every other fault is to be ignored.
fn validity_fault(certificate: &CertificateDer<'_>, now: UnixTime) -> Option<webpki::Error> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    certificate
        .verify_for_usage(&[], &[], &[], now, KeyUsage::server_auth(), None, None)
        .err()
}
