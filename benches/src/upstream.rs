//! The load's target: the fastest honest origin that fits in a page, so that the proxy is what is measured.
//!
//! `/1k`, `/64k`, `/1m` and `/16m` answer bodies of that size over HTTP/1.1 (with keep-alive) and over HTTP/2 without
//! TLS. `/count` over HTTP/1.1 tells how many requests both have answered, which is how `compare` knows the
//! requests between two moments. It never judges requests: it reads heads only as far as it must.

mod collector;
mod echo;
mod http1;
mod http2;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::placement::Placement;

pub(crate) use echo::{BANNER, WEBSOCKET_ACCEPT, WEBSOCKET_KEY};

/// How long an answer of `/count` may take.
const COUNT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where an upstream listens; it prints this as one line of JSON when it is ready.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Addresses {
    /// HTTP/1.1.
    pub(crate) http1: SocketAddr,
    /// HTTP/2 without TLS, by prior knowledge.
    pub(crate) http2: SocketAddr,
    /// What comes is sent back, also after a WebSocket handshake.
    pub(crate) echo: SocketAddr,
    /// The server speaks first.
    pub(crate) banner: SocketAddr,
    /// A collector of telemetry, by OTLP over HTTP/1.1.
    pub(crate) collector: SocketAddr,
}

/// The bodies by path, and how many were sent.
#[derive(Debug, Clone)]
pub(crate) struct Bodies {
    answered: Arc<AtomicU64>,
}

impl Bodies {
    fn new() -> Self {
        Self {
            answered: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Length of the body at `path`.
    fn length(path: &[u8]) -> Option<usize> {
        match path {
            b"/1k" => Some(1 << 10),
            b"/64k" => Some(64 << 10),
            b"/1m" => Some(1 << 20),
            b"/16m" => Some(16 << 20),
            _ => None,
        }
    }

    fn count_one(&self) {
        self.count(1);
    }

    fn count(&self, answers: u64) {
        self.answered.fetch_add(answers, Ordering::Relaxed);
    }

    fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }
}

/// Serves on all addresses for ever, after printing where.
pub(crate) fn run(http1: SocketAddr, http2: SocketAddr) -> Result<()> {
    let http1 = TcpListener::bind(http1).context("binding the HTTP/1 address")?;
    let http2 = TcpListener::bind(http2).context("binding the HTTP/2 address")?;
    let echo = TcpListener::bind("127.0.0.1:0").context("binding the echo's address")?;
    let banner = TcpListener::bind("127.0.0.1:0").context("binding the banner's address")?;
    let collector = TcpListener::bind("127.0.0.1:0").context("binding the collector's address")?;
    let addresses = Addresses {
        http1: http1.local_addr()?,
        http2: http2.local_addr()?,
        echo: echo.local_addr()?,
        banner: banner.local_addr()?,
        collector: collector.local_addr()?,
    };
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", serde_json::to_string(&addresses)?)?;
    stdout.flush()?;
    let bodies = Bodies::new();
    let shared = bodies.clone();
    let second = std::thread::Builder::new()
        .name("upstream-http2".to_owned())
        .spawn(move || http2::serve(http2, shared))
        .context("starting the HTTP/2 thread")?;
    let shared = bodies.clone();
    let third = std::thread::Builder::new()
        .name("upstream-echo".to_owned())
        .spawn(move || echo::serve(echo, banner, collector, shared))
        .context("starting the echo's thread")?;
    http1::serve(&http1, &bodies)?;
    for thread in [second, third] {
        thread
            .join()
            .map_err(|_| anyhow::anyhow!("a thread panicked"))??;
    }
    Ok(())
}

/// An upstream as a child process on the load's processor.
#[derive(Debug)]
pub(crate) struct UpstreamProcess {
    child: Child,
    addresses: Addresses,
}

impl UpstreamProcess {
    /// Starts this program's `upstream` subcommand on free ports.
    pub(crate) fn start(placement: &Placement) -> Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        let mut child = placement
            .load_command(program)
            .arg("upstream")
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the upstream")?;
        let stdout = child.stdout.take().context("the upstream has no output")?;
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .context("reading the upstream's addresses")?;
        let addresses = serde_json::from_str(&line).context("the upstream did not print its addresses")?;
        Ok(Self { child, addresses })
    }

    /// Where it listens.
    pub(crate) fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// How many requests it has answered until now, over both protocols.
    pub(crate) fn answered(&self) -> Result<u64> {
        answered(self.addresses.http1)
    }
}

impl Drop for UpstreamProcess {
    fn drop(&mut self) {
        // One that cannot be killed has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answered(address: SocketAddr) -> Result<u64> {
    let mut socket = TcpStream::connect(address).context("connecting to the upstream")?;
    socket.set_read_timeout(Some(COUNT_TIMEOUT))?;
    socket.write_all(b"GET /count HTTP/1.1\r\nhost: upstream\r\nconnection: close\r\n\r\n")?;
    let mut text = String::new();
    socket
        .read_to_string(&mut text)
        .context("reading the upstream's count")?;
    let (_, count) = text
        .split_once("\r\n\r\n")
        .context("the upstream's count has no body")?;
    count.trim().parse().context("the upstream's count is no number")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Addresses {
        let http1 = TcpListener::bind("127.0.0.1:0").unwrap();
        let http2 = TcpListener::bind("127.0.0.1:0").unwrap();
        let echo = TcpListener::bind("127.0.0.1:0").unwrap();
        let banner = TcpListener::bind("127.0.0.1:0").unwrap();
        let collector = TcpListener::bind("127.0.0.1:0").unwrap();
        let addresses = Addresses {
            http1: http1.local_addr().unwrap(),
            http2: http2.local_addr().unwrap(),
            echo: echo.local_addr().unwrap(),
            banner: banner.local_addr().unwrap(),
            collector: collector.local_addr().unwrap(),
        };
        let bodies = Bodies::new();
        let shared = bodies.clone();
        let echoed = bodies.clone();
        std::thread::spawn(move || http1::serve(&http1, &bodies));
        std::thread::spawn(move || http2::serve(http2, shared));
        std::thread::spawn(move || echo::serve(echo, banner, collector, echoed));
        addresses
    }

    fn request(path: &str, connection: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: {connection}\r\n\r\n")
    }

    fn converse(address: SocketAddr, pieces: &[&str]) -> String {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        for piece in pieces {
            socket.write_all(piece.as_bytes()).unwrap();
        }
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn pipelined_and_split_requests_are_answered_in_order_and_counted() {
        let address = start().http1;
        let whole = request("/64k", "keep-alive") + &request("/1m", "close");
        let (first, second) = whole.split_at(30);
        let text = converse(address, &[first, second]);
        assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 2);
        let large = text.find("content-length: 1048576\r\n").unwrap();
        assert!(text.find("content-length: 65536\r\n").unwrap() < large);
        let (_, body) = text[large..].split_once("\r\n\r\n").unwrap();
        assert_eq!(body.len(), 1 << 20);
        assert_eq!(
            answered(address).unwrap(),
            2,
            "asking for the count is not counted"
        );
    }

    #[test]
    fn messages_come_back_and_are_counted_with_and_without_a_websocket() {
        let addresses = start();
        for (websocket, total) in [(false, 100), (true, 200)] {
            let echo = crate::load::echo::Echo {
                address: addresses.echo,
                connections: 3,
                websocket,
                messages: Some(100),
                duration: Duration::from_secs(60),
            };
            let outcome = echo.run().unwrap();
            assert_eq!((outcome.succeeded, outcome.failed), (100, 0));
            assert_eq!(answered(addresses.http1).unwrap(), total);
        }
        let greeted = crate::load::echo::banners(addresses.banner, 3).unwrap();
        assert_eq!((greeted.succeeded, greeted.failed), (3, 0));
    }

    #[test]
    fn the_collector_takes_whole_messages() {
        let address = start().collector;
        let message = "POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nspans";
        let whole = [message, message].concat();
        let (first, second) = whole.split_at(message.len() + 9);
        let mut socket = TcpStream::connect(address).unwrap();
        for piece in [first, second] {
            socket.write_all(piece.as_bytes()).unwrap();
        }
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{text}");
    }

    #[test]
    fn what_is_not_a_body_is_refused() {
        let address = start().http1;
        assert!(converse(address, &[&request("/2k", "close")]).starts_with("HTTP/1.1 404 "));
        let post = "POST /1k HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx";
        assert!(converse(address, &[post]).starts_with("HTTP/1.1 405 "));
        assert_eq!(answered(address).unwrap(), 0, "a refusal is not counted");
    }

    #[test]
    fn http2_sends_whole_bodies_and_is_counted() {
        let addresses = start();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let lengths = runtime.block_on(async {
            let socket = tokio::net::TcpStream::connect(addresses.http2).await.unwrap();
            let (client, connection) = h2::client::handshake(socket).await.unwrap();
            tokio::spawn(connection);
            let mut lengths = Vec::new();
            for path in ["/1k", "/1m"] {
                let mut client = client.clone().ready().await.unwrap();
                let request = http::Request::get(format!("http://a{path}")).body(()).unwrap();
                let (response, _) = client.send_request(request, true).unwrap();
                let mut body = response.await.unwrap().into_body();
                let mut length = 0;
                while let Some(chunk) = body.data().await {
                    let chunk = chunk.unwrap();
                    body.flow_control().release_capacity(chunk.len()).unwrap();
                    length += chunk.len();
                }
                lengths.push(length);
            }
            lengths
        });
        assert_eq!(lengths, [1 << 10, 1 << 20]);
        assert_eq!(answered(addresses.http1).unwrap(), 2);
    }
}
