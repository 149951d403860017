//! Texts to values: numbers, durations, sizes, addresses, names, hosts, header names and values, paths, patterns.
//!
//! Pure functions of one text. What is wrong is said in the words of whoever wrote the text.

use crate::model::{Domain, HeaderName, Name, Pattern, ServerNameMatch, defaults};
use ipnet::IpNet;
use regex::{Regex, RegexBuilder};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

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
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte);
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
            "names are made of A-Z a-z 0-9 . _ : / -",
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

/// A host name, an IPv4 address or a bracketed IPv6 address, without a port.
pub(crate) fn is_host(text: &str) -> bool {
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().is_ok();
    }
    !text.is_empty()
        && text.len() <= 253
        && text
            .split('.')
            .all(|label| !label.is_empty() && is_host_text(label))
}

fn is_host_text(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

pub(crate) fn host(text: &str) -> Result<String, Problem> {
    if is_host(text) {
        return Ok(text.to_owned());
    }
    if let Some((host, port)) = text.rsplit_once(':')
        && is_host(host)
        && port.parse::<u16>().is_ok()
    {
        return problem_with_help(
            format!("`{text}` has a port"),
            format!("write `{host}`, and the port in `port`"),
        );
    }
    problem(format!("`{}` is not a host name", shortened(text)))
}

/// A host with or without a port.
pub(crate) fn authority(text: &str) -> Result<String, Problem> {
    let without_port = match text.rsplit_once(':') {
        Some((host, port)) if is_host(host) && port.parse::<u16>().is_ok() => host,
        _ => text,
    };
    if is_host(without_port) {
        return Ok(text.to_owned());
    }
    problem(format!(
        "`{}` is not a host, with or without a port",
        shortened(text)
    ))
}

pub(crate) fn domain(text: &str) -> Result<Domain, Problem> {
    let lower = text.to_ascii_lowercase();
    if lower == "*" {
        return Ok(Domain::Any);
    }
    if is_host(&lower) {
        return Ok(Domain::Exact(lower));
    }
    if let Some(rest) = lower.strip_prefix('*')
        && !rest.is_empty()
        && is_host_text(rest)
    {
        return Ok(Domain::Suffix(rest.to_owned()));
    }
    if let Some(rest) = lower.strip_suffix('*')
        && !rest.is_empty()
        && is_host_text(rest)
    {
        return Ok(Domain::Prefix(rest.to_owned()));
    }
    let message = format!("`{}` is not a domain", shortened(text));
    match text.rsplit_once(':') {
        Some((host, port)) if port == "*" || port.parse::<u16>().is_ok() => {
            problem_with_help(message, format!("ports are ignored: write `{host}`"))
        }
        _ if text.contains('*') => {
            problem_with_help(message, "`*` stands alone, at the beginning or at the end")
        }
        _ => problem_with_help(message, "such as `a.example`, `*.a.example`, `api.*` or `*`"),
    }
}

pub(crate) fn server_name_match(text: &str) -> Result<ServerNameMatch, Problem> {
    let lower = text.to_ascii_lowercase();
    let message = format!("`{}` is not a server name", shortened(text));
    if lower.parse::<IpAddr>().is_ok() || lower.starts_with('[') {
        return problem_with_help(message, "clients send no server name for an IP address");
    }
    if lower == "*" {
        return problem_with_help(message, "leave `server_names` out to take every connection");
    }
    match lower.strip_prefix("*.") {
        Some(rest) if is_host(rest) => Ok(ServerNameMatch::Suffix(lower[1..].to_owned())),
        None if is_host(&lower) => Ok(ServerNameMatch::Exact(lower)),
        _ => problem_with_help(message, "such as `a.example` or `*.b.example`"),
    }
}

/// An ALPN name, RFC 7301 section 3.1.
pub(crate) fn application_protocol(text: &str) -> Result<String, Problem> {
    match text.len() {
        1..=255 => Ok(text.to_owned()),
        _ => problem("an ALPN name has 1 to 255 bytes"),
    }
}

/// The name that an upstream's certificate must hold.
pub(crate) fn upstream_server_name(text: &str) -> Result<String, Problem> {
    if text.parse::<IpAddr>().is_ok() || (is_host(text) && !text.starts_with('[')) {
        return Ok(text.to_owned());
    }
    problem(format!(
        "`{}` is neither a DNS name nor an IP address",
        shortened(text)
    ))
}

/// RFC 9110, section 5.6.2.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

pub(crate) fn header_name(text: &str) -> Result<HeaderName, Problem> {
    if is_token(text) && text.len() <= 256 {
        return Ok(HeaderName(text.to_ascii_lowercase().into()));
    }
    let message = format!("`{}` is not a header name", shortened(text));
    match text {
        ":path" => problem_with_help(
            message,
            "paths are matched by `path`, `prefix`, `template` or `regex`",
        ),
        ":method" => problem_with_help(message, "methods are matched by `methods`"),
        ":authority" => problem_with_help(
            message,
            "hosts are matched by `domains`, and written by `host_rewrite`",
        ),
        _ if text.starts_with(':') => problem_with_help(message, "pseudo-headers cannot be named here"),
        _ => problem(message),
    }
}

/// RFC 9110, section 5.5, without what could be read two ways.
pub(crate) fn header_value(text: &str) -> Result<String, Problem> {
    if text
        .chars()
        .any(|character| character != '\t' && character.is_control())
    {
        return problem("a header value may not contain control characters");
    }
    if text.trim_matches([' ', '\t']) != text {
        return problem("a header value may not begin or end with a space");
    }
    if text.len() > 4096 {
        return problem("a header value has at most 4096 bytes here");
    }
    match operator(text) {
        Some(operator) => problem_with_help(
            format!("`{operator}` would be sent as it stands"),
            "not implemented: operators in header values",
        ),
        None => Ok(text.to_owned()),
    }
}

/// An access-log operator in a text: `%NAME%`, `%NAME(argument)%`, `%NAME(argument):length%`.
fn operator(text: &str) -> Option<&str> {
    text.match_indices('%').find_map(|(start, _)| {
        let rest = &text[start + 1..];
        let name = rest
            .bytes()
            .take_while(|byte| byte.is_ascii_uppercase() || *byte == b'_')
            .count();
        let begins = name > 1 && matches!(rest.as_bytes().get(name), Some(b'%' | b'(' | b':'));
        let end = rest.find('%').filter(|_| begins)?;
        Some(&text[start..start + end + 2])
    })
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

pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
