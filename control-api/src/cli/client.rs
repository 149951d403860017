//! One call at a time to a server's REST, over HTTP/1.

use crate::files;
use bytes::Bytes;
use clap::Args;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use outrigger_identity::{RootSet, provider};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

/// From the look-up of the name to the last byte: a little longer than the server takes at most.
const CALL_TIMEOUT: Duration = Duration::from_secs(150);
/// An answer at most: all documents of a mesh, each in JSON.
const ANSWER_BYTES_MAX: usize = 128 * 1024 * 1024;

/// How the server is reached.
#[derive(Debug, Clone, Args)]
pub struct Connection {
    /// The server.
    #[arg(
        long,
        value_name = "URL",
        env = "OUTRIGGER_CONTROL_URL",
        default_value = "http://127.0.0.1:18001"
    )]
    pub server: String,
    /// A file that holds the token to show.
    #[arg(long, value_name = "FILE", env = "OUTRIGGER_CONTROL_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Whom the server's certificate must chain to (PEM); the system's authorities if not given.
    #[arg(long, value_name = "FILE", env = "OUTRIGGER_CONTROL_CA_FILE")]
    pub ca_file: Option<PathBuf>,
    /// The certificate to show (PEM).
    #[arg(
        long,
        value_name = "FILE",
        env = "OUTRIGGER_CONTROL_CERTIFICATE_FILE",
        requires = "private_key_file"
    )]
    pub certificate_file: Option<PathBuf>,
    /// Its key (PEM).
    #[arg(
        long,
        value_name = "FILE",
        env = "OUTRIGGER_CONTROL_PRIVATE_KEY_FILE",
        requires = "certificate_file"
    )]
    pub private_key_file: Option<PathBuf>,
    /// Print the answer as it came.
    #[arg(long)]
    pub json: bool,
}

/// Why a call did not do what it was to.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// How the server is to be reached cannot be.
    #[error("{0}")]
    Settings(String),
    /// The server does not answer.
    #[error("cannot reach {server}: {problem}")]
    Unreachable { server: String, problem: String },
    /// The server says no.
    #[error("{error}{}{}", help.as_ref().map(|help| format!("\nhelp: {help}")).unwrap_or_default(), behind(rendered))]
    Refused {
        error: String,
        help: Option<String>,
        /// Faults of documents.
        rendered: String,
    },
}

fn behind(rendered: &str) -> String {
    if rendered.is_empty() {
        String::new()
    } else {
        format!("\n\n{rendered}")
    }
}

/// An answer.
pub(super) struct Answer {
    /// As it came.
    pub(super) text: String,
    /// The same; null if it is no JSON.
    pub(super) json: Value,
}

/// What is asked beside method and path.
#[derive(Default)]
pub(super) struct Asked<'a> {
    /// Parameters; those without a value are not sent.
    pub(super) query: &'a [(&'a str, Option<String>)],
    /// The revision that a change was made for.
    pub(super) if_match: Option<u64>,
    /// JSON.
    pub(super) body: Option<&'a Value>,
}

/// A server.
pub(super) struct Client {
    server: Uri,
    host: String,
    token: Option<Zeroizing<String>>,
    tls: Option<Arc<ClientConfig>>,
    /// Answers are printed as they come.
    pub(super) json: bool,
}

impl Client {
    /// Reads what the settings name.
    pub(super) async fn new(connection: &Connection) -> Result<Client, ClientError> {
        let wrong =
            |problem: &str| ClientError::Settings(format!("--server {}: {problem}", connection.server));
        let server: Uri = connection
            .server
            .parse()
            .map_err(|_| wrong("expected http://HOST:PORT or https://HOST:PORT"))?;
        let host = server
            .host()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_owned();
        let is_https = match server.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("expected http://HOST:PORT or https://HOST:PORT")),
        };
        let token = match &connection.token_file {
            Some(_) if !is_https && !is_local(&host) => {
                return Err(wrong("a token is sent to https://… or to this machine alone"));
            }
            Some(file) => Some(Zeroizing::new(read(file).await?.trim().to_owned())),
            None => None,
        };
        let tls = if is_https {
            Some(tls(connection).await?)
        } else {
            None
        };
        Ok(Client {
            server,
            host,
            token,
            tls,
            json: connection.json,
        })
    }

    /// Makes a call; `path` is encoded already.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        asked: Asked<'_>,
    ) -> Result<Answer, ClientError> {
        let request = self.request(method, path, &asked)?;
        let exchanged = timeout(CALL_TIMEOUT, self.exchange(request)).await;
        let late = |_| self.unreachable(format!("no answer within {} s", CALL_TIMEOUT.as_secs()));
        let (status, text) = exchanged.map_err(late)??;
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        if status.is_success() {
            return Ok(Answer { text, json });
        }
        let part = |name: &str| json[name].as_str().map(str::to_owned);
        Err(ClientError::Refused {
            error: part("error").unwrap_or_else(|| format!("the server answers {status}")),
            help: part("help"),
            rendered: part("rendered").unwrap_or_default(),
        })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        asked: &Asked<'_>,
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let given = asked
            .query
            .iter()
            .filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let query: Vec<String> = given
            .map(|(name, value)| format!("{name}={}", encode(value, false)))
            .collect();
        let target = match query.is_empty() {
            true => path.to_owned(),
            false => format!("{path}?{}", query.join("&")),
        };
        let authority = self.server.authority().map_or("", |authority| authority.as_str());
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, authority)
            .header(
                USER_AGENT,
                concat!("outrigger-control/", env!("CARGO_PKG_VERSION")),
            );
        if let Some(token) = &self.token {
            let value = HeaderValue::try_from(format!("Bearer {}", token.as_str()));
            let mut value =
                value.map_err(|_| ClientError::Settings("the token is not one line of text".to_owned()))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        if let Some(revision) = asked.if_match {
            request = request.header(http::header::IF_MATCH, format!("\"{revision}\""));
        }
        let body = match asked.body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        request
            .body(Full::new(body))
            .map_err(|error| ClientError::Settings(error.to_string()))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, String), ClientError> {
        let port = self
            .server
            .port_u16()
            .unwrap_or(if self.tls.is_some() { 443 } else { 80 });
        let stream = TcpStream::connect((self.host.as_str(), port))
            .await
            .map_err(|error| self.unreachable(error))?;
        let Some(tls) = &self.tls else {
            return self.exchange_on(stream, request).await;
        };
        let name = ServerName::try_from(self.host.clone()).map_err(|error| self.unreachable(error))?;
        let connecting = TlsConnector::from(Arc::clone(tls)).connect(name, stream);
        let stream = connecting.await.map_err(|error| self.unreachable(error))?;
        self.exchange_on(stream, request).await
    }

    async fn exchange_on(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, String), ClientError> {
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.unreachable(error))?;
        // Ends with this call.
        let mut connections = JoinSet::new();
        connections.spawn(connection);
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| self.unreachable(error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| self.unreachable(error))?.to_bytes();
        let text = String::from_utf8(body.into()).map_err(|_| self.unreachable("its answer is not UTF-8"))?;
        Ok((status, text))
    }

    fn unreachable(&self, problem: impl ToString) -> ClientError {
        ClientError::Unreachable {
            server: self.server.to_string(),
            problem: problem.to_string(),
        }
    }
}

fn is_local(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn tls(connection: &Connection) -> Result<Arc<ClientConfig>, ClientError> {
    let wrong = |problem: &dyn std::fmt::Display| ClientError::Settings(problem.to_string());
    let roots = match &connection.ca_file {
        Some(file) => {
            Arc::new(RootSet::from_text(read(file).await?.as_bytes()).map_err(|error| wrong(&error))?)
        }
        None => RootSet::of_system().map_err(|error| wrong(&error))?,
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has suites of both versions")
        .with_root_certificates(roots.store().clone());
    let mut config = match (&connection.certificate_file, &connection.private_key_file) {
        (Some(chain), Some(key)) => {
            let chain_text = read(chain).await?;
            let certificates: Result<Vec<_>, _> =
                CertificateDer::pem_slice_iter(chain_text.as_bytes()).collect();
            let certificates =
                certificates.map_err(|error| wrong(&format!("{}: {error}", chain.display())))?;
            let key = PrivateKeyDer::from_pem_slice(read(key).await?.as_bytes())
                .map_err(|error| wrong(&format!("{}: {error}", key.display())))?;
            builder
                .with_client_auth_cert(certificates, key)
                .map_err(|error| wrong(&error))?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

async fn read(file: &Path) -> Result<Zeroizing<String>, ClientError> {
    let text = files::read_text(file).await;
    text.map_err(|error| ClientError::Settings(format!("cannot read {}: {error}", file.display())))
}

/// A text as a part of a path, slashes kept or not, or as a value of a query.
pub(super) fn encode(text: &str, keeps_slashes: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte as char),
            b'/' if keeps_slashes => encoded.push('/'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
