//! A relay of one byte stream that counts, and backends that say who they are.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// A client that has not sent its request by then is no client.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Passes connections on to a server, and counts what comes back. It ends with the process.
pub(super) struct Relay {
    /// Where it listens.
    pub(super) address: SocketAddr,
    received: Arc<AtomicU64>,
}

impl Relay {
    /// Starts one.
    pub(super) fn start(to: SocketAddr) -> Result<Relay> {
        let listener = TcpListener::bind("127.0.0.1:0").context("binding the relay")?;
        let address = listener.local_addr()?;
        let received = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&received);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(to) else {
                    continue;
                };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else {
                    continue;
                };
                let counted = Arc::clone(&counted);
                thread::spawn(move || pass(from_client, to_server, &AtomicU64::new(0)));
                thread::spawn(move || pass(server, client, &counted));
            }
        });
        Ok(Relay { address, received })
    }

    /// Bytes that the server sent.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64) {
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
        count.fetch_add(read as u64, Ordering::Relaxed);
    }
    // Either may have gone.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// Answers each request with one letter. It ends with the process.
pub(super) fn backend(letter: u8) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("binding a backend")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            // A client that breaks off is no fault of this end.
            thread::spawn(move || {
                let _ = client.set_read_timeout(Some(REQUEST_TIMEOUT));
                let mut request = [0; 4096];
                if matches!(client.read(&mut request), Ok(1..)) {
                    let answer = [
                        &b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\n"[..],
                        &[letter],
                    ];
                    let _ = client.write_all(&answer.concat());
                }
            });
        }
    });
    Ok(address)
}

/// What a service says through a proxy: status, and the last byte of the answer. None if nobody answers there.
pub(super) fn ask(proxy: SocketAddr, host: &str) -> Option<(u16, u8)> {
    let mut stream = TcpStream::connect_timeout(&proxy, REQUEST_TIMEOUT).ok()?;
    stream.set_read_timeout(Some(REQUEST_TIMEOUT)).ok()?;
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let status = std::str::from_utf8(answer.get(9..12)?).ok()?;
    Some((status.parse().ok()?, *answer.last()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_passes_and_counts_what_comes_back() {
        let relay = Relay::start(backend(b'a').unwrap()).unwrap();
        assert_eq!(ask(relay.address, "x"), Some((200, b'a')));
        let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\na";
        assert_eq!(relay.received(), answer.len() as u64);
    }
}
