//! What one request may mean to whoever reads it behind us.
//!
//! A listener may keep escaped or repeated slashes, fields may stand twice, and servers differ in what they make of
//! them. Where readings differ, a condition is neither true nor false: DENY policies then match and ALLOW policies do not,
//! so that no spelling goes around either.
//!
//! * **Path**: as it is forwarded, and as a server reads it that drops parameters (`;x=y`), decodes every escape, takes `\`
//!   for `/`, removes what dot segments then appear and merges slashes. Policies' own paths are read both ways, too.
//! * **Header**: every field by itself and all joined. What stands between commas (between semicolons in `cookie`) may
//!   mean the same as fields of its own: it makes a DENY match, and never an ALLOW.
//! * **Query parameter**: every one of the name, percent-decoded, with `+` as it is and as a blank.
//! * **Host**: lower case, without port, without dots at its end, IPv6 addresses in one spelling; with and without escapes
//!   decoded.

use super::facts::{Facts, RequestFacts};
use super::truth::Truth;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::Ipv6Addr;

/// Facts, with readings that more than one condition asks for.
pub(super) struct Question<'f> {
    pub(super) facts: &'f Facts<'f>,
    resolved: OnceCell<Option<String>>,
    host: OnceCell<Host<'f>>,
}

struct Host<'f> {
    kept: Cow<'f, str>,
    /// With its escapes decoded; none: there are none.
    decoded: Option<String>,
}

impl<'f> Question<'f> {
    pub(super) fn new(facts: &'f Facts<'f>) -> Question<'f> {
        Question {
            facts,
            resolved: OnceCell::new(),
            host: OnceCell::new(),
        }
    }

    /// The path as it is forwarded, and as others may read it if that is something else.
    pub(super) fn paths(&self, request: &'f dyn RequestFacts) -> (&'f str, Option<&str>) {
        let path = request.path();
        let resolved = self.resolved.get_or_init(|| resolve(path));
        (path, resolved.as_deref())
    }

    /// The host, and what it is with its escapes decoded if it has any.
    pub(super) fn hosts(&self, request: &'f dyn RequestFacts) -> (&str, Option<&str>) {
        let host = self.host.get_or_init(|| Host::of(request.authority()));
        (&host.kept, host.decoded.as_deref())
    }
}

impl<'f> Host<'f> {
    fn of(authority: &'f str) -> Host<'f> {
        let kept = normal_host(without_port(authority));
        let decoded = kept.contains('%').then(|| {
            let decoded = String::from_utf8_lossy(&decode(kept.as_bytes())).into_owned();
            normal_host(&decoded).into_owned()
        });
        Host { kept, decoded }
    }
}

/// An authority without its port; the brackets of an IPv6 address stay.
fn without_port(authority: &str) -> &str {
    match authority.rfind([':', ']']) {
        Some(at) if authority.as_bytes()[at] == b':' => &authority[..at],
        _ => authority,
    }
}

fn normal_host(host: &str) -> Cow<'_, str> {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = address.and_then(|address| address.parse::<Ipv6Addr>().ok()) {
        return format!("[{address}]").into();
    }
    let host = host.trim_end_matches('.');
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        host.to_ascii_lowercase().into()
    } else {
        host.into()
    }
}

/// A path as a server reads it that takes everything for something; none: as it is.
pub(super) fn resolve(path: &str) -> Option<String> {
    let bytes = path.as_bytes();
    let is_plain = memchr::memchr3(b'%', b';', b'\\', bytes).is_none()
        && (bytes.len() < 2 || memchr::memmem::find(bytes, b"//").is_none());
    if is_plain || bytes.first() != Some(&b'/') {
        return None;
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    for segment in bytes[1..].split(|&byte| byte == b'/') {
        let end = memchr::memchr(b';', segment).unwrap_or(segment.len());
        decoded.push(b'/');
        decoded.extend(decode(&segment[..end]));
    }
    let is_separator = |byte: &u8| matches!(byte, b'/' | b'\\');
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut ends_below = false;
    for segment in decoded.split(is_separator).skip(1) {
        ends_below = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut resolved = vec![b'/'];
    resolved.extend(segments.join(&b'/'));
    if ends_below && resolved.len() > 1 {
        resolved.push(b'/');
    }
    (resolved != bytes).then(|| String::from_utf8_lossy(&resolved).into_owned())
}

/// Percent-escapes decoded once; an escape that is none stands for itself.
fn decode(bytes: &[u8]) -> Vec<u8> {
    crate::routing::PercentDecoded::new(bytes).collect()
}

/// What a header's fields say of a test, in all their readings.
pub(super) fn header_truth(request: &dyn RequestFacts, name: &str, test: &dyn Fn(&[u8]) -> bool) -> Truth {
    if name == "host" {
        return host_truth(request.authority(), test);
    }
    let mut count = 0;
    let mut truth = Truth::False;
    request.headers(name, &mut |value| {
        count += 1;
        if count == 1 {
            truth = single_truth(name, value, test);
        }
    });
    if count > 1 {
        let mut values = Vec::with_capacity(count);
        request.headers(name, &mut |value| values.push(value.to_vec()));
        truth = several_truth(name, &values, test);
    }
    truth
}

/// `host` stands in a request's head as its authority, which may be spelled in more ways than one.
fn host_truth(authority: &str, test: &dyn Fn(&[u8]) -> bool) -> Truth {
    if test(authority.as_bytes()) {
        return Truth::True;
    }
    let lower = authority.to_ascii_lowercase();
    let host = normal_host(without_port(authority));
    match test(lower.as_bytes()) || test(host.as_bytes()) {
        true => Truth::Unknown,
        false => Truth::False,
    }
}

fn single_truth(name: &str, value: &[u8], test: &dyn Fn(&[u8]) -> bool) -> Truth {
    match test(value) {
        true => Truth::True,
        false if any_element(name, value, test) => Truth::Unknown,
        false => Truth::False,
    }
}

fn several_truth(name: &str, values: &[Vec<u8>], test: &dyn Fn(&[u8]) -> bool) -> Truth {
    let mut readings = values.iter().map(|value| test(value));
    let joined = joints(name).iter().map(|joint| test(&values.join(*joint)));
    let first = readings.next().unwrap_or(false);
    if readings.chain(joined).any(|reading| reading != first) {
        return Truth::Unknown;
    }
    match first {
        true => Truth::True,
        false if values.iter().any(|value| any_element(name, value, test)) => Truth::Unknown,
        false => Truth::False,
    }
}

/// Some part of a list passes.
fn any_element(name: &str, value: &[u8], test: &dyn Fn(&[u8]) -> bool) -> bool {
    let separator = separator(name);
    memchr::memchr(separator, value).is_some()
        && value
            .split(|&byte| byte == separator)
            .any(|element| test(element.trim_ascii()))
}

fn separator(name: &str) -> u8 {
    if name == "cookie" { b';' } else { b',' }
}

/// Calls `each` with everything that a header may be taken to say.
pub(super) fn header_readings(request: &dyn RequestFacts, name: &str, each: &mut dyn FnMut(&[u8])) {
    if name == "host" {
        let authority = request.authority();
        each(authority.as_bytes());
        each(authority.to_ascii_lowercase().as_bytes());
        return each(normal_host(without_port(authority)).as_bytes());
    }
    let mut count = 0;
    request.headers(name, &mut |value| {
        count += 1;
        each(value);
        let separator = separator(name);
        if memchr::memchr(separator, value).is_some() {
            value
                .split(|&byte| byte == separator)
                .for_each(|element| each(element.trim_ascii()));
        }
    });
    if count > 1 {
        let mut values = Vec::with_capacity(count);
        request.headers(name, &mut |value| values.push(value.to_vec()));
        joints(name).iter().for_each(|joint| each(&values.join(*joint)));
    }
}

/// What stands between the fields of a name when they are joined.
fn joints(name: &str) -> &'static [&'static [u8]] {
    if name == "cookie" {
        &[b"; "]
    } else {
        &[b",", b", "]
    }
}

/// What a query's parameters of this name say of a test, in all their readings.
pub(super) fn query_truth(query: Option<&str>, name: &str, test: &dyn Fn(&[u8]) -> bool) -> Truth {
    let mut truth: Option<Truth> = None;
    query_readings(query, name, &mut |value| {
        let reading = Truth::from(test(value));
        truth = Some(truth.map_or(reading, |truth| truth.agreed(reading)));
    });
    truth.unwrap_or(Truth::False)
}

/// Calls `each` with everything that a query's parameters of this name may be taken to say.
pub(super) fn query_readings(query: Option<&str>, name: &str, each: &mut dyn FnMut(&[u8])) {
    let pairs = query.unwrap_or_default().as_bytes().split(|&byte| byte == b'&');
    for pair in pairs.filter(|pair| !pair.is_empty()) {
        let at = memchr::memchr(b'=', pair);
        let key = &pair[..at.unwrap_or(pair.len())];
        let value = at.map_or(&pair[..0], |at| &pair[at + 1..]);
        let with_blanks = |text: &[u8]| decode(&text.iter().map(blank).collect::<Vec<u8>>());
        let is_named = decode(key) == name.as_bytes()
            || (memchr::memchr(b'+', key).is_some() && with_blanks(key) == name.as_bytes());
        if is_named {
            each(&decode(value));
            if memchr::memchr(b'+', value).is_some() {
                each(&with_blanks(value));
            }
        }
    }
}

fn blank(byte: &u8) -> u8 {
    if *byte == b'+' { b' ' } else { *byte }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_the_most_lenient_server_does() {
        for (path, read) in [
            ("/a/b", None),
            ("/", None),
            ("*", None),
            ("", None),
            ("/a/", None),
            ("//admin", Some("/admin")),
            ("/%2Fadmin", Some("/admin")),
            ("/x%2F..%2Fadmin", Some("/admin")),
            ("/x/..;/admin", Some("/admin")),
            ("/admin;v=1/x", Some("/admin/x")),
            ("/%5Cadmin", Some("/admin")),
            ("/x\\..\\admin", Some("/admin")),
            ("/a%21b", Some("/a!b")),
            ("/a%252Fb", Some("/a%2Fb")),
            ("/a//", Some("/a/")),
            ("/%2E%2E%2F", Some("/")),
            ("/a%FF", Some("/a\u{fffd}")),
        ] {
            assert_eq!(resolve(path).as_deref(), read, "{path}");
        }
    }

    #[test]
    fn hosts_have_one_spelling() {
        for (authority, kept, decoded) in [
            ("a.example", "a.example", None),
            ("A.Example.:8080", "a.example", None),
            ("a.example..", "a.example", None),
            ("[0:0::1]:80", "[::1]", None),
            ("%61.example", "%61.example", Some("a.example")),
        ] {
            let host = Host::of(authority);
            assert_eq!((host.kept.as_ref(), host.decoded.as_deref()), (kept, decoded));
        }
    }

    #[test]
    fn parameters_are_read_with_and_without_blanks() {
        let mut read = Vec::new();
        query_readings(Some("a=1&%61=2+3&b=4&a&&a=%2B"), "a", &mut |value| {
            read.push(String::from_utf8_lossy(value).into_owned());
        });
        assert_eq!(read, ["1", "2+3", "2 3", "", "+"]);
    }
}
