//! Health through reloads, discovery and drains.

use super::*;
use outrigger_fixtures::DnsServer;
use outrigger_fixtures::dns::{Kind, Reply};
use outrigger_harness::wait_until;

fn transitions(to: &str) -> String {
    series("health_transitions_total", &format!(",to=\"{to}\""))
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_end_with_their_cluster_and_with_their_endpoint() {
    let pair: [Backend; 2] = backends().await;
    let proxy = Proxy::start(checked(&pair, "")).await;
    assert_eq!(pair[1].server.open_connections(), 1);
    // Their connection ends with them.
    proxy.reload(checked(&pair[..1], "")).await.unwrap();
    wait_until("the end of the other's checks", async || {
        (pair[1].server.open_connections() == 0).then_some(())
    })
    .await;
    proxy.reload(Document::to(&addresses(&pair[..1]))).await.unwrap();
    wait_until("the end of checks", async || {
        (pair[0].server.open_connections() == 0).then_some(())
    })
    .await;
    assert!(
        endpoint(&proxy, pair[0].address())
            .await
            .get("health_check")
            .is_none()
    );
    assert_eq!(
        proxy
            .admin()
            .metric("outrigger_cluster_health_endpoints_healthy")
            .await,
        0.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_a_reload_adds_are_checked_before_they_get_requests() {
    let trio: [Backend; 3] = backends().await;
    trio[1].check(How::Status(500));
    let proxy = Proxy::start(checked(&trio[..1], "")).await;
    proxy.reload(checked(&trio, "")).await.unwrap();
    assert_eq!(fetch(&proxy, 10).await, [200; 10]);
    assert_eq!(trio[1].requests_seen(), 0);
    // The one that passed is in use with the reload, not some time after.
    assert_eq!(trio[2].requests_seen(), 5);
    assert!(trio[1].checks_seen() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_settings_restart_checks_and_leave_health_as_it_is() {
    let pair: [Backend; 2] = backends().await;
    pair[0].check(How::Status(500));
    let proxy = Proxy::start(checked(&pair, "")).await;
    for threshold in [5, 6, 7] {
        proxy
            .reload(checked(&pair, &format!("healthy_threshold: {threshold}")))
            .await
            .unwrap();
        assert_eq!(fetch(&proxy, 4).await, [200; 4]);
    }
    assert_eq!(pair[0].requests_seen(), 0);
    assert_eq!(proxy.admin().metric(&transitions("unhealthy")).await, 0.0);
    assert_eq!(proxy.admin().metric(&transitions("healthy")).await, 1.0);
    // And are made by the new ones: seven in a row.
    let before = pair[0].checks_seen();
    pair[0].check(How::Status(200));
    proxy.admin().wait_for_metric(&transitions("healthy"), 2.0).await;
    assert!(pair[0].checks_seen() - before >= 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_that_are_turned_off_are_forgotten() {
    let pair: [Backend; 2] = backends().await;
    pair[0].check(How::Status(500));
    let proxy = Proxy::start(checked(&pair, "")).await;
    let plain = Document::to(&addresses(&pair))
        .cluster("panic_threshold: 0")
        .workers(1);
    proxy.reload(plain).await.unwrap();
    wait_until("requests at the endpoint that had failed", async || {
        fetch(&proxy, 2).await;
        (pair[0].requests_seen() > 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ejection_survives_reloads_and_discovery() {
    let server = DnsServer::start().await;
    let bad = Backend::start().await;
    let port = bad.address().port();
    let good = Backend::start_at(SocketAddr::new([127, 0, 0, 2].into(), port)).await;
    let more = Backend::start_at(SocketAddr::new([127, 0, 0, 3].into(), port)).await;
    bad.answer(How::Status(500));
    let zone = |addresses: &[&str]| server.set("a.example", Kind::A, Reply::addresses(60, addresses));
    zone(&["127.0.0.1", "127.0.0.2"]);
    let document = |interval: &str| {
        let resolver = server.address();
        Document::to(&[])
            .cluster(&format!(
                "discovery: {{ type: strict_dns, names: [{{ host: a.example, port: {port} }}], resolvers: ['{resolver}'], \
                 ttl_min: 50ms, ttl_max: 100ms, query_timeout: 500ms }}, panic_threshold: 0, \
                 outlier_detection: {{ consecutive_5xx: 1, base_ejection_time: 200s, interval: {interval} }}"
            ))
            .workers(1)
    };
    let proxy = Proxy::start(document("50ms")).await;
    let ejected = series("outlier_ejections_active", "");
    wait_until("the ejection", async || {
        fetch(&proxy, 2).await;
        (proxy.admin().metric(&ejected).await == 1.0).then_some(())
    })
    .await;
    wait_for_healthy(&proxy, 1).await;
    let seen = bad.requests_seen();
    proxy.reload(document("60ms")).await.unwrap();
    assert_eq!(fetch(&proxy, 6).await, [200; 6]);
    zone(&["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    wait_for_healthy(&proxy, 2).await;
    assert_eq!(fetch(&proxy, 6).await, [200; 6]);
    assert!(more.requests_seen() > 0 && good.requests_seen() > 0);
    assert_eq!(bad.requests_seen(), seen);
    let shown = endpoint(&proxy, bad.address()).await["outlier_detection"].clone();
    assert_eq!(
        (&shown["ejected"], &shown["times_ejected"]),
        (&true.into(), &1.into())
    );
    // Turned off, it is over.
    let off = document("60ms")
        .to_string()
        .replace("outlier_detection: {", "outlier_detection: false, x: {");
    let off = off.replace(
        ", x: { consecutive_5xx: 1, base_ejection_time: 200s, interval: 60ms }",
        "",
    );
    proxy.reload(off).await.unwrap();
    wait_until("requests at the endpoint that was ejected", async || {
        fetch(&proxy, 3).await;
        (bad.requests_seen() > seen).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_dns_adds_is_used_once_it_has_passed() {
    let server = DnsServer::start().await;
    let first = Backend::start().await;
    let port = first.address().port();
    let second = Backend::start_at(SocketAddr::new([127, 0, 0, 2].into(), port)).await;
    second.check(How::Status(500));
    let zone = |addresses: &[&str]| server.set("a.example", Kind::A, Reply::addresses(60, addresses));
    zone(&["127.0.0.1"]);
    let resolver = server.address();
    let document = Document::to(&[]).cluster(&format!(
        "discovery: {{ type: strict_dns, names: [{{ host: a.example, port: {port} }}], resolvers: ['{resolver}'], \
         ttl_min: 50ms, ttl_max: 100ms, query_timeout: 500ms }}, panic_threshold: 0, \
         health_check: {{ http: {{ path: {PATH} }}, {FAST} }}"
    ));
    let proxy = Proxy::start(document).await;
    zone(&["127.0.0.1", "127.0.0.2"]);
    wait_until("checks of the second", async || {
        (second.checks_seen() >= 3).then_some(())
    })
    .await;
    assert_eq!(fetch(&proxy, 6).await, [200; 6]);
    assert_eq!(second.requests_seen(), 0);
    second.check(How::Status(200));
    wait_for_healthy(&proxy, 2).await;
    assert_eq!(fetch(&proxy, 6).await, [200; 6]);
    assert_eq!(second.requests_seen(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_endpoint_gets_no_new_work_and_keeps_what_it_has() {
    let pair: [Backend; 2] = backends().await;
    let document = |status: &str| {
        let (draining, other) = (pair[0].address(), pair[1].address());
        let text = Document::to(&[]).workers(1).to_string();
        text.replace(
            "endpoints: []",
            &format!("endpoints: [{{ address: '{draining}', status: {status} }}, {{ address: '{other}' }}]"),
        )
    };
    let proxy = Proxy::start(document("healthy")).await;
    assert_eq!(fetch(&proxy, 2).await, [200; 2]);
    wait_until("an idle connection", async || {
        (pair[0].server.open_connections() == 1).then_some(())
    })
    .await;
    // One that goes on: its answer never ends.
    pair[0].answer(How::Drip);
    let mut client = Client::connect(proxy.address()).await;
    wait_until("an answer that goes on", async || {
        let seen = pair[0].requests_seen();
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let head = client.head().await;
        if pair[0].requests_seen() > seen {
            return Some(());
        }
        client.body(&head).await.unwrap();
        None
    })
    .await;
    let seen = pair[0].requests_seen();
    proxy.reload(document("draining")).await.unwrap();
    assert_eq!(fetch(&proxy, 6).await, [200; 6]);
    assert_eq!(pair[0].requests_seen(), seen);
    // What it has goes on, on the one connection that is left.
    assert_eq!(client.take(100).await, vec![b'x'; 100]);
    assert_eq!(pair[0].server.open_connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_of_a_failing_endpoint_is_closed() {
    let pair: [Backend; 2] = backends().await;
    let checks = format!("http: {{ path: {PATH} }}, reuse_connection: false");
    let document = checking(&addresses(&pair), &checks)
        .cluster("pool: { idle_timeout: 200s }")
        .workers(1);
    let proxy = Proxy::start(document).await;
    assert_eq!(fetch(&proxy, 2).await, [200; 2]);
    let open = proxy.admin().metric(&series("connections_active", "")).await;
    assert_eq!(open, 2.0);
    pair[0].check(How::Status(500));
    wait_for_healthy(&proxy, 1).await;
    proxy
        .admin()
        .wait_for_metric(&series("connections_active", ""), 1.0)
        .await;
}
