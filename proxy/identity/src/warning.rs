//! What works, or may work again, and still wants attention: certificates near or outside their time, keys that others
//! can read. An expired certificate is no error, because refusing it at start would take down what a reload tomorrow mends.

use crate::certificate::CertificateFacts;
use crate::credential::Credential;
use crate::material::Material;
use crate::roots::RootSet;
use outrigger_config::model::{CertificateSource, Roots};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Something about a part that is not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityWarning {
    /// A certificate's time is over: peers refuse it.
    Expired {
        /// Where it is.
        place: String,
        /// Which one there, counted from 1.
        position: usize,
        /// For how long.
        since: Duration,
    },
    /// A certificate's time has not begun: peers refuse it.
    NotYetValid {
        /// Where it is.
        place: String,
        /// Which one there, counted from 1.
        position: usize,
        /// For how long still.
        remaining: Duration,
    },
    /// Others than its owner may read the private key, or its group may write it.
    KeyOpenToOthers {
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
                place,
                position,
                since,
            } => write!(
                f,
                "certificate {position} in {place} expired {} ago",
                Rough(*since)
            ),
            IdentityWarning::NotYetValid {
                place,
                position,
                remaining,
            } => write!(
                f,
                "certificate {position} in {place} is valid in {} only",
                Rough(*remaining)
            ),
            IdentityWarning::KeyOpenToOthers { file, mode } => {
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

impl Material {
    /// What there is to say of the parts as of `now`, but of those that `previous` has too: what was said once is not
    /// said at every reload. Bundles of many authorities are not looked through: their certificates end as they like.
    pub fn warnings(&self, previous: Option<&Material>, now: SystemTime) -> Vec<IdentityWarning> {
        let mut warnings = Vec::new();
        for (source, credential) in self.credentials() {
            let before = previous.and_then(|previous| previous.credential(source));
            if !before.is_some_and(|before| Arc::ptr_eq(before, credential)) {
                of_credential(source, credential, now, &mut warnings);
            }
        }
        for (roots, set) in self.all_roots() {
            let before = previous.and_then(|previous| previous.roots(roots));
            if !before.is_some_and(|before| Arc::ptr_eq(before, set)) {
                of_roots(roots, set, now, &mut warnings);
            }
        }
        warnings.sort_by_cached_key(ToString::to_string);
        warnings
    }
}

fn of_credential(
    source: &CertificateSource,
    credential: &Credential,
    now: SystemTime,
    warnings: &mut Vec<IdentityWarning>,
) {
    let place = match source {
        CertificateSource::Files(files) => files.certificate_file().display().to_string(),
        CertificateSource::Identity(name) => format!("identity `{name}`"),
    };
    of_dates(&place, credential.chain(), now, warnings);
    if let Some(key) = credential.key_file()
        && key.mode & 0o064 != 0
    {
        warnings.push(IdentityWarning::KeyOpenToOthers {
            file: key.file.clone(),
            mode: key.mode,
        });
    }
}

fn of_roots(roots: &Roots, set: &RootSet, now: SystemTime, warnings: &mut Vec<IdentityWarning>) {
    if let Roots::File(file) = roots {
        of_dates(&file.display().to_string(), set.authorities(), now, warnings);
    }
}

fn of_dates(
    place: &str,
    certificates: &[CertificateFacts],
    now: SystemTime,
    warnings: &mut Vec<IdentityWarning>,
) {
    for (index, certificate) in certificates.iter().enumerate() {
        let (place, position) = (place.to_owned(), index + 1);
        let validity = &certificate.validity;
        if let Ok(since) = now.duration_since(validity.not_after)
            && !since.is_zero()
        {
            warnings.push(IdentityWarning::Expired {
                place,
                position,
                since,
            });
        } else if let Ok(remaining) = validity.not_before.duration_since(now)
            && !remaining.is_zero()
        {
            warnings.push(IdentityWarning::NotYetValid {
                place,
                position,
                remaining,
            });
        }
    }
}
