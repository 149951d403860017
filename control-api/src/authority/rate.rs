//! How often one identity gets certificates: a bucket of tokens for each, in a table of bounded size.

use outrigger_config::model::SpiffeId;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

/// Certificates that an identity may have at once: a service of some replicas that start together, and start again.
pub const BURST: u32 = 64;
/// One more after so long. At a certificate each half of 24 h, 1,000 replicas of one identity need one in 43 s.
pub const REFILL: Duration = Duration::from_secs(10);
/// Identities that are counted; more are refused until the bucket of one is full again.
const IDENTITIES_MAX: usize = 100_000;

/// The buckets of all identities.
#[derive(Debug, Default)]
pub(super) struct Rates {
    /// When the bucket will be full.
    full_at: HashMap<SpiffeId, SystemTime>,
}

impl Rates {
    /// Takes a token of this identity; how long until there is one, if there is none.
    pub(super) fn take(&mut self, id: &SpiffeId, now: SystemTime) -> Result<(), Duration> {
        if self.full_at.len() >= IDENTITIES_MAX && !self.full_at.contains_key(id) {
            self.full_at.retain(|_, full_at| *full_at > now);
            if self.full_at.len() >= IDENTITIES_MAX {
                return Err(REFILL);
            }
        }
        let full_at = self.full_at.entry(id.clone()).or_insert(now);
        take(full_at, REFILL, BURST, now)
    }
}

/// Takes one out of a bucket that will be full at this moment; how long until there is one, if there is none.
pub(super) fn take(
    full_at: &mut SystemTime,
    refill: Duration,
    burst: u32,
    now: SystemTime,
) -> Result<(), Duration> {
    let capacity = refill * burst;
    // Further than a whole bucket away it is only after the clock was stepped back.
    let missing = full_at.duration_since(now).unwrap_or_default().min(capacity);
    let after = missing + refill;
    match after.checked_sub(capacity) {
        Some(wait) if !wait.is_zero() => {
            *full_at = now + missing;
            Err(wait)
        }
        _ => {
            *full_at = now + after;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn each_identity_has_a_bucket_that_fills_again() {
        let (one, other): (SpiffeId, SpiffeId) =
            ("spiffe://a/b".parse().unwrap(), "spiffe://a/c".parse().unwrap());
        let mut rates = Rates::default();
        let start = UNIX_EPOCH + Duration::from_secs(1_000_000);
        for _ in 0..BURST {
            rates.take(&one, start).unwrap();
        }
        assert_eq!(rates.take(&one, start), Err(REFILL));
        rates.take(&other, start).unwrap();
        let almost = start + REFILL - Duration::from_secs(1);
        assert_eq!(rates.take(&one, almost), Err(Duration::from_secs(1)));
        rates.take(&one, start + REFILL).unwrap();
        assert_eq!(rates.take(&one, start + REFILL), Err(REFILL));
        // A clock that is stepped back leaves nobody without for longer than a bucket takes.
        assert_eq!(rates.take(&one, UNIX_EPOCH), Err(REFILL));
        rates.take(&one, UNIX_EPOCH + REFILL).unwrap();
    }

    #[test]
    fn the_table_is_bounded_and_forgets_whose_bucket_is_full() {
        let mut rates = Rates::default();
        let start = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let id = |number: usize| -> SpiffeId { format!("spiffe://a/{number}").parse().unwrap() };
        for number in 0..IDENTITIES_MAX {
            rates.take(&id(number), start).unwrap();
        }
        assert!(rates.take(&id(IDENTITIES_MAX), start).is_err());
        rates.take(&id(0), start).unwrap();
        rates.take(&id(IDENTITIES_MAX), start + REFILL).unwrap();
        assert_eq!(rates.full_at.len(), 2);
    }
}
