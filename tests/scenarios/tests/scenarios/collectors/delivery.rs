//! What arrives, and that nothing is lost on the way by reloads and ends.

use super::*;
use outrigger_fixtures::Refusing;
use outrigger_fixtures::otlp::{Reply, attribute};
use outrigger_harness::wait::within;
use std::collections::HashSet;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn spans_arrive_with_who_tells_and_what_is_secret_stays_so() {
    for (wire, path) in [
        (
            Wire::Grpc,
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        ),
        (Wire::Http, "/v1/traces"),
    ] {
        let (upstream, collector) = (Echo::start().await, OtlpCollector::start(wire).await);
        let fields = plain(
            wire,
            collector.address(),
            &format!("{AT_ONCE}, headers: {{ X-Api-Key: hidden }}"),
        );
        let document = traced(&upstream, &fields).to_string().replace(
            "telemetry: { ",
            "telemetry: { service_name: shop/edge, resource: { deployment.environment.name: test }, ",
        );
        let proxy = Proxy::start(document).await;
        send(&proxy, 3).await;
        arrived(&collector, 3 * SPANS).await;
        for export in collector.exports() {
            assert_eq!(export.path, path);
            assert_eq!(export.headers["x-api-key"], "hidden");
            let resource = [
                ("service.name", "shop/edge"),
                ("deployment.environment.name", "test"),
            ];
            let resource = resource.map(|(key, value)| (key.to_owned(), value.to_owned()));
            assert_eq!(export.resource, resource);
            assert_eq!(export.scope.name, "outrigger-proxy");
            if wire == Wire::Http {
                assert_eq!(export.headers["content-type"], "application/x-protobuf");
            }
        }
        let spans = collector.spans();
        let servers = spans.iter().filter(|span| span.kind == 2);
        let paths: HashSet<_> = servers
            .filter_map(|span| attribute(&span.attributes, "url.path"))
            .collect();
        assert_eq!(paths.len(), 3, "{spans:?}");
        proxy
            .admin()
            .wait_for_metric(&series("exported_total", ""), (3 * SPANS) as f64)
            .await;
        proxy
            .admin()
            .wait_for_metric(&series("queue_length", ""), 0.0)
            .await;
        let dump = proxy.admin().config_dump().await.to_string();
        assert!(dump.contains("x-api-key") && !dump.contains("hidden"), "{dump}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_compressed_where_they_are_to_be() {
    for (wire, header) in [(Wire::Grpc, "grpc-encoding"), (Wire::Http, "content-encoding")] {
        let (upstream, collector) = (Echo::start().await, OtlpCollector::start(wire).await);
        let fields = |more: &str| plain(wire, collector.address(), &format!("{AT_ONCE}{more}"));
        let compressed = traced(&upstream, &fields(", compression: gzip"));
        let proxy = Proxy::start(compressed).await;
        // The first is not taken, and sent again as it was.
        let again = match wire {
            Wire::Grpc => Reply::Status(14, None),
            Wire::Http => Reply::Status(503, None),
        };
        collector.reply(again);
        send(&proxy, 1).await;
        wait_until("a message", async || {
            (!collector.exports().is_empty()).then_some(())
        })
        .await;
        collector.reply(Reply::Taken);
        send(&proxy, 9).await;
        arrived(&collector, 10 * SPANS).await;
        for export in collector.exports() {
            assert_eq!(export.headers[header], "gzip");
            assert!(
                export.bytes_sent < export.bytes,
                "{} of {}",
                export.bytes_sent,
                export.bytes
            );
        }
        let before = collector.exports().len();
        proxy.reload(traced(&upstream, &fields(""))).await.unwrap();
        send(&proxy, 1).await;
        arrived(&collector, 11 * SPANS).await;
        for export in &collector.exports()[before..] {
            assert!(!export.headers.contains_key(header));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_sent_when_the_proxy_ends() {
    for wire in [Wire::Grpc, Wire::Http] {
        let (upstream, collector) = (Echo::start().await, OtlpCollector::start(wire).await);
        let fields = plain(wire, collector.address(), WHEN_FULL);
        let proxy = Proxy::start(traced(&upstream, &fields)).await;
        send(&proxy, 4).await;
        let waits = series("queue_length", "");
        proxy.admin().wait_for_metric(&waits, (4 * SPANS) as f64).await;
        assert_eq!(collector.spans().len(), 0, "the batch is not full");
        let drained = proxy.drain(Duration::ZERO, Duration::from_secs(10));
        assert!(within("the drain", drained).await.unwrap());
        assert_eq!(collector.spans().len(), 4 * SPANS);
        assert_eq!(collector.exports().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_ends_although_its_collector_does_not_answer() {
    let (upstream, collector) = (Echo::start().await, OtlpCollector::start(Wire::Grpc).await);
    collector.reply(outrigger_fixtures::otlp::Reply::Nothing);
    let fields = plain(
        Wire::Grpc,
        collector.address(),
        &format!("{AT_ONCE}, timeout: 1h"),
    );
    let proxy = Proxy::start(traced(&upstream, &fields)).await;
    send(&proxy, 1).await;
    wait_until("a request", async || {
        (!collector.exports().is_empty()).then_some(())
    })
    .await;
    let drained = proxy.drain(Duration::ZERO, Duration::from_secs(10));
    assert!(within("the drain", drained).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_as_large_as_they_may_be() {
    let (upstream, collector) = (Echo::start().await, OtlpCollector::start(Wire::Http).await);
    let fields = plain(
        Wire::Http,
        collector.address(),
        &format!("{WHEN_FULL}, batch_max: 3"),
    );
    let proxy = Proxy::start(traced(&upstream, &fields)).await;
    send(&proxy, 5).await;
    arrived(&collector, 9).await;
    let sizes: Vec<usize> = collector
        .exports()
        .iter()
        .map(|export| export.spans.len())
        .collect();
    assert_eq!(sizes, [3, 3, 3]);
    proxy
        .admin()
        .wait_for_metric(&series("queue_length", ""), 1.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_goes_to_where_the_collector_moved() {
    let (upstream, nobody) = (Echo::start().await, Refusing::bind().unwrap());
    let fields = plain(Wire::Grpc, nobody.address(), AT_ONCE);
    let proxy = Proxy::start(traced(&upstream, &fields)).await;
    send(&proxy, 3).await;
    proxy
        .admin()
        .wait_for(&failures("connection"), |count| count > 0.0)
        .await;
    let collector = OtlpCollector::start(Wire::Http).await;
    let moved = plain(Wire::Http, collector.address(), AT_ONCE);
    proxy.reload(traced(&upstream, &moved)).await.unwrap();
    arrived(&collector, 3 * SPANS).await;
    send(&proxy, 1).await;
    arrived(&collector, 4 * SPANS).await;
    let other = traced(&upstream, &moved).http("idle_timeout: 77s");
    proxy.reload(other).await.unwrap();
    send(&proxy, 1).await;
    arrived(&collector, 5 * SPANS).await;
    assert_eq!(
        collector.connections(),
        1,
        "a collector that stays keeps its connection"
    );
    for reason in ["queue_full", "no_collector", "ended", "given_up"] {
        assert_eq!(proxy.admin().metric(&dropped(reason)).await, 0.0, "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_collector_that_is_taken_out_is_sent() {
    let (upstream, collector) = (Echo::start().await, OtlpCollector::start(Wire::Grpc).await);
    let fields = plain(Wire::Grpc, collector.address(), WHEN_FULL);
    let proxy = Proxy::start(traced(&upstream, &fields)).await;
    send(&proxy, 2).await;
    proxy
        .admin()
        .wait_for_metric(&series("queue_length", ""), (2 * SPANS) as f64)
        .await;
    proxy.reload(Document::to(&[upstream.address()])).await.unwrap();
    arrived(&collector, 2 * SPANS).await;
    send(&proxy, 2).await;
    proxy.reload(traced(&upstream, &fields)).await.unwrap();
    send(&proxy, 1).await;
    proxy
        .admin()
        .wait_for_metric(&series("queue_length", ""), SPANS as f64)
        .await;
    assert_eq!(collector.spans().len(), 2 * SPANS);
}
