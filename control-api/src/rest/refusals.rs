//! What of refused calls the audit log is told, so that nobody can fill it by being refused.
//!
//! Two bounds: one for callers who are known, one for all others, so that a flood of strangers hides nobody's attempt.

use super::fault::Fault;
use super::metrics::RestMetrics;
use super::routes::{Needs, Route};
use crate::access::printable;
use crate::audit::{Event, action};
use crate::store::Store;
use http::StatusCode;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

/// Entries in a row.
const BURST: u32 = 60;
/// After them, one each.
const REFILL: Duration = Duration::from_secs(10);

/// A call that was refused.
pub(super) struct Refused<'a> {
    pub(super) who: &'a str,
    pub(super) is_known: bool,
    pub(super) from: Option<SocketAddr>,
    pub(super) route: &'static Route,
    /// The path as it was asked for.
    pub(super) asked: &'a str,
    pub(super) fault: &'a Fault,
}

/// Tells of them within bounds.
#[derive(Default)]
pub(super) struct Refusals {
    known: Mutex<Budget>,
    unknown: Mutex<Budget>,
}

impl Refusals {
    /// Tells the audit log, if it is to know and is not told too much. The caller is refused, whether that works or not.
    pub(super) async fn tell(
        &self,
        store: &dyn Store,
        metrics: &RestMetrics,
        refused: &Refused<'_>,
        now: SystemTime,
    ) {
        let Some(what) = what(refused) else { return };
        let budget = if refused.is_known {
            &self.known
        } else {
            &self.unknown
        };
        let Some(left_out) = budget.lock().take(now) else {
            return metrics.unaudited();
        };
        let subject = format!("{} {}", refused.route.method.as_str(), printable(refused.asked));
        let mut event = Event::new(now.into(), refused.who, what, &subject).why(&refused.fault.summary());
        if let Some(from) = refused.from {
            event = event.detail("from", from);
        }
        if left_out > 0 {
            event = event.detail("left_out_before", left_out);
        }
        if let Err(error) = store.enter(event).await {
            tracing::warn!(%error, "cannot tell the audit log of a refused call");
        }
    }
}

/// What the log says; none: it is not told.
fn what(refused: &Refused<'_>) -> Option<&'static str> {
    if refused.fault.is_trial() {
        return None;
    }
    let is_change = refused.route.needs == Needs::Changing;
    match refused.fault.status() {
        StatusCode::UNPROCESSABLE_ENTITY if is_change => Some(action::REVISION_REFUSED),
        StatusCode::FORBIDDEN if is_change => Some(action::REVISION_REFUSED),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Some(action::LOGIN_REFUSED),
        _ => None,
    }
}

/// A bucket of entries.
struct Budget {
    left: u32,
    filled: Option<SystemTime>,
    left_out: u64,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            left: BURST,
            filled: None,
            left_out: 0,
        }
    }
}

impl Budget {
    /// How many were left out since the last that was told; none if this one is left out, too.
    fn take(&mut self, now: SystemTime) -> Option<u64> {
        let filled = *self.filled.get_or_insert(now);
        // A clock that was set back fills nothing.
        let passed = now.duration_since(filled).unwrap_or_default();
        let more = u32::try_from(passed.as_millis() / REFILL.as_millis()).unwrap_or(BURST);
        if more > 0 {
            self.left = self.left.saturating_add(more).min(BURST);
            self.filled = Some(now);
        }
        if self.left == 0 {
            self.left_out += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_of_in_bounds_and_counted() {
        let (mut budget, start) = (Budget::default(), SystemTime::UNIX_EPOCH);
        for _ in 0..BURST {
            assert_eq!(budget.take(start), Some(0));
        }
        assert_eq!(budget.take(start), None);
        assert_eq!(budget.take(start + REFILL / 2), None);
        assert_eq!(budget.take(start + REFILL), Some(2));
        assert_eq!(budget.take(start + REFILL), None);
        assert_eq!(budget.take(start), None, "a clock that was set back");
    }
}
