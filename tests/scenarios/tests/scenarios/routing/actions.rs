//! What a route does: forward with rewrites and edits, split between clusters, redirect, answer.

use outrigger_fixtures::{Echo, Scripted};
use outrigger_harness::{Client, Document, Proxy};

#[tokio::test(flavor = "multi_thread")]
async fn rewrites_change_what_the_upstream_gets() {
    let upstream = Scripted::ok().await;
    let routes = "{ match: { prefix: /v1 }, forward: { cluster: upstream, prefix_rewrite: /api } }, \
        { match: { prefix: /strip }, forward: { cluster: upstream, prefix_rewrite: / } }, \
        { match: { path: /one }, forward: { cluster: upstream, prefix_rewrite: /two } }, \
        { match: { prefix: /items }, forward: { cluster: upstream, regex_rewrite: { pattern: '^/items/([0-9]+)', substitution: '/item/\\1' } } }, \
        { match: { prefix: /host }, forward: { cluster: upstream, host_rewrite: 'inner:8080' } }";
    let proxy = Proxy::start(Document::to(&[upstream.address()]).routes(routes)).await;
    let mut client = Client::connect(proxy.address()).await;
    for (target, expected, host) in [
        ("/v1/a?b=%2F", "/api/a?b=%2F", "test"),
        ("/v1", "/api", "test"),
        ("/strip/a", "/a", "test"),
        ("/strip", "/", "test"),
        ("/one?x", "/two?x", "test"),
        ("/items/42/x?/items/1", "/item/42/x?/items/1", "test"),
        ("/items/x", "/items/x", "test"),
        ("/host", "/host", "inner:8080"),
    ] {
        assert_eq!(client.fetch(target, "").await.status(), 200);
        let request = upstream.last_request();
        assert_eq!(
            (request.head.target(), request.head.field("host")),
            (expected, Some(host)),
            "{target}"
        );
        let original = (target != expected).then_some(target);
        assert_eq!(request.head.field("x-envoy-original-path"), original, "{target}");
        assert_eq!(
            request.head.field("x-forwarded-host"),
            Some("test"),
            "{target}: what the client asked for"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_edited_by_the_route_then_by_the_virtual_host() {
    let upstream = Scripted::answering(
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-gone: 1\r\nx-set: theirs\r\nx-add: theirs\r\nx-append: theirs\r\n\r\n",
    )
    .await;
    let edits = |who: &str| {
        format!(
            "{{ remove: [x-gone], add: {{ x-add: {who}, x-new: {who} }}, set: {{ x-set: {who} }}, \
             append: {{ x-append: [{who}-1, {who}-2] }} }}"
        )
    };
    let hosts = format!(
        "{{ name: all, domains: ['*'], request_headers: {host}, response_headers: {host}, routes: [{{ match: {{ prefix: / }}, \
         forward: {{ cluster: upstream }}, request_headers: {route}, response_headers: {route} }}] }}",
        host = edits("host"),
        route = edits("route")
    );
    let proxy = Proxy::start(Document::to(&[upstream.address()]).virtual_hosts(&hosts)).await;
    let mut client = Client::connect(proxy.address()).await;
    let response = client
        .fetch(
            "/",
            "x-gone: 1\r\nx-set: theirs\r\nx-add: theirs\r\nx-append: theirs\r\n",
        )
        .await;
    for head in [&upstream.last_request().head, &response.head] {
        let all = |name: &str| head.all(name).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(all("x-gone"), Vec::<String>::new());
        assert_eq!(all("x-set"), ["host"], "the virtual host has the last word");
        assert_eq!(all("x-add"), ["theirs"]);
        assert_eq!(all("x-new"), ["route"]);
        assert_eq!(
            all("x-append"),
            ["theirs", "route-1", "route-2", "host-1", "host-2"]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn response_edits_apply_to_local_replies_too() {
    let document = Document::to(&[]).route("response_headers: { set: { x-a: '1', server: mine } }");
    let proxy = Proxy::start(document).await;
    let response = Client::connect(proxy.address()).await.fetch("/", "").await;
    assert_eq!(
        (response.status(), response.field("x-a"), response.field("server")),
        (503, Some("1"), Some("mine"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_say_where() {
    let redirect =
        |path: &str, redirect: &str| format!("{{ match: {{ prefix: {path} }}, redirect: {{ {redirect} }} }}");
    let routes = [
        redirect("/https", "scheme: https"),
        redirect("/host", "host: b.example, port: 81, status: 302"),
        redirect("/path", "path: /new, status: 303"),
        redirect("/old", "prefix_rewrite: /new, status: 308"),
        redirect(
            "/blog",
            "regex_rewrite: { pattern: '/blog/([0-9]+)', substitution: '/archive/\\1' }, status: 307",
        ),
        redirect("/strip", "host: c, strip_query: true"),
    ];
    let proxy = Proxy::start(Document::to(&[]).routes(&routes.join(", "))).await;
    let mut client = Client::connect(proxy.address()).await;
    for (target, status, location) in [
        ("/https/a?b", 301, "https://test/https/a?b"),
        ("/host?q=1", 302, "http://b.example:81/host?q=1"),
        ("/path/x?q", 303, "http://test/new?q"),
        ("/old/a?b", 308, "http://test/new/a?b"),
        ("/blog/7/x", 307, "http://test/archive/7/x"),
        ("/strip?secret", 301, "http://c/strip"),
    ] {
        let response = client.fetch(target, "").await;
        assert_eq!(
            (response.status(), response.field("location")),
            (status, Some(location)),
            "{target}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn direct_responses_are_what_was_written() {
    let routes = "{ match: { path: /json }, direct_response: { status: 404, body: '{\"a\": 1}', content_type: application/json } }, \
        { match: { path: /empty }, direct_response: { status: 204 } }, \
        { match: { prefix: / }, direct_response: { status: 200, body: \"ok\\n\" } }";
    let proxy = Proxy::start(Document::to(&[]).routes(routes)).await;
    let mut client = Client::connect(proxy.address()).await;
    let json = client.fetch("/json", "").await;
    assert_eq!((json.status(), json.text().as_str()), (404, "{\"a\": 1}"));
    assert_eq!(json.field("content-type"), Some("application/json"));
    let empty = client.fetch("/empty", "").await;
    assert_eq!(
        (
            empty.status(),
            empty.field("content-length"),
            empty.field("transfer-encoding")
        ),
        (204, None, None)
    );
    let posted = client
        .exchange("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc")
        .await;
    assert_eq!(
        (posted.text().as_str(), posted.field("connection")),
        ("ok\n", None),
        "a body that is there is read"
    );
    let head = client.exchange("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!((head.status(), head.field("content-length")), (200, Some("3")));
}

#[tokio::test(flavor = "multi_thread")]
async fn weighted_clusters_get_their_shares() {
    let (blue, green, never) = (Echo::start().await, Echo::start().await, Echo::start().await);
    let routes = "{ match: { prefix: / }, forward: { weighted_clusters: [{ cluster: upstream, weight: 3 }, \
        { cluster: green, weight: 1 }, { cluster: never, weight: 0 }] } }";
    let document = Document::to(&[blue.address()])
        .with_cluster("green", &[green.address()], "")
        .with_cluster("never", &[never.address()], "")
        .routes(routes);
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    const REQUESTS: usize = 2000;
    for _ in 0..REQUESTS {
        assert_eq!(client.fetch("/", "").await.status(), 200);
    }
    assert_eq!(
        (blue.requests() + green.requests(), never.requests()),
        (REQUESTS, 0)
    );
    // 1,500 expected, standard deviation 19.4: seven of them either way.
    assert!(
        (1364..=1636).contains(&blue.requests()),
        "{} of {REQUESTS}",
        blue.requests()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_get_their_shares() {
    for (policy, spread) in [("round_robin", 0), ("random", 200), ("least_request", 200)] {
        let upstreams = [Echo::start().await, Echo::start().await, Echo::start().await];
        let endpoints: Vec<String> = upstreams
            .iter()
            .zip([1, 2, 1])
            .map(|(upstream, weight)| format!("{{ address: '{}', weight: {weight} }}", upstream.address()))
            .collect();
        let document = format!(
            "admin: {{ address: 127.0.0.1:0 }}\nruntime: {{ workers: 1 }}\nlisteners:\n- {{ name: edge, address: 127.0.0.1:0, \
             filter_chains: [{{ http: {{ route_configuration: main }} }}] }}\nroute_configurations:\n- {{ name: main, \
             virtual_hosts: [{{ name: all, domains: ['*'], routes: [{{ match: {{ prefix: / }}, forward: {{ cluster: c }} }}] }}] }}\n\
             clusters:\n- {{ name: c, load_balancing: {policy}, endpoints: [{}] }}\n",
            endpoints.join(", ")
        );
        let proxy = Proxy::start(document).await;
        let mut client = Client::connect(proxy.address()).await;
        for _ in 0..1000 {
            assert_eq!(client.fetch("/", "").await.status(), 200);
        }
        for (upstream, expected) in upstreams.iter().zip([250_i64, 500, 250]) {
            let difference = upstream.requests() as i64 - expected;
            assert!(
                difference.abs() <= spread,
                "{policy}: {} instead of {expected}",
                upstream.requests()
            );
        }
    }
}
