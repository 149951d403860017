use super::super::tests::ALL;
use super::*;
use AttemptFailure::*;

/// An answer with a status, a gRPC status, and fields.
struct Answer<'a>(u16, Option<u8>, &'a [(&'a str, &'a str)]);

impl AnswerView for Answer<'_> {
    fn status(&self) -> u16 {
        self.0
    }

    fn field<'a>(&'a self, name: &str, _: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let field = self.2.iter().find(|(field, _)| *field == name)?;
        Some(field.1.as_bytes())
    }

    fn grpc_status(&self) -> Option<u8> {
        self.1
    }
}

fn rules(hints: &[(&str, &str)]) -> RetryRules {
    let mut read = RetryHints::default();
    for (name, value) in hints {
        read.note(name.as_bytes(), value.as_bytes());
    }
    RetryRules::hinted(None, &read)
}

fn on(condition: &str) -> RetryRules {
    rules(&[("x-envoy-retry-on", condition)])
}

fn everything() -> RetryRules {
    let all: Vec<_> = RetryConditions::NAMES.iter().map(|(name, _)| *name).collect();
    let all = all.join(",");
    rules(&[("x-envoy-retry-on", &all), ("x-envoy-max-retries", "10")])
}

const IDEMPOTENT: Standing = Standing {
    idempotent: true,
    replayable: true,
    attempts_made: 1,
};
const UNSAFE: Standing = Standing {
    idempotent: false,
    ..IDEMPOTENT
};

/// Envoy's router documentation, `x-envoy-retry-on`.
#[test]
fn each_condition_repeats_the_failures_that_it_names() {
    let died = DiedBeforeAnswer { reused: false };
    let all = [
        ConnectFailed,
        ConnectTimeout,
        RefusedStream,
        died,
        DiedAfterAnswer,
        ResetBeforeAnswer,
        TimedOutBeforeSend,
        TimedOut,
        ResponseInvalid,
    ];
    let cases: [(&str, &[AttemptFailure]); 9] = [
        ("5xx", &all),
        ("gateway-error", &all),
        ("reset", &all),
        (
            "reset-before-request",
            &[ConnectFailed, ConnectTimeout, TimedOutBeforeSend],
        ),
        ("connect-failure", &[ConnectFailed, ConnectTimeout]),
        ("refused-stream", &[RefusedStream]),
        ("retriable-4xx", &[]),
        ("envoy-ratelimited", &[]),
        ("unavailable", &[]),
    ];
    for (condition, wanted) in cases {
        let rules = on(condition);
        for failure in all {
            let retried = rules.judge_failure(failure, IDEMPOTENT) == Decision::Retry;
            assert_eq!(retried, wanted.contains(&failure), "{condition}: {failure:?}");
        }
        for moved in [GoAwayAboveStream, PooledClosedBeforeWrite] {
            assert_eq!(
                rules.judge_failure(moved, UNSAFE),
                Decision::Retry,
                "{condition}: {moved:?}"
            );
        }
        for never in [BodyTooLargeToReplay, RequestInvalid, UpgradeNotKnown] {
            let judged = rules.judge_failure(never, IDEMPOTENT);
            assert_eq!(
                judged,
                Decision::GiveUp(GiveUp::NotWanted),
                "{condition}: {never:?}"
            );
        }
    }
}

#[test]
fn each_condition_repeats_the_answers_that_it_names() {
    const CODES: [u16; 10] = [200, 404, 409, 429, 499, 500, 502, 503, 504, 599];
    let cases: [(&str, &[u16]); 5] = [
        ("5xx", &[500, 502, 503, 504, 599]),
        ("gateway-error", &[502, 503, 504]),
        ("retriable-4xx", &[409]),
        ("reset,connect-failure,refused-stream", &[]),
        ("retriable-status-codes", &[404, 429]),
    ];
    for (condition, wanted) in cases {
        let rules = rules(&[
            ("x-envoy-retry-on", condition),
            ("x-envoy-retriable-status-codes", "429,404"),
        ]);
        for status in CODES {
            let judged = rules.judge_answer(&Answer(status, None, &[]), IDEMPOTENT);
            let cause = wanted.contains(&status).then_some(AnswerCause::Status);
            assert_eq!(judged.cause, cause, "{condition}: {status}");
            assert_eq!(
                judged.decision == Decision::Retry,
                cause.is_some(),
                "{condition}: {status}"
            );
        }
    }
    for (condition, status) in [
        ("cancelled", 1),
        ("deadline-exceeded", 4),
        ("resource-exhausted", 8),
        ("internal", 13),
        ("unavailable", 14),
    ] {
        let rules = on(condition);
        assert!(rules.reads_grpc_status());
        for grpc in 0..=16 {
            let judged = rules.judge_answer(&Answer(200, Some(grpc), &[]), IDEMPOTENT);
            assert_eq!(judged.cause.is_some(), grpc == status, "{condition}: {grpc}");
        }
        assert_eq!(
            rules.judge_answer(&Answer(503, None, &[]), IDEMPOTENT).cause,
            None
        );
    }
    assert!(!on("5xx").reads_grpc_status());
}

#[test]
fn headers_are_asked_where_they_are_among_the_conditions() {
    let named = [("x-envoy-retriable-header-names", "x-again")];
    let again = Answer(200, None, &[("x-again", "yes")]);
    let with = rules(&[named[0], ("x-envoy-retry-on", "retriable-headers")]);
    assert_eq!(
        with.judge_answer(&again, IDEMPOTENT).cause,
        Some(AnswerCause::Header)
    );
    assert_eq!(with.judge_answer(&Answer(200, None, &[]), IDEMPOTENT).cause, None);
    let without = rules(&[named[0], ("x-envoy-retry-on", "5xx")]);
    assert_eq!(without.judge_answer(&again, IDEMPOTENT).cause, None);
}

/// As Envoy: an answer of a rate limit is repeated by that condition and by no other.
#[test]
fn rate_limited_answers_have_a_condition_of_their_own() {
    let limited = Answer(503, Some(14), &[("x-envoy-ratelimited", "true")]);
    assert_eq!(
        on("5xx,unavailable").judge_answer(&limited, IDEMPOTENT).cause,
        None
    );
    let judged = on("envoy-ratelimited").judge_answer(&limited, UNSAFE);
    assert_eq!(judged.cause, Some(AnswerCause::RateLimited));
    assert_eq!((judged.decision, judged.may_have_run), (Decision::Retry, false));
}

/// The invariant: whatever is in `retry_on`.
#[test]
fn what_may_have_run_and_is_not_idempotent_is_never_repeated() {
    let rules = everything();
    for failure in ALL {
        let decision = rules.judge_failure(failure, UNSAFE);
        assert_eq!(decision == Decision::Retry, failure.never_ran(), "{failure:?}");
    }
    for status in 100..600 {
        for grpc in [None, Some(14)] {
            let judged = rules.judge_answer(&Answer(status, grpc, &[("retry-after", "1")]), UNSAFE);
            assert!(
                judged.may_have_run && judged.decision != Decision::Retry,
                "{status}"
            );
            for refused in ["x-envoy-ratelimited", "x-envoy-overloaded"] {
                let judged = rules.judge_answer(&Answer(status, grpc, &[(refused, "true")]), UNSAFE);
                assert!(!judged.may_have_run, "{status}, {refused}");
            }
        }
    }
    let refused = Answer(503, None, &[("x-envoy-overloaded", "true")]);
    assert_eq!(rules.judge_answer(&refused, UNSAFE).decision, Decision::Retry);
}

#[test]
fn attempts_and_the_body_bound_what_is_repeated() {
    let rules = rules(&[("x-envoy-retry-on", "5xx"), ("x-envoy-max-retries", "2")]);
    for (attempts_made, decision) in [
        (1, Decision::Retry),
        (2, Decision::Retry),
        (3, Decision::GiveUp(GiveUp::AttemptsUsedUp)),
        (u32::MAX, Decision::GiveUp(GiveUp::AttemptsUsedUp)),
    ] {
        let standing = Standing {
            attempts_made,
            ..IDEMPOTENT
        };
        assert_eq!(rules.judge_failure(ConnectFailed, standing), decision);
        assert_eq!(
            rules.judge_answer(&Answer(503, None, &[]), standing).decision,
            decision
        );
    }
    let sent = Standing {
        replayable: false,
        ..IDEMPOTENT
    };
    let decision = rules.judge_failure(ConnectFailed, sent);
    assert_eq!(decision, Decision::GiveUp(GiveUp::BodyNotKept));
}

/// A peer that only wants other times leaves the default retry as it is.
#[test]
fn rules_without_conditions_decide_as_there_were_none() {
    let rules = rules(&[("x-envoy-upstream-rq-per-try-timeout-ms", "10")]);
    assert_eq!(rules.per_try_timeout(), Some(Duration::from_millis(10)));
    for failure in ALL {
        for standing in [IDEMPOTENT, UNSAFE] {
            let default = super::super::default_decision(failure, standing.idempotent, true, 1);
            assert_eq!(rules.judge_failure(failure, standing), default, "{failure:?}");
        }
    }
    assert_eq!(
        rules.judge_answer(&Answer(503, None, &[]), IDEMPOTENT).cause,
        None
    );
}
