//! What the server is told when it starts: a file in YAML, flags that say some of it instead, and defaults.
//!
//! Reading is all: no file that is named here is opened, no address bound. Without any file and flag the server is the
//! embedded local default: everything in one directory, plain text on loopback, and whoever calls from this machine is an
//! administrator. What is reached from elsewhere needs TLS, and roles that somebody has granted. The mesh itself is no
//! part of this: it lives in the store.

mod arguments;
mod check;
mod raw;
mod value;

pub use arguments::ServeArguments;

use crate::access::Grants;
use crate::authority::JoinToken;
use crate::listen::ClientCertificates;
use crate::rollout::Terms;
use outrigger_config::model::TrustDomain;
use std::fmt;
use std::fs;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A file of settings at most.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Where nodes are served by default.
pub const GRPC_ADDRESS: &str = "127.0.0.1:18000";
/// Where people and tools are served by default.
pub const REST_ADDRESS: &str = "127.0.0.1:18001";
/// The trust domain by default.
pub const TRUST_DOMAIN: &str = "mesh.local";
/// Where the embedded store and the authority's key are by default.
pub const DATA_DIRECTORY: &str = "outrigger-control";
/// How long certificates hold at most, by default: SPIRE's and Istio's default for workloads lies between 1 h and 24 h.
pub const CERTIFICATE_VALIDITY_MAX: Duration = Duration::from_secs(24 * 3600);
/// How often a key set is fetched or read again, by default.
pub const JWKS_REFRESH: Duration = Duration::from_secs(300);
/// Between a stage whose nodes all have a revision and the next one, by default.
pub const RELEASE_PAUSE: Duration = Duration::from_secs(30);

/// Everything that the server is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where what the server itself must keep is kept.
    pub data_directory: PathBuf,
    /// Whose SPIFFE ids are given out and believed.
    pub trust_domain: TrustDomain,
    /// For nodes: ADS and the authority.
    pub grpc: ListenSettings,
    /// For people and tools: REST, metrics.
    pub rest: ListenSettings,
    /// The certificate of both; none: plain text, on loopback alone.
    pub tls: Option<TlsSettings>,
    /// Where the mesh's documents are.
    pub store: StoreSettings,
    /// The certificate authority; none: this server has none.
    pub authority: Option<AuthoritySettings>,
    /// Who may do what.
    pub access: Grants,
    /// How revisions are released that do not say it; none: to everybody at once.
    pub release: Option<Terms>,
    /// Until so long after a start a node that is not there may be on its way; no text says another time than
    /// [`RETURN_WITHIN`](crate::fleet::RETURN_WITHIN).
    pub nodes_return_within: Duration,
}

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenSettings {
    /// The address.
    pub address: SocketAddr,
    /// What is asked of clients, where there is TLS.
    pub client_certificates: ClientCertificates,
    /// Open connections at most.
    pub connections_max: usize,
}

/// What the server shows, and whose client certificates it believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// Where its certificate comes from.
    pub certificate: ServerCertificate,
    /// The authorities of client certificates (PEM), beside our own authority.
    pub client_roots_file: Option<PathBuf>,
}

/// Where the server's certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerCertificate {
    /// Files, read again when they change.
    Files(KeyFiles),
    /// The server's own authority, for these names; renewed before it expires.
    Authority {
        /// Names by which nodes and people reach it.
        dns_names: Vec<String>,
        /// Addresses, likewise.
        addresses: Vec<IpAddr>,
    },
}

/// A certificate chain, leaf or signer first, and its key; both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFiles {
    /// The chain.
    pub certificate_file: PathBuf,
    /// PKCS#8.
    pub private_key_file: PathBuf,
}

/// Where the mesh's documents are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreSettings {
    /// A directory of YAML files, watched: who may write there changes the mesh.
    Directory(PathBuf),
    /// A database in one file.
    Embedded(PathBuf),
    /// Etcd, which any number of servers share.
    Etcd(EtcdSettings),
}

/// How etcd is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdSettings {
    /// `http://HOST:PORT` or `https://HOST:PORT`, tried in turn. Never empty.
    pub endpoints: Vec<String>,
    /// What all keys begin with.
    pub prefix: String,
    /// Whom etcd's certificate must chain to (PEM); none: the system's authorities.
    pub roots_file: Option<PathBuf>,
    /// Our certificate for it.
    pub client: Option<KeyFiles>,
    /// A user, and the file that holds the password.
    pub user: Option<(String, PathBuf)>,
}

/// The certificate authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthoritySettings {
    /// The signing key.
    pub signer: SignerSettings,
    /// How long a certificate holds at most.
    pub certificate_validity_max: Duration,
    /// The trust bundle (PEM) is written there whenever it changes, for nodes that must know whom to believe.
    pub bundle_file: Option<PathBuf>,
    /// Service-account tokens that are believed.
    pub kubernetes: Option<KubernetesSettings>,
    /// Join tokens that stand from the start, beside those that administrators make.
    pub join_tokens: Vec<JoinToken>,
}

/// Where the signing key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignerSettings {
    /// It is made at the first start and kept in this file, mode 0600.
    Generated(PathBuf),
    /// It is somebody else's.
    Files {
        /// The signing certificate first, then those above it, the root last; and its key.
        signer: KeyFiles,
        /// Further roots that are given out (PEM): before and after the signer is replaced by one of another root.
        roots_file: Option<PathBuf>,
    },
}

/// How a cluster's service-account tokens are verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesSettings {
    /// What `iss` must be.
    pub issuer: String,
    /// `aud` must hold one of these. Never empty.
    pub audiences: Vec<String>,
    /// The issuer's keys.
    pub keys: KeysSettings,
    /// How often the keys are read again.
    pub refresh: Duration,
}

/// Where an issuer's keys (a JSON Web Key Set) are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeysSettings {
    /// In a file.
    File(PathBuf),
    /// Behind a URL.
    Url {
        /// `https://…`, or `http://…` on loopback.
        url: String,
        /// Whom its certificate must chain to (PEM); none: the system's authorities.
        roots_file: Option<PathBuf>,
        /// Holds the token that is sent along, as Kubernetes' API server asks for.
        token_file: Option<PathBuf>,
    },
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the settings in {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is longer than settings are.
    #[error("the settings in {} are longer than {FILE_BYTES_MAX} bytes", file.display())]
    TooLong {
        /// The file.
        file: PathBuf,
    },
    /// What is written does not hold.
    #[error("{place}: {problem}")]
    Wrong {
        /// The file, with line and column; or the flag.
        place: Place,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

/// Where something was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File {
        /// The file.
        file: PathBuf,
        /// Line and column, from 1; none if it is the file as a whole.
        position: Option<(u64, u64)>,
    },
    /// By a flag.
    Flag(&'static str),
    /// By nobody: the defaults do not go together.
    Defaults,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { file, position } => match position {
                Some((line, column)) => write!(f, "{}:{line}:{column}", file.display()),
                None => file.display().fmt(f),
            },
            Place::Flag(flag) => f.write_str(flag),
            Place::Defaults => f.write_str("settings"),
        }
    }
}

impl Settings {
    /// What flags and their file say together; a flag counts more.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn load(arguments: &ServeArguments) -> Result<Settings, SettingsError> {
        let (text, file) = match &arguments.config {
            Some(file) => (read(file)?, file.clone()),
            None => (String::new(), PathBuf::from("settings")),
        };
        Settings::parse(&text, &file, arguments)
    }

    /// The same of a text; `file` is what errors call it.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn parse(text: &str, file: &Path, arguments: &ServeArguments) -> Result<Settings, SettingsError> {
        let raw = raw::Raw::parse(text, file)?;
        raw.check(file, arguments)
    }

    /// True if whoever calls from this machine is an administrator; who starts the server is told so.
    pub fn is_loopback_administrator(&self) -> bool {
        self.access.loopback
    }
}

fn read(file: &Path) -> Result<String, SettingsError> {
    let unreadable = |source| SettingsError::Unreadable {
        file: file.to_owned(),
        source,
    };
    let opened = fs::File::open(file).map_err(unreadable)?;
    let mut text = String::new();
    opened
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(SettingsError::TooLong {
            file: file.to_owned(),
        });
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
