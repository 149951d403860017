//! Backends that misbehave in a way that is known: HTTP/1.1 servers of this process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const BAD: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno";
/// A request's head at most.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// What a steady answer takes.
const SERVICE: Duration = Duration::from_millis(2);

/// What a backend does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// Answers after two milliseconds.
    Steady,
    /// One request in so many is answered after this long, the others as steadily as ever.
    Stalls(u64, Duration),
    /// One request in so many is answered 503.
    FailsOneIn(u64),
    /// Never answers.
    Silent,
    /// Has so many slots, each of which a request takes for so long; requests wait for one without a limit.
    Slots(usize, Duration),
}

/// Running backends.
pub(super) struct Backends {
    addresses: Vec<SocketAddr>,
    received: Arc<AtomicU64>,
}

impl Backends {
    /// Starts one for each behaviour; they end with the runtime.
    pub(super) async fn start(behaviours: &[Behaviour]) -> Result<Backends> {
        let received = Arc::new(AtomicU64::new(0));
        let mut addresses = Vec::with_capacity(behaviours.len());
        for behaviour in behaviours {
            let listener = TcpListener::bind("127.0.0.1:0")
                .await
                .context("binding a backend")?;
            addresses.push(listener.local_addr()?);
            let backend = Arc::new(Backend {
                behaviour: *behaviour,
                own: AtomicU64::new(0),
                received: Arc::clone(&received),
                slots: match behaviour {
                    Behaviour::Slots(count, _) => Semaphore::new(*count),
                    _ => Semaphore::new(0),
                },
            });
            tokio::spawn(backend.accept(listener));
        }
        Ok(Backends { addresses, received })
    }

    /// Where they listen.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Requests that they have seen, all together.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

struct Backend {
    behaviour: Behaviour,
    /// Requests of this one.
    own: AtomicU64,
    received: Arc<AtomicU64>,
    slots: Semaphore,
}

impl Backend {
    async fn accept(self: Arc<Backend>, listener: TcpListener) {
        while let Ok((socket, _)) = listener.accept().await {
            let backend = Arc::clone(&self);
            // A connection that breaks is the client's business.
            tokio::spawn(async move { backend.serve(socket).await.ok() });
        }
    }

    async fn serve(&self, mut socket: TcpStream) -> Result<()> {
        socket.set_nodelay(true)?;
        let mut buffer = Vec::with_capacity(1 << 10);
        loop {
            while memmem::find(&buffer, b"\r\n\r\n").is_none() {
                anyhow::ensure!(buffer.len() < HEAD_BYTES_MAX, "a head without an end");
                if socket.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
            }
            buffer.clear();
            let answer = self.answer(&mut socket).await?;
            socket.write_all(answer).await?;
        }
    }

    /// What a request is answered, when it is time; an error if the client has gone, as far as that is looked at.
    async fn answer(&self, socket: &mut TcpStream) -> Result<&'static [u8]> {
        self.received.fetch_add(1, Ordering::Relaxed);
        let number = self.own.fetch_add(1, Ordering::Relaxed) + 1;
        match self.behaviour {
            Behaviour::Steady => tokio::time::sleep(SERVICE).await,
            Behaviour::Stalls(one_in, stall) if number.is_multiple_of(one_in) => {
                tokio::time::sleep(stall).await
            }
            Behaviour::Stalls(..) => tokio::time::sleep(SERVICE).await,
            Behaviour::FailsOneIn(one_in) => {
                tokio::time::sleep(SERVICE).await;
                if number.is_multiple_of(one_in) {
                    return Ok(BAD);
                }
            }
            Behaviour::Silent => {
                // Until the client goes away.
                let mut byte = [0];
                socket.read_exact(&mut byte).await?;
                anyhow::bail!("more came than one request");
            }
            Behaviour::Slots(_, service) => {
                // It does not see that a client has gone: what waits is worked off, as in most servers.
                let _slot = self.slots.acquire().await?;
                tokio::time::sleep(service).await;
            }
        }
        Ok(GOOD)
    }
}
