//! Circuit breakers: what clients and upstreams see at the limits of a cluster, and that nothing stays counted.

mod connections;
mod endpoints;

use outrigger_fixtures::scripted::{Script, Scripted};
use outrigger_harness::{Client, Document, Proxy, Response, wait_until};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// What an upstream does at a time.
#[derive(Default)]
struct Seen {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Seen {
    fn enter(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }

    fn now(&self) -> usize {
        self.now.load(Ordering::SeqCst)
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

/// An upstream that answers a request for each permit that `gate` has; `seen`: the requests that it has at a time.
async fn gated(gate: &Arc<Semaphore>, seen: &Arc<Seen>) -> Scripted {
    let (gate, seen) = (Arc::clone(gate), Arc::clone(seen));
    Scripted::start(move |script| serve(script, Arc::clone(&gate), Arc::clone(&seen))).await
}

async fn serve(mut script: Script, gate: Arc<Semaphore>, seen: Arc<Seen>) -> io::Result<()> {
    while script.request().await?.is_some() {
        seen.enter();
        let passed = tokio::select! {
            permit = gate.acquire() => {
                permit.map_err(io::Error::other)?.forget();
                true
            }
            _ = script.until_closed() => false,
        };
        seen.leave();
        if !passed {
            break;
        }
        script.send(OK).await?;
    }
    Ok(())
}

/// Sends a request on a connection of its own, and leaves it to be answered.
async fn begin(proxy: &Proxy, path: &str) -> Client {
    let mut client = Client::connect(proxy.address()).await;
    client
        .send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"))
        .await;
    client
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    wait_until(what, async || condition().then_some(())).await;
}

fn assert_overflow(response: &Response) {
    assert_eq!(response.status(), 503);
    assert_eq!(response.field("x-envoy-overloaded"), Some("true"));
    assert_eq!(response.text(), "upstream overloaded\n");
}

fn remaining(kind: &str) -> String {
    format!(
        "outrigger_cluster_breaker_remaining{{cluster=\"upstream\",priority=\"default\",breaker=\"{kind}\"}}"
    )
}

fn overflows(limit: &str) -> String {
    format!("outrigger_cluster_overflows_total{{cluster=\"upstream\",limit=\"{limit}\"}}")
}

/// What a cluster refuses counts among what its requests came to, or nobody would see it fail.
async fn assert_refusals_count(proxy: &Proxy, count: f64) {
    for series in [
        "outrigger_cluster_requests_total{cluster=\"upstream\",code_class=\"5xx\"}",
        "outrigger_cluster_response_flags_total{cluster=\"upstream\",flag=\"UO\"}",
    ] {
        proxy.admin().wait_for_metric(series, count).await;
    }
}

#[tokio::test]
async fn over_the_requests_limit_is_503_at_once_and_the_upstream_never_has_more() {
    let (gate, seen) = (Arc::new(Semaphore::new(0)), Arc::new(Seen::default()));
    let upstream = gated(&gate, &seen).await;
    let document = Document::to(&[upstream.address()])
        .workers(2)
        .cluster("circuit_breakers: { default: { requests_max: 5 } }");
    let proxy = Proxy::start(document).await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(begin(&proxy, "/").await);
    }
    until("five are there", || seen.now() == 5).await;
    for _ in 0..20 {
        assert_overflow(&outrigger_harness::client::fetch(proxy.address(), "/", "").await);
    }
    let admin = proxy.admin();
    assert_eq!(admin.metric(&overflows("requests")).await, 20.0);
    assert_refusals_count(&proxy, 20.0).await;
    assert_eq!(admin.metric(&remaining("requests")).await, 0.0);
    let cluster = &admin.json("/clusters").await["clusters"][0];
    let breaker = &cluster["circuit_breakers"]["default"]["requests"];
    assert_eq!((&breaker["active"], &breaker["limit"]), (&5.into(), &5.into()));
    gate.add_permits(5);
    for client in &mut held {
        assert_eq!(client.response("GET").await.status(), 200);
    }
    assert_eq!(seen.most(), 5);
    admin.wait_for_metric(&remaining("requests"), 5.0).await;
    gate.add_permits(1);
    let response = outrigger_harness::client::fetch(proxy.address(), "/", "").await;
    assert_eq!(response.status(), 200, "room again");
}

#[tokio::test]
async fn many_clients_on_many_workers_never_exceed_the_limit_and_all_of_it_can_be_used() {
    let (gate, seen) = (Arc::new(Semaphore::new(100_000)), Arc::new(Seen::default()));
    let upstream = gated(&gate, &seen).await;
    let document = Document::to(&[upstream.address()])
        .workers(3)
        .cluster("circuit_breakers: { default: { requests_max: 4 } }");
    let proxy = Proxy::start(document).await;
    let address = proxy.address();
    let mut clients = JoinSet::new();
    for _ in 0..24 {
        clients.spawn(async move {
            let mut client = Client::connect(address).await;
            let mut statuses = Vec::new();
            for _ in 0..25 {
                statuses.push(client.fetch("/", "").await.status());
            }
            statuses
        });
    }
    let statuses = clients.join_all().await.concat();
    assert!(
        statuses.iter().all(|status| [200, 503].contains(status)),
        "{statuses:?}"
    );
    assert!(statuses.contains(&200));
    assert!(seen.most() <= 4, "{} at once", seen.most());
    let admin = proxy.admin();
    for kind in ["requests", "pending"] {
        let limit = if kind == "requests" { 4.0 } else { 1024.0 };
        admin.wait_for_metric(&remaining(kind), limit).await;
    }
}

#[tokio::test]
async fn high_priority_passes_where_default_is_full() {
    let (gate, seen) = (Arc::new(Semaphore::new(0)), Arc::new(Seen::default()));
    let upstream = gated(&gate, &seen).await;
    let breakers = "circuit_breakers: { default: { requests_max: 1, connections_max: 1 }, \
                    high: { requests_max: 1, connections_max: 1 } }";
    let document = Document::to(&[upstream.address()])
        .workers(1)
        .cluster(breakers)
        .routes(
            "{ match: { prefix: /high }, forward: { cluster: upstream, priority: high } }, \
             { match: { prefix: / }, forward: { cluster: upstream } }",
        );
    let proxy = Proxy::start(document).await;
    let mut default = begin(&proxy, "/").await;
    until("one is there", || seen.now() == 1).await;
    assert_overflow(&outrigger_harness::client::fetch(proxy.address(), "/", "").await);
    let mut high = begin(&proxy, "/high").await;
    until("both are there", || seen.now() == 2).await;
    assert_overflow(&outrigger_harness::client::fetch(proxy.address(), "/high", "").await);
    gate.add_permits(2);
    assert_eq!(default.response("GET").await.status(), 200);
    assert_eq!(high.response("GET").await.status(), 200);
    assert_eq!(upstream.connections(), 2, "each has its own connections");
}

#[tokio::test]
async fn a_grpc_request_is_told_unavailable() {
    let (gate, seen) = (Arc::new(Semaphore::new(0)), Arc::new(Seen::default()));
    let upstream = gated(&gate, &seen).await;
    let document =
        Document::to(&[upstream.address()]).cluster("circuit_breakers: { default: { requests_max: 1 } }");
    let proxy = Proxy::start(document).await;
    let _held = begin(&proxy, "/").await;
    until("one is there", || seen.now() == 1).await;
    let fields = "content-type: application/grpc\r\nte: trailers\r\n";
    let response = outrigger_harness::client::fetch(proxy.address(), "/a.B/C", fields).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.field("grpc-status"), Some("14"));
    assert_eq!(response.field("x-envoy-overloaded"), Some("true"));
}

#[tokio::test]
async fn a_reload_changes_the_limits_at_once_and_forgets_no_request() {
    let (gate, seen) = (Arc::new(Semaphore::new(0)), Arc::new(Seen::default()));
    let upstream = gated(&gate, &seen).await;
    let document = |max: u32| {
        Document::to(&[upstream.address()]).workers(2).cluster(&format!(
            "circuit_breakers: {{ default: {{ requests_max: {max} }} }}"
        ))
    };
    let proxy = Proxy::start(document(2)).await;
    let mut held = vec![begin(&proxy, "/").await, begin(&proxy, "/").await];
    until("two are there", || seen.now() == 2).await;
    assert_overflow(&outrigger_harness::client::fetch(proxy.address(), "/", "").await);
    proxy.reload(document(3)).await.unwrap();
    held.push(begin(&proxy, "/").await);
    until("three are there", || seen.now() == 3).await;
    assert_overflow(&outrigger_harness::client::fetch(proxy.address(), "/", "").await);
    proxy.reload(document(1)).await.unwrap();
    gate.add_permits(1);
    until("two are left", || seen.now() == 2).await;
    assert_overflow(&outrigger_harness::client::fetch(proxy.address(), "/", "").await);
    gate.add_permits(2);
    for client in &mut held {
        assert_eq!(client.response("GET").await.status(), 200);
    }
    proxy.admin().wait_for_metric(&remaining("requests"), 1.0).await;
}

/// Fails in every way there is, by the path.
async fn fail(mut script: Script) -> io::Result<()> {
    while let Some(head) = script.head().await? {
        script.body(&head).await?;
        match head.target() {
            "/close" => return Ok(()),
            "/reset" => return script.reset(),
            "/half" => {
                return script
                    .send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
                    .await;
            }
            "/garbage" => return script.send("garbage\r\n\r\n").await,
            "/hang" => return script.until_closed().await,
            _ => script.send(OK).await?,
        }
    }
    Ok(())
}

#[tokio::test]
async fn nothing_stays_counted_after_a_thousand_failures_of_all_kinds() {
    let upstream = Scripted::start(fail).await;
    let document = Document::to(&[upstream.address()]).workers(2).cluster(
        "circuit_breakers: { default: { requests_max: 20, pending_max: 6, connections_max: 3 }, endpoint: { connections_max: 4, requests_max: 12 } }",
    );
    let proxy = Proxy::start(document).await;
    let address = proxy.address();
    let mut clients = JoinSet::new();
    for client in 0..25usize {
        clients.spawn(async move {
            for turn in 0..40 {
                let path =
                    ["/close", "/reset", "/half", "/garbage", "/hang", "/ok", "/ok"][(client + turn) % 7];
                let mut connection = Client::connect(address).await;
                connection
                    .send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"))
                    .await;
                // Some do not wait for their answer, at whatever point that is.
                if path == "/hang" || turn % 5 == 0 {
                    for _ in 0..turn {
                        tokio::task::yield_now().await;
                    }
                    connection.reset();
                } else {
                    let _ = connection.try_response("GET").await;
                }
            }
        });
    }
    clients.join_all().await;
    let admin = proxy.admin();
    admin.wait_for_metric(&remaining("requests"), 20.0).await;
    admin.wait_for_metric(&remaining("pending"), 6.0).await;
    admin
        .wait_for_metric("outrigger_cluster_connections_active{cluster=\"upstream\"}", 0.0)
        .await;
    admin.wait_for_metric(&remaining("connections"), 3.0).await;
    let endpoint = admin.json("/clusters").await["clusters"][0]["endpoints"][0].clone();
    assert_eq!(
        (&endpoint["requests_active"], &endpoint["connections"]),
        (&0.into(), &0.into())
    );
}

#[tokio::test]
async fn adaptive_concurrency_begins_at_its_lowest_limit_and_refuses_what_is_beyond() {
    let (gate, seen) = (Arc::new(Semaphore::new(0)), Arc::new(Seen::default()));
    let upstream = gated(&gate, &seen).await;
    let document = Document::to(&[upstream.address()])
        .workers(2)
        .cluster("adaptive_concurrency: { concurrency_min: 2, min_rtt_requests: 4 }");
    let proxy = Proxy::start(document).await;
    let mut held = vec![begin(&proxy, "/").await, begin(&proxy, "/").await];
    until("two are there", || seen.now() == 2).await;
    assert_overflow(&outrigger_harness::client::fetch(proxy.address(), "/", "").await);
    let admin = proxy.admin();
    assert_eq!(admin.metric(&overflows("adaptive")).await, 1.0);
    assert_refusals_count(&proxy, 1.0).await;
    let state = admin.json("/clusters").await["clusters"][0]["adaptive_concurrency"].clone();
    assert_eq!((&state["limit"], &state["active"]), (&2.into(), &2.into()));
    assert_eq!(state["measuring"], true);
    gate.add_permits(100_000);
    for client in &mut held {
        assert_eq!(client.response("GET").await.status(), 200);
    }
    // Two more answers, and the least response time is known; from then on the limit grows with what is as fast.
    wait_until("the limit grows", async || {
        assert_eq!(
            outrigger_harness::client::fetch(proxy.address(), "/", "")
                .await
                .status(),
            200
        );
        let state = admin.json("/clusters").await["clusters"][0]["adaptive_concurrency"].clone();
        (state["measuring"] == false && state["limit"].as_u64() > Some(2)).then_some(())
    })
    .await;
    let state = admin.json("/clusters").await["clusters"][0]["adaptive_concurrency"].clone();
    assert_eq!(state["active"], 0);
    assert!(state["min_rtt_seconds"].as_f64() > Some(0.0), "{state}");
}

/// How the adaptive limit of the cluster stands.
async fn adaptive(proxy: &Proxy) -> serde_json::Value {
    proxy.admin().json("/clusters").await["clusters"][0]["adaptive_concurrency"].clone()
}

#[tokio::test]
async fn adaptive_concurrency_counts_requests_whose_time_is_up() {
    let (gate, seen) = (Arc::new(Semaphore::new(0)), Arc::new(Seen::default()));
    let upstream = gated(&gate, &seen).await;
    let document = Document::to(&[upstream.address()])
        .workers(1)
        .forward("timeout: 50ms")
        .cluster("adaptive_concurrency: { concurrency_min: 2, min_rtt_requests: 4 }");
    let proxy = Proxy::start(document).await;
    for turn in 0..4 {
        assert_eq!(adaptive(&proxy).await["measuring"], true, "after {turn}");
        let response = outrigger_harness::client::fetch(proxy.address(), "/", "").await;
        assert_eq!(response.status(), 504);
    }
    let state = adaptive(&proxy).await;
    assert_eq!(
        (&state["measuring"], &state["active"]),
        (&false.into(), &0.into())
    );
    assert!(state["min_rtt_seconds"].as_f64() > Some(0.045), "{state}");
}

/// Sends a head at once and the rest never, or nothing at all, by the path.
async fn stream(mut script: Script) -> io::Result<()> {
    while let Some(head) = script.head().await? {
        script.body(&head).await?;
        if head.target() == "/stream" {
            script
                .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                .await?;
        }
        if head.target() != "/" {
            return script.until_closed().await;
        }
        script.send(OK).await?;
    }
    Ok(())
}

#[tokio::test]
async fn streams_hold_no_place_of_adaptive_concurrency_once_they_have_begun() {
    let upstream = Scripted::start(stream).await;
    let document = Document::to(&[upstream.address()])
        .workers(1)
        .cluster("adaptive_concurrency: { concurrency_min: 2, min_rtt_requests: 6 }");
    let proxy = Proxy::start(document).await;
    let mut streams = Vec::new();
    for turn in 1..=4 {
        streams.push(begin(&proxy, "/stream").await);
        until("it is there", || upstream.head_count() == turn).await;
        wait_until("it has begun", async || {
            (adaptive(&proxy).await["active"] == 0).then_some(())
        })
        .await;
    }
    // Who leaves has not waited to the end, and says nothing.
    let leaves = begin(&proxy, "/hang").await;
    until("it is there", || upstream.head_count() == 5).await;
    leaves.reset();
    wait_until("it has left", async || {
        (adaptive(&proxy).await["active"] == 0).then_some(())
    })
    .await;
    for _ in 0..2 {
        assert_eq!(adaptive(&proxy).await["measuring"], true);
        let response = outrigger_harness::client::fetch(proxy.address(), "/", "").await;
        assert_eq!(response.status(), 200);
    }
    assert_eq!(adaptive(&proxy).await["measuring"], false);
    assert_eq!(proxy.admin().metric(&remaining("requests")).await, 1020.0);
}
