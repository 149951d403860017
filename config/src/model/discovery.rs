//! Where a cluster's endpoints come from.

use super::model;
use ipnet::IpNet;
use std::net::SocketAddr;
use std::time::Duration;

/// Where a cluster's endpoints come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Discovery {
    /// They are listed: [`super::Cluster::endpoints`].
    Static,
    /// Every address that the names resolve to is an endpoint (Envoy's `STRICT_DNS`).
    StrictDns(DnsDiscovery),
    /// The one name is one endpoint; each new connection goes to its addresses of that moment, and connections that are
    /// there stay when addresses change (Envoy's `LOGICAL_DNS`).
    LogicalDns(DnsDiscovery),
    /// A connection goes where its downstream connection was meant for (Envoy's `ORIGINAL_DST`).
    OriginalDestination(OriginalDestination),
}

impl Discovery {
    /// The DNS settings, where names are resolved.
    pub fn dns(&self) -> Option<&DnsDiscovery> {
        match self {
            Discovery::StrictDns(dns) | Discovery::LogicalDns(dns) => Some(dns),
            Discovery::Static | Discovery::OriginalDestination(_) => None,
        }
    }
}

model! {
    /// Endpoints by DNS.
    pub struct DnsDiscovery {
        /// What is resolved; never empty; exactly one for logical DNS.
        by_ref names: Vec<DnsName>,
        /// Which address families are asked for and used: [`DnsFamily::Both`] if not given.
        copy family: DnsFamily,
        /// An answer is kept at least this long, whatever its TTL says: [`super::defaults::DNS_TTL_MIN`].
        copy ttl_min: Duration,
        /// An answer is kept at most this long, whatever its TTL says: [`super::defaults::DNS_TTL_MAX`].
        copy ttl_max: Duration,
        /// While answers fail, the last good one stays in force this long after it expired:
        /// [`super::defaults::DNS_STALE_MAX`]; zero: not at all.
        copy stale_max: Duration,
        /// One query, its repetitions included: [`super::defaults::DNS_QUERY_TIMEOUT`].
        copy query_timeout: Duration,
        /// Resolvers to ask; empty: those of the system.
        by_ref resolvers: Vec<SocketAddr>,
    }
}

model! {
    /// One name to resolve.
    pub struct DnsName {
        /// A domain name, without a trailing dot; lower case.
        by_ref host: String,
        /// The endpoints' port; none: SRV records of `host` give targets, ports, weights and priorities (of which the
        /// lowest that has addresses is used).
        copy port: Option<u16>,
        /// The share of each address; at least 1. Multiplied by an SRV record's own weight.
        copy weight: u32,
    }
}

/// Which address families are asked for and used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsFamily {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// IPv6, and IPv4 only where there is none.
    V6Preferred,
    /// IPv4, and IPv6 only where there is none.
    V4Preferred,
    /// Both. A connection to a logical endpoint tries them by RFC 8305 (happy eyeballs), IPv6 first.
    Both,
}

model! {
    /// Endpoints by the destination of the downstream connection.
    pub struct OriginalDestination {
        /// Goes here instead of the original port.
        copy port: Option<u16>,
        /// Destinations that connections may go to; empty: all. A connection elsewhere is refused (503, flag `UH`).
        by_ref allow: Vec<IpNet>,
        /// Connections have their client's address, so that the endpoint sees it; not shared between clients. Needs the
        /// capability CAP_NET_ADMIN, and rules that lead the endpoint's answers back. False if not given.
        copy keep_source: bool,
        /// Endpoints that are remembered at once at most, on each worker; the one unused for longest is forgotten:
        /// [`super::defaults::ORIGINAL_DESTINATION_ENDPOINTS_MAX`].
        copy endpoints_max: usize,
        /// An endpoint that nothing uses is forgotten after this:
        /// [`super::defaults::ORIGINAL_DESTINATION_IDLE_TIMEOUT`].
        copy idle_timeout: Duration,
    }
}
