//! What first bytes are, byte by byte; and that the cuts between them say nothing.

use super::*;
use proptest::prelude::*;

/// The decision, and after how many bytes it was made.
fn decide(bytes: &[u8]) -> (Option<Protocol>, usize) {
    let mut detector = Detector::default();
    for (place, byte) in bytes.iter().enumerate() {
        if let Some(protocol) = detector.feed(std::slice::from_ref(byte)) {
            return (Some(protocol), place + 1);
        }
    }
    (None, bytes.len())
}

#[test]
fn what_protocols_begin_with_and_when_it_is_told() {
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for (bytes, expected, after) in [
        // HTTP/1, told by the end of the line.
        (
            b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".as_slice(),
            Protocol::Http1,
            15,
        ),
        (b"GET / HTTP/1.0\n", Protocol::Http1, 15),
        (b"OPTIONS * HTTP/1.1\r\n", Protocol::Http1, 19),
        (b"CONNECT a.example:443 HTTP/1.1\r\n", Protocol::Http1, 31),
        (b"M-SEARCH http://a/?b#c HTTP/1.1\r\n", Protocol::Http1, 32),
        (b"PRI /x HTTP/1.1\r\n", Protocol::Http1, 16),
        // Versions that are refused, but as HTTP.
        (b"GET / HTTP/9.9\r\n", Protocol::Http1, 15),
        (b"PRI * HTTP/2.0\r\nx", Protocol::Http1, 17),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Protocol::Http2, 24),
        (hello, Protocol::Tls, 6),
        // PostgreSQL, MongoDB, Kafka, DNS over TCP: binary lengths.
        (b"\0\0\0\x08\x04\xd2\x16\x2f", Protocol::Other, 1),
        (b"\x16\x02", Protocol::Other, 2),
        (b"\x16\x03\x01\x00\x05\x02", Protocol::Other, 6),
        // Redis, both ways.
        (b"*1\r\n$4\r\nPING\r\n", Protocol::Other, 3),
        (b"PING\r\n", Protocol::Other, 5),
        (b"GET key\r\n", Protocol::Other, 8),
        // Memcached, SMTP, SSH, SIP, RTSP.
        (b"get key\r\n", Protocol::Other, 8),
        (b"EHLO a.example\r\n", Protocol::Other, 15),
        (b"SSH-2.0-OpenSSH_9.6\r\n", Protocol::Other, 20),
        (b"INVITE sip:a@b SIP/2.0\r\n", Protocol::Other, 16),
        (b"OPTIONS rtsp://a/ RTSP/1.0\r\n", Protocol::Other, 19),
        // What is almost HTTP.
        (b" GET / HTTP/1.1\r\n", Protocol::Other, 1),
        (b"\r\nGET / HTTP/1.1\r\n", Protocol::Other, 1),
        (b"GET  / HTTP/1.1\r\n", Protocol::Other, 5),
        (b"GET /  HTTP/1.1\r\n", Protocol::Other, 7),
        (b"GET\t/ HTTP/1.1\r\n", Protocol::Other, 4),
        (b"GET /\xc3\xa4 HTTP/1.1\r\n", Protocol::Other, 6),
        (b"GET / http/1.1\r\n", Protocol::Other, 7),
        (b"GET / HTTP/1\r\n", Protocol::Other, 13),
        (b"GET / HTTP/1.1 \r\n", Protocol::Other, 15),
        (b"GET / HTTP/1.10\r\n", Protocol::Other, 15),
        (b"GET /\r\n", Protocol::Other, 6),
        (b"G(T / HTTP/1.1\r\n", Protocol::Other, 2),
    ] {
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(decide(bytes), (Some(expected), after), "{text:?}");
    }
}

#[test]
fn it_waits_while_anything_is_possible() {
    for bytes in [
        b"".as_slice(),
        b"G",
        b"GET / HTTP/1.1",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r",
        b"\x16\x03\x01\x00\x05",
    ] {
        assert_eq!(decide(bytes).0, None, "{bytes:?}");
    }
}

#[test]
fn what_goes_on_for_ever_is_bounded() {
    let method = [b'A'; METHOD_BYTES_MAX + 1];
    assert_eq!(decide(&method), (Some(Protocol::Other), METHOD_BYTES_MAX + 1));
    let target = [b"GET /".as_slice(), &[b'a'; LINE_BYTES_MAX]].concat();
    assert_eq!(decide(&target), (Some(Protocol::Http1), LINE_BYTES_MAX));
}

#[test]
fn every_short_beginning_is_decided_alike_however_it_is_cut() {
    // All beginnings of two bytes, with third ones of every kind.
    let thirds = *b" /*AaPp\r\n\0\x01\x03\xff";
    for (number, c) in (0..=u16::MAX).flat_map(|number| thirds.map(|third| (number, third))) {
        let [a, b] = number.to_le_bytes();
        let mut whole = Detector::default();
        let mut cut = Detector::default();
        let first = cut.feed(&[a]).or_else(|| cut.feed(&[b, c]));
        assert_eq!(whole.feed(&[a, b, c]), first, "{a} {b} {c}");
    }
}

proptest! {
    #[test]
    fn cuts_say_nothing(
        kind in 0usize..5,
        tail in proptest::collection::vec(any::<u8>(), 0..40),
        keep in 0usize..30,
        cuts in proptest::collection::vec(0usize..70, 0..6),
    ) {
        let beginnings: [&[u8]; 5] = [b"", b"GET / HTTP/1.1\r\n", PREFACE, b"\x16\x03\x01\x02\x00\x01", b"EHLO a\r\n"];
        let beginning = beginnings[kind];
        let bytes = [&beginning[..keep.min(beginning.len())], &tail].concat();
        let whole = Detector::default().feed(&bytes);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut detector = Detector::default();
        let mut decided = None;
        for pair in cuts.windows(2) {
            let fed = detector.feed(&bytes[pair[0]..pair[1]]);
            prop_assert!(decided.is_none() || decided == fed, "it changed its mind");
            decided = fed;
        }
        prop_assert_eq!(whole, decided);
    }
}
