//! Filter chains: their modes and matches, TCP.

use super::super::with_chain;
use super::check;

#[test]
fn modes() {
    let (http, tcp) = ("http: {route_configuration: r}", "tcp: {cluster: a}");
    let around = |text: &str| with_chain(&format!("{{{}}}", text.replace("HTTP", http).replace("TCP", tcp)));
    check(
        around,
        &[
            (
                "mode: «auto», HTTP",
                &["`mode: auto` on a filter chain with `http` alone | write `http`, or give it `tcp` too"],
            ),
            (
                "mode: «auto», TCP",
                &["`mode: auto` on a filter chain with `tcp` alone | write `tcp`, or give it `http` too"],
            ),
            (
                "mode: «tcp», HTTP",
                &[
                    "`mode: tcp` on a filter chain with `http` alone | write `http`, or give it `tcp` in place of `http`",
                ],
            ),
            (
                "mode: «http», TCP",
                &[
                    "`mode: http` on a filter chain with `tcp` alone | write `tcp`, or give it `http` in place of `tcp`",
                ],
            ),
            (
                "mode: «http», HTTP, TCP",
                &[
                    "`mode: http` on a filter chain with both `http` and `tcp` | write `auto`, or remove `tcp`",
                ],
            ),
            (
                "mode: «tcp», HTTP, TCP",
                &[
                    "`mode: tcp` on a filter chain with both `http` and `tcp` | write `auto`, or remove `http`",
                ],
            ),
            (
                "mode: «udp», TCP",
                &["expected `http`, `tcp` or `auto`, found `udp` | not implemented: UDP"],
            ),
            (
                "«detection_timeout»: 1s, HTTP",
                &[
                    "`detection_timeout` on a filter chain that detects nothing | only one with both `http` and `tcp` does",
                ],
            ),
            (
                "«detection_timeout»: 1s, TCP",
                &[
                    "`detection_timeout` on a filter chain that detects nothing | only one with both `http` and `tcp` does",
                ],
            ),
            (
                "detection_timeout: «0s», HTTP, TCP",
                &["this duration may not be zero | it has no meaning as zero"],
            ),
            (
                "«tcp_proxy»: {}, HTTP",
                &["unknown field `tcp_proxy` in filter chain | did you mean `tcp`?"],
            ),
        ],
    );
}

#[test]
fn tcp() {
    check(
        |fields| with_chain(&format!("{{tcp: {fields}}}")),
        &[
            (
                "«{»}",
                &["one of `cluster` and `weighted_clusters` is missing in tcp"],
            ),
            ("{cluster: «c»}", &["no cluster is named `c`"]),
            (
                "{cluster: a, «weighted_clusters»: [{cluster: a, weight: 1}]}",
                &[
                    "`cluster` and `weighted_clusters` exclude each other | give exactly one of `cluster` and `weighted_clusters`",
                ],
            ),
            (
                "{weighted_clusters: «[»{cluster: a, weight: 0}]}",
                &["the weights sum to 0, so no cluster gets a request"],
            ),
            (
                "{cluster: a, idle_timeout: «0s»}",
                &["this duration may not be zero | write `off` for no limit"],
            ),
            (
                "{cluster: a, connection_duration_max: «1»}",
                &["the duration `1` has no unit | such as `1s`"],
            ),
            (
                "{cluster: a, connect_attempts_max: «0»}",
                &["0 is not between 1 and 255"],
            ),
            (
                "{cluster: a, «max_connect_attempts»: 3}",
                &["unknown field `max_connect_attempts` in tcp | did you mean `connect_attempts_max`?"],
            ),
            (
                "{cluster: a, access_logs: [«{»format: json}]}",
                &["one of `path` and `collector` is missing in access log"],
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
                "destination_prefixes: [«fd00::1/8»]",
                &["`fd00::1/8` has bits set beyond its prefix length | did you mean `fd00::/8`?"],
            ),
            (
                "source_prefixes: [10.0.0.0/8, «10.0.0.0/8»]",
                &["a second value `10.0.0.0/8` | the first stands at 6:32"],
            ),
            (
                "«server_names»: [a.example]",
                &[
                    "`server_names` on a filter chain without `tls` never matches | only TLS connections send them; give the chain `tls`, or `tcp` to pass TLS through",
                ],
            ),
            (
                "«application_protocols»: [h2]",
                &[
                    "`application_protocols` on a filter chain without `tls` never matches | only TLS connections send them; give the chain `tls`, or `tcp` to pass TLS through",
                ],
            ),
            (
                "transport: «tls»",
                &[
                    "`transport: tls` on a filter chain without `tls` | give the chain `tls`, or `tcp` to pass TLS through",
                ],
            ),
            (
                "transport: «udp»",
                &["expected `raw` or `tls`, found `udp` | not implemented: UDP"],
            ),
        ],
    );
    check(
        |matches| with_chain(&format!("{{match: {{{matches}}}, tcp: {{cluster: a}}}}")),
        &[(
            "transport: raw, «server_names»: [a.example]",
            &["`server_names` with `transport: raw` never matches | only TLS connections send them"],
        )],
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
                "{match: {destination_prefixes: [10.0.0.0/8, fd00::/8]}, RAW}\n  - «{»match: {destination_prefixes: [fd00::/8]}, RAW}",
                &[
                    "the filter chains `chain-0` and `chain-1` match alike | give one of them a `match` of its own",
                ],
            ),
            (
                "{match: {server_names: [a.example]}, tcp: {cluster: a}}\n  - «{»match: {server_names: [a.example]}, TLS}",
                &[
                    "the filter chains `chain-0` and `chain-1` match alike | give the one with `tls` the match `transport: tls`",
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
    super::super::valid(&around(
        "{match: {destination_prefixes: [10.0.0.0/8]}, RAW}\n  - {match: {destination_prefixes: [10.0.0.0/9]}, RAW}\n  \
         - {RAW}\n  - {match: {destination_prefixes: [10.0.0.0/8], server_names: [a]}, tcp: {cluster: a}}",
    ));
}
