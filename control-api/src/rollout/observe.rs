//! How the nodes of this replica stand towards a revision that is being released.

use super::verdict::NAMES_MAX;
use super::{NodeRefused, Observation};
use crate::fleet::{Agent, Fleet, MeshRevision, NodeRefusal, NodeStatus, Plan, Release};
use outrigger_xds::resource::ResourceType;

/// Looks at all that are connected and chosen by the plan. It is complete as far as this replica's own nodes go, if the
/// plan releases this revision.
pub(super) fn observe(fleet: &Fleet, revision: u64) -> Observation {
    let plan = fleet.plan();
    let mut seen = Observation::default();
    let Some(release) = plan
        .release
        .as_ref()
        .filter(|release| release.revision.number() == revision)
    else {
        return seen;
    };
    seen.is_complete = true;
    for status in fleet.register().all() {
        if !status.connected || !release.has(&status.node, &status.service) {
            continue;
        }
        match stands(&plan, release, &status) {
            Stands::Settled => seen.settled.add(&status.node),
            Stands::Waiting => seen.waiting.add(&status.node),
            Stands::Refused(refusal) => {
                if seen.refusals.len() < NAMES_MAX {
                    seen.refusals.push(refusal);
                }
            }
        }
    }
    seen
}

enum Stands {
    Settled,
    Waiting,
    Refused(NodeRefused),
}

fn stands(plan: &Plan, release: &Release, status: &NodeStatus) -> Stands {
    if status.revision != release.revision.number() || status.fault.is_some() {
        return Stands::Waiting;
    }
    let mut kept_by_stable = 0;
    for refusal in &status.refusals {
        match blame(plan, release, status, refusal) {
            Blame::Revision => {
                return Stands::Refused(NodeRefused {
                    node: status.node.clone(),
                    resource_type: refusal.resource_type.to_owned(),
                    name: refusal.name.clone(),
                    reason: refusal.reason.clone(),
                });
            }
            Blame::Stable => kept_by_stable += 1,
            Blame::Other => {}
        }
    }
    match status.progress {
        "settled" => Stands::Settled,
        // What it refuses, it refused before: going back would not mend it.
        "refused" if kept_by_stable == status.refusals.len() => Stands::Settled,
        _ => Stands::Waiting,
    }
}

/// What a refusal speaks against.
enum Blame {
    /// The revision: the refused resource is as the revision has it, and new or different there.
    Revision,
    /// The stable revision has the same resource.
    Stable,
    /// Neither has it: it is of a revision before, until the node has answered; or it is no part of the mesh.
    Other,
}

fn blame(plan: &Plan, release: &Release, status: &NodeStatus, refusal: &NodeRefusal) -> Blame {
    let has = |revision: &MeshRevision| {
        let agent = Agent::of_word(status.agent);
        let role = revision.role(&status.service, &status.node, agent)?;
        let view = revision.view(&role).ok()?;
        let types = ResourceType::ALL.into_iter();
        let mut named = types.filter(|resource_type| resource_type.name() == refusal.resource_type);
        let resource = view.view.of(named.next()?).find(&refusal.name)?;
        Some(**resource.version() == *refusal.version)
    };
    match (has(&plan.stable), has(&release.revision)) {
        (Some(true), _) => Blame::Stable,
        (_, Some(true)) => Blame::Revision,
        _ => Blame::Other,
    }
}
