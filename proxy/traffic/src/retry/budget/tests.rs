use super::*;
use std::sync::Barrier;
use std::sync::atomic::AtomicU32;

const DEFAULT: Allowance = Allowance {
    percent: 20,
    at_once_min: 3,
    recent_min: 10,
    was_sent: true,
};

const NOTHING: Allowance = Allowance {
    percent: 0,
    at_once_min: 0,
    recent_min: 0,
    was_sent: true,
};

fn at(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn counts(active: u32, begun: u32) -> RequestCounts {
    RequestCounts { active, begun }
}

#[test]
fn the_limit_is_a_share_but_never_below_the_minimum() {
    // Envoy's `RetryBudget`: `max(budget_percent * (active + pending), min_retry_concurrency)`.
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
    assert_eq!(Allowance::from(RetryBudgetOptions::default()), DEFAULT);
    for (requests, limit) in cases {
        assert_eq!(DEFAULT.at_once(requests), limit, "{requests}");
        assert_eq!(DEFAULT.recent(requests), limit.max(10), "{requests}");
    }
    let all = Allowance {
        percent: u32::MAX,
        ..NOTHING
    };
    assert_eq!(all.at_once(u32::MAX), u32::MAX);
}

#[test]
fn an_ended_retry_makes_room_for_another() {
    let budget = RetryBudget::new();
    // Plenty have begun in this second: only what is under way counts.
    budget.observe(0, at(0.0));
    let try_begin = |active| budget.try_begin(DEFAULT, counts(active, 1000), at(0.5));
    for _ in 0..3 {
        assert_eq!(try_begin(0), Ok(()));
    }
    assert_eq!(try_begin(0), Err(RetryDenial::AtOnce));
    assert_eq!(try_begin(20), Ok(()), "more requests, more budget");
    budget.end();
    assert_eq!(
        try_begin(0),
        Err(RetryDenial::AtOnce),
        "the budget shrinks with the requests"
    );
    budget.end();
    assert_eq!(try_begin(0), Ok(()));
    assert_eq!(budget.active(), 3);
}

#[test]
fn a_budget_of_nothing_allows_nothing() {
    let refused = RetryBudget::new().try_begin(NOTHING, counts(1000, 1000), at(0.0));
    assert_eq!(refused, Err(RetryDenial::AtOnce));
}

#[test]
fn what_never_left_for_an_endpoint_counts_at_once_and_not_among_the_last() {
    let budget = RetryBudget::new();
    let unsent = Allowance {
        was_sent: false,
        ..DEFAULT
    };
    for _ in 0..1000 {
        assert_eq!(budget.try_begin(unsent, counts(1, 1), at(1.0)), Ok(()));
        budget.end();
    }
    assert_eq!(budget.recent(1000, at(1.0)).0, 0);
    for _ in 0..3 {
        assert_eq!(budget.try_begin(unsent, counts(1, 1), at(1.0)), Ok(()));
    }
    assert_eq!(
        budget.try_begin(unsent, counts(1, 1), at(1.0)),
        Err(RetryDenial::AtOnce)
    );
}

/// An upstream that fails at once: no retry is ever under way beside another, and each request would be repeated.
#[test]
fn retries_that_end_at_once_are_a_share_of_the_requests_all_the_same() {
    let budget = RetryBudget::new();
    let (mut begun, mut retried) = (0u32, 0u32);
    for tick in 0..6000 {
        let now = at(f64::from(tick) / 200.0);
        begun += 1;
        if begun.is_multiple_of(RetryBudget::OBSERVED_EVERY) {
            budget.observe(begun, now);
        }
        for _ in 0..2 {
            if budget.try_begin(DEFAULT, counts(1, begun), now).is_ok() {
                retried += 1;
                budget.end();
            }
        }
    }
    assert!(retried <= begun / 5, "{retried} retries of {begun} requests");
    assert!(
        retried >= begun / 5 - 20,
        "{retried}: most of the budget can be used"
    );
}

#[test]
fn what_has_begun_is_forgotten_after_ten_seconds() {
    let budget = RetryBudget::new();
    let three = Allowance {
        at_once_min: 3,
        recent_min: 3,
        ..NOTHING
    };
    let try_at = |seconds: f64| {
        let begun = budget.try_begin(three, counts(0, 0), at(seconds));
        if begun.is_ok() {
            budget.end();
        }
        begun.is_ok()
    };
    assert!(try_at(0.1) && try_at(0.2) && try_at(5.0));
    assert!(!try_at(5.5) && !try_at(9.9), "three in ten seconds");
    assert!(try_at(10.0) && try_at(10.1), "the first two have aged");
    assert!(!try_at(10.2) && !try_at(14.9));
    assert!(try_at(15.0));
    assert!(try_at(1000.0), "slots that are used again hold nothing of before");
    assert_eq!(budget.recent(0, at(1000.5)), (1, 0));
}

#[test]
fn totals_wrap_around() {
    let budget = RetryBudget::new();
    let before = u32::MAX - 50;
    budget.observe(before, at(0.0));
    let requests = counts(1000, before.wrapping_add(100));
    let mut retried = 0;
    while budget.try_begin(DEFAULT, requests, at(1.0)).is_ok() {
        retried += 1;
    }
    assert_eq!(retried, 20);
}

#[test]
fn threads_together_never_exceed_the_budget_and_can_use_all_of_it() {
    const THREADS: u32 = 8;
    let limit = Allowance {
        at_once_min: 5,
        recent_min: 5,
        ..NOTHING
    };
    let (budget, running) = (RetryBudget::new(), AtomicU32::new(0));
    let (start, attempted) = (Barrier::new(THREADS as usize), Barrier::new(THREADS as usize));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for round in 0..200 {
                    // All try at once, and all have tried before any ends: exactly the limit begins. Each round is a
                    // window of its own.
                    let now = Duration::from_secs(round * 20);
                    start.wait();
                    let begun = budget.try_begin(limit, counts(0, 0), now).is_ok();
                    running.fetch_add(u32::from(begun), Ordering::SeqCst);
                    attempted.wait();
                    assert_eq!(running.load(Ordering::SeqCst), limit.at_once_min);
                    start.wait();
                    if begun {
                        running.fetch_sub(1, Ordering::SeqCst);
                        budget.end();
                    }
                    attempted.wait();
                }
            });
        }
    });
    assert_eq!(budget.active(), 0);
}

impl Word for loom::sync::atomic::AtomicU64 {
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

/// Every interleaving, and every stale read that the memory model allows.
#[test]
fn no_interleaving_begins_more_than_the_window_allows() {
    let limit = Allowance {
        at_once_min: 1,
        recent_min: 1,
        ..NOTHING
    };
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let budget = loom::sync::Arc::new(Budget::new(|| loom::sync::atomic::AtomicU64::new(0)));
        let threads: Vec<_> = (0..2)
            .map(|thread| {
                let budget = loom::sync::Arc::clone(&budget);
                // Their clocks are a second apart, and each ends at once: what is under way stops nobody.
                let now = Duration::from_secs(thread);
                loom::thread::spawn(move || {
                    let begun = budget.try_begin(limit, counts(0, 0), now);
                    if begun.is_ok() {
                        budget.end();
                    }
                    u32::from(begun.is_ok())
                })
            })
            .collect();
        let begun: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(begun, 1);
        assert_eq!(halves(budget.retries.load(Ordering::SeqCst)), (1, 0));
    });
}
