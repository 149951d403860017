mod keys;
mod layers;

use super::rotation::Rotation;
use super::weights::{Weights, mix};
use super::*;
use outrigger_config::model::{BalancingOptions, LoadBalancing};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

/// A plan of defaults.
fn plan(policy: LoadBalancing, options: &BalancingOptions) -> Plan<'_> {
    Plan {
        policy,
        options,
        locality_weights: &[],
        zones: None,
        subsets: &[],
        now: Duration::ZERO,
        epoch: Instant::now(),
    }
}

/// A healthy member, like every other.
fn member<'a>(key: &'a str, weight: u32, load: &'a Arc<EndpointLoad>) -> Member<'a> {
    Member {
        key,
        weight,
        priority: 0,
        locality: None,
        metadata: None,
        standing: Standing::Healthy,
        keeps: true,
        since: Duration::ZERO,
        load,
    }
}

fn build(
    policy: LoadBalancing,
    endpoints: &[(u32, Arc<EndpointLoad>)],
    previous: Option<&Balancer>,
) -> Balancer {
    let keys: Vec<String> = (0..endpoints.len())
        .map(|place| format!("10.0.0.{place}:80"))
        .collect();
    let members: Vec<Member<'_>> = endpoints
        .iter()
        .zip(&keys)
        .map(|((weight, load), key)| member(key, *weight, load))
        .collect();
    Balancer::new(&plan(policy, &BalancingOptions::default()), &members, previous)
}

fn context(random: u64, avoid: &[usize]) -> PickContext<'_> {
    PickContext {
        random,
        hash: None,
        avoid,
        subset: None,
        requests_active: 1,
        now: Instant::now(),
    }
}

trait PickBy {
    fn pick_by(&self, random: u64, avoid: &[usize]) -> Option<usize>;
}

impl PickBy for Balancer {
    fn pick_by(&self, random: u64, avoid: &[usize]) -> Option<usize> {
        self.pick(&context(random, avoid)).endpoint
    }
}

fn endpoints(weights: &[u32]) -> Vec<(u32, Arc<EndpointLoad>)> {
    weights
        .iter()
        .map(|&weight| (weight, Arc::new(EndpointLoad::new())))
        .collect()
}

fn balancer(policy: LoadBalancing, weights: &[u32]) -> Balancer {
    build(policy, &endpoints(weights), None)
}

fn counts(picks: impl Iterator<Item = usize>, endpoints: usize) -> Vec<u64> {
    let mut counts = vec![0; endpoints];
    picks.for_each(|pick| counts[pick] += 1);
    counts
}

const POLICIES: [LoadBalancing; 4] = [
    LoadBalancing::RoundRobin,
    LoadBalancing::Random,
    LoadBalancing::LeastRequest { choices: 2 },
    LoadBalancing::PeakEwma {
        decay: Duration::from_secs(10),
        default_rtt: Duration::from_millis(30),
    },
];

/// Picks with numbers that cover all 64 bits evenly, in an order without pattern.
fn picks(balancer: &Balancer, count: u64) -> Vec<usize> {
    let step = u64::MAX / count;
    (0..count)
        .map(|turn| {
            balancer
                .pick_by((turn * 0x9e37_79b9 % count) * step + step / 2, &[])
                .expect("endpoints")
        })
        .collect()
}

#[test]
fn no_endpoints_no_pick() {
    for policy in [
        LoadBalancing::RoundRobin,
        LoadBalancing::Random,
        LoadBalancing::LeastRequest { choices: 2 },
    ] {
        assert_eq!(balancer(policy, &[]).pick_by(7, &[]), None);
        assert_eq!(balancer(policy, &[]).pick_by(7, &[0]), None);
        assert_eq!(balancer(policy, &[5]).pick_by(u64::MAX, &[]), Some(0));
    }
}

#[test]
fn equal_weights_go_round_in_order() {
    let balancer = balancer(LoadBalancing::RoundRobin, &[7, 7, 7]);
    assert_eq!(picks(&balancer, 7), [0, 1, 2, 0, 1, 2, 0]);
}

#[test]
fn small_weights_interleave_smoothly() {
    assert_eq!(
        picks(&balancer(LoadBalancing::RoundRobin, &[5, 1, 1]), 7),
        [0, 0, 1, 0, 2, 0, 0]
    );
    assert_eq!(
        picks(&balancer(LoadBalancing::RoundRobin, &[300, 100]), 8),
        [0, 0, 1, 0, 0, 0, 1, 0]
    );
    // One heavy endpoint among many light ones is every other pick, never a run.
    let mut weights = vec![1; 101];
    weights[0] = 100;
    let picks = picks(&balancer(LoadBalancing::RoundRobin, &weights), 200);
    assert!(
        picks
            .windows(3)
            .all(|window| window.contains(&0) && window.iter().any(|&pick| pick != 0))
    );
}

#[test]
fn any_run_as_long_as_the_sum_of_weights_is_shared_exactly() {
    for weights in [
        vec![5, 1, 1],
        vec![1, 2, 3, 4, 5, 6, 7],
        vec![4093, 5000, 1],
        vec![1; 9],
        vec![6, 4, 2],
    ] {
        let balancer = balancer(LoadBalancing::RoundRobin, &weights);
        let divisor = if weights == [6, 4, 2] { 2 } else { 1 };
        let sum = u64::from(weights.iter().sum::<u32>()) / divisor;
        // Start anywhere: runs need not begin with the period.
        picks(&balancer, sum / 3 + 1);
        for _ in 0..3 {
            let shares = counts(picks(&balancer, sum).into_iter(), weights.len());
            let wanted: Vec<u64> = weights
                .iter()
                .map(|&weight| u64::from(weight) / divisor)
                .collect();
            assert_eq!(shares, wanted);
        }
    }
}

#[test]
fn large_weights_are_shared_within_four_picks_at_any_moment() {
    for weights in [
        [1_000_000, 300_000, 700_001],
        [100_003, 1, 50_000],
        [4_000, 97, 5],
    ] {
        let sum: u32 = weights.iter().sum();
        let balancer = balancer(LoadBalancing::RoundRobin, &weights);
        let (mut seen, mut furthest) = ([0.0; 3], 0.0f64);
        for taken in 1..=sum {
            seen[balancer.pick_by(0, &[]).expect("endpoints")] += 1.0;
            for (seen, weight) in seen.iter().zip(weights) {
                let due = f64::from(taken) * f64::from(weight) / f64::from(sum);
                furthest = furthest.max((seen - due).abs());
            }
        }
        assert!(furthest < 4.0, "{furthest} off with {weights:?}");
    }
}

#[test]
fn the_largest_weights_do_not_overflow() {
    let weights = [u32::MAX, u32::MAX - 1, 1];
    for policy in [
        LoadBalancing::RoundRobin,
        LoadBalancing::Random,
        LoadBalancing::LeastRequest { choices: 2 },
    ] {
        let shares = counts(picks(&balancer(policy, &weights), 10_000).into_iter(), 3);
        assert!(
            shares[0] > 4_900 && shares[1] > 4_900 && shares[2] < 3,
            "{policy:?}: {shares:?}"
        );
    }
}

#[test]
fn workers_together_share_one_rotation() {
    let balancer = balancer(LoadBalancing::RoundRobin, &[3, 1, 2]);
    let picked: Vec<usize> = std::thread::scope(|scope| {
        let worker = || {
            (0..600)
                .map(|_| balancer.pick_by(0, &[]).expect("endpoints"))
                .collect::<Vec<_>>()
        };
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("no panic"))
            .collect()
    });
    assert_eq!(counts(picked.into_iter(), 3), [1200, 400, 800]);
}

#[test]
fn a_reload_goes_on_in_the_rotation() {
    let before = balancer(LoadBalancing::RoundRobin, &[1, 1, 1]);
    assert_eq!(picks(&before, 2), [0, 1]);
    let after = build(LoadBalancing::RoundRobin, &endpoints(&[1, 1, 1]), Some(&before));
    assert_eq!(after.pick_by(0, &[]), Some(2));
    assert_eq!(
        before.pick_by(0, &[]),
        Some(0),
        "requests that still hold the old one share its position"
    );
    assert_eq!(after.pick_by(0, &[]), Some(1));
    let weights =
        |balancer: &Balancer| Arc::clone(balancer.layers.plain().expect("all go to one set").weights());
    assert!(Arc::ptr_eq(&weights(&before), &weights(&after)));
    let grown = build(
        LoadBalancing::RoundRobin,
        &endpoints(&[1, 1, 1, 1, 1, 1]),
        Some(&after),
    );
    assert_eq!(grown.pick_by(0, &[]), Some(5));
    assert!(!Arc::ptr_eq(&weights(&grown), &weights(&after)));
    let random = build(LoadBalancing::Random, &endpoints(&[1, 1, 1]), Some(&after));
    assert!(random.pick_by(0, &[]).is_some());
}

#[test]
fn random_is_by_weight() {
    let shares = counts(
        picks(&balancer(LoadBalancing::Random, &[1, 3, 6]), 10_000).into_iter(),
        3,
    );
    assert_eq!(shares, [1_000, 3_000, 6_000]);
}

#[test]
fn random_keeps_proportions_among_those_not_avoided() {
    let balancer = balancer(LoadBalancing::Random, &[1, 5, 3]);
    let step = u64::MAX / 4000;
    let picks = (0..4000).map(|turn| balancer.pick_by(turn * step + step / 2, &[1]).expect("endpoints"));
    assert_eq!(counts(picks, 3), [1_000, 0, 3_000]);
}

#[test]
fn least_request_takes_the_less_loaded_of_two() {
    let endpoints = endpoints(&[1, 1]);
    let balancer = build(LoadBalancing::LeastRequest { choices: 2 }, &endpoints, None);
    endpoints[0].1.begin();
    for random in [0, 1, u64::MAX / 2, u64::MAX] {
        assert_eq!(balancer.pick_by(random, &[]), Some(1));
    }
    endpoints[0].1.end();
    endpoints[1].1.begin();
    assert_eq!(balancer.pick_by(u64::MAX, &[]), Some(0));
    assert_eq!((endpoints[0].1.active(), endpoints[1].1.active()), (0, 1));
}

#[test]
fn least_request_compares_load_for_the_weight_and_shares_an_idle_cluster_by_weight() {
    let endpoints = endpoints(&[1, 3]);
    let balancer = build(LoadBalancing::LeastRequest { choices: 2 }, &endpoints, None);
    assert_eq!(counts(picks(&balancer, 8_000).into_iter(), 2), [2_000, 6_000]);
    for _ in 0..2 {
        endpoints[1].1.begin();
    }
    endpoints[0].1.begin();
    assert_eq!(
        counts(picks(&balancer, 100).into_iter(), 2),
        [0, 100],
        "2 of weight 3 is less than 1 of weight 1"
    );
    for _ in 0..2 {
        endpoints[1].1.begin();
    }
    assert_eq!(
        counts(picks(&balancer, 100).into_iter(), 2),
        [100, 0],
        "4 of weight 3 is more than 1 of weight 1"
    );
}

#[test]
fn least_request_that_never_ends_fills_in_proportion_to_weights() {
    let weights = [1, 2, 5];
    let endpoints = endpoints(&weights);
    let balancer = build(LoadBalancing::LeastRequest { choices: 2 }, &endpoints, None);
    for turn in 0..8_000u64 {
        let pick = balancer.pick_by(mix(turn), &[]).expect("endpoints");
        endpoints[pick].1.begin();
    }
    for (weight, (_, load)) in weights.iter().zip(&endpoints) {
        assert!(load.active().abs_diff(weight * 1_000) < 20, "{}", load.active());
    }
}

#[test]
fn with_all_avoided_any_is_taken() {
    for policy in [
        LoadBalancing::RoundRobin,
        LoadBalancing::Random,
        LoadBalancing::LeastRequest { choices: 2 },
    ] {
        let balancer = balancer(policy, &[1, 2, 2]);
        let seen = counts(
            (0..100).map(|turn| balancer.pick_by(mix(turn), &[2, 0, 1, 1, 9]).expect("any")),
            3,
        );
        assert!(seen.iter().all(|&count| count > 0), "{policy:?}: {seen:?}");
    }
}

#[test]
fn weighted_clusters_are_picked_by_weight_and_never_at_zero() {
    let step = u64::MAX / 1_000;
    let randoms = (0..1_000).map(|turn| turn * step + step / 2);
    assert_eq!(
        counts(
            randoms.map(|random| pick_cluster(&[0, 100, 100, 1_000, 1_000], random)),
            5
        ),
        [0, 100, 0, 900, 0]
    );
    assert_eq!(pick_cluster(&[0, 1], 0), 1);
    assert_eq!(pick_cluster(&[1, 1], u64::MAX), 0);
    assert_eq!(pick_cluster(&[7], u64::MAX), 0);
    assert_eq!(pick_cluster(&[u32::MAX - 1, u32::MAX], u64::MAX), 1);
}

#[test]
fn more_choices_find_the_least_loaded_of_all() {
    let endpoints = endpoints(&[1, 1, 1, 1]);
    for (_, load) in &endpoints[..3] {
        load.begin();
    }
    let all = build(LoadBalancing::LeastRequest { choices: 4 }, &endpoints, None);
    assert!((0..50).all(|turn| all.pick_by(mix(turn), &[]) == Some(3)));
    let more = build(LoadBalancing::LeastRequest { choices: 9 }, &endpoints, None);
    assert!((0..50).all(|turn| more.pick_by(mix(turn), &[3]) != Some(3)));
    let two = build(LoadBalancing::LeastRequest { choices: 2 }, &endpoints, None);
    assert!((0..50).any(|turn| two.pick_by(mix(turn), &[]) != Some(3)));
}

#[test]
fn peak_ewma_takes_the_cheaper_of_two() {
    let endpoints = endpoints(&[1, 1]);
    let balancer = build(POLICIES[3], &endpoints, None);
    let ewma = balancer.observes().expect("it observes");
    let now = Instant::now();
    ewma.answered(&endpoints[0].1, now, Duration::from_millis(200));
    ewma.answered(&endpoints[1].1, now, Duration::from_millis(2));
    assert!((0..50).all(|turn| balancer.pick_by(mix(turn), &[]) == Some(1)));
    ewma.failed(&endpoints[1].1, now, Duration::from_millis(900));
    assert!((0..50).all(|turn| balancer.pick_by(mix(turn), &[]) == Some(0)));
    assert!(
        build(LoadBalancing::Random, &endpoints, None)
            .observes()
            .is_none()
    );
}

#[test]
fn loads_stand_alone_on_their_cache_lines() {
    assert_eq!((size_of::<EndpointLoad>(), align_of::<EndpointLoad>()), (64, 64));
}

proptest! {
    #[test]
    fn what_is_tried_is_avoided_while_another_is_there(
        weights in prop::collection::vec(1u32..2_000, 1..12),
        avoid in prop::collection::vec(0usize..14, 0..12),
        randoms in prop::collection::vec(any::<u64>(), 20),
    ) {
        for policy in POLICIES {
            let balancer = balancer(policy, &weights);
            let others = (0..weights.len()).any(|endpoint| !avoid.contains(&endpoint));
            for &random in &randoms {
                let pick = balancer.pick_by(random, &avoid).expect("endpoints");
                prop_assert!(pick < weights.len());
                prop_assert!(!(others && avoid.contains(&pick)), "{policy:?} picked {pick}");
            }
        }
    }

    #[test]
    fn every_rotation_shares_a_period_exactly(weights in prop::collection::vec(1u64..3_000, 2..9)) {
        let weights = Weights::new(weights.into_iter());
        let rotation = Rotation::new(&weights);
        let period = weights.total();
        let shares = counts((0..period).map(|position| rotation.at(position, &weights)), weights.count());
        let wanted: Vec<u64> = (0..weights.count()).map(|endpoint| weights.weight(endpoint)).collect();
        prop_assert_eq!(shares, wanted);
    }
}
