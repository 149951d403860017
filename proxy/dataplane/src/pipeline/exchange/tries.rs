//! What few requests need of an exchange: the limits of one attempt, the wait between two, and a body that was read ahead.

use super::super::attempts::ThrownAway;
use super::super::external_authorization::Ahead;
use super::super::{Request, deadline, rights};
use super::{Exchange, PIECE_OVERHEAD_BYTES, Stop};
use crate::body::BodyFrame;
use crate::error::AttemptError;
use crate::reply::{LocalReply, Stalled};
use crate::timer::{after, earlier};
use outrigger_config::model::defaults::RETRY_BUFFER_BYTES_MAX;
use outrigger_http1::strip_hop_by_hop;
use outrigger_telemetry::DeadlineWait;
use outrigger_traffic::retry::{AttemptFailure, RetryRules};
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// The details of an attempt that was not answered in its time.
pub(in super::super) const PER_TRY_TIMEOUT: &str = "upstream_per_try_timeout";
/// Those of one on which nothing moved.
pub(in super::super) const PER_TRY_IDLE_TIMEOUT: &str = "upstream_per_try_idle_timeout";

/// The time limits of one attempt, until its answer's head is there.
pub(super) struct TryLimits {
    /// From the start of the attempt, or from the end of the request if that is later.
    timeout: Option<Duration>,
    /// None as long as the client sends: how long it takes for that is not the endpoint's time.
    deadline: Option<Instant>,
    idle: Option<Duration>,
}

impl TryLimits {
    fn begin(
        timeout: Option<Duration>,
        idle: Option<Duration>,
        request_done: bool,
        now: Instant,
    ) -> TryLimits {
        let mut limits = TryLimits {
            timeout,
            deadline: None,
            idle,
        };
        if request_done {
            limits.end_of_request(now);
        }
        limits
    }

    /// The request has come to its end.
    pub(super) fn end_of_request(&mut self, now: Instant) {
        self.deadline = after(now, self.timeout);
    }

    /// The attempt's time has no end.
    pub(super) fn hold(&mut self) {
        self.timeout = None;
        self.deadline = None;
    }

    /// The attempt's time has an end again; `from`: where it runs from, if the request has come to its end.
    pub(super) fn resume(&mut self, timeout: Option<Duration>, from: Option<Instant>) {
        self.timeout = timeout;
        if let Some(from) = from {
            self.end_of_request(from);
        }
    }

    /// When the first of them passes, if nothing moves.
    pub(super) fn next(&self, last_progress: Instant) -> Option<Instant> {
        earlier(self.deadline, after(last_progress, self.idle))
    }

    /// How the attempt has failed, if one has passed.
    pub(super) fn passed(&self, last_progress: Instant, now: Instant) -> Option<AttemptError> {
        let has_passed = |limit: Option<Instant>| limit.is_some_and(|limit| now >= limit);
        let detail = if has_passed(self.deadline) {
            PER_TRY_TIMEOUT
        } else if has_passed(after(last_progress, self.idle)) {
            PER_TRY_IDLE_TIMEOUT
        } else {
            return None;
        };
        Some(AttemptError::new(AttemptFailure::TimedOut, detail))
    }
}

impl Exchange<'_, '_> {
    /// Goes on where the body was read to before: that is sent first, and kept for as long as no answer has come.
    #[cold]
    pub(in super::super) fn resume(&mut self, ahead: Ahead) {
        for piece in ahead.pieces {
            self.request_bytes += piece.len() as u64;
            if self.copy.as_mut().is_some_and(|copy| !copy.add(&piece)) {
                self.copy = None;
            }
            // They are here and have to be sent, whatever may be kept.
            let worker = self.context.worker();
            self.replay.held.keep(worker, piece.len() + PIECE_OVERHEAD_BYTES);
            self.replay.pieces.push(piece);
        }
        self.replay.trailers = ahead.trailers;
        if let Some(ended) = ahead.ended {
            self.end_of_request(self.context.worker().now());
            self.request_ended = Some(ended);
        }
    }

    /// An attempt begins: its time runs from here, or from the end of the request if that is yet to come.
    pub(in super::super) fn begin_try(&mut self, rules: &RetryRules, now: Instant) {
        let (timeout, idle) = (rules.per_try_timeout(), rules.per_try_idle_timeout());
        if timeout.is_none() && idle.is_none() {
            return;
        }
        self.last_progress = now;
        self.try_limits = Some(Box::new(TryLimits::begin(timeout, idle, self.request_done, now)));
    }

    /// Who does not move.
    #[cold]
    pub(super) fn stalled(&mut self, request: &Request<'_>, cx: &mut Context<'_>) -> Stalled {
        if request.record.has_started() && self.downstream.poll_room(cx).is_pending() {
            Stalled::Reader
        } else if self.request_done {
            Stalled::Endpoint
        } else {
            Stalled::Request
        }
    }

    /// The attempt has its answer.
    pub(in super::super) fn end_try(&mut self) {
        self.try_limits = None;
    }

    /// Waits within the request's limits and for as long as its client is there, and reads an answer that is thrown away
    /// meanwhile. What the client sends in the meantime is kept, as far as it is kept for a replay.
    pub(in super::super) async fn pause(
        &mut self,
        request: &Request<'_>,
        wait: Duration,
        mut thrown_away: Option<Box<ThrownAway>>,
    ) -> Result<(), Stop> {
        self.try_limits = None;
        let now = self.context.worker().tick();
        // To wait is no lack of movement.
        self.last_progress = now;
        let until = after(now, Some(wait));
        poll_fn(|cx| {
            if let Some(lost) = rights::judge_due(self.context, request) {
                return Poll::Ready(Err(Stop::Reply(lost)));
            }
            if let Some(answer) = &mut thrown_away
                && answer.poll(cx).is_ready()
            {
                thrown_away = None;
            }
            self.read_ahead(cx)?;
            if self.request_done
                && let Poll::Ready(error) = self.downstream.poll_gone(cx)
            {
                return Poll::Ready(Err(error.into()));
            }
            if wait.is_zero() {
                return Poll::Ready(Ok(()));
            }
            let next = earlier(self.deadline, until);
            std::task::ready!(self.downstream.timer().poll_until(cx, next));
            let now = self.context.worker().tick();
            Poll::Ready(match self.deadline {
                Some(deadline) if now >= deadline => Err(deadline::not_sent(
                    request,
                    now,
                    self.request_done,
                    DeadlineWait::Backoff,
                )),
                _ => Ok(()),
            })
        })
        .await
    }

    /// Reads what the client sends of its request: only so is it seen to go away. At most one piece beyond what is kept
    /// for a replay is taken, and then no more.
    fn read_ahead(&mut self, cx: &mut Context<'_>) -> Result<(), Stop> {
        while !self.request_done && self.replay.whole {
            let Poll::Ready(frame) = self.downstream.poll_body(cx) else {
                return Ok(());
            };
            let now = self.context.worker().tick();
            let is_last = match frame? {
                BodyFrame::Data { bytes, end } => {
                    self.request_bytes += bytes.len() as u64;
                    let max = self.limits.body_bytes_max;
                    if max.is_some_and(|max| self.request_bytes > max) {
                        return Err(Stop::Reply(LocalReply::BodyTooLarge));
                    }
                    if self.copy.as_mut().is_some_and(|copy| !copy.add(&bytes)) {
                        self.copy = None;
                    }
                    let held = bytes.len() + PIECE_OVERHEAD_BYTES;
                    let worker = self.context.worker();
                    let may_keep = self.replay.held.try_keep(worker, held);
                    if !may_keep {
                        self.replay.held.keep(worker, held);
                    }
                    let is_short = self.replay.held.bytes() <= RETRY_BUFFER_BYTES_MAX + PIECE_OVERHEAD_BYTES;
                    self.replay.whole = may_keep && is_short;
                    if !bytes.is_empty() {
                        self.replay.pieces.push(bytes);
                    }
                    end
                }
                BodyFrame::Trailers(mut trailers) => {
                    strip_hop_by_hop(&mut trailers);
                    self.replay.trailers = Some(trailers);
                    true
                }
                BodyFrame::End => true,
            };
            if is_last {
                self.end_of_request(now);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_s_time_runs_from_the_end_of_the_request() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let detail = |limits: &TryLimits, now| limits.passed(now, now).map(|error| error.detail);
        let limits = TryLimits::begin(Some(second), None, true, start);
        assert_eq!(limits.next(start), Some(start + second));
        assert_eq!(detail(&limits, start + second), Some("upstream_per_try_timeout"));

        let mut limits = TryLimits::begin(Some(second), Some(3 * second), false, start);
        assert_eq!(
            detail(&limits, start + 9 * second),
            None,
            "the client still sends"
        );
        assert_eq!(
            limits.next(start),
            Some(start + 3 * second),
            "nothing moves meanwhile"
        );
        limits.end_of_request(start + 9 * second);
        assert_eq!(detail(&limits, start + 9 * second), None);
        assert_eq!(
            detail(&limits, start + 10 * second),
            Some("upstream_per_try_timeout")
        );
    }
}
