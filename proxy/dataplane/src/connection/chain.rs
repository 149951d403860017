//! Picking a connection's filter chain, and terminating TLS where it does so.

use super::client_hello::ClientHello;
use super::first_bytes::FirstBytes;
use super::{DETECTION_TIMEOUT, Ends, Refused, plain_http};
use crate::io::Stream;
use crate::snapshot::{ConnectionFacts, Detection, ListenerPolicy, SocketKey, TlsPolicy};
use crate::worker::{LocalSnapshot, Registration, Worker};
use outrigger_config::model::Transport;
use outrigger_telemetry::{ConnectionRefusal, TlsFailure};
use std::io;
use std::rc::Rc;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;

/// Where a connection's filter chain is picked.
pub(super) struct Candidates<'c> {
    pub(super) worker: &'c Rc<Worker>,
    pub(super) accepted_under: &'c Rc<LocalSnapshot>,
    pub(super) key: &'c SocketKey,
}

impl Candidates<'_> {
    /// Picks the chain by what the first bytes are, and terminates TLS where the chain does so.
    pub(super) async fn settle(
        &self,
        stream: TcpStream,
        first: FirstBytes,
        ends: &mut Ends,
        listener: &ListenerPolicy,
    ) -> Result<(Stream, Registration), Refused> {
        let tls_only = listener.detection == Detection::Tls;
        match first {
            FirstBytes::Hello(hello) => {
                ends.server_name = hello.server_name.clone();
                let registration = self.pick(ends, Transport::Tls, &hello)?;
                // Without TLS of its own it passes this through.
                let Some(tls) = tls_of(&registration) else {
                    return Ok((Stream::Plain(stream), registration));
                };
                let stream = terminate(stream, tls).await.map_err(Refused::Tls)?;
                listener.metrics.worker(self.worker.index).tls_handshakes.inc();
                ends.tls = true;
                Ok((stream, registration))
            }
            FirstBytes::MalformedHello => Err(refuse_tls(stream).await),
            FirstBytes::Silent(failure) if tls_only => Err(Refused::Tls(failure)),
            FirstBytes::Silent(failure) => {
                let registration = self.pick(ends, Transport::Raw, &ClientHello::default())?;
                if !passes_bytes(&registration) {
                    return Err(silence(failure).into());
                }
                // It may wait for the server to speak first, or have ended its side already and listen.
                Ok((Stream::Plain(stream), registration))
            }
            FirstBytes::Other => match self.pick(ends, Transport::Raw, &ClientHello::default()) {
                Ok(registration) => Ok((Stream::Plain(stream), registration)),
                Err(refused) if listener.detection == Detection::Nothing => Err(refused),
                Err(_) if plain_http::answer(&stream, DETECTION_TIMEOUT).await => {
                    Err(ConnectionRefusal::PlainHttp.into())
                }
                Err(_) if tls_only => Err(refuse_tls(stream).await),
                Err(refused) => Err(refused),
            },
        }
    }

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
