//! Ejection by answers: who is ejected after what, who never is, and who comes back when.

use super::*;
use outrigger_fixtures::frames::{Frame, FrameServer};
use outrigger_harness::wait_until;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// An ejection that no test outlives.
const LONG: &str = "base_ejection_time: 200s, interval: 30ms";

/// The cluster `upstream`, whose answers are watched.
fn watched(endpoints: &[SocketAddr], settings: &str) -> Document {
    Document::to(endpoints)
        .cluster(&format!(
            "outlier_detection: {{ {settings} }}, panic_threshold: 0"
        ))
        .workers(1)
}

async fn wait_for_ejected(proxy: &Proxy, count: usize) {
    let active = series("outlier_ejections_active", "");
    proxy.admin().wait_for_metric(&active, count as f64).await;
    let unhealthy = series("health_endpoints_unhealthy", "");
    // With the publish: the next request goes by it.
    proxy.admin().wait_for_metric(&unhealthy, count as f64).await;
}

/// Asks until this endpoint has seen as many requests.
async fn ask_until(proxy: &Proxy, backend: &Backend, count: usize) {
    wait_until("requests at the endpoint", async || {
        if backend.requests_seen() < count {
            fetch(proxy, 1).await;
        }
        (backend.requests_seen() >= count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_5xx_in_a_row_eject_and_then_there_is_no_traffic() {
    let pair: [Backend; 2] = backends().await;
    pair[0].answer(How::Status(500));
    let proxy = Proxy::start(watched(&addresses(&pair), LONG)).await;
    ask_until(&proxy, &pair[0], 4).await;
    assert_eq!(
        count(&proxy, "outliers_detected_total", ",reason=\"consecutive_5xx\"").await,
        0.0
    );
    ask_until(&proxy, &pair[0], 5).await;
    wait_for_ejected(&proxy, 1).await;
    assert_eq!(fetch(&proxy, 20).await, [200; 20]);
    assert_eq!(pair[0].requests_seen(), 5);
    assert_eq!(
        count(&proxy, "outlier_ejections_total", ",reason=\"consecutive_5xx\"").await,
        1.0
    );
    let shown = endpoint(&proxy, pair[0].address()).await["outlier_detection"].clone();
    assert_eq!(shown["ejected"], true, "{shown}");
    assert_eq!(shown["reason"], "consecutive_5xx");
    assert_eq!(shown["times_ejected"], 1);
    assert!(shown["ejected_for_seconds"].as_f64().unwrap() > 100.0);
    let other = endpoint(&proxy, pair[1].address()).await["outlier_detection"].clone();
    assert_eq!(
        (&other["ejected"], &other["times_ejected"]),
        (&false.into(), &0.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_in_between_begins_the_run_anew() {
    let pair: [Backend; 2] = backends().await;
    let proxy = Proxy::start(watched(&addresses(&pair), LONG)).await;
    for round in 1..4 {
        pair[0].answer(How::Status(503));
        ask_until(&proxy, &pair[0], round * 5 - 1).await;
        pair[0].answer(How::Status(404));
        ask_until(&proxy, &pair[0], round * 5).await;
    }
    assert_eq!(
        proxy
            .admin()
            .metric("outrigger_cluster_outliers_detected_total")
            .await,
        0.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_comes_back_after_its_time() {
    let pair: [Backend; 2] = backends().await;
    pair[0].answer(How::Status(502));
    let settings = "base_ejection_time: 100ms, interval: 20ms, consecutive_5xx: 2";
    let proxy = Proxy::start(watched(&addresses(&pair), settings)).await;
    let ended = series("outlier_ejections_ended_total", ",reason=\"time\"");
    for times in 1..=3 {
        ask_until(&proxy, &pair[0], times * 2).await;
        proxy.admin().wait_for_metric(&ended, times as f64).await;
        wait_for_healthy(&proxy, 2).await;
    }
    // Well again, it serves as the other does.
    pair[0].answer(How::Status(200));
    let before = pair[0].requests_seen();
    assert_eq!(fetch(&proxy, 10).await, [200; 10]);
    assert_eq!(pair[0].requests_seen() - before, 5);
    let shown = endpoint(&proxy, pair[0].address()).await["outlier_detection"].clone();
    assert_eq!(
        (&shown["ejected"], &shown["times_ejected"]),
        (&false.into(), &3.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_the_percentage_is_ejected_and_the_last_endpoint_never() {
    let four: [Backend; 4] = backends().await;
    for backend in &four {
        backend.answer(How::Status(500));
    }
    // 10 % of four is none, but the first is always ejected; half of them; all, which is all but one.
    for (percent, expected) in [(10, 1), (50, 2), (100, 3)] {
        let settings = format!("{LONG}, consecutive_5xx: 1, max_ejection_percent: {percent}");
        let proxy = Proxy::start(watched(&addresses(&four), &settings)).await;
        let prevented = series("outlier_ejections_prevented_total", ",reason=\"too_many\"");
        wait_until("an ejection too many", async || {
            fetch(&proxy, 4).await;
            (proxy.admin().metric(&prevented).await >= 2.0).then_some(())
        })
        .await;
        wait_for_ejected(&proxy, expected).await;
        assert_eq!(fetch(&proxy, 4).await, [500; 4]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_connections_count_as_answers_do() {
    let good = Backend::start().await;
    let refusing = outrigger_fixtures::Refusing::bind().unwrap();
    let gone = refusing.address();
    let proxy = Proxy::start(watched(&[gone, good.address()], LONG)).await;
    // The default retry hides each of them from the client.
    assert_eq!(fetch(&proxy, 20).await, [200; 20]);
    wait_for_ejected(&proxy, 1).await;
    let refused = count(&proxy, "connection_failures_total", ",reason=\"refused\"").await;
    assert_eq!(fetch(&proxy, 20).await, [200; 20]);
    assert_eq!(
        count(&proxy, "connection_failures_total", ",reason=\"refused\"").await,
        refused
    );
    let shown = endpoint(&proxy, gone).await["outlier_detection"].clone();
    assert_eq!(shown["reason"], "consecutive_5xx");
}

#[tokio::test(flavor = "multi_thread")]
async fn resets_and_timeouts_count_and_are_told_apart_if_that_is_asked_for() {
    for (how, split, reason) in [
        (How::Close, false, "consecutive_5xx"),
        (How::Reset, false, "consecutive_5xx"),
        (How::Hang, false, "consecutive_5xx"),
        (How::Close, true, "consecutive_local_origin_failure"),
        (How::Hang, true, "consecutive_local_origin_failure"),
    ] {
        let pair: [Backend; 2] = backends().await;
        pair[0].answer(how.clone());
        let settings = format!(
            "{LONG}, consecutive_5xx: 2, consecutive_local_origin_failure: 2, split_external_local_origin_errors: {split}"
        );
        let document = watched(&addresses(&pair), &settings).forward("timeout: 100ms");
        let proxy = Proxy::start(document).await;
        ask_until(&proxy, &pair[0], 2).await;
        wait_for_ejected(&proxy, 1).await;
        let shown = endpoint(&proxy, pair[0].address()).await["outlier_detection"].clone();
        assert_eq!(shown["reason"], reason, "{how:?}");
        assert_eq!(fetch(&proxy, 6).await, [200; 6]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_says_nothing_of_the_endpoint() {
    let pair: [Backend; 2] = backends().await;
    pair[0].answer(How::Hang);
    pair[1].answer(How::Hang);
    let settings = format!("{LONG}, consecutive_5xx: 1, max_ejection_percent: 100");
    let proxy = Proxy::start(watched(&addresses(&pair), &settings)).await;
    for sent in 1..=6 {
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        wait_until("the request", async || {
            (pair[0].requests_seen() + pair[1].requests_seen() >= sent).then_some(())
        })
        .await;
        drop(client);
    }
    proxy
        .admin()
        .wait_for_metric("outrigger_listener_requests_active{listener=\"edge\"}", 0.0)
        .await;
    assert_eq!(
        proxy
            .admin()
            .metric("outrigger_cluster_outliers_detected_total")
            .await,
        0.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_statuses_of_answers_without_a_body_count() {
    let server = FrameServer::start(|mut connection, _| async move {
        connection.greet(&[]).await?;
        loop {
            let head = connection.next_headers().await?;
            let fields = [
                (":status", "200"),
                ("content-type", "application/grpc"),
                ("grpc-status", "14"),
            ];
            connection
                .send(Frame::headers(head.stream, &fields, true))
                .await?;
        }
    })
    .await
    .unwrap();
    let good = Backend::start().await;
    let settings = format!("{LONG}, consecutive_5xx: off, enforcing_consecutive_gateway_failure: 100");
    // The other is never asked by gRPC: it is there so that one may be ejected.
    let document = watched(&[server.address(), good.address()], &settings)
        .cluster("protocol: http2, connect_timeout: 100ms");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    let rejected = series(
        "outliers_detected_total",
        ",reason=\"consecutive_gateway_failure\"",
    );
    wait_until("a run of failures", async || {
        client
            .fetch("/a.B/C", "content-type: application/grpc\r\nte: trailers\r\n")
            .await;
        (proxy.admin().metric(&rejected).await >= 1.0).then_some(())
    })
    .await;
    let shown = endpoint(&proxy, server.address()).await["outlier_detection"].clone();
    let other = endpoint(&proxy, good.address()).await["outlier_detection"].clone();
    assert!(
        shown["ejected"] == true || other["ejected"] == true,
        "{shown} {other}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_connections_that_fail_eject() {
    let good = Scripted::start(|mut script| async move {
        script.send("hello").await?;
        script.until_closed().await
    })
    .await;
    let refusing = outrigger_fixtures::Refusing::bind().unwrap();
    let gone = refusing.address();
    let document = Document::to(&[gone, good.address()])
        .cluster(&format!("outlier_detection: {{ {LONG} }}, panic_threshold: 0"))
        .listener("filter_chains: [{ name: bytes, tcp: { cluster: upstream } }]")
        .workers(1);
    let proxy = Proxy::start(document).await;
    let ejected = series("outlier_ejections_active", "");
    wait_until("the ejection", async || {
        drop(TcpStream::connect(proxy.address()).await.unwrap());
        (proxy.admin().metric(&ejected).await == 1.0).then_some(())
    })
    .await;
    wait_for_ejected(&proxy, 1).await;
    assert_eq!(endpoint(&proxy, gone).await["outlier_detection"]["ejected"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passing_check_brings_back_unless_that_is_turned_off() {
    let pair: [Backend; 2] = backends().await;
    pair[0].answer(How::Status(500));
    let document = |more: &str| {
        watched(&addresses(&pair), &format!("{LONG}, consecutive_5xx: 1{more}"))
            .cluster(&format!("health_check: {{ http: {{ path: {PATH} }}, {FAST} }}"))
    };
    let proxy = Proxy::start(document("")).await;
    let ended = series("outlier_ejections_ended_total", ",reason=\"check\"");
    wait_until("a check to bring it back", async || {
        fetch(&proxy, 2).await;
        (proxy.admin().metric(&ended).await >= 1.0).then_some(())
    })
    .await;
    drop(proxy);
    let proxy = Proxy::start(document(", successful_active_health_check_uneject_host: false")).await;
    let seen = pair[0].requests_seen();
    ask_until(&proxy, &pair[0], seen + 1).await;
    wait_for_ejected(&proxy, 1).await;
    let checks = pair[0].checks_seen();
    wait_until("more checks", async || {
        (pair[0].checks_seen() >= checks + 3).then_some(())
    })
    .await;
    assert_eq!(proxy.admin().metric(&ended).await, 0.0);
    assert_eq!(fetch(&proxy, 4).await, [200; 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn enforcing_nothing_tells_and_does_nothing() {
    let pair: [Backend; 2] = backends().await;
    pair[0].answer(How::Status(500));
    let settings = format!("{LONG}, consecutive_5xx: 1, enforcing_consecutive_5xx: 0");
    let proxy = Proxy::start(watched(&addresses(&pair), &settings)).await;
    ask_until(&proxy, &pair[0], 4).await;
    let prevented = series("outlier_ejections_prevented_total", ",reason=\"not_enforced\"");
    proxy.admin().wait_for(&prevented, |count| count >= 1.0).await;
    assert_eq!(
        proxy
            .admin()
            .metric(&series("outlier_ejections_active", ""))
            .await,
        0.0
    );
}

/// Who waits in the proxy's own queue, or finds it full, says nothing of the endpoint.
#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_s_own_limits_eject_nobody() {
    let pair: [Backend; 2] = backends().await;
    let document = watched(&addresses(&pair), &format!("{LONG}, consecutive_5xx: 1"))
        .cluster("circuit_breakers: { default: { connections_max: 1, pending_max: 1 } }")
        .forward("timeout: 2s");
    let proxy = Proxy::start(document).await;
    let admin = proxy.admin();
    // It is alone on the one connection that there may be, and is answered late enough.
    let (length, rest) = ("content-length: 2\r\n\r\na", "b");
    let mut holder = Client::connect(proxy.address()).await;
    holder
        .send(format!("POST / HTTP/1.1\r\nhost: a\r\n{length}"))
        .await;
    admin
        .wait_for_metric(&series("connections_active", ""), 1.0)
        .await;
    let mut queued = Client::connect(proxy.address()).await;
    queued.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let pending =
        "outrigger_cluster_breaker_remaining{cluster=\"upstream\",priority=\"default\",breaker=\"pending\"}";
    admin.wait_for_metric(pending, 0.0).await;
    assert_eq!(fetch(&proxy, 1).await, [503]);
    assert_eq!(queued.response("GET").await.status(), 504);
    holder.send(rest).await;
    assert_eq!(holder.response("POST").await.status(), 200);
    assert_eq!(
        admin.metric("outrigger_cluster_outliers_detected_total").await,
        0.0
    );
}

/// A target that HTTP/2 cannot carry is the client's fault, and no attempt repeats it.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_ejects_nobody() {
    let serve = |mut connection: outrigger_fixtures::frames::FrameConnection, _| async move {
        connection.greet(&[]).await?;
        while connection.next().await?.is_some() {}
        Ok(())
    };
    let server = FrameServer::start(serve).await.unwrap();
    let document = watched(&[server.address()], &format!("{LONG}, consecutive_5xx: 1"))
        .cluster("protocol: http2")
        .forward("retry: { retry_on: [5xx], backoff: { base: 1ms } }");
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    for _ in 0..3 {
        assert_eq!(client.fetch("/?q=\"x\"", "").await.status(), 400);
    }
    let admin = proxy.admin();
    assert_eq!(
        admin.metric("outrigger_cluster_outliers_detected_total").await,
        0.0
    );
    assert_eq!(admin.metric("outrigger_cluster_retries_total").await, 0.0);
}
