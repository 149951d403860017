//! Values of a document arrive in the model.

use super::{valid, with_chain, with_cluster, with_http, with_route};
use crate::model::{
    AccessLogFormat, AccessLogSink, ChainMode, ConnectionRate, Domain, Forward, HeaderEditKind, HttpOptions,
    LoadBalancing, PathMatch, PathRewrite, ProxyHeader, Redirect, RedirectPath, Route, RouteAction,
    ServerNameMatch, StringMatch, TemplateSegment, Transport, UpstreamProtocol, defaults,
};
use std::time::Duration;

fn route(text: &str) -> Route {
    valid(&with_route(text)).config.route_configurations()[0].virtual_hosts()[0].routes()[0].clone()
}

fn path(matches: &str) -> PathMatch {
    route(&format!("{{match: {matches}, forward: {{cluster: a}}}}"))
        .matches()
        .path()
        .clone()
}

fn forward(fields: &str) -> Forward {
    match route(&format!("{{match: {{prefix: /a}}, forward: {{{fields}}}}}")).action() {
        RouteAction::Forward(forward) => forward.clone(),
        other => panic!("{other:?}"),
    }
}

fn http(fields: &str) -> HttpOptions {
    valid(&with_http(fields)).config.listeners()[0].filter_chains()[0]
        .mode()
        .http()
        .unwrap()
        .clone()
}

#[test]
fn an_empty_map_is_a_configuration_of_defaults() {
    let config = valid("{}\n").config;
    assert_eq!(config.admin().address(), defaults::ADMIN_ADDRESS);
    assert_eq!(config.runtime().workers(), None);
    assert_eq!(config.drain().grace(), defaults::DRAIN_GRACE);
    assert_eq!(config.drain().timeout(), defaults::DRAIN_TIMEOUT);
}

#[test]
fn http_defaults_are_the_named_constants() {
    let http = http("");
    assert_eq!(http.request_headers_bytes_max(), defaults::HEADERS_BYTES_MAX);
    assert_eq!(http.request_headers_count_max(), defaults::HEADERS_COUNT_MAX);
    assert_eq!(http.request_headers_timeout(), defaults::REQUEST_HEADERS_TIMEOUT);
    assert_eq!(http.idle_timeout(), defaults::IDLE_TIMEOUT);
    assert_eq!(http.stream_idle_timeout(), Some(defaults::STREAM_IDLE_TIMEOUT));
    assert_eq!(http.connection_age_max(), None);
    assert_eq!(http.requests_per_connection_max(), None);
    assert_eq!(
        http.server_header(),
        &ProxyHeader::Set(defaults::SERVER_NAME.into())
    );
    assert_eq!(http.via_header(), &ProxyHeader::Pass);
    assert_eq!(
        http.http2().stream_window_bytes(),
        defaults::HTTP2_STREAM_WINDOW_BYTES
    );
    assert_eq!(http.http2().keepalive_interval(), None);
    assert!(http.access_logs().is_empty());
}

#[test]
fn limits_may_be_turned_off() {
    let off = http("stream_idle_timeout: off, connection_age_max: 5m, requests_per_connection_max: 7");
    assert_eq!(off.stream_idle_timeout(), None);
    assert_eq!(off.connection_age_max(), Some(Duration::from_secs(300)));
    assert_eq!(off.requests_per_connection_max(), Some(7));
}

#[test]
fn access_logs_have_sinks_and_formats() {
    let logs = http(
        "access_logs: [{path: stdout}, {path: stderr, format: json}, {path: /var/log/x, format: {text: '%PROTOCOL%'}}, \
         {path: log/y, format: {json: {b: '1', a: '2'}}}]",
    );
    let logs: Vec<_> = logs
        .access_logs()
        .iter()
        .map(|log| (log.sink().clone(), log.format().clone()))
        .collect();
    let members = vec![("b".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
    assert_eq!(
        logs,
        [
            (AccessLogSink::Stdout, AccessLogFormat::DefaultText),
            (AccessLogSink::Stderr, AccessLogFormat::DefaultJson),
            (
                AccessLogSink::File("/var/log/x".into()),
                AccessLogFormat::Text("%PROTOCOL%".into())
            ),
            (
                AccessLogSink::File("log/y".into()),
                AccessLogFormat::Json(members)
            ),
        ]
    );
}

#[test]
fn chains_match_and_terminate_tls() {
    let text = with_chain(
        "{match: {destination_port: 8443, source_prefixes: [10.0.0.0/8, 192.0.2.7], server_names: [A.example, '*.b.example']}, \
         tls: {certificates: [{certificate_file: tls/c.pem, private_key_file: /k.pem}]}, http: {route_configuration: r}}",
    );
    let source = crate::Source {
        name: "/etc/mesh/mesh.yaml".into(),
        text,
    };
    let config = crate::load(&source, &crate::Environment::empty()).unwrap().config;
    let chain = &config.listeners()[0].filter_chains()[0];
    assert_eq!(chain.name().as_str(), "chain-0");
    let matches = chain.matches();
    assert_eq!(matches.destination_port(), Some(8443));
    assert_eq!(matches.source_prefixes()[1].to_string(), "192.0.2.7/32");
    assert_eq!(
        matches.server_names(),
        &[
            ServerNameMatch::Exact("a.example".into()),
            ServerNameMatch::Suffix(".b.example".into())
        ]
    );
    assert_eq!(
        matches.transport(),
        Some(Transport::Tls),
        "inferred: only TLS has server names"
    );
    let tls = chain.tls().as_ref().unwrap();
    assert_eq!(
        tls.certificates()[0].certificate_file().to_str(),
        Some("/etc/mesh/tls/c.pem")
    );
    assert_eq!(tls.certificates()[0].private_key_file().to_str(), Some("/k.pem"));
    assert_eq!(tls.application_protocols(), &["h2", "http/1.1"]);
    assert_eq!(chain.origin().to_string(), "/etc/mesh/mesh.yaml:6:5");
}

#[test]
fn a_chain_speaks_what_is_given() {
    let chain = |fields: &str| {
        valid(&with_chain(&format!("{{{fields}}}"))).config.listeners()[0].filter_chains()[0].clone()
    };
    let (http, tcp) = ("http: {route_configuration: r}", "tcp: {cluster: a}");
    for mode in ["", "mode: http, "] {
        assert!(matches!(
            chain(&format!("{mode}{http}")).mode(),
            ChainMode::Http(_)
        ));
    }
    for mode in ["", "mode: tcp, "] {
        assert!(matches!(chain(&format!("{mode}{tcp}")).mode(), ChainMode::Tcp(_)));
    }
    for mode in ["", "mode: auto, "] {
        let chain = chain(&format!("{mode}{http}, {tcp}"));
        let ChainMode::Auto(auto) = chain.mode() else {
            panic!()
        };
        assert_eq!(auto.detection_timeout(), defaults::DETECTION_TIMEOUT);
    }
    let slow = chain(&format!("{http}, {tcp}, detection_timeout: 3s"));
    let ChainMode::Auto(auto) = slow.mode() else {
        panic!()
    };
    assert_eq!(auto.detection_timeout(), Duration::from_secs(3));

    let plain = chain(tcp);
    let proxy = plain.mode().tcp().unwrap();
    assert_eq!(proxy.idle_timeout(), Some(defaults::TCP_IDLE_TIMEOUT));
    assert_eq!(proxy.connection_duration_max(), None);
    assert_eq!(proxy.connect_attempts_max(), defaults::TCP_CONNECT_ATTEMPTS_MAX);
    assert_eq!(proxy.clusters()[0].cluster().as_str(), "a");
    let full = chain(
        "tcp: {weighted_clusters: [{cluster: a, weight: 1}, {cluster: backend, weight: 2}], idle_timeout: off, \
         connection_duration_max: 1h, connect_attempts_max: 5, access_logs: [{path: stdout}]}",
    );
    let proxy = full.mode().tcp().unwrap();
    assert_eq!(
        (proxy.idle_timeout(), proxy.connection_duration_max()),
        (None, Some(Duration::from_secs(3600)))
    );
    assert_eq!(
        (proxy.connect_attempts_max(), proxy.clusters()[1].weight()),
        (5, 2)
    );
    assert_eq!(proxy.access_logs().len(), 1);
}

#[test]
fn tls_is_passed_through_where_bytes_are_passed_on() {
    let chain = |fields: &str| {
        valid(&with_chain(&format!("{{{fields}, tcp: {{cluster: a}}}}")))
            .config
            .listeners()[0]
            .filter_chains()[0]
            .clone()
    };
    let named = chain("match: {server_names: [a.example], destination_prefixes: [10.0.0.0/8, '::1']}");
    assert_eq!(named.matches().transport(), Some(Transport::Tls));
    assert_eq!(named.matches().destination_prefixes()[1].to_string(), "::1/128");
    assert!(named.tls().is_none());
    chain("match: {transport: tls}");
    chain("match: {application_protocols: [mqtt]}");
    let files = "certificates: [{certificate_file: c, private_key_file: k}]";
    let offered = |fields: &str| {
        chain(fields)
            .tls()
            .clone()
            .unwrap()
            .application_protocols()
            .clone()
    };
    assert!(
        offered(&format!("tls: {{{files}}}")).is_empty(),
        "what endpoints speak is not known"
    );
    assert_eq!(
        offered(&format!("tls: {{{files}, application_protocols: [mqtt]}}")),
        ["mqtt"]
    );
    let detecting = format!("tls: {{{files}}}, http: {{route_configuration: r}}");
    assert_eq!(offered(&detecting), defaults::APPLICATION_PROTOCOLS);
}

#[test]
fn connection_rates_have_a_burst() {
    let rate = |value: &str| {
        let text = with_chain("{tcp: {cluster: a}}").replace(
            "  address: 127.0.0.1:1\n",
            &format!("  address: 127.0.0.1:1\n  connection_rate_max: {value}\n"),
        );
        valid(&text).config.listeners()[0].connection_rate_max()
    };
    let pair = |rate: ConnectionRate| (rate.per_second(), rate.burst());
    assert_eq!(rate("off"), None);
    assert_eq!(rate("{per_second: 7}").map(pair), Some((7, 7)));
    assert_eq!(rate("{per_second: 7, burst: 9}").map(pair), Some((7, 9)));
}

#[test]
fn domains_are_exact_suffix_prefix_or_any() {
    let text = with_route("{match: {prefix: /}, forward: {cluster: a}}").replace(
        "['*']",
        "[A.example, '*.b.example', '*-c.example', 'api.*', '*', '[::1]']",
    );
    let config = valid(&text).config;
    assert_eq!(
        config.route_configurations()[0].virtual_hosts()[0].domains(),
        &[
            Domain::Exact("a.example".into()),
            Domain::Suffix(".b.example".into()),
            Domain::Suffix("-c.example".into()),
            Domain::Prefix("api.".into()),
            Domain::Any,
            Domain::Exact("[::1]".into()),
        ]
    );
}

#[test]
fn paths_are_matched_in_five_ways() {
    assert_eq!(path("{path: /a%2Fb}"), PathMatch::Exact("/a%2Fb".into()));
    assert_eq!(path("{prefix: /}"), PathMatch::Prefix("/".into()));
    assert_eq!(path("{grpc: {service: a.B}}"), PathMatch::Prefix("/a.B/".into()));
    assert_eq!(
        path("{grpc: {service: a.B, method: C}}"),
        PathMatch::Exact("/a.B/C".into())
    );
    let PathMatch::Template(template) = path("{template: '/a/{id}/'}") else {
        panic!()
    };
    let segments = [
        TemplateSegment::Literal("a".into()),
        TemplateSegment::Variable("id".into()),
        TemplateSegment::Literal("".into()),
    ];
    assert_eq!(template.segments(), &segments);
    let PathMatch::Regex(pattern) = path("{regex: '/a|/b'}") else {
        panic!()
    };
    assert!(
        pattern.anchored().is_match("/b") && !pattern.anchored().is_match("/bc"),
        "the whole path"
    );
    assert!(
        route("{match: {grpc: {service: a.B}}, forward: {cluster: a}}")
            .matches()
            .grpc()
    );
}

#[test]
fn forwards_have_timeouts_rewrites_and_shares() {
    let plain = forward("cluster: a");
    assert_eq!(
        (plain.timeout(), plain.timeout_explicit()),
        (Some(defaults::ROUTE_TIMEOUT), false)
    );
    assert_eq!(plain.stream_idle_timeout(), None);
    for (written, expected) in [("15s", Some(15)), ("0s", None), ("off", None)] {
        let timed = forward(&format!("cluster: a, timeout: {written}"));
        assert_eq!(
            (timed.timeout(), timed.timeout_explicit()),
            (expected.map(Duration::from_secs), true)
        );
    }
    assert_eq!(
        forward("cluster: a, stream_idle_timeout: off").stream_idle_timeout(),
        Some(None)
    );
    let shares = forward("weighted_clusters: [{cluster: a, weight: 0}, {cluster: backend, weight: 3}]");
    let shares: Vec<_> = shares
        .clusters()
        .iter()
        .map(|one| (one.cluster().as_str().to_owned(), one.weight()))
        .collect();
    assert_eq!(shares, [("a".to_owned(), 0), ("backend".to_owned(), 3)]);
    let rewrite = forward("cluster: a, regex_rewrite: {pattern: '(b+)', substitution: '<\\1$1\\\\>'}");
    let Some(PathRewrite::Regex(rewrite)) = rewrite.path_rewrite() else {
        panic!()
    };
    assert_eq!(
        rewrite.regex().replace_all("/abbc", rewrite.substitution()),
        "/a<bb$1\\>c"
    );
    assert_eq!(
        forward("cluster: a, host_rewrite: 'b:81'")
            .host_rewrite()
            .as_deref(),
        Some("b:81")
    );
}

#[test]
fn redirects_and_direct_responses() {
    let redirect = |fields: &str| -> Redirect {
        match route(&format!("{{match: {{prefix: /a}}, redirect: {{{fields}}}}}")).action() {
            RouteAction::Redirect(redirect) => redirect.clone(),
            other => panic!("{other:?}"),
        }
    };
    let full = redirect("scheme: https, host: b, port: 8443, path: /c, status: 307, strip_query: true");
    assert_eq!(full.scheme().as_deref(), Some("https"));
    assert_eq!(
        (full.port(), full.status(), full.strip_query()),
        (Some(8443), 307, true)
    );
    assert_eq!(full.path(), &Some(RedirectPath::Full("/c".into())));
    assert_eq!(redirect("scheme: https").status(), defaults::REDIRECT_STATUS);
    assert!(matches!(
        redirect("prefix_rewrite: /b").path(),
        Some(RedirectPath::Rewrite(PathRewrite::Prefix(_)))
    ));
    let answer = route("{match: {path: /}, direct_response: {status: 200, body: 5}, request_body_max: 1MiB}");
    let RouteAction::DirectResponse(response) = answer.action() else {
        panic!()
    };
    assert_eq!((response.status(), response.body().as_str()), (200, "5"));
    assert_eq!(response.content_type(), defaults::DIRECT_RESPONSE_CONTENT_TYPE);
    assert_eq!(answer.request_body_bytes_max(), Some(1 << 20));
}

#[test]
fn header_edits_keep_their_order() {
    let edits = route(
        "{match: {prefix: /}, forward: {cluster: a}, response_headers: \
         {append: {X-C: [a, b]}, set: {x-b: 1}, add: {x-a: 'x: y'}, remove: [X-D]}}",
    );
    let edits = edits.response_headers();
    let written: Vec<_> = edits
        .write()
        .iter()
        .map(|edit| (edit.kind(), edit.name().as_str(), edit.value().to_string()))
        .collect();
    assert_eq!(
        written,
        [
            (HeaderEditKind::Add, "x-a", "x: y".to_owned()),
            (HeaderEditKind::Set, "x-b", "1".to_owned()),
            (HeaderEditKind::Append, "x-c", "a".to_owned()),
            (HeaderEditKind::Append, "x-c", "b".to_owned()),
        ]
    );
    assert_eq!(edits.remove()[0].as_str(), "x-d");
}

#[test]
fn conditions_compare_in_six_ways() {
    let route = route(
        "{match: {prefix: /, methods: [GET, M-SEARCH], headers: [{name: X, exact: ''}, {name: x, prefix: a}, \
         {name: x, suffix: a}, {name: x, contains: a}, {name: x, regex: a+, invert: true}], query: [{name: Q, present: true}]}, \
         forward: {cluster: a}}",
    );
    let matches = route.matches();
    assert_eq!(matches.methods(), &["GET", "M-SEARCH"]);
    let values: Vec<_> = matches.headers().iter().map(|one| one.value().clone()).collect();
    assert_eq!(values[0], StringMatch::Exact("".into()));
    assert_eq!(
        values[1..4],
        [
            StringMatch::Prefix("a".into()),
            StringMatch::Suffix("a".into()),
            StringMatch::Contains("a".into())
        ]
    );
    assert!(matches!(&values[4], StringMatch::Regex(pattern) if pattern.source() == "a+"));
    assert!(matches.headers()[4].invert() && !matches.headers()[0].invert());
    assert_eq!(
        (matches.query()[0].name().as_str(), matches.query()[0].value()),
        ("Q", &StringMatch::Present)
    );
}

#[test]
fn clusters_have_protocols_pools_and_endpoints() {
    let cluster = |fields: &str| {
        valid(&with_cluster(&format!("{{name: a, {fields}}}")))
            .config
            .clusters()[0]
            .as_ref()
            .clone()
    };
    let plain = cluster("");
    assert_eq!(
        (plain.protocol(), plain.load_balancing()),
        (UpstreamProtocol::Http1, LoadBalancing::RoundRobin)
    );
    assert_eq!(plain.connect_timeout(), defaults::CONNECT_TIMEOUT);
    assert_eq!(plain.pool().idle_timeout(), None);
    let tls = cluster("tls: {ca_file: ca.pem, server_name: 192.0.2.1}");
    assert_eq!(tls.protocol(), UpstreamProtocol::Auto, "ALPN settles it");
    let fixed = cluster(
        "tls: {ca_file: ca.pem, server_name: a.example}, protocol: http1, tcp_keepalive: {probes: 5}",
    );
    assert_eq!(fixed.protocol(), UpstreamProtocol::Http1);
    assert_eq!(fixed.tcp_keepalive().as_ref().unwrap().probes(), 5);
    assert_eq!(
        fixed.tcp_keepalive().as_ref().unwrap().time(),
        defaults::TCP_KEEPALIVE_TIME
    );
    let endpoints = cluster("endpoints: [{address: '[::1]:80', weight: 4, metadata: {zone: 1}}]");
    let endpoint = &endpoints.endpoints()[0];
    assert_eq!(
        (endpoint.address().to_string().as_str(), endpoint.weight()),
        ("[::1]:80", 4)
    );
    assert_eq!(endpoint.metadata()["zone"], "1");
}
