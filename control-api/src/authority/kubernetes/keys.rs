//! Keeps an issuer's keys fresh: out of a file, or by HTTP/1 from a URL. The last good ones stay in force while the
//! source is away.

use super::Kubernetes;
use crate::files;
use crate::settings::KeysSettings;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use outrigger_identity::jwt::{JwksError, KeySet};
use outrigger_identity::{IdentityError, RootSet, provider};
use rustls::pki_types::ServerName;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

/// One fetch, from the look-up of the name to the last byte.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer at most, as of any key set.
const BYTES_MAX: usize = 1024 * 1024;
/// Between two attempts at least, whoever asks for newer keys, and after one that failed.
const ATTEMPT_INTERVAL_MIN: Duration = Duration::from_secs(10);

/// Why keys could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no key set.
    #[error(transparent)]
    Keys(#[from] JwksError),
    /// The roots cannot be used.
    #[error(transparent)]
    Roots(#[from] IdentityError),
    /// The server cannot be spoken with.
    #[error("cannot fetch {url}: {problem}")]
    Network {
        /// Where.
        url: String,
        /// What is wrong.
        problem: String,
    },
}

/// Keeps the keys fresh until it is dropped: every `refresh`, and sooner when a token names a key that is not there.
pub async fn keep_keys(kubernetes: Arc<Kubernetes>, source: KeysSettings, refresh: Duration) {
    loop {
        let wait = match obtain(&source).await {
            Ok(keys) => {
                kubernetes.set_keys(keys);
                refresh.max(ATTEMPT_INTERVAL_MIN)
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read the keys of service-account tokens; the last ones stay in force");
                ATTEMPT_INTERVAL_MIN
            }
        };
        sleep(ATTEMPT_INTERVAL_MIN).await;
        let _ = timeout(wait - ATTEMPT_INTERVAL_MIN, kubernetes.wanted()).await;
    }
}

/// The keys as they are now. Cancel safe.
pub(super) async fn obtain(source: &KeysSettings) -> Result<KeySet, KeysError> {
    match source {
        KeysSettings::File(file) => Ok(KeySet::parse(&read(file).await?)?),
        KeysSettings::Url {
            url,
            roots_file,
            token_file,
        } => {
            let fetching = fetch(url, roots_file.as_deref(), token_file.as_deref());
            let late = |_| network(url, &format!("no answer within {} s", FETCH_TIMEOUT.as_secs()));
            timeout(FETCH_TIMEOUT, fetching).await.map_err(late)?
        }
    }
}

fn network(url: &str, problem: &dyn std::fmt::Display) -> KeysError {
    KeysError::Network {
        url: url.to_owned(),
        problem: problem.to_string(),
    }
}

async fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, KeysError> {
    files::read(file).await.map_err(|source| KeysError::File {
        file: file.to_owned(),
        source,
    })
}

async fn fetch(url: &str, roots_file: Option<&Path>, token_file: Option<&Path>) -> Result<KeySet, KeysError> {
    let uri: Uri = url.parse().map_err(|error| network(url, &error))?;
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_https = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
    let token = match token_file {
        Some(file) => Some(read(file).await?),
        None => None,
    };
    let stream = TcpStream::connect((bare, port))
        .await
        .map_err(|error| network(url, &error))?;
    let text = if is_https {
        let name = ServerName::try_from(bare.to_owned()).map_err(|error| network(url, &error))?;
        let config = client_config(roots_file).await?;
        let connecting = TlsConnector::from(config).connect(name, stream);
        let stream = connecting.await.map_err(|error| network(url, &error))?;
        exchange(url, &uri, stream, token).await?
    } else {
        exchange(url, &uri, stream, token).await?
    };
    Ok(KeySet::parse(&text)?)
}

async fn client_config(roots_file: Option<&Path>) -> Result<Arc<rustls::ClientConfig>, KeysError> {
    let roots = match roots_file {
        Some(file) => Arc::new(RootSet::from_text(&read(file).await?)?),
        None => RootSet::of_system()?,
    };
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has suites of both versions")
        .with_root_certificates(roots.store().clone())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

async fn exchange(
    url: &str,
    uri: &Uri,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    token: Option<Zeroizing<Vec<u8>>>,
) -> Result<Bytes, KeysError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| network(url, &error))?;
    // Dropped, and so ended, with this function.
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let mut request = Request::builder()
        .uri(target)
        .header(HOST, uri.authority().map_or("", |authority| authority.as_str()))
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .header(USER_AGENT, "outrigger-control")
        .body(Empty::<Bytes>::new())
        .map_err(|error| network(url, &error))?;
    if let Some(token) = token {
        let value = Zeroizing::new([b"Bearer ", token.trim_ascii()].concat());
        let mut value = HeaderValue::from_bytes(&value)
            .map_err(|_| network(url, &"the token cannot be sent in a header"))?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| network(url, &error))?;
    if response.status() != StatusCode::OK {
        return Err(network(
            url,
            &format!("its status is {}", response.status().as_u16()),
        ));
    }
    let body = Limited::new(response.into_body(), BYTES_MAX).collect().await;
    Ok(body.map_err(|error| network(url, &error))?.to_bytes())
}
