//! `/clusters`: endpoints, what they carry, and how their discovery stands.

use super::Shared;
use crate::discovery::Report;
use crate::health;
use axum::extract::State;
use axum::response::Json;
use outrigger_config::model::{self, Discovery};
use outrigger_dataplane::snapshot::ClusterPolicy;
use outrigger_discovery::RecordReport;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub(super) async fn clusters(State(status): Shared) -> Json<Value> {
    let snapshot = status.published.load_full();
    let clusters: Vec<Value> = snapshot
        .clusters()
        .map(|cluster| {
            let name = cluster.config().name();
            let mut value = json!({
                "name": name.as_str(),
                "discovery": kind(cluster.config().discovery()),
                "requests_active": cluster.requests_active(),
                "retry_budget": retry_budget(cluster),
                "endpoints": endpoints(cluster, &status.health),
            });
            if let Some(report) = status.discovery.report(name) {
                value["dns"] = dns(&report);
            }
            value
        })
        .collect();
    Json(json!({ "clusters": clusters }))
}

/// What the retry budget allows, and what of it is used.
fn retry_budget(cluster: &ClusterPolicy) -> Value {
    let options = cluster.config().retry_budget();
    let (active, recent_retries, recent_requests) = cluster.retries(Instant::now());
    json!({
        "percent": options.percent(),
        "concurrency_min": options.concurrency_min(),
        "active": active,
        "recent_retries": recent_retries,
        "recent_requests": recent_requests,
    })
}

fn kind(discovery: &Discovery) -> &'static str {
    match discovery {
        Discovery::Static => "static",
        Discovery::StrictDns(_) => "strict_dns",
        Discovery::LogicalDns(_) => "logical_dns",
        Discovery::OriginalDestination(_) => "original_destination",
    }
}

fn endpoints(cluster: &ClusterPolicy, health: &health::Shared) -> Vec<Value> {
    let config = cluster.config();
    let listed: Vec<&model::Endpoint> = config.endpoints().iter().collect();
    let found = cluster.discovered().map(|found| &found[..]).unwrap_or_default();
    let states = cluster.endpoints().iter().enumerate();
    states
        .map(|(index, state)| {
            let mut value = json!({
                "address": state.address(),
                "requests_active": state.requests_active(),
            });
            if let Some(endpoint) = listed.get(index) {
                value["weight"] = json!(endpoint.weight());
                value["metadata"] = json!(endpoint.metadata());
            } else if matches!(config.discovery(), Discovery::LogicalDns(_)) {
                value["addresses"] = json!(state.addresses());
            } else if let Some(endpoint) = found.get(index) {
                value["weight"] = json!(endpoint.weight());
            }
            let report = health.report(config.name(), state);
            if let Some(check) = report.check {
                value["health_check"] = check;
            }
            if let Some(outlier) = report.outlier {
                value["outlier_detection"] = outlier;
            }
            value
        })
        .collect()
}

fn dns(report: &Report) -> Value {
    json!({
        "warm": report.warm,
        "stale": report.stale,
        "answers": report.records.iter().map(answer).collect::<Vec<_>>(),
    })
}

fn answer(report: &RecordReport) -> Value {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    json!({
        "host": report.question.host,
        "type": report.question.kind.as_str(),
        "records": report.records,
        "age_seconds": seconds(report.age),
        "ttl_left_seconds": seconds(report.ttl_left),
        "stale": report.stale,
        "failures": report.failures,
        "last_error": report.last_error,
    })
}
