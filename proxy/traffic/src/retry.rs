//! Whether an attempt that failed, or whose answer is not good enough, is followed by another: by policy ([`RetryRules`])
//! or, where there is none, by [`default_decision`]; how long is waited before ([`backoff`]); and the budget that bounds all
//! repetition ([`RetryBudget`]).
//!
//! Nothing here waits, sends or counts requests: the caller knows what happened on the wire and says so exactly.

mod backoff;
mod budget;
mod hints;
mod rules;

pub use backoff::{after_interval, backoff, seconds_until};
pub use budget::{Allowance, RequestCounts, RetryBudget, RetryDenial};
pub use hints::{
    EXPECTED_TIMEOUT, HINT_HEADERS, HINTED_PER_TRY_TIMEOUT, HINTED_RETRIES_MAX, HINTED_TIMEOUT, RETRY_BUDGET,
    RETRY_NUMBER, RetryHints,
};
pub use rules::{AnswerCause, AnswerView, Judged, RetryRules, Standing};

/// Attempts of one request at most, by default: the first and one retry.
pub const DEFAULT_ATTEMPTS_MAX: u32 = 2;

/// How an attempt failed. The distinctions are those that tell whether the request may have run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptFailure {
    /// No connection came about: refused, unreachable, TLS failed.
    ConnectFailed,
    /// No connection came about in time.
    ConnectTimeout,
    /// HTTP/2: reset with REFUSED_STREAM (RFC 9113, 8.7: not processed).
    RefusedStream,
    /// HTTP/2: GOAWAY with a last stream id below this stream's (RFC 9113, 6.8: not processed).
    GoAwayAboveStream,
    /// A pooled connection was found closed before a byte of the request was written to it.
    PooledClosedBeforeWrite,
    /// The connection died after bytes of the request were written and before one of an answer came.
    DiedBeforeAnswer {
        /// The connection had carried a request before: the upstream may just have closed it as idle.
        reused: bool,
    },
    /// The connection died after an answer had begun.
    DiedAfterAnswer,
    /// HTTP/2: reset before an answer, with a code other than REFUSED_STREAM.
    ResetBeforeAnswer,
    /// The attempt's own time was up while it waited for a connection.
    TimedOutBeforeSend,
    /// The attempt's time was up.
    TimedOut,
    /// The answer broke the protocol or a limit.
    ResponseInvalid,
    /// A limit of the cluster's circuit breakers was met: nothing was sent. Another attempt would be more of what there is too
    /// much of; as in Envoy, no policy asks for one.
    Overflow,
    /// The request cannot be said in the version of HTTP that the endpoint speaks, or its body is not what its head says.
    /// Every endpoint would be asked in vain, and none is at fault.
    RequestInvalid,
    /// The endpoint does not know the way in which an upgrade has to be asked for. Nothing was sent.
    UpgradeNotKnown,
    /// The attempt failed when more of the body had been sent than is kept for a replay.
    BodyTooLargeToReplay,
}

impl AttemptFailure {
    /// The upstream cannot have begun the request.
    pub fn never_ran(self) -> bool {
        matches!(
            self,
            AttemptFailure::ConnectFailed
                | AttemptFailure::ConnectTimeout
                | AttemptFailure::TimedOutBeforeSend
                | AttemptFailure::RefusedStream
                | AttemptFailure::GoAwayAboveStream
                | AttemptFailure::PooledClosedBeforeWrite
                | AttemptFailure::Overflow
        )
    }

    /// Something of the request may have been seen by an endpoint: a connection came about.
    pub fn was_sent(&self) -> bool {
        !matches!(
            self,
            AttemptFailure::ConnectFailed
                | AttemptFailure::ConnectTimeout
                | AttemptFailure::TimedOutBeforeSend
        )
    }

    /// How long it took says something of how busy the upstream is: it was asked, or time was up. A connection that is refused
    /// at once says nothing.
    pub fn tells_time(self) -> bool {
        match self {
            AttemptFailure::ConnectTimeout | AttemptFailure::TimedOutBeforeSend => true,
            AttemptFailure::RequestInvalid | AttemptFailure::UpgradeNotKnown => false,
            _ => !self.never_ran(),
        }
    }

    /// A retry after it only moves the request from a connection that was closing: the upstream has not seen it, and nothing
    /// says that anything is wrong with the endpoint. One such move a request does not count against the budget, because
    /// a GOAWAY on a busy connection turns a hundred streams away at once; it is made whatever a policy's conditions are.
    pub fn is_move(&self) -> bool {
        matches!(
            self,
            AttemptFailure::GoAwayAboveStream | AttemptFailure::PooledClosedBeforeWrite
        )
    }
}

/// What becomes of a request whose attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Another attempt, if the budget allows it.
    Retry,
    /// No other attempt.
    GiveUp(GiveUp),
}

/// Why there is no other attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GiveUp {
    /// No condition asks for one.
    NotWanted,
    /// The request may have run, and is not idempotent.
    NotIdempotent,
    /// It may have run, and nothing says that it did not.
    MayHaveRun,
    /// An answer had begun.
    AnswerBegun,
    /// Its time was up.
    TimedOut,
    /// The answer could not be read.
    ResponseInvalid,
    /// There were as many as there may be.
    AttemptsUsedUp,
    /// What was sent of the body is not here any more.
    BodyNotKept,
}

impl GiveUp {
    /// Its name in snake case.
    pub fn as_str(self) -> &'static str {
        match self {
            GiveUp::NotWanted => "not_wanted",
            GiveUp::NotIdempotent => "not_idempotent",
            GiveUp::MayHaveRun => "may_have_run",
            GiveUp::AnswerBegun => "answer_begun",
            GiveUp::TimedOut => "timed_out",
            GiveUp::ResponseInvalid => "response_invalid",
            GiveUp::AttemptsUsedUp => "attempts_used_up",
            GiveUp::BodyNotKept => "body_not_kept",
        }
    }
}

/// The default, for routes without a retry policy: one retry, only if the request provably never ran, or if its method
/// is idempotent and a reused connection died before any byte of an answer. `replayable` says that every byte
/// of the body sent so far is still kept; `attempts_made` counts the failed one.
pub fn default_decision(
    failure: AttemptFailure,
    idempotent: bool,
    replayable: bool,
    attempts_made: u32,
) -> Decision {
    match failure {
        AttemptFailure::DiedBeforeAnswer { reused: true } if idempotent => {}
        AttemptFailure::DiedBeforeAnswer { reused: true } => return Decision::GiveUp(GiveUp::NotIdempotent),
        AttemptFailure::DiedBeforeAnswer { reused: false } | AttemptFailure::ResetBeforeAnswer => {
            return Decision::GiveUp(GiveUp::MayHaveRun);
        }
        AttemptFailure::DiedAfterAnswer => return Decision::GiveUp(GiveUp::AnswerBegun),
        AttemptFailure::TimedOut => return Decision::GiveUp(GiveUp::TimedOut),
        AttemptFailure::ResponseInvalid => return Decision::GiveUp(GiveUp::ResponseInvalid),
        AttemptFailure::BodyTooLargeToReplay => return Decision::GiveUp(GiveUp::BodyNotKept),
        AttemptFailure::Overflow | AttemptFailure::RequestInvalid | AttemptFailure::UpgradeNotKnown => {
            return Decision::GiveUp(GiveUp::NotWanted);
        }
        AttemptFailure::ConnectFailed
        | AttemptFailure::ConnectTimeout
        | AttemptFailure::TimedOutBeforeSend
        | AttemptFailure::RefusedStream
        | AttemptFailure::GoAwayAboveStream
        | AttemptFailure::PooledClosedBeforeWrite => {}
    }
    if attempts_made >= DEFAULT_ATTEMPTS_MAX {
        return Decision::GiveUp(GiveUp::AttemptsUsedUp);
    }
    if !replayable {
        return Decision::GiveUp(GiveUp::BodyNotKept);
    }
    Decision::Retry
}

/// The method is idempotent by RFC 9110, 9.2.2. Unknown methods are not.
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}

#[cfg(test)]
mod tests;
