//! Lengths of time as settings and stages of rollouts write them: `500ms`, `30s`, `5m`, `24h`, `7d`.

use std::time::Duration;

/// Units, in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// What a text says; none if it is not a whole number and a unit.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, milliseconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let number: u64 = number.parse().ok()?;
    number.checked_mul(*milliseconds).map(Duration::from_millis)
}

/// A length of time as it is written, in hours at most.
pub(crate) fn shown(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let fits = |(_, unit): &&(&str, u64)| milliseconds.is_multiple_of(u128::from(*unit));
    match UNITS[1..].iter().find(fits) {
        Some((name, unit)) if milliseconds > 0 => format!("{}{name}", milliseconds / u128::from(*unit)),
        _ => "0s".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_back() {
        for text in ["1ms", "1500ms", "90s", "5m", "24h", "168h", "0s"] {
            assert_eq!(shown(parse(text).unwrap()), text);
        }
        assert_eq!(parse("7d"), parse("168h"));
        for wrong in [
            "",
            "s",
            "1",
            "1w",
            "-1s",
            "1.5s",
            "1m30s",
            "99999999999999999999d",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(parse("18446744073709551615d"), None, "more than can be counted");
    }
}
