//! Why TLS cannot be configured. Every message names the file and says what would be right; none quotes its contents.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Where certificates, keys and lists were read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file.
    File(PathBuf),
    /// The configuration itself, or an answer: what it is of it.
    Given(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(file) => file.display().fmt(f),
            Place::Given(what) => f.write_str(what),
        }
    }
}

/// A fault in what an identity is made of.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is longer than any certificate file should be.
    #[error("{} is longer than {limit_bytes} bytes; expected certificates or a key in PEM", file.display())]
    TooLong {
        /// The file.
        file: PathBuf,
        /// What it may hold.
        limit_bytes: u64,
    },
    /// The file begins like PEM and is broken.
    #[error("{place} is not valid PEM: {problem}")]
    BadPem {
        /// Where.
        place: Place,
        /// What is wrong, without the contents.
        problem: &'static str,
    },
    /// No certificate in the file.
    #[error("{place} holds no certificate; expected PEM blocks \"BEGIN CERTIFICATE\", leaf first")]
    NoCertificate {
        /// Where.
        place: Place,
    },
    /// A certificate that cannot be parsed.
    #[error("certificate {position} in {place} cannot be used: {problem}")]
    BadCertificate {
        /// Where.
        place: Place,
        /// Which one there, counted from 1.
        position: usize,
        /// What is wrong.
        problem: String,
    },
    /// No private key in the file.
    #[error(
        "{place} holds no private key; expected one PEM block \"BEGIN PRIVATE KEY\" (PKCS#8), \"BEGIN RSA PRIVATE KEY\" or \
         \"BEGIN EC PRIVATE KEY\""
    )]
    NoPrivateKey {
        /// Where.
        place: Place,
    },
    /// The key needs a passphrase.
    #[error("the private key in {place} is encrypted; expected one without a passphrase")]
    EncryptedPrivateKey {
        /// Where.
        place: Place,
    },
    /// The private key cannot be parsed, or its kind is not supported.
    #[error(
        "the private key in {place} cannot be used; expected RSA of 2,048 bits or more, ECDSA or Ed25519"
    )]
    BadPrivateKey {
        /// Where.
        place: Place,
    },
    /// Key and certificate do not belong together.
    #[error(
        "the private key in {private_key} does not fit the first certificate in {certificate}; expected the key that \
         it was issued for"
    )]
    KeyMismatch {
        /// Where the certificate is.
        certificate: Place,
        /// Where the key is.
        private_key: Place,
    },
    /// No root in the file: nobody could be trusted.
    #[error(
        "{place} holds no root certificate; expected PEM blocks \"BEGIN CERTIFICATE\" of the authorities to trust, or a \
         SPIFFE bundle"
    )]
    NoRoots {
        /// Where.
        place: Place,
    },
    /// A SPIFFE bundle that is none.
    #[error("{place} is no SPIFFE bundle: {problem}")]
    BadBundle {
        /// Where.
        place: Place,
        /// What is wrong.
        problem: String,
    },
    /// No certificate revocation list.
    #[error(
        "{place} holds no certificate revocation list; expected PEM blocks \"BEGIN X509 CRL\", or one list in DER"
    )]
    NoRevocationList {
        /// Where.
        place: Place,
    },
    /// A certificate revocation list that cannot be used.
    #[error("certificate revocation list {position} in {place} cannot be used: {problem}")]
    BadRevocationList {
        /// Where.
        place: Place,
        /// Which one there, counted from 1.
        position: usize,
        /// What is wrong.
        problem: String,
    },
    /// Everybody may write the private key: whoever does is us.
    #[error("private key {} has mode {mode:03o}: everybody may replace it; 600 is enough", file.display())]
    KeyWritableByOthers {
        /// The file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The operating system has no roots.
    #[error("the operating system has no root certificate{}", problem.as_ref().map_or(String::new(), |problem| format!(": {problem}")))]
    NoSystemRoots {
        /// What was in the way, if something was.
        problem: Option<String>,
    },
    /// The name that an upstream must prove is neither a DNS name nor an address.
    #[error("{name:?} is no server name; expected a DNS name or an IP address")]
    BadServerName {
        /// The name.
        name: String,
    },
    /// rustls refused what was put together.
    #[error("cannot configure TLS for {what}: {source}")]
    Tls {
        /// Which side.
        what: &'static str,
        /// The reason.
        source: rustls::Error,
    },
}
