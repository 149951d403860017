//! Picking a connection's filter chain, and terminating TLS where it does so.

use super::client_hello::ClientHello;
use super::first_bytes::FirstBytes;
use super::{Ends, Refused, hello, hello_patience, plain_http};
use crate::io::Stream;
use crate::snapshot::{ConnectionFacts, Detection, ListenerPolicy, SocketKey, TlsPolicy};
use crate::tls::{self, KnownPeer};
use crate::worker::{LocalSnapshot, Registration, Worker};
use outrigger_config::model::Transport;
use outrigger_telemetry::{ConnectionRefusal, ListenerCells, TlsFailure};
use rustls::server::Accepted;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::server::StartHandshake;

/// Where a connection's filter chain is picked.
pub(super) struct Candidates<'c> {
    pub(super) worker: &'c Rc<Worker>,
    pub(super) accepted_under: &'c Rc<LocalSnapshot>,
    pub(super) key: &'c SocketKey,
    /// When the connection was accepted.
    pub(super) opened: Instant,
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
            FirstBytes::Read(accepted) => {
                let hello = hello::facts(&accepted);
                let (registration, tls) = self.pick_tls(ends, &hello)?;
                // A reload may have taken TLS from the chain that would have it, and the ClientHello is read.
                let tls = tls.ok_or(ConnectionRefusal::NoFilterChain)?;
                let stream = self.terminate(stream, *accepted, &tls, ends, listener).await?;
                Ok((stream, registration))
            }
            FirstBytes::Hello(hello) => {
                let (registration, tls) = self.pick_tls(ends, &hello)?;
                // Without TLS of its own it passes this through.
                let Some(tls) = tls else {
                    return Ok((Stream::Plain(stream), registration));
                };
                // It is all there: whoever looked has seen it.
                let FirstBytes::Read(accepted) =
                    hello::read(&stream, self.worker).await.map_err(Refused::Tls)?
                else {
                    return Err(Refused::Tls(TlsFailure::Protocol));
                };
                let stream = self.terminate(stream, *accepted, &tls, ends, listener).await?;
                Ok((stream, registration))
            }
            FirstBytes::MalformedHello => Err(Refused::Tls(hello::refuse(&stream, &[], self.worker))),
            FirstBytes::Silent(failure) if tls_only => Err(Refused::Tls(failure)),
            FirstBytes::Silent(failure) => {
                let registration = self.pick(ends, Transport::Raw, &ClientHello::default())?;
                if !passes_bytes(&registration) {
                    return Err(silence(failure).into());
                }
                // It may wait for the server to speak first, or have ended its side already and listen.
                Ok((Stream::Plain(stream), registration))
            }
            FirstBytes::Other(mut read) => {
                // What was read is no TLS, and nothing else is spoken here.
                let picked = match read.is_empty() {
                    true => self.pick(ends, Transport::Raw, &ClientHello::default()),
                    false => Err(ConnectionRefusal::NoFilterChain.into()),
                };
                let patience = hello_patience(self.opened, listener, self.accepted_under);
                match picked {
                    Ok(registration) => Ok((Stream::Plain(stream), registration)),
                    Err(refused) if listener.detection == Detection::Nothing => Err(refused),
                    Err(_) if plain_http::answer(&stream, &mut read, patience).await => {
                        Err(ConnectionRefusal::PlainHttp.into())
                    }
                    Err(_) if tls_only => Err(Refused::Tls(hello::refuse(&stream, &read, self.worker))),
                    Err(refused) => Err(refused),
                }
            }
        }
    }

    /// Picks the chain for a TLS connection, and its TLS settings if it has some.
    fn pick_tls(
        &self,
        ends: &mut Ends,
        hello: &ClientHello,
    ) -> Result<(Registration, Option<TlsPolicy>), Refused> {
        ends.server_name = hello.server_name.clone();
        let registration = self.pick(ends, Transport::Tls, hello)?;
        let snapshot = registration.control.snapshot();
        let tls = registration.control.chain(&snapshot).tls.clone();
        let belief = tls.as_ref().and_then(|tls| tls.belief.clone());
        registration.control.rights.believe(belief);
        Ok((registration, tls))
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

    /// The rest of the handshake, and what it says of the client.
    async fn terminate(
        &self,
        stream: TcpStream,
        accepted: Accepted,
        tls: &TlsPolicy,
        ends: &mut Ends,
        listener: &ListenerPolicy,
    ) -> Result<Stream, Refused> {
        let patience = tls
            .settings
            .handshake_timeout()
            .saturating_sub(self.opened.elapsed());
        // As the library will ask again; it does not tell what it was given.
        let ours = tls.config.cert_resolver.resolve(accepted.client_hello());
        let handshake = StartHandshake::from_parts(accepted, stream).into_stream(Arc::clone(&tls.config));
        let stream = match timeout(patience, handshake).await {
            Err(_) => return Err(Refused::Tls(TlsFailure::Timeout)),
            Ok(Err(error)) => {
                let failure = match (tls::failure_of(&error), &ours) {
                    // The library says no more than that it does not go on.
                    (TlsFailure::Protocol, None) => TlsFailure::OwnCertificate,
                    (failure, ours) => {
                        let ours = ours
                            .as_ref()
                            .and_then(|ours| self.worker.known_peers.of(&ours.cert));
                        tls::judge_refusal(failure, ours.map(|ours| ours.validity.not_after))
                    }
                };
                self.worker.tls_reports.downstream(failure, &error, ends.remote);
                return Err(Refused::Tls(failure));
            }
            Ok(Ok(stream)) => stream,
        };
        let session = stream.get_ref().1;
        let cells: &ListenerCells = listener.metrics.worker(self.worker.index);
        cells.tls_handshakes[tls::kind(session)].inc();
        let terms = tls::Terms::of(session);
        cells.tls_connections[terms.version].inc();
        ends.tls = Some(terms);
        ends.identity = identity_of(session, self.worker)
            .inspect_err(|failure| {
                self.worker
                    .tls_reports
                    .downstream(*failure, &"resumed", ends.remote)
            })
            .map_err(Refused::Tls)?;
        ends.local = ours.and_then(|ours| self.worker.known_peers.of(&ours.cert));
        Ok(Stream::TlsServer(Box::new(stream)))
    }
}

/// Who the client is. A session that goes on is not judged by the verifier: its certificate may have expired since.
fn identity_of(session: &rustls::CommonState, worker: &Worker) -> Result<Option<Rc<KnownPeer>>, TlsFailure> {
    let Some(chain) = session.peer_certificates() else {
        return Ok(None);
    };
    let peer = worker
        .known_peers
        .of(chain)
        .ok_or(TlsFailure::CertificateInvalid)?;
    match tls::has_outlived(session, worker) {
        true => Err(TlsFailure::CertificateExpired),
        false => Ok(Some(peer)),
    }
}

fn silence(failure: TlsFailure) -> ConnectionRefusal {
    match failure {
        TlsFailure::Timeout => ConnectionRefusal::DetectionTimeout,
        _ => ConnectionRefusal::Detection,
    }
}

/// True if the chain that was picked may pass bytes on as they are.
fn passes_bytes(registration: &Registration) -> bool {
    let snapshot = registration.control.snapshot();
    registration.control.chain(&snapshot).tcp.is_some()
}
