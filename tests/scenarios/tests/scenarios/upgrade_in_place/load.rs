//! Under load, again and again: no request is lost, and each is counted by one process.

use super::{Site, handed_over, said};
use outrigger_fixtures::Scripted;
use outrigger_harness::{Client, Document, Process, wait_until};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// Upgrades in a row.
const UPGRADES: usize = 20;

/// Requests of one client at most, so that the load ends by itself.
const REQUESTS_MAX: usize = 20_000;

/// Between two requests of a client: the machine is to run the proxies too.
const PAUSE: Duration = Duration::from_millis(2);

/// Requests that know their number, from clients that go on until they are told to stop.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: JoinSet<Result<usize, String>>,
}

impl Load {
    pub(super) fn start(address: SocketAddr) -> Load {
        let mut load = Load {
            stop: Arc::default(),
            answered: Arc::default(),
            clients: JoinSet::new(),
        };
        for client in 0..8 {
            let (stop, answered) = (Arc::clone(&load.stop), Arc::clone(&load.answered));
            let keep_alive = client % 2 == 0;
            load.clients
                .spawn(async move { requests(address, client, keep_alive, &stop, &answered).await });
        }
        load
    }

    /// Waits for so many answers more.
    pub(super) async fn go_on(&self, answers: usize) {
        let goal = self.answered.load(Ordering::Relaxed) + answers;
        wait_until("answers", async || {
            let whole = self.answered.load(Ordering::Relaxed) >= goal || self.stop.load(Ordering::Relaxed);
            whole.then_some(())
        })
        .await;
    }

    /// Stops, and gives how many requests were answered; panics if one was not.
    pub(super) async fn end(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = 0;
        while let Some(ended) = self.clients.join_next().await {
            sum += ended
                .unwrap()
                .unwrap_or_else(|lost| panic!("a request was lost: {lost}"));
        }
        sum
    }
}

/// One client: a connection for each request, or one for as many as the proxy lets it have.
async fn requests(
    address: SocketAddr,
    client: usize,
    keep_alive: bool,
    stop: &AtomicBool,
    answered: &AtomicUsize,
) -> Result<usize, String> {
    let mut connection: Option<Client> = None;
    for count in 0..REQUESTS_MAX {
        if stop.load(Ordering::Relaxed) {
            return Ok(count);
        }
        let mut open = match connection.take() {
            Some(open) => open,
            None => Client::connect(address).await,
        };
        let fields = if keep_alive { "" } else { "connection: close\r\n" };
        let request = format!("GET /{client}-{count} HTTP/1.1\r\nhost: test\r\n{fields}\r\n");
        open.send(request).await;
        let response = open
            .try_response_within()
            .await
            .map_err(|error| format!("client {client}, request {count}: {error}"))?;
        if response.status() != 200 {
            stop.store(true, Ordering::Relaxed);
            return Err(format!("client {client}, request {count}: {}", response.status()));
        }
        answered.fetch_add(1, Ordering::Relaxed);
        if response.field("connection") != Some("close") {
            connection = Some(open);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(REQUESTS_MAX)
}

/// How often each line is in a file.
fn counts(file: &Path) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for line in std::fs::read_to_string(file).unwrap().lines() {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn twenty_upgrades_lose_no_request_and_count_each_once() {
    let upstream = Scripted::ok().await;
    let document = |log: &Path| {
        let format = "{ text: '%REQ(:PATH)%' }";
        Document::to(&[upstream.address()])
            .http(&format!(
                "access_logs: [{{ path: '{}', format: {format} }}]",
                log.display()
            ))
            .workers(2)
    };
    let logs = tempfile::tempdir().unwrap();
    let log = logs.path().join("access.log");
    let site = Site::new(document(&log));
    let first = site.process().await;
    let address = first.address();
    let load = Load::start(address);
    let mut generations: Vec<Process> = vec![first];
    for epoch in 1..=UPGRADES {
        load.go_on(50).await;
        let next = site.process().await;
        assert_eq!(next.address(), address, "the port stays");
        let info = next.admin().json("/server_info").await;
        assert_eq!(info["upgrade_epoch"], epoch);
        assert_eq!(info["sockets_inherited"], 2);
        generations.push(next);
    }
    load.go_on(50).await;
    let answered = load.end().await;
    let last = generations.pop().unwrap();
    for process in generations {
        handed_over(process).await;
    }
    last.signal(rustix::process::Signal::TERM);
    let mut last = last;
    assert_eq!(last.exit_code().await, 0);
    said(&last, "ended").await;
    assert_eq!(upstream.request_count(), answered, "each was sent once");
    let counts = counts(&log);
    assert_eq!(counts.len(), answered, "each was logged");
    assert!(counts.values().all(|count| *count == 1), "each was logged once");
}
