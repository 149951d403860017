//! Identities, trust bundles and revocation: who this proxy is, whom it believes, and whom no more.

use super::{
    CertificateFiles, CertificateSource, Name, Origin, PeerValidation, PostQuantum, Roots, SpiffeId,
    SpiffeMatch, TlsVersions, TrustDomain, UpstreamTls, model,
};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

model! {
    /// A certificate with its key, known by a name.
    pub struct Identity {
        /// Unique among identities.
        by_ref name: Name,
        /// Where it comes from.
        by_ref source: IdentitySource,
        /// Where it was written.
        by_ref origin: Origin,
    }
}

/// Where an identity comes from. All are renewed without a reload.
#[derive(Debug, Clone, PartialEq)]
pub enum IdentitySource {
    /// Files, watched.
    Files(CertificateFiles),
    /// The configuration itself, as SDS pushes it.
    Inline(InlineCertificate),
    /// The SPIFFE Workload API.
    WorkloadApi(WorkloadApi),
    /// A certificate authority that is sent a request (CSR).
    Authority(Box<Authority>),
}

model! {
    /// A certificate and its key as they are.
    pub struct InlineCertificate {
        /// PEM, leaf first.
        by_ref certificate_chain: String,
        /// PEM: PKCS#8, PKCS#1 or SEC1.
        by_ref private_key: Secret,
        /// An OCSP response (DER); none: none is sent.
        by_ref ocsp_staple: Option<Vec<u8>>,
    }
}

model! {
    /// An identity from the SPIFFE Workload API (`FetchX509SVID`).
    pub struct WorkloadApi {
        /// Its Unix socket.
        by_ref socket: PathBuf,
        /// Which of the identities that it gives; none: its first, which is the default by the standard.
        by_ref spiffe_id: Option<SpiffeId>,
    }
}

model! {
    /// An identity from a certificate authority, by Istio's `CreateCertificate` over gRPC: a key is made here, and never
    /// leaves.
    pub struct Authority {
        /// `https://HOST:PORT`.
        by_ref url: String,
        /// Whom the authority's own certificate must chain to. Not [`Roots::Spiffe`].
        by_ref roots: Roots,
        /// The name that the authority's certificate must hold; none: the URL's host.
        by_ref server_name: Option<String>,
        /// Holds the token that says who we are (`authorization: Bearer`), read anew for each request; none: none is sent.
        by_ref token_file: Option<PathBuf>,
        /// The id that is asked for; a certificate for another is refused.
        by_ref spiffe_id: SpiffeId,
        /// How long the certificate should be valid; the authority may shorten it:
        /// [`super::defaults::CERTIFICATE_VALIDITY`].
        copy validity: Duration,
        /// The kind of key that is made.
        copy key: KeyKind,
    }
}

impl Authority {
    /// The host of its URL: a name, or an address without brackets.
    pub fn host(&self) -> &str {
        let (host, _) = self.host_and_port();
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port of its URL; 443 if it has none.
    pub fn port(&self) -> u16 {
        const HTTPS: u16 = 443;
        let (_, port) = self.host_and_port();
        port.and_then(|port| port.parse().ok()).unwrap_or(HTTPS)
    }

    /// The TLS of connections to it.
    pub fn tls(&self) -> UpstreamTls {
        let name = self.server_name.as_deref().unwrap_or(self.host());
        UpstreamTls {
            validation: PeerValidation {
                roots: self.roots.clone(),
                peers: Vec::new(),
            },
            server_name: Some(name.to_owned()),
            certificate: None,
            versions: TlsVersions::From12,
            post_quantum: PostQuantum::Preferred,
            session_resumption: false,
        }
    }

    /// The same, showing the certificate of this identity where the authority asks for one.
    pub fn tls_showing(&self, identity: &Name) -> UpstreamTls {
        UpstreamTls {
            certificate: Some(CertificateSource::Identity(identity.clone())),
            ..self.tls()
        }
    }

    fn host_and_port(&self) -> (&str, Option<&str>) {
        let rest = self.url.trim_start_matches("https://");
        let authority = rest.split('/').next().unwrap_or_default();
        match authority.rsplit_once(':') {
            // The colons within brackets are the address's own.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        }
    }
}

/// A kind of private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on the curve P-256.
    EcdsaP256,
    /// ECDSA on the curve P-384.
    EcdsaP384,
    /// Ed25519.
    Ed25519,
    /// RSA of 2,048 bits.
    Rsa2048,
}

model! {
    /// Authorities that are believed, known by a name.
    pub struct TrustBundle {
        /// Unique among trust bundles.
        by_ref name: Name,
        /// Where it comes from.
        by_ref source: TrustSource,
        /// The trust domain for which it speaks (SPIFFE); no two bundles speak for one. None: it is used by name only.
        by_ref trust_domain: Option<TrustDomain>,
        /// Where it was written.
        by_ref origin: Origin,
    }
}

/// Where a trust bundle comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustSource {
    /// A file, watched: PEM, or the SPIFFE bundle format (a JWKS), told apart by its first character.
    File(PathBuf),
    /// The configuration itself, as SDS pushes it: as a file's contents.
    Inline(String),
    /// What came with the identity of this name, which exists and is from the Workload API or an authority: the bundle of
    /// the trust domain that is asked for, or of the identity's own if none is.
    Identity(Name),
}

model! {
    /// Whom is believed no more, although a certificate says so. It holds for every handshake of both sides, and for
    /// connections that are open.
    pub struct Revocation {
        /// Certificate revocation lists; each is for the certificates of its issuer.
        by_ref lists: Vec<RevocationList>,
        /// A certificate whose issuer has no list is refused.
        copy list_required: bool,
        /// A list past its next update is still obeyed, and certificates of its issuer are accepted; else they are refused.
        copy outdated_allowed: bool,
        /// Identities that are refused.
        by_ref denied: Vec<SpiffeMatch>,
        /// Where it was written.
        by_ref origin: Origin,
    }
}

impl Default for Revocation {
    fn default() -> Revocation {
        Revocation {
            lists: Vec::new(),
            list_required: false,
            outdated_allowed: true,
            denied: Vec::new(),
            origin: Origin::default(),
        }
    }
}

/// Where a certificate revocation list comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevocationList {
    /// A file, watched: PEM of one or more lists, or one in DER.
    File(PathBuf),
    /// The configuration itself, as SDS pushes it: PEM.
    Inline(String),
}

/// Bytes that are never shown: not by `Debug`, not in a dump, not in an error. Overwritten when the last copy goes.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

impl Secret {
    /// Takes bytes in.
    pub fn new(bytes: Vec<u8>) -> Secret {
        Secret(Arc::new(Zeroizing::new(bytes)))
    }
    /// The bytes, for the one who uses them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_reached_by_its_url() {
        for (url, host, port) in [
            ("https://ca.example:15012", "ca.example", 15012),
            ("https://ca.example", "ca.example", 443),
            ("https://192.0.2.1:1/", "192.0.2.1", 1),
            ("https://[2001:db8::1]:15012", "2001:db8::1", 15012),
            ("https://[2001:db8::1]", "2001:db8::1", 443),
        ] {
            let authority = Authority {
                url: url.to_owned(),
                roots: Roots::System,
                server_name: None,
                token_file: None,
                spiffe_id: "spiffe://a/b".parse().unwrap(),
                validity: Duration::from_secs(1),
                key: KeyKind::EcdsaP256,
            };
            assert_eq!((authority.host(), authority.port()), (host, port));
            assert_eq!(authority.tls().server_name().as_deref(), Some(host));
        }
    }

    #[test]
    fn a_secret_does_not_show() {
        let secret = Secret::new(b"key".to_vec());
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(secret.expose(), b"key");
    }
}
