//! The client side: whom an endpoint must be, and who we are to it.

use crate::basis::Basis;
use crate::error::IdentityError;
use crate::material::Material;
use crate::provider::{provider_with, versions};
use crate::verify::{ServerVerifier, Verifier};
use outrigger_config::model::UpstreamTls;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::sign::SingleCertAndKey;
use rustls_pki_types::ServerName;
use std::sync::Arc;

/// Servers whose sessions are kept, for each configuration.
const STORED_SESSIONS_MAX: usize = 256;
/// Stands for the server's name where it has none: rustls keeps sessions by name. It is never sent, and no certificate
/// is asked for it, since without a name there are peers. A name that nobody can have (RFC 2606).
const NO_NAME: &str = "unnamed.invalid";

/// What a TLS connection to an endpoint needs.
#[derive(Debug, Clone)]
pub struct UpstreamIdentity {
    /// Whom to believe, our certificate, ALPN; sessions of its own.
    pub config: Arc<ClientConfig>,
    /// The SNI, and the name that the endpoint's certificate must hold if no peers are named.
    pub server_name: ServerName<'static>,
}

/// The client configuration of a cluster, offering `alpn` in this order. What is not in `material` yet refuses: without
/// our certificate, if one is configured, and without authorities no server is accepted.
///
/// Sessions are resumed without looking at certificates again. So a new configuration must be made whenever
/// [`Basis::of_upstream`] or the settings change, and none otherwise.
///
/// # Errors
/// If rustls refuses the settings, or the server name is none.
pub fn upstream(
    tls: &UpstreamTls,
    alpn: &[&str],
    material: &Material,
) -> Result<UpstreamIdentity, IdentityError> {
    let failed = |source| IdentityError::Tls {
        what: "upstream connections",
        source,
    };
    let name = tls.server_name().as_deref().unwrap_or(NO_NAME);
    let server_name = ServerName::try_from(name.to_owned()).map_err(|_| IdentityError::BadServerName {
        name: name.to_owned(),
    })?;
    let basis = Basis::of_upstream(tls, material);
    let (trust, revocations) = basis.believed().expect("servers always show a certificate");
    let peers = tls.validation().peers().clone();
    let verifier = Verifier::new(trust.clone(), Arc::clone(revocations), peers);
    let has_identity = basis.credentials().all(|credential| credential.is_some());
    let builder = ClientConfig::builder_with_provider(provider_with(tls.post_quantum()))
        .with_protocol_versions(versions(tls.versions()))
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(ServerVerifier::new(verifier, has_identity)));
    let mut config = match basis.credentials().flatten().next() {
        Some(credential) => {
            let shown = SingleCertAndKey::from(Arc::clone(credential.certified_key()));
            builder.with_client_cert_resolver(Arc::new(shown))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config.enable_sni = tls.server_name().is_some();
    config.enable_early_data = false;
    config.resumption = match tls.session_resumption() {
        true => Resumption::in_memory_sessions(STORED_SESSIONS_MAX),
        false => Resumption::disabled(),
    };
    Ok(UpstreamIdentity {
        config: Arc::new(config),
        server_name,
    })
}
