//! What a receipt costs grows with the configuration, not with its square.

use super::super::find;
use super::source;
use crate::{Environment, MeshConfig, load};
use std::fmt::Write;

/// A configuration with `count` of everything that rules compare with each other.
fn large(count: usize) -> MeshConfig {
    let mut text = String::from("route_configurations:\n");
    for host in 0..count.div_ceil(100) {
        writeln!(text, "- name: r{host}\n  virtual_hosts:\n  - name: v\n    domains: ['*']\n    rate_limits: [limit-0]\n    routes:").unwrap();
        for route in host * 100..(host * 100 + 100).min(count) {
            writeln!(
                text,
                "    - {{match: {{regex: '/a{route}[0-9]*', headers: [{{name: x-a, exact: b{route}}}]}}, \
                 authorization: [allow-{route}, deny-{route}], rate_limits: [limit-{route}], \
                 forward: {{cluster: c{route}, timeout: 5s, retry: {{retry_on: [reset], per_try_timeout: 1s}}}}}}"
            )
            .unwrap();
        }
    }
    text.push_str("clusters:\n");
    for cluster in 0..count {
        writeln!(text, "- {{name: c{cluster}, outlier_detection: true, endpoints: [{{address: 127.0.0.1:1}}, {{address: 127.0.0.1:2}}]}}").unwrap();
    }
    text.push_str("authorization_policies:\n");
    for policy in 0..count {
        writeln!(text, "- {{name: allow-{policy}, action: allow, rules: [{{methods: [GET], paths: [{{prefix: /a}}, {{prefix: /b}}]}}]}}").unwrap();
        writeln!(
            text,
            "- {{name: deny-{policy}, action: deny, rules: [{{paths: [{{prefix: /c}}, {{prefix: /d}}]}}]}}"
        )
        .unwrap();
    }
    text.push_str("rate_limits:\n");
    for limit in 0..count {
        writeln!(text, "- {{name: limit-{limit}, descriptors: [[{{constant: a{limit}, key: k}}]], local: {{limit: {{requests: {}, per: 1s}}}}}}", limit + 1).unwrap();
    }
    text.push_str("listeners:\n- name: l\n  address: 127.0.0.1:1\n  filter_chains:\n");
    for chain in 0..count.div_ceil(100) {
        writeln!(
            text,
            "  - {{match: {{source_prefixes: [10.{}.{}.0/24]}}, http: {{route_configuration: r{chain}}}}}",
            chain / 256,
            chain % 256
        )
        .unwrap();
    }
    load(&source(&text), &Environment::empty())
        .unwrap_or_else(|faults| panic!("{faults}"))
        .config
}

#[test]
fn steps_are_in_proportion() {
    let (small, large) = (find(&large(250)), find(&large(1_000)));
    assert!(small.steps() > 250 * 10, "{}", small.steps());
    let ratio = large.steps() as f64 / small.steps() as f64;
    assert!(
        ratio < 4.2,
        "four times the configuration takes {ratio} times the steps"
    );
    assert!(large.is_empty(), "{}", large.remarks()[0]);
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
