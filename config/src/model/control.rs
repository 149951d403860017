//! The control plane that policy comes from, by xDS.

use super::{Name, PeerValidation, PostQuantum, Roots, TlsVersions, UpstreamTls, model};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

model! {
    /// Where policy is asked for, and who asks. It is read at start.
    pub struct Control {
        /// Servers in order of preference; never empty.
        by_ref servers: Vec<ControlServer>,
        /// Who this process is, unique in the mesh (Envoy's `node.id`).
        by_ref node: String,
        /// The service beside which it runs, or the gateway that it is (Envoy's `node.cluster`); none: unknown.
        by_ref service: Option<String>,
        /// What else the control plane is told of it (Envoy's `node.metadata`).
        by_ref metadata: BTreeMap<String, String>,
        /// Whom servers with TLS must chain to; there if one has TLS. Not [`Roots::Spiffe`].
        by_ref roots: Option<Roots>,
        /// The name that servers' certificates must hold; none: the URL's host.
        by_ref server_name: Option<String>,
        /// The identity whose certificate is shown to servers; it exists. None: none is shown.
        by_ref identity: Option<Name>,
        /// Holds the token that says who we are (`authorization: Bearer`), read anew for each stream; none: none is sent.
        by_ref token_file: Option<PathBuf>,
        /// How policy is transported: [`super::defaults::CONTROL_TRANSPORT`].
        copy transport: ControlTransport,
        /// The directory in which the last good configuration is kept, without private keys; none: it is not kept.
        by_ref last_good: Option<PathBuf>,
        /// How long a start waits for a first configuration before it begins with the last good one:
        /// [`super::defaults::CONTROL_FIRST_WAIT`].
        copy first_wait: Duration,
        /// How often a server that is preferred is tried while another one is followed:
        /// [`super::defaults::CONTROL_RETURN_INTERVAL`].
        copy return_interval: Duration,
    }
}

impl Control {
    /// The TLS of connections to a server; none if it is spoken to in plain text.
    pub fn tls(&self, server: &ControlServer) -> Option<UpstreamTls> {
        let name = self.server_name.as_deref().unwrap_or(&server.host);
        let roots = self.roots.clone().filter(|_| server.tls)?;
        Some(UpstreamTls {
            validation: PeerValidation {
                roots,
                peers: Vec::new(),
            },
            server_name: Some(name.to_owned()),
            certificate: self.identity.clone().map(super::CertificateSource::Identity),
            versions: TlsVersions::From12,
            post_quantum: PostQuantum::Preferred,
            session_resumption: false,
        })
    }
}

model! {
    /// A server of the control plane.
    pub struct ControlServer {
        /// A name, or an address without brackets.
        by_ref host: String,
        /// The port.
        copy port: u16,
        /// It is spoken to by TLS.
        copy tls: bool,
    }
}

impl ControlServer {
    /// As a URL: `https://host:port`, or `http://…` without TLS.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        match self.host.contains(':') {
            true => format!("{scheme}://[{}]:{}", self.host, self.port),
            false => format!("{scheme}://{}:{}", self.host, self.port),
        }
    }
}

/// How policy is transported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlTransport {
    /// Changes only (Envoy's `DELTA_GRPC`, aggregated).
    Delta,
    /// All resources of a type in each response (Envoy's `GRPC`, aggregated).
    StateOfTheWorld,
}
