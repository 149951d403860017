//! Keys of requests, for consistent hashing: xxHash64 of what the hash policy names, as Envoy hashes it, so that both send the
//! same key to the same endpoint.

use std::fmt::Write as _;
use std::time::Duration;
use xxhash_rust::xxh64::xxh64;

/// The hash of a value.
pub fn of(value: &[u8]) -> u64 {
    xxh64(value, 0)
}

/// The hash of several values of one header, whatever their order; none if there are none.
pub fn of_all<'v>(values: impl Iterator<Item = &'v [u8]>) -> Option<u64> {
    let mut values = values;
    let first = values.next()?;
    let Some(second) = values.next() else {
        return Some(of(first));
    };
    let mut all: Vec<&[u8]> = [first, second].into_iter().chain(values).collect();
    all.sort_unstable();
    Some(all.into_iter().fold(0, |seed, value| xxh64(value, seed)))
}

/// The hash of what came before and of one more part.
pub fn combine(before: Option<u64>, part: u64) -> u64 {
    before.map_or(0, |before| before.rotate_left(1)) ^ part
}

/// The value of a cookie in a request's `cookie` fields: the first of the name; quotes around it are not part of it.
pub fn cookie<'f>(fields: impl Iterator<Item = &'f [u8]>, name: &str) -> Option<&'f [u8]> {
    let mut pairs = fields.flat_map(|field| field.split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let value = pair
            .trim_ascii()
            .strip_prefix(name.as_bytes())?
            .strip_prefix(b"=")?;
        let unquoted = value
            .strip_prefix(b"\"")
            .and_then(|value| value.strip_suffix(b"\""));
        Some(unquoted.unwrap_or(value))
    })
}

/// The `set-cookie` that gives a client a value by which it is hashed from then on. A `ttl` of zero: for the browser's
/// session.
pub fn set_cookie(name: &str, value: &str, ttl: Duration, path: &str) -> String {
    let mut cookie = format!("{name}=\"{value}\"");
    if !ttl.is_zero() {
        // Writing to a string does not fail.
        let _ = write!(cookie, "; Max-Age={}", ttl.as_secs());
    }
    if !path.is_empty() {
        let _ = write!(cookie, "; Path={path}");
    }
    cookie.push_str("; HttpOnly");
    cookie
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of xxHash's own documentation and tests: a seed of 0.
    #[test]
    fn hashes_are_xxhash64() {
        assert_eq!(of(b""), 0xef46_db37_51d8_e999);
        assert_eq!(of(b"a"), 0xd24e_c4f1_a98c_6e5b);
        assert_eq!(of(b"abc"), 0x44bc_2cf5_ad77_0999);
    }

    #[test]
    fn values_of_one_header_count_whatever_their_order() {
        let hash = |values: &[&'static str]| of_all(values.iter().map(|value| value.as_bytes()));
        assert_eq!(hash(&[]), None);
        assert_eq!(hash(&["a"]), Some(of(b"a")));
        assert_eq!(hash(&["a", "b", "c"]), hash(&["c", "a", "b"]));
        assert_ne!(hash(&["a", "b"]), hash(&["a", "c"]));
        assert_ne!(hash(&["a", "b"]), hash(&["ab"]));
    }

    #[test]
    fn parts_count_in_their_order() {
        let (one, two) = (of(b"1"), of(b"2"));
        assert_eq!(combine(None, one), one);
        assert_ne!(combine(Some(one), two), combine(Some(two), one));
        assert_ne!(combine(Some(one), one), 0, "the same twice is not nothing");
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let fields: [&[u8]; 2] = [b"xkey=1; key2=2", b"other=3;key=\"four\"; key=5"];
        assert_eq!(cookie(fields.into_iter(), "key"), Some(&b"four"[..]));
        assert_eq!(cookie(fields.into_iter(), "key2"), Some(&b"2"[..]));
        assert_eq!(cookie(fields.into_iter(), "ey"), None);
    }

    #[test]
    fn a_given_cookie_reads_back() {
        let given = set_cookie("key", "0f", Duration::from_secs(90), "/a");
        assert_eq!(given, "key=\"0f\"; Max-Age=90; Path=/a; HttpOnly");
        assert_eq!(
            set_cookie("key", "0f", Duration::ZERO, ""),
            "key=\"0f\"; HttpOnly"
        );
    }
}
