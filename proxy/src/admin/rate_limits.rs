//! `/rate_limits`: the rate limits in force, what they count by, and what they have decided.

use super::Shared;
use axum::extract::State;
use axum::response::Json;
use outrigger_config::model::{RateLimitBucket, RateLimitCounting};
use outrigger_dataplane::snapshot::RateLimitPolicy;
use outrigger_telemetry::{Label, RateLimitCells, RateLimitKeyDrop, RateLimitOutcome};
use serde_json::{Map, Value, json};

pub(super) async fn rate_limits(State(status): Shared) -> Json<Value> {
    let snapshot = status.published.load_full();
    let limits: Vec<Value> = snapshot.rate_limits().iter().map(|limit| shown(limit)).collect();
    Json(json!({ "rate_limits": limits }))
}

fn shown(limit: &RateLimitPolicy) -> Value {
    let config = limit.config();
    let descriptors: Vec<Vec<&str>> = config
        .descriptors()
        .iter()
        .map(|parts| parts.iter().map(|part| part.key()).collect())
        .collect();
    let mut value = json!({
        "name": config.name().as_str(),
        "shadow": config.shadow(),
        "descriptors": descriptors,
        "decisions": decisions(limit),
    });
    let more = match config.counting() {
        RateLimitCounting::Local(local) => json!({
            "counted_by": "this process",
            "bucket": bucket(local.bucket()),
            "tokens_left": limit.tokens_left(),
            "keys": limit.keys(),
            "keys_max": local.keys_max(),
            "keys_dropped": sum(limit, |cells| {
                let drops = [RateLimitKeyDrop::Full, RateLimitKeyDrop::Counting];
                drops.into_iter().map(|drop| cells.keys_dropped[drop].value()).sum()
            }),
        }),
        RateLimitCounting::Global(global) => json!({
            "counted_by": "a service",
            "cluster": global.cluster().as_str(),
            "domain": global.domain(),
        }),
    };
    if let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) {
        value.extend(more);
    }
    value
}

fn bucket(bucket: RateLimitBucket) -> Value {
    json!({
        "requests": bucket.requests(),
        "interval_seconds": bucket.interval().as_secs_f64(),
        "burst": bucket.burst(),
    })
}

/// By outcome; what has not happened is left out.
fn decisions(limit: &RateLimitPolicy) -> Map<String, Value> {
    use RateLimitOutcome::{Allowed, FailureAllowed, FailureRefused, NotCounted, Refused, ShadowRefused};
    let outcomes = [
        Allowed,
        Refused,
        ShadowRefused,
        NotCounted,
        FailureAllowed,
        FailureRefused,
    ];
    const { assert!(RateLimitOutcome::COUNT == 6, "all are shown") };
    outcomes
        .into_iter()
        .map(|outcome| (outcome, sum(limit, |cells| cells.decisions[outcome].value())))
        .filter(|(_, count)| *count > 0)
        .map(|(outcome, count)| (RateLimitOutcome::VALUES[outcome.index()].to_owned(), count.into()))
        .collect()
}

fn sum(limit: &RateLimitPolicy, of: impl Fn(&RateLimitCells) -> u64) -> u64 {
    limit.metrics().workers().iter().map(of).sum()
}
