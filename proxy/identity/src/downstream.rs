//! The server side: which certificate a client sees, and whom it must be.

use crate::certificate::{read_certified_key, read_roots};
use crate::error::IdentityError;
use crate::provider::{VERSIONS, provider};
use crate::warning::{log, warnings_of_downstream};
use outrigger_config::model::{CertificateSource, DownstreamTls, Roots};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;
use webpki::EndEntityCert;

/// TLS 1.2 sessions kept for clients without tickets, for each configuration.
const STORED_SESSIONS_MAX: usize = 256;

/// The server configuration of a filter chain: TLS 1.2 and 1.3, the certificate by SNI, a client certificate if the
/// model asks for one. Tickets are encrypted with keys of this configuration alone; early data is off, because it can
/// be replayed. Reads files: not for a worker.
///
/// # Errors
/// The first fault found in a file.
pub fn downstream(tls: &DownstreamTls) -> Result<Arc<ServerConfig>, IdentityError> {
    let failed = |source| IdentityError::Tls {
        what: "downstream connections",
        source,
    };
    let certificates = Certificates::read(tls)?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)
        .map_err(failed)?;
    let roots = tls
        .client()
        .as_ref()
        .and_then(|client| match client.validation().roots() {
            Roots::File(file) => Some(file),
            _ => None,
        });
    let builder = match roots {
        Some(file) => {
            let roots = Arc::new(read_roots(file)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
                .build()
                .map_err(|error| failed(rustls::Error::General(error.to_string())))?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(certificates));
    config.alpn_protocols = tls
        .application_protocols()
        .iter()
        .map(|protocol| protocol.clone().into_bytes())
        .collect();
    config.session_storage = ServerSessionMemoryCache::new(STORED_SESSIONS_MAX);
    config.ticketer = Ticketer::new().map_err(failed)?;
    config.send_tls13_tickets = 1;
    config.max_early_data_size = 0;
    log(&warnings_of_downstream(tls, SystemTime::now())?);
    Ok(Arc::new(config))
}

/// The certificates of a filter chain, found by SNI. An exact name comes before a wildcard, and of two certificates
/// with one name the first has it; who names none of them, or nothing, sees the first.
#[derive(Debug)]
struct Certificates {
    default: Arc<CertifiedKey>,
    by_name: HashMap<String, Arc<CertifiedKey>>,
    /// `*.example.com` under `example.com`: a wildcard stands for one whole label (RFC 6125 section 6.4.3).
    by_parent: HashMap<String, Arc<CertifiedKey>>,
}

impl Certificates {
    fn read(tls: &DownstreamTls) -> Result<Certificates, IdentityError> {
        let mut default = None;
        let mut by_name = HashMap::new();
        let mut by_parent = HashMap::new();
        for source in tls.certificates() {
            let CertificateSource::Files(files) = source else {
                continue;
            };
            let certificate = Arc::new(read_certified_key(files)?);
            for name in names_of(&certificate) {
                match name.strip_prefix("*.") {
                    Some(parent) => by_parent
                        .entry(parent.to_owned())
                        .or_insert(Arc::clone(&certificate)),
                    None => by_name.entry(name).or_insert(Arc::clone(&certificate)),
                };
            }
            default.get_or_insert(certificate);
        }
        let default = default.expect("the model holds at least one certificate");
        Ok(Certificates {
            default,
            by_name,
            by_parent,
        })
    }

    fn find(&self, server_name: Option<&str>) -> &Arc<CertifiedKey> {
        let Some(name) = server_name.map(str::to_ascii_lowercase) else {
            return &self.default;
        };
        let by_parent = || self.by_parent.get(name.split_once('.')?.1);
        self.by_name
            .get(&name)
            .or_else(by_parent)
            .unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(self.find(client_hello.server_name())))
    }
}

/// The DNS names of the leaf, in lower case.
fn names_of(certificate: &CertifiedKey) -> Vec<String> {
    let leaf = certificate
        .cert
        .first()
        .and_then(|leaf| EndEntityCert::try_from(leaf).ok());
    leaf.iter()
        .flat_map(|leaf| leaf.valid_dns_names())
        .map(str::to_ascii_lowercase)
        .collect()
}
