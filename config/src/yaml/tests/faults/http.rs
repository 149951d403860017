//! HTTP options, access logs.

use super::super::with_http;
use super::check;

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
                "forward_client_certificate: {mode: sanitize_set, details: [uri, «uri»]}",
                &["a second detail `uri` | the first stands at 6:95"],
            ),
            (
                "forward_client_certificate: {mode: «set»}",
                &[
                    "expected `sanitize`, `forward_only`, `append_forward`, `sanitize_set` or `always_forward_only`, found `set`",
                ],
            ),
            (
                "«xfcc»: {}",
                &["unknown field `xfcc` in http | did you mean `forward_client_certificate`?"],
            ),
            (
                "escaped_slashes: «merge»",
                &["expected `keep`, `unescape` or `refuse`, found `merge`"],
            ),
            (
                "repeated_slashes: «mrege»",
                &["expected `keep`, `merge` or `refuse`, found `mrege` | did you mean `merge`?"],
            ),
            (
                "upgrades: [«h2c»]",
                &[
                    "`h2c` cannot be upgraded to: requests inside it would go around policy | clients speak HTTP/2 by prior knowledge, or by ALPN",
                ],
            ),
            (
                "upgrades: [websocket, «HTTP/2.0»]",
                &[
                    "`HTTP/2.0` cannot be upgraded to: requests inside it would go around policy | clients speak HTTP/2 by prior knowledge, or by ALPN",
                ],
            ),
            (
                "upgrades: [«TLS/1.0»]",
                &["`TLS/1.0` cannot be upgraded to: TLS is terminated by a filter chain's `tls`"],
            ),
            (
                "upgrades: [«connect»]",
                &["CONNECT is a method, not an upgrade | give it a route with `match: {connect: true}`"],
            ),
            (
                "upgrades: [«'a b'»]",
                &["`a b` is not the name of a protocol | such as `websocket`"],
            ),
            (
                "upgrades: [«a/»]",
                &["`a/` is not the name of a protocol | such as `websocket`"],
            ),
            ("upgrades: «websocket»", &["expected a list, found `websocket`"]),
            (
                "upgrade_idle_timeout: «0s»",
                &["this duration may not be zero | write `off` for no limit"],
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
                &["one of `path` and `collector` is missing in access log"],
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
            ("access_logs: [{collector: «c»}]", &["no collector is named `c`"]),
            ("access_logs: «stdout»", &["expected a list, found `stdout`"]),
            (
                "access_logs: [{path: stdout, headers_allowed: [«a b»]}]",
                &["`a b` is not a header name"],
            ),
            (
                "access_logs: [{path: stdout, filter: «{»}}]",
                &["this filter asks nothing | leave it out to log everything"],
            ),
            (
                "access_logs: [{path: stdout, filter: {status: «{»}}}]",
                &[
                    "one of `at_least`, `at_most`, `equals` and `differs_from` is missing in status comparison",
                ],
            ),
            (
                "access_logs: [{path: stdout, filter: {response_flags: [UH, «UX»]}}]",
                &[
                    "expected `UH`, `UF`, `UO`, `NR`, `URX`, `DC`, `UC`, `UT`, `UR`, `DPE`, `UPE`, `SI`, `DT`, `UAEX`, `DI`, `FI`, \
                   `OM`, `RL` or `RLSE`, found `UX` | did you mean `UH`?",
                ],
            ),
            (
                "access_logs: [{path: stdout, filter: {not_health_check: «false»}}]",
                &["`not_health_check: false` matches nothing | write `not: {not_health_check: true}`"],
            ),
            (
                "access_logs: [{path: stdout, filter: {sampled: «101»}}]",
                &["101 is not between 0 and 100"],
            ),
            (
                "access_logs: [{path: stdout, filter: {grpc_status: [«17»]}}]",
                &["17 is not between 0 and 16"],
            ),
            (
                "«rate_limit»: {}",
                &["unknown field `rate_limit` in http | did you mean `rate_limits`?"],
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
