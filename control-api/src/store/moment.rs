//! Moments as they are kept.

use outrigger_config::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment, in milliseconds since 1970. Shown in the manner of RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    /// By this machine's clock.
    pub fn now() -> Moment {
        SystemTime::now().into()
    }

    /// This much later.
    pub fn after(self, duration: Duration) -> Moment {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Moment(self.0.saturating_add(millis))
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Moment {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNIX_EPOCH.checked_add(Duration::from_millis(self.0)) {
            Some(time) => Timestamp(time).fmt(f),
            None => f.write_str("never"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_as_people_read() {
        assert_eq!(Moment(1_500).to_string(), "1970-01-01T00:00:01.5Z");
        assert_eq!(Moment(0).after(Duration::from_secs(60)), Moment(60_000));
        let _ = Moment(u64::MAX).after(Duration::MAX).to_string();
    }
}
