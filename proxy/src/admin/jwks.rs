//! `/jwks`: the keys of JWT providers, and how they stand.

use super::{Shared, seconds};
use crate::jwks::Report;
use axum::extract::State;
use axum::response::Json;
use serde_json::{Value, json};

pub(super) async fn jwks(State(status): Shared) -> Json<Value> {
    let reports = status.jwks.reports();
    Json(json!({ "providers": reports.iter().map(provider).collect::<Vec<_>>() }))
}

fn provider(report: &Report) -> Value {
    let keys = report.keys.as_deref();
    let shown: Vec<Value> = keys
        .iter()
        .flat_map(|keys| keys.reports())
        .map(|key| json!({ "kid": key.kid, "kind": key.kind }))
        .collect();
    let left_out: Vec<String> = keys
        .iter()
        .flat_map(|keys| keys.ignored())
        .map(ToString::to_string)
        .collect();
    json!({
        "name": report.provider.as_str(),
        "source": report.source,
        "keys": shown,
        "left_out": left_out,
        "fetched_at_seconds": report.fetched.map(seconds),
        "next_at_seconds": report.next.map(seconds),
        "last_error": report.error,
    })
}
