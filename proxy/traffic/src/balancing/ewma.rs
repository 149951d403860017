//! Peak EWMA: what an endpoint costs, as a moving average of response times that jumps to every new peak and forgets it
//! over the decay time (Finagle's `PeakEwma`, as Linkerd uses it).
//!
//! An observation above the average takes its place at once. One below it draws it down by its age: after a time `t` the old
//! average counts `exp(-t / decay)`. What is not observed decays to zero in the same way, so that an endpoint that was slow once
//! is tried again. An attempt that failed counts as a peak: as if it had taken as long as it did, the default or twice
//! what the endpoint costs, whichever is most, at most the decay time; else an endpoint that refuses quickly would be the
//! cheapest of all.

use super::EndpointLoad;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// An average and when it was made, in one word: the bits of an `f32` of seconds above milliseconds from the epoch, which
/// wrap round after 49 days. 0: nothing was observed.
#[derive(Debug, Default)]
pub(super) struct Average(AtomicU64);

impl Average {
    pub(super) const fn new() -> Average {
        Average(AtomicU64::new(0))
    }
}

/// How responses are observed where endpoints are picked by what they cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PeakEwma {
    decay: Duration,
    default_rtt: Duration,
    epoch: Instant,
}

impl PeakEwma {
    pub(super) fn new(decay: Duration, default_rtt: Duration, epoch: Instant) -> PeakEwma {
        PeakEwma {
            decay: decay.max(Duration::from_millis(1)),
            default_rtt,
            epoch,
        }
    }

    /// An answer's head came at `now`, `elapsed` after the attempt began.
    pub fn answered(&self, load: &EndpointLoad, now: Instant, elapsed: Duration) {
        self.observe(load, now, |_| elapsed.as_secs_f32());
    }

    /// An attempt failed at `now`, `elapsed` after it began.
    pub fn failed(&self, load: &EndpointLoad, now: Instant, elapsed: Duration) {
        let least = elapsed.max(self.default_rtt).as_secs_f32();
        let most = self.decay.as_secs_f32().max(elapsed.as_secs_f32());
        self.observe(load, now, |average| (2.0 * average).max(least).min(most));
    }

    /// What one more request costs there: the average, multiplied by the requests that it would then have.
    pub(super) fn cost(&self, load: &EndpointLoad, now: Instant) -> f32 {
        self.average(load.average().0.load(Ordering::Relaxed), self.millis(now))
            * (load.active() as f32 + 1.0)
    }

    fn observe(&self, load: &EndpointLoad, now: Instant, seconds: impl Fn(f32) -> f32) {
        let millis = self.millis(now);
        let next = |packed: u64| {
            let decayed = self.average(packed, millis);
            let observed = seconds(decayed);
            let average = if observed >= decayed || packed == 0 {
                observed
            } else {
                let kept = if unpack(packed).0 > 0.0 {
                    decayed / unpack(packed).0
                } else {
                    0.0
                };
                decayed + observed * (1.0 - kept)
            };
            Some(pack(average, millis))
        };
        // Never none: the update always takes place.
        let _ = load
            .average()
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    /// The average as it stands now.
    fn average(&self, packed: u64, millis: u32) -> f32 {
        if packed == 0 {
            return self.default_rtt.as_secs_f32();
        }
        let (average, then) = unpack(packed);
        // Another worker's clock may be ahead by what its last event took.
        let passed = millis.wrapping_sub(then) as i32;
        average * (-(passed.max(0) as f32) / (self.decay.as_secs_f32() * 1_000.0)).exp()
    }

    fn millis(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.epoch).as_millis() as u32
    }
}

fn pack(average: f32, millis: u32) -> u64 {
    // At least the smallest number, so that what was observed is never taken for nothing.
    u64::from(average.max(f32::MIN_POSITIVE).to_bits()) << 32 | u64::from(millis)
}

fn unpack(packed: u64) -> (f32, u32) {
    (f32::from_bits((packed >> 32) as u32), packed as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECAY: Duration = Duration::from_secs(10);
    const RTT: Duration = Duration::from_millis(30);

    fn close(found: f32, wanted: f32) {
        assert!(
            (found - wanted).abs() < wanted * 0.01 + 1e-6,
            "{found} is not {wanted}"
        );
    }

    #[test]
    fn an_average_jumps_to_a_peak_and_decays_from_it() {
        let epoch = Instant::now();
        let ewma = PeakEwma::new(DECAY, RTT, epoch);
        let load = EndpointLoad::new();
        let at = |seconds| epoch + Duration::from_secs(seconds);
        close(ewma.cost(&load, at(0)), 0.030);
        ewma.answered(&load, at(1), Duration::from_millis(10));
        close(ewma.cost(&load, at(1)), 0.010);
        ewma.answered(&load, at(1), Duration::from_secs(2));
        close(ewma.cost(&load, at(1)), 2.0);
        // Finagle: cost * w + rtt * (1 - w), w = exp(-t / decay).
        let w = (-1.0f32).exp();
        ewma.answered(&load, at(11), Duration::from_millis(500));
        close(ewma.cost(&load, at(11)), 2.0 * w + 0.5 * (1.0 - w));
        close(ewma.cost(&load, at(21)), (2.0 * w + 0.5 * (1.0 - w)) * w);
    }

    #[test]
    fn active_requests_multiply_the_cost() {
        let epoch = Instant::now();
        let ewma = PeakEwma::new(DECAY, RTT, epoch);
        let load = EndpointLoad::new();
        ewma.answered(&load, epoch, Duration::from_millis(100));
        load.begin();
        load.begin();
        close(ewma.cost(&load, epoch), 0.3);
    }

    #[test]
    fn a_failure_is_a_peak_however_quick_and_is_bounded() {
        let epoch = Instant::now();
        let ewma = PeakEwma::new(DECAY, RTT, epoch);
        let load = EndpointLoad::new();
        ewma.answered(&load, epoch, Duration::from_millis(100));
        ewma.failed(&load, epoch, Duration::from_micros(50));
        close(ewma.cost(&load, epoch), 0.2);
        for _ in 0..20 {
            ewma.failed(&load, epoch, Duration::ZERO);
        }
        close(ewma.cost(&load, epoch), 10.0);
        let fresh = EndpointLoad::new();
        ewma.failed(&fresh, epoch, Duration::ZERO);
        close(ewma.cost(&fresh, epoch), 0.06);
    }

    #[test]
    fn a_clock_that_went_round_or_lags_does_no_harm() {
        let epoch = Instant::now();
        let ewma = PeakEwma::new(DECAY, RTT, epoch);
        let load = EndpointLoad::new();
        let almost = Duration::from_millis(u64::from(u32::MAX) - 500);
        ewma.answered(&load, epoch + almost, Duration::from_secs(1));
        close(
            ewma.cost(&load, epoch + almost + Duration::from_secs(10)),
            (-1.0f32).exp(),
        );
        close(ewma.cost(&load, epoch + almost - Duration::from_secs(1)), 1.0);
    }
}
