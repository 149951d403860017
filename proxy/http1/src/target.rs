//! Request lines, targets and authorities (RFC 9112, 3; RFC 3986, 3.2), made into the parts of a head.

use std::net::Ipv6Addr;

use crate::blocks;
use crate::error::{Fault, RequestError};
use crate::head::RequestHead;
use crate::method::{Method, Version};
use crate::scan;

/// Reads the request line that `view` starts with, if it is as nearly all are: a registered method, origin-form,
/// HTTP/1.1. Gives its bytes with CRLF. The head is untouched if it is not.
#[inline(always)]
pub(crate) fn read_usual_request_line(view: &[u8], head: &mut RequestHead) -> Option<usize> {
    const LINE_END: &[u8; 11] = b" HTTP/1.1\r\n";
    let method_end = blocks::equal(view.first_chunk()?, b' ').trailing_zeros() as usize;
    let method = Method::with_path(view.get(..method_end)?)?;
    let start = method_end + 1;
    let target = blocks::target_at(view, start)?;
    let end = start + target.len();
    let line = view.get(..end + LINE_END.len())?;
    if !line.ends_with(LINE_END) || !target.starts_with('/') {
        return None;
    }
    let mark = blocks::first_of(line, start, |block| blocks::equal(block, b'?'));
    head.clear();
    head.method = method;
    head.set_target(target, (mark < end).then(|| mark - start));
    Some(line.len())
}

/// Reads a request line, without its CRLF, into a cleared head.
pub(crate) fn read_request_line(
    line: &[u8],
    accept_http_10: bool,
    head: &mut RequestHead,
) -> Result<(), RequestError> {
    // Control characters have faults of their own, wherever in the line they are.
    read(line, accept_http_10, head).map_err(|error| match error {
        _ if line.contains(&0) => RequestError::NulByte,
        _ if line.contains(&b'\r') => RequestError::BareCr,
        other => other,
    })
}

fn read(line: &[u8], accept_http_10: bool, head: &mut RequestHead) -> Result<(), RequestError> {
    let method_end = line.iter().take(Method::BYTES_MAX + 1).position(|&b| b == b' ');
    let Some(method_end) = method_end else {
        let has_space = line.contains(&b' ');
        return Err(if has_space {
            RequestError::InvalidMethod
        } else {
            RequestError::InvalidRequestLine
        });
    };
    head.method = Method::from_bytes(&line[..method_end]).ok_or(RequestError::InvalidMethod)?;
    let rest = &line[method_end + 1..];
    let target_end = memchr::memrchr(b' ', rest).ok_or(RequestError::InvalidRequestLine)?;
    let (target, version) = (&rest[..target_end], &rest[target_end + 1..]);
    if target.is_empty() || target.starts_with(b" ") || target.ends_with(b" ") {
        return Err(RequestError::InvalidRequestLine);
    }
    head.version = parse_version(version)?;
    if head.version == Version::Http10 && !accept_http_10 {
        return Err(RequestError::UnsupportedVersion);
    }
    read_target(target, head)
}

/// The version of these bytes, if it is one that is spoken here.
pub(crate) fn parse_version(bytes: &[u8]) -> Result<Version, Fault> {
    match bytes {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(Fault::UnsupportedVersion),
        _ => Err(Fault::InvalidVersion),
    }
}

fn read_target(target: &[u8], head: &mut RequestHead) -> Result<(), RequestError> {
    if !scan::is_target(target) {
        let is_fragment = target.contains(&b'#') && target.iter().all(|b| b.is_ascii_graphic());
        return Err(if is_fragment {
            RequestError::FragmentInTarget
        } else {
            RequestError::InvalidTarget
        });
    }
    let target = std::str::from_utf8(target).map_err(|_| RequestError::InvalidTarget)?;
    if head.method == Method::Connect {
        // The port is not optional here (RFC 9110, 9.3.6).
        if !is_authority(target.as_bytes()) || !has_port(target) {
            return Err(RequestError::InvalidTarget);
        }
        head.set_authority(target);
        return Ok(());
    }
    if target.starts_with('/') || (target == "*" && head.method == Method::Options) {
        head.set_path_and_query(target);
        return Ok(());
    }
    read_absolute(target, head)
}

fn read_absolute(target: &str, head: &mut RequestHead) -> Result<(), RequestError> {
    let (scheme, rest) = target.split_once("://").ok_or(RequestError::InvalidTarget)?;
    let scheme = ["http", "https"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(scheme));
    head.set_scheme(scheme.ok_or(RequestError::InvalidTarget)?);
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if !is_authority(authority.as_bytes()) {
        return Err(RequestError::InvalidTarget);
    }
    head.set_authority(authority);
    head.set_absolute();
    match path.as_bytes().first() {
        Some(b'/') => head.set_path_and_query(path),
        Some(_) => head.set_path_and_query(&format!("/{path}")),
        // OPTIONS of a whole server is sent on as `*` (RFC 9112, 3.2.4).
        None if head.method == Method::Options => head.set_path_and_query("*"),
        None => head.set_path_and_query("/"),
    }
    Ok(())
}

fn has_port(authority: &str) -> bool {
    authority
        .rfind(':')
        .is_some_and(|colon| colon > authority.rfind(']').unwrap_or(0))
}

/// Whether these bytes are a host that is not empty, with or without a port of 16 bits that is not empty.
pub fn is_authority(bytes: &[u8]) -> bool {
    let host_bytes = match bytes {
        [b'[', rest @ ..] => address_length(rest).map_or(0, |length| length + 2),
        _ => name_length(bytes),
    };
    match &bytes[host_bytes..] {
        _ if host_bytes == 0 => false,
        [] => true,
        [b':', port @ ..] => is_port(port),
        _ => false,
    }
}

/// The length of an IPv6 address that a bracket ends.
fn address_length(bytes: &[u8]) -> Option<usize> {
    let length = memchr::memchr(b']', bytes)?;
    let address = std::str::from_utf8(&bytes[..length]).ok()?;
    address.parse::<Ipv6Addr>().ok().map(|_| length)
}

fn name_length(bytes: &[u8]) -> usize {
    let mut length = scan::host_name_length(bytes);
    while let [b'%', high, low, rest @ ..] = &bytes[length..] {
        if !high.is_ascii_hexdigit() || !low.is_ascii_hexdigit() {
            break;
        }
        length += 3 + scan::host_name_length(rest);
    }
    length
}

fn is_port(bytes: &[u8]) -> bool {
    let digits = !bytes.is_empty() && bytes.len() <= 5 && bytes.iter().all(u8::is_ascii_digit);
    digits
        && bytes
            .iter()
            .fold(0u32, |port, digit| port * 10 + (digit - b'0') as u32)
            <= 65_535
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_hosts_with_optional_ports() {
        for good in [
            "a",
            "a.b:80",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:65535",
            "a_b-c~",
            "a%20b",
            "xn--x.example.",
            "a:0",
        ] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        let bad = [
            "",
            ":80",
            "a:",
            "a:x",
            "a:65536",
            "a:080000",
            "a:-1",
            "a:+1",
            "u@a",
            "a/b",
            "a b",
            "a,b",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]:",
            "[a]",
            "[::1%25eth0]",
            "[v1.x]",
            "a%2",
            "a%zz",
            "a\\b",
            "a:1:2",
            "a\"",
            "ä",
            "a#",
            "a?",
        ];
        for bad in bad {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn usual_request_lines_are_read_as_all_are() {
        let mut usual_lines = 0;
        let targets = [
            "/",
            "/a?b=c?d",
            "*",
            "",
            "/a b",
            "/#",
            "/\x7f",
            "/é",
            "/0123456789abcdef?",
            "a:1",
            "http://a/b",
        ];
        for method in [
            "GET",
            "PATCH",
            "CONNECT",
            "get",
            "",
            "A-METHOD-OF-MORE-THAN-16-BYTES",
        ] {
            for target in targets {
                for end in [
                    "HTTP/1.1\r\n",
                    "HTTP/1.0\r\n",
                    "HTTP/1.1\n",
                    "HTTP/1.1 \r\n",
                    " HTTP/1.1\r\n",
                ] {
                    let line = format!("{method} {target} {end}");
                    for after in ["", "host: a\r\n\r\n"] {
                        let (mut usual, mut other) = (RequestHead::new(), RequestHead::new());
                        let view = format!("{line}{after}");
                        let Some(length) = read_usual_request_line(view.as_bytes(), &mut usual) else {
                            assert_eq!(usual, RequestHead::new());
                            continue;
                        };
                        let stripped = &line.as_bytes()[..line.len() - 2];
                        assert_eq!(read_request_line(stripped, false, &mut other), Ok(()), "{line:?}");
                        assert_eq!((length, &usual), (line.len(), &other));
                        assert_eq!(usual.query(), other.query());
                        usual_lines += 1;
                    }
                }
            }
        }
        assert_eq!(
            usual_lines,
            2 * 3 * 2,
            "two methods, three targets, with and without more"
        );
    }

    #[test]
    fn ports_are_told_from_addresses() {
        assert!(has_port("[::1]:80") && has_port("a:80"));
        assert!(!has_port("[::1]") && !has_port("a"));
    }
}
