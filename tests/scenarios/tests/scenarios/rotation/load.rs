//! Clients that ask over and over, by HTTP/1 and HTTP/2, in plain text and by TLS, and count what is no answer.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use outrigger_fixtures::wire::Duplex;
use outrigger_harness::{Client, wait_until, within};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// Requests on a connection before the next one: handshakes are what changes.
const REQUESTS_PER_CONNECTION: usize = 10;

#[derive(Default)]
struct Counts {
    stop: AtomicBool,
    answered: AtomicUsize,
    failures: std::sync::Mutex<Vec<String>>,
}

/// Clients at work.
#[derive(Default)]
pub(super) struct Load {
    counts: Arc<Counts>,
    clients: JoinSet<()>,
}

impl Load {
    /// One more client, of HTTP/1; by TLS if there is a configuration for it.
    pub(super) fn http1(&mut self, address: SocketAddr, path: &str, tls: Option<Arc<ClientConfig>>) {
        let (counts, path) = (Arc::clone(&self.counts), path.to_owned());
        self.clients.spawn(async move {
            while !counts.stop.load(Ordering::Relaxed) {
                if let Err(failure) = ask_http1(address, &path, tls.clone(), &counts).await {
                    counts.failures.lock().unwrap().push(failure);
                }
            }
        });
    }

    /// One more client, of HTTP/2.
    pub(super) fn http2(&mut self, address: SocketAddr, path: &str, tls: Option<Arc<ClientConfig>>) {
        let (counts, path) = (Arc::clone(&self.counts), path.to_owned());
        self.clients.spawn(async move {
            while !counts.stop.load(Ordering::Relaxed) {
                if let Err(failure) = ask_http2(address, &path, tls.clone(), &counts).await {
                    counts.failures.lock().unwrap().push(failure);
                }
            }
        });
    }

    /// Waits until `requests` more have been answered.
    pub(super) async fn goes_on(&self, requests: usize) {
        let before = self.counts.answered.load(Ordering::Relaxed);
        wait_until("answers under load", async || {
            let now = self.counts.answered.load(Ordering::Relaxed);
            (now >= before + requests).then_some(())
        })
        .await;
    }

    /// Ends, and gives the number of answers; nothing may have failed. `explain` says what else is known if something has.
    pub(super) async fn end(mut self, explain: impl AsyncFnOnce() -> String) -> usize {
        self.counts.stop.store(true, Ordering::Relaxed);
        while within("the clients' end", self.clients.join_next())
            .await
            .is_some()
        {}
        let failures = std::mem::take(&mut *self.counts.failures.lock().unwrap());
        if !failures.is_empty() {
            panic!("{} failed: {failures:?}\n{}", failures.len(), explain().await);
        }
        self.counts.answered.load(Ordering::Relaxed)
    }
}

async fn ask_http1(
    address: SocketAddr,
    path: &str,
    tls: Option<Arc<ClientConfig>>,
    counts: &Counts,
) -> Result<(), String> {
    let mut client = match tls {
        None => Client::connect(address).await,
        Some(config) => Client::connect_tls(address, config, super::NAME)
            .await
            .map_err(|error| format!("HTTP/1 handshake: {error}"))?,
    };
    for round in 1..=REQUESTS_PER_CONNECTION {
        let close = if round == REQUESTS_PER_CONNECTION {
            "connection: close\r\n"
        } else {
            ""
        };
        client
            .send(format!(
                "GET {path} HTTP/1.1\r\nhost: {}\r\n{close}\r\n",
                super::NAME
            ))
            .await;
        let response = client.try_response_within().await;
        let response = response.map_err(|error| format!("HTTP/1 request {round}: {error}"))?;
        if response.status() != 200 {
            return Err(format!("HTTP/1: {} {}", response.status(), response.text()));
        }
        counts.answered.fetch_add(1, Ordering::Relaxed);
        if response.field("connection") == Some("close") {
            break;
        }
    }
    Ok(())
}

async fn ask_http2(
    address: SocketAddr,
    path: &str,
    tls: Option<Arc<ClientConfig>>,
    counts: &Counts,
) -> Result<(), String> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| format!("HTTP/2: {error}"))?;
    let stream: Box<dyn Duplex> = match tls {
        None => Box::new(stream),
        Some(config) => {
            let name = ServerName::try_from(super::NAME).unwrap();
            let shaken = TlsConnector::from(config).connect(name, stream).await;
            Box::new(shaken.map_err(|error| format!("HTTP/2 handshake: {error}"))?)
        }
    };
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(|error| format!("HTTP/2 begin: {error}"))?;
    let driven = tokio::spawn(connection);
    for round in 1..=REQUESTS_PER_CONNECTION {
        // A connection that is told to end takes no new request: another one does.
        if sender.ready().await.is_err() {
            break;
        }
        let request = http::Request::get(format!("https://{}{path}", super::NAME))
            .body(Full::<Bytes>::default())
            .unwrap();
        let response = match sender.send_request(request).await {
            Ok(response) => response,
            // Told to end as the request was on its way, which it never was.
            Err(error) if error.is_canceled() => break,
            Err(error) => return Err(format!("HTTP/2 request {round}: {error:?}")),
        };
        let status = response.status();
        let body = response.into_body().collect().await;
        body.map_err(|error| format!("HTTP/2 body: {error}"))?;
        if status != 200 {
            return Err(format!("HTTP/2: {status}"));
        }
        counts.answered.fetch_add(1, Ordering::Relaxed);
    }
    drop(sender);
    driven.abort();
    Ok(())
}
