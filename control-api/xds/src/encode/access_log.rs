//! Access logs.

mod filter;

use super::remainder::ordered;
use super::{Remainder, canonical, value};
use envoy_types::pb::envoy::config::accesslog::v3::{AccessLog as Message, access_log::ConfigType};
use envoy_types::pb::envoy::config::core::v3::{
    SubstitutionFormatString, substitution_format_string::Format,
};
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::{
    FileAccessLog, file_access_log::AccessLogFormat as FileFormat,
};
use envoy_types::pb::envoy::extensions::access_loggers::stream::v3::{
    StderrAccessLog, StdoutAccessLog, stderr_access_log, stdout_access_log,
};
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value, value::Kind};
use outrigger_config::model::{AccessLog, AccessLogFormat, AccessLogSink, LogMember};
use serde_json::Value as Json;

/// The logs, which are taken out of `remainder` at `field` if that says all.
pub(crate) fn logs(logs: &[AccessLog], field: &str, remainder: &mut Remainder) -> Vec<Message> {
    if let Some(mut written) = remainder.said(field)
        && !logs.iter().all(is_exact)
    {
        for (index, log) in logs.iter().enumerate() {
            if let AccessLogFormat::Json(members) = log.format() {
                written[index]["format"]["json"] = in_order(members);
            }
        }
        remainder.restore(field, written);
    }
    logs.iter().filter_map(log).collect()
}

/// A JSON format with the order of its members.
fn in_order(members: &[(String, LogMember)]) -> Json {
    let member = |(name, member): &(String, LogMember)| (name.clone(), in_order_member(member));
    ordered(&members.iter().map(member).collect::<Vec<_>>())
}

fn in_order_member(member: &LogMember) -> Json {
    match member {
        LogMember::Text(text) => Json::from(text.as_str()),
        LogMember::Object(members) => in_order(members),
        LogMember::List(items) => items.iter().map(in_order_member).collect(),
    }
}

/// Operators that Envoy has not, or only with an extension, which takes no format with them: others see that nothing is
/// known.
const ONLY_OURS: [&str; 4] = [
    "%AUTHORIZATION_SHADOW_RESULT%",
    "%AUTHORIZATION_AUDITED%",
    "%VIRTUAL_HOST_NAME%",
    "%REQ_WITHOUT_QUERY(",
];

fn names_ours(text: &str) -> bool {
    ONLY_OURS.iter().any(|operator| text.contains(operator))
}

fn without_ours(text: &str) -> String {
    let mut text = text.to_owned();
    for operator in ONLY_OURS {
        while let Some(start) = text.find(operator) {
            // One with an argument ends behind it.
            let inside = start + operator.trim_end_matches('%').len();
            let end = text[inside..]
                .find('%')
                .map_or(text.len(), |length| inside + length + 1);
            text.replace_range(start..end, "-");
        }
    }
    text
}

/// Our usual fields in JSON have no name there, and the order of others is lost.
fn is_exact(log: &AccessLog) -> bool {
    let in_place = match log.sink() {
        AccessLogSink::Stdout | AccessLogSink::Stderr => true,
        AccessLogSink::File(file) => file.to_str().is_some(),
        AccessLogSink::Collector(_) => false,
    };
    // Envoy's own line has no place for the flag.
    let omits = log.omit_empty_values() && matches!(log.format(), AccessLogFormat::DefaultText);
    in_place
        && !omits
        && log.headers_allowed().is_empty()
        && log.filter().as_ref().is_none_or(filter::is_exact)
        && match log.format() {
            AccessLogFormat::DefaultText => true,
            AccessLogFormat::Text(line) => !line.ends_with('\n') && !names_ours(line),
            AccessLogFormat::DefaultJson => false,
            AccessLogFormat::Json(members) => is_exact_object(members),
        }
}

fn is_exact_object(members: &[(String, LogMember)]) -> bool {
    members.is_sorted_by_key(|(name, _)| name) && members.iter().all(|(_, member)| is_exact_member(member))
}

fn is_exact_member(member: &LogMember) -> bool {
    match member {
        LogMember::Text(text) => !names_ours(text),
        LogMember::Object(members) => is_exact_object(members),
        LogMember::List(items) => items.iter().all(is_exact_member),
    }
}

/// None where Envoy's types have no such sink: its collectors are clusters.
fn log(log: &AccessLog) -> Option<Message> {
    let format = format(log);
    let (name, config) = match log.sink() {
        AccessLogSink::Stdout => {
            let message = StdoutAccessLog {
                access_log_format: format.map(stdout_access_log::AccessLogFormat::LogFormat),
            };
            ("envoy.access_loggers.stdout", canonical::any(&message))
        }
        AccessLogSink::Stderr => {
            let message = StderrAccessLog {
                access_log_format: format.map(stderr_access_log::AccessLogFormat::LogFormat),
            };
            ("envoy.access_loggers.stderr", canonical::any(&message))
        }
        AccessLogSink::File(file) => {
            let message = FileAccessLog {
                path: file.display().to_string(),
                access_log_format: format.map(FileFormat::LogFormat),
            };
            ("envoy.access_loggers.file", canonical::any(&message))
        }
        AccessLogSink::Collector(_) => return None,
    };
    Some(Message {
        name: name.to_owned(),
        filter: log.filter().as_ref().and_then(filter::encode),
        config_type: Some(ConfigType::TypedConfig(config)),
    })
}

/// None: Envoy's own line.
fn format(log: &AccessLog) -> Option<SubstitutionFormatString> {
    let format = match log.format() {
        AccessLogFormat::DefaultText | AccessLogFormat::DefaultJson => return None,
        AccessLogFormat::Text(line) => {
            Format::TextFormatSource(value::text(&format!("{}\n", without_ours(line))))
        }
        AccessLogFormat::Json(members) => Format::JsonFormat(object(members)),
    };
    Some(SubstitutionFormatString {
        format: Some(format),
        omit_empty_values: log.omit_empty_values(),
        ..SubstitutionFormatString::default()
    })
}

fn object(members: &[(String, LogMember)]) -> Struct {
    let fields = members.iter().map(|(name, value)| (name.clone(), member(value)));
    Struct {
        fields: fields.collect(),
    }
}

fn member(value: &LogMember) -> Value {
    let kind = match value {
        LogMember::Text(text) => Kind::StringValue(without_ours(text)),
        LogMember::Object(members) => Kind::StructValue(object(members)),
        LogMember::List(items) => Kind::ListValue(ListValue {
            values: items.iter().map(member).collect(),
        }),
    };
    Value { kind: Some(kind) }
}
