//! Clusters and endpoints.

use super::super::with_cluster;
use super::check;

#[test]
fn clusters() {
    check(
        |fields| with_cluster(&format!("{{name: a, {fields}}}")),
        &[
            (
                "load_balancing: «round-robin»",
                &[
                    "expected `round_robin`, `random`, `least_request`, `peak_ewma`, `ring_hash` or `maglev`, found `round-robin` | did you mean \
                   `round_robin`?",
                ],
            ),
            (
                "protocol: «auto»",
                &[
                    "`protocol: auto` without `tls` | the version is settled by ALPN: give the cluster `tls`, or write `http1` or `http2`",
                ],
            ),
            (
                "protocol: «http3»",
                &["expected `http1`, `http2` or `auto`, found `http3` | not implemented: HTTP/3"],
            ),
            (
                "connect_timeout: «0s»",
                &["this duration may not be zero | it has no meaning as zero"],
            ),
            (
                "connect_timeout: «-5s»",
                &["expected a duration, found `-5s` | such as `15s`, `250ms`, `5m`"],
            ),
            (
                "pool: {idle_timeout: «0s»}",
                &["this duration may not be zero | it has no meaning as zero"],
            ),
            (
                "pool: {requests_per_connection_max: «0»}",
                &["0 is not between 1 and 4294967295"],
            ),
            (
                "http2: {keepalive_timeout: «off»}",
                &["expected a duration, found `off` | such as `15s`, `250ms`, `5m`"],
            ),
            (
                "response_headers_bytes_max: «9MiB»",
                &["9437184 is not between 1 and 8388608"],
            ),
            (
                "proxy_protocol: «v3»",
                &["expected `off`, `v1` or `v2`, found `v3` | did you mean `v1`?"],
            ),
            (
                "proxy_protocol: «{»pass_tlvs: all}",
                &["missing field `version` in upstream proxy_protocol"],
            ),
            (
                "proxy_protocol: {version: v1, «pass_tlvs»: [1]}",
                &["`pass_tlvs` with version 1, which has no such fields | write `version: v2`, or remove it"],
            ),
            (
                "«health_checks»: []",
                &["unknown field `health_checks` in cluster | did you mean `health_check`?"],
            ),
            (
                "circuit_breakers: {«thresholds»: [], default: {«max_connections»: 7, pending_max: «0»}, endpoint: \
                 {requests_max: «0»}}",
                &[
                    "unknown field `thresholds` in circuit breakers | write `default` and `high`, for each priority of routes",
                    "unknown field `max_connections` in breaker thresholds | did you mean `connections_max`?",
                    "0 is not between 1 and 4294967295",
                    "0 is not between 1 and 4294967295",
                ],
            ),
            (
                "retry_budget: {«budget_percent»: 7, percent: «101»}",
                &[
                    "unknown field `budget_percent` in retry budget | did you mean `percent`?",
                    "101 is not between 0 and 100",
                ],
            ),
            (
                "adaptive_concurrency: «{»concurrency_min: 7, concurrency_max: 6}",
                &["a limit of at least 7 and at most 6"],
            ),
            (
                "adaptive_concurrency: {quantile: «100»}",
                &["100 is not between 1 and 99"],
            ),
        ],
    );
}

#[test]
fn endpoints() {
    check(
        |endpoints| with_cluster(&format!("{{name: a, endpoints: {endpoints}}}")),
        &[
            ("«127.0.0.1:1»", &["expected a list, found `127.0.0.1:1`"]),
            (
                "[«127.0.0.1:1»]",
                &["expected a map (endpoint), found `127.0.0.1:1`"],
            ),
            ("[{address: «127.0.0.1:0»}]", &["an endpoint needs a port"]),
            (
                "[{address: «0.0.0.0:80»}]",
                &["0.0.0.0 is not the address of an endpoint | `127.0.0.1` is this host"],
            ),
            (
                "[{address: «backend:80»}]",
                &[
                    "expected an IP address and a port, found `backend:80` | names are resolved by `discovery: {type: strict_dns, names: [{host: backend, port: 80}]}`",
                ],
            ),
            (
                "[{address: 127.0.0.1:1}, {address: «127.0.0.1:1»}]",
                &["a second endpoint `127.0.0.1:1` | the first stands at 2:35"],
            ),
            (
                "[{address: 127.0.0.1:1, weight: «0»}]",
                &["0 is not between 1 and 4294967295"],
            ),
            (
                "«[»{address: 127.0.0.1:1, weight: 4294967295}, {address: 127.0.0.1:2}]",
                &["the weights sum to 4294967296, more than 4294967295"],
            ),
            (
                "[{address: 127.0.0.1:1, metadata: {a: «[»]}}]",
                &["expected a text, found a list"],
            ),
            (
                "[{address: 127.0.0.1:1, «hostname»: a}]",
                &[
                    "unknown field `hostname` in endpoint | it may have `address`, `weight`, `metadata`, `locality`, `priority` and `status`",
                ],
            ),
        ],
    );
}
