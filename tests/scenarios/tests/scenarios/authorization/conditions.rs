//! Every kind of condition, met and not met.

use super::*;
use outrigger_fixtures::Issuer;
use outrigger_fixtures::issuer::{ISSUER, claims_with, jwks};
use serde_json::json;

/// Each rule with a request that meets it and one that does not, as (method, target, fields).
/// A condition, and requests of which it holds for the first and not for the second.
type Row = (&'static str, [(&'static str, &'static str, &'static str); 2]);

const OF_REQUESTS: &[Row] = &[
    ("{ methods: [PUT] }", [("PUT", "/", ""), ("GET", "/", "")]),
    (
        "{ paths: [{ path: /a }] }",
        [("GET", "/a?q", ""), ("GET", "/a/", "")],
    ),
    (
        "{ paths: [{ prefix: /a }] }",
        [("GET", "/a/b", ""), ("GET", "/ab", "")],
    ),
    (
        "{ paths: [{ template: '/u/{id}/k' }] }",
        [("GET", "/u/7/k", ""), ("GET", "/u/k", "")],
    ),
    (
        "{ paths: [{ regex: '/v[0-9]+' }] }",
        [("GET", "/v12", ""), ("GET", "/v12/x", "")],
    ),
    (
        "{ hosts: [test] }",
        [("GET", "/", ""), ("GET", "http://other/", "")],
    ),
    (
        "{ hosts: ['*.example'] }",
        [("GET", "http://a.example/", ""), ("GET", "/", "")],
    ),
    (
        "{ headers: [{ name: x-a, exact: b }] }",
        [("GET", "/", "x-a: b\r\n"), ("GET", "/", "x-a: c\r\n")],
    ),
    (
        "{ headers: [{ name: x-a, present: true }, { name: x-b, prefix: c }] }",
        [("GET", "/", "x-a: 1\r\nx-b: cd\r\n"), ("GET", "/", "x-a: 1\r\n")],
    ),
    (
        "{ query: [{ name: k, exact: 'a b' }] }",
        [("GET", "/?k=a%20b", ""), ("GET", "/?k=a", "")],
    ),
    (
        "{ not: { methods: [GET] } }",
        [("PUT", "/", ""), ("GET", "/", "")],
    ),
    (
        "{ any_of: [{ methods: [PUT] }, { paths: [{ path: /p }] }] }",
        [("GET", "/p", ""), ("GET", "/", "")],
    ),
    (
        "{ all_of: [{ methods: [PUT] }, { paths: [{ path: /p }] }] }",
        [("PUT", "/p", ""), ("PUT", "/", "")],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_requests_say() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(guarded(&upstream, "{ name: a, action: allow }", "a")).await;
    assert_denied(&fetch(proxy.address(), "/", "").await);
    for (rule, [met, unmet]) in OF_REQUESTS {
        for (action, of_met) in [("allow", 200), ("deny", 403)] {
            let items = format!("{{ name: a, action: {action}, rules: [{rule}] }}");
            proxy.reload(guarded(&upstream, &items, "a")).await.unwrap();
            for (request, status) in [(met, of_met), (unmet, 603 - of_met)] {
                let (method, target, fields) = request;
                let text =
                    format!("{method} {target} HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n{fields}\r\n");
                let response = Client::connect(proxy.address()).await.exchange(text).await;
                assert_eq!(response.status(), status, "{action} {rule}: {request:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks() {
    let mesh = Mesh::new();
    let upstream = Scripted::ok().await;
    let document = |rule: &str| {
        let items = format!("{{ name: a, action: allow, rules: [{rule}] }}");
        guarded(&upstream, &items, "a").chain(&mesh.mutual())
    };
    let proxy = Proxy::start(document("{ always: true }")).await;
    for (rule, friend, stranger) in [
        ("{ always: true }", 200, 200),
        ("{ authenticated: true }", 200, 200),
        (
            "{ spiffe_ids: ['spiffe://example.org/ns/shop/sa/friend'] }",
            200,
            403,
        ),
        ("{ spiffe_prefixes: ['spiffe://example.org/ns/shop'] }", 200, 200),
        ("{ spiffe_prefixes: ['spiffe://example.org/ns/sho'] }", 403, 403),
        ("{ trust_domains: [example.org] }", 200, 200),
        ("{ trust_domains: [example.com] }", 403, 403),
        ("{ peer_names: [{ suffix: /friend }] }", 200, 403),
        (
            "{ not: { spiffe_ids: ['spiffe://example.org/ns/shop/sa/friend'] } }",
            403,
            200,
        ),
        ("{ server_names: [a.example] }", 200, 200),
        ("{ server_names: [b.example] }", 403, 403),
    ] {
        proxy.reload(document(rule)).await.unwrap();
        for (issued, status) in [(&mesh.friend, friend), (&mesh.stranger, stranger)] {
            for protocols in [&["http/1.1"][..], &[]] {
                let config = mesh.config(issued, protocols);
                let mut client = Client::connect_tls(proxy.address(), config, NAME).await.unwrap();
                assert_eq!(client.fetch("/", "").await.status(), status, "{rule}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_comes_from_and_where_it_goes() {
    let upstream = Scripted::ok().await;
    let document = |rule: &str| {
        let items = format!("{{ name: a, action: allow, rules: [{rule}] }}");
        guarded(&upstream, &items, "a").http("xff_num_trusted_hops: 1")
    };
    let proxy = Proxy::start(document("{ always: true }")).await;
    let port = proxy.address().port();
    let from = "x-forwarded-for: 192.0.2.7\r\n";
    for (rule, status) in [
        ("{ direct_addresses: [127.0.0.0/8] }".to_owned(), 200),
        ("{ direct_addresses: ['::ffff:127.0.0.0/104'] }".to_owned(), 200),
        ("{ direct_addresses: [192.0.2.0/24] }".to_owned(), 403),
        ("{ remote_addresses: [192.0.2.0/24] }".to_owned(), 200),
        ("{ remote_addresses: [127.0.0.0/8] }".to_owned(), 403),
        ("{ destination_addresses: [127.0.0.1] }".to_owned(), 200),
        ("{ destination_addresses: [10.0.0.0/8] }".to_owned(), 403),
        (format!("{{ destination_ports: [{port}] }}"), 200),
        (format!("{{ not: {{ destination_ports: ['1-{port}'] }} }}"), 403),
    ] {
        proxy.reload(document(&rule)).await.unwrap();
        assert_eq!(fetch(proxy.address(), "/", from).await.status(), status, "{rule}");
    }
    // Who the client is that a proxy says nothing of is not known: it is not the proxy.
    proxy
        .reload(document("{ remote_addresses: [127.0.0.0/8] }"))
        .await
        .unwrap();
    for told in ["", "x-forwarded-for: unknown\r\n"] {
        assert_denied(&fetch(proxy.address(), "/", told).await);
    }
    // Without proxies that are trusted, the client is who it is.
    let items = "{ name: a, action: allow, rules: [{ remote_addresses: [192.0.2.0/24] }] }";
    proxy.reload(guarded(&upstream, items, "a")).await.unwrap();
    assert_denied(&fetch(proxy.address(), "/", from).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_verified_token_claims() {
    let issuer = Issuer::p256("one");
    let keys = jwks(&[&issuer]);
    let upstream = Scripted::ok().await;
    let document = |rule: &str| {
        let items = format!("{{ name: a, action: allow, rules: [{rule}] }}");
        guarded(&upstream, &items, "a")
            .http("jwt: { any_of: [{ provider: main }, { allow_missing: true }] }")
            .with(&format!(
                "jwt_providers: [{{ name: main, issuer: '{ISSUER}', keys: {{ inline: '{keys}' }} }}]"
            ))
    };
    let proxy = Proxy::start(document("{ always: true }")).await;
    let claims = claims_with("realm", json!({ "roles": ["user", "admin"], "level": 3 }));
    let bearer = format!("authorization: Bearer {}\r\n", issuer.token(&claims));
    for (rule, status) in [
        ("{ claims: [{ path: sub, exact: alice }] }", 200),
        ("{ claims: [{ path: sub, exact: bob }] }", 403),
        ("{ claims: [{ path: realm.roles, exact: admin }] }", 200),
        ("{ claims: [{ path: realm.roles, exact: owner }] }", 403),
        (
            "{ claims: [{ provider: main, path: realm.level, exact: '3' }] }",
            200,
        ),
    ] {
        proxy.reload(document(rule)).await.unwrap();
        assert_eq!(
            fetch(proxy.address(), "/", &bearer).await.status(),
            status,
            "{rule}"
        );
        // Without a token there is nothing that could be claimed.
        assert_denied(&fetch(proxy.address(), "/", "").await);
    }
}
