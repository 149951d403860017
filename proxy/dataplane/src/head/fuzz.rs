//! Head conversion under random input: from an HTTP/2 request to a head, to HTTP/1 bytes, back through the decoder, and
//! to HTTP/2 again, nothing is gained, lost or read differently.
//!
//! `OUTRIGGER_FUZZ_SECONDS` sets how long it runs (a fixed number of rounds if unset), `OUTRIGGER_FUZZ_SEED` where it
//! starts.

use super::*;
use outrigger_http1::{Event, Framing, Limits, RequestDecoder, encode_request_head};
use std::time::{Duration, Instant};

const ROUNDS: u32 = 20_000;
const NAMES: [&str; 8] = [
    "accept",
    "x-a",
    "cookie",
    "user-agent",
    "x-request-id",
    "host",
    "te",
    "content-type",
];
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "OPTIONS", "PROPFIND", "a!b"];

fn request(random: &mut fastrand::Rng) -> Option<http::request::Parts> {
    let text = |random: &mut fastrand::Rng, max: usize, alphabet: &[u8]| -> Vec<u8> {
        (0..random.usize(..max))
            .map(|_| alphabet[random.usize(..alphabet.len())])
            .collect()
    };
    let path = String::from_utf8(text(random, 24, b"/ab%2F?=&;:@!~.-_[]{}|\"#\\^ ")).ok()?;
    let authority = String::from_utf8(text(random, 12, b"ab.:12[]@-%")).ok()?;
    let mut builder = http::Request::builder()
        .method(METHODS[random.usize(..METHODS.len())])
        .uri(
            http::Uri::builder()
                .scheme("http")
                .authority(authority)
                .path_and_query(format!("/{path}"))
                .build()
                .ok()?,
        );
    for _ in 0..random.usize(..8) {
        let value = text(random, 16, b"ab ,;=\t\x80\xffZ\"");
        builder = builder.header(
            NAMES[random.usize(..NAMES.len())],
            http::HeaderValue::from_bytes(&value).ok()?,
        );
    }
    Some(builder.body(()).ok()?.into_parts().0)
}

/// Name and value pairs, without surrounding blanks, which HTTP/1 does not carry.
fn pairs(fields: &Fields) -> Vec<(Vec<u8>, Vec<u8>)> {
    let trim = |value: &[u8]| value.trim_ascii().to_vec();
    fields
        .iter()
        .map(|field| (field.name.to_vec(), trim(field.value)))
        .collect()
}

fn check(parts: &http::request::Parts) -> bool {
    let mut head = RequestHead::new();
    if request_from_http2(parts, 100, &mut head).is_err() {
        return false;
    }
    let mut bytes = Vec::new();
    encode_request_head(&head, Framing::None, &mut bytes);
    let mut decoder = RequestDecoder::new(Limits::default());
    let mut decoded = RequestHead::new();
    // What HTTP/1 cannot carry unambiguously is refused there, never read as something else.
    let Ok(result) = decoder.decode(&bytes, &mut decoded) else {
        return false;
    };
    assert!(matches!(result.event, Event::Head(_)), "{parts:?}");
    assert_eq!(result.consumed, bytes.len(), "{parts:?}");
    assert_eq!(decoded.method, head.method);
    assert_eq!(decoded.path_and_query(), head.path_and_query());
    assert_eq!(decoded.authority(), head.authority());
    assert_eq!(pairs(&decoded.fields), pairs(&head.fields), "{parts:?}");
    let again = request_to_http2(&decoded, "http").expect("what came from HTTP/2 goes back");
    assert_eq!(again.uri(), &parts.uri, "{parts:?}");
    assert_eq!(again.method(), &parts.method);
    true
}

#[test]
fn heads_survive_conversion() {
    let seed = std::env::var("OUTRIGGER_FUZZ_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    let limit = std::env::var("OUTRIGGER_FUZZ_SECONDS")
        .ok()
        .and_then(|seconds| seconds.parse().ok());
    let mut random = fastrand::Rng::with_seed(seed);
    let started = Instant::now();
    let (mut rounds, mut whole) = (0, 0);
    while limit.map_or(rounds < ROUNDS, |seconds| {
        started.elapsed() < Duration::from_secs(seconds)
    }) {
        rounds += 1;
        if let Some(parts) = request(&mut random) {
            whole += u32::from(check(&parts));
        }
    }
    assert!(
        whole > rounds / 100,
        "the generator makes too few requests that pass: {whole} of {rounds}"
    );
}
