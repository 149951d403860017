//! How long is waited before a retry.

use std::time::Duration;

/// Above this many seconds an `x-ratelimit-reset` is the time of the reset (seconds since 1970), below it the time until
/// then: both are in use, and nothing resets in thirty years.
const TIMES_FROM_SECONDS: u64 = 1_000_000_000;

/// A random part of `base` times 2^n - 1, at most `max`, before retry number n (from 1): Envoy's fully jittered exponential
/// backoff (with 25 ms: below 25, 75, 175 ms and so on). `random` is uniform.
pub fn backoff(base: Duration, max: Duration, number: u32, random: u64) -> Duration {
    let factor = 1u64.checked_shl(number).map_or(u64::MAX, |power| power - 1);
    let factor = u32::try_from(factor).unwrap_or(u32::MAX);
    part(base.saturating_mul(factor).min(max), random)
}

/// What is waited where the upstream says that nothing is to be expected for `interval`: that, and a random half of it more,
/// so that those who were told the same do not come back together (as Envoy's lower bound with jitter).
pub fn after_interval(interval: Duration, random: u64) -> Duration {
    interval.saturating_add(part(interval / 2, random))
}

/// The seconds that `retry-after` or `x-ratelimit-reset` says in digits; `unix_now` in seconds. A time that has passed is
/// no wait.
pub fn seconds_until(value: &str, unix_now: u64) -> Option<Duration> {
    let value = value.trim();
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: u64 = value.parse().ok()?;
    Some(Duration::from_secs(if seconds >= TIMES_FROM_SECONDS {
        seconds.saturating_sub(unix_now)
    } else {
        seconds
    }))
}

fn part(whole: Duration, random: u64) -> Duration {
    let nanos = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(((u128::from(nanos) * u128::from(random)) >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_millis(25);
    const MAX: Duration = Duration::from_millis(250);

    /// Envoy's router documentation, `x-envoy-max-retries`: 0-25 ms, 0-75 ms, 0-175 ms, at most ten times the base.
    #[test]
    fn backoff_is_any_part_of_what_grows_to_its_maximum() {
        for (number, most) in [(1, 25), (2, 75), (3, 175), (4, 250), (40, 250), (u32::MAX, 250)] {
            let most = Duration::from_millis(most);
            assert_eq!(backoff(BASE, MAX, number, 0), Duration::ZERO, "{number}");
            assert_eq!(backoff(BASE, MAX, number, 1 << 63), most / 2, "{number}");
            let longest = backoff(BASE, MAX, number, u64::MAX);
            assert!(
                longest < most && longest > most - Duration::from_micros(1),
                "{number}"
            );
        }
        assert_eq!(backoff(Duration::ZERO, MAX, 3, u64::MAX), Duration::ZERO);
        assert!(backoff(Duration::MAX, Duration::MAX, 2, u64::MAX) > MAX);
    }

    #[test]
    fn an_interval_is_waited_for_whole_and_up_to_half_of_it_more() {
        let second = Duration::from_secs(1);
        assert_eq!(after_interval(second, 0), second);
        let longest = after_interval(second, u64::MAX);
        assert!(longest < second * 3 / 2 && longest > second * 149 / 100);
    }

    #[test]
    fn seconds_and_times_are_told_apart() {
        let now = 1_700_000_000;
        for (value, seconds) in [
            ("0", Some(0)),
            ("7", Some(7)),
            (" 120 ", Some(120)),
            ("1700000030", Some(30)),
            ("1600000000", Some(0)),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(
                seconds_until(value, now),
                seconds.map(Duration::from_secs),
                "{value:?}"
            );
        }
    }
}
