//! The retry budget: how many retries of a cluster may be under way at once, and how many of late there may be.
//!
//! Two bounds, since each lets through what the other stops:
//! * at once: a share of the cluster's active and pending requests (Envoy's `retry_budget`). Against an upstream that
//!   fails at once hardly a retry is ever under way, and this alone would allow nearly every request to be repeated;
//! * recently: of the retries begun in the last ten seconds no more than that share of the requests
//!   begun in them. So one layer adds no more than its share, however fast it is failed.
//!
//! Retries of what never left for an endpoint, because no connection came about, count for the first bound alone: they add
//! nothing to what upstreams are asked, and a cluster of which half is gone can do with the other half.
//!
//! Both always allow a small number. Process-wide, exact, without a lock: retries that have begun and those that are under
//! way are one word, and what may begin is decided by the value that is exchanged.

mod window;

#[cfg(test)]
mod tests;

use outrigger_config::model::RetryBudgetOptions;
use outrigger_config::model::defaults::RETRY_BUDGET_MIN_RECENT;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use window::RetryWindow;

/// What of its requests a cluster's retries may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Retries in proportion to requests.
    pub percent: u32,
    /// Retries under way that are always allowed.
    pub at_once_min: u32,
    /// Retries of the last ten seconds that are always allowed.
    pub recent_min: u32,
    /// The attempt before may have been seen by an endpoint: its retry counts among those of the last ten seconds.
    pub was_sent: bool,
}

impl From<RetryBudgetOptions> for Allowance {
    fn from(options: RetryBudgetOptions) -> Allowance {
        Allowance {
            percent: options.percent(),
            at_once_min: options.concurrency_min(),
            recent_min: match options.concurrency_min() {
                0 => 0,
                min => min.max(RETRY_BUDGET_MIN_RECENT),
            },
            was_sent: true,
        }
    }
}

impl Allowance {
    /// This, lowered to what a believed peer leaves of it: never more, and nothing at all for 0 percent.
    #[must_use]
    pub fn lowered_to(self, percent: u32) -> Allowance {
        match percent {
            0 => Allowance {
                percent: 0,
                at_once_min: 0,
                recent_min: 0,
                ..self
            },
            percent => Allowance {
                percent: self.percent.min(percent),
                ..self
            },
        }
    }

    /// How many retries may be under way beside this many active and pending requests: Envoy's formula, rounded down.
    pub fn at_once(self, requests: u32) -> u32 {
        self.share(requests).max(self.at_once_min)
    }

    /// How many of the retries of the last ten seconds there may be beside this many requests of them.
    pub fn recent(self, requests: u32) -> u32 {
        self.share(requests).max(self.recent_min)
    }

    fn share(self, requests: u32) -> u32 {
        let share = u64::from(requests) * u64::from(self.percent) / 100;
        u32::try_from(share).unwrap_or(u32::MAX)
    }
}

/// A cluster's requests, as its retries are measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestCounts {
    /// Active and pending, those that are retried included.
    pub active: u32,
    /// Begun since the beginning; wraps around.
    pub begun: u32,
}

/// Which bound does not allow a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RetryDenial {
    /// Too many are under way.
    AtOnce,
    /// Too many have begun in the last seconds.
    Recent,
}

/// What the budget needs of an atomic word; a trait so that a model checker's words can take their place.
pub(crate) trait Word {
    fn load(&self, ordering: Ordering) -> u64;
    fn exchange(&self, current: u64, new: u64) -> Result<u64, u64>;
    fn subtract(&self, value: u64) -> u64;
}

impl Word for AtomicU64 {
    fn load(&self, ordering: Ordering) -> u64 {
        self.load(ordering)
    }

    fn exchange(&self, current: u64, new: u64) -> Result<u64, u64> {
        self.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire)
    }

    fn subtract(&self, value: u64) -> u64 {
        self.fetch_sub(value, Ordering::AcqRel)
    }
}

/// Bounds the retries of one cluster. Alone on its cache lines.
#[derive(Debug)]
pub struct RetryBudget(Budget<AtomicU64>);

#[derive(Debug)]
#[repr(align(64))]
struct Budget<W> {
    /// Retries begun since the beginning (high half; wraps around), and those under way, backoff included.
    retries: W,
    window: RetryWindow<W>,
}

/// Retries begun, and under way.
fn halves(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

impl<W: Word> Budget<W> {
    fn new(mut word: impl FnMut() -> W) -> Budget<W> {
        Budget {
            retries: word(),
            window: RetryWindow::new(word),
        }
    }

    fn try_begin(
        &self,
        allowance: Allowance,
        requests: RequestCounts,
        now: Duration,
    ) -> Result<(), RetryDenial> {
        let at_once = allowance.at_once(requests.active);
        self.window.observe_requests(now, requests.begun);
        let mut word = self.retries.load(Ordering::Acquire);
        loop {
            let (begun, under_way) = halves(word);
            if under_way >= at_once {
                return Err(RetryDenial::AtOnce);
            }
            if allowance.was_sent {
                self.window.observe_retries(now, begun);
                let recent = allowance.recent(self.window.requests(now, requests.begun));
                if self.window.retries(now, begun) >= recent {
                    return Err(RetryDenial::Recent);
                }
            }
            let begun = begun.wrapping_add(u32::from(allowance.was_sent));
            let next = u64::from(begun) << 32 | u64::from(under_way + 1);
            match self.retries.exchange(word, next) {
                Ok(_) => return Ok(()),
                Err(other) => word = other,
            }
        }
    }

    fn end(&self) {
        let before = self.retries.subtract(1);
        debug_assert!(halves(before).1 > 0, "a retry ended that never began");
    }
}

impl RetryBudget {
    /// A request in this many is to be told of by [`RetryBudget::observe`].
    pub const OBSERVED_EVERY: u32 = 8;

    /// A budget of which nothing is used.
    pub fn new() -> RetryBudget {
        RetryBudget(Budget::new(|| AtomicU64::new(0)))
    }

    /// Retries that have begun and not ended.
    pub fn active(&self) -> u32 {
        halves(self.0.retries.load(Ordering::Relaxed)).1
    }

    /// Retries and requests of the last seconds, as the window sees them.
    pub fn recent(&self, requests_begun: u32, now: Duration) -> (u32, u32) {
        let (begun, _) = halves(self.0.retries.load(Ordering::Acquire));
        let requests = self.0.window.requests(now, requests_begun);
        (self.0.window.retries(now, begun), requests)
    }

    /// Notes how many requests have begun by `now` (any epoch, the same for each call). To be told of one request in
    /// [`RetryBudget::OBSERVED_EVERY`]: the window then misses fewer than that many, and never counts one too many.
    pub fn observe(&self, requests_begun: u32, now: Duration) {
        self.0.window.observe_requests(now, requests_begun);
    }

    /// Begins a retry if both bounds allow one more. `Ok` must be followed by [`RetryBudget::end`], however the retry ends.
    pub fn try_begin(
        &self,
        allowance: Allowance,
        requests: RequestCounts,
        now: Duration,
    ) -> Result<(), RetryDenial> {
        self.0.try_begin(allowance, requests, now)
    }

    /// A retry that began has ended.
    pub fn end(&self) {
        self.0.end();
    }
}

impl Default for RetryBudget {
    fn default() -> RetryBudget {
        RetryBudget::new()
    }
}
