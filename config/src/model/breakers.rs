//! Circuit breakers: how much of a cluster may be in use at once.

use super::{defaults, model};
use std::time::Duration;

model! {
    /// A cluster's circuit breakers (Envoy's `circuit_breakers`).
    #[derive(Default)]
    pub struct CircuitBreakers {
        /// For requests of default priority.
        copy default_priority: BreakerThresholds,
        /// For requests of high priority.
        copy high_priority: BreakerThresholds,
        /// For each endpoint.
        copy endpoint: EndpointThresholds,
    }
}

/// What may be in use at once by requests of one priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerThresholds {
    pub(crate) connections_max: u32,
    pub(crate) pending_max: u32,
    pub(crate) requests_max: u32,
}

impl BreakerThresholds {
    /// Connections, at least 1; at this limit a request waits: [`defaults::BREAKER_CONNECTIONS_MAX`]. A worker may always
    /// have one connection.
    pub fn connections_max(self) -> u32 {
        self.connections_max
    }
    /// Requests that wait for a connection; beyond, 503 with flag `UO`: [`defaults::BREAKER_PENDING_MAX`].
    pub fn pending_max(self) -> u32 {
        self.pending_max
    }
    /// Requests; beyond, 503 with flag `UO`: [`defaults::BREAKER_REQUESTS_MAX`].
    pub fn requests_max(self) -> u32 {
        self.requests_max
    }
}

impl Default for BreakerThresholds {
    fn default() -> BreakerThresholds {
        BreakerThresholds {
            connections_max: defaults::BREAKER_CONNECTIONS_MAX,
            pending_max: defaults::BREAKER_PENDING_MAX,
            requests_max: defaults::BREAKER_REQUESTS_MAX,
        }
    }
}

/// What may be in use at once at one endpoint; an endpoint at its limit is passed over for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EndpointThresholds {
    pub(crate) connections_max: Option<u32>,
    pub(crate) requests_max: Option<u32>,
}

impl EndpointThresholds {
    /// Connections; none: no limit but the cluster's.
    pub fn connections_max(self) -> Option<u32> {
        self.connections_max
    }
    /// Requests; none: no limit but the cluster's.
    pub fn requests_max(self) -> Option<u32> {
        self.requests_max
    }
}

/// Which of a cluster's breakers a request counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RoutePriority {
    /// The default ones.
    #[default]
    Default,
    /// Those for high priority.
    High,
}

model! {
    /// A limit on concurrent requests that follows response times (Envoy's gradient controller). Beyond it, 503 with flag
    /// `UO`.
    pub struct AdaptiveConcurrency {
        /// The quantile of response times that is looked at, percent: [`defaults::ADAPTIVE_QUANTILE_PERCENT`].
        copy quantile_percent: u32,
        /// From one change of the limit to the next: [`defaults::ADAPTIVE_UPDATE_INTERVAL`].
        copy update_interval: Duration,
        /// The limit at most: [`defaults::ADAPTIVE_CONCURRENCY_MAX`].
        copy concurrency_max: u32,
        /// The limit at least, and while the minimum is measured: [`defaults::ADAPTIVE_CONCURRENCY_MIN`].
        copy concurrency_min: u32,
        /// From one measurement of the minimal response time to the next: [`defaults::ADAPTIVE_MIN_RTT_INTERVAL`].
        copy min_rtt_interval: Duration,
        /// Requests by which it is measured: [`defaults::ADAPTIVE_MIN_RTT_REQUESTS`].
        copy min_rtt_requests: u32,
        /// A random part of this share of the interval is added to it, percent: [`defaults::ADAPTIVE_JITTER_PERCENT`].
        copy jitter_percent: u32,
        /// Response times above the minimum by less than this share of it are as good, percent:
        /// [`defaults::ADAPTIVE_BUFFER_PERCENT`].
        copy buffer_percent: u32,
    }
}
