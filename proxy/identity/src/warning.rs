//! What works, or may work again, and still wants attention: certificates near or outside their time, keys that others
//! can read. An expired certificate is no error, because refusing it at start would take down what a reload tomorrow mends.

use crate::certificate::{CertificateFacts, Validity};
use crate::credential::Credential;
use crate::material::Material;
use crate::roots::RootSet;
use outrigger_config::model::{CertificateSource, Roots};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A certificate expires soon when less than this share of its lifetime is left: it ought to have been renewed at half.
const SOON_SHARE: f64 = 0.2;
/// Nothing expires soon that holds for longer than this, however long its lifetime.
const SOON_MAX: Duration = Duration::from_secs(30 * 86_400);

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
    /// A certificate's time is nearly over.
    ExpiresSoon {
        /// Where it is.
        place: String,
        /// Which one there, counted from 1.
        position: usize,
        /// For how long it still holds.
        remaining: Duration,
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
            IdentityWarning::ExpiresSoon {
                place,
                position,
                remaining,
            } => write!(
                f,
                "certificate {position} in {place} expires in {}",
                Rough(*remaining)
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

impl Material {
    /// All that [`Material::warnings`] says as of `now`, and which certificates will expire soon: of whose time less than
    /// `SOON_SHARE` is left, and less than `SOON_MAX`.
    pub fn outlook(&self, now: SystemTime) -> Vec<IdentityWarning> {
        let mut outlook = self.warnings(None, now);
        for (source, credential) in self.credentials() {
            soon(&shown(source), credential.chain(), now, &mut outlook);
        }
        for (roots, set) in self.all_roots() {
            if let Roots::File(file) = roots {
                soon(&file.display().to_string(), set.authorities(), now, &mut outlook);
            }
        }
        outlook.sort_by_cached_key(ToString::to_string);
        outlook
    }
}

fn soon(place: &str, certificates: &[CertificateFacts], now: SystemTime, outlook: &mut Vec<IdentityWarning>) {
    for (index, certificate) in certificates.iter().enumerate() {
        let Validity {
            not_before,
            not_after,
        } = certificate.validity;
        let lifetime = not_after.duration_since(not_before).unwrap_or_default();
        let remaining = not_after.duration_since(now).unwrap_or_default();
        if !remaining.is_zero() && now >= not_before && remaining < lifetime.mul_f64(SOON_SHARE).min(SOON_MAX)
        {
            outlook.push(IdentityWarning::ExpiresSoon {
                place: place.to_owned(),
                position: index + 1,
                remaining,
            });
        }
    }
}

/// Where a certificate comes from.
fn shown(source: &CertificateSource) -> String {
    match source {
        CertificateSource::Files(files) => files.certificate_file().display().to_string(),
        CertificateSource::Identity(name) => format!("identity `{name}`"),
    }
}

fn of_credential(
    source: &CertificateSource,
    credential: &Credential,
    now: SystemTime,
    warnings: &mut Vec<IdentityWarning>,
) {
    let place = shown(source);
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
