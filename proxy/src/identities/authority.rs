//! Asking a certificate authority to sign: Istio's `istio.v1.auth.IstioCertificateService`, over gRPC and TLS.
//!
//! Every attempt makes a key of its own and a connection of its own; the key is never written. The token is read anew
//! each time, since who issues it changes the file.

use super::delivery::Given;
use super::failure::Failure;
use hyper_util::rt::TokioIo;
use outrigger_config::model::{Authority, TrustDomain};
use outrigger_identity::{Material, SigningRequest, UpstreamIdentity};
use outrigger_telemetry::SourceFailure;
use prost::Message;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::Request;
use tonic::client::Grpc;
use tonic::codegen::http::Uri;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;
use zeroize::Zeroizing;

/// An attempt at most, from the look-up of the authority's name to its answer.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// An answer at most: certificates of a chain.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Certificates of a chain at most, the root included.
const CHAIN_CERTIFICATES_MAX: usize = 10;
/// A token at most; Kubernetes' are a tenth of it.
const TOKEN_BYTES_MAX: u64 = 16 * 1024;

const CREATE_CERTIFICATE: &str = "/istio.v1.auth.IstioCertificateService/CreateCertificate";

/// `IstioCertificateRequest`, without its `metadata` (field 4), which only authorities that act for others read.
#[derive(Clone, PartialEq, Message)]
struct CertificateRequest {
    /// PEM.
    #[prost(string, tag = "1")]
    csr: String,
    /// Seconds.
    #[prost(int64, tag = "3")]
    validity_duration: i64,
}

/// `IstioCertificateResponse`.
#[derive(Clone, PartialEq, Message)]
struct CertificateResponse {
    /// PEM, leaf first, root last.
    #[prost(string, repeated, tag = "1")]
    cert_chain: Vec<String>,
}

/// Has a new key certified. May be dropped at any time.
pub(super) async fn ask(authority: &Authority, material: &Material) -> Result<Given, Failure> {
    let asking = async {
        let token = read_token(authority.token_file().as_deref()).await?;
        let asked = ask_with(authority, material, token.as_deref().map(String::as_str)).await;
        asked.map_err(|failure| match &token {
            Some(token) => failure.without(token),
            None => failure,
        })
    };
    tokio::time::timeout(ATTEMPT_TIMEOUT, asking)
        .await
        .unwrap_or_else(|_| Err(Failure::timeout(ATTEMPT_TIMEOUT)))
}

async fn ask_with(authority: &Authority, material: &Material, token: Option<&str>) -> Result<Given, Failure> {
    let request = signing_request(authority).await?;
    let channel = connect(authority, material).await?;
    let mut client = Grpc::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    client
        .ready()
        .await
        .map_err(|error| Failure::unreachable(&error))?;
    let mut message = Request::new(CertificateRequest {
        csr: request.pem().to_owned(),
        validity_duration: i64::try_from(authority.validity().as_secs()).unwrap_or(i64::MAX),
    });
    if let Some(token) = token {
        let value: Result<MetadataValue<Ascii>, _> = Zeroizing::new(format!("Bearer {token}")).parse();
        let no_header = |_| Failure::new(SourceFailure::Token, "the token cannot be sent in a header");
        let mut value = value.map_err(no_header)?;
        value.set_sensitive(true);
        message.metadata_mut().insert("authorization", value);
    }
    let path = PathAndQuery::from_static(CREATE_CERTIFICATE);
    let codec = tonic_prost::ProstCodec::<CertificateRequest, CertificateResponse>::default();
    let answered = client.unary(message, path, codec).await;
    let answer = answered.map_err(|status| Failure::status(&status))?.into_inner();
    given(authority, &answer, request)
}

/// A key of its own kind, made where nobody waits: RSA takes a while.
async fn signing_request(authority: &Authority) -> Result<SigningRequest, Failure> {
    let (kind, id) = (authority.key(), authority.spiffe_id().clone());
    let made = tokio::task::spawn_blocking(move || SigningRequest::new(kind, &id)).await;
    let failed = |text: String| Failure::new(SourceFailure::Key, text);
    made.map_err(|error| failed(error.to_string()))?
        .map_err(|error| failed(error.to_string()))
}

async fn read_token(file: Option<&Path>) -> Result<Option<Zeroizing<String>>, Failure> {
    let Some(file) = file else { return Ok(None) };
    let failed = |problem: &dyn std::fmt::Display| {
        let text = format!("cannot read the token in {}: {problem}", file.display());
        Failure::new(SourceFailure::Token, text)
    };
    let opened = tokio::fs::File::open(file)
        .await
        .map_err(|error| failed(&error))?;
    let mut token = Zeroizing::new(String::new());
    let mut bounded = opened.take(TOKEN_BYTES_MAX + 1);
    let read = bounded.read_to_string(&mut token).await;
    match read.map_err(|error| failed(&error))? as u64 {
        0 => Err(failed(&"it is empty")),
        bytes if bytes > TOKEN_BYTES_MAX => {
            Err(failed(&format!("it is longer than {TOKEN_BYTES_MAX} bytes")))
        }
        _ => Ok(Some(Zeroizing::new(token.trim().to_owned()))),
    }
}

async fn connect(authority: &Authority, material: &Material) -> Result<Channel, Failure> {
    let bad = |problem: &dyn std::fmt::Display| {
        let text = format!("cannot configure TLS to {}: {problem}", authority.url());
        Failure::new(SourceFailure::Unreachable, text)
    };
    let identity = outrigger_identity::upstream(&authority.tls(), &["h2"], material);
    let identity = Arc::new(identity.map_err(|error| bad(&error))?);
    let origin: Uri = authority.url().parse().map_err(|error| bad(&error))?;
    let (host, port) = (authority.host().to_owned(), authority.port());
    let connector = service_fn(move |_| {
        let (host, identity) = (host.clone(), Arc::clone(&identity));
        async move { connect_tls(&host, port, &identity).await.map(TokioIo::new) }
    });
    // TLS is the connector's, which is why the endpoint itself says `http`; what is sent names the true scheme.
    Endpoint::from_static("http://authority")
        .origin(origin)
        .connect_with_connector(connector)
        .await
        .map_err(|error| Failure::unreachable(&error))
}

async fn connect_tls(
    host: &str,
    port: u16,
    identity: &UpstreamIdentity,
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let connector = TlsConnector::from(Arc::clone(&identity.config));
    connector.connect(identity.server_name.clone(), stream).await
}

/// What the answer gives: the chain but for its last certificate, which is the root, and that root.
fn given(
    authority: &Authority,
    answer: &CertificateResponse,
    request: SigningRequest,
) -> Result<Given, Failure> {
    let mut chain = Vec::new();
    for text in &answer.cert_chain {
        for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
            chain.push(certificate.map_err(|_| Failure::answer("it is not PEM"))?);
            if chain.len() > CHAIN_CERTIFICATES_MAX {
                let text = format!("it holds more than {CHAIN_CERTIFICATES_MAX} certificates");
                return Err(Failure::answer(text));
            }
        }
    }
    if chain.len() < 2 {
        return Err(Failure::answer("it holds no certificate with a root behind it"));
    }
    let root = chain.pop().into_iter().collect();
    let id = authority.spiffe_id().clone();
    let domain: TrustDomain = id
        .trust_domain()
        .parse()
        .expect("a SPIFFE id's trust domain is one");
    Ok(Given {
        id,
        chain,
        key: request.into_key().into(),
        bundles: vec![(domain, root)],
        lists: Vec::new(),
    })
}
