//! Listeners.

use super::check;

#[test]
fn listeners() {
    let around = |listener: &str| format!("route_configurations: [{{name: r}}]\nlisteners:\n- {listener}\n");
    let chain = "filter_chains: [{http: {route_configuration: r}}]";
    let with = |fields: &str| format!("{{name: l, address: 127.0.0.1:1, {chain}, {fields}}}");
    check(
        around,
        &[
            (
                "«{»name: l, filter_chains: [{http: {route_configuration: r}}]}",
                &["missing field `address` in listener"],
            ),
            (
                "{name: l, address: 127.0.0.1:1, filter_chains: «[»]}",
                &["this list may not be empty"],
            ),
            (
                "{name: l, address: 127.0.0.1:1, filter_chains: [«{»name: x}]}",
                &["one of `http` and `tcp` is missing in filter chain"],
            ),
        ],
    );
    check(
        |fields| around(&with(fields)),
        &[
            ("connections_max: «0»", &["0 is not between 1 and 4294967295"]),
            (
                "backlog: «2147483648»",
                &["2147483648 is not between 1 and 2147483647"],
            ),
            (
                "tcp_keepalive: {time: «0s»}",
                &["this duration may not be zero | it has no meaning as zero"],
            ),
            ("tcp_keepalive: «on»", &["expected `off` or a map, found `on`"]),
            (
                "tcp_keepalive: {probes: «200»}",
                &["200 is not between 1 and 127"],
            ),
            (
                "tcp_user_timeout: «0s»",
                &["this duration may not be zero | write `off` for no limit"],
            ),
            (
                "connection_rate_max: «5»",
                &["expected `off` or a map, found `5`"],
            ),
            (
                "connection_rate_max: «{»burst: 5}",
                &["missing field `per_second` in connection rate"],
            ),
            (
                "connection_rate_max: {per_second: «0»}",
                &["0 is not between 1 and 4294967295"],
            ),
            (
                "connection_rate_max: {per_second: 1, burst: «0»}",
                &["0 is not between 1 and 4294967295"],
            ),
            (
                "interception: «nat»",
                &["expected `off`, `redirect` or `tproxy`, found `nat`"],
            ),
            (
                "proxy_protocol: «true»",
                &["expected `off`, `optional` or `required`, found `true`"],
            ),
            (
                "proxy_protocol: «{»timeout: 1s}",
                &["missing field `mode` in downstream proxy_protocol"],
            ),
            (
                "proxy_protocol: {mode: required, timeout: «0s»}",
                &["this duration may not be zero | it has no meaning as zero"],
            ),
            (
                "proxy_protocol: {mode: required, pass_tlvs: «some»}",
                &["expected `none` or `all`, found `some`"],
            ),
            (
                "proxy_protocol: {mode: required, pass_tlvs: «{»}}",
                &["expected `none`, `all` or a list of types, found a map"],
            ),
            (
                "proxy_protocol: {mode: required, pass_tlvs: «[»]}",
                &["this list may not be empty"],
            ),
            (
                "proxy_protocol: {mode: required, pass_tlvs: [«256», «0x100», «0xZZ», «E0»]}",
                &[
                    "256 is not between 0 and 255",
                    "0x100 is not between 0 and 255",
                    "expected a type, found `0xZZ` | such as `0xE0` or `224`",
                    "expected a type, found `E0` | such as `0xE0` or `224`",
                ],
            ),
            (
                "proxy_protocol: {mode: required, pass_tlvs: [0xE0, «224»]}",
                &["a second type `0xE0` | the first stands at 3:131"],
            ),
        ],
    );
    check(
        |second| around(&format!("{}\n- {second}", with(""))),
        &[
            (
                "{name: «l», address: 127.0.0.1:2, filter_chains: [{http: {route_configuration: r}}]}",
                &["a second listener `l` | the first stands at 3:10"],
            ),
            (
                "{name: m, address: «127.0.0.1:1», filter_chains: [{http: {route_configuration: r}}]}",
                &["a second listener with the address `127.0.0.1:1` | the first stands at 3:22"],
            ),
            (
                "{name: m, address: «127.0.0.1:9901», filter_chains: [{http: {route_configuration: r}}]}",
                &["the admin endpoint listens on 127.0.0.1:9901 | choose another port"],
            ),
        ],
    );
}
