//! The authority as nodes meet it: over gRPC and TLS, at a listener whose own certificate is the authority's.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use outrigger_config::model::{KeyKind, SpiffeId, SpiffeMatch};
use outrigger_control_api::authority::{
    Audit, Authority, AuthorityEvent, AuthorityMetrics, AuthorityService, AuthoritySurroundings, Evidence,
    Happening, MemoryJoinTokens, Proof, Step,
};
use outrigger_control_api::listen::{
    ClientCertificates, Listen, ListenFamilies, ListenLimits, ServerIdentity,
};
use outrigger_control_api::settings::{ServeArguments, Settings};
use outrigger_identity::{Credential, RootSet, SigningRequest, provider};
use prost::Message;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

#[derive(Clone, PartialEq, Message)]
struct CertificateRequest {
    #[prost(string, tag = "1")]
    csr: String,
    #[prost(int64, tag = "3")]
    validity_duration: i64,
    #[prost(message, optional, tag = "4")]
    metadata: Option<envoy_types::pb::google::protobuf::Struct>,
}

#[derive(Clone, PartialEq, Message)]
struct CertificateResponse {
    #[prost(string, repeated, tag = "1")]
    cert_chain: Vec<String>,
}

#[derive(Default)]
struct Log(Mutex<Vec<AuthorityEvent>>);

#[tonic::async_trait]
impl Audit for Log {
    async fn record(&self, event: &AuthorityEvent) -> Result<(), String> {
        self.0.lock().unwrap().push(event.clone());
        Ok(())
    }
}

/// A server with the settings that a user would write.
struct Server {
    authority: Arc<Authority>,
    address: SocketAddr,
    log: Arc<Log>,
    _drain: watch::Sender<bool>,
    tasks: tokio::task::JoinSet<()>,
}

impl Server {
    async fn start(directory: &Path) -> Server {
        let text = format!(
            "trust_domain: mesh\ndata_directory: {0}\ntls: {{ authority: {{ names: [localhost] }} }}\n\
             authority: {{ bundle_file: {0}/roots.pem }}\n",
            directory.display()
        );
        let settings =
            Settings::parse(&text, Path::new("settings.yaml"), &ServeArguments::default()).unwrap();
        let log = Arc::new(Log::default());
        let registry = prometheus::Registry::new();
        let surroundings = AuthoritySurroundings {
            key_store: None,
            join_tokens: Arc::new(MemoryJoinTokens::default()),
            audit: log.clone(),
            metrics: AuthorityMetrics::register(&registry).unwrap(),
        };
        let (domain, now) = (settings.trust_domain.clone(), SystemTime::now());
        let authority_settings = settings.authority.clone().unwrap();
        let started = Authority::start(&authority_settings, domain, surroundings, now).await;
        let authority = Arc::new(started.unwrap());
        let shared = Some(Arc::clone(&authority));
        let identity = ServerIdentity::new(settings.tls.unwrap(), shared, &settings.trust_domain);
        let tls = identity.tls(ClientCertificates::Optional).await.unwrap();
        let metrics = ListenFamilies::register(&registry).unwrap().listener("grpc");
        let any = "127.0.0.1:0".parse().unwrap();
        let limits = ListenLimits::default();
        let listen = Listen::bind(any, Some(tls.clone()), limits, metrics)
            .await
            .unwrap();
        let address = listen.local_address();
        let service = AuthorityService::new(authority.clone());
        let router = tonic::service::Routes::new(service).prepare().into_axum_router();
        let (drain, drained) = watch::channel(false);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(listen.serve(router, drained));
        tasks.spawn(async move { identity.keep(vec![tls]).await });
        tasks.spawn(Arc::clone(&authority).keep(authority_settings));
        Server {
            authority,
            address,
            log,
            _drain: drain,
            tasks,
        }
    }

    /// A channel by a client who believes these roots and shows this, if anything.
    async fn connect(&self, roots: &str, shown: Option<&Node>) -> Result<Channel, tonic::transport::Error> {
        let roots = RootSet::from_text(roots.as_bytes()).unwrap();
        let builder = rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.store().clone());
        let mut config = match shown {
            Some(node) => {
                let (chain, key) = (node.chain.clone(), node.key.clone_key());
                builder.with_client_auth_cert(chain, key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let (connector, address) = (TlsConnector::from(Arc::new(config)), self.address);
        let connect = tower::service_fn(move |_| {
            let connector = connector.clone();
            async move {
                let stream = TcpStream::connect(address).await?;
                let name = ServerName::try_from("localhost").unwrap();
                let stream = connector.connect(name, stream).await?;
                Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(stream))
            }
        });
        let endpoint = Endpoint::from_static("http://localhost");
        endpoint.connect_with_connector(connect).await
    }

    async fn ask(
        &self,
        roots: &str,
        shown: Option<&Node>,
        id: &str,
        token: Option<&str>,
    ) -> Result<Node, Status> {
        let channel = self.connect(roots, shown).await.unwrap();
        ask(channel, id, token).await
    }

    fn last(&self) -> Happening {
        self.log.0.lock().unwrap().last().unwrap().happening.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.abort_all();
    }
}

/// What a node has got.
struct Node {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: String,
}

impl Node {
    fn facts(&self) -> outrigger_identity::CertificateFacts {
        outrigger_identity::CertificateFacts::of(&self.chain[0]).unwrap()
    }
}

async fn send(
    channel: Channel,
    message: CertificateRequest,
    token: Option<&str>,
) -> Result<Vec<String>, Status> {
    let mut grpc = Grpc::new(channel);
    grpc.ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let mut request = Request::new(message);
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    let path = PathAndQuery::from_static("/istio.v1.auth.IstioCertificateService/CreateCertificate");
    let codec = tonic_prost::ProstCodec::<CertificateRequest, CertificateResponse>::default();
    Ok(grpc.unary(request, path, codec).await?.into_inner().cert_chain)
}

async fn ask(channel: Channel, id: &str, token: Option<&str>) -> Result<Node, Status> {
    let id: SpiffeId = id.parse().unwrap();
    let request = SigningRequest::new(KeyKind::EcdsaP256, &id).unwrap();
    let message = CertificateRequest {
        csr: request.pem().to_owned(),
        validity_duration: 600,
        metadata: None,
    };
    let mut answer = send(channel, message, token).await?;
    let roots = answer.pop().unwrap();
    let certificate = |pem: &String| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    Ok(Node {
        chain: answer.iter().map(certificate).collect(),
        key: request.into_key(),
        roots,
    })
}

const WEB: &str = "spiffe://mesh/ns/shop/sa/web";

#[tokio::test]
async fn a_node_joins_by_token_and_renews_by_its_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let file = directory.path().join("roots.pem");
    let written = async {
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), written)
        .await
        .unwrap();
    let roots = std::fs::read_to_string(&file).unwrap();
    assert_eq!(roots, server.authority.bundle().pem());

    let nobody = server.ask(&roots, None, WEB, None).await.err().unwrap();
    assert_eq!(nobody.code(), Code::Unauthenticated, "{nobody}");
    let by = ("ann", SystemTime::now());
    let allows = SpiffeMatch::Exact(WEB.parse().unwrap());
    let made = server
        .authority
        .make_join_token("web-0", allows, Duration::from_secs(600), false, by);
    let token = made.await.unwrap();
    let first = server.ask(&roots, None, WEB, Some(token.expose())).await.unwrap();
    let facts = first.facts();
    assert_eq!(facts.spiffe_id.as_ref().unwrap().as_str(), WEB);
    assert_eq!(facts.validity.lifetime(), Duration::from_secs(600 + 60));
    // A peer would believe it: chain, roots and key belong together.
    let credential = Credential::new(first.chain.clone(), first.key.clone_key().into(), None).unwrap();
    let believed = Arc::new(RootSet::from_text(first.roots.as_bytes()).unwrap());
    credential
        .verify(&believed, Some(&"mesh".parse().unwrap()), SystemTime::now())
        .unwrap();

    let replayed = server
        .ask(&roots, None, WEB, Some(token.expose()))
        .await
        .err()
        .unwrap();
    assert_eq!(replayed.code(), Code::Unauthenticated, "{replayed}");
    let second = server.ask(&roots, Some(&first), WEB, None).await.unwrap();
    assert_ne!(second.facts().serial, facts.serial);
    let Happening::Issued { proof, .. } = server.last() else {
        panic!("{:?}", server.last());
    };
    assert_eq!(proof, Proof::Certificate(facts.serial));
    let others = server
        .ask(&roots, Some(&second), "spiffe://mesh/ns/shop/sa/db", None)
        .await;
    assert_eq!(others.err().unwrap().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn what_is_wrong_is_answered_by_its_code() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let roots = server.authority.bundle().pem().to_owned();
    let by = ("ann", SystemTime::now());
    let allows = SpiffeMatch::Prefix("spiffe://mesh/vm".parse().unwrap());
    let made = server
        .authority
        .make_join_token("vm", allows, Duration::from_secs(600), true, by);
    let token = made.await.unwrap();
    let id: SpiffeId = "spiffe://mesh/vm/one".parse().unwrap();
    let good = CertificateRequest {
        csr: SigningRequest::new(KeyKind::EcdsaP256, &id)
            .unwrap()
            .pem()
            .to_owned(),
        ..CertificateRequest::default()
    };
    use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};
    let metadata = |name: &str, text: &str| {
        let value = Value {
            kind: Some(Kind::StringValue(text.to_owned())),
        };
        Some(Struct {
            fields: [(name.to_owned(), value)].into(),
        })
    };
    let with = |metadata| CertificateRequest {
        metadata,
        ..good.clone()
    };
    for (what, message, expected) in [
        ("all is well", good.clone(), Ok(2)),
        (
            "as Istio's agents send it",
            with(metadata("CertSigner", "")),
            Ok(2),
        ),
        (
            "another signer",
            with(metadata("CertSigner", "x")),
            Err(Code::InvalidArgument),
        ),
        (
            "another's",
            with(metadata("ImpersonatedIdentity", WEB)),
            Err(Code::InvalidArgument),
        ),
        (
            "no request",
            CertificateRequest::default(),
            Err(Code::InvalidArgument),
        ),
        (
            "negative",
            CertificateRequest {
                validity_duration: -1,
                ..good.clone()
            },
            Ok(2),
        ),
        (
            "far too long",
            CertificateRequest {
                csr: "x".repeat(100_000),
                ..good.clone()
            },
            Err(Code::OutOfRange),
        ),
    ] {
        let channel = server.connect(&roots, None).await.unwrap();
        let answered = send(channel, message, Some(token.expose())).await;
        assert_eq!(
            answered.map(|chain| chain.len()).map_err(|status| status.code()),
            expected,
            "{what}"
        );
    }
    let channel = server.connect(&roots, None).await.unwrap();
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.unwrap();
    let path = PathAndQuery::from_static("/istio.v1.auth.IstioCertificateService/Other");
    let codec = tonic_prost::ProstCodec::<CertificateRequest, CertificateResponse>::default();
    let other = grpc.unary(Request::new(good), path, codec).await;
    assert_eq!(other.err().unwrap().code(), Code::Unimplemented);
}

#[tokio::test]
async fn through_a_rollover_every_node_and_the_server_are_believed() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let old = server.authority.bundle().pem().to_owned();
    let by = ("ann", SystemTime::now());
    let allows = SpiffeMatch::Exact(WEB.parse().unwrap());
    let made = server
        .authority
        .make_join_token("web", allows, Duration::from_secs(600), false, by);
    let token = made.await.unwrap();
    let node = server.ask(&old, None, WEB, Some(token.expose())).await.unwrap();
    let roll = |step| server.authority.roll(step, Evidence::Acknowledged, None, by);
    roll(Step::Prepare).await.unwrap();
    roll(Step::Distribute).await.unwrap();
    // Who has heard of nothing is served still, and hears of both roots.
    let node = server.ask(&old, Some(&node), WEB, None).await.unwrap();
    assert_eq!(node.roots.matches("BEGIN CERTIFICATE").count(), 2);
    roll(Step::Sign).await.unwrap();
    // The server's own certificate follows, and who has both roots believes either.
    let followed = async {
        while server.connect(&old, None).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), followed)
        .await
        .unwrap();
    let renewed = server.ask(&node.roots, Some(&node), WEB, None).await.unwrap();
    roll(Step::Retire).await.unwrap();
    let new = server.authority.bundle().pem().to_owned();
    assert_eq!(new.matches("BEGIN CERTIFICATE").count(), 1);
    let last = server.ask(&new, Some(&renewed), WEB, None).await.unwrap();
    assert_eq!(last.roots, new);
}
