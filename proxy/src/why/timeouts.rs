//! Which time limit ended a request, and whose: as it was in force for this one. What its route or its filter chain says is
//! told where the record names their fields.

use super::cause::{in_brackets, last_endpoint, no_retry};
use super::scene::Scene;
use super::words::{spaced, time};
use outrigger_telemetry::EventKind;
use outrigger_telemetry::recorder::{RecordedEvent, RecordedOutcome};
use std::time::Duration;

/// The length of the limit that an event tells of, if that is known.
fn limit_of(event: &RecordedEvent) -> Option<Duration> {
    (event.value > 0).then(|| Duration::from_micros(event.value))
}

/// A limit on the time of a request or an attempt, with its length.
pub(super) fn limit(scene: &Scene<'_>, event: &RecordedEvent) -> String {
    let route = scene.route_named();
    let whose = match event.subject.as_str() {
        "timeout" => format!("the timeout of {route}"),
        "client_timeout_max" => {
            format!("what {route} gives clients at most that ask for more (`client_timeout_max`)")
        }
        "grpc-timeout" => "the deadline that its client told (`grpc-timeout`)".to_owned(),
        header @ "x-envoy-expected-rq-timeout-ms" => {
            format!("the time that the peer said was left (`{header}`)")
        }
        header @ "x-envoy-upstream-rq-timeout-ms" => {
            format!("the timeout that the peer asked for in place of the route's (`{header}`)")
        }
        "per_try_timeout" => format!("the time that {route} gives each attempt (`per_try_timeout`)"),
        "per_try_idle_timeout" => {
            format!("the time that {route} lets an attempt stand still (`per_try_idle_timeout`)")
        }
        header @ "x-envoy-upstream-rq-per-try-timeout-ms" => {
            format!("the time that the peer asked for each attempt (`{header}`)")
        }
        _ => "its time".to_owned(),
    };
    match limit_of(event) {
        Some(limit) => format!("{whose}: {}", time(limit)),
        None => whose,
    }
}

/// What a request waited for when its time was up.
pub(super) fn waiting(what: &str) -> String {
    let meaning = match what {
        "response" => "its answer",
        "authorization" => "the authorization service",
        "rate_limit" => "the rate limit service",
        "fault" => "the end of a fault's delay",
        "connection" => "a connection to its endpoint",
        "backoff" => "the end of the wait before a retry",
        other => return spaced(other),
    };
    meaning.to_owned()
}

/// The request, or its last attempt, was not answered in time.
pub(super) fn timed_out(scene: &Scene<'_>) -> String {
    let to = last_endpoint(scene);
    if let Some(event) = scene.event(EventKind::DeadlinePassed) {
        let limit = limit(scene, event);
        return match event.detail.as_str() {
            "response" if has_begun(scene) => {
                format!("{to} did not come to the end of its answer within {limit}")
            }
            "response" => format!("{to} did not answer within {limit}{}", no_retry(scene)),
            "nothing" => format!("the request came with no time left: {limit} had passed"),
            what => format!(
                "the request's time was up while it waited for {}: {limit}",
                waiting(what)
            ),
        };
    }
    let limit = match scene.event(EventKind::AttemptTimedOut) {
        Some(event) => limit(scene, event),
        None => "the time of each attempt".to_owned(),
    };
    format!("{to} did not answer within {limit}{}", no_retry(scene))
}

/// The head of an answer has come from the last endpoint.
fn has_begun(scene: &Scene<'_>) -> bool {
    let last = scene.told.told_attempts.last();
    last.is_some_and(|attempt| matches!(attempt.outcome, RecordedOutcome::Answered(_)))
}

/// Nothing moved for too long.
pub(super) fn idle(scene: &Scene<'_>) -> String {
    let Some(event) = scene.event(EventKind::Idle) else {
        return "nothing moved for too long".to_owned();
    };
    let who = match event.detail.as_str() {
        "endpoint" => format!("{} sent nothing", last_endpoint(scene)),
        "reader" => "the client took nothing of its answer".to_owned(),
        "request" => "nothing more of the request's body moved".to_owned(),
        _ => "nothing moved in the tunnel".to_owned(),
    };
    format!(
        "{who} for longer than {} allows (`{}`{})",
        idle_place(scene, &event.subject),
        event.subject,
        limit_of(event).map_or_else(String::new, |limit| format!(": {}", time(limit)))
    )
}

/// What says for how long nothing may move: the route, if it does, or the filter chain.
fn idle_place(scene: &Scene<'_>, limit: &str) -> String {
    let of_route = scene.forward().is_some_and(|forward| match limit {
        "upgrade_idle_timeout" => forward.upgrade_idle_timeout().is_some(),
        _ => forward.stream_idle_timeout().is_some(),
    });
    match of_route {
        true => scene.route_named(),
        false => scene.chain_named(),
    }
}

/// The stream reached its greatest age.
pub(super) fn aged(scene: &Scene<'_>) -> String {
    let max = scene.forward().and_then(|forward| forward.stream_duration_max());
    format!(
        "the stream reached its greatest age{}, as {} says (`stream_duration_max`)",
        in_brackets(max),
        scene.route_named()
    )
}
