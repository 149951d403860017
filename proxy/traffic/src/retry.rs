//! Whether a failed attempt may be repeated, when no policy says so; and the budget that bounds all repetition.
//!
//! Nothing here waits, sends or counts requests: the caller knows what happened on the wire and says so exactly.

mod budget;

pub use budget::RetryBudget;

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
    /// The attempt's time was up.
    TimedOut,
    /// The answer broke the protocol or a limit.
    ResponseInvalid,
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
                | AttemptFailure::RefusedStream
                | AttemptFailure::GoAwayAboveStream
                | AttemptFailure::PooledClosedBeforeWrite
        )
    }

    /// A retry after it counts against the budget. What only found a connection closing cost the upstream nothing: a
    /// GOAWAY on a busy connection may turn a hundred streams away at once, and each of them may move.
    pub fn is_budgeted(self) -> bool {
        !matches!(
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
    /// No other attempt; the reason, one word for logs and labels.
    GiveUp(&'static str),
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
        AttemptFailure::DiedBeforeAnswer { reused: true } => return Decision::GiveUp("not_idempotent"),
        AttemptFailure::DiedBeforeAnswer { reused: false } | AttemptFailure::ResetBeforeAnswer => {
            return Decision::GiveUp("may_have_run");
        }
        AttemptFailure::DiedAfterAnswer => return Decision::GiveUp("answer_begun"),
        AttemptFailure::TimedOut => return Decision::GiveUp("timed_out"),
        AttemptFailure::ResponseInvalid => return Decision::GiveUp("response_invalid"),
        AttemptFailure::BodyTooLargeToReplay => return Decision::GiveUp("body_not_kept"),
        AttemptFailure::ConnectFailed
        | AttemptFailure::ConnectTimeout
        | AttemptFailure::RefusedStream
        | AttemptFailure::GoAwayAboveStream
        | AttemptFailure::PooledClosedBeforeWrite => {}
    }
    if attempts_made >= DEFAULT_ATTEMPTS_MAX {
        return Decision::GiveUp("attempts_used_up");
    }
    if !replayable {
        return Decision::GiveUp("body_not_kept");
    }
    Decision::Retry
}

/// The method is idempotent by RFC 9110, 9.2.2. Unknown methods are not.
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}

#[cfg(test)]
mod tests {
    use super::AttemptFailure::*;
    use super::*;

    const ALL: [AttemptFailure; 12] = [
        ConnectFailed,
        ConnectTimeout,
        RefusedStream,
        GoAwayAboveStream,
        PooledClosedBeforeWrite,
        DiedBeforeAnswer { reused: true },
        DiedBeforeAnswer { reused: false },
        DiedAfterAnswer,
        ResetBeforeAnswer,
        TimedOut,
        ResponseInvalid,
        BodyTooLargeToReplay,
    ];

    #[test]
    fn moving_from_a_closing_connection_is_not_budgeted() {
        let free: Vec<_> = ALL.into_iter().filter(|failure| !failure.is_budgeted()).collect();
        assert_eq!(free, [GoAwayAboveStream, PooledClosedBeforeWrite]);
        assert!(free.into_iter().all(AttemptFailure::never_ran));
    }

    #[test]
    fn what_never_ran_is_retried_once_whatever_the_method() {
        let never_ran = [
            ConnectFailed,
            ConnectTimeout,
            RefusedStream,
            GoAwayAboveStream,
            PooledClosedBeforeWrite,
        ];
        for failure in ALL {
            assert_eq!(failure.never_ran(), never_ran.contains(&failure), "{failure:?}");
        }
        for failure in never_ran {
            for idempotent in [false, true] {
                assert_eq!(
                    default_decision(failure, idempotent, true, 1),
                    Decision::Retry,
                    "{failure:?}"
                );
            }
        }
    }

    #[test]
    fn what_may_have_run_is_retried_only_if_idempotent_on_a_reused_connection_without_an_answer() {
        for failure in ALL.into_iter().filter(|failure| !failure.never_ran()) {
            for idempotent in [false, true] {
                let retried = default_decision(failure, idempotent, true, 1) == Decision::Retry;
                let may = failure == DiedBeforeAnswer { reused: true } && idempotent;
                assert_eq!(retried, may, "{failure:?}, idempotent: {idempotent}");
            }
        }
    }

    #[test]
    fn nothing_is_retried_twice_or_without_its_body() {
        for failure in ALL {
            for attempts_made in [2, 3, u32::MAX] {
                assert_ne!(
                    default_decision(failure, true, true, attempts_made),
                    Decision::Retry,
                    "{failure:?}"
                );
            }
            assert_ne!(
                default_decision(failure, true, false, 1),
                Decision::Retry,
                "{failure:?}"
            );
        }
        assert_eq!(
            default_decision(ConnectFailed, true, true, 2),
            Decision::GiveUp("attempts_used_up")
        );
        assert_eq!(
            default_decision(ConnectFailed, true, false, 1),
            Decision::GiveUp("body_not_kept")
        );
        let reused = DiedBeforeAnswer { reused: true };
        assert_eq!(
            default_decision(reused, false, true, 1),
            Decision::GiveUp("not_idempotent")
        );
    }

    #[test]
    fn only_the_methods_of_the_rfc_are_idempotent() {
        let idempotent = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"];
        assert!(idempotent.into_iter().all(is_idempotent));
        let others = ["POST", "PATCH", "CONNECT", "get", "PROPFIND", ""];
        assert!(!others.into_iter().any(is_idempotent));
    }
}
