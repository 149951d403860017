//! Hedging: when a request that has no answer yet is sent a second time, and how many may be.
//!
//! Two things are kept for a route, both process-wide and without a lock: how long its latest requests needed to the
//! head of their answer ([`HeadTimes`]), for hedging at a quantile of that; and how many requests and hedges there were
//! ([`HedgeCap`]), which bounds the extra load exactly. Nothing here reads a clock: times are measured by the caller.

use outrigger_config::model::defaults::HEDGE_SAMPLES_MIN;
use outrigger_config::model::{HedgeAfter, Hedging};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Requests after which [`HedgeCap`] halves what it has counted: what a quiet time saves up is bounded by the share of
/// this many.
pub const HEDGE_CAP_REQUESTS: u32 = 1024;

/// Requests in one of the two windows of [`HeadTimes`]: a quantile is that of the latest one to two windows.
pub const HEAD_TIMES_WINDOW: u64 = 1024;

/// A quantile is read anew after this many requests: it costs a walk over all buckets.
const READ_EVERY: u64 = 32;

/// Each power of two of microseconds is divided into this many buckets.
const PARTS: u64 = 16;
const PARTS_BITS: u32 = PARTS.trailing_zeros();

/// The last power of two that is divided: 2^26 µs, 67 s. What is longer falls into the last bucket.
const LAST_POWER: u32 = 26;
const BUCKETS: usize = (PARTS as usize) * (LAST_POWER - PARTS_BITS + 2) as usize;

/// What is kept of a route for hedging its requests.
#[derive(Debug, Default)]
pub struct HedgeState {
    times: HeadTimes,
    cap: HedgeCap,
}

impl HedgeState {
    /// A request of the route has begun.
    pub fn begin_request(&self) {
        self.cap.begin_request();
    }

    /// How long after a request's start it is sent a second time; none: not at all, as long as too little is known.
    /// `per_try_timeout`: that of the retry rules in force.
    pub fn delay(&self, hedging: &Hedging, per_try_timeout: Option<Duration>) -> Option<Duration> {
        match hedging.after() {
            HedgeAfter::Delay(delay) => Some(delay),
            HedgeAfter::Quantile { delay_min, .. } => Some(self.times.quantile()?.max(delay_min)),
            HedgeAfter::PerTryTimeout => per_try_timeout,
        }
    }

    /// The head of a request's answer has come, this long after its first attempt began, by whichever attempt.
    pub fn answered(&self, hedging: &Hedging, elapsed: Duration) {
        if let HedgeAfter::Quantile { quantile, .. } = hedging.after() {
            self.times.record(elapsed, quantile);
        }
    }

    /// Begins a hedge if the share of extra load allows one more.
    #[must_use]
    pub fn begin_hedge(&self, hedging: &Hedging) -> bool {
        self.cap.begin_hedge(hedging.extra_load_percent())
    }

    /// A hedge that was begun is not made after all.
    pub fn give_back_hedge(&self) {
        self.cap.give_back();
    }
}

/// Bounds hedges by the requests beside which they are made: since the beginning, and since any halving, hedges are at
/// most their percentage of requests.
///
/// One word, so that no interleaving of threads lets one hedge too many begin, nor refuses one that there is room for.
/// When [`HEDGE_CAP_REQUESTS`] are counted, both halves are halved, requests rounded down and hedges up: what was not used
/// is forgotten by and by, and nothing is ever gained.
#[derive(Debug, Default)]
pub struct HedgeCap {
    /// Requests in the low half, hedges in the high half.
    counts: AtomicU64,
}

/// Requests and hedges.
fn halves(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

fn word(requests: u32, hedges: u32) -> u64 {
    u64::from(hedges) << 32 | u64::from(requests)
}

impl HedgeCap {
    /// A request has begun.
    pub fn begin_request(&self) {
        self.update(|requests, hedges| {
            let requests = requests + 1;
            Some(match requests < HEDGE_CAP_REQUESTS {
                true => (requests, hedges),
                false => (requests / 2, hedges.div_ceil(2)),
            })
        });
    }

    /// Begins a hedge if there may be one more.
    #[must_use]
    pub fn begin_hedge(&self, percent: u32) -> bool {
        self.update(|requests, hedges| {
            let is_allowed = (u64::from(hedges) + 1) * 100 <= u64::from(requests) * u64::from(percent);
            is_allowed.then(|| (requests, hedges + 1))
        })
    }

    /// A hedge that was begun is not made.
    pub fn give_back(&self) {
        self.update(|requests, hedges| Some((requests, hedges.checked_sub(1)?)));
    }

    fn update(&self, change: impl Fn(u32, u32) -> Option<(u32, u32)>) -> bool {
        self.counts
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |counts| {
                let (requests, hedges) = halves(counts);
                change(requests, hedges).map(|(requests, hedges)| word(requests, hedges))
            })
            .is_ok()
    }
}

/// How long a route's latest requests needed to the head of their answer: two windows of buckets, of which the older is
/// emptied when the newer is full.
///
/// A quantile is the upper end of the bucket that it falls into: at most 1/16 (6.25 %) above what was measured, or 1 µs, and
/// never below. Threads that record while a window is emptied may lose a few samples; none waits.
#[derive(Debug)]
pub struct HeadTimes {
    windows: [Box<[AtomicU32; BUCKETS]>; 2],
    /// Requests since the beginning.
    recorded: AtomicU64,
    /// The quantile as it was read last, in microseconds; 0: not yet.
    read: AtomicU64,
}

impl Default for HeadTimes {
    fn default() -> HeadTimes {
        let window = || Box::new([const { AtomicU32::new(0) }; BUCKETS]);
        HeadTimes {
            windows: [window(), window()],
            recorded: AtomicU64::new(0),
            read: AtomicU64::new(0),
        }
    }
}

impl HeadTimes {
    /// Notes what a request needed. Now and then the quantile (in thousandths of a percent) is read anew.
    pub fn record(&self, elapsed: Duration, quantile: u32) {
        let before = self.recorded.fetch_add(1, Ordering::Relaxed);
        let window = &self.windows[(before / HEAD_TIMES_WINDOW % 2) as usize];
        if before.is_multiple_of(HEAD_TIMES_WINDOW) {
            for bucket in window.iter() {
                bucket.store(0, Ordering::Relaxed);
            }
        }
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        window[bucket_of(micros)].fetch_add(1, Ordering::Relaxed);
        let recorded = before + 1;
        let least = u64::from(HEDGE_SAMPLES_MIN);
        if recorded == least || recorded > least && recorded.is_multiple_of(READ_EVERY) {
            self.read.store(self.read_now(quantile), Ordering::Relaxed);
        }
    }

    /// The quantile; none before enough requests were seen ([`HEDGE_SAMPLES_MIN`]).
    pub fn quantile(&self) -> Option<Duration> {
        match self.read.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }

    fn read_now(&self, quantile: u32) -> u64 {
        let [a, b] = &self.windows;
        let count_of = |place: usize| {
            let counts = [&a[place], &b[place]].map(|bucket| u64::from(bucket.load(Ordering::Relaxed)));
            counts[0] + counts[1]
        };
        let total: u64 = (0..BUCKETS).map(count_of).sum();
        let rank = (total * u64::from(quantile)).div_ceil(100_000).max(1);
        let mut seen = 0;
        for place in 0..BUCKETS {
            seen += count_of(place);
            if seen >= rank {
                return end_of(place);
            }
        }
        end_of(BUCKETS - 1)
    }
}

/// Below [`PARTS`] each microsecond has its bucket; from there on each power of two has [`PARTS`].
fn bucket_of(micros: u64) -> usize {
    if micros < PARTS {
        return micros as usize;
    }
    let power = micros.ilog2();
    if power > LAST_POWER {
        return BUCKETS - 1;
    }
    let part = (micros >> (power - PARTS_BITS)) - PARTS;
    (u64::from(power - PARTS_BITS + 1) * PARTS + part) as usize
}

/// The first number of microseconds that is above a bucket's.
fn end_of(place: usize) -> u64 {
    let place = place as u64;
    if place < PARTS {
        return place + 1;
    }
    let power = place / PARTS - 1;
    (PARTS + place % PARTS + 1) << power
}

#[cfg(test)]
mod tests;
