//! A client that sends a kibibyte, waits until it has come back, and sends the next; over TCP, or in a WebSocket. And
//! one that connects, waits for a banner, and closes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::open_loop::Latencies;
use super::tools::Outcome;
use crate::upstream::{BANNER, WEBSOCKET_ACCEPT, WEBSOCKET_KEY};

/// Length of a message, a WebSocket frame's head included.
const MESSAGE_BYTES: usize = 1 << 10;
/// How long one message, handshake or banner may take.
const TIMEOUT: Duration = Duration::from_secs(10);
const HEAD_BYTES_MAX: usize = 16 << 10;
const LATENCY_NANOSECONDS_MAX: u64 = 60_000_000_000;

/// What to send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Echo {
    /// Whom to ask.
    pub(crate) address: SocketAddr,
    /// Connections, each with one message under way.
    pub(crate) connections: u32,
    /// Messages go in a WebSocket.
    pub(crate) websocket: bool,
    /// At most this many messages; none: no limit.
    pub(crate) messages: Option<u64>,
    /// For at most how long.
    pub(crate) duration: Duration,
}

impl Echo {
    /// Sends the whole load.
    pub(crate) fn run(self) -> Result<Outcome> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            let until = Instant::now() + self.duration;
            let shares = (0..u64::from(self.connections)).map(|index| {
                let share = |messages: u64| {
                    let connections = u64::from(self.connections);
                    messages / connections + u64::from(index < messages % connections)
                };
                tokio::task::spawn_local(self.converse(self.messages.map_or(u64::MAX, share), until))
            });
            let mut outcome = Outcome::default();
            for connection in shares.collect::<Vec<_>>() {
                match connection.await.context("a connection's task")? {
                    Ok(messages) => outcome.succeeded += messages,
                    Err(error) => {
                        eprintln!("{error:#}");
                        outcome.failed += 1;
                    }
                }
            }
            Ok(outcome)
        })
    }

    async fn converse(self, messages: u64, until: Instant) -> Result<u64> {
        let mut socket = connect(self.address).await?;
        if self.websocket {
            tokio::time::timeout(TIMEOUT, shake_hands(&mut socket)).await??;
        }
        let message = message(self.websocket);
        let mut answer = [0; MESSAGE_BYTES];
        let mut count = 0;
        while count < messages && Instant::now() < until {
            let exchange = async {
                socket.write_all(&message).await?;
                socket.read_exact(&mut answer).await
            };
            tokio::time::timeout(TIMEOUT, exchange)
                .await
                .context("a message did not come back")??;
            ensure!(answer == message, "another message came back");
            count += 1;
        }
        Ok(count)
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let connecting = tokio::time::timeout(TIMEOUT, TcpStream::connect(address));
    let socket = connecting.await.context("connecting")?.context("connecting")?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// A binary frame (RFC 6455 section 5.2) of which the mask is zero, or as many bytes.
fn message(websocket: bool) -> [u8; MESSAGE_BYTES] {
    let mut message = [b'x'; MESSAGE_BYTES];
    if websocket {
        let payload = u16::try_from(MESSAGE_BYTES - 8)
            .expect("a kibibyte is less than 64")
            .to_be_bytes();
        message[..8].copy_from_slice(&[0x82, 0xfe, payload[0], payload[1], 0, 0, 0, 0]);
    }
    message
}

async fn shake_hands(socket: &mut TcpStream) -> Result<()> {
    let request = format!(
        "GET /echo HTTP/1.1\r\nhost: bench.example\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: {WEBSOCKET_KEY}\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while memmem::find(&head, b"\r\n\r\n").is_none() {
        ensure!(head.len() < HEAD_BYTES_MAX, "a head without an end");
        // Byte by byte would do as well: nothing follows the head before a message is sent.
        ensure!(
            socket.read_buf(&mut head).await? > 0,
            "closed during the handshake"
        );
    }
    let text = String::from_utf8_lossy(&head);
    if !text.starts_with("HTTP/1.1 101 ") || !text.contains(WEBSOCKET_ACCEPT) || !text.ends_with("\r\n\r\n") {
        bail!("the handshake was answered with:\n{text}");
    }
    Ok(())
}

/// Connects `connections` times, one after the other, and times each from the first SYN to the banner's last byte.
pub(crate) fn banners(address: SocketAddr, connections: u32) -> Result<Latencies> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut histogram: Histogram<u64> = Histogram::new_with_bounds(1, LATENCY_NANOSECONDS_MAX, 3)?;
    let mut failed = 0;
    runtime.block_on(async {
        for _ in 0..connections {
            let start = Instant::now();
            let greeted = async {
                let mut socket = connect(address).await?;
                let mut banner = [0; BANNER.len()];
                tokio::time::timeout(TIMEOUT, socket.read_exact(&mut banner)).await??;
                ensure!(banner == BANNER, "another banner came");
                anyhow::Ok(())
            };
            match greeted.await {
                Ok(()) => histogram.saturating_record(start.elapsed().as_nanos() as u64),
                Err(error) => {
                    eprintln!("{error:#}");
                    failed += 1;
                }
            }
        }
        anyhow::Ok(())
    })?;
    Ok(Latencies::of(&histogram, failed))
}
