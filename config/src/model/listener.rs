//! Listeners and their filter chains.

use super::{HttpOptions, Name, Origin, model};
use ipnet::IpNet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

model! {
    /// A listening address with its filter chains.
    pub struct Listener {
        /// Unique among listeners.
        by_ref name: Name,
        /// The address; unique among listeners, except for port 0, which the kernel replaces.
        copy address: SocketAddr,
        /// Connections at once at most; one more is closed at once and counted.
        copy connections_max: usize,
        /// Listen backlog.
        copy backlog: u32,
        /// TCP keep-alive of accepted connections; none: off.
        by_ref tcp_keepalive: Option<TcpKeepalive>,
        /// `TCP_USER_TIMEOUT` of accepted connections; none: the kernel's.
        copy tcp_user_timeout: Option<Duration>,
        /// Chains; for a connection the most specific match wins, as in Envoy: destination port, then server name,
        /// then transport, then ALPN, then source prefix. Never empty; no two match alike.
        by_ref filter_chains: Vec<FilterChain>,
        /// Where it was written.
        by_ref origin: Origin,
    }
}

model! {
    /// TCP keep-alive probes.
    pub struct TcpKeepalive {
        /// Idle time before the first probe.
        copy time: Duration,
        /// Time between probes.
        copy interval: Duration,
        /// Unanswered probes before the connection is dead.
        copy probes: u32,
    }
}

model! {
    /// What is done with the connections that match.
    pub struct FilterChain {
        /// Unique in its listener.
        by_ref name: Name,
        /// Which connections.
        by_ref matches: FilterChainMatch,
        /// TLS is terminated here; none: plain text.
        by_ref tls: Option<DownstreamTls>,
        /// How HTTP is spoken.
        by_ref http: HttpOptions,
        /// Where it was written.
        by_ref origin: Origin,
    }
}

model! {
    /// Which connections a filter chain takes: all conditions must hold; an empty one always does.
    pub struct FilterChainMatch {
        /// The local port of the connection.
        copy destination_port: Option<u16>,
        /// Prefixes of the peer's address.
        by_ref source_prefixes: Vec<IpNet>,
        /// SNI names.
        by_ref server_names: Vec<ServerNameMatch>,
        /// ALPN names that the client offers.
        by_ref application_protocols: Vec<String>,
        /// What the first bytes say.
        copy transport: Option<Transport>,
    }
}

/// What a connection's first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Anything else than a TLS ClientHello.
    Raw,
    /// A TLS ClientHello.
    Tls,
}

/// An SNI name to match; lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerNameMatch {
    /// This name.
    Exact(String),
    /// Any name that ends with this suffix, which begins with a dot (`*.example.com` is `.example.com`).
    Suffix(String),
}

model! {
    /// TLS termination from files.
    pub struct DownstreamTls {
        /// Certificates; SNI picks one by its names, the first is the default. Never empty.
        by_ref certificates: Vec<CertificateFiles>,
        /// ALPN names offered, in order of preference: `h2`, `http/1.1`.
        by_ref application_protocols: Vec<String>,
        /// A client certificate that chains to a root in this file is required; none: not asked for.
        by_ref client_ca_file: Option<PathBuf>,
        /// From accept to the end of the handshake.
        copy handshake_timeout: Duration,
    }
}

model! {
    /// A certificate chain and its private key, both PEM.
    pub struct CertificateFiles {
        /// Leaf first.
        by_ref certificate_file: PathBuf,
        /// PKCS#8, PKCS#1 or SEC1.
        by_ref private_key_file: PathBuf,
    }
}
