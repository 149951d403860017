//! Circuit breakers: how much of a cluster is in use at once, process-wide and exact.
//!
//! A [`Breaker`] is a count with a limit: what is begun is ended once, and in no interleaving of threads are more
//! begun than the limit allows, nor is one refused while there is room. It neither waits nor queues: who is refused is
//! told so, and what becomes of it is the caller's to decide.
//!
//! The counts are generic over their atomics only so that the tests can run them under loom, which tries every
//! interleaving.

mod cluster;
#[cfg(test)]
mod tests;
mod waiting;

pub use cluster::{BreakerKind, ClusterBreakers, PriorityBreakers};
pub use waiting::{WaitCount, WaitWord};

use std::sync::atomic::{AtomicU32, Ordering};

/// What a breaker asks of an atomic number.
pub trait Count: Send + Sync {
    /// A number of this value.
    fn new(value: u32) -> Self;
    /// Its value.
    fn load(&self) -> u32;
    /// Sets it.
    fn store(&self, value: u32);
    /// Changes it as `change` says, called again whenever another thread was quicker; false once `change` wants none.
    fn update(&self, change: impl FnMut(u32) -> Option<u32>) -> bool;
}

impl Count for AtomicU32 {
    #[inline]
    fn new(value: u32) -> AtomicU32 {
        AtomicU32::new(value)
    }

    #[inline]
    fn load(&self) -> u32 {
        AtomicU32::load(self, Ordering::Relaxed)
    }

    #[inline]
    fn store(&self, value: u32) {
        AtomicU32::store(self, value, Ordering::Relaxed);
    }

    #[inline]
    fn update(&self, change: impl FnMut(u32) -> Option<u32>) -> bool {
        self.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change)
            .is_ok()
    }
}

/// A count that does not go above its limit. The limit may change at any time: what is begun stays begun, and nothing
/// begins until enough has ended.
#[derive(Debug)]
pub struct Breaker<C = AtomicU32> {
    active: C,
    limit: C,
}

impl<C: Count> Breaker<C> {
    /// A breaker that allows `limit` at once.
    pub fn new(limit: u32) -> Breaker<C> {
        Breaker {
            active: C::new(0),
            limit: C::new(limit),
        }
    }

    /// Begins one if the limit allows it. `true` must be followed by one [`Breaker::end`], however it ends.
    #[must_use]
    #[inline]
    pub fn try_begin(&self) -> bool {
        self.active
            .update(|active| (active < self.limit.load()).then(|| active + 1))
    }

    /// Begins one whatever the limit says: for the few things that may go above it.
    pub fn begin_anyway(&self) {
        let begun = self.active.update(|active| active.checked_add(1));
        debug_assert!(begun, "nothing is counted four thousand million times");
    }

    /// One that was begun has ended.
    #[inline]
    pub fn end(&self) {
        let ended = self.active.update(|active| active.checked_sub(1));
        debug_assert!(ended, "what ends was begun");
    }

    /// Begins one, which ends when the permit is dropped.
    pub fn permit(&self) -> Option<Permit<'_, C>> {
        self.try_begin().then(|| Permit(self))
    }

    /// What is begun and has not ended.
    #[inline]
    pub fn active(&self) -> u32 {
        self.active.load()
    }

    /// What may be begun at once.
    pub fn limit(&self) -> u32 {
        self.limit.load()
    }

    /// Changes the limit, from now on.
    pub fn set_limit(&self, limit: u32) {
        self.limit.store(limit);
    }

    /// What may still begin; 0 where the limit is passed.
    pub fn remaining(&self) -> u32 {
        self.limit.load().saturating_sub(self.active.load())
    }

    /// True if nothing may begin: the breaker is open.
    pub fn is_open(&self) -> bool {
        self.remaining() == 0
    }
}

/// One that was begun; dropping it ends it.
#[derive(Debug)]
pub struct Permit<'b, C: Count = AtomicU32>(&'b Breaker<C>);

impl<C: Count> Drop for Permit<'_, C> {
    fn drop(&mut self) {
        self.0.end();
    }
}
