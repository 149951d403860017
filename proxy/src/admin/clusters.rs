//! `/clusters`: endpoints, what they carry, and how their discovery stands.

mod limits;

use super::Shared;
use crate::discovery::Report;
use crate::health;
use axum::extract::State;
use axum::response::Json;
use outrigger_config::model::{Discovery, Endpoint, EndpointStatus, LoadBalancing};
use outrigger_dataplane::snapshot::{ClusterPolicy, EndpointState};
use outrigger_discovery::RecordReport;
use outrigger_traffic::{HealthMark, PriorityView, Standing};
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
                "load_balancing": policy(cluster.config().load_balancing()),
                "priorities": cluster.balancer().priorities().iter().map(priority).collect::<Vec<_>>(),
                "circuit_breakers": limits::breakers(cluster),
                "endpoints": endpoints(cluster, &status.health),
            });
            if let Some(state) = cluster.adaptive() {
                value["adaptive_concurrency"] = limits::adaptive(state);
            }
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

fn policy(policy: LoadBalancing) -> &'static str {
    match policy {
        LoadBalancing::RoundRobin => "round_robin",
        LoadBalancing::Random => "random",
        LoadBalancing::LeastRequest { .. } => "least_request",
        LoadBalancing::PeakEwma { .. } => "peak_ewma",
        LoadBalancing::RingHash { .. } => "ring_hash",
        LoadBalancing::Maglev { .. } => "maglev",
    }
}

fn priority(view: &PriorityView) -> Value {
    json!({
        "priority": view.priority,
        "load_percent": view.healthy_percent,
        "degraded_load_percent": view.degraded_percent,
        "panic": view.panic,
        "healthy": view.healthy,
        "degraded": view.degraded,
        "unhealthy": view.unhealthy,
    })
}

/// Where an endpoint stands, and why.
fn standing(cluster: &ClusterPolicy, place: usize, state: &EndpointState) -> Value {
    let standing = match cluster.standing(place) {
        Some(Standing::Healthy) | None => "healthy",
        Some(Standing::Degraded) => "degraded",
        Some(Standing::Unhealthy) => "unhealthy",
        Some(Standing::Unchecked) => "unchecked",
        Some(Standing::Draining) => "draining",
    };
    let marks = [
        (HealthMark::FailedCheck, "failed_check"),
        (HealthMark::Ejected, "ejected"),
        (HealthMark::Degraded, "degraded_by_check"),
    ];
    let flags = marks.into_iter().filter(|(mark, _)| state.health().has(*mark));
    json!({
        "standing": standing,
        "flags": flags.map(|(_, name)| name).collect::<Vec<_>>(),
    })
}

fn status(status: EndpointStatus) -> &'static str {
    match status {
        EndpointStatus::Healthy => "healthy",
        EndpointStatus::Draining => "draining",
        EndpointStatus::Unhealthy => "unhealthy",
        EndpointStatus::Degraded => "degraded",
    }
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
    let states = cluster.endpoints().iter().enumerate();
    states
        .map(|(place, state)| {
            let mut value = json!({
                "address": state.address(),
                "requests_active": state.requests_active(),
                "health": standing(cluster, place, state),
                "connections": state.connections(),
            });
            match cluster.member(place) {
                Some(member) => said(&mut value, cluster, place, member),
                None => value["addresses"] = json!(state.addresses()),
            }
            let report = health.report(cluster.config().name(), state);
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

/// What is said of an endpoint, and the share that it has now.
fn said(value: &mut Value, cluster: &ClusterPolicy, place: usize, member: &Endpoint) {
    value["status"] = json!(status(member.status()));
    value["priority"] = json!(member.priority());
    value["weight"] = json!(member.weight());
    let share = f64::from(cluster.balancer().share_per_mille(place)) / 1000.0;
    value["effective_weight"] = json!(f64::from(member.weight()) * share);
    value["metadata"] = json!(member.metadata());
    if let Some(locality) = member.locality() {
        value["locality"] = json!({
            "region": locality.region(),
            "zone": locality.zone(),
            "sub_zone": locality.sub_zone(),
        });
    }
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
