//! Layers: priorities, panic, localities, zones, subsets and slow start, over what configurations say.

use super::*;
use outrigger_config::model::{Cluster, Locality};
use outrigger_config::{Environment, Source, load};
use std::collections::{BTreeMap, BTreeSet};

/// A cluster as it is written, with the standings and ages of its endpoints.
struct Written {
    cluster: Arc<Cluster>,
    standings: Vec<Standing>,
    since: Vec<Duration>,
    now: Duration,
    zones: Option<ZoneView>,
    subsets: Vec<Arc<BTreeMap<String, String>>>,
    loads: Vec<Arc<EndpointLoad>>,
}

impl Written {
    /// `fields` of the cluster, and of each endpoint.
    fn new(fields: &str, endpoints: &[&str]) -> Written {
        let endpoints: String = endpoints
            .iter()
            .enumerate()
            .map(|(place, fields)| format!("  - {{ address: 10.0.0.{place}:80{fields} }}\n"))
            .collect();
        let text = format!(
            "runtime: {{ locality: r/a }}\nclusters:\n- name: local\n  endpoints: []\n- name: c\n{fields}  endpoints:\n{endpoints}"
        );
        let name = "test".to_owned();
        let loaded =
            load(&Source { name, text }, &Environment::empty()).unwrap_or_else(|faults| panic!("{faults}"));
        let clusters = loaded.config.clusters();
        let cluster = clusters
            .iter()
            .find(|cluster| cluster.name().as_str() == "c")
            .expect("it is there");
        let count = cluster.endpoints().len();
        Written {
            cluster: Arc::clone(cluster),
            standings: vec![Standing::Healthy; count],
            since: vec![Duration::ZERO; count],
            now: Duration::from_secs(1_000),
            zones: None,
            subsets: Vec::new(),
            loads: (0..count).map(|_| Arc::default()).collect(),
        }
    }

    fn balancer(&self, previous: Option<&Balancer>) -> Balancer {
        let keys: Vec<String> = self
            .cluster
            .endpoints()
            .iter()
            .map(|endpoint| endpoint.address().to_string())
            .collect();
        let members: Vec<Member<'_>> = self
            .cluster
            .endpoints()
            .iter()
            .enumerate()
            .map(|(place, endpoint)| Member {
                priority: endpoint.priority(),
                locality: endpoint.locality().as_ref(),
                metadata: Some(endpoint.metadata()),
                standing: self.standings[place],
                since: self.since[place],
                ..member(&keys[place], endpoint.weight(), &self.loads[place])
            })
            .collect();
        let plan = Plan {
            locality_weights: self.cluster.locality_weights(),
            zones: self.zones.as_ref(),
            subsets: &self.subsets,
            now: self.now,
            ..plan(self.cluster.load_balancing(), self.cluster.balancing())
        };
        Balancer::new(&plan, &members, previous)
    }

    /// The share of picks of each endpoint, in percent.
    fn percents(&self, of: &Balancer) -> Vec<u64> {
        let picks = (0..20_000).map(|turn| of.pick_by(mix(turn), &[]).expect("an endpoint"));
        counts(picks, self.standings.len())
            .iter()
            .map(|count| (count + 100) / 200)
            .collect()
    }

    fn locality(region: &str, zone: &str) -> Locality {
        let fields = format!(", locality: {region}/{zone}");
        let written = Written::new("", &[fields.as_str()]);
        written.cluster.endpoints()[0]
            .locality()
            .clone()
            .expect("it was written")
    }
}

fn near(found: &[u64], wanted: &[u64]) {
    for (one, other) in found.iter().zip(wanted) {
        assert!(one.abs_diff(*other) <= 1, "{found:?} is not {wanted:?}");
    }
}

#[test]
fn priorities_and_degraded_endpoints_get_their_shares() {
    let mut written = Written::new("", &["", "", ", priority: 1", ", priority: 1"]);
    near(&written.percents(&written.balancer(None)), &[50, 50, 0, 0]);
    written.standings[0] = Standing::Unhealthy;
    let balancer = written.balancer(None);
    near(&written.percents(&balancer), &[0, 70, 15, 15]);
    assert_eq!(balancer.priorities()[1].healthy_percent, 30);
    assert_eq!(balancer.priorities()[1].priority, 1);
    written.standings[2] = Standing::Degraded;
    written.standings[3] = Standing::Unhealthy;
    // 70 % healthy in the first, 70 % degraded in the second.
    near(&written.percents(&written.balancer(None)), &[0, 70, 30, 0]);
}

#[test]
fn an_attempt_that_follows_leaves_its_priority_if_it_must() {
    let mut written = Written::new("", &["", "", ", priority: 1"]);
    written.standings[0] = Standing::Unhealthy;
    let balancer = written.balancer(None);
    assert!((0..50).all(|turn| balancer.pick_by(mix(turn), &[1]) == Some(2)));
    assert!((0..50).all(|turn| balancer.pick_by(mix(turn), &[1, 2]).is_some()));
}

#[test]
fn panic_is_noted_and_draining_endpoints_are_never_picked() {
    let mut written = Written::new("", &["", "", "", ""]);
    written.standings = vec![
        Standing::Unhealthy,
        Standing::Unhealthy,
        Standing::Healthy,
        Standing::Draining,
    ];
    let balancer = written.balancer(None);
    assert!(balancer.priorities()[0].panic);
    near(&written.percents(&balancer), &[33, 33, 33, 0]);
    assert!(balancer.pick(&context(1, &[])).notes.has(PickNotes::PANIC));
    written.standings = vec![Standing::Draining; 4];
    let nobody = written.balancer(None).pick(&context(1, &[]));
    assert_eq!((nobody.endpoint, nobody.notes), (None, PickNotes::NONE));
    let mut refusing = Written::new("  fails_in_panic: true\n", &["", "", ""]);
    refusing.standings = vec![Standing::Unhealthy, Standing::Unhealthy, Standing::Healthy];
    let refused = refusing.balancer(None).pick(&context(1, &[]));
    assert_eq!((refused.endpoint, refused.notes), (None, PickNotes::PANIC));
}

#[test]
fn whoever_was_never_checked_counts_nowhere_unless_nobody_else_is_there() {
    let mut written = Written::new("", &["", "", "", ", priority: 1"]);
    written.standings = vec![
        Standing::Healthy,
        Standing::Unchecked,
        Standing::Unchecked,
        Standing::Healthy,
    ];
    let balancer = written.balancer(None);
    assert!(!balancer.priorities()[0].panic);
    near(&written.percents(&balancer), &[100, 0, 0, 0]);
    written.standings[0] = Standing::Unhealthy;
    near(&written.percents(&written.balancer(None)), &[0, 0, 0, 100]);
    written.standings[3] = Standing::Unchecked;
    let balancer = written.balancer(None);
    assert!(balancer.priorities()[0].panic);
    near(&written.percents(&balancer), &[100, 0, 0, 0]);
    written.standings = vec![Standing::Unchecked; 3];
    written.standings.push(Standing::Draining);
    let balancer = written.balancer(None);
    assert!(balancer.priorities()[0].panic);
    near(&written.percents(&balancer), &[33, 33, 33, 0]);
    for policy in ["ring_hash", "maglev"] {
        let mut written = Written::new(&format!("  load_balancing: {policy}\n"), &["", "", ""]);
        written.standings[1] = Standing::Unchecked;
        let balancer = written.balancer(None);
        let by_key = |hash| {
            balancer.pick(&PickContext {
                hash: Some(hash),
                ..context(1, &[])
            })
        };
        assert!((0..200).all(|turn| by_key(mix(turn)).endpoint != Some(1)));
    }
}

#[test]
fn localities_share_by_weight_and_by_what_of_them_is_healthy() {
    let fields = "  locality_balancing: weighted\n  locality_weights: [{ locality: r/a, weight: 1 }, { locality: r/b, weight: 3 }, { locality: r/c, weight: 0 }]\n";
    let (a, b, c) = (", locality: r/a", ", locality: r/b", ", locality: r/c");
    let mut written = Written::new(fields, &[a, b, b, c, c, c]);
    near(&written.percents(&written.balancer(None)), &[25, 38, 38, 0, 0, 0]);
    written.standings[2] = Standing::Unhealthy;
    // 1 * 100 against 3 * 70.
    near(&written.percents(&written.balancer(None)), &[32, 68, 0, 0, 0, 0]);
}

#[test]
fn keys_share_by_the_weight_of_localities_and_so_does_whoever_has_none() {
    let (a, b, c) = (", locality: r/a", ", locality: r/b", ", locality: r/c");
    let by_key = |balancer: &Balancer| {
        let picks = (0..20_000).map(|turn| {
            let context = PickContext {
                hash: Some(mix(turn)),
                ..context(turn, &[])
            };
            balancer.pick(&context).endpoint.expect("an endpoint")
        });
        let counts = counts(picks, 6);
        counts
            .iter()
            .map(|count| (count + 100) / 200)
            .collect::<Vec<u64>>()
    };
    let fields = |policy: &str, [a, b]: [u32; 2]| {
        format!(
            "  load_balancing: {policy}\n  locality_balancing: weighted\n  locality_weights: [{{ locality: r/a, weight: {a} }}, {{ locality: r/b, weight: {b} }}, {{ locality: r/c, weight: 0 }}]\n"
        )
    };
    for policy in ["maglev", "{ ring_hash: { size_min: 65536 } }"] {
        let mut written = Written::new(&fields(policy, [1, 3]), &[a, b, b, c, c, c]);
        let balancer = written.balancer(None);
        near(&by_key(&balancer), &[25, 38, 38, 0, 0, 0]);
        near(&written.percents(&balancer), &[25, 38, 38, 0, 0, 0]);
        // One of many has all keys, and those without a share none of them, tried or not.
        written.standings[1] = Standing::Unhealthy;
        written.standings[2] = Standing::Unhealthy;
        let balancer = written.balancer(None);
        assert!(by_key(&balancer).iter().skip(1).all(|&share| share == 0));
        assert_eq!(balancer.pick_by(7, &[0]), Some(0));
        // Nobody else is there.
        written.standings[0] = Standing::Unhealthy;
        written.cluster = Written::new(
            &format!("{}  panic_threshold: 30\n", fields(policy, [1, 3])),
            &[a, b, b, c, c, c],
        )
        .cluster;
        near(&written.percents(&written.balancer(None)), &[0, 0, 0, 33, 33, 33]);
        let written = Written::new(&fields(policy, [0, 0]), &[a, b, b, c, c, c]);
        let balancer = written.balancer(None);
        near(&written.percents(&balancer), &[17; 6]);
        assert!(by_key(&balancer).iter().all(|share| share.abs_diff(17) <= 2));
    }
}

#[test]
fn zones_keep_what_they_can_take() {
    let zone_aware =
        |more: &str| format!("  locality_balancing: {{ zone_aware: {{ local_cluster: local{more} }} }}\n");
    let (a, b) = (", locality: r/a", ", locality: r/b");
    let own = Written::locality("r", "a");
    let view = |here: u32, there: u32| ZoneView {
        own: own.clone(),
        senders: BTreeMap::from([(own.clone(), here), (Written::locality("r", "b"), there)]),
        in_panic: false,
    };
    let mut written = Written::new(&zone_aware(""), &[a, a, a, b, b, b]);
    let noted = |written: &Written| written.balancer(None).pick(&context(mix(1), &[])).notes;
    assert_eq!(
        noted(&written),
        PickNotes::NONE,
        "without a view zones are not looked at"
    );
    written.zones = Some(view(1, 1));
    near(&written.percents(&written.balancer(None)), &[33, 33, 33, 0, 0, 0]);
    assert_eq!(noted(&written), PickNotes::ZONE_DIRECT);
    // Three in four send from here, half serve here: two thirds stay.
    written.zones = Some(view(3, 1));
    near(
        &written.percents(&written.balancer(None)),
        &[22, 22, 22, 11, 11, 11],
    );
    written.zones = Some(ZoneView {
        in_panic: true,
        ..view(3, 1)
    });
    assert_eq!(noted(&written), PickNotes::NONE.with(PickNotes::ZONE_UNKNOWN));
    near(&written.percents(&written.balancer(None)), &[17; 6]);
    written.zones = Some(view(0, 1));
    assert!(noted(&written).has(PickNotes::ZONE_UNKNOWN));
    let mut small = Written::new(&zone_aware(""), &[a, b]);
    small.zones = Some(view(1, 1));
    assert!(noted(&small).has(PickNotes::ZONE_SMALL));
    let mut strict = Written::new(&zone_aware(", strict: true"), &[a, b, b, b]);
    strict.zones = Some(view(9, 1));
    near(&strict.percents(&strict.balancer(None)), &[100, 0, 0, 0]);
    strict.standings[0] = Standing::Unhealthy;
    near(&strict.percents(&strict.balancer(None)), &[0, 33, 33, 33]);
}

#[test]
fn subsets_have_layers_of_their_own() {
    let fields = "  subsets: { selectors: [[version], [stage, version]], fallback: any }\n";
    let endpoints = [
        ", metadata: { version: v1, stage: prod }",
        ", metadata: { version: v1, stage: test }, priority: 1",
        ", metadata: { version: v2, stage: prod }",
    ];
    let mut written = Written::new(fields, &endpoints);
    let wanted = |pairs: &[(&str, &str)]| {
        Arc::new(
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>(),
        )
    };
    let (v1, test, v3, stage) = (
        wanted(&[("version", "v1")]),
        wanted(&[("version", "v1"), ("stage", "test")]),
        wanted(&[("version", "v3")]),
        wanted(&[("stage", "prod")]),
    );
    written.subsets = vec![
        Arc::clone(&v1),
        Arc::clone(&test),
        Arc::clone(&v3),
        Arc::clone(&stage),
    ];
    let seen = |written: &Written, subset: &BTreeMap<String, String>| {
        let balancer = written.balancer(None);
        let picks: Vec<Picked> = (0..100)
            .map(|turn| {
                balancer.pick(&PickContext {
                    subset: SubsetKey::of(subset),
                    ..context(mix(turn), &[])
                })
            })
            .collect();
        let fell_back = picks[0].notes.has(PickNotes::SUBSET_FALLBACK);
        (
            picks
                .into_iter()
                .filter_map(|picked| picked.endpoint)
                .collect::<BTreeSet<_>>(),
            fell_back,
        )
    };
    assert_eq!(
        seen(&written, &v1),
        (BTreeSet::from([0]), false),
        "the first priority of the subset"
    );
    assert_eq!(seen(&written, &test), (BTreeSet::from([1]), false));
    assert_eq!(seen(&written, &v3), (BTreeSet::from([0, 2]), true));
    assert_eq!(
        seen(&written, &stage),
        (BTreeSet::from([0, 2]), true),
        "no selector has it"
    );
    written.standings[0] = Standing::Unhealthy;
    assert_eq!(
        seen(&written, &v1),
        (BTreeSet::from([1]), false),
        "and its failover"
    );
    assert_eq!(SubsetKey::of(&BTreeMap::new()), None);
    assert_ne!(
        SubsetKey::of(&wanted(&[("a", "bc")])),
        SubsetKey::of(&wanted(&[("ab", "c")]))
    );
}

/// Envoy, "Slow start mode": the weight by `max(min_weight, (time / window) ^ (1 / aggression))`.
#[test]
fn new_endpoints_get_their_share_little_by_little() {
    let mut written = Written::new("  slow_start: { window: 100s }\n", &["", ""]);
    let share_at = |written: &mut Written, age: u64| {
        written.since[1] = written.now - Duration::from_secs(age);
        let balancer = written.balancer(None);
        let share = balancer.share_per_mille(1);
        near(
            &written.percents(&balancer),
            &[
                100_000 / (1_000 + u64::from(share)),
                u64::from(share) * 100 / (1_000 + u64::from(share)),
            ],
        );
        (share, balancer.is_slowing())
    };
    for (age, wanted) in [
        (0, 100),
        (5, 100),
        (25, 250),
        (50, 500),
        (99, 990),
        (100, 1_000),
        (500, 1_000),
    ] {
        assert_eq!(share_at(&mut written, age), (wanted, age < 100), "{age}");
    }
    let mut steep = Written::new(
        "  slow_start: { window: 100s, aggression: '2.0', weight_min: 1 }\n",
        &["", ""],
    );
    assert_eq!(share_at(&mut steep, 25), (500, true), "the root of a quarter");
    assert_eq!(
        share_at(&mut steep, 0),
        (100, true),
        "a second old: the root of a hundredth"
    );
    // All of a first configuration have been there all along.
    let first = Written::new("  slow_start: { window: 100s }\n", &["", ""]);
    assert!(!first.balancer(None).is_slowing());
    let keys = Written {
        since: vec![written.now; 2],
        ..Written::new("  load_balancing: maglev\n", &["", ""])
    };
    assert!(!keys.balancer(None).is_slowing());
}

#[test]
fn rotations_go_on_when_health_changes() {
    let mut written = Written::new("", &["", "", "", ""]);
    let before = written.balancer(None);
    assert_eq!(
        (before.pick_by(0, &[]), before.pick_by(0, &[])),
        (Some(0), Some(1))
    );
    written.standings[3] = Standing::Unhealthy;
    let after = written.balancer(Some(&before));
    assert_eq!(
        after.pick_by(0, &[]),
        Some(2),
        "it does not begin at the first again"
    );
    assert!(!before.keeps(9) || before.keeps(0));
}
