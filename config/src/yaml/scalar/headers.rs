//! Header names and values, methods, media types.

use super::{Problem, problem, problem_with_help, shortened};
use crate::model::HeaderName;

/// RFC 9110, section 5.6.2.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

pub(crate) fn header_name(text: &str) -> Result<HeaderName, Problem> {
    if is_token(text) && text.len() <= 256 {
        return Ok(HeaderName(text.to_ascii_lowercase().into()));
    }
    let message = format!("`{}` is not a header name", shortened(text));
    match text {
        ":path" => problem_with_help(
            message,
            "paths are matched by `path`, `prefix`, `template` or `regex`",
        ),
        ":method" => problem_with_help(message, "methods are matched by `methods`"),
        ":authority" => problem_with_help(
            message,
            "hosts are matched by `domains`, and written by `host_rewrite`",
        ),
        _ if text.starts_with(':') => problem_with_help(message, "pseudo-headers cannot be named here"),
        _ => problem(message),
    }
}

/// RFC 9110, section 5.5, without what could be read two ways.
pub(crate) fn header_value(text: &str) -> Result<String, Problem> {
    if text
        .chars()
        .any(|character| character != '\t' && character.is_control())
    {
        return problem("a header value may not contain control characters");
    }
    if text.trim_matches([' ', '\t']) != text {
        return problem("a header value may not begin or end with a space");
    }
    if text.len() > 4096 {
        return problem("a header value has at most 4096 bytes here");
    }
    Ok(text.to_owned())
}

/// A header value in which nothing is put.
pub(crate) fn literal_value(text: &str) -> Result<String, Problem> {
    match operator(text) {
        Some(operator) => problem_with_help(
            format!("`{operator}` would be sent as it stands"),
            "values are put into header edits alone",
        ),
        None => header_value(text),
    }
}

/// An access-log operator in a text: `%NAME%`, `%NAME(argument)%`, `%NAME(argument):length%`.
fn operator(text: &str) -> Option<&str> {
    text.match_indices('%').find_map(|(start, _)| {
        let rest = &text[start + 1..];
        let name = rest
            .bytes()
            .take_while(|byte| byte.is_ascii_uppercase() || *byte == b'_')
            .count();
        let begins = name > 1 && matches!(rest.as_bytes().get(name), Some(b'%' | b'(' | b':'));
        let end = rest.find('%').filter(|_| begins)?;
        Some(&text[start..start + end + 2])
    })
}

/// RFC 9110, section 9.1, as far as it is used.
pub(crate) fn method(text: &str) -> Result<String, Problem> {
    if !is_token(text) || text.len() > 32 {
        return problem(format!("`{}` is not a method", shortened(text)));
    }
    if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        let help = format!("write `{}`", text.to_ascii_uppercase());
        return problem_with_help(format!("methods are upper case, `{text}` is not"), help);
    }
    Ok(text.to_owned())
}

/// A `content-type`.
pub(crate) fn media_type(text: &str) -> Result<String, Problem> {
    match literal_value(text)? {
        value if value.split(';').next().is_some_and(|kind| kind.contains('/')) => Ok(value),
        _ => problem_with_help(
            format!("`{}` is not a media type", shortened(text)),
            "such as `text/plain`",
        ),
    }
}
