//! Access logs: where lines go, and what they hold.

use super::reader::{Fields, Reader, scalar_of};
use super::scalar::{self, Problem};
use super::shapes::{ACCESS_LOG, ACCESS_LOG_FORMAT};
use super::tree::Node;
use crate::model::{AccessLog, AccessLogFormat, AccessLogSink};

/// The logs in the field `access_logs`.
pub(super) fn access_logs(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<AccessLog> {
    let nodes = fields.list(reader, "access_logs");
    nodes.iter().filter_map(|node| access_log(reader, node)).collect()
}

fn access_log(reader: &mut Reader<'_>, node: &Node) -> Option<AccessLog> {
    let fields = reader.fields(node, &ACCESS_LOG)?;
    let path = fields.parsed(reader, "path", scalar::file);
    let format = match fields.node(reader, "format") {
        Some(node) => access_log_format(reader, node),
        None => Some(AccessLogFormat::DefaultText),
    };
    let sink = match path?.as_str() {
        "stdout" => AccessLogSink::Stdout,
        "stderr" => AccessLogSink::Stderr,
        file => AccessLogSink::File(reader.resolve(file)),
    };
    Some(AccessLog {
        sink,
        format: format?,
    })
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
    let mut members = Vec::new();
    for entry in fields.map(reader, "json") {
        if let Some(value) = reader.parse(&entry.value, "a text with operators", line) {
            members.push((entry.key.clone(), value));
        }
    }
    if fields.entry("json").is_some() && members.is_empty() {
        reader.fault(fields.span_of("json"), "a JSON format needs a member");
    }
    text.or(Some(AccessLogFormat::Json(members)))
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
