//! What attributes of spans are made of.

use super::{Attributes, put};
use crate::grpc_status;
use std::borrow::Cow;

/// A method, known or not: names of spans and the attribute have few values.
#[derive(Clone, Copy)]
pub(super) struct Method<'m>(Option<&'static str>, &'m str);

/// The methods of RFC 9110 and PATCH, and QUERY, which the conventions know.
const METHODS: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY",
];

impl<'m> Method<'m> {
    pub(super) fn of(method: &'m str) -> Method<'m> {
        Method(METHODS.into_iter().find(|known| *known == method), method)
    }

    /// How names of spans begin.
    pub(super) fn in_names(self) -> &'static str {
        self.0.unwrap_or("HTTP")
    }

    pub(super) fn put(self, attributes: &mut Attributes) {
        match self.0 {
            Some(known) => put(attributes, "http.request.method", known),
            None => {
                put(attributes, "http.request.method", "_OTHER");
                put(attributes, "http.request.method_original", self.1.to_owned());
            }
        }
    }
}

/// A query with its names and without its values, which may be anything: nothing that a person typed, and no credential,
/// goes to a collector.
pub(super) fn redacted(query: &str) -> String {
    let mut left = String::with_capacity(query.len());
    for (place, parameter) in query.split('&').enumerate() {
        if place > 0 {
            left.push('&');
        }
        match parameter.split_once('=') {
            Some((name, _)) => {
                left.push_str(name);
                left.push_str("=REDACTED");
            }
            // It may be a value as well as a name.
            None if !parameter.is_empty() => left.push_str("REDACTED"),
            None => {}
        }
    }
    left
}

/// The host of an authority, without brackets, and its port, or else the scheme's.
pub(super) fn host_and_port<'a>(authority: &'a str, scheme: &str) -> (&'a str, Option<u16>) {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
        _ => (authority, None),
    };
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let default = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    (host, port.or(default))
}

/// Service and method of a gRPC call's path, `/package.Service/Method`.
pub(super) fn rpc_of(target: &str) -> Option<(&str, &str)> {
    let path = target.split('?').next()?;
    let (service, method) = path.strip_prefix('/')?.rsplit_once('/')?;
    (!service.is_empty() && !method.is_empty()).then_some((service, method))
}

/// The name of a status of gRPC, or its number.
pub(super) fn grpc_code(code: u16) -> Cow<'static, str> {
    match grpc_status::name(code.into()) {
        Some(name) => Cow::Borrowed(name),
        None => Cow::Owned(code.to_string()),
    }
}

pub(super) use grpc_status::is_server_error as grpc_is_server_error;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_queries_are_left_out() {
        for (query, left) in [
            ("a=1", "a=REDACTED"),
            ("a=1&b=2=3&c=", "a=REDACTED&b=REDACTED&c=REDACTED"),
            ("secret", "REDACTED"),
            ("&&a=b", "&&a=REDACTED"),
            ("", ""),
        ] {
            assert_eq!(redacted(query), left);
        }
    }

    #[test]
    fn hosts_and_ports_are_told_apart() {
        for (authority, scheme, host, port) in [
            ("a.example", "http", "a.example", Some(80)),
            ("a.example", "https", "a.example", Some(443)),
            ("a.example:81", "https", "a.example", Some(81)),
            ("[::1]:81", "http", "::1", Some(81)),
            ("[::1]", "http", "::1", Some(80)),
            ("", "http", "", Some(80)),
        ] {
            assert_eq!(host_and_port(authority, scheme), (host, port));
        }
    }

    #[test]
    fn calls_are_taken_apart() {
        assert_eq!(rpc_of("/shop.v1.Cart/Add?x"), Some(("shop.v1.Cart", "Add")));
        assert_eq!(rpc_of("/a/b/c"), Some(("a/b", "c")));
        for other in ["", "/", "/a", "//", "/a/", "a/b"] {
            assert_eq!(rpc_of(other), None, "{other}");
        }
    }

    #[test]
    fn grpc_statuses_have_names_and_sides() {
        assert_eq!(grpc_code(14), "UNAVAILABLE");
        assert_eq!(grpc_code(17), "17");
        let faults: Vec<u16> = (0..18).filter(|code| grpc_is_server_error(*code)).collect();
        assert_eq!(faults, [2, 4, 12, 13, 14, 15, 17]);
    }
}
