//! Bodies, limits, paths and sequences that are refused.

use super::Case;

/// Lengths after a good request line and host; a body follows that fits one reading.
pub(super) fn lengths() -> Vec<Case> {
    let table: &[(&str, u16, &'static str)] = &[
        (
            "content-length: 1\r\ntransfer-encoding: chunked\r\n",
            400,
            "both_lengths",
        ),
        (
            "transfer-encoding: chunked\r\ncontent-length: 0\r\n",
            400,
            "both_lengths",
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 11\r\n",
            400,
            "both_lengths",
        ),
        (
            "transfer-encoding: identity\r\ncontent-length: 1\r\n",
            400,
            "both_lengths",
        ),
        (
            "content-length: 1\r\ncontent-length: 2\r\n",
            400,
            "repeated_content_length",
        ),
        (
            "content-length: 1\r\nContent-Length: 1\r\n",
            400,
            "repeated_content_length",
        ),
        (
            "content-length: x\r\ncontent-length: 1\r\n",
            400,
            "repeated_content_length",
        ),
        ("content-length: 1, 1\r\n", 400, "invalid_content_length"),
        ("content-length: 1,2\r\n", 400, "invalid_content_length"),
        ("content-length: +1\r\n", 400, "invalid_content_length"),
        ("content-length: -1\r\n", 400, "invalid_content_length"),
        ("content-length: 0x1\r\n", 400, "invalid_content_length"),
        ("content-length: 1e0\r\n", 400, "invalid_content_length"),
        ("content-length: 1.0\r\n", 400, "invalid_content_length"),
        ("content-length: 1 1\r\n", 400, "invalid_content_length"),
        ("content-length: \"1\"\r\n", 400, "invalid_content_length"),
        ("content-length: \u{661}\r\n", 400, "invalid_content_length"),
        ("content-length:\r\n", 400, "invalid_content_length"),
        (
            "content-length: 18446744073709551616\r\n",
            400,
            "invalid_content_length",
        ),
        (
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            400,
            "repeated_transfer_encoding",
        ),
        (
            "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
            400,
            "repeated_transfer_encoding",
        ),
        (
            "transfer-encoding: x\r\ntransfer-encoding: chunked\r\n",
            400,
            "repeated_transfer_encoding",
        ),
        (
            "transfer-encoding: chunked, chunked\r\n",
            501,
            "unknown_transfer_coding",
        ),
        (
            "transfer-encoding: gzip, chunked\r\n",
            501,
            "unknown_transfer_coding",
        ),
        (
            "transfer-encoding: chunked, gzip\r\n",
            501,
            "unknown_transfer_coding",
        ),
        ("transfer-encoding: identity\r\n", 501, "unknown_transfer_coding"),
        ("transfer-encoding: xchunked\r\n", 501, "unknown_transfer_coding"),
        ("transfer-encoding: chunkedx\r\n", 501, "unknown_transfer_coding"),
        (
            "transfer-encoding: \"chunked\"\r\n",
            501,
            "unknown_transfer_coding",
        ),
        (
            "transfer-encoding: chunked;a=b\r\n",
            501,
            "unknown_transfer_coding",
        ),
        ("transfer-encoding: ,chunked\r\n", 501, "unknown_transfer_coding"),
        ("transfer-encoding: chunked,\r\n", 501, "unknown_transfer_coding"),
        ("transfer-encoding:\r\n", 501, "unknown_transfer_coding"),
        (
            "transfer-encoding: \u{130}chunked\r\n",
            501,
            "unknown_transfer_coding",
        ),
    ];
    let connect = ["transfer-encoding: chunked", "content-length: 3"].map(|length| {
        Case::new(
            format!("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n{length}\r\n\r\n"),
            400,
            "body_on_connect",
        )
    });
    let lines = table.iter().map(|(fields, status, reason)| {
        Case::new(
            format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n1\r\na\r\n0\r\n\r\n"),
            *status,
            reason,
        )
    });
    lines
        .chain(connect)
        .chain([Case::new(
            "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n",
            405,
            "connect_not_allowed",
        )])
        .collect()
}

/// Chunked bodies after a good head.
pub(super) fn chunks() -> Vec<Case> {
    let table: &[(&str, &'static str)] = &[
        ("\r\n", "invalid_chunk_size"),
        ("x\r\n", "invalid_chunk_size"),
        ("-1\r\n", "invalid_chunk_size"),
        ("+1\r\n", "invalid_chunk_size"),
        ("0x1\r\n", "invalid_chunk_size"),
        (" 1\r\n", "invalid_chunk_size"),
        ("1 \r\n", "invalid_chunk_size"),
        ("1 ;a\r\n", "invalid_chunk_size"),
        ("1,\r\n", "invalid_chunk_size"),
        ("1_0\r\n", "invalid_chunk_size"),
        ("00000000000000001\r\na\r\n0\r\n\r\n", "invalid_chunk_size"),
        ("10000000000000000\r\n", "invalid_chunk_size"),
        ("1\na\r\n0\r\n\r\n", "bare_lf"),
        ("1\rx\r\n", "bare_cr"),
        ("1;a\rb\r\n", "bare_cr"),
        ("1;\r\n", "invalid_chunk_extension"),
        ("1; a\r\n", "invalid_chunk_extension"),
        ("1;a=\"b\r\n", "invalid_chunk_extension"),
        ("1;a\0\r\n", "invalid_chunk_extension"),
        ("1\r\nab\r\n", "invalid_chunk_end"),
        ("1\r\na\n0\r\n\r\n", "invalid_chunk_end"),
        ("1\r\na\rx", "invalid_chunk_end"),
        ("1\r\na0\r\n\r\n", "invalid_chunk_end"),
        ("0\r\ncontent-length: 1\r\n\r\n", "forbidden_trailer"),
        ("0\r\nTransfer-Encoding: chunked\r\n\r\n", "forbidden_trailer"),
        ("0\r\nhost: b\r\n\r\n", "forbidden_trailer"),
        ("0\r\nx: y\r\nauthorization: b\r\n\r\n", "forbidden_trailer"),
        ("0\r\nx-forwarded-for: b\r\n\r\n", "forbidden_trailer"),
        ("0\r\n x: y\r\n\r\n", "obsolete_folding"),
        ("0\r\nx : y\r\n\r\n", "whitespace_before_colon"),
        ("0\r\nx: y\n\r\n", "bare_lf"),
        ("0\r\nx: \0\r\n\r\n", "nul_byte"),
        ("0\r\nx\r\n\r\n", "missing_colon"),
        ("0\r\n\n", "bare_lf"),
        ("0\r\n\rx\r\n", "bare_cr"),
    ];
    let chunked =
        |body: &str| format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}");
    let mut cases: Vec<Case> = table
        .iter()
        .map(|(body, reason)| Case::new(chunked(body), 400, reason))
        .collect();
    let extensions = format!("1;a={}\r\na\r\n0\r\n\r\n", "b".repeat(16 * 1024));
    cases.push(Case::new(chunked(&extensions), 400, "chunk_extensions_too_large"));
    let trailers = format!("0\r\nx: {}\r\n\r\n", "y".repeat(60 * 1024));
    cases.push(Case::new(chunked(&trailers), 431, "trailers_too_large"));
    let trailers = format!("0\r\n{}\r\n", "x: y\r\n".repeat(101));
    cases.push(Case::new(chunked(&trailers), 431, "too_many_trailers"));
    cases
}

/// One more than may be.
pub(super) fn limits() -> Vec<Case> {
    let fields = |count: usize| "x: y\r\n".repeat(count);
    vec![
        Case::new(
            format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(60 * 1024)),
            414,
            "request_line_too_large",
        ),
        Case::new(
            format!(
                "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
                "y".repeat(60 * 1024)
            ),
            431,
            "head_too_large",
        ),
        // "GET / HTTP/1.1", "host: a", "x: " and four line ends are 32 bytes: this head is one byte too long.
        Case::new(
            format!(
                "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
                "y".repeat(60 * 1024 - 32 + 1)
            ),
            431,
            "head_too_large",
        ),
        // The host counts.
        Case::new(
            format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", fields(100)),
            431,
            "too_many_fields",
        ),
    ]
}

/// Paths that are refused where both kinds of slashes are, on a connection that may go on.
pub(super) fn paths() -> Vec<Case> {
    let table: &[(&str, &'static str)] = &[
        ("/%", "path_invalid_escape"),
        ("/%2", "path_invalid_escape"),
        ("/%zz", "path_invalid_escape"),
        ("/a%2g", "path_invalid_escape"),
        ("/%u0041", "path_invalid_escape"),
        ("/%00", "path_escaped_nul"),
        ("/a%00.png", "path_escaped_nul"),
        ("/a%2Fb", "path_escaped_slash"),
        ("/a%2fb", "path_escaped_slash"),
        ("/a%5cb", "path_escaped_slash"),
        ("/..%2fadmin", "path_escaped_slash"),
        ("//", "path_repeated_slash"),
        ("/a//b", "path_repeated_slash"),
        ("http://a//", "path_repeated_slash"),
    ];
    let case = |(target, reason): &(&str, &'static str)| {
        Case::new(format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n"), 400, reason).stays_open()
    };
    table.iter().map(case).collect()
}

/// What is refused of HTTP/1.0 where it is accepted.
pub(super) fn http_10() -> Vec<Case> {
    vec![
        Case::new(
            "GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n",
            400,
            "repeated_host",
        ),
        Case::new("GET / HTTP/1.0\r\nhost: a b\r\n\r\n", 400, "invalid_host"),
        Case::new(
            "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "transfer_encoding_in_http_10",
        ),
        Case::new(
            "POST / HTTP/1.0\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\na",
            400,
            "repeated_content_length",
        ),
        Case::new("GET /\n", 400, "bare_lf"),
        Case::new("GET /\r\n", 400, "invalid_request_line"),
    ]
}

/// A refused request with a good one behind it, which a reader that skipped the first would run.
pub(super) fn followed() -> Vec<Case> {
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let post =
        |fields: &str, body: &str| format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n{body}{smuggled}");
    vec![
        Case::new(
            post("content-length: 0\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
            400,
            "both_lengths",
        ),
        Case::new(
            post("content-length: 0\r\ncontent-length: 37\r\n", ""),
            400,
            "repeated_content_length",
        ),
        Case::new(post("transfer-encoding: chunked\r\n", "0\r\n\n"), 400, "bare_lf"),
        Case::new(
            post("transfer-encoding: chunked\r\n", "0;a\n\r\n"),
            400,
            "bare_lf",
        ),
        Case::new(
            post("transfer-encoding: xchunked\r\n", "0\r\n\r\n"),
            501,
            "unknown_transfer_coding",
        ),
        Case::new(
            post("transfer-encoding : chunked\r\n", "0\r\n\r\n"),
            400,
            "whitespace_before_colon",
        ),
        Case::new(
            post("content-length\t: 37\r\n", ""),
            400,
            "whitespace_before_colon",
        ),
        Case::new(
            format!("GET / HTTP/1.1\r\nhost: a\r\nx: y\n\r\n{smuggled}"),
            400,
            "bare_lf",
        ),
        Case::new(format!("GET / HTTP/1.1\r\n\r\n{smuggled}"), 400, "missing_host"),
        Case::new(
            format!("GET / HTTP/1.0\r\nhost: a\r\n\r\n{smuggled}"),
            505,
            "unsupported_version",
        ),
        Case::new(
            format!("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n{smuggled}"),
            405,
            "connect_not_allowed",
        ),
    ]
}
