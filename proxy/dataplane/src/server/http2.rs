//! An HTTP/2 downstream connection: one task drives the connection, one serves each stream.
//!
//! The driver owns the `h2` connection; streams are tasks of their own, which end with their stream. When the driver
//! ends, its streams fail on their own, since `h2` tells them.

mod stream;

pub(crate) use stream::ServerStream;

use crate::body::BodyLength;
use crate::connection::Accepted;
use crate::flood::FrameMeter;
use crate::gather::Gather;
use crate::head::request_from_http2;
use crate::http2::{Http2Receiver, Keepalive, flush};
use crate::io::Stream;
use crate::pipeline::{self, Extent, RequestContext, Tunnel};
use crate::reply::LocalReply;
use crate::rights;
use crate::server::{Downstream, in_box};
use crate::snapshot::ChainPolicy;
use crate::timer::{TimerSlot, after, earlier};
use crate::tunnel::{Http2Side, Side};
use bytes::Bytes;
use outrigger_http1::KnownName;
use outrigger_telemetry::{ConnectionClose, HttpProtocol, ListenerCells};
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

/// Streams that the client reset before they were taken up; more ends the connection (the rapid-reset flood,
/// CVE-2023-44487). `h2`'s own default.
const PENDING_RESET_STREAMS_MAX: usize = 20;
/// Streams that we reset for the client's errors; more ends the connection. `h2`'s own default.
const LOCAL_ERROR_RESETS_MAX: usize = 1024;
/// Streams that the client reset before any answer and soon after their start, at most, if they are more than half of
/// all: the rapid-reset flood at a pace that [`PENDING_RESET_STREAMS_MAX`] does not see. Envoy's
/// `premature_reset_total_stream_count`.
const PREMATURE_RESETS_MAX: u32 = 500;
/// What soon means here. Envoy's `premature_reset_min_stream_lifetime_seconds`.
const PREMATURE: Duration = Duration::from_secs(1);
/// Bytes of response that `h2` may hold for a stream beside the one piece that we do.
const SEND_BUFFER_BYTES: usize = outrigger_config::model::defaults::STREAM_BUFFER_BYTES_MAX;

/// Bytes that are discarded after GOAWAY for an error, at most, and at a time.
const LINGER_BYTES_MAX: usize = 1024 * 1024;
const LINGER_READ_BYTES: usize = 8 * 1024;
/// How long a connection that was told to go away, and has no streams, may stay.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the last words to a client that has lost its right may take, and its own close.
const PART_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves the connection. `read_ahead`: bytes that were taken from the stream already.
pub(crate) async fn serve(stream: Stream, read_ahead: Bytes, accepted: Accepted) {
    let accepted = Rc::new(accepted);
    let snapshot = accepted.registration.control.snapshot();
    let chain = std::sync::Arc::clone(accepted.registration.control.chain(&snapshot));
    drop(snapshot);
    let metrics = std::sync::Arc::clone(&chain.listener);
    let cells = metrics.worker(accepted.worker.index);
    cells.http_connections[HttpProtocol::Http2].inc();
    let gather = Gather::metered(
        stream,
        read_ahead,
        FrameMeter::new(Instant::now()),
        &accepted.worker.spares,
    );
    let handshake = builder(&chain).handshake::<_, Bytes>(gather.clone());
    let greeted = tokio::time::timeout(chain.http().options.request_headers_timeout(), handshake).await;
    let Ok(Ok(mut connection)) = greeted else {
        cells.http2_connection_errors.inc();
        cells.connections_closed[ConnectionClose::Protocol].inc();
        return;
    };
    let keepalive = Keepalive::new(chain.http().options.http2(), connection.ping_pong());
    drop(chain);
    gather.start();
    let driver = Driver {
        accepted: &accepted,
        gather,
        keepalive,
        opened: Instant::now(),
        timer: TimerSlot::default(),
        streams: Rc::new(Streams {
            active: Cell::new(0),
            idle_since: Cell::new(Instant::now()),
            premature_resets: Cell::new(0),
        }),
        requests: 0,
        closing: None,
    };
    let lingering = driver.gather.clone();
    let reason = driver.run(connection, cells).await;
    match reason {
        ConnectionClose::Protocol => linger(lingering, CLOSE_TIMEOUT).await,
        ConnectionClose::RightLost => part(lingering).await,
        _ => {}
    }
    cells.connections_closed[reason].inc();
}

/// Closes a connection that has lost its right so that its GOAWAY arrives.
async fn part(mut gather: Gather<Stream>) {
    let closing = async {
        if gather.shutdown().await.is_ok() {
            linger(gather, PART_TIMEOUT).await;
        }
    };
    // The end of patience changes nothing: the connection is closed.
    let _ = tokio::time::timeout(PART_TIMEOUT, closing).await;
}

/// Reads on for a while after GOAWAY, so that what the client still sends does not reset the connection and destroy it.
async fn linger(mut gather: Gather<Stream>, patience: Duration) {
    let mut scratch = vec![0; LINGER_READ_BYTES];
    let closing = async {
        let mut discarded = 0;
        while discarded < LINGER_BYTES_MAX {
            match gather.read(&mut scratch).await {
                Ok(read) if read > 0 => discarded += read,
                _ => break,
            }
        }
    };
    // The end of patience changes nothing: the connection is closed.
    let _ = tokio::time::timeout(patience, closing).await;
}

fn builder(chain: &ChainPolicy) -> h2::server::Builder {
    let options = &chain.http().options;
    let http2 = options.http2();
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(http2.stream_window_bytes())
        .initial_connection_window_size(http2.connection_window_bytes())
        .max_concurrent_streams(http2.concurrent_streams_max())
        .max_header_list_size(u32::try_from(options.request_headers_bytes_max()).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(PENDING_RESET_STREAMS_MAX)
        .max_local_error_reset_streams(Some(LOCAL_ERROR_RESETS_MAX))
        .max_send_buffer_size(SEND_BUFFER_BYTES);
    if chain.http().allows_upgrades() {
        builder.enable_connect_protocol();
    }
    builder
}

type ServerConnection = h2::server::Connection<Gather<Stream>, Bytes>;

struct Driver<'a> {
    accepted: &'a Rc<Accepted>,
    gather: Gather<Stream>,
    keepalive: Option<Keepalive>,
    opened: Instant,
    timer: TimerSlot,
    streams: Rc<Streams>,
    requests: u32,
    /// Why GOAWAY was sent.
    closing: Option<(ConnectionClose, Instant)>,
}

impl Driver<'_> {
    async fn run(mut self, mut connection: ServerConnection, cells: &ListenerCells) -> ConnectionClose {
        poll_fn(|cx| {
            self.accepted.registration.control.set_waker(cx.waker());
            self.end_lost(&mut connection);
            let polled = self.poll_streams(&mut connection, cells, cx);
            self.end_flood(&mut connection, cells, cx);
            let flushed = flush(&self.gather, cx);
            let (read, written) = self.gather.take_counts();
            // For the listener as it is named now.
            let control = &self.accepted.registration.control;
            let current = control.snapshot();
            let current = control
                .chain(&current)
                .listener
                .worker(self.accepted.worker.index);
            current.bytes_received.add(read);
            current.bytes_sent.add(written);
            if let Poll::Ready(reason) = polled {
                return Poll::Ready(reason);
            }
            if flushed.is_err() {
                return Poll::Ready(ConnectionClose::Error);
            }
            if self
                .keepalive
                .as_mut()
                .is_some_and(|keepalive| keepalive.poll(cx).is_ready())
            {
                return Poll::Ready(ConnectionClose::Error);
            }
            self.poll_end(&mut connection, cx)
        })
        .await
    }

    /// Drives the connection and starts a task for each new stream; ready when the connection has ended.
    fn poll_streams(
        &mut self,
        connection: &mut ServerConnection,
        cells: &ListenerCells,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionClose> {
        loop {
            match connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => self.start(request, respond),
                Poll::Ready(Some(Err(error))) => {
                    if !error.is_io() {
                        cells.http2_connection_errors.inc();
                        tracing::debug!(%error, "HTTP/2 connection ended");
                    }
                    let reason = if error.is_io() {
                        ConnectionClose::Error
                    } else {
                        ConnectionClose::Protocol
                    };
                    return Poll::Ready(self.closing.map_or(reason, |(reason, _)| reason));
                }
                Poll::Ready(None) => {
                    return Poll::Ready(self.closing.map_or(ConnectionClose::Peer, |(reason, _)| reason));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Ends a connection that has lost its right, with all its streams.
    fn end_lost(&mut self, connection: &mut ServerConnection) {
        let accepted = self.accepted;
        if matches!(self.closing, Some((ConnectionClose::RightLost, _))) {
            return;
        }
        if rights::judge(accepted).is_some() {
            self.closing = Some((ConnectionClose::RightLost, Instant::now()));
            // GOAWAY leaves with the poll that follows.
            connection.abrupt_shutdown(rights::RESET_REASON);
            accepted.registration.control.rights.wake_streams();
        }
    }

    /// Ends the connection of a client that only costs.
    fn end_flood(&mut self, connection: &mut ServerConnection, cells: &ListenerCells, cx: &mut Context<'_>) {
        let resets = self.streams.premature_resets.get();
        let flooded = self.gather.is_flooded() || resets > PREMATURE_RESETS_MAX && resets > self.requests / 2;
        let is_ending = matches!(
            self.closing,
            Some((ConnectionClose::Protocol | ConnectionClose::RightLost, _))
        );
        if flooded && !is_ending {
            tracing::debug!(resets, "a flood of frames ends an HTTP/2 connection");
            cells.http2_connection_errors.inc();
            self.closing = Some((ConnectionClose::Protocol, Instant::now()));
            connection.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
            // GOAWAY leaves with the next poll of the connection.
            cx.waker().wake_by_ref();
        }
    }

    fn start(&mut self, request: http::Request<h2::RecvStream>, respond: h2::server::SendResponse<Bytes>) {
        self.requests += 1;
        self.streams.active.set(self.streams.active.get() + 1);
        let guard = ActiveStream {
            streams: Rc::clone(&self.streams),
            accepted: Rc::clone(self.accepted),
            place: self.accepted.registration.control.rights.begin_stream(),
        };
        // Boxed, because the runtime moves a task's future several times before it is first polled.
        tokio::task::spawn_local(in_box(|| serve_stream(guard, request, respond)));
    }

    /// Begins to close when policy says so, and is ready when a connection that should close is free.
    fn poll_end(&mut self, connection: &mut ServerConnection, cx: &mut Context<'_>) -> Poll<ConnectionClose> {
        let control = &self.accepted.registration.control;
        let snapshot = control.snapshot();
        let options = &control.chain(&snapshot).http().options;
        let idle_since = self.streams.idle_since.get();
        let idle_deadline = if self.streams.active.get() == 0 {
            after(idle_since, Some(options.idle_timeout()))
        } else {
            None
        };
        let age_deadline = after(self.opened, options.connection_age_max());
        let now = Instant::now();
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|deadline| now >= deadline);
        let reason = if let Some(reason) = control.end_reason() {
            Some(reason)
        } else if options
            .requests_per_connection_max()
            .is_some_and(|max| self.requests >= max)
        {
            Some(ConnectionClose::RequestsMax)
        } else if passed(age_deadline) {
            Some(ConnectionClose::AgeMax)
        } else if passed(idle_deadline) {
            Some(ConnectionClose::Idle)
        } else {
            None
        };
        if let (None, Some(reason)) = (self.closing, reason) {
            self.closing = Some((reason, now));
            connection.graceful_shutdown();
            // GOAWAY leaves with the next poll of the connection.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.closing {
            None => {
                let _ = self.timer.poll_until(cx, earlier(idle_deadline, age_deadline));
                Poll::Pending
            }
            // A client that does not answer GOAWAY's PING cannot hold the connection open.
            // What its streams have left for it to send may take as long as a stream may stand still.
            Some((reason, since)) if self.streams.active.get() == 0 => {
                let patience = match (connection.has_streams(), options.stream_idle_timeout()) {
                    (true, Some(idle)) => idle.max(CLOSE_TIMEOUT),
                    _ => CLOSE_TIMEOUT,
                };
                let deadline = after(since.max(idle_since), Some(patience));
                self.timer.poll_until(cx, deadline).map(|()| reason)
            }
            Some((reason, _)) => {
                let cut = control.drain_deadline();
                self.timer.poll_until(cx, cut).map(|()| reason)
            }
        }
    }
}

/// What a connection's streams tell its driver.
struct Streams {
    /// Streams that are being served.
    active: Cell<usize>,
    /// When the last of them ended.
    idle_since: Cell<Instant>,
    /// Streams that ended soon and without an answer, because the client reset them.
    premature_resets: Cell<u32>,
}

/// A stream that is being served; its end may let the connection end.
struct ActiveStream {
    streams: Rc<Streams>,
    accepted: Rc<Accepted>,
    /// Where its task is known by which it is woken if it may have lost its right.
    place: usize,
}

impl ActiveStream {
    /// Makes the current task the one that serves the stream.
    async fn follow(&self) {
        poll_fn(|cx| {
            let control = &self.accepted.registration.control;
            control.rights.follow_stream(self.place, cx);
            Poll::Ready(())
        })
        .await;
    }
}

impl Drop for ActiveStream {
    fn drop(&mut self) {
        self.accepted.registration.control.rights.end_stream(self.place);
        self.streams.active.set(self.streams.active.get() - 1);
        if self.streams.active.get() == 0 {
            self.streams.idle_since.set(Instant::now());
            // The driver starts to count idle time from here.
            self.accepted.registration.control.wake();
        }
    }
}

async fn serve_stream(
    guard: ActiveStream,
    request: http::Request<h2::RecvStream>,
    respond: h2::server::SendResponse<Bytes>,
) {
    let started = Instant::now();
    guard.follow().await;
    let snapshot = guard.accepted.registration.control.snapshot();
    let context = RequestContext::new(&guard.accepted, &snapshot);
    let fields_max = context.chain().http().options.request_headers_count_max();
    let (mut parts, body) = request.into_parts();
    let protocol = match parts.method {
        http::Method::CONNECT => parts.extensions.remove::<h2::ext::Protocol>(),
        _ => None,
    };
    if protocol.is_some() {
        // An upgrade is a GET inside, whichever version asks for it.
        parts.method = http::Method::GET;
    }
    let mut head = guard.accepted.worker.spares.request();
    let fault = request_from_http2(&parts, fields_max, &mut head).err();
    let length = match head.fields.get(KnownName::ContentLength) {
        _ if body.is_end_stream() => BodyLength::None,
        Some(value) => std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse().ok())
            .map_or(BodyLength::Unknown, BodyLength::Exact),
        None => BodyLength::Unknown,
    };
    drop(parts);
    let mut stream = ServerStream {
        receiver: Http2Receiver::new(body),
        expects_continue: head
            .fields
            .get(KnownName::Expect)
            .is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue")),
        respond,
        sender: None,
        protocol,
        timer: TimerSlot::default(),
    };
    let mut downstream = Downstream::Http2(&mut stream);
    let tunnel = match fault {
        // Pinned where it is made: awaited by itself it would be moved twice, and it is large.
        None => pin!(pipeline::serve(&context, &mut downstream, &mut head, length)).await,
        Some(fault) => {
            let reply = LocalReply::Malformed {
                status: fault.status(),
                reason: fault.reason(),
            };
            let extent = match fault.has_whole_head() {
                true => Extent::Whole,
                false => Extent::Part,
            };
            pipeline::refuse(&context, &mut downstream, &mut head, extent, reply).await;
            None
        }
    };
    guard.accepted.worker.spares.keep_request(head);
    // Nothing was sent: the client has gone, by a reset or with its connection.
    if stream.sender.is_none() && started.elapsed() < PREMATURE {
        let resets = &guard.streams.premature_resets;
        resets.set(resets.get().saturating_add(1));
    }
    if let (Some(tunnel), Some(sender)) = (tunnel, stream.sender) {
        let side = Side::Http2(Box::new(Http2Side {
            receiver: stream.receiver,
            sender,
            finished: false,
            _guard: None,
        }));
        drop(snapshot);
        // A task of its own, because this one's state is that of a request.
        tokio::task::spawn_local(Box::pin(run_tunnel(guard, tunnel, side)));
    }
}

async fn run_tunnel(guard: ActiveStream, tunnel: Box<Tunnel>, side: Side) {
    guard.follow().await;
    tunnel.run(side, &guard.accepted, false).await;
}
