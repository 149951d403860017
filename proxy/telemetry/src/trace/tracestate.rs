//! `tracestate`, by W3C's Trace Context (level 2): a list of members `key=value`, which is passed on as it came or not at all.

use super::headers::{Carrier, TraceHeader};

/// How many members a list has at most.
const MEMBERS_MAX: usize = 32;
/// How long a key or a value is at most.
const PART_MAX: usize = 256;

/// Leaves a list that is well formed, as one field, and drops any other: a member that is malformed, or one too many,
/// spoils them all. What is too long for a header of the request never gets here, and up to that everything is passed on.
pub(super) fn clean(carrier: &mut dyn Carrier) {
    if let Some(only) = carrier.only(TraceHeader::Tracestate) {
        if !members(only).is_some_and(|members| (1..=MEMBERS_MAX).contains(&members)) {
            carrier.remove(TraceHeader::Tracestate);
        }
        return;
    }
    if carrier.first(TraceHeader::Tracestate).is_none() {
        return;
    }
    let mut joined = Vec::new();
    carrier.each(TraceHeader::Tracestate, &mut |value| {
        if !joined.is_empty() && !value.is_empty() {
            joined.push(b',');
        }
        joined.extend_from_slice(value);
    });
    match members(&joined) {
        Some(count) if (1..=MEMBERS_MAX).contains(&count) => carrier.set(TraceHeader::Tracestate, &joined),
        _ => carrier.remove(TraceHeader::Tracestate),
    }
}

/// How many members a list has, without empty ones; None if it is malformed.
fn members(list: &[u8]) -> Option<usize> {
    let mut count = 0;
    for member in list.split(|byte| *byte == b',') {
        let member = trim(member);
        if member.is_empty() {
            continue;
        }
        if !is_member(member) {
            return None;
        }
        count += 1;
    }
    Some(count)
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

fn is_member(member: &[u8]) -> bool {
    let length = member.iter().take_while(|byte| is(**byte, IN_KEY)).count();
    let (key, rest) = member.split_at(length);
    let Some((b'=', value)) = rest.split_first() else {
        return false;
    };
    is_key(key) && is_value(value)
}

/// `( lcalpha / DIGIT ) 0*255 ( keychar )`; the key of a tenant has an `@` in it.
fn is_key(key: &[u8]) -> bool {
    key.len() <= PART_MAX && key.first().is_some_and(|first| is(*first, BEGINS_KEY))
}

/// `0*255(chr) nblk-chr`: printable, without `,` and `=`. Blanks at its end are no part of it, and are off already.
fn is_value(value: &[u8]) -> bool {
    (1..=PART_MAX).contains(&value.len()) && value.iter().all(|byte| is(*byte, IN_VALUE))
}

/// What a byte may be.
const BEGINS_KEY: u8 = 1;
const IN_KEY: u8 = 2;
const IN_VALUE: u8 = 4;

/// What each byte may be: lists are read byte by byte, for every request that has one.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let char = byte as u8;
        if char.is_ascii_lowercase() || char.is_ascii_digit() {
            classes[byte] |= BEGINS_KEY | IN_KEY;
        }
        if matches!(char, b'_' | b'-' | b'*' | b'/' | b'@') {
            classes[byte] |= IN_KEY;
        }
        if matches!(char, b' '..=b'~') && !matches!(char, b',' | b'=') {
            classes[byte] |= IN_VALUE;
        }
        byte += 1;
    }
    classes
};

#[inline]
fn is(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::headers::Listed;

    /// What is left of these fields.
    fn cleaned(values: &[&str]) -> Vec<String> {
        let mut listed = Listed(
            values
                .iter()
                .map(|value| (TraceHeader::Tracestate, (*value).to_owned()))
                .collect(),
        );
        clean(&mut listed);
        listed.0.into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn what_is_well_formed_is_passed_on_as_it_came() {
        let key = format!("{}=1", "z".repeat(256));
        let value = format!("a={}", "v".repeat(256));
        let all = "a1_-*/@=!\"#$%&'()*+-./:;<>?@[]^_`{|}~ x";
        let long = (0..32)
            .map(|i| format!("k{i}={}", "v".repeat(200)))
            .collect::<Vec<_>>()
            .join(",");
        for list in [
            "foo=1",
            "foo=1,bar=2",
            "foo=1 \t , \t bar=2, \t baz=3",
            "foo=1,,bar=2",
            "foo=1,foo=2",
            "foo= leading",
            "foo@=1,bar=2",
            "foo@@bar=1",
            "1a-2f@foo=bar1",
            "0=1",
            &key,
            &value,
            all,
            &long,
        ] {
            assert_eq!(cleaned(&[list]), [list]);
        }
    }

    #[test]
    fn several_fields_are_joined_in_their_order() {
        assert_eq!(
            cleaned(&["foo=1,bar=2", "rojo=1", "baz=3"]),
            ["foo=1,bar=2,rojo=1,baz=3"]
        );
        assert_eq!(cleaned(&["foo=1", ""]), ["foo=1"]);
        assert_eq!(cleaned(&["", "foo=1"]), ["foo=1"]);
    }

    #[test]
    fn one_malformed_member_spoils_them_all() {
        let long_key = format!("{}=1", "z".repeat(257));
        let long_value = format!("a={}", "v".repeat(257));
        for bad in [
            "foo",
            "=1",
            "foo=",
            "foo =1",
            "FOO=1",
            "foo.bar=1",
            "@foo=1",
            "-foo=1",
            "foo=bar=baz",
            "foo=\u{7f}",
            "foo=a\tb",
            &long_key,
            &long_value,
        ] {
            assert!(cleaned(&[bad]).is_empty(), "{bad}");
            assert!(
                cleaned(&[&format!("a=1,{bad},c=3")]).is_empty(),
                "{bad} in a list"
            );
            assert!(cleaned(&["a=1", bad]).is_empty(), "{bad} in another field");
        }
        assert!(cleaned(&["foo=\u{e9}"]).is_empty());
    }

    #[test]
    fn a_list_has_1_to_32_members() {
        let list = |count: usize| {
            (0..count)
                .map(|i| format!("k{i}=v"))
                .collect::<Vec<_>>()
                .join(",")
        };
        assert_eq!(cleaned(&[&list(32)]), [list(32)]);
        assert!(cleaned(&[&list(33)]).is_empty());
        assert!(cleaned(&[&list(32), "z=1"]).is_empty());
        for empty in ["", ",", " , ,"] {
            assert!(cleaned(&[empty]).is_empty());
        }
        assert!(cleaned(&["", ""]).is_empty());
        assert!(cleaned(&[]).is_empty());
    }
}
