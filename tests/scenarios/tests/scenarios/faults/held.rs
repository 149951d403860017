//! Delays: a request that is held goes on, or ends with its client or its right.

use super::*;
use outrigger_fixtures::frames::{Frame, FrameConnection, code};
use outrigger_harness::Client;

/// Longer than any test.
const HOUR: &str = "{ expires: never, delay: { duration: 1h } }";

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_held_goes_on() {
    // The route's timeout begins after the delay, and is shorter.
    let scene = Scene::edited(|document| {
        document
            .forward("timeout: 2s")
            .route("fault: { expires: never, delay: { duration: 2500ms } }")
    })
    .await;
    let mut client = Client::connect(scene.proxy.address()).await;
    client
        .send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\r\nabc")
        .await;
    scene.proxy.admin().wait_for_metric(ACTIVE, 1.0).await;
    assert_eq!(scene.upstream.connections(), 0);
    assert_eq!(client.response("POST").await.status(), 200);
    assert_eq!(scene.upstream.last_request().body.bytes, b"abc");
    assert_eq!(scene.lines(1).await, ["200 DI via_upstream"]);
    assert_eq!(scene.metric(&format!("{INJECTED}{{kind=\"delay\"}}")).await, 1.0);
    assert_eq!(scene.metric(ACTIVE).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_comes_before_an_abort() {
    let scene = Scene::with("{ delay: { duration: 1ms }, abort: { status: 503 } }").await;
    let response = outrigger_harness::client::fetch(scene.proxy.address(), "/", "").await;
    assert_eq!(response.status(), 503);
    assert_eq!(scene.lines(1).await, ["503 DI,FI fault_filter_abort"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_ends_when_its_client_goes() {
    let scene = Scene::with(HOUR).await;
    let admin = scene.proxy.admin();
    let mut client = Client::connect(scene.proxy.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    admin.wait_for_metric(ACTIVE, 1.0).await;
    client.reset();
    admin.wait_for_metric(ACTIVE, 0.0).await;
    let mut connection = FrameConnection::connect(scene.proxy.address(), &[])
        .await
        .unwrap();
    connection
        .send(Frame::request(1, "GET", "/", &[], true))
        .await
        .unwrap();
    admin.wait_for_metric(ACTIVE, 1.0).await;
    connection.send(Frame::reset(1, code::CANCEL)).await.unwrap();
    admin.wait_for_metric(ACTIVE, 0.0).await;
    assert_eq!(
        scene.lines(2).await,
        ["0 DI,DC downstream_remote_disconnect"; 2].map(flags_in_order)
    );
    assert_eq!(scene.upstream.connections(), 0);
}

/// Flags are shown in the order of their bits.
fn flags_in_order(line: &str) -> String {
    line.replace("DI,DC", "DC,DI")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_ends_when_the_right_is_lost() {
    let scene = Scene::edited(|document| document.route(&format!("fault: {HOUR}"))).await;
    let admin = scene.proxy.admin();
    let mut client = Client::connect(scene.proxy.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    admin.wait_for_metric(ACTIVE, 1.0).await;
    let denying = Document::to(&[scene.upstream.address()])
        .http(&format!(
            "access_logs: [{{ path: {}, format: {{ text: '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%' }} }}]",
            scene.log.path().display()
        ))
        .route(&format!("fault: {HOUR}"))
        .chain("authorization: [p]")
        .with("authorization_policies: [{ name: p, action: deny, rules: [{ paths: [{ prefix: / }] }] }]");
    scene.proxy.reload(denying).await.unwrap();
    assert_eq!(client.response("GET").await.status(), 403);
    assert_eq!(scene.metric(ACTIVE).await, 0.0);
    assert_eq!(scene.upstream.connections(), 0);
}

/// What policy refuses is refused, whatever the fault: it comes last.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_not_broken() {
    let scene = Scene::edited(|document| {
        document
            .route("fault: { expires: never, abort: { status: 500 } }")
            .chain("authorization: [p]")
            .with("authorization_policies: [{ name: p, action: deny, rules: [{ paths: [{ prefix: /secret }] }] }]")
    })
    .await;
    let mut client = Client::connect(scene.proxy.address()).await;
    assert_eq!(client.fetch("/secret", "").await.status(), 403);
    assert_eq!(client.fetch("/", "").await.status(), 500);
    assert_eq!(scene.metric(INJECTED).await, 1.0);
}
