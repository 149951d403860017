//! Fleets that are made up, in simulated time: a revision that a node refuses stays within its stage, and all go back.

use crate::rollout::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a node of a made-up fleet does with the revision.
#[derive(Debug, Clone)]
struct Node {
    service: &'static str,
    refuses: bool,
    /// Turns until it has answered.
    delay: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Has {
    Stable,
    Asked(u8),
    Revision,
    Refuses,
}

fn nodes() -> impl Strategy<Value = Vec<Node>> {
    let service = prop_oneof![Just("shop/web"), Just("shop/catalog")];
    let node = (service, prop::bool::weighted(0.05), 0u8..5).prop_map(|(service, refuses, delay)| Node {
        service,
        refuses,
        delay,
    });
    prop::collection::vec(node, 1..60)
}

fn stages() -> impl Strategy<Value = Vec<String>> {
    let share = (1u32..100, prop::option::of(Just("shop/web"))).prop_map(|(share, service)| match service {
        Some(service) => format!("{share}% of {service}"),
        None => format!("{share}%"),
    });
    prop::collection::vec(share, 0..4).prop_map(|mut stages| {
        stages.push("100%".to_owned());
        stages
    })
}

fn is_chosen(rollout: &Rollout, name: &str, node: &Node) -> bool {
    let chosen = rollout.chosen().unwrap_or_default();
    chosen
        .iter()
        .any(|selection| selection.has(rollout.revision, name, node.service))
}

fn look(rollout: &Rollout, nodes: &BTreeMap<String, (Node, Has)>) -> Observation {
    let mut seen = Observation {
        is_complete: true,
        ..Observation::default()
    };
    for (name, (node, has)) in nodes {
        if !is_chosen(rollout, name, node) {
            continue;
        }
        match has {
            Has::Revision => seen.settled.add(name),
            Has::Stable | Has::Asked(_) => seen.waiting.add(name),
            Has::Refuses => seen.refusals.push(NodeRefused {
                node: name.clone(),
                resource_type: "Cluster".into(),
                name: "c".into(),
                reason: "no".into(),
            }),
        }
    }
    seen
}

/// A turn of every node: it is told what the plan has for it, or answers.
fn live(rollout: &Rollout, nodes: &mut BTreeMap<String, (Node, Has)>) {
    for (name, (node, has)) in nodes {
        let of_plan = if rollout.state == State::Done {
            true
        } else {
            is_chosen(rollout, name, node)
        };
        *has = match (of_plan, *has) {
            (false, _) => Has::Stable,
            (true, Has::Stable) => Has::Asked(node.delay),
            (true, Has::Asked(0)) if node.refuses => Has::Refuses,
            (true, Has::Asked(0)) => Has::Revision,
            (true, Has::Asked(left)) => Has::Asked(left - 1),
            (true, has) => has,
        };
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_refused_revision_stays_in_its_stage_and_goes_back(
        fleet in nodes(), stages in stages(), revision in 2u64..1_000, told in prop::collection::vec(0usize..200, 0..4),
    ) {
        let mut nodes: BTreeMap<String, (Node, Has)> = BTreeMap::new();
        for (number, node) in fleet.into_iter().enumerate() {
            nodes.insert(format!("node-{number}"), (node, Has::Stable));
        }
        let texts = stages.iter().map(String::as_str);
        let terms = Terms::read(texts, Pause::For(Duration::from_secs(2)), SETTLE_TIMEOUT).unwrap();
        let mut rollout = Rollout::begin(revision, revision - 1, terms, Moment(0));
        let (mut reached, mut allowed) = (BTreeSet::new(), None::<BTreeSet<String>>);
        for second in 0..400u64 {
            let now = Moment(second * 1_000);
            live(&rollout, &mut nodes);
            reached.extend(nodes.iter().filter(|(_, (_, has))| *has != Has::Stable).map(|(name, _)| name.clone()));
            let seen = look(&rollout, &nodes);
            if !seen.refusals.is_empty() && allowed.is_none() {
                let within = nodes.iter().filter(|(name, (node, _))| is_chosen(&rollout, name, node));
                allowed = Some(within.map(|(name, _)| name.clone()).collect());
            }
            // The driver looks, and then a person may have said something: a refusal comes first.
            if let Some(step) = rollout.observe(&seen, &Settling, now) {
                rollout = step.next;
            } else if told.contains(&(second as usize)) && seen.refusals.is_empty()
                && let Ok(step) = rollout.obey(Command::Advance, "a", "b", now) {
                rollout = step.next;
            }
        }
        let chooses_a_refuser = nodes.values().any(|(node, _)| node.refuses);
        match allowed {
            Some(allowed) => {
                prop_assert_eq!(rollout.state, State::RolledBack);
                prop_assert!(reached.is_subset(&allowed), "{:?} are outside", reached.difference(&allowed));
                prop_assert!(nodes.values().all(|(_, has)| *has == Has::Stable));
                prop_assert_eq!(rollout.in_force(), revision - 1);
            }
            None if !chooses_a_refuser => {
                prop_assert_eq!(rollout.state, State::Done);
                prop_assert!(nodes.values().all(|(_, has)| *has == Has::Revision));
            }
            // Somebody told it to go on before who would refuse had answered, to the end.
            None => prop_assert!(!told.is_empty()),
        }
    }
}
