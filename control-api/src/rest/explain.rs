//! What a node makes of a request, by the configuration that it is told, and where in the fleet that is in force.

use super::call::Call;
use super::fault::Fault;
use super::nodes::{Viewed, viewed};
use super::{Answered, Shared};
use crate::fleet::{NodeStatus, Plan};
use axum::Json;
use axum::response::IntoResponse;
use outrigger_explain::{ExplainError, Explanation, Peer, PeerDescription, Request, explain};
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;

/// Nodes that are told of at most; all are counted.
const NODES_MAX: usize = 1_000;

/// What is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    request: String,
    #[serde(default)]
    headers: Vec<String>,
    peer_id: Option<String>,
    #[serde(default)]
    peer_names: Vec<String>,
    remote_address: Option<IpAddr>,
    #[serde(default)]
    claims: Vec<String>,
    listener: Option<String>,
}

/// `POST /v1/nodes/{node}/explain`
pub(super) async fn show(shared: Arc<Shared>, call: Call) -> Answered {
    let node = call.parameter("node").to_owned();
    let question: Question = call.body_json()?;
    let wrong = |error: ExplainError| Fault::bad_request(error.to_string(), EXPECTED);
    let request = Request::parse(&question.request, &question.headers).map_err(wrong)?;
    let peer = Peer::parse(&PeerDescription {
        id: question.peer_id,
        names: question.peer_names,
        address: question.remote_address,
        claims: question.claims,
    });
    let peer = peer.map_err(wrong)?;
    let Viewed {
        service,
        revision,
        view,
    } = viewed(&shared, &call)?;
    let listener = question.listener;
    let explaining =
        shared.aside(move || explain(&view.told.config, &request, &peer, listener.as_deref()).map_err(wrong));
    let Explanation { text, is_taken } = explaining.await??;
    let fleet = &shared.parts.fleet;
    let told = Told::of(
        &fleet.plan(),
        &fleet.register().all(),
        revision.number(),
        &service,
    );
    let status = fleet.register().find(&node);
    let body = json!({
        "node": node,
        "service": service,
        "revision": revision.number(),
        "in_force": status.and_then(|status| status.in_force),
        "taken": is_taken,
        "lines": text.lines().collect::<Vec<_>>(),
        "fleet": told.counts,
        "nodes": told.nodes,
    });
    Ok(Json(body).into_response())
}

/// What the question's fields must be.
const EXPECTED: &str = "a `request` as in `GET https://host/path`, `headers` as in `name: value`, `claims` as in \
                        `path=value`, a SPIFFE id as `peer_id`, and `listener` where the port does not tell it";

/// Where a revision is in force.
struct Told {
    counts: Value,
    nodes: Vec<Value>,
}

impl Told {
    /// Of those that are connected: all are counted, those of `service` are named.
    fn of(plan: &Plan, nodes: &[Arc<NodeStatus>], revision: u64, service: &str) -> Told {
        let connected = || nodes.iter().filter(|status| status.connected);
        let has = |status: &&Arc<NodeStatus>| status.in_force == Some(revision);
        let is_to_have =
            |status: &&Arc<NodeStatus>| plan.of(&status.node, &status.service).number() == revision;
        let named = connected().filter(|status| status.service == service);
        let node = |status: &Arc<NodeStatus>| {
            json!({
                "node": status.node,
                "has_it": has(&status),
                "in_force": status.in_force,
                "why": why_not(status, revision, is_to_have(&status)),
            })
        };
        Told {
            counts: json!({
                "connected": connected().count(),
                "to_have_it": connected().filter(is_to_have).count(),
                "have_it": connected().filter(has).count(),
            }),
            nodes: named.take(NODES_MAX).map(node).collect(),
        }
    }
}

/// Why a node does not have a revision in force; none: it has.
fn why_not(status: &NodeStatus, revision: u64, is_to_have: bool) -> Option<String> {
    if status.in_force == Some(revision) {
        return None;
    }
    if !is_to_have {
        return Some(format!("it is to have revision {}", status.revision));
    }
    if let Some(fault) = &status.fault {
        return Some(fault.clone());
    }
    let Some(refusal) = status.refusals.first() else {
        return Some("it has not answered for all of it yet".to_owned());
    };
    Some(format!(
        "it refuses {} {}: {}",
        refusal.resource_type, refusal.name, refusal.reason
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{MeshRevision, NodeRefusal};

    fn status(node: &str, service: &str, in_force: Option<u64>) -> NodeStatus {
        NodeStatus {
            node: node.to_owned(),
            service: service.to_owned(),
            agent: "outrigger",
            agent_version: "1".to_owned(),
            address: None,
            connected: true,
            since_seconds: 0.0,
            revision: 0,
            in_force,
            progress: "underway",
            types: Vec::new(),
            refusals: Vec::new(),
            fault: None,
            authorities: Arc::default(),
            receipt: None,
        }
    }

    #[test]
    fn who_has_a_revision_is_told_and_why_others_have_it_not() {
        let refused = NodeStatus {
            refusals: vec![NodeRefusal {
                resource_type: "listeners",
                name: "outbound".to_owned(),
                version: "v".to_owned(),
                effective: None,
                reason: "no such filter".to_owned(),
                age_seconds: 1.0,
            }],
            ..status("c", "shop/web", None)
        };
        let gone = NodeStatus {
            connected: false,
            ..status("d", "shop/web", Some(0))
        };
        let nodes = [
            status("a", "shop/web", Some(0)),
            status("b", "shop/web", None),
            refused,
            gone,
            status("e", "shop/catalog", Some(0)),
        ];
        let nodes = nodes.map(Arc::new);
        // The plan has the empty mesh, 0, for everybody.
        let plan = Plan {
            stable: Arc::new(MeshRevision::default()),
            ..Plan::default()
        };
        let told = Told::of(&plan, &nodes, 0, "shop/web");
        assert_eq!(
            told.counts,
            json!({ "connected": 4, "to_have_it": 4, "have_it": 2 })
        );
        let nodes_told: Vec<(&str, bool, &str)> = told
            .nodes
            .iter()
            .map(|node| {
                let text = |name: &str| node[name].as_str().unwrap_or_default();
                (text("node"), node["has_it"] == json!(true), text("why"))
            })
            .collect();
        assert_eq!(
            nodes_told,
            [
                ("a", true, ""),
                ("b", false, "it has not answered for all of it yet"),
                ("c", false, "it refuses listeners outbound: no such filter"),
            ]
        );
        let other = Told::of(&plan, &nodes, 7, "shop/web");
        assert_eq!(
            other.counts,
            json!({ "connected": 4, "to_have_it": 0, "have_it": 0 })
        );
        assert_eq!(other.nodes[1]["why"], "it is to have revision 0");
    }
}
