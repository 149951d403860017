//! Asking a certificate authority to sign: Istio's `istio.v1.auth.IstioCertificateService`, over gRPC and TLS.
//!
//! Every attempt makes a key of its own and a connection of its own; the key is never written. The token is read anew
//! each time, since who issues it changes the file.

use super::delivery::Given;
use super::failure::Failure;
use crate::grpc::{self, ChannelError};
use outrigger_config::model::{Authority, TrustDomain, UpstreamTls};
use outrigger_identity::{CertificateFacts, Material, SigningRequest};
use outrigger_telemetry::SourceFailure;
use prost::Message;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::time::Duration;
use tonic::Request;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{Ascii, MetadataValue};
use zeroize::Zeroizing;

/// An attempt at most, from the look-up of the authority's name to its answer.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// An answer at most: certificates of a chain.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Certificates of a chain at most, the root included.
const CHAIN_CERTIFICATES_MAX: usize = 10;

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

/// Has a new key certified, over a connection of `tls`, which may show the certificate that is to be renewed. May be dropped
/// at any time.
pub(super) async fn ask(
    authority: &Authority,
    tls: &UpstreamTls,
    material: &Material,
) -> Result<Given, Failure> {
    let asking = async {
        let unreadable = |text| Failure::new(SourceFailure::Token, text);
        let token = match authority.token_file() {
            Some(file) => Some(grpc::read_token(file).await.map_err(unreadable)?),
            None => None,
        };
        let asked = ask_with(authority, tls, material, token.as_deref().map(String::as_str)).await;
        asked.map_err(|failure| match &token {
            Some(token) => failure.without(token),
            None => failure,
        })
    };
    tokio::time::timeout(ATTEMPT_TIMEOUT, asking)
        .await
        .unwrap_or_else(|_| Err(Failure::timeout(ATTEMPT_TIMEOUT)))
}

async fn ask_with(
    authority: &Authority,
    tls: &UpstreamTls,
    material: &Material,
    token: Option<&str>,
) -> Result<Given, Failure> {
    let request = signing_request(authority).await?;
    let (host, port) = (authority.host(), authority.port());
    let channel = grpc::connect(host, port, Some(tls), material).await;
    let channel = channel.map_err(|error| match error {
        ChannelError::Configuration { .. } => Failure::new(SourceFailure::Unreachable, error.to_string()),
        ChannelError::Unreachable(error) => Failure::unreachable(&error),
    })?;
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

/// What the answer gives: the roots, which are its last certificate and those before it that vouch for themselves, as there
/// are two while an authority goes from one root to the next; and the chain before them.
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
    let mut roots: Vec<_> = chain.pop().into_iter().collect();
    while chain.len() > 1 && chain.last().is_some_and(is_root) {
        roots.extend(chain.pop());
    }
    roots.reverse();
    let id = authority.spiffe_id().clone();
    let domain: TrustDomain = id
        .trust_domain()
        .parse()
        .expect("a SPIFFE id's trust domain is one");
    Ok(Given {
        id,
        chain,
        key: request.into_key().into(),
        bundles: vec![(domain, roots)],
        lists: Vec::new(),
    })
}

/// True if it names itself as its issuer.
fn is_root(certificate: &CertificateDer<'static>) -> bool {
    CertificateFacts::of(certificate).is_some_and(|facts| facts.subject == facts.issuer)
}
