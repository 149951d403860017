//! Mutual TLS with real programs on either side, and a scanner's opinion of the listener.

mod clients;
mod envoy;
mod nginx;
mod scan;

use outrigger_fixtures::Authority;
use outrigger_fixtures::authority::{Issued, uri};

/// An authority, with certificates of a server that is called `server.example`, and of two clients.
struct Mesh {
    authority: Authority,
    server: Issued,
    client: Issued,
    other: Issued,
}

const SERVER_ID: &str = "spiffe://example.org/server";
const CLIENT_ID: &str = "spiffe://example.org/client";

impl Mesh {
    fn new() -> Mesh {
        let authority = Authority::new("mesh");
        let server = authority.issue_with("server", &["server.example"], |params| {
            params.subject_alt_names.push(uri(SERVER_ID));
        });
        Mesh {
            client: authority.issue_svid("client", CLIENT_ID),
            other: authority.issue_svid("other", "spiffe://example.org/other"),
            server,
            authority,
        }
    }

    /// The TLS of a filter chain that takes the one client.
    fn downstream(&self) -> String {
        format!(
            "tls: {{ certificates: [{}], client: {{ ca_file: {}, peers: [{{ spiffe_id: '{CLIENT_ID}' }}] }} }}",
            self.server.yaml(),
            self.root()
        )
    }

    /// The TLS of a cluster that shows the one client's certificate and wants to see the server's.
    fn upstream(&self, certificate: &Issued) -> String {
        format!(
            "protocol: http1, tls: {{ ca_file: {}, server_name: server.example, \
             peers: [{{ spiffe_id: '{SERVER_ID}' }}], certificate: {} }}",
            self.root(),
            certificate.yaml()
        )
    }

    fn root(&self) -> String {
        self.authority.root().display().to_string()
    }
}

fn file(path: &std::path::Path) -> String {
    path.display().to_string()
}
