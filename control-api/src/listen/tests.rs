use super::*;
use axum::routing::get;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use outrigger_identity::{Credential, RootSet, provider};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// A root of its own, and whom it vouches for.
struct Issuer(CertifiedIssuer<'static, KeyPair>);

impl Issuer {
    fn new() -> Issuer {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Issuer(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn roots(&self) -> RootSet {
        RootSet::new(vec![self.0.der().clone()]).unwrap()
    }

    fn issue(&self, uri: &str, left: Duration) -> (CertificateDer<'static>, KeyPair) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params
            .subject_alt_names
            .push(SanType::URI(uri.try_into().unwrap()));
        params.not_after = (SystemTime::now() + left).into();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.der().clone(), key)
    }

    fn credential(&self, uri: &str) -> Credential {
        let (certificate, key) = self.issue(uri, HOUR);
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Credential::new(vec![certificate], key.into(), None).unwrap()
    }

    fn client(&self, shown: Option<(CertificateDer<'static>, KeyPair)>) -> TlsConnector {
        let mut store = RootCertStore::empty();
        store.add(self.0.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(store);
        let config = match shown {
            Some((certificate, key)) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        TlsConnector::from(Arc::new(config))
    }
}

const HOUR: Duration = Duration::from_secs(3600);
const SERVER: &str = "spiffe://mesh/control";

/// A server that answers with the peer's id.
struct Server {
    address: SocketAddr,
    drain: watch::Sender<bool>,
    served: tokio::task::JoinHandle<()>,
    registry: prometheus::Registry,
}

impl Server {
    async fn start(tls: Option<Arc<ServerTls>>, limits: ListenLimits) -> Server {
        let registry = prometheus::Registry::new();
        let metrics = ListenFamilies::register(&registry).unwrap().listener("test");
        let listen = Listen::bind("127.0.0.1:0".parse().unwrap(), tls, limits, metrics)
            .await
            .unwrap();
        let address = listen.local_address();
        let who = |request: axum::extract::Request| async move {
            let peer = request.extensions().get::<Arc<Peer>>().unwrap();
            peer.spiffe_id().map_or("nobody".to_owned(), ToString::to_string)
        };
        let (drain, drained) = watch::channel(false);
        let served = tokio::spawn(listen.serve(axum::Router::new().route("/", get(who)), drained));
        Server {
            address,
            drain,
            served,
            registry,
        }
    }

    fn refused(&self, reason: &str) -> u64 {
        let families = self.registry.gather();
        let is_it = |metric: &&prometheus::proto::Metric| {
            metric.get_label().iter().any(|label| label.value() == reason)
        };
        let refusals = families
            .iter()
            .find(|family| family.name().ends_with("refused_total"))
            .unwrap();
        refusals
            .get_metric()
            .iter()
            .find(is_it)
            .unwrap()
            .get_counter()
            .get_value() as u64
    }

    /// Waits until so many were refused: the client may know before it is counted.
    async fn until_refused(&self, reason: &str, count: u64) {
        let counted = async {
            while self.refused(reason) < count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(10), counted).await.unwrap();
        assert_eq!(self.refused(reason), count);
    }

    async fn connect(&self, connector: &TlsConnector) -> io::Result<Sender> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let stream = connector.connect(name, stream).await?;
        Ok(Sender::new(stream).await)
    }
}

struct Sender(
    hyper::client::conn::http1::SendRequest<Empty<Bytes>>,
    tokio::task::JoinHandle<()>,
);

impl Sender {
    async fn new(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Sender {
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        let task = tokio::spawn(async move { drop(connection.await) });
        Sender(sender, task)
    }

    async fn ask(&mut self) -> Result<String, hyper::Error> {
        let request = http::Request::builder()
            .header("host", "localhost")
            .body(Empty::new())
            .unwrap();
        let body = self.0.send_request(request).await?.into_body().collect().await?;
        Ok(String::from_utf8(body.to_bytes().to_vec()).unwrap())
    }
}

fn tls(issuer: &Issuer, clients: ClientCertificates) -> Arc<ServerTls> {
    let domain = "mesh".parse().unwrap();
    let tls = ServerTls::new(
        &issuer.credential(SERVER),
        Some(&issuer.roots()),
        clients,
        Some(domain),
    );
    Arc::new(tls.unwrap())
}

#[tokio::test]
async fn a_peer_is_who_its_verified_certificate_says() {
    let (issuer, stranger) = (Issuer::new(), Issuer::new());
    let server = Server::start(
        Some(tls(&issuer, ClientCertificates::Optional)),
        ListenLimits::default(),
    )
    .await;
    let id = "spiffe://mesh/ns/a/sa/b";
    let mut known = server
        .connect(&issuer.client(Some(issuer.issue(id, HOUR))))
        .await
        .unwrap();
    assert_eq!(known.ask().await.unwrap(), id);
    let mut nobody = server.connect(&issuer.client(None)).await.unwrap();
    assert_eq!(nobody.ask().await.unwrap(), "nobody");
    // In TLS 1.3 a client learns of its refusal when it reads.
    for shown in [
        stranger.issue(id, HOUR),
        issuer.issue("spiffe://other/ns/a/sa/b", HOUR),
    ] {
        let refused = server.refused("handshake");
        let mut refusal = server.connect(&issuer.client(Some(shown))).await.unwrap();
        refusal.ask().await.unwrap_err();
        server.until_refused("handshake", refused + 1).await;
    }
}

#[tokio::test]
async fn where_certificates_are_required_nobody_comes_without() {
    let issuer = Issuer::new();
    let server = Server::start(
        Some(tls(&issuer, ClientCertificates::Required)),
        ListenLimits::default(),
    )
    .await;
    let mut nobody = server.connect(&issuer.client(None)).await.unwrap();
    nobody.ask().await.unwrap_err();
    let nobody_believed = ServerTls::new(
        &issuer.credential(SERVER),
        None,
        ClientCertificates::Required,
        None,
    );
    assert!(matches!(nobody_believed, Err(ServerTlsError::NobodyBelieved)));
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_the_next_and_drops_nobody() {
    let (old, new) = (Issuer::new(), Issuer::new());
    let tls = tls(&old, ClientCertificates::Optional);
    let server = Server::start(Some(Arc::clone(&tls)), ListenLimits::default()).await;
    let mut before = server.connect(&old.client(None)).await.unwrap();
    assert_eq!(before.ask().await.unwrap(), "nobody");
    tls.replace(&new.credential(SERVER), Some(&new.roots())).unwrap();
    assert!(server.connect(&old.client(None)).await.is_err());
    let mut after = server.connect(&new.client(None)).await.unwrap();
    assert_eq!(after.ask().await.unwrap(), "nobody");
    assert_eq!(before.ask().await.unwrap(), "nobody");
}

#[tokio::test]
async fn connections_are_limited() {
    let limits = ListenLimits {
        connections_max: 1,
        ..ListenLimits::default()
    };
    let server = Server::start(None, limits).await;
    let mut first = Sender::new(TcpStream::connect(server.address).await.unwrap()).await;
    assert_eq!(first.ask().await.unwrap(), "nobody");
    let mut second = Sender::new(TcpStream::connect(server.address).await.unwrap()).await;
    second.ask().await.unwrap_err();
    server.until_refused("limit", 1).await;
    assert_eq!(first.ask().await.unwrap(), "nobody");
}

#[tokio::test]
async fn who_says_nothing_is_closed() {
    let issuer = Issuer::new();
    let short = Duration::from_millis(1);
    let limits = ListenLimits {
        handshake_timeout: short,
        ..ListenLimits::default()
    };
    let server = Server::start(Some(tls(&issuer, ClientCertificates::Optional)), limits).await;
    assert_eq!(read_to_end(server.address).await, 0);
    server.until_refused("handshake_timeout", 1).await;
    let limits = ListenLimits {
        first_request_timeout: short,
        ..ListenLimits::default()
    };
    let server = Server::start(None, limits).await;
    assert_eq!(read_to_end(server.address).await, 0);
    server.until_refused("no_request", 1).await;
}

async fn read_to_end(address: SocketAddr) -> usize {
    use tokio::io::AsyncReadExt;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap_or(0)
}

#[tokio::test]
async fn a_connection_ends_with_its_certificate() {
    let issuer = Issuer::new();
    let server = Server::start(
        Some(tls(&issuer, ClientCertificates::Optional)),
        ListenLimits::default(),
    )
    .await;
    let shown = issuer.issue("spiffe://mesh/short", Duration::from_secs(2));
    let mut sender = server.connect(&issuer.client(Some(shown))).await.unwrap();
    assert_eq!(sender.ask().await.unwrap(), "spiffe://mesh/short");
    sender.1.await.unwrap();
}

#[tokio::test]
async fn a_drain_ends_idle_connections_and_then_the_server() {
    let server = Server::start(None, ListenLimits::default()).await;
    let mut sender = Sender::new(TcpStream::connect(server.address).await.unwrap()).await;
    assert_eq!(sender.ask().await.unwrap(), "nobody");
    server.drain.send(true).unwrap();
    server.served.await.unwrap();
    sender.1.await.unwrap();
    TcpStream::connect(server.address).await.unwrap_err();
}
