//! What requests are refused for, each in one piece and byte by byte.

use outrigger_http1::RequestError;

use crate::drive::{self, Seen, SeenRequest};

/// All that `input` gives, which must not depend on how it is cut.
pub(crate) fn decode(input: &[u8]) -> Vec<SeenRequest> {
    let whole = drive::requests(input, &[], &drive::limits());
    let bytewise = drive::requests(input, &drive::every_byte(input), &drive::limits());
    assert_eq!(whole, bytewise, "{}", input.escape_ascii());
    whole.seen
}

fn refusal(input: &[u8]) -> Option<RequestError> {
    match decode(input).last() {
        Some(Seen::Error(error)) => Some(*error),
        _ => None,
    }
}

#[test]
fn malformed_request_lines_are_refused() {
    use RequestError::*;
    let table: &[(&str, RequestError)] = &[
        ("GET /", InvalidRequestLine),
        ("GET", InvalidRequestLine),
        ("GET  / HTTP/1.1", InvalidRequestLine),
        ("GET /  HTTP/1.1", InvalidRequestLine),
        ("GET\t/ HTTP/1.1", InvalidMethod),
        (" GET / HTTP/1.1", InvalidMethod),
        ("G(T / HTTP/1.1", InvalidMethod),
        ("GÉT / HTTP/1.1", InvalidMethod),
        ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1", InvalidMethod),
        ("GET / HTTP/1.1 ", InvalidVersion),
        ("GET / HTTP/1.1\t", InvalidVersion),
        ("GET / http/1.1", InvalidVersion),
        ("GET / HTTP/11", InvalidVersion),
        ("GET / HTTP/1.10", InvalidVersion),
        ("GET / HTTP/1", InvalidVersion),
        ("GET / ICE/1.0", InvalidVersion),
        ("GET / HTTP/1.2", UnsupportedVersion),
        ("GET / HTTP/0.9", UnsupportedVersion),
        ("PRI * HTTP/2.0", UnsupportedVersion),
        ("GET /\rX HTTP/1.1", BareCr),
        ("GET / HTTP/1.1\r", BareCr),
        ("GET /\0 HTTP/1.1", NulByte),
        ("\0GET / HTTP/1.1", NulByte),
    ];
    for (line, expected) in table {
        let input = format!("{line}\r\nhost: a\r\n\r\n");
        assert_eq!(refusal(input.as_bytes()), Some(*expected), "{line:?}");
    }
    assert_eq!(refusal(b"GET / HTTP/1.1\nhost: a\r\n\r\n"), Some(BareLf));
    assert_eq!(refusal(b"\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"), Some(BareLf));
    assert_eq!(
        refusal(b"\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        Some(InvalidRequestLine)
    );
}

#[test]
fn malformed_targets_are_refused() {
    use RequestError::*;
    let table: &[(&str, RequestError)] = &[
        ("GET /a b HTTP/1.1", InvalidTarget),
        ("GET /\t HTTP/1.1", InvalidTarget),
        ("GET /\u{7f} HTTP/1.1", InvalidTarget),
        ("GET /\u{1} HTTP/1.1", InvalidTarget),
        ("GET /ü HTTP/1.1", InvalidTarget),
        ("GET /a#b HTTP/1.1", FragmentInTarget),
        ("GET http://a/#b HTTP/1.1", FragmentInTarget),
        ("GET /#ü HTTP/1.1", InvalidTarget),
        ("GET a HTTP/1.1", InvalidTarget),
        ("GET a:80 HTTP/1.1", InvalidTarget),
        ("GET * HTTP/1.1", InvalidTarget),
        ("OPTIONS ** HTTP/1.1", InvalidTarget),
        ("GET ?a HTTP/1.1", InvalidTarget),
        ("GET ftp://a/ HTTP/1.1", InvalidTarget),
        ("GET http:/a HTTP/1.1", InvalidTarget),
        ("GET http:///a HTTP/1.1", InvalidTarget),
        ("GET http://u@a/ HTTP/1.1", InvalidTarget),
        ("GET http://u:p@a/ HTTP/1.1", InvalidTarget),
        ("GET http://a:b/ HTTP/1.1", InvalidTarget),
        ("GET http://a\\b/ HTTP/1.1", InvalidTarget),
        ("CONNECT / HTTP/1.1", InvalidTarget),
        ("CONNECT a HTTP/1.1", InvalidTarget),
        ("CONNECT [::1] HTTP/1.1", InvalidTarget),
        ("CONNECT a: HTTP/1.1", InvalidTarget),
        ("CONNECT http://a:80/ HTTP/1.1", InvalidTarget),
        ("CONNECT u@a:80 HTTP/1.1", InvalidTarget),
    ];
    for (line, expected) in table {
        let input = format!("{line}\r\nhost: a\r\n\r\n");
        assert_eq!(refusal(input.as_bytes()), Some(*expected), "{line:?}");
    }
}

#[test]
fn malformed_fields_are_refused() {
    use RequestError::*;
    let table: &[(&str, RequestError)] = &[
        ("host: a\nx: y\r\n", BareLf),
        ("host: a\r\nx: y\n", BareLf),
        ("host: a\r\nx\n", BareLf),
        ("host: a\rx: y\r\n", BareCr),
        ("host: a\r\r\n", BareCr),
        ("ho\rst: a\r\n", BareCr),
        ("\rhost: a\r\n", BareCr),
        ("host: a\r\nx: \0\r\n", NulByte),
        ("host: a\r\nx\0: y\r\n", NulByte),
        (" host: a\r\n", ObsoleteFolding),
        ("host: a\r\n b\r\n", ObsoleteFolding),
        ("host: a\r\n\tb: c\r\n", ObsoleteFolding),
        ("host: a\r\n \r\n", ObsoleteFolding),
        ("host : a\r\n", WhitespaceBeforeColon),
        ("host\t: a\r\n", WhitespaceBeforeColon),
        ("transfer-encoding \t : chunked\r\n", WhitespaceBeforeColon),
        ("host: a\r\nx\r\n", MissingColon),
        ("host: a\r\nx y: z\r\n", InvalidFieldName),
        ("host: a\r\n: y\r\n", InvalidFieldName),
        ("host: a\r\nx@: y\r\n", InvalidFieldName),
        ("host: a\r\nü: y\r\n", InvalidFieldName),
        ("host: a\r\nx\u{7f}: y\r\n", InvalidFieldName),
        ("host: a\r\nx: \u{1}\r\n", InvalidFieldValue),
        ("host: a\r\nx: \u{7f}\r\n", InvalidFieldValue),
        ("host: a\r\nx: \u{c}\r\n", InvalidFieldValue),
        ("x: y\r\n", MissingHost),
        ("", MissingHost),
        ("host: a\r\nhost: a\r\n", RepeatedHost),
        ("Host: a\r\nx: y\r\nHOST: b\r\n", RepeatedHost),
        ("host:\r\n", InvalidHost),
        ("host: a,b\r\n", InvalidHost),
        ("host: u@a\r\n", InvalidHost),
        ("host: a b\r\n", InvalidHost),
        ("host: a/b\r\n", InvalidHost),
        ("host: http://a\r\n", InvalidHost),
        ("host: a:\r\n", InvalidHost),
        ("host: a:http\r\n", InvalidHost),
        ("host: [::1\r\n", InvalidHost),
        ("host: a\r\nexpect: 200-ok\r\n", UnknownExpectation),
        ("host: a\r\nexpect: 100-continue, x\r\n", UnknownExpectation),
    ];
    for (fields, expected) in table {
        assert_eq!(
            refusal(format!("GET / HTTP/1.1\r\n{fields}\r\n").as_bytes()),
            Some(*expected),
            "{fields:?}"
        );
    }
    assert_eq!(
        refusal(b"GET http://a/ HTTP/1.1\r\nhost: a,b\r\n\r\n"),
        Some(InvalidHost),
        "checked though unused"
    );
    assert_eq!(refusal(b"GET http://a/ HTTP/1.1\r\n\r\n"), Some(MissingHost));
    assert_eq!(
        refusal(b"GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n"),
        Some(RepeatedHost)
    );
}

#[test]
fn lengths_that_could_be_read_in_two_ways_are_refused() {
    use RequestError::*;
    let table: &[(&str, RequestError)] = &[
        ("content-length: 1\r\ntransfer-encoding: chunked\r\n", BothLengths),
        ("transfer-encoding: chunked\r\ncontent-length: 0\r\n", BothLengths),
        (
            "transfer-encoding: identity\r\ncontent-length: 1\r\n",
            BothLengths,
        ),
        (
            "content-length: 1\r\ncontent-length: 2\r\n",
            RepeatedContentLength,
        ),
        (
            "content-length: 1\r\nContent-Length: 1\r\n",
            RepeatedContentLength,
        ),
        ("content-length: 1, 1\r\n", InvalidContentLength),
        ("content-length: +1\r\n", InvalidContentLength),
        ("content-length: -1\r\n", InvalidContentLength),
        ("content-length: 0x1\r\n", InvalidContentLength),
        ("content-length: 1 1\r\n", InvalidContentLength),
        ("content-length:\r\n", InvalidContentLength),
        ("content-length: 18446744073709551616\r\n", InvalidContentLength),
        (
            "content-length: x\r\ncontent-length: 1\r\n",
            RepeatedContentLength,
        ),
        (
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            RepeatedTransferEncoding,
        ),
        (
            "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
            RepeatedTransferEncoding,
        ),
        ("transfer-encoding: chunked, chunked\r\n", UnknownTransferCoding),
        ("transfer-encoding: gzip, chunked\r\n", UnknownTransferCoding),
        ("transfer-encoding: identity\r\n", UnknownTransferCoding),
        ("transfer-encoding: xchunked\r\n", UnknownTransferCoding),
        ("transfer-encoding: \"chunked\"\r\n", UnknownTransferCoding),
        ("transfer-encoding: chunked;a=b\r\n", UnknownTransferCoding),
        ("transfer-encoding: ,chunked\r\n", UnknownTransferCoding),
        ("transfer-encoding:\r\n", UnknownTransferCoding),
    ];
    for (fields, expected) in table {
        let input = format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n1\r\na\r\n0\r\n\r\n");
        assert_eq!(refusal(input.as_bytes()), Some(*expected), "{fields:?}");
    }
    let old = b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(refusal(old), Some(TransferEncodingInHttp10));
    for length in ["transfer-encoding: chunked", "content-length: 3"] {
        let input = format!("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n{length}\r\n\r\n");
        assert_eq!(refusal(input.as_bytes()), Some(BodyOnConnect));
    }
}

#[test]
fn malformed_chunks_and_trailers_are_refused() {
    use RequestError::*;
    let table: &[(&str, RequestError)] = &[
        ("\r\n", InvalidChunkSize),
        ("x\r\n", InvalidChunkSize),
        ("-1\r\n", InvalidChunkSize),
        ("+1\r\n", InvalidChunkSize),
        ("0x1\r\n", InvalidChunkSize),
        (" 1\r\n", InvalidChunkSize),
        ("1 \r\n", InvalidChunkSize),
        ("1 ;a\r\n", InvalidChunkSize),
        ("1,\r\n", InvalidChunkSize),
        ("00000000000000001\r\na\r\n0\r\n\r\n", InvalidChunkSize),
        ("1\na\r\n0\r\n\r\n", BareLf),
        ("1\rx\r\n", BareCr),
        ("1;a\rb\r\n", BareCr),
        ("1;\r\n", InvalidChunkExtension),
        ("1; a\r\n", InvalidChunkExtension),
        ("1;a=\"b\r\n", InvalidChunkExtension),
        ("1;a\0\r\n", InvalidChunkExtension),
        ("1\r\nab\r\n", InvalidChunkEnd),
        ("1\r\na\n0\r\n\r\n", InvalidChunkEnd),
        ("1\r\na\rx", InvalidChunkEnd),
        ("1\r\na0\r\n\r\n", InvalidChunkEnd),
        ("0\r\ncontent-length: 1\r\n\r\n", ForbiddenTrailer),
        ("0\r\nTransfer-Encoding: chunked\r\n\r\n", ForbiddenTrailer),
        ("0\r\nhost: b\r\n\r\n", ForbiddenTrailer),
        ("0\r\nx: y\r\nauthorization: b\r\n\r\n", ForbiddenTrailer),
        ("0\r\nx-forwarded-for: b\r\n\r\n", ForbiddenTrailer),
        ("0\r\n x: y\r\n\r\n", ObsoleteFolding),
        ("0\r\nx : y\r\n\r\n", WhitespaceBeforeColon),
        ("0\r\nx: y\n\r\n", BareLf),
        ("0\r\nx: \0\r\n\r\n", NulByte),
        ("0\r\nx\r\n\r\n", MissingColon),
        ("0\r\n\n", BareLf),
        ("0\r\n\rx\r\n", BareCr),
    ];
    for (body, expected) in table {
        let input = format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}");
        assert_eq!(refusal(input.as_bytes()), Some(*expected), "{body:?}");
    }
}

#[test]
fn a_line_is_judged_only_when_it_is_whole() {
    for input in [
        &b"GET / HTTP/9.9"[..],
        b"G\0",
        b"GET / HTTP/1.1\r\nx\0: ",
        b"GET / HTTP/1.1\r\n x: y\r",
    ] {
        assert_eq!(refusal(input), None, "{}", input.escape_ascii());
    }
}
