//! What is noted of a request's attempts.

use super::Record;
use crate::snapshot::EndpointState;
use crate::upstream::Upstream;
use outrigger_telemetry::{AttemptOutcome, AttemptStory};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// An attempt.
#[derive(Clone, Copy)]
pub(super) struct Current {
    /// Counted from 1.
    pub(super) number: u32,
    /// It has not been told of in the story.
    pub(super) is_open: bool,
    /// The status of its answer, if that was the last one's.
    pub(super) status: u16,
    pub(super) started: Instant,
}

impl Record {
    /// The number of the attempt that is under way, or was the last to be, counted from 1; 0: there was none.
    pub(in crate::pipeline) fn attempt_number(&self) -> u32 {
        self.current.number
    }

    pub(in crate::pipeline) fn is_first_attempt(&self) -> bool {
        self.attempts == 1
    }

    #[inline(always)]
    pub(in crate::pipeline) fn attempt(&mut self, endpoint: &Arc<EndpointState>, now: Instant) {
        // Another is made beside it.
        self.end_attempt(AttemptOutcome::Cancelled, now);
        self.attempts += 1;
        self.current = Current {
            number: self.attempts,
            is_open: true,
            status: 0,
            started: now,
        };
        self.endpoint = Some(Arc::clone(endpoint));
        self.peer_address = None;
    }

    /// The last attempt goes on, and the one before it, beside which it was made, does not: this is what came of that.
    #[cold]
    pub(in crate::pipeline) fn other_ended(&mut self, outcome: AttemptOutcome, now: Instant) {
        let number = self.current.number.saturating_sub(1);
        let at = now.saturating_duration_since(self.started);
        self.story().amend_attempt(number, outcome, at);
    }

    /// The attempt before the last one goes on, and the last one does not: this is what came of it.
    pub(in crate::pipeline) fn answered_by(
        &mut self,
        (endpoint, upstream): (&Arc<EndpointState>, &Upstream),
        outcome: AttemptOutcome,
        now: Instant,
    ) {
        let number = self.current.number.saturating_sub(1);
        self.end_attempt(outcome, now);
        if let Some(resumed) = self.story().resume_attempt(number) {
            self.current = Current {
                number,
                is_open: true,
                status: 0,
                started: self.started + resumed.started,
            };
        }
        self.endpoint = Some(Arc::clone(endpoint));
        self.connected(upstream);
    }

    /// The attempt that is under way has failed.
    #[cold]
    pub(in crate::pipeline) fn attempt_failed(&mut self, why: &'static str, now: Instant) {
        self.end_attempt(AttemptOutcome::Failed(why), now);
    }

    /// The answer of the attempt that is under way is thrown away.
    #[cold]
    pub(in crate::pipeline) fn answer_thrown_away(&mut self, status: u16, now: Instant) {
        self.end_attempt(AttemptOutcome::Answered(status), now);
    }

    #[inline(always)]
    fn end_attempt(&mut self, outcome: AttemptOutcome, now: Instant) {
        if self.current.is_open {
            self.close_attempt(outcome, now);
        }
    }

    #[cold]
    #[inline(never)]
    fn close_attempt(&mut self, outcome: AttemptOutcome, now: Instant) {
        let Some(mut attempt) = self.last_attempt(now) else {
            return;
        };
        attempt.outcome = outcome;
        if matches!(outcome, AttemptOutcome::Answered(_)) {
            attempt.answered.get_or_insert(attempt.ended);
        }
        self.current.is_open = false;
        self.story().end_attempt(attempt);
    }

    /// The attempt that is not in the story, as it stands at `now`: the only one of most requests.
    pub(in crate::pipeline) fn last_attempt(&self, now: Instant) -> Option<AttemptStory> {
        let endpoint = self.endpoint.as_ref().filter(|_| self.current.is_open)?;
        let since = |at: Instant| at.saturating_duration_since(self.started);
        let outcome = match self.current.status {
            0 => AttemptOutcome::Cancelled,
            status => AttemptOutcome::Answered(status),
        };
        Some(AttemptStory {
            number: self.current.number,
            endpoint: self.peer_address.as_deref().copied().unwrap_or(endpoint.address),
            started: since(self.current.started),
            answered: self.upstream_answered.filter(|_| self.current.status != 0),
            ended: since(now),
            outcome,
        })
    }

    /// The attempt has a connection.
    #[inline(always)]
    pub(in crate::pipeline) fn connected(&mut self, upstream: &Upstream) {
        self.peer_address = upstream.peer_address().map(Box::new);
        self.sent_by_tls = upstream.tls().is_some();
        if let Some(logged) = &mut self.logged {
            logged.upstream_tls = upstream.tls().cloned();
            logged.upstream_local_address = upstream.local_address();
            logged.upstream_protocol = Some(if upstream.is_http2() { "HTTP/2" } else { "HTTP/1.1" });
        }
    }

    pub(in crate::pipeline) fn upstream_answered(&mut self, status: u16, at: Instant) {
        self.attempt_answered(status, at, Duration::ZERO);
    }

    /// The head of an answer is there, so long after `started`.
    #[inline(always)]
    pub(in crate::pipeline) fn attempt_answered(&mut self, status: u16, started: Instant, elapsed: Duration) {
        self.upstream_answered = Some(match started == self.started {
            true => elapsed,
            false => started.saturating_duration_since(self.started) + elapsed,
        });
        self.current.status = status;
        self.status = status;
        self.details = "via_upstream";
    }
}
