//! Where tokens stand in a request: found, and taken off.

use outrigger_config::model::TokenLocation;
use outrigger_http1::{KnownName, RequestHead};
use outrigger_traffic::query;
use std::borrow::Cow;

/// Every token at these places; never an empty one.
pub(super) fn find<'h>(locations: &[TokenLocation], head: &'h RequestHead) -> Vec<Cow<'h, [u8]>> {
    let mut found = Vec::new();
    for location in locations {
        match location {
            TokenLocation::Header { name, prefix } => {
                let values = head.fields.find_all(name.as_str());
                found.extend(
                    values
                        .filter_map(|value| behind(value, prefix))
                        .map(Cow::Borrowed),
                );
            }
            TokenLocation::Query(name) => found.extend(query::values(head.query().unwrap_or_default(), name)),
            TokenLocation::Cookie(name) => {
                let fields = head.fields.get_all(KnownName::Cookie);
                let values = fields.flat_map(cookies).filter_map(|pair| named(pair, name));
                found.extend(values.map(Cow::Borrowed));
            }
        }
    }
    found.retain(|token| !token.is_empty());
    found
}

/// True if one of these places is this query parameter.
pub(super) fn is_parameter(locations: &[TokenLocation], name: &str) -> bool {
    let is_it = |location: &TokenLocation| matches!(location, TokenLocation::Query(other) if other == name);
    locations.iter().any(is_it)
}

/// Takes what stands at this place off the head, but for tokens that are `kept`.
pub(super) fn take_off(location: &TokenLocation, head: &mut RequestHead, kept: &[Vec<u8>]) {
    let goes = |token: &[u8]| !kept.iter().any(|kept| kept == token);
    match location {
        TokenLocation::Header { name, prefix } => {
            let name = name.as_str().as_bytes();
            head.fields
                .retain(|field| field.name != name || !behind(field.value, prefix).is_some_and(goes));
        }
        TokenLocation::Query(name) => {
            let left = head
                .query()
                .and_then(|query| query::without(query, |other, value| other == name && goes(value)));
            if let Some(left) = left {
                let target = with_query(head.path(), &left);
                head.set_path_and_query(&target);
            }
        }
        TokenLocation::Cookie(name) => take_off_cookie(name, head, goes),
    }
}

/// A path with a query, if that is not empty.
pub(in crate::pipeline) fn with_query(path: &str, query: &str) -> String {
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    }
}

/// What stands behind a prefix, whose case does not matter, and the blanks after it.
fn behind<'v>(value: &'v [u8], prefix: &str) -> Option<&'v [u8]> {
    let (start, rest) = value.split_at_checked(prefix.len())?;
    start
        .eq_ignore_ascii_case(prefix.as_bytes())
        .then(|| rest.trim_ascii_start())
}

fn cookies(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    field.split(|byte| *byte == b';').map(<[u8]>::trim_ascii)
}

/// The value of a pair of this name, without the quotes that RFC 6265 section 4.1.1 allows around it.
fn named<'p>(pair: &'p [u8], name: &str) -> Option<&'p [u8]> {
    let (key, value) = pair.split_at(pair.iter().position(|byte| *byte == b'=')?);
    // Blanks around the sign are no part of either for those who read cookies (RFC 6265 section 5.2).
    if key.trim_ascii() != name.as_bytes() {
        return None;
    }
    let value = value[1..].trim_ascii();
    let unquoted = value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""));
    Some(unquoted.unwrap_or(value))
}

fn take_off_cookie(name: &str, head: &mut RequestHead, goes: impl Fn(&[u8]) -> bool) {
    let is_gone = |pair: &[u8]| named(pair, name).is_some_and(&goes);
    let pairs = || head.fields.get_all(KnownName::Cookie).flat_map(cookies);
    if !pairs().any(is_gone) {
        return;
    }
    let kept: Vec<&[u8]> = pairs()
        .filter(|pair| !pair.is_empty() && !is_gone(pair))
        .collect();
    let kept = kept.join(&b"; "[..]);
    if kept.is_empty() {
        head.fields.remove_known(KnownName::Cookie);
    } else {
        head.fields.set_known(KnownName::Cookie, &kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&str, &str)], target: &str) -> RequestHead {
        let mut head = RequestHead::new();
        head.set_path_and_query(target);
        for (name, value) in fields {
            head.fields.push(name.as_bytes(), value.as_bytes());
        }
        head
    }

    fn texts(tokens: Vec<Cow<'_, [u8]>>) -> Vec<String> {
        let text = |token: Cow<'_, [u8]>| String::from_utf8(token.into_owned()).unwrap();
        tokens.into_iter().map(text).collect()
    }

    #[test]
    fn prefixes_are_known_in_any_case_and_nothing_else_is_a_token() {
        for (value, expected) in [
            ("Bearer a.b.c", Some("a.b.c")),
            ("bearer a", Some("a")),
            ("BEARER   a", Some("a")),
            ("Bearer a b", Some("a b")),
            ("Bearer", None),
            ("Bearera", None),
            ("Basic a", None),
            ("", None),
        ] {
            let found = behind(value.as_bytes(), "Bearer ");
            assert_eq!(found, expected.map(str::as_bytes), "{value}");
        }
        assert_eq!(behind(b"a.b.c", ""), Some(&b"a.b.c"[..]));
    }

    #[test]
    fn cookies_are_found_and_taken_off() {
        let places = [TokenLocation::Cookie("t".into())];
        let cookie = |value| head(&[("cookie", value)], "/");
        let mut both = cookie("a=1; t=x;t=\"y\" ; tt=z; T=w; t");
        assert_eq!(texts(find(&places, &both)), ["x", "y"]);
        take_off(&places[0], &mut both, &[b"y".to_vec()]);
        assert_eq!(
            both.fields.get(KnownName::Cookie),
            Some(&b"a=1; t=\"y\"; tt=z; T=w; t"[..])
        );
        let mut only = cookie("t =x");
        take_off(&places[0], &mut only, &[]);
        assert!(!only.fields.contains(KnownName::Cookie));
        let mut untouched = cookie("a=1;;b=2");
        take_off(&places[0], &mut untouched, &[]);
        assert_eq!(untouched.fields.get(KnownName::Cookie), Some(&b"a=1;;b=2"[..]));
    }

    #[test]
    fn parameters_are_taken_off_and_an_empty_query_goes_too() {
        let place = TokenLocation::Query("t".into());
        for (target, left) in [
            ("/a?t=x", "/a"),
            ("/a?b=1&t=x&c", "/a?b=1&c"),
            ("/a?%74=x", "/a"),
            ("/a?t=k", "/a?t=k"),
            ("/a", "/a"),
        ] {
            let mut head = head(&[], target);
            take_off(&place, &mut head, &[b"k".to_vec()]);
            assert_eq!(head.path_and_query(), left, "{target}");
        }
    }
}
