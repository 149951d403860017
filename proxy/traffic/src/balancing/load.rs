//! What one endpoint is doing, counted by all workers.

use super::ewma::Average;
use crate::breakers::Count;
use std::sync::atomic::{AtomicU32, Ordering};

/// Active requests of one endpoint, and what it costs where that is observed: process-wide, kept across configurations,
/// alone on its cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct EndpointLoad {
    active: AtomicU32,
    average: Average,
    connections: AtomicU32,
    connections_wanted: AtomicU32,
}

impl EndpointLoad {
    /// An endpoint without requests.
    pub const fn new() -> EndpointLoad {
        EndpointLoad {
            active: AtomicU32::new(0),
            average: Average::new(),
            connections: AtomicU32::new(0),
            connections_wanted: AtomicU32::new(0),
        }
    }

    /// Requests that have begun and not ended.
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// A request begins. Each call must be followed by one of [`EndpointLoad::end`], however the request ends.
    pub fn begin(&self) {
        self.active.fetch_add(1, Ordering::Relaxed);
    }

    /// A request begins unless as many as may be are active; `true` must be followed by one [`EndpointLoad::end`].
    #[must_use]
    pub fn try_begin(&self, requests_max: Option<u32>) -> bool {
        let begin = |active: u32| (active < requests_max.unwrap_or(u32::MAX)).then(|| active + 1);
        Count::update(&self.active, begin)
    }

    /// Connections that are open or being made.
    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }

    /// A connection begins unless there are as many as may be; `true` must be followed by one
    /// [`EndpointLoad::end_connection`].
    #[must_use]
    pub fn try_begin_connection(&self, connections_max: Option<u32>) -> bool {
        let begin = |open: u32| (open < connections_max.unwrap_or(u32::MAX)).then(|| open + 1);
        Count::update(&self.connections, begin)
    }

    /// A connection that began has ended.
    pub fn end_connection(&self) {
        let ended = Count::update(&self.connections, |open| open.checked_sub(1));
        debug_assert!(ended, "a connection ended that never began");
    }

    /// Somebody waits for a connection to just this endpoint, until [`EndpointLoad::leave_connection`].
    pub fn want_connection(&self) {
        self.connections_wanted.fetch_add(1, Ordering::Relaxed);
    }

    /// Somebody who waited for a connection does so no more.
    pub fn leave_connection(&self) {
        let before = self.connections_wanted.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "who leaves has waited");
    }

    /// True if somebody waits for a connection to just this endpoint.
    pub fn is_connection_wanted(&self) -> bool {
        self.connections_wanted.load(Ordering::Relaxed) > 0
    }

    /// A request that began has ended.
    pub fn end(&self) {
        let before = self.active.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "a request ended that never began");
    }

    pub(super) fn average(&self) -> &Average {
        &self.average
    }
}
