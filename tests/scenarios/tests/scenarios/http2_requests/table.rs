//! The malformed requests, and what becomes of each.

use super::Outcome::{self, Ended, Reset, Status};

/// Header fields, pseudo-headers among them.
pub(super) type Fields = Vec<(&'static str, &'static str)>;

pub(super) const METHOD: (&str, &str) = (":method", "GET");
pub(super) const SCHEME: (&str, &str) = (":scheme", "http");
pub(super) const AUTHORITY: (&str, &str) = (":authority", "a.example");
pub(super) const PATH: (&str, &str) = (":path", "/");

/// A whole request with one more field.
pub(super) fn with(name: &'static str, value: &'static str) -> Fields {
    vec![METHOD, SCHEME, AUTHORITY, PATH, (name, value)]
}

pub(super) fn malformed() -> Vec<(&'static str, Fields, Outcome)> {
    vec![
        ("no method", vec![SCHEME, AUTHORITY, PATH], Reset),
        ("no scheme", vec![METHOD, AUTHORITY, PATH], Reset),
        ("no path", vec![METHOD, SCHEME, AUTHORITY], Reset),
        ("method twice", with(":method", "GET"), Reset),
        ("scheme twice", with(":scheme", "http"), Reset),
        ("path twice", with(":path", "/"), Reset),
        ("authority twice", with(":authority", "a.example"), Reset),
        ("unknown pseudo-header", with(":unknown", "x"), Ended),
        ("a response's pseudo-header", with(":status", "200"), Reset),
        (
            "pseudo-header after a field",
            vec![METHOD, SCHEME, AUTHORITY, ("a", "b"), PATH],
            Reset,
        ),
        ("uppercase name", with("X-Upper", "x"), Ended),
        ("empty name", with("", "x"), Ended),
        ("blank in a name", with("a b", "x"), Ended),
        ("colon in a name", with("a:b", "x"), Ended),
        ("NUL in a value", with("a", "b\0c"), Ended),
        ("CR in a value", with("a", "b\rc"), Ended),
        ("LF in a value", with("a", "b\nc"), Ended),
        ("connection", with("connection", "close"), Reset),
        ("keep-alive", with("keep-alive", "timeout=5"), Reset),
        ("proxy-connection", with("proxy-connection", "close"), Reset),
        ("transfer-encoding", with("transfer-encoding", "chunked"), Reset),
        ("upgrade", with("upgrade", "websocket"), Reset),
        ("te other than trailers", with("te", "gzip"), Reset),
        (
            "empty path",
            vec![METHOD, SCHEME, AUTHORITY, (":path", "")],
            Reset,
        ),
        (
            "path without a slash",
            vec![METHOD, SCHEME, AUTHORITY, (":path", "a/b")],
            Reset,
        ),
        (
            "blank in the path",
            vec![METHOD, SCHEME, AUTHORITY, (":path", "/a b")],
            Reset,
        ),
        (
            "NUL escaped in the path",
            vec![METHOD, SCHEME, AUTHORITY, (":path", "/%00")],
            Status("400"),
        ),
        (
            "whole URI as the path",
            vec![METHOD, SCHEME, AUTHORITY, (":path", "http://a.example/")],
            Reset,
        ),
        (
            "asterisk for GET",
            vec![METHOD, SCHEME, AUTHORITY, (":path", "*")],
            Status("400"),
        ),
        (
            "blank in the method",
            vec![(":method", "G T"), SCHEME, AUTHORITY, PATH],
            Ended,
        ),
        (
            "empty method",
            vec![(":method", ""), SCHEME, AUTHORITY, PATH],
            Ended,
        ),
        (
            "blank in the authority",
            vec![METHOD, SCHEME, (":authority", "a b"), PATH],
            Reset,
        ),
        (
            "empty port in the authority",
            vec![METHOD, SCHEME, (":authority", "a.example:"), PATH],
            Status("400"),
        ),
        (
            "user in the authority",
            vec![METHOD, SCHEME, (":authority", "user@a.example"), PATH],
            Status("400"),
        ),
        (
            "empty authority",
            vec![METHOD, SCHEME, (":authority", ""), PATH],
            Reset,
        ),
        (
            "neither authority nor host",
            vec![METHOD, SCHEME, PATH],
            Status("400"),
        ),
        ("host that differs", with("host", "b.example"), Status("400")),
        (
            "host with another port",
            with("host", "a.example:81"),
            Status("400"),
        ),
        (
            "host twice",
            vec![METHOD, SCHEME, PATH, ("host", "a.example"), ("host", "a.example")],
            Status("400"),
        ),
        (
            "user in the host",
            vec![METHOD, SCHEME, PATH, ("host", "user@a.example")],
            Status("400"),
        ),
        (
            "length of a body that is not there",
            with("content-length", "5"),
            Reset,
        ),
        ("length that is no number", with("content-length", "0x0"), Reset),
        ("length with a sign", with("content-length", "+0"), Reset),
        ("length as a list", with("content-length", "0, 0"), Reset),
        (
            "two lengths",
            vec![
                METHOD,
                SCHEME,
                AUTHORITY,
                PATH,
                ("content-length", "0"),
                ("content-length", "1"),
            ],
            Reset,
        ),
        (
            "length beyond 64 bits",
            with("content-length", "18446744073709551616"),
            Reset,
        ),
        (
            "CONNECT with a path",
            vec![(":method", "CONNECT"), SCHEME, AUTHORITY, PATH],
            Reset,
        ),
        (
            "CONNECT",
            vec![(":method", "CONNECT"), (":authority", "a.example:443")],
            Status("405"),
        ),
        (
            "extended CONNECT to a protocol that is not allowed",
            vec![
                (":method", "CONNECT"),
                (":protocol", "other"),
                SCHEME,
                AUTHORITY,
                PATH,
            ],
            Status("403"),
        ),
        ("protocol without CONNECT", with(":protocol", "websocket"), Reset),
    ]
}
