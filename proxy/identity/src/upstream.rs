//! The client side: whom an endpoint must be, and who we are to it.

use crate::certificate::{read_certified_key, read_roots};
use crate::error::IdentityError;
use crate::provider::{VERSIONS, provider};
use crate::warning::{log, warnings_of_upstream};
use outrigger_config::model::{CertificateSource, Roots, UpstreamTls};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::sign::SingleCertAndKey;
use rustls_pki_types::ServerName;
use std::sync::Arc;
use std::time::SystemTime;

/// Servers whose sessions are kept, for each configuration.
const STORED_SESSIONS_MAX: usize = 256;

/// What a TLS connection to an endpoint needs.
#[derive(Debug, Clone)]
pub struct UpstreamIdentity {
    /// The roots, our certificate, ALPN; sessions of its own.
    pub config: Arc<ClientConfig>,
    /// The SNI, and the name that the endpoint's certificate must hold.
    pub server_name: ServerName<'static>,
}

/// The client configuration of a cluster, offering `alpn` in this order. Reads files: not for a worker.
///
/// # Errors
/// The first fault found in a file, or a server name that is none.
pub fn upstream(tls: &UpstreamTls, alpn: &[&str]) -> Result<UpstreamIdentity, IdentityError> {
    let failed = |source| IdentityError::Tls {
        what: "upstream connections",
        source,
    };
    let name = tls.server_name().clone().unwrap_or_default();
    let server_name =
        ServerName::try_from(name.clone()).map_err(|_| IdentityError::BadServerName { name })?;
    let Roots::File(ca_file) = tls.validation().roots() else {
        return Err(failed(rustls::Error::General("no roots".into())));
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)
        .map_err(failed)?
        .with_root_certificates(read_roots(ca_file)?);
    let mut config = match tls.certificate() {
        Some(CertificateSource::Files(files)) => {
            let identity = SingleCertAndKey::from(read_certified_key(files)?);
            builder.with_client_cert_resolver(Arc::new(identity))
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config.resumption = Resumption::in_memory_sessions(STORED_SESSIONS_MAX);
    config.enable_early_data = false;
    log(&warnings_of_upstream(tls, SystemTime::now())?);
    Ok(UpstreamIdentity {
        config: Arc::new(config),
        server_name,
    })
}
