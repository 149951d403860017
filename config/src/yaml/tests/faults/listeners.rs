//! Listeners, filter chains, TLS, HTTP options, access logs.

use super::super::{with_chain, with_http};
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
                &["missing field `http` in filter chain"],
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
                "«proxy_protocol»: true",
                &["unknown field `proxy_protocol` in listener | not implemented: the PROXY protocol"],
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

#[test]
fn chain_matches() {
    let tls = "tls: {certificates: [{certificate_file: c, private_key_file: k}]}";
    let plain = |matches: &str| {
        with_chain(&format!(
            "{{match: {{{matches}}}, http: {{route_configuration: r}}}}"
        ))
    };
    let secure = |matches: &str| {
        with_chain(&format!(
            "{{match: {{{matches}}}, {tls}, http: {{route_configuration: r}}}}"
        ))
    };
    check(
        plain,
        &[
            ("destination_port: «0»", &["0 is not between 1 and 65535"]),
            (
                "source_prefixes: [«10.0.0.1/8»]",
                &["`10.0.0.1/8` has bits set beyond its prefix length | did you mean `10.0.0.0/8`?"],
            ),
            (
                "source_prefixes: [«10.0.0.0/33»]",
                &["expected an address prefix, found `10.0.0.0/33` | such as `10.0.0.0/8` or `fd00::/8`"],
            ),
            (
                "source_prefixes: [10.0.0.0/8, «10.0.0.0/8»]",
                &["a second value `10.0.0.0/8` | the first stands at 6:32"],
            ),
            (
                "«server_names»: [a.example]",
                &[
                    "`server_names` on a filter chain without `tls` never matches | only TLS connections send them",
                ],
            ),
            (
                "«application_protocols»: [h2]",
                &[
                    "`application_protocols` on a filter chain without `tls` never matches | only TLS connections send them",
                ],
            ),
            (
                "transport: «tls»",
                &[
                    "`transport: tls` on a filter chain without `tls` | give the chain `tls`; passing TLS through is not implemented",
                ],
            ),
            (
                "transport: «udp»",
                &["expected `raw` or `tls`, found `udp` | not implemented: UDP"],
            ),
        ],
    );
    check(
        secure,
        &[
            (
                "transport: «raw»",
                &["`transport: raw` on a filter chain that terminates TLS | remove it, or remove `tls`"],
            ),
            (
                "server_names: [«'*'»]",
                &["`*` is not a server name | leave `server_names` out to take every connection"],
            ),
            (
                "server_names: [«10.0.0.1»]",
                &["`10.0.0.1` is not a server name | clients send no server name for an IP address"],
            ),
            (
                "server_names: [«'a.*'»]",
                &["`a.*` is not a server name | such as `a.example` or `*.b.example`"],
            ),
            (
                "server_names: [a.example, «A.example»]",
                &["a second value `a.example` | the first stands at 6:29"],
            ),
            (
                "application_protocols: [«''»]",
                &["an ALPN name has 1 to 255 bytes"],
            ),
        ],
    );
}

#[test]
fn chains_that_match_alike() {
    let tls =
        "tls: {certificates: [{certificate_file: c, private_key_file: k}]}, http: {route_configuration: r}";
    let around = |text: &str| {
        with_chain(
            &text
                .replace("TLS", tls)
                .replace("RAW", "http: {route_configuration: r}"),
        )
    };
    check(
        around,
        &[
            (
                "{RAW}\n  - «{»RAW}",
                &[
                    "the filter chains `chain-0` and `chain-1` match alike | give one of them a `match` of its own",
                ],
            ),
            (
                "{RAW}\n  - «{»TLS}",
                &[
                    "the filter chains `chain-0` and `chain-1` match alike | give the one with `tls` the match `transport: tls`",
                ],
            ),
            (
                "{match: {server_names: [a.example, b.example]}, TLS}\n  - «{»match: {server_names: [b.example], transport: tls}, TLS}",
                &[
                    "the filter chains `chain-0` and `chain-1` match alike | give one of them a `match` of its own",
                ],
            ),
            (
                "{match: {source_prefixes: [10.0.0.0/8]}, RAW}\n  - «{»match: {source_prefixes: [fd00::/8, 10.0.0.0/8]}, RAW}",
                &[
                    "the filter chains `chain-0` and `chain-1` match alike | give one of them a `match` of its own",
                ],
            ),
            (
                "{name: x, RAW}\n  - {name: «x», match: {transport: raw}, RAW}",
                &["a second filter chain `x` | the first stands at 6:12"],
            ),
            (
                "{RAW}\n  - {name: «chain-0», match: {transport: raw}, RAW}",
                &["a second filter chain `chain-0` | the first stands at 6:5"],
            ),
        ],
    );
    super::super::valid(&around(
        "{match: {transport: raw}, RAW}\n  - {match: {transport: tls}, TLS}\n  - {match: {destination_port: 7}, RAW}",
    ));
}

#[test]
fn downstream_tls() {
    check(
        |tls| with_chain(&format!("{{tls: {tls}, http: {{route_configuration: r}}}}")),
        &[
            ("«{»}", &["missing field `certificates` in downstream tls"]),
            ("{certificates: «[»]}", &["this list may not be empty"]),
            (
                "{certificates: [«{»certificate_file: c}]}",
                &["missing field `private_key_file` in certificate"],
            ),
            (
                "{certificates: [{certificate_file: «''», private_key_file: k}]}",
                &["expected a file name"],
            ),
            (
                "{certificates: [{certificate_file: c, private_key_file: k}], application_protocols: [«http/2»]}",
                &["expected `h2` or `http/1.1`, found `http/2`"],
            ),
            (
                "{certificates: [{certificate_file: c, private_key_file: k}], application_protocols: [h2, «h2»]}",
                &["a second protocol `h2` | the first stands at 6:96"],
            ),
            (
                "{certificates: [{certificate_file: c, private_key_file: k}], handshake_timeout: «off»}",
                &["expected a duration, found `off` | such as `15s`, `250ms`, `5m`"],
            ),
        ],
    );
}

#[test]
fn http_options() {
    check(
        with_http,
        &[
            (
                "accept_http_10: «yes»",
                &["expected true or false, found `yes` | write `true`"],
            ),
            (
                "accept_http_10: «'true'»",
                &["expected true or false, found the text \"true\""],
            ),
            (
                "request_headers_bytes_max: «0»",
                &["0 is not between 1 and 8388608"],
            ),
            (
                "request_headers_bytes_max: «60KB»",
                &["expected a size, found `60KB` | such as `65536`, `64KiB`, `1MiB`"],
            ),
            (
                "request_headers_bytes_max: «99999999999999999GiB»",
                &["`99999999999999999GiB` is too large"],
            ),
            (
                "request_headers_count_max: «0»",
                &["0 is not between 1 and 10000"],
            ),
            (
                "request_headers_timeout: «0s»",
                &["this duration may not be zero | it has no meaning as zero"],
            ),
            (
                "idle_timeout: «off»",
                &["expected a duration, found `off` | such as `15s`, `250ms`, `5m`"],
            ),
            (
                "stream_idle_timeout: «0ms»",
                &["this duration may not be zero | write `off` for no limit"],
            ),
            (
                "requests_per_connection_max: «0»",
                &["0 is not between 1 and 4294967295"],
            ),
            (
                "requests_per_connection_max: «none»",
                &["expected a number, found `none`"],
            ),
            (
                "http2: {stream_window: «65534»}",
                &["65534 is not between 65535 and 2147483647"],
            ),
            (
                "http2: {connection_window: «2GiB»}",
                &["2147483648 is not between 65535 and 2147483647"],
            ),
            (
                "http2: {concurrent_streams_max: «0»}",
                &["0 is not between 1 and 2147483647"],
            ),
            (
                "http2: {«max_concurrent_streams»: 1}",
                &[
                    "unknown field `max_concurrent_streams` in http2 | it may have `concurrent_streams_max`, `stream_window`, `connection_window`, `keepalive_interval` and `keepalive_timeout`",
                ],
            ),
            (
                "escaped_slashes: «merge»",
                &["expected `keep`, `unescape` or `refuse`, found `merge`"],
            ),
            (
                "repeated_slashes: «mrege»",
                &["expected `keep`, `merge` or `refuse`, found `mrege` | did you mean `merge`?"],
            ),
            ("xff_num_trusted_hops: «256»", &["256 is not between 0 and 255"]),
            (
                "server_header: «hide»",
                &["expected `pass`, `{set: value}` or `{append: value}`, found `hide`"],
            ),
            ("server_header: {set: «''»}", &["this value may not be empty"]),
            (
                "via_header: {set: a, «append»: b}",
                &["`set` and `append` exclude each other | give exactly one of `set` and `append`"],
            ),
            (
                "via_header: «{»}",
                &["one of `set` and `append` is missing in header value"],
            ),
            (
                "access_logs: [«{»format: json}]",
                &["missing field `path` in access log"],
            ),
            (
                "access_logs: [{path: stdout, format: «xml»}]",
                &["expected `text` or `json`, found `xml`"],
            ),
            (
                "access_logs: [{path: stdout, format: {text: «\"a\\nb\"»}}]",
                &["a format is one line | the line's end is written without being asked for"],
            ),
            (
                "access_logs: [{path: stdout, format: {json: «{»}}}]",
                &["a JSON format needs a member"],
            ),
            ("access_logs: «stdout»", &["expected a list, found `stdout`"]),
            (
                "«rate_limit»: {}",
                &["unknown field `rate_limit` in http | not implemented: rate limits"],
            ),
            (
                "«ext_proc»: {}",
                &["unknown field `ext_proc` in http | not implemented: external processing"],
            ),
            (
                "«wasm»: {}",
                &["unknown field `wasm` in http | not implemented: WebAssembly extensions"],
            ),
            (
                "«lua»: {}",
                &["unknown field `lua` in http | not implemented: Lua scripts"],
            ),
            (
                "«grpc_web»: {}",
                &["unknown field `grpc_web` in http | not implemented: gRPC-web"],
            ),
        ],
    );
}
