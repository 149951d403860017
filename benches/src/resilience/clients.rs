//! Clients that send at a fixed rate, each request when it is due, and wait for its answer so long and no longer.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::load::open_loop::{Answer, Progress};

const REQUEST: &[u8] = b"GET /work HTTP/1.1\r\nhost: bench.example\r\n\r\n";
const LATENCY_MICROSECONDS_MAX: u64 = 60_000_000;

/// The load of one phase.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clients {
    pub(super) address: SocketAddr,
    /// Requests a second.
    pub(super) rate: u32,
    pub(super) duration: Duration,
    /// An answer that takes longer is none.
    pub(super) patience: Duration,
}

/// What came of it.
pub(super) struct Outcome {
    /// Requests that were due.
    pub(super) due: u64,
    /// Of good answers, in microseconds from the due time.
    latencies: Histogram<u64>,
}

impl Outcome {
    /// Requests that were answered 2xx in time.
    pub(super) fn good(&self) -> u64 {
        self.latencies.len()
    }

    /// A quantile of the good ones' latencies.
    pub(super) fn milliseconds(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1000.0
    }
}

/// Connections that are not in use.
type Idle = Arc<Mutex<Vec<TcpStream>>>;

impl Clients {
    /// Sends the whole load and waits for its answers.
    pub(super) async fn run(self) -> Result<Outcome> {
        let total = (self.duration.as_secs_f64() * f64::from(self.rate)).round() as u64;
        let interval = Duration::from_secs(1) / self.rate.max(1);
        let idle = Idle::default();
        let start = Instant::now();
        let mut latencies = Histogram::new_with_bounds(1, LATENCY_MICROSECONDS_MAX, 3)?;
        let mut under_way = JoinSet::new();
        for number in 0..total {
            let due = start + Duration::from_nanos(interval.as_nanos() as u64 * number);
            tokio::time::sleep_until(due).await;
            let idle = Arc::clone(&idle);
            under_way.spawn(async move {
                let good = tokio::time::timeout_at(due + self.patience, ask(self.address, &idle)).await;
                matches!(good, Ok(Ok(true))).then(|| due.elapsed())
            });
        }
        while let Some(ended) = under_way.join_next().await {
            if let Some(latency) = ended.context("a client panicked")? {
                latencies.saturating_record(latency.as_micros().max(1) as u64);
            }
        }
        Ok(Outcome {
            due: total,
            latencies,
        })
    }
}

/// One request on a connection that was free, or on a new one; true if the answer was good.
async fn ask(address: SocketAddr, idle: &Idle) -> Result<bool> {
    let taken = idle.lock().expect("nobody panics with it").pop();
    let mut socket = match taken {
        Some(socket) => socket,
        None => {
            let socket = TcpStream::connect(address).await?;
            socket.set_nodelay(true)?;
            socket
        }
    };
    socket.write_all(REQUEST).await?;
    let mut answer = Answer::default();
    let mut buffer = [0; 4096];
    loop {
        let length = socket.read(&mut buffer).await?;
        if length == 0 {
            bail!("closed before its answer");
        }
        match answer.take(&buffer[..length]) {
            Progress::Partial => {}
            Progress::Broken => bail!("not an answer"),
            Progress::Whole { success } => {
                if success {
                    idle.lock().expect("nobody panics with it").push(socket);
                }
                return Ok(success);
            }
        }
    }
}
