//! How the server and its mesh stand: for people, probes and Prometheus.

use super::call::Call;
use super::fault::{Fault, etag};
use super::routes::{METRICS, PLAIN};
use super::{Answered, Shared, openapi_document};
use axum::Json;
use axum::response::IntoResponse;
use http::{StatusCode, header};
use prometheus::TextEncoder;
use serde_json::json;
use std::sync::Arc;

/// Nodes by how they stand.
#[derive(Default)]
struct Counts {
    connected: usize,
    gone: usize,
    settled: usize,
    underway: usize,
    refused: usize,
}

impl Shared {
    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for status in self.parts.fleet.register().all() {
            if !status.connected {
                counts.gone += 1;
                continue;
            }
            counts.connected += 1;
            match status.progress {
                "settled" => counts.settled += 1,
                "refused" => counts.refused += 1,
                _ => counts.underway += 1,
            }
        }
        counts
    }
}

/// `GET /v1/status`
pub(super) async fn show(shared: Arc<Shared>, _: Call) -> Answered {
    let parts = &shared.parts;
    let position = parts.store.position().await?;
    let (plan, counts, condition) = (parts.fleet.plan(), shared.counts(), parts.store.condition());
    let body = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "revision": position.revision,
        "stable": plan.stable.number(),
        "releasing": plan.release.as_ref().map(|release| release.revision.number()),
        "nodes": {
            "connected": counts.connected,
            "gone": counts.gone,
            "settled": counts.settled,
            "underway": counts.underway,
            "refused": counts.refused,
        },
        "store": { "kind": condition.kind, "read_only": condition.read_only, "fault": condition.fault },
        "audit": parts.store.audit_head().await?,
        "trust_domain": parts.authority.as_ref().map(|authority| authority.trust_domain().as_str()),
    });
    Ok(([(header::ETAG, etag(position.revision))], Json(body)).into_response())
}

/// `GET /live`
pub(super) async fn live(_: Arc<Shared>, _: Call) -> Answered {
    Ok(([(header::CONTENT_TYPE, PLAIN)], "live\n").into_response())
}

/// `GET /ready`
pub(super) async fn ready(shared: Arc<Shared>, _: Call) -> Answered {
    let parts = &shared.parts;
    let stored = parts.store.watch().borrow().revision;
    let plan = parts.fleet.plan();
    let told = plan
        .release
        .as_ref()
        .map_or(plan.stable.number(), |release| release.revision.number());
    // Nobody who is not known is told more than this; the log and `/v1/status` tell the rest.
    let problem = if *parts.drain.borrow() {
        "not ready: the server is ending\n"
    } else if parts.store.condition().fault.is_some() {
        "not ready: the store is not well\n"
    } else if stored > 0 && told == 0 {
        "not ready: the mesh of the store is not in force yet\n"
    } else {
        return Ok(([(header::CONTENT_TYPE, PLAIN)], "ready\n").into_response());
    };
    Ok((
        StatusCode::SERVICE_UNAVAILABLE,
        [(header::CONTENT_TYPE, PLAIN)],
        problem,
    )
        .into_response())
}

/// `GET /metrics`
pub(super) async fn metrics(shared: Arc<Shared>, _: Call) -> Answered {
    let counts = shared.counts();
    let states = [
        ("settled", counts.settled),
        ("underway", counts.underway),
        ("refused", counts.refused),
        ("gone", counts.gone),
    ];
    let stable = Arc::clone(&shared.parts.fleet.plan().stable);
    shared.metrics.fleet(stable.number(), &states);
    shared.metrics.work(stable.mesh().work());
    let store = &shared.parts.store;
    let stored = store.watch().borrow().revision;
    shared.metrics.store(stored, store.condition().fault.is_none());
    let reported = shared.parts.fleet.register().all_reported();
    let reporting = reported.iter().filter(|(_, reported)| reported.is_some());
    shared.metrics.reporting(reporting.count());
    let text = TextEncoder::new().encode_to_string(&shared.parts.registry.gather());
    let text = text.map_err(|error| Fault::internal(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, METRICS)], text).into_response())
}

/// `GET /openapi.json`
pub(super) async fn openapi(_: Arc<Shared>, _: Call) -> Answered {
    Ok(Json(openapi_document()).into_response())
}
