//! An answer as text and as JSON.

use super::query::WhyQuery;
use super::scene::Scene;
use super::{Answer, LEGENDS_MAX, cause, connection, sentences};
use outrigger_config::Timestamp;
use outrigger_telemetry::recorder::{Kind, RecordedAttempt, RecordedOutcome};
use serde_json::{Value, json};
use std::time::Duration;

/// `passed_over`: some records might be meant, and nothing is kept that names their route and cluster.
pub(super) fn report(scenes: &[Scene<'_>], is_on: bool, passed_over: bool, query: &WhyQuery) -> Answer {
    if scenes.is_empty() {
        return nothing(is_on, passed_over, query);
    }
    let told: Vec<(String, Vec<String>)> = scenes
        .iter()
        .map(|scene| {
            let said = match scene.told.kind {
                Kind::Request => sentences::sentences(scene),
                Kind::Connection => connection::sentences(scene),
            };
            (cause::cause(scene), said)
        })
        .collect();
    let texts: Vec<String> = told
        .iter()
        .map(|(cause, said)| {
            let lines: String = said.iter().map(|line| format!("  {line}\n")).collect();
            format!("Why: {cause}\n{lines}")
        })
        .collect();
    let records: Vec<Value> = scenes
        .iter()
        .zip(&told)
        .map(|(scene, (cause, said))| record(scene, cause, said))
        .collect();
    Answer {
        text: texts.join("\n"),
        json: json!({ "found": records }),
        is_empty: false,
    }
}

/// Nothing was found, and what that may be due to.
fn nothing(is_on: bool, passed_over: bool, query: &WhyQuery) -> Answer {
    let why = match is_on {
        false => "nothing is recorded: the flight recorder is off (`telemetry.recorder`)",
        true if query.request_id.is_some() || query.trace_id.is_some() => {
            "nothing is recorded of it: it is not over yet, was served by another proxy, or has been overwritten by \
             later ones"
        }
        true => {
            "nothing that is recorded is so: what is still open is recorded when it ends, and what is oldest is \
                 overwritten"
        }
    };
    let why = match passed_over {
        false => why.to_owned(),
        true => format!(
            "{why}; records of configurations that are not kept any more (the last {LEGENDS_MAX} are that differ in more \
             than endpoints) were passed over: their routes and clusters have no names: ask without `route` and `cluster`"
        ),
    };
    Answer {
        text: format!("{why}\n"),
        json: json!({ "found": [], "reason": why }),
        is_empty: true,
    }
}

fn record(scene: &Scene<'_>, cause: &str, said: &[String]) -> Value {
    let told = scene.told;
    let flags: Vec<&str> = told.flags.names().collect();
    let events: Vec<Value> = told
        .events
        .iter()
        .map(|event| {
            json!({
                "at_seconds": seconds(event.at),
                "kind": event.kind.as_str(),
                "subject": event.subject,
                "detail": event.detail,
                "value": event.value,
            })
        })
        .collect();
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
        "kind": match told.kind { Kind::Request => "request", Kind::Connection => "connection" },
        "cause": cause,
        "explanation": said,
        "time": Timestamp(told.started).to_string(),
        "duration_seconds": seconds(told.duration),
        "status": told.status,
        "grpc_status": told.grpc_status,
        "flags": flags,
        "details": text(&told.details),
        "method": text(&told.method),
        "path": text(&told.path),
        "path_is_cut": told.path_cut,
        "authority": text(&told.authority),
        "protocol": text(told.protocol.as_str()),
        "request_id": text(&told.request_id),
        "trace_id": told.trace_id.map(|id| format!("{id:032x}")),
        "peer": told.peer.map(|peer| peer.to_string()),
        "peer_id": text(&told.peer_id),
        "connection": told.connection,
        "worker": told.worker,
        "generation": told.generation,
        "listener": scene.listener.map(|listener| listener.name().as_str()),
        "filter_chain": scene.chain.map(|chain| chain.name().as_str()),
        "virtual_host": scene.virtual_host.map(|host| host.name().as_str()),
        "route": scene.route.map(|route| route.name().as_str()),
        "route_position": scene.route.map(|route| route.origin().to_string()),
        "cluster": scene.cluster_name.map(|name| name.as_str()),
        "attempts": told.attempts,
        "attempts_told": told.told_attempts.iter().map(attempt).collect::<Vec<_>>(),
        "events": events,
        "left_out": told.left_out,
        "bytes_received": told.bytes_received,
        "bytes_sent": told.bytes_sent,
    })
}

fn attempt(attempt: &RecordedAttempt) -> Value {
    let (outcome, status, detail) = match &attempt.outcome {
        RecordedOutcome::Answered(status) => ("answered", Some(*status), None),
        RecordedOutcome::Failed(why) => ("failed", None, Some(why.as_str())),
        RecordedOutcome::Cancelled => ("cancelled", None, None),
    };
    json!({
        "number": attempt.number,
        "endpoint": attempt.endpoint.map(|endpoint| endpoint.to_string()),
        "started_seconds": seconds(attempt.started),
        "answered_seconds": attempt.answered.map(seconds),
        "ended_seconds": seconds(attempt.ended),
        "outcome": outcome,
        "status": status,
        "detail": detail,
    })
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
