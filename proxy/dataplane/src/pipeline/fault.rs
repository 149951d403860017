//! Faults: requests that are broken on purpose ([`outrigger_traffic::fault`] decides which).
//!
//! A fault comes after everything that may refuse a request and before its route's action, whatever that is, as where
//! Envoy's filter stands before its router: a delay is part of the request's time and not of the route's timeout. A
//! request that is held goes as soon as its client does, or its right.

use super::exchange::Stop;
use super::external_authorization::end_stopped;
use super::pace::Pace;
use super::{HeadView, Request, RequestContext, Taken, deadline, respond, rights};
use crate::reply::LocalReply;
use crate::server::Downstream;
use crate::snapshot::FaultPolicy;
use crate::timer::{after, earlier};
use outrigger_config::model::FaultAbortKind;
use outrigger_telemetry::{DeadlineWait, EventKind, FaultInjected, FaultSkipped, ResponseFlags, RouteCells};
use outrigger_traffic::fault::{Decision, Injection, Skip, decide};
use std::future::poll_fn;
use std::task::{Poll, ready};
use std::time::{Duration, SystemTime};

/// The policy that a request meets: its route's, or else its chain's.
pub(super) fn policy<'s>(context: &'s RequestContext<'_>, taken: Taken<'s>) -> Option<&'s FaultPolicy> {
    match &taken.policy.fault {
        Some(own) => own.as_deref(),
        None => context.chain().http().fault.as_deref(),
    }
}

/// What is to be done to the request; it is counted.
pub(super) fn choose(
    request: &Request<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    policy: &FaultPolicy,
) -> Option<Injection> {
    let worker = context.worker();
    let cells = taken.policy.metrics.worker(worker.index);
    let decision = decide(
        &policy.config,
        &policy.state,
        &HeadView(request.head, context.ends()),
        request.hints.as_ref().map(|hints| hints.faults()),
        || worker.random(),
        SystemTime::now(),
    );
    let reason = match decision {
        Decision::Inject(injection) => return Some(injection),
        Decision::Untouched => return None,
        Decision::Skipped(Skip::Share) => FaultSkipped::Share,
        Decision::Skipped(Skip::Active) => FaultSkipped::Active,
        Decision::Skipped(Skip::Expired) => FaultSkipped::Expired,
    };
    cells.faults_skipped[reason].inc();
    None
}

/// Breaks the request. True if it goes on; else it has ended.
pub(super) async fn inject(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    injection: Injection,
) -> bool {
    let cells = taken.policy.metrics.worker(context.worker().index);
    let Injection {
        delay,
        abort,
        response_bytes_per_second,
        place,
    } = injection;
    if let Some(delay) = delay {
        cells.faults_injected[FaultInjected::Delay].inc();
        request.record.flag(ResponseFlags::DI);
        let milliseconds = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let now = context.worker().now();
        request
            .record
            .note(now, EventKind::FaultDelay, "", "", milliseconds);
        let held = {
            let _active = Active::begin(cells);
            hold(request, downstream, context, delay).await
        };
        if let Err(stop) = held {
            end_stopped(request, downstream, context, taken, stop).await;
            return false;
        }
    }
    if let Some(kind) = abort {
        refuse(request, downstream, context, taken, kind).await;
        return false;
    }
    if let Some(bytes) = response_bytes_per_second {
        let now = context.worker().now();
        request.record.note(now, EventKind::FaultRate, "", "", bytes);
        cells.faults_injected[FaultInjected::ResponseRate].inc();
        let metrics = std::sync::Arc::clone(&taken.policy.metrics);
        request.pace = Some(Box::new(Pace::new(bytes, place, metrics, context.worker().index)));
    }
    true
}

/// Waits, for as long as the client is there and in its right.
async fn hold(
    request: &Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    delay: Duration,
) -> Result<(), Stop> {
    let worker = context.worker();
    let until = after(worker.tick(), Some(delay));
    let deadline = deadline::first(request);
    poll_fn(|cx| {
        if let Some(lost) = rights::judge_due(context, request) {
            return Poll::Ready(Err(Stop::Reply(lost)));
        }
        if let Poll::Ready(error) = downstream.poll_gone(cx) {
            return Poll::Ready(Err(error.into()));
        }
        ready!(downstream.timer().poll_until(cx, earlier(until, deadline)));
        let now = worker.tick();
        Poll::Ready(match deadline {
            Some(deadline) if now >= deadline => Err(deadline::waited(request, now, DeadlineWait::Fault)),
            _ => Ok(()),
        })
    })
    .await
}

/// Ends a request that is not passed on.
async fn refuse(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    kind: FaultAbortKind,
) {
    let cells = taken.policy.metrics.worker(context.worker().index);
    let reply = match kind {
        FaultAbortKind::Status(status) => LocalReply::FaultAbort { status },
        FaultAbortKind::Grpc(status) => LocalReply::FaultGrpcAbort { status: status as u8 },
        FaultAbortKind::Reset => {
            let now = context.worker().now();
            request.record.note(now, EventKind::FaultAbort, "", "reset", 0);
            cells.faults_injected[FaultInjected::Reset].inc();
            downstream.reset();
            let answer = LocalReply::FaultAbort { status: 0 }.answer();
            return request.record.cut_off(Some(answer));
        }
    };
    cells.faults_injected[FaultInjected::Abort].inc();
    respond::local(request, downstream, context, Some(taken), reply).await;
}

/// A request that a fault has hold of now.
struct Active<'c>(&'c RouteCells);

impl<'c> Active<'c> {
    fn begin(cells: &'c RouteCells) -> Active<'c> {
        cells.faults_active.inc();
        Active(cells)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.faults_active.dec();
    }
}
