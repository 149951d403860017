//! What is accepted and looks odd: shadowed routes, unused parts, settings without effect.

mod balancing;
mod health;
mod identity;
mod rate_limit;
mod retry;

use super::{expect, unmark, valid, with_chain, with_cluster, with_http, with_route};

fn check(around: impl Fn(&str) -> String, table: &[(&str, &[&str])]) {
    for (fragment, messages) in table {
        let marked = around(fragment);
        let (text, _) = unmark(&marked);
        expect(&marked, &valid(&text).warnings, messages).unwrap_or_else(|failure| panic!("{failure}"));
    }
}

/// Two routes, with the clusters that they use.
fn two(first: &str, second: &str) -> String {
    with_route(&format!(
        "{{name: one, match: {{{first}}}, forward: {{cluster: a}}}}\n    - {{name: two, match: {{{second}}}, \
         forward: {{cluster: backend}}}}"
    ))
}

#[test]
fn shadowed_routes() {
    let shadowed = |first: &str, second: &str| {
        let loaded = valid(&two(first, second));
        let shadow = loaded.warnings.iter().any(|warning| {
            warning.message() == "the route `two` is never taken: `one` takes its requests before"
                && (warning.line(), warning.column()) == (10, 7)
        });
        assert_eq!(shadow, !loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        shadow
    };
    let yes = [
        ("prefix: /", "path: /a"),
        ("prefix: /", "regex: /a.*"),
        ("prefix: /", "grpc: {service: a.B}"),
        ("prefix: /a", "path: /a"),
        ("prefix: /a", "path: /a/b"),
        ("prefix: /a", "prefix: /a/"),
        ("prefix: /a/", "prefix: /a/b"),
        ("prefix: /a/", "template: '/a/{x}'"),
        ("prefix: /a", "template: '/a/{x}/b'"),
        ("path: /a", "path: /a"),
        ("path: /a", "path: /a, methods: [GET]"),
        ("path: /a, methods: [GET, PUT]", "path: /a, methods: [PUT]"),
        ("template: '/a/{x}'", "template: '/a/{y}'"),
        ("regex: /a.*", "regex: /a.*"),
        ("regex: /a.*", "path: /ab"),
        ("prefix: /a", "regex: '/a/[0-9]+'"),
        ("string_prefix: /a", "path: /ab"),
        ("string_prefix: /a", "prefix: /ab/c"),
        ("string_prefix: /a", "template: '/ab/{x}'"),
        ("string_prefix: /a", "regex: /ab.*"),
        ("template: '/a/{x}'", "path: /a/b"),
        ("template: '/{y}/{x}'", "template: '/a/{x}'"),
        (
            "prefix: /, headers: [{name: x, present: true}]",
            "path: /b, headers: [{name: x, exact: a}]",
        ),
        (
            "prefix: /, query: [{name: x, prefix: a}]",
            "path: /b, query: [{name: x, exact: ab}]",
        ),
        ("grpc: {service: a.B}", "grpc: {service: a.B, method: C}"),
        ("connect: true", "connect: true, headers: [{name: x, exact: a}]"),
        (
            "prefix: /, headers: [{name: x, exact: a}]",
            "path: /b, headers: [{name: y, present: true}, {name: x, exact: a}]",
        ),
        (
            "prefix: /, query: [{name: x, exact: a}]",
            "path: /b, query: [{name: x, exact: a}]",
        ),
    ];
    for (first, second) in yes {
        assert!(shadowed(first, second), "{first} shadows {second}");
    }
    let no = [
        ("path: /a", "prefix: /a"),
        ("prefix: /a", "path: /ab"),
        ("prefix: /a/", "path: /a"),
        ("prefix: /a/", "prefix: /a"),
        ("prefix: /a/b", "template: '/a/{x}'"),
        ("template: '/a/{x}'", "template: '/a/{x}/b'"),
        ("path: /a, methods: [GET]", "path: /a"),
        ("path: /a, methods: [GET]", "path: /a, methods: [GET, PUT]"),
        ("grpc: {service: a.B}", "prefix: /a.B/"),
        ("prefix: /", "connect: true"),
        ("connect: true", "prefix: /"),
        ("connect: true, headers: [{name: x, exact: a}]", "connect: true"),
        (
            "prefix: /, headers: [{name: x, exact: a}]",
            "path: /b, headers: [{name: x, exact: b}]",
        ),
        (
            "prefix: /, headers: [{name: x, exact: a}]",
            "path: /b, headers: [{name: x, exact: a, invert: true}]",
        ),
        ("prefix: /, query: [{name: x, exact: a}]", "path: /b"),
        ("regex: /a.*", "path: /b"),
        ("regex: '/a[0-9]+'", "prefix: /a1"),
        ("regex: /a|/b", "path: /c"),
        ("prefix: /a", "regex: '/a?b'"),
        ("prefix: /a", "regex: '/b|/a/.*'"),
        ("prefix: /a", "regex: '(?i)/a/.*'"),
        ("string_prefix: /ab", "prefix: /a"),
        ("template: '/a/{x}'", "path: /a/"),
        ("template: '/a/{x}'", "path: /a/b/c"),
        ("template: '/a/b/{x}'", "template: '/a/{y}/{x}'"),
        (
            "prefix: /, headers: [{name: x, exact: a}]",
            "path: /b, headers: [{name: x, present: true}]",
        ),
        (
            "prefix: /, headers: [{name: x, prefix: ab}]",
            "path: /b, headers: [{name: x, exact: a}]",
        ),
    ];
    for (first, second) in no {
        assert!(!shadowed(first, second), "{first} does not shadow {second}");
    }
}

#[test]
fn unused_and_empty_parts() {
    check(
        |text| text.to_owned(),
        &[
            (
                "clusters:\n- «n»ame: a\n",
                &["nothing uses the cluster `a` | forward to it, or remove it"],
            ),
            (
                "route_configurations:\n- «{»name: r}\n",
                &[
                    "no filter chain uses the route configuration `r` | name it in a filter chain's `http`, or remove it",
                ],
            ),
            (
                "listeners: [{name: l, address: 127.0.0.1:1, filter_chains: [{http: {route_configuration: r}}]}]\n\
                 route_configurations: [{name: r, virtual_hosts: [«{»name: v, domains: ['*']}]}]\n",
                &["the virtual host `v` has no routes | its requests are answered 404; give it routes"],
            ),
        ],
    );
    let both = two("path: /a", "path: /b");
    assert!(valid(&both).warnings.is_empty());
}

#[test]
fn settings_without_effect() {
    let unused = "nothing uses the cluster `backend` | forward to it, or remove it";
    check(
        |matches| {
            with_chain(&format!(
                "{{match: {matches}, http: {{route_configuration: r}}, tcp: {{cluster: a}}}}"
            ))
            .replace("{name: backend}", "«{»name: backend}")
        },
        &[
            (
                "«{»server_names: [a.example]}",
                &[
                    "`http` has no effect: every connection of this filter chain is TLS, which `tcp` passes on | \
                     give the chain `tls`, or remove `http`",
                    unused,
                ],
            ),
            ("{destination_port: 7}", &[unused]),
        ],
    );
    let alone = "nothing uses the cluster `a` | forward to it, or remove it";
    check(
        |fields| with_cluster(&format!("«{{»name: a, {fields}}}")),
        &[
            (
                "«load_balancing»: random, discovery: {type: original_destination}",
                &[
                    alone,
                    "`load_balancing` has no effect: a connection goes where it was meant for | remove it",
                ],
            ),
            (
                "«load_balancing»: random, discovery: {type: logical_dns, names: [{host: b, port: 1}]}",
                &[
                    alone,
                    "`load_balancing` has no effect: the name is one endpoint | remove it",
                ],
            ),
            (
                "load_balancing: random, discovery: {type: strict_dns, names: [{host: b, port: 1}]}",
                &[alone],
            ),
        ],
    );
    check(
        |forward| {
            with_route(&format!(
                "{{match: {{connect: true}}, forward: {{cluster: a, {forward}}}}}"
            ))
            .replace("{name: backend}", "«{»name: backend}")
        },
        &[(
            "«upgrades»: []",
            &[
                unused,
                "`upgrades` has no effect on a route that takes CONNECT requests | remove it",
            ],
        )],
    );
    check(
        |fields| with_cluster(&format!("«{{»name: a, {fields}}}")),
        &[(
            "«http2»: {}",
            &[
                "nothing uses the cluster `a` | forward to it, or remove it",
                "`http2` has no effect: the protocol is http1 | write `protocol: http2`, or remove `http2`",
            ],
        )],
    );
}

#[test]
fn origins_that_are_wider_than_they_look() {
    let unused = "nothing uses the cluster `backend` | forward to it, or remove it";
    check(
        |origin| {
            with_route(&format!(
                "{{match: {{prefix: /}}, forward: {{cluster: a}}, cors: {{allow_origins: [{origin}]}}}}"
            ))
            .replace("{name: backend}", "«{»name: backend}")
        },
        &[
            (
                "{suffix: «a.example»}",
                &[
                    unused,
                    "this allows `https://evil-a.example` too | write `.a.example`, and `exact` for the rest",
                ],
            ),
            (
                "{prefix: «https://a.example»}",
                &[
                    unused,
                    "this allows `https://a.example.evil.example` too | write `exact`, or for every port end it with `:`",
                ],
            ),
            ("{suffix: .a.example}", &[unused]),
            ("{prefix: 'https://a.example:'}", &[unused]),
        ],
    );
}

#[test]
fn trust_in_nobody() {
    let (a, b) = (
        "nothing uses the cluster `a` | forward to it, or remove it",
        "nothing uses the cluster `backend` | forward to it, or remove it",
    );
    check(
        |http| {
            with_http(http)
                .replace("{name: a}", "«{»name: a}")
                .replace("{name: backend}", "«{»name: backend}")
        },
        &[
            (
                "«trusted_proxies»: [10.0.0.0/8]",
                &[
                    "`trusted_proxies` has no effect: `xff_num_trusted_hops` is 0, so nobody is trusted | write how many \
                     proxies stand in front of this one, or remove it",
                    a,
                    b,
                ],
            ),
            ("trusted_proxies: [10.0.0.0/8], xff_num_trusted_hops: 1", &[a, b]),
            (
                "forward_client_certificate: {mode: sanitize, «details»: [uri]}",
                &[
                    "`details` has no effect: in this mode nothing is told of the client's certificate | write `mode: \
                     sanitize_set` or `mode: append_forward`, or remove it",
                    a,
                    b,
                ],
            ),
        ],
    );
}

#[test]
fn a_virtual_host_without_routes_may_answer_by_itself() {
    for fields in ["https_redirect: true", "maintenance: {page: {body: closed}}"] {
        let text = format!(
            "listeners: [{{name: l, address: 127.0.0.1:1, filter_chains: [{{http: {{route_configuration: r}}}}]}}]\n\
             route_configurations: [{{name: r, virtual_hosts: [{{name: v, domains: ['*'], {fields}}}]}}]\n"
        );
        assert!(valid(&text).warnings.is_empty(), "{fields}");
    }
}

#[test]
fn connections_that_would_come_back() {
    let document = |listener: &str, chain: &str, discovery: &str| {
        format!(
            "listeners:\n- {{name: l, address: 127.0.0.1:1, {listener}filter_chains: [{{{chain}}}]}}\n\
             route_configurations: [{{name: r, virtual_hosts: [{{name: v, domains: ['*'], routes: \
             [{{match: {{prefix: /}}, forward: {{cluster: c}}}}]}}]}}]\n\
             clusters: [{{name: c, discovery: {{type: original_destination{discovery}}}}}]\n"
        )
    };
    let (http, tcp) = (
        "http: {route_configuration: r}",
        "http: {route_configuration: r}, tcp: {cluster: c}",
    );
    for chain in [http, tcp] {
        let warnings = valid(&document("", chain, "")).warnings;
        assert_eq!(warnings.len(), 1);
        assert_eq!(
            super::summary(&warnings[0]),
            "connections to the listener `l` are meant for itself, and the cluster `c` sends them there | write how they \
             are led here (`interception: redirect`), or give the cluster's `discovery` a `port`"
        );
        assert_eq!((warnings[0].line(), warnings[0].column()), (2, 3));
        assert!(valid(&document("", chain, ", port: 81")).warnings.is_empty());
        for led in [
            "interception: redirect, ",
            "interception: tproxy, ",
            "proxy_protocol: required, ",
        ] {
            assert!(valid(&document(led, chain, "")).warnings.is_empty());
        }
    }
}
