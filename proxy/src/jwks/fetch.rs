//! One fetch of a key set, by HTTP/1 over a connection of its own. Redirects are not followed: whom a configuration
//! believes is not for a server to say.

use super::standing::KeyFault;
use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, HOST, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use outrigger_config::model::JwksUrl;
use outrigger_identity::jwt::{JwksError, KeySet};
use outrigger_identity::{RootSet, provider};
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// Bytes of an answer, as of any key set.
const BYTES_MAX: usize = 1024 * 1024;

/// What came.
pub(super) struct Fetched {
    pub(super) keys: KeySet,
    /// How long the answer says that it may be used.
    pub(super) max_age: Option<Duration>,
}

/// Fetches a key set within the timeout; `roots` gives the authorities that are believed, where it is fetched by HTTPS.
/// Cancel safe: what was begun ends with it.
pub(super) async fn fetch(
    settings: &JwksUrl,
    roots: impl Fn() -> Option<Arc<RootSet>>,
) -> Result<Fetched, KeyFault> {
    let timeout = settings.timeout();
    match tokio::time::timeout(timeout, fetch_untimed(settings.url(), roots)).await {
        Ok(fetched) => fetched,
        Err(_) => Err(KeyFault::Timeout(timeout)),
    }
}

async fn fetch_untimed(url: &str, roots: impl Fn() -> Option<Arc<RootSet>>) -> Result<Fetched, KeyFault> {
    let network = |error: &dyn std::fmt::Display| KeyFault::Network(error.to_string());
    let uri: Uri = url.parse().map_err(|error| network(&error))?;
    let host = uri.host().unwrap_or_default();
    let is_https = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((bare, port))
        .await
        .map_err(|error| network(&error))?;
    if is_https {
        let roots = roots().ok_or_else(|| KeyFault::Tls("its authorities are not there".to_owned()))?;
        let name = ServerName::try_from(bare.to_owned()).map_err(|error| KeyFault::Tls(error.to_string()))?;
        let connecting = TlsConnector::from(client_config(&roots)).connect(name, stream);
        let stream = connecting
            .await
            .map_err(|error| KeyFault::Tls(error.to_string()))?;
        exchange(&uri, stream).await
    } else {
        exchange(&uri, stream).await
    }
}

fn client_config(roots: &RootSet) -> Arc<rustls::ClientConfig> {
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has suites of both versions")
        .with_root_certificates(roots.store().clone())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

async fn exchange(
    uri: &Uri,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Fetched, KeyFault> {
    let network = |error: hyper::Error| KeyFault::Network(error.to_string());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(network)?;
    // Dropped, and so ended, with this function.
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let request = Request::builder()
        .method(Method::GET)
        .uri(target)
        .header(HOST, authority)
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .header(USER_AGENT, "outrigger")
        .body(Empty::<Bytes>::new())
        .map_err(|error| KeyFault::Network(error.to_string()))?;
    let response = sender.send_request(request).await.map_err(network)?;
    if response.status() != StatusCode::OK {
        return Err(KeyFault::Status(response.status().as_u16()));
    }
    let max_age = max_age(response.headers());
    let text = read(response.into_body()).await?;
    let keys = KeySet::parse(&text)?;
    Ok(Fetched { keys, max_age })
}

async fn read(mut body: Incoming) -> Result<Vec<u8>, KeyFault> {
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| KeyFault::Network(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if text.len() + data.len() > BYTES_MAX {
            return Err(JwksError::TooLong.into());
        }
        text.extend_from_slice(&data);
    }
    Ok(text)
}

/// `max-age` of `cache-control` (RFC 9111 section 5.2.2.1).
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|directive| {
            let (name, value) = directive.split_once('=')?;
            let is_it = name.trim().eq_ignore_ascii_case("max-age");
            let seconds = value.trim().trim_matches('"').parse().ok();
            seconds.filter(|_| is_it).map(Duration::from_secs)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_age_is_found_among_other_directives() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CACHE_CONTROL, value.parse().expect("a header value"));
            }
            max_age(&headers).map(|age| age.as_secs())
        };
        assert_eq!(of(&["public, max-age=600, must-revalidate"]), Some(600));
        assert_eq!(of(&["no-store", "Max-Age=\"5\""]), Some(5));
        assert_eq!(of(&["s-maxage=600"]), None);
        assert_eq!(of(&["max-age=-1"]), None);
        assert_eq!(of(&[]), None);
    }
}
