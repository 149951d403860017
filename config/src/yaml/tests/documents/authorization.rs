//! Authorization policies, for round trips.

use super::routes;
use proptest::collection::vec;
use proptest::prelude::*;

/// Fields of a condition, one or several.
fn fields() -> BoxedStrategy<String> {
    let one = prop_oneof![
        Just("always: true".to_owned()),
        Just("authenticated: true".to_owned()),
        Just("spiffe_ids: ['spiffe://a/b', 'spiffe://a/c']".to_owned()),
        Just("spiffe_prefixes: ['spiffe://a']".to_owned()),
        Just("trust_domains: [a, b]".to_owned()),
        Just("peer_names: [a, {suffix: b}, {present: true}]".to_owned()),
        Just("remote_addresses: [10.0.0.0/8, '::1']".to_owned()),
        Just("direct_addresses: [10.0.0.0/8]".to_owned()),
        Just("destination_addresses: [10.0.0.1]".to_owned()),
        Just("destination_ports: [1-9, 443]".to_owned()),
        Just("server_names: ['*.a', B.c, {regex: 'x+'}, {exact: '*.odd'}]".to_owned()),
        Just("methods: [GET, PUT]".to_owned()),
        Just("methods: [GET]".to_owned()),
        Just(
            "paths: [{path: /a}, {prefix: /b}, {string_prefix: /b}, {template: '/{c}'}, {regex: '/d+'}]"
                .to_owned()
        ),
        Just("hosts: [a, '*.b', 'c.*', '*']".to_owned()),
        routes::condition().prop_map(|list| format!("headers: {list}")),
        routes::condition().prop_map(|list| format!("query: {list}")),
        Just("headers: [{name: a, exact: b}, {name: a, exact: c}]".to_owned()),
        Just(
            "claims: [{path: a.b, exact: 'true'}, {path: ['a.b'], provider: issuer, present: true}]"
                .to_owned()
        ),
    ];
    vec(one, 1..4)
        .prop_map(|fields| {
            let mut kept: Vec<String> = Vec::new();
            for field in fields {
                let key = field.split(':').next().unwrap_or_default().to_owned() + ":";
                if kept.iter().all(|other| !other.starts_with(&key)) {
                    kept.push(field);
                }
            }
            kept.join(", ")
        })
        .boxed()
}

fn condition() -> BoxedStrategy<String> {
    let leaf = fields().prop_map(|fields| format!("{{{fields}}}"));
    leaf.prop_recursive(4, 16, 3, |inner| {
        let list = || vec(inner.clone(), 1..4).prop_map(|list| list.join(", "));
        prop_oneof![
            inner.clone().prop_map(|one| format!("{{not: {one}}}")),
            list().prop_map(|list| format!("{{any_of: [{list}]}}")),
            list().prop_map(|list| format!("{{all_of: [{list}]}}")),
            (fields(), inner.clone(), list(), list()).prop_map(|(fields, one, any, all)| {
                format!("{{any_of: [{any}], {fields}, all_of: [{all}], not: {one}}}")
            }),
        ]
    })
    .boxed()
}

/// The policies `p` and `q` of a document.
pub(super) fn lists() -> BoxedStrategy<String> {
    let action = prop_oneof![Just("allow"), Just("deny"), Just("audit")];
    (action, vec(condition(), 0..3), any::<bool>())
        .prop_map(|(action, rules, shadow)| {
            format!(
                "authorization_policies:\n- {{name: p, action: {action}, shadow: {shadow}, rules: [{}]}}\n\
                 - {{name: q, action: allow}}\n",
                rules.join(", ")
            )
        })
        .boxed()
}
