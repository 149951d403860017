//! How often something may happen: a token bucket without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Times are taken to this number of nanoseconds (146 years), so that no sum of them overflows.
const NANOSECONDS_MAX: u64 = 1 << 62;

/// How many tokens come back in which time, and how many there are at most.
///
/// Time is counted in units of a fraction of a token, so that a token is a whole number of units and nothing is rounded
/// again and again: a rate is kept to the token however long it is used. The fraction is a power of two, and such that a unit
/// is at most a nanosecond; only in buckets that would take more than 146 years to fill it is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Units that pass in `interval`.
    units: u64,
    /// In nanoseconds.
    interval: u64,
    /// A token is one unit shifted by this.
    shift: u32,
    burst: u32,
}

impl Pace {
    /// `tokens` come back in each `interval`, one after the other, and `burst` fit; zeros count as one, and more than a
    /// token in a nanosecond as one.
    pub fn new(tokens: u32, interval: Duration, burst: u32) -> Pace {
        let interval = nanoseconds(interval).max(1);
        let tokens = u64::from(tokens.max(1)).min(interval);
        let burst = burst.max(1);
        // Units in an interval: the least power of two times the tokens that is no less than its nanoseconds. The burst,
        // in units, stays below 2^62.
        let wanted = (interval.div_ceil(tokens)).next_power_of_two().trailing_zeros();
        let shift = wanted.min(62 - (u32::BITS - burst.leading_zeros()));
        Pace {
            units: tokens << shift,
            interval,
            shift,
            burst,
        }
    }

    /// Tokens at most, and at first.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// A moment, in units.
    pub(crate) fn at(&self, now: Duration) -> u64 {
        let units = u128::from(nanoseconds(now)) * u128::from(self.units) / u128::from(self.interval);
        // Below 2^63: units are at least half a nanosecond.
        units as u64
    }

    /// How long these units are, rounded up.
    fn duration(&self, units: u64) -> Duration {
        let nanoseconds = (u128::from(units) * u128::from(self.interval)).div_ceil(u128::from(self.units));
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    /// Takes a token of a bucket that will be full at `full_at`, if there is one: when it will be full then.
    #[inline]
    pub(crate) fn after_taking(&self, full_at: u64, at: u64) -> Option<u64> {
        let next = full_at.max(at) + (1 << self.shift);
        (next - at <= u64::from(self.burst) << self.shift).then_some(next)
    }

    /// Whole tokens in a bucket that will be full at `full_at`.
    pub(crate) fn left(&self, full_at: u64, at: u64) -> u32 {
        let missing = full_at.saturating_sub(at).div_ceil(1 << self.shift);
        // What is missing is no more than the burst, but for a clock that lags.
        self.burst
            .saturating_sub(u32::try_from(missing).unwrap_or(u32::MAX))
    }

    /// How long until there is a token.
    pub(crate) fn wait(&self, full_at: u64, at: u64) -> Duration {
        let enough_at = full_at.max(at) + (1 << self.shift);
        let depth = u64::from(self.burst) << self.shift;
        self.duration((enough_at - at).saturating_sub(depth))
    }

    /// What was taken of a bucket stays taken in one of another pace, as far as that goes: when it will be full.
    pub(crate) fn carried(&self, to: &Pace, full_at: u64, now: Duration) -> u64 {
        let missing = u128::from(full_at.saturating_sub(self.at(now)));
        let missing = (missing << to.shift).div_ceil(1 << self.shift);
        let depth = u128::from(to.burst) << to.shift;
        to.at(now) + missing.min(depth) as u64
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).map_or(NANOSECONDS_MAX, |nanoseconds| nanoseconds.min(NANOSECONDS_MAX))
}

/// A token bucket that all workers share, exact: never are more tokens taken than came back and the burst holds, and
/// none is refused while there is one.
///
/// It is kept as one number, the time at which the bucket will be full again (the generic cell rate algorithm), in units of
/// its [`Pace`], which is the same from call to call: another pace wants another bucket ([`TokenBucket::carried`]). Times are
/// passed in: they are since an epoch that all callers share. One that is earlier than another worker's is no error: that
/// worker's view counts.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct TokenBucket {
    /// A bucket that was never asked is full.
    full_at: AtomicU64,
}

/// A token that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Whole tokens that are left.
    pub left: u32,
    pub(crate) before: u64,
    pub(crate) after: u64,
}

impl TokenBucket {
    /// A full bucket.
    pub const fn new() -> TokenBucket {
        TokenBucket {
            full_at: AtomicU64::new(0),
        }
    }

    /// Takes a token if there is one.
    ///
    /// # Errors
    /// There is none: how long until there is, if nobody else takes it.
    pub fn take(&self, now: Duration, pace: &Pace) -> Result<Token, Duration> {
        take(&self.full_at, pace.at(now), pace)
    }

    /// Whether there is a token.
    ///
    /// # Errors
    /// There is none: how long until there is.
    pub fn look(&self, now: Duration, pace: &Pace) -> Result<(), Duration> {
        let (full_at, at) = (self.full_at.load(Ordering::Relaxed), pace.at(now));
        match pace.after_taking(full_at, at) {
            Some(_) => Ok(()),
            None => Err(pace.wait(full_at, at)),
        }
    }

    /// Gives a token back if nobody has taken one since; then it is as though it had never been taken. False: it stays
    /// taken, for what it would be worth now cannot be known.
    pub fn give_back(&self, token: Token) -> bool {
        give_back(&self.full_at, token)
    }

    /// Whole tokens that are there.
    pub fn left(&self, now: Duration, pace: &Pace) -> u32 {
        pace.left(self.full_at.load(Ordering::Relaxed), pace.at(now))
    }

    /// A bucket of another pace, of which as much was taken as of this one. What is taken of this one later is not.
    pub fn carried(&self, now: Duration, from: &Pace, to: &Pace) -> TokenBucket {
        let full_at = self.full_at.load(Ordering::Relaxed);
        TokenBucket {
            full_at: AtomicU64::new(from.carried(to, full_at, now)),
        }
    }
}

/// A number that threads share: the standard library's, or loom's in tests of all interleavings.
trait Word {
    /// Replaces the value by what `change` makes of it, in one step; both values, or the one that was not changed.
    fn change(&self, change: impl Fn(u64) -> Option<u64>) -> Result<(u64, u64), u64>;
}

impl Word for AtomicU64 {
    #[inline]
    fn change(&self, change: impl Fn(u64) -> Option<u64>) -> Result<(u64, u64), u64> {
        // Nothing else is told by this number, so no order is asked for.
        let mut before = self.load(Ordering::Relaxed);
        loop {
            let after = change(before).ok_or(before)?;
            match self.compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok((before, after)),
                Err(other) => before = other,
            }
        }
    }
}

#[inline]
fn take(full_at: &impl Word, at: u64, pace: &Pace) -> Result<Token, Duration> {
    match full_at.change(|full_at| pace.after_taking(full_at, at)) {
        Ok((before, after)) => Ok(Token {
            left: pace.left(after, at),
            before,
            after,
        }),
        Err(full_at) => Err(pace.wait(full_at, at)),
    }
}

fn give_back(full_at: &impl Word, token: Token) -> bool {
    full_at
        .change(|now| (now == token.after).then_some(token.before))
        .is_ok()
}

#[cfg(test)]
mod tests;
