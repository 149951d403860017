//! Making a connection to an endpoint: TCP, TLS, and the version of HTTP that came out.

use crate::accept::set_options;
use crate::io::{Stream, TlsClient};
use crate::places::ConnectionPlace;
use crate::rights::UpstreamPlace;
use crate::snapshot::{ClusterPolicy, EndpointState, UpstreamTlsPolicy};
use crate::tls;
use crate::upstream::dial::dial;
use crate::upstream::socket::LocalEnd;
use crate::upstream::{Upstream, http1, http2};
use crate::worker::Worker;
use outrigger_config::model::UpstreamProtocol;
use outrigger_telemetry::{ClusterCells, ConnectionFailure, ConnectionProtocol, TlsFailure};
use outrigger_traffic::retry::AttemptFailure;
use rustls::client::Resumption;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// A connection that is ready.
pub(crate) enum Connected {
    Http1(Box<http1::Connection>),
    Http2(Rc<http2::Connection>),
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectFault {
    pub(crate) failure: AttemptFailure,
    pub(crate) detail: &'static str,
}

/// Connects within the cluster's connect timeout, TLS and HTTP/2's greeting included. Counts what happens. The connection
/// holds `place`.
pub(crate) async fn connect(
    cluster: &ClusterPolicy,
    endpoint: &Arc<EndpointState>,
    worker: &Worker,
    place: ConnectionPlace,
) -> Result<Connected, ConnectFault> {
    let connecting = establish(cluster, endpoint, worker, place);
    let connected = counted(cluster, worker, connecting, |connected| match connected {
        Connected::Http1(_) => ConnectionProtocol::Http1,
        Connected::Http2(_) => ConnectionProtocol::Http2,
    });
    connected.await
}

/// As [`connect`], but HTTP/1 and no other version is offered by ALPN: for what cannot be asked for over HTTP/2 where the
/// cluster leaves the version open. No pool keeps the connection, since it has no idle timeout.
pub(crate) async fn connect_http1(
    cluster: &ClusterPolicy,
    endpoint: &Arc<EndpointState>,
    worker: &Rc<Worker>,
    place: ConnectionPlace,
) -> Result<Upstream, ConnectFault> {
    let tls = cluster.tls.as_ref().map(|tls| {
        let mut config = tls.identity.config.as_ref().clone();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    });
    let connecting = open(cluster, endpoint, worker, tls.as_ref());
    let (stream, local) = counted(cluster, worker, connecting, |_| ConnectionProtocol::Http1).await?;
    Ok(alone((stream, local), cluster, endpoint, worker, place))
}

/// Connects for bytes that are passed on as they are: within the cluster's connect timeout, TLS included. No protocol
/// is offered by ALPN. Counts what happens. Cancel safe: given up, it leaves nothing open.
pub(crate) async fn connect_tcp(
    cluster: &ClusterPolicy,
    endpoint: &Arc<EndpointState>,
    worker: &Worker,
) -> Result<(Stream, LocalEnd), ConnectFault> {
    let tls = cluster.tls.as_ref().map(|tls| &tls.plain_config);
    let connecting = open(cluster, endpoint, worker, tls);
    counted(cluster, worker, connecting, |_| ConnectionProtocol::Tcp).await
}

/// A connection for one request, of which no pool knows.
pub(crate) fn alone(
    (stream, local): (Stream, LocalEnd),
    cluster: &ClusterPolicy,
    endpoint: &Arc<EndpointState>,
    worker: &Rc<Worker>,
    place: ConnectionPlace,
) -> Upstream {
    let connection = http1::Connection::new(stream, local, cluster, worker, place);
    Upstream::Http1(http1::Exchange::new(Box::new(connection), worker, endpoint))
}

/// Waits for a connection within the cluster's connect timeout, and counts it or why there is none.
async fn counted<T>(
    cluster: &ClusterPolicy,
    worker: &Worker,
    connecting: impl Future<Output = Result<T, Failure>>,
    protocol: impl FnOnce(&T) -> ConnectionProtocol,
) -> Result<T, ConnectFault> {
    let cells = cluster.metrics.worker(worker.index);
    let started = Instant::now();
    let result = tokio::time::timeout(cluster.config.connect_timeout(), connecting).await;
    let reason = match result {
        Ok(Ok(connected)) => {
            cells.connections_opened[protocol(&connected)].inc();
            cells.connect_duration.observe(started.elapsed());
            return Ok(connected);
        }
        Ok(Err(reason)) => reason,
        Err(_) => Failure::Connection(ConnectionFailure::Timeout),
    };
    Err(reason.count(cells))
}

/// Why no connection came about.
enum Failure {
    /// Anything but TLS.
    Connection(ConnectionFailure),
    /// The handshake failed, or what it comes to after its end in TLS 1.3.
    Tls(TlsFailure),
}

impl From<ConnectionFailure> for Failure {
    fn from(failure: ConnectionFailure) -> Failure {
        Failure::Connection(failure)
    }
}

impl Failure {
    fn count(self, cells: &ClusterCells) -> ConnectFault {
        let (reason, detail) = match self {
            Failure::Tls(failure) => {
                cells.tls_handshake_failures[failure].inc();
                (ConnectionFailure::Tls, tls::detail(failure))
            }
            Failure::Connection(reason) => (reason, detail(reason)),
        };
        cells.connection_failures[reason].inc();
        let failure = match reason {
            ConnectionFailure::Timeout => AttemptFailure::ConnectTimeout,
            _ => AttemptFailure::ConnectFailed,
        };
        ConnectFault { failure, detail }
    }
}

fn detail(reason: ConnectionFailure) -> &'static str {
    match reason {
        ConnectionFailure::Timeout => "connection_timeout",
        ConnectionFailure::Refused => "connection_refused",
        ConnectionFailure::Tls => "tls_protocol",
        ConnectionFailure::Io => "connection_failed",
        ConnectionFailure::Protocol => "protocol_not_agreed",
    }
}

/// TCP, and TLS where the cluster has it.
async fn open(
    cluster: &ClusterPolicy,
    endpoint: &EndpointState,
    worker: &Worker,
    tls: Option<&Arc<rustls::ClientConfig>>,
) -> Result<(Stream, LocalEnd), Failure> {
    let dialing = dial(endpoint.addresses(), endpoint.source, worker);
    let (mut tcp, local) = dialing.await.map_err(|error| {
        tracing::debug!(%error, endpoint = %endpoint.address_text, "cannot connect");
        Failure::from(match error.kind() {
            io::ErrorKind::ConnectionRefused => ConnectionFailure::Refused,
            _ => ConnectionFailure::Io,
        })
    })?;
    set_options(
        &tcp,
        cluster.config.tcp_keepalive().as_ref(),
        cluster.config.tcp_user_timeout(),
    );
    if let Some(preface) = &endpoint.preface {
        tcp.write_all(preface).await.map_err(|_| ConnectionFailure::Io)?;
    }
    let stream = match (&cluster.tls, tls) {
        (Some(policy), Some(config)) => {
            let connector = TlsConnector::from(Arc::clone(config));
            let name = policy.identity.server_name.clone();
            let stream = connector
                .connect(name, tcp)
                .await
                .map_err(|error| tls_failed(tls::failure_of(&error), &error, policy, endpoint, worker))?;
            let cells = cluster.metrics.worker(worker.index);
            let session = stream.get_ref().1;
            if tls::has_outlived(session, worker) {
                // The certificate is judged anew, or rather the one that the server has now.
                let mut config = config.as_ref().clone();
                config.resumption = Resumption::disabled();
                return Box::pin(open(cluster, endpoint, worker, Some(&Arc::new(config)))).await;
            }
            cells.tls_handshakes[tls::kind(session)].inc();
            cells.tls_connections[tls::Terms::of(session).version].inc();
            let place = place(session, policy, cluster, worker);
            // Whoever connects may go by an older snapshot, and something may have been published meanwhile.
            if let Some(place) = &place {
                place.judge_late(worker);
            }
            Stream::TlsClient(Box::new(TlsClient { tls: stream, place }))
        }
        _ => Stream::Plain(tcp),
    };
    Ok((stream, local))
}

/// Notes whom we have connected to, who may be believed no more one day.
fn place(
    session: &rustls::CommonState,
    policy: &UpstreamTlsPolicy,
    cluster: &ClusterPolicy,
    worker: &Worker,
) -> Option<UpstreamPlace> {
    let peer = worker.known_peers.of(session.peer_certificates()?)?;
    Some(worker.upstreams.register(&peer, policy.belief.as_ref()?, cluster))
}

fn tls_failed(
    failure: TlsFailure,
    error: &io::Error,
    policy: &UpstreamTlsPolicy,
    endpoint: &EndpointState,
    worker: &Worker,
) -> Failure {
    let failure = tls::judge_refusal(failure, policy.own_expiry());
    worker.tls_reports.upstream(failure, error, endpoint);
    Failure::Tls(failure)
}

async fn establish(
    cluster: &ClusterPolicy,
    endpoint: &EndpointState,
    worker: &Worker,
    place: ConnectionPlace,
) -> Result<Connected, Failure> {
    let tls = cluster.tls.as_ref().map(|tls| &tls.identity.config);
    let (stream, local) = open(cluster, endpoint, worker, tls).await?;
    let http2 = match cluster.config.protocol() {
        UpstreamProtocol::Http1 => false,
        UpstreamProtocol::Http2 if cluster.tls.is_some() && stream.alpn() != Some(b"h2") => {
            return Err(ConnectionFailure::Protocol.into());
        }
        UpstreamProtocol::Http2 => true,
        UpstreamProtocol::Auto => stream.alpn() == Some(b"h2"),
    };
    if !http2 {
        return Ok(Connected::Http1(Box::new(http1::Connection::new(
            stream, local, cluster, worker, place,
        ))));
    }
    let connection = http2::Connection::open(stream, local, cluster, worker, place)
        .await
        .map_err(|(error, failure)| match (&cluster.tls, failure) {
            // In TLS 1.3 the server judges our certificate when we are done with the handshake.
            (Some(policy), Some(failure)) => tls_failed(failure, &error, policy, endpoint, worker),
            _ => {
                tracing::debug!(%error, endpoint = %endpoint.address_text, "HTTP/2 greeting failed");
                ConnectionFailure::Protocol.into()
            }
        })?;
    Ok(Connected::Http2(connection))
}
