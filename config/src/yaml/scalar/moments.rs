//! Moments of RFC 3339.

use super::{Problem, problem_with_help, shortened};
use crate::timestamp::parse_timestamp;
use std::time::SystemTime;

/// `2030-01-31T18:00:00Z`, `2030-01-31T20:00:00.5+02:00`; from 1970 to 9999.
pub(crate) fn timestamp(text: &str) -> Result<SystemTime, Problem> {
    match parse_timestamp(text) {
        Some(moment) => Ok(moment),
        None => problem_with_help(
            format!("expected a moment, found `{}`", shortened(text)),
            "such as `2030-01-31T18:00:00Z` (RFC 3339)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use proptest::prelude::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn seconds(text: &str) -> Option<u64> {
        let moment = timestamp(text).ok()?;
        Some(moment.duration_since(UNIX_EPOCH).unwrap().as_secs())
    }

    /// Numbers of `date -u -d … +%s`.
    #[test]
    fn moments_of_rfc_3339() {
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2000-02-29T12:34:56Z"), Some(951_827_696));
        assert_eq!(seconds("2030-01-31T18:00:00Z"), Some(1_896_112_800));
        assert_eq!(seconds("2030-01-31t20:00:00.25+02:00"), Some(1_896_112_800));
        assert_eq!(seconds("2030-01-31T12:30:00-05:30"), Some(1_896_112_800));
        assert_eq!(seconds("9999-12-31T23:59:59z"), Some(253_402_300_799));
        for wrong in [
            "",
            "2030-01-31",
            "2030-01-31 18:00:00Z",
            "2030-01-31T18:00:00",
            "2030-01-31T18:00Z",
            "2030-02-29T18:00:00Z",
            "2030-13-01T18:00:00Z",
            "2030-00-01T18:00:00Z",
            "2030-01-31T24:00:00Z",
            "2030-01-31T18:60:00Z",
            "2030-01-31T18:00:00.Z",
            "2030-01-31T18:00:00+2:00",
            "2030-01-31T18:00:00+0200",
            "2030-01-31T18:00:00Zulu",
            "+030-01-31T18:00:00Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "2030-01-31T18:00:0é",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(seconds in 0..253_402_300_799u64, nanoseconds in 0..1_000_000_000u32) {
            let moment = UNIX_EPOCH + Duration::new(seconds, nanoseconds);
            let text = Timestamp(moment).to_string();
            prop_assert_eq!(timestamp(&text).ok(), Some(moment), "{}", text);
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = timestamp(&text);
        }
    }
}
