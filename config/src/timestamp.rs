//! Moments as configurations write them: RFC 3339, in UTC or with an offset, to the second or finer.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment as a configuration shows it: `2026-11-22T10:30:00Z`, with a fraction only where there is one. What lies
/// before 1970 is shown as its first moment; a configuration cannot say it.
#[derive(Debug, Clone, Copy)]
pub struct Timestamp(pub SystemTime);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        let (year, month, day) = date_of(days);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        if since.subsec_nanos() > 0 {
            let digits = format!("{:09}", since.subsec_nanos());
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

/// A text is no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a time from 1970 on, as in `2026-11-22T10:30:00Z`")]
pub struct TimestampFault;

impl FromStr for Timestamp {
    type Err = TimestampFault;

    fn from_str(text: &str) -> Result<Timestamp, TimestampFault> {
        parse_timestamp(text).map(Timestamp).ok_or(TimestampFault)
    }
}

/// The moment that a text of RFC 3339 names, from 1970 on; none if it is none. A leap second is the one after it.
pub(crate) fn parse_timestamp(text: &str) -> Option<SystemTime> {
    let bytes = text.as_bytes();
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    let is_shaped = bytes.len() > 19
        && text.is_ascii()
        && marks.iter().all(|(at, mark)| bytes[*at] == *mark)
        && matches!(bytes[10], b'T' | b't');
    if !is_shaped {
        return None;
    }
    let (year, month, day) = (number(&text[..4])?, number(&text[5..7])?, number(&text[8..10])?);
    let (hour, minute, second) = (
        number(&text[11..13])?,
        number(&text[14..16])?,
        number(&text[17..19])?,
    );
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (nanos, offset) = fraction(&text[19..])?;
    let east = offset_seconds(offset)?;
    let local =
        i64::try_from(days_to(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second).ok()?;
    let seconds = u64::try_from(local - i64::try_from(DAYS_BEFORE_1970 * 86_400).ok()? - east).ok()?;
    UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
}

/// Days from the first day of year 0 to that of 1970.
const DAYS_BEFORE_1970: u64 = 719_528;

fn number(digits: &str) -> Option<u64> {
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

/// The nanoseconds of a text that may begin with a fraction, and the rest of it.
fn fraction(text: &str) -> Option<(u32, &str)> {
    let Some(rest) = text.strip_prefix('.') else {
        return Some((0, text));
    };
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, offset) = rest.split_at(length);
    let nanos: String = digits.chars().chain("000000000".chars()).take(9).collect();
    (1..=9)
        .contains(&length)
        .then(|| Some((nanos.parse().ok()?, offset)))?
}

/// Seconds that a text of `Z` or `+HH:MM` is east of UTC.
fn offset_seconds(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let sign = match text.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60) as i64)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from the first day of year 0 to the first of this year.
fn days_before(year: u64) -> u64 {
    match year.checked_sub(1) {
        None => 0,
        // Year 0 is a leap year.
        Some(last) => year * 365 + last / 4 - last / 100 + last / 400 + 1,
    }
}

/// Days from the first day of year 0 to this one.
fn days_to(year: u64, month: u64, day: u64) -> u64 {
    let months: u64 = (1..month).map(|month| days_in(year, month)).sum();
    days_before(year) + months + day - 1
}

/// The date of a day counted from 1970.
fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_BEFORE_1970;
    // Never too late, and at most a year too early.
    let mut year = days * 400 / 146_097;
    while year > 0 && days_before(year) > days {
        year -= 1;
    }
    while days_before(year + 1) <= days {
        year += 1;
    }
    let mut left = days - days_before(year);
    let mut month = 1;
    while left >= days_in(year, month) {
        left -= days_in(year, month);
        month += 1;
    }
    (year, month, left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<u64> {
        let since = parse_timestamp(text)?.duration_since(UNIX_EPOCH).unwrap();
        Some(since.as_secs())
    }

    /// The numbers are those of `date -d TEXT +%s`.
    #[test]
    fn moments_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00Z", Some(951_825_600)),
            ("2026-11-22T10:30:00Z", Some(1_795_343_400)),
            ("2026-11-22t10:30:00z", Some(1_795_343_400)),
            ("2026-11-22 10:30:00Z", None),
            ("2026-11-22T10:30:00.1234567890Z", None),
            ("2026-11-22T12:30:00+02:00", Some(1_795_343_400)),
            ("2026-11-22T05:00:00-05:30", Some(1_795_343_400)),
            ("2026-11-22T10:30:00.999Z", Some(1_795_343_400)),
            ("2100-03-01T00:00:00Z", Some(4_107_542_400)),
            ("9999-12-31T23:59:60Z", Some(253_402_300_800)),
            ("1970-01-01T00:00:00+00:01", None),
            ("1969-12-31T23:59:59Z", None),
            ("2100-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-00-01T00:00:00Z", None),
            ("2026-04-31T00:00:00Z", None),
            ("2026-04-00T00:00:00Z", None),
            ("2026-04-01T24:00:00Z", None),
            ("2026-04-01T00:60:00Z", None),
            ("2026-04-01T00:00:61Z", None),
            ("2026-04-01T00:00:00", None),
            ("2026-04-01T00:00:00.Z", None),
            ("2026-04-01T00:00:00+2:00", None),
            ("2026-04-01T00:00:00+24:00", None),
            ("2026-04-01T00:00:00 Z", None),
            ("2026-04-01", None),
            ("+026-04-01T00:00:00Z", None),
            ("2026-04-01T00:00:00Zä", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn moments_are_written_as_they_are_read() {
        for day in (0..2_932_896).step_by(29) {
            let moment = UNIX_EPOCH + Duration::from_secs(day * 86_400 + day % 86_400);
            let text = Timestamp(moment).to_string();
            assert_eq!(parse_timestamp(&text), Some(moment), "{text}");
        }
        let fine = UNIX_EPOCH + Duration::new(1_795_343_400, 120_000_000);
        assert_eq!(Timestamp(fine).to_string(), "2026-11-22T10:30:00.12Z");
        assert_eq!(parse_timestamp("2026-11-22T10:30:00.12Z"), Some(fine));
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(Timestamp(before).to_string(), "1970-01-01T00:00:00Z");
    }
}
