//! Instants as ISO 8601 in UTC with milliseconds, `2024-05-01T09:30:00.123Z`, without a calendar library.

use super::escape::digit_pair;
use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A second since 1970 and its text, milliseconds open.
type Second = (u64, [u8; 24]);

/// The text of `time`; what lies before 1970 prints as its first moment, and the year of four digits begins anew after
/// 9999.
#[inline]
pub(super) fn timestamp(time: SystemTime) -> [u8; 24] {
    thread_local! {
        /// The last second that was asked for: lines of one thread are mostly of the same.
        static LAST: Cell<Second> = const { Cell::new((0, *b"1970-01-01T00:00:00.000Z")) };
    }
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let seconds = since.as_secs();
    let (last, mut text) = LAST.get();
    if last != seconds {
        text = text_of_second(seconds);
        LAST.set((seconds, text));
    }
    let milliseconds = since.subsec_millis();
    text[20] = b'0' + (milliseconds / 100) as u8;
    text[21..23].copy_from_slice(&digit_pair(milliseconds % 100));
    text
}

#[cold]
fn text_of_second(seconds: u64) -> [u8; 24] {
    let (year, month, day) = civil_from_days(seconds / 86_400);
    let second_of_day = (seconds % 86_400) as u32;
    let mut text = *b"0000-00-00T00:00:00.000Z";
    text[0..2].copy_from_slice(&digit_pair(year / 100 % 100));
    text[2..4].copy_from_slice(&digit_pair(year % 100));
    text[5..7].copy_from_slice(&digit_pair(month));
    text[8..10].copy_from_slice(&digit_pair(day));
    text[11..13].copy_from_slice(&digit_pair(second_of_day / 3_600));
    text[14..16].copy_from_slice(&digit_pair(second_of_day / 60 % 60));
    text[17..19].copy_from_slice(&digit_pair(second_of_day % 60));
    text
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant's `civil_from_days`, for days that are not
/// negative): years run from March, so that the leap day is the last of its year.
pub(super) fn civil_from_days(days: u64) -> (u32, u32, u32) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = (days % 146_097) as u32;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era as u32 * 400 + u32::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_print_as_iso_8601() {
        let before = UNIX_EPOCH - Duration::from_millis(1_500);
        assert_eq!(&timestamp(before), b"1970-01-01T00:00:00.000Z");
        let table = [
            (0, "1970-01-01T00:00:00.000Z"),
            (999, "1970-01-01T00:00:00.999Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_782_400_120, "2000-02-29T00:00:00.120Z"),
            (1_709_164_800_001, "2024-02-29T00:00:00.001Z"),
            (1_735_689_599_050, "2024-12-31T23:59:59.050Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ];
        for (milliseconds, expected) in table {
            // The second time from the cache.
            for _ in 0..2 {
                let text = timestamp(UNIX_EPOCH + Duration::from_millis(milliseconds));
                assert_eq!(std::str::from_utf8(&text).unwrap(), expected);
            }
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut previous = civil_from_days(0);
        for days in 1..80_000 {
            let (year, month, day) = civil_from_days(days);
            let next_day = (year, month) == (previous.0, previous.1) && day == previous.2 + 1;
            let next_month = (year, month, day) == (previous.0, previous.1 + 1, 1) && previous.2 >= 28;
            let next_year =
                (year, month, day) == (previous.0 + 1, 1, 1) && (previous.1, previous.2) == (12, 31);
            assert!(
                next_day || next_month || next_year,
                "{previous:?} then {:?}",
                (year, month, day)
            );
            previous = (year, month, day);
        }
    }
}
