//! A client that makes a connection with mutual TLS for each request, with full handshakes or resumed ones.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned};

use super::idle::{ask, connect, tls_client};
use super::tools::Outcome;
use crate::certificate::Certificate;

const REQUEST: &[u8] = b"GET /1k HTTP/1.1\r\nhost: bench.example\r\nconnection: close\r\n\r\n";
const TIMEOUT: Duration = Duration::from_secs(10);

/// What to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handshakes {
    /// Whom to connect to.
    pub(crate) address: SocketAddr,
    /// Connections at once, each from a thread of its own.
    pub(crate) connections: u32,
    /// Sessions are resumed, but for the first of each thread.
    pub(crate) resumed: bool,
    /// At most this many; none: no limit.
    pub(crate) count: Option<u64>,
    /// For at most how long.
    pub(crate) duration: Duration,
}

impl Handshakes {
    /// Runs the whole load with the certificates of `directory`.
    pub(crate) fn run(self, directory: &Path) -> Result<Outcome> {
        let files = Certificate::in_directory(directory);
        let until = Instant::now() + self.duration;
        let left = AtomicU64::new(self.count.unwrap_or(u64::MAX));
        std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for _ in 0..self.connections {
                let mut client = tls_client(&files)?;
                if self.resumed {
                    client.resumption = Resumption::in_memory_sessions(8);
                }
                let (client, left) = (Arc::new(client), &left);
                threads.push(scope.spawn(move || self.repeat(&client, left, until)));
            }
            let mut outcome = Outcome::default();
            for thread in threads {
                let of_thread = thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?;
                outcome.succeeded += of_thread.succeeded;
                outcome.failed += of_thread.failed;
            }
            Ok(outcome)
        })
    }

    fn repeat(&self, client: &Arc<ClientConfig>, left: &AtomicU64, until: Instant) -> Outcome {
        let mut outcome = Outcome::default();
        let take = |count: u64| count.checked_sub(1);
        while Instant::now() < until
            && left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                .is_ok()
        {
            let resumable = self.resumed && outcome.succeeded > 0;
            match self.one(client, resumable) {
                Ok(()) => outcome.succeeded += 1,
                Err(error) => {
                    eprintln!("{error:#}");
                    outcome.failed += 1;
                    return outcome;
                }
            }
        }
        outcome
    }

    fn one(&self, client: &Arc<ClientConfig>, resumable: bool) -> Result<()> {
        let name = ServerName::try_from("bench.example").context("the server's name")?;
        let connection = ClientConnection::new(Arc::clone(client), name)?;
        let mut stream = StreamOwned::new(connection, connect(self.address, TIMEOUT)?);
        ask(&mut stream, REQUEST)?;
        let kind = stream.conn.handshake_kind();
        let resumed = kind == Some(HandshakeKind::Resumed);
        ensure!(resumed == resumable, "the handshake was {kind:?}");
        Ok(())
    }
}
