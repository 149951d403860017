//! Accepts connections and serves a router on them: TLS or plain text, HTTP/1 and HTTP/2, REST and gRPC alike.
//!
//! Every request carries an [`Arc<Peer>`](Peer) among its extensions: where it comes from, and whose verified client
//! certificate was shown. What a peer may do is not decided here, see [`crate::access`]. Certificates are swapped without
//! dropping connections ([`ServerTls`]); connections end with their client's certificate, so that nobody outlives it.

mod identity;
mod metrics;
mod tls;

pub use identity::{ServerIdentity, ServerIdentityError};
pub use metrics::{ListenFamilies, ListenMetrics};
pub use tls::{ClientCertificates, ServerTls, ServerTlsError};

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use metrics::Refused;
use outrigger_config::model::SpiffeId;
use outrigger_identity::PeerIdentity;
use rustls_pki_types::CertificateDer;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

/// After an accept that failed, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// HTTP/1 heads, and the longest pause between two requests of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// HTTP/2 streams of one connection at a time: a node has one, a proxy in front of REST has some.
const STREAMS_MAX: u32 = 256;

/// The other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Where it comes from.
    pub address: SocketAddr,
    /// Where it arrived.
    pub local_address: SocketAddr,
    /// True if it speaks TLS.
    pub encrypted: bool,
    /// What its client certificate says, which was verified; none if it showed none.
    pub identity: Option<PeerIdentity>,
    /// That certificate, and what it showed beside it; empty if it showed none.
    pub certificates: Vec<CertificateDer<'static>>,
}

impl Peer {
    /// The SPIFFE id of its verified certificate.
    pub fn spiffe_id(&self) -> Option<&SpiffeId> {
        self.identity.as_ref()?.spiffe_id.as_ref()
    }
}

/// What a listener bears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenLimits {
    /// Open connections; one more is closed at once.
    pub connections_max: usize,
    /// From accept to the end of the TLS handshake.
    pub handshake_timeout: Duration,
    /// From then to the first request.
    pub first_request_timeout: Duration,
    /// HTTP/2 pings after so long without a frame.
    pub keepalive_interval: Duration,
    /// A ping that stays unanswered for so long ends the connection.
    pub keepalive_timeout: Duration,
    /// What is open when a drain begins, or when its certificate has expired, may finish within this.
    pub drain_timeout: Duration,
}

impl Default for ListenLimits {
    /// 16,384 connections: a fleet of 10,000 nodes and room to reconnect. 10 s for a handshake, 60 s to the first
    /// request, pings after 30 s that are awaited for 10 s: well below what load balancers cut (AWS: 350 s). 10 s to
    /// finish.
    fn default() -> ListenLimits {
        ListenLimits {
            connections_max: 16_384,
            handshake_timeout: Duration::from_secs(10),
            first_request_timeout: Duration::from_secs(60),
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// A bound address.
pub struct Listen {
    listener: TcpListener,
    local_address: SocketAddr,
    tls: Option<Arc<ServerTls>>,
    limits: Arc<ListenLimits>,
    metrics: ListenMetrics,
}

impl Listen {
    /// Binds an address; port 0 is any that is free. Without `tls` it speaks plain text.
    ///
    /// # Errors
    /// If it cannot be bound.
    pub async fn bind(
        address: SocketAddr,
        tls: Option<Arc<ServerTls>>,
        limits: ListenLimits,
        metrics: ListenMetrics,
    ) -> io::Result<Listen> {
        let listener = TcpListener::bind(address).await?;
        Ok(Listen {
            local_address: listener.local_addr()?,
            listener,
            tls,
            limits: Arc::new(limits),
            metrics,
        })
    }

    /// The address that it was bound to.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Serves until `drain` turns true, or its sender is gone; then connections are told to go away, and what is still
    /// open after the drain timeout is cut. Streams that never end by themselves must watch `drain`, too. Dropping the
    /// future cuts everything.
    pub async fn serve(self, router: axum::Router, mut drain: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(self.limits.connections_max));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = drained(&mut drain) => break,
                Some(_) = connections.join_next() => continue,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    self.metrics.refused(Refused::Accept);
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                self.metrics.refused(Refused::Limit);
                tracing::debug!(%address, "refused a connection: there are as many as may be");
                continue;
            };
            let connection = Connection {
                address,
                tls: self.tls.clone(),
                limits: Arc::clone(&self.limits),
                metrics: self.metrics.clone(),
                drain: drain.clone(),
                _place: place,
            };
            connections.spawn(connection.run(stream, router.clone()));
        }
        drop(self.listener);
        let finish = async { while connections.join_next().await.is_some() {} };
        if timeout(self.limits.drain_timeout, finish).await.is_err() {
            tracing::info!(
                connections = connections.len(),
                "cutting connections that did not finish"
            );
        }
        connections.shutdown().await;
    }
}

/// Waits for a drain; a sender that is gone means one.
async fn drained(drain: &mut watch::Receiver<bool>) {
    let _ = drain.wait_for(|draining| *draining).await;
}

/// One accepted connection.
struct Connection {
    address: SocketAddr,
    tls: Option<Arc<ServerTls>>,
    limits: Arc<ListenLimits>,
    metrics: ListenMetrics,
    drain: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    async fn run(self, stream: TcpStream, router: axum::Router) {
        let _open = self.metrics.opened();
        let address = self.address;
        let Ok(local_address) = stream.local_addr() else {
            return;
        };
        // Failing is harmless: answers are late then.
        let _ = stream.set_nodelay(true);
        let mut peer = Peer {
            address,
            local_address,
            encrypted: self.tls.is_some(),
            identity: None,
            certificates: Vec::new(),
        };
        let Some(tls) = &self.tls else {
            return self.serve(stream, peer, router).await;
        };
        match timeout(self.limits.handshake_timeout, tls.accept(stream)).await {
            Ok(Ok((stream, identity))) => {
                peer.identity = identity;
                peer.certificates = stream
                    .get_ref()
                    .1
                    .peer_certificates()
                    .unwrap_or_default()
                    .to_vec();
                self.serve(stream, peer, router).await;
            }
            Ok(Err(error)) => {
                self.metrics.refused(Refused::Handshake);
                tracing::debug!(%address, %error, "a TLS handshake failed");
            }
            Err(_) => {
                self.metrics.refused(Refused::HandshakeTimeout);
                tracing::debug!(%address, "a TLS handshake took too long");
            }
        }
    }

    async fn serve<S>(mut self, stream: S, peer: Peer, router: axum::Router)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let address = peer.address;
        let expires = peer.identity.as_ref().map(|identity| identity.validity.not_after);
        let peer = Arc::new(peer);
        let asked = Arc::new(AtomicBool::new(false));
        let first = Arc::clone(&asked);
        let service = router.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
            first.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(Arc::clone(&peer));
            request
        });
        let builder = self.protocols();
        let serving = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let mut serving = std::pin::pin!(serving);
        let mut first_request = std::pin::pin!(sleep(self.limits.first_request_timeout));
        let mut is_first_awaited = true;
        let mut expired = std::pin::pin!(until(expires));
        loop {
            tokio::select! {
                ended = serving.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%address, %error, "a connection ended with an error");
                    }
                    return;
                }
                () = &mut first_request, if is_first_awaited => {
                    is_first_awaited = false;
                    if !asked.load(Ordering::Relaxed) {
                        self.metrics.refused(Refused::NoRequest);
                        return;
                    }
                }
                () = &mut expired => {
                    tracing::debug!(%address, "the client's certificate has expired");
                    break;
                }
                () = drained(&mut self.drain) => break,
            }
        }
        serving.as_mut().graceful_shutdown();
        let _ = timeout(self.limits.drain_timeout, serving).await;
    }

    fn protocols(&self) -> auto::Builder<TokioExecutor> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .keep_alive_interval(self.limits.keepalive_interval)
            .keep_alive_timeout(self.limits.keepalive_timeout);
        builder
    }
}

/// Waits until a time by the wall clock, which may be stepped: it is looked at again every minute. Never without a time.
async fn until(time: Option<SystemTime>) {
    const CLOCK_CHECK_INTERVAL: Duration = Duration::from_secs(60);
    let Some(time) = time else {
        return pending().await;
    };
    while let Ok(left) = time.duration_since(SystemTime::now()) {
        if left.is_zero() {
            return;
        }
        sleep(left.min(CLOCK_CHECK_INTERVAL)).await;
    }
}

#[cfg(test)]
mod tests;
