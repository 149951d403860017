//! The health of endpoints: what checks find, what answers say, and who gets requests then.

mod grpc;
mod http;
mod lives;
mod outliers;
mod statistics;
mod tcp;

use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Document, Proxy};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is asked by checks.
const PATH: &str = "/healthz";

/// Checks that do not let a test wait: ten a second and more.
const FAST: &str = "interval: 30ms, timeout: 300ms, jitter: 0";

/// How a backend answers.
#[derive(Debug, Clone, PartialEq, Eq)]
enum How {
    Status(u16),
    Body(&'static str),
    /// A head, and then a byte now and then, for ever.
    Drip,
    /// Nothing, for ever.
    Hang,
    Close,
    Reset,
    Garbage,
}

/// An upstream that answers checks in one way and requests in another, each as it is told.
struct Backend {
    server: Scripted,
    checks: Arc<Mutex<How>>,
    requests: Arc<Mutex<How>>,
}

impl Backend {
    async fn start() -> Backend {
        Backend::start_at("127.0.0.1:0".parse().unwrap()).await
    }

    async fn start_at(address: SocketAddr) -> Backend {
        let checks = Arc::new(Mutex::new(How::Status(200)));
        let requests = Arc::new(Mutex::new(How::Status(200)));
        let ways = (Arc::clone(&checks), Arc::clone(&requests));
        let server = Scripted::start_at(address, move |mut script| {
            let (checks, requests) = (Arc::clone(&ways.0), Arc::clone(&ways.1));
            async move {
                while let Some(request) = script.request().await? {
                    let is_check = request.head.target() == PATH;
                    let how = if is_check { &checks } else { &requests }.lock().unwrap().clone();
                    match how {
                        How::Status(status) => {
                            let answer = format!("HTTP/1.1 {status} Said\r\ncontent-length: 2\r\n\r\nok");
                            script.send(answer).await?;
                        }
                        How::Body(body) => {
                            let length = body.len();
                            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
                            script.send(answer).await?;
                        }
                        How::Drip => {
                            script
                                .send("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
                                .await?;
                            // What the test is about: a body that always comes on, and never comes to its end.
                            loop {
                                script.send("x").await?;
                                tokio::time::sleep(Duration::from_millis(10)).await;
                            }
                        }
                        How::Hang => return script.until_closed().await,
                        How::Close => return Ok(()),
                        How::Reset => return script.reset(),
                        How::Garbage => script.send("220 mail.example ESMTP\r\n").await?,
                    }
                }
                Ok(())
            }
        })
        .await;
        Backend {
            server,
            checks,
            requests,
        }
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    fn check(&self, how: How) {
        *self.checks.lock().unwrap() = how;
    }

    fn answer(&self, how: How) {
        *self.requests.lock().unwrap() = how;
    }

    fn checks_seen(&self) -> usize {
        self.seen(true)
    }

    fn requests_seen(&self) -> usize {
        self.seen(false)
    }

    fn seen(&self, checks: bool) -> usize {
        let requests = self.server.requests();
        let of = requests
            .iter()
            .filter(|request| (request.head.target() == PATH) == checks);
        of.count()
    }
}

async fn backends<const N: usize>() -> [Backend; N] {
    let mut started = Vec::new();
    for _ in 0..N {
        started.push(Backend::start().await);
    }
    started
        .try_into()
        .unwrap_or_else(|_| unreachable!("there are as many"))
}

fn addresses(backends: &[Backend]) -> Vec<SocketAddr> {
    backends.iter().map(Backend::address).collect()
}

/// The cluster `upstream` of these, with checks; `more` are fields of the check.
fn checked(backends: &[Backend], more: &str) -> Document {
    checking(&addresses(backends), &format!("http: {{ path: {PATH} }}, {more}"))
}

/// The cluster `upstream`, with these checks. No panic: who is not healthy gets nothing.
fn checking(endpoints: &[SocketAddr], check: &str) -> Document {
    Document::to(endpoints).cluster(&format!(
        "health_check: {{ {FAST}, {check} }}, panic_threshold: 0"
    ))
}

/// What `/clusters` says of an endpoint of the cluster `upstream`.
async fn endpoint(proxy: &Proxy, address: SocketAddr) -> Value {
    let clusters = proxy.admin().json("/clusters").await;
    let mut clusters = clusters["clusters"].as_array().unwrap().iter();
    let cluster = clusters.find(|cluster| cluster["name"] == "upstream").unwrap();
    let mut endpoints = cluster["endpoints"].as_array().unwrap().iter();
    let wanted = address.to_string();
    let found = endpoints.find(|endpoint| endpoint["address"] == wanted.as_str());
    found
        .unwrap_or_else(|| panic!("{address} is not in {cluster}"))
        .clone()
}

/// Waits until as many endpoints get requests.
async fn wait_for_healthy(proxy: &Proxy, count: usize) {
    let series = "outrigger_cluster_health_endpoints_healthy{cluster=\"upstream\"}";
    proxy.admin().wait_for_metric(series, count as f64).await;
}

async fn count(proxy: &Proxy, family: &str, label: &str) -> f64 {
    proxy.admin().metric(&series(family, label)).await
}

fn series(family: &str, label: &str) -> String {
    format!("outrigger_cluster_{family}{{cluster=\"upstream\"{label}}}")
}

/// The statuses of as many requests, one after the other on one connection.
async fn fetch(proxy: &Proxy, count: usize) -> Vec<u16> {
    let mut client = Client::connect(proxy.address()).await;
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(client.fetch("/", "").await.status());
    }
    statuses
}
