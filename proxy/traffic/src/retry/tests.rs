use super::AttemptFailure::*;
use super::*;

pub(super) const ALL: [AttemptFailure; 15] = [
    ConnectFailed,
    ConnectTimeout,
    RefusedStream,
    GoAwayAboveStream,
    PooledClosedBeforeWrite,
    DiedBeforeAnswer { reused: true },
    DiedBeforeAnswer { reused: false },
    DiedAfterAnswer,
    ResetBeforeAnswer,
    TimedOutBeforeSend,
    TimedOut,
    ResponseInvalid,
    RequestInvalid,
    UpgradeNotKnown,
    BodyTooLargeToReplay,
];

#[test]
fn only_what_never_ran_is_a_move() {
    let free: Vec<_> = ALL.into_iter().filter(AttemptFailure::is_move).collect();
    assert_eq!(free, [GoAwayAboveStream, PooledClosedBeforeWrite]);
    assert!(free.into_iter().all(AttemptFailure::never_ran));
}

#[test]
fn what_never_ran_is_retried_once_whatever_the_method() {
    let never_ran = [
        ConnectFailed,
        ConnectTimeout,
        TimedOutBeforeSend,
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
        Decision::GiveUp(GiveUp::AttemptsUsedUp)
    );
    assert_eq!(
        default_decision(ConnectFailed, true, false, 1),
        Decision::GiveUp(GiveUp::BodyNotKept)
    );
    let reused = DiedBeforeAnswer { reused: true };
    assert_eq!(
        default_decision(reused, false, true, 1),
        Decision::GiveUp(GiveUp::NotIdempotent)
    );
}

#[test]
fn only_the_methods_of_the_rfc_are_idempotent() {
    let idempotent = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"];
    assert!(idempotent.into_iter().all(is_idempotent));
    let others = ["POST", "PATCH", "CONNECT", "get", "PROPFIND", ""];
    assert!(!others.into_iter().any(is_idempotent));
}
