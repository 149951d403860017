//! Retries, hedging, hash policies, subsets and hint peers.

use super::super::{with_chain, with_http, with_route};
use super::check;

fn with_forward(fields: &str) -> String {
    with_route(&format!(
        "{{match: {{prefix: /}}, forward: {{cluster: a, {fields}}}}}"
    ))
}

#[test]
fn retries() {
    check(
        |retry| with_forward(&format!("retry: {retry}")),
        &[
            ("«on»", &["expected `off` or a map (retry), found `on`"]),
            (
                "{retry_on: «'5xx,reset'»}",
                &["expected a list, found `5xx,reset` | write `retry_on: [5xx, reset]`"],
            ),
            (
                "{retry_on: [5xx, «rest», «5xx»]}",
                &[
                    "expected `5xx`, `gateway-error`, `reset`, `reset-before-request`, `connect-failure`, `refused-stream`, \
                     `retriable-4xx`, `retriable-status-codes`, `retriable-headers`, `envoy-ratelimited`, `cancelled`, \
                     `deadline-exceeded`, `internal`, `resource-exhausted` or `unavailable`, found `rest` | did you mean \
                     `reset`?",
                    "a second condition `5xx` | the first stands at 9:69",
                ],
            ),
            (
                "{retry_on: [5xx], «num_retries»: 2}",
                &["unknown field `num_retries` in retry | did you mean `retries_max`?"],
            ),
            (
                "{retry_on: [5xx], retries_max: «0»}",
                &["0 is not between 1 and 100"],
            ),
            (
                "{retry_on: [5xx], per_try_timeout: «0s»}",
                &["this duration may not be zero | write `off` for no limit"],
            ),
            (
                "{retry_on: [5xx], backoff: {base: 1s, max: «250ms»}}",
                &["the longest backoff, 250ms, is shorter than its base, 1s"],
            ),
            (
                "{retry_on: «[»retriable-status-codes]}",
                &[
                    "`retriable-status-codes` in `retry_on` without `retriable_status_codes` | write \
                     `retriable_status_codes: […]`",
                ],
            ),
            (
                "{retry_on: «[»retriable-headers], retriable_headers: []}",
                &[
                    "`retriable-headers` in `retry_on` without `retriable_headers` | write `retriable_headers: […]`",
                ],
            ),
            (
                "{retry_on: [retriable-status-codes], retriable_status_codes: [409, «409», «99»]}",
                &[
                    "a second status `409` | the first stands at 9:119",
                    "99 is not between 200 and 599",
                ],
            ),
            (
                "{retry_on: [5xx], idempotent: «yes»}",
                &["expected `by_method` or `declared`, found `yes`"],
            ),
            (
                "{retry_on: [5xx], idempotent: {header: «'a b'»}}",
                &["`a b` is not a header name"],
            ),
            (
                "{retry_on: [5xx], idempotent: «[»]}",
                &["expected `by_method`, `declared` or `{header: idempotency-key}`, found a list"],
            ),
        ],
    );
}

#[test]
fn hedging() {
    check(
        |hedging| with_forward(&format!("retry: {{hedging: {hedging}}}")),
        &[
            ("«{»}", &["missing field `after` in hedging"]),
            ("{after: «0s»}", &["this duration may not be zero"]),
            (
                "{after: «soon»}",
                &["expected a duration, found `soon` | such as `15s`, `250ms`, `5m`"],
            ),
            (
                "«{»after: per_try_timeout}",
                &["hedging after `per_try_timeout`, and there is none | write `per_try_timeout: 500ms`"],
            ),
            (
                "{after: {quantile: «100»}}",
                &["a quantile lies above 0 and below 100"],
            ),
            (
                "{after: {quantile: «99.9999»}}",
                &["a quantile has at most three digits after the point"],
            ),
            (
                "{after: 1s, hedges_max: «11», extra_load_max: «0»}",
                &[
                    "11 is not 1: nothing else is supported",
                    "0 is not between 1 and 100",
                ],
            ),
        ],
    );
}

#[test]
fn hash_policies_and_subsets() {
    check(
        with_forward,
        &[
            (
                "hash_policy: [«{»}]",
                &["one of `header`, `cookie`, `source_address` and `query` is missing in hash policy"],
            ),
            (
                "hash_policy: [{header: x, «query»: y}]",
                &[
                    "`header` and `query` exclude each other | give exactly one of `header`, `cookie`, `source_address` and \
                     `query`",
                ],
            ),
            (
                "hash_policy: [{source_address: «false»}]",
                &["`source_address: false` matches nothing | write `not: {source_address: true}`"],
            ),
            (
                "hash_policy: [{cookie: {name: «'a b'», ttl: «1ms»}}, {query: «''»}]",
                &[
                    "`a b` is not the name of a cookie | it has 1 to 64 letters, digits and signs, no space and no `=`",
                    "`ttl` is counted in whole seconds",
                    "a parameter's name may not be empty",
                ],
            ),
            ("priority: «low»", &["expected `default` or `high`, found `low`"]),
            ("subset: {version: «[»1]}", &["expected a text, found a list"]),
        ],
    );
    check(
        |forward| {
            with_route(&format!("{{match: {{prefix: /}}, forward: {{{forward}}}}}"))
                .replace("{name: a}", "{name: a, subsets: {selectors: [[v]]}}")
        },
        &[
            (
                "weighted_clusters: [{cluster: a, weight: 1}], «subset»: {v: 1}",
                &["`subset` without `cluster` | give each of the `weighted_clusters` its own"],
            ),
            (
                "weighted_clusters: [{cluster: a, weight: 1, subset: {v: 1}}, {cluster: a, weight: 1, subset: {v: 2}}, \
                 {cluster: «a», weight: 1, subset: {v: 1}}]",
                &["a second share of the cluster `a {v: 1}` | the first stands at 9:68"],
            ),
        ],
    );
    check(
        |tcp| with_chain(&format!("tcp: {{cluster: a, {tcp}}}")),
        &[(
            "hash_source_address: «maybe»",
            &["expected true or false, found `maybe`"],
        )],
    );
}

#[test]
fn hint_peers() {
    check(
        with_http,
        &[
            (
                "hint_peers: {authenticated: false, identities: [{spiffe_id: «spiffe://a»}], addresses: [«10.0.0.1/8»]}",
                &[
                    "`spiffe://a` names no workload: it has no path | write `trust_domain: a` for all of them",
                    "`10.0.0.1/8` has bits set beyond its prefix length | did you mean `10.0.0.0/8`?",
                ],
            ),
            (
                "request_timeout: «0s»",
                &["this duration may not be zero | write `off` for no limit"],
            ),
        ],
    );
}
