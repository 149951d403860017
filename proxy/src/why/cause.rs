//! Why a request ended as it did, in one sentence: the policy, the endpoint or the peer that it comes down to.

use super::connection;
use super::scene::Scene;
use super::sentences::limit;
use super::timeouts;
use super::words::{self, quoted, spaced, time};
use outrigger_config::model::{Fault, RateLimitCounting, RoutePriority};
use outrigger_telemetry::recorder::{Kind, RecordedEvent, RecordedOutcome};
use outrigger_telemetry::{EventKind, ResponseFlags};
use std::time::Duration;

/// The true cause.
pub(super) fn cause(scene: &Scene<'_>) -> String {
    if scene.told.kind == Kind::Connection {
        return connection::cause(scene);
    }
    let said = refusal(scene)
        .or_else(|| by_flag(scene))
        .or_else(|| by_details(scene))
        .unwrap_or_else(|| answered(scene));
    let held = match scene.event(EventKind::FaultDelay) {
        Some(event) if !scene.told.flags.contains(ResponseFlags::FI) => format!(
            "; the fault of {} had held it for {} ms",
            fault(scene).1,
            event.value
        ),
        _ => String::new(),
    };
    format!("{said}{held}.")
}

/// Policies that refuse have noted it.
fn refusal(scene: &Scene<'_>) -> Option<String> {
    if let Some(event) = scene.event(EventKind::FaultAbort) {
        return Some(aborted(scene, event));
    }
    if let Some(event) = scene.event(EventKind::Denied) {
        return Some(denied(scene, &event.subject));
    }
    if let Some(event) = scene.event(EventKind::RateLimited) {
        return Some(rate_limited(scene, event));
    }
    if let Some(event) = scene.event(EventKind::RateLimitUnknown) {
        let limit = scene.rate_limit_named(&event.subject);
        let service = rate_limit_service(scene, &event.subject);
        return Some(format!(
            "{limit} is counted by the service in {service}, which could not be asked ({}), and `failure_denied` \
             refuses requests then",
            spaced(&event.detail)
        ));
    }
    if let Some(event) = scene.event(EventKind::ExternallyAuthorized) {
        return Some(not_authorized(scene, event));
    }
    if let Some(event) = scene.event(EventKind::Overloaded) {
        return Some(overloaded(event));
    }
    if let Some(event) = scene.event(EventKind::RightLost) {
        let why = match event.detail.as_str() {
            "identity_revoked" => "its client's certificate or identity was revoked",
            "identity_untrusted" => "nobody who is still believed vouches for its client's certificate",
            "identity_missing" => "its client has shown no certificate, which it must now",
            _ => "authorization policies that came into force deny it",
        };
        return Some(format!(
            "it lost its right while it was served: {why}{}",
            policy_in(scene)
        ));
    }
    if scene.event(EventKind::Drained).is_some() {
        let timeout = scene.config().map(|config| config.drain().timeout());
        return Some(format!(
            "it was cut: its connection was to end, and the time for what was still open on it was up (`drain.timeout`{})",
            timeout.map_or_else(String::new, |timeout| format!(": {}", time(timeout)))
        ));
    }
    if scene.event(EventKind::Unauthenticated).is_some() {
        let why = scene.told.details.trim_start_matches("jwt_authn_access_denied");
        let why = why.trim_matches(['{', '}']);
        return Some(format!(
            "{} needs a token, and none of the request holds: {}",
            scene.route_named(),
            spaced(why)
        ));
    }
    None
}

/// The policy that is named in details, `name[policy]`.
fn policy_in(scene: &Scene<'_>) -> String {
    match bracketed(&scene.told.details) {
        Some(name) => format!(" ({})", scene.policy_named(name)),
        None => String::new(),
    }
}

/// What stands in brackets at the end of details.
pub(super) fn bracketed(details: &str) -> Option<&str> {
    let (_, rest) = details.split_once('[')?;
    rest.split_once(']').map(|(name, _)| name)
}

/// Who denies.
pub(super) fn denied(scene: &Scene<'_>, policy: &str) -> String {
    if !matches!(policy, "none" | "") {
        return format!("{} denies it", scene.policy_named(policy));
    }
    let of_route = scene
        .route
        .map(|route| route.authorization().as_slice())
        .unwrap_or_default();
    let names: Vec<String> = scene
        .chain
        .map(|chain| chain.authorization().as_slice())
        .unwrap_or_default()
        .iter()
        .chain(of_route)
        .map(|name| scene.policy_named(name.as_str()))
        .collect();
    match names.is_empty() {
        true => "no ALLOW authorization policy matches it".to_owned(),
        false => format!("no ALLOW policy matches it, of {}", names.join(", ")),
    }
}

fn aborted(scene: &Scene<'_>, event: &RecordedEvent) -> String {
    let (fault, place) = fault(scene);
    let what = match event.detail.as_str() {
        "reset" => "resets it".to_owned(),
        kind => format!("answers it with {} {}", spaced(kind), event.value),
    };
    let policy = fault.map_or_else(String::new, |fault| {
        format!(" ({})", outrigger_explain::describe_fault(fault))
    });
    format!("the fault of {place}{policy} {what}")
}

/// The fault in force for a request, and where it stands.
fn fault<'a>(scene: &Scene<'a>) -> (Option<&'a Fault>, String) {
    match scene.route.and_then(|route| route.fault().as_ref()) {
        Some(own) => (own.as_deref(), scene.route_named()),
        None => {
            let of_chain = scene.http().and_then(|http| http.fault().as_deref());
            (of_chain, scene.chain_named())
        }
    }
}

fn rate_limited(scene: &Scene<'_>, event: &RecordedEvent) -> String {
    let named = scene.rate_limit_named(&event.subject);
    let counted = match scene.rate_limit(&event.subject).map(|limit| limit.counting()) {
        Some(RateLimitCounting::Local(local)) => {
            let bucket = local.bucket();
            format!(
                " allows {} in {}, at most {} at once, and that was used up",
                bucket.requests(),
                time(bucket.interval()),
                bucket.burst()
            )
        }
        Some(RateLimitCounting::Global(_)) => format!(
            ": the service in {} said that it comes too often",
            rate_limit_service(scene, &event.subject)
        ),
        None => " was used up".to_owned(),
    };
    format!("{named}{counted}")
}

fn rate_limit_service(scene: &Scene<'_>, name: &str) -> String {
    match scene.rate_limit(name).map(|limit| limit.counting()) {
        Some(RateLimitCounting::Global(global)) => format!("cluster `{}`", global.cluster()),
        _ => "its cluster".to_owned(),
    }
}

fn not_authorized(scene: &Scene<'_>, event: &RecordedEvent) -> String {
    let service = match scene
        .http()
        .and_then(|http| http.external_authorization().as_ref())
    {
        Some(policy) => format!(
            "the authorization service in cluster `{}`",
            policy.service().cluster()
        ),
        None => "the authorization service".to_owned(),
    };
    let chain = scene.chain_named();
    match event.detail.as_str() {
        "denied" => format!(
            "{service}, which {chain} asks, said no with status {}",
            event.value
        ),
        detail => format!(
            "{service}, which {chain} asks, could not be asked ({}), and `failure_mode` refuses requests then",
            quoted(detail)
        ),
    }
}

fn overloaded(event: &RecordedEvent) -> String {
    match event.detail.as_str() {
        "requests_max" => {
            "the process has as many requests in flight as `overload.requests_max` allows".to_owned()
        }
        _ => {
            let of_what = match event.subject.as_str() {
                "connections" => "the connections that it may have (`overload.connections_max`)",
                "requests" => "the requests that it may have in flight (`overload.requests_max`)",
                "buffered_bytes" => "the bytes of bodies that it may keep (`overload.buffered_bytes_max`)",
                "memory" => "the memory that it may take (`overload.memory_max`)",
                _ => "one of its limits",
            };
            format!(
                "the process was so near {of_what} that {} % of new requests were refused \
                 (`overload.refuse_requests`)",
                event.value
            )
        }
    }
}

/// What went wrong with endpoints, or between peers.
fn by_flag(scene: &Scene<'_>) -> Option<String> {
    let has = |flag: ResponseFlags| scene.told.flags.contains(flag);
    let said = if has(ResponseFlags::NR) {
        not_routed(scene)
    } else if has(ResponseFlags::DPE) {
        format!(
            "the client's request was refused: {} (`{}`)",
            spaced(&scene.told.details),
            scene.told.details
        )
    } else if has(ResponseFlags::UH) {
        no_endpoint(scene)
    } else if let Some(event) = scene.event(EventKind::BreakerOpen) {
        format!(
            "{}: {}{}",
            scene.cluster_named(),
            limit(&event.detail),
            limit_value(scene, &event.detail)
        )
    } else if has(ResponseFlags::DT) {
        timeouts::aged(scene)
    } else if has(ResponseFlags::SI) {
        timeouts::idle(scene)
    } else if has(ResponseFlags::UT) {
        timeouts::timed_out(scene)
    } else if has(ResponseFlags::DC) {
        let when = match scene.told.status {
            0 => "before it had an answer",
            _ => "before it had the whole answer",
        };
        format!("the client went away {when}")
    } else if has(ResponseFlags::UF)
        || has(ResponseFlags::UC)
        || has(ResponseFlags::UR)
        || has(ResponseFlags::UPE)
        || has(ResponseFlags::URX)
        || has(ResponseFlags::UO)
    {
        failed(scene)
    } else {
        return None;
    };
    Some(said)
}

fn not_routed(scene: &Scene<'_>) -> String {
    let told = scene.told;
    let routes = scene.routes.map_or_else(
        || "the route configuration".to_owned(),
        |routes| format!("route configuration `{}` ({})", routes.name(), routes.origin()),
    );
    match scene.virtual_host {
        Some(_) => format!(
            "no route of {} takes {} {}",
            scene.virtual_host_named(),
            told.method.escape_debug(),
            quoted(&told.path)
        ),
        None => format!(
            "no virtual host of {routes} takes host {}",
            quoted(&told.authority)
        ),
    }
}

fn no_endpoint(scene: &Scene<'_>) -> String {
    let named = scene.cluster_named();
    let Some(event) = scene.event(EventKind::NoEndpoint) else {
        return format!("{named} has no endpoint that may be used");
    };
    match event.detail.as_str() {
        "no_endpoints" => format!("{named} has no endpoints"),
        "none_healthy" => {
            let panic = match scene.cluster {
                Some(cluster) if cluster.balancing().fails_in_panic() => {
                    ", and in panic it refuses requests (`fails_in_panic`)".to_owned()
                }
                Some(cluster) => format!(" (panic threshold: {} %)", cluster.balancing().panic_threshold()),
                None => String::new(),
            };
            format!(
                "none of the {} endpoints of {named} is healthy{panic}",
                event.value
            )
        }
        "destination_not_allowed" => {
            format!("{named} does not go where the connection was meant for (`allow`)")
        }
        "destination_loop" => "the connection was meant for this proxy itself".to_owned(),
        _ => {
            let aim = scene
                .forward()
                .map_or("", |forward| match forward.session_cookie() {
                    Some(cookie) if cookie.strict() => {
                        ": the session cookie is strict, and names an endpoint that may not be used"
                    }
                    _ => ": others drain, were tried, or are not of the subset that the route asks for",
                });
            format!(
                "none of the {} endpoints of {named} may be used for it{aim}",
                event.value
            )
        }
    }
}

/// The number of a limit that was reached.
fn limit_value(scene: &Scene<'_>, name: &str) -> String {
    let Some(cluster) = scene.cluster else {
        return String::new();
    };
    let high = scene
        .forward()
        .is_some_and(|forward| forward.priority() == RoutePriority::High);
    let breakers = cluster.circuit_breakers();
    let thresholds = match high {
        true => breakers.high_priority(),
        false => breakers.default_priority(),
    };
    let value = match name {
        "requests" => Some(u64::from(thresholds.requests_max())),
        "pending" => Some(u64::from(thresholds.pending_max())),
        "connections" => Some(u64::from(thresholds.connections_max())),
        "endpoints" => breakers.endpoint().requests_max().map(u64::from),
        _ => None,
    };
    value.map_or_else(String::new, |value| format!(": at most {value}"))
}

/// An attempt failed and there was no other.
fn failed(scene: &Scene<'_>) -> String {
    let why = match last_failure(scene) {
        Some(why) => words::failure(why),
        None if scene.told.flags.contains(ResponseFlags::UPE) => {
            format!(
                "its answer could not be accepted: {}",
                spaced(&scene.told.details)
            )
        }
        None => match scene.told.told_attempts.last().map(|attempt| &attempt.outcome) {
            // Its answer was the last, though policy would have had another.
            Some(RecordedOutcome::Answered(status)) if scene.told.details == "via_upstream" => {
                format!("the endpoint answered {status}")
            }
            _ => words::failure(&scene.told.details),
        },
    };
    format!("{}: {why}{}", last_endpoint(scene), no_retry(scene))
}

/// Why there was no other attempt.
pub(super) fn no_retry(scene: &Scene<'_>) -> String {
    match scene.event(EventKind::NoRetry) {
        Some(event) => {
            let made = match scene.told.attempts {
                0 | 1 => String::new(),
                more => format!(" after {more} attempts"),
            };
            let retry = match (event.detail.as_str(), scene.cluster) {
                ("attempts_used_up", _) => attempts_max(scene, event.value),
                ("budget_at_once" | "budget_recent", Some(cluster)) => {
                    let budget = cluster.retry_budget();
                    format!(
                        " (of {}: {} %, at least {} at once)",
                        scene.cluster_named(),
                        budget.percent(),
                        budget.concurrency_min()
                    )
                }
                _ => String::new(),
            };
            format!(
                "; it was not tried again{made}: {}{retry}",
                words::no_retry(&event.detail)
            )
        }
        None => String::new(),
    }
}

/// Who says how many attempts are made at most; 0: nobody.
fn attempts_max(scene: &Scene<'_>, attempts: u64) -> String {
    let Some(retries) = attempts.checked_sub(1) else {
        return " (by default, one more)".to_owned();
    };
    let Some(forward) = scene.forward() else {
        return format!(" ({retries} after the first)");
    };
    match forward.retry() {
        Some(retry) if u64::from(retry.retries_max()) == retries => {
            format!(" (`retries_max` of {}: {retries})", scene.route_named())
        }
        _ => format!(" (the peer asks for {retries} retries at most: `x-envoy-max-retries`)"),
    }
}

fn last_failure<'a>(scene: &Scene<'a>) -> Option<&'a str> {
    match &scene.told.told_attempts.last()?.outcome {
        RecordedOutcome::Failed(why) => Some(why),
        _ => None,
    }
}

/// The endpoint of the last attempt, and its cluster.
pub(super) fn last_endpoint(scene: &Scene<'_>) -> String {
    let endpoint = scene
        .told
        .told_attempts
        .last()
        .and_then(|attempt| attempt.endpoint);
    match endpoint {
        Some(endpoint) => format!("endpoint {endpoint} of {}", scene.cluster_named()),
        None => scene.cluster_named(),
    }
}

/// What is neither refused by a policy that says so nor flagged.
fn by_details(scene: &Scene<'_>) -> Option<String> {
    let (route, host) = (scene.route_named(), scene.virtual_host_named());
    Some(match scene.told.details.as_str() {
        "maintenance" => format!("{host} is down for maintenance, as it says"),
        "https_redirect" => format!("{host} sends requests that did not come by HTTPS there"),
        "https_required" => format!("{host} takes requests by HTTPS only"),
        "redirect" => format!("{route} redirects"),
        "direct_response" => format!("{route} answers by itself"),
        "upgrade_failed" => format!("{route} does not allow the protocol that was asked for"),
        "request_payload_too_large" => format!("its body is longer than {route} allows"),
        "" if scene.told.status == 0 => "it ended without an answer".to_owned(),
        _ => return None,
    })
}

/// The upstream's answer, as it is.
fn answered(scene: &Scene<'_>) -> String {
    match scene.told.details.as_str() {
        "via_upstream" => format!(
            "{} answered {}, and that was passed on{}",
            last_endpoint(scene),
            words::status(scene.told),
            no_retry(scene)
        ),
        details => format!(
            "this proxy answered {}: {}",
            words::status(scene.told),
            quoted(details)
        ),
    }
}

pub(super) fn in_brackets(duration: Option<Duration>) -> String {
    duration.map_or_else(String::new, |duration| format!(" ({})", time(duration)))
}
