//! Instants in a format of one's own, as `strftime` writes them in the C locale: `%Y-%m-%dT%H:%M:%S.%3fZ`. Always UTC.

use super::timestamp::civil_from_days;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// The letters of an abbreviated name of a day or month.
const ABBREVIATED: usize = 3;
const KNOWN: &str = "the format's conversions are %Y %y %C %m %d %e %j %H %I %M %S %p %a %A %b %B %h %F %T %R %D %z %Z %s %f, \
    %1f to %9f and %%";

/// A compiled format.
#[derive(Debug, Clone)]
pub(super) struct TimeFormat(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    /// A conversion of one letter; those that stand for several are taken apart before.
    Conversion(u8),
    /// So many digits of the second's fraction, 1 to 9.
    Fraction(usize),
}

impl TimeFormat {
    /// # Errors
    /// What is wrong, and which conversions there are.
    pub(super) fn parse(format: &str) -> Result<TimeFormat, &'static str> {
        let mut pieces = Vec::new();
        push_pieces(format, &mut pieces)?;
        if pieces.is_empty() {
            return Err("the format is empty: leave the parentheses out for ISO 8601");
        }
        Ok(TimeFormat(pieces))
    }

    /// Appends the text of `time`; what lies before 1970 prints as its first moment.
    pub(super) fn print(&self, time: SystemTime, out: &mut Vec<u8>) {
        let moment = Moment::of(time);
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Conversion(letter) => moment.print(*letter, out),
                Piece::Fraction(digits) => {
                    let text = format!("{:09}", moment.nanoseconds);
                    out.extend_from_slice(&text.as_bytes()[..*digits]);
                }
            }
        }
    }
}

fn push_pieces(format: &str, pieces: &mut Vec<Piece>) -> Result<(), &'static str> {
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        push_literal(&rest[..at], pieces);
        let mut letters = rest[at + 1..].bytes();
        let letter = letters
            .next()
            .ok_or("a percent sign at the end of the format; one that is meant is %%")?;
        let mut used = 2;
        match letter {
            b'%' => push_literal("%", pieces),
            b'f' => pieces.push(Piece::Fraction(9)),
            b'1'..=b'9' if letters.next() == Some(b'f') => {
                pieces.push(Piece::Fraction(usize::from(letter - b'0')));
                used = 3;
            }
            b'F' => push_pieces("%Y-%m-%d", pieces)?,
            b'T' => push_pieces("%H:%M:%S", pieces)?,
            b'R' => push_pieces("%H:%M", pieces)?,
            b'D' => push_pieces("%m/%d/%y", pieces)?,
            b'h' => pieces.push(Piece::Conversion(b'b')),
            b'z' => push_literal("+0000", pieces),
            b'Z' => push_literal("UTC", pieces),
            letter if b"YyCmdejHIMSpaAbBs".contains(&letter) => pieces.push(Piece::Conversion(letter)),
            _ => return Err(KNOWN),
        }
        rest = &rest[at + used..];
    }
    push_literal(rest, pieces);
    Ok(())
}

fn push_literal(text: &str, pieces: &mut Vec<Piece>) {
    match pieces.last_mut() {
        Some(Piece::Literal(before)) => before.push_str(text),
        _ if text.is_empty() => {}
        _ => pieces.push(Piece::Literal(text.to_owned())),
    }
}

/// A point in time, taken apart.
struct Moment {
    since_epoch: Duration,
    year: u32,
    month: u32,
    day: u32,
    nanoseconds: u32,
}

impl Moment {
    fn of(time: SystemTime) -> Moment {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let (year, month, day) = civil_from_days(since_epoch.as_secs() / 86_400);
        Moment {
            since_epoch,
            year,
            month,
            day,
            nanoseconds: since_epoch.subsec_nanos(),
        }
    }

    fn hour(&self) -> u64 {
        self.since_epoch.as_secs() / 3_600 % 24
    }

    fn day_of_year(&self) -> u64 {
        let leap =
            self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][self.month as usize - 1];
        u64::from(before + self.day + u32::from(leap && self.month > 2))
    }

    fn print(&self, letter: u8, out: &mut Vec<u8>) {
        let seconds = self.since_epoch.as_secs();
        // 1970-01-01 was a Thursday.
        let weekday = WEEKDAYS[((seconds / 86_400 + 4) % 7) as usize];
        let month = MONTHS[self.month as usize - 1];
        let printed = match letter {
            b'Y' => write!(out, "{}", self.year),
            b'y' => write!(out, "{:02}", self.year % 100),
            b'C' => write!(out, "{:02}", self.year / 100),
            b'm' => write!(out, "{:02}", self.month),
            b'd' => write!(out, "{:02}", self.day),
            b'e' => write!(out, "{:2}", self.day),
            b'j' => write!(out, "{:03}", self.day_of_year()),
            b'H' => write!(out, "{:02}", self.hour()),
            b'I' => write!(out, "{:02}", (self.hour() + 11) % 12 + 1),
            b'M' => write!(out, "{:02}", seconds / 60 % 60),
            b'S' => write!(out, "{:02}", seconds % 60),
            b'p' => write!(out, "{}", if self.hour() < 12 { "AM" } else { "PM" }),
            b'a' => write!(out, "{}", &weekday[..ABBREVIATED]),
            b'A' => write!(out, "{weekday}"),
            b'b' => write!(out, "{}", &month[..ABBREVIATED]),
            b'B' => write!(out, "{month}"),
            _ => write!(out, "{seconds}"),
        };
        printed.expect("a vector takes every byte");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(format: &str, milliseconds: u64) -> String {
        let mut out = Vec::new();
        let time = UNIX_EPOCH + Duration::from_millis(milliseconds) + Duration::from_nanos(123);
        TimeFormat::parse(format).unwrap().print(time, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn conversions_print_as_strftime_does() {
        // 2024-02-29T13:05:09.045, a Thursday; 2023-12-31T00:00:00, a Sunday; checked with date(1).
        let (leap, new_year) = (1_709_211_909_045, 1_703_980_800_000);
        let table = [
            (
                "%Y-%m-%dT%H:%M:%S.%3fZ",
                "2024-02-29T13:05:09.045Z",
                "2023-12-31T00:00:00.000Z",
            ),
            (
                "%F %T %R %D",
                "2024-02-29 13:05:09 13:05 02/29/24",
                "2023-12-31 00:00:00 00:00 12/31/23",
            ),
            (
                "%a %A %b %B %h",
                "Thu Thursday Feb February Feb",
                "Sun Sunday Dec December Dec",
            ),
            ("%I%p %j %C %y %e", "01PM 060 20 24 29", "12AM 365 20 23 31"),
            (
                "%s.%6f %f %1f",
                "1709211909.045000 045000123 0",
                "1703980800.000000 000000123 0",
            ),
            (
                "%d/%b/%Y:%H:%M:%S %z %Z",
                "29/Feb/2024:13:05:09 +0000 UTC",
                "31/Dec/2023:00:00:00 +0000 UTC",
            ),
            ("100%% %%Y", "100% %Y", "100% %Y"),
        ];
        for (format, first, second) in table {
            assert_eq!(printed(format, leap), first, "{format}");
            assert_eq!(printed(format, new_year), second, "{format}");
        }
    }

    #[test]
    fn what_is_no_conversion_is_refused() {
        for format in ["%Q", "%0f", "%12f", "%3x", "%n", "%E3S", "\u{e9}%\u{e9}", "%3"] {
            assert_eq!(TimeFormat::parse(format).unwrap_err(), KNOWN, "{format}");
        }
        assert!(TimeFormat::parse("%").unwrap_err().contains("at the end"));
        assert!(TimeFormat::parse("").unwrap_err().contains("empty"));
    }
}
