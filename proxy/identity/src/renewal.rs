//! When an identity is asked for anew: at a share of its lifetime, and again after failures, sooner as its end nears.
//!
//! A state machine without a clock, a random source or a certificate: [`Moment`]s and random numbers are handed in, and
//! so is the validity of what was received. It believes neither clock alone. The wall clock is what a certificate's
//! dates are about, and may be stepped in either direction; the monotonic one is never stepped, and may stand still
//! while a machine sleeps. What is due by either is due.

use crate::certificate::Validity;
use std::time::{Duration, Instant, SystemTime};

/// The wall clock is looked at again at least this often, since nothing tells of its steps.
pub const CLOCK_CHECK_INTERVAL: Duration = Duration::from_secs(60);
/// From a success to the next attempt at least, however short the lifetime: certificates of less than two seconds run
/// out between attempts.
pub const RENEWAL_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// After the first failure; each further one doubles it.
pub const RETRY_DELAY_FIRST: Duration = Duration::from_secs(1);
/// Between attempts at most while what is held lasts for long.
pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(300);
/// Between attempts at most while nothing valid is held.
pub const RETRY_DELAY_MAX_WITHOUT: Duration = Duration::from_secs(15);
/// Attempts that fit at least into what is left of a lifetime, while there is a second for each.
const ATTEMPTS_LEFT_MIN: u32 = 16;
/// Half of a lifetime, less or more this share of it, so that what was issued together is not renewed together.
const JITTER: f64 = 0.05;

/// One moment by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// What certificates mean by time.
    pub wall: SystemTime,
    /// What passes whatever the wall clock is set to.
    pub monotonic: Instant,
}

/// The schedule of one identity.
#[derive(Debug, Clone)]
pub struct Renewal {
    /// The share of a lifetime after which it is renewed.
    share: f64,
    held: Option<Validity>,
    failures: u32,
    plan: Option<Plan>,
}

/// What was decided at the last outcome.
#[derive(Debug, Clone, Copy)]
struct Plan {
    decided: Moment,
    /// By the monotonic clock it is due after this, whatever the other says.
    delay: Duration,
    /// By the wall clock; none for a retry, which is a matter of seconds.
    at: Option<SystemTime>,
}

impl Renewal {
    /// Renews at half of a lifetime. Nothing is held yet: the first attempt is due at once.
    pub fn at_half() -> Renewal {
        Renewal::at(0.5)
    }

    /// For an identity that its source renews unasked, at half: only late, at three quarters, has it to be asked.
    pub fn overdue() -> Renewal {
        Renewal::at(0.75)
    }

    fn at(share: f64) -> Renewal {
        Renewal {
            share,
            held: None,
            failures: 0,
            plan: None,
        }
    }

    /// The validity of what is held, which a failure leaves as it is.
    pub fn held(&self) -> Option<Validity> {
        self.held
    }

    /// Attempts that have failed since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// An attempt gave what is valid for this time.
    pub fn succeeded(&mut self, validity: Validity, now: Moment, random: u64) {
        let share = self.share + (2.0 * fraction(random) - 1.0) * JITTER;
        let by_lifetime = validity.lifetime().mul_f64(share);
        let planned = validity
            .not_before
            .checked_add(by_lifetime)
            .map_or(by_lifetime, |at| between(now.wall, at));
        // Older than that already: what is left is halved, so that an authority that gives out old certificates is
        // not asked without end.
        let delay = match planned.is_zero() {
            true => validity.left(now.wall).mul_f64(share.min(0.5)),
            false => planned,
        };
        // A certificate is never younger than new: one whose time has not begun by our clock shows our clock to be late.
        let delay = delay.min(by_lifetime).max(RENEWAL_INTERVAL_MIN);
        self.held = Some(validity);
        self.failures = 0;
        self.plan = Some(Plan {
            decided: now,
            delay,
            at: now.wall.checked_add(delay),
        });
    }

    /// An attempt gave nothing: what is held stays.
    pub fn failed(&mut self, now: Moment, random: u64) {
        let doublings = self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        let delay = RETRY_DELAY_FIRST
            .saturating_mul(1 << doublings)
            .min(self.retry_delay_max(now.wall));
        self.plan = Some(Plan {
            decided: now,
            delay: delay.mul_f64(0.5 + fraction(random) / 2.0),
            at: None,
        });
    }

    /// What is held was taken away by who gave it.
    pub fn withdrawn(&mut self) {
        self.held = None;
    }

    /// How long until the next attempt, as far as can be said now; nothing if it is due.
    pub fn due_in(&self, now: Moment) -> Duration {
        let Some(plan) = self.plan else {
            return Duration::ZERO;
        };
        let elapsed = now.monotonic.saturating_duration_since(plan.decided.monotonic);
        match plan.at {
            Some(at) => {
                let by_monotonic = plan.delay.saturating_sub(elapsed);
                let soonest = RENEWAL_INTERVAL_MIN.saturating_sub(elapsed);
                by_monotonic.min(between(now.wall, at)).max(soonest)
            }
            // What seemed far from its end may be near it, since the clock was stepped.
            None => plan
                .delay
                .min(self.retry_delay_max(now.wall))
                .saturating_sub(elapsed),
        }
    }

    /// True if an attempt is to be made now.
    pub fn is_due(&self, now: Moment) -> bool {
        self.due_in(now).is_zero()
    }

    /// How long to sleep before asking again whether it is due.
    pub fn wake_in(&self, now: Moment) -> Duration {
        self.due_in(now).min(CLOCK_CHECK_INTERVAL)
    }

    fn retry_delay_max(&self, now: SystemTime) -> Duration {
        let left = self.held.map_or(Duration::ZERO, |held| held.left(now));
        if left.is_zero() {
            return RETRY_DELAY_MAX_WITHOUT;
        }
        (left / ATTEMPTS_LEFT_MIN).clamp(RETRY_DELAY_FIRST, RETRY_DELAY_MAX)
    }
}

/// From one to the other; nothing if it is behind.
fn between(from: SystemTime, to: SystemTime) -> Duration {
    to.duration_since(from).unwrap_or_default()
}

/// A random number as one of `0.0..1.0`.
fn fraction(random: u64) -> f64 {
    // 53 bits are what a double holds exactly.
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests;
