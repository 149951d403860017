//! Faults of `telemetry`.

use super::check;

#[test]
fn buckets_rise_within_what_can_be_told() {
    let range = "a bound is of 100us to 1h";
    let many: Vec<String> = (1..=41).map(|number| format!("{number}s")).collect();
    let many = format!("latency_buckets: «[»{}]", many.join(", "));
    check(
        |fields| format!("telemetry: {{{fields}}}\n"),
        &[
            ("latency_buckets: «[»]", &["0 bounds; there are 1 to 40"]),
            (&many, &["41 bounds; there are 1 to 40"]),
            (
                "latency_buckets: [1s, «1s», 2s]",
                &["a bound is above the one before | write each once, the shortest first"],
            ),
            ("latency_buckets: [«99us», 1s]", &[range]),
            ("latency_buckets: [1s, «3601s»]", &[range]),
        ],
    );
}

#[test]
fn collectors_are_reached_and_believed() {
    let such = "such as `http://127.0.0.1:4317`";
    let scheme = format!("`grpc://a:1` does not begin with `http://` or `https://` | {such}");
    let whole = format!("`http://a` is not `http://HOST:PORT` | {such}");
    let port = format!("`http://a:0/b` has no port | {such}");
    check(
        |fields| format!("telemetry: {{collectors: [{{name: c, {fields}}}]}}\n"),
        &[
            ("endpoint: «grpc://a:1»", &[&scheme]),
            ("endpoint: «http://a»", &[&whole]),
            ("protocol: http, endpoint: «http://a:0/b»", &[&port]),
            (
                "endpoint: «http://a:1/b»",
                &["`/b` is a path, and gRPC has its own | remove it, or write `protocol: http`"],
            ),
            (
                "protocol: http, endpoint: «http://a:1/b/v1/traces»",
                &["`/v1/traces` is added anyway | leave it out"],
            ),
            (
                "protocol: http, endpoint: «'http://a:1/b?c'»",
                &["`/b?c` is not a path without a query"],
            ),
            (
                "endpoint: «https://a:1»",
                &[
                    "a collector with TLS, and nothing says whose certificate is believed | write `tls: {roots: system}`, or \
                     believe an authority of your own by `ca_file` or `trust_bundle`",
                ],
            ),
            (
                "endpoint: http://a:1, «tls»: {roots: system}",
                &["`tls`, and http://a:1 is spoken to in plain text | write `https://`, or remove it"],
            ),
            (
                "endpoint: https://a:1, tls: {roots: system, certificate: {identity: «own»}}",
                &["no identity is named `own`"],
            ),
            (
                "endpoint: http://a:1, compression: «zstd»",
                &["expected `none` or `gzip`, found `zstd`"],
            ),
            (
                "endpoint: http://a:1, queue_max: 5, batch_max: «6»",
                &["`batch_max` is 6, above `queue_max`, 5"],
            ),
        ],
    );
}

#[test]
fn headers_are_no_others_and_their_values_stay_unsaid() {
    check(
        |headers| {
            format!(
                "telemetry: {{collectors: [{{name: c, endpoint: http://a:1, headers: {{{headers}}}}}]}}\n"
            )
        },
        &[
            ("«a b»: c", &["`a b` is not a header name"]),
            ("«Grpc-Timeout»: c", &["`grpc-timeout` is the protocol's own"]),
            ("«a-bin»: c", &["`a-bin` is the protocol's own"]),
            ("A: b, «a»: c", &["a second header `a`"]),
            (
                "a: «b\u{e9}»",
                &["a header value of a collector is printable ASCII"],
            ),
            (
                "a: «\"[a header's value, which is not shown]\"»",
                &["this value was taken out when the configuration was shown | put the value in its place"],
            ),
        ],
    );
}

#[test]
fn what_the_process_says_of_itself() {
    check(
        |fields| format!("telemetry: {fields}\n"),
        &[
            ("{service_name: «''»}", &["expected 1 to 4096 bytes"]),
            (
                "{resource: {«service.name»: a}}",
                &["`service.name` is not said here | write `service_name`"],
            ),
            (
                "{resource: {«''»: a}}",
                &["a key has 1 to 4096 bytes, a value at most as many"],
            ),
            (
                "{resource: {a: b, «a»: c}}",
                &["the key `a` stands twice | it stands first at 1:24"],
            ),
            (
                "{recorder: {memory: «1KiB»}}",
                &["1024 is not between 262144 and 1073741824"],
            ),
            (
                "{recorder: {«momory»: 8MiB}}",
                &["unknown field `momory` in flight_recorder | did you mean `memory`?"],
            ),
            (
                "{collectors: [{name: a, endpoint: http://a:1}, {name: «a», endpoint: http://a:1}]}",
                &["a second collector `a` | the first stands at 1:33"],
            ),
        ],
    );
}
