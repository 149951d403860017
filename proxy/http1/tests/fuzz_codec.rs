//! A mutational fuzzer without coverage feedback, so that it runs wherever the tests run.
//!
//! `OUTRIGGER_FUZZ_SECONDS` says how long (2 by default), `OUTRIGGER_FUZZ_SEED` from which seed (0 by default). A failure
//! prints seed and input. What must hold for any bytes: no panic, no byte consumed that was not given, the same events
//! for any split, and a head that was accepted is the same after it is encoded and decoded again.

#[path = "codec/drive.rs"]
mod drive;

use std::time::{Duration, Instant};

use drive::{Run, Seen, SeenRequest, SeenResponse};
use fastrand::Rng;
use outrigger_http1::{
    Fields, Framing, KnownName, Limits, Method, RequestHead, ResponseHead, Version, encode_request_head,
    encode_response_head, strip_hop_by_hop,
};

const REQUESTS: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/8.0\r\nAccept: */*\r\n\r\n",
    b"POST /a?b=c HTTP/1.1\r\nhost: a:80\r\nContent-Length: 5\r\nexpect: 100-continue\r\n\r\nhelloGET /2 HTTP/1.1\r\nhost: b\r\n\r\n",
    b"PUT http://a.b/c HTTP/1.1\r\nHost: z\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n5;x=\"y\"\r\nhello\r\n00\r\nx-sum: 1\r\n\r\n",
    b"CONNECT [::1]:443 HTTP/1.1\r\nhost: a\r\n\r\n",
    b"OPTIONS * HTTP/1.0\r\nConnection: keep-alive, Upgrade, x-hop\r\nUpgrade: websocket\r\nx-hop:  1\t\r\nHost: a\r\n\r\n",
];

const RESPONSES: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 5\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nhello",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\nx: y\r\n\r\n",
    b"HTTP/1.0 200\r\n\r\nuntil the end",
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nraw",
    b"HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\ncontent-length: 7\r\n\r\n",
];

/// What parsers have stumbled over.
const TOKENS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b":",
    b"\0",
    b"\x7f",
    b"\x80",
    b"#",
    b"@",
    b",",
    b";",
    b"\"",
    b"%00",
    b"Content-Length: 0\r\n",
    b"content-length: 18446744073709551616\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: b\r\n",
    b"transfer-encoding : chunked\r\n",
    b"0\r\n\r\n",
    b"ffffffffffffffff",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"\r\n folded",
    b"+1",
    b"0x1",
    b"connection: close, host, content-length\r\n",
    b"GET / HTTP/1.1\r\n",
    b"HTTP/1.1 204 x\r\n",
    b"[::1]",
    b"1;a=\"\\\"\"\r\nx\r\n",
];

fn mutate(rng: &mut Rng, corpus: &[&[u8]]) -> Vec<u8> {
    let mut input = corpus[rng.usize(..corpus.len())].to_vec();
    for _ in 0..rng.usize(..6) {
        let at = rng.usize(..=input.len());
        match rng.u8(..7) {
            0 if at < input.len() => input[at] = rng.u8(..),
            1 if at < input.len() => input[at] ^= 1 << rng.u8(..8),
            2 => {
                let end = (at + rng.usize(..9)).min(input.len());
                input.drain(at..end);
            }
            3 => {
                let other = corpus[rng.usize(..corpus.len())];
                let (start, end) = (rng.usize(..=other.len()), rng.usize(..=other.len()));
                let part = other.get(start..end).unwrap_or_default();
                input.splice(at..at, part.iter().copied());
            }
            4 => input.truncate(at),
            _ => {
                let token = TOKENS[rng.usize(..TOKENS.len())];
                input.splice(at..at, token.iter().copied());
            }
        }
    }
    input
}

fn cuts(rng: &mut Rng, length: usize) -> Vec<usize> {
    let mut cuts: Vec<_> = (0..rng.usize(..6)).map(|_| rng.usize(..=length)).collect();
    cuts.sort_unstable();
    cuts
}

/// Limits that take everything, or ones that are soon met.
fn limits(rng: &mut Rng) -> Limits {
    if rng.u8(..4) > 0 {
        return drive::limits();
    }
    Limits {
        head_bytes_max: rng.u32(..150),
        fields_max: rng.u32(..4),
        chunk_extension_bytes_max: rng.u32(..8),
        informational_max: rng.u32(..2),
        accept_http_10: rng.bool(),
    }
}

fn without_framing(fields: &Fields) -> Fields {
    let mut fields = fields.clone();
    fields.remove_known(KnownName::ContentLength);
    fields.remove_known(KnownName::TransferEncoding);
    fields
}

/// Data may follow other data once it was coalesced over different pieces, so runs are compared whole.
fn fuzz_request(rng: &mut Rng, input: &[u8]) {
    let limits = limits(rng);
    let whole: Run<SeenRequest> = drive::requests(input, &[], &limits);
    assert_eq!(whole, drive::requests(input, &cuts(rng, input.len()), &limits));
    assert_eq!(whole, drive::requests(input, &drive::every_byte(input), &limits));
    for seen in &whole.seen {
        let Seen::Head(head, info) = seen else { continue };
        check_request_head(head, info.framing);
    }
}

fn check_request_head(head: &RequestHead, framing: Framing) {
    assert!(!head.fields.contains(KnownName::Host));
    if head.authority().is_empty() {
        assert_eq!(head.version, Version::Http10);
        return;
    }
    let mut out = Vec::new();
    encode_request_head(head, framing, &mut out);
    let again = drive::requests(&out, &[], &drive::limits());
    let Some(Seen::Head(decoded, info)) = again.seen.first() else {
        panic!("{} is not decoded: {:?}", out.escape_ascii(), again.seen);
    };
    assert_eq!(info.framing, framing);
    assert_eq!(
        (&decoded.method, decoded.authority()),
        (&head.method, head.authority())
    );
    assert_eq!(decoded.path_and_query(), head.path_and_query());
    assert_eq!(without_framing(&decoded.fields), without_framing(&head.fields));
    check_strip(&head.fields);
}

/// After stripping nothing is left that concerns the connection, and the order of the rest is as it was.
fn check_strip(fields: &Fields) {
    let mut stripped = fields.clone();
    strip_hop_by_hop(&mut stripped);
    let gone = [
        KnownName::Connection,
        KnownName::TransferEncoding,
        KnownName::Upgrade,
        KnownName::KeepAlive,
    ];
    assert!(gone.into_iter().all(|name| !stripped.contains(name)));
    assert_eq!(
        stripped.get_all(KnownName::ContentLength).count(),
        fields.get_all(KnownName::ContentLength).count()
    );
    let mut all = fields.iter();
    for left in stripped.iter().filter(|field| field.known != Some(KnownName::Te)) {
        assert!(
            all.any(|field| field == left),
            "{left:?} was there, and in this order"
        );
    }
}

fn fuzz_response(rng: &mut Rng, input: &[u8]) {
    let method = [Method::Get, Method::Head, Method::Connect][rng.usize(..3)].clone();
    let limits = limits(rng);
    let whole: Run<SeenResponse> = drive::responses(input, &[], &method, &limits);
    assert_eq!(
        whole,
        drive::responses(input, &cuts(rng, input.len()), &method, &limits)
    );
    assert_eq!(
        whole,
        drive::responses(input, &drive::every_byte(input), &method, &limits)
    );
    for seen in &whole.seen {
        let Seen::Head(head, info) = seen else { continue };
        check_response_head(head, info.framing, &method);
    }
}

fn check_response_head(head: &ResponseHead, framing: Framing, method: &Method) {
    let mut out = Vec::new();
    encode_response_head(head, framing, Version::Http11, false, &mut out);
    let again = drive::responses(&out, &[], method, &drive::limits());
    let Some(Seen::Head(decoded, info)) = again.seen.first() else {
        panic!("{} is not decoded: {:?}", out.escape_ascii(), again.seen);
    };
    assert_eq!((info.framing, decoded.status), (framing, head.status));
    let mut expected = without_framing(&head.fields);
    if framing == Framing::UntilClose {
        expected.push_known(KnownName::Connection, b"close");
    }
    assert_eq!(without_framing(&decoded.fields), expected);
    check_strip(&head.fields);
}

fn run(corpus: &[&[u8]], fuzz: fn(&mut Rng, &[u8])) {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse().expect("a number"))
    };
    let seconds: u64 = number("OUTRIGGER_FUZZ_SECONDS").unwrap_or(2);
    let mut seed: u64 = number("OUTRIGGER_FUZZ_SEED").unwrap_or(0);
    let (start, first) = (Instant::now(), seed);
    while start.elapsed() < Duration::from_secs(seconds) {
        let mut rng = Rng::with_seed(seed);
        let input = mutate(&mut rng, corpus);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| fuzz(&mut rng, &input)));
        if result.is_err() {
            panic!("OUTRIGGER_FUZZ_SEED={seed} fails on {}", input.escape_ascii());
        }
        seed += 1;
    }
    println!("{} inputs", seed - first);
    assert!(seed > first);
}

#[test]
fn requests_of_any_bytes() {
    run(REQUESTS, fuzz_request);
}

#[test]
fn responses_of_any_bytes() {
    run(RESPONSES, fuzz_response);
}
