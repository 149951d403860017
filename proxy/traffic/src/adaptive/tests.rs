use super::*;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Envoy's defaults, and the intervals of its documentation's example.
const SETTINGS: AdaptiveSettings = AdaptiveSettings {
    quantile_percent: 50,
    update_interval: Duration::from_millis(100),
    concurrency_max: 1000,
    concurrency_min: 3,
    min_rtt_interval: Duration::from_secs(60),
    min_rtt_requests: 50,
    jitter_percent: 10,
    buffer_percent: 25,
};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Has `count` requests answered that began at `began` and took `time` each.
fn serve(limit: &AdaptiveLimit, began: Duration, time: Duration, count: u32) {
    for _ in 0..count {
        limit.answered(began, began + time, 0);
    }
}

/// A limit whose minimum was measured as 10 ms, at 10 ms.
fn measured(settings: AdaptiveSettings) -> AdaptiveLimit {
    let limit = AdaptiveLimit::new(settings, Duration::ZERO);
    serve(&limit, Duration::ZERO, ms(10), settings.min_rtt_requests);
    assert!(!limit.state().measuring);
    limit
}

/// Begins and ends a request, so that what is due is done.
fn touch(limit: &AdaptiveLimit, now: Duration) {
    if limit.try_begin(now, 0) {
        limit.end();
    }
}

#[test]
fn the_documented_arithmetic() {
    // minRTT, sampleRTT, old limit: `gradient = (minRTT + B) / sampleRTT` with B a quarter of minRTT, the gradient
    // between 0.5 and 2, `limit_new = gradient × limit_old + headroom`, the headroom the root of the first part.
    for (min_rtt, sample_rtt, old, new) in [
        // As fast as ever: 1.25 × 100 + √125.
        (1_000, 1_000, 100, 136),
        // As slow as the buffer allows: the gradient is 1, and the limit grows by the headroom alone.
        (1_000, 1_250, 100, 110),
        // Twice as slow: 0.625 × 100 + √62.5.
        (1_000, 2_000, 100, 70),
        // However slow, half: 50 + √50.
        (1_000, 1_000_000, 100, 57),
        // However fast, double: 200 + √200.
        (1_000, 1, 100, 214),
        // Within the bounds.
        (1_000, 1_000, 900, 1000),
        (1_000, 9_000, 3, 3),
        (1_000, 1_000, 3, 5),
    ] {
        let found = next_limit(old, min_rtt, sample_rtt, &SETTINGS);
        assert_eq!(found, new, "{min_rtt}, {sample_rtt}, {old}");
    }
    let no_buffer = AdaptiveSettings {
        buffer_percent: 0,
        ..SETTINGS
    };
    assert_eq!(next_limit(100, 1_000, 1_250, &no_buffer), 88);
}

#[test]
fn jitter_only_ever_adds() {
    for (percent, random, expected) in [
        (0, u64::MAX, 60_000),
        (10, 0, 60_000),
        (10, u64::MAX / 2, 62_999),
        (10, u64::MAX, 65_999),
        (100, u64::MAX, 119_999),
    ] {
        let found = with_jitter(ms(60_000), percent, random);
        assert_eq!(found.as_millis(), expected, "{percent}, {random}");
    }
}

#[test]
fn the_minimum_is_measured_first_at_the_lowest_limit() {
    let limit = AdaptiveLimit::new(SETTINGS, Duration::ZERO);
    let begun = (0..10).filter(|_| limit.try_begin(ms(1), 0)).count();
    assert_eq!(begun, 3);
    serve(&limit, ms(1), ms(10), 49);
    assert!(limit.state().measuring && limit.state().min_rtt.is_none());
    serve(&limit, ms(1), ms(10), 1);
    let state = limit.state();
    assert!(!state.measuring);
    let min_rtt = state.min_rtt.expect("measured").as_secs_f64();
    assert!((min_rtt - 0.010).abs() < 0.010 / 64.0);
    assert_eq!((state.limit, state.active), (3, 3));
}

#[test]
fn the_limit_moves_once_an_interval_by_whoever_comes_first() {
    let limit = measured(SETTINGS);
    serve(&limit, ms(50), ms(10), 20);
    touch(&limit, ms(109));
    assert_eq!(limit.state().limit, 3, "the interval is not over");
    touch(&limit, ms(110));
    // 1.25 × 3 + √3.75
    assert_eq!(limit.state().limit, 5);
    touch(&limit, ms(111));
    assert_eq!(limit.state().limit, 5);
    // Nothing was answered in the next interval: nothing is known.
    touch(&limit, ms(300));
    assert_eq!(limit.state().limit, 5);
    serve(&limit, ms(310), ms(40), 20);
    touch(&limit, ms(400));
    // 0.5 × 5 + √2.5
    assert_eq!(limit.state().limit, 4);
}

#[test]
fn the_minimum_is_measured_again_and_the_limit_of_before_comes_back() {
    let limit = measured(SETTINGS);
    let mut now = ms(10);
    while limit.state().limit < 100 {
        serve(&limit, now, ms(10), 10);
        now += ms(100);
        touch(&limit, now);
    }
    let before = limit.state().limit;
    // 60 s after the first; the random part was none.
    touch(&limit, ms(60_009));
    assert!(!limit.state().measuring);
    touch(&limit, ms(60_200));
    let state = limit.state();
    assert!(state.measuring);
    assert_eq!(state.limit, 3);
    // What began before does not count, however fast it was.
    serve(&limit, ms(60_100), ms(1), 500);
    assert!(limit.state().measuring);
    serve(&limit, ms(60_200), ms(20), 50);
    let state = limit.state();
    assert!(!state.measuring);
    assert_eq!(state.limit, before);
    let min_rtt = state.min_rtt.expect("measured").as_secs_f64();
    assert!((min_rtt - 0.020).abs() < 0.020 / 64.0);
}

#[test]
fn five_intervals_at_the_lowest_limit_measure_the_minimum_anew() {
    let limit = measured(SETTINGS);
    let mut now = ms(10);
    for interval in 1..=5 {
        assert!(!limit.state().measuring, "after {} intervals", interval - 1);
        serve(&limit, now, ms(500), 5);
        now += ms(100);
        touch(&limit, now);
        assert_eq!(limit.state().limit, 3);
    }
    assert!(limit.state().measuring);
    // The upstream is slower than it was, for good: from now on that is the minimum, and the limit can grow again.
    serve(&limit, now, ms(500), 50);
    for _ in 0..3 {
        serve(&limit, now, ms(500), 5);
        now += ms(1000);
        touch(&limit, now);
    }
    assert!(limit.state().limit > 5, "{:?}", limit.state());
}

#[test]
fn threads_take_each_step_once_and_never_exceed_the_limit() {
    let limit = measured(SETTINGS);
    let active = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let (limit, active) = (&limit, &active);
            scope.spawn(move || {
                for turn in 0..20_000u64 {
                    let now = Duration::from_micros(10_000 + turn * 50);
                    if limit.try_begin(now, thread) {
                        assert!(active.fetch_add(1, Ordering::SeqCst) < SETTINGS.concurrency_max);
                        limit.answered(now, now + ms(10), thread);
                        active.fetch_sub(1, Ordering::SeqCst);
                        limit.end();
                    }
                }
            });
        }
    });
    let state = limit.state();
    assert_eq!(state.active, 0);
    // A second of intervals, each as fast as the first: 3, 5, 8, 13, 20, 30, 43, 61, 84, 115 and so on; a step that was
    // taken twice would be far beyond.
    assert!((50..=214).contains(&state.limit), "{state:?}");
}

/// A server that does `WORKERS` things at a time, each in `SERVICE`, and lets what comes beyond that wait its turn: its
/// knee.
const WORKERS: usize = 40;
const SERVICE: Duration = ms(10);
/// Who waits longer has gone.
const PATIENCE: Duration = ms(100);

/// What `seconds` of `overload` times what the server can do come to: requests answered in time, in percent of what the
/// server can do in the second half, and the limits seen there.
fn simulate(limit: Option<&AdaptiveLimit>, overload: u64, seconds: u64) -> (u64, Vec<u32>) {
    let per_second = WORKERS as u64 * 1_000_000 / SERVICE.as_micros() as u64;
    let gap = Duration::from_nanos(1_000_000_000 / (per_second * overload));
    let (mut running, mut waiting) = (BinaryHeap::new(), VecDeque::new());
    let (mut good, mut limits) = (0, Vec::new());
    let half = Duration::from_secs(seconds / 2);
    let mut now = Duration::ZERO;
    let mut random = 7u64;
    while now < Duration::from_secs(seconds) {
        now += gap;
        while let Some(&Reverse((ends, began))) = running.peek() {
            if ends > now {
                break;
            }
            running.pop();
            if let Some(limit) = limit {
                limit.answered(began, ends, random);
                limit.end();
            }
            good += u64::from(ends > half && ends - began <= PATIENCE);
            if let Some(began) = waiting.pop_front() {
                running.push(Reverse((ends + SERVICE, began)));
            }
        }
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        if limit.is_none_or(|limit| limit.try_begin(now, random)) {
            if running.len() < WORKERS {
                running.push(Reverse((now + SERVICE, now)));
            } else {
                waiting.push_back(now);
            }
        }
        if let Some(limit) = limit
            && now > half
            && !limit.state().measuring
        {
            limits.push(limit.state().limit);
        }
    }
    (good * 100 / (per_second * (seconds - seconds / 2)), limits)
}

#[test]
fn at_four_times_what_a_server_can_do_goodput_stays_at_its_peak() {
    let (without, _) = simulate(None, 4, 20);
    assert_eq!(without, 0, "without a limit nobody is answered in time");
    let limit = AdaptiveLimit::new(SETTINGS, Duration::ZERO);
    let (good, limits) = simulate(Some(&limit), 4, 20);
    assert!(good >= 95, "{good} % of the peak");
    // The gradient is 1 where the response time is 1.25 times the least; the headroom is some more.
    let (least, most) = (limits.iter().min(), limits.iter().max());
    assert!(least >= Some(&40) && most <= Some(&80), "{least:?} to {most:?}");
}

#[test]
fn below_what_a_server_can_do_nothing_is_refused() {
    let settings = AdaptiveSettings {
        min_rtt_requests: 5,
        ..SETTINGS
    };
    let limit = AdaptiveLimit::new(settings, Duration::ZERO);
    let (good, limits) = simulate(Some(&limit), 1, 10);
    assert!(good >= 97, "{good} %");
    assert!(limits.iter().all(|limit| *limit >= 40));
}
