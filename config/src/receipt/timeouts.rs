//! Timeouts that never pass, because another one always does before.

use super::Code;
use super::findings::{Findings, Placed, place};
use crate::model::{Forward, HedgeAfter, RouteAction, defaults};
use std::time::Duration;

/// The timeouts of routes, each held to those that bound it.
pub(super) fn of_routes(findings: &mut Findings<'_>) {
    for placed in findings.routes() {
        findings.step();
        let RouteAction::Forward(forward) = &placed.route.action else {
            continue;
        };
        whole(findings, placed, forward);
        attempts(findings, placed, forward);
        idle(findings, placed, forward);
        hedges(findings, placed, forward);
    }
}

/// What ends the wait for an answer whatever the client says; none: nothing that is certain. A default timeout is not: gRPC
/// requests have none.
fn bound(forward: &Forward) -> Option<Duration> {
    let timeout = forward.timeout.filter(|_| forward.timeout_explicit);
    let longest = timeout.map(|timeout| timeout.max(forward.client_timeout_max.unwrap_or(timeout)));
    match (longest, forward.stream_duration_max) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn whole(findings: &mut Findings<'_>, placed: Placed<'_>, forward: &Forward) {
    if let (Some(timeout), Some(age)) = (forward.timeout, forward.stream_duration_max)
        && forward.timeout_explicit
        && age <= timeout
    {
        findings.remark(
            Code::RouteTimeoutNeverPasses,
            placed.place("forward.timeout"),
            format!(
                "`timeout`, {timeout:?}, never passes: `stream_duration_max` ends the stream after {age:?}"
            ),
            "give `stream_duration_max` more than `timeout`, or remove one of them",
        );
    }
}

fn attempts(findings: &mut Findings<'_>, placed: Placed<'_>, forward: &Forward) {
    let Some(retry) = &forward.retry else { return };
    let Some(idle) = retry.per_try_idle_timeout else {
        return;
    };
    let other = match (retry.per_try_timeout, bound(forward)) {
        (Some(attempt), _) if idle >= attempt => ("per_try_timeout", attempt),
        (_, Some(bound)) if idle >= bound => ("timeout", bound),
        _ => return,
    };
    findings.remark(
        Code::AttemptTimeoutNeverPasses,
        placed.place("forward.retry.per_try_idle_timeout"),
        format!(
            "`per_try_idle_timeout`, {idle:?}, never passes: `{}` is {:?}",
            other.0, other.1
        ),
        "make it shorter, or remove it",
    );
}

fn idle(findings: &mut Findings<'_>, placed: Placed<'_>, forward: &Forward) {
    let Some(around) = findings.around(placed.configuration) else {
        return;
    };
    let (request_timeout, idle_timeout) = (around.request_timeout, around.stream_idle_timeout);
    let own = forward.stream_idle_timeout.flatten();
    let timeout = forward.timeout.filter(|_| forward.timeout_explicit);
    if let Some(idle) = own {
        // A request that is still being sent is bounded by the chain, one that is answered by the route.
        let sending = request_timeout.is_some_and(|longest| longest <= idle);
        let never = match (forward.stream_duration_max, bound(forward)) {
            (Some(age), _) if age <= idle => Some(("stream_duration_max", age)),
            (_, Some(bound)) if bound <= idle && sending => Some(("timeout", bound)),
            _ => None,
        };
        if let Some((field, passes)) = never {
            findings.remark(
                Code::IdleTimeoutNeverPasses,
                placed.place("forward.stream_idle_timeout"),
                format!("`stream_idle_timeout`, {idle:?}, never passes: `{field}` is {passes:?}"),
                "make it shorter, or remove it",
            );
            return;
        }
    }
    // Of the chains the most patient one decides.
    let effective = forward.stream_idle_timeout.unwrap_or(idle_timeout);
    let attempt = forward.retry.as_ref().and_then(|retry| retry.per_try_timeout);
    if let (Some(timeout), Some(idle)) = (timeout, effective)
        && idle < timeout
        && attempt.is_none_or(|attempt| attempt >= idle)
    {
        findings.remark(
            Code::TimeoutAboveIdle,
            placed.place("forward.timeout"),
            format!(
                "an answer may take {timeout:?}, and a stream on which nothing moves is ended after {idle:?}"
            ),
            "write `stream_idle_timeout: off` in the route, which its `timeout` bounds, or a shorter `timeout`",
        );
    }
}

fn hedges(findings: &mut Findings<'_>, placed: Placed<'_>, forward: &Forward) {
    let Some(retry) = &forward.retry else { return };
    let Some(hedging) = &retry.hedging else { return };
    let (field, after) = match hedging.after {
        HedgeAfter::Delay(delay) => ("forward.retry.hedging.after", delay),
        HedgeAfter::Quantile { delay_min, .. } => ("forward.retry.hedging.after.delay_min", delay_min),
        HedgeAfter::PerTryTimeout => return,
    };
    let before = match (retry.per_try_timeout, bound(forward)) {
        (Some(attempt), _) if attempt <= after => ("per_try_timeout", attempt),
        (_, Some(bound)) if bound <= after => ("timeout", bound),
        _ => return,
    };
    findings.remark(
        Code::HedgeNeverDue,
        placed.place(field),
        format!(
            "no hedge is ever made: it is due after {after:?}, and `{}` passes after {:?}",
            before.0, before.1
        ),
        "hedge sooner, or wait longer for answers",
    );
}

/// The idle timeouts of connections, held to their age.
pub(super) fn of_connections(findings: &mut Findings<'_>) {
    for (_, chain) in findings.chains() {
        findings.step();
        if let Some(http) = chain.mode.http()
            && http.idle_timeout != defaults::IDLE_TIMEOUT
            && let Some(age) = http.connection_age_max
            && http.idle_timeout >= age
        {
            let idle = http.idle_timeout;
            findings.remark(
                Code::IdleTimeoutNeverPasses,
                place("filter chain", &chain.name, &chain.origin, "http.idle_timeout"),
                format!(
                    "`idle_timeout`, {idle:?}, never passes: a connection is closed at the age of {age:?}"
                ),
                "make it shorter than `connection_age_max`, or remove it",
            );
        }
        if let Some(tcp) = chain.mode.tcp()
            && let (Some(idle), Some(age)) = (tcp.idle_timeout, tcp.connection_duration_max)
            && idle != defaults::TCP_IDLE_TIMEOUT
            && idle >= age
        {
            findings.remark(
                Code::IdleTimeoutNeverPasses,
                place("filter chain", &chain.name, &chain.origin, "tcp.idle_timeout"),
                format!(
                    "`idle_timeout`, {idle:?}, never passes: a connection is closed at the age of {age:?}"
                ),
                "make it shorter than `connection_duration_max`, or remove it",
            );
        }
    }
}
