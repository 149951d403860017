//! Faults on purpose, and overload.

use super::super::{with_http, with_route};
use super::check;

#[test]
fn faults() {
    check(
        |fault| with_http(&format!("fault: {fault}")),
        &[
            ("«on»", &["expected `off` or a map (fault), found `on`"]),
            (
                "«{»expires: never}",
                &["one of `delay`, `abort`, `response_rate` and `by_header` is missing in fault"],
            ),
            (
                "«{»by_header: false, expires: never}",
                &["this fault does nothing"],
            ),
            ("«{»abort: {status: 503}}", &["missing field `expires` in fault"]),
            (
                "{abort: {status: 503}, expires: «tomorrow»}",
                &["expected a moment, found `tomorrow` | such as `2030-01-31T18:00:00Z` (RFC 3339)"],
            ),
            (
                "{abort: «{»}, expires: never}",
                &["one of `status`, `grpc_status` and `reset` is missing in fault abort"],
            ),
            (
                "{abort: {status: «199», percent: «101»}, expires: never}",
                &["199 is not between 200 and 599", "101 is not between 0 and 100"],
            ),
            (
                "{abort: {grpc_status: «17»}, delay: {«fixed_delay»: 1s}, expires: never}",
                &[
                    "17 is not between 0 and 16",
                    "unknown field `fixed_delay` in fault delay | did you mean `duration`?",
                ],
            ),
            (
                "{abort: {reset: «false»}, delay: {duration: «0s»}, response_rate: {bytes_per_second: «1023»}, expires: never}",
                &[
                    "`reset: false` matches nothing | write `not: {reset: true}`",
                    "this duration may not be zero | it has no meaning as zero",
                    "1023 is not between 1024 and 1099511627776",
                ],
            ),
            (
                "{by_header: true, active_max: «0», affected_max: «-1», expires: never}",
                &[
                    "0 is not between 1 and 4294967295",
                    "expected a percentage, found `-1` | such as `10` or `12.5`",
                ],
            ),
        ],
    );
    check(
        |fault| {
            with_route(&format!(
                "{{match: {{prefix: /}}, forward: {{cluster: a}}, fault: {fault}}}"
            ))
        },
        &[("«false»", &["expected `off` or a map (fault), found `false`"])],
    );
}

#[test]
fn overload() {
    check(
        |overload| format!("overload: {overload}\n"),
        &[
            (
                "{connections_max: «0», requests_max: «-1»}",
                &[
                    "0 is not between 1 and 4294967295",
                    "expected a number, found `-1`",
                ],
            ),
            (
                "{memory_max: «host», buffered_bytes_max: «1KiB»}",
                &[
                    "expected a size, found `host` | such as `65536`, `64KiB`, `1MiB`",
                    "expected 1MiB or more",
                ],
            ),
            (
                "{stop_keepalive: «91»}",
                &["`stop_keepalive` is 91, above `refuse_requests`, 90"],
            ),
            (
                "{refuse_all: «89», refuse_connections: «0»}",
                &[
                    "`refuse_requests` is 90, above `refuse_all`, 89",
                    "0 is not between 1 and 100",
                ],
            ),
            (
                "{«max_heap_size_bytes»: 1GiB}",
                &["unknown field `max_heap_size_bytes` in overload | did you mean `memory_max`?"],
            ),
        ],
    );
}
