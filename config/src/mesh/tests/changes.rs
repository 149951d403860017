//! What another version of a mesh changes.

use super::*;

const BEFORE: &str = "
defaults: {trust_domain: example.org, timeout: 5s}
services:
- {name: shop/web, ports: [{port: 80}], uses: [shop/catalog], sidecar: {}}
- {name: shop/catalog, ports: [{port: 80}], endpoints: [{address: 127.0.0.1:80}], sidecar: {}}
gateways:
- {name: edge/public, listeners: [{name: l, address: 127.0.0.1:2, tcp: {service: shop/web}}]}
authorization_policies: [{name: shop/a, action: deny}]
";

fn changes(after: &str) -> Vec<String> {
    let (before, after) = (
        read(BEFORE).unwrap(),
        read(after).unwrap_or_else(|faults| panic!("{faults}")),
    );
    before.changes(&after).iter().map(ToString::to_string).collect()
}

#[test]
fn the_same_in_another_order_and_place_changes_nothing() {
    let same = "
authorization_policies: [{action: deny, name: shop/a}]
gateways:
- listeners:
  - tcp: {service: shop/web}
    name: l
    address: 127.0.0.1:2
  name: edge/public
defaults: {timeout: 5s, trust_domain: example.org} # said elsewhere
services:
- {name: shop/catalog, ports: [{port: 80}], endpoints: [{address: 127.0.0.1:80}], sidecar: {}}
- {name: shop/web, ports: [{port: 80}], uses: [shop/catalog], sidecar: {}}
";
    assert_eq!(changes(same), Vec::<String>::new());
}

#[test]
fn what_comes_goes_and_changes_is_named() {
    let after = BEFORE
        .replace("timeout: 5s", "timeout: 6s")
        .replace(
            "address: 127.0.0.1:80}]",
            "address: 127.0.0.1:80}, {address: 127.0.0.2:80}], hosts: [c]",
        )
        .replace("authorization_policies: [{name: shop/a, action: deny}]", "")
        + "rate_limits: [{name: shop/b, local: {limit: {requests: 1, per: 1s}}}]\n\
           nodes: [{name: web-1, service: shop/web, sidecar: {}}]\n";
    assert_eq!(
        changes(&after),
        [
            "~ defaults: timeout",
            "~ service shop/catalog: endpoints, hosts",
            "+ node web-1",
            "- authorization policy shop/a",
            "+ rate limit shop/b",
        ]
    );
}

#[test]
fn a_number_in_quotes_is_another_value() {
    assert_eq!(
        changes(&BEFORE.replace("[shop/catalog]", "['shop/catalog']")),
        ["~ service shop/web: uses"]
    );
}

#[test]
fn changes_tell_the_namespaces_that_they_are_in() {
    let nodes = "nodes: [{name: web-1, service: shop/web, sidecar: {}}]\n";
    let (before, after) = (
        read(&format!("{BEFORE}{nodes}")).unwrap(),
        read(
            &format!(
                "{}{}",
                BEFORE.replace("timeout: 5s", "timeout: 6s"),
                nodes.replace("shop/web", "bank/vault")
            )
            .replace(
                "gateways:",
                "- {name: bank/vault, ports: [{port: 80}], sidecar: {}}\ngateways:",
            ),
        )
        .unwrap_or_else(|faults| panic!("{faults}")),
    );
    let found: Vec<String> = before
        .changes(&after)
        .iter()
        .map(|change| format!("{change} in {}", change.namespaces.join(" and ")))
        .collect();
    assert_eq!(
        found,
        [
            "~ defaults: timeout in ",
            "+ service bank/vault in bank",
            "~ node web-1: service in shop and bank",
        ]
    );
}
