//! Overload: what the process may hold, and what it does near that.

use super::{defaults, model};
use std::time::Duration;

model! {
    /// Limits of the whole process, and the pressures (what is in use, as a share of its limit) at which it acts. The
    /// highest pressure counts. Admin and health keep answering.
    pub struct Overload {
        /// Downstream connections; none: no limit but the listeners'.
        copy connections_max: Option<u64>,
        /// Requests in flight; none: no limit.
        copy requests_max: Option<u64>,
        /// Bytes of bodies that are kept here, for replays, copies and questions; none: no limit.
        copy buffered_bytes_max: Option<u64>,
        /// Memory of the process.
        copy memory_max: MemoryLimit,
        /// From one look at what is in use to the next: [`super::defaults::OVERLOAD_INTERVAL`].
        copy interval: Duration,
        /// At this pressure, percent, connections are not kept alive: [`super::defaults::OVERLOAD_STOP_KEEPALIVE_PERCENT`].
        copy stop_keepalive: u32,
        /// From this pressure, percent, new requests are refused (503, flag `OM`), a growing share of them until `refuse_all`:
        /// [`super::defaults::OVERLOAD_REFUSE_REQUESTS_PERCENT`].
        copy refuse_requests: u32,
        /// At this pressure, percent, all new requests are: [`super::defaults::OVERLOAD_REFUSE_ALL_PERCENT`].
        copy refuse_all: u32,
        /// At this pressure, percent, new connections are refused: [`super::defaults::OVERLOAD_REFUSE_CONNECTIONS_PERCENT`].
        copy refuse_connections: u32,
    }
}

impl Default for Overload {
    fn default() -> Overload {
        Overload {
            connections_max: None,
            requests_max: None,
            buffered_bytes_max: None,
            memory_max: MemoryLimit::Cgroup,
            interval: defaults::OVERLOAD_INTERVAL,
            stop_keepalive: defaults::OVERLOAD_STOP_KEEPALIVE_PERCENT,
            refuse_requests: defaults::OVERLOAD_REFUSE_REQUESTS_PERCENT,
            refuse_all: defaults::OVERLOAD_REFUSE_ALL_PERCENT,
            refuse_connections: defaults::OVERLOAD_REFUSE_CONNECTIONS_PERCENT,
        }
    }
}

/// How much memory the process may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryLimit {
    /// No limit.
    Off,
    /// What its control group may have; none if that has no limit.
    Cgroup,
    /// This many bytes.
    Bytes(u64),
}
