//! Moments of RFC 3339.

use super::{Problem, problem_with_help, shortened};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: u64 = 24 * 3600;

/// `2030-01-31T18:00:00Z`, `2030-01-31T20:00:00.5+02:00`; from 1970 to 9999.
pub(crate) fn timestamp(text: &str) -> Result<SystemTime, Problem> {
    match moment(text) {
        Some(moment) => Ok(moment),
        None => problem_with_help(
            format!("expected a moment, found `{}`", shortened(text)),
            "such as `2030-01-31T18:00:00Z` (RFC 3339)",
        ),
    }
}

fn moment(text: &str) -> Option<SystemTime> {
    let bytes = text.as_bytes();
    let signs = [(4, b"-"), (7, b"-"), (10, b"Tt"), (13, b":"), (16, b":")] as [(usize, &[u8]); 5];
    if !signs
        .iter()
        .all(|(at, any)| bytes.get(*at).is_some_and(|sign| any.contains(sign)))
    {
        return None;
    }
    let number = |from: usize, to: usize| digits(text.get(from..to)?);
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) {
        return None;
    }
    // A leap second counts as the one after it.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (nanoseconds, zone) = fraction(text.get(19..)?)?;
    let seconds = days_before(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    let seconds = seconds.checked_add_signed(-offset(zone)?)?;
    Some(UNIX_EPOCH + Duration::new(seconds, nanoseconds))
}

fn digits(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// Nanoseconds, and what comes after them.
fn fraction(text: &str) -> Option<(u32, &str)> {
    let Some(rest) = text.strip_prefix('.') else {
        return Some((0, text));
    };
    let count = rest.bytes().take_while(u8::is_ascii_digit).count();
    if !(1..=9).contains(&count) {
        return None;
    }
    let nanoseconds = format!("{:0<9}", &rest[..count]).parse().ok()?;
    Some((nanoseconds, &rest[count..]))
}

/// Seconds east of Greenwich.
fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    Some(sign * i64::try_from(hours * 3600 + minutes * 60).ok()?)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

/// Days from 1970 to a date.
fn days_before(year: u64, month: u64, day: u64) -> u64 {
    let years: u64 = (1970..year).map(days_of_year).sum();
    let months: u64 = (1..month).map(|month| days_of(year, month)).sum();
    years + months + day - 1
}

/// A moment as it is written, in UTC.
pub(crate) fn timestamp_text(moment: SystemTime) -> String {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (mut days, rest) = (since.as_secs() / DAY, since.as_secs() % DAY);
    let (mut year, mut month) = (1970, 1);
    while days >= days_of_year(year) {
        days -= days_of_year(year);
        year += 1;
    }
    while days >= days_of(year, month) {
        days -= days_of(year, month);
        month += 1;
    }
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    let fraction = match since.subsec_nanos() {
        0 => String::new(),
        nanoseconds => format!(".{nanoseconds:09}").trim_end_matches('0').to_owned(),
    };
    format!(
        "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z",
        days + 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            let text = timestamp_text(moment);
            prop_assert_eq!(timestamp(&text).ok(), Some(moment), "{}", text);
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = timestamp(&text);
        }
    }
}
