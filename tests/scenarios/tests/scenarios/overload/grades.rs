//! Pressure, and what is done at each grade of it.

use super::*;
use outrigger_fixtures::frames::{Frame, FrameConnection, FrameKind, code};
use outrigger_harness::client::fetch;
use outrigger_harness::{Process, Proxy};

/// Ten requests are in flight; the limit comes nearer by reloads.
const THRESHOLDS: &str = "stop_keepalive: 20, refuse_requests: 40, refuse_all: 60, refuse_connections: 80";

fn at(holding: &Holding, requests_max: u32) -> Document {
    let fields = format!("requests_max: {requests_max}, {THRESHOLDS}, {BY_HAND}");
    overload(holding.document().workers(1), &fields)
}

#[tokio::test(flavor = "multi_thread")]
async fn grade_after_grade_as_pressure_rises_and_back() {
    let holding = Holding::start().await;
    let proxy = Proxy::start(at(&holding, 100_000)).await;
    let admin = proxy.admin();
    let address = proxy.address();
    let mut held = holding.hold(address, 10).await;
    // Opened before anything is refused.
    let mut kept = Client::connect(address).await;
    assert_eq!(kept.fetch("/", "").await.status(), 200);
    let grade = async || {
        let mut degrees = Vec::new();
        for name in ["stop_keepalive", "refuse_requests", "refuse_connections"] {
            degrees.push(action(admin, name).await);
        }
        degrees
    };
    for (requests_max, degrees) in [
        (100, [0.0, 0.0, 0.0]),
        (40, [100.0, 0.0, 0.0]),
        (20, [100.0, 50.0, 0.0]),
        (16, [100.0, 100.0, 0.0]),
        (12, [100.0, 100.0, 100.0]),
    ] {
        proxy.reload(at(&holding, requests_max)).await.unwrap();
        assert_eq!(grade().await, degrees, "{requests_max}");
        answers(admin).await;
        let pressure = "outrigger_overload_pressure_ratio{resource=\"requests\"}";
        let percent = f64::from(1000 / requests_max);
        assert_eq!(admin.metric(pressure).await, percent / 100.0);
        if degrees[2] > 0.0 {
            assert!(Client::connect(address).await.is_closed().await);
        } else if degrees[1] == 100.0 {
            for _ in 0..20 {
                assert_eq!(fetch(address, "/", "").await.status(), 503);
            }
        } else if degrees[1] > 0.0 {
            let mut statuses = Vec::new();
            for _ in 0..200 {
                statuses.push(fetch(address, "/", "").await.status());
            }
            // Half of them, but for chance: less than a fifth is so improbable that it never is.
            let refused = statuses.iter().filter(|status| **status == 503).count();
            assert!((40..160).contains(&refused), "{refused}");
        } else {
            assert_eq!(fetch(address, "/", "").await.status(), 200);
        }
    }
    let info = admin.json("/server_info").await;
    assert_eq!(info["overload"]["pressures"]["requests"]["used"], 10);
    assert_eq!(info["overload"]["pressures"]["requests"]["limit"], 12);
    assert_eq!(info["overload"]["actions_percent"]["refuse_requests"], 100);
    let refused = admin
        .metric(&format!("{CONNECTIONS_REFUSED}{{reason=\"overload\"}}"))
        .await;
    assert_eq!(refused, 1.0);
    // What was in flight is none the worse, and when it has ended so has the rest.
    holding.let_go();
    for client in &mut held {
        assert_eq!(client.response("GET").await.status(), 200);
    }
    admin
        .wait_for_metric("outrigger_listener_requests_active", 0.0)
        .await;
    proxy.reload(at(&holding, 13)).await.unwrap();
    assert_eq!(grade().await, [0.0; 3]);
    assert_eq!(fetch(address, "/", "").await.status(), 200);
}

/// One in eight at each look: connections go by and by, those that carry something when they are free.
#[tokio::test(flavor = "multi_thread")]
async fn connections_are_not_kept_alive_and_do_not_end_all_at_once() {
    let holding = Holding::start().await;
    let proxy = Proxy::start(at(&holding, 100_000)).await;
    let admin = proxy.admin();
    let mut idle = Vec::new();
    for _ in 0..22 {
        let mut client = Client::connect(proxy.address()).await;
        assert_eq!(client.fetch("/", "").await.status(), 200);
        idle.push(client);
    }
    let mut held = holding.hold(proxy.address(), 10).await;
    let closed = "outrigger_listener_connections_closed_total{reason=\"overload\"}";
    proxy.reload(at(&holding, 40)).await.unwrap();
    // 32 connections are left, and then 28.
    admin.wait_for_metric(closed, 4.0).await;
    proxy.reload(at(&holding, 39)).await.unwrap();
    admin.wait_for_metric(closed, 8.0).await;
    for _ in 0..6 {
        proxy.reload(at(&holding, 40)).await.unwrap();
        proxy.reload(at(&holding, 39)).await.unwrap();
    }
    admin.wait_for_metric(closed, 22.0).await;
    for client in &mut idle {
        assert!(client.is_closed().await);
    }
    // Those that carry a request end with its answer, which says so.
    holding.let_go();
    let mut told = 0;
    for client in &mut held {
        let response = client.response("GET").await;
        assert_eq!(response.status(), 200);
        told += usize::from(response.field("connection") == Some("close"));
    }
    assert!(told >= 5, "{told} of 10");
    admin.wait_for_metric(closed, 22.0 + told as f64).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_told_to_go_and_its_streams_end_whole() {
    let holding = Holding::start().await;
    let proxy = Proxy::start(at(&holding, 100_000)).await;
    let mut connection = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    for stream in [1, 3, 5, 7, 9, 11, 13, 15, 17, 19] {
        connection
            .send(Frame::request(stream, "GET", "/held", &[], true))
            .await
            .unwrap();
    }
    wait_until("all requests are held", async || {
        (holding.upstream.request_count() == 10).then_some(())
    })
    .await;
    proxy.reload(at(&holding, 40)).await.unwrap();
    let away = connection
        .next_where(|frame| frame.kind == FrameKind::GoAway)
        .await
        .unwrap();
    assert_eq!(away.error_code(), Some(code::NO_ERROR));
    holding.let_go();
    for _ in 0..10 {
        let head = connection.next_headers().await.unwrap();
        assert_eq!(head.field(":status"), Some("200"));
    }
}

/// A process uses more than a MiB, and so everything is refused; nothing else is limited, and it ends with the limit.
#[tokio::test(flavor = "multi_thread")]
async fn memory_beyond_its_limit_refuses_everything_and_admin_answers() {
    let holding = Holding::start().await;
    let calm = holding.document();
    let proxy = Proxy::start(overload(calm.clone(), &format!("memory_max: off, {BY_HAND}"))).await;
    let (admin, address) = (proxy.admin(), proxy.address());
    let mut held = holding.hold(address, 1).await;
    let mut open = Vec::new();
    for _ in 0..40 {
        let mut client = Client::connect(address).await;
        assert_eq!(client.fetch("/", "").await.status(), 200);
        open.push(client);
    }
    proxy
        .reload(overload(calm.clone(), &format!("memory_max: 1MiB, {BY_HAND}")))
        .await
        .unwrap();
    let pressure = "outrigger_overload_pressure_ratio{resource=\"memory\"}";
    assert!(admin.metric(pressure).await > 1.0);
    let [used, limit] =
        ["used", "limit"].map(|what| format!("outrigger_overload_{what}_bytes{{resource=\"memory\"}}"));
    assert_eq!(admin.metric(&limit).await, 1024.0 * 1024.0);
    assert!(admin.metric(&used).await > 1024.0 * 1024.0);
    // What is measured in bytes is no count.
    let counts = "outrigger_overload_limit{resource=\"memory\"}";
    assert!(!admin.metrics().await.0.contains(counts));
    // At least the last of them is not among the first eighth that ends.
    let last = open.last_mut().unwrap();
    assert_eq!(last.fetch("/", "").await.status(), 503);
    assert!(Client::connect(address).await.is_closed().await);
    for _ in 0..5 {
        answers(admin).await;
    }
    let by_pressure = format!("{REFUSED}{{reason=\"pressure\"}}");
    assert_eq!(admin.metric(&by_pressure).await, 1.0);
    holding.let_go();
    assert_eq!(held[0].response("GET").await.status(), 200);
    proxy.reload(calm).await.unwrap();
    assert_eq!(fetch(address, "/", "").await.status(), 200);
}

/// Looks are taken by themselves too.
#[tokio::test(flavor = "multi_thread")]
async fn pressure_is_noticed_without_a_reload() {
    let holding = Holding::start().await;
    let fields = format!("requests_max: 10, {THRESHOLDS}, interval: 5ms");
    let proxy = Proxy::start(overload(holding.document(), &fields)).await;
    let (admin, address) = (proxy.admin(), proxy.address());
    let mut held = holding.hold(address, 3).await;
    let degree = |name: &str| format!("outrigger_overload_action_ratio{{action=\"{name}\"}}");
    admin.wait_for_metric(&degree("stop_keepalive"), 1.0).await;
    assert_eq!(action(admin, "refuse_requests").await, 0.0);
    holding.let_go();
    for client in &mut held {
        assert_eq!(client.response("GET").await.status(), 200);
    }
    admin.wait_for_metric(&degree("stop_keepalive"), 0.0).await;
    let begun = "outrigger_overload_actions_begun_total{action=\"stop_keepalive\"}";
    assert_eq!(admin.metric(begun).await, 1.0);
    assert_eq!(fetch(address, "/", "").await.status(), 200);
}

/// A whole process: its log has a line when something begins and when it ends, and its admin endpoint answers meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_what_begins_and_what_ends() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("outrigger.yaml");
    let document = |memory_max: &str| {
        let document = Document::to(&["127.0.0.1:9".parse().unwrap()]);
        overload(document, &format!("memory_max: {memory_max}")).to_string()
    };
    std::fs::write(&file, document("1MiB")).unwrap();
    let process = Process::run(&file).await;
    let told = async |text: &str| {
        wait_until(text, async || process.stderr().contains(text).then_some(())).await;
    };
    told("overload: memory at ").await;
    assert!(Client::connect(process.address()).await.is_closed().await);
    answers(process.admin()).await;
    std::fs::write(&file, document("off")).unwrap();
    told("overload is over: nothing is limited").await;
    assert_eq!(fetch(process.address(), "/", "").await.status(), 503);
    answers(process.admin()).await;
}
