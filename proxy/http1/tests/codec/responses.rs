//! What answers are taken and refused for, each in one piece and byte by byte.

use outrigger_http1::{
    Decoded, Event, Framing, HeadInfo, KnownName, Limits, Method, ResponseDecoder, ResponseError,
    ResponseHead, Version,
};

use crate::drive::{self, Seen, SeenResponse};

fn decode(method: &Method, input: &[u8]) -> Vec<SeenResponse> {
    let whole = drive::responses(input, &[], method, &drive::limits());
    let bytewise = drive::responses(input, &drive::every_byte(input), method, &drive::limits());
    assert_eq!(whole, bytewise, "{}", input.escape_ascii());
    whole.seen
}

fn refusal(input: &str) -> Option<ResponseError> {
    decode(&Method::Get, input.as_bytes())
        .into_iter()
        .find_map(|seen| match seen {
            Seen::Error(error) => Some(error),
            _ => None,
        })
}

fn info(method: &Method, input: &str) -> HeadInfo {
    match decode(method, input.as_bytes()).first() {
        Some(Seen::Head(_, info)) => *info,
        other => panic!("{input:?} gave {other:?}"),
    }
}

#[test]
fn malformed_status_lines_are_refused() {
    use ResponseError::*;
    let table: &[(&str, ResponseError)] = &[
        ("", InvalidStatusLine),
        ("HTTP/1.1", InvalidStatusLine),
        ("HTTP/1.1 ", InvalidStatus),
        ("HTTP/1.1 20", InvalidStatus),
        ("HTTP/1.1 2000", InvalidStatus),
        ("HTTP/1.1 2x0 OK", InvalidStatus),
        ("HTTP/1.1 -20 OK", InvalidStatus),
        ("HTTP/1.1 099 OK", InvalidStatus),
        ("HTTP/1.1  200 OK", InvalidStatus),
        ("HTTP/1.1 200OK", InvalidStatusLine),
        ("HTTP/1.1 200\tOK", InvalidStatusLine),
        ("HTTP/1.1\t200 OK", InvalidVersion),
        (" HTTP/1.1 200 OK", InvalidVersion),
        ("http/1.1 200 OK", InvalidVersion),
        ("ICY 200 OK", InvalidVersion),
        ("HTTP/1.10 200 OK", InvalidVersion),
        ("HTTP/2.0 200 OK", UnsupportedVersion),
        ("HTTP/0.9 200 OK", UnsupportedVersion),
        ("HTTP/1.1 200 O\u{1}K", InvalidStatusLine),
        ("HTTP/1.1 200 O\u{7f}K", InvalidStatusLine),
        ("HTTP/1.1 200 O\0K", NulByte),
        ("HTTP/1.1 200 O\rK", BareCr),
        ("HTTP/1.1 200 OK\r", BareCr),
        ("HTTP/1.1 200 OK\nx: y", BareLf),
        ("\r\nHTTP/1.1 200 OK", InvalidStatusLine),
    ];
    for (line, expected) in table {
        assert_eq!(
            refusal(&format!("{line}\r\ncontent-length: 0\r\n\r\n")),
            Some(*expected),
            "{line:?}"
        );
    }
}

#[test]
fn malformed_fields_and_lengths_are_refused() {
    use ResponseError::*;
    let table: &[(&str, ResponseError)] = &[
        ("x: y\n", BareLf),
        ("x: y\rz\r\n", BareCr),
        ("x: \0\r\n", NulByte),
        ("x: y\r\n z\r\n", ObsoleteFolding),
        (" x: y\r\n", ObsoleteFolding),
        ("x : y\r\n", WhitespaceBeforeColon),
        ("x\r\n", MissingColon),
        (": y\r\n", InvalidFieldName),
        ("x(: y\r\n", InvalidFieldName),
        ("x: \u{b}\r\n", InvalidFieldValue),
        ("content-length: 1\r\ntransfer-encoding: chunked\r\n", BothLengths),
        ("transfer-encoding: chunked\r\ncontent-length: 1\r\n", BothLengths),
        (
            "content-length: 1\r\ncontent-length: 1\r\n",
            RepeatedContentLength,
        ),
        (
            "content-length: 1\r\ncontent-length: 2\r\n",
            RepeatedContentLength,
        ),
        ("content-length: 1,1\r\n", InvalidContentLength),
        ("content-length: -1\r\n", InvalidContentLength),
        ("content-length: 99999999999999999999\r\n", InvalidContentLength),
        (
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            RepeatedTransferEncoding,
        ),
        ("transfer-encoding: gzip, chunked\r\n", UnknownTransferCoding),
        ("transfer-encoding: identity\r\n", UnknownTransferCoding),
    ];
    for (fields, expected) in table {
        assert_eq!(
            refusal(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")),
            Some(*expected),
            "{fields:?}"
        );
    }
    let old = "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(refusal(old), Some(TransferEncodingInHttp10));
}

#[test]
fn malformed_chunks_are_refused() {
    use ResponseError::*;
    let table: &[(&str, ResponseError)] = &[
        ("g\r\n", InvalidChunkSize),
        ("1 \r\n", InvalidChunkSize),
        ("10000000000000000\r\n", InvalidChunkSize),
        ("1\n", BareLf),
        ("1;;\r\n", InvalidChunkExtension),
        ("1\r\nabc", InvalidChunkEnd),
        ("0\r\ntransfer-encoding: x\r\n\r\n", ForbiddenTrailer),
        ("0\r\nx: y\n\r\n", BareLf),
        ("3\r\nab", Truncated),
        ("3\r\nabc\r\n", Truncated),
        ("0\r\n", Truncated),
    ];
    for (body, expected) in table {
        let input = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}");
        assert_eq!(refusal(&input), Some(*expected), "{body:?}");
    }
}

#[test]
fn bodies_end_as_request_and_status_say() {
    use Framing::{Chunked, Length, None, UntilClose};
    let (get, head, connect) = (Method::Get, Method::Head, Method::Connect);
    let (length, chunked) = ("content-length: 5\r\n", "transfer-encoding: chunked\r\n");
    let table = [
        (&get, "200 OK", length, Length(5)),
        (&get, "200 OK", chunked, Chunked),
        (&get, "200 OK", "", UntilClose),
        (&get, "404", "content-length: 0\r\n", Length(0)),
        (&get, "204 No Content", "", None),
        (&get, "204 No Content", "content-length: 0\r\n", None),
        (&get, "304 Not Modified", length, None),
        (&get, "304 ", chunked, None),
        (&head, "200 OK", length, None),
        (&head, "200 OK", chunked, None),
        (&head, "200 OK", "", None),
        (&connect, "200 OK", length, None),
        (&connect, "204 x", "", None),
        (&connect, "407 x", length, Length(5)),
        (&get, "999 x", length, Length(5)),
    ];
    for (method, status, fields, framing) in table {
        let info = info(method, &format!("HTTP/1.1 {status}\r\n{fields}\r\n"));
        assert_eq!(info.framing, framing, "{method} {status} {fields}");
        assert_eq!(info.upgrade, *method == connect && !status.starts_with('4'));
        assert_eq!(info.keep_alive, framing != UntilClose && !info.upgrade);
    }
    for status in ["100", "103", "204", "101"] {
        for fields in [length, chunked] {
            let input = format!("HTTP/1.1 {status} x\r\n{fields}\r\n");
            assert_eq!(refusal(&input), Some(ResponseError::BodyOnBodiless), "{input:?}");
        }
    }
}

#[test]
fn connections_persist_as_the_answer_says() {
    let persists = |version, fields| {
        info(
            &Method::Get,
            &format!("HTTP/{version} 200 OK\r\ncontent-length: 0\r\n{fields}\r\n"),
        )
        .keep_alive
    };
    assert!(persists("1.1", "") && !persists("1.1", "connection: close\r\n"));
    assert!(!persists("1.0", "") && persists("1.0", "connection: keep-alive\r\n"));
}

#[test]
fn interim_answers_come_before_the_final_one() {
    let input = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
        HTTP/1.1 200 \xfc\tOK\r\nContent-Length: 3\r\n\r\nabc";
    let seen = decode(&Method::Post, input);
    let [
        Seen::Informational(first),
        Seen::Informational(second),
        Seen::Head(head, _),
        rest @ ..,
    ] = &seen[..]
    else {
        panic!("{seen:?}");
    };
    assert_eq!(
        (first.status, first.fields.len(), second.status, head.status),
        (100, 0, 103, 200)
    );
    assert_eq!(second.fields.get(KnownName::Link), Some(&b"</a>"[..]));
    assert_eq!((head.version, head.fields.len()), (Version::Http11, 1));
    // The driver asks for one more answer, which never comes.
    let expected = [
        Seen::Data(b"abc".to_vec()),
        Seen::End,
        Seen::Error(ResponseError::Truncated),
    ];
    assert_eq!(rest, expected);
}

#[test]
fn interim_answers_are_counted_to_the_last() {
    for (count, expected) in [(8, None), (9, Some(ResponseError::TooManyInformational))] {
        let input = "HTTP/1.1 102 x\r\n\r\n".repeat(count) + "HTTP/1.1 204 x\r\n\r\n";
        let run = drive::responses(input.as_bytes(), &[], &Method::Get, &drive::limits());
        let refused = run
            .seen
            .contains(&Seen::Error(ResponseError::TooManyInformational));
        assert_eq!(refused, expected.is_some(), "{count}");
    }
}

#[test]
fn switching_protocols_is_a_head_after_which_nothing_is_decoded() {
    let input = b"HTTP/1.1 101 Switching Protocols\r\nConnection: x, Upgrade\r\nupgrade: x\r\n\r\nraw";
    let (mut decoder, mut head) = (ResponseDecoder::new(Limits::default()), ResponseHead::new());
    decoder.begin(&Method::Get);
    let decoded = decoder.decode(input, &mut head).unwrap();
    assert_eq!(decoded.consumed, input.len() - 3);
    assert!(
        matches!(decoded.event, Event::Head(HeadInfo { upgrade: true, .. })),
        "{decoded:?}"
    );
    assert_eq!(decoder.eof(), Ok(()));
    assert_eq!(
        decoder.decode(b"raw", &mut head),
        Err(ResponseError::UnexpectedBytes)
    );
}

#[test]
fn switching_protocols_without_saying_to_which_is_refused() {
    let refused = [
        ("HTTP/1.1", ""),
        ("HTTP/1.1", "upgrade: x\r\n"),
        ("HTTP/1.1", "connection: upgrade\r\n"),
        ("HTTP/1.1", "connection: keep-alive\r\nupgrade: x\r\n"),
        ("HTTP/1.0", "connection: upgrade\r\nupgrade: x\r\n"),
    ];
    for (version, fields) in refused {
        let input = format!("{version} 101 Switching Protocols\r\n{fields}\r\nraw");
        let run = drive::responses(input.as_bytes(), &[], &Method::Get, &drive::limits());
        assert_eq!(
            run.seen.last(),
            Some(&Seen::Error(ResponseError::InvalidUpgrade)),
            "{input:?}"
        );
    }
    let both = b"HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: x\r\ncontent-length: 3\r\n\r\nraw";
    let run = drive::responses(both, &[], &Method::Get, &drive::limits());
    assert_eq!(run.seen.last(), Some(&Seen::Error(ResponseError::BodyOnBodiless)));
}

#[test]
fn only_success_makes_a_tunnel_of_connect() {
    for (status, is_tunnel) in [(200, true), (204, true), (299, true), (300, false), (407, false)] {
        let input = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\nraw");
        let (mut decoder, mut head) = (ResponseDecoder::new(Limits::default()), ResponseHead::new());
        decoder.begin(&Method::Connect);
        let decoded = decoder.decode(input.as_bytes(), &mut head);
        let Ok(Decoded {
            consumed,
            event: Event::Head(info),
        }) = decoded
        else {
            // What announces a body that its status cannot have is refused, tunnel or not.
            assert_eq!((status, decoded), (204, Err(ResponseError::BodyOnBodiless)));
            continue;
        };
        assert_eq!((info.upgrade, consumed), (is_tunnel, input.len() - 3), "{status}");
    }
}

#[test]
fn bytes_nobody_asked_for_are_refused() {
    let (mut decoder, mut head) = (ResponseDecoder::new(Limits::default()), ResponseHead::new());
    assert_eq!(
        decoder.decode(b"", &mut head),
        Ok(Decoded {
            consumed: 0,
            event: Event::NeedMore
        })
    );
    assert_eq!(decoder.eof(), Ok(()));
    decoder.begin(&Method::Get);
    let input = b"HTTP/1.1 204 x\r\n\r\nH";
    let length = decoder.decode(input, &mut head).unwrap().consumed;
    assert_eq!(
        decoder.decode(&input[length..], &mut head),
        Ok(Decoded {
            consumed: 0,
            event: Event::End
        })
    );
    assert!(decoder.is_idle());
    assert_eq!(
        decoder.decode(&input[length..], &mut head),
        Err(ResponseError::UnexpectedBytes)
    );
    decoder.begin(&Method::Get);
    assert_eq!(
        decoder.decode(b"", &mut head),
        Err(ResponseError::UnexpectedBytes),
        "it failed for good"
    );
    decoder.reset();
    decoder.begin(&Method::Get);
    assert!(decoder.decode(input, &mut head).is_ok());
}

#[test]
fn only_a_body_framed_so_ends_with_the_connection() {
    let input = b"HTTP/1.1 200 OK\r\n\r\nabc";
    let seen = decode(&Method::Get, input);
    assert!(
        matches!(&seen[..], [Seen::Head(..), Seen::Data(data)] if data == b"abc"),
        "{seen:?}"
    );
    for input in [
        "",
        "HTTP/1.1 2",
        "HTTP/1.1 200 OK\r\nx",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab",
    ] {
        assert_eq!(refusal(input), Some(ResponseError::Truncated), "{input:?}");
    }
}
