//! A downstream connection from accept to the protocol it speaks: first bytes, filter chain, TLS, HTTP version.

use crate::accept::ConnectionPermit;
use crate::interception;
use crate::io::Stream;
use crate::pick::Announced;
use crate::proxy_protocol::{self, Tlv};
use crate::server;
use crate::snapshot::{ConnectionFacts, Detection, ListenerPolicy, SocketKey, TlsPolicy};
use crate::worker::{LocalSnapshot, Registration, Worker};
use outrigger_config::model::{Interception, Transport};
use outrigger_telemetry::{ConnectionRefusal, TlsFailure};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;

/// First byte of a TLS record that holds a handshake (RFC 8446 section 5.1).
const TLS_HANDSHAKE_RECORD: u8 = 22;

/// How long the first bytes and the ClientHello may take where no chain has been picked that could say.
const DETECTION_TIMEOUT: Duration = outrigger_config::model::defaults::TLS_HANDSHAKE_TIMEOUT;

/// What is known of the two ends of a connection; formatted once.
#[derive(Debug)]
pub(crate) struct Ends {
    /// The client, as a PROXY protocol header or else the socket says.
    pub(crate) remote: SocketAddr,
    /// Who made the connection: the client, or a load balancer in front that spoke of it.
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// Where the connection was meant for: `local`, unless it was led here from elsewhere.
    pub(crate) destination: SocketAddr,
    /// Fields of a PROXY protocol header, for upstreams to which it is spoken.
    pub(crate) tlvs: Vec<Tlv>,
    /// Endpoints to which this connection is announced.
    pub(crate) announced: Announced,
    /// `remote` without its port, as `x-forwarded-for` holds it.
    pub(crate) remote_ip: String,
    pub(crate) tls: bool,
    /// SNI, in lower case.
    pub(crate) server_name: Option<String>,
}

/// A connection whose chain is picked and whose TLS is done.
pub(crate) struct Accepted {
    pub(crate) worker: Rc<Worker>,
    pub(crate) registration: Registration,
    pub(crate) ends: Ends,
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
            Ok((stream, accepted)) => server::serve(stream, accepted).await,
            Err(Refused::Connection(refusal)) => metrics.worker(index).connections_refused[refusal].inc(),
            Err(Refused::Tls(failure)) => metrics.worker(index).tls_handshake_failures[failure].inc(),
        }
        metrics.worker(index).connections_active.dec();
    });
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
    let (destination, (remote, local)) = match header.addresses {
        Some((client, meant)) => (interception::comparable(meant), (client, meant)),
        None => (destination, (peer, local)),
    };
    let transport = transport(listener.detection, &stream).await?;
    let mut ends = Ends {
        remote,
        peer,
        local,
        destination,
        tlvs: header.tlvs,
        announced: Announced::new(&worker),
        remote_ip: remote.ip().to_canonical().to_string(),
        tls: false,
        server_name: None,
    };
    match transport {
        Transport::Raw => {
            let registration = pick(&worker, &snapshot, &key, &ends, transport, &[])?;
            Ok((
                Stream::Plain(stream),
                Accepted {
                    worker,
                    registration,
                    ends,
                    _permit: permit,
                },
            ))
        }
        Transport::Tls => {
            let started = timeout(
                DETECTION_TIMEOUT,
                LazyConfigAcceptor::new(Default::default(), stream),
            )
            .await
            .map_err(|_| Refused::Tls(TlsFailure::Timeout))?
            .map_err(|error| Refused::Tls(tls_failure(&error)))?;
            let hello = started.client_hello();
            ends.tls = true;
            ends.server_name = hello.server_name().map(str::to_ascii_lowercase);
            let offers: Vec<Vec<u8>> = hello.alpn().into_iter().flatten().map(<[u8]>::to_vec).collect();
            let registration = pick(&worker, &snapshot, &key, &ends, transport, &offers)?;
            let tls = {
                let snapshot = registration.control.snapshot();
                registration
                    .control
                    .chain(&snapshot)
                    .tls
                    .clone()
                    .ok_or(ConnectionRefusal::NoFilterChain)?
            };
            let stream = handshake(started, tls).await.map_err(Refused::Tls)?;
            let listener = snapshot.listener(&key).ok_or(ConnectionRefusal::Drain)?;
            listener.metrics.worker(worker.index).tls_handshakes.inc();
            Ok((
                stream,
                Accepted {
                    worker,
                    registration,
                    ends,
                    _permit: permit,
                },
            ))
        }
    }
}

fn proxy_protocol_refusal(fault: proxy_protocol::Fault) -> ConnectionRefusal {
    match fault {
        proxy_protocol::Fault::Missing => ConnectionRefusal::ProxyProtocolMissing,
        proxy_protocol::Fault::Malformed => ConnectionRefusal::ProxyProtocolMalformed,
        proxy_protocol::Fault::Timeout => ConnectionRefusal::ProxyProtocolTimeout,
        proxy_protocol::Fault::Gone => ConnectionRefusal::Detection,
    }
}

/// What the first byte says, where it must be asked. It is left in the socket.
async fn transport(detection: Detection, stream: &TcpStream) -> Result<Transport, Refused> {
    match detection {
        Detection::Raw => Ok(Transport::Raw),
        Detection::Tls => Ok(Transport::Tls),
        Detection::FirstByte => {
            let mut first = [0u8; 1];
            let peeked = timeout(DETECTION_TIMEOUT, stream.peek(&mut first))
                .await
                .map_err(|_| ConnectionRefusal::DetectionTimeout)?
                .map_err(|_| ConnectionRefusal::Detection)?;
            match (peeked, first[0]) {
                (0, _) => Err(ConnectionRefusal::Detection.into()),
                (_, TLS_HANDSHAKE_RECORD) => Ok(Transport::Tls),
                _ => Ok(Transport::Raw),
            }
        }
    }
}

/// Picks the filter chain by the snapshot in force, or by the one at accept if the listener has left it, and registers
/// the connection under it.
fn pick(
    worker: &Rc<Worker>,
    accepted_under: &Rc<LocalSnapshot>,
    key: &SocketKey,
    ends: &Ends,
    transport: Transport,
    offers: &[Vec<u8>],
) -> Result<Registration, Refused> {
    let current = worker.snapshot();
    let snapshot = if current.listener(key).is_some() {
        current
    } else {
        Rc::clone(accepted_under)
    };
    let facts = ConnectionFacts {
        destination: ends.destination,
        source: ends.remote.ip().to_canonical(),
        transport,
        server_name: ends.server_name.as_deref(),
        application_protocols: offers,
    };
    let listener: &ListenerPolicy = snapshot.listener(key).ok_or(ConnectionRefusal::Drain)?;
    let slot = listener
        .select(&snapshot, &facts)
        .ok_or(ConnectionRefusal::NoFilterChain)?;
    Ok(worker.register(snapshot, slot))
}

async fn handshake(
    started: tokio_rustls::StartHandshake<TcpStream>,
    tls: TlsPolicy,
) -> Result<Stream, TlsFailure> {
    match timeout(tls.settings.handshake_timeout(), started.into_stream(tls.config)).await {
        Err(_) => Err(TlsFailure::Timeout),
        Ok(Err(error)) => Err(tls_failure(&error)),
        Ok(Ok(stream)) => Ok(Stream::TlsServer(Box::new(stream))),
    }
}

fn tls_failure(error: &io::Error) -> TlsFailure {
    let Some(error) = error
        .get_ref()
        .and_then(|error| error.downcast_ref::<rustls::Error>())
    else {
        return TlsFailure::ClientClosed;
    };
    tracing::debug!(%error, "TLS handshake failed");
    match error {
        rustls::Error::AlertReceived(_) => TlsFailure::ClientClosed,
        rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_) => {
            TlsFailure::Certificate
        }
        rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol => {
            TlsFailure::NothingShared
        }
        _ => TlsFailure::Protocol,
    }
}
