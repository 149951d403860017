//! How endpoints stand, as nodes report it.

use super::call::Call;
use super::fault::Fault;
use super::{Answered, Shared};
use crate::access::printable;
use crate::fleet::{NodeReported, NodeStatus};
use axum::Json;
use axum::response::IntoResponse;
use outrigger_xds::node_report::{ClusterReport, EndpointReport, EndpointStanding};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Endpoints of an answer at most.
const ENDPOINTS_MAX: usize = 1_000;
/// Nodes that are named for an endpoint at most; all are counted.
const NODES_MAX: usize = 20;

/// `GET /v1/health`
pub(super) async fn show(shared: Arc<Shared>, call: Call) -> Answered {
    let plan = shared.parts.fleet.plan();
    let mut services: HashMap<String, String> = HashMap::new();
    let released = plan.release.iter().map(|release| &release.revision);
    for revision in released.chain([&plan.stable]) {
        services.extend(revision.mesh().clusters());
    }
    let asked = call.text("service");
    if let Some(asked) = asked
        && !services.values().any(|service| service == asked)
    {
        let error = format!("the mesh has no service `{}`", printable(asked));
        return Err(Fault::not_found(error, "`GET /v1/documents` lists what there is"));
    }
    let reported = shared.parts.fleet.register().all_reported();
    Ok(Json(health(&reported, &services, asked)).into_response())
}

/// What nodes see of an endpoint.
#[derive(Default)]
struct Seen<'r> {
    standings: BTreeMap<EndpointStanding, usize>,
    ejected: usize,
    failed_check: usize,
    nodes: Vec<&'r str>,
}

fn health(
    reported: &[(Arc<NodeStatus>, Option<Arc<NodeReported>>)],
    services: &HashMap<String, String>,
    asked: Option<&str>,
) -> Value {
    let connected = reported.iter().filter(|(status, _)| status.connected);
    let reporting: Vec<(&NodeStatus, &NodeReported)> = connected
        .clone()
        .filter_map(|(status, reported)| Some((&**status, &**reported.as_ref()?)))
        .collect();
    let mut seen: BTreeMap<(&str, &str), Seen<'_>> = BTreeMap::new();
    for (status, reported) in &reporting {
        for cluster in reported.reported.observed().clusters() {
            let service = services.get(&cluster.name).map(String::as_str);
            if asked.is_some() && service != asked {
                continue;
            }
            for endpoint in &cluster.named {
                let seen = seen.entry((&cluster.name, &endpoint.address)).or_default();
                *seen.standings.entry(endpoint.standing()).or_default() += 1;
                seen.ejected += usize::from(endpoint.ejected);
                seen.failed_check += usize::from(endpoint.failed_check);
                seen.nodes.push(&status.node);
            }
        }
    }
    let endpoint = |((cluster, address), seen): (&(&str, &str), &Seen<'_>)| {
        let count = |standing| seen.standings.get(&standing).copied().unwrap_or(0);
        json!({
            "cluster": cluster,
            "service": services.get(*cluster),
            "address": address,
            "degraded": count(EndpointStanding::Degraded),
            "unhealthy": count(EndpointStanding::Unhealthy),
            "unchecked": count(EndpointStanding::Unchecked),
            "draining": count(EndpointStanding::Draining),
            "ejected": seen.ejected,
            "failed_check": seen.failed_check,
            "nodes": seen.nodes.iter().take(NODES_MAX).collect::<Vec<_>>(),
        })
    };
    let endpoints: Vec<Value> = seen.iter().take(ENDPOINTS_MAX).map(endpoint).collect();
    json!({
        "connected": connected.count(),
        "reporting": reporting.len(),
        "omitted": seen.len() - endpoints.len(),
        "endpoints": endpoints,
    })
}

/// What one node sees.
pub(super) fn of_node(reported: &NodeReported) -> Value {
    let observed = reported.reported.observed();
    let endpoint = |endpoint: &EndpointReport| {
        json!({
            "address": endpoint.address,
            "standing": endpoint.standing().word(),
            "ejected": endpoint.ejected,
            "failed_check": endpoint.failed_check,
        })
    };
    let cluster = |cluster: &ClusterReport| {
        json!({
            "cluster": cluster.name,
            "endpoints": cluster.endpoints,
            "impaired": cluster.impaired,
            "named": cluster.named.iter().map(endpoint).collect::<Vec<_>>(),
        })
    };
    json!({
        "reported_seconds": reported.at_seconds,
        "endpoints": observed.endpoints(),
        "impaired": observed.impaired(),
        "clusters": observed.clusters().map(cluster).collect::<Vec<_>>(),
    })
}
