//! Limits are exact: what is at the limit passes, and one more does not.

use outrigger_http1::{Limits, Method, RequestError, ResponseError};

use crate::drive::{self, Seen};

/// The refusal of a request in one piece, which must be that of single bytes too.
fn refusal(input: &[u8], limits: &Limits) -> Option<RequestError> {
    let whole = drive::requests(input, &[], limits);
    assert_eq!(whole, drive::requests(input, &drive::every_byte(input), limits));
    whole.seen.into_iter().find_map(|seen| {
        if let Seen::Error(error) = seen {
            Some(error)
        } else {
            None
        }
    })
}

fn response_refusal(input: &[u8], limits: &Limits) -> Option<ResponseError> {
    let whole = drive::responses(input, &[], &Method::Get, limits);
    assert_eq!(
        whole,
        drive::responses(input, &drive::every_byte(input), &Method::Get, limits)
    );
    let mut errors = whole.seen.into_iter().filter_map(|seen| {
        if let Seen::Error(error) = seen {
            Some(error)
        } else {
            None
        }
    });
    errors.rfind(|error| *error != ResponseError::Truncated)
}

#[test]
fn head_bytes() {
    let input = b"\r\nGET / HTTP/1.1\r\nhost: a\r\nx: y\r\n\r\n";
    let head_bytes = input.len() as u32 - 2;
    for (limit, expected) in [
        (head_bytes, None),
        (head_bytes - 1, Some(RequestError::HeadTooLarge)),
        (head_bytes - 2, Some(RequestError::HeadTooLarge)),
        (16, Some(RequestError::HeadTooLarge)),
        (15, Some(RequestError::RequestLineTooLarge)),
        (0, Some(RequestError::RequestLineTooLarge)),
    ] {
        let limits = Limits {
            head_bytes_max: limit,
            ..drive::limits()
        };
        assert_eq!(refusal(input, &limits), expected, "{limit}");
    }
    let input = b"HTTP/1.1 204 x\r\nx: y\r\n\r\n";
    for (limit, expected) in [
        (24, None),
        (23, Some(ResponseError::HeadTooLarge)),
        (3, Some(ResponseError::HeadTooLarge)),
    ] {
        let limits = Limits {
            head_bytes_max: limit,
            ..drive::limits()
        };
        assert_eq!(response_refusal(input, &limits), expected, "{limit}");
    }
}

#[test]
fn the_default_head_limit_is_60_kib() {
    for (more, expected) in [(0, None), (1, Some(RequestError::HeadTooLarge))] {
        let frame = "GET / HTTP/1.1\r\nhost: a\r\nx: \r\n\r\n".len();
        let value = "v".repeat(60 * 1024 - frame + more);
        let input = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {value}\r\n\r\n");
        assert_eq!(refusal(input.as_bytes(), &Limits::default()), expected);
    }
}

#[test]
fn fields_of_heads_and_of_trailers() {
    let limits = Limits {
        fields_max: 3,
        ..drive::limits()
    };
    let lines = |count| "x: y\r\n".repeat(count);
    for (count, expected) in [(2, None), (3, Some(RequestError::TooManyFields))] {
        let input = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", lines(count));
        assert_eq!(refusal(input.as_bytes(), &limits), expected, "{count} and host");
    }
    for (count, expected) in [(3, None), (4, Some(RequestError::TooManyTrailers))] {
        let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        let input = format!("{head}0\r\n{}\r\n", lines(count));
        assert_eq!(refusal(input.as_bytes(), &limits), expected, "{count} trailers");
    }
    for (count, expected) in [(3, None), (4, Some(ResponseError::TooManyFields))] {
        let input = format!("HTTP/1.1 204 x\r\n{}\r\n", lines(count));
        assert_eq!(response_refusal(input.as_bytes(), &limits), expected, "{count}");
    }
}

#[test]
fn trailer_bytes() {
    let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let limits = Limits {
        head_bytes_max: head.len() as u32,
        ..drive::limits()
    };
    for (more, expected) in [(0, None), (1, Some(RequestError::TrailersTooLarge))] {
        let value = "v".repeat(head.len() - "x: \r\n\r\n".len() + more);
        let input = format!("{head}0\r\nx: {value}\r\n\r\n");
        assert_eq!(refusal(input.as_bytes(), &limits), expected);
    }
}

#[test]
fn chunk_extension_bytes_of_the_whole_message() {
    let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let limits = Limits {
        chunk_extension_bytes_max: 6,
        ..drive::limits()
    };
    let table = [
        (
            "1;ab\r\nx\r\n1;c\r\nx\r\n0;\u{64}\r\n\r\n",
            Some(RequestError::ChunkExtensionsTooLarge),
        ),
        ("1;ab\r\nx\r\n0;cd\r\n\r\n", None),
        ("1;abcde\r\nx\r\n0\r\n\r\n", None),
        (
            "1;abcdef\r\nx\r\n0\r\n\r\n",
            Some(RequestError::ChunkExtensionsTooLarge),
        ),
        ("0000000000000001;abcde\r\nx\r\n0\r\n\r\n", None),
        (
            "0000000000000001;abcdef\r\nx\r\n0\r\n\r\n",
            Some(RequestError::ChunkExtensionsTooLarge),
        ),
        (
            "1;abcdefghijklmnopqrstuvwxyz",
            Some(RequestError::ChunkExtensionsTooLarge),
        ),
        (
            "1111111111111111111111111111",
            Some(RequestError::InvalidChunkSize),
        ),
    ];
    for (body, expected) in table {
        assert_eq!(
            refusal(format!("{head}{body}").as_bytes(), &limits),
            expected,
            "{body:?}"
        );
    }
    // The count starts anew with each message.
    let message = format!("{head}0;abcde\r\n\r\n");
    assert_eq!(refusal(message.repeat(3).as_bytes(), &limits), None);
}

#[test]
fn chunk_sizes_have_16_digits_at_most_and_do_not_overflow() {
    let input = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\nabc";
    let run = drive::requests(input, &[], &drive::limits());
    assert_eq!(
        (run.seen.last(), run.consumed),
        (Some(&Seen::Data(b"abc".to_vec())), input.len())
    );
}
