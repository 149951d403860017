//! What the endpoints of a cluster are asked, and how they are reached: the cluster's settings as checks need them.

use super::finding::Finding;
use outrigger_config::model::{
    Cluster, HealthCheck, HealthCheckProtocol, ProxyProtocolVersion, UpstreamProtocol,
};
use outrigger_dataplane::connect_marked;
use outrigger_identity::UpstreamIdentity;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsConnector;

/// A stranger's PROXY protocol header: a connection of the proxy's own (specification 2.1 and 2.2).
const PROXY_V1: &[u8] = b"PROXY UNKNOWN\r\n";
const PROXY_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// A byte stream to an endpoint.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

/// Which HTTP version is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// A connection that is ready.
pub(super) struct Connected {
    /// Which of the endpoint's.
    pub(super) address: SocketAddr,
    pub(super) stream: Box<dyn Duplex>,
    pub(super) version: Version,
}

/// What checks of a cluster need.
pub(super) struct Target {
    pub(super) check: HealthCheck,
    pub(super) cluster: String,
    protocol: UpstreamProtocol,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    preface: &'static [u8],
    mark: Option<u32>,
}

impl Target {
    /// `identity`: TLS of the cluster, if it has any.
    pub(super) fn new(
        cluster: &Cluster,
        check: &HealthCheck,
        identity: Option<&UpstreamIdentity>,
        mark: Option<u32>,
    ) -> Target {
        let protocol = match check.protocol() {
            HealthCheckProtocol::Grpc(_) => UpstreamProtocol::Http2,
            HealthCheckProtocol::Http(_) | HealthCheckProtocol::Tcp(_) => cluster.protocol(),
        };
        let alpn: &[&[u8]] = match (check.protocol(), protocol) {
            (HealthCheckProtocol::Tcp(_), _) => &[],
            (_, UpstreamProtocol::Http1) => &[b"http/1.1"],
            (_, UpstreamProtocol::Http2) => &[b"h2"],
            (_, UpstreamProtocol::Auto) => &[b"h2", b"http/1.1"],
        };
        let tls = identity.map(|identity| {
            let mut config = ClientConfig::clone(&identity.config);
            config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
            (Arc::new(config), identity.server_name.clone())
        });
        Target {
            check: check.clone(),
            cluster: cluster.name().to_string(),
            protocol,
            tls,
            preface: match cluster.proxy_protocol().as_ref().map(|proxy| proxy.version()) {
                None => b"",
                Some(ProxyProtocolVersion::V1) => PROXY_V1,
                Some(ProxyProtocolVersion::V2) => PROXY_V2,
            },
            mark,
        }
    }

    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Connects to the first of the addresses that can be connected to. Cancel safe: given up, it leaves nothing open.
    pub(super) async fn connect(&self, addresses: &[SocketAddr]) -> Result<Connected, Finding> {
        let mut failed = Finding::Connect("no address".to_owned());
        for address in addresses {
            let port = self.check.port().unwrap_or_else(|| address.port());
            match connect_marked(SocketAddr::new(address.ip(), port), self.mark).await {
                Ok(stream) => return self.greet(*address, stream).await,
                Err(error) => failed = Finding::Connect(error.to_string()),
            }
        }
        Err(failed)
    }

    async fn greet(
        &self,
        address: SocketAddr,
        mut stream: tokio::net::TcpStream,
    ) -> Result<Connected, Finding> {
        // Small messages, each waited for.
        let _ = stream.set_nodelay(true);
        if !self.preface.is_empty() {
            let sent = stream.write_all(self.preface).await;
            sent.map_err(|error| Finding::Connect(error.to_string()))?;
        }
        let Some((config, name)) = &self.tls else {
            let version = match self.protocol {
                UpstreamProtocol::Http2 => Version::Http2,
                UpstreamProtocol::Http1 | UpstreamProtocol::Auto => Version::Http1,
            };
            let stream = Box::new(stream);
            return Ok(Connected {
                address,
                stream,
                version,
            });
        };
        let connector = TlsConnector::from(Arc::clone(config));
        let stream = connector
            .connect(name.clone(), stream)
            .await
            .map_err(|error| Finding::Tls(error.to_string()))?;
        let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let version = match self.protocol {
            UpstreamProtocol::Http2 if !speaks_http2 => {
                return Err(Finding::Protocol("HTTP/2 was not agreed on".to_owned()));
            }
            UpstreamProtocol::Http1 => Version::Http1,
            UpstreamProtocol::Http2 => Version::Http2,
            UpstreamProtocol::Auto if speaks_http2 => Version::Http2,
            UpstreamProtocol::Auto => Version::Http1,
        };
        let stream = Box::new(stream);
        Ok(Connected {
            address,
            stream,
            version,
        })
    }
}
