//! Health checks of grpcio's own health service, and ejection beside Envoy's.

use super::envoy::Setup;
use super::{Beside, peer, python};
use outrigger_fixtures::Scripted;
use outrigger_harness::client::fetch;
use outrigger_harness::{Document, Proxy, wait_until};
use std::net::SocketAddr;
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn grpcios_health_service_is_believed() {
    let Some(python) = python() else { return };
    let mut command = Command::new(python);
    command.arg(peer("grpc_health_server.py"));
    let (mut server, address) = Beside::listening(command);
    let document = |service: &str| {
        Document::to(&[address]).cluster(&format!(
            "protocol: http2, health_check: {{ grpc: {{ service: '{service}' }}, interval: 50ms, timeout: 5s, healthy_threshold: 1 }}"
        ))
    };
    let healthy = "outrigger_cluster_health_endpoints_healthy{cluster=\"upstream\"}";
    // The whole server serves from the start; the service is not known until it is set.
    let whole = Proxy::start(document("")).await;
    whole.admin().wait_for_metric(healthy, 1.0).await;
    let one = Proxy::start(document("shop.Cart")).await;
    let unknown = "outrigger_cluster_health_checks_total{cluster=\"upstream\",result=\"service_unknown\"}";
    one.admin().wait_for(unknown, |count| count >= 1.0).await;
    one.admin().wait_for_metric(healthy, 0.0).await;
    for (status, expected) in [("SERVING", 1.0), ("NOT_SERVING", 0.0), ("SERVING", 1.0)] {
        let line = format!("shop.Cart {status}");
        server.tell(&line);
        assert_eq!(server.line(), line);
        one.admin().wait_for_metric(healthy, expected).await;
    }
    whole.admin().wait_for_metric(healthy, 1.0).await;
}

/// Asks until the bad endpoint is ejected, and then twenty times more; gives what it has seen.
async fn until_ejected(address: SocketAddr, bad: &Scripted, is_ejected: impl AsyncFn() -> bool) -> usize {
    wait_until("five requests at the bad endpoint", async || {
        fetch(address, "/", "").await;
        (bad.request_count() >= 5).then_some(())
    })
    .await;
    wait_until("the ejection", async || is_ejected().await.then_some(())).await;
    for _ in 0..20 {
        assert_eq!(fetch(address, "/", "").await.status(), 200);
    }
    bad.request_count()
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_requests_reach_a_bad_endpoint_as_with_envoy() {
    let failing = || Scripted::answering("HTTP/1.1 500 Said\r\ncontent-length: 0\r\n\r\n");
    let (bad, good) = (failing().await, Scripted::ok().await);
    let setup = Setup::to(
        &[bad.address(), good.address()],
        "common_lb_config: { healthy_panic_threshold: { value: 0 } }, outlier_detection: { consecutive_5xx: 5, \
         base_ejection_time: 200s, max_ejection_percent: 50 }",
    );
    let Some(envoy) = setup.start().await else { return };
    let by_envoy = until_ejected(envoy.address().await, &bad, async || {
        let stats = envoy
            .admin
            .fetch("/stats?filter=outlier_detection.ejections_active")
            .await;
        stats.text().contains("ejections_active: 1")
    })
    .await;

    let bad = failing().await;
    let document = Document::to(&[bad.address(), good.address()]).workers(1).cluster(
        "panic_threshold: 0, outlier_detection: { consecutive_5xx: 5, base_ejection_time: 200s, max_ejection_percent: 50 }",
    );
    let proxy = Proxy::start(document).await;
    let unhealthy = "outrigger_cluster_health_endpoints_unhealthy{cluster=\"upstream\"}";
    let by_us = until_ejected(proxy.address(), &bad, async || {
        proxy.admin().metric(unhealthy).await == 1.0
    })
    .await;
    assert_eq!((by_envoy, by_us), (5, 5));
}
