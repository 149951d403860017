//! What happened to a request, from its coming to its end, in plain sentences.

use super::decisions::decisions;
use super::scene::Scene;
use super::timeouts;
use super::words::{self, flags, quoted, time};
use outrigger_config::Timestamp;
use outrigger_config::model::SpiffeId;
use outrigger_telemetry::EventKind;
use outrigger_telemetry::recorder::{Protocol, RecordedAttempt, RecordedEvent, RecordedOutcome};
use outrigger_traffic::{Found, PastRequest, RefusedRoute, explain_past};
use std::time::Duration;

/// Everything that is known of a request, in order.
pub(super) fn sentences(scene: &Scene<'_>) -> Vec<String> {
    let mut said = vec![arrival(scene)];
    said.extend(ids(scene));
    said.push(configuration(scene));
    said.extend(routing(scene));
    said.extend(decisions(scene));
    said.extend(way(scene));
    said.push(end(scene));
    said
}

fn arrival(scene: &Scene<'_>) -> String {
    let told = scene.told;
    let what = match told.method.as_str() {
        "" => "A request that could not be read".to_owned(),
        method => {
            let cut = if told.path_cut { " and more" } else { "" };
            let host = match told.authority.as_str() {
                "" => String::new(),
                authority => format!(" for {}", quoted(authority)),
            };
            format!("{} {}{cut}{host}", bare(method), quoted(&told.path))
        }
    };
    let mut said = format!("{what} came at {}", Timestamp(told.started));
    if told.protocol != Protocol::Bytes {
        said.push_str(&format!(" over {}", told.protocol.as_str()));
    }
    said.push_str(&whence(scene));
    said + "."
}

/// Who came, on which connection, where.
pub(super) fn whence(scene: &Scene<'_>) -> String {
    let told = scene.told;
    let mut said = String::new();
    if let Some(peer) = told.peer {
        // A proxy in front tells no port.
        said.push_str(&match peer.port() {
            0 => format!(" from {}", peer.ip()),
            _ => format!(" from {peer}"),
        });
    }
    if !told.peer_id.is_empty() {
        said.push_str(&format!(", which is {}", quoted(&told.peer_id)));
    }
    said.push_str(&format!(", on connection {}", told.connection));
    if let Some(listener) = scene.listener_named() {
        said.push_str(&format!(", to {listener}, {}", scene.chain_named()));
    }
    said
}

fn ids(scene: &Scene<'_>) -> Option<String> {
    let told = scene.told;
    let request = match told.request_id.as_str() {
        "" => None,
        id => Some(format!("Its id is {}", quoted(id))),
    };
    match (request, told.trace_id) {
        (Some(request), Some(trace)) => Some(format!("{request}, its trace {trace:032x}.")),
        (Some(request), None) => Some(request + "."),
        (None, Some(trace)) => Some(format!("Its trace is {trace:032x}.")),
        (None, None) => None,
    }
}

/// Which configuration it was served by.
pub(super) fn configuration(scene: &Scene<'_>) -> String {
    let generation = scene.told.generation;
    match scene.legend {
        Some(_) => format!("Configuration {generation} was in force for it."),
        None => format!(
            "Configuration {generation} was in force for it, which is not kept any more (the last {} \
             that differ in more than endpoints are): what names and policies it met cannot be told.",
            super::LEGENDS_MAX
        ),
    }
}

/// Which virtual host and route took it, and why no other.
fn routing(scene: &Scene<'_>) -> Vec<String> {
    let (told, Some(routes)) = (scene.told, scene.routes) else {
        return Vec::new();
    };
    let found = match (told.virtual_host, scene.virtual_host, told.route, scene.route) {
        (Some(virtual_host), Some(_), Some(route), Some(_)) => Found::Route {
            virtual_host: virtual_host as usize,
            route: route as usize,
        },
        (Some(virtual_host), Some(_), None, _) => Found::NoRoute {
            virtual_host: virtual_host as usize,
        },
        (None, ..) if told.details == "route_not_found" || told.details == "connect_not_allowed" => {
            Found::NoVirtualHost
        }
        _ => return vec!["It was answered before a route was looked for.".to_owned()],
    };
    let id: Option<SpiffeId> = told.peer_id.parse().ok();
    let explanation = explain_past(
        routes,
        found,
        &PastRequest {
            method: &told.method,
            host: host(&told.authority),
            path: &told.path,
            source_identity: id.as_ref(),
        },
    );
    let mut said = Vec::new();
    match &explanation.virtual_host {
        Some(host) => said.push(format!(
            "Virtual host `{}` ({}) of route configuration `{}` takes its host.",
            host.name,
            host.origin,
            routes.name()
        )),
        None => said.push(format!(
            "No virtual host of route configuration `{}` ({}) takes host {}; the nearest domains are `{}`.",
            routes.name(),
            routes.origin(),
            quoted(&explanation.host),
            explanation.nearest_domains.join("`, `")
        )),
    }
    if let Some(route) = &explanation.route {
        said.push(format!(
            "Route `{}` ({}) took it: {} and all its other conditions match.",
            route.name, route.origin, route.path
        ));
    } else if explanation.virtual_host.is_some() {
        said.push(match told.details.as_str() {
            "route_not_found" | "connect_not_allowed" => "None of its routes takes the request.".to_owned(),
            _ => "It answered before any route.".to_owned(),
        });
    }
    if told.path_cut {
        said.push("Its path is not kept whole: why other routes did not take it cannot be told.".to_owned());
        return said;
    }
    said.extend(explanation.refused.iter().map(refused));
    if explanation.refused_more > 0 {
        said.push(format!(
            "Nor did {} more routes that are further off.",
            explanation.refused_more
        ));
    }
    said
}

fn refused(route: &RefusedRoute) -> String {
    // What came is the request's own: it is shown escaped.
    let why: String = route
        .mismatch
        .to_string()
        .chars()
        .flat_map(|character| match character.is_control() {
            true => character.escape_unicode().collect::<Vec<char>>(),
            false => vec![character],
        })
        .collect();
    format!("Route `{}` ({}) did not: {why}.", route.name, route.origin)
}

/// Attempts and events in the order of time.
fn way(scene: &Scene<'_>) -> Vec<String> {
    let told = scene.told;
    let attempts = told
        .told_attempts
        .iter()
        .map(|attempt| (attempt.ended, 0, self::attempt(scene, attempt)));
    let events = told
        .events
        .iter()
        .map(|event| (event.at, 1, self::event(scene, event)));
    let mut all: Vec<(Duration, u8, String)> = attempts.chain(events).collect();
    all.sort_by_key(|(at, kind, _)| (*at, *kind));
    let mut said: Vec<String> = all.into_iter().map(|(_, _, said)| said).collect();
    match told.left_out {
        0 => {}
        more => said.push(format!(
            "{more} more attempts and events had no place in the record."
        )),
    }
    said
}

fn attempt(scene: &Scene<'_>, attempt: &RecordedAttempt) -> String {
    let endpoint = attempt
        .endpoint
        .map_or_else(|| "an endpoint".to_owned(), |endpoint| endpoint.to_string());
    let took = attempt.ended.saturating_sub(attempt.started);
    let outcome = match &attempt.outcome {
        RecordedOutcome::Answered(status) => {
            let after = attempt
                .answered
                .unwrap_or(attempt.ended)
                .saturating_sub(attempt.started);
            format!("was answered {status} after {}", time(after))
        }
        RecordedOutcome::Failed(why) => {
            format!("failed after {}: {} (`{why}`)", time(took), words::failure(why))
        }
        RecordedOutcome::Cancelled => format!("was given up after {}", time(took)),
    };
    format!(
        "Attempt {} went to {endpoint} of {} after {}, and {outcome}.",
        attempt.number,
        scene.cluster_named(),
        time(attempt.started)
    )
}

fn event(scene: &Scene<'_>, event: &RecordedEvent) -> String {
    let detail = words::spaced(&event.detail);
    let what = match event.kind {
        EventKind::Unauthenticated => "no token of it holds".to_owned(),
        EventKind::Denied => match event.subject.as_str() {
            "none" | "" => "no ALLOW authorization policy matched it".to_owned(),
            name => format!("{} denied it", scene.policy_named(name)),
        },
        EventKind::ShadowDenied => match event.subject.as_str() {
            "none" | "" => "with shadow policies in force, no ALLOW policy would match it".to_owned(),
            name => format!("{}, were it in force, would deny it", scene.policy_named(name)),
        },
        EventKind::ExternallyAuthorized => {
            format!("the authorization service did not let it through: {detail}")
        }
        EventKind::RateLimited => format!("{} refused it", scene.rate_limit_named(&event.subject)),
        EventKind::RateLimitUnknown => format!(
            "{} could not be asked: {detail}",
            scene.rate_limit_named(&event.subject)
        ),
        EventKind::FaultDelay => format!("a fault held it for {} ms", event.value),
        EventKind::FaultAbort if event.detail == "reset" => "a fault reset it".to_owned(),
        EventKind::FaultAbort => format!("a fault answered it with {detail} {}", event.value),
        EventKind::FaultRate => format!("a fault slowed its answer to {} bytes a second", event.value),
        EventKind::BreakerOpen => format!("{} had no room: {}", scene.cluster_named(), limit(&event.detail)),
        EventKind::NoEndpoint => format!("{} had no endpoint for it: {detail}", scene.cluster_named()),
        EventKind::Retry if event.value > 0 => format!(
            "it was to be tried again, {} ms later: {}",
            event.value,
            words::retry(&event.detail)
        ),
        EventKind::Retry => format!("it was tried again: {}", words::retry(&event.detail)),
        EventKind::NoRetry => format!("it was not tried again: {}", words::no_retry(&event.detail)),
        EventKind::Hedge => "another attempt was made beside the one that had not answered".to_owned(),
        EventKind::DeadlinePassed if event.detail == "nothing" => "it came with no time left".to_owned(),
        EventKind::DeadlinePassed => format!(
            "its time was up while it waited for {}: {}",
            timeouts::waiting(&event.detail),
            timeouts::limit(scene, event)
        ),
        EventKind::AttemptTimedOut => {
            format!("the attempt's time was up: {}", timeouts::limit(scene, event))
        }
        EventKind::Idle => timeouts::idle(scene),
        EventKind::Drained => {
            "it was cut: its connection was to end, and the time for that was up (`drain_timeout`)".to_owned()
        }
        EventKind::RightLost => format!("it lost its right: {detail}"),
        EventKind::Overloaded if event.subject.is_empty() => {
            format!("the process was near what it may have: {detail}")
        }
        EventKind::Overloaded => format!(
            "the process was near what it may have of {}: {detail}",
            words::spaced(&event.subject)
        ),
        #[allow(
            unreachable_patterns,
            reason = "kinds that are not told in other words are told by their names"
        )]
        other => words::spaced(other.as_str()),
    };
    format!("After {}, {what}.", time(event.at))
}

/// Which limit of a cluster was reached.
pub(super) fn limit(name: &str) -> String {
    let meaning = match name {
        "requests" => "as many requests are in flight as may be (`circuit_breakers`, requests)",
        "pending" => "as many requests wait for a connection as may (`circuit_breakers`, pending)",
        "pending_timeout" => "it waited for a connection for as long as `connect_timeout` allows",
        "connections" => "as many connections are open as may be (`circuit_breakers`, connections)",
        "endpoints" => {
            "every endpoint that could be picked has as many requests as it may (`circuit_breakers`, endpoint)"
        }
        "adaptive" => "adaptive concurrency allows no more requests at once",
        other => return words::spaced(other),
    };
    meaning.to_owned()
}

/// What the client got.
fn end(scene: &Scene<'_>) -> String {
    let told = scene.told;
    let mut said = match told.status {
        0 => format!(
            "The client got no answer; it was over after {}",
            time(told.duration)
        ),
        _ => format!(
            "The client got {}; it was over after {}",
            words::status(told),
            time(told.duration)
        ),
    };
    if !told.details.is_empty() {
        said.push_str(&format!(", details {}", quoted(&told.details)));
    }
    if let Some(flags) = flags(told.flags) {
        said.push_str(&format!(", flags {flags}"));
    }
    said.push_str(&format!(
        ". {} bytes of its body came, {} bytes of the answer's were sent.",
        told.bytes_received, told.bytes_sent
    ));
    said
}

/// A method as it came, without what is no token.
fn bare(method: &str) -> String {
    method.escape_debug().collect()
}

/// An authority without its port; the brackets of an IPv6 address stay.
fn host(authority: &str) -> &str {
    match authority.rfind([':', ']']) {
        Some(at) if authority.as_bytes()[at] == b':' => &authority[..at],
        _ => authority,
    }
}
