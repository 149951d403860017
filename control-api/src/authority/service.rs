//! The wire: Istio's `istio.v1.auth.IstioCertificateService`, which Istio's own agents and our proxy speak.

use super::in_force::to_pem;
use super::{Authority, CertificateCall};
use crate::access::{bearer, printable};
use crate::listen::Peer;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};
use prost::Message;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tonic::body::Body;
use tonic::codegen::http;
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status};
use tower::Service;

/// A message at most: a signing request and what little stands around it.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
const CREATE_CERTIFICATE: &str = "/istio.v1.auth.IstioCertificateService/CreateCertificate";

/// `IstioCertificateRequest`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CertificateRequest {
    /// PEM.
    #[prost(string, tag = "1")]
    pub csr: String,
    /// Seconds; none if not positive.
    #[prost(int64, tag = "3")]
    pub validity_duration: i64,
    /// By which one asks for somebody else's certificate, or for another signer's. Istio's agents send it with an empty
    /// `CertSigner`; what says anything is refused.
    #[prost(message, optional, tag = "4")]
    pub metadata: Option<Struct>,
}

/// `IstioCertificateResponse`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CertificateResponse {
    /// PEM: the leaf first, one certificate each; the last entry holds all roots.
    #[prost(string, repeated, tag = "1")]
    pub cert_chain: Vec<String>,
}

/// Serves the authority over gRPC. Requests carry an [`Arc<Peer>`](Peer), as [`crate::listen`] gives it to them.
#[derive(Clone)]
pub struct AuthorityService(Arc<Authority>);

impl AuthorityService {
    /// The service of this authority.
    pub fn new(authority: Arc<Authority>) -> AuthorityService {
        AuthorityService(authority)
    }

    async fn create(
        self,
        request: Request<CertificateRequest>,
    ) -> Result<Response<CertificateResponse>, Status> {
        let peer = request.extensions().get::<Arc<Peer>>().cloned();
        let token = bearer(request.metadata().as_ref())?.map(str::to_owned);
        let token = token.map(zeroize::Zeroizing::new);
        let message = request.into_inner();
        if let Some(name) = message.metadata.as_ref().and_then(said) {
            let problem = format!(
                "`metadata.{}` asks for another's certificate, or another signer; nobody may: expected none",
                printable(name)
            );
            return Err(Status::invalid_argument(problem));
        }
        let seconds = u64::try_from(message.validity_duration).unwrap_or(0);
        let call = CertificateCall {
            request: &message.csr,
            validity: Some(Duration::from_secs(seconds)),
            peer: peer.as_deref(),
            bearer: token.as_ref().map(|token| token.as_str()),
        };
        let (certificate, bundle) = self.0.certify(call, SystemTime::now()).await?;
        let mut cert_chain: Vec<String> = certificate.chain.iter().map(to_pem).collect();
        cert_chain.push(bundle.pem().to_owned());
        Ok(Response::new(CertificateResponse { cert_chain }))
    }
}

/// A field that says something.
fn said(metadata: &Struct) -> Option<&str> {
    let says = |value: &Value| match &value.kind {
        None | Some(Kind::NullValue(_)) => false,
        Some(Kind::StringValue(text)) => !text.is_empty(),
        Some(_) => true,
    };
    let mut fields = metadata.fields.iter();
    fields
        .find(|(_, value)| says(value))
        .map(|(name, _)| name.as_str())
}

impl NamedService for AuthorityService {
    const NAME: &'static str = "istio.v1.auth.IstioCertificateService";
}

type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Service<http::Request<Body>> for AuthorityService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            if request.uri().path() != CREATE_CERTIFICATE {
                return Ok(Status::unimplemented("no such method").into_http());
            }
            let codec = tonic_prost::ProstCodec::<CertificateResponse, CertificateRequest>::default();
            let mut grpc = Grpc::new(codec).max_decoding_message_size(MESSAGE_BYTES_MAX);
            let create = tower::service_fn(move |request| service.clone().create(request));
            Ok(grpc.unary(create, request).await)
        })
    }
}
