//! Retries, health and their like, for round trips.

use super::routes::condition;
use super::{duration, duration_or_off, maybe, quoted, text};
use proptest::collection::vec;
use proptest::prelude::*;

pub(super) fn retry() -> BoxedStrategy<String> {
    let words = prop_oneof![
        Just("[]"),
        Just("[5xx, gateway-error, reset, reset-before-request, connect-failure, refused-stream]"),
        Just("[retriable-4xx, envoy-ratelimited, cancelled, deadline-exceeded]"),
        Just("[internal, resource-exhausted, unavailable]"),
    ]
    .prop_map(str::to_owned);
    let idempotent = prop_oneof![
        Just("by_method".to_owned()),
        Just("declared".to_owned()),
        Just("{header: X-Key}".to_owned())
    ];
    let after = prop_oneof![
        duration(),
        Just("{quantile: 99.9}".to_owned()),
        (1..100_000u32, duration()).prop_map(|(parts, least)| {
            format!(
                "{{quantile: {}.{:03}, delay_min: {least}}}",
                parts / 1000,
                parts % 1000
            )
        }),
        Just("per_try_timeout".to_owned()),
    ];
    let hedging = (
        after,
        maybe("hedges_max", Just("1".to_owned())),
        maybe("extra_load_max", Just("7".to_owned())),
    )
        .prop_map(|(after, a, b)| format!("{{{a}{b}after: {after}}}"));
    let backoff = prop_oneof![
        Just("{base: 3ms}".to_owned()),
        Just("{base: 3ms, max: 7m}".to_owned())
    ];
    let policy = (
        maybe("retry_on", words),
        maybe("retries_max", (1..100u32).prop_map(|number| number.to_string())),
        maybe("per_try_idle_timeout", duration_or_off()),
        maybe("backoff", backoff),
        maybe("retry_after_max", duration_or_off()),
        maybe("retriable_status_codes", Just("[409, 429]".to_owned())),
        maybe("retriable_headers", condition()),
        maybe("idempotent", idempotent),
        maybe("avoid_tried_endpoints", Just("false".to_owned())),
        (duration(), maybe("hedging", hedging)),
    )
        .prop_map(|(a, b, c, d, e, f, g, h, i, (timeout, hedging))| {
            format!("{{{a}{b}{c}{d}{e}{f}{g}{h}{i}{hedging}per_try_timeout: {timeout}}}")
        });
    prop_oneof![Just("off".to_owned()), policy].boxed()
}

/// What a forward says beside its targets.
pub(super) fn forward() -> BoxedStrategy<String> {
    let hashed = prop_oneof![
        Just("{header: X-User}".to_owned()),
        Just("{source_address: true, terminal: true}".to_owned()),
        "[^\\x00]{1,9}".prop_map(|name| format!("{{query: {}}}", quoted(&name))),
        Just("{cookie: {name: at}}".to_owned()),
        Just("{cookie: {name: at, ttl: 0s, path: /b}}".to_owned()),
        Just("{cookie: {name: at, ttl: 7m}}".to_owned()),
    ];
    (
        maybe("retry", retry()),
        maybe(
            "hash_policy",
            vec(hashed, 0..3).prop_map(|list| format!("[{}]", list.join(", "))),
        ),
        maybe("priority", Just("high".to_owned())),
        maybe("stream_duration_max", duration_or_off()),
        maybe("client_timeout_max", duration()),
    )
        .prop_map(|(a, b, c, d, e)| format!("{a}{b}{c}{d}{e}"))
        .boxed()
}

/// What an `http` says.
pub(super) fn http() -> BoxedStrategy<String> {
    let peers = prop_oneof![
        Just("{}".to_owned()),
        Just("{authenticated: false, identities: [{trust_domain: a.b}], addresses: [10.0.0.0/8]}".to_owned())
    ];
    (
        maybe("request_timeout", duration_or_off()),
        maybe("hint_peers", peers),
        maybe("rate_limits", Just("[n]".to_owned())),
        maybe("fault", fault()),
    )
        .prop_map(|(a, b, c, d)| format!("{a}{b}{c}{d}"))
        .boxed()
}

fn health_check() -> BoxedStrategy<String> {
    let bytes = || {
        prop_oneof![
            "[^\\x00]{1,9}".prop_map(|text| quoted(&text)),
            vec(any::<u8>(), 1..9).prop_map(|bytes| {
                let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
                format!("{{hex: '{digits}'}}")
            })
        ]
    };
    let body = prop_oneof![
        Just("ok".to_owned()),
        text().prop_map(|text| format!("{{exact: {}}}", quoted(&text)))
    ];
    let http = (
        maybe("method", Just("POST".to_owned())),
        maybe("host", Just("a.example:81".to_owned())),
        maybe("headers", Just("{X-A: b c}".to_owned())),
        maybe("expected_statuses", Just("[200, 204-299]".to_owned())),
        maybe("retriable_statuses", Just("[503]".to_owned())),
        maybe("expected_body", body),
    )
        .prop_map(|(a, b, c, d, e, f)| format!("http: {{{a}{b}{c}{d}{e}{f}path: '/a?b'}}"));
    let tcp = (
        maybe("send", bytes()),
        maybe("receive", bytes().prop_map(|one| format!("[{one}, b]"))),
    )
        .prop_map(|(a, b)| format!("tcp: {{{a}{b}}}"));
    let asked = prop_oneof![http, tcp];
    (
        asked,
        maybe("timeout", duration()),
        maybe("interval", duration()),
        maybe("jitter", Just("0".to_owned())),
        maybe("unhealthy_interval", duration()),
        maybe("no_traffic_interval", duration()),
        maybe("unhealthy_threshold", Just("7".to_owned())),
        maybe("healthy_threshold", Just("7".to_owned())),
        maybe("port", Just("81".to_owned())),
        maybe("reuse_connection", Just("false".to_owned())),
    )
        .prop_map(|(a, b, c, d, e, f, g, h, i, j)| format!("{{{b}{c}{d}{e}{f}{g}{h}{i}{j}{a}}}"))
        .boxed()
}

fn outlier_detection() -> BoxedStrategy<String> {
    let settings = (
        maybe("consecutive_5xx", Just("off".to_owned())),
        maybe("consecutive_local_origin_failure", Just("7".to_owned())),
        maybe("enforcing_consecutive_gateway_failure", Just("100".to_owned())),
        maybe(
            "split_external_local_origin_errors",
            any::<bool>().prop_map(|on| on.to_string()),
        ),
        maybe("interval", duration()),
        maybe("base_ejection_time", duration()),
        maybe("max_ejection_time_jitter", duration()),
        maybe("always_eject_one", Just("false".to_owned())),
        maybe("success_rate_stdev_factor", Just("7".to_owned())),
        maybe("failure_percentage_threshold", Just("7".to_owned())),
    )
        .prop_map(|(a, b, c, d, e, f, g, h, i, j)| format!("{{{a}{b}{c}{d}{e}{f}{g}{h}{i}{j}}}"));
    prop_oneof![Just("true".to_owned()), Just("false".to_owned()), settings].boxed()
}

/// What any cluster says of how its endpoints are picked.
pub(super) fn balancing() -> BoxedStrategy<String> {
    let policy = prop_oneof![
        Just("random"),
        Just("least_request"),
        Just("{least_request: {choices: 7}}"),
        Just("{peak_ewma: {decay: 7s}}"),
        Just("{ring_hash: {size_min: 7, balance_factor: 150}}"),
        Just("{maglev: {table_size: 251}}"),
    ]
    .prop_map(str::to_owned);
    let slow_start = (1..1_000_000u32, duration()).prop_map(|(parts, window)| {
        format!(
            "{{window: {window}, aggression: {}.{:06}, weight_min: 7}}",
            parts % 99,
            parts
        )
    });
    let localities = prop_oneof![
        Just("off"),
        Just("weighted"),
        Just("{zone_aware: {local_cluster: a, routing: 7, strict: true}}"),
    ]
    .prop_map(str::to_owned);
    let fallback = prop_oneof![
        Just("any".to_owned()),
        text().prop_map(|text| format!("{{default: {{k: {}}}}}", quoted(&text)))
    ];
    let subsets = (text(), maybe("fallback", fallback)).prop_map(|(key, fallback)| {
        format!(
            "{{{fallback}selectors: [[x, v, a], [{}, {}]]}}",
            quoted(&key),
            quoted(&(key.clone() + "1"))
        )
    });
    (
        maybe("load_balancing", policy),
        maybe("slow_start", slow_start),
        maybe("locality_balancing", localities),
        maybe(
            "locality_weights",
            Just("[{locality: r/z, weight: 0}, {locality: {zone: a/b}, priority: 1, weight: 3}]".to_owned()),
        ),
        maybe("overprovisioning_factor", Just("100".to_owned())),
        maybe("panic_threshold", Just("0".to_owned())),
        maybe("fails_in_panic", Just("true".to_owned())),
        subsets,
    )
        .prop_map(|(a, b, c, d, e, f, g, h)| format!("{a}{b}{c}{d}{e}{f}{g}subsets: {h}, "))
        .boxed()
}

/// What a cluster of known endpoints says.
pub(super) fn cluster() -> BoxedStrategy<String> {
    (
        maybe("health_check", health_check()),
        maybe("outlier_detection", outlier_detection()),
    )
        .prop_map(|(a, b)| format!("{a}{b}"))
        .boxed()
}

pub(super) fn breakers() -> BoxedStrategy<String> {
    let breakers = (
        maybe(
            "default",
            Just("{connections_max: 1, pending_max: 4294967295}".to_owned()),
        ),
        maybe("high", Just("{requests_max: 7}".to_owned())),
        maybe(
            "endpoint",
            Just("{connections_max: 7, requests_max: off}".to_owned()),
        ),
    )
        .prop_map(|(a, b, c)| format!("{{{a}{b}{c}}}"));
    let adaptive = prop_oneof![
        Just("true".to_owned()),
        (
            duration(),
            maybe("quantile", Just("99".to_owned())),
            maybe("jitter", Just("0".to_owned()))
        )
            .prop_map(|(interval, a, b)| format!(
                "{{{a}{b}concurrency_min: 1000, min_rtt_interval: {interval}}}"
            ))
    ];
    (
        maybe("circuit_breakers", breakers),
        maybe(
            "retry_budget",
            Just("{percent: 0, concurrency_min: 0}".to_owned()),
        ),
        maybe("adaptive_concurrency", adaptive),
    )
        .prop_map(|(a, b, c)| format!("{a}{b}{c}"))
        .boxed()
}

/// What a route says beside its action.
pub(super) fn route() -> BoxedStrategy<String> {
    (
        maybe("rate_limits", Just("[n, m]".to_owned())),
        maybe("fault", fault()),
    )
        .prop_map(|(a, b)| a + &b)
        .boxed()
}

fn fault() -> BoxedStrategy<String> {
    let percent = || (0..=1_000_000u32).prop_map(|parts| format!("{}.{:04}", parts / 10_000, parts % 10_000));
    let abort = prop_oneof![
        Just("{status: 503}".to_owned()),
        percent().prop_map(|percent| format!("{{grpc_status: 14, percent: {percent}}}")),
        Just("{reset: true}".to_owned())
    ];
    let expires = prop_oneof![
        Just("never".to_owned()),
        Just("2999-01-31T18:00:00.25+02:00".to_owned())
    ];
    let settings = (
        maybe("headers", condition()),
        maybe("identities", Just("[{trust_domain: a.b}]".to_owned())),
        maybe(
            "delay",
            duration().prop_map(|span| format!("{{duration: {span}}}")),
        ),
        maybe("abort", abort),
        maybe(
            "response_rate",
            Just("{percent: 7, bytes_per_second: 7MiB}".to_owned()),
        ),
        maybe("affected_max", percent()),
        maybe("active_max", Just("7".to_owned())),
        expires,
    )
        .prop_map(|(a, b, c, d, e, f, g, expires)| {
            format!("{{{a}{b}{c}{d}{e}{f}{g}by_header: true, expires: '{expires}'}}")
        });
    prop_oneof![Just("off".to_owned()), settings].boxed()
}

fn overload() -> BoxedStrategy<String> {
    (
        maybe("connections_max", Just("7".to_owned())),
        maybe("requests_max", Just("off".to_owned())),
        maybe("buffered_bytes_max", Just("7MiB".to_owned())),
        maybe(
            "memory_max",
            prop_oneof![Just("off".to_owned()), Just("3GiB".to_owned())],
        ),
        maybe("interval", duration()),
        maybe(
            "stop_keepalive",
            Just("7, refuse_requests: 7, refuse_all: 8".to_owned()),
        ),
        maybe("refuse_connections", Just("1".to_owned())),
    )
        .prop_map(|(a, b, c, d, e, f, g)| format!("overload: {{{a}{b}{c}{d}{e}{f}{g}}}\n"))
        .boxed()
}

fn telemetry() -> BoxedStrategy<String> {
    let collector = (
        prop_oneof![
            Just("http://127.0.0.1:4317".to_owned()),
            Just("'http://[::1]:1/a', protocol: http".to_owned()),
            Just("https://a.example:443, tls: {roots: system}".to_owned()),
            Just("https://a.example:443, tls: {ca_file: c, server_name: b, certificate: {certificate_file: d, private_key_file: e}}".to_owned()),
        ],
        maybe("headers", Just("{X-a: Bearer x}".to_owned())),
        maybe("timeout", duration()),
        maybe("queue_max", Just("7".to_owned())),
        maybe("compression", Just("gzip".to_owned())),
        maybe("batch_max", Just("5".to_owned())),
        maybe("batch_delay", duration()),
    )
        .prop_map(|(endpoint, a, b, c, d, e, f)| format!("{{{a}{b}{c}{d}{e}{f}name: o, endpoint: {endpoint}}}"));
    (
        maybe("service_name", "[^\\x00]{1,9}".prop_map(|text| quoted(&text))),
        maybe(
            "resource",
            "[^\\x00]{0,9}".prop_map(|text| format!("{{a.b: {}}}", quoted(&text))),
        ),
        collector,
        maybe(
            "recorder",
            prop_oneof![
                Just("off".to_owned()),
                Just("{memory: 256KiB, slow: 0s}".to_owned()),
                Just("{slow: 5s}".to_owned()),
            ],
        ),
    )
        .prop_map(|(a, b, one, c)| {
            format!(
                "telemetry: {{{a}{b}{c}collectors: [{one}]}}
"
            )
        })
        .boxed()
}

/// The lists at the top of a document.
pub(super) fn lists() -> BoxedStrategy<String> {
    let part = prop_oneof![
        Just("remote_address".to_owned()),
        Just("{remote_address: {v4_prefix: 24, v6_prefix: 0}}".to_owned()),
        "[^\\x00]{1,9}".prop_map(|text| format!("{{constant: {0}, key: {0}}}", quoted(&text))),
        Just("{header: X-A}".to_owned()),
        Just("{query: 'a, b'}".to_owned()),
        Just("{claim: [a.b, c], key: k2}".to_owned()),
        Just("{claim: a.b}".to_owned()),
        Just("path_template, path, method, host, source_identity, route, virtual_host".to_owned()),
    ];
    let overridden = text().prop_map(|text| {
        format!(
            "[{{values: {{k: {}}}, limit: {{requests: 7, per: 7ms, burst: 9}}}}]",
            quoted(&text)
        )
    });
    let local = (part.clone(), maybe("overrides", overridden), maybe("keys_max", Just("7".to_owned()))).prop_map(
        |(part, a, b)| {
            format!("{{name: m, descriptors: [[{{path: true, key: k}}, {part}]], local: {{{a}{b}limit: {{requests: 1}}}}}}")
                .replace("path_template, path, ", "path_template, ")
        },
    );
    let global = (
        part,
        maybe("authority", Just("a.example:81".to_owned())),
        maybe("timeout", duration()),
        maybe("failure_denied", Just("true".to_owned())),
        maybe("shadow", Just("true, headers: true, status: 503, grpc_status: resource_exhausted".to_owned())),
    )
        .prop_map(|(part, a, b, c, d)| {
            format!("{{name: n, {d}descriptors: [[{part}], [path]], global: {{{a}{b}{c}cluster: spoken, domain: a b}}}}")
        });
    (
        (overload(), telemetry()),
        prop_oneof![Just("{name: m, local: {limit: {requests: 1}}}".to_owned()), local],
        global,
    )
        .prop_map(|((overload, telemetry), local, global)| {
            format!("rate_limits: [{local}, {global}]\n{overload}{telemetry}")
        })
        .boxed()
}
