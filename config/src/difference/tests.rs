//! Differences of documents, and what is kept by pointer.

use crate::*;
use std::sync::Arc;

const BASE: &str = "\
listeners:
- {name: one, address: 127.0.0.1:1, filter_chains: [{http: {route_configuration: r}}]}
- {name: two, address: 127.0.0.1:2, filter_chains: [{http: {route_configuration: r}}]}
route_configurations:
- name: r
  virtual_hosts:
  - {name: v, domains: [v.example], routes: [{match: {prefix: /}, forward: {cluster: a}}]}
  - {name: w, domains: [w.example], routes: [{match: {regex: /x+}, forward: {cluster: b}}]}
clusters:
- {name: a, endpoints: [{address: 127.0.0.1:7}]}
- {name: b}
";

fn config(text: &str) -> MeshConfig {
    let source = Source {
        name: "mesh.yaml".into(),
        text: text.into(),
    };
    load(&source, &Environment::empty())
        .unwrap_or_else(|faults| panic!("{faults}"))
        .config
}

fn names(names: &[model::Name]) -> Vec<&str> {
    names.iter().map(model::Name::as_str).collect()
}

#[test]
fn moved_lines_and_comments_change_nothing() {
    let (old, new) = (config(BASE), config(&format!("# a comment\n\n{BASE}")));
    assert_ne!(
        old.clusters()[0].origin().line(),
        new.clusters()[0].origin().line()
    );
    assert!(difference(&old, &new).is_empty());
}

#[test]
fn parts_are_added_changed_and_removed_by_name() {
    let old = config(BASE);
    let text = BASE
        .replace(
            "{name: two, address: 127.0.0.1:2",
            "{name: three, address: 127.0.0.1:2",
        )
        .replace("127.0.0.1:7", "127.0.0.1:8")
        .replace("- {name: b}", "- {name: b}\n- {name: c}")
        .replace("prefix: /", "prefix: /y");
    let new = config(&format!("runtime: {{workers: 3}}\n{text}"));
    let found = difference(&old, &new);
    let listeners = found.listeners();
    assert_eq!(
        (names(listeners.added()), names(listeners.changed())),
        (vec!["three"], vec![])
    );
    assert_eq!(names(listeners.removed()), ["two"]);
    assert_eq!(names(found.route_configurations().changed()), ["r"]);
    assert_eq!(
        (names(found.clusters().added()), names(found.clusters().changed())),
        (vec!["c"], vec!["a"])
    );
    assert!(found.clusters().removed().is_empty());
    assert!(found.runtime_changed() && !found.admin_changed() && !found.drain_changed());
    assert!(!found.is_empty());

    let other = config(&format!(
        "admin: {{address: 127.0.0.1:3}}\ndrain: {{grace: 1s}}\n{BASE}"
    ));
    let found = difference(&old, &other);
    assert!(!found.runtime_changed() && found.admin_changed() && found.drain_changed());
    assert!(!found.is_empty());
}

#[test]
fn equal_parts_are_taken_over_by_pointer() {
    let old = config(BASE);
    let new = config(
        &BASE
            .replace("127.0.0.1:7", "127.0.0.1:8")
            .replace("prefix: /", "prefix: /y"),
    );
    let kept = reuse(&old, new.clone());
    assert_eq!(kept, new);
    assert!(Arc::ptr_eq(&kept.listeners()[0], &old.listeners()[0]));
    assert!(!Arc::ptr_eq(&kept.clusters()[0], &old.clusters()[0]));
    assert!(Arc::ptr_eq(&kept.clusters()[1], &old.clusters()[1]));
    let (kept_routes, old_routes) = (&kept.route_configurations()[0], &old.route_configurations()[0]);
    assert!(!Arc::ptr_eq(kept_routes, old_routes));
    assert!(!Arc::ptr_eq(
        &kept_routes.virtual_hosts()[0],
        &old_routes.virtual_hosts()[0]
    ));
    assert!(
        Arc::ptr_eq(&kept_routes.virtual_hosts()[1], &old_routes.virtual_hosts()[1]),
        "in a part that changed"
    );
    assert_eq!(names(difference(&old, &kept).clusters().changed()), ["a"]);
}

#[test]
fn a_part_that_moved_in_its_list_is_taken_over_too() {
    let old = config(BASE);
    let text = BASE.replace(
        "- {name: a, endpoints: [{address: 127.0.0.1:7}]}\n- {name: b}",
        "- {name: b}\n- {name: a, endpoints: [{address: 127.0.0.1:7}]}",
    );
    let kept = reuse(&old, config(&text));
    assert!(Arc::ptr_eq(&kept.clusters()[0], &old.clusters()[1]));
    assert!(difference(&old, &kept).is_empty());
}

#[test]
fn every_part_that_is_written_counts() {
    let old = config(BASE);
    let changes = [
        (
            "address: 127.0.0.1:1,",
            "address: 127.0.0.1:1, proxy_protocol: required,",
        ),
        (
            "address: 127.0.0.1:1,",
            "address: 127.0.0.1:1, interception: redirect,",
        ),
        (
            "address: 127.0.0.1:1, filter_chains: [{http: {route_configuration: r}}]",
            "address: 127.0.0.1:1, filter_chains: [{http: {route_configuration: r}, tcp: {cluster: a}}]",
        ),
        ("domains: [v.example]", "hsts: true, domains: [v.example]"),
        (
            "domains: [v.example]",
            "cors: {allow_origins: '*'}, domains: [v.example]",
        ),
        (
            "forward: {cluster: a}",
            "forward: {cluster: a, mirrors: [{cluster: b}]}",
        ),
        ("forward: {cluster: a}", "forward: {cluster: a, upgrades: []}"),
        ("- {name: b}", "- {name: b, proxy_protocol: v2}"),
        (
            "- {name: b}",
            "- {name: b, discovery: {type: original_destination}}",
        ),
    ];
    for (from, to) in changes {
        assert!(BASE.contains(from), "{from}");
        let new = config(&BASE.replacen(from, to, 1));
        let found = difference(&old, &new);
        let changed = [found.listeners(), found.route_configurations(), found.clusters()]
            .map(|part| part.changed().len())
            .iter()
            .sum::<usize>();
        assert_eq!(changed, 1, "{to}");
        let kept = reuse(&old, new.clone());
        assert_eq!(kept, new, "{to}");
    }
}

#[test]
fn identities_trust_and_policies_are_compared_too() {
    let of = |bundle: &str, denied: &str| {
        config(&format!(
            "identities: [{{name: i, workload_api: {{socket: s}}}}]\n\
             trust_bundles: [{{name: t, trust_domain: {bundle}, identity: i}}]\n\
             revocation: {{denied: [{{trust_domain: {denied}}}]}}\n"
        ))
    };
    let old = of("a", "x");
    let new = of("b", "y");
    let found = difference(&old, &new);
    assert!(found.identities().is_empty() && found.revocation_changed() && !found.is_empty());
    assert_eq!(names(found.trust_bundles().changed()), ["t"]);
    let kept = reuse(&old, new.clone());
    assert_eq!(kept, new);
    assert!(Arc::ptr_eq(&kept.identities()[0], &old.identities()[0]));
    assert!(!Arc::ptr_eq(&kept.trust_bundles()[0], &old.trust_bundles()[0]));
    assert!(difference(&old, &of("a", "x")).is_empty());
}

#[test]
fn rate_limits_and_overload_are_compared_and_taken_over() {
    let limit = |requests: u32| {
        let limits = format!(
            "rate_limits: [{{name: m, local: {{limit: {{requests: {requests}}}}}}}, {{name: n, local: {{limit: {{requests: 1}}}}}}]"
        );
        config(&format!(
            "{BASE}{limits}\noverload: {{requests_max: {requests}}}\n"
        ))
    };
    let (old, new) = (limit(1), limit(2));
    let found = difference(&old, &new);
    assert_eq!(names(found.rate_limits().changed()), ["m"]);
    assert!(found.overload_changed() && !found.is_empty());
    let new = reuse(&old, new);
    assert!(!Arc::ptr_eq(&old.rate_limits()[0], &new.rate_limits()[0]));
    assert!(Arc::ptr_eq(&old.rate_limits()[1], &new.rate_limits()[1]));
    assert!(difference(&old, &limit(1)).is_empty());
}

#[test]
fn a_collector_that_changes_is_a_change() {
    let with = |header: &str| {
        config(&format!(
            "{BASE}telemetry: {{collectors: [{{name: c, endpoint: http://a:1, headers: {{a: {header}}}}}]}}\n"
        ))
    };
    let found = difference(&with("b"), &with("c"));
    assert!(found.telemetry_changed() && !found.is_empty());
    assert!(!difference(&with("b"), &with("b")).telemetry_changed());
}
