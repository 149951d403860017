//! Connections to etcd's members: plain or TLS.

use crate::settings::EtcdSettings;
use crate::store::StoreError;
use http::Uri;
use hyper_util::rt::TokioIo;
use outrigger_identity::{Credential, RootSet, provider};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

/// TCP and TLS together. A member that does not answer by then is as good as away; another is asked.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// HTTP/2 pings while something is under way. Etcd closes connections that ping more often than every 5 seconds.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// From a ping to its answer.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A channel for each member, in the order of the settings. They connect when they are used, and anew when they must.
pub(super) fn channels(settings: &EtcdSettings) -> Result<Vec<Channel>, StoreError> {
    let is_any_tls = settings
        .endpoints
        .iter()
        .any(|endpoint| endpoint.starts_with("https:"));
    let tls = match is_any_tls {
        true => Some(TlsConnector::from(client_config(settings)?)),
        false => None,
    };
    let endpoints = settings.endpoints.iter();
    endpoints.map(|endpoint| channel(endpoint, tls.clone())).collect()
}

fn channel(endpoint: &str, tls: Option<TlsConnector>) -> Result<Channel, StoreError> {
    let refused = |reason: String| StoreError::refused(format!("etcd's endpoint {endpoint}"), reason);
    let uri: Uri = endpoint.parse().map_err(|error| refused(format!("{error}")))?;
    let host = uri.host().ok_or_else(|| refused("it has no host".to_owned()))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let is_https = uri.scheme_str() == Some("https");
    let tls = tls.filter(|_| is_https);
    let port = uri.port_u16().unwrap_or(2379);
    let connector = service_fn(move |_: Uri| {
        let (host, tls) = (host.clone(), tls.clone());
        async move { connect(host, port, tls).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_shared(endpoint.to_owned()).map_err(|error| refused(error.to_string()))?;
    let endpoint = endpoint
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    Ok(endpoint.connect_with_connector_lazy(connector))
}

async fn connect(host: String, port: u16, tls: Option<TlsConnector>) -> io::Result<Pin<Box<dyn Io>>> {
    let connecting = async {
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = tls else {
            let stream: Pin<Box<dyn Io>> = Box::pin(stream);
            return Ok(stream);
        };
        let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
        let stream: Pin<Box<dyn Io>> = Box::pin(tls.connect(name, stream).await?);
        Ok(stream)
    };
    tokio::time::timeout(CONNECT_TIMEOUT, connecting)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn client_config(settings: &EtcdSettings) -> Result<Arc<ClientConfig>, StoreError> {
    let roots = match &settings.roots_file {
        Some(file) => {
            let roots = RootSet::from_text(&read(file)?);
            let roots =
                roots.map_err(|error| StoreError::refused(file.display().to_string(), error.to_string()))?;
            roots.store().clone()
        }
        None => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots
        }
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has suites of both versions")
        .with_root_certificates(roots);
    let mut config = match &settings.client {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let (chain, key) = (read(&files.certificate_file)?, read(&files.private_key_file)?);
            let credential = Credential::from_pem(&chain, &key, None).map_err(|error| {
                StoreError::refused(files.certificate_file.display().to_string(), error.to_string())
            })?;
            let key = SingleCertAndKey::from(credential.certified_key().clone());
            builder.with_client_cert_resolver(Arc::new(key))
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

fn read(file: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, StoreError> {
    let contents = std::fs::read(file).map(zeroize::Zeroizing::new);
    contents.map_err(|error| {
        StoreError::unavailable("read its TLS files", format!("{}: {error}", file.display()))
    })
}
