//! Whatever is lost, late, refused or expired: in the end the client has the view, and of what it refused the last good
//! version.

use std::time::Duration;

use proptest::prelude::*;

use super::super::server::Progress;
use super::super::view::Change;
use super::super::{Scope, Variant, Versions};
use super::world::{BAD, World};
use super::{cluster_of, content, resource};
use crate::resource::{Resource, ResourceType};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn some_change(world: &mut World) -> Change {
    let resource_type = ResourceType::ALL[world.rng.usize(..ResourceType::ALL.len())];
    let name = NAMES[world.rng.usize(..NAMES.len())];
    match world.rng.u8(..10) {
        0..3 => Change::Remove(resource_type, name.into()),
        kind => {
            // Few contents, so that they come back.
            let number = world.rng.u8(..3);
            let written = if kind < 5 {
                format!("{BAD}-{number}")
            } else {
                number.to_string()
            };
            let put = match resource_type {
                ResourceType::Cluster => cluster_of(name, "", &written),
                _ => resource(resource_type, name, &written),
            };
            let ttl = (kind == 9).then(|| Duration::from_secs(world.rng.u64(3..30)));
            Change::Put(put.with_ttl(ttl))
        }
    }
}

fn some_step(world: &mut World) {
    let end = world.rng.usize(..world.ends.len());
    match world.rng.u8(..100) {
        0..12 => {
            let changes: Vec<Change> = (0..world.rng.u8(1..5)).map(|_| some_change(world)).collect();
            world.change(changes);
        }
        12..15 => world.disconnect(end),
        15..20 => {
            let versions = if world.rng.bool() {
                Versions::Known
            } else {
                Versions::Unknown
            };
            world.connect(end, versions);
        }
        20..25 => {
            // In the state of the world a message that is under way for longer than 15 seconds may be lost sight of.
            let longest = if world.variant == Variant::Delta {
                8_000
            } else {
                800
            };
            let time = Duration::from_millis(world.rng.u64(..longest));
            world.pass(time);
        }
        25..30 => {
            let resource_type = [ResourceType::Secret, ResourceType::Runtime][world.rng.usize(..2)];
            let name = NAMES[world.rng.usize(..NAMES.len())];
            if world.rng.u8(..3) == 0 {
                world.unwant(resource_type, name)
            } else {
                world.want(resource_type, name)
            }
        }
        30..40 => {
            let resource_type = ResourceType::ALL[world.rng.usize(..ResourceType::ALL.len())];
            world.decide(resource_type);
        }
        _ => {
            let step = world.rng.u8(..4);
            world.carry(end, step);
        }
    }
}

/// The types whose refused versions may refer to a resource of this type.
fn users(resource_type: ResourceType) -> &'static [ResourceType] {
    use ResourceType::{Cluster, ClusterLoadAssignment, Listener, RouteConfiguration, Secret};
    match resource_type {
        Cluster => &[Listener, RouteConfiguration],
        ClusterLoadAssignment => &[Listener, RouteConfiguration, Cluster],
        RouteConfiguration => &[Listener],
        Secret => &[Cluster, Listener, RouteConfiguration],
        _ => &[],
    }
}

fn refused(world: &World, resource_type: ResourceType) -> usize {
    let states = world
        .ends
        .iter()
        .map(|end| end.client.type_state(resource_type, world.now).refused);
    states.sum()
}

fn check(world: &World) {
    world.check_books();
    for resource_type in ResourceType::ALL {
        let is_aggregated = world.ends.len() == 1;
        let is_held_back = is_aggregated && users(resource_type).iter().any(|user| refused(world, *user) > 0);
        let is_silent = world.variant == Variant::StateOfTheWorld && !resource_type.is_full_state();
        for name in NAMES {
            let held = world.held.get(&(resource_type, name.to_owned()));
            let current = world.view.of(resource_type).find(name);
            match current.filter(|_| world.is_wanted(resource_type, name)) {
                Some(current) if content(current).starts_with(BAD) => check_refused(world, current, held),
                Some(current) => assert_eq!(held, Some(&content(current)), "{current:?}"),
                None if is_held_back || is_silent => {}
                None => assert_eq!(held, None, "{resource_type} {name} is no more"),
            }
        }
    }
    for end in &world.ends {
        let types = || {
            ResourceType::ALL
                .into_iter()
                .filter(|resource_type| end.scope.covers(*resource_type))
        };
        let states: Vec<_> = types()
            .map(|resource_type| end.client.type_state(resource_type, world.now))
            .collect();
        if states.iter().all(|state| !state.is_wildcard && state.named == 0) {
            continue;
        }
        let is_refusing = types().any(|resource_type| {
            let wanted = world
                .view
                .of(resource_type)
                .iter()
                .filter(|put| world.is_wanted(resource_type, put.name()));
            wanted.map(content).any(|written| written.starts_with(BAD))
        });
        let progress = end.link.as_ref().expect("connected").server.progress();
        // In the state of the world a client may have acknowledged what came while it did not want it.
        let may_not_know = world.variant == Variant::StateOfTheWorld && progress == Progress::Settled;
        let expected = if is_refusing && !may_not_know {
            Progress::Refused
        } else {
            Progress::Settled
        };
        assert_eq!(progress, expected);
        assert!(states.iter().all(|state| state.unsettled == 0));
    }
}

fn check_refused(world: &World, current: &Resource, held: Option<&String>) {
    let resource_type = current.resource_type();
    assert!(!held.is_some_and(|held| held.starts_with(BAD)));
    let state = world
        .ends
        .iter()
        .find_map(|end| end.client.state(resource_type, current.name(), world.now));
    let state = state.expect("what is wanted has a state");
    assert!(state.refused.is_some(), "{current:?} is refused");
    assert_eq!(state.version.is_some(), held.is_some());
}

fn run(variant: Variant, scopes: &[Scope], seed: u64, steps: usize) {
    let mut world = World::new(variant, scopes, seed);
    for step in 0..steps {
        some_step(&mut world);
        if step % 16 == 0 {
            world.check_books();
        }
    }
    world.come_to_rest();
    check(&world);
    // And it stays so, and converges again from there.
    let changes: Vec<Change> = (0..6).map(|_| some_change(&mut world)).collect();
    world.change(changes);
    world.come_to_rest();
    check(&world);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn an_aggregated_stream_of_delta_converges(seed: u64, steps in 0..600_usize) {
        run(Variant::Delta, &[Scope::Aggregated], seed, steps);
    }

    #[test]
    fn an_aggregated_stream_of_the_state_of_the_world_converges(seed: u64, steps in 0..600_usize) {
        run(Variant::StateOfTheWorld, &[Scope::Aggregated], seed, steps);
    }

    #[test]
    fn separate_streams_of_delta_converge(seed: u64, steps in 0..600_usize) {
        run(Variant::Delta, &ResourceType::ALL.map(Scope::Only), seed, steps);
    }

    #[test]
    fn separate_streams_of_the_state_of_the_world_converge(seed: u64, steps in 0..600_usize) {
        run(Variant::StateOfTheWorld, &ResourceType::ALL.map(Scope::Only), seed, steps);
    }
}
