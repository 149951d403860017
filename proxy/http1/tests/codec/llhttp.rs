//! The request vectors that llhttp publishes, as facts: what they hold, what llhttp says, what this codec says.
//!
//! Each line of the table is, separated by tabs: where the vector stands, llhttp's verdict (`accepts`, `refuses`, or
//! `lenient` for one that it takes only when told to be lenient), our verdict, our verdict once the requests that
//! lack a `host` have one and those with a fragment have none, and the input in Rust's escapes.
//!
//! Our verdict is `accepts`, `incomplete`, `tunnel` (a CONNECT or upgrade, after which llhttp stops too), `closed` (a
//! message that ends the connection, and bytes after it), or the reason of the refusal.

use outrigger_http1::{Event, Method, RequestDecoder, RequestHead};

use crate::drive;

const VECTORS: &str = include_str!("llhttp_vectors.tsv");

/// Vectors that llhttp takes and this codec refuses, mended or not: the reasons why.
const STRICTER: &[(&str, &str)] = &[
    (
        "connection: CRLF between requests, implicit `keep-alive`",
        "more than one empty line before a request line",
    ),
    (
        "method: CONNECT with body",
        "its bytes are a body to some and tunnelled to others",
    ),
    (
        "method: M-SEARCH request",
        "asterisk-form is for OPTIONS (RFC 9112, 3.2.4)",
    ),
    ("method: SOURCE request with ICE", "not HTTP"),
    ("method: OPTIONS request with RTSP", "not HTTP"),
    ("method: ANNOUNCE request with RTSP", "not HTTP"),
    (
        "method: PRI request HTTP2",
        "the preface of HTTP/2, with a wrong version; asterisk-form is for OPTIONS",
    ),
    ("sample: No HTTP version", "HTTP/0.9"),
    (
        "transfer-encoding: POST with `chunked` as last transfer-encoding",
        "a coding that is not known",
    ),
    (
        "transfer-encoding: POST with `chunked` as last transfer-encoding (multiple headers)",
        "a coding that is not known, in two fields",
    ),
    ("uri: Fragment in URI", "a fragment in the target"),
    (
        "uri: `host:port` and basic auth",
        "userinfo in the authority (RFC 9110, 4.2.4)",
    ),
];

/// Vectors that llhttp refuses for a method that is not in its closed list, and that are valid by RFC 9110, 9.1, where
/// any token is a method.
const METHODS_OUT_OF_LIST: &[&str] = &[
    "invalid: HTTP protocol and ANNOUNCE method",
    "invalid: Invalid method",
];

fn verdict(input: &[u8]) -> &'static str {
    let (mut decoder, mut head) = (RequestDecoder::new(drive::limits()), RequestHead::new());
    let (mut at, mut keep_alive) = (0, true);
    loop {
        if decoder.is_idle() && !keep_alive {
            return if at == input.len() { "accepts" } else { "closed" };
        }
        let decoded = match decoder.decode(&input[at..], &mut head) {
            Ok(decoded) => decoded,
            Err(error) => return error.reason(),
        };
        at += decoded.consumed;
        match decoded.event {
            Event::Head(info) if info.upgrade || head.method == Method::Connect => return "tunnel",
            Event::Head(info) => keep_alive = info.keep_alive,
            Event::NeedMore if decoder.is_idle() && at == input.len() => return "accepts",
            Event::NeedMore => return "incomplete",
            _ => {}
        }
    }
}

/// The input with a `host` after each request line, if it has none, and without a fragment, so that what llhttp finds
/// wrong is not hidden behind what it lets pass.
fn mended(input: &[u8]) -> Vec<u8> {
    let mut text: String = input.iter().map(|&byte| byte as char).collect();
    if !text.to_ascii_lowercase().contains("host:") {
        text = text.replace(" HTTP/1.1\r\n", " HTTP/1.1\r\nHost: a\r\n");
    }
    let text = text.replace("#hey ", " ");
    text.chars().map(|letter| letter as u8).collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (&escape, after) = rest.split_first().expect("an escape is whole");
        rest = after;
        bytes.push(match escape {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'x' => {
                let digits = std::str::from_utf8(&rest[..2]).expect("hexadecimal digits");
                let byte = u8::from_str_radix(digits, 16).expect("hexadecimal digits");
                rest = &rest[2..];
                byte
            }
            other => other,
        });
    }
    bytes
}

#[test]
fn no_invalid_vector_is_accepted_and_every_verdict_is_as_written() {
    let (mut wrong, mut counts) = (Vec::new(), [0; 3]);
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let [place, theirs, raw, after_mending, input] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("a vector has five columns: {line}");
        };
        let input = unescape(input);
        let verdicts = [verdict(&input), verdict(&mended(&input))];
        if verdicts != [raw, after_mending] {
            wrong.push(format!("{place}\t{theirs}\t{}\t{}", verdicts[0], verdicts[1]));
            continue;
        }
        let is_taken = |verdict: &str| verdict == "accepts" || verdict == "tunnel";
        match theirs {
            "refuses" => {
                counts[0] += 1;
                // Where the vector stops before the end of its head, so does our verdict, unless it is ended.
                let ended = verdict(&[&mended(&input)[..], b"\r\n\r\n"].concat());
                let is_accepted = is_taken(ended) || verdicts.into_iter().any(is_taken);
                let is_valid = METHODS_OUT_OF_LIST.contains(&place);
                assert_eq!(is_accepted, is_valid, "{place}: {verdicts:?} {ended}");
            }
            "accepts" => {
                counts[1] += 1;
                let reason = STRICTER.iter().find(|(stricter, _)| *stricter == place);
                let is_left = is_taken(verdicts[1]) || verdicts[1] == "incomplete";
                assert_eq!(is_left, reason.is_none(), "{place}: {}", verdicts[1]);
            }
            "lenient" => counts[2] += 1,
            other => panic!("{place}: unknown verdict {other}"),
        }
    }
    assert!(wrong.is_empty(), "verdicts differ:\n{}", wrong.join("\n"));
    println!(
        "{} invalid, {} valid, {} lenient",
        counts[0], counts[1], counts[2]
    );
    assert_eq!(counts, [60, 82, 24], "none is lost");
}
