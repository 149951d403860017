//! `/metrics`: what a scraper gets and what it does not, and what is gone from it after a reload.

use flate2::read::GzDecoder;
use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Document, Proxy, Response, wait_until};
use std::io::Read;

/// Scrapes that are served at once.
const SCRAPES_MAX: usize = 4;

async fn scrape(proxy: &Proxy, fields: &str) -> Response {
    Client::connect(proxy.admin().0)
        .await
        .fetch("/metrics", fields)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scraper_gets_the_format_and_coding_that_it_asks_for() {
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(Document::to(&[upstream.address()])).await;
    let text = scrape(&proxy, "").await;
    assert_eq!(
        text.field("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    assert!(!text.text().contains("# EOF") && !text.text().contains("# UNIT"));
    let accept =
        "accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\naccept-encoding: gzip\r\n";
    let open = scrape(&proxy, accept).await;
    assert_eq!(
        (open.field("content-type"), open.field("content-encoding")),
        (
            Some("application/openmetrics-text; version=1.0.0; charset=utf-8"),
            Some("gzip")
        )
    );
    let mut decoded = String::new();
    let mut decoder = GzDecoder::new(&open.body.bytes[..]);
    decoder.read_to_string(&mut decoded).expect("gzip that is whole");
    assert!(decoded.contains(
        "# TYPE process_resident_memory_bytes gauge\n# UNIT process_resident_memory_bytes bytes\n"
    ));
    assert!(decoded.ends_with("# EOF\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_told_apart_by_the_direction_of_their_listener() {
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()])
        .listener("direction: inbound")
        .with_listener("other");
    let proxy = Proxy::start(document).await;
    for _ in 0..3 {
        let response = outrigger_harness::client::fetch(proxy.address(), "/", "").await;
        assert_eq!(response.status(), 200);
    }
    outrigger_harness::client::fetch(proxy.address_of("other"), "/", "").await;
    let admin = proxy.admin();
    for (direction, count) in [("inbound", 3.0), ("unspecified", 1.0)] {
        let series = format!(r#"outrigger_requests_total{{direction="{direction}",code_class="2xx"}}"#);
        admin.wait_for_metric(&series, count).await;
        let series = format!(r#"outrigger_request_duration_seconds_count{{direction="{direction}"}}"#);
        assert_eq!(admin.metric(&series).await, count);
        let series = format!(r#"outrigger_requests_active{{direction="{direction}"}}"#);
        assert_eq!(admin.metric(&series).await, 0.0);
    }
    let answers = "outrigger_cluster_attempt_time_to_answer_seconds_count";
    assert_eq!(admin.metric(answers).await, 4.0);
    let late = r#"outrigger_event_loop_delay_seconds_count{thread="worker"}"#;
    admin.wait_for(late, |looks| looks > 0.0).await;
}

/// An attempt that hangs is the slowest of all: a histogram without it would get better as a service gets worse.
#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_counts_by_its_end() {
    let upstream = Scripted::start(|mut script| async move {
        while let Some(request) = script.request().await? {
            match request.head.target() {
                "/hangs" | "/left" => script.until_closed().await?,
                "/broken" => return script.reset(),
                "/cut" => {
                    return script
                        .send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab")
                        .await;
                }
                _ => {
                    script
                        .send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                        .await?
                }
            }
        }
        Ok(())
    })
    .await;
    let document = Document::to(&[upstream.address()])
        .workers(1)
        .routes(
            "{ match: { path: /hangs }, forward: { cluster: upstream, timeout: 50ms } }, { match: { prefix: / }, forward: { cluster: upstream } }",
        )
        .cluster("pool: { requests_per_connection_max: 1 }");
    let proxy = Proxy::start(document).await;
    let admin = proxy.admin();
    let post = |path: &str| format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\na");
    for (path, status) in [("/hangs", 504), ("/broken", 503), ("/", 200)] {
        let mut client = Client::connect(proxy.address()).await;
        assert_eq!(client.exchange(post(path)).await.status(), status, "{path}");
    }
    let mut client = Client::connect(proxy.address()).await;
    client.send(post("/cut")).await;
    client.to_close().await;
    let mut client = Client::connect(proxy.address()).await;
    client.send(post("/left")).await;
    wait_until("the last request", async || {
        (upstream.request_count() == 5).then_some(())
    })
    .await;
    client.reset();
    admin
        .wait_for_metric("outrigger_cluster_attempt_duration_seconds_count", 5.0)
        .await;
    assert_eq!(
        admin
            .metric("outrigger_cluster_attempt_time_to_answer_seconds_count")
            .await,
        2.0,
        "what is answered, whole or cut"
    );
    for (reason, count) in [("timed_out", 1.0), ("failed", 1.0), ("downstream", 1.0)] {
        let series = format!(
            "outrigger_cluster_attempts_unanswered_total{{cluster=\"upstream\",reason=\"{reason}\"}}"
        );
        assert_eq!(admin.metric(&series).await, count, "{reason}");
    }
    let all = admin.metric("outrigger_cluster_attempts_unanswered_total").await;
    assert_eq!(all, 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_the_configuration_leaves_the_metrics() {
    let upstream = Scripted::ok().await;
    let document = || Document::to(&[upstream.address()]);
    let gone = r#"cluster="gone""#;
    let forwards = "{ name: to-gone, match: { prefix: / }, forward: { cluster: gone } }";
    let with = document()
        .with_cluster("gone", &[upstream.address()], "")
        .routes(forwards);
    let proxy = Proxy::start(with).await;
    outrigger_harness::client::fetch(proxy.address(), "/", "").await;
    let admin = proxy.admin();
    let requests = r#"outrigger_cluster_requests_total{cluster="gone",code_class="2xx"}"#;
    admin.wait_for_metric(requests, 1.0).await;
    assert!(admin.metrics().await.0.contains(r#"route="to-gone""#));
    proxy
        .reload(document())
        .await
        .expect("a configuration that is good");
    wait_until("the series to go", || async move {
        let text = admin.metrics().await.0;
        (!text.contains(gone) && !text.contains(r#"route="to-gone""#)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_are_those_of_the_start() {
    let upstream = Scripted::ok().await;
    let document = |buckets: &str| {
        Document::to(&[upstream.address()]).with(&format!("telemetry: {{latency_buckets: {buckets}}}"))
    };
    let proxy = Proxy::start(document("[250ms, 2s]")).await;
    proxy
        .reload(document("[1s]"))
        .await
        .expect("a configuration that is good");
    outrigger_harness::client::fetch(proxy.address(), "/", "").await;
    let admin = proxy.admin();
    let count = "outrigger_route_request_duration_seconds_count";
    admin.wait_for_metric(count, 1.0).await;
    let text = admin.metrics().await.0;
    let bounds: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("outrigger_request_duration_seconds_bucket"))
        .filter_map(|line| line.split("le=\"").nth(1)?.split('"').next())
        .collect();
    assert_eq!(bounds, ["0.25", "2.0", "+Inf"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_scrapes_are_served_at_once_than_may_be() {
    let mut document = Document::to(&[]);
    // More than sockets take of an answer whose reader does not read.
    for number in 0..3_000 {
        document = document.with_cluster(&format!("a-cluster-that-nobody-calls-{number}"), &[], "");
    }
    let proxy = Proxy::start(document).await;
    let admin = proxy.admin();
    let mut readers = Vec::new();
    for _ in 0..SCRAPES_MAX {
        let mut reader = Client::connect_with_receive_buffer(admin.0, 4096).await;
        reader.send("GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let head = reader.head().await;
        readers.push((reader, head));
    }
    let refused = scrape(&proxy, "").await;
    assert_eq!((refused.status(), refused.field("retry-after")), (503, Some("1")));
    assert!(
        refused.text().starts_with("4 scrapes are under way"),
        "{}",
        refused.text()
    );
    assert_eq!(
        admin.fetch("/ready").await.status(),
        200,
        "other calls are answered"
    );
    drop(readers);
    let served = wait_until("a place to be free", || async {
        let response = scrape(&proxy, "").await;
        (response.status() == 200).then(|| response.text())
    })
    .await;
    assert!(served.contains(r#"outrigger_scrapes_total{outcome="refused"} "#));
    admin
        .wait_for_metric(r#"outrigger_scrapes_total{outcome="left"}"#, SCRAPES_MAX as f64)
        .await;
}
