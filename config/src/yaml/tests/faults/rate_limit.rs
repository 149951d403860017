//! Rate limits, and where they apply.

use super::super::{with_chain, with_http, with_route};
use super::check;

fn with_limit(limit: &str) -> String {
    format!("clusters: [{{name: c}}, {{name: h2, protocol: http2}}]\nrate_limits:\n- {limit}\n")
}

#[test]
fn limits() {
    check(
        with_limit,
        &[
            (
                "«{»name: m}",
                &["one of `local` and `global` is missing in rate limit"],
            ),
            (
                "{name: m, local: «{»}}",
                &["missing field `limit` in local rate limit"],
            ),
            (
                "{name: m, local: {limit: {requests: «0», per: «999us», burst: «0»}, keys_max: «0»}}",
                &[
                    "0 is not between 1 and 4294967295",
                    "an interval of 999µs; the shortest is 1ms",
                    "0 is not between 1 and 4294967295",
                    "0 is not between 1 and 10000000",
                ],
            ),
            (
                "{name: m, local: {«token_bucket»: {}, limit: {«max_tokens»: 7, requests: 7}}}",
                &[
                    "unknown field `token_bucket` in local rate limit | did you mean `limit`?",
                    "unknown field `max_tokens` in bucket | did you mean `burst`?",
                ],
            ),
            (
                "{name: m, status: «200», grpc_status: «internal», local: {limit: {requests: 1}}}",
                &[
                    "200 is not between 400 and 599",
                    "expected `unavailable` or `resource_exhausted`, found `internal`",
                ],
            ),
            (
                "{name: m, descriptors: «[»[path], [host]], local: {limit: {requests: 1}}}",
                &[
                    "a local limit with 2 descriptors | write a limit for each, and name them all where they apply",
                ],
            ),
            (
                "{name: m, descriptors: [[method]], local: {limit: {requests: 1}, overrides: [{values: {«path»: /}, limit: \
                 {requests: 2}}, {values: «{»}, limit: {requests: 1}}]}}",
                &[
                    "the descriptor has no part with the key `path` | it has `method`",
                    "this overrides every value | change `limit` itself",
                ],
            ),
            (
                "{name: m, local: {limit: {requests: 1}}}\n- {name: «m», local: {limit: {requests: 1}}}",
                &["a second rate limit `m` | the first stands at 3:10"],
            ),
        ],
    );
}

#[test]
fn descriptors() {
    check(
        |parts| {
            with_limit(&format!(
                "{{name: m, descriptors: [[{parts}]], local: {{limit: {{requests: 1}}}}}}"
            ))
        },
        &[
            (
                "«address»",
                &[
                    "expected `remote_address`, `path_template`, `path`, `method`, `host`, `source_identity`, `route` or \
                     `virtual_host`, found `address` | did you mean `remote_address`?",
                ],
            ),
            (
                "path, «path»",
                &["a second part with the key `path` | the first stands at 3:28"],
            ),
            (
                "{header: x, «query»: y}",
                &[
                    "`header` and `query` exclude each other | give exactly one of `constant`, `remote_address`, `header`, \
                     `query`, `path_template`, `path`, `method`, `host`, `source_identity`, `claim`, `route` and \
                     `virtual_host`",
                ],
            ),
            (
                "{remote_address: {v4_prefix: «33», v6_prefix: «129»}}",
                &["33 is not between 0 and 32", "129 is not between 0 and 128"],
            ),
            (
                "{method: «false»}",
                &["`method: false` matches nothing | write `not: {method: true}`"],
            ),
            (
                "{header: x, «provider»: «p»}",
                &["`provider` without `claim`", "no JWT provider is named `p`"],
            ),
            (
                "{claim: «a..b»}",
                &["a key of a claim may not be empty | a key that holds a dot stands in a list: `[a.b]`"],
            ),
        ],
    );
}

#[test]
fn services() {
    check(
        with_limit,
        &[
            (
                "«{»name: m, global: {cluster: h2, domain: d}}\n- {name: n, descriptors: «[»[path], []], global: {cluster: h2, domain: d}}",
                &[
                    "a global limit asks by descriptors, and one is empty | such as `descriptors: [[remote_address]]`",
                    "a global limit asks by descriptors, and one is empty | such as `descriptors: [[remote_address]]`",
                ],
            ),
            (
                "«{»name: m, descriptors: [[path]], global: {cluster: c, domain: d}}",
                &[
                    "the rate limit `m` asks the cluster `c` over gRPC, which speaks HTTP/1 | give the cluster `protocol: http2`",
                ],
            ),
            (
                "{name: m, descriptors: [[path]], global: {cluster: «d», domain: «''», timeout: «0s»}}",
                &[
                    "no cluster is named `d`",
                    "this text has 1 to 256 bytes",
                    "this duration may not be zero | it has no meaning as zero",
                ],
            ),
        ],
    );
}

#[test]
fn references() {
    let message = "no rate limit is named `m`";
    check(with_http, &[("rate_limits: [«m»]", &[message])]);
    check(
        with_chain,
        &[("tcp: {cluster: a, rate_limits: [«m»]}", &[message])],
    );
    check(
        |route| with_route(route) + "rate_limits: [{name: m, local: {limit: {requests: 1}}}]\n",
        &[
            (
                "{match: {prefix: /}, forward: {cluster: a}, rate_limits: [m, «m»]}",
                &["a second reference to the rate limit `m` | the first stands at 9:65"],
            ),
            (
                "{match: {prefix: /}, forward: {cluster: a, «rate_limits»: [m]}}",
                &[
                    "unknown field `rate_limits` in forward | it stands in `http`, in `tcp`, in a virtual host or in a route",
                ],
            ),
        ],
    );
}
