//! A route's conditions beside its path: methods, gRPC, source identities, headers, query parameters.
//!
//! Values are bytes. Equality, prefix, suffix and contains compare bytes; a regular expression is one over text, so a
//! value that is not UTF-8 matches none. Nothing here allocates, but for values that are joined or percent-decoded.

use super::RequestView;
use outrigger_config::model::{HeaderMatch, QueryMatch, RouteMatch, StringMatch};

/// The first condition that does not hold, in the order in which they are checked.
#[derive(Debug)]
pub(super) enum Failed<'a> {
    Connect,
    Method,
    Grpc,
    Identity,
    Header(&'a HeaderMatch),
    Query(&'a QueryMatch),
}

/// The first of a route's conditions, its path aside, that does not hold for the request.
pub(super) fn first_failed<'a>(
    matches: &'a RouteMatch,
    request: &(impl RequestView + ?Sized),
) -> Option<Failed<'a>> {
    if matches.connect() != request.is_connect() {
        return Some(Failed::Connect);
    }
    let methods = matches.methods();
    if !methods.is_empty() && !methods.iter().any(|method| method == request.method()) {
        return Some(Failed::Method);
    }
    if matches.grpc() && !is_grpc(request) {
        return Some(Failed::Grpc);
    }
    let identities = matches.source_identities();
    if !identities.is_empty() {
        let id = request.source_identity();
        if !id.is_some_and(|id| identities.iter().any(|wanted| wanted.matches(id))) {
            return Some(Failed::Identity);
        }
    }
    if let Some(failed) = matches
        .headers()
        .iter()
        .find(|condition| !header_holds(condition, request))
    {
        return Some(Failed::Header(failed));
    }
    let failed = matches
        .query()
        .iter()
        .find(|condition| !query_holds(condition, request.query()));
    failed.map(Failed::Query)
}

/// The request's `content-type` begins with `application/grpc`.
fn is_grpc(request: &(impl RequestView + ?Sized)) -> bool {
    let mut joined = Vec::new();
    request
        .header("content-type", &mut joined)
        .is_some_and(|value| value.starts_with(b"application/grpc"))
}

/// True if a condition on a header holds.
pub(crate) fn header_holds(condition: &HeaderMatch, request: &(impl RequestView + ?Sized)) -> bool {
    let mut joined = Vec::new();
    let value = request.header(condition.name().as_str(), &mut joined);
    value.is_some_and(|value| value_matches(condition.value(), value)) != condition.invert()
}

fn query_holds(condition: &QueryMatch, query: Option<&str>) -> bool {
    let mut decoded = Vec::new();
    let value = query.and_then(|query| parameter(query, condition.name(), &mut decoded));
    value.is_some_and(|value| value_matches(condition.value(), value)) != condition.invert()
}

/// True if a value is as wanted.
pub fn value_matches(wanted: &StringMatch, value: &[u8]) -> bool {
    match wanted {
        StringMatch::Exact(text) => value == text.as_bytes(),
        StringMatch::Prefix(text) => value.starts_with(text.as_bytes()),
        StringMatch::Suffix(text) => value.ends_with(text.as_bytes()),
        StringMatch::Contains(text) => memchr::memmem::find(value, text.as_bytes()).is_some(),
        StringMatch::Regex(pattern) => {
            std::str::from_utf8(value).is_ok_and(|value| pattern.anchored().is_match(value))
        }
        StringMatch::Present => true,
    }
}

/// The value of the first parameter of this name, percent-decoded, in `decoded` if decoding changes it. A parameter
/// without `=` has an empty value; `+` is a plus; an escape that is none stands for itself.
pub(super) fn parameter<'a>(query: &'a str, name: &str, decoded: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    let mut rest = query.as_bytes();
    loop {
        let (pair, after) = split_once(rest, b'&');
        let (key, value) = split_once(pair, b'=');
        if PercentDecoded(key).eq(name.bytes()) {
            let value = value.unwrap_or_default();
            if memchr::memchr(b'%', value).is_none() {
                return Some(value);
            }
            decoded.extend(PercentDecoded(value));
            return Some(decoded);
        }
        rest = after?;
    }
}

fn split_once(bytes: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(separator, bytes) {
        Some(at) => (&bytes[..at], Some(&bytes[at + 1..])),
        None => (bytes, None),
    }
}

/// The bytes that a percent-encoded text stands for.
pub(crate) struct PercentDecoded<'a>(&'a [u8]);

impl<'a> PercentDecoded<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> PercentDecoded<'a> {
        PercentDecoded(bytes)
    }
}

impl Iterator for PercentDecoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if let [b'%', high, low, rest @ ..] = self.0
            && let (Some(high), Some(low)) = (crate::path::hex_digit(*high), crate::path::hex_digit(*low))
        {
            self.0 = rest;
            return Some(high << 4 | low);
        }
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }
}
