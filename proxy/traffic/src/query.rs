//! Query parameters, read as route conditions read them: separated by `&`, names percent-decoded.

use crate::routing::PercentDecoded;
use std::borrow::Cow;

/// The values of every parameter of this name, percent-decoded, in order. One without `=` has an empty value.
pub fn values<'q>(query: &'q str, name: &str) -> impl Iterator<Item = Cow<'q, [u8]>> {
    query.split('&').filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        is_named(key, name).then(|| decoded(value))
    })
}

/// The query without the parameters for which `gone` says so; none if it says so of none. The others stay as they stand.
pub fn without(query: &str, gone: impl Fn(&str, &[u8]) -> bool) -> Option<String> {
    let goes = |pair: &&str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = decoded(key);
        std::str::from_utf8(&key).is_ok_and(|key| gone(key, &decoded(value)))
    };
    if !query.split('&').any(|pair| goes(&pair)) {
        return None;
    }
    let kept: Vec<&str> = query.split('&').filter(|pair| !goes(pair)).collect();
    Some(kept.join("&"))
}

fn is_named(key: &str, name: &str) -> bool {
    PercentDecoded::new(key.as_bytes()).eq(name.bytes())
}

fn decoded(text: &str) -> Cow<'_, [u8]> {
    if text.contains('%') {
        Cow::Owned(PercentDecoded::new(text.as_bytes()).collect())
    } else {
        Cow::Borrowed(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_values_of_a_name_are_found_however_it_is_written() {
        let found = |query: &str| {
            values(query, "token")
                .map(|value| String::from_utf8(value.into_owned()).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            found("a=1&token=x&tok%65n=%79&token&tokens=z&Token=w"),
            ["x", "y", ""]
        );
        assert!(found("").is_empty());
    }

    #[test]
    fn what_goes_leaves_the_rest_as_it_stands() {
        let gone = |query: &str| without(query, |name, value| name == "token" && value != b"kept");
        assert_eq!(
            gone("a=1&tok%65n=x&b=%20&&token=kept"),
            Some("a=1&b=%20&&token=kept".into())
        );
        assert_eq!(gone("token=x"), Some(String::new()));
        assert_eq!(gone("token=k%65pt&a"), None);
        assert_eq!(gone("%ff=x"), None);
    }
}
