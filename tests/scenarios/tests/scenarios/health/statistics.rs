//! Ejection by what endpoints did beside each other in an interval.

use super::*;
use outrigger_harness::wait_until;

/// Five endpoints of which the first fails one request in two: never two in a row.
async fn one_that_fails_half() -> (Vec<Scripted>, Vec<SocketAddr>) {
    let mut servers = vec![
        Scripted::start(|mut script| async move {
            let mut fails = false;
            while script.request().await?.is_some() {
                fails = !fails;
                let status = if fails { 500 } else { 200 };
                let answer = format!("HTTP/1.1 {status} Said\r\ncontent-length: 0\r\n\r\n");
                script.send(answer).await?;
            }
            Ok(())
        })
        .await,
    ];
    for _ in 0..4 {
        servers.push(Scripted::ok().await);
    }
    let addresses = servers.iter().map(Scripted::address).collect();
    (servers, addresses)
}

async fn ejected_for(settings: &str, reason: &str) {
    let (servers, addresses) = one_that_fails_half().await;
    let document = Document::to(&addresses)
        .cluster(&format!(
            "outlier_detection: {{ base_ejection_time: 200s, interval: 200ms, {settings} }}, panic_threshold: 0"
        ))
        .workers(1);
    let proxy = Proxy::start(document).await;
    let ejections = series("outlier_ejections_total", &format!(",reason=\"{reason}\""));
    wait_until("the ejection", async || {
        fetch(&proxy, 100).await;
        (proxy.admin().metric(&ejections).await == 1.0).then_some(())
    })
    .await;
    proxy
        .admin()
        .wait_for_metric(&series("health_endpoints_unhealthy", ""), 1.0)
        .await;
    let seen = servers[0].request_count();
    assert_eq!(fetch(&proxy, 20).await, [200; 20]);
    assert_eq!(servers[0].request_count(), seen);
    let shown = endpoint(&proxy, addresses[0]).await["outlier_detection"].clone();
    assert_eq!(shown["reason"], reason, "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_succeeds_less_than_the_others_is_ejected() {
    ejected_for("success_rate_request_volume: 10", "success_rate").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_whose_requests_a_share_fails_is_ejected() {
    let settings = "enforcing_success_rate: 0, failure_percentage_threshold: 40, enforcing_failure_percentage: 100, \
                    failure_percentage_request_volume: 10";
    ejected_for(settings, "failure_percentage").await;
}
