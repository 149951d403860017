//! Virtual hosts and matchers: each route names itself in a direct response.

use outrigger_harness::{Client, Document, Proxy};

fn says(name: &str, matcher: &str) -> String {
    format!("{{ match: {{ {matcher} }}, direct_response: {{ status: 200, body: {name} }} }}")
}

async fn answers(client: &mut Client, table: &[(&str, &str, &str, &str)]) {
    for (method, target, fields, expected) in table {
        let request = format!("{method} {target} HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
        let response = client.exchange(&request).await;
        assert_eq!(response.text(), *expected, "{request:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_match_exactly_by_prefix_by_template_and_by_regex() {
    let routes = [
        says("exact", "path: /exact"),
        says("template", "template: '/t/{id}/x'"),
        says("regex", "regex: '/r/[0-9]+'"),
        says("deep", "prefix: /p/deep"),
        says("prefix", "prefix: /p"),
        says("rest", "prefix: /"),
    ];
    let proxy = Proxy::start(Document::to(&[]).routes(&routes.join(", "))).await;
    let mut client = Client::connect(proxy.address()).await;
    answers(
        &mut client,
        &[
            ("GET", "/exact", "", "exact"),
            ("GET", "/exact?q", "", "exact"),
            ("GET", "/./exact", "", "exact"),
            ("GET", "/%65xact", "", "exact"),
            ("GET", "/exact/", "", "rest"),
            ("GET", "/Exact", "", "rest"),
            ("GET", "/t/1/x", "", "template"),
            ("GET", "/t/1/2/x", "", "rest"),
            ("GET", "/t//x", "", "rest"),
            ("GET", "/r/42", "", "regex"),
            ("GET", "/r/42/", "", "rest"),
            ("GET", "/a/r/42", "", "rest"),
            ("GET", "/p", "", "prefix"),
            ("GET", "/p/", "", "prefix"),
            ("GET", "/p/x", "", "prefix"),
            ("GET", "/px", "", "rest"),
            ("GET", "/p/deep/x", "", "deep"),
            ("GET", "/p/deeper", "", "prefix"),
            ("GET", "/p/../q", "", "rest"),
            ("GET", "http://a/exact", "", "exact"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_headers_and_parameters_are_conditions() {
    let routes = [
        says("post", "prefix: /, methods: [POST, PUT]"),
        says("exact", "prefix: /, headers: [{ name: x-a, exact: 'yes' }]"),
        says("prefix", "prefix: /, headers: [{ name: x-a, prefix: pre }]"),
        says("suffix", "prefix: /, headers: [{ name: x-a, suffix: suf }]"),
        says("contains", "prefix: /, headers: [{ name: x-a, contains: mid }]"),
        says("regex", "prefix: /, headers: [{ name: x-a, regex: '[0-9]+' }]"),
        says(
            "both",
            "prefix: /, headers: [{ name: x-b, exact: '1' }, { name: x-c, present: true }]",
        ),
        says("query-exact", "prefix: /, query: [{ name: q, exact: 'a b' }]"),
        says("query-present", "prefix: /, query: [{ name: q, present: true }]"),
        says(
            "absent",
            "prefix: /absent, headers: [{ name: x-d, present: true, invert: true }]",
        ),
        says("rest", "prefix: /"),
    ];
    let proxy = Proxy::start(Document::to(&[]).routes(&routes.join(", "))).await;
    let mut client = Client::connect(proxy.address()).await;
    answers(
        &mut client,
        &[
            ("POST", "/", "content-length: 0\r\n", "post"),
            ("PUT", "/", "content-length: 0\r\n", "post"),
            ("post", "/", "content-length: 0\r\n", "rest"),
            ("GET", "/", "x-a: yes\r\n", "exact"),
            ("GET", "/", "X-A: yes\r\n", "exact"),
            ("GET", "/", "x-a: Yes\r\n", "rest"),
            ("GET", "/", "x-a: prefixed\r\n", "prefix"),
            ("GET", "/", "x-a: xsuf\r\n", "suffix"),
            ("GET", "/", "x-a: amidst\r\n", "contains"),
            ("GET", "/", "x-a: 42\r\n", "regex"),
            ("GET", "/", "x-a: 42x\r\n", "rest"),
            ("GET", "/", "x-a: 4\r\nx-a: 2\r\n", "rest"),
            ("GET", "/", "x-b: 1\r\n", "rest"),
            ("GET", "/", "x-b: 1\r\nx-c:\r\n", "both"),
            ("GET", "/?q=a%20b", "", "query-exact"),
            ("GET", "/?p&q=a+b", "", "query-present"),
            ("GET", "/?q=c&q=a%20b", "", "query-present"),
            ("GET", "/?q", "", "query-present"),
            ("GET", "/?qq", "", "rest"),
            ("GET", "/absent", "", "absent"),
            ("GET", "/absent", "x-d: 1\r\n", "rest"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn virtual_hosts_are_picked_by_their_most_exact_domain() {
    let host = |name: &str, domains: &str| {
        format!(
            "{{ name: {name}, domains: [{domains}], routes: [{}] }}",
            says(name, "prefix: /")
        )
    };
    let hosts = [
        host("any", "'*'"),
        host("suffix", "'*.example'"),
        host("deep", "'*.b.example'"),
        host("prefix", "'api.*'"),
        host("exact", "'a.b.example', a.b.test"),
        host("address", "'[::1]', '127.0.0.1'"),
    ];
    let proxy = Proxy::start(Document::to(&[]).virtual_hosts(&hosts.join(", "))).await;
    let mut client = Client::connect(proxy.address()).await;
    for (authority, expected) in [
        ("a.b.example", "exact"),
        ("A.B.Example:81", "exact"),
        ("a.b.test", "exact"),
        ("c.b.example", "deep"),
        ("b.example", "suffix"),
        ("api.example", "suffix"),
        ("api.test:8080", "prefix"),
        ("example", "any"),
        ("[::1]:8080", "address"),
        ("127.0.0.1", "address"),
        ("127.0.0.2", "any"),
    ] {
        let response = client
            .exchange(format!("GET / HTTP/1.1\r\nhost: {authority}\r\n\r\n"))
            .await;
        assert_eq!(response.text(), expected, "{authority}");
        // The target's authority wins over the field.
        let response = client
            .exchange(format!("GET http://{authority}/ HTTP/1.1\r\nhost: other\r\n\r\n"))
            .await;
        assert_eq!(response.text(), expected, "{authority} in the target");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_matches_is_404() {
    let document = Document::to(&[]).virtual_hosts(
        "{ name: a, domains: [a], routes: [{ match: { path: /x }, direct_response: { status: 200 } }] }",
    );
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    for (host, path) in [("b", "/x"), ("a", "/y")] {
        let response = client
            .exchange(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n"))
            .await;
        assert_eq!(
            (response.status(), response.text().as_str()),
            (404, "no route matched\n")
        );
        assert_eq!(response.field("connection"), None, "the connection goes on");
    }
    proxy
        .admin()
        .wait_for_metric("outrigger_route_response_flags_total{flag=\"NR\"}", 2.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_routes_take_grpc_only_and_are_answered_in_grpc() {
    let routes = [
        says("method", "grpc: { service: shop.Cart, method: Add }"),
        says("service", "grpc: { service: shop.Cart }"),
        says("upstream", "path: /none").replace(
            "direct_response: { status: 200, body: upstream }",
            "forward: { cluster: upstream }",
        ),
    ];
    let proxy = Proxy::start(Document::to(&[]).routes(&routes.join(", "))).await;
    let mut client = Client::connect(proxy.address()).await;
    let grpc = "content-type: application/grpc+proto\r\ncontent-length: 0\r\n";
    answers(
        &mut client,
        &[
            ("POST", "/shop.Cart/Add", grpc, "method"),
            ("POST", "/shop.Cart/Remove", grpc, "service"),
        ],
    )
    .await;
    for (path, grpc_status) in [("/shop.Other/Add", "12"), ("/none", "14")] {
        let response = client
            .exchange(format!("POST {path} HTTP/1.1\r\nhost: a\r\n{grpc}\r\n"))
            .await;
        assert_eq!(
            (response.status(), response.field("grpc-status")),
            (200, Some(grpc_status)),
            "{path}"
        );
        assert_eq!(response.field("content-type"), Some("application/grpc"), "{path}");
        assert!(response.body.bytes.is_empty(), "{path}: a gRPC fault has no body");
    }
    let response = client
        .exchange("POST /shop.Cart/Add HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
        .await;
    assert_eq!(response.status(), 404, "without the content type it is no gRPC");
}
