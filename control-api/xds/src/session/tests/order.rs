//! Make before break, seen from the client: whatever it has taken refers only to what it has.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::super::view::Change;
use super::super::{Scope, Variant, Versions};
use super::world::{BAD, World};
use super::{cluster_of, content, resource};
use crate::resource::ResourceType;

use ResourceType::{Cluster, ClusterLoadAssignment, Listener, RouteConfiguration};

const ROUTES: [&str; 3] = ["r", "s", "t"];
const CLUSTERS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Points a route at another cluster, and leaves in the view just the clusters that routes point at.
fn turn_a_route(world: &mut World) {
    let name = ROUTES[world.rng.usize(..ROUTES.len())];
    let target = CLUSTERS[world.rng.usize(..CLUSTERS.len())];
    let salt = world.rng.u8(..3);
    let bad = if world.rng.u8(..4) == 0 { BAD } else { "" };
    let route = resource(RouteConfiguration, name, &format!("{bad}:{target}:{salt}"));
    let view = world.view.next(0, [Change::Put(route.clone())]);
    let used: BTreeSet<String> = view
        .of(RouteConfiguration)
        .iter()
        .map(|route| target_of(&content(route)))
        .collect();
    let mut changes = vec![
        Change::Put(route),
        Change::Put(resource(Listener, name, &salt.to_string())),
    ];
    for cluster in CLUSTERS {
        if used.contains(cluster) {
            // Those that stay change too, now and then.
            if world.rng.u8(..3) == 0 || view.of(Cluster).find(cluster).is_none() {
                changes.push(Change::Put(cluster_of(cluster, "", &salt.to_string())));
                changes.push(Change::Put(resource(
                    ClusterLoadAssignment,
                    cluster,
                    &salt.to_string(),
                )));
            }
        } else {
            changes.push(Change::Remove(Cluster, cluster.into()));
            changes.push(Change::Remove(ClusterLoadAssignment, cluster.into()));
        }
    }
    world.change(changes);
}

fn target_of(route: &str) -> String {
    route.split(':').nth(1).expect("a route of this test").to_owned()
}

fn check(world: &World) {
    for ((resource_type, name), route) in &world.held {
        if *resource_type == RouteConfiguration {
            let target = target_of(route);
            for needed in [Cluster, ClusterLoadAssignment] {
                let key = (needed, target.clone());
                assert!(
                    world.held.contains_key(&key),
                    "route {name} is {route}, and there is no {needed} {target}"
                );
            }
        }
    }
}

fn run(variant: Variant, seed: u64, steps: usize, loses_streams: bool) {
    let mut world = World::new(variant, &[Scope::Aggregated], seed);
    world.connect(0, Versions::Known);
    for _ in 0..steps {
        match world.rng.u8(..100) {
            0..10 => turn_a_route(&mut world),
            10..12 if loses_streams => world.disconnect(0),
            12..20 => world.connect(0, Versions::Known),
            20..25 => world.pass(Duration::from_millis(1)),
            25..45 => {
                let resource_type = ResourceType::ALL[world.rng.usize(..ResourceType::ALL.len())];
                world.decide(resource_type);
            }
            _ => {
                let step = world.rng.u8(..4);
                // In the state of the world a list waits for the decision about the last response of its type; decided
                // at once, it is told before anything that hangs on it is acknowledged.
                if world.carry(0, step) && step == 3 && variant == Variant::StateOfTheWorld {
                    while ResourceType::ALL
                        .map(|resource_type| world.decide(resource_type))
                        .contains(&true)
                    {}
                }
            }
        }
        check(&world);
    }
    world.come_to_rest();
    check(&world);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn delta_makes_before_it_breaks(seed: u64, steps in 0..800_usize) {
        run(Variant::Delta, seed, steps, true);
    }

    /// A new stream of the state of the world cannot know what the client has beyond the view.
    #[test]
    fn the_state_of_the_world_makes_before_it_breaks(seed: u64, steps in 0..800_usize) {
        run(Variant::StateOfTheWorld, seed, steps, false);
    }
}
