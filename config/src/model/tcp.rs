//! How bytes are passed on: TCP proxying.

use super::{AccessLog, Name, WeightedCluster, model};
use std::time::Duration;

model! {
    /// Passing a connection's bytes on to an endpoint (Envoy's TCP proxy).
    pub struct TcpProxy {
        /// Targets; their clusters exist, their weights sum to more than zero. Never empty.
        by_ref clusters: Vec<WeightedCluster>,
        /// A connection on which no byte moves in either direction is closed after this; none: never. If it was not
        /// given: [`super::defaults::TCP_IDLE_TIMEOUT`].
        copy idle_timeout: Option<Duration>,
        /// A connection is closed at this age; none: never.
        copy connection_duration_max: Option<Duration>,
        /// Endpoints that are tried before the connection is given up, at least 1:
        /// [`super::defaults::TCP_CONNECT_ATTEMPTS_MAX`].
        copy connect_attempts_max: u32,
        /// Rate limits on new connections, beside the listener's; they exist. Of their descriptors only what is known of a
        /// connection counts.
        by_ref rate_limits: Vec<Name>,
        /// Clusters with consistent hashing pick by the client's address; else at random.
        copy hash_source_address: bool,
        /// Where connections are logged.
        by_ref access_logs: Vec<AccessLog>,
    }
}
