//! Policies that change while the proxy runs.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_next_request_of_a_connection_meets_the_new_policy() {
    let upstream = Scripted::ok().await;
    let of = |path: &str| {
        let items = format!("{{ name: a, action: deny, rules: [{{ paths: [{{ prefix: {path} }}] }}] }}");
        guarded(&upstream, &items, "a")
    };
    let proxy = Proxy::start(of("/x")).await;
    let mut client = Client::connect(proxy.address()).await;
    assert_denied(&client.fetch("/x", "").await);
    assert_eq!(client.fetch("/y", "").await.status(), 200);
    // Nothing but the policy changes: neither the chain nor its routes.
    proxy.reload(of("/y")).await.unwrap();
    assert_eq!(client.fetch("/x", "").await.status(), 200);
    assert_denied(&client.fetch("/y", "").await);
    proxy.reload(Document::to(&[upstream.address()])).await.unwrap();
    assert_eq!(client.fetch("/y", "").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_of_routes_change_without_their_routes() {
    let upstream = Scripted::ok().await;
    let of = |method: &str| {
        let items = format!("{{ name: a, action: allow, rules: [{{ methods: [{method}] }}] }}");
        Document::to(&[upstream.address()])
            .with(&policies(&items))
            .route("authorization: [a]")
    };
    let proxy = Proxy::start(of("PUT")).await;
    let mut client = Client::connect(proxy.address()).await;
    assert_denied(&client.fetch("/", "").await);
    proxy.reload(of("GET")).await.unwrap();
    assert_eq!(client.fetch("/", "").await.status(), 200);
    let counted = "outrigger_authorization_policy_decisions_total{policy=\"a\"}";
    proxy.admin().wait_for_metric(counted, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_whose_policy_is_not_there_changes_nothing() {
    let upstream = Scripted::ok().await;
    let items = "{ name: a, action: deny, rules: [{ paths: [{ prefix: /x }] }] }";
    let proxy = Proxy::start(guarded(&upstream, items, "a")).await;
    let refused = proxy.reload(guarded(&upstream, items, "b")).await.unwrap_err();
    assert!(refused.contains("`b`"), "{refused}");
    assert_denied(&fetch(proxy.address(), "/x", "").await);
}
