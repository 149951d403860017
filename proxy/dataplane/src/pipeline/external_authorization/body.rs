//! Reading a request's body ahead, for the service to be told of it, and handing it over to the attempts.
//!
//! What is read is at most what the service may be told and the piece that went beyond it; all such bodies of a worker
//! together are bounded by [`EXTERNAL_AUTHORIZATION_BODIES_BYTES_MAX`], from the first byte that is read until all that
//! was read has been sent, and by what the process may keep.

use super::super::exchange::Stop;
use super::super::{Request, RequestContext, Taken, deadline, rights};
use crate::body::{BodyFrame, BodyLength};
use crate::buffered::Buffered;
use crate::reply::{LocalReply, Stalled};
use crate::server::Downstream;
use crate::timer::{after, earlier};
use crate::worker::Worker;
use bytes::Bytes;
use outrigger_config::model::AuthorizationBody;
use outrigger_config::model::defaults::EXTERNAL_AUTHORIZATION_BODIES_BYTES_MAX;
use outrigger_http1::{Fields, strip_hop_by_hop};
use outrigger_telemetry::{DeadlineWait, ListenerMetrics};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use tokio::time::Instant;

/// Bytes before the length of a gRPC message, and with it.
const GRPC_PREFIX_BYTES: usize = 5;

/// The beginning of a request's body, or all of it.
pub(in crate::pipeline) struct Ahead {
    pub(in crate::pipeline) pieces: Vec<Bytes>,
    pub(in crate::pipeline) trailers: Option<Box<Fields>>,
    /// When it had been read to its end.
    pub(in crate::pipeline) ended: Option<Instant>,
    /// What counts it for its worker; the attempts' part outlives this.
    pub(super) held: Option<Held>,
    /// What counts it for the process until the attempts have it.
    kept: Buffered,
}

impl Ahead {
    pub(super) fn bytes(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.bytes)
    }

    /// False if more is held than may be.
    fn try_grow(&mut self, worker: &Rc<Worker>, bytes: usize) -> bool {
        self.held.as_mut().is_some_and(|held| held.grow(bytes)) && self.kept.try_keep(worker, bytes)
    }

    /// The first bytes, at most as many as may be told, as one.
    pub(super) fn told(&self, bytes_max: usize) -> Vec<u8> {
        let mut told = Vec::with_capacity(self.bytes().min(bytes_max));
        for piece in &self.pieces {
            let room = bytes_max - told.len();
            told.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        told
    }
}

/// Bytes that are held, counted for their worker.
pub(super) struct Held {
    worker: Rc<Worker>,
    listener: Arc<ListenerMetrics>,
    bytes: usize,
}

impl Held {
    /// False if the worker holds too much.
    fn grow(&mut self, bytes: usize) -> bool {
        let sum = self.worker.bodies_ahead_bytes.get() + bytes;
        if sum > EXTERNAL_AUTHORIZATION_BODIES_BYTES_MAX {
            return false;
        }
        self.worker.bodies_ahead_bytes.set(sum);
        self.bytes += bytes;
        self.count(bytes as i64);
        true
    }

    fn count(&self, bytes: i64) {
        let held = &self
            .listener
            .worker(self.worker.index)
            .external_authorization_body_bytes;
        held.set(held.value() + bytes);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let held = &self.worker.bodies_ahead_bytes;
        held.set(held.get() - self.bytes);
        self.count(-(self.bytes as i64));
    }
}

/// Why a body could not be read ahead.
pub(super) enum Unread {
    /// The request ends with this.
    Stop(Stop),
    /// It is longer than what the service may be told.
    TooLong,
    /// The worker holds too much: what was read goes on, the service cannot be told.
    NoMemory(Ahead),
}

/// Reads as much of the body as the service is to be told.
pub(super) async fn read(
    request: &Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    policy: &AuthorizationBody,
) -> Result<Ahead, Unread> {
    let worker = context.worker();
    let mut ahead = Ahead {
        pieces: Vec::new(),
        trailers: None,
        ended: None,
        held: Some(Held {
            worker: Rc::clone(worker),
            listener: Arc::clone(&context.chain().listener),
            bytes: 0,
        }),
        kept: Buffered::default(),
    };
    if matches!(request.length, BodyLength::Exact(length) if length > policy.bytes_max() as u64)
        && !policy.partial_allowed()
    {
        return Err(Unread::TooLong);
    }
    let own = deadline::first(request);
    let idle = context.chain().http().options.stream_idle_timeout();
    let route_max = taken.route.request_body_bytes_max().unwrap_or(u64::MAX);
    loop {
        let deadline = after(worker.tick(), idle);
        let frame = poll_fn(|cx| {
            if let Some(lost) = rights::judge_due(context, request) {
                return Poll::Ready(Err(Stop::Reply(lost)));
            }
            if let Poll::Ready(frame) = downstream.poll_body(cx) {
                return Poll::Ready(frame.map_err(Stop::from));
            }
            let next = earlier(deadline, own);
            std::task::ready!(downstream.timer().poll_until(cx, next));
            let now = worker.tick();
            Poll::Ready(Err(match own {
                Some(own) if now >= own => deadline::waited(request, now, DeadlineWait::Authorization),
                _ => Stop::Reply(LocalReply::StreamIdle(Stalled::Request)),
            }))
        });
        match frame.await.map_err(Unread::Stop)? {
            BodyFrame::Data { bytes, end } => {
                ahead.ended = end.then(|| worker.tick());
                let has_room = ahead.try_grow(worker, bytes.len());
                if !bytes.is_empty() {
                    ahead.pieces.push(bytes);
                }
                if !has_room {
                    return Err(Unread::NoMemory(ahead));
                }
            }
            BodyFrame::Trailers(mut trailers) => {
                strip_hop_by_hop(&mut trailers);
                ahead.trailers = Some(trailers);
                ahead.ended = Some(worker.tick());
            }
            BodyFrame::End => ahead.ended = Some(worker.tick()),
        }
        if ahead.bytes() as u64 > route_max {
            return Err(Unread::Stop(Stop::Reply(LocalReply::BodyTooLarge)));
        }
        if ahead.ended.is_some() || is_enough(request, &ahead, policy) {
            break;
        }
    }
    if ahead.bytes() > policy.bytes_max() && !policy.partial_allowed() {
        return Err(Unread::TooLong);
    }
    Ok(ahead)
}

/// True if no more is to be told.
fn is_enough(request: &Request<'_>, ahead: &Ahead, policy: &AuthorizationBody) -> bool {
    if !policy.partial_allowed() {
        return ahead.bytes() > policy.bytes_max();
    }
    // A gRPC client may well wait for an answer to its first message before it sends another.
    ahead.bytes() >= policy.bytes_max() || request.is_grpc() && has_message(ahead)
}

/// True if a whole gRPC message is here.
fn has_message(ahead: &Ahead) -> bool {
    let prefix = ahead.told(GRPC_PREFIX_BYTES);
    let Ok([_, length @ ..]) = <[u8; GRPC_PREFIX_BYTES]>::try_from(prefix) else {
        return false;
    };
    let length = u32::from_be_bytes(length) as usize;
    ahead.bytes() - GRPC_PREFIX_BYTES >= length
}
