//! Header edits, and conditions on headers and query parameters.

use super::Unique;
use super::header_value::{self, Place};
use super::reader::{Fields, Reader};
use super::rewrite::Matched;
use super::scalar::{self, Problem};
use super::shapes::{HEADER_EDITS, HEADER_MATCH, QUERY_MATCH};
use super::tree::{Entry, Node, Value};
use crate::model::{
    HeaderEdit, HeaderEditKind, HeaderEdits, HeaderMatch, HeaderName, QueryMatch, StringMatch,
};

/// The header edits in field `name` of a virtual host or, which `matched` something, a route.
pub(super) fn edits(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    name: &str,
    matched: Option<Matched<'_>>,
) -> HeaderEdits {
    let place = Place {
        matched,
        response: name == "response_headers",
    };
    let node = fields.node(reader, name);
    let Some(fields) = node.and_then(|node| reader.fields(node, &HEADER_EDITS)) else {
        return HeaderEdits::none();
    };
    let mut edits = HeaderEdits::none();
    let mut seen = Unique::new("header");
    for node in fields.list(reader, "remove") {
        if let Some(name) = reader.parse(node, "a header name", editable_name) {
            seen.insert(reader, name.as_str().to_owned(), node.span);
            edits.remove.push(name);
        }
    }
    for (field, kind) in [
        ("add", HeaderEditKind::Add),
        ("set", HeaderEditKind::Set),
        ("append", HeaderEditKind::Append),
    ] {
        let mut seen = Unique::new("header");
        for entry in fields.map(reader, field) {
            write(reader, entry, kind, place, &mut seen, &mut edits.write);
        }
    }
    edits
}

fn write(
    reader: &mut Reader<'_>,
    entry: &Entry,
    kind: HeaderEditKind,
    place: Place<'_>,
    seen: &mut Unique<String>,
    edits: &mut Vec<HeaderEdit>,
) {
    let name = match editable_name(&entry.key) {
        Ok(name) => name,
        Err(problem) => {
            reader.report(
                crate::Severity::Error,
                entry.key_span,
                problem.message,
                problem.help,
            );
            return;
        }
    };
    seen.insert(reader, name.as_str().to_owned(), entry.key_span);
    let mut push = |reader: &mut Reader<'_>, node: &Node| {
        if let Some(value) = reader.parse(node, "a header value", |text| header_value::value(text, place)) {
            edits.push(HeaderEdit {
                kind,
                name: name.clone(),
                value,
            });
        }
    };
    match &entry.value.value {
        Value::List(_) if kind == HeaderEditKind::Append => {
            for node in reader.items(&entry.value, true) {
                push(reader, node);
            }
        }
        _ => push(reader, &entry.value),
    }
}

/// A header that policy may write or remove: none that says where a message ends, where it goes, or how this
/// connection works.
pub(super) fn editable_name(text: &str) -> Result<HeaderName, Problem> {
    let name = scalar::header_name(text)?;
    let why = match name.as_str() {
        "host" => return scalar::problem_with_help("`host` is not edited as a header", "use `host_rewrite`"),
        "content-length" | "transfer-encoding" | "trailer" => "it says where a message ends",
        "connection" | "keep-alive" | "proxy-connection" | "te" | "upgrade" | "http2-settings" => {
            "it belongs to one connection"
        }
        _ => return Ok(name),
    };
    scalar::problem(format!("`{}` cannot be edited: {why}", name.as_str()))
}

/// The conditions in the list `name`.
pub(super) fn header_matches(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str) -> Vec<HeaderMatch> {
    header_matches_by(reader, fields, name, scalar::header_name)
}

/// The same, with other names of headers.
pub(super) fn header_matches_by(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    name: &str,
    parse: fn(&str) -> Result<HeaderName, Problem>,
) -> Vec<HeaderMatch> {
    let nodes = fields.list(reader, name);
    let read = |node: &std::sync::Arc<Node>| {
        let fields = reader.fields(node, &HEADER_MATCH)?;
        let name = fields.parsed(reader, "name", parse);
        let (value, invert) = string_match(reader, &fields);
        Some(HeaderMatch {
            name: name?,
            value: value?,
            invert,
        })
    };
    nodes.iter().filter_map(read).collect()
}

/// The conditions in field `query` of a route's match.
pub(super) fn query_matches(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<QueryMatch> {
    let nodes = fields.list(reader, "query");
    let name = |text: &str| match text {
        "" => scalar::problem("a parameter's name may not be empty"),
        _ => Ok(text.to_owned()),
    };
    let read = |node: &std::sync::Arc<Node>| {
        let fields = reader.fields(node, &QUERY_MATCH)?;
        let name = fields.parsed(reader, "name", name);
        let (value, invert) = string_match(reader, &fields);
        Some(QueryMatch {
            name: name?,
            value: value?,
            invert,
        })
    };
    nodes.iter().filter_map(read).collect()
}

/// A text that is compared in one of five ways.
pub(super) fn compared(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<StringMatch> {
    let part = |text: &str| match text {
        "" => scalar::problem_with_help("this matches every value", "write `present: true`"),
        _ => Ok(text.to_owned()),
    };
    let exact = fields.text(reader, "exact").map(StringMatch::Exact);
    let prefix = fields.parsed(reader, "prefix", part).map(StringMatch::Prefix);
    let suffix = fields.parsed(reader, "suffix", part).map(StringMatch::Suffix);
    let contains = fields.parsed(reader, "contains", part).map(StringMatch::Contains);
    let regex = fields
        .parsed(reader, "regex", scalar::pattern)
        .map(StringMatch::Regex);
    exact.or(prefix).or(suffix).or(contains).or(regex)
}

/// A text that is compared, or only there.
pub(super) fn compared_or_present(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<StringMatch> {
    let compared = compared(reader, fields);
    let present = fields.boolean(reader, "present").map(|present| {
        if !present {
            let help = "write `present: true` with `invert: true`";
            reader.fault_with_help(
                fields.span_of("present"),
                "`present: false` matches nothing",
                help,
            );
        }
        StringMatch::Present
    });
    compared.or(present)
}

fn string_match(reader: &mut Reader<'_>, fields: &Fields<'_>) -> (Option<StringMatch>, bool) {
    let value = compared_or_present(reader, fields);
    let invert = fields.boolean(reader, "invert").unwrap_or(false);
    (value, invert)
}
