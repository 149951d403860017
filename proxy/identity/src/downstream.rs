//! The server side: which certificate a client sees, and whom it must be.

mod certificates;

use crate::basis::Basis;
use crate::error::IdentityError;
use crate::material::Material;
use crate::provider::{provider_with, versions};
use crate::verify::{ClientVerifier, Verifier};
use certificates::Certificates;
use outrigger_config::model::DownstreamTls;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};
use std::sync::Arc;

/// TLS 1.2 sessions kept for clients without tickets, for each configuration.
const STORED_SESSIONS_MAX: usize = 256;

/// The server configuration of a filter chain: certificates by SNI, a client certificate if the model asks for one.
/// Tickets are encrypted with keys of this configuration alone, which rotate every 6 hours and are kept for 12 (rustls'
/// ticketer); early data is off, because it can be replayed. What is not in `material` yet refuses: without any
/// certificate every handshake fails, without authorities every client's certificate is refused.
///
/// Sessions are resumed without looking at certificates again. So a new configuration must be made whenever
/// [`Basis::of_downstream`] or the settings change, and none otherwise.
///
/// # Errors
/// If rustls refuses the settings, or has no random numbers.
pub fn downstream(tls: &DownstreamTls, material: &Material) -> Result<Arc<ServerConfig>, IdentityError> {
    let failed = |source| IdentityError::Tls {
        what: "downstream connections",
        source,
    };
    let basis = Basis::of_downstream(tls, material);
    let verifier = match (tls.client(), basis.believed()) {
        (Some(client), Some((trust, revocations))) => {
            let peers = client.validation().peers().clone();
            let verifier = Verifier::new(trust.clone(), Arc::clone(revocations), peers);
            Arc::new(ClientVerifier::new(verifier, client.required()))
        }
        _ => WebPkiClientVerifier::no_client_auth(),
    };
    let certificates = Certificates::new(basis.credentials().flatten());
    let mut config = ServerConfig::builder_with_provider(provider_with(tls.post_quantum()))
        .with_protocol_versions(versions(tls.versions()))
        .map_err(failed)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(certificates));
    config.alpn_protocols = tls
        .application_protocols()
        .iter()
        .map(|protocol| protocol.clone().into_bytes())
        .collect();
    config.max_early_data_size = 0;
    if tls.session_resumption() {
        config.session_storage = ServerSessionMemoryCache::new(STORED_SESSIONS_MAX);
        config.ticketer = Ticketer::new().map_err(failed)?;
        config.send_tls13_tickets = 1;
    } else {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Arc::new(config))
}
