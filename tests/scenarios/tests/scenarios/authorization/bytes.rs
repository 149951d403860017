//! Connections whose bytes are passed on: decided before anything is dialled.

use super::*;

fn passing(upstream: &Scripted, items: &str, more: &str) -> Document {
    Document::to(&[upstream.address()])
        .with(&policies(items))
        .listener(&format!(
            "filter_chains: [{{ name: bytes, authorization: [a], {more} }}]"
        ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_denied_is_closed_and_nothing_is_dialled() {
    let upstream = Scripted::start(|mut script| async move {
        script.send("hello").await?;
        script.until_closed().await
    })
    .await;
    let (_kept, file, log) = logged("%UPSTREAM_CLUSTER% %CONNECTION_TERMINATION_DETAILS% %RESPONSE_FLAGS%");
    let tcp = format!("tcp: {{ cluster: upstream, {log} }}");
    let denying = "{ name: a, action: deny, rules: [{ direct_addresses: [127.0.0.0/8] }] }";
    let proxy = Proxy::start(passing(&upstream, denying, &tcp)).await;
    let mut client = Client::connect(proxy.address()).await;
    assert!(client.is_closed().await);
    assert_eq!(upstream.connections(), 0);
    assert_eq!(
        lines(&file, 1).await,
        ["- rbac_access_denied_matched_policy[a] -"]
    );
    assert_decided_by(&proxy, "a", "denied", 1.0).await;
    let closed = "outrigger_listener_connections_closed_total{reason=\"unauthorized\"}";
    proxy.admin().wait_for_metric(closed, 1.0).await;

    let elsewhere = "{ name: a, action: allow, rules: [{ direct_addresses: [10.0.0.0/8] }] }";
    proxy.reload(passing(&upstream, elsewhere, &tcp)).await.unwrap();
    assert!(Client::connect(proxy.address()).await.is_closed().await);
    assert_eq!(
        lines(&file, 2).await[1],
        "- rbac_access_denied_matched_policy[none] -"
    );

    let here = "{ name: a, action: allow, rules: [{ direct_addresses: [127.0.0.1] }] }";
    proxy.reload(passing(&upstream, here, &tcp)).await.unwrap();
    assert_eq!(Client::connect(proxy.address()).await.take(5).await, b"hello");
    assert_decided_by(&proxy, "a", "allowed", 1.0).await;
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_request_could_tell_is_not_taken_for_granted() {
    let upstream = Scripted::start(|mut script| async move {
        script.send("hello").await?;
        script.until_closed().await
    })
    .await;
    let tcp = "tcp: { cluster: upstream }";
    let proxy = Proxy::start(passing(&upstream, "{ name: a, action: audit }", tcp)).await;
    for (action, rule, passes) in [
        ("allow", "{ methods: [GET] }", false),
        ("allow", "{ not: { paths: [{ prefix: /admin }] } }", false),
        (
            "allow",
            "{ any_of: [{ methods: [GET] }, { direct_addresses: [127.0.0.1] }] }",
            true,
        ),
        ("deny", "{ methods: [DELETE] }", false),
        (
            "deny",
            "{ methods: [DELETE], direct_addresses: [10.0.0.0/8] }",
            true,
        ),
        (
            "deny",
            "{ not: { headers: [{ name: a, present: true }] } }",
            false,
        ),
    ] {
        // A policy that never matches bytes would be refused: one rule is of another kind.
        let other = "{ direct_addresses: [10.0.0.0/8] }";
        let items = format!("{{ name: a, action: {action}, rules: [{rule}, {other}] }}");
        proxy.reload(passing(&upstream, &items, tcp)).await.unwrap();
        let mut client = Client::connect(proxy.address()).await;
        match passes {
            true => assert_eq!(client.take(5).await, b"hello", "{action} {rule}"),
            false => assert!(client.is_closed().await, "{action} {rule}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_the_client_is_decides_and_shadows_do_not() {
    let mesh = Mesh::new();
    let upstream = Scripted::start(|mut script| async move {
        script.send("hello").await?;
        script.until_closed().await
    })
    .await;
    let items = format!(
        "{{ name: a, action: allow, rules: [{{ spiffe_ids: ['{FRIEND}'] }}] }}, \
         {{ name: b, action: deny, shadow: true, rules: [{{ always: true }}] }}"
    );
    let document = Document::to(&[upstream.address()])
        .with(&policies(&items))
        .listener(&format!(
            "filter_chains: [{{ authorization: [a, b], tcp: {{ cluster: upstream }}, {} }}]",
            mesh.mutual()
        ));
    let proxy = Proxy::start(document).await;
    let connect = async |issued: &Issued| {
        let config = mesh.config(issued, &[]);
        Client::connect_tls(proxy.address(), config, NAME).await.unwrap()
    };
    assert_eq!(connect(&mesh.friend).await.take(5).await, b"hello");
    assert!(connect(&mesh.stranger).await.is_closed().await);
    assert_eq!(upstream.connections(), 1);
    assert_decided_by(&proxy, "b", "shadow_denied", 2.0).await;
}
