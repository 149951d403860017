//! Slow start: the share of an endpoint that is new, by how long it has served.
//!
//! Envoy's formula ("Slow start mode"): the weight is multiplied by the part of the window that has passed, to the power
//! of 1 / aggression, but by no less than the least share; a new endpoint counts as one second old.

use outrigger_config::model::SlowStart;
use std::time::Duration;

/// What weights are multiplied by while some endpoint is slowed, so that its share can be told in whole numbers.
pub(super) const SCALE: u64 = 1_000;

/// The least age.
const AGE_MIN: Duration = Duration::from_secs(1);

/// The share, of [`SCALE`], of an endpoint that has served since `since` (zero: all along); none: whole.
pub(super) fn scaled(settings: SlowStart, since: Duration, now: Duration) -> Option<u64> {
    let age = now.saturating_sub(since);
    if since.is_zero() || age >= settings.window() {
        return None;
    }
    let passed = age.max(AGE_MIN).as_secs_f64() / settings.window().as_secs_f64();
    let grown = passed.min(1.0).powf(1.0 / settings.aggression());
    let least = f64::from(settings.weight_min_percent()) / 100.0;
    let scaled = (grown.max(least) * SCALE as f64).round() as u64;
    Some(scaled.clamp(1, SCALE))
}
