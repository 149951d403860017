//! Collectors that are away, slow, full or rude: requests never notice, and what is lost is counted.

use super::*;
use outrigger_fixtures::Refusing;
use outrigger_fixtures::otlp::Reply;

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_comes_late_gets_what_waited() {
    for wire in [Wire::Grpc, Wire::Http] {
        let (upstream, nobody) = (Echo::start().await, Refusing::bind().unwrap());
        let fields = plain(wire, nobody.address(), AT_ONCE);
        let proxy = Proxy::start(traced(&upstream, &fields)).await;
        send(&proxy, 10).await;
        proxy
            .admin()
            .wait_for(&failures("connection"), |count| count > 0.0)
            .await;
        let waits = series("queue_length", "");
        proxy.admin().wait_for_metric(&waits, (10 * SPANS) as f64).await;
        let collector = OtlpCollector::start_on(nobody.listen(), wire, None).await;
        arrived(&collector, 10 * SPANS).await;
        send(&proxy, 1).await;
        arrived(&collector, 11 * SPANS).await;
        let exported = series("exported_total", "");
        proxy
            .admin()
            .wait_for_metric(&exported, (11 * SPANS) as f64)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_ends_and_comes_back_gets_what_came_meanwhile() {
    for wire in [Wire::Grpc, Wire::Http] {
        let (upstream, collector) = (Echo::start().await, OtlpCollector::start(wire).await);
        let address = collector.address();
        let proxy = Proxy::start(traced(&upstream, &plain(wire, address, AT_ONCE))).await;
        send(&proxy, 2).await;
        arrived(&collector, 2 * SPANS).await;
        collector.stop().await;
        send(&proxy, 3).await;
        proxy
            .admin()
            .wait_for(&failures("connection"), |count| count > 0.0)
            .await;
        let collector = OtlpCollector::start_at(&address.to_string(), wire, None).await;
        arrived(&collector, 3 * SPANS).await;
        send(&proxy, 2).await;
        arrived(&collector, 5 * SPANS).await;
        assert_eq!(proxy.admin().metric(&series("dropped_total", "")).await, 0.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_room_is_dropped_and_counted() {
    let (upstream, collector) = (Echo::start().await, OtlpCollector::start(Wire::Grpc).await);
    collector.reply(Reply::Nothing);
    let more = format!("{AT_ONCE}, queue_max: 6, batch_max: 2, timeout: 1h");
    let fields = plain(Wire::Grpc, collector.address(), &more);
    let proxy = Proxy::start(traced(&upstream, &fields)).await;
    send(&proxy, 10).await;
    proxy
        .admin()
        .wait_for_metric(&dropped("queue_full"), (10 * SPANS - 6) as f64)
        .await;
    proxy
        .admin()
        .wait_for_metric(&series("queue_length", ""), 6.0)
        .await;
    collector.reply(Reply::Taken);
    // Another deadline: what is under way is begun anew, at once.
    let more = format!("{AT_ONCE}, queue_max: 6, batch_max: 2, timeout: 2h");
    let fields = plain(Wire::Grpc, collector.address(), &more);
    proxy.reload(traced(&upstream, &fields)).await.unwrap();
    arrived(&collector, 6).await;
    proxy
        .admin()
        .wait_for_metric(&series("exported_total", ""), 6.0)
        .await;
    proxy
        .admin()
        .wait_for_metric(&series("queue_length", ""), 0.0)
        .await;
    send(&proxy, 1).await;
    arrived(&collector, 6 + SPANS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_sent_again_and_what_does_not_is_not() {
    for (wire, passes, refuses) in [(Wire::Grpc, 14, 16), (Wire::Http, 503, 401)] {
        let (upstream, collector) = (Echo::start().await, OtlpCollector::start(wire).await);
        let fields = plain(wire, collector.address(), AT_ONCE);
        let proxy = Proxy::start(traced(&upstream, &fields)).await;
        collector.reply(Reply::Status(passes, Some(1)));
        send(&proxy, 1).await;
        proxy
            .admin()
            .wait_for(&failures("unavailable"), |count| count > 0.0)
            .await;
        collector.reply(Reply::Taken);
        arrived(&collector, SPANS).await;
        assert_eq!(
            collector.connections(),
            1,
            "an answer is no reason to connect again"
        );
        collector.reply(Reply::Status(refuses, None));
        send(&proxy, 1).await;
        proxy
            .admin()
            .wait_for_metric(&dropped("refused"), SPANS as f64)
            .await;
        assert!(proxy.admin().metric(&failures("refused")).await > 0.0);
        collector.reply(Reply::Rejected(1));
        send(&proxy, 1).await;
        proxy
            .admin()
            .wait_for(&dropped("rejected"), |count| count > 0.0)
            .await;
        wait_until("all to be accounted for", async || {
            let metrics = proxy.admin().metrics().await;
            let lost = metrics.sum(&dropped("refused")) + metrics.sum(&dropped("rejected"));
            let all = metrics.sum(&series("exported_total", "")) + lost;
            (all == (3 * SPANS) as f64).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_does_not_answer_is_asked_again() {
    for wire in [Wire::Grpc, Wire::Http] {
        let (upstream, collector) = (Echo::start().await, OtlpCollector::start(wire).await);
        collector.reply(Reply::Nothing);
        let fields = plain(wire, collector.address(), &format!("{AT_ONCE}, timeout: 50ms"));
        let proxy = Proxy::start(traced(&upstream, &fields)).await;
        send(&proxy, 2).await;
        proxy
            .admin()
            .wait_for(&failures("timeout"), |count| count > 0.0)
            .await;
        collector.reply(Reply::Taken);
        arrived(&collector, 2 * SPANS).await;
    }
}
