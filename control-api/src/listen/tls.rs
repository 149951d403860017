//! The TLS of a listener: what is shown, and whose certificates are believed. Replaced in place: the next handshake uses
//! it, open connections go on.

use arc_swap::ArcSwap;
use outrigger_config::model::TrustDomain;
use outrigger_identity::{Credential, PeerIdentity, RootSet, provider};
use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What is asked of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Who shows none has no identity; who shows one that does not hold is refused.
    Optional,
    /// Who shows none is refused.
    Required,
}

/// TLS cannot be served with what was given.
#[derive(Debug, thiserror::Error)]
pub enum ServerTlsError {
    /// Rustls refuses it.
    #[error("cannot configure TLS for the listener: {0}")]
    Tls(#[from] rustls::Error),
    /// Clients cannot be verified.
    #[error("cannot verify client certificates: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// Certificates are required, and nobody is believed.
    #[error("client certificates are required, but no authority is configured that they could be of")]
    NobodyBelieved,
}

/// The TLS of a listener.
pub struct ServerTls {
    config: ArcSwap<ServerConfig>,
    clients: ClientCertificates,
    /// Clients' SPIFFE ids must be of it.
    trust_domain: Option<TrustDomain>,
}

impl ServerTls {
    /// Shows `credential` and believes `client_roots`; without those no certificate is asked for. Clients with a SPIFFE id
    /// of another trust domain are refused.
    ///
    /// # Errors
    /// If it cannot be served so.
    pub fn new(
        credential: &Credential,
        client_roots: Option<&RootSet>,
        clients: ClientCertificates,
        trust_domain: Option<TrustDomain>,
    ) -> Result<ServerTls, ServerTlsError> {
        Ok(ServerTls {
            config: ArcSwap::from(configure(credential, client_roots, clients)?),
            clients,
            trust_domain,
        })
    }

    /// Shows and believes something else from the next handshake on.
    ///
    /// # Errors
    /// If it cannot be served so; all stays as it is then.
    pub fn replace(
        &self,
        credential: &Credential,
        client_roots: Option<&RootSet>,
    ) -> Result<(), ServerTlsError> {
        self.config
            .store(configure(credential, client_roots, self.clients)?);
        Ok(())
    }

    /// A handshake, and whose certificate was shown in it. May be dropped at any time.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Option<PeerIdentity>)> {
        let acceptor = TlsAcceptor::from(self.config.load_full());
        let stream = acceptor.accept(stream).await?;
        let Some(chain) = stream.get_ref().1.peer_certificates() else {
            return Ok((stream, None));
        };
        let refused = |text: &'static str| io::Error::new(io::ErrorKind::InvalidData, text);
        let identity =
            PeerIdentity::of(chain).ok_or_else(|| refused("the client's certificate cannot be read"))?;
        if let (Some(domain), Some(id)) = (&self.trust_domain, &identity.spiffe_id)
            && domain.as_str() != id.trust_domain()
        {
            return Err(refused("the client's SPIFFE id is of another trust domain"));
        }
        Ok((stream, Some(identity)))
    }
}

/// No session is resumed: it would outlive the certificates that it was made under, and a handshake is rare here.
fn configure(
    credential: &Credential,
    client_roots: Option<&RootSet>,
    clients: ClientCertificates,
) -> Result<Arc<ServerConfig>, ServerTlsError> {
    let verifier = match client_roots {
        Some(roots) => {
            let store = Arc::new(roots.store().clone());
            let builder = WebPkiClientVerifier::builder_with_provider(store, provider());
            match clients {
                ClientCertificates::Optional => builder.allow_unauthenticated().build()?,
                ClientCertificates::Required => builder.build()?,
            }
        }
        None if clients == ClientCertificates::Required => return Err(ServerTlsError::NobodyBelieved),
        None => WebPkiClientVerifier::no_client_auth(),
    };
    let shown = SingleCertAndKey::from((**credential.certified_key()).clone());
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}
