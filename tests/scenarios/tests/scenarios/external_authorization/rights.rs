//! Rights that are lost while the service is asked: what it says afterwards, or what comes of the body, counts no more.

use super::{Scene, allow, asking_grpc};
use outrigger_fixtures::authorization::{Authorization, Said};
use outrigger_fixtures::{Authority, Scripted};
use outrigger_harness::{Client, Proxy, wait_until};

/// A policy of the chain that denies this method.
fn denying(method: &str) -> String {
    format!("authorization_policies: [{{ name: p, action: deny, rules: [{{ methods: [{method}] }}] }}]")
}

const CUT: &str = "outrigger_listener_requests_cut_total";

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_ends_a_request_that_waits_for_the_service() {
    let (upstream, service) = (
        Scripted::ok().await,
        Authorization::start(|_| Said::Nothing).await,
    );
    let document = asking_grpc(upstream.address(), &[service.address()], "").chain("authorization: [p]");
    let proxy = Proxy::start(document.clone().with(&denying("PUT"))).await;
    let mut client = Client::connect(proxy.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    wait_until("the service is asked", async || {
        (service.checks().len() == 1).then_some(())
    })
    .await;
    proxy.reload(document.with(&denying("GET"))).await.unwrap();
    assert_eq!(client.response("GET").await.status(), 403);
    assert_eq!(upstream.head_count(), 0);
    let cut = format!("{CUT}{{reason=\"authorization_revoked\"}}");
    proxy.admin().wait_for_metric(&cut, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_ends_a_request_whose_body_is_read_ahead() {
    let scene = Scene::edited(
        ", body: { bytes_max: 8 }",
        |_| allow(),
        |document| document.chain("authorization: [p]").with(&denying("PUT")),
    )
    .await;
    let document = asking_grpc(
        scene.upstream.address(),
        &[scene.service.address()],
        ", body: { bytes_max: 8 }",
    )
    .chain("authorization: [p]")
    .with(&denying("POST"));
    let mut client = Client::connect(scene.proxy.address()).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab")
        .await;
    let held = "outrigger_listener_external_authorization_body_bytes";
    scene.proxy.admin().wait_for_metric(held, 2.0).await;
    scene.proxy.reload(document).await.unwrap();
    assert_eq!(client.response("POST").await.status(), 403);
    assert_eq!(scene.upstream.head_count(), 0);
    assert!(scene.service.checks().is_empty());
    scene.proxy.admin().wait_for_metric(held, 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_denied_meanwhile_is_cut() {
    let authority = Authority::new("root");
    let server = authority.issue("server", &["a.example"]);
    let (upstream, service) = (
        Scripted::ok().await,
        Authorization::start(|_| Said::Nothing).await,
    );
    let document = asking_grpc(upstream.address(), &[service.address()], "").chain(&format!(
        "tls: {{ certificates: [{}], client: {{ ca_file: {} }} }}",
        server.yaml(),
        authority.root().display()
    ));
    let proxy = Proxy::start(&document).await;
    let issued = authority.issue_svid("one", "spiffe://example.org/one");
    let config = authority.client_config(&["http/1.1"], Some(&issued));
    let mut client = Client::connect_tls(proxy.address(), config, "a.example")
        .await
        .unwrap();
    client.send("GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    wait_until("the service is asked", async || {
        (service.checks().len() == 1).then_some(())
    })
    .await;
    let denied = "revocation: { denied: [{ spiffe_id: 'spiffe://example.org/one' }] }";
    proxy.reload(document.with(denied)).await.unwrap();
    assert!(client.wire().fill().await.is_err(), "the connection is reset");
    assert_eq!(upstream.head_count(), 0);
    let cut = format!("{CUT}{{reason=\"identity_revoked\"}}");
    proxy.admin().wait_for_metric(&cut, 1.0).await;
}
