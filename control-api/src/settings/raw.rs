//! The file as it is written: its shape, and the positions of what is checked afterwards.

use super::value::{self, Digest, Domain, Interval, Member, Moment, RawRole};
use super::{Place, SettingsError};
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The file. Every part may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    pub(super) data_directory: Option<PathBuf>,
    pub(super) trust_domain: Option<Domain>,
    pub(super) grpc: RawListen,
    pub(super) rest: RawListen,
    pub(super) tls: Option<Spanned<RawTls>>,
    pub(super) store: Option<RawStore>,
    pub(super) authority: Option<RawAuthority>,
    pub(super) access: RawAccess,
    pub(super) release: Option<RawRelease>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRelease {
    pub(super) stages: Spanned<Vec<String>>,
    pub(super) pause: Option<Spanned<String>>,
    pub(super) settle_timeout: Option<Spanned<Interval>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawListen {
    pub(super) address: Option<Spanned<SocketAddr>>,
    pub(super) client_certificates: Option<Spanned<RawClients>>,
    pub(super) connections_max: Option<Spanned<usize>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawClients {
    Optional,
    Required,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTls {
    pub(super) files: Option<RawKeyFiles>,
    pub(super) authority: Option<RawNames>,
    pub(super) client_roots_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKeyFiles {
    pub(super) certificate_file: PathBuf,
    pub(super) private_key_file: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNames {
    pub(super) names: Spanned<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawStore {
    Directory(RawPath),
    Embedded(RawPath),
    Etcd(RawEtcd),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPath {
    pub(super) path: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEtcd {
    pub(super) endpoints: Spanned<Vec<String>>,
    pub(super) prefix: Option<String>,
    pub(super) roots_file: Option<PathBuf>,
    pub(super) client: Option<RawKeyFiles>,
    pub(super) user: Option<RawUser>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUser {
    pub(super) name: String,
    pub(super) password_file: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAuthority {
    pub(super) enabled: Option<bool>,
    pub(super) signer: Option<RawSigner>,
    pub(super) certificate_validity_max: Option<Spanned<Interval>>,
    pub(super) bundle_file: Option<PathBuf>,
    pub(super) kubernetes: Option<RawKubernetes>,
    pub(super) join_tokens: Vec<Spanned<RawJoinToken>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawSigner {
    Generated(RawPath),
    Files(RawSignerFiles),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSignerFiles {
    pub(super) certificate_file: PathBuf,
    pub(super) private_key_file: PathBuf,
    pub(super) roots_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKubernetes {
    pub(super) issuer: Spanned<String>,
    pub(super) audiences: Spanned<Vec<String>>,
    pub(super) keys: RawKeys,
    pub(super) refresh: Option<Spanned<Interval>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawKeys {
    File(RawPath),
    Url(RawUrl),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUrl {
    pub(super) url: Spanned<String>,
    pub(super) roots_file: Option<PathBuf>,
    pub(super) token_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawJoinToken {
    pub(super) name: String,
    pub(super) digest: Digest,
    pub(super) spiffe_id: Option<Member>,
    pub(super) spiffe_prefix: Option<Member>,
    pub(super) expires: Option<Moment>,
    #[serde(default)]
    pub(super) reusable: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAccess {
    pub(super) loopback_administrator: Option<Spanned<bool>>,
    pub(super) tokens: Vec<Spanned<RawToken>>,
    pub(super) identities: Vec<Spanned<RawIdentity>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawToken {
    pub(super) name: String,
    pub(super) digest: Digest,
    pub(super) expires: Option<Moment>,
    pub(super) roles: Vec<RawRole>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIdentity {
    pub(super) spiffe_id: Option<Member>,
    pub(super) spiffe_prefix: Option<Member>,
    pub(super) roles: Vec<RawRole>,
}

impl Raw {
    /// Reads a text; one that says nothing is all defaults.
    ///
    /// # Errors
    /// The first thing that is not of its shape, with its place.
    pub(super) fn parse(text: &str, file: &Path) -> Result<Raw, SettingsError> {
        if text.lines().all(|line| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#')
        }) {
            return Ok(Raw::default());
        }
        let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            let position = error
                .location()
                .map(|location| (location.line(), location.column()));
            SettingsError::Wrong {
                place: Place::File {
                    file: file.to_owned(),
                    position,
                },
                problem: value::problem(&error),
            }
        })
    }
}
