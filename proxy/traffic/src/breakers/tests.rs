use super::*;
use loom::sync::Arc;
use loom::sync::atomic::AtomicU32 as LoomU32;
use outrigger_config::model::{CircuitBreakers, RoutePriority};

impl Count for LoomU32 {
    fn new(value: u32) -> LoomU32 {
        LoomU32::new(value)
    }
    fn load(&self) -> u32 {
        LoomU32::load(self, Ordering::Relaxed)
    }
    fn store(&self, value: u32) {
        LoomU32::store(self, value, Ordering::Relaxed);
    }
    fn update(&self, change: impl FnMut(u32) -> Option<u32>) -> bool {
        self.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change)
            .is_ok()
    }
}

/// Runs threads that each begin and end once, and counts beside the breaker how many are in use at once. More than two
/// threads are switched between twice at most where they need not wait: every interleaving would take minutes.
fn contend(limit: u32, threads: usize) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = (threads > 2).then_some(2);
    model.check(move || {
        let breaker: Arc<Breaker<LoomU32>> = Arc::new(Breaker::new(limit));
        // Not one of the model's: looking must not add interleavings.
        let in_use = std::sync::Arc::new(AtomicU32::new(0));
        let work = move |breaker: &Breaker<LoomU32>, in_use: &AtomicU32| {
            if let Some(permit) = breaker.permit() {
                assert!(in_use.fetch_add(1, Ordering::SeqCst) < limit, "above the limit");
                loom::thread::yield_now();
                in_use.fetch_sub(1, Ordering::SeqCst);
                drop(permit);
            }
        };
        let others: Vec<_> = (1..threads)
            .map(|_| {
                let (breaker, in_use) = (Arc::clone(&breaker), std::sync::Arc::clone(&in_use));
                loom::thread::spawn(move || work(&breaker, &in_use))
            })
            .collect();
        work(&breaker, &in_use);
        for other in others {
            other.join().expect("the model holds");
        }
        assert_eq!(breaker.active(), 0, "a permit was lost");
    });
}

#[test]
fn loom_never_more_than_the_limit_and_none_is_lost() {
    contend(1, 2);
    contend(1, 3);
    contend(2, 3);
}

#[test]
fn loom_none_is_refused_while_there_is_room() {
    loom::model(|| {
        let breaker: Arc<Breaker<LoomU32>> = Arc::new(Breaker::new(2));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let breaker = Arc::clone(&breaker);
                loom::thread::spawn(move || breaker.try_begin())
            })
            .collect();
        for other in others {
            assert!(other.join().expect("the model holds"), "refused below the limit");
        }
        assert!(!breaker.try_begin() && breaker.is_open());
    });
}

#[test]
fn loom_a_limit_that_is_lowered_meanwhile_holds_for_who_comes_after() {
    loom::model(|| {
        let breaker: Arc<Breaker<LoomU32>> = Arc::new(Breaker::new(2));
        assert!(breaker.try_begin());
        let other = {
            let breaker = Arc::clone(&breaker);
            loom::thread::spawn(move || {
                let begun = breaker.try_begin();
                breaker.end();
                begun
            })
        };
        breaker.set_limit(0);
        // Whatever the other found, nothing begins from here on.
        assert!(!breaker.try_begin());
        let begun = other.join().expect("the model holds");
        assert_eq!(breaker.active(), u32::from(begun));
    });
}

#[test]
fn loom_what_may_go_above_the_limit_is_counted_as_well() {
    loom::model(|| {
        let breaker: Arc<Breaker<LoomU32>> = Arc::new(Breaker::new(1));
        let other = {
            let breaker = Arc::clone(&breaker);
            loom::thread::spawn(move || breaker.begin_anyway())
        };
        let begun = breaker.try_begin();
        other.join().expect("the model holds");
        assert_eq!(breaker.active(), 1 + u32::from(begun));
        assert!(!breaker.try_begin());
    });
}

#[test]
fn capacity_follows_the_limit_and_what_is_in_use() {
    let breaker: Breaker = Breaker::new(2);
    let first = breaker.permit();
    assert!(first.is_some());
    assert_eq!((breaker.remaining(), breaker.is_open()), (1, false));
    let second = breaker.permit();
    assert!(breaker.permit().is_none());
    assert_eq!((breaker.remaining(), breaker.is_open()), (0, true));
    breaker.set_limit(1);
    drop(second);
    assert!(
        breaker.permit().is_none(),
        "one is still in use, and one is the limit"
    );
    breaker.set_limit(3);
    assert_eq!(breaker.remaining(), 2);
    drop(first);
    assert_eq!((breaker.active(), breaker.remaining()), (0, 3));
    breaker.set_limit(0);
    assert!(breaker.permit().is_none() && breaker.is_open());
}

#[test]
fn priorities_do_not_share_and_other_limits_lose_no_count() {
    // Envoy's defaults (`config.cluster.v3.CircuitBreakers.Thresholds`).
    let breakers = ClusterBreakers::default();
    for priority in [RoutePriority::Default, RoutePriority::High] {
        for kind in BreakerKind::ALL {
            assert_eq!(breakers.of(priority).kind(kind).limit(), 1024, "{kind:?}");
        }
    }
    let default = breakers.of(RoutePriority::Default);
    default.requests().set_limit(1);
    assert!(default.requests().try_begin() && !default.requests().try_begin());
    assert!(breakers.of(RoutePriority::High).requests().try_begin());
    assert_eq!(breakers.requests_active(), 2);
    breakers.apply(&CircuitBreakers::default());
    assert_eq!(default.requests().active(), 1);
    assert_eq!(default.requests().remaining(), 1023);
}
