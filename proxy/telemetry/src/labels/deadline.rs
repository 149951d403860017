//! Deadlines.

use crate::cell::labelled::Label;

labels! {
    /// What a request was waiting for when its time was up, so that it was not sent.
    pub enum DeadlineWait = "waiting_for" {
        /// Nothing: it came without any time left.
        Nothing = "nothing",
        /// An authorization service.
        Authorization = "authorization",
        /// A rate limit service.
        RateLimit = "rate_limit",
        /// The delay of a fault.
        Fault = "fault",
        /// A connection to its endpoint, or a place among those of the cluster.
        Connection = "connection",
        /// The wait before a retry; what was sent before was not answered well.
        Backoff = "backoff",
    }
}
