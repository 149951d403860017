//! Balancing, localities, priorities and subsets.

use super::super::{with_chain, with_cluster, with_route};
use super::check;

#[test]
fn policies() {
    check(
        |fields| with_cluster(&format!("{{name: c, {fields}}}")),
        &[
            (
                "load_balancing: «ROUND_ROBIN»",
                &[
                    "expected `round_robin`, `random`, `least_request`, `peak_ewma`, `ring_hash` or `maglev`, found \
                     `ROUND_ROBIN` | did you mean `round_robin`?",
                ],
            ),
            (
                "«lb_policy»: random",
                &["unknown field `lb_policy` in cluster | did you mean `load_balancing`?"],
            ),
            (
                "«maglev»: {}",
                &["unknown field `maglev` in cluster | write it in `load_balancing`"],
            ),
            (
                "load_balancing: {maglev: {table_size: «65536»}}",
                &["65536 is not a prime | such as 65537"],
            ),
            (
                "load_balancing: {ring_hash: {size_min: «9000000»}}",
                &["9000000 is not between 1 and 8388608"],
            ),
            (
                "load_balancing: {ring_hash: {size_min: «9», size_max: 8}}",
                &["a ring of at least 9 and at most 8 points"],
            ),
            (
                "load_balancing: {least_request: {choices: «1»}, «peak_ewma»: {decay: «0s»}}",
                &[
                    "1 is not between 2 and 100",
                    "`least_request` and `peak_ewma` exclude each other | give exactly one of `least_request`, `peak_ewma`, \
                     `ring_hash` and `maglev`",
                    "this duration may not be zero | it has no meaning as zero",
                ],
            ),
            (
                "slow_start: {window: 1s, aggression: «0», weight_min: «0»}",
                &[
                    "expected a number above 0, at most 100, found `0` | such as `1.0`",
                    "0 is not between 1 and 100",
                ],
            ),
            (
                "slow_start: {window: 1s, aggression: «inf»}",
                &["expected a number above 0, at most 100, found `inf` | such as `1.0`"],
            ),
            (
                "overprovisioning_factor: «99», panic_threshold: «101»",
                &["99 is not between 100 and 1000", "101 is not between 0 and 100"],
            ),
        ],
    );
}

#[test]
fn localities_and_priorities() {
    check(
        |fields| with_cluster(&format!("{{name: c, {fields}}}")),
        &[
            (
                "endpoints: «[»{address: '127.0.0.1:1', priority: 2}]",
                &["no endpoint has the priority 0, and some have 2 | priorities count from 0 without a gap"],
            ),
            (
                "endpoints: «[»{address: '127.0.0.1:1'}, {address: '127.0.0.1:2', priority: 2}]",
                &["no endpoint has the priority 1, and some have 2 | priorities count from 0 without a gap"],
            ),
            (
                "endpoints: [{address: '127.0.0.1:1', locality: «a/b/c/d», status: «sick»}]",
                &[
                    "expected a locality, found `a/b/c/d` | such as `region/zone` or `region/zone/sub_zone`; parts that hold a \
                     slash stand in a map",
                    "expected `healthy`, `draining`, `unhealthy` or `degraded`, found `sick`",
                ],
            ),
            (
                "endpoints: [{address: '127.0.0.1:1', locality: «{»}}]",
                &["one of `region`, `zone` and `sub_zone` is missing in locality"],
            ),
            (
                "locality_balancing: weighted, locality_weights: [{locality: a, weight: 1}, {locality: «a/», weight: 2}]",
                &["a second weight of the locality `a in priority 0` | the first stands at 2:73"],
            ),
            (
                "locality_balancing: «zone_aware»",
                &["expected `off` or `weighted`, found `zone_aware`"],
            ),
        ],
    );
    check(
        with_cluster,
        &[
            (
                "{name: c, locality_balancing: {zone_aware: {local_cluster: «d»}}}\nruntime: {locality: r/z}",
                &["no cluster is named `d`"],
            ),
            (
                "«{»name: c, locality_balancing: {zone_aware: {local_cluster: c}}}",
                &[
                    "the cluster `c` is balanced by zones, and this proxy's own is not known | write it: `runtime: {locality: \
                 region/zone}`",
                ],
            ),
        ],
    );
}

#[test]
fn subsets() {
    check(
        |subsets| with_cluster(&format!("{{name: c, subsets: {subsets}}}")),
        &[
            ("«{»}", &["missing field `selectors` in subsets"]),
            ("{selectors: «[»]}", &["this list may not be empty"]),
            ("{selectors: [«[»]]}", &["this list may not be empty"]),
            (
                "{selectors: [[a, b], «[»b, a], [a, «a»]]}",
                &[
                    "a second selector of `a, b` | the first stands at 2:35",
                    "a second key `a` | the first stands at 2:52",
                ],
            ),
            (
                "{selectors: [[a]], fallback: «all»}",
                &["expected `none` or `any`, found `all`"],
            ),
            (
                "{selectors: [[a]], fallback: «{»}}",
                &["missing field `default` in subset fallback"],
            ),
        ],
    );
    let message = "asks for a subset of the cluster `a`, which has none | give the cluster `subsets: {selectors: [[v]]}`";
    check(
        with_route,
        &[(
            "«{»match: {prefix: /}, forward: {cluster: a, subset: {v: 1}}}",
            &[&format!("the route `v/0` {message}")],
        )],
    );
    check(
        with_chain,
        &[(
            "«{»tcp: {cluster: a, subset: {v: 1}}}",
            &[&format!("the filter chain `chain-0` {message}")],
        )],
    );
}
