//! What another revision changes for nodes: their views, resource by resource.

use crate::fleet::{Agent, MeshRevision, NodeStatus, NodeView};
use outrigger_config::NodeRole;
use outrigger_xds::resource::ResourceType;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Roles that are told of at most.
const ROLES_MAX: usize = 1_000;
/// Resources of a role that are named at most; all are counted.
const RESOURCES_MAX: usize = 200;
/// Nodes of a role that are named at most.
const NODES_MAX: usize = 1_000;

/// What a node is before and after; none: it has no view.
type Roles = (Option<NodeRole>, Option<NodeRole>);

/// For every role of either mesh, connected or not, what changes; those without a change are left out. Costs what all
/// views of both meshes cost.
pub(super) fn effects(
    before: Option<&MeshRevision>,
    after: &MeshRevision,
    nodes: &[Arc<NodeStatus>],
) -> Vec<Value> {
    let mut roles: BTreeMap<Roles, Vec<&str>> = BTreeMap::new();
    let known = |revision: &MeshRevision| revision.mesh().roles().collect::<HashSet<_>>();
    let (known_before, known_after) = (before.map(known).unwrap_or_default(), known(after));
    for role in before.iter().flat_map(|before| before.mesh().roles()) {
        let is_left = known_after.contains(&role);
        roles
            .entry((Some(role.clone()), is_left.then_some(role)))
            .or_default();
    }
    for role in after.mesh().roles() {
        if !known_before.contains(&role) {
            roles.entry((None, Some(role))).or_default();
        }
    }
    for status in nodes.iter().filter(|status| status.connected) {
        let agent = agent(status.agent);
        let role = |revision: &MeshRevision| revision.role(&status.service, &status.node, agent);
        let own = (before.and_then(role), role(after));
        if own != (None, None) {
            roles.entry(own).or_default().push(&status.node);
        }
    }
    let effects = roles
        .iter()
        .filter_map(|(roles, nodes)| effect(before, after, roles, nodes));
    effects.take(ROLES_MAX).collect()
}

/// What a node runs, by how the register calls it.
pub(super) fn agent(word: &str) -> Agent {
    match word {
        "grpc" => Agent::Grpc,
        word => Agent::of(word),
    }
}

fn effect(
    before: Option<&MeshRevision>,
    after: &MeshRevision,
    roles: &Roles,
    nodes: &[&str],
) -> Option<Value> {
    let view =
        |revision: Option<&MeshRevision>, role: &Option<NodeRole>| revision?.view_once(role.as_ref()?).ok();
    let (old, new) = (view(before, &roles.0), view(Some(after), &roles.1));
    let changes = compare(old.as_deref(), new.as_deref());
    let role = roles.1.as_ref().or(roles.0.as_ref())?;
    if changes.is_empty() {
        return None;
    }
    let count = |word: &str| changes.iter().filter(|(_, _, change)| *change == word).count();
    let resource = |(resource_type, name, change): &Effect| json!({ "type": resource_type.name(), "name": &**name, "change": change });
    Some(json!({
        "role": words(role),
        "connected": nodes.iter().take(NODES_MAX).collect::<Vec<_>>(),
        "added": count("added"),
        "changed": count("changed"),
        "removed": count("removed"),
        "resources": changes.iter().take(RESOURCES_MAX).map(resource).collect::<Vec<_>>(),
    }))
}

/// A resource, and what becomes of it.
type Effect = (ResourceType, Arc<str>, &'static str);

fn compare(old: Option<&NodeView>, new: Option<&NodeView>) -> Vec<Effect> {
    let mut changes: Vec<Effect> = Vec::new();
    for resource_type in ResourceType::ALL {
        let mut found: Vec<Effect> = Vec::new();
        for resource in new.iter().flat_map(|new| new.view.of(resource_type).iter()) {
            let name = Arc::clone(resource.name());
            match old.and_then(|old| old.view.of(resource_type).find(&name)) {
                None => found.push((resource_type, name, "added")),
                Some(old) if old.version() != resource.version() => {
                    found.push((resource_type, name, "changed"))
                }
                Some(_) => {}
            }
        }
        for resource in old.iter().flat_map(|old| old.view.of(resource_type).iter()) {
            if new.is_none_or(|new| new.view.of(resource_type).find(resource.name()).is_none()) {
                found.push((resource_type, Arc::clone(resource.name()), "removed"));
            }
        }
        found.sort_by(|one, other| one.1.cmp(&other.1));
        changes.extend(found);
    }
    changes
}

/// A role, as people read it.
fn words(role: &NodeRole) -> String {
    match role {
        NodeRole::Sidecar { service, node: None } => format!("sidecar {service}"),
        NodeRole::Sidecar {
            service,
            node: Some(node),
        } => format!("sidecar {service}, node {node}"),
        NodeRole::Gateway { name } => format!("gateway {name}"),
        NodeRole::Client { service } => format!("client {service}"),
    }
}
