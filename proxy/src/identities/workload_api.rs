//! The SPIFFE Workload API's client: what it is asked, and what of its answers is believed.
//!
//! Messages are those of the standard's `workloadapi.proto`, its section numbers those of "The SPIFFE Workload API". A
//! message is taken whole or not at all.

use super::delivery::{Given, split_der};
use super::failure::Failure;
use hyper_util::rt::TokioIo;
use outrigger_config::model::{SpiffeId, TrustDomain};
use outrigger_telemetry::SourceFailure;
use prost::Message;
use rustls::pki_types::{CertificateRevocationListDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tower::service_fn;
use zeroize::Zeroize;

/// From asking to the first answer, which by section 4.3 comes without delay.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// A message at most: identities of a workload and bundles of all its trust domains.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Shows that the call was not brought about by tricking a client ("The SPIFFE Workload Endpoint", section 3.1).
const SECURITY_HEADER: &str = "workload.spiffe.io";

const FETCH_X509_SVID: &str = "/SpiffeWorkloadAPI/FetchX509SVID";

/// `X509SVIDRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SvidRequest {}

/// `X509SVIDResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SvidResponse {
    #[prost(message, repeated, tag = "1")]
    svids: Vec<Svid>,
    /// DER.
    #[prost(bytes = "vec", repeated, tag = "2")]
    crl: Vec<Vec<u8>>,
    /// By the SPIFFE id of the trust domain: certificates in DER, one behind the other.
    #[prost(map = "string, bytes", tag = "3")]
    federated_bundles: HashMap<String, Vec<u8>>,
}

/// `X509SVID`. Its `hint` is not asked for: a configuration picks by id.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Svid {
    #[prost(string, tag = "1")]
    spiffe_id: String,
    /// Certificates in DER, one behind the other, leaf first.
    #[prost(bytes = "vec", tag = "2")]
    x509_svid: Vec<u8>,
    /// PKCS#8 in DER.
    #[prost(bytes = "vec", tag = "3")]
    x509_svid_key: Vec<u8>,
    /// Certificates in DER, one behind the other.
    #[prost(bytes = "vec", tag = "4")]
    bundle: Vec<u8>,
}

impl Drop for Svid {
    fn drop(&mut self) {
        self.x509_svid_key.zeroize();
    }
}

/// An open stream of answers.
pub(super) struct Stream(Streaming<SvidResponse>);

impl Stream {
    /// Asks, and waits for the first answer. Not cancel safe, but may be dropped.
    pub(super) async fn open(socket: &Path) -> Result<(Stream, SvidResponse), Failure> {
        let opening = async {
            let channel = connect(socket).await?;
            let mut client = Grpc::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
            client
                .ready()
                .await
                .map_err(|error| Failure::unreachable(&error))?;
            let mut request = Request::new(SvidRequest {});
            let metadata = request.metadata_mut();
            metadata.insert(SECURITY_HEADER, MetadataValue::from_static("true"));
            let path = PathAndQuery::from_static(FETCH_X509_SVID);
            let codec = tonic_prost::ProstCodec::<SvidRequest, SvidResponse>::default();
            let answered = client.server_streaming(request, path, codec).await;
            let mut stream = Stream(answered.map_err(|status| of_status(&status))?.into_inner());
            let first = stream.next().await?;
            Ok((stream, first))
        };
        tokio::time::timeout(ANSWER_TIMEOUT, opening)
            .await
            .unwrap_or_else(|_| Err(Failure::timeout(ANSWER_TIMEOUT)))
    }

    /// The next answer, however long that takes; the end of the stream is a failure. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<SvidResponse, Failure> {
        match self.0.message().await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(Failure::new(SourceFailure::Unreachable, "the stream ended")),
            Err(status) => Err(of_status(&status)),
        }
    }
}

/// By the standard, a call that its server finds malformed is not to be made again ("The SPIFFE Workload Endpoint",
/// section 6).
fn of_status(status: &Status) -> Failure {
    let failure = Failure::status(status);
    match status.code() {
        Code::InvalidArgument => failure.finally(),
        _ => failure,
    }
}

async fn connect(socket: &Path) -> Result<Channel, Failure> {
    let socket: PathBuf = socket.to_owned();
    let connector = service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    // The authority of requests over a Unix socket, by custom of gRPC.
    Endpoint::from_static("http://localhost")
        .connect_with_connector(connector)
        .await
        .map_err(|error| Failure::unreachable(&error))
}

/// What an answer gives: the identity of this id, or else the first, which is the default one (section 5.3).
pub(super) fn given(answer: &SvidResponse, wanted: Option<&SpiffeId>) -> Result<Given, Failure> {
    let first = answer.svids.first();
    let svid = match wanted {
        None => first.ok_or_else(|| Failure::answer("it holds no identity"))?,
        Some(_) if first.is_none() => return Err(Failure::answer("it holds no identity")),
        Some(wanted) => answer
            .svids
            .iter()
            .find(|svid| svid.spiffe_id == wanted.as_str())
            .ok_or_else(|| {
                let text = format!("{wanted} is not among the identities that are given");
                Failure::new(SourceFailure::NotGiven, text)
            })?,
    };
    let id: SpiffeId = svid
        .spiffe_id
        .parse()
        .map_err(|fault| Failure::answer(format!("spiffe_id: {fault}")))?;
    let own = certificates("bundle", &svid.bundle)?;
    let mut bundles = vec![(domain_of(id.trust_domain())?, own)];
    for (domain, bundle) in &answer.federated_bundles {
        let domain = domain_of(domain)?;
        if bundles.iter().any(|(known, _)| *known == domain) {
            return Err(Failure::answer(format!("two bundles for {domain}")));
        }
        bundles.push((domain, certificates("federated_bundles", bundle)?));
    }
    if svid.x509_svid_key.is_empty() {
        return Err(Failure::answer("x509_svid_key is empty"));
    }
    let key = PrivatePkcs8KeyDer::from(svid.x509_svid_key.clone());
    let lists = answer.crl.iter();
    Ok(Given {
        id,
        chain: certificates("x509_svid", &svid.x509_svid)?,
        key: PrivateKeyDer::from(key).into(),
        bundles,
        lists: lists
            .map(|list| CertificateRevocationListDer::from(list.clone()))
            .collect(),
    })
}

/// A trust domain by its SPIFFE id, as the standard has it, or by its name.
fn domain_of(text: &str) -> Result<TrustDomain, Failure> {
    let name = text.strip_prefix("spiffe://").unwrap_or(text);
    name.parse()
        .map_err(|fault| Failure::answer(format!("federated_bundles: {fault}")))
}

fn certificates(
    field: &str,
    bytes: &[u8],
) -> Result<Vec<rustls::pki_types::CertificateDer<'static>>, Failure> {
    match split_der(bytes) {
        Some(certificates) if !certificates.is_empty() => Ok(certificates),
        Some(_) => Err(Failure::answer(format!("{field} is empty"))),
        None => Err(Failure::answer(format!("{field} is not DER"))),
    }
}
