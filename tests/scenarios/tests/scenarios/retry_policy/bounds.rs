//! What bounds retries: their number, and the budget.

use super::*;
use outrigger_harness::wait_until;

#[tokio::test(flavor = "multi_thread")]
async fn the_last_answer_is_passed_on_when_attempts_are_used_up() {
    for retries in [1, 3] {
        let upstream = failing(100, &answer(503, "x-mine: 1\r\n")).await;
        let retry = format!("retry_on: [5xx], retries_max: {retries}, {QUICK}");
        let proxy = Proxy::start(document(&upstream, &retry)).await;
        let response = Client::connect(proxy.address()).await.fetch("/", "").await;
        assert_eq!((response.status(), response.text().as_str()), (503, "fail"));
        assert_eq!(response.field("x-mine"), Some("1"), "the upstream's own");
        assert_eq!(upstream.request_count(), retries + 1);
        let admin = proxy.admin();
        for series in [
            "outrigger_route_response_flags_total{flag=\"URX\"}",
            "outrigger_cluster_retry_limits_exceeded_total",
        ] {
            admin.wait_for_metric(series, 1.0).await;
        }
        let repeated = admin
            .metric("outrigger_cluster_retries_total{reason=\"status\"}")
            .await;
        assert_eq!(repeated, retries as f64);
    }
}

/// An upstream that fails at once: hardly a retry is ever under way, and yet no more than the share begins.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_fails_everything_is_sent_little_more_than_was_asked() {
    const REQUESTS: usize = 300;
    let upstream = failing(usize::MAX, &answer(503, "")).await;
    let proxy = Proxy::start(document(
        &upstream,
        &format!("retry_on: [5xx], retries_max: 3, {QUICK}"),
    ))
    .await;
    let mut client = Client::connect(proxy.address()).await;
    for _ in 0..REQUESTS {
        assert_eq!(client.fetch("/", "").await.text(), "fail");
    }
    let sent = upstream.request_count();
    assert!(
        sent <= REQUESTS * 12 / 10,
        "{sent} for {REQUESTS}: more than a fifth is extra"
    );
    assert!(sent > REQUESTS * 11 / 10, "{sent}: the budget can be used");
    let admin = proxy.admin();
    let denied = admin
        .metric("outrigger_cluster_retries_denied_total{bound=\"recent\"}")
        .await;
    let flagged = admin
        .metric("outrigger_route_response_flags_total{flag=\"UO\"}")
        .await;
    assert!(
        denied > 0.0 && denied == flagged,
        "{denied} denied, {flagged} flagged"
    );
    let budget = &admin.json("/clusters").await["clusters"][0]["retry_budget"];
    let shown = |field: &str| budget[field].as_u64().unwrap_or_else(|| panic!("{budget}"));
    assert_eq!(
        (shown("percent"), shown("concurrency_min"), shown("active")),
        (20, 3, 0)
    );
    assert!(
        shown("recent_retries") > 0 && shown("recent_requests") > 0,
        "{budget}"
    );
}

/// A retry that waits holds its place in the budget.
#[tokio::test(flavor = "multi_thread")]
async fn waiting_counts_against_the_budget() {
    let upstream = failing(usize::MAX, &answer(503, "retry-after: 100\r\n")).await;
    let retry = "retry_on: [5xx], retry_after_max: 1h";
    let document = document(&upstream, retry).cluster("retry_budget: { percent: 0, concurrency_min: 2 }");
    let proxy = Proxy::start(document).await;
    let admin = proxy.admin();
    let mut waiting = Vec::new();
    for count in 1..=2 {
        let mut client = Client::connect(proxy.address()).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        waiting.push(client);
        admin
            .wait_for_metric(
                "outrigger_cluster_retry_waits_total{by=\"answer\"}",
                f64::from(count),
            )
            .await;
    }
    let third = Client::connect(proxy.address()).await.fetch("/", "").await;
    assert_eq!(
        (third.status(), third.text().as_str()),
        (503, "fail"),
        "the answer at hand"
    );
    admin
        .wait_for_metric("outrigger_cluster_retries_denied_total{bound=\"at_once\"}", 1.0)
        .await;
    admin
        .wait_for_metric("outrigger_route_response_flags_total{flag=\"UO\"}", 1.0)
        .await;
    // Whoever goes away leaves its place to others.
    drop(waiting);
    wait_until("the waiting requests' end", async || {
        (admin.metric("outrigger_cluster_requests_active").await == 0.0).then_some(())
    })
    .await;
    assert_eq!(
        upstream.request_count(),
        3,
        "nothing was sent for clients that have gone"
    );
    let mut fourth = Client::connect(proxy.address()).await;
    fourth.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    admin
        .wait_for_metric("outrigger_cluster_retry_waits_total{by=\"answer\"}", 3.0)
        .await;
}
