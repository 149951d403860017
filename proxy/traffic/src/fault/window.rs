//! How many of the last requests were touched: exact, for all workers, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

/// Requests that a share is counted over, at least: the limit holds for any so many that follow one another.
pub const AFFECTED_WINDOW: u64 = 1000;

/// Requests of one bucket, and how many buckets are kept: one that fills and five that are full, so that what is
/// counted is never less than [`AFFECTED_WINDOW`] requests, and at most 1,200.
const BUCKET_REQUESTS: u64 = 200;
const BUCKETS: u64 = 6;

/// What a share is given in parts of.
const MILLION: u64 = 1_000_000;

/// Bits of a bucket's count, of the place in the bucket that fills, and of the number of full buckets.
const COUNT_BITS: u64 = 8;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
const PLACE_SHIFT: u64 = BUCKETS * COUNT_BITS;
const FULL_SHIFT: u64 = PLACE_SHIFT + COUNT_BITS;
const COUNTS: u64 = (1 << PLACE_SHIFT) - 1;

/// Counts requests and how many of them were touched, over the last [`AFFECTED_WINDOW`] or somewhat more.
///
/// It is one number: the counts of touched requests by bucket, the newest lowest; how far that bucket has filled; how
/// many others are full. So a decision is one exchange, and the limit is exact whatever workers do at once: of any
/// [`AFFECTED_WINDOW`] requests in a row no more are touched than the share allows, and from the first request on no
/// more than it allows of those that came.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct AffectedWindow(AtomicU64);

/// The number, in parts.
#[derive(Debug, Clone, Copy)]
struct Parts {
    counts: u64,
    place: u64,
    full: u64,
}

impl Parts {
    fn of(number: u64) -> Parts {
        Parts {
            counts: number & COUNTS,
            place: (number >> PLACE_SHIFT) & COUNT,
            full: number >> FULL_SHIFT,
        }
    }

    fn number(self) -> u64 {
        self.counts | self.place << PLACE_SHIFT | self.full << FULL_SHIFT
    }

    /// With one more request, in the next bucket if this one is full.
    fn next(self) -> Parts {
        if self.place < BUCKET_REQUESTS {
            return Parts {
                place: self.place + 1,
                ..self
            };
        }
        Parts {
            counts: (self.counts << COUNT_BITS) & COUNTS,
            place: 1,
            full: (self.full + 1).min(BUCKETS - 1),
        }
    }

    fn touched(self) -> u64 {
        let bucket = |index: u64| (self.counts >> (index * COUNT_BITS)) & COUNT;
        (0..BUCKETS).map(bucket).sum()
    }

    fn seen(self) -> u64 {
        self.full * BUCKET_REQUESTS + self.place
    }
}

impl AffectedWindow {
    /// Counts a request that is not to be touched.
    pub fn pass(&self) {
        self.update(|parts| parts);
    }

    /// Counts a request that is to be touched; true if it may be, by this share, and then it counts as touched.
    #[must_use]
    pub fn admit(&self, parts_per_million: u32) -> bool {
        let mut admitted = false;
        self.update(|parts| {
            let of = parts.seen().min(AFFECTED_WINDOW);
            let max = of * u64::from(parts_per_million) / MILLION;
            admitted = u64::from(parts_per_million) >= MILLION || parts.touched() < max;
            Parts {
                counts: parts.counts + u64::from(admitted),
                ..parts
            }
        });
        admitted
    }

    fn update(&self, mut change: impl FnMut(Parts) -> Parts) {
        let next = |number| Some(change(Parts::of(number).next()).number());
        // The closure always gives a number.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn share(percent: u32) -> u32 {
        percent * 10_000
    }

    #[test]
    fn of_a_thousand_requests_a_tenth_is_touched_evenly() {
        let window = AffectedWindow::default();
        let touched: Vec<usize> = (1..=1000).filter(|_| window.admit(share(10))).collect();
        assert_eq!(touched.len(), 100);
        assert!(touched.iter().all(|request| request % 10 == 0), "{touched:?}");
    }

    #[test]
    fn none_and_all_are_none_and_all() {
        let (none, all) = (AffectedWindow::default(), AffectedWindow::default());
        for _ in 0..3_000 {
            assert!(!none.admit(share(0)));
            assert!(all.admit(share(100)));
        }
    }

    #[test]
    fn workers_at_once_touch_exactly_what_may_be() {
        let window = AffectedWindow::default();
        let touched: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..250).filter(|_| window.admit(share(10))).count()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(touched, 100);
    }

    proptest! {
        /// Against every request written down: no thousand in a row has more than its share.
        #[test]
        fn no_thousand_requests_have_more_than_their_share(
            percent in 0u32..=100,
            wishes in prop::collection::vec((any::<bool>(), 1usize..400), 1..20),
        ) {
            let window = AffectedWindow::default();
            let mut last: VecDeque<bool> = VecDeque::new();
            let (mut all, mut recent, mut seen) = (0u64, 0u64, 0u64);
            for (wished, times) in wishes {
                for _ in 0..times {
                    let touched = if wished { window.admit(share(percent)) } else { window.pass(); false };
                    last.push_back(touched);
                    recent += u64::from(touched);
                    if last.len() > AFFECTED_WINDOW as usize {
                        recent -= u64::from(last.pop_front() == Some(true));
                    }
                    seen += 1;
                    all += u64::from(touched);
                    let max = AFFECTED_WINDOW * u64::from(percent) / 100;
                    prop_assert!(recent <= max);
                    prop_assert!(all * 100 <= seen * u64::from(percent));
                }
            }
        }
    }
}
