//! One attempt at an upstream, and the streaming of its response: both directions at once, in one task.
//!
//! Each direction takes a piece only when the other side has room for it, so that a slow reader slows the writer and
//! what is held is bounded by [`STREAM_BUFFER_BYTES_MAX`] and the windows.
//!
//! [`STREAM_BUFFER_BYTES_MAX`]: outrigger_config::model::defaults::STREAM_BUFFER_BYTES_MAX

mod race;
mod stop;
mod tries;

pub(super) use race::{Came, Second};
pub(super) use stop::Stop;
pub(super) use tries::{PER_TRY_IDLE_TIMEOUT, PER_TRY_TIMEOUT};

use super::mirror::MirrorCopy;
use super::pace::Pace;
use super::{Request, RequestContext, deadline, rights};
use crate::body::{BodyFrame, BodyLength};
use crate::buffered::Buffered;
use crate::compression::{COMPRESSED_PER_POLL_BYTES, CompressedBody};
use crate::error::{AttemptError, DownstreamError};
use crate::pool::Awaited;
use crate::reply::LocalReply;
use crate::server::Downstream;
use crate::timer::{after, earlier};
use crate::upstream::{ResponseStart, Upstream};
use bytes::Bytes;
use outrigger_config::model::defaults::RETRY_BUFFER_BYTES_MAX;
use outrigger_http1::{Fields, ResponseHead, strip_hop_by_hop};
use std::cell::Cell;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;
use tries::TryLimits;

/// What a kept piece of a body costs beside its bytes, so that many small ones count for what they are.
const PIECE_OVERHEAD_BYTES: usize = 64;

/// The time limits of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// From the end of the request.
    pub(super) route_timeout: Option<Duration>,
    /// The next hop is told what time is left.
    pub(super) tells_time_left: bool,
    /// An absolute limit: the client's deadline, the stream's greatest age.
    pub(super) deadline: Option<Instant>,
    /// When the request must have come to its end.
    pub(super) request_end: Option<Instant>,
    /// Without any movement.
    pub(super) stream_idle: Option<Duration>,
    /// Bytes of request body.
    pub(super) body_bytes_max: Option<u64>,
    /// Bytes of response body.
    pub(super) response_bytes_max: Option<u64>,
}

/// The request's body as far as it was read: kept for a second attempt while it is small.
struct Replay {
    pieces: Vec<Bytes>,
    held: Buffered,
    trailers: Option<Box<Fields>>,
    /// Everything that was read is still here.
    whole: bool,
    /// The piece that the current attempt sends next.
    next: usize,
}

impl Replay {
    /// All that was kept has been sent, and will not be again.
    fn forget(&mut self) {
        self.whole = false;
        self.pieces = Vec::new();
        self.next = 0;
        self.held.release();
    }
}

/// The two sides of a request, over all its attempts.
pub(super) struct Exchange<'x, 'd> {
    pub(super) downstream: &'x mut Downstream<'d>,
    context: &'x RequestContext<'x>,
    limits: Limits,
    replay: Replay,
    /// Copies the request for mirrors.
    copy: Option<Box<MirrorCopy>>,
    /// The request's body was read to its end.
    request_done: bool,
    /// The current attempt has sent the request to its end.
    sent: bool,
    /// All that it has sent is out of its hands: to send a last piece is not yet to have room for it.
    flushed: bool,
    /// The first of all limits that do not move; the end of the request changes it.
    deadline: Option<Instant>,
    last_progress: Instant,
    /// The limits of the attempt under way, where retry policy has some.
    try_limits: Option<Box<TryLimits>>,
    /// What the current attempt waited for when it stopped without a connection.
    pub(super) awaited: Awaited,
    /// The head of the response, or the last interim one.
    pub(super) response: Box<ResponseHead>,
    /// That head says that what was asked for is there.
    pub(super) tunnelled: bool,
    /// What the response's body goes through on its way, if it is compressed.
    pub(super) compressed: Option<Box<CompressedBody>>,
    /// What slows it down.
    pub(super) pace: Option<Box<Pace>>,
    pub(super) request_bytes: u64,
    /// Bytes of body passed on.
    pub(super) response_bytes: u64,
    /// When the request's body had been read.
    pub(super) request_ended: Option<Instant>,
}

impl<'x, 'd> Exchange<'x, 'd> {
    #[inline(always)]
    pub(super) fn new(
        downstream: &'x mut Downstream<'d>,
        context: &'x RequestContext<'x>,
        limits: Limits,
        length: BodyLength,
    ) -> Exchange<'x, 'd> {
        let worker = context.worker();
        let now = worker.now();
        let ended = length == BodyLength::None;
        // Made where it stays: what is changed afterwards would be copied, all of it.
        Exchange {
            downstream,
            context,
            limits,
            replay: Replay {
                pieces: Vec::new(),
                held: Buffered::default(),
                trailers: None,
                whole: true,
                next: 0,
            },
            copy: None,
            request_done: ended,
            sent: false,
            flushed: false,
            deadline: match ended {
                true => earlier(limits.deadline, after(now, limits.route_timeout)),
                false => earlier(limits.deadline, limits.request_end),
            },
            last_progress: now,
            try_limits: None,
            awaited: Awaited::Nothing,
            response: worker.spares.response(),
            tunnelled: false,
            compressed: None,
            pace: None,
            request_bytes: 0,
            response_bytes: 0,
            request_ended: ended.then_some(now),
        }
    }

    /// Copies the request for mirrors from here on.
    pub(super) fn copy_to(&mut self, copy: Option<Box<MirrorCopy>>) {
        self.copy = copy;
        if self.request_done {
            self.send_copy();
        }
    }

    fn send_copy(&mut self) {
        if let Some(copy) = self.copy.take() {
            copy.send(self.replay.trailers.as_deref());
        }
    }

    /// True if all that was read of the body can be sent again.
    pub(super) fn is_replayable(&self) -> bool {
        self.replay.whole
    }

    /// True if the request's body was read to its end.
    pub(super) fn request_done(&self) -> bool {
        self.request_done
    }

    /// Prepares another attempt: its body starts from the first byte.
    pub(super) fn begin_attempt(&mut self, length: BodyLength) {
        self.replay.next = 0;
        self.sent = length == BodyLength::None;
        self.flushed = false;
    }

    /// Waits for `work` (a connection: nothing of the attempt was sent) within the request's limits, and for as long as the
    /// client is there. `awaited` says what `work` waits for.
    pub(super) async fn within_limits<T>(
        &mut self,
        request: &Request<'_>,
        work: impl Future<Output = Result<T, AttemptError>>,
        awaited: &Cell<Awaited>,
    ) -> Result<T, Stop> {
        let mut work = std::pin::pin!(work);
        let done = poll_fn(|cx| {
            // Before the work is done: nothing that has lost its right goes on with what came of it.
            if let Some(lost) = rights::judge_due(self.context, request) {
                return Poll::Ready(Err(Stop::Reply(lost)));
            }
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(done.map_err(Stop::Attempt));
            }
            self.poll_limits(request, cx)
                .map(|stop| Err(stop.before_sending()))
        })
        .await;
        if done.is_err() {
            self.awaited = awaited.get();
        }
        done
    }

    /// Sends the request and waits for the response's final head, into `self.response`.
    pub(super) async fn response_start(
        &mut self,
        request: &Request<'_>,
        upstream: &mut Upstream,
    ) -> Result<BodyLength, Stop> {
        poll_fn(|cx| self.poll_response_start(request, upstream, cx)).await
    }

    /// [`Exchange::response_start`], for the one caller that every request has.
    #[inline(always)]
    pub(super) fn poll_response_start(
        &mut self,
        request: &Request<'_>,
        upstream: &mut Upstream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<BodyLength, Stop>> {
        loop {
            if let Poll::Ready(Err(stop)) = self.poll_request(upstream, cx) {
                return Poll::Ready(Err(stop));
            }
            match upstream.poll_head(&mut self.response, cx) {
                Poll::Ready(Ok(ResponseStart::Final(length))) => {
                    self.last_progress = self.context.worker().tick();
                    return Poll::Ready(Ok(length));
                }
                Poll::Ready(Ok(ResponseStart::Tunnel)) => {
                    self.tunnelled = true;
                    return Poll::Ready(Ok(BodyLength::Unknown));
                }
                Poll::Ready(Ok(ResponseStart::Informational)) => {
                    self.last_progress = self.context.worker().tick();
                    strip_hop_by_hop(&mut self.response.fields);
                    self.downstream.send_informational(&self.response);
                    if let Poll::Ready(Err(error)) = self.downstream.poll_flush(cx) {
                        return Poll::Ready(Err(error.into()));
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => return self.poll_limits(request, cx).map(Err),
            }
        }
    }

    /// Streams the response's body, and what is left of the request's, until the response has been read to its end
    /// and passed on. Gives back its trailers.
    pub(super) async fn stream(
        &mut self,
        request: &Request<'_>,
        upstream: &mut Upstream,
    ) -> Result<Option<Box<Fields>>, Stop> {
        // The clock was read for the response's head, and the first piece of the body usually came with it.
        let mut ticked = true;
        poll_fn(|cx| {
            if !self.flushed {
                match self.poll_request(upstream, cx) {
                    // What became of the upstream is told by its response.
                    Poll::Ready(Err(Stop::Attempt(_))) => self.flushed = true,
                    Poll::Ready(Err(stop)) => return Poll::Ready(Err(stop)),
                    Poll::Ready(Ok(())) | Poll::Pending => {}
                }
            }
            let mut moved = false;
            let streamed = self.poll_response(upstream, &mut moved, cx);
            if moved && !std::mem::take(&mut ticked) {
                self.last_progress = self.context.worker().tick();
            }
            match streamed {
                Poll::Ready(result) => Poll::Ready(result),
                Poll::Pending => self.poll_limits(request, cx).map(Err),
            }
        })
        .await
    }

    /// Moves the request forward. Ready when it has been sent to its end, or cannot be.
    fn poll_request(&mut self, upstream: &mut Upstream, cx: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        loop {
            if self.sent {
                ready!(upstream.poll_flush(cx))?;
                self.flushed = true;
                return Poll::Ready(Ok(()));
            }
            ready!(upstream.poll_room(cx))?;
            if let Some(piece) = self.replay.pieces.get(self.replay.next) {
                upstream.send_data(piece.clone(), false)?;
                self.replay.next += 1;
                continue;
            }
            if self.request_done {
                upstream.finish(self.replay.trailers.as_deref())?;
                self.sent = true;
                continue;
            }
            let Poll::Ready(frame) = self.downstream.poll_body(cx) else {
                if let Poll::Ready(Err(error)) = upstream.poll_flush(cx) {
                    return Poll::Ready(Err(error.into()));
                }
                return Poll::Pending;
            };
            self.take_frame(upstream, frame?)?;
        }
    }

    fn take_frame(&mut self, upstream: &mut Upstream, frame: BodyFrame) -> Result<(), Stop> {
        let now = self.context.worker().tick();
        self.last_progress = now;
        match frame {
            BodyFrame::Data { bytes, end } => {
                self.request_bytes += bytes.len() as u64;
                if self
                    .limits
                    .body_bytes_max
                    .is_some_and(|max| self.request_bytes > max)
                {
                    return Err(Stop::Reply(LocalReply::BodyTooLarge));
                }
                self.keep(&bytes);
                if self.copy.as_mut().is_some_and(|copy| !copy.add(&bytes)) {
                    self.copy = None;
                }
                upstream.send_data(bytes, end)?;
                if end {
                    self.sent = true;
                    self.end_of_request(now);
                }
            }
            BodyFrame::Trailers(mut trailers) => {
                strip_hop_by_hop(&mut trailers);
                self.replay.trailers = Some(trailers);
                self.end_of_request(now);
            }
            BodyFrame::End => self.end_of_request(now),
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &Bytes) {
        if !self.replay.whole {
            return;
        }
        let held = bytes.len() + PIECE_OVERHEAD_BYTES;
        let is_too_long = self.replay.held.bytes() + held > RETRY_BUFFER_BYTES_MAX + PIECE_OVERHEAD_BYTES;
        if is_too_long || !bytes.is_empty() && !self.replay.held.try_keep(self.context.worker(), held) {
            self.replay.forget();
        } else if !bytes.is_empty() {
            self.replay.pieces.push(bytes.clone());
            self.replay.next += 1;
        }
    }

    /// The response's head is to be passed on: no other attempt will send what was kept.
    pub(super) fn forget_sent(&mut self) {
        if self.replay.next >= self.replay.pieces.len() {
            self.replay.forget();
        }
    }

    /// True if no piece of the request's body is kept.
    pub(super) fn keeps_nothing(&self) -> bool {
        self.replay.pieces.is_empty()
    }

    /// True if the next hop is told what time is left.
    pub(super) fn tells_time_left(&self) -> bool {
        self.limits.tells_time_left
    }

    /// What is left of the request's time; none: it has no limit.
    pub(super) fn time_left(&self, now: Instant) -> Option<Duration> {
        let until = if self.request_done {
            self.deadline
        } else {
            // It runs from the end of the request.
            earlier(self.limits.deadline, after(now, self.limits.route_timeout))
        };
        until.map(|until| until.saturating_duration_since(now))
    }

    /// True if the request's time is up.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }

    /// How long nothing may move.
    pub(super) fn stream_idle(&self) -> Option<Duration> {
        self.limits.stream_idle
    }

    fn end_of_request(&mut self, now: Instant) {
        self.request_done = true;
        self.request_ended = Some(now);
        self.deadline = earlier(self.limits.deadline, after(now, self.limits.route_timeout));
        if let Some(limits) = &mut self.try_limits {
            limits.end_of_request(now);
        }
        if self.copy.is_some() {
            self.send_copy();
        }
    }

    fn poll_response(
        &mut self,
        upstream: &mut Upstream,
        moved: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Box<Fields>>, Stop>> {
        let mut budget = COMPRESSED_PER_POLL_BYTES;
        loop {
            ready!(self.downstream.poll_room(cx))?;
            let mut poll = |cx: &mut Context<'_>| match &mut self.compressed {
                None => upstream.poll_body(cx),
                Some(body) => body.poll_frame(|cx| upstream.poll_body(cx), &mut budget, moved, cx),
            };
            let polled = match &mut self.pace {
                None => poll(cx),
                Some(pace) => pace.poll_frame(poll, cx),
            };
            let Poll::Ready(frame) = polled else {
                if let Poll::Ready(Err(error)) = self.downstream.poll_flush(cx) {
                    return Poll::Ready(Err(error.into()));
                }
                return Poll::Pending;
            };
            *moved = true;
            match frame? {
                BodyFrame::Data { bytes, end } => {
                    let response_bytes = self.response_bytes + bytes.len() as u64;
                    // The limit is the upstream's, whatever its body becomes.
                    let came = self
                        .compressed
                        .as_ref()
                        .map_or(response_bytes, |body| body.input_bytes());
                    if self.limits.response_bytes_max.is_some_and(|max| came > max) {
                        return Poll::Ready(Err(Stop::Reply(LocalReply::ResponseTooLong)));
                    }
                    self.response_bytes = response_bytes;
                    self.downstream.send_data(bytes, end)?;
                    if end {
                        return Poll::Ready(Ok(None));
                    }
                }
                BodyFrame::Trailers(mut trailers) => {
                    strip_hop_by_hop(&mut trailers);
                    self.downstream.finish(Some(&trailers))?;
                    return Poll::Ready(Ok(Some(trailers)));
                }
                BodyFrame::End => {
                    self.downstream.finish(None)?;
                    return Poll::Ready(Ok(None));
                }
            }
        }
    }

    /// Ready when the request has lost its right, the client is gone or a time limit has passed.
    fn poll_limits(&mut self, request: &Request<'_>, cx: &mut Context<'_>) -> Poll<Stop> {
        if let Some(lost) = rights::judge_due(self.context, request) {
            return Poll::Ready(Stop::Reply(lost));
        }
        if self.request_done
            && let Poll::Ready(error) = self.downstream.poll_gone(cx)
        {
            return Poll::Ready(error.into());
        }
        let idle = after(self.last_progress, self.limits.stream_idle);
        let mut next = earlier(self.deadline, idle);
        if let Some(limits) = &self.try_limits {
            next = earlier(next, limits.next(self.last_progress));
        }
        ready!(self.downstream.timer().poll_until(cx, next));
        let now = self.context.worker().tick();
        let reply = if self.is_late(now) {
            let reply = deadline::passed(request, now, self.request_done, LocalReply::RouteTimeout);
            match reply {
                Some(reply) => reply,
                // The answer has begun: the rest of the request may take longer.
                None if !self.request_done => {
                    self.deadline = self.limits.deadline;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                None => LocalReply::RouteTimeout,
            }
        } else if let Some(limits) = &self.try_limits
            && let Some(error) = limits.passed(self.last_progress, now)
        {
            return Poll::Ready(Stop::Attempt(error));
        } else {
            LocalReply::StreamIdle(self.stalled(request, cx))
        };
        Poll::Ready(Stop::Reply(reply))
    }
}

/// Waits until what was sent downstream has left, or nothing moved for `idle`.
pub(super) async fn flush(
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    idle: Option<Duration>,
) -> Result<(), DownstreamError> {
    let mut deadline = None;
    poll_fn(|cx| {
        if let Poll::Ready(result) = downstream.poll_flush(cx) {
            return Poll::Ready(result);
        }
        // The answer was given while it was allowed, but a peer that is believed no more gets nothing.
        if context.is_due() && crate::rights::judge(context.accepted).is_some() {
            return Poll::Ready(Err(DownstreamError::Gone));
        }
        let deadline = *deadline.get_or_insert_with(|| after(Instant::now(), idle));
        downstream
            .timer()
            .poll_until(cx, deadline)
            .map(|()| Err(DownstreamError::Stalled))
    })
    .await
}
