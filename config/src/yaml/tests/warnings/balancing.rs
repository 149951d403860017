//! Hashes that nothing asks for, subsets that are not there, settings without effect.

use super::super::{valid, with_chain, with_cluster, with_route};

fn warnings(text: &str) -> Vec<String> {
    let found = valid(text).warnings;
    let messages = found.iter().map(|warning| warning.message().to_owned());
    messages
        .filter(|message| !message.starts_with("nothing uses"))
        .collect()
}

const NONE: [&str; 0] = [];

#[test]
fn hashes() {
    let document = |cluster: &str, forward: &str| {
        with_route(&format!(
            "{{match: {{prefix: /}}, forward: {{cluster: a, {forward}}}}}"
        ))
        .replace("{name: a}", &format!("{{name: a, {cluster}}}"))
    };
    assert_eq!(
        warnings(&document("load_balancing: maglev", "hash_policy: [{header: x}]")),
        NONE
    );
    assert_eq!(
        warnings(&document("load_balancing: ring_hash", "")),
        ["the route `v/0` has no `hash_policy`: the cluster `a`, which picks by hash, picks at random"]
    );
    assert_eq!(
        warnings(&document("load_balancing: random", "hash_policy: [{header: x}]")),
        ["`hash_policy` of the route `v/0` has no effect: no cluster that it sends to picks by hash"]
    );
    let tcp = |cluster: &str, tcp: &str| {
        with_chain(&format!("tcp: {{cluster: a, {tcp}}}"))
            .replace("{name: a}", &format!("{{name: a, {cluster}}}"))
            .replace("route_configurations: [{name: r}]\n", "")
    };
    assert_eq!(
        warnings(&tcp("load_balancing: maglev", "hash_source_address: true")),
        NONE
    );
    assert_eq!(
        warnings(&tcp("load_balancing: maglev", "")),
        [
            "the filter chain `chain-0` has no `hash_source_address`: the cluster `a`, which picks by hash, picks at \
             random"
        ]
    );
    assert_eq!(
        warnings(&tcp("", "hash_source_address: true")),
        [
            "`hash_source_address` of the filter chain `chain-0` has no effect: no cluster that it sends to picks by hash"
        ]
    );
    assert_eq!(
        warnings(&document(
            "load_balancing: maglev",
            "hash_policy: [{cookie: {name: at, path: /}}]"
        )),
        ["`path` has no effect: without `ttl` no cookie is given"]
    );
}

#[test]
fn subsets_without_a_selector() {
    let document = |subset: &str| {
        with_route(&format!(
            "{{match: {{prefix: /}}, forward: {{cluster: a, subset: {subset}}}}}"
        ))
        .replace(
            "{name: a}",
            "{name: a, subsets: {selectors: [[stage, version], [stage]]}}",
        )
    };
    assert_eq!(warnings(&document("{version: 1, stage: prod}")), NONE);
    assert_eq!(
        warnings(&document("{version: 1}")),
        [
            "the route `v/0` asks for a subset by `version`, and no selector of the cluster `a` has just these keys"
        ]
    );
    assert_eq!(warnings(&document("{}")), ["an empty `subset` is every endpoint"]);
}

#[test]
fn settings_of_clusters() {
    let cluster = |fields: &str| warnings(&with_cluster(&format!("{{name: c, {fields}}}")));
    assert_eq!(cluster("slow_start: {window: 1s}"), NONE);
    assert_eq!(
        cluster("slow_start: {window: 1s}, load_balancing: maglev"),
        ["`slow_start` has no effect: the hash says which endpoint is picked"]
    );
    assert_eq!(
        cluster("locality_weights: [{locality: a, weight: 1}]"),
        ["`locality_weights` has no effect: localities are not picked by weight"]
    );
    assert_eq!(
        cluster("panic_threshold: 0, discovery: {type: logical_dns, names: [{host: a, port: 1}]}"),
        ["`panic_threshold` has no effect: the name is one endpoint"]
    );
}
