//! What circuit breakers keep back.

use crate::cell::labelled::Label;

labels! {
    /// Which limit of a cluster was met.
    pub enum Overflow = "limit" {
        /// Requests at once: refused.
        Requests = "requests",
        /// Requests that wait for a connection: refused.
        Pending = "pending",
        /// Connections: a request waits, a TCP connection is refused.
        Connections = "connections",
        /// A request waited for a connection for as long as it may: refused.
        PendingTimeout = "pending_timeout",
        /// Every endpoint that could be picked has as many requests as it may: refused.
        Endpoints = "endpoints",
        /// What adaptive concurrency allows at once: refused.
        Adaptive = "adaptive",
    }
}
