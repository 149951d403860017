//! Values of header edits, with operators: `%REQ(x-name)%`.

use super::reader::quoted;
use super::rewrite::Matched;
use super::scalar::{self, Problem, problem, problem_with_help};
use crate::model::{HeaderValue, HeaderValuePart};

/// Where a header is edited, as far as operators need it.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// What the route matches; none: the edits are a virtual host's.
    pub(super) matched: Option<Matched<'a>>,
    /// A response is edited, not a request.
    pub(super) response: bool,
}

const OPERATORS: [&str; 5] = [
    "%PATH_VARIABLE(name)%",
    "%REQ(name)%",
    "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "%PROTOCOL%",
    "%UPSTREAM_HOST%",
];

/// A value of which `%…%` is known only with the request; `%%` is a percent sign.
pub(super) fn value(text: &str, place: Place<'_>) -> Result<HeaderValue, Problem> {
    let mut rest = scalar::header_value(text)?;
    let mut parts = Vec::new();
    let mut literal = String::new();
    while let Some(start) = rest.find('%') {
        literal.push_str(&rest[..start]);
        let Some(length) = rest[start + 1..].find('%') else {
            let message = format!("`{}` is not closed", scalar::shortened(&rest[start..]));
            return problem_with_help(message, format!("{}; a percent sign is `%%`", existing()));
        };
        let inner = &rest[start + 1..start + 1 + length];
        if inner.is_empty() {
            literal.push('%');
        } else {
            if !literal.is_empty() {
                parts.push(HeaderValuePart::Text(std::mem::take(&mut literal)));
            }
            parts.push(operator(inner, place)?);
        }
        rest.drain(..start + length + 2);
    }
    literal.push_str(&rest);
    if parts.is_empty() {
        return Ok(HeaderValue::Text(literal));
    }
    if !literal.is_empty() {
        parts.push(HeaderValuePart::Text(literal));
    }
    Ok(HeaderValue::Parts(parts))
}

fn existing() -> String {
    format!("there are {}", quoted(&OPERATORS))
}

fn operator(inner: &str, place: Place<'_>) -> Result<HeaderValuePart, Problem> {
    let shown = scalar::shortened(inner);
    let argument = inner
        .split_once('(')
        .and_then(|(name, rest)| Some((name, rest.strip_suffix(')')?)));
    match (inner, argument) {
        (_, Some(("PATH_VARIABLE", name))) => path_variable(name, place),
        (_, Some(("REQ", name))) => match scalar::header_name(name) {
            Ok(name) => Ok(HeaderValuePart::RequestHeader(name)),
            Err(refused) => problem(refused.message),
        },
        ("PATH_VARIABLE" | "REQ", None) => problem_with_help(
            format!("`%{inner}%` does not say which"),
            format!("write `%{inner}(name)%`"),
        ),
        ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", None) => Ok(HeaderValuePart::DownstreamRemoteAddress),
        ("PROTOCOL", None) => Ok(HeaderValuePart::Protocol),
        ("UPSTREAM_HOST", None) if place.response => Ok(HeaderValuePart::UpstreamHost),
        ("UPSTREAM_HOST", None) => problem_with_help(
            "`%UPSTREAM_HOST%` is not known when a request is edited",
            "use it in `response_headers`",
        ),
        _ => problem_with_help(
            format!("`%{shown}%` is no operator of header edits"),
            format!("{}; a percent sign is `%%`", existing()),
        ),
    }
}

fn path_variable(name: &str, place: Place<'_>) -> Result<HeaderValuePart, Problem> {
    let Some(matched) = place.matched else {
        return problem_with_help(
            format!("`%PATH_VARIABLE({name})%` in the edits of a virtual host, which has no path"),
            "write it in the edits of its routes",
        );
    };
    matched.variable(name)?;
    Ok(HeaderValuePart::PathVariable(name.to_owned()))
}
