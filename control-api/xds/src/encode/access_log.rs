//! Access logs.

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
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};
use outrigger_config::model::{AccessLog, AccessLogFormat, AccessLogSink};

/// The logs, which are taken out of `remainder` at `field` if that says all.
pub(crate) fn logs(logs: &[AccessLog], field: &str, remainder: &mut Remainder) -> Vec<Message> {
    if let Some(mut written) = remainder.said(field)
        && !logs.iter().all(is_exact)
    {
        for (index, log) in logs.iter().enumerate() {
            if let AccessLogFormat::Json(members) = log.format() {
                written[index]["format"]["json"] = ordered(members);
            }
        }
        remainder.restore(field, written);
    }
    logs.iter().map(log).collect()
}

/// Operators that Envoy has not, which takes no format with them: others see that nothing is known.
const ONLY_OURS: [&str; 2] = ["%AUTHORIZATION_SHADOW_RESULT%", "%AUTHORIZATION_AUDITED%"];

fn names_ours(text: &str) -> bool {
    ONLY_OURS.iter().any(|operator| text.contains(operator))
}

fn without_ours(text: &str) -> String {
    let texts = ONLY_OURS.iter();
    texts.fold(text.to_owned(), |text, operator| text.replace(operator, "-"))
}

/// Our usual fields in JSON have no name there, and the order of others is lost.
fn is_exact(log: &AccessLog) -> bool {
    let in_place = match log.sink() {
        AccessLogSink::Stdout | AccessLogSink::Stderr => true,
        AccessLogSink::File(file) => file.to_str().is_some(),
    };
    in_place
        && match log.format() {
            AccessLogFormat::DefaultText => true,
            AccessLogFormat::Text(line) => !line.ends_with('\n') && !names_ours(line),
            AccessLogFormat::DefaultJson => false,
            AccessLogFormat::Json(members) => {
                members.is_sorted_by_key(|(name, _)| name)
                    && !members.iter().any(|(_, text)| names_ours(text))
            }
        }
}

fn log(log: &AccessLog) -> Message {
    let format = format(log.format());
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
    };
    Message {
        name: name.to_owned(),
        config_type: Some(ConfigType::TypedConfig(config)),
        ..Message::default()
    }
}

/// None: Envoy's own line.
fn format(format: &AccessLogFormat) -> Option<SubstitutionFormatString> {
    let format = match format {
        AccessLogFormat::DefaultText | AccessLogFormat::DefaultJson => return None,
        AccessLogFormat::Text(line) => {
            Format::TextFormatSource(value::text(&format!("{}\n", without_ours(line))))
        }
        AccessLogFormat::Json(members) => {
            let text = |text: &str| Value {
                kind: Some(Kind::StringValue(without_ours(text))),
            };
            let fields = members.iter().map(|(name, value)| (name.clone(), text(value)));
            Format::JsonFormat(Struct {
                fields: fields.collect(),
            })
        }
    };
    Some(SubstitutionFormatString {
        format: Some(format),
        ..SubstitutionFormatString::default()
    })
}
