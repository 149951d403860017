//! TLS of both sides: termination from downstream, origination to upstreams, and whom a peer must be.

use super::{Name, ServerNameMatch, SpiffeMatch, model};
use std::path::PathBuf;
use std::time::Duration;

model! {
    /// TLS termination.
    pub struct DownstreamTls {
        /// Whether plain text is served too.
        copy mode: TlsMode,
        /// Certificates; SNI picks one by its names, the first is the default. Never empty.
        by_ref certificates: Vec<CertificateSource>,
        /// ALPN names offered, in order of preference; where only HTTP is spoken `h2`, `http/1.1`. Empty: none.
        by_ref application_protocols: Vec<String>,
        /// What is asked of clients; none: no certificate is asked for.
        by_ref client: Option<ClientValidation>,
        /// Versions spoken.
        copy versions: TlsVersions,
        /// Key exchange with ML-KEM.
        copy post_quantum: PostQuantum,
        /// Sessions may be resumed, by tickets whose keys rotate.
        copy session_resumption: bool,
        /// From accept to the end of the handshake.
        copy handshake_timeout: Duration,
    }
}

/// Whether plain text is served where TLS is terminated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// TLS only.
    Strict,
    /// What the first bytes say: a client without TLS is served as one without identity. For the time in which a mesh
    /// moves to mutual TLS.
    Permissive,
}

model! {
    /// What is asked of a client.
    pub struct ClientValidation {
        /// A client without a certificate is refused. A certificate that does not hold is refused always.
        copy required: bool,
        /// Whom its certificate must name.
        by_ref validation: PeerValidation,
    }
}

model! {
    /// TLS to endpoints.
    pub struct UpstreamTls {
        /// Whom the endpoint's certificate must name. Without `peers` it must hold `server_name`.
        by_ref validation: PeerValidation,
        /// The SNI, a DNS name, or an IP address, of which none is sent; none: nothing is sent. There unless
        /// `validation` has peers.
        by_ref server_name: Option<String>,
        /// Our certificate, if the server asks.
        by_ref certificate: Option<CertificateSource>,
        /// Versions spoken.
        copy versions: TlsVersions,
        /// Key exchange with ML-KEM.
        copy post_quantum: PostQuantum,
        /// Sessions may be resumed.
        copy session_resumption: bool,
    }
}

/// Where a certificate and its key come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CertificateSource {
    /// Files, watched.
    Files(CertificateFiles),
    /// The identity of this name; it exists.
    Identity(Name),
}

impl CertificateSource {
    /// The files, if that is where it comes from.
    pub fn files(&self) -> Option<&CertificateFiles> {
        match self {
            CertificateSource::Files(files) => Some(files),
            CertificateSource::Identity(_) => None,
        }
    }
}

/// A certificate chain and its private key in files, both PEM.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    pub(crate) certificate_file: PathBuf,
    pub(crate) private_key_file: PathBuf,
    pub(crate) ocsp_staple_file: Option<PathBuf>,
}

impl CertificateFiles {
    /// Leaf first.
    pub fn certificate_file(&self) -> &PathBuf {
        &self.certificate_file
    }
    /// PKCS#8, PKCS#1 or SEC1.
    pub fn private_key_file(&self) -> &PathBuf {
        &self.private_key_file
    }
    /// An OCSP response (DER) that is sent to clients who ask for one; none: none is sent.
    pub fn ocsp_staple_file(&self) -> &Option<PathBuf> {
        &self.ocsp_staple_file
    }
}

model! {
    /// Whom a peer's certificate must name, and who must have said so.
    pub struct PeerValidation {
        /// The authorities that are believed.
        by_ref roots: Roots,
        /// The certificate must name one of these. Empty: for clients, any name will do.
        by_ref peers: Vec<PeerMatch>,
    }
}

/// Authorities that are believed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Roots {
    /// Those of a PEM file.
    File(PathBuf),
    /// Those of the operating system.
    System,
    /// Those of the trust bundle of this name; it exists.
    Bundle(Name),
    /// By SPIFFE: those of the trust bundle of the trust domain that the certificate names. A certificate that is no X.509
    /// SVID, or of a trust domain without a bundle, is refused.
    Spiffe,
}

/// What a certificate must name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PeerMatch {
    /// A SPIFFE id, in its one URI name.
    Spiffe(SpiffeMatch),
    /// A DNS name: the certificate is valid for the exact one, or holds a name with the suffix.
    Dns(ServerNameMatch),
}

/// TLS versions spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersions {
    /// 1.2 and 1.3.
    From12,
    /// 1.3 only.
    Only13,
    /// 1.2 only.
    Only12,
}

/// Key exchange that withstands a quantum computer (X25519MLKEM768; TLS 1.3 only).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostQuantum {
    /// Not offered.
    Off,
    /// Offered first.
    Preferred,
    /// Nothing else is offered: a peer without it is refused.
    Required,
}
