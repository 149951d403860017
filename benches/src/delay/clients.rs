//! The clients, whose streams are long, and the upstream that answers them and says no more.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response};
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::SHARE;
use super::document::Identities;

/// Handshakes at once.
const OPENING_MAX: usize = 32;
const STREAMS_MAX: u32 = 4096;

/// A stream has ended.
pub(super) struct Ended {
    /// Its client was to lose its right.
    pub(super) denied: bool,
    pub(super) at: Instant,
}

/// Open connections and streams; dropping them closes all.
pub(super) struct Clients {
    _tasks: JoinSet<Result<()>>,
}

impl Clients {
    /// Opens so many connections with so many streams each, every one of which has been answered when this returns.
    pub(super) async fn open(
        address: SocketAddr,
        identities: Identities,
        connections: u32,
        streams: u32,
        ends: mpsc::UnboundedSender<Ended>,
    ) -> Result<Clients> {
        let mut tasks = JoinSet::new();
        let (answered, mut answers) = mpsc::unbounded_channel();
        let places = Arc::new(Semaphore::new(OPENING_MAX));
        for index in 0..connections {
            let denied = index % SHARE == 0;
            let identity = if denied {
                &identities.denied
            } else {
                &identities.kept
            };
            let connector = TlsConnector::from(Arc::clone(identity));
            let (places, answered, ends) = (Arc::clone(&places), answered.clone(), ends.clone());
            tasks.spawn(async move {
                let place = places.acquire_owned().await?;
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let name = ServerName::try_from("bench.example")?;
                let stream = connector.connect(name, stream).await?;
                let (sender, connection) = h2::client::handshake(stream).await?;
                // Its end shows in its streams.
                let driver = tokio::spawn(connection);
                let mut open = JoinSet::new();
                for _ in 0..streams {
                    let mut sender = sender.clone().ready().await?;
                    let request = Request::post("https://bench.example/").body(())?;
                    let (response, half) = sender.send_request(request, false)?;
                    let (answered, ends) = (answered.clone(), ends.clone());
                    open.spawn(async move {
                        let _open = half;
                        let answer = response.await;
                        // Whoever waits for answers has gone, and then nobody asks.
                        let _ = answered.send(answer.is_ok());
                        if let Ok(answer) = answer {
                            let mut body = answer.into_body();
                            while let Some(Ok(_)) = body.data().await {}
                        }
                        let _ = ends.send(Ended {
                            denied,
                            at: Instant::now(),
                        });
                    });
                }
                drop(place);
                while open.join_next().await.is_some() {}
                driver.abort();
                Ok(())
            });
        }
        for _ in 0..connections * streams {
            tokio::select! {
                answer = answers.recv() => anyhow::ensure!(answer == Some(true), "a stream was not answered"),
                Some(ended) = tasks.join_next() => {
                    ended?.context("opening a connection")?;
                    anyhow::bail!("a connection ended");
                }
            }
        }
        Ok(Clients { _tasks: tasks })
    }
}

/// Starts the upstream: HTTP/2 without TLS. It answers, and ends no answer.
pub(super) async fn upstream() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    Ok(address)
}

async fn serve(stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut connection = h2::server::Builder::new()
        .max_concurrent_streams(STREAMS_MAX)
        .handshake::<_, Bytes>(stream)
        .await?;
    while let Some(accepted) = connection.accept().await {
        let (request, mut respond) = accepted?;
        let mut half = respond.send_response(Response::new(()), false)?;
        tokio::spawn(async move {
            let _request = request;
            // Until the proxy gives it up.
            let _ = std::future::poll_fn(|cx| half.poll_reset(cx)).await;
        });
    }
    Ok(())
}
