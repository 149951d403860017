//! A downstream connection from accept to the protocol it speaks: first bytes, filter chain, TLS.

mod chain;
mod client_hello;
mod first_bytes;
mod hello;
mod plain_http;

use crate::accept::ConnectionPermit;
use crate::auto;
use crate::interception;
use crate::io::Stream;
use crate::pick::Announced;
use crate::proxy_protocol::{self, Tlv};
use crate::rights::Peer;
use crate::server;
use crate::snapshot::{Detection, ListenerPolicy, SocketKey};
use crate::tcp;
use crate::tls;
use crate::worker::{LocalSnapshot, Registration, Worker};
use bytes::{Bytes, BytesMut};
use chain::Candidates;
use first_bytes::FirstBytes;
use outrigger_config::model::{ChainMode, Interception};
use outrigger_telemetry::{ConnectionRefusal, TlsFailure};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// How long the first bytes and the ClientHello may take where no chain has been picked that could say.
const DETECTION_TIMEOUT: Duration = outrigger_config::model::defaults::TLS_HANDSHAKE_TIMEOUT;

/// What is known of the two ends of a connection; formatted once.
#[derive(Debug)]
pub(crate) struct Ends {
    /// The client, as a PROXY protocol header or else the socket says.
    pub(crate) remote: SocketAddr,
    /// Who made the connection: the client, or a load balancer in front that spoke of it.
    pub(crate) peer: SocketAddr,
    /// Where the connection was meant for: our end of it, unless it was led here from elsewhere.
    pub(crate) destination: SocketAddr,
    /// Fields of a PROXY protocol header, for upstreams to which it is spoken.
    pub(crate) tlvs: Vec<Tlv>,
    /// Endpoints to which this connection is announced.
    pub(crate) announced: Announced,
    /// `remote` without its port, as `x-forwarded-for` holds it.
    pub(crate) remote_ip: String,
    /// What the handshake agreed on, if there was one: TLS ends here.
    pub(crate) tls: Option<tls::Terms>,
    /// Who the client is: what its certificate says, which was verified. None without mutual TLS, or where a certificate
    /// is not required and none was shown.
    pub(crate) identity: Option<Rc<tls::KnownPeer>>,
    /// The certificate that the client was shown.
    pub(crate) local: Option<Rc<tls::KnownPeer>>,
    /// SNI, in lower case.
    pub(crate) server_name: Option<String>,
}

/// A connection whose chain is picked and whose TLS is done.
pub(crate) struct Accepted {
    pub(crate) worker: Rc<Worker>,
    pub(crate) registration: Registration,
    pub(crate) ends: Ends,
    /// When it was accepted.
    pub(crate) opened: Instant,
    /// Ends the connection's counts when it is dropped.
    pub(crate) _permit: ConnectionPermit,
}

/// Serves a connection in a task of its own.
pub(crate) fn spawn(
    worker: &Rc<Worker>,
    snapshot: Rc<LocalSnapshot>,
    stream: TcpStream,
    peer: SocketAddr,
    key: SocketKey,
    permit: ConnectionPermit,
) {
    let worker = Rc::clone(worker);
    tokio::task::spawn_local(async move {
        let Some(listener) = snapshot.listener(&key) else {
            return;
        };
        let metrics = std::sync::Arc::clone(&listener.metrics);
        let index = worker.index;
        metrics.worker(index).connections_active.inc();
        // The handshake's state is large and short-lived: it is boxed, so that the task of an idle connection is not.
        match Box::pin(establish(worker, snapshot, stream, peer, key, permit)).await {
            // What may be more is boxed, so that it is not part of an idle HTTP/1 connection.
            Ok((stream, accepted)) => match spoken(&accepted.registration) {
                // As `server::serve_http`, without a layer that every poll of an HTTP/1 connection would go through.
                Spoken::Http if server::is_http1(&stream) => {
                    let detect = stream.alpn().is_none();
                    server::http1::serve(stream, BytesMut::new(), accepted, detect).await;
                }
                Spoken::Http => Box::pin(server::serve_http(stream, BytesMut::new(), accepted)).await,
                Spoken::Bytes => Box::pin(tcp::serve(stream, Bytes::new(), accepted, None)).await,
                Spoken::Either => Box::pin(auto::serve(stream, accepted)).await,
            },
            Err(Refused::Connection(refusal)) => metrics.worker(index).connections_refused[refusal].inc(),
            Err(Refused::Tls(failure)) => metrics.worker(index).tls_handshake_failures[failure].inc(),
        }
        metrics.worker(index).connections_active.dec();
    });
}

/// What a filter chain has spoken.
enum Spoken {
    Http,
    Bytes,
    Either,
}

fn spoken(registration: &Registration) -> Spoken {
    let snapshot = registration.control.snapshot();
    match registration.control.chain(&snapshot).config.mode() {
        ChainMode::Http(_) => Spoken::Http,
        ChainMode::Tcp(_) => Spoken::Bytes,
        ChainMode::Auto(_) => Spoken::Either,
    }
}

/// Why a connection got no further.
enum Refused {
    Connection(ConnectionRefusal),
    Tls(TlsFailure),
}

impl From<ConnectionRefusal> for Refused {
    fn from(refusal: ConnectionRefusal) -> Refused {
        Refused::Connection(refusal)
    }
}

async fn establish(
    worker: Rc<Worker>,
    snapshot: Rc<LocalSnapshot>,
    stream: TcpStream,
    peer: SocketAddr,
    key: SocketKey,
    permit: ConnectionPermit,
) -> Result<(Stream, Accepted), Refused> {
    let opened = worker.tick();
    let listener = snapshot.listener(&key).ok_or(ConnectionRefusal::Drain)?;
    let local = stream.local_addr().map_err(|_| ConnectionRefusal::Detection)?;
    let interception = listener.config.interception();
    let destination = interception::destination(interception, &stream, local);
    if interception != Interception::Off && worker.ourselves.made(peer, destination) {
        tracing::debug!(%peer, %destination, "a connection of our own came back");
        return Err(ConnectionRefusal::Loop.into());
    }
    let header = proxy_protocol::receive(&stream, listener.config.proxy_protocol())
        .await
        .map_err(proxy_protocol_refusal)?
        .unwrap_or_default();
    let (remote, destination) = match header.addresses {
        Some((client, meant)) => (client, interception::comparable(meant)),
        None => (peer, destination),
    };
    let mut ends = Ends {
        remote,
        peer,
        destination,
        tlvs: header.tlvs,
        announced: Announced::new(&worker),
        remote_ip: remote.ip().to_canonical().to_string(),
        tls: None,
        identity: None,
        local: None,
        server_name: None,
    };
    let first = first_bytes(&stream, opened, listener, &snapshot, destination, &worker).await?;
    let candidates = Candidates {
        worker: &worker,
        accepted_under: &snapshot,
        key: &key,
        opened,
    };
    let (stream, registration) = candidates.settle(stream, first, &mut ends, listener).await?;
    registration.control.rights.meet(Peer {
        identity: ends.identity.clone(),
        tls: ends.tls.is_some(),
        opened,
    });
    let accepted = Accepted {
        worker,
        registration,
        ends,
        opened,
        _permit: permit,
    };
    Ok((stream, accepted))
}

/// What the connection begins with, as far as a filter chain is picked by it. Where every chain terminates TLS the
/// ClientHello is read; where it may have to be passed on, or plain text may come, it is only looked at.
async fn first_bytes(
    stream: &TcpStream,
    opened: Instant,
    listener: &ListenerPolicy,
    snapshot: &LocalSnapshot,
    destination: SocketAddr,
    worker: &Worker,
) -> Result<FirstBytes, Refused> {
    let left = hello_patience(opened, listener, snapshot);
    if listener.detection == Detection::Tls {
        return match timeout(left, hello::read(stream, worker)).await {
            Ok(read) => read.map_err(Refused::Tls),
            Err(_) => Err(Refused::Tls(TlsFailure::Timeout)),
        };
    }
    match listener.patience(snapshot, destination) {
        None => Ok(FirstBytes::Other(Vec::new())),
        Some(patience) => first_bytes::look(stream, patience, left).await,
    }
}

/// What is left of the time for a ClientHello.
fn hello_patience(opened: Instant, listener: &ListenerPolicy, snapshot: &LocalSnapshot) -> Duration {
    let limit = listener.hello_timeout(snapshot).unwrap_or(DETECTION_TIMEOUT);
    limit.saturating_sub(opened.elapsed())
}

fn proxy_protocol_refusal(fault: proxy_protocol::Fault) -> ConnectionRefusal {
    match fault {
        proxy_protocol::Fault::Missing => ConnectionRefusal::ProxyProtocolMissing,
        proxy_protocol::Fault::Malformed => ConnectionRefusal::ProxyProtocolMalformed,
        proxy_protocol::Fault::Timeout => ConnectionRefusal::ProxyProtocolTimeout,
        proxy_protocol::Fault::Silent | proxy_protocol::Fault::Gone => ConnectionRefusal::Detection,
    }
}
