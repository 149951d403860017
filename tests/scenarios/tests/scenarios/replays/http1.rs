//! An upstream of HTTP/1.

use super::*;
use outrigger_fixtures::scripted::{Script, Scripted};
use std::io;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// Its head is read, and the connection reset.
    ResetAtHead,
    /// A part of its body is read, and the connection ends.
    CloseInBody,
    /// It is read whole, and the connection reset.
    ResetAfter,
    /// It is read whole, and the connection ends.
    CloseAfter,
    /// It is read whole, and this side of the connection ends while the other is read.
    HalfCloseAfter,
    /// A part of an answer's head comes, and the connection ends.
    HalfHead,
    /// An interim answer comes, and the connection ends.
    InterimThenClose,
    /// An answer's head comes, and half of its body.
    HeadThenReset,
    /// Something that is no HTTP comes.
    Garbage,
    /// Nothing comes.
    Silence,
    /// 503.
    Status503,
    /// 503 before the request is whole, and the connection ends slowly.
    EarlyAnswer,
    /// 409, which `retriable-4xx` repeats.
    Conflict,
    /// 200 with a header that is repeated.
    Header,
    /// 503 of a proxy that is overloaded: the request was not passed on.
    Overloaded,
    /// 429 of a proxy that limits rates.
    RateLimited,
}
use Failure::*;

const FAILURES: [(Failure, Says); 16] = [
    (ResetAtHead, Says::Died),
    (CloseInBody, Says::Died),
    (ResetAfter, Says::Died),
    (CloseAfter, Says::Died),
    (HalfCloseAfter, Says::Died),
    (HalfHead, Says::MayHaveRun),
    (InterimThenClose, Says::MayHaveRun),
    (HeadThenReset, Says::Begun),
    (Garbage, Says::MayHaveRun),
    (Silence, Says::MayHaveRun),
    (Status503, Says::MayHaveRun),
    (EarlyAnswer, Says::MayHaveRun),
    (Conflict, Says::MayHaveRun),
    (Header, Says::MayHaveRun),
    (Overloaded, Says::Refused),
    (RateLimited, Says::Refused),
];

async fn serve(mut script: Script, failure: Failure, effects: Effects) -> io::Result<()> {
    while let Some(head) = script.head().await? {
        let id = head.field("x-id").unwrap_or_default().to_owned();
        let fails = effects.came(&id);
        if !fails || !matches!(failure, Overloaded | RateLimited) {
            effects.ran(&id);
        }
        if fails && failure == ResetAtHead {
            return script.reset();
        }
        if fails && failure == EarlyAnswer {
            script
                .send("HTTP/1.1 503 No\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno")
                .await?;
            script.half_close().await?;
            return script.until_closed().await;
        }
        if fails && failure == CloseInBody {
            return Ok(());
        }
        script.body(&head).await?;
        if !fails {
            script.send(OK).await?;
            continue;
        }
        match failure {
            ResetAtHead | EarlyAnswer | CloseInBody | CloseAfter => return Ok(()),
            ResetAfter => return script.reset(),
            HalfCloseAfter => {
                script.half_close().await?;
                return script.until_closed().await;
            }
            HalfHead => return script.send("HTTP/1.1 200 OK\r\nconte").await,
            InterimThenClose => return script.send("HTTP/1.1 103 Early Hints\r\n\r\n").await,
            HeadThenReset => {
                script
                    .send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok")
                    .await?;
                return script.reset();
            }
            Garbage => {
                script.send("garbage\r\n\r\n").await?;
                return script.until_closed().await;
            }
            Silence => return script.until_closed().await,
            Status503 => {
                script
                    .send("HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno")
                    .await?
            }
            Conflict => {
                script
                    .send("HTTP/1.1 409 No\r\ncontent-length: 0\r\n\r\n")
                    .await?
            }
            Header => {
                script
                    .send("HTTP/1.1 200 OK\r\nx-again: 1\r\ncontent-length: 2\r\n\r\nno")
                    .await?;
            }
            Overloaded => {
                script
                    .send("HTTP/1.1 503 No\r\nx-envoy-overloaded: true\r\ncontent-length: 2\r\n\r\nno")
                    .await?;
            }
            RateLimited => {
                script
                    .send("HTTP/1.1 429 No\r\nx-envoy-ratelimited: true\r\ncontent-length: 2\r\n\r\nno")
                    .await?;
            }
        }
    }
    Ok(())
}

async fn case(failure: Failure, says: Says, timeouts: Timeouts, reused: bool) -> Vec<String> {
    let effects = Effects::default();
    let book = effects.clone();
    let upstream = Scripted::start(move |script| serve(script, failure, book.clone())).await;
    let proxy = proxy(upstream.address(), "", timeouts, reused).await;
    judge(
        &format!("{failure:?}, {timeouts:?}"),
        says,
        &proxy,
        &effects,
        reused,
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http1_what_may_have_run_and_is_not_idempotent_runs_once() {
    let mut faults = Vec::new();
    for (failure, says) in FAILURES {
        for reused in [false, true] {
            let timeouts = match failure {
                // Without a policy nothing ends the wait but the client.
                Silence => continue,
                _ => Timeouts::No,
            };
            faults.extend(case(failure, says, timeouts, reused).await);
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_time_is_up_runs_once() {
    let faults = case(Silence, Says::TimeUp, Timeouts::Route, false).await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The attempt's own time: another may answer, where the request may run twice.
#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_whose_time_is_up_is_repeated_where_the_request_may_run_twice() {
    let effects = Effects::default();
    let book = effects.clone();
    let upstream = Scripted::start(move |script| serve(script, Silence, book.clone())).await;
    let proxy = proxy(upstream.address(), "", Timeouts::PerTry, false).await;
    for policy in [Policy::Everything, Policy::Declared] {
        for kind in KINDS {
            let id = format!("{policy:?}-{kind:?}");
            let mut client = Client::connect(proxy.address()).await;
            client.send(kind.request(policy.path(), &id)).await;
            client.to_close().await;
            let (runs, _) = expected(Says::MayHaveRun, kind, policy, false);
            assert_eq!(effects.runs_of(&id), runs, "{id}");
        }
    }
}

/// The connection ends while it is pooled: whoever sees it first, a request runs once and is answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_pooled_connection_that_ends_costs_nothing() {
    let effects = Effects::default();
    let book = effects.clone();
    let upstream = Scripted::start(move |mut script| {
        let book = book.clone();
        async move {
            let Some(request) = script.request().await? else {
                return Ok(());
            };
            book.ran(request.head.field("x-id").unwrap_or_default());
            script.send(OK).await?;
            script.half_close().await?;
            script.until_closed().await
        }
    })
    .await;
    let proxy = proxy(upstream.address(), "", Timeouts::No, true).await;
    for policy in POLICIES {
        for kind in KINDS {
            let id = format!("{policy:?}-{kind:?}");
            let mut client = Client::connect(proxy.address()).await;
            client.send(kind.request(policy.path(), &id)).await;
            let answer = client.to_close().await;
            // The end of the connection before may come when the head is out: then a POST may have run.
            let is_answered = answer.ends_with(b"ok");
            assert!(is_answered || !kind.is_idempotent(policy), "{id}");
            assert_eq!(effects.runs_of(&id), usize::from(is_answered), "{id}");
        }
    }
}
