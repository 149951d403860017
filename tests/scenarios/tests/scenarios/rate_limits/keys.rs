//! What requests are told apart by.

use super::{decided, fetch, limit, limited, limits, statuses};
use outrigger_fixtures::issuer::{ISSUER, claims_with, jwks};
use outrigger_fixtures::{Authority, Issuer, Scripted};
use outrigger_harness::{Client, Document, Proxy};

/// A limit of one request for each value of these parts.
fn each(parts: &str) -> String {
    limit("each", 1, "", &format!("descriptors: [[{parts}]]"))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_value_of_a_header_a_query_a_method_a_host_or_a_path_counts_for_itself() {
    let (_upstream, proxy) = limited(&[each("{ header: x-user }")], "each").await;
    assert_eq!(statuses(&proxy, 2, "/", "x-user: a\r\n").await, [200, 429]);
    assert_eq!(statuses(&proxy, 2, "/", "x-user: b\r\n").await, [200, 429]);
    assert_eq!(
        statuses(&proxy, 2, "/", "x-user: a\r\nx-user: b\r\n").await,
        [200, 429]
    );
    assert_eq!(
        statuses(&proxy, 3, "/", "").await,
        [200; 3],
        "those without it are not counted"
    );
    assert_eq!(decided(&proxy, "each", "not_counted").await, 3.0);
    let long = format!("x-user: {}\r\n", "y".repeat(4_000));
    let longer = format!("x-user: {}z\r\n", "y".repeat(4_000));
    assert_eq!(statuses(&proxy, 2, "/", &long).await, [200, 429]);
    assert_eq!(statuses(&proxy, 2, "/", &longer).await, [200, 429]);

    let (_upstream, proxy) = limited(&[each("path, { query: q }")], "each").await;
    assert_eq!(statuses(&proxy, 2, "/a?q=1", "").await, [200, 429]);
    assert_eq!(
        statuses(&proxy, 2, "/a/./?q=1", "").await,
        [200, 429],
        "another path"
    );
    assert_eq!(
        statuses(&proxy, 1, "/./a?q=%31&q=2", "").await,
        [429],
        "the same, written otherwise"
    );
    assert_eq!(statuses(&proxy, 2, "/a?q=2", "").await, [200, 429]);

    let (_upstream, proxy) = limited(&[each("method, host")], "each").await;
    assert_eq!(statuses(&proxy, 2, "/", "").await, [200, 429]);
    let mut client = Client::connect(proxy.address()).await;
    let mut seen = Vec::new();
    for request in [
        "DELETE / HTTP/1.1\r\nhost: B\r\n\r\n",
        "DELETE / HTTP/1.1\r\nhost: b:80\r\n\r\n",
        "DELETE / HTTP/1.1\r\nhost: c\r\n\r\n",
    ] {
        client.send(request).await;
        seen.push(client.response("DELETE").await.status());
    }
    assert_eq!(seen, [200, 429, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_template_is_one_value_and_so_are_route_and_virtual_host() {
    let upstream = Scripted::ok().await;
    let routes = "{ name: items, match: { template: '/items/{id}' }, forward: { cluster: upstream } }, \
                  { name: rest, match: { prefix: / }, forward: { cluster: upstream } }";
    let document = |part: &str| {
        let document = Document::to(&[upstream.address()])
            .routes(routes)
            .http("rate_limits: [each]");
        limits(document, &[each(part)])
    };
    for part in ["path_template", "route"] {
        let proxy = Proxy::start(document(part)).await;
        assert_eq!(statuses(&proxy, 1, "/items/1", "").await, [200], "{part}");
        assert_eq!(statuses(&proxy, 1, "/items/2", "").await, [429], "{part}");
        assert_eq!(statuses(&proxy, 1, "/a", "").await, [200], "{part}");
        assert_eq!(statuses(&proxy, 1, "/b", "").await, [429], "{part}");
    }
    let proxy = Proxy::start(document("virtual_host")).await;
    assert_eq!(statuses(&proxy, 1, "/items/1", "").await, [200]);
    assert_eq!(statuses(&proxy, 1, "/a", "").await, [429]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_is_whom_trusted_proxies_name_and_networks_are_one_value() {
    let masked = "{ remote_address: { v4_prefix: 24, v6_prefix: 64 } }";
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()]).http("xff_num_trusted_hops: 1, rate_limits: [each]");
    let proxy = Proxy::start(limits(document, &[each(masked)])).await;
    let from = async |address: &str| {
        let field = format!("x-forwarded-for: {address}\r\n");
        fetch(&proxy, "/", &field).await.status()
    };
    assert_eq!(from("192.0.2.1").await, 200);
    assert_eq!(from("192.0.2.2").await, 429, "a neighbour");
    assert_eq!(from("192.0.3.1").await, 200);
    assert_eq!(from("2001:db8::1").await, 200);
    assert_eq!(from("2001:db8::2:1").await, 429);
    assert_eq!(from("2001:db8:0:1::1").await, 200);

    // Proxies that name nobody are counted themselves.
    assert_eq!(fetch(&proxy, "/", "").await.status(), 200);
    assert_eq!(fetch(&proxy, "/", "").await.status(), 429, "no field");
    for nobody in ["unknown", "192.0.2.9:80", "2001:db8::9, "] {
        assert_eq!(from(nobody).await, 429, "{nobody}");
    }
    assert_eq!(decided(&proxy, "each", "not_counted").await, 0.0);

    // Nobody is trusted here: all are the one who connects.
    let (_upstream, proxy) = limited(&[each("remote_address")], "each").await;
    assert_eq!(
        statuses(&proxy, 1, "/", "x-forwarded-for: 192.0.2.1\r\n").await,
        [200]
    );
    assert_eq!(
        statuses(&proxy, 1, "/", "x-forwarded-for: 192.0.2.2\r\n").await,
        [429]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verified_identity_is_a_value_and_a_client_without_one_is_not_counted() {
    let authority = Authority::new("root");
    let server = authority.issue("server", &["a.example"]);
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()])
        .http("rate_limits: [each]")
        .chain(&format!(
            "tls: {{ certificates: [{}], client: {{ ca_file: {}, certificate: optional }} }}",
            server.yaml(),
            authority.root().display()
        ));
    let proxy = Proxy::start(limits(document, &[each("source_identity")])).await;
    let one = authority.issue_svid("one", "spiffe://example.org/one");
    let two = authority.issue_svid("two", "spiffe://example.org/two");
    for (certificate, expected) in [
        (Some(&one), [200, 429]),
        (Some(&two), [200, 429]),
        (None, [200, 200]),
    ] {
        let mut seen = Vec::new();
        for _ in 0..2 {
            let config = authority.client_config(&["http/1.1"], certificate);
            let mut client = Client::connect_tls(proxy.address(), config, "a.example")
                .await
                .unwrap();
            seen.push(client.fetch("/", "").await.status());
        }
        assert_eq!(seen, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_a_verified_token_is_a_value() {
    let issuer = Issuer::p256("one");
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()])
        .http("rate_limits: [each], jwt: { any_of: [{ provider: main }, { allow_missing: true }] }")
        .with(&format!(
            "jwt_providers: [{{ name: main, issuer: '{ISSUER}', audiences: [shop], keys: {{ inline: '{}' }} }}]",
            jwks(&[&issuer])
        ));
    let proxy = Proxy::start(limits(document, &[each("{ claim: plan, key: plan }")])).await;
    let as_plan = |plan: &str| {
        let token = issuer.token(&claims_with("plan", plan.into()));
        format!("authorization: Bearer {token}\r\n")
    };
    assert_eq!(statuses(&proxy, 2, "/", &as_plan("free")).await, [200, 429]);
    assert_eq!(statuses(&proxy, 2, "/", &as_plan("paid")).await, [200, 429]);
    assert_eq!(statuses(&proxy, 2, "/", "").await, [200, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn some_values_have_buckets_of_their_own() {
    let overrides = "overrides: [{ values: { x-plan: gold }, limit: { requests: 3, per: 1000h } }, \
                     { values: { x-user: root }, limit: { requests: 2, per: 1000h } }]";
    let descriptor = "descriptors: [[{ header: x-plan }, { header: x-user }]], headers: true";
    let (_upstream, proxy) = limited(&[limit("each", 1, overrides, descriptor)], "each").await;
    let gets = async |plan: &str, user: &str| {
        let fields = format!("x-plan: {plan}\r\nx-user: {user}\r\n");
        let response = fetch(&proxy, "/", &fields).await;
        let told = response.field("x-ratelimit-limit").unwrap().to_owned();
        let rest = statuses(&proxy, 4, "/", &fields).await;
        let passed = 1 + rest.iter().filter(|status| **status == 200).count();
        assert_eq!(told, passed.to_string());
        passed
    };
    assert_eq!(gets("free", "a").await, 1);
    assert_eq!(gets("gold", "a").await, 3);
    assert_eq!(gets("gold", "root").await, 3, "the first that matches");
    assert_eq!(gets("free", "root").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_values_stays_within_the_bound_and_frees_nobody_who_is_over_his_rate() {
    let each = limit("each", 4, "keys_max: 50", "descriptors: [[{ header: x-user }]]");
    let (_upstream, proxy) = limited(&[each], "each").await;
    let greedy = "x-user: greedy\r\n";
    assert_eq!(statuses(&proxy, 5, "/", greedy).await, [200, 200, 200, 200, 429]);
    let mut client = Client::connect(proxy.address()).await;
    for number in 0..500 {
        let response = client.fetch("/", &format!("x-user: u{number}\r\n")).await;
        assert_eq!(response.status(), 200);
    }
    let admin = proxy.admin();
    assert_eq!(admin.metric("outrigger_rate_limit_keys").await, 50.0);
    let dropped = "outrigger_rate_limit_keys_dropped_total{bucket=\"counting\"}";
    assert_eq!(admin.metric(dropped).await, 451.0);
    assert_eq!(statuses(&proxy, 1, "/", greedy).await, [429], "still counted");
}
