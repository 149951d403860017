//! An HTTP/1.1 client that sends at a fixed rate, whatever the answers do, and times every request from the
//! moment it was due.
//!
//! One thread and one epoll, on kept-alive connections. It understands answers with `content-length`; any
//! other is a failure.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use memchr::memmem;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use serde::{Deserialize, Serialize};

use super::schedule::Schedule;

/// How long answers may take after the last request was due.
const GRACE: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const READ_BYTES: usize = 64 << 10;
const LATENCY_NANOSECONDS_MAX: u64 = 60_000_000_000;

/// What to send.
#[derive(Debug, Clone)]
pub(crate) struct OpenLoop {
    /// Whom to ask.
    pub(crate) address: SocketAddr,
    /// The path of every request.
    pub(crate) path: String,
    /// Requests a second.
    pub(crate) rate: u32,
    /// For how long.
    pub(crate) duration: Duration,
    /// Connections, opened and used once before the clock starts.
    pub(crate) connections: usize,
}

/// What came of it; times in microseconds from the due time to the last byte.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Latencies {
    /// Requests answered with 2xx.
    pub(crate) succeeded: u64,
    /// Requests that were not.
    pub(crate) failed: u64,
    /// Median.
    pub(crate) p50: f64,
    /// 90th percentile.
    pub(crate) p90: f64,
    /// 99th percentile.
    pub(crate) p99: f64,
    /// 99.9th percentile.
    pub(crate) p999: f64,
    /// The longest.
    pub(crate) max: f64,
}

impl Latencies {
    /// Of a histogram in nanoseconds.
    pub(super) fn of(histogram: &Histogram<u64>, failed: u64) -> Latencies {
        let microseconds = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Latencies {
            succeeded: histogram.len(),
            failed,
            p50: microseconds(0.5),
            p90: microseconds(0.9),
            p99: microseconds(0.99),
            p999: microseconds(0.999),
            max: histogram.max() as f64 / 1000.0,
        }
    }
}

impl OpenLoop {
    /// Sends the whole load and waits for its answers.
    pub(crate) fn run(&self) -> Result<Latencies> {
        ensure!(
            self.connections > 0 && self.rate > 0,
            "a load needs connections and a rate"
        );
        // The kernel may otherwise wake this thread 50 µs late, which would be charged to the proxy.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1)).context("setting the timer slack")?;
        let request = format!(
            "GET {} HTTP/1.1\r\nhost: bench.example\r\naccept: */*\r\n\r\n",
            self.path
        );
        let mut client = Client::connect(self, request.into_bytes())?;
        client.run(Schedule::new(self.rate, self.duration), self.duration + GRACE)
    }
}

struct Client {
    epoll: rustix::fd::OwnedFd,
    request: Vec<u8>,
    connections: Vec<Connection>,
    free: Vec<usize>,
    histogram: Histogram<u64>,
    failed: u64,
    buffer: Vec<u8>,
}

struct Connection {
    socket: TcpStream,
    answer: Answer,
    due: Option<Duration>,
}

impl Client {
    fn connect(load: &OpenLoop, request: Vec<u8>) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut connections = Vec::with_capacity(load.connections);
        for index in 0..load.connections {
            let mut socket = super::idle::connect_and_ask(load.address, CONNECT_TIMEOUT, &request)?;
            socket.flush()?;
            socket.set_nonblocking(true)?;
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&epoll, &socket, data, epoll::EventFlags::IN)?;
            connections.push(Connection {
                socket,
                answer: Answer::default(),
                due: None,
            });
        }
        Ok(Self {
            epoll,
            request,
            free: (0..connections.len()).collect(),
            connections,
            histogram: Histogram::new_with_bounds(1, LATENCY_NANOSECONDS_MAX, 3)?,
            failed: 0,
            buffer: vec![0; READ_BYTES],
        })
    }

    fn run(&mut self, mut schedule: Schedule, deadline: Duration) -> Result<Latencies> {
        let start = Instant::now();
        let mut events = Vec::with_capacity(self.connections.len());
        let mut usable = self.connections.len();
        while start.elapsed() < deadline && usable > 0 {
            schedule.advance(start.elapsed());
            while let Some(index) = self.free.pop() {
                let Some(due) = schedule.take() else {
                    self.free.push(index);
                    break;
                };
                usable -= usize::from(!self.send(index, due));
            }
            if schedule.is_empty() && self.free.len() == usable {
                break;
            }
            let wake = schedule
                .next_due()
                .unwrap_or(deadline)
                .saturating_sub(start.elapsed());
            let timeout = Timespec::try_from(wake).context("a wait out of range")?;
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).context("waiting for answers"),
            }
            for event in events.drain(..) {
                usable -= usize::from(!self.receive(event.data.u64() as usize, start));
            }
        }
        Ok(self.latencies(schedule.total()))
    }

    /// Sends one request; `false` if that ended the connection.
    fn send(&mut self, index: usize, due: Duration) -> bool {
        let connection = &mut self.connections[index];
        // One small request after a whole answer: the socket's buffer is empty, so it fits or fails.
        match connection.socket.write(&self.request) {
            Ok(length) if length == self.request.len() => {
                connection.due = Some(due);
                true
            }
            _ => {
                self.give_up(index);
                false
            }
        }
    }

    /// Reads what has come; `false` if the connection is over.
    fn receive(&mut self, index: usize, start: Instant) -> bool {
        let connection = &mut self.connections[index];
        let length = match connection.socket.read(&mut self.buffer) {
            Ok(0) => 0,
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return true,
            Err(_) => 0,
        };
        let progress = match (length, connection.due) {
            (0, _) | (_, None) => Progress::Broken,
            (length, Some(_)) => connection.answer.take(&self.buffer[..length]),
        };
        match progress {
            Progress::Partial => true,
            Progress::Whole { success } => {
                let due = connection.due.take().unwrap_or_default();
                if success {
                    let latency = start.elapsed().saturating_sub(due).as_nanos() as u64;
                    self.histogram.saturating_record(latency.max(1));
                } else {
                    self.failed += 1;
                }
                self.free.push(index);
                true
            }
            Progress::Broken => {
                self.free.retain(|free| *free != index);
                self.give_up(index);
                false
            }
        }
    }

    fn give_up(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        connection.due = None;
        self.failed += 1;
        // The socket stays until the end, but no longer wakes anybody.
        let _ = epoll::delete(&self.epoll, &connection.socket);
    }

    fn latencies(&self, total: u64) -> Latencies {
        // What was never answered, or never sent, failed as well.
        let failed = self.failed.max(total.saturating_sub(self.histogram.len()));
        Latencies::of(&self.histogram, failed)
    }
}

/// How far an answer has come.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    head: Vec<u8>,
    success: bool,
    body_left: Option<usize>,
}

/// What the bytes so far amount to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More must come.
    Partial,
    /// The answer is complete.
    Whole {
        /// Its status was 2xx.
        success: bool,
    },
    /// Not an answer this client understands.
    Broken,
}

impl Answer {
    /// Takes the next bytes of the connection.
    pub(crate) fn take(&mut self, mut input: &[u8]) -> Progress {
        if self.body_left.is_none() {
            let before = self.head.len();
            self.head.extend_from_slice(input);
            let Some(end) = memmem::find(&self.head, b"\r\n\r\n") else {
                return Progress::Partial;
            };
            let Some(length) = content_length(&self.head[..end + 2]) else {
                return Progress::Broken;
            };
            self.success = self.head.starts_with(b"HTTP/1.1 2");
            self.body_left = Some(length);
            input = &input[end + 4 - before..];
            self.head.clear();
        }
        let left = self.body_left.unwrap_or_default();
        match left.checked_sub(input.len()) {
            None => Progress::Broken,
            Some(0) => {
                self.body_left = None;
                Progress::Whole {
                    success: self.success,
                }
            }
            left => {
                self.body_left = left;
                Progress::Partial
            }
        }
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(head).ok()?;
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests;
