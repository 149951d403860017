//! The retry budget: how many retries of a cluster may run at once.

use outrigger_config::model::defaults;
use std::sync::atomic::{AtomicU32, Ordering};

/// Bounds the retries of one cluster that run (or wait in backoff) at the same time: to a share of its active and
/// pending requests, but never below a small number. Process-wide, exact, without a lock; alone on its cache line.
#[derive(Debug)]
#[repr(align(64))]
pub struct RetryBudget {
    active: AtomicU32,
    percent: u32,
    concurrency_min: u32,
}

impl RetryBudget {
    /// A budget of `percent` of the active requests, and of `concurrency_min` retries at least.
    pub const fn new(percent: u32, concurrency_min: u32) -> RetryBudget {
        RetryBudget {
            active: AtomicU32::new(0),
            percent,
            concurrency_min,
        }
    }

    /// Retries that have begun and not ended.
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// How many retries may be active beside this many active and pending requests (retries included): Envoy's
    /// formula, rounded down.
    pub fn limit(&self, active_requests: u32) -> u32 {
        let share = u64::from(active_requests) * u64::from(self.percent) / 100;
        u32::try_from(share).unwrap_or(u32::MAX).max(self.concurrency_min)
    }

    /// Begins a retry if the budget allows one more, given the cluster's active and pending requests. `true` must be
    /// followed by [`RetryBudget::end`], however the retry ends.
    #[must_use]
    pub fn try_begin(&self, active_requests: u32) -> bool {
        let limit = self.limit(active_requests);
        let add = |active: u32| (active < limit).then(|| active + 1);
        self.active
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .is_ok()
    }

    /// A retry that began has ended.
    pub fn end(&self) {
        let before = self.active.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "a retry ended that never began");
    }
}

impl Default for RetryBudget {
    /// [`defaults::RETRY_BUDGET_PERCENT`] and [`defaults::RETRY_BUDGET_MIN_CONCURRENCY`].
    fn default() -> RetryBudget {
        RetryBudget::new(
            defaults::RETRY_BUDGET_PERCENT,
            defaults::RETRY_BUDGET_MIN_CONCURRENCY,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn the_limit_is_a_share_but_never_below_the_minimum() {
        let budget = RetryBudget::default();
        let cases = [
            (0, 3),
            (15, 3),
            (19, 3),
            (20, 4),
            (24, 4),
            (25, 5),
            (1000, 200),
            (u32::MAX, 858_993_459),
        ];
        for (active_requests, limit) in cases {
            assert_eq!(budget.limit(active_requests), limit, "{active_requests}");
        }
        assert_eq!(RetryBudget::new(u32::MAX, 0).limit(u32::MAX), u32::MAX);
        assert!(!RetryBudget::new(0, 0).try_begin(1000));
    }

    #[test]
    fn an_ended_retry_makes_room_for_another() {
        let budget = RetryBudget::new(20, 2);
        assert!(budget.try_begin(0) && budget.try_begin(0) && !budget.try_begin(0));
        assert!(budget.try_begin(15), "more requests, more budget");
        budget.end();
        assert!(!budget.try_begin(0), "the budget shrinks with the requests");
        budget.end();
        assert!(budget.try_begin(0));
        assert_eq!(budget.active(), 2);
    }

    #[test]
    fn threads_together_never_exceed_the_budget_and_can_use_all_of_it() {
        const THREADS: u32 = 8;
        const LIMIT: u32 = 5;
        let (budget, running) = (RetryBudget::new(0, LIMIT), AtomicU32::new(0));
        let (start, attempted) = (Barrier::new(THREADS as usize), Barrier::new(THREADS as usize));
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..200 {
                        // All try at once, and all have tried before any ends: exactly the limit begins.
                        start.wait();
                        let begun = budget.try_begin(0);
                        running.fetch_add(u32::from(begun), Ordering::SeqCst);
                        attempted.wait();
                        assert_eq!(running.load(Ordering::SeqCst), LIMIT);
                        start.wait();
                        if begun {
                            running.fetch_sub(1, Ordering::SeqCst);
                            budget.end();
                        }
                        attempted.wait();
                    }
                    for _ in 0..20_000 {
                        if budget.try_begin(0) {
                            assert!(running.fetch_add(1, Ordering::SeqCst) < LIMIT);
                            running.fetch_sub(1, Ordering::SeqCst);
                            budget.end();
                        }
                    }
                });
            }
        });
        assert_eq!(budget.active(), 0);
    }
}
