//! wrk and h2load at once, for as long as two hundred configurations come and go: nothing fails on a listener that
//! stays.

use super::{installed, output};
use outrigger_fixtures::Echo;
use outrigger_harness::{Document, Proxy};
use std::net::SocketAddr;
use std::process::Command;

const RELOADS: usize = 200;

/// Routes, weights, clusters and listeners change with each round; the first listener stays.
fn document(round: usize, upstreams: &[SocketAddr]) -> Document {
    let weights = format!(
        "{{ match: {{ prefix: / }}, forward: {{ weighted_clusters: [{{ cluster: upstream, weight: {} }}, \
         {{ cluster: second, weight: {} }}] }} }}",
        1 + round % 3,
        1 + round % 5
    );
    let other = format!(
        "{{ match: {{ path: /only-{round} }}, direct_response: {{ status: 200, body: '{round}' }} }}"
    );
    let options = if round.is_multiple_of(2) {
        ""
    } else {
        "connect_timeout: 3s"
    };
    let mut document = Document::to(&upstreams[..1])
        .with_cluster("second", &upstreams[1..], options)
        .with_cluster(&format!("cluster-{round}"), upstreams, "")
        .routes(&format!("{other}, {weights}"));
    for listener in 0..round % 3 {
        document = document.with_listener(&format!("more-{}", (round + listener) % 4));
    }
    document
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_reloads_fail_neither_wrk_nor_h2load() {
    if !installed(&["wrk", "h2load"]) {
        return;
    }
    let (first, second) = (Echo::start().await, Echo::start().await);
    let upstreams = [first.address(), second.address()];
    let proxy = Proxy::start(document(0, &upstreams)).await;
    let url = format!("http://{}/", proxy.address());
    let wrk = {
        let mut command = Command::new("wrk");
        command.args(["--threads", "1", "--connections", "16", "--duration", "20s"]);
        command.args(["--timeout", "10s", "--header", "x-want-bytes: 1000", &url]);
        tokio::spawn(output(command))
    };
    let h2load = {
        let mut command = Command::new("h2load");
        command.args(["--duration", "20", "-c", "8", "-m", "8", "-t", "1"]);
        command.args(["-H", "x-want-bytes: 1000", &url]);
        tokio::spawn(output(command))
    };
    let mut during = 0;
    for round in 1..=RELOADS {
        proxy
            .reload(document(round, &upstreams))
            .await
            .expect("the configuration is valid");
        during += usize::from(!wrk.is_finished() && !h2load.is_finished());
    }
    assert!(during > RELOADS / 2, "only {during} reloads came under load");
    let said = wrk.await.unwrap();
    assert!(
        !said.contains("Non-2xx") && !said.contains("Socket errors"),
        "{said}"
    );
    let said = h2load.await.unwrap();
    assert!(said.contains(" 0 failed, 0 errored, 0 timeout"), "{said}");
    assert!(said.contains(" 2xx, 0 3xx, 0 4xx, 0 5xx"), "{said}");
}
