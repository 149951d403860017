//! Requests as they are described, and what is told of them.

use super::*;

#[test]
fn what_is_answered_before_any_route_is_told() {
    let text = "listeners: [{name: l, address: 127.0.0.1:0, filter_chains: [{http: {route_configuration: main, \
                xff_num_trusted_hops: 1}}]}]\nroute_configurations: [{name: main, virtual_hosts: [{name: all, \
                domains: ['*'], https_redirect: true, maintenance: {page: {body: soon}, allow: [10.0.0.0/8]}}]}]\n";
    let source = outrigger_config::Source {
        name: "edge.yaml".into(),
        text: text.into(),
    };
    let config = outrigger_config::load(&source, &outrigger_config::Environment::empty())
        .unwrap()
        .config;
    let told = |request: &str, headers: &[&str]| {
        let headers: Vec<String> = headers.iter().map(|header| (*header).to_owned()).collect();
        let request = Request::parse(request, &headers).unwrap();
        follow(&config, &request, &Peer::default(), None).unwrap()
    };
    let (text, answered) = told("GET http://a/x?y", &[]);
    assert!(
        answered && text.contains("redirect to HTTPS, 301, to `https://a/x?y`"),
        "{text}"
    );
    let grpc = ["content-type: application/grpc"];
    assert!(
        told("POST http://a/x", &grpc)
            .0
            .contains("gRPC status 9, details https_required")
    );
    let https = "x-forwarded-proto: https";
    let (text, _) = told("GET http://a/x", &[https]);
    assert!(
        text.contains("answer: 503, details maintenance, before any route, but for clients in 10.0.0.0/8")
    );
    let (text, answered) = told("GET http://a/x", &[https, "x-forwarded-for: 10.1.1.1"]);
    assert!(!answered && text.contains("404"), "{text}");
}

#[test]
fn requests_are_read_or_refused_with_a_reason() {
    let request = Request::parse("GET https://a.example:8443/x?y=1", &["X-A: b".into()]).unwrap();
    assert_eq!(
        (request.host(), request.port, request.target.as_str()),
        ("a.example", 8443, "/x?y=1")
    );
    assert_eq!(request.headers, [("x-a".to_owned(), "b".to_owned())]);
    assert_eq!(Request::parse("GET http://a", &[]).unwrap().target, "/");
    for (request, fault) in [
        ("GET", "expected METHOD URL"),
        ("GET a/b", "has no scheme"),
        ("GET ftp://a/b", "expected http or https"),
        ("GET http:///b", "has no host"),
        ("GET http://a:b/", "is no port"),
    ] {
        let error = Request::parse(request, &[]).unwrap_err().to_string();
        assert!(error.contains(fault), "{request}: {error}");
    }
}

#[test]
fn an_intercepting_listener_picks_its_chain_by_where_the_url_points() {
    let text = "listeners:
- name: out
  address: 127.0.0.1:15001
  interception: redirect
  filter_chains:
  - {name: pods, match: {destination_prefixes: [10.0.0.0/8]}, http: {route_configuration: r}}
  - {name: port, match: {destination_port: 81}, http: {route_configuration: r}}
  - {name: rest, http: {route_configuration: r}}
route_configurations:
- {name: r, virtual_hosts: [{name: v, domains: ['*'], routes: []}]}
";
    let source = outrigger_config::Source {
        name: "test".to_owned(),
        text: text.to_owned(),
    };
    let loaded = outrigger_config::load(&source, &outrigger_config::Environment::empty()).unwrap();
    let listener = &loaded.config.listeners()[0];
    for (url, wanted) in [
        ("http://10.1.2.3/", "pods"),
        ("http://10.1.2.3:81/", "port"),
        ("http://192.0.2.1/", "rest"),
        ("http://a.example/", "rest"),
        ("http://[fd00::1]/", "rest"),
    ] {
        let request = Request::parse(&format!("GET {url}"), &[]).unwrap();
        assert_eq!(
            pick_chain(listener, &request).unwrap().name().as_str(),
            wanted,
            "{url}"
        );
    }
}

#[test]
fn the_retry_policy_in_force_is_told() {
    let text = "listeners: [{name: l, address: 127.0.0.1:0, filter_chains: [{http: {route_configuration: main}}]}]\n\
                route_configurations: [{name: main, virtual_hosts: [{name: all, domains: ['*'], routes: [\
                {match: {prefix: /p}, forward: {cluster: c, retry: {retry_on: [5xx, reset], retries_max: 2, \
                per_try_timeout: 1s, idempotent: {header: idempotency-key}}}}, {match: {prefix: /}, forward: \
                {cluster: c}}]}]}]\nclusters: [{name: c, endpoints: [{address: 127.0.0.1:1}]}]\n";
    let source = outrigger_config::Source {
        name: "retries.yaml".into(),
        text: text.into(),
    };
    let config = outrigger_config::load(&source, &outrigger_config::Environment::empty())
        .unwrap()
        .config;
    let told = |request: &str, headers: &[&str]| {
        let headers: Vec<String> = headers.iter().map(|header| (*header).to_owned()).collect();
        let request = Request::parse(request, &headers).unwrap();
        explain(&config, &request, &Peer::default(), None).unwrap().text
    };
    let policy =
        "retries: at most 2, on 5xx, reset; 1s for each attempt; backoff up to 25ms, growing to 250ms\n";
    for (request, headers, expected) in [
        (
            "GET http://a/p",
            &[][..],
            "it may be sent again though it may have run: GET is idempotent",
        ),
        (
            "POST http://a/p",
            &[],
            "it is sent again only where it provably never ran: POST is not idempotent, and it has no",
        ),
        (
            "POST http://a/p",
            &["idempotency-key: 1"],
            "it may be sent again though it may have run: it has",
        ),
    ] {
        let text = told(request, headers);
        assert!(text.contains(policy) && text.contains(expected), "{text}");
    }
    let text = told("POST http://a/other", &[]);
    assert!(
        text.contains("retries: by default, one, if the request provably never ran\n"),
        "{text}"
    );
}
