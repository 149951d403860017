//! Mirroring: copies of requests to other clusters, which never slow or fail the original.
//!
//! A copy shares the pieces of the request's body as they pass by, and is sent only once the whole request is here, by
//! a task of its own on the same worker: the original never waits for it and does not learn what becomes of it. What is
//! held is bounded by [`MIRRORS_MAX`] copies of [`MIRROR_BODY_BYTES_MAX`]; a copy for which there is no room at once is
//! dropped and counted. It is sent once, its answer is read to keep the connection and thrown away, and after
//! [`MIRROR_TIMEOUT`] it is given up. A worker that ends does not wait for its copies: they are cut.

use super::forward::{ActiveAttempt, ActiveRequest};
use super::{Request, RequestContext, Taken};
use crate::body::{BodyFrame, BodyLength};
use crate::error::AttemptError;
use crate::pick::{Tried, pick};
use crate::snapshot::{ClusterPolicy, EndpointState};
use crate::upstream::{ResponseStart, Upstream};
use crate::worker::Worker;
use bytes::Bytes;
use outrigger_config::model::defaults::{
    MIRROR_ANSWER_BYTES_MAX, MIRROR_BODY_BYTES_MAX, MIRROR_TIMEOUT, MIRRORS_MAX,
};
use outrigger_http1::{Fields, RequestHead, ResponseHead};
use outrigger_telemetry::{CodeClass, MirrorDrop, RouteMetrics};
use outrigger_traffic::falls_within;
use smallvec::SmallVec;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// What is put behind the host's name, as Envoy does, so that a mirror's logs tell copies from requests.
const SHADOW_SUFFIX: &str = "-shadow";

/// Pieces of a body that are kept; many small ones cost more than their bytes.
const PIECES_MAX: usize = 1024;

/// A request that is being copied, for one or more mirrors.
pub(super) struct MirrorCopy {
    targets: SmallVec<[Target; 1]>,
    message: Message,
    bytes: usize,
}

/// A whole request.
struct Message {
    head: RequestHead,
    length: BodyLength,
    pieces: Vec<Bytes>,
    trailers: Option<Box<Fields>>,
}

struct Target {
    cluster: Arc<ClusterPolicy>,
    endpoint: Arc<EndpointState>,
    ticket: Ticket,
}

/// A copy that counts against its worker's limit, and what has become of it.
struct Ticket {
    worker: Rc<Worker>,
    metrics: Arc<RouteMetrics>,
    /// Why it was dropped, should it end now; none: it was answered.
    dropped: Option<MirrorDrop>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mirrors = &self.worker.mirrors;
        mirrors.set(mirrors.get() - 1);
        let cells = self.metrics.worker(self.worker.index);
        match self.dropped {
            Some(reason) => cells.mirrors_dropped[reason].inc(),
            None => cells.mirrored.inc(),
        }
    }
}

/// Begins a copy of a request, whose head is as it is sent upstream, for those of the route's mirrors that take it.
pub(super) fn begin(
    request: &Request<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
) -> Option<Box<MirrorCopy>> {
    let worker = context.worker();
    let cells = taken.policy.metrics.worker(worker.index);
    let mut targets = SmallVec::new();
    for (slot, fraction) in &taken.policy.mirrors {
        if !falls_within(*fraction, worker.random()) {
            continue;
        }
        if matches!(request.length, BodyLength::Exact(length) if length > MIRROR_BODY_BYTES_MAX as u64) {
            cells.mirrors_dropped[MirrorDrop::BodyTooLong].inc();
            continue;
        }
        if worker.mirrors.get() >= MIRRORS_MAX {
            cells.mirrors_dropped[MirrorDrop::Limit].inc();
            continue;
        }
        let cluster = context
            .snapshot
            .cluster(*slot)
            .expect("a route's clusters are in its snapshot");
        let Ok(endpoint) = pick(cluster, worker, &mut Tried::default(), context.ends()) else {
            cells.mirrors_dropped[MirrorDrop::NoEndpoint].inc();
            continue;
        };
        worker.mirrors.set(worker.mirrors.get() + 1);
        targets.push(Target {
            cluster: Arc::clone(cluster),
            endpoint,
            ticket: Ticket {
                worker: Rc::clone(worker),
                metrics: Arc::clone(&taken.policy.metrics),
                dropped: Some(MirrorDrop::Incomplete),
            },
        });
    }
    if targets.is_empty() {
        return None;
    }
    let mut head = request.head.clone();
    let authority = shadow_authority(head.authority());
    head.set_authority(&authority);
    Some(Box::new(MirrorCopy {
        targets,
        message: Message {
            head,
            length: request.length,
            pieces: Vec::new(),
            trailers: None,
        },
        bytes: 0,
    }))
}

/// The authority that a copy is sent with. An IPv6 address has no name that could be longer.
fn shadow_authority(authority: &str) -> String {
    match authority.rsplit_once(':') {
        _ if authority.is_empty() || authority.starts_with('[') => authority.to_owned(),
        Some((host, port)) => format!("{host}{SHADOW_SUFFIX}:{port}"),
        None => format!("{authority}{SHADOW_SUFFIX}"),
    }
}

impl MirrorCopy {
    /// Adds a piece of the body. False if there is no room for it: the copy is to be dropped.
    pub(super) fn add(&mut self, piece: &Bytes) -> bool {
        if piece.is_empty() {
            return true;
        }
        self.bytes += piece.len();
        if self.bytes > MIRROR_BODY_BYTES_MAX || self.message.pieces.len() == PIECES_MAX {
            for target in &mut self.targets {
                target.ticket.dropped = Some(MirrorDrop::BodyTooLong);
            }
            return false;
        }
        self.message.pieces.push(piece.clone());
        true
    }

    /// The request is whole: sends the copies.
    pub(super) fn send(mut self, trailers: Option<&Fields>) {
        self.message.trailers = trailers.map(|trailers| Box::new(trailers.clone()));
        let message = Rc::new(self.message);
        for mut target in self.targets {
            target.ticket.dropped = Some(MirrorDrop::Drain);
            tokio::task::spawn_local(run(target, Rc::clone(&message)));
        }
    }
}

async fn run(target: Target, message: Rc<Message>) {
    let Target {
        cluster,
        endpoint,
        mut ticket,
    } = target;
    let worker = Rc::clone(&ticket.worker);
    let active = ActiveRequest::begin(&cluster, &worker);
    let sent = tokio::time::timeout(
        MIRROR_TIMEOUT,
        exchange(&worker, &cluster, &endpoint, &active, &message),
    )
    .await;
    let (status, dropped) = match sent {
        Ok(Ok(status)) => (status, None),
        Ok(Err((status, reason))) => (status, Some(reason)),
        Err(_) => (0, Some(MirrorDrop::Timeout)),
    };
    active.cells.requests[CodeClass::of(status)].inc();
    ticket.dropped = dropped;
}

/// Sends the copy and reads its answer. The status, which is 0 where none came.
async fn exchange(
    worker: &Rc<Worker>,
    cluster: &Arc<ClusterPolicy>,
    endpoint: &Arc<EndpointState>,
    active: &ActiveRequest<'_>,
    message: &Message,
) -> Result<u16, (u16, MirrorDrop)> {
    active.cells.attempts.inc();
    let _attempt = ActiveAttempt::begin(Arc::clone(endpoint));
    let mut upstream = worker
        .pools
        .acquire(worker, cluster, endpoint)
        .await
        .map_err(|_| (0, MirrorDrop::Connect))?;
    let mut response = ResponseHead::new();
    let mut sending = Sending::new(message);
    let started = worker.tick();
    upstream
        .send_head(&message.head, message.length, cluster.tls.is_some())
        .map_err(|_| (0, MirrorDrop::Failed))?;
    let answered = poll_fn(|cx| {
        sending.poll(&mut upstream, cx);
        poll_answer(&mut upstream, &mut response, cx)
    });
    let length = answered.await.map_err(|_| (0, MirrorDrop::Failed))?;
    if length == BodyLength::None {
        return finish(upstream, &sending, response.status);
    }
    let status = response.status;
    let mut left = MIRROR_ANSWER_BYTES_MAX;
    poll_fn(|cx| {
        sending.poll(&mut upstream, cx);
        poll_throw_away(&mut upstream, &mut left, cx)
    })
    .await
    .map_err(|reason| (status, reason))?;
    active
        .cells
        .request_duration
        .observe(worker.tick().duration_since(started));
    finish(upstream, &sending, status)
}

fn finish(upstream: Upstream, sending: &Sending<'_>, status: u16) -> Result<u16, (u16, MirrorDrop)> {
    // An answer that did without the rest of its request leaves a connection that nothing else can use.
    if sending.is_done() {
        upstream.complete();
    }
    Ok(status)
}

/// A message on its way out.
struct Sending<'m> {
    message: &'m Message,
    next: usize,
    state: SendState,
}

#[derive(PartialEq, Eq)]
enum SendState {
    Body,
    Flush,
    Done,
    /// The answer tells why, if there is one.
    Failed,
}

impl Sending<'_> {
    fn new(message: &Message) -> Sending<'_> {
        let state = match message.length {
            BodyLength::None => SendState::Flush,
            BodyLength::Exact(_) | BodyLength::Unknown => SendState::Body,
        };
        Sending {
            message,
            next: 0,
            state,
        }
    }

    fn is_done(&self) -> bool {
        self.state == SendState::Done
    }

    /// Sends what there is room for.
    fn poll(&mut self, upstream: &mut Upstream, cx: &mut Context<'_>) {
        if let Poll::Ready(Err(_)) = self.poll_send(upstream, cx) {
            self.state = SendState::Failed;
        }
    }

    fn poll_send(&mut self, upstream: &mut Upstream, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        while self.state == SendState::Body {
            ready!(upstream.poll_room(cx))?;
            if let Some(piece) = self.message.pieces.get(self.next) {
                upstream.send_data(piece.clone(), false)?;
                self.next += 1;
            } else {
                upstream.finish(self.message.trailers.as_deref())?;
                self.state = SendState::Flush;
            }
        }
        if self.state == SendState::Flush {
            ready!(upstream.poll_flush(cx))?;
            self.state = SendState::Done;
        }
        Poll::Ready(Ok(()))
    }
}

fn poll_answer(
    upstream: &mut Upstream,
    response: &mut ResponseHead,
    cx: &mut Context<'_>,
) -> Poll<Result<BodyLength, AttemptError>> {
    loop {
        if let ResponseStart::Final(length) = ready!(upstream.poll_head(response, cx))? {
            return Poll::Ready(Ok(length));
        }
    }
}

fn poll_throw_away(
    upstream: &mut Upstream,
    left: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<Result<(), MirrorDrop>> {
    loop {
        let frame = ready!(upstream.poll_body(cx)).map_err(|_| MirrorDrop::Failed)?;
        if let BodyFrame::Data { bytes, .. } = &frame {
            *left = left.checked_sub(bytes.len()).ok_or(MirrorDrop::AnswerTooLong)?;
        }
        if frame.is_last() {
            return Poll::Ready(Ok(()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_known_by_its_host() {
        for (authority, shadow) in [
            ("a.example", "a.example-shadow"),
            ("a.example:8080", "a.example-shadow:8080"),
            ("10.0.0.1:80", "10.0.0.1-shadow:80"),
            ("[::1]:80", "[::1]:80"),
            ("[::1]", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(shadow_authority(authority), shadow);
        }
    }
}
