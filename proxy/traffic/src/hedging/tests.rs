use super::*;
use std::sync::Arc;
use std::thread;

const MILLI: Duration = Duration::from_millis(1);

#[test]
fn a_bucket_ends_at_most_a_sixteenth_above_what_it_holds() {
    let mut last = 0;
    for micros in (0..20_000).chain((20_000..70_000_000).step_by(997)) {
        let place = bucket_of(micros);
        assert!(place >= last && place < BUCKETS, "{micros}");
        last = place;
        let end = end_of(place);
        assert!(end > micros, "{micros} in a bucket that ends at {end}");
        assert!(end - micros <= (micros / 16).max(1), "{micros}: {end}");
    }
    assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
}

#[test]
fn a_quantile_is_there_once_enough_was_seen_and_follows_the_latest() {
    let times = HeadTimes::default();
    for sample in 1..HEDGE_SAMPLES_MIN {
        times.record(MILLI * (sample % 100), 95_000);
        assert_eq!(times.quantile(), None, "after {sample}");
    }
    times.record(MILLI * 99, 95_000);
    let learnt = times.quantile().unwrap();
    // Of 1 to 99 ms, and 99 once more: the 95th of 100.
    assert!(
        learnt >= MILLI * 95 && learnt <= MILLI * 95 * 17 / 16,
        "{learnt:?}"
    );
    // Everything becomes slower: after two windows nothing of before counts.
    for _ in 0..2 * HEAD_TIMES_WINDOW {
        times.record(MILLI * 400, 95_000);
    }
    let now = times.quantile().unwrap();
    assert!(now >= MILLI * 400 && now <= MILLI * 400 * 17 / 16, "{now:?}");
    // And quick again.
    for _ in 0..2 * HEAD_TIMES_WINDOW {
        times.record(MILLI, 95_000);
    }
    assert!(times.quantile().unwrap() <= MILLI * 17 / 16);
}

#[test]
fn few_slow_requests_do_not_move_a_quantile_that_lies_below_them() {
    let times = HeadTimes::default();
    for sample in 0..1000 {
        times.record(if sample % 25 == 0 { MILLI * 200 } else { MILLI }, 95_000);
    }
    assert!(times.quantile().unwrap() < MILLI * 2);
    for sample in 0..3000 {
        times.record(if sample % 10 == 0 { MILLI * 200 } else { MILLI }, 95_000);
    }
    assert!(times.quantile().unwrap() >= MILLI * 200);
}

#[test]
fn hedges_are_their_share_of_requests_and_no_more() {
    for percent in [1, 7, 10, 100] {
        let cap = HedgeCap::default();
        let (mut requests, mut hedges) = (0, 0);
        for _ in 0..5000 {
            cap.begin_request();
            requests += 1;
            if cap.begin_hedge(percent) {
                hedges += 1;
            }
            assert!(
                hedges * 100 <= requests * percent,
                "{hedges} of {requests} at {percent} %"
            );
            // Until the counts are halved for the first time, not one fewer than there may be.
            if requests < HEDGE_CAP_REQUESTS {
                assert_eq!(hedges, requests * percent / 100, "{percent} % of {requests}");
            }
        }
        let least = 5000 * percent / 100 - 5000 / (HEDGE_CAP_REQUESTS / 2) - 1;
        assert!(hedges >= least, "{hedges} at {percent} %");
    }
}

#[test]
fn what_a_quiet_time_saves_is_bounded() {
    let cap = HedgeCap::default();
    for _ in 0..1_000_000 {
        cap.begin_request();
    }
    let begun = (0..10_000).filter(|_| cap.begin_hedge(10)).count();
    assert!(begun <= (HEDGE_CAP_REQUESTS / 10) as usize, "{begun}");
    assert!(begun >= (HEDGE_CAP_REQUESTS / 20) as usize, "{begun}");
    cap.give_back();
    assert!(cap.begin_hedge(10));
    assert!(!cap.begin_hedge(10));
}

#[test]
fn the_share_is_exact_whoever_asks_at_once() {
    let cap = Arc::new(HedgeCap::default());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let cap = Arc::clone(&cap);
            thread::spawn(move || {
                let mut hedges = 0;
                for _ in 0..200 {
                    cap.begin_request();
                    hedges += u32::from(cap.begin_hedge(10));
                }
                hedges
            })
        })
        .collect();
    let mut hedges: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    while cap.begin_hedge(10) {
        hedges += 1;
    }
    assert_eq!(hedges, 80);
}
