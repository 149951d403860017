//! Clusters and their endpoints.

use super::{
    AdaptiveConcurrency, BalancingOptions, CircuitBreakers, Discovery, EndpointStatus, HealthCheck,
    Http2Options, LoadBalancing, Locality, LocalityWeight, Name, Origin, OutlierDetection, PassTlvs,
    RetryBudgetOptions, TcpKeepalive, UpstreamTls, model,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

model! {
    /// A group of endpoints that serve the same thing.
    pub struct Cluster {
        /// Unique among clusters.
        by_ref name: Name,
        /// Where endpoints come from.
        by_ref discovery: Discovery,
        /// Endpoints that are listed; addresses are unique. May be empty (503, flag `UH`), and is unless discovery is
        /// static.
        by_ref endpoints: Vec<Endpoint>,
        /// How an endpoint is picked.
        copy load_balancing: LoadBalancing,
        /// What stands between the endpoints and the balancer.
        by_ref balancing: BalancingOptions,
        /// Shares of localities; no locality stands twice in a priority. Localities that are not here have a share of 1.
        by_ref locality_weights: Vec<LocalityWeight>,
        /// Endpoints are asked whether they serve; none: they are not.
        by_ref health_check: Option<HealthCheck>,
        /// Endpoints are ejected by their answers; none: they are not.
        by_ref outlier_detection: Option<OutlierDetection>,
        /// How much of it may be in use at once.
        by_ref circuit_breakers: CircuitBreakers,
        /// A limit on concurrent requests that follows response times; none: off.
        by_ref adaptive_concurrency: Option<AdaptiveConcurrency>,
        /// How many retries there may be; always on.
        copy retry_budget: RetryBudgetOptions,
        /// Which HTTP version is spoken.
        copy protocol: UpstreamProtocol,
        /// TLS to the endpoints; none: plain text.
        by_ref tls: Option<UpstreamTls>,
        /// The PROXY protocol header that each connection begins with; none: none. HTTP connections that carry one are
        /// not shared between downstream connections.
        by_ref proxy_protocol: Option<UpstreamProxyProtocol>,
        /// From the first SYN to a connection that is ready, TLS included.
        copy connect_timeout: Duration,
        /// Pool limits.
        by_ref pool: PoolOptions,
        /// HTTP/2 settings.
        by_ref http2: Http2Options,
        /// TCP keep-alive; none: off.
        by_ref tcp_keepalive: Option<TcpKeepalive>,
        /// `TCP_USER_TIMEOUT`; none: the kernel's.
        copy tcp_user_timeout: Option<Duration>,
        /// Bytes of a response head at most (502).
        copy response_headers_bytes_max: usize,
        /// Fields of a response head at most (502).
        copy response_headers_count_max: usize,
        /// Where it was written.
        by_ref origin: Origin,
    }
}

model! {
    /// How the PROXY protocol is spoken to a cluster.
    pub struct UpstreamProxyProtocol {
        /// Which version.
        copy version: ProxyProtocolVersion,
        /// Fields of the downstream header that are passed on; version 2 only.
        by_ref pass_tlvs: PassTlvs,
    }
}

/// A version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocolVersion {
    /// Text.
    V1,
    /// Binary, with type-length-value fields.
    V2,
}

model! {
    /// One address that serves.
    pub struct Endpoint {
        /// Where.
        copy address: SocketAddr,
        /// Its share; at least 1.
        copy weight: u32,
        /// Key-value pairs by which subsets are made; shown by `/clusters`.
        by_ref metadata: BTreeMap<String, String>,
        /// Where it runs; none: unknown.
        by_ref locality: Option<Locality>,
        /// Endpoints of a higher number get requests only as those of lower numbers cannot take them all: 0.
        copy priority: u32,
        /// What is said of its health.
        copy status: EndpointStatus,
    }
}

impl Endpoint {
    /// An endpoint that was not written but found: of no metadata, nowhere known, said to be healthy. A `weight` of 0
    /// counts as 1.
    pub fn found(address: SocketAddr, weight: u32, priority: u32) -> Endpoint {
        Endpoint {
            address,
            weight: weight.max(1),
            metadata: BTreeMap::new(),
            locality: None,
            priority,
            status: EndpointStatus::Healthy,
        }
    }
}

/// Which HTTP version is spoken to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; without TLS by prior knowledge.
    Http2,
    /// What ALPN settles; needs TLS.
    Auto,
}

model! {
    /// Limits of upstream connections.
    pub struct PoolOptions {
        /// An unused connection is closed after this: 3 s for HTTP/1, 1 h for HTTP/2 if not given.
        copy idle_timeout: Option<Duration>,
        /// A connection takes no new request after this age; none: no limit.
        copy connection_age_max: Option<Duration>,
        /// A connection takes no more than this many requests; none: no limit.
        copy requests_per_connection_max: Option<u32>,
    }
}
