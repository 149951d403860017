//! HTTP/2 to an endpoint: one connection, many streams.

use crate::body::{BodyFrame, BodyLength};
use crate::error::AttemptError;
use crate::gather::Gather;
use crate::head::{connect_to_http2, request_to_http2, response_from_http2};
use crate::http2::{Http2Receiver, Http2Sender, Keepalive, flush};
use crate::io::Stream;
use crate::places::{ConnectionPlace, Given, StreamEnds};
use crate::rights;
use crate::snapshot::ClusterPolicy;
use crate::tls;
use crate::tunnel::Http2Side;
use crate::upstream::socket::LocalEnd;
use crate::upstream::{ResponseStart, Wanted};
use crate::worker::Worker;
use bytes::Bytes;
use outrigger_config::model::{self, Http2Options, defaults};
use outrigger_http1::{Fields, KnownName, RequestHead, ResponseHead};
use outrigger_telemetry::{ClusterMetrics, TlsFailure, UpstreamClose};
use outrigger_traffic::retry::AttemptFailure;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use tokio::time::Instant;

/// Streams on a connection whose peer has not said how many it allows. RFC 9113 section 5.1.2 lets a client guess; a
/// wrong guess is streams that are refused, and so none starts before the peer's settings are here.
const STREAMS_BEFORE_SETTINGS: usize = 0;

/// Interim answers before one final answer; as the HTTP/1 codec's.
const INFORMATIONAL_MAX: u32 = 8;

type ClientConnection = h2::client::Connection<Gather<Stream>, Bytes>;

/// A connection to an endpoint. Its driver task ends when the peer ends it or when its last handle is dropped.
pub(crate) struct Connection {
    sender: RefCell<h2::client::SendRequest<Bytes>>,
    streams_max: usize,
    /// Fields of a response's head, at most.
    fields_max: usize,
    active: Cell<usize>,
    requests: Cell<u32>,
    opened: Instant,
    local: LocalEnd,
    tls: Option<tls::Session>,
    /// Which of the endpoint's addresses it goes to, where it has several.
    peer: Option<SocketAddr>,
    idle_since: Cell<Instant>,
    config: Arc<model::Cluster>,
    ends: StreamEnds,
    /// No new stream may start: GOAWAY, an error, age, or its endpoint is gone.
    closing: Rc<Cell<Option<UpstreamClose>>>,
}

impl Connection {
    /// Greets the peer, waits for its settings and starts the driver. Where TLS failed after its handshake, the error
    /// says so too.
    pub(crate) async fn open(
        io: Stream,
        local: LocalEnd,
        cluster: &ClusterPolicy,
        worker: &Worker,
        place: ConnectionPlace,
    ) -> Result<Rc<Connection>, (io::Error, Option<TlsFailure>)> {
        let options = cluster.config.http2();
        let peer = cluster.is_logical().then(|| io.peer_address()).flatten();
        let tls = tls::Session::of(&io, cluster, worker);
        let gather = Gather::new(io, &worker.spares);
        let handshake = builder(options, &cluster.config).handshake(gather.clone());
        let greeting = async {
            let (sender, mut connection) = handshake.await.map_err(io::Error::other)?;
            settle(&sender, &mut connection).await?;
            Ok((sender, connection))
        };
        let (sender, mut connection) = match greeting.await {
            Ok(greeted) => greeted,
            Err(error) if is_of_stream(&error) && tls.is_some() => {
                return Err((error, gather.into_tls_failure().await));
            }
            Err(error) => return Err((error, None)),
        };
        let keepalive = Keepalive::new(options, connection.ping_pong());
        gather.start();
        let now = Instant::now();
        let handle = Rc::new(Connection {
            sender: RefCell::new(sender),
            streams_max: options.concurrent_streams_max() as usize,
            fields_max: cluster.config.response_headers_count_max(),
            active: Cell::new(0),
            requests: Cell::new(0),
            opened: now,
            local,
            tls,
            peer,
            idle_since: Cell::new(now),
            config: Arc::clone(&cluster.config),
            ends: place.stream_ends(),
            closing: Rc::default(),
        });
        let closing = Rc::clone(&handle.closing);
        let metrics = Arc::clone(&cluster.metrics);
        tokio::task::spawn_local(drive(
            connection,
            gather,
            keepalive,
            closing,
            (metrics, worker.index),
            place,
        ));
        Ok(handle)
    }

    /// True if one more stream may start on it now.
    pub(crate) fn has_room(&self, pool: &model::PoolOptions, now: Instant) -> bool {
        if self.closing.get().is_some() {
            return false;
        }
        if pool
            .connection_age_max()
            .is_some_and(|age| now.duration_since(self.opened) >= age)
        {
            self.closing.set(Some(UpstreamClose::AgeMax));
        } else if pool
            .requests_per_connection_max()
            .is_some_and(|max| self.requests.get() >= max)
        {
            self.closing.set(Some(UpstreamClose::RequestsMax));
        } else if !self.is_going_away() {
            return self.active.get()
                < self
                    .streams_max
                    .min(self.sender.borrow().current_max_send_streams());
        }
        false
    }

    /// True if the peer takes no more streams.
    fn is_going_away(&self) -> bool {
        // An error here is a GOAWAY that was received, or a connection that ended.
        let ready = self
            .sender
            .borrow_mut()
            .poll_ready(&mut Context::from_waker(Waker::noop()));
        let going_away = matches!(ready, Poll::Ready(Err(_)));
        if going_away && self.closing.get().is_none() {
            self.closing.set(Some(UpstreamClose::Goaway));
        }
        going_away
    }

    /// True if nothing more will start on it and nothing is left: its pool lets go of it.
    pub(crate) fn is_finished(&self) -> bool {
        self.closing.get().is_some() && self.active.get() == 0
    }

    /// Lets go of a connection whose peer goes away, or that has been unused for as long as it may.
    pub(crate) fn expire(&self, pool: &model::PoolOptions, now: Instant) {
        if self.is_going_away() {
            return;
        }
        let timeout = pool.idle_timeout().unwrap_or(defaults::POOL_IDLE_TIMEOUT_HTTP2);
        if self.active.get() == 0 && now.duration_since(self.idle_since.get()) >= timeout {
            self.closing.set(self.closing.get().or(Some(UpstreamClose::Idle)));
        }
    }

    /// Takes no more streams, and ends with the last of those that it has.
    pub(crate) fn let_go(&self) {
        self.closing
            .set(self.closing.get().or(Some(UpstreamClose::Drained)));
    }

    /// True if nothing is on it.
    pub(crate) fn is_idle(&self) -> bool {
        self.active.get() == 0
    }

    /// Takes it on to close the connection if nothing is on it and that is wanted; `by_endpoint`: by who waits for its
    /// endpoint.
    pub(crate) fn take_room_wanted(&self, by_endpoint: bool) -> bool {
        self.is_idle() && self.ends.take_room_wanted(by_endpoint)
    }

    /// Closes a connection on which nothing is, to make room for another; its pool lets go of it.
    pub(crate) fn give_way(&self) {
        self.closing
            .set(self.closing.get().or(Some(UpstreamClose::GaveWay)));
    }

    /// Gives the place of a stream that has ended to who waits for one; a connection without streams gives way.
    #[cold]
    fn make_room(self: &Rc<Self>) {
        if self.has_room(self.config.pool(), Instant::now())
            && let Some(waiter) = self.ends.next_waiter()
        {
            waiter.give(Given::Stream(Box::new(self.reserve())));
        } else if self.is_idle() {
            self.ends.idle();
        }
    }

    /// Counts a stream that is about to start.
    pub(crate) fn reserve(self: &Rc<Self>) -> Exchange {
        self.active.set(self.active.get() + 1);
        self.requests.set(self.requests.get().saturating_add(1));
        Exchange {
            reused: self.requests.get() > 1,
            stream: StreamGuard(Rc::clone(self)),
            response: None,
            sender: None,
            receiver: None,
            peeked: None,
            answered: false,
            wants_tunnel: false,
            informational: 0,
        }
    }
}

fn builder(options: &Http2Options, cluster: &model::Cluster) -> h2::client::Builder {
    let mut builder = h2::client::Builder::new();
    builder
        .enable_push(false)
        .initial_max_send_streams(STREAMS_BEFORE_SETTINGS)
        .initial_window_size(options.stream_window_bytes())
        .initial_connection_window_size(options.connection_window_bytes())
        .max_header_list_size(u32::try_from(cluster.response_headers_bytes_max()).unwrap_or(u32::MAX))
        .max_send_buffer_size(defaults::STREAM_BUFFER_BYTES_MAX);
    builder
}

/// True if the stream has failed, not the protocol.
fn is_of_stream(error: &io::Error) -> bool {
    let cause = error
        .get_ref()
        .and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(h2::Error::is_io)
}

/// Drives the connection until the peer's settings are here, which say how many streams it allows.
async fn settle(
    sender: &h2::client::SendRequest<Bytes>,
    connection: &mut ClientConnection,
) -> io::Result<()> {
    poll_fn(|cx| match std::pin::Pin::new(&mut *connection).poll(cx) {
        Poll::Ready(Ok(())) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
        Poll::Ready(Err(error)) => Poll::Ready(Err(io::Error::other(error))),
        Poll::Pending if sender.current_max_send_streams() > STREAMS_BEFORE_SETTINGS => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// Drives a connection to its end.
async fn drive(
    mut connection: ClientConnection,
    gather: Gather<Stream>,
    mut keepalive: Option<Keepalive>,
    closing: Rc<Cell<Option<UpstreamClose>>>,
    (metrics, worker): (Arc<ClusterMetrics>, usize),
    place: ConnectionPlace,
) {
    let cells = metrics.worker(worker);
    cells.connections_active.inc();
    let ended = poll_fn(|cx| {
        let polled = std::pin::Pin::new(&mut connection).poll(cx);
        let flushed = flush(&gather, cx);
        let (read, written) = gather.take_counts();
        cells.bytes_received.add(read);
        cells.bytes_sent.add(written);
        if let Poll::Ready(result) = polled {
            return Poll::Ready(match result {
                Ok(()) => UpstreamClose::Peer,
                Err(error) if error.is_go_away() && error.is_remote() => UpstreamClose::Goaway,
                Err(error) if error.is_io() => failed(&gather),
                Err(_) => UpstreamClose::Protocol,
            });
        }
        if flushed.is_err()
            || keepalive
                .as_mut()
                .is_some_and(|keepalive| keepalive.poll(cx).is_ready())
        {
            return Poll::Ready(failed(&gather));
        }
        Poll::Pending
    })
    .await;
    let reason = match ended {
        UpstreamClose::RightLost => ended,
        ended => closing.get().unwrap_or(ended),
    };
    closing.set(Some(reason));
    // The socket first: the place is free when the connection is closed.
    drop((connection, gather));
    drop(place);
    cells.connections_active.dec();
    cells.connections_closed[reason].inc();
}

/// Why the connection's socket failed.
fn failed(gather: &Gather<Stream>) -> UpstreamClose {
    match gather.with_io(Stream::lost) {
        Some(_) => UpstreamClose::RightLost,
        None => UpstreamClose::Error,
    }
}

use std::future::Future as _;

/// A stream's place on its connection.
pub(crate) struct StreamGuard(Rc<Connection>);

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.0.active.set(self.0.active.get() - 1);
        if self.0.active.get() == 0 {
            self.0.idle_since.set(Instant::now());
        }
        if self.0.ends.is_waited_for() {
            self.0.make_room();
        }
    }
}

/// One request and its response: a stream.
pub(crate) struct Exchange {
    reused: bool,
    response: Option<h2::client::ResponseFuture>,
    sender: Option<Http2Sender>,
    receiver: Option<Http2Receiver>,
    /// The body's first frame, which was looked at.
    peeked: Option<BodyFrame>,
    /// A head came, if only an interim one.
    answered: bool,
    /// The request asks for a tunnel: any success makes one.
    wants_tunnel: bool,
    informational: u32,
    /// Last, so that the stream's handles are dropped before its place is free.
    stream: StreamGuard,
}

impl Exchange {
    pub(crate) fn peer_address(&self) -> Option<SocketAddr> {
        self.stream.0.peer
    }

    pub(crate) fn tls(&self) -> Option<&tls::Session> {
        self.stream.0.tls.as_ref()
    }

    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        self.stream.0.local.address()
    }

    pub(crate) fn send_head(
        &mut self,
        head: &RequestHead,
        length: BodyLength,
        tls: bool,
    ) -> Result<(), AttemptError> {
        let request = request_to_http2(head, scheme(tls));
        self.send(request, length == BodyLength::None)
    }

    /// True if the peer has said that it understands extended CONNECT.
    pub(crate) fn takes_protocols(&self) -> bool {
        let sender = self.stream.0.sender.borrow();
        sender.is_extended_connect_protocol_enabled()
    }

    /// Sends the head of a request that asks for a tunnel.
    pub(crate) fn send_head_for(
        &mut self,
        head: &RequestHead,
        wanted: Wanted<'_>,
        tls: bool,
    ) -> Result<(), AttemptError> {
        let protocol = match wanted {
            Wanted::Protocol(protocol) => Some(protocol),
            Wanted::Connect => None,
        };
        self.wants_tunnel = true;
        self.send(connect_to_http2(head, scheme(tls), protocol), false)
    }

    /// The tunnel's side.
    ///
    /// # Panics
    /// If no response came before.
    pub(crate) fn into_side(self) -> Http2Side {
        Http2Side {
            receiver: self.receiver.expect("the response is there"),
            sender: self.sender.expect("the request was sent"),
            finished: false,
            _guard: Some(self.stream),
        }
    }

    fn send(&mut self, request: Option<http::Request<()>>, end: bool) -> Result<(), AttemptError> {
        let request = request.ok_or_else(|| {
            AttemptError::new(AttemptFailure::RequestInvalid, "request_not_expressible_in_http2")
        })?;
        let sent = self
            .stream
            .0
            .sender
            .borrow_mut()
            .clone()
            .send_request(request, end);
        let (response, stream) = sent.map_err(|error| self.fault(error))?;
        self.response = Some(response);
        self.sender = Some(Http2Sender::new(stream));
        Ok(())
    }

    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        let Some(sender) = &mut self.sender else {
            return Poll::Ready(Ok(()));
        };
        match ready!(sender.poll_room(cx)) {
            Ok(()) => Poll::Ready(Ok(())),
            // The peer wants no more of the request. Its response decides; it may be whole already.
            Err(_) => Poll::Pending,
        }
    }

    pub(crate) fn send_data(&mut self, data: Bytes, end: bool) -> Result<(), AttemptError> {
        if let Some(sender) = &mut self.sender {
            // As above: what became of the stream is told by the response.
            let _ = sender.send_data(data, end);
        }
        Ok(())
    }

    pub(crate) fn finish(&mut self, trailers: Option<&Fields>) -> Result<(), AttemptError> {
        if let Some(sender) = &mut self.sender {
            let _ = match trailers {
                Some(trailers) => sender.send_trailers(trailers),
                None => sender.finish(),
            };
        }
        Ok(())
    }

    pub(crate) fn poll_head(
        &mut self,
        head: &mut ResponseHead,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseStart, AttemptError>> {
        let Some(response) = &mut self.response else {
            return Poll::Pending;
        };
        if let Poll::Ready(Some(informational)) = response.poll_informational(cx) {
            return Poll::Ready(match informational {
                // RFC 9113 section 8.6.
                Ok(informational) if informational.status() == http::StatusCode::SWITCHING_PROTOCOLS => Err(
                    AttemptError::new(AttemptFailure::ResponseInvalid, "upstream_switching_protocols"),
                ),
                Ok(_) if self.informational == INFORMATIONAL_MAX => Err(AttemptError::new(
                    AttemptFailure::ResponseInvalid,
                    "too_many_informational",
                )),
                Ok(informational) => {
                    self.answered = true;
                    self.informational += 1;
                    response_from_http2(&informational.into_parts().0, head);
                    Ok(ResponseStart::Informational)
                }
                Err(error) => Err(self.fault(error)),
            });
        }
        let response = match ready!(std::pin::Pin::new(response).poll(cx)) {
            Ok(response) => response,
            Err(error) => return Poll::Ready(Err(self.fault(error))),
        };
        self.response = None;
        self.answered = true;
        let (parts, body) = response.into_parts();
        response_from_http2(&parts, head);
        if head.fields.len() > self.stream.0.fields_max {
            return Poll::Ready(Err(AttemptError::new(
                AttemptFailure::ResponseInvalid,
                "too_many_fields",
            )));
        }
        let receiver = Http2Receiver::new(body);
        if self.wants_tunnel && (200..300).contains(&head.status) {
            self.receiver = Some(receiver);
            return Poll::Ready(Ok(ResponseStart::Tunnel));
        }
        let length = match head.fields.get(KnownName::ContentLength) {
            _ if receiver.is_end() => BodyLength::None,
            // Whatever its length says; what should follow is not waited for.
            _ if matches!(head.status, 204 | 304) => BodyLength::None,
            Some(value) => std::str::from_utf8(value)
                .ok()
                .and_then(|text| text.parse().ok())
                .map_or(BodyLength::Unknown, BodyLength::Exact),
            None => BodyLength::Unknown,
        };
        self.receiver = Some(receiver);
        Poll::Ready(Ok(ResponseStart::Final(length)))
    }

    /// The next frame of the body, if it is trailers and is here.
    pub(crate) fn peek_trailers(&mut self) -> Option<&Fields> {
        if self.peeked.is_none() {
            let receiver = self.receiver.as_mut()?;
            let mut cx = Context::from_waker(Waker::noop());
            // An error comes again when it is asked for.
            if let Poll::Ready(Ok(frame)) = receiver.poll_body(&mut cx) {
                self.peeked = Some(frame);
            }
        }
        match &self.peeked {
            Some(BodyFrame::Trailers(trailers)) => Some(trailers),
            _ => None,
        }
    }

    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyFrame, AttemptError>> {
        if let Some(frame) = self.peeked.take() {
            return Poll::Ready(Ok(frame));
        }
        let Some(receiver) = &mut self.receiver else {
            return Poll::Pending;
        };
        match ready!(receiver.poll_body(cx)) {
            Ok(frame) => Poll::Ready(Ok(frame)),
            Err(error) => Poll::Ready(Err(self.fault(error))),
        }
    }

    /// The response was read to its end: dropping the halves resets a request that is still being sent, as RFC 9113
    /// section 8.1 asks.
    pub(crate) fn complete(self) {}

    fn fault(&self, error: h2::Error) -> AttemptError {
        let refused = error.reason() == Some(h2::Reason::REFUSED_STREAM);
        let (failure, detail) = if error.is_library() {
            (AttemptFailure::ResponseInvalid, "upstream_http2_protocol_error")
        } else if self.answered {
            (AttemptFailure::DiedAfterAnswer, "upstream_stream_ended")
        } else if error.is_remote() && error.is_go_away() {
            // `h2` gives a received GOAWAY to streams above its last id only, and to streams that never started.
            (AttemptFailure::GoAwayAboveStream, "upstream_goaway")
        } else if error.is_remote() && error.is_reset() && refused {
            (AttemptFailure::RefusedStream, "upstream_refused_stream")
        } else if error.is_remote() && error.is_reset() {
            (AttemptFailure::ResetBeforeAnswer, "upstream_reset_stream")
        } else {
            (
                AttemptFailure::DiedBeforeAnswer { reused: self.reused },
                "upstream_connection_closed",
            )
        };
        let detail = match self.stream.0.closing.get() {
            Some(UpstreamClose::RightLost) => rights::UPSTREAM_LOST,
            _ => detail,
        };
        AttemptError::because(failure, detail, error)
    }
}

fn scheme(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}
