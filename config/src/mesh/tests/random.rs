//! Random meshes: what is accepted tells every node what it uses and nothing else.

use super::*;
use crate::model::RouteAction;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fmt::Write;

const PROTOCOLS: [&str; 5] = ["http", "http2", "grpc", "tcp", "auto"];

/// A service that is to be: what is spoken on its ports, what it uses, whether it has sidecars, its routes' targets.
#[derive(Debug, Clone)]
struct Plan {
    protocols: Vec<usize>,
    uses: BTreeSet<usize>,
    sidecar: bool,
    targets: Vec<usize>,
    policy: bool,
    endpoints: usize,
}

fn plan() -> impl Strategy<Value = Plan> {
    let targets = vec(0..8_usize, 0..3);
    let uses = proptest::collection::btree_set(0..8_usize, 0..5);
    (
        vec(0..5_usize, 1..4),
        uses,
        any::<bool>(),
        targets,
        any::<bool>(),
        0..4_usize,
    )
        .prop_map(|(protocols, uses, sidecar, targets, policy, endpoints)| Plan {
            protocols,
            uses,
            sidecar,
            targets,
            policy,
            endpoints,
        })
}

/// The mesh of these services. Ports are no other service's, so that TCP is always told apart.
fn written(plans: &[Plan]) -> String {
    let name = |at: usize| format!("n{}/s{}", at % 2, at);
    let mut text = String::from(
        "defaults: {trust_domain: example.org, mutual_tls: permissive, timeout: 3s}\nservices:\n",
    );
    for (at, plan) in plans.iter().enumerate() {
        writeln!(text, "- name: {}\n  ports:", name(at)).unwrap();
        for (port, protocol) in plan.protocols.iter().enumerate() {
            writeln!(
                text,
                "  - {{port: {}, protocol: {}}}",
                1000 + at * 10 + port,
                PROTOCOLS[*protocol]
            )
            .unwrap();
        }
        let endpoints =
            (0..plan.endpoints).map(|host| format!("{{address: 10.0.{at}.{host}:{}}}", 1000 + at * 10));
        writeln!(
            text,
            "  endpoints: [{}]",
            endpoints.collect::<Vec<_>>().join(", ")
        )
        .unwrap();
        let uses = plan
            .uses
            .iter()
            .filter(|used| **used < plans.len())
            .map(|used| name(*used));
        writeln!(text, "  uses: [{}]", uses.collect::<Vec<_>>().join(", ")).unwrap();
        if plan.sidecar {
            text.push_str("  sidecar: {}\n");
        }
        if plan.sidecar && plan.policy {
            text.push_str("  inbound: {authorization: [n0/closed]}\n");
        }
        let targets: Vec<_> = plan
            .targets
            .iter()
            .filter(|target| **target < plans.len())
            .collect();
        if !targets.is_empty() && plan.protocols.iter().any(|protocol| *protocol != 3) {
            text.push_str("  routes:\n");
            for (index, target) in targets.into_iter().enumerate() {
                let target = name(*target);
                writeln!(
                    text,
                    "  - {{match: {{prefix: /{index}}}, forward: {{service: {target}}}}}"
                )
                .unwrap();
            }
            text.push_str("  - {match: {prefix: /}, forward: {}}\n");
        }
    }
    text.push_str(
        "authorization_policies: [{name: n0/closed, action: deny}, {name: n0/unused, action: deny}]\n",
    );
    text
}

/// The names of services of a view's clusters; its own application's is none.
fn services_of(view: &View) -> BTreeSet<String> {
    let names = view.config.clusters.iter().map(|cluster| cluster.name.as_str());
    let hosts = names
        .filter_map(|name| name.split_once(':'))
        .map(|(host, _)| host);
    hosts
        .map(|host| {
            let (name, namespace) = host.split_once('.').unwrap();
            format!("{namespace}/{name}")
        })
        .collect()
}

fn name(at: usize) -> String {
    format!("n{}/s{}", at % 2, at)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn views_load_and_name_only_what_is_used(plans in vec(plan(), 1..8)) {
        let text = written(&plans);
        let mesh = read(&text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
        if let Err(faults) = mesh.validate(std::time::SystemTime::now()) {
            panic!("{faults}\n{text}");
        }
        for (at, plan) in plans.iter().enumerate() {
            let role = match plan.sidecar {
                true => sidecar(&name(at)),
                false => NodeRole::Client { service: name(at) },
            };
            let made = view(&mesh, &role);
            // What it uses, and where the routes of what it uses lead; of clients only what speaks HTTP.
            let mut reached = BTreeSet::new();
            for used in plan.uses.iter().filter(|used| **used < plans.len()) {
                reached.insert(name(*used));
                reached.extend(plans[*used].targets.iter().filter(|target| **target < plans.len()).map(|target| name(*target)));
            }
            let found = services_of(&made);
            prop_assert!(found.is_subset(&reached), "{found:?} of {reached:?}\n{text}");
            if plan.sidecar {
                for used in plan.uses.iter().filter(|used| **used < plans.len()) {
                    prop_assert!(found.contains(&name(*used)), "{used} in {found:?}\n{text}");
                }
                // One chain for each port of its own.
                prop_assert_eq!(made.config.listeners[0].filter_chains.len(), plan.protocols.len());
            }
            let policies = made.config.authorization_policies.len();
            prop_assert_eq!(policies, usize::from(plan.sidecar && plan.policy));
            let mut depends = found;
            depends.insert(name(at));
            prop_assert_eq!(&depends, &made.services);
            for routes in &made.config.route_configurations {
                for route in routes.virtual_hosts.iter().flat_map(|host| &host.routes) {
                    let RouteAction::Forward(forward) = &route.action else { continue };
                    for target in &forward.clusters {
                        let known = made.config.clusters.iter().any(|cluster| cluster.name == target.cluster);
                        prop_assert!(known, "{}", target.cluster);
                    }
                }
            }
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = read(&text).map(|mesh| mesh.validate(std::time::SystemTime::now()));
    }

    #[test]
    fn no_damage_panics(plans in vec(plan(), 1..4), at in 0..4000_usize, with in "\\PC{0,3}") {
        let mut text = written(&plans);
        let mut at = at % text.len();
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let end = (at + 1..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
        text.replace_range(at..end, &with);
        let _ = read(&text).map(|mesh| mesh.validate(std::time::SystemTime::now()));
    }

    #[test]
    fn a_mesh_changes_nothing_about_itself(plans in vec(plan(), 1..6)) {
        let text = written(&plans);
        prop_assert_eq!(read(&text).unwrap().changes(&read(&text).unwrap()), vec![]);
    }
}
