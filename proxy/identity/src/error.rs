//! Why TLS cannot be configured. Every message names the file and says what would be right; none quotes its contents.

use std::io;
use std::path::PathBuf;

/// A fault in the files that an identity is made of.
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
    #[error("{} is not valid PEM: {problem}", file.display())]
    BadPem {
        /// The file.
        file: PathBuf,
        /// What is wrong, without the contents.
        problem: &'static str,
    },
    /// No certificate in the file.
    #[error("{} holds no certificate; expected PEM blocks \"BEGIN CERTIFICATE\", leaf first", file.display())]
    NoCertificate {
        /// The file.
        file: PathBuf,
    },
    /// A certificate that cannot be parsed.
    #[error("certificate {position} in {} cannot be used: {problem}", file.display())]
    BadCertificate {
        /// The file.
        file: PathBuf,
        /// Its place in the file, counted from 1.
        position: usize,
        /// What is wrong.
        problem: String,
    },
    /// No private key in the file.
    #[error(
        "{} holds no private key; expected one PEM block \"BEGIN PRIVATE KEY\" (PKCS#8), \"BEGIN RSA PRIVATE KEY\" or \
         \"BEGIN EC PRIVATE KEY\"", file.display()
    )]
    NoPrivateKey {
        /// The file.
        file: PathBuf,
    },
    /// The key needs a passphrase.
    #[error("the private key in {} is encrypted; expected one without a passphrase", file.display())]
    EncryptedPrivateKey {
        /// The file.
        file: PathBuf,
    },
    /// The private key cannot be parsed, or its kind is not supported.
    #[error(
        "the private key in {} cannot be used; expected RSA of 2,048 bits or more, ECDSA or Ed25519",
        file.display()
    )]
    BadPrivateKey {
        /// The file.
        file: PathBuf,
    },
    /// Key and certificate do not belong together.
    #[error(
        "the private key in {} does not fit the first certificate in {}; expected the key that it was issued for",
        private_key_file.display(), certificate_file.display()
    )]
    KeyMismatch {
        /// The certificate's file.
        certificate_file: PathBuf,
        /// The key's file.
        private_key_file: PathBuf,
    },
    /// No root in the file: nobody could be trusted.
    #[error(
        "{} holds no root certificate; expected PEM blocks \"BEGIN CERTIFICATE\" of the authorities to trust",
        file.display()
    )]
    NoRoots {
        /// The file.
        file: PathBuf,
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
