//! Four proxies in a row, three attempts each, and a leaf that fails everything.

use super::{BELIEVED, FAILED, RETRIES};
use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Document, Proxy, wait_until};
use std::time::Duration;
use tokio::time::{Instant, interval_at};

const HOPS: usize = 4;
/// Requests are begun at this pace.
const REQUESTS_PER_SECOND: u32 = 200;

struct Chain {
    leaf: Scripted,
    /// From the leaf's to the client's.
    hops: Vec<Proxy>,
}

impl Chain {
    async fn new(http: &str, budget: &str) -> Chain {
        let leaf = Scripted::answering(FAILED).await;
        let mut hops: Vec<Proxy> = Vec::new();
        for _ in 0..HOPS {
            let next = hops.last().map_or(leaf.address(), Proxy::address);
            let document = Document::to(&[next])
                .workers(1)
                .http(http)
                .forward(RETRIES)
                .cluster(&format!("retry_budget: {budget}"));
            hops.push(Proxy::start(document).await);
        }
        Chain { leaf, hops }
    }

    /// Sends requests at the pace, each on a connection that is free, and gives back what reached the leaf for each.
    async fn load(&self, requests: u32) -> f64 {
        let address = self.hops.last().expect("there are hops").address();
        let mut free: Vec<Client> = Vec::new();
        let (back, mut answered) = tokio::sync::mpsc::unbounded_channel();
        let mut pace = interval_at(Instant::now(), Duration::from_secs(1) / REQUESTS_PER_SECOND);
        for _ in 0..requests {
            pace.tick().await;
            while let Ok(client) = answered.try_recv() {
                free.push(client);
            }
            let mut client = match free.pop() {
                Some(client) => client,
                None => Client::connect(address).await,
            };
            let back = back.clone();
            tokio::spawn(async move {
                assert_eq!(client.fetch("/", "").await.status(), 503);
                back.send(client).ok();
            });
        }
        drop(back);
        free.clear();
        while answered.recv().await.is_some() {}
        let admin = self.hops.last().expect("there are hops").admin();
        wait_until("every request's end", async || {
            let ended = admin
                .metric("outrigger_route_requests_total{code_class=\"5xx\"}")
                .await;
            (ended == f64::from(requests)).then_some(())
        })
        .await;
        self.leaf.request_count() as f64 / f64::from(requests)
    }

    async fn metric(&self, hop: usize, series: &str) -> f64 {
        self.hops[hop].admin().metric(series).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_layer_retries_and_the_others_stand_down() {
    let requests = 1_000;
    let chain = Chain::new(BELIEVED, "{ percent: 20 }").await;
    let sent = chain.load(requests).await;
    println!("{sent} requests at the leaf for each of {requests}");
    assert!(sent <= 1.2, "{sent} for one");
    assert!(sent > 1.1, "{sent} for one: the budget can be used");
    for hop in 0..HOPS - 1 {
        let repeated = chain.metric(hop, "outrigger_cluster_retries_total").await;
        assert_eq!(repeated, 0.0, "hop {hop} stands down");
        let denied = "outrigger_cluster_retries_denied_total{bound=\"restrained\"}";
        assert!(
            chain.metric(hop, denied).await >= f64::from(requests),
            "hop {hop}"
        );
    }
}

/// What hints and budgets are for: without them every layer multiplies by three.
#[tokio::test(flavor = "multi_thread")]
async fn without_restraint_every_layer_multiplies() {
    let chain = Chain::new("", "{ percent: 100, concurrency_min: 1000000 }").await;
    assert_eq!(chain.load(20).await, 81.0);
}
