//! First bytes under mutation: no panic, and one decision however the bytes are cut, which more bytes do not change.
//!
//! `OUTRIGGER_FUZZ_SECONDS` sets how long it runs (a fixed number of rounds if unset), `OUTRIGGER_FUZZ_SEED` where it
//! starts.

use super::*;
use std::time::{Duration, Instant};

const ROUNDS: u32 = 200_000;

const BEGINNINGS: [&[u8]; 9] = [
    b"GET /a?b=c HTTP/1.1\r\nhost: a\r\n\r\n",
    b"OPTIONS * HTTP/1.0\r\n",
    b"CONNECT [::1]:443 HTTP/1.1\r\n",
    PREFACE,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"*1\r\n$4\r\nPING\r\n",
    b"EHLO a.example\r\n",
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"\0\0\0\x08\x04\xd2\x16\x2f",
];

/// What the decision turns on.
const PIECES: [&[u8]; 12] = [
    b" ",
    b"\r",
    b"\n",
    b"HTTP/1.1",
    b"HTTP/",
    b"PRI ",
    b"\x16",
    b"\x03",
    b"\x01",
    b"\0",
    b"\xff",
    b"a",
];

fn mutated(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = BEGINNINGS[random.usize(..BEGINNINGS.len())].to_vec();
    for _ in 0..random.usize(..4) {
        let at = random.usize(..=bytes.len());
        let piece = PIECES[random.usize(..PIECES.len())];
        match random.u8(..4) {
            0 => bytes.truncate(at),
            1 => drop(bytes.splice(at..at, piece.iter().copied())),
            2 => {
                let end = (at + piece.len()).min(bytes.len());
                drop(bytes.splice(at..end, piece.iter().copied()));
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.u8(..);
                }
            }
        }
    }
    bytes
}

/// An HTTP/1 request line to its end, told in another way than by steps.
fn is_request_line(bytes: &[u8]) -> bool {
    let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return false;
    };
    let words: Vec<&[u8]> = bytes[..end].split(|byte| *byte == b' ').collect();
    let [method, target, version] = words[..] else {
        return false;
    };
    let version_fits = matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
        if major.is_ascii_digit() && minor.is_ascii_digit());
    (1..=METHOD_BYTES_MAX).contains(&method.len())
        && method.iter().all(|byte| is_token(*byte))
        && !target.is_empty()
        && target.iter().all(u8::is_ascii_graphic)
        && version_fits
}

fn check(bytes: &[u8], random: &mut fastrand::Rng) {
    let whole = Detector::default().feed(bytes);
    let mut detector = Detector::default();
    let (mut rest, mut decided) = (bytes, None);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(random.usize(1..=rest.len()));
        rest = later;
        let fed = detector.feed(now);
        assert!(
            decided.is_none() || decided == fed,
            "{bytes:?}: it changed its mind"
        );
        decided = fed;
    }
    assert_eq!(decided, whole, "{bytes:?}");
    match whole {
        Some(Protocol::Http1) => assert!(is_request_line(bytes), "{bytes:?}"),
        Some(Protocol::Http2) => assert!(bytes.starts_with(PREFACE), "{bytes:?}"),
        Some(Protocol::Tls) => assert!(matches!(bytes, [22, 3, _, _, _, 1, ..]), "{bytes:?}"),
        Some(Protocol::Other) => assert!(!is_request_line(bytes), "{bytes:?}"),
        None => {}
    }
}

#[test]
fn first_bytes_are_read_alike_however_they_come() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let mut random = fastrand::Rng::with_seed(number("OUTRIGGER_FUZZ_SEED").unwrap_or(0));
    let until = number("OUTRIGGER_FUZZ_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut rounds = 0;
    while until.map_or(rounds < ROUNDS, |until| Instant::now() < until) {
        let bytes = mutated(&mut random);
        check(&bytes, &mut random);
        rounds += 1;
    }
}
