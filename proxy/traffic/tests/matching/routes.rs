//! Single rules of matching, one table each.

use crate::tables::{Request, routes};
use outrigger_config::model::RouteConfiguration;
use outrigger_traffic::{Found, Mismatch, PastRequest, RouteTable, explain_past};
use std::sync::Arc;

fn get(host: &str, target: &str) -> Request {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    Request {
        identity: None,
        method: "GET".into(),
        host: host.into(),
        path: path.into(),
        query,
        headers: Vec::new(),
    }
}

/// One virtual host for `*` with a route for each `match`.
fn any_host(matches: &[&str]) -> Arc<RouteConfiguration> {
    let mut yaml = String::from(
        "route_configurations:\n- name: main\n  virtual_hosts:\n  - name: all\n    domains: ['*']\n    routes:\n",
    );
    for (index, text) in matches.iter().enumerate() {
        yaml.push_str(&format!(
            "    - {{name: route-{index}, match: {text}, direct_response: {{status: 200}}}}\n"
        ));
    }
    routes(&yaml)
}

fn find(table: &RouteTable, request: &Request) -> Option<usize> {
    match table.find(request) {
        Found::Route { route, .. } => Some(route),
        _ => None,
    }
}

#[test]
fn hosts_are_taken_by_the_best_domain_in_any_case() {
    let domains = [
        "a.example",
        "*.example",
        "*.b.example",
        "*-x.example",
        "api.*",
        "api.v1.*",
        "*",
    ];
    let hosts: Vec<String> = domains
        .iter()
        .enumerate()
        .map(|(index, domain)| {
            format!(
                "{{name: h{index}, domains: ['{domain}'], routes: [{{match: {{prefix: /}}, direct_response: {{status: 200}}}}]}}"
            )
        })
        .collect();
    let yaml = |hosts: &[String]| {
        format!(
            "route_configurations: [{{name: main, virtual_hosts: [{}]}}]",
            hosts.join(", ")
        )
    };
    let table = RouteTable::compile(&routes(&yaml(&hosts)));
    let long = format!("{}.EXAMPLE", "l".repeat(400));
    let cases = [
        ("a.example", 0),
        ("A.EXAMPLE", 0),
        ("c.example", 1),
        (long.as_str(), 1),
        ("x.c.example", 1),
        ("c.b.example", 2),
        ("b.example", 1),
        ("c-x.example", 3),
        ("-x.example", 1),
        ("api.example", 1),
        ("api.other", 4),
        ("api.v1.other", 5),
        ("API.v1.", 4),
        ("api.", 6),
        (".example", 6),
        ("", 6),
    ];
    for (host, wanted) in cases {
        assert_eq!(
            table.find(&get(host, "/")),
            Found::Route {
                virtual_host: wanted,
                route: 0
            },
            "{host}"
        );
    }
    let without_any = RouteTable::compile(&routes(&yaml(&hosts[..6])));
    assert_eq!(without_any.find(&get("other", "/")), Found::NoVirtualHost);
    let explanation = without_any.explain(&get("b.example.org", "/"));
    assert_eq!(explanation.nearest_domains.len(), 5);
    assert!(
        explanation
            .to_string()
            .starts_with("no virtual host takes `b.example.org`")
    );
}

#[test]
fn prefixes_end_on_segment_borders_and_paths_are_case_sensitive() {
    let table = RouteTable::compile(&any_host(&[
        "{prefix: /a/}",
        "{prefix: /a}",
        "{path: /b}",
        "{template: '/c/{x}/d'}",
    ]));
    let cases = [
        ("/a", Some(1)),
        ("/a/", Some(0)),
        ("/a/b", Some(0)),
        ("/a//b", Some(0)),
        ("/ab", None),
        ("/A", None),
        ("/", None),
        ("/b", Some(2)),
        ("/b/", None),
        ("/c/1/d", Some(3)),
        ("/c//d", None),
        ("/c/1/2/d", None),
        ("/c/1/d/", None),
        ("/c/1", None),
        ("*", None),
        ("", None),
    ];
    for (path, wanted) in cases {
        assert_eq!(find(&table, &get("h", path)), wanted, "{path}");
    }
    let everything = RouteTable::compile(&any_host(&["{prefix: /}"]));
    assert!(
        ["/", "/a", "*", ""]
            .into_iter()
            .all(|path| find(&everything, &get("h", path)) == Some(0))
    );
}

#[test]
fn prefixes_that_are_texts_end_anywhere() {
    let table = RouteTable::compile(&any_host(&[
        "{path: /ab/c}",
        "{string_prefix: /ab/}",
        "{prefix: /ab/c/d}",
        "{string_prefix: /a, methods: [POST]}",
        "{string_prefix: /a}",
        "{string_prefix: /a}",
        "{string_prefix: '/'}",
    ]));
    let cases = [
        ("/ab/c", Some(0)),
        ("/ab/c/d", Some(1)),
        ("/ab/", Some(1)),
        ("/ab", Some(4)),
        ("/a", Some(4)),
        ("/axyz/b", Some(4)),
        ("/A", Some(6)),
        ("/", Some(6)),
        ("*", None),
        ("", None),
    ];
    for (path, wanted) in cases {
        assert_eq!(find(&table, &get("h", path)), wanted, "{path}");
    }
}

#[test]
fn the_first_route_in_order_wins_whatever_its_kind() {
    let table = RouteTable::compile(&any_host(&[
        "{regex: '/a/[0-9]+'}",
        "{template: '/a/{x}'}",
        "{path: /a/b}",
        "{regex: '/a/b/.*'}",
        "{prefix: /a}",
        "{path: /a/b/c}",
    ]));
    let cases = [
        ("/a/1", Some(0)),
        ("/a/b", Some(1)),
        ("/a/b/c", Some(3)),
        ("/a/x/y", Some(4)),
        ("/a", Some(4)),
        ("/", None),
    ];
    for (path, wanted) in cases {
        assert_eq!(find(&table, &get("h", path)), wanted, "{path}");
    }
}

#[test]
fn a_route_whose_conditions_fail_leaves_the_request_to_the_next() {
    let table = RouteTable::compile(&any_host(&[
        "{path: /a, methods: [POST, PUT]}",
        "{path: /a, headers: [{name: x-a, exact: v}]}",
        "{prefix: /a, query: [{name: p, prefix: v}]}",
        "{grpc: {service: a.B, method: C}}",
        "{regex: '/a.*', headers: [{name: x-a, present: true, invert: true}, {name: x-b, regex: '[0-9]+'}]}",
        "{prefix: /a}",
    ]));
    let with = |name: &str, value: &[u8]| {
        let mut request = get("h", "/a");
        request.headers.push((name.into(), value.into()));
        request
    };
    let post = Request {
        method: "POST".into(),
        ..get("h", "/a")
    };
    assert_eq!(find(&table, &post), Some(0));
    assert_eq!(find(&table, &with("x-a", b"v")), Some(1));
    assert_eq!(find(&table, &get("h", "/a?p=%76w")), Some(2));
    assert_eq!(
        find(&table, &get("h", "/a?q=v&p=w&p=v")),
        Some(5),
        "the first parameter of a name counts"
    );
    assert_eq!(find(&table, &with("x-b", b"12")), Some(4));
    assert_eq!(
        find(&table, &with("x-b", b"12\xff")),
        Some(5),
        "no regex matches what is not text"
    );
    assert_eq!(find(&table, &with("x-b", b"a")), Some(5));
    let mut grpc = with("content-type", b"application/grpc+proto");
    grpc.path = "/a.B/C".into();
    assert_eq!(find(&table, &grpc), Some(3));
    grpc.headers.clear();
    assert_eq!(find(&table, &grpc), None);
}

#[test]
fn several_fields_of_a_name_are_one_value() {
    let table = RouteTable::compile(&any_host(&["{prefix: /, headers: [{name: x-a, exact: 'v,w'}]}"]));
    let mut request = get("h", "/");
    request.headers = vec![("x-a".into(), b"v".to_vec()), ("x-a".into(), b"w".to_vec())];
    assert_eq!(find(&table, &request), Some(0));
    request.headers.pop();
    assert_eq!(find(&table, &request), None);
}

#[test]
fn values_that_are_no_text_are_compared_as_bytes() {
    let table = RouteTable::compile(&any_host(&[
        "{prefix: /, headers: [{name: x-a, suffix: v}]}",
        "{prefix: /, headers: [{name: x-a, contains: w}]}",
    ]));
    for (value, wanted) in [(&b"\xffv"[..], Some(0)), (b"\xffw\xff", Some(1)), (b"\xff", None)] {
        let mut request = get("h", "/");
        request.headers.push(("x-a".into(), value.into()));
        assert_eq!(find(&table, &request), wanted, "{value:?}");
    }
}

#[test]
fn deep_paths_and_templates_need_no_deep_stack() {
    let deep = "/a".repeat(2_000);
    let template = format!("{}/{{v}}/a", "/a".repeat(31));
    let table = RouteTable::compile(&any_host(&[
        &format!("{{prefix: '{deep}'}}"),
        &format!("{{template: '{template}'}}"),
    ]));
    assert_eq!(find(&table, &get("h", &deep)), Some(0));
    assert_eq!(find(&table, &get("h", &"/a".repeat(30_000))), Some(0));
    assert_eq!(find(&table, &get("h", &"/a".repeat(33))), Some(1));
    assert_eq!(find(&table, &get("h", &"/".repeat(60_000))), None);
}

#[test]
fn templates_that_share_segments_are_all_tried() {
    let table = RouteTable::compile(&any_host(&[
        "{template: '/a/{x}/c/{y}', methods: [POST]}",
        "{template: '/{x}/b/{y}/e'}",
        "{template: '/{x}/{y}/{z}/d'}",
        "{template: '/a/b/c/{x}'}",
    ]));
    for (path, wanted) in [
        ("/a/b/c/e", Some(1)),
        ("/a/b/c/d", Some(2)),
        ("/a/b/c/f", Some(3)),
        ("/a/x/c/f", None),
    ] {
        assert_eq!(find(&table, &get("h", path)), wanted, "{path}");
    }
    let post = Request {
        method: "POST".into(),
        ..get("h", "/a/b/c/e")
    };
    assert_eq!(find(&table, &post), Some(0));
}

#[test]
fn an_explanation_says_what_failed_first() {
    let table = RouteTable::compile(&any_host(&[
        "{path: /b}",
        "{path: /a, methods: [POST]}",
        "{path: /a, headers: [{name: x-a, contains: v, invert: true}]}",
        "{prefix: /a}",
    ]));
    let mut request = get("H.example", "/a");
    request.headers.push(("x-a".into(), b"wv".to_vec()));
    let explanation = table.explain(&request);
    assert_eq!(
        explanation.found,
        Found::Route {
            virtual_host: 0,
            route: 3
        }
    );
    assert_eq!(explanation.host, "h.example");
    assert_eq!(
        explanation.refused[1].mismatch,
        Mismatch::Method {
            wanted: vec!["POST".into()],
            came: "GET".into()
        }
    );
    let text = explanation.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with("virtual host `all` (routes.yaml:4:"),
        "{text}"
    );
    assert!(
        lines[0].ends_with("its domain `*` takes what no other domain does, here `h.example`"),
        "{text}"
    );
    assert!(
        lines[1].starts_with("route `route-3`") && lines[1].contains("prefix `/a`"),
        "{text}"
    );
    assert!(lines[2].ends_with("path `/b` does not match `/a`"), "{text}");
    assert!(lines[3].ends_with("method must be POST, it is `GET`"), "{text}");
    assert!(
        lines[4].ends_with("header `x-a` must not contain `v`, it is `wv`"),
        "{text}"
    );
    assert_eq!(lines.len(), 5, "{text}");
}

#[test]
fn of_a_request_that_is_over_conditions_on_what_is_not_kept_are_told_as_such() {
    let config = any_host(&[
        "{path: /a, methods: [POST], headers: [{name: x-a, exact: v}]}",
        "{path: /a, headers: [{name: x-a, contains: v, invert: true}], query: [{name: q, exact: '1'}]}",
        "{path: /a, source_identities: [{spiffe_id: 'spiffe://a/b'}]}",
        "{path: /b}",
        "{prefix: /a}",
    ]);
    let found = Found::Route {
        virtual_host: 0,
        route: 4,
    };
    let id = "spiffe://a/c".parse().unwrap();
    let request = PastRequest {
        method: "GET",
        host: "h",
        path: "/a",
        source_identity: Some(&id),
    };
    let explanation = explain_past(&config, found, &request);
    let reasons: Vec<String> = explanation
        .refused
        .iter()
        .map(|refused| refused.mismatch.to_string())
        .collect();
    let forgotten = "one of its other conditions did not hold; what came is not kept:";
    assert_eq!(
        reasons,
        [
            "method must be POST, it is `GET`".to_owned(),
            format!("{forgotten} header `x-a` must not contain `v`; query parameter `q` must be `1`"),
            "the peer's identity must be `spiffe://a/b`, it is `spiffe://a/c`".to_owned(),
            "path `/b` does not match `/a`".to_owned(),
        ]
    );
}

#[test]
fn an_explanation_of_many_routes_names_the_nearest() {
    let matches: Vec<String> = (0..100).map(|index| format!("{{path: /x/{index}}}")).collect();
    let mut matches: Vec<&str> = matches.iter().map(String::as_str).collect();
    matches.push("{path: /a/b, methods: [POST]}");
    matches.push("{path: /a/c}");
    let explanation = RouteTable::compile(&any_host(&matches)).explain(&get("h", "/a/b"));
    assert_eq!(explanation.found, Found::NoRoute { virtual_host: 0 });
    assert_eq!((explanation.refused.len(), explanation.refused_more), (16, 86));
    let indices: Vec<usize> = explanation.refused.iter().map(|route| route.index).collect();
    assert!(
        indices.is_sorted() && indices.ends_with(&[100, 101]),
        "{indices:?}"
    );
    let text = explanation.to_string();
    assert!(
        text.contains("\nno route matches\n") && text.ends_with("nor 86 more routes that are further off")
    );
}

#[test]
fn a_recompiled_table_sees_changes_and_keeps_what_is_the_same() {
    let old = any_host(&["{path: /a}"]);
    let new = any_host(&["{path: /b}", "{path: /a}"]);
    let first = RouteTable::compile(&old);
    let same = RouteTable::recompile(&old, &first);
    let changed = RouteTable::recompile(&new, &first);
    assert_eq!(find(&same, &get("h", "/a")), Some(0));
    assert_eq!(find(&changed, &get("h", "/a")), Some(1));
    assert_eq!(find(&changed, &get("h", "/b")), Some(0));
}

#[test]
fn connect_is_taken_by_routes_that_say_so_and_by_no_others() {
    let matches = [
        "{prefix: /}",
        "{connect: true, headers: [{name: x-a, exact: v}]}",
        "{regex: '.*'}",
        "{connect: true}",
    ];
    let table = RouteTable::compile(&any_host(&matches));
    let mut connect = Request {
        method: "CONNECT".into(),
        ..get("db.example", "")
    };
    assert_eq!(find(&table, &connect), Some(3));
    let explanation = table.explain(&connect);
    assert_eq!(
        explanation.refused[0].mismatch,
        Mismatch::Connect { wanted: false }
    );
    connect.headers = vec![("x-a".to_owned(), b"v".to_vec())];
    assert_eq!(find(&table, &connect), Some(1));
    assert_eq!(find(&table, &get("db.example", "/")), Some(0));
    let only = RouteTable::compile(&any_host(&["{connect: true}"]));
    assert_eq!(find(&only, &get("db.example", "/")), None);
    let explanation = only.explain(&get("db.example", "/"));
    assert_eq!(
        explanation.refused[0].mismatch,
        Mismatch::Connect { wanted: true }
    );
    let none = RouteTable::compile(&any_host(&["{prefix: /}", "{regex: '.*'}"]));
    assert_eq!(find(&none, &connect), None);
}
