//! Two hundred reloads under load: nothing fails, nothing is reset, and the memory comes back.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use outrigger_fixtures::Echo;
use outrigger_harness::{Client, Document, Process, wait_until, within};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::net::TcpStream;

const RELOADS: usize = 200;
const CLIENTS: usize = 6;

/// What the second half of the reloads may add: the allocator's pages, but no configuration that is no more in force.
const REMAINS_BYTES: u64 = 12 * 1024 * 1024;

/// The configuration number `round`: routes, clusters, weights and listeners change; `edge` stays.
fn document(round: usize, upstreams: &[SocketAddr]) -> Document {
    // Each configuration weighs a quarter of a MiB, so that one that is kept for each reload shows.
    let text = round.to_string().repeat(2048 / round.to_string().len());
    let routes: Vec<String> = (0..100 + round % 7)
        .map(|route| {
            format!("{{ match: {{ prefix: /{round}/{route} }}, direct_response: {{ status: 200, body: '{text}' }} }}")
        })
        .collect();
    let weights = format!(
        "{{ match: {{ prefix: / }}, forward: {{ weighted_clusters: [{{ cluster: upstream, weight: {} }}, \
         {{ cluster: second, weight: {} }}] }} }}",
        1 + round % 3,
        1 + round % 5
    );
    let mut document = Document::to(&upstreams[..1])
        .with_cluster(
            "second",
            &upstreams[1..],
            if round.is_multiple_of(2) {
                ""
            } else {
                "connect_timeout: 3s"
            },
        )
        .with_cluster(&format!("cluster-{round}"), upstreams, "")
        .routes(&format!("{}, {weights}", routes.join(", ")));
    for listener in 0..round % 3 {
        document = document.with_listener(&format!("more-{}", (round + listener) % 4));
    }
    document
}

/// Asks over and over on one connection; counts answers, and what is no answer.
async fn load(
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
) {
    let mut client = Client::connect(address).await;
    let mut round = 0_usize;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let close = round.is_multiple_of(50);
        let fields = if close { "connection: close\r\n" } else { "" };
        let request = if round.is_multiple_of(3) {
            format!("POST /x HTTP/1.1\r\nhost: a\r\n{fields}content-length: 5\r\n\r\nhello")
        } else {
            format!("GET /x HTTP/1.1\r\nhost: a\r\n{fields}\r\n")
        };
        client.send(&request).await;
        match client.try_response_within().await {
            Ok(response) if response.status() == 200 && (response.field("connection").is_some() == close) => {
                answered.fetch_add(1, Ordering::Relaxed);
            }
            other => {
                eprintln!("request {round}: {other:?}");
                failed.fetch_add(1, Ordering::Relaxed);
                client = Client::connect(address).await;
                continue;
            }
        }
        if close {
            client = Client::connect(address).await;
        }
    }
}

/// The same over one HTTP/2 connection, which must last.
async fn load_http2(
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
) {
    let stream = within("connecting", TcpStream::connect(address)).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    while !stop.load(Ordering::Relaxed) {
        let body = Full::new(Bytes::from_static(b"hello"));
        let request = hyper::Request::post(format!("http://{address}/x"))
            .body(body)
            .unwrap();
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            Ok::<_, hyper::Error>((status, response.into_body().collect().await?.to_bytes()))
        };
        match within("an exchange", exchange).await {
            Ok((status, body)) if status == 200 && body == "hello" => {
                answered.fetch_add(1, Ordering::Relaxed)
            }
            other => {
                eprintln!("HTTP/2: {other:?}");
                failed.fetch_add(1, Ordering::Relaxed);
                return;
            }
        };
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_reloads_under_load_fail_nobody() {
    let (first, second) = (Echo::start().await, Echo::start().await);
    let upstreams = [first.address(), second.address()];
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("outrigger.yaml");
    // The watch must not load it too: each reload is one SIGHUP, so that they are counted.
    let link = directory.path().join("link");
    std::fs::create_dir(&link).unwrap();
    let watched = link.join("outrigger.yaml");
    std::os::unix::fs::symlink(&file, &watched).unwrap();
    std::fs::write(&file, document(0, &upstreams).to_string()).unwrap();
    let process = Process::run(&watched).await;
    let address = process.address();

    let stop = Arc::new(AtomicBool::new(false));
    let (answered, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(load(
            address,
            Arc::clone(&stop),
            Arc::clone(&answered),
            Arc::clone(&failed),
        ));
    }
    clients.spawn(load_http2(
        address,
        Arc::clone(&stop),
        Arc::clone(&answered),
        Arc::clone(&failed),
    ));
    let mut before = 0;
    for round in 1..=RELOADS {
        std::fs::write(&file, document(round, &upstreams).to_string()).unwrap();
        process.signal(Signal::HUP);
        let expected = (round + 1) as f64;
        process
            .admin()
            .wait_for_metric("outrigger_configuration_generation", expected)
            .await;
        let count = answered.load(Ordering::Relaxed);
        wait_until("requests under this configuration", async || {
            (answered.load(Ordering::Relaxed) + failed.load(Ordering::Relaxed) > count).then_some(())
        })
        .await;
        if round == RELOADS / 2 {
            before = process.resident_bytes();
        }
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    assert_eq!(
        failed.load(Ordering::Relaxed),
        0,
        "of {}",
        answered.load(Ordering::Relaxed)
    );
    let admin = process.admin();
    assert_eq!(
        admin
            .metric("outrigger_configuration_updates_rejected_total")
            .await,
        0.0
    );
    admin
        .wait_for_metric("outrigger_listener_connections_active", 0.0)
        .await;
    let families = admin.metrics().await.0;
    assert!(
        !families.contains("cluster=\"cluster-7\""),
        "what left the configuration leaves the metrics"
    );
    // Connections that have just ended may still hold theirs.
    wait_until("the memory to come back", async || {
        (process.resident_bytes() < before + REMAINS_BYTES).then_some(())
    })
    .await;
}
