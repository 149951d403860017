//! Generated documents: any that the reader accepts, the awkward more often than by chance.
//!
//! Tests of other crates use this file, too: it knows nothing of this one.

#[path = "documents/access_logs.rs"]
mod access_logs;
#[path = "documents/authorization.rs"]
mod authorization;
#[path = "documents/edge.rs"]
mod edge;
#[path = "documents/identities.rs"]
mod identities;
#[path = "documents/jwt.rs"]
mod jwt;
#[path = "documents/resilience.rs"]
mod resilience;
#[path = "documents/routes.rs"]
mod routes;
#[path = "documents/tls.rs"]
mod tls;
#[path = "documents/tracing.rs"]
mod tracing;

pub(crate) use identities::KEY;
use proptest::collection::vec;
use proptest::prelude::*;
use routes::{connect_route, cors, edits, route, target, template_route};

/// Anything that a text may hold, the awkward more often than by chance.
pub(crate) fn text() -> BoxedStrategy<String> {
    let awkward = prop_oneof![
        Just("".to_owned()),
        Just("null".to_owned()),
        Just("~".to_owned()),
        Just("true".to_owned()),
        Just("0x1F".to_owned()),
        Just("1e3".to_owned()),
        Just("- a: b #c".to_owned()),
        Just("$${HOME} ${X:-y} $$${Z}".to_owned()),
        Just("\u{feff}\u{85}\u{2028}\u{7f}\0\t\r\n".to_owned()),
        Just(" \"quoted\\\" ".to_owned()),
    ];
    prop_oneof![
        awkward,
        ".{0,40}",
        any::<String>().prop_map(|text| text.chars().take(60).collect())
    ]
    .boxed()
}

/// A text in double quotes, with what would be a variable escaped.
pub(crate) fn quoted(text: &str) -> String {
    quoted_key(&text.replace("${", "$${"))
}

/// A key in double quotes: every character that is not plain ASCII by its number.
fn quoted_key(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|letter| match letter {
            '"' | '\\' => format!("\\{letter}"),
            ' '..='~' => letter.to_string(),
            other => format!("\\U{:08X}", other as u32),
        })
        .collect();
    format!("\"{escaped}\"")
}

fn duration() -> BoxedStrategy<String> {
    (
        1..5000u32,
        prop_oneof![
            Just("ns"),
            Just("us"),
            Just("ms"),
            Just("s"),
            Just("m"),
            Just("h")
        ],
    )
        .prop_map(|(number, unit)| format!("{number}{unit}"))
        .boxed()
}

fn duration_or_off() -> BoxedStrategy<String> {
    prop_oneof![duration(), Just("off".to_owned())].boxed()
}

/// A field or nothing.
fn maybe(name: &'static str, value: impl Strategy<Value = String> + 'static) -> BoxedStrategy<String> {
    prop_oneof![
        Just(String::new()),
        value.prop_map(move |value| format!("{name}: {value}, "))
    ]
    .boxed()
}

fn header_value() -> BoxedStrategy<String> {
    let operators = prop_oneof![
        Just("%%".to_owned()),
        Just("50%% %REQ(X-Y)%".to_owned()),
        Just("%PROTOCOL%-%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%".to_owned())
    ];
    let plain = "([!-$&-~]([ -$&-~]{0,10}[!-$&-~])?)?";
    prop_oneof![3 => plain.boxed(), 1 => operators]
        .prop_map(|value| quoted(&value))
        .boxed()
}

fn http2() -> BoxedStrategy<String> {
    let fields = (
        maybe(
            "concurrent_streams_max",
            (1..1000u32).prop_map(|number| number.to_string()),
        ),
        maybe(
            "stream_window",
            (65_535..5_000_000u32).prop_map(|number| number.to_string()),
        ),
        maybe(
            "connection_window",
            (1..900u32).prop_map(|number| format!("{number}MiB")),
        ),
        maybe("keepalive_interval", duration_or_off()),
        maybe("keepalive_timeout", duration()),
    );
    fields
        .prop_map(|(a, b, c, d, e)| format!("{{{a}{b}{c}{d}{e}}}"))
        .boxed()
}

fn upgrades() -> BoxedStrategy<String> {
    let protocols = prop_oneof![Just("[]".to_owned()), Just("[WebSocket, foo/1]".to_owned())];
    (
        maybe("upgrades", protocols),
        maybe("upgrade_idle_timeout", duration_or_off()),
    )
        .prop_map(|(a, b)| format!("{a}{b}"))
        .boxed()
}

fn http() -> BoxedStrategy<String> {
    let proxy_header = || {
        let value = "[!-$&-~]{1,10}".prop_map(|value| quoted(&value)).boxed();
        prop_oneof![
            Just("pass".to_owned()),
            value.clone().prop_map(|value| format!("{{set: {value}}}")),
            value.prop_map(|value| format!("{{append: {value}}}")),
        ]
    };
    let fields = (
        maybe("http2", http2()),
        maybe(
            "request_headers_bytes_max",
            (1..900_000u32).prop_map(|number| number.to_string()),
        ),
        maybe("idle_timeout", duration()),
        maybe("stream_idle_timeout", duration_or_off()),
        maybe("connection_age_max", duration_or_off()),
        maybe(
            "requests_per_connection_max",
            prop_oneof![Just("off".to_owned()), Just("9".to_owned())],
        ),
        maybe(
            "escaped_slashes",
            prop_oneof![Just("unescape".to_owned()), Just("refuse".to_owned())],
        ),
        maybe(
            "repeated_slashes",
            prop_oneof![Just("merge".to_owned()), Just("refuse".to_owned())],
        ),
        (
            maybe("server_header", proxy_header()),
            maybe("via_header", proxy_header()),
            upgrades(),
            edge::http(),
            jwt::http(),
            resilience::http(),
            tracing::http(),
        )
            .prop_map(|(a, b, c, d, e, f, g)| format!("{a}{b}{c}{d}{e}{f}{g}")),
        maybe("access_logs", access_logs::logs()),
    );
    fields
        .prop_map(|(a, b, c, d, e, f, g, h, i, j)| {
            format!("{{route_configuration: r, accept_http_10: true, {a}{b}{c}{d}{e}{f}{g}{h}{i}{j}}}")
        })
        .boxed()
}

fn discovery() -> BoxedStrategy<String> {
    let name = prop_oneof![
        "[a-zA-Z_]{1,9}[.]?".prop_map(|host| format!("{{host: {host}, port: 81, weight: 2}}")),
        "[a-z]{1,9}[.][a-z]{2}".prop_map(|host| format!("{{host: {host}, srv: true}}"))
    ];
    let family = prop_oneof![
        Just("both"),
        Just("v4"),
        Just("v6"),
        Just("v4_preferred"),
        Just("v6_preferred")
    ];
    let dns = (
        name,
        any::<bool>(),
        family,
        maybe("ttl_min", Just("1s".to_owned())),
        maybe("ttl_max", Just("7h".to_owned())),
        maybe("stale_max", prop_oneof![Just("0s".to_owned()), duration()]),
        maybe("query_timeout", duration()),
        maybe("resolvers", Just("[10.0.0.1, '[::1]:54']".to_owned())),
    )
        .prop_map(|(name, strict, family, a, b, c, d, e)| {
            let kind = if strict { "strict_dns" } else { "logical_dns" };
            format!("{{type: {kind}, names: [{name}], family: {family}, {a}{b}{c}{d}{e}}}")
        });
    let destination = (
        maybe("port", Just("81".to_owned())),
        maybe("allow", Just("[10.0.0.0/8, '::1']".to_owned())),
        maybe("endpoints_max", Just("7, keep_source: true".to_owned())),
        maybe("idle_timeout", duration()),
    )
        .prop_map(|(a, b, c, d)| format!("{{{a}{b}{c}{d}type: original_destination}}"));
    prop_oneof![dns, destination, Just("{type: static}".to_owned())].boxed()
}

fn cluster(name: &'static str) -> BoxedStrategy<String> {
    let endpoint = (1..60_000u16, 1..9u32, text(), text()).prop_map(|(port, weight, key, value)| {
        let key = quoted_key(&key);
        format!(
            "[{{address: '[::1]:{port}', weight: {weight}, locality: 'a//c', metadata: {{{key}: {}}}}}, {}]",
            quoted(&value),
            "{address: '[::1]:60001', priority: 1, status: draining, locality: {zone: b/c}}"
        )
    });
    let spoken = prop_oneof![
        Just("v1".to_owned()),
        tlvs().prop_map(|tlvs| format!("{{version: v2, pass_tlvs: {tlvs}}}"))
    ];
    let pool = (
        maybe("idle_timeout", duration()),
        maybe("connection_age_max", duration_or_off()),
    )
        .prop_map(|(a, b)| format!("{{{a}{b}}}"));
    let fields = (
        prop_oneof![
            (maybe("endpoints", endpoint), resilience::cluster()).prop_map(|(a, b)| a + &b),
            maybe("discovery", discovery())
        ],
        maybe("proxy_protocol", spoken),
        maybe("pool", pool),
        maybe("http2", http2()),
        maybe("protocol", Just("http2".to_owned())),
        (resilience::balancing(), resilience::breakers()).prop_map(|(a, b)| a + &b),
        maybe("connect_timeout", duration()),
        maybe("tcp_user_timeout", duration_or_off()),
        maybe(
            "tcp_keepalive",
            prop_oneof![Just("off".to_owned()), Just("{time: 7s}".to_owned())],
        ),
        maybe("tls", tls::upstream()),
    );
    fields
        .prop_map(move |(a, b, c, d, e, f, g, h, i, j)| {
            format!("{{{a}{b}{c}{d}{e}{f}{g}{h}{i}{j}name: {name}}}")
        })
        .boxed()
}

fn chain() -> BoxedStrategy<String> {
    let tcp = (
        maybe("idle_timeout", duration_or_off()),
        maybe("connection_duration_max", duration_or_off()),
        maybe(
            "connect_attempts_max",
            Just("3, rate_limits: [m], hash_source_address: true".to_owned()),
        ),
        target(),
    )
        .prop_map(|(a, b, c, d)| format!("tcp: {{{a}{b}{c}{d}}}"))
        .boxed();
    let http = http().prop_map(|http| format!("http: {http}")).boxed();
    let both = (http.clone(), tcp.clone(), maybe("detection_timeout", duration()))
        .prop_map(|(http, tcp, timeout)| format!("{timeout}{http}, {tcp}"));
    let spoken = prop_oneof![http, tcp, both];
    let matches = (
        maybe("destination_prefixes", Just("[10.0.0.0/8, '::1']".to_owned())),
        maybe("source_prefixes", Just("[192.0.2.7]".to_owned())),
        maybe("destination_port", Just("81".to_owned())),
    )
        .prop_map(|(a, b, c)| format!("{{{a}{b}{c}}}"));
    (
        maybe("match", matches),
        maybe("tls", tls::downstream()),
        spoken,
        maybe("authorization", Just("[q]".to_owned())),
    )
        .prop_map(|(a, b, c, d)| format!("{{{a}{b}{d}{c}}}"))
        .boxed()
}

fn tlvs() -> BoxedStrategy<String> {
    prop_oneof![
        Just("none".to_owned()),
        Just("all".to_owned()),
        any::<u8>().prop_map(|value| format!("[{value}]"))
    ]
    .boxed()
}

fn listener() -> BoxedStrategy<String> {
    let rate = prop_oneof![
        Just("off".to_owned()),
        (1..9u32, 1..9u32).prop_map(|(rate, burst)| format!("{{per_second: {rate}, burst: {burst}}}"))
    ];
    let proxied = prop_oneof![
        Just("optional".to_owned()),
        (
            prop_oneof![Just("off".to_owned()), Just("required".to_owned())],
            maybe("pass_tlvs", tlvs()),
            maybe("timeout", duration())
        )
            .prop_map(|(mode, a, b)| format!("{{{a}{b}mode: {mode}}}"))
    ];
    (
        chain(),
        maybe("connection_rate_max", rate),
        maybe("proxy_protocol", proxied),
        maybe(
            "interception",
            prop_oneof![Just("redirect".to_owned()), Just("tproxy".to_owned())],
        ),
    )
        .prop_map(|(chain, a, b, c)| {
            format!("{{name: l, address: 127.0.0.1:0, {a}{b}{c}filter_chains: [{chain}]}}")
        })
        .boxed()
}

/// A whole document, with a listener, routes, two clusters and what they refer to.
pub(crate) fn document() -> BoxedStrategy<String> {
    (listener(), vec(prop_oneof![4 => route(), 1 => connect_route(), 1 => template_route()], 0..5), cluster("a"), cluster("b"), maybe("request_headers", edits()), maybe("cors", cors()), edge::host(), identities::lists(), (authorization::lists(), jwt::lists(), resilience::lists()).prop_map(|(a, b, c)| a + &b + &c)).prop_map(
        |(listener, routes, a, b, edits, cors, edge, identities, policies)| {
            format!(
                "runtime: {{locality: r/z}}\nlisteners: [{listener}]\n\
                 route_configurations: [{{name: r, virtual_hosts: [{{rate_limits: [m, n], {edits}{cors}{edge}name: v, domains: [a.example, '*.b'], routes: [\n{}\n]}}]}}]\n\
                 clusters: [{a}, {b}, {{name: spoken, protocol: http2}}]\n{identities}{policies}",
                routes.join(",\n")
            )
        },
    )
    .boxed()
}
