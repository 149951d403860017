//! Tracing.

use super::super::{valid, with_http, with_route};
use super::check;

fn with_tracing(fields: &str) -> String {
    let collectors = "telemetry: {collectors: [{name: otel, endpoint: 'http://127.0.0.1:4317'}]}\n";
    with_http(&format!("tracing: {fields}")) + collectors
}

#[test]
fn of_filter_chains() {
    let unknown = "expected `w3c`, `b3` or `datadog`, found `b3_multi`";
    check(
        with_tracing,
        &[
            ("«{»}", &["missing field `collector` in tracing"]),
            ("«on»", &["expected `off` or a map, found `on`"]),
            (
                "{collector: «otl»}",
                &["no collector is named `otl` | did you mean `otel`?"],
            ),
            ("{collector: otel, extract: [«b3_multi»]}", &[unknown]),
            (
                "{collector: otel, extract: [w3c, «w3c»]}",
                &["a second format `w3c` | the first stands at 6:73"],
            ),
            ("{collector: otel, inject: «[»]}", &["this list may not be empty"]),
            (
                "{collector: otel, force_header: «host»}",
                &["`host` is not edited as a header | use `host_rewrite`"],
            ),
            (
                "{collector: otel, keep_slow: «0s»}",
                &["this duration may not be zero | write `off` for no limit"],
            ),
            ("{collector: otel, span_name: «''»}", &["this may not be empty"]),
            (
                "{collector: otel, span_name: «'%PATH_VARIABLE(a)%'»}",
                &["`%PATH_VARIABLE(…)%` can only be used in header edits of routes"],
            ),
            (
                "{collector: otel, attributes: {«''»: b}}",
                &["an attribute's key may not be empty"],
            ),
            (
                "{collector: otel, attributes: {a: b, «a»: c}}",
                &["the key `a` stands twice | it stands first at 6:76"],
            ),
            (
                "{collector: otel, sampling: {percent: «101»}}",
                &["101 is not between 0 and 100"],
            ),
            (
                "{collector: otel, sampling: {«ratio»: 1}}",
                &["unknown field `ratio` in trace sampling | did you mean `percent`?"],
            ),
            (
                "{collector: otel, sampling: {traces_per_second: «0»}}",
                &["0 is not between 1 and 4294967295"],
            ),
            (
                "{collector: otel, sampling: {parent: «trust»}}",
                &["expected `follow`, `follow_believed` or `ignore`, found `trust`"],
            ),
        ],
    );
}

#[test]
fn attributes_of_log_records_stand_once() {
    let format =
        |sink: &str| format!("access_logs: [{{{sink}, format: {{json: {{a.b: c, a: {{«b»: d}}}}}}}}]");
    let with_collector = |fields: &str| {
        let collectors = "telemetry: {collectors: [{name: otel, endpoint: 'http://127.0.0.1:4317'}]}\n";
        with_http(fields) + collectors
    };
    check(
        with_collector,
        &[(
            &*format("collector: otel"),
            &["a second attribute `a.b` | the first stands at 6:84"],
        )],
    );
    // In a file they are not the same.
    valid(&with_collector(&format("path: stdout").replace(['«', '»'], "")));
}

#[test]
fn of_routes() {
    check(
        |fields| {
            with_route(&format!(
                "{{match: {{prefix: /}}, forward: {{cluster: a}}, tracing: {fields}}}"
            ))
        },
        &[
            ("«on»", &["expected `off` or a map (route tracing), found `on`"]),
            (
                "«{»}",
                &["one of `sampling` and `span_name` is missing in route tracing"],
            ),
            (
                "{span_name: a, «collector»: a}",
                &["unknown field `collector` in route tracing | it may have `sampling` and `span_name`"],
            ),
        ],
    );
}
