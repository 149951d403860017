//! Adaptive concurrency: a limit on concurrent requests that follows response times.
//!
//! Envoy's gradient controller, as its documentation has it ("Adaptive Concurrency", "Gradient Controller"): every
//! `update_interval` the quantile of response times, `sampleRTT`, is compared with the least that was measured,
//! `minRTT`:
//!
//! ```text
//! gradient  = (minRTT + B) / sampleRTT, within 0.5 and 2      B = buffer_percent of minRTT
//! limit_new = gradient × limit_old + headroom                 headroom = √(gradient × limit_old)
//! ```
//!
//! `minRTT` is measured anew every `min_rtt_interval`, plus a random part of `jitter_percent` of it, and when the
//! limit was the lowest for five intervals in a row: the limit is lowered to `concurrency_min` until
//! `min_rtt_requests` requests that began since were answered; their quantile is the new `minRTT`, and the limit of
//! before comes back.
//!
//! There is no timer and no task: whoever comes first when a step is due takes it, the others go on meanwhile. Times
//! are passed in; they are since an epoch that all callers share.

mod histogram;
#[cfg(test)]
mod tests;

use crate::breakers::Breaker;
use histogram::TimeHistogram;
use outrigger_config::model::AdaptiveConcurrency;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// One change of the limit at most halves or doubles it, headroom aside; as Envoy's.
const GRADIENT_MIN: f64 = 0.5;
/// See [`GRADIENT_MIN`].
const GRADIENT_MAX: f64 = 2.0;
/// Intervals at the lowest limit after which the minimum is measured anew; as Envoy's documentation has it.
const INTERVALS_AT_MINIMUM: u32 = 5;

/// By what a limit goes; see [`AdaptiveConcurrency`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdaptiveSettings {
    /// The quantile of response times that is looked at, percent.
    pub quantile_percent: u32,
    /// From one change of the limit to the next.
    pub update_interval: Duration,
    /// The limit at most.
    pub concurrency_max: u32,
    /// The limit at least.
    pub concurrency_min: u32,
    /// From one measurement of the minimum to the next.
    pub min_rtt_interval: Duration,
    /// Requests by which it is measured.
    pub min_rtt_requests: u32,
    /// A random part of this share of the interval is added to it, percent.
    pub jitter_percent: u32,
    /// How far above the minimum response times are as good, percent of it.
    pub buffer_percent: u32,
}

impl From<&AdaptiveConcurrency> for AdaptiveSettings {
    fn from(model: &AdaptiveConcurrency) -> AdaptiveSettings {
        AdaptiveSettings {
            quantile_percent: model.quantile_percent(),
            update_interval: model.update_interval(),
            concurrency_max: model.concurrency_max(),
            concurrency_min: model.concurrency_min(),
            min_rtt_interval: model.min_rtt_interval(),
            min_rtt_requests: model.min_rtt_requests(),
            jitter_percent: model.jitter_percent(),
            buffer_percent: model.buffer_percent(),
        }
    }
}

/// The limit of one cluster.
#[derive(Debug)]
pub struct AdaptiveLimit {
    settings: AdaptiveSettings,
    requests: Breaker,
    times: TimeHistogram,
    /// Nanoseconds since the epoch of the next step; `u64::MAX` while the minimum is measured, whose end is a number of
    /// requests.
    due_at: AtomicU64,
    /// Nanoseconds since the epoch: when the minimum is to be measured next.
    measure_at: AtomicU64,
    /// Nanoseconds since the epoch: requests from before do not count.
    counted_since: AtomicU64,
    /// What the limit will be when the minimum has been measured.
    limit_after: AtomicU32,
    /// Nanoseconds; 0 while it was never measured.
    min_rtt: AtomicU64,
    /// Nanoseconds; of the last interval.
    sample_rtt: AtomicU64,
    /// Intervals in a row that found the limit at its lowest and left it there.
    at_minimum: AtomicU32,
    /// Somebody is taking a step.
    stepping: AtomicBool,
}

/// How an [`AdaptiveLimit`] stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdaptiveState {
    /// Requests that may be active at once.
    pub limit: u32,
    /// Requests that are.
    pub active: u32,
    /// The least response time, once it was measured.
    pub min_rtt: Option<Duration>,
    /// The response time of the last interval, once there was one.
    pub sample_rtt: Option<Duration>,
    /// The least response time is being measured.
    pub measuring: bool,
}

impl AdaptiveLimit {
    /// The lowest limit: the minimum is to be measured first.
    pub fn new(settings: AdaptiveSettings, now: Duration) -> AdaptiveLimit {
        AdaptiveLimit {
            settings,
            requests: Breaker::new(settings.concurrency_min),
            times: TimeHistogram::new(),
            due_at: AtomicU64::new(u64::MAX),
            measure_at: AtomicU64::new(0),
            counted_since: AtomicU64::new(nanoseconds(now)),
            limit_after: AtomicU32::new(settings.concurrency_min),
            min_rtt: AtomicU64::new(0),
            sample_rtt: AtomicU64::new(0),
            at_minimum: AtomicU32::new(0),
            stepping: AtomicBool::new(false),
        }
    }

    /// By what it goes.
    pub fn settings(&self) -> AdaptiveSettings {
        self.settings
    }

    /// Begins a request if the limit allows it. `true` must be followed by one [`AdaptiveLimit::end`].
    #[must_use]
    pub fn try_begin(&self, now: Duration, random: u64) -> bool {
        if nanoseconds(now) >= self.due_at.load(Ordering::Relaxed) {
            self.step(now, random);
        }
        self.requests.try_begin()
    }

    /// A request that began has ended.
    pub fn end(&self) {
        self.requests.end();
    }

    /// A request that began at `began` is answered at `now`.
    pub fn answered(&self, began: Duration, now: Duration, random: u64) {
        if nanoseconds(began) < self.counted_since.load(Ordering::Relaxed) {
            return;
        }
        let samples = self.times.record(now.saturating_sub(began));
        if self.is_measuring() && samples >= self.settings.min_rtt_requests {
            self.step(now, random);
        }
    }

    /// How it stands.
    pub fn state(&self) -> AdaptiveState {
        let known = |nanoseconds: u64| (nanoseconds > 0).then(|| Duration::from_nanos(nanoseconds));
        AdaptiveState {
            limit: self.requests.limit(),
            active: self.requests.active(),
            min_rtt: known(self.min_rtt.load(Ordering::Relaxed)),
            sample_rtt: known(self.sample_rtt.load(Ordering::Relaxed)),
            measuring: self.is_measuring(),
        }
    }

    fn is_measuring(&self) -> bool {
        self.due_at.load(Ordering::Relaxed) == u64::MAX
    }

    /// Takes the step that is due, unless somebody else is at it.
    #[cold]
    fn step(&self, now: Duration, random: u64) {
        if self.stepping.swap(true, Ordering::Acquire) {
            return;
        }
        // It may have been taken between the look and now.
        if self.is_measuring() {
            if self.times.count() >= self.settings.min_rtt_requests {
                self.end_measuring(now, random);
            }
        } else if nanoseconds(now) >= self.due_at.load(Ordering::Relaxed) {
            self.end_interval(now);
        }
        self.stepping.store(false, Ordering::Release);
    }

    fn end_measuring(&self, now: Duration, random: u64) {
        // None: what was counted is not yet where it is counted.
        let Some(min_rtt) = self.take_quantile() else {
            return;
        };
        self.min_rtt.store(min_rtt, Ordering::Relaxed);
        self.requests.set_limit(self.limit_after.load(Ordering::Relaxed));
        self.at_minimum.store(0, Ordering::Relaxed);
        let interval = with_jitter(
            self.settings.min_rtt_interval,
            self.settings.jitter_percent,
            random,
        );
        let measure_at = nanoseconds(now.saturating_add(interval));
        self.measure_at.store(measure_at, Ordering::Relaxed);
        self.wait_for_interval(now);
    }

    fn end_interval(&self, now: Duration) {
        if nanoseconds(now) >= self.measure_at.load(Ordering::Relaxed) {
            return self.begin_measuring(now);
        }
        if let Some(sample_rtt) = self.take_quantile() {
            self.sample_rtt.store(sample_rtt, Ordering::Relaxed);
            let (old, min) = (self.requests.limit(), self.settings.concurrency_min);
            let min_rtt = self.min_rtt.load(Ordering::Relaxed);
            let new = next_limit(old, min_rtt, sample_rtt, &self.settings);
            self.requests.set_limit(new);
            let stays = old == min && new == min;
            let at_minimum = if stays {
                self.at_minimum.load(Ordering::Relaxed) + 1
            } else {
                0
            };
            self.at_minimum.store(at_minimum, Ordering::Relaxed);
            if at_minimum >= INTERVALS_AT_MINIMUM {
                return self.begin_measuring(now);
            }
        }
        self.wait_for_interval(now);
    }

    fn begin_measuring(&self, now: Duration) {
        self.limit_after.store(self.requests.limit(), Ordering::Relaxed);
        self.requests.set_limit(self.settings.concurrency_min);
        self.at_minimum.store(0, Ordering::Relaxed);
        self.counted_since.store(nanoseconds(now), Ordering::Relaxed);
        self.times.take_quantile(0);
        self.due_at.store(u64::MAX, Ordering::Relaxed);
    }

    fn wait_for_interval(&self, now: Duration) {
        let due = nanoseconds(now.saturating_add(self.settings.update_interval));
        // `u64::MAX` means something else.
        self.due_at.store(due.min(u64::MAX - 1), Ordering::Relaxed);
    }

    /// The quantile of what was recorded, in nanoseconds, at least 1; forgets what was recorded. None: nothing was.
    fn take_quantile(&self) -> Option<u64> {
        let time = self.times.take_quantile(self.settings.quantile_percent)?;
        Some(nanoseconds(time).max(1))
    }
}

/// The limit after one interval. Times in nanoseconds, above 0.
fn next_limit(old: u32, min_rtt: u64, sample_rtt: u64, settings: &AdaptiveSettings) -> u32 {
    let buffered = min_rtt as f64 * (1.0 + f64::from(settings.buffer_percent) / 100.0);
    let gradient = (buffered / sample_rtt as f64).clamp(GRADIENT_MIN, GRADIENT_MAX);
    let limit = f64::from(old) * gradient;
    let with_headroom = (limit + limit.sqrt()) as u32;
    with_headroom
        .min(settings.concurrency_max)
        .max(settings.concurrency_min)
}

/// The interval and a random part of `percent` of it.
fn with_jitter(interval: Duration, percent: u32, random: u64) -> Duration {
    let range = interval.as_nanos() * u128::from(percent) / 100;
    let part = (u128::from(random) * range) >> 64;
    interval.saturating_add(Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX)))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
