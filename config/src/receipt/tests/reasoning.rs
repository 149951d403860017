//! Which rules follow from which: only what is certain.

use super::of;

/// A document with an ALLOW policy and a DENY policy on one chain whose clients have identities.
fn policies(allow: &str, deny: &str) -> String {
    format!(
        "trust_bundles: [{{name: b, file: ca.pem}}]
authorization_policies:
- {{name: allow, action: allow, rules: [{allow}]}}
- {{name: deny, action: deny, rules: [{deny}]}}
listeners:
- name: l
  address: 127.0.0.1:1
  filter_chains:
  - authorization: [allow, deny]
    tls: {{certificates: [{{certificate_file: a, private_key_file: b}}], client: {{trust_bundle: b}}}}
    http: {{route_configuration: r}}
route_configurations:
- name: r
  virtual_hosts: [{{name: v, domains: ['*'], routes: [{{match: {{prefix: /}}, direct_response: {{status: 200}}}}]}}]
"
    )
}

fn covered(allow: &str, deny: &str) -> bool {
    let receipt = of(&policies(allow, deny));
    let codes: Vec<&str> = receipt
        .remarks()
        .iter()
        .filter_map(|remark| Some(remark.code()?.as_str()))
        .collect();
    match codes[..] {
        [] => false,
        ["allow-always-denied"] => true,
        _ => panic!("{allow} / {deny}: {:?}", receipt.remarks()),
    }
}

#[test]
fn what_certainly_follows_is_seen() {
    for (allow, deny) in [
        ("{methods: [GET]}", "{methods: [GET, PUT]}"),
        ("{methods: [GET, PUT]}", "{methods: [GET]}, {methods: [PUT]}"),
        ("{methods: [GET], paths: [{prefix: /a}]}", "{methods: [GET]}"),
        ("{paths: [{path: /a/b}]}", "{paths: [{prefix: /a}]}"),
        (
            "{paths: [{prefix: /a/b}, {prefix: /a/c}]}",
            "{paths: [{prefix: /a/}]}",
        ),
        ("{paths: [{path: /a7}]}", "{paths: [{regex: '/a[0-9]'}]}"),
        ("{paths: [{prefix: /ab}]}", "{paths: [{string_prefix: /a}]}"),
        ("{spiffe_ids: ['spiffe://t/a']}", "{trust_domains: [t]}"),
        (
            "{spiffe_prefixes: ['spiffe://t/a/b']}",
            "{spiffe_prefixes: ['spiffe://t/a']}",
        ),
        ("{trust_domains: [t]}", "{authenticated: true}"),
        (
            "{direct_addresses: [10.1.0.0/16]}",
            "{direct_addresses: [10.0.0.0/8]}",
        ),
        (
            "{remote_addresses: ['2001:db8::1/128']}",
            "{remote_addresses: ['2001:db8::/32']}",
        ),
        ("{destination_ports: [81]}", "{destination_ports: [80-90]}"),
        ("{hosts: [a.example.org]}", "{hosts: ['*.example.org']}"),
        ("{hosts: ['*.a.example.org']}", "{hosts: ['*.example.org', b]}"),
        (
            "{headers: [{name: x, exact: abc}]}",
            "{headers: [{name: x, present: true}]}",
        ),
        (
            "{headers: [{name: x, exact: abc}]}",
            "{headers: [{name: x, contains: b}]}",
        ),
        (
            "{headers: [{name: x, suffix: bc}]}",
            "{headers: [{name: x, suffix: c}]}",
        ),
        ("{not: {methods: [GET, PUT]}}", "{not: {methods: [GET]}}"),
        ("{methods: [GET]}", "{always: true}"),
        ("{always: true}", "{always: true}"),
    ] {
        assert!(covered(allow, deny), "{allow} / {deny}");
    }
}

#[test]
fn what_may_differ_is_passed_over() {
    for (allow, deny) in [
        ("{methods: [GET, PUT]}", "{methods: [GET]}"),
        ("{methods: [GET]}", "{methods: [GET], paths: [{prefix: /a}]}"),
        ("{paths: [{prefix: /a}]}", "{paths: [{path: /a}]}"),
        ("{paths: [{prefix: /ab}]}", "{paths: [{prefix: /a}]}"),
        ("{paths: [{string_prefix: /a}]}", "{paths: [{prefix: /a}]}"),
        ("{paths: [{regex: /a}]}", "{paths: [{path: /a}]}"),
        ("{spiffe_ids: ['spiffe://t/a']}", "{trust_domains: [u]}"),
        (
            "{spiffe_prefixes: ['spiffe://t/a']}",
            "{spiffe_ids: ['spiffe://t/a']}",
        ),
        ("{authenticated: true}", "{trust_domains: [t]}"),
        (
            "{direct_addresses: [10.0.0.0/8]}",
            "{direct_addresses: [10.1.0.0/16]}",
        ),
        (
            "{direct_addresses: [10.1.0.0/16]}",
            "{remote_addresses: [10.0.0.0/8]}",
        ),
        ("{destination_ports: [79-81]}", "{destination_ports: [80-90]}"),
        ("{hosts: [example.org]}", "{hosts: ['*.example.org']}"),
        ("{hosts: ['*.example.org']}", "{hosts: ['*.a.example.org']}"),
        (
            "{headers: [{name: x, exact: abc}]}",
            "{headers: [{name: y, exact: abc}]}",
        ),
        (
            "{headers: [{name: x, contains: b}]}",
            "{headers: [{name: x, exact: b}]}",
        ),
        ("{not: {methods: [GET]}}", "{not: {methods: [GET, PUT]}}"),
        (
            "{not: {headers: [{name: x, exact: a}]}}",
            "{headers: [{name: x, exact: b}]}",
        ),
        ("{always: true}", "{paths: [{prefix: /}]}"),
    ] {
        assert!(!covered(allow, deny), "{allow} / {deny}");
    }
}

/// Routes that are shared by chains of which one would do: nothing is certain.
#[test]
fn one_chain_for_which_it_matters_is_enough() {
    let two = |routes: &str| {
        format!(
            "listeners:
- name: one
  address: 127.0.0.1:1
  filter_chains: [{{http: {{route_configuration: r}}}}]
- name: two
  address: 127.0.0.1:2
  filter_chains:
  - tls: {{certificates: [{{certificate_file: a, private_key_file: b}}], client: {{ca_file: c}}}}
    http: {{route_configuration: r, stream_idle_timeout: off}}
clusters: [{{name: c, endpoints: [{{address: 127.0.0.1:3}}]}}]
route_configurations:
- {{name: r, virtual_hosts: [{{name: v, domains: ['*'], https_redirect: true, hsts: {{max_age: 1h}}, routes: [{routes}]}}]}}
"
        )
    };
    for route in [
        "{match: {prefix: /, source_identities: [{trust_domain: t}]}, forward: {cluster: c}}",
        "{match: {prefix: /}, forward: {cluster: c, timeout: 10m}}",
        "{match: {prefix: /}, forward: {cluster: c, timeout: 10s, stream_idle_timeout: 20s}}",
        "{match: {prefix: /}, forward: {cluster: c, retry: {retry_on: [reset], hedging: {after: 20s}}}}",
    ] {
        let receipt = of(&two(route));
        assert!(receipt.is_empty(), "{route}: {}", receipt.remarks()[0]);
    }
}
