//! The life of an HTTP/1 downstream connection: wait, read a head, serve, and again, or close.

use super::{After, Connection};
use crate::connection::Accepted;
use crate::incoming::ReadError;
use crate::io::Stream;
use crate::pipeline::{self, Extent, RequestContext, Tunnel};
use crate::reply::LocalReply;
use crate::rights;
use crate::server::{Downstream, http2, in_box};
use crate::snapshot::ChainPolicy;
use crate::timer::{after, earlier};
use bytes::BytesMut;
use outrigger_config::model::HttpOptions;
use outrigger_http1::{Event, HeadInfo, Limits, RequestError, RequestHead};
use outrigger_telemetry::{ConnectionClose, HttpProtocol, ListenerCells};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::time::Instant;

/// The first bytes of HTTP/2 by prior knowledge (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// First byte of a TLS record that holds a handshake (RFC 8446 section 5.1); no method begins with it.
const TLS_HANDSHAKE_RECORD: u8 = 22;

/// How long a client may go on sending after it was answered and the connection closed: closing at once would reset
/// the connection and destroy the answer on its way (RFC 9112 section 9.6). nginx's `lingering_timeout`.
const LINGER_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes that are discarded while lingering, at most.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// What waiting for a request ended with.
enum Next {
    Request(HeadInfo),
    /// The client speaks HTTP/2 by prior knowledge; nothing was consumed.
    Http2,
    Refused(RequestError),
    HeadTimeout,
    /// The client began a TLS handshake.
    Tls,
    Closed(ConnectionClose),
}

/// Serves the connection. `first`: what was read of it so far. `detect`: its first bytes may turn out to be HTTP/2.
pub(crate) async fn serve(stream: Stream, first: BytesMut, accepted: Accepted, detect: bool) {
    let limits = {
        let snapshot = accepted.registration.control.snapshot();
        limits(&accepted.registration.control.chain(&snapshot).http().options)
    };
    let mut connection = Connection::new(stream, Rc::clone(&accepted.worker), limits);
    connection.incoming.count_read(first.len());
    connection.incoming.buffer = first;
    // Also the time from which the first request is waited for.
    let opened = accepted.worker.tick();
    // There only while a request is read or served.
    let mut head = None;
    let mut requests: u32 = 0;
    let mut counted = false;
    let close = loop {
        let next = next_request(
            &mut connection,
            &mut head,
            &accepted,
            opened,
            detect && requests == 0,
        )
        .await;
        if !matches!(next, Next::Http2) && !std::mem::replace(&mut counted, true) {
            count(&accepted, |cells| {
                cells.http_connections[HttpProtocol::Http1].inc()
            });
        }
        let read = connection.incoming.take_bytes_read();
        count(&accepted, |cells| cells.bytes_received.add(read));
        let (info, refused) = match next {
            Next::Request(info) => (Some(info), None),
            Next::Http2 => {
                let read = connection.incoming.buffer.split().freeze();
                return Box::pin(http2::serve(connection.io, read, accepted)).await;
            }
            Next::Closed(reason) => break reason,
            Next::HeadTimeout => (None, Some((LocalReply::HeadTimeout, Extent::Part))),
            Next::Tls => (None, Some((LocalReply::TlsOnPlainPort, Extent::Part))),
            Next::Refused(error) => (None, Some(malformed(error))),
        };
        requests += 1;
        let last = last_request(&accepted, opened, requests);
        let head: Box<RequestHead> = head.take().unwrap_or_default();
        let tunnel = match (info, refused) {
            (Some(info), _) => one_request(&mut connection, head, &accepted, info, last.is_some()).await,
            (None, refused) => {
                let refused = refused.unwrap_or((LocalReply::HeadTimeout, Extent::Part));
                refuse(&mut connection, head, &accepted, refused).await;
                None
            }
        };
        let (read, written) = (
            connection.incoming.take_bytes_read(),
            connection.writer.bytes_written(),
        );
        count(&accepted, |cells| {
            cells.bytes_received.add(read);
            cells.bytes_sent.add(written);
        });
        connection.writer.start_counting();
        if let Some(tunnel) = tunnel {
            Box::pin(tunnel.run(connection.into_side(), &accepted, true)).await;
            break ConnectionClose::Tunnel;
        }
        match (connection.after, last) {
            (After::Reuse, _) => {}
            (After::Abort, _) if accepted.registration.control.rights.lost().is_some() => {
                break ConnectionClose::RightLost;
            }
            (After::Abort, _) => break ConnectionClose::Error,
            (After::Close, last) => {
                let last = last.or_else(|| last_request(&accepted, opened, requests));
                linger(&mut connection).await;
                break last.unwrap_or(if info.is_some() {
                    ConnectionClose::Requested
                } else {
                    ConnectionClose::Protocol
                });
            }
        }
    };
    count(&accepted, |cells| cells.connections_closed[close].inc());
}

/// Counts for the listener as it is named now.
fn count(accepted: &Accepted, count: impl FnOnce(&ListenerCells)) {
    let snapshot = accepted.registration.control.snapshot();
    let chain = accepted.registration.control.chain(&snapshot);
    count(chain.listener.worker(accepted.worker.index));
}

fn limits(options: &HttpOptions) -> Limits {
    Limits {
        head_bytes_max: u32::try_from(options.request_headers_bytes_max()).unwrap_or(u32::MAX),
        fields_max: u32::try_from(options.request_headers_count_max()).unwrap_or(u32::MAX),
        accept_http_10: options.accept_http_10(),
        ..Limits::default()
    }
}

/// Why the request that is about to be served is the connection's last, if it is.
fn last_request(accepted: &Accepted, opened: Instant, requests: u32) -> Option<ConnectionClose> {
    let control = &accepted.registration.control;
    let snapshot = control.snapshot();
    let options = &control.chain(&snapshot).http().options;
    if let Some(reason) = control.end_reason() {
        return Some(reason);
    }
    if options
        .requests_per_connection_max()
        .is_some_and(|max| requests >= max)
    {
        return Some(ConnectionClose::RequestsMax);
    }
    if options
        .connection_age_max()
        .is_some_and(|age| opened.elapsed() >= age)
    {
        return Some(ConnectionClose::AgeMax);
    }
    None
}

async fn next_request(
    connection: &mut Connection,
    head: &mut Option<Box<RequestHead>>,
    accepted: &Accepted,
    opened: Instant,
    detect: bool,
) -> Next {
    let snapshot = accepted.registration.control.snapshot();
    let chain: &ChainPolicy = accepted.registration.control.chain(&snapshot);
    let idle_since = accepted.worker.now();
    let mut head_since = None;
    let mut drain_since = None;
    if connection.incoming.buffer.is_empty() {
        connection.incoming.release();
        connection.writer.release(&accepted.worker.spares);
    } else {
        head_since = Some(idle_since);
    }
    let mut detect = detect;
    let idle_timeout = chain.http().options.idle_timeout();
    let age_max = chain.http().options.connection_age_max();
    let headers_timeout = chain.http().options.request_headers_timeout();
    // A snapshot that this connection may wait under for an hour must not be kept alive by it.
    drop(snapshot);
    poll_fn(|cx| {
        accepted.registration.control.set_waker(cx.waker());
        if rights::judge(accepted).is_some() {
            return Poll::Ready(Next::Closed(ConnectionClose::RightLost));
        }
        if detect {
            match poll_detect(connection, cx) {
                Poll::Ready(Some(next)) => return Poll::Ready(next),
                Poll::Ready(None) => detect = false,
                Poll::Pending => {}
            }
        }
        if !detect && let Poll::Ready(next) = poll_head(connection, head, cx) {
            return Poll::Ready(next);
        }
        if connection.is_between_requests() {
            if drain_since.is_none() && accepted.registration.control.is_draining() {
                drain_since = Some(Instant::now());
            }
        } else if head_since.is_none() {
            head_since = Some(Instant::now());
        }
        let deadline = match (head_since, drain_since) {
            (Some(since), _) => after(since, Some(headers_timeout)),
            (None, Some(since)) => after(since, Some(accepted.worker.drain_idle_grace())),
            (None, None) => earlier(after(idle_since, Some(idle_timeout)), after(opened, age_max)),
        };
        if connection.timer.poll_until(cx, deadline).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(match head_since {
            Some(_) => Next::HeadTimeout,
            None if drain_since.is_some() => {
                let reason = accepted.registration.control.end_reason();
                Next::Closed(reason.unwrap_or(ConnectionClose::Drain))
            }
            None if age_max.is_some_and(|age| opened.elapsed() >= age) => {
                Next::Closed(ConnectionClose::AgeMax)
            }
            None => Next::Closed(ConnectionClose::Idle),
        })
    })
    .await
}

/// Ready with `Http2` when the preface is there, and with `None` when it cannot come any more.
fn poll_detect(connection: &mut Connection, cx: &mut Context<'_>) -> Poll<Option<Next>> {
    loop {
        let read = &connection.incoming.buffer;
        if read.len() >= PREFACE.len() && read.starts_with(PREFACE) {
            return Poll::Ready(Some(Next::Http2));
        }
        if !PREFACE.starts_with(read) {
            let tls = read.first() == Some(&TLS_HANDSHAKE_RECORD);
            return Poll::Ready(tls.then_some(Next::Tls));
        }
        let scratch = &mut *connection.worker.scratch.borrow_mut();
        let mut buf = ReadBuf::new(scratch);
        let read = std::task::ready!(Pin::new(&mut connection.io).poll_read(cx, &mut buf));
        connection.incoming.count_read(buf.filled().len());
        match read {
            Err(_) => return Poll::Ready(Some(Next::Closed(ConnectionClose::Error))),
            Ok(()) if buf.filled().is_empty() => {
                return Poll::Ready(Some(Next::Closed(ConnectionClose::Peer)));
            }
            Ok(()) => connection.incoming.buffer.extend_from_slice(buf.filled()),
        }
    }
}

fn poll_head(
    connection: &mut Connection,
    head: &mut Option<Box<RequestHead>>,
    cx: &mut Context<'_>,
) -> Poll<Next> {
    let polled = connection
        .incoming
        .poll_head(head, &mut connection.io, &connection.worker, cx);
    Poll::Ready(match std::task::ready!(polled) {
        Ok(Event::Head(info)) => Next::Request(info),
        // A request decoder knows no other event before a head.
        Ok(_) => Next::Closed(ConnectionClose::Protocol),
        Err(ReadError::Refused(error)) => Next::Refused(error),
        Err(ReadError::Eof) => Next::Closed(ConnectionClose::Peer),
        Err(ReadError::Io(_)) => Next::Closed(ConnectionClose::Error),
    })
}

async fn one_request(
    connection: &mut Connection,
    mut head: Box<RequestHead>,
    accepted: &Accepted,
    info: HeadInfo,
    last: bool,
) -> Option<Box<Tunnel>> {
    connection.begin(info, &head, last);
    let snapshot = accepted.registration.control.snapshot();
    let context = RequestContext::new(accepted, &snapshot);
    let length = match info.framing {
        framing if framing.is_empty() => crate::body::BodyLength::None,
        outrigger_http1::Framing::Length(length) => crate::body::BodyLength::Exact(length),
        _ => crate::body::BodyLength::Unknown,
    };
    if length == crate::body::BodyLength::None {
        connection.finish_empty_body();
    }
    let mut downstream = Downstream::Http1(connection);
    // The pipeline's state is some KiB: boxed, so that an idle connection does not hold it.
    let tunnel = in_box(|| pipeline::serve(&context, &mut downstream, &mut head, length)).await;
    accepted.worker.spares.keep_request(head);
    if connection.after == After::Reuse && !connection.request_ended {
        // What follows the response would be the rest of a body that nobody wants.
        connection.after = After::Close;
    }
    tunnel
}

/// The answer to a request that cannot be read, and how much of its head could.
fn malformed(error: RequestError) -> (LocalReply, Extent) {
    let reply = LocalReply::Malformed {
        status: error.status(),
        reason: error.reason(),
    };
    match error.has_whole_head() {
        true => (reply, Extent::Whole),
        false => (reply, Extent::Part),
    }
}

/// Answers a request that could not be read, and closes.
async fn refuse(
    connection: &mut Connection,
    mut head: Box<RequestHead>,
    accepted: &Accepted,
    (reply, extent): (LocalReply, Extent),
) {
    let info = HeadInfo {
        keep_alive: false,
        expect_continue: false,
        ..connection.info
    };
    connection.begin(info, &head, true);
    if extent == Extent::Part {
        head.clear();
    }
    let snapshot = accepted.registration.control.snapshot();
    let context = RequestContext::new(accepted, &snapshot);
    let mut downstream = Downstream::Http1(connection);
    Box::pin(pipeline::refuse(
        &context,
        &mut downstream,
        &mut head,
        extent,
        reply,
    ))
    .await;
    connection.after = After::Close;
}

/// Closes so that the last answer is not lost: the client's side is read until it closes, for a while.
async fn linger(connection: &mut Connection) {
    let closing = async {
        connection.io.shutdown().await?;
        let mut discarded = 0;
        while discarded < LINGER_BYTES_MAX {
            let read = poll_fn(|cx| {
                let scratch = &mut *connection.worker.scratch.borrow_mut();
                let mut buf = ReadBuf::new(scratch);
                Pin::new(&mut connection.io)
                    .poll_read(cx, &mut buf)
                    .map_ok(|()| buf.filled().len())
            });
            match read.await? {
                0 => break,
                read => discarded += read,
            }
        }
        Ok::<(), std::io::Error>(())
    };
    // Neither a failure nor the end of patience changes anything: the connection is closed.
    let _ = tokio::time::timeout(LINGER_TIMEOUT, closing).await;
}

impl Connection {
    /// True if nothing of another request has come.
    fn is_between_requests(&self) -> bool {
        // The decoder takes whole lines: the buffer may be empty in the middle of a head.
        self.incoming.buffer.is_empty() && self.incoming.decoder.is_idle()
    }

    /// Takes the end of a body that has no bytes off the decoder.
    fn finish_empty_body(&mut self) {
        self.incoming.finish_empty_body();
        self.request_ended = true;
    }
}
