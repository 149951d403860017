//! Requests that look wrong and are not.

/// A valid request, and what the upstream gets of it.
pub(super) struct Valid {
    pub(super) input: &'static str,
    pub(super) start_line: &'static str,
    pub(super) body: &'static str,
    /// A field that the upstream gets.
    pub(super) field: Option<(&'static str, &'static str)>,
}

const fn case(
    input: &'static str,
    start_line: &'static str,
    body: &'static str,
    field: Option<(&'static str, &'static str)>,
) -> Valid {
    Valid {
        input,
        start_line,
        body,
        field,
    }
}

pub(super) const CASES: &[Valid] = &[
    case(
        "\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1",
        "",
        Some(("host", "a")),
    ),
    case(
        "GET / HTTP/1.1\r\nHOST:a\r\n\r\n",
        "GET / HTTP/1.1",
        "",
        Some(("host", "a")),
    ),
    case(
        "GET / HTTP/1.1\r\nhost:\t a \t\r\n\r\n",
        "GET / HTTP/1.1",
        "",
        Some(("host", "a")),
    ),
    case(
        "GET / HTTP/1.1\r\nhost: a:0\r\n\r\n",
        "GET / HTTP/1.1",
        "",
        Some(("host", "a:0")),
    ),
    case(
        "GET / HTTP/1.1\r\nhost: [::1]:80\r\n\r\n",
        "GET / HTTP/1.1",
        "",
        Some(("host", "[::1]:80")),
    ),
    case(
        "GET / HTTP/1.1\r\nhost: a_b-c~.example.\r\n\r\n",
        "GET / HTTP/1.1",
        "",
        Some(("host", "a_b-c~.example.")),
    ),
    case(
        "GET / HTTP/1.1\r\nhost: a\r\nempty:\r\n\r\n",
        "GET / HTTP/1.1",
        "",
        Some(("empty", "")),
    ),
    case(
        "GET / HTTP/1.1\r\nhost: a\r\nx:  b  c  \r\n\r\n",
        "GET / HTTP/1.1",
        "",
        Some(("x", "b  c")),
    ),
    case(
        "GET / HTTP/1.1\r\nhost: a\r\n!#$%&'*+-.^_`|~09az: y\r\n\r\n",
        "GET / HTTP/1.1",
        "",
        Some(("!#$%&'*+-.^_`|~09az", "y")),
    ),
    case(
        "GET / HTTP/1.1\r\nhost: a\r\nx: \u{fc}\t\"y\"\r\n\r\n",
        "GET / HTTP/1.1",
        "",
        Some(("x", "\u{fc}\t\"y\"")),
    ),
    case(
        "GET / HTTP/1.1\r\nhost: a\r\nx: :\r\n\r\n",
        "GET / HTTP/1.1",
        "",
        Some(("x", ":")),
    ),
    case(
        "GET http://b:81/c?d HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /c?d HTTP/1.1",
        "",
        Some(("host", "b:81")),
    ),
    case(
        "GET HTTP://b HTTP/1.1\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.1",
        "",
        Some(("host", "b")),
    ),
    case(
        "GET http://b?c=/d HTTP/1.1\r\nhost: b\r\n\r\n",
        "GET /?c=/d HTTP/1.1",
        "",
        None,
    ),
    case(
        "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1",
        "",
        None,
    ),
    case(
        "OPTIONS http://a HTTP/1.1\r\nhost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1",
        "",
        None,
    ),
    case(
        "G-E!T / HTTP/1.1\r\nhost: a\r\n\r\n",
        "G-E!T / HTTP/1.1",
        "",
        None,
    ),
    case("get / HTTP/1.1\r\nhost: a\r\n\r\n", "get / HTTP/1.1", "", None),
    case(
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\nhost: a\r\n\r\n",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1",
        "",
        None,
    ),
    case(
        "GET /a;b=c,d:@!$&'()*+=~ HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /a;b=c,d:@!$&'()*+=~ HTTP/1.1",
        "",
        None,
    ),
    case(
        "GET /?? HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /?? HTTP/1.1",
        "",
        None,
    ),
    case(
        "GET /a/../b/./c HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /b/c HTTP/1.1",
        "",
        None,
    ),
    case(
        "GET /../../a HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /a HTTP/1.1",
        "",
        None,
    ),
    case(
        "GET /%7Ea/%2e%2E/b%2f%3f HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /b%2F%3F HTTP/1.1",
        "",
        None,
    ),
    case(
        "GET //a//b HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET //a//b HTTP/1.1",
        "",
        None,
    ),
    case(
        "GET /?a=%00%zz HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /?a=%00%zz HTTP/1.1",
        "",
        None,
    ),
    case(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0003\r\n\r\nabc",
        "POST / HTTP/1.1",
        "abc",
        None,
    ),
    case(
        "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
        "GET / HTTP/1.1",
        "abc",
        Some(("content-length", "3")),
    ),
    case(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
        "POST / HTTP/1.1",
        "",
        Some(("content-length", "0")),
    ),
    case(
        "POST / HTTP/1.1\r\nhost: a\r\nTRANSFER-ENCODING: \tCHUNKED \r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "POST / HTTP/1.1",
        "abc",
        Some(("transfer-encoding", "chunked")),
    ),
    case(
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n003;a;b=c;d=\"\\\"e\"\r\nabc\r\nA\r\n0123456789\r\n00\r\nx: y\r\n\r\n",
        "POST / HTTP/1.1",
        "abc0123456789",
        None,
    ),
    case(
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1",
        "",
        None,
    ),
    case(
        "GET / HTTP/1.1\r\nhost: a\r\nexpect: 100-Continue\r\n\r\n",
        "GET / HTTP/1.1",
        "",
        None,
    ),
    case(
        "GET / HTTP/1.0\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1",
        "",
        Some(("host", "a")),
    ),
    case(
        "POST / HTTP/1.0\r\nhost: a\r\ncontent-length: 2\r\n\r\nab",
        "POST / HTTP/1.1",
        "ab",
        None,
    ),
];
