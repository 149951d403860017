use super::*;
use crate::external_authorization::Denial;
use bytes::Bytes;
use std::time::Duration;

fn denial(status: u16, body: &'static [u8]) -> Rc<Verdict> {
    Rc::new(Verdict::Denied(Box::new(Denial {
        status: Some(status),
        headers: Vec::new(),
        body: Bytes::from_static(body),
    })))
}

fn settings(entries_max: usize, time_to_live: Duration) -> Settings {
    Settings {
        entries_max,
        time_to_live,
    }
}

fn key(name: &str) -> Box<[u8]> {
    name.as_bytes().into()
}

#[test]
fn decisions_end_with_their_time() {
    let decisions = Decisions::default();
    let now = Instant::now();
    let second = Duration::from_secs(1);
    decisions.keep(1, key("a"), denial(401, b""), settings(9, second), now);
    assert_eq!(decisions.find(1, b"a", now), Some(denial(401, b"")));
    assert_eq!(decisions.find(1, b"b", now), None);
    assert_eq!(decisions.find(2, b"a", now), None, "another policy asked");
    let late = now + second;
    assert_eq!(
        decisions.find(1, b"a", late - Duration::from_nanos(1)),
        Some(denial(401, b""))
    );
    assert_eq!(decisions.find(1, b"a", late), None);
    assert_eq!(decisions.bytes(1), 0);
}

#[test]
fn the_least_recently_used_goes_first() {
    let decisions = Decisions::default();
    let now = Instant::now();
    let settings = settings(2, Duration::from_secs(1));
    for name in ["a", "b"] {
        decisions.keep(1, key(name), denial(401, b""), settings, now);
    }
    assert!(decisions.find(1, b"a", now).is_some());
    decisions.keep(1, key("c"), denial(401, b""), settings, now);
    let found = ["a", "b", "c"].map(|name| decisions.find(1, name.as_bytes(), now).is_some());
    assert_eq!(found, [true, false, true]);
}

#[test]
fn bytes_are_bounded() {
    static LARGE: [u8; DECISIONS_BYTES_MAX / 4] = [b'x'; DECISIONS_BYTES_MAX / 4];
    let decisions = Decisions::default();
    let now = Instant::now();
    let settings = settings(1000, Duration::from_secs(1));
    for name in ["a", "b", "c", "d", "d", "e"] {
        decisions.keep(1, key(name), denial(401, &LARGE), settings, now);
        assert!(decisions.bytes(1) <= DECISIONS_BYTES_MAX);
    }
    let found = ["a", "b", "c", "d", "e"].map(|name| decisions.find(1, name.as_bytes(), now).is_some());
    assert_eq!(found, [false, false, true, true, true]);
}
