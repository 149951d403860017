//! A downstream connection from accept to the protocol it speaks: first bytes, filter chain, TLS.

mod client_hello;
mod first_bytes;
mod plain_http;

use crate::accept::ConnectionPermit;
use crate::interception;
use crate::io::Stream;
use crate::pick::Announced;
use crate::proxy_protocol::{self, Tlv};
use crate::server;
use crate::snapshot::{ConnectionFacts, Detection, ListenerPolicy, SocketKey, TlsPolicy};
use crate::worker::{LocalSnapshot, Registration, Worker};
use client_hello::ClientHello;
use first_bytes::FirstBytes;
use outrigger_config::model::{Interception, Transport};
use outrigger_telemetry::{ConnectionRefusal, TlsFailure};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::LazyConfigAcceptor;

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
    let (destination, (remote, local)) = match header.addresses {
        Some((client, meant)) => (interception::comparable(meant), (client, meant)),
        None => (destination, (peer, local)),
    };
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
    let first = match listener.detection {
        Detection::Nothing => FirstBytes::Other,
        Detection::Tls | Detection::FirstBytes => first_bytes::look(&stream, DETECTION_TIMEOUT).await?,
    };
    let tls_only = listener.detection == Detection::Tls;
    let candidates = Candidates {
        worker: &worker,
        accepted_under: &snapshot,
        key: &key,
    };
    let (stream, registration) = match first {
        FirstBytes::Hello(hello) => {
            ends.server_name = hello.server_name.clone();
            let registration = candidates.pick(&ends, Transport::Tls, &hello)?;
            match tls_of(&registration) {
                Some(tls) => {
                    let stream = terminate(stream, tls).await.map_err(Refused::Tls)?;
                    listener.metrics.worker(worker.index).tls_handshakes.inc();
                    ends.tls = true;
                    (stream, registration)
                }
                // Passed through as it is.
                None => (Stream::Plain(stream), registration),
            }
        }
        FirstBytes::MalformedHello => return Err(refuse_tls(stream).await),
        FirstBytes::Silent(failure) if tls_only => return Err(Refused::Tls(failure)),
        FirstBytes::Silent(failure) => {
            let registration = candidates.pick(&ends, Transport::Raw, &ClientHello::default())?;
            if !passes_bytes(&registration) {
                return Err(silence(failure).into());
            }
            // It may wait for the server to speak first, or have ended its side already and listen.
            (Stream::Plain(stream), registration)
        }
        FirstBytes::Other => match candidates.pick(&ends, Transport::Raw, &ClientHello::default()) {
            Ok(registration) => (Stream::Plain(stream), registration),
            Err(refused) if listener.detection == Detection::Nothing => return Err(refused),
            Err(_) if plain_http::answer(&stream, DETECTION_TIMEOUT).await => {
                return Err(ConnectionRefusal::PlainHttp.into());
            }
            Err(_) if tls_only => return Err(refuse_tls(stream).await),
            Err(refused) => return Err(refused),
        },
    };
    let accepted = Accepted {
        worker,
        registration,
        ends,
        opened,
        _permit: permit,
    };
    Ok((stream, accepted))
}

fn silence(failure: TlsFailure) -> ConnectionRefusal {
    match failure {
        TlsFailure::Timeout => ConnectionRefusal::DetectionTimeout,
        _ => ConnectionRefusal::Detection,
    }
}

/// The TLS settings of the chain that was picked.
fn tls_of(registration: &Registration) -> Option<TlsPolicy> {
    let snapshot = registration.control.snapshot();
    registration.control.chain(&snapshot).tls.clone()
}

/// True if the chain that was picked may pass bytes on as they are.
fn passes_bytes(registration: &Registration) -> bool {
    let snapshot = registration.control.snapshot();
    registration.control.chain(&snapshot).tcp.is_some()
}

fn proxy_protocol_refusal(fault: proxy_protocol::Fault) -> ConnectionRefusal {
    match fault {
        proxy_protocol::Fault::Missing => ConnectionRefusal::ProxyProtocolMissing,
        proxy_protocol::Fault::Malformed => ConnectionRefusal::ProxyProtocolMalformed,
        proxy_protocol::Fault::Timeout => ConnectionRefusal::ProxyProtocolTimeout,
        proxy_protocol::Fault::Gone => ConnectionRefusal::Detection,
    }
}

/// Where a connection's filter chain is picked.
struct Candidates<'c> {
    worker: &'c Rc<Worker>,
    accepted_under: &'c Rc<LocalSnapshot>,
    key: &'c SocketKey,
}

impl Candidates<'_> {
    /// Picks the filter chain by the snapshot in force, or by the one at accept if the listener has left it, and
    /// registers the connection under it.
    fn pick(&self, ends: &Ends, transport: Transport, hello: &ClientHello) -> Result<Registration, Refused> {
        let current = self.worker.snapshot();
        let snapshot = if current.listener(self.key).is_some() {
            current
        } else {
            Rc::clone(self.accepted_under)
        };
        let facts = ConnectionFacts {
            destination: ends.destination,
            source: ends.remote.ip().to_canonical(),
            transport,
            server_name: hello.server_name.as_deref(),
            application_protocols: &hello.application_protocols,
        };
        let listener: &ListenerPolicy = snapshot.listener(self.key).ok_or(ConnectionRefusal::Drain)?;
        let slot = listener
            .select(&snapshot, &facts)
            .ok_or(ConnectionRefusal::NoFilterChain)?;
        Ok(self.worker.register(snapshot, slot))
    }
}

/// The handshake, whose ClientHello is still in the socket.
async fn terminate(stream: TcpStream, tls: TlsPolicy) -> Result<Stream, TlsFailure> {
    let handshake = async {
        let started = LazyConfigAcceptor::new(Default::default(), stream).await?;
        started.into_stream(tls.config).await
    };
    match timeout(tls.settings.handshake_timeout(), handshake).await {
        Err(_) => Err(TlsFailure::Timeout),
        Ok(Err(error)) => Err(tls_failure(&error)),
        Ok(Ok(stream)) => Ok(Stream::TlsServer(Box::new(stream))),
    }
}

/// Answers what is no ClientHello with an alert, which is the TLS library's to choose.
async fn refuse_tls(stream: TcpStream) -> Refused {
    let accepting = LazyConfigAcceptor::new(Default::default(), stream);
    Refused::Tls(match timeout(DETECTION_TIMEOUT, accepting).await {
        Err(_) => TlsFailure::Timeout,
        Ok(Err(error)) => tls_failure(&error),
        // The library reads more into it than what picks filter chains does: it is closed all the same.
        Ok(Ok(_)) => TlsFailure::Protocol,
    })
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
