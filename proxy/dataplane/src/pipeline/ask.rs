//! Requests of the proxy's own, through one of its clusters: an endpoint by the balancer, a pooled connection in either
//! version of HTTP, TLS and timeouts as the cluster has them. Mirrors send their copies by [`attempt`]; who needs an
//! answer asks by [`ask`].
//!
//! A question and its answer are held whole, within bounds that the caller gives. It is sent a second time only where
//! the first attempt provably never ran, whatever its method: what a question does to its service nobody here knows.

pub(super) mod grpc;
mod wanted;

pub(super) use wanted::while_wanted;

use super::active::{ActiveAttempt, ActiveRequest};
use super::attempts::{end_by, retry_reason};
use crate::body::{BodyFrame, BodyLength};
use crate::connection::Ends;
use crate::error::AttemptError;
use crate::head::is_grpc;
use crate::outlier;
use crate::pick::{Tried, pick};
use crate::pool::{Awaited, overflow};
use crate::snapshot::{ClusterPolicy, EndpointState};
use crate::upstream::{ResponseStart, Upstream};
use crate::worker::Worker;
use bytes::{Bytes, BytesMut};
use outrigger_config::model::RoutePriority;
use outrigger_http1::{Fields, RequestHead, ResponseHead};
use outrigger_telemetry::{AttemptEnd, CodeClass, Overflow};
use outrigger_traffic::health::Outcome;
use outrigger_traffic::retry::{AttemptFailure, Decision, default_decision};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// A whole request.
pub(super) struct Message {
    pub(super) head: RequestHead,
    pub(super) length: BodyLength,
    pub(super) pieces: Vec<Bytes>,
    pub(super) trailers: Option<Box<Fields>>,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) head: ResponseHead,
    pub(super) body: Bytes,
    pub(super) trailers: Option<Box<Fields>>,
}

/// What a question may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct AskLimits {
    /// From here to the end of the answer, all attempts included.
    pub(super) timeout: Duration,
    /// Bytes of the answer's body.
    pub(super) answer_bytes_max: usize,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The cluster has no endpoint.
    NoEndpoint,
    /// Its time is up.
    Timeout,
    /// The answer is longer than what is read.
    TooLong,
    /// The last attempt failed.
    Attempt(AttemptError),
}

/// Why who was asked has told nothing, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// The cluster has no endpoint.
    NoEndpoint,
    /// There was no connection.
    Connect,
    /// Its time was up.
    Timeout,
    /// It is longer than what is read.
    TooLong,
    /// It broke off before its end.
    Broken,
    /// Its status, HTTP's or gRPC's, is an error.
    Status,
    /// It is not what an answer looks like.
    Unreadable,
}

impl From<Unanswered> for NoAnswer {
    fn from(unanswered: Unanswered) -> NoAnswer {
        match unanswered {
            Unanswered::NoEndpoint => NoAnswer::NoEndpoint,
            Unanswered::Timeout => NoAnswer::Timeout,
            Unanswered::TooLong => NoAnswer::TooLong,
            Unanswered::Attempt(error) => match error.failure {
                AttemptFailure::ConnectFailed | AttemptFailure::ConnectTimeout => NoAnswer::Connect,
                AttemptFailure::ResponseInvalid => NoAnswer::Unreadable,
                _ => NoAnswer::Broken,
            },
        }
    }
}

/// Who is asked, for whoever gives up waiting: until the answer's head is there, or the attempt has failed.
#[derive(Default)]
pub(super) struct Asked {
    endpoint: RefCell<Option<Arc<EndpointState>>>,
    awaited: Cell<Awaited>,
    /// When the attempt began that is under way.
    started: Cell<Option<Instant>>,
}

impl Asked {
    /// The caller's time is up. Counted for the endpoint, unless it passed in the queue for a connection.
    pub(super) fn timed_out(&self, worker: &Worker, cluster: &ClusterPolicy) {
        let endpoint = self.endpoint.take();
        if endpoint.is_some() {
            cluster.metrics.worker(worker.index).attempts_unanswered[AttemptEnd::TimedOut].inc();
        }
        self.took(worker, cluster);
        if let (Some(outlier), Some(endpoint)) = (&cluster.outlier, endpoint)
            && self.awaited.get() != Awaited::Queue
        {
            outlier.record(cluster, &endpoint, worker, Outcome::TimedOut);
        }
    }

    fn begin(&self, endpoint: &Arc<EndpointState>, now: Instant) {
        self.started.set(Some(now));
        self.awaited.set(Awaited::Nothing);
        *self.endpoint.borrow_mut() = Some(Arc::clone(endpoint));
    }

    fn connected(&self) {
        self.awaited.set(Awaited::Nothing);
    }

    fn end(&self) {
        self.endpoint.take();
    }

    /// The attempt has failed without an answer.
    fn failed(&self, worker: &Worker, cluster: &ClusterPolicy, failure: AttemptFailure) {
        let endpoint = self.endpoint.take();
        if let (Some(outlier), Some(endpoint), Some(outcome)) =
            (&cluster.outlier, endpoint, outlier::failed(failure))
        {
            outlier.record(cluster, &endpoint, worker, outcome);
        }
        cluster.metrics.worker(worker.index).attempts_unanswered[end_by(failure)].inc();
        self.took(worker, cluster);
    }

    /// The attempt is over.
    fn took(&self, worker: &Worker, cluster: &ClusterPolicy) {
        if let Some(started) = self.started.take() {
            let elapsed = worker.tick().duration_since(started);
            cluster
                .metrics
                .worker(worker.index)
                .request_duration
                .observe(elapsed);
        }
    }
}

impl Unanswered {
    /// As [`AttemptFailure::tells_time`].
    fn tells_time(&self) -> bool {
        match self {
            Unanswered::Timeout => true,
            Unanswered::Attempt(error) => error.failure.tells_time(),
            Unanswered::NoEndpoint | Unanswered::TooLong => false,
        }
    }
}

/// Why an attempt has no whole answer.
#[derive(Debug)]
pub(super) enum Broken {
    /// There was no connection.
    Connect(AttemptError),
    /// It ended before the answer did.
    Exchange(AttemptError),
    /// Whoever reads the answer wants no more of it.
    Unwanted,
}

impl Broken {
    /// As [`AttemptFailure::tells_time`].
    pub(super) fn tells_time(&self) -> bool {
        match self {
            Broken::Connect(error) | Broken::Exchange(error) => error.failure.tells_time(),
            Broken::Unwanted => false,
        }
    }
}

/// What a question counts as that has no answer: as the requests of clients do, which are told of it.
pub(super) const UNANSWERED: CodeClass = CodeClass::ServerError;

/// Asks a cluster and reads the whole answer. Dropping the future gives the question up.
pub(super) async fn ask(
    worker: &Rc<Worker>,
    cluster: &Arc<ClusterPolicy>,
    ends: &Ends,
    message: &Message,
    limits: AskLimits,
) -> Result<Reply, Unanswered> {
    let active = match ActiveRequest::begin(cluster, worker, RoutePriority::Default) {
        Ok(active) => active,
        Err(_) => {
            cluster.metrics.worker(worker.index).requests[UNANSWERED].inc();
            return Err(Unanswered::Attempt(overflow(Overflow::Requests)));
        }
    };
    let asked = Asked::default();
    let asking = attempts(
        (worker, ends),
        cluster,
        message,
        &active,
        limits.answer_bytes_max,
        &asked,
    );
    let answered = match tokio::time::timeout(limits.timeout, asking).await {
        Ok(answered) => answered,
        Err(_) => {
            asked.timed_out(worker, cluster);
            Err(Unanswered::Timeout)
        }
    };
    if answered.as_ref().is_err_and(Unanswered::tells_time) {
        active.failed(worker);
    }
    let class = answered
        .as_ref()
        .map_or(UNANSWERED, |reply| CodeClass::of(reply.head.status));
    active.cells.requests[class].inc();
    answered
}

async fn attempts(
    (worker, ends): (&Rc<Worker>, &Ends),
    cluster: &Arc<ClusterPolicy>,
    message: &Message,
    active: &ActiveRequest<'_>,
    answer_bytes_max: usize,
    asked: &Asked,
) -> Result<Reply, Unanswered> {
    let mut tried = Tried::default();
    let mut budgeted = None;
    let mut has_moved = false;
    loop {
        let endpoint = pick(cluster, worker, &mut tried, ends).map_err(|_| Unanswered::NoEndpoint)?;
        let mut gathered = Gathered::new(answer_bytes_max);
        let mut head = ResponseHead::new();
        let mut take = |frame| gathered.add(frame);
        let reading = (&mut head, &mut take as &mut dyn FnMut(BodyFrame) -> bool);
        let answered = attempt(worker, cluster, &endpoint, active, message, reading, asked).await;
        let error = match answered {
            Ok(()) => {
                return Ok(Reply {
                    head,
                    body: gathered.body.freeze(),
                    trailers: gathered.trailers,
                });
            }
            Err(Broken::Unwanted) => return Err(Unanswered::TooLong),
            Err(Broken::Connect(error) | Broken::Exchange(error)) => error,
        };
        tracing::debug!(failure = ?error.failure, source = ?error.source, endpoint = %endpoint.address_text, cluster = %cluster.config.name(), "a question was not answered");
        if default_decision(error.failure, false, true, tried.attempts()) != Decision::Retry {
            return Err(Unanswered::Attempt(error));
        }
        if !error.failure.is_move() || std::mem::replace(&mut has_moved, true) {
            drop(budgeted.take());
            budgeted = match active.begin_retry(worker, None, error.failure.was_sent()) {
                Ok(retry) => Some(retry),
                Err(_) => return Err(Unanswered::Attempt(error)),
            };
        }
        active.cells.retries[retry_reason(error.failure)].inc();
    }
}

/// Sends the message to an endpoint and reads its answer: the head into `response`, the frames of its body to `take`,
/// which says whether it wants more. `response` has been answered by nobody, and has status 0, until there is one. `asked`
/// tells whoever gives up what was waited for.
pub(super) async fn attempt(
    worker: &Rc<Worker>,
    cluster: &Arc<ClusterPolicy>,
    endpoint: &Arc<EndpointState>,
    active: &ActiveRequest<'_>,
    message: &Message,
    (response, take): (&mut ResponseHead, &mut dyn FnMut(BodyFrame) -> bool),
    asked: &Asked,
) -> Result<(), Broken> {
    response.status = 0;
    let started = worker.tick();
    let _attempt = ActiveAttempt::try_begin(cluster, endpoint, started).ok_or_else(|| {
        active.cells.overflows[Overflow::Endpoints].inc();
        Broken::Connect(overflow(Overflow::Endpoints))
    })?;
    active.cells.attempts.inc();
    asked.begin(endpoint, started);
    let mut upstream = worker
        .pools
        .acquire(worker, cluster, endpoint, RoutePriority::Default, &asked.awaited)
        .await
        .map_err(|error| {
            asked.failed(worker, cluster, error.failure);
            Broken::Connect(error)
        })?;
    asked.connected();
    let mut sending = Sending::new(message);
    upstream
        .send_head(&message.head, message.length, cluster.tls.is_some())
        .map_err(|error| {
            asked.failed(worker, cluster, error.failure);
            Broken::Exchange(error)
        })?;
    let answered = poll_fn(|cx| {
        // What is known of the request when the answer does not come tells whether it ran.
        if let Some(error) = sending.poll(&mut upstream, cx) {
            return Poll::Ready(Err(error));
        }
        poll_answer(&mut upstream, response, cx)
    });
    let answered = answered.await;
    let length = match answered {
        Ok(length) => {
            asked.end();
            let elapsed = worker.tick().duration_since(started);
            active.cells.time_to_answer.observe(elapsed);
            active.answered(worker);
            length
        }
        Err(error) => {
            response.status = 0;
            asked.failed(worker, cluster, error.failure);
            return Err(Broken::Exchange(error));
        }
    };
    if let Some(outlier) = &cluster.outlier {
        let outcome = outlier::answered(response, is_grpc(&message.head.fields));
        outlier.record(cluster, endpoint, worker, outcome);
    }
    let ended = match length {
        BodyLength::None => Ok(()),
        _ => {
            poll_fn(|cx| {
                // The answer is there: it may do without the rest.
                let _ = sending.poll(&mut upstream, cx);
                poll_frames(&mut upstream, take, cx)
            })
            .await
        }
    };
    asked.took(worker, cluster);
    ended?;
    // An answer that did without the rest of its request leaves a connection that nothing else can use.
    if sending.is_done() {
        upstream.complete();
    }
    Ok(())
}

/// An answer's body, as far as it is here.
struct Gathered {
    body: BytesMut,
    trailers: Option<Box<Fields>>,
    bytes_max: usize,
}

impl Gathered {
    fn new(bytes_max: usize) -> Gathered {
        Gathered {
            body: BytesMut::new(),
            trailers: None,
            bytes_max,
        }
    }

    fn add(&mut self, frame: BodyFrame) -> bool {
        match frame {
            BodyFrame::Data { bytes, .. } => {
                let has_room = self.body.len() + bytes.len() <= self.bytes_max;
                if has_room {
                    self.body.extend_from_slice(&bytes);
                }
                has_room
            }
            BodyFrame::Trailers(trailers) => {
                self.trailers = Some(trailers);
                true
            }
            BodyFrame::End => true,
        }
    }
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

    /// Sends what there is room for. An error is told once.
    fn poll(&mut self, upstream: &mut Upstream, cx: &mut Context<'_>) -> Option<AttemptError> {
        match self.poll_send(upstream, cx) {
            Poll::Ready(Err(error)) => {
                self.state = SendState::Failed;
                Some(error)
            }
            _ => None,
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

fn poll_frames(
    upstream: &mut Upstream,
    take: &mut dyn FnMut(BodyFrame) -> bool,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Broken>> {
    loop {
        let frame = ready!(upstream.poll_body(cx)).map_err(Broken::Exchange)?;
        let is_last = frame.is_last();
        if !take(frame) {
            return Poll::Ready(Err(Broken::Unwanted));
        }
        if is_last {
            return Poll::Ready(Ok(()));
        }
    }
}
