//! HTTP/1 to an endpoint: one connection, one exchange at a time.

mod expected;

use crate::body::{BodyFrame, BodyLength};
use crate::error::AttemptError;
use crate::incoming::{Incoming, ReadError};
use crate::io::Stream;
use crate::places::ConnectionPlace;
use crate::rights;
use crate::snapshot::{ClusterPolicy, EndpointState};
use crate::tls;
use crate::tunnel::Raw;
use crate::upstream::socket::LocalEnd;
use crate::upstream::{ResponseStart, Wanted};
use crate::worker::Worker;
use crate::writer::Writer;
use bytes::Bytes;
use expected::Expected;
use outrigger_config::model::{self, defaults};
use outrigger_http1::{
    BodyEncoder, Event, Fields, Framing, KnownName, Limits, Method, RequestHead, ResponseDecoder,
    ResponseHead, encode_request_head,
};
use outrigger_telemetry::{ClusterMetrics, ConnectionFailure, TlsFailure, UpstreamClose};
use outrigger_traffic::retry::AttemptFailure;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// A connection to an endpoint, in use or idle.
pub(crate) struct Connection {
    io: Stream,
    incoming: Incoming<ResponseDecoder>,
    writer: Writer,
    encoder: BodyEncoder,
    requests: u32,
    opened: Instant,
    local: LocalEnd,
    tls: Option<tls::Session>,
    /// Which of the endpoint's addresses it goes to, where it has several.
    peer: Option<SocketAddr>,
    /// When it became idle, and for how long it may stay so.
    idle_since: Instant,
    idle_timeout: Duration,
    worker: usize,
    metrics: Arc<ClusterMetrics>,
    closed_as: UpstreamClose,
    place: ConnectionPlace,
}

impl Connection {
    pub(crate) fn new(
        io: Stream,
        local: LocalEnd,
        cluster: &ClusterPolicy,
        worker: &Worker,
        place: ConnectionPlace,
    ) -> Connection {
        let limits = Limits {
            head_bytes_max: u32::try_from(cluster.config.response_headers_bytes_max()).unwrap_or(u32::MAX),
            fields_max: u32::try_from(cluster.config.response_headers_count_max()).unwrap_or(u32::MAX),
            ..Limits::default()
        };
        let now = Instant::now();
        let peer = cluster.is_logical().then(|| io.peer_address()).flatten();
        cluster.metrics.worker(worker.index).connections_active.inc();
        Connection {
            tls: tls::Session::of(&io, cluster, worker),
            io,
            incoming: Incoming::new(ResponseDecoder::new(limits), ResponseHead::new()),
            writer: Writer::default(),
            encoder: BodyEncoder::new(Framing::None),
            requests: 0,
            opened: now,
            local,
            peer,
            idle_since: now,
            idle_timeout: Duration::ZERO,
            worker: worker.index,
            metrics: Arc::clone(&cluster.metrics),
            closed_as: UpstreamClose::Drained,
            place,
        }
    }

    /// Why an idle connection may not be used; `None`: it may. A close or bytes that have arrived are seen, without a
    /// system call if nothing has.
    pub(crate) fn unusable(
        &mut self,
        pool: &model::PoolOptions,
        worker: &Worker,
        now: Instant,
    ) -> Option<UpstreamClose> {
        let unusable = if now.duration_since(self.idle_since) >= self.idle_timeout {
            Some(UpstreamClose::Idle)
        } else if pool
            .connection_age_max()
            .is_some_and(|age| now.duration_since(self.opened) >= age)
        {
            Some(UpstreamClose::AgeMax)
        } else if pool
            .requests_per_connection_max()
            .is_some_and(|max| self.requests >= max)
        {
            Some(UpstreamClose::RequestsMax)
        } else {
            match self.incoming.closed_now(&mut self.io, worker) {
                Poll::Pending if self.incoming.buffer.is_empty() => None,
                Poll::Pending => Some(UpstreamClose::UnsolicitedBytes),
                Poll::Ready(Ok(())) => Some(UpstreamClose::Peer),
                Poll::Ready(Err(_)) if self.io.lost().is_some() => Some(UpstreamClose::RightLost),
                Poll::Ready(Err(_)) => Some(UpstreamClose::Error),
            }
        };
        if let Some(reason) = unusable {
            self.closed_as = reason;
        }
        unusable
    }

    /// Says how long the connection may be idle from now on; the server may shorten it.
    pub(crate) fn set_idle_timeout(&mut self, pool: &model::PoolOptions) {
        self.idle_timeout = pool.idle_timeout().unwrap_or(defaults::POOL_IDLE_TIMEOUT_HTTP1);
    }

    /// True if no byte of the request can have left. TLS may have sent a part of what it then says it has not taken.
    fn has_written_nothing(&self) -> bool {
        self.writer.bytes_written() == 0 && matches!(self.io, Stream::Plain(_))
    }

    /// True if its endpoint is believed no more.
    pub(crate) fn is_lost(&mut self) -> bool {
        let lost = self.io.lost().is_some();
        if lost {
            self.closed_as = UpstreamClose::RightLost;
        }
        lost
    }

    /// Its place among the cluster's connections.
    pub(crate) fn place(&self) -> &ConnectionPlace {
        &self.place
    }

    /// Closes it to make room for another.
    pub(crate) fn give_way(mut self: Box<Self>) {
        self.closed_as = UpstreamClose::GaveWay;
    }

    /// True if the connection has been idle for as long as it may.
    pub(crate) fn is_expired(&mut self, now: Instant) -> bool {
        let expired = now.duration_since(self.idle_since) >= self.idle_timeout;
        if expired {
            self.closed_as = UpstreamClose::Idle;
        }
        expired
    }
}

impl Connection {
    /// The parts of a connection that has become a tunnel.
    pub(crate) fn raw(&mut self) -> Raw<'_, ResponseDecoder> {
        Raw {
            io: &mut self.io,
            incoming: &mut self.incoming,
            writer: &mut self.writer,
        }
    }

    pub(crate) fn io(&self) -> &Stream {
        &self.io
    }

    /// Bytes that were sent and wait for the kernel to take them.
    pub(crate) fn unwritten_bytes(&self) -> usize {
        self.writer.unwritten_bytes()
    }

    /// Counts what moved since this was last done.
    pub(crate) fn count_bytes(&mut self) {
        let cells = self.metrics.worker(self.worker);
        cells.bytes_sent.add(self.writer.bytes_written());
        cells.bytes_received.add(self.incoming.take_bytes_read());
        self.writer.start_counting();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.count_bytes();
        let cells = self.metrics.worker(self.worker);
        cells.connections_active.dec();
        cells.connections_closed[self.closed_as].inc();
    }
}

/// One request and its response on a connection.
pub(crate) struct Exchange {
    /// `None` once the connection went back to its pool.
    connection: Option<Box<Connection>>,
    worker: Rc<Worker>,
    endpoint: Arc<EndpointState>,
    request_ended: bool,
    response_ended: bool,
    keep_alive: bool,
    /// A byte of a response came.
    answered: bool,
    /// Writing failed: the request goes no further, but a response may still be there to read.
    write_failed: bool,
    expected: Expected,
}

const THERE: &str = "the connection is there until the exchange is complete";

impl Exchange {
    pub(crate) fn new(
        connection: Box<Connection>,
        worker: &Rc<Worker>,
        endpoint: &Arc<EndpointState>,
    ) -> Exchange {
        Exchange {
            connection: Some(connection),
            worker: Rc::clone(worker),
            endpoint: Arc::clone(endpoint),
            request_ended: false,
            response_ended: false,
            keep_alive: true,
            answered: false,
            write_failed: false,
            expected: Expected::Response,
        }
    }

    /// Says what the request that was just sent asks for.
    pub(crate) fn expect(&mut self, wanted: Wanted<'_>) {
        self.expected = wanted.into();
    }

    /// The connection, which has become a tunnel.
    pub(crate) fn into_connection(mut self) -> Box<Connection> {
        let mut connection = self.connection.take().expect(THERE);
        connection.closed_as = UpstreamClose::Tunnel;
        connection
    }

    fn connection(&mut self) -> &mut Connection {
        self.connection.as_mut().expect(THERE)
    }

    pub(crate) fn peer_address(&self) -> Option<SocketAddr> {
        self.connection.as_ref()?.peer
    }

    pub(crate) fn tls(&self) -> Option<&tls::Session> {
        self.connection.as_ref()?.tls.as_ref()
    }

    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        self.connection.as_ref()?.local.address()
    }

    fn is_reused(&self) -> bool {
        self.connection
            .as_ref()
            .is_some_and(|connection| connection.requests > 1)
    }

    #[inline(always)]
    pub(crate) fn send_head(&mut self, head: &RequestHead, length: BodyLength) {
        let framing = match length {
            // RFC 9110 section 8.6: a request whose method expects a body says that there is none.
            BodyLength::None if matches!(head.method, Method::Post | Method::Put | Method::Patch) => {
                Framing::Length(0)
            }
            BodyLength::None => Framing::None,
            BodyLength::Exact(length) => Framing::Length(length),
            BodyLength::Unknown => Framing::Chunked,
        };
        self.request_ended = framing.is_empty();
        let connection = self.connection.as_mut().expect(THERE);
        connection.writer.provide(&self.worker.spares);
        connection.requests += 1;
        connection.closed_as = UpstreamClose::Abandoned;
        connection.incoming.decoder.begin(&head.method);
        connection.writer.start_counting();
        connection.incoming.take_bytes_read();
        encode_request_head(head, framing, connection.writer.text());
        connection.encoder = BodyEncoder::new(framing);
    }

    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        if self.write_failed {
            return Poll::Pending;
        }
        if self
            .connection()
            .writer
            .has_room(defaults::STREAM_BUFFER_BYTES_MAX)
        {
            return Poll::Ready(Ok(()));
        }
        self.poll_flush(cx)
    }

    pub(crate) fn send_data(&mut self, data: Bytes, end: bool) -> Result<(), AttemptError> {
        let connection = self.connection();
        if !data.is_empty() {
            connection
                .encoder
                .begin(data.len(), connection.writer.text())
                .map_err(body_fault)?;
            let length = data.len();
            connection.writer.push_data(data);
            connection.encoder.end(length, connection.writer.text());
        }
        if end { self.finish(None) } else { Ok(()) }
    }

    pub(crate) fn finish(&mut self, trailers: Option<&Fields>) -> Result<(), AttemptError> {
        let connection = self.connection();
        connection
            .encoder
            .finish(trailers, connection.writer.text())
            .map_err(body_fault)?;
        self.request_ended = true;
        Ok(())
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        if self.write_failed {
            return Poll::Pending;
        }
        let connection = self.connection();
        match ready!(connection.writer.poll_flush(&mut connection.io, cx)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(error) if connection.has_written_nothing() => {
                connection.closed_as = UpstreamClose::Peer;
                let failure = AttemptFailure::PooledClosedBeforeWrite;
                Poll::Ready(Err(AttemptError::because(
                    failure,
                    "pooled_connection_closed",
                    error,
                )))
            }
            Err(_) => {
                // An upstream that answers early and closes makes writing fail; the answer decides.
                self.write_failed = true;
                Poll::Pending
            }
        }
    }

    #[inline(always)]
    pub(crate) fn poll_head(
        &mut self,
        head: &mut ResponseHead,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseStart, AttemptError>> {
        let connection = self.connection.as_mut().expect(THERE);
        let event = match ready!(
            connection
                .incoming
                .poll_head(head, &mut connection.io, &self.worker, cx)
        ) {
            Ok(event) => event,
            Err(error) => return Poll::Ready(Err(self.read_fault(error))),
        };
        match event {
            Event::Head(info)
                if info.upgrade && connection.writer.bytes_written() > 0 && self.expected.is_met(head) =>
            {
                Poll::Ready(Ok(ResponseStart::Tunnel))
            }
            Event::Head(info) if info.upgrade => {
                // Nobody asked for it: what follows would be read as another protocol by one side only.
                let connection = self.connection();
                connection.closed_as = UpstreamClose::Protocol;
                connection
                    .metrics
                    .worker(connection.worker)
                    .upstream_protocol_errors
                    .inc();
                Poll::Ready(Err(AttemptError::new(
                    AttemptFailure::ResponseInvalid,
                    "unexpected_upgrade",
                )))
            }
            Event::Head(_) if connection.writer.bytes_written() == 0 => {
                connection.closed_as = UpstreamClose::UnsolicitedBytes;
                let failure = AttemptFailure::ResponseInvalid;
                Poll::Ready(Err(AttemptError::new(failure, "unsolicited_response")))
            }
            Event::Head(info) => {
                self.answered = true;
                self.keep_alive = info.keep_alive;
                let connection = self.connection();
                let length = match info.framing {
                    Framing::None => BodyLength::None,
                    Framing::Length(0) => BodyLength::None,
                    Framing::Length(length) => BodyLength::Exact(length),
                    Framing::Chunked | Framing::UntilClose => BodyLength::Unknown,
                };
                if length == BodyLength::None {
                    connection.incoming.finish_empty_body();
                }
                if info.framing == Framing::UntilClose {
                    self.keep_alive = false;
                } else if let Some(seconds) = keep_alive_timeout(&head.fields) {
                    // A server that closes idle connections early says so; be a second quicker than it.
                    connection.idle_timeout =
                        Duration::from_secs(seconds.saturating_sub(1)).min(connection.idle_timeout);
                }
                Poll::Ready(Ok(ResponseStart::Final(length)))
            }
            _ => Poll::Ready(Ok(ResponseStart::Informational)),
        }
    }

    #[inline(always)]
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyFrame, AttemptError>> {
        let connection = self.connection.as_mut().expect(THERE);
        let frame = match ready!(
            connection
                .incoming
                .poll_body(&mut connection.io, &self.worker, cx)
        ) {
            Ok(frame) => frame,
            Err(ReadError::Eof) if connection.incoming.decoder.eof().is_ok() => BodyFrame::End,
            Err(error) => return Poll::Ready(Err(self.read_fault(error))),
        };
        self.response_ended = frame.is_last();
        Poll::Ready(Ok(frame))
    }

    /// The response was read to its end. The connection goes back to its pool if it is clean: both messages whole,
    /// nothing unasked for behind the response.
    #[inline(always)]
    pub(crate) fn complete(mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if !self.keep_alive {
            connection.closed_as = UpstreamClose::Requested;
        } else if !connection.incoming.buffer.is_empty() {
            connection.closed_as = UpstreamClose::UnsolicitedBytes;
        } else if self.request_ended && connection.writer.is_empty() && !self.write_failed {
            connection.closed_as = UpstreamClose::Drained;
            connection.count_bytes();
            connection.idle_since = self.worker.now();
            connection.incoming.release();
            connection.writer.release(&self.worker.spares);
            self.worker.pools.give_back(connection);
        }
    }

    /// True if the server has ended its handshake because of our certificate: in TLS 1.3 it judges that when we are done,
    /// and before it reads a byte of what we sent meanwhile. A ticket, or anything that was read, would say that its
    /// handshake was done, too.
    fn is_certificate_refused(&self, error: &std::io::Error) -> bool {
        let Some(connection) = &self.connection else {
            return false;
        };
        let Stream::TlsClient(stream) = &connection.io else {
            return false;
        };
        let alert = match tls::rustls_error(error) {
            Some(rustls::Error::AlertReceived(alert)) => *alert,
            _ => return false,
        };
        tls::is_about_certificates(alert)
            && connection.requests == 1
            && !self.answered
            && !connection.incoming.has_read()
            && stream.tls.get_ref().1.tls13_tickets_received() == 0
    }

    fn certificate_refused(&mut self, error: std::io::Error) -> AttemptError {
        let failure = match self.tls() {
            Some(session) => session.refusal(),
            None => TlsFailure::CertificateRefused,
        };
        self.worker.tls_reports.upstream(failure, &error, &self.endpoint);
        let connection = self.connection();
        connection.closed_as = UpstreamClose::Error;
        let cells = connection.metrics.worker(connection.worker);
        cells.tls_handshake_failures[failure].inc();
        cells.connection_failures[ConnectionFailure::Tls].inc();
        AttemptError::because(AttemptFailure::ConnectFailed, tls::detail(failure), error)
    }

    fn read_fault(&mut self, error: ReadError<outrigger_http1::ResponseError>) -> AttemptError {
        let reused = self.is_reused();
        let answered = self.answered;
        let connection = self.connection();
        let nothing_written = connection.has_written_nothing();
        // Any byte of an answer counts, a part of a line or an interim answer too.
        let died = if answered || connection.incoming.has_read() {
            AttemptFailure::DiedAfterAnswer
        } else if nothing_written {
            AttemptFailure::PooledClosedBeforeWrite
        } else {
            AttemptFailure::DiedBeforeAnswer { reused }
        };
        match error {
            ReadError::Eof => {
                self.connection().closed_as = UpstreamClose::Peer;
                AttemptError::new(died, "upstream_connection_closed")
            }
            ReadError::Io(error) if self.is_certificate_refused(&error) => self.certificate_refused(error),
            ReadError::Io(error) if rights::upstream_lost(&error).is_some() => {
                self.connection().closed_as = UpstreamClose::RightLost;
                AttemptError::because(died, rights::UPSTREAM_LOST, error)
            }
            ReadError::Io(error) => {
                self.connection().closed_as = UpstreamClose::Error;
                AttemptError::because(died, "upstream_connection_reset", error)
            }
            ReadError::Refused(error) => {
                let connection = self.connection();
                connection.closed_as = UpstreamClose::Protocol;
                connection
                    .metrics
                    .worker(connection.worker)
                    .upstream_protocol_errors
                    .inc();
                AttemptError::because(AttemptFailure::ResponseInvalid, error.reason(), error)
            }
        }
    }

    /// See [`Connection::set_idle_timeout`].
    pub(crate) fn set_idle_timeout(&mut self, pool: &model::PoolOptions) {
        self.connection().set_idle_timeout(pool);
    }
}

/// The `timeout` parameter of `Keep-Alive`, in seconds.
fn keep_alive_timeout(fields: &Fields) -> Option<u64> {
    let value = std::str::from_utf8(fields.get(KnownName::KeepAlive)?).ok()?;
    value
        .split(',')
        .find_map(|part| part.trim().strip_prefix("timeout=")?.parse().ok())
}

fn body_fault(error: outrigger_http1::BodyLengthError) -> AttemptError {
    AttemptError::because(AttemptFailure::RequestInvalid, "request_body_length", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keep_alive_timeouts_are_read() {
        let read = |value: &[u8]| {
            let mut fields = Fields::new();
            fields.push_known(KnownName::KeepAlive, value);
            keep_alive_timeout(&fields)
        };
        assert_eq!(read(b"timeout=5, max=100"), Some(5));
        assert_eq!(read(b"max=100, timeout=2"), Some(2));
        assert_eq!(read(b"max=100"), None);
        assert_eq!(read(b"timeout=-1"), None);
    }
}
