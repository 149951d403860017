//! Mutual TLS: who connections are from, what upstreams and logs are told of it, plain text beside TLS, ClientHellos in
//! every shape, and why handshakes fail.

mod forwarding;
mod hellos;
mod permissive;
mod refusals;
mod telling;
mod upstream;

use outrigger_fixtures::authority::Issued;
use outrigger_fixtures::{Authority, Scripted};
use outrigger_harness::{Client, Document, Proxy, Response, wait_until};
use rustls::ClientConfig;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// The SPIFFE id of clients.
const CLIENT: &str = "spiffe://example.org/ns/shop/sa/client";
/// The SPIFFE id of the proxy.
const SERVER: &str = "spiffe://example.org/ns/shop/sa/server";
/// The name that clients ask for.
const NAME: &str = "a.example";

/// An authority, and a server certificate of its own.
struct Mesh {
    authority: Authority,
    server: Issued,
    client: Issued,
}

impl Mesh {
    fn new() -> Mesh {
        let authority = Authority::new("root");
        let server = authority.issue_with("server", &[NAME, "localhost"], |params| {
            params
                .subject_alt_names
                .push(outrigger_fixtures::authority::uri(SERVER));
        });
        let client = authority.issue_svid("client", CLIENT);
        Mesh {
            authority,
            server,
            client,
        }
    }

    /// Fields of a chain's `tls`: a client must show a certificate of the authority.
    fn mutual(&self) -> String {
        format!(
            "certificates: [{}], client: {{ ca_file: {} }}",
            self.server.yaml(),
            self.authority.root().display()
        )
    }

    /// A client with its certificate.
    fn known(&self) -> Arc<ClientConfig> {
        self.authority.client_config(&["http/1.1"], Some(&self.client))
    }
}

/// A request by TLS; none if the handshake fails or nothing is answered. In TLS 1.3 a refusal shows at the first read.
async fn fetch_by(address: SocketAddr, config: Arc<ClientConfig>) -> Option<Response> {
    let mut client = Client::connect_tls(address, config, NAME).await.ok()?;
    client
        .send(format!("GET / HTTP/1.1\r\nhost: {NAME}\r\n\r\n"))
        .await;
    client.try_response_within().await.ok()
}

/// The last line of a log, once there are so many.
async fn line(log: &Path, count: usize) -> String {
    wait_until("a line of the log", async || {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        (lines.len() >= count).then(|| lines[count - 1].to_owned())
    })
    .await
}

fn failures(side: &str, reason: &str) -> String {
    format!("outrigger_{side}_tls_handshake_failures_total{{reason=\"{reason}\"}}")
}
