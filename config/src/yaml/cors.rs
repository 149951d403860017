//! Cross-origin resource sharing.

use super::Unique;
use super::chain::distinct;
use super::headers::compared;
use super::reader::{Fields, Reader, is_off, scalar_of};
use super::scalar::{self, Problem, problem_with_help};
use super::shapes::{CORS, ORIGIN};
use super::tree::{Node, Value};
use crate::model::{Cors, HeaderName, StringMatch};
use crate::receipt::Code;

/// A route's `cors`: its own settings, none for `off`; nothing if it is not given.
pub(super) fn of_route(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Option<Cors>> {
    let node = fields.node(reader, "cors")?;
    if is_off(node) {
        return Some(None);
    }
    if scalar_of(node).is_some() {
        reader.mismatch(node, "`off` or a map");
        return None;
    }
    Some(cors(reader, node))
}

pub(super) fn cors(reader: &mut Reader<'_>, node: &Node) -> Option<Cors> {
    let fields = reader.fields(node, &CORS)?;
    let allow_origins = origins(reader, &fields);
    let allow_methods = distinct(reader, &fields, "allow_methods", method, String::clone);
    let name = |header: &HeaderName| header.as_str().to_owned();
    let allow_headers = distinct(reader, &fields, "allow_headers", allowed_header, name);
    let expose_headers = distinct(reader, &fields, "expose_headers", scalar::header_name, name);
    let max_age = fields.whole_seconds(reader, "max_age");
    let allow_credentials = fields.boolean(reader, "allow_credentials").unwrap_or(false);
    if allow_credentials && allow_origins.contains(&StringMatch::Present) {
        let message = "every origin is allowed to send credentials: any page could act for its visitors";
        let help = "name the origins, or remove `allow_credentials`";
        reader.fault_with_help(fields.span_of("allow_origins"), message, help);
    }
    if allow_credentials && expose_headers.iter().any(|name| name.as_str() == "*") {
        let message = "with credentials `*` exposes nothing but a header of that name";
        reader.fault_with_help(fields.span_of("expose_headers"), message, "name the headers");
    }
    Some(Cors {
        allow_origins,
        allow_methods,
        allow_headers,
        expose_headers,
        max_age,
        allow_credentials,
    })
}

/// `"*"`, or a list; `"*"` may be the list's one item too.
fn origins(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<StringMatch> {
    let Some(node) = fields.node(reader, "allow_origins") else {
        return Vec::new();
    };
    if is_any(node) {
        return vec![StringMatch::Present];
    }
    if scalar_of(node).is_some() {
        reader.mismatch(node, "`*` or a list of origins");
        return Vec::new();
    }
    let nodes = reader.items(node, true);
    let mut seen = Unique::new("origin");
    let mut origins = Vec::new();
    for node in nodes {
        if is_any(node) && nodes.len() > 1 {
            let help = "write `*` alone, or remove it";
            reader.fault_with_help(node.span, "`*` allows every origin, the others too", help);
        }
        if let Some(origin) = origin(reader, node) {
            seen.insert(reader, shown(&origin), node.span);
            origins.push(origin);
        }
    }
    origins
}

fn shown(origin: &StringMatch) -> String {
    match origin {
        StringMatch::Exact(text) => text.clone(),
        StringMatch::Prefix(text) => format!("{text}…"),
        StringMatch::Suffix(text) => format!("…{text}"),
        StringMatch::Contains(text) => format!("…{text}…"),
        StringMatch::Regex(pattern) => format!("regex {}", pattern.source()),
        StringMatch::Present => "*".to_owned(),
    }
}

fn is_any(node: &Node) -> bool {
    scalar_of(node).is_some_and(|scalar| scalar.text == "*")
}

fn origin(reader: &mut Reader<'_>, node: &Node) -> Option<StringMatch> {
    if is_any(node) {
        return Some(StringMatch::Present);
    }
    let Value::Map(_) = &node.value else {
        return reader.parse(node, "an origin", exact).map(StringMatch::Exact);
    };
    let fields = reader.fields(node, &ORIGIN)?;
    let origin = compared(reader, &fields);
    match &origin {
        Some(StringMatch::Exact(text)) => {
            fields.parsed(reader, "exact", |_| exact(text))?;
        }
        Some(StringMatch::Suffix(text)) if !text.starts_with(['.', ':', '/']) => {
            let message = format!("this allows `https://evil-{}` too", scalar::shortened(text));
            reader.warn(
                Code::OriginTooWide,
                fields.span_of("suffix"),
                message,
                format!("write `.{text}`, and `exact` for the rest"),
            );
        }
        Some(StringMatch::Prefix(text)) if text.contains("://") && !text.ends_with(['/', ':']) => {
            let message = format!("this allows `{}.evil.example` too", scalar::shortened(text));
            let help = "write `exact`, or for every port end it with `:`";
            reader.warn(Code::OriginTooWide, fields.span_of("prefix"), message, help);
        }
        _ => {}
    }
    origin
}

/// RFC 6454, section 6.2, as browsers write it: lower case, no default port, no path.
fn exact(text: &str) -> Result<String, Problem> {
    let shown = scalar::shortened(text);
    let message = format!("`{shown}` is not an origin");
    let like = "such as `https://a.example` or `http://a.example:8080`, without a path";
    if text == "null" {
        return Ok(text.to_owned());
    }
    let Some((scheme, authority)) = text.split_once("://") else {
        return problem_with_help(message, like);
    };
    if let Some(authority) = authority.strip_suffix('/') {
        return problem_with_help(message, format!("write `{scheme}://{authority}`"));
    }
    if !scalar::is_token(scheme) || authority.is_empty() || scalar::authority(authority).is_err() {
        return problem_with_help(message, like);
    }
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return problem_with_help(
            format!("browsers write origins in lower case, so `{shown}` never matches"),
            format!("write `{}`", text.to_ascii_lowercase()),
        );
    }
    for (of, port) in [("https", ":443"), ("http", ":80")] {
        if let Some(host) = authority.strip_suffix(port).filter(|_| scheme == of) {
            return problem_with_help(
                format!("browsers leave the usual port out, so `{shown}` never matches"),
                format!("write `{scheme}://{host}`"),
            );
        }
    }
    Ok(text.to_owned())
}

fn method(text: &str) -> Result<String, Problem> {
    match text {
        "*" => problem_with_help(
            "`*` is not a method",
            "leave `allow_methods` out to allow those that are asked for",
        ),
        _ => scalar::method(text),
    }
}

fn allowed_header(text: &str) -> Result<HeaderName, Problem> {
    match text {
        "*" => problem_with_help(
            "`*` is not the name of a header here",
            "leave `allow_headers` out to allow those that are asked for",
        ),
        _ => scalar::header_name(text),
    }
}
