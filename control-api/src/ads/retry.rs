//! When something that failed is tried again.

use std::time::{Duration, Instant};

/// After the first failure.
const WAIT_MIN: Duration = Duration::from_secs(1);
/// After many.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// When something that failed is tried again: each time after twice as long, within bounds.
#[derive(Debug, Default)]
pub(super) struct Retry {
    failures: u32,
    due: Option<Instant>,
}

impl Retry {
    /// It failed. `share`, from 0 to 1 by chance, keeps those who failed together from trying together: the wait is
    /// between a half and the whole.
    pub(super) fn failed(&mut self, now: Instant, share: f64) {
        let doubled = WAIT_MIN.saturating_mul(2_u32.saturating_pow(self.failures));
        let wait = doubled.min(WAIT_MAX);
        self.failures = self.failures.saturating_add(1);
        self.due = Some(now + wait.mul_f64(0.5 + share.clamp(0.0, 1.0) / 2.0));
    }

    /// It went well.
    pub(super) fn succeeded(&mut self) {
        *self = Retry::default();
    }

    /// When it is to be tried again; none: it has not failed.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_within_bounds_and_begin_anew() {
        let (now, mut retry) = (Instant::now(), Retry::default());
        assert_eq!(retry.due(), None);
        let mut wait = |share| {
            retry.failed(now, share);
            retry.due().map(|due| due - now)
        };
        assert_eq!(wait(0.0), Some(WAIT_MIN / 2));
        assert_eq!(wait(1.0), Some(2 * WAIT_MIN));
        for _ in 0..100 {
            wait(1.0);
        }
        assert_eq!(wait(1.0), Some(WAIT_MAX));
        retry.succeeded();
        assert_eq!(retry.due(), None);
        retry.failed(now, 1.0);
        assert_eq!(retry.due(), Some(now + WAIT_MIN));
    }
}
