//! Access logs: where lines go, what they hold, and which requests have one.

mod filter;

use super::Unique;
use super::reader::{Fields, Part, Reader, scalar_of};
use super::scalar::{self, Problem};
use super::shapes::{ACCESS_LOG, ACCESS_LOG_FORMAT};
use super::tree::{Entry, Node, Value};
use crate::model::{AccessLog, AccessLogFormat, AccessLogSink, HeaderName, LogMember};

pub(super) use filter::RELATIONS;

/// Maps and lists inside each other in a JSON format at most.
const MEMBER_DEPTH_MAX: usize = 8;

/// The logs in the field `access_logs`.
pub(super) fn access_logs(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<AccessLog> {
    let nodes = fields.list(reader, "access_logs");
    nodes.iter().filter_map(|node| access_log(reader, node)).collect()
}

fn access_log(reader: &mut Reader<'_>, node: &Node) -> Option<AccessLog> {
    let fields = reader.fields(node, &ACCESS_LOG)?;
    let path = fields.parsed(reader, "path", scalar::file);
    let collector = match fields.entry("collector") {
        Some(_) => reader.reference(&fields, "collector", Part::Collector),
        None => None,
    };
    let format = match fields.node(reader, "format") {
        Some(node) => access_log_format(reader, node),
        None => Some(AccessLogFormat::DefaultText),
    };
    if fields.entry("collector").is_some()
        && let Some(node) = fields.node(reader, "format")
    {
        refuse_twins(reader, node);
    }
    let omit_empty_values = fields.boolean(reader, "omit_empty_values").unwrap_or(false);
    let headers_allowed = headers_allowed(reader, &fields);
    let filter = match fields.node(reader, "filter") {
        Some(node) => Some(filter::filter(reader, node, 0)?),
        None => None,
    };
    let sink = match (path.as_deref(), collector) {
        (Some("stdout"), _) => AccessLogSink::Stdout,
        (Some("stderr"), _) => AccessLogSink::Stderr,
        (Some(file), _) => AccessLogSink::File(reader.resolve(file)),
        (None, collector) => AccessLogSink::Collector(collector?),
    };
    Some(AccessLog {
        sink,
        format: format?,
        filter,
        headers_allowed,
        omit_empty_values,
    })
}

fn headers_allowed(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<HeaderName> {
    let nodes = fields.list(reader, "headers_allowed").iter();
    nodes
        .filter_map(|node| reader.parse(node, "a header's name", scalar::header_name))
        .collect()
}

fn access_log_format(reader: &mut Reader<'_>, node: &Node) -> Option<AccessLogFormat> {
    if scalar_of(node).is_some() {
        let index = reader.choose(node, &[("text", true), ("json", false)])?;
        return Some(if index {
            AccessLogFormat::DefaultText
        } else {
            AccessLogFormat::DefaultJson
        });
    }
    let fields = reader.fields(node, &ACCESS_LOG_FORMAT)?;
    let text = fields.parsed(reader, "text", line).map(AccessLogFormat::Text);
    let entries = fields.map(reader, "json");
    let members = members(reader, entries, 1);
    if fields.entry("json").is_some() && members.is_empty() {
        reader.fault(fields.span_of("json"), "a JSON format needs a member");
    }
    text.or(Some(AccessLogFormat::Json(members)))
}

fn members(reader: &mut Reader<'_>, entries: &[Entry], depth: usize) -> Vec<(String, LogMember)> {
    let mut members = Vec::new();
    for entry in entries {
        if let Some(member) = member(reader, &entry.value, depth) {
            members.push((entry.key.clone(), member));
        }
    }
    members
}

fn member(reader: &mut Reader<'_>, node: &Node, depth: usize) -> Option<LogMember> {
    let is_inner = matches!(node.value, Value::Map(_) | Value::List(_));
    if is_inner && depth >= MEMBER_DEPTH_MAX {
        let message = format!("more than {MEMBER_DEPTH_MAX} maps and lists inside each other");
        reader.fault(node.span, message);
        return None;
    }
    match &node.value {
        Value::Map(entries) => Some(LogMember::Object(members(reader, entries, depth + 1))),
        Value::List(items) => {
            let items = items.iter().filter_map(|item| member(reader, item, depth + 1));
            Some(LogMember::List(items.collect()))
        }
        _ => reader
            .parse(node, "a text with operators", line)
            .map(LogMember::Text),
    }
}

/// To a collector the members of a JSON format are attributes, those within others by `outer.inner`: no two may be the same.
fn refuse_twins(reader: &mut Reader<'_>, format: &Node) {
    fn each(
        reader: &mut Reader<'_>,
        keys: &mut Unique<String>,
        outer: &str,
        entries: &[Entry],
        depth: usize,
    ) {
        for entry in entries {
            let key = match outer {
                "" => entry.key.clone(),
                outer => format!("{outer}.{}", entry.key),
            };
            match &entry.value.value {
                // What is deeper has been refused.
                Value::Map(inner) if depth < MEMBER_DEPTH_MAX => each(reader, keys, &key, inner, depth + 1),
                _ => keys.insert(reader, key, entry.key_span),
            }
        }
    }
    let Value::Map(fields) = &format.value else {
        return;
    };
    let json = fields.iter().find(|field| field.key == "json");
    if let Some(Value::Map(members)) = json.map(|json| &json.value.value) {
        each(reader, &mut Unique::new("attribute"), "", members, 1);
    }
}

/// One line of a log, or a part of it.
fn line(text: &str) -> Result<String, Problem> {
    match text.trim_end_matches(['\n', '\r']) {
        "" => scalar::problem("this format may not be empty"),
        line if line.contains(['\n', '\r']) => scalar::problem_with_help(
            "a format is one line",
            "the line's end is written without being asked for",
        ),
        line => Ok(line.to_owned()),
    }
}
