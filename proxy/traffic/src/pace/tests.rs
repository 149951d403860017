use super::*;
use proptest::prelude::*;

fn taken(bucket: &TokenBucket, at_milliseconds: u64, pace: &Pace, tries: usize) -> usize {
    let now = Duration::from_millis(at_milliseconds);
    (0..tries).filter(|_| bucket.take(now, pace).is_ok()).count()
}

fn per_second(tokens: u32, burst: u32) -> Pace {
    Pace::new(tokens, Duration::from_secs(1), burst)
}

#[test]
fn a_burst_at_first_and_then_the_rate() {
    let (bucket, pace) = (TokenBucket::new(), per_second(10, 5));
    assert_eq!(taken(&bucket, 0, &pace, 20), 5);
    assert_eq!(taken(&bucket, 99, &pace, 20), 0);
    assert_eq!(taken(&bucket, 100, &pace, 20), 1);
    assert_eq!(taken(&bucket, 350, &pace, 20), 2);
    // Idle for long, it holds its burst and no more.
    assert_eq!(taken(&bucket, 60_000, &pace, 20), 5);
}

#[test]
fn a_bucket_that_is_first_asked_late_is_full_and_one_of_zero_counts_as_one() {
    assert_eq!(taken(&TokenBucket::new(), 123_456, &per_second(3, 4), 10), 4);
    let (bucket, pace) = (TokenBucket::new(), per_second(0, 0));
    assert_eq!(taken(&bucket, 0, &pace, 10), 1);
    assert_eq!(taken(&bucket, 1_000, &pace, 10), 1);
}

#[test]
fn what_was_taken_stays_taken_at_another_pace() {
    let now = Duration::from_secs(5);
    let (small, large) = (per_second(1, 10), per_second(100, 50));
    let bucket = TokenBucket::new();
    for _ in 0..7 {
        bucket.take(now, &small).unwrap();
    }
    let grown = bucket.carried(now, &small, &large);
    assert_eq!(grown.left(now, &large), 43);
    assert_eq!(
        grown.left(now + Duration::from_millis(70), &large),
        50,
        "at the new rate"
    );
    let shrunk = grown.carried(now, &large, &per_second(1, 3));
    assert_eq!(shrunk.left(now, &per_second(1, 3)), 0);
    assert_eq!(
        shrunk.left(now + Duration::from_secs(1), &per_second(1, 3)),
        1,
        "no more debt than the bucket is deep"
    );
}

#[test]
fn a_clock_that_lags_takes_no_more() {
    let (bucket, pace) = (TokenBucket::new(), per_second(10, 2));
    assert_eq!(taken(&bucket, 1_000, &pace, 10), 2);
    assert_eq!(taken(&bucket, 900, &pace, 10), 0);
    assert_eq!(bucket.left(Duration::ZERO, &pace), 0);
}

#[test]
fn what_is_left_and_how_long_to_wait_is_told() {
    let (bucket, pace) = (TokenBucket::new(), Pace::new(3, Duration::from_secs(3600), 3));
    let left: Vec<_> = (0..3)
        .map(|_| bucket.take(Duration::ZERO, &pace).unwrap().left)
        .collect();
    assert_eq!(left, [2, 1, 0]);
    let wait = Duration::from_secs(1200);
    assert_eq!(bucket.take(Duration::ZERO, &pace), Err(wait));
    let later = bucket.look(Duration::from_secs(1), &pace).unwrap_err();
    assert!(
        later.abs_diff(wait - Duration::from_secs(1)) <= Duration::from_nanos(1),
        "{later:?}"
    );
    assert!(bucket.look(Duration::from_secs(1) + later, &pace).is_ok());
    // As long as was told, and not a nanosecond less.
    assert!(bucket.look(wait - Duration::from_nanos(1), &pace).is_err());
    assert!(bucket.take(wait, &pace).is_ok());
}

#[test]
fn nothing_drifts_at_any_rate_however_long() {
    let day = Duration::from_secs(86_400);
    // Tokens in an interval, and the interval: one a day, a million a second, and rates that no nanosecond divides.
    let rates = [
        (1, day),
        (1_000_000, Duration::from_secs(1)),
        (999_983, Duration::from_secs(1)),
        (7, Duration::from_secs(1)),
        (3, day),
        (4_294_967_291, day * 365),
    ];
    for (tokens, interval) in rates {
        let pace = Pace::new(tokens, interval, 1);
        // After any number of whole intervals exactly so many units have passed.
        for intervals in [1u32, 2, 1_000, 36_500] {
            let Some(time) = interval
                .checked_mul(intervals)
                .filter(|time| time.as_secs() < 86_400 * 36_500)
            else {
                continue;
            };
            let units = pace.at(time);
            assert_eq!(
                units,
                (u64::from(intervals) * u64::from(tokens)) << pace.shift,
                "{tokens} in {interval:?}, {intervals} times"
            );
        }
    }
}

#[test]
fn sizes_and_times_saturate() {
    for (tokens, interval, burst) in [
        (u32::MAX, Duration::from_millis(1), u32::MAX),
        (1, Duration::MAX, u32::MAX),
        (u32::MAX, Duration::MAX, 1),
        (1, Duration::ZERO, 1),
    ] {
        let (bucket, pace) = (TokenBucket::new(), Pace::new(tokens, interval, burst));
        for now in [Duration::ZERO, Duration::from_secs(1 << 33), Duration::MAX] {
            assert!(bucket.take(now, &pace).is_ok(), "{tokens} in {interval:?}");
            let _ = (bucket.look(now, &pace), bucket.left(Duration::ZERO, &pace));
            let _ = bucket.carried(now, &pace, &per_second(1, 1));
            let _ = TokenBucket::new().carried(now, &per_second(1, 1), &pace);
            bucket.full_at.store(0, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_token_goes_back_only_if_nobody_took_one_since() {
    let (bucket, pace) = (TokenBucket::new(), per_second(1, 3));
    let first = bucket.take(Duration::ZERO, &pace).unwrap();
    let second = bucket.take(Duration::ZERO, &pace).unwrap();
    assert!(!bucket.give_back(first), "another was taken since");
    assert!(bucket.give_back(second));
    assert!(bucket.give_back(first), "and that one went back");
    assert_eq!(taken(&bucket, 0, &pace, 10), 3);
}

#[test]
fn many_threads_take_exactly_what_there_is() {
    let (bucket, pace) = (TokenBucket::new(), per_second(7, 1_000));
    let sum: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| taken(&bucket, 500, &pace, 1_000)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(sum, 1_000);
}

/// A bucket as one would write it with fractions: its level times `interval`, so that all of it is whole numbers.
struct Naive {
    level: u128,
    at: u64,
    tokens: u128,
    interval: u128,
    burst: u128,
}

impl Naive {
    fn refill(&mut self, now: u64) {
        self.level += u128::from(now - self.at) * self.tokens;
        self.level = self.level.min(self.burst * self.interval);
        self.at = now;
    }
}

proptest! {
    /// What is decided is what fractions would decide, but for what comes back within a nanosecond.
    #[test]
    fn it_decides_as_fractions_would(
        tokens in 1u32..2_000_000,
        interval_milliseconds in 1u64..100_000,
        burst in 1u32..50,
        start in 0u64..1u64 << 60,
        steps in prop::collection::vec((0u64..4_000, 1u64..5), 1..200),
    ) {
        let interval = interval_milliseconds * 1_000_000;
        let pace = Pace::new(tokens, Duration::from_nanos(interval), burst);
        let tokens = u64::from(tokens).min(interval);
        let mut naive = Naive {
            level: u128::from(burst) * u128::from(interval),
            at: start,
            tokens: tokens.into(),
            interval: interval.into(),
            burst: burst.into(),
        };
        let bucket = TokenBucket::new();
        let mut now = start;
        for (step, tries) in steps {
            // Steps in proportion to the time that a token takes.
            now += u64::try_from(u128::from(step) * u128::from(interval) / u128::from(tokens) / 1_000).unwrap();
            naive.refill(now);
            for _ in 0..tries {
                let slack = naive.tokens;
                match bucket.take(Duration::from_nanos(now), &pace) {
                    Ok(_) => {
                        prop_assert!(naive.level + slack > naive.interval, "a token too many");
                        naive.level = naive.level.saturating_sub(naive.interval);
                    }
                    Err(wait) => {
                        prop_assert!(naive.level < naive.interval + slack, "a token too few");
                        let due = (naive.interval.saturating_sub(naive.level)) / naive.tokens;
                        let told = wait.as_nanos();
                        prop_assert!(told <= due + 3 && told + 3 >= due, "told {told}, due {due}");
                    }
                }
            }
        }
    }
}

impl Word for loom::sync::atomic::AtomicU64 {
    fn change(&self, change: impl Fn(u64) -> Option<u64>) -> Result<(u64, u64), u64> {
        let mut before = self.load(Ordering::Relaxed);
        loop {
            let after = change(before).ok_or(before)?;
            match self.compare_exchange(before, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok((before, after)),
                Err(other) => before = other,
            }
        }
    }
}

#[test]
fn in_no_interleaving_more_or_fewer_are_taken() {
    loom::model(|| {
        let pace = per_second(1, 3);
        let word = loom::sync::Arc::new(loom::sync::atomic::AtomicU64::new(0));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let word = loom::sync::Arc::clone(&word);
                loom::thread::spawn(move || (0..2).filter(|_| take(&*word, 0, &pace).is_ok()).count())
            })
            .collect();
        let sum: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(sum, 3);
    });
}

#[test]
fn in_no_interleaving_a_token_that_went_back_is_worth_more_than_one() {
    loom::model(|| {
        let pace = per_second(1, 2);
        let (start, later) = (pace.at(Duration::ZERO), pace.at(Duration::from_millis(1_500)));
        let word = loom::sync::Arc::new(loom::sync::atomic::AtomicU64::new(0));
        let other = {
            let word = loom::sync::Arc::clone(&word);
            loom::thread::spawn(move || (0..3).filter(|_| take(&*word, later, &pace).is_ok()).count())
        };
        let token = take(&*word, start, &pace);
        let kept = token.is_ok_and(|token| !give_back(&*word, token));
        let sum = other.join().unwrap() + usize::from(kept);
        // Two fit, and one and a half came back meanwhile: of those there is room only for what was taken before.
        let last = (0..3).filter(|_| take(&*word, later, &pace).is_ok()).count();
        assert!(sum + last <= 3, "{sum} and {last}");
        assert!(sum + last >= 2);
    });
}
