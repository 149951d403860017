//! Listeners and their filter chains.

use super::{DownstreamTls, HttpOptions, Name, Origin, TcpProxy, model};
use ipnet::IpNet;
use std::net::SocketAddr;
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
        /// New connections in a second at most; those beyond are closed at once and counted. None: no limit.
        copy connection_rate_max: Option<ConnectionRate>,
        /// Whether connections begin with a PROXY protocol header.
        by_ref proxy_protocol: DownstreamProxyProtocol,
        /// How the address that a connection was meant for is learnt.
        copy interception: Interception,
        /// Where its requests come from, seen from what the proxy stands beside. Only metrics tell.
        copy direction: TrafficDirection,
        /// TCP keep-alive of accepted connections; none: off.
        by_ref tcp_keepalive: Option<TcpKeepalive>,
        /// `TCP_USER_TIMEOUT` of accepted connections; none: the kernel's.
        copy tcp_user_timeout: Option<Duration>,
        /// Chains; for a connection the most specific match wins, as in Envoy: destination port, then destination
        /// prefix, then server name, then transport, then ALPN, then source prefix. Never empty; no two match alike.
        by_ref filter_chains: Vec<FilterChain>,
        /// Where it was written.
        by_ref origin: Origin,
    }
}

/// A rate of new connections, as a token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionRate {
    pub(crate) per_second: u32,
    pub(crate) burst: u32,
}

impl ConnectionRate {
    /// Tokens that come back in a second; at least 1.
    pub fn per_second(self) -> u32 {
        self.per_second
    }
    /// Tokens at most, and at first; at least 1. If it was not given: `per_second`.
    pub fn burst(self) -> u32 {
        self.burst
    }
}

model! {
    /// How a listener reads the PROXY protocol (versions 1 and 2), before everything else.
    pub struct DownstreamProxyProtocol {
        /// Whether a header is read.
        copy mode: ProxyProtocolMode,
        /// Type-length-value fields of version 2 that are kept for upstreams to which the PROXY protocol is spoken.
        by_ref pass_tlvs: PassTlvs,
        /// From accept to the end of the header: [`super::defaults::PROXY_PROTOCOL_TIMEOUT`].
        copy timeout: Duration,
    }
}

/// Whether a PROXY protocol header is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocolMode {
    /// None is expected; one that comes is part of what the client says.
    Off,
    /// One that comes is obeyed; without one the connection speaks for itself. Only for peers that are trusted.
    Optional,
    /// A connection without one is closed and counted.
    Required,
}

/// Which type-length-value fields are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassTlvs {
    /// None.
    None,
    /// All.
    All,
    /// Those of these types.
    Listed(Vec<u8>),
}

/// How the address that a connection was meant for is learnt: rules of the kernel may have led it here from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interception {
    /// It was meant for this listener.
    Off,
    /// `SO_ORIGINAL_DST`, after `REDIRECT` or `DNAT`.
    Redirect,
    /// The socket's own address, after `TPROXY`; the listening socket is transparent (`IP_TRANSPARENT`).
    Tproxy,
}

/// Where requests come from, seen from what the proxy stands beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrafficDirection {
    /// That is not said, or there is no such side, as for a gateway.
    Unspecified,
    /// From others, to it.
    Inbound,
    /// From it, to others.
    Outbound,
}

impl TrafficDirection {
    /// As metrics and the configuration have it.
    pub fn as_str(self) -> &'static str {
        match self {
            TrafficDirection::Unspecified => "unspecified",
            TrafficDirection::Inbound => "inbound",
            TrafficDirection::Outbound => "outbound",
        }
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
        /// What is spoken.
        by_ref mode: ChainMode,
        /// Authorization policies that apply here; they exist. Where bytes are passed on, what needs a request is not known:
        /// it allows nothing, and does not keep a DENY policy from denying.
        by_ref authorization: Vec<Name>,
        /// Where it was written.
        by_ref origin: Origin,
    }
}

/// What is spoken on the connections of a filter chain.
#[derive(Debug, Clone, PartialEq)]
pub enum ChainMode {
    /// HTTP/1 or HTTP/2.
    Http(Box<HttpOptions>),
    /// Bytes, passed on. On a chain without `tls` a TLS connection is passed through as it is.
    Tcp(Box<TcpProxy>),
    /// What the first bytes say.
    Auto(Box<AutoMode>),
}

impl ChainMode {
    /// How HTTP is spoken, where it is.
    pub fn http(&self) -> Option<&HttpOptions> {
        match self {
            ChainMode::Http(http) => Some(http),
            ChainMode::Tcp(_) => None,
            ChainMode::Auto(auto) => Some(&auto.http),
        }
    }
    /// Where bytes are passed on to, where they are.
    pub fn tcp(&self) -> Option<&TcpProxy> {
        match self {
            ChainMode::Http(_) => None,
            ChainMode::Tcp(tcp) => Some(tcp),
            ChainMode::Auto(auto) => Some(&auto.tcp),
        }
    }
}

model! {
    /// Detection of the protocol by the first bytes: HTTP/2's preface, an HTTP/1 request line, else TCP. The upstream of
    /// `tcp` is connected to at once while its protocol is not known, so that a server that speaks first is not waited for.
    pub struct AutoMode {
        /// How HTTP is spoken, where it is.
        by_ref http: HttpOptions,
        /// Where everything else goes.
        by_ref tcp: TcpProxy,
        /// A client that has said too little to tell after this long is served as TCP, or as HTTP if it has begun a request:
        /// [`super::defaults::DETECTION_TIMEOUT`].
        copy detection_timeout: Duration,
    }
}

model! {
    /// Which connections a filter chain takes: all conditions must hold; an empty one always does.
    pub struct FilterChainMatch {
        /// The local port of the connection.
        copy destination_port: Option<u16>,
        /// Prefixes of the address that the connection was meant for.
        by_ref destination_prefixes: Vec<IpNet>,
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
