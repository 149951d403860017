//! What has begun in the last seconds: two totals, as they were when each of those seconds was first seen.

use super::Word;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How far the window reaches back, the present second included.
pub(super) const SECONDS: u32 = 10;
/// Seconds that are remembered: those of the window, and as many later ones as clocks of workers may ever differ by.
const SLOTS: usize = 16;

/// Totals at the beginning of seconds. A slot holds the number of a second (high half, from 1; 0: nothing yet) and a total.
#[derive(Debug)]
pub(super) struct RetryWindow<W> {
    requests: [W; SLOTS],
    retries: [W; SLOTS],
}

impl<W: Word> RetryWindow<W> {
    pub(super) fn new(mut word: impl FnMut() -> W) -> RetryWindow<W> {
        RetryWindow {
            requests: std::array::from_fn(|_| word()),
            retries: std::array::from_fn(|_| word()),
        }
    }

    /// So many requests have begun by now.
    pub(super) fn observe_requests(&self, now: Duration, total: u32) {
        observe(&self.requests, number(now), total);
    }

    /// So many retries had begun by now. To be told before each one begins: seconds that are not seen have none.
    pub(super) fn observe_retries(&self, now: Duration, total: u32) {
        observe(&self.retries, number(now), total);
    }

    /// Requests that have begun in the window, if `total` have begun by now. A second in which none was observed is not
    /// counted: there may be more, never fewer.
    pub(super) fn requests(&self, now: Duration, total: u32) -> u32 {
        let second = number(now);
        let mut seen = seen_since(&self.requests, first(second), second, total);
        seen.next().unwrap_or(0)
    }

    /// Retries that have begun in the window, if `total` have begun by now; none is missed because a clock lags behind
    /// another's, which may have written down later seconds.
    pub(super) fn retries(&self, now: Duration, total: u32) -> u32 {
        let first = first(number(now));
        let last = first.saturating_add(SLOTS as u32 - 1);
        seen_since(&self.retries, first, last, total).max().unwrap_or(0)
    }
}

/// The first second of the window that ends with this one.
fn first(second: u32) -> u32 {
    second.saturating_sub(SECONDS - 1).max(1)
}

fn number(now: Duration) -> u32 {
    u32::try_from(now.as_secs() + 1).unwrap_or(u32::MAX)
}

fn slot<W>(slots: &[W; SLOTS], second: u32) -> &W {
    &slots[second as usize % SLOTS]
}

fn observe<W: Word>(slots: &[W; SLOTS], second: u32, total: u32) {
    let slot = slot(slots, second);
    let mut seen = slot.load(Ordering::Acquire);
    // The first total of a second stays, and no clock that lags takes a later second away.
    while (seen >> 32) as u32 != second {
        let newer = (seen >> 32) as u32 > second;
        if newer {
            return;
        }
        match slot.exchange(seen, u64::from(second) << 32 | u64::from(total)) {
            Ok(_) => return,
            Err(other) => seen = other,
        }
    }
}

/// How much has begun since each of these seconds that was seen, the earliest first.
fn seen_since<W: Word>(slots: &[W; SLOTS], first: u32, last: u32, total: u32) -> impl Iterator<Item = u32> {
    (first..=last).filter_map(move |second| {
        let seen = slot(slots, second).load(Ordering::Acquire);
        let passed = total.wrapping_sub(seen as u32);
        // A total that was read before another thread wrote down a later one is no wrap.
        ((seen >> 32) as u32 == second).then_some(if passed > u32::MAX / 2 { 0 } else { passed })
    })
}
