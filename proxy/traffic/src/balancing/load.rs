//! What one endpoint is doing, counted by all workers.

use super::ewma::Average;
use std::sync::atomic::{AtomicU32, Ordering};

/// Active requests of one endpoint, and what it costs where that is observed: process-wide, kept across configurations,
/// alone on its cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct EndpointLoad {
    active: AtomicU32,
    average: Average,
}

impl EndpointLoad {
    /// An endpoint without requests.
    pub const fn new() -> EndpointLoad {
        EndpointLoad {
            active: AtomicU32::new(0),
            average: Average::new(),
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

    /// A request that began has ended.
    pub fn end(&self) {
        let before = self.active.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "a request ended that never began");
    }

    pub(super) fn average(&self) -> &Average {
        &self.average
    }
}
