//! What a service may change of a request and of its response, and doing so.
//!
//! Names and values are judged before anything is changed: an answer is applied as a whole or not at all.

use crate::external_authorization::{Allowance, HeaderChange, HeaderChangeKind};
use http::header::{HeaderName, HeaderValue};
use outrigger_config::model::defaults::EXTERNAL_AUTHORIZATION_CHANGES_MAX;
use outrigger_http1::{Fields, RequestHead};

/// What no service may write: what frames and routes a message, and what belongs to one connection. The host is part of
/// what was decided on.
const NOT_CHANGED: [&str; 13] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "sec-websocket-key",
    "sec-websocket-accept",
];

/// An answer asks for a change that cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) struct InvalidChange;

/// True if a field of this name, in lower case, is not a service's to write.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with(':') || NOT_CHANGED.contains(&name)
}

/// Judges an allowance, and puts its names into lower case.
pub(super) fn judge(mut allowance: Box<Allowance>) -> Result<Box<Allowance>, InvalidChange> {
    let changes = allowance.request_headers.len()
        + allowance.response_headers.len()
        + allowance.request_headers_removed.len()
        + allowance.query_set.len()
        + allowance.query_removed.len();
    if changes > EXTERNAL_AUTHORIZATION_CHANGES_MAX {
        return Err(InvalidChange);
    }
    for change in allowance
        .request_headers
        .iter_mut()
        .chain(&mut allowance.response_headers)
    {
        judge_header(change)?;
    }
    for name in &mut allowance.request_headers_removed {
        name.make_ascii_lowercase();
    }
    // By the protocol these stay, and asking for them is no fault.
    allowance.request_headers_removed.retain(|name| !is_ours(name));
    let are_names = allowance
        .request_headers_removed
        .iter()
        .all(|name| HeaderName::from_bytes(name.as_bytes()).is_ok());
    let set = allowance.query_set.iter();
    let are_parameters = set
        .clone()
        .all(|(name, value)| is_parameter_name(name) && is_query(value))
        && allowance.query_removed.iter().all(|name| is_parameter_name(name));
    if are_names && are_parameters {
        Ok(allowance)
    } else {
        Err(InvalidChange)
    }
}

/// Judges a header, and puts its name into lower case and its value without blanks around it.
pub(in crate::pipeline) fn judge_header(change: &mut HeaderChange) -> Result<(), InvalidChange> {
    change.name.make_ascii_lowercase();
    let trimmed = change.value.trim_ascii();
    if trimmed.len() < change.value.len() {
        change.value = trimmed.to_vec();
    }
    let is_legal = HeaderName::from_bytes(change.name.as_bytes()).is_ok()
        && HeaderValue::from_bytes(&change.value).is_ok()
        && !is_ours(&change.name);
    is_legal.then_some(()).ok_or(InvalidChange)
}

fn is_parameter_name(name: &str) -> bool {
    !name.is_empty() && is_query(name) && !name.contains('=')
}

/// Characters that may stand in one parameter (RFC 3986 section 3.4, but for `&`). What else there is in it must be
/// percent-encoded already.
fn is_query(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$'()*+,;:@/?%=".contains(&byte))
}

/// Writes headers.
pub(in crate::pipeline) fn write(fields: &mut Fields, changes: &[HeaderChange]) {
    for change in changes {
        let (name, value) = (change.name.as_bytes(), &change.value);
        let is_there = || fields.find(&change.name).is_some();
        match change.kind {
            HeaderChangeKind::Append => fields.push(name, value),
            HeaderChangeKind::AddIfAbsent if is_there() => {}
            HeaderChangeKind::SetIfPresent if !is_there() => {}
            HeaderChangeKind::AddIfAbsent | HeaderChangeKind::SetIfPresent | HeaderChangeKind::Set => {
                fields.set(name, value)
            }
        }
    }
}

/// Changes a request as its service says.
pub(super) fn apply(head: &mut RequestHead, allowance: &Allowance) {
    write(&mut head.fields, &allowance.request_headers);
    for name in &allowance.request_headers_removed {
        head.fields.remove(name);
    }
    if !allowance.query_set.is_empty() || !allowance.query_removed.is_empty() {
        let query = changed_query(head.query(), allowance);
        let mut target = head.path().to_owned();
        if !query.is_empty() {
            target.push('?');
            target.push_str(&query);
        }
        head.set_path_and_query(&target);
    }
}

/// A parameter that is set stands where its first one stood, or at the end.
fn changed_query(query: Option<&str>, allowance: &Allowance) -> String {
    let name_of = |pair: &str| pair.split_once('=').map_or(pair, |(name, _)| name).to_owned();
    let mut pairs: Vec<String> = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter(|pair| !allowance.query_removed.contains(&name_of(pair)))
        .map(str::to_owned)
        .collect();
    for (name, value) in &allowance.query_set {
        let written = format!("{name}={value}");
        let mut is_written = false;
        pairs.retain_mut(|pair| {
            if name_of(pair) != *name {
                return true;
            }
            let is_first = !std::mem::replace(&mut is_written, true);
            if is_first {
                pair.clone_from(&written);
            }
            is_first
        });
        if !is_written {
            pairs.push(written);
        }
    }
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: HeaderChangeKind, name: &str, value: &str) -> HeaderChange {
        HeaderChange {
            kind,
            name: name.into(),
            value: value.into(),
        }
    }

    fn head(fields: &[(&str, &str)]) -> RequestHead {
        let mut head = RequestHead::new();
        head.set_path_and_query("/p?a=1&b=2&a=3&c");
        for (name, value) in fields {
            head.fields.push(name.as_bytes(), value.as_bytes());
        }
        head
    }

    fn texts(fields: &Fields) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        fields
            .iter()
            .map(|field| format!("{}: {}", text(field.name), text(field.value)))
            .collect()
    }

    #[test]
    fn each_kind_of_change_does_what_it_says() {
        use HeaderChangeKind::*;
        let table = [
            (Append, vec!["x: 0", "x: 1"], vec!["x: 1"]),
            (AddIfAbsent, vec!["x: 0"], vec!["x: 1"]),
            (Set, vec!["x: 1"], vec!["x: 1"]),
            (SetIfPresent, vec!["x: 1"], vec![]),
        ];
        for (kind, with, without) in table {
            let allowance = Allowance {
                request_headers: vec![change(kind, "X", " 1 ")],
                ..Allowance::default()
            };
            let allowance = judge(Box::new(allowance)).unwrap();
            let mut there = head(&[("x", "0")]);
            apply(&mut there, &allowance);
            assert_eq!(texts(&there.fields), with, "{kind:?}");
            let mut absent = head(&[]);
            apply(&mut absent, &allowance);
            assert_eq!(texts(&absent.fields), without, "{kind:?}");
        }
    }

    #[test]
    fn what_cannot_be_changed_is_refused_and_what_cannot_be_removed_stays() {
        for (name, value) in [
            (":path", "/x"),
            ("Host", "x"),
            ("Connection", "close"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("x y", "1"),
            ("", "1"),
            ("x", "a\r\nb: c"),
            ("x", "a\0"),
        ] {
            let allowance = Allowance {
                request_headers: vec![change(HeaderChangeKind::Set, name, value)],
                ..Allowance::default()
            };
            assert_eq!(judge(Box::new(allowance)), Err(InvalidChange), "{name:?}");
        }
        let allowance = Allowance {
            request_headers_removed: vec!["Host".into(), ":path".into(), "X-A".into()],
            ..Allowance::default()
        };
        let allowance = judge(Box::new(allowance)).unwrap();
        assert_eq!(allowance.request_headers_removed, ["x-a"]);
        let many = vec![change(HeaderChangeKind::Set, "x", "1"); EXTERNAL_AUTHORIZATION_CHANGES_MAX + 1];
        let allowance = Allowance {
            request_headers: many,
            ..Allowance::default()
        };
        assert_eq!(judge(Box::new(allowance)), Err(InvalidChange));
    }

    #[test]
    fn query_parameters_are_set_in_place_and_removed() {
        let allowance = |set: &[(&str, &str)], removed: &[&str]| Allowance {
            query_set: set.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
            query_removed: removed.iter().map(|name| (*name).into()).collect(),
            ..Allowance::default()
        };
        let changed = |allowance: Allowance| {
            let mut head = head(&[]);
            apply(&mut head, &judge(Box::new(allowance)).unwrap());
            head.path_and_query().to_owned()
        };
        assert_eq!(changed(allowance(&[("a", "9")], &["c"])), "/p?a=9&b=2");
        assert_eq!(
            changed(allowance(&[("d", "4%20")], &[])),
            "/p?a=1&b=2&a=3&c&d=4%20"
        );
        assert_eq!(changed(allowance(&[], &["a", "b", "c"])), "/p");
        for bad in ["a b", "a#", "a&b", "é"] {
            let invalid = judge(Box::new(allowance(&[("x", bad)], &[])));
            assert_eq!(invalid, Err(InvalidChange), "{bad:?}");
        }
        assert_eq!(
            judge(Box::new(allowance(&[("x=y", "1")], &[]))),
            Err(InvalidChange)
        );
    }
}
