//! What one request may mean to whoever reads it behind us.
//!
//! A listener may keep escaped or repeated slashes, fields may stand twice, and servers differ in what they make of
//! them. Where readings differ, a condition is neither true nor false: DENY policies then match and ALLOW policies do not,
//! so that no spelling goes around either.
//!
//! * **Path**: as it is forwarded, and as a server reads it that drops parameters (`;x=y`), decodes every escape, takes `\`
//!   for `/`, removes what dot segments then appear and merges slashes. Policies' own paths are read both ways, too. Where
//!   servers that do only some of this may get elsewhere, nothing is certain of the path (`Doubt`).
//! * **Header**: every field by itself and all joined. What stands between commas (between semicolons in `cookie`) may
//!   mean the same as fields of its own: it makes a DENY match, and never an ALLOW.
//! * **Query parameter**: every one of the name, percent-decoded, with `+` as it is and as a blank.
//!   Of longer lists and queries than [`ELEMENTS_MAX`] what would have to be looked for in them is not known.
//! * **Host**: lower case, without port, without dots at its end, IPv6 addresses in one spelling; with and without escapes
//!   decoded.

use super::facts::{Facts, RequestFacts};
use super::truth::Truth;
use outrigger_config::model::Domain;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::Ipv6Addr;

/// Facts, with readings that more than one condition asks for.
pub(super) struct Question<'f> {
    pub(super) facts: &'f Facts<'f>,
    resolved: OnceCell<Resolved>,
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

    /// The path as it is forwarded, and as others may read it.
    pub(super) fn paths(&self, request: &'f dyn RequestFacts) -> (&'f str, &Resolved) {
        let path = request.path();
        (path, self.resolved.get_or_init(|| Resolved::of(path)))
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
            normal_host(without_port(&decoded)).into_owned()
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

/// A policy's host, spelled as requests' hosts are.
pub(super) fn normal_domain(domain: &Domain) -> Domain {
    match domain {
        Domain::Exact(host) => Domain::Exact(normal_host(host).into_owned()),
        Domain::Suffix(suffix) if suffix != "." => Domain::Suffix(suffix.trim_end_matches('.').to_owned()),
        other => other.clone(),
    }
}

/// A path as others may read it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Resolved {
    /// As a server reads it that takes everything for something; none: as it is.
    pub(super) path: Option<String>,
    /// Whether there are more readings than these two.
    pub(super) doubt: Doubt,
}

/// Of which conditions a path's readings cannot be told, since servers that do only some of what [`Resolved`] does may get
/// to another path than those that do all of it or nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Of none: conditions that are resolved, too, see every reading.
    #[default]
    Nothing,
    /// Of regular expressions, which are asked as they are written.
    Expressions,
    /// Of every one.
    Everything,
}

/// What a path has that servers differ in.
#[derive(Debug, Default)]
struct Oddities {
    /// Parameters with slashes in them, or a `;` that is escaped: whether these are parameters depends on what is done first.
    hides: bool,
    parameters: bool,
    escapes: bool,
    escaped_slash: bool,
    backslash: bool,
    repeated_slash: bool,
    /// Dot segments that show only when something of this is read; where they lead depends on how many segments are seen.
    upwards: bool,
}

impl Oddities {
    fn doubt(&self) -> Doubt {
        let unescaped = u8::from(self.parameters) + u8::from(self.backslash) + u8::from(self.repeated_slash);
        if self.hides || unescaped + u8::from(self.escaped_slash) > 1 || (self.upwards && unescaped > 0) {
            Doubt::Everything
        } else if self.upwards || (self.escapes && unescaped > 0) {
            Doubt::Expressions
        } else {
            Doubt::Nothing
        }
    }
}

fn is_separator(byte: &u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

impl Resolved {
    pub(super) fn of(path: &str) -> Resolved {
        let bytes = path.as_bytes();
        let is_plain = memchr::memchr3(b'%', b';', b'\\', bytes).is_none()
            && (bytes.len() < 2 || memchr::memmem::find(bytes, b"//").is_none());
        if is_plain || bytes.first() != Some(&b'/') {
            return Resolved::default();
        }
        let mut odd = Oddities {
            escapes: memchr::memchr(b'%', bytes).is_some(),
            ..Oddities::default()
        };
        let decoded = without_parameters(&bytes[1..], &mut odd);
        let resolved = without_dots(&decoded, &mut odd);
        Resolved {
            path: (resolved != bytes).then(|| String::from_utf8_lossy(&resolved).into_owned()),
            doubt: odd.doubt(),
        }
    }
}

/// The segments of a path behind its first slash, without parameters and with escapes decoded.
fn without_parameters(path: &[u8], odd: &mut Oddities) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len() + 1);
    for segment in path.split(|&byte| byte == b'/') {
        let end = memchr::memchr(b';', segment).unwrap_or(segment.len());
        let (segment, parameters) = (decode(&segment[..end]), &segment[end..]);
        odd.parameters |= !parameters.is_empty();
        odd.escaped_slash |= segment.contains(&b'/');
        odd.backslash |= segment.contains(&b'\\');
        odd.hides |= segment.contains(&b';') || decode(parameters).iter().any(is_separator);
        decoded.push(b'/');
        decoded.extend(segment);
    }
    decoded
}

fn without_dots(path: &[u8], odd: &mut Oddities) -> Vec<u8> {
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut last: &[u8] = b"/";
    for segment in path.split(is_separator).skip(1) {
        odd.repeated_slash |= last.is_empty();
        odd.upwards |= segment == b"..";
        last = segment;
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
    if matches!(last, b"" | b"." | b"..") && resolved.len() > 1 {
        resolved.push(b'/');
    }
    resolved
}

/// Percent-escapes decoded once; an escape that is none stands for itself.
fn decode(bytes: &[u8]) -> Vec<u8> {
    crate::routing::PercentDecoded::new(bytes).collect()
}

/// Elements of a header's lists, and parameters of a query, that are looked at one by one: more take too long with many
/// policies, and no client that means well sends them. Servers read some hundreds (PHP and Tomcat 1,000 parameters).
pub const ELEMENTS_MAX: usize = 256;

/// How many there are between separators, as far as it matters.
fn element_count(list: &[u8], is_between: impl Fn(&u8) -> bool) -> usize {
    1 + list
        .iter()
        .filter(|byte| is_between(byte))
        .take(ELEMENTS_MAX)
        .count()
}

/// What a header's fields say of a test, in all their readings.
pub(super) fn header_truth(request: &dyn RequestFacts, name: &str, test: &dyn Fn(&[u8]) -> bool) -> Truth {
    if name == "host" {
        return host_truth(request.authority(), test);
    }
    let (mut count, mut elements) = (0, 0);
    let mut truth = Truth::False;
    request.headers(name, &mut |value| {
        count += 1;
        elements += element_count(value, |&byte| byte == separator(name));
        if count == 1 {
            truth = single_truth(name, value, elements, test);
        }
    });
    if count > 1 && elements > ELEMENTS_MAX {
        return Truth::Unknown;
    }
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

fn single_truth(name: &str, value: &[u8], elements: usize, test: &dyn Fn(&[u8]) -> bool) -> Truth {
    match test(value) {
        true => Truth::True,
        false if elements > ELEMENTS_MAX => Truth::Unknown,
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

/// Calls `each` with everything that a header may be taken to say. False: that is more than is looked at, so that whatever
/// asks for this header must be asked.
#[must_use]
pub(super) fn header_readings(request: &dyn RequestFacts, name: &str, each: &mut dyn FnMut(&[u8])) -> bool {
    if name == "host" {
        let authority = request.authority();
        each(authority.as_bytes());
        each(authority.to_ascii_lowercase().as_bytes());
        each(normal_host(without_port(authority)).as_bytes());
        return true;
    }
    let (mut count, mut elements) = (0, 0);
    let separator = separator(name);
    request.headers(name, &mut |value| {
        count += 1;
        elements += element_count(value, |&byte| byte == separator);
        if elements > ELEMENTS_MAX {
            return;
        }
        each(value);
        if memchr::memchr(separator, value).is_some() {
            value
                .split(|&byte| byte == separator)
                .for_each(|element| each(element.trim_ascii()));
        }
    });
    if count > 1 && elements <= ELEMENTS_MAX {
        let mut values = Vec::with_capacity(count);
        request.headers(name, &mut |value| values.push(value.to_vec()));
        joints(name).iter().for_each(|joint| each(&values.join(*joint)));
    }
    elements <= ELEMENTS_MAX
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
    let query = query.unwrap_or_default().as_bytes();
    if element_count(query, ends_parameter) > ELEMENTS_MAX {
        return Truth::Unknown;
    }
    let truth = |ends: fn(&u8) -> bool| {
        let mut truth: Option<Truth> = None;
        parameters(query, ends, name, &mut |value| {
            let reading = Truth::from(test(value));
            truth = Some(truth.map_or(reading, |truth| truth.agreed(reading)));
        });
        truth.unwrap_or(Truth::False)
    };
    let usual = truth(is_ampersand);
    match memchr::memchr(b';', query) {
        Some(_) => usual.agreed(truth(ends_parameter)),
        None => usual,
    }
}

/// Calls `each` with everything that a query's parameters of this name may be taken to say. False: that is more than is
/// looked at, so that whatever asks for a parameter must be asked.
#[must_use]
pub(super) fn query_readings(query: Option<&str>, name: &str, each: &mut dyn FnMut(&[u8])) -> bool {
    let query = query.unwrap_or_default().as_bytes();
    if element_count(query, ends_parameter) > ELEMENTS_MAX {
        return false;
    }
    parameters(query, is_ampersand, name, each);
    if memchr::memchr(b';', query).is_some() {
        parameters(query, ends_parameter, name, each);
    }
    true
}

fn is_ampersand(byte: &u8) -> bool {
    *byte == b'&'
}

/// To servers that follow HTML 4's advice a semicolon is as good as an ampersand.
fn ends_parameter(byte: &u8) -> bool {
    matches!(byte, b'&' | b';')
}

fn parameters(query: &[u8], ends: fn(&u8) -> bool, name: &str, each: &mut dyn FnMut(&[u8])) {
    for pair in query.split(ends).filter(|pair| !pair.is_empty()) {
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
            assert_eq!(Resolved::of(path).path.as_deref(), read, "{path}");
        }
    }

    #[test]
    fn doubt_is_where_servers_that_do_half_of_it_get_elsewhere() {
        for (path, doubt) in [
            ("/a%20b", Doubt::Nothing),
            ("/a%2Fb", Doubt::Nothing),
            ("/a;v=1/b", Doubt::Nothing),
            ("/a//b/", Doubt::Nothing),
            ("/a\\b", Doubt::Nothing),
            ("/a%20b;v=1", Doubt::Expressions),
            ("/a%5Cb", Doubt::Expressions),
            ("/a/..%2Fb", Doubt::Expressions),
            ("/a/;%2F..%2Fb", Doubt::Everything),
            ("/a;\\..\\b", Doubt::Everything),
            ("/a%3Bb", Doubt::Everything),
            ("/a/..;/b", Doubt::Everything),
            ("/a\\b/..%2Fc", Doubt::Everything),
            ("/a//..%2Fb", Doubt::Everything),
            ("/a//b;c", Doubt::Everything),
        ] {
            assert_eq!(Resolved::of(path).doubt, doubt, "{path}");
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
            ("a.example%3A80:90", "a.example%3a80", Some("a.example")),
        ] {
            let host = Host::of(authority);
            assert_eq!((host.kept.as_ref(), host.decoded.as_deref()), (kept, decoded));
        }
    }

    #[test]
    fn parameters_are_read_with_and_without_blanks() {
        let mut read = Vec::new();
        let is_all = query_readings(Some("a=1&%61=2+3&b=4&a&&a=%2B"), "a", &mut |value| {
            read.push(String::from_utf8_lossy(value).into_owned());
        });
        assert!(is_all);
        assert_eq!(read, ["1", "2+3", "2 3", "", "+"]);
    }
}
