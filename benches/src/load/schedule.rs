//! When requests of an open-loop load are due, and how long each took from then.
//!
//! Pure: time is passed in, as the time since the load began. A request that is sent late, because every
//! connection was waiting, still began when it was due: that is what a user would have waited.

use std::collections::VecDeque;
use std::time::Duration;

/// The plan of one load.
#[derive(Debug)]
pub(super) struct Schedule {
    interval: Duration,
    total: u64,
    issued: u64,
    /// Due times of requests that no connection was free for.
    waiting: VecDeque<Duration>,
}

impl Schedule {
    /// `rate` requests a second, evenly, for `duration`.
    pub(super) fn new(rate: u32, duration: Duration) -> Self {
        let total = (duration.as_secs_f64() * f64::from(rate)).round() as u64;
        Self {
            interval: Duration::from_secs(1) / rate.max(1),
            total,
            issued: 0,
            waiting: VecDeque::new(),
        }
    }

    /// Moves what has become due until `now` into the queue.
    pub(super) fn advance(&mut self, now: Duration) {
        while let Some(due) = self.next_due().filter(|due| *due <= now) {
            self.waiting.push_back(due);
            self.issued += 1;
        }
    }

    /// Takes the oldest request that is due: the time it was due at.
    pub(super) fn take(&mut self) -> Option<Duration> {
        self.waiting.pop_front()
    }

    /// When the next request becomes due; `None` after the last.
    pub(super) fn next_due(&self) -> Option<Duration> {
        // Multiplied, not summed up, so that rounding does not become drift.
        (self.issued < self.total)
            .then(|| Duration::from_nanos(self.interval.as_nanos() as u64 * self.issued))
    }

    /// Whether nothing is left to send.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.issued == self.total
    }

    /// How many requests the whole load has.
    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn requests_are_due_evenly_and_end() {
        let mut schedule = Schedule::new(1000, 3 * MILLISECOND);
        assert_eq!(schedule.total(), 3);
        schedule.advance(Duration::ZERO);
        assert_eq!((schedule.take(), schedule.take()), (Some(Duration::ZERO), None));
        assert_eq!(schedule.next_due(), Some(MILLISECOND));
        schedule.advance(MILLISECOND / 2);
        assert_eq!(schedule.take(), None);
        schedule.advance(10 * MILLISECOND);
        assert_eq!((schedule.take(), schedule.next_due()), (Some(MILLISECOND), None));
        assert!(!schedule.is_empty());
        assert_eq!(schedule.take(), Some(2 * MILLISECOND));
        assert!(schedule.is_empty());
    }

    #[test]
    fn a_stall_is_charged_to_the_requests_that_waited() {
        let mut schedule = Schedule::new(1000, 100 * MILLISECOND);
        let stall_end = 50 * MILLISECOND;
        schedule.advance(stall_end);
        let waits: Vec<_> = std::iter::from_fn(|| schedule.take())
            .map(|due| stall_end - due)
            .collect();
        assert_eq!(waits.len(), 51);
        assert_eq!((waits[0], waits[50]), (stall_end, Duration::ZERO));
    }
}
