//! Texts to values: numbers, durations, sizes, addresses, names, hosts, header names and values, paths, patterns.
//!
//! Pure functions of one text. What is wrong is said in the words of whoever wrote the text.

mod headers;
mod hosts;
mod names;

pub(crate) use headers::*;
pub(crate) use hosts::*;
pub(crate) use names::*;

use crate::model::{Fraction, Name, Pattern, defaults};
use crate::timestamp::parse_timestamp;
use ipnet::IpNet;
use regex::{Regex, RegexBuilder};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

/// Why a text is not a value.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

pub(crate) fn problem<T>(message: impl Into<String>) -> Result<T, Problem> {
    Err(Problem {
        message: message.into(),
        help: None,
    })
}

pub(crate) fn problem_with_help<T>(
    message: impl Into<String>,
    help: impl Into<String>,
) -> Result<T, Problem> {
    Err(Problem {
        message: message.into(),
        help: Some(help.into()),
    })
}

/// Longer time spans are mistakes.
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Units of durations, longest first, in nanoseconds.
pub(crate) const DURATION_UNITS: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Units of sizes, largest first, in bytes.
pub(crate) const SIZE_UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

pub(crate) fn integer(text: &str) -> Result<u64, Problem> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text
            .parse()
            .or_else(|_| problem(format!("`{}` is too large", shortened(text))));
    }
    problem(format!("expected a number, found `{}`", shortened(text)))
}

pub(crate) fn boolean(text: &str) -> Result<bool, Problem> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => {
            let help = match text.to_ascii_lowercase().as_str() {
                "yes" | "on" | "y" | "true" => "write `true`",
                "no" | "off" | "n" | "false" => "write `false`",
                _ => return problem(format!("expected true or false, found `{}`", shortened(text))),
            };
            problem_with_help(format!("expected true or false, found `{text}`"), help)
        }
    }
}

/// `15s`, `250ms`, `5m`, `1h`; one number and one unit.
pub(crate) fn duration(text: &str) -> Result<Duration, Problem> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shown = shortened(text);
    if number.is_empty() {
        return problem_with_help(
            format!("expected a duration, found `{shown}`"),
            "such as `15s`, `250ms`, `5m`",
        );
    }
    if unit.is_empty() {
        return problem_with_help(
            format!("the duration `{shown}` has no unit"),
            format!("such as `{shown}s`"),
        );
    }
    let Some((_, nanoseconds)) = DURATION_UNITS.iter().find(|(name, _)| *name == unit) else {
        let message = format!("the duration `{shown}` is not a whole number and a unit");
        return problem_with_help(
            message,
            "units are ns, us, ms, s, m and h; `90s` rather than `1m30s` or `1.5m`",
        );
    };
    let span = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*nanoseconds));
    match span.map(Duration::from_nanos) {
        Some(span) if span <= DURATION_MAX => Ok(span),
        _ => problem(format!("the duration `{shown}` is longer than a year")),
    }
}

/// `65536`, `64KiB`, `1MiB`, `1GiB`.
pub(crate) fn size(text: &str) -> Result<u64, Problem> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shown = shortened(text);
    let factor = SIZE_UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, factor)| *factor);
    let Some(factor) = factor
        .or((unit.is_empty() || unit == "B").then_some(1))
        .filter(|_| digits > 0)
    else {
        return problem_with_help(
            format!("expected a size, found `{shown}`"),
            "such as `65536`, `64KiB`, `1MiB`",
        );
    };
    match number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
    {
        Some(bytes) => Ok(bytes),
        None => problem(format!("`{shown}` is too large")),
    }
}

pub(crate) fn name(text: &str) -> Result<Name, Problem> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/-|*~".contains(&byte);
    if text.is_empty() || text.len() > 253 {
        return problem(format!(
            "a name has 1 to 253 characters, this one has {}",
            text.chars().count()
        ));
    }
    match text
        .chars()
        .find(|character| !character.is_ascii() || !legal(*character as u8))
    {
        None => Ok(Name(text.into())),
        Some(character) => problem_with_help(
            format!("a name may not contain {character:?}"),
            "names are made of A-Z a-z 0-9 . _ : / - | * ~",
        ),
    }
}

pub(crate) fn address(text: &str) -> Result<SocketAddr, Problem> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address);
    }
    let message = format!("expected an IP address and a port, found `{}`", shortened(text));
    if text.parse::<IpAddr>().is_ok() {
        let example = if text.contains(':') {
            format!("[{text}]:80")
        } else {
            format!("{text}:80")
        };
        return problem_with_help(message, format!("add a port: `{example}`"));
    }
    match text.rsplit_once(':') {
        Some(("", port)) if port.parse::<u16>().is_ok() => {
            problem_with_help(message, format!("write `0.0.0.0:{port}` for every address"))
        }
        Some((host, port)) if port.parse::<u16>().is_ok() && is_host(host) && !host.starts_with('[') => {
            problem_with_help(message, "host names are not resolved here")
        }
        Some((_, port)) if port.len() > 4 && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            problem_with_help(message, "ports end at 65535")
        }
        _ => problem_with_help(message, "such as `127.0.0.1:8080` or `[::1]:8080`"),
    }
}

/// An endpoint's address, where a name may be meant.
pub(crate) fn endpoint_address(text: &str) -> Result<SocketAddr, Problem> {
    address(text).map_err(|problem| match text.rsplit_once(':') {
        Some((host, port))
            if port.parse::<u16>().is_ok() && !host.is_empty() && is_host(host) && !host.starts_with('[') =>
        {
            let help = format!(
                "names are resolved by `discovery: {{type: strict_dns, names: [{{host: {host}, port: {port}}}]}}`"
            );
            Problem {
                help: Some(help),
                ..problem
            }
        }
        _ => problem,
    })
}

pub(crate) fn file(text: &str) -> Result<String, Problem> {
    if text.is_empty() || text.contains('\0') {
        return problem("expected a file name");
    }
    if text.contains("-----BEGIN ") {
        return problem_with_help(
            "expected a file name, found what such a file holds",
            "give the name of a file that holds it, or write it in `inline`",
        );
    }
    Ok(text.to_owned())
}

pub(crate) fn prefix(text: &str) -> Result<IpNet, Problem> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    match text.parse::<IpNet>() {
        Ok(net) if net.trunc() == net => Ok(net),
        Ok(net) => {
            let message = format!("`{text}` has bits set beyond its prefix length");
            problem_with_help(message, format!("did you mean `{}`?", net.trunc()))
        }
        Err(_) => {
            let message = format!("expected an address prefix, found `{}`", shortened(text));
            problem_with_help(message, "such as `10.0.0.0/8` or `fd00::/8`")
        }
    }
}

/// An ALPN name, RFC 7301 section 3.1.
pub(crate) fn application_protocol(text: &str) -> Result<String, Problem> {
    match text.len() {
        1..=255 => Ok(text.to_owned()),
        _ => problem("an ALPN name has 1 to 255 bytes"),
    }
}

/// `2030-01-31T18:00:00Z`, of RFC 3339.
pub(crate) fn timestamp(text: &str) -> Result<SystemTime, Problem> {
    match parse_timestamp(text) {
        Some(moment) => Ok(moment),
        None => problem_with_help(
            format!("expected a moment, found `{}`", shortened(text)),
            "such as `2030-01-31T18:00:00Z` (RFC 3339)",
        ),
    }
}

/// `12.5`: 0 to 100, with at most four digits after the point.
pub(crate) fn percent(text: &str) -> Result<Fraction, Problem> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(rest) {
        let message = format!("expected a percentage, found `{}`", shortened(text));
        return problem_with_help(message, "such as `10` or `12.5`");
    }
    if rest.len() > 4 {
        return problem("a percentage has at most four digits after the point");
    }
    let parts = whole
        .parse::<u32>()
        .ok()
        .zip(format!("{rest:0<4}").parse::<u32>().ok())
        .and_then(|(whole, rest)| whole.checked_mul(10_000)?.checked_add(rest))
        .filter(|parts| *parts <= Fraction::ALL.parts_per_million());
    match parts {
        Some(parts) => Ok(Fraction(parts)),
        None => problem(format!("{} is not between 0 and 100", shortened(text))),
    }
}

/// A whole path or its beginning, as it is after normalization.
pub(crate) fn path(text: &str) -> Result<String, Problem> {
    if !text.starts_with('/') {
        let help = format!("write `/{}`", shortened(text));
        return problem_with_help(
            format!("the path `{}` does not begin with `/`", shortened(text)),
            help,
        );
    }
    if text.len() > 4096 {
        return problem("a path has at most 4096 bytes here");
    }
    if let Some(character) = text.chars().find(|character| matches!(character, '?' | '#')) {
        return problem(format!("a path may not contain `{character}`"));
    }
    if let Some(character) = text.chars().find(|character| !character.is_ascii_graphic()) {
        let mut buffer = [0; 4];
        let encoded: String = character
            .encode_utf8(&mut buffer)
            .bytes()
            .map(|byte| format!("%{byte:02X}"))
            .collect();
        return problem_with_help(
            format!("a path may not contain {character:?}"),
            format!("write `{encoded}`"),
        );
    }
    if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        return problem_with_help(
            "a path with `.` or `..` segments never matches",
            "paths are normalized before they are matched",
        );
    }
    percent_encoding(text)?;
    Ok(text.to_owned())
}

fn percent_encoding(text: &str) -> Result<(), Problem> {
    for (start, _) in text.match_indices('%') {
        let digits = text.get(start + 1..start + 3).unwrap_or_default();
        if digits.len() != 2 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return problem_with_help(
                "`%` is not followed by two hexadecimal digits",
                "a literal `%` is `%25`",
            );
        }
        if digits == "00" {
            return problem("`%00` is refused in every request, so this never matches");
        }
        if digits.bytes().any(|byte| byte.is_ascii_lowercase()) {
            let message = format!("`%{digits}` never matches");
            return problem_with_help(
                message,
                format!("write `%{}`: paths are normalized", digits.to_uppercase()),
            );
        }
    }
    Ok(())
}

/// A pattern that must match a whole text.
pub(crate) fn pattern(text: &str) -> Result<Pattern, Problem> {
    // By itself first: `a)|(b` would change its meaning inside the group.
    regex(text)?;
    Ok(Pattern {
        source: text.into(),
        regex: regex(&format!("^(?:{text})$"))?,
    })
}

/// A pattern that may match anywhere.
pub(crate) fn regex(text: &str) -> Result<Regex, Problem> {
    match RegexBuilder::new(text)
        .size_limit(defaults::REGEX_SIZE_BYTES_MAX)
        .build()
    {
        Ok(regex) => Ok(regex),
        Err(regex::Error::CompiledTooBig(limit)) => problem(format!(
            "the regular expression is too large: more than {limit} bytes when compiled"
        )),
        Err(error) => {
            // The library draws the expression over several lines and ends with what is wrong.
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default().trim();
            problem(format!(
                "not a regular expression: {}",
                last.strip_prefix("error: ").unwrap_or(last)
            ))
        }
    }
}

/// A text in a message: not too long, and never a key.
pub(crate) fn shortened(text: &str) -> String {
    if holds_key(text) {
        return "a private key".to_owned();
    }
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

pub(crate) fn holds_key(text: &str) -> bool {
    text.contains("PRIVATE KEY")
}
