//! What a receipt costs grows with the configuration, not with its square.

use super::super::{Receipt, find};
use super::source;
use crate::model::{ChainMode, MeshConfig, Name, RouteAction};
use crate::{Environment, load};
use std::sync::Arc;

/// One of everything that rules compare with others.
const ONE: &str = "
listeners:
- {name: l, address: 127.0.0.1:1, filter_chains: [{name: chain, http: {route_configuration: r}}]}
route_configurations:
- name: r
  virtual_hosts:
  - name: v
    domains: ['*']
    rate_limits: [limit]
    request_headers: {set: {x-a: b}}
    routes:
    - {name: route, match: {regex: '/a[0-9]*', headers: [{name: x-a, exact: b}]}, authorization: [allow, deny],
       rate_limits: [limit], forward: {cluster: c, timeout: 5s, retry: {retry_on: [reset], per_try_timeout: 1s}}}
clusters:
- {name: c, outlier_detection: true, endpoints: [{address: 127.0.0.1:1}, {address: 127.0.0.1:2}]}
authorization_policies:
- {name: allow, action: allow, rules: [{methods: [GET], paths: [{prefix: /a}, {prefix: /b}]}]}
- {name: deny, action: deny, rules: [{paths: [{prefix: /c}, {prefix: /d}]}]}
rate_limits:
- {name: limit, descriptors: [[{constant: a, key: k}]], local: {limit: {requests: 7, per: 1s}}}
";

fn numbered(name: &str, number: usize) -> Name {
    Name(format!("{name}-{number}").into())
}

fn copies<T: Clone>(one: &Arc<T>, count: usize, mut number: impl FnMut(&mut T, usize)) -> Vec<Arc<T>> {
    let copy = |at| {
        let mut copy = T::clone(one);
        number(&mut copy, at);
        Arc::new(copy)
    };
    (0..count).map(copy).collect()
}

/// A configuration with `count` of everything: chains, routes, clusters, rate limits, and policies of both kinds. Route
/// configurations have `together` routes each; chains take them in turn.
fn large(count: usize, together: usize) -> MeshConfig {
    let mut config = load(&source(ONE), &Environment::empty())
        .unwrap_or_else(|faults| panic!("{faults}"))
        .config;
    config.clusters = copies(&config.clusters[0], count, |cluster, at| {
        cluster.name = numbered("c", at);
    });
    config.rate_limits = copies(&config.rate_limits[0], count, |limit, at| {
        limit.name = numbered("limit", at);
    });
    let policies = config.authorization_policies.iter();
    config.authorization_policies = policies
        .flat_map(|policy| {
            copies(policy, count, |policy, at| {
                policy.name = numbered(policy.name.as_str(), at);
            })
        })
        .collect();
    let groups = count.div_ceil(together);
    config.route_configurations = copies(&config.route_configurations[0], groups, |routes, group| {
        routes.name = numbered("r", group);
        let mut host = (*routes.virtual_hosts[0]).clone();
        // As many of the host as of the routes: each route has to do with each of them.
        let own = group * together..count.min((group + 1) * together);
        host.rate_limits = own.clone().map(|at| numbered("limit", at)).collect();
        let route = host.routes[0].clone();
        let numbered_route = |at| {
            let mut route = route.clone();
            route.name = numbered("route", at);
            route.authorization = vec![numbered("allow", at), numbered("deny", at)];
            route.rate_limits = vec![numbered("limit", at)];
            if let RouteAction::Forward(forward) = &mut route.action {
                forward.clusters[0].cluster = numbered("c", at);
            }
            route
        };
        host.routes = own.map(numbered_route).collect();
        routes.virtual_hosts = vec![Arc::new(host)];
    });
    let mut listener = (*config.listeners[0]).clone();
    let chain = listener.filter_chains[0].clone();
    let chains = (0..count).map(|at| {
        let mut chain = chain.clone();
        chain.name = numbered("chain", at);
        if let ChainMode::Http(http) = &mut chain.mode {
            http.route_configuration = numbered("r", at % groups);
        }
        chain
    });
    listener.filter_chains = chains.collect();
    config.listeners = vec![Arc::new(listener)];
    config
}

#[track_caller]
fn found(count: usize, together: usize) -> Receipt {
    let found = find(&large(count, together));
    assert!(found.is_empty(), "{}", found.remarks()[0]);
    found
}

/// In many route configurations, and in one that all chains use.
#[test]
fn steps_are_in_proportion() {
    for together in [100, usize::MAX] {
        let steps = |count: usize| found(count, together.min(count)).steps() as f64;
        let (small, large) = (steps(1_000), steps(10_000));
        assert!(small > 1_000.0 * 10.0, "{small}");
        let ratio = large / small;
        assert!(
            ratio < 10.2,
            "ten times the configuration takes {ratio} times the steps"
        );
    }
}
/// Policies with very many rules are compared as far as a bound, not as far as they go.
#[test]
fn policies_of_many_rules_are_bounded() {
    let rules = |path: char| {
        let rules: Vec<String> = (0..3_000)
            .map(|rule| format!("{{paths: [{{path: /{path}{rule}}}]}}"))
            .collect();
        rules.join(", ")
    };
    let text = format!(
        "authorization_policies:
- {{name: allow, action: allow, rules: [{}]}}
- {{name: deny, action: deny, rules: [{}, {}]}}
listeners: [{{name: l, address: 127.0.0.1:1, filter_chains: [{{authorization: [allow, deny], http: {{route_configuration: r}}}}]}}]
route_configurations: [{{name: r}}]
",
        rules('a'),
        rules('b'),
        rules('a')
    );
    let found = find(&load(&source(&text), &Environment::empty()).unwrap().config);
    assert!(found.steps() < 1_100_000, "{}", found.steps());
    assert!(found.is_empty(), "what could not be compared is passed over");
}
