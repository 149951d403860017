//! Two attempts that are under way at once: what the second one sends, and which of them answers first.

use super::super::Request;
use super::{Exchange, Stop};
use crate::body::BodyLength;
use crate::error::AttemptError;
use crate::upstream::{ResponseStart, Upstream};
use outrigger_http1::ResponseHead;
use outrigger_traffic::retry::{AttemptFailure, RetryRules};
use std::task::{Context, Poll, ready};
use tokio::time::Instant;

/// The attempt that is made beside another.
pub(in super::super) struct Second {
    pub(in super::super) upstream: Upstream,
    /// Where the head of its answer is read into.
    pub(in super::super) head: Box<ResponseHead>,
    /// The piece of the body that it sends next.
    next: usize,
    /// It has sent the request to its end.
    sent: bool,
}

impl Second {
    /// An attempt whose head is sent.
    pub(in super::super) fn new(upstream: Upstream, head: Box<ResponseHead>, length: BodyLength) -> Second {
        Second {
            upstream,
            head,
            next: 0,
            sent: length == BodyLength::None,
        }
    }
}

/// What happens first while two attempts are under way.
pub(in super::super) enum Came {
    /// The end of the first: its answer's head, in the exchange, or how it failed.
    First(Result<BodyLength, AttemptError>),
    /// The end of the second.
    Second(Result<BodyLength, AttemptError>),
    /// Both stop, or the first one's own time is up.
    Stopped(Stop),
}

impl Exchange<'_, '_> {
    /// True if the whole request has come and is kept, and the attempt under way has sent it: another may be made beside it.
    pub(in super::super) fn may_race(&self) -> bool {
        self.request_done && self.replay.whole && self.sent
    }

    /// The time of the attempt under way has no end but the request's; how long nothing may move stays.
    pub(in super::super) fn hold_try(&mut self) {
        if let Some(limits) = &mut self.try_limits {
            limits.hold();
        }
    }

    /// The time of the attempt under way, which began at `started`, ends as that of every attempt.
    pub(in super::super) fn resume_try(&mut self, rules: &RetryRules, started: Instant) {
        let ended = self.request_ended.filter(|_| self.request_done);
        if let Some(limits) = &mut self.try_limits {
            limits.resume(rules.per_try_timeout(), ended.map(|ended| ended.max(started)));
        }
    }

    /// Ready with what comes first of two attempts. Interim answers are not passed on: they would be of two.
    pub(in super::super) fn poll_race(
        &mut self,
        request: &Request<'_>,
        first: &mut Upstream,
        second: &mut Second,
        cx: &mut Context<'_>,
    ) -> Poll<Came> {
        let flushed = match first.poll_flush(cx) {
            Poll::Ready(Err(error)) => Some(Err(error)),
            _ => None,
        };
        let came = match flushed {
            Some(failed) => Poll::Ready(failed),
            None => poll_final_head(first, &mut self.response, cx),
        };
        if let Poll::Ready(first) = came {
            self.last_progress = self.context.worker().tick();
            return Poll::Ready(Came::First(first));
        }
        let came = match self.poll_second(second, cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => poll_final_head(&mut second.upstream, &mut second.head, cx),
        };
        if let Poll::Ready(second) = came {
            self.last_progress = self.context.worker().tick();
            return Poll::Ready(Came::Second(second));
        }
        self.poll_limits(request, cx).map(Came::Stopped)
    }

    /// Sends what the second attempt still has to send.
    fn poll_second(&mut self, second: &mut Second, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        loop {
            if second.sent {
                return second.upstream.poll_flush(cx);
            }
            ready!(second.upstream.poll_room(cx))?;
            match self.replay.pieces.get(second.next) {
                Some(piece) => {
                    second.upstream.send_data(piece.clone(), false)?;
                    second.next += 1;
                }
                None => {
                    second.upstream.finish(self.replay.trailers.as_deref())?;
                    second.sent = true;
                }
            }
        }
    }

    /// The second attempt is the one that goes on; gives back its stream. The rest of the request, if there is any, is
    /// sent as for every attempt.
    pub(in super::super) fn take_over(&mut self, mut second: Second) -> Upstream {
        std::mem::swap(&mut self.response, &mut second.head);
        self.context.worker().spares.keep_response(second.head);
        self.replay.next = second.next;
        self.sent = second.sent;
        self.flushed = false;
        second.upstream
    }
}

/// The next head that is not interim.
fn poll_final_head(
    upstream: &mut Upstream,
    head: &mut ResponseHead,
    cx: &mut Context<'_>,
) -> Poll<Result<BodyLength, AttemptError>> {
    loop {
        match ready!(upstream.poll_head(head, cx))? {
            ResponseStart::Final(length) => return Poll::Ready(Ok(length)),
            ResponseStart::Informational => {}
            ResponseStart::Tunnel => {
                let error = AttemptError::new(AttemptFailure::ResponseInvalid, "upstream_protocol_error");
                return Poll::Ready(Err(error));
            }
        }
    }
}
