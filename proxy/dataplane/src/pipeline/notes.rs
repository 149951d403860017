//! What the story of a request says of the answers that come from here: the reasons that are known only where a
//! [`LocalReply`] is chosen. Policies that refuse by name note that themselves.
//!
//! Time limits are told as they were in force for the request: its headers may have set others than its route has.

use super::exchange::{PER_TRY_IDLE_TIMEOUT, PER_TRY_TIMEOUT};
use super::record::Record;
use super::{Request, RequestContext, Taken, deadline, forward};
use crate::error::AttemptError;
use crate::reply::LocalReply;
use outrigger_config::model::{EndpointStatus, RouteAction};
use outrigger_telemetry::{DeadlineWait, EventKind};
use outrigger_traffic::Standing;
use outrigger_traffic::retry::{HINTED_PER_TRY_TIMEOUT, RetryRules};
use std::time::Duration;

/// Notes why the proxy answers by itself, or cuts an answer off.
#[cold]
pub(super) fn local_reply(
    request: &mut Request<'_>,
    context: &RequestContext<'_>,
    taken: Option<Taken<'_>>,
    reply: LocalReply,
) {
    let record = &mut request.record;
    let (kind, detail, value) = match reply {
        LocalReply::Unauthenticated(_) => (EventKind::Unauthenticated, reply.answer().details, 0),
        LocalReply::ExternallyDenied { status } => {
            (EventKind::ExternallyAuthorized, "denied", u64::from(status))
        }
        LocalReply::ExternalAuthorizationFailed { status, details } => {
            (EventKind::ExternallyAuthorized, details, u64::from(status))
        }
        LocalReply::NoEndpoint => return no_endpoint(record, context),
        LocalReply::DestinationNotAllowed => (EventKind::NoEndpoint, "destination_not_allowed", 0),
        LocalReply::DestinationLoop => (EventKind::NoEndpoint, "destination_loop", 0),
        LocalReply::Overflow(limit) => (EventKind::BreakerOpen, limit.as_str(), 0),
        LocalReply::DeadlinePassed(waiting) => {
            let was_forwarded = matches!(waiting, DeadlineWait::Connection | DeadlineWait::Backoff);
            return deadline_passed(request, context, taken, (waiting.as_str(), was_forwarded));
        }
        LocalReply::RouteTimeout => return deadline_passed(request, context, taken, ("response", true)),
        LocalReply::StreamIdle(stalled) => {
            let now = context.worker().now();
            let (limit, timeout) = stream_idle_timeout(context, taken);
            return record.note(now, EventKind::Idle, limit, stalled.as_str(), micros(timeout));
        }
        LocalReply::RightLost(lost) => (EventKind::RightLost, lost.as_str(), 0),
        LocalReply::FaultAbort { status } => (EventKind::FaultAbort, "status", u64::from(status)),
        LocalReply::FaultGrpcAbort { status } => (EventKind::FaultAbort, "grpc_status", u64::from(status)),
        // What is left says it by its flags and details, or has been noted with its policy.
        _ => return,
    };
    record.note(context.worker().now(), kind, "", detail, value);
}

/// Notes which time limit passed first, and what was waited for then.
fn deadline_passed(
    request: &mut Request<'_>,
    context: &RequestContext<'_>,
    taken: Option<Taken<'_>>,
    (waiting, was_forwarded): (&'static str, bool),
) {
    let now = context.worker().now();
    let reached = deadline::reached(request, taken, now, was_forwarded);
    let (limit, value) = match reached {
        Some(reached) => (reached.limit, micros(Some(reached.duration))),
        None => ("", 0),
    };
    let record = &mut request.record;
    record.note(now, EventKind::DeadlinePassed, limit, waiting, value);
}

/// How long nothing may move on a request's stream; and whose limit that is.
fn stream_idle_timeout(
    context: &RequestContext<'_>,
    taken: Option<Taken<'_>>,
) -> (&'static str, Option<Duration>) {
    let limit = "stream_idle_timeout";
    match taken.map(|taken| taken.route.action()) {
        Some(RouteAction::Forward(policy)) => (limit, forward::stream_idle_timeout(context, policy)),
        _ => (limit, context.chain().http().options.stream_idle_timeout()),
    }
}

/// Notes which time limit of an attempt has passed, if that is why it failed. `rules`: those that it was made by.
#[cold]
pub(super) fn attempt_failed(
    request: &mut Request<'_>,
    context: &RequestContext<'_>,
    rules: Option<&RetryRules>,
    error: &AttemptError,
) {
    let Some(rules) = rules else { return };
    let (limit, timeout) = match error.detail {
        PER_TRY_TIMEOUT => {
            let hinted = request.hints.as_ref().and_then(|hints| hints.per_try_timeout());
            let limit = if hinted.is_some() {
                HINTED_PER_TRY_TIMEOUT
            } else {
                "per_try_timeout"
            };
            (limit, rules.per_try_timeout())
        }
        PER_TRY_IDLE_TIMEOUT => ("per_try_idle_timeout", rules.per_try_idle_timeout()),
        _ => return,
    };
    let now = context.worker().now();
    let record = &mut request.record;
    record.note(now, EventKind::AttemptTimedOut, limit, "", micros(timeout));
}

/// Notes that it was no client that went away, but its connection that was cut here at the end of its drain.
#[cold]
pub(super) fn if_drained(request: &mut Request<'_>, context: &RequestContext<'_>) {
    let control = &context.accepted.registration.control;
    let now = context.worker().tick();
    if control.drain_deadline().is_some_and(|deadline| now >= deadline) {
        request.record.note(now, EventKind::Drained, "", "", 0);
    }
}

/// Microseconds; 0: it is not known.
pub(super) fn micros(duration: Option<Duration>) -> u64 {
    duration.map_or(0, |duration| {
        u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
    })
}

/// Notes why a cluster has no endpoint for a request, as far as its endpoints tell now.
fn no_endpoint(record: &mut Record, context: &RequestContext<'_>) {
    let Some(cluster) = record.cluster.and_then(|slot| context.snapshot.cluster(slot)) else {
        return;
    };
    let serves = |place: &usize| {
        let status = cluster
            .member(*place)
            .map_or(EndpointStatus::Healthy, |member| member.status());
        let standing = cluster.endpoints()[*place].health().standing(status);
        matches!(standing, Standing::Healthy | Standing::Degraded)
    };
    let all = cluster.endpoints().len();
    let usable = (0..all).filter(serves).count();
    let detail = match (all, usable) {
        (0, _) => "no_endpoints",
        (_, 0) => "none_healthy",
        // Those that are wished for, or fit, are not among them, or drain.
        _ => "none_may_be_used",
    };
    let name = cluster.config.name().as_str();
    let now = context.worker().now();
    record.note(now, EventKind::NoEndpoint, name, detail, all as u64);
}
