//! How long to wait before a server is asked again: longer each time, and never at the same moment as others.

use std::time::Duration;

/// The first wait at most. Envoy's default of `envoy_grpc` for xDS streams.
const BASE: Duration = Duration::from_millis(500);
/// Any wait at most, as Envoy's.
const MAX: Duration = Duration::from_secs(30);

/// Waits that double, with full jitter.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A server answered.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Nobody did: how long to wait. `random` is uniform.
    pub(crate) fn next(&mut self, random: u64) -> Duration {
        let bound = BASE.saturating_mul(1_u32 << self.failures.min(10)).min(MAX);
        self.failures = self.failures.saturating_add(1);
        let nanoseconds = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX).max(1);
        // Never at once: a server that accepts and breaks would be asked without end.
        Duration::from_nanos(random % nanoseconds).max(BASE / 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_begin_anew() {
        let mut backoff = Backoff::default();
        let longest: Vec<Duration> = (0..20)
            .map(|_| {
                let failures = backoff.failures;
                let longest = (0..2_000)
                    .map(|random| Backoff { failures }.next(u64::wrapping_mul(random, 0x9e37_79b9_7f4a_7c15)))
                    .max();
                backoff.next(0);
                longest.unwrap()
            })
            .collect();
        assert!(longest[0] < BASE && longest[0] > BASE / 2);
        assert!(longest[1] > BASE && longest[1] < BASE * 2);
        assert!(longest[19] < MAX && longest[19] > MAX / 2);
        backoff.reset();
        assert!(backoff.next(u64::MAX) < BASE);
    }
}
