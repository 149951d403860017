//! Nodes: how each stands, and what each is to do.

use super::call::Call;
use super::effects::agent;
use super::fault::Fault;
use super::health;
use super::routes::YAML;
use super::{Answered, Shared};
use crate::access::printable;
use crate::fleet::{Agent, MeshRevision, NodeReported, NodeStatus, NodeView};
use axum::Json;
use axum::response::IntoResponse;
use http::header;
use serde_json::{Value, json};
use std::sync::Arc;

/// Nodes of a page unless told otherwise.
const PAGE: usize = 1_000;

/// `GET /v1/nodes`
pub(super) async fn list(shared: Arc<Shared>, call: Call) -> Answered {
    let limit = call.limit(PAGE)?;
    let (after, service) = (call.text("after"), call.text("service"));
    let mut nodes = shared.parts.fleet.register().all();
    nodes.retain(|status| {
        after.is_none_or(|after| status.node.as_str() > after)
            && service.is_none_or(|service| status.service == service)
    });
    let is_last = nodes.len() <= limit;
    nodes.truncate(limit);
    let next = nodes
        .last()
        .filter(|_| !is_last)
        .map(|status| status.node.clone());
    let register = shared.parts.fleet.register();
    let summary = |status: &Arc<NodeStatus>| summary(status, register.reported(&status.node).as_deref());
    let nodes: Vec<Value> = nodes.iter().map(summary).collect();
    Ok(Json(json!({ "nodes": nodes, "next": next })).into_response())
}

fn summary(status: &NodeStatus, reported: Option<&NodeReported>) -> Value {
    let refused: usize = status.types.iter().map(|report| report.refused).sum();
    let lag = status.types.iter().filter_map(|report| report.lag_seconds);
    json!({
        "node": status.node,
        "service": status.service,
        "agent": status.agent,
        "agent_version": status.agent_version,
        "address": status.address,
        "connected": status.connected,
        "since_seconds": status.since_seconds,
        "revision": status.revision,
        "in_force": status.in_force,
        "progress": status.progress,
        "refused": refused,
        "lag_seconds": lag.fold(None, |most: Option<f64>, lag| Some(most.map_or(lag, |most| most.max(lag)))),
        "impaired": reported.map(|reported| reported.reported.observed().impaired()),
        "fault": status.fault,
        "remarks": status.receipt.as_ref().map_or(0, |receipt| receipt.count),
    })
}

/// `GET /v1/nodes/{node}`
pub(super) async fn one(shared: Arc<Shared>, call: Call) -> Answered {
    let node = call.parameter("node");
    let register = shared.parts.fleet.register();
    let status = register.find(node).ok_or_else(|| no_node(node))?;
    let mut body = serde_json::to_value(&*status).map_err(|error| Fault::internal(error.to_string()))?;
    body["health"] = register
        .reported(node)
        .map_or(Value::Null, |reported| health::of_node(&reported));
    Ok(Json(body).into_response())
}

/// `GET /v1/nodes/{node}/config`
pub(super) async fn config(shared: Arc<Shared>, call: Call) -> Answered {
    let text = outrigger_config::to_yaml(&viewed(&shared, &call)?.view.told.config);
    Ok(([(header::CONTENT_TYPE, YAML)], text).into_response())
}

/// What a node is told.
pub(super) struct Viewed {
    /// The service or gateway whose node it is.
    pub(super) service: String,
    /// The revision that it is to have.
    pub(super) revision: Arc<MeshRevision>,
    pub(super) view: Arc<NodeView>,
}

/// What the node of a call's path is told: one that is known, or declared, or of the `service` that the call says.
pub(super) fn viewed(shared: &Shared, call: &Call) -> Result<Viewed, Fault> {
    let node = call.parameter("node");
    let plan = shared.parts.fleet.plan();
    let known = shared.parts.fleet.register().find(node);
    let declared = || {
        let mut nodes = plan.stable.mesh().nodes();
        nodes
            .find(|(name, _)| *name == node)
            .map(|(_, service)| service.to_owned())
    };
    let (service, agent) = match (call.text("service"), known) {
        (Some(service), _) => (service.to_owned(), Agent::Outrigger),
        (None, Some(status)) => (status.service.clone(), agent(status.agent)),
        (None, None) => (declared().ok_or_else(|| no_node(node))?, Agent::Outrigger),
    };
    let revision = Arc::clone(plan.of(node, &service));
    let Some(role) = revision.role(&service, node, agent) else {
        let service = printable(&service);
        let error = format!(
            "revision {} has no service or gateway `{service}`",
            revision.number()
        );
        return Err(Fault::not_found(error, "`GET /v1/documents` lists what there is"));
    };
    let view = revision
        .view(&role)
        .map_err(|faults| Fault::internal(faults.to_string()))?;
    Ok(Viewed {
        service,
        revision,
        view,
    })
}

fn no_node(node: &str) -> Fault {
    let error = format!(
        "no node `{}` is connected, was so lately, or is declared",
        printable(node)
    );
    Fault::not_found(error, "`GET /v1/nodes` lists those that are known")
}
