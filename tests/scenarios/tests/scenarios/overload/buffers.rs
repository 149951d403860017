//! Bytes of bodies that are kept: for how long they count, and what happens when there are too many.

use super::*;
use outrigger_harness::Proxy;

const HELD: &str = "outrigger_buffered_bytes";
const BODY_BYTES: usize = 60 * 1024;

fn post() -> String {
    format!(
        "POST /held HTTP/1.1\r\nhost: test\r\ncontent-length: {BODY_BYTES}\r\n\r\n{}",
        "x".repeat(BODY_BYTES)
    )
}

/// Sends bodies to an upstream that takes its time to answer.
async fn send(holding: &Holding, proxy: &Proxy, count: usize) -> Vec<Client> {
    let before = holding.upstream.request_count();
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = Client::connect(proxy.address()).await;
        client.send(post()).await;
        clients.push(client);
    }
    wait_until("all requests are held", async || {
        (holding.upstream.request_count() == before + count).then_some(())
    })
    .await;
    clients
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_for_replays_counts_until_the_answer_and_presses() {
    let holding = Holding::start().await;
    let document = |bytes: &str| {
        let fields = format!(
            "buffered_bytes_max: {bytes}, stop_keepalive: 50, refuse_requests: 85, refuse_all: 90, {BY_HAND}"
        );
        overload(holding.document(), &fields)
    };
    let proxy = Proxy::start(document("1GiB")).await;
    let admin = proxy.admin();
    let mut clients = send(&holding, &proxy, 16).await;
    let held = admin.metric(HELD).await;
    let bodies = (16 * BODY_BYTES) as f64;
    assert!((bodies..bodies * 1.02).contains(&held), "{held}");
    let mut other = Client::connect(proxy.address()).await;
    assert_eq!(other.fetch("/", "").await.status(), 200);
    // 960 KiB and somewhat of 1.5 MiB, and of 1 MiB.
    proxy.reload(document("1536KiB")).await.unwrap();
    assert_eq!(action(admin, "stop_keepalive").await, 100.0);
    assert_eq!(action(admin, "refuse_requests").await, 0.0);
    proxy.reload(document("1MiB")).await.unwrap();
    assert_eq!(action(admin, "refuse_requests").await, 100.0);
    answers(admin).await;
    holding.let_go();
    for client in &mut clients {
        assert_eq!(client.response("POST").await.status(), 200);
    }
    admin.wait_for_metric(HELD, 0.0).await;
    proxy.reload(document("1025KiB")).await.unwrap();
    assert_eq!(action(admin, "refuse_requests").await, 0.0);
}

/// A body for which there is no room goes on all the same: it is only not kept.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_kept_is_passed_on_and_counted() {
    let holding = Holding::start().await;
    let fields = format!("buffered_bytes_max: 1MiB, refuse_all: 100, refuse_requests: 100, {BY_HAND}");
    let proxy = Proxy::start(overload(holding.document(), &fields)).await;
    let admin = proxy.admin();
    // 17 at most have room.
    let mut clients = send(&holding, &proxy, 20).await;
    let held = admin.metric(HELD).await;
    assert!((900.0 * 1024.0..=1024.0 * 1024.0).contains(&held), "{held}");
    let refused = admin.metric("outrigger_buffering_refused_total").await;
    assert!((3.0..=5.0).contains(&refused), "{refused}");
    holding.let_go();
    for client in &mut clients {
        assert_eq!(client.response("POST").await.status(), 200);
    }
    let bodies = holding.upstream.requests();
    assert!(
        bodies
            .iter()
            .all(|request| request.body.bytes.len() == BODY_BYTES)
    );
    admin.wait_for_metric(HELD, 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_leaves_nothing_behind() {
    let holding = Holding::start().await;
    let proxy = Proxy::start(overload(holding.document(), BY_HAND)).await;
    let clients = send(&holding, &proxy, 2).await;
    assert!(proxy.admin().metric(HELD).await > BODY_BYTES as f64);
    drop(clients);
    proxy.admin().wait_for_metric(HELD, 0.0).await;
}

/// A copy keeps what it is of until it has been answered, though the request itself has long ended.
#[tokio::test(flavor = "multi_thread")]
async fn copies_for_mirrors_count_and_are_dropped_where_there_is_no_room() {
    let (holding, upstream) = (Holding::start().await, Scripted::ok().await);
    let document = |bytes: &str| {
        let document = Document::to(&[upstream.address()])
            .with_cluster("mirror", &[holding.upstream.address()], "")
            .forward("mirrors: [{ cluster: mirror }]");
        overload(document, &format!("buffered_bytes_max: {bytes}, {BY_HAND}"))
    };
    let proxy = Proxy::start(document("1GiB")).await;
    let admin = proxy.admin();
    let mut client = Client::connect(proxy.address()).await;
    assert_eq!(client.exchange(post()).await.status(), 200);
    wait_until("the copy is held", async || {
        (holding.upstream.request_count() == 1).then_some(())
    })
    .await;
    admin.wait_for(HELD, |held| held == BODY_BYTES as f64).await;
    proxy.reload(document("1MiB")).await.unwrap();
    let copies = wait_until("there is no room for a copy", async || {
        assert_eq!(client.exchange(post()).await.status(), 200);
        let dropped = "outrigger_route_mirrors_dropped_total{reason=\"memory\"}";
        (admin.metric(dropped).await > 0.0).then(|| holding.upstream.request_count())
    })
    .await;
    assert!((2..=17).contains(&copies), "{copies}");
    assert!(admin.metric(HELD).await <= 1024.0 * 1024.0);
    holding.let_go();
    admin.wait_for_metric(HELD, 0.0).await;
}

/// What was read for an authorization service counts for as long as it is here: until the upstream has it and answers.
#[tokio::test(flavor = "multi_thread")]
async fn what_authorization_services_are_told_counts_for_its_whole_life() {
    let holding = Holding::start().await;
    let service = Scripted::ok().await;
    let document = holding
        .document()
        .with_cluster("authz", &[service.address()], "")
        .http("external_authorization: { http: { cluster: authz }, body: { bytes_max: 128KiB } }");
    let proxy = Proxy::start(overload(document, BY_HAND)).await;
    let admin = proxy.admin();
    let mut clients = send(&holding, &proxy, 2).await;
    let of_service = "outrigger_listener_external_authorization_body_bytes";
    assert_eq!(admin.metric(of_service).await, (2 * BODY_BYTES) as f64);
    let held = admin.metric(HELD).await;
    assert!((1.0..1.1).contains(&(held / (2 * BODY_BYTES) as f64)), "{held}");
    holding.let_go();
    for client in &mut clients {
        assert_eq!(client.response("POST").await.status(), 200);
    }
    admin.wait_for_metric(of_service, 0.0).await;
    admin.wait_for_metric(HELD, 0.0).await;
}
