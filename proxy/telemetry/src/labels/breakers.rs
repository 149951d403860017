//! What circuit breakers keep back.

use crate::cell::labelled::Label;

labels! {
    /// Which limit of a cluster refused something.
    pub enum Overflow = "limit" {
        /// Requests at once.
        Requests = "requests" from_zero,
        /// Requests that wait for a connection.
        Pending = "pending" from_zero,
        /// Connections, to a TCP connection; requests wait for one.
        Connections = "connections" from_zero,
        /// A request waited for a connection for as long as it may.
        PendingTimeout = "pending_timeout" from_zero,
        /// Every endpoint that could be picked has as many requests as it may.
        Endpoints = "endpoints" from_zero,
        /// What adaptive concurrency allows at once.
        Adaptive = "adaptive" from_zero,
    }
}
