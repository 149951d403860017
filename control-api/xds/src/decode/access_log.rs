//! Access logs: where lines go, and what they hold.

use super::{Refusals, read_as, type_url};
use crate::support::{Message, message};
use envoy_types::pb::envoy::config::accesslog::v3::{AccessLog, access_log::ConfigType};
use envoy_types::pb::envoy::config::core::v3::{
    SubstitutionFormatString, data_source::Specifier, substitution_format_string::Format,
};
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::{
    FileAccessLog, file_access_log::AccessLogFormat as FileFormat,
};
use envoy_types::pb::envoy::extensions::access_loggers::stream::v3::{
    StderrAccessLog, StdoutAccessLog, stderr_access_log, stdout_access_log,
};
use envoy_types::pb::google::protobuf::{Any, Struct, value::Kind};
use outrigger_config::document::{Map, Path, Value};

/// What is read here.
pub(crate) const MESSAGES: &[&Message] = &[&ACCESS_LOG, &FILE, &STDOUT, &STDERR, &FORMAT];

message! {
    pub(super) ACCESS_LOG, refuse_access_log: AccessLog as "envoy.config.accesslog.v3.AccessLog" {
        used: config_type;
        refused: filter;
        ignored: name = "the type says what it is";
    }
}
message! {
    pub(super) FILE, refuse_file: FileAccessLog as "envoy.extensions.access_loggers.file.v3.FileAccessLog" {
        used: path, access_log_format;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) STDOUT, refuse_stdout: StdoutAccessLog
        as "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog" {
        used: access_log_format;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) STDERR, refuse_stderr: StderrAccessLog
        as "envoy.extensions.access_loggers.stream.v3.StderrAccessLog" {
        used: access_log_format;
        refused: ;
        ignored: ;
    }
}
message! {
    pub(super) FORMAT, refuse_format: SubstitutionFormatString
        as "envoy.config.core.v3.SubstitutionFormatString" {
        used: format;
        refused: omit_empty_values, content_type, formatters;
        ignored: json_format_options = "members are in the order of their names";
    }
}

/// The access logs of a protocol; none if there are none.
pub(super) fn logs(refusals: &mut Refusals, path: &Path, logs: &[AccessLog]) -> Option<Value> {
    if logs.is_empty() {
        return None;
    }
    let mut values = Vec::with_capacity(logs.len());
    for (index, log) in logs.iter().enumerate() {
        let path = path.index(index);
        refuse_access_log(refusals, &path, log);
        match &log.config_type {
            Some(ConfigType::TypedConfig(any)) => {
                values.extend(one(refusals, &path.field("typed_config"), any).map(Value::from));
            }
            None => refusals.fault(&path, "`typed_config` is missing"),
        }
    }
    Some(Value::list(path, values))
}

fn one(refusals: &mut Refusals, path: &Path, any: &Any) -> Option<Map> {
    let url = any.type_url.as_str();
    let (sink, format) = if url == type_url::<FileAccessLog>() {
        let log: FileAccessLog = read_as(refusals, path, &any.value)?;
        refuse_file(refusals, path, &log);
        let sink = match log.path.as_str() {
            "/dev/stdout" => "stdout",
            "/dev/stderr" => "stderr",
            file => file,
        };
        let sink = Value::text(&path.field("path"), sink);
        #[allow(deprecated, reason = "older control planes still say it like this")]
        let format = match &log.access_log_format {
            None => None,
            Some(FileFormat::Format(line)) => Some(text(&path.field("format"), line)),
            Some(FileFormat::JsonFormat(members)) => json(refusals, &path.field("json_format"), members),
            Some(FileFormat::TypedJsonFormat(members)) => {
                json(refusals, &path.field("typed_json_format"), members)
            }
            Some(FileFormat::LogFormat(found)) => self::format(refusals, &path.field("log_format"), found),
        };
        (sink, format)
    } else if url == type_url::<StdoutAccessLog>() {
        let log: StdoutAccessLog = read_as(refusals, path, &any.value)?;
        refuse_stdout(refusals, path, &log);
        let format =
            log.access_log_format
                .and_then(|stdout_access_log::AccessLogFormat::LogFormat(found)| {
                    self::format(refusals, &path.field("log_format"), &found)
                });
        (Value::text(path, "stdout"), format)
    } else if url == type_url::<StderrAccessLog>() {
        let log: StderrAccessLog = read_as(refusals, path, &any.value)?;
        refuse_stderr(refusals, path, &log);
        let format =
            log.access_log_format
                .and_then(|stderr_access_log::AccessLogFormat::LogFormat(found)| {
                    self::format(refusals, &path.field("log_format"), &found)
                });
        (Value::text(path, "stderr"), format)
    } else {
        let help = "lines go to standard output, standard error or a file";
        refusals.fault_with_help(path, format!("{url} is not implemented"), help);
        return None;
    };
    let mut map = Map::new(path).with("path", sink);
    map.put_some("format", format);
    Some(map)
}

fn format(refusals: &mut Refusals, path: &Path, format: &SubstitutionFormatString) -> Option<Value> {
    refuse_format(refusals, path, format);
    #[allow(deprecated, reason = "older control planes still say it like this")]
    match &format.format {
        Some(Format::TextFormat(line)) => Some(text(&path.field("text_format"), line)),
        Some(Format::TextFormatSource(source)) => {
            let path = path.field("text_format_source");
            match &source.specifier {
                Some(Specifier::InlineString(line)) => Some(text(&path.field("inline_string"), line)),
                _ => {
                    refusals.unsupported(&path, "a format that does not stand in the resource");
                    None
                }
            }
        }
        Some(Format::JsonFormat(members)) => json(refusals, &path.field("json_format"), members),
        None => {
            refusals.fault(path, "it says no format");
            None
        }
    }
}

/// Lines end by themselves here.
fn text(path: &Path, line: &str) -> Value {
    let line = line.strip_suffix('\n').unwrap_or(line);
    Map::new(path).with("text", Value::text(path, line)).into()
}

fn json(refusals: &mut Refusals, path: &Path, members: &Struct) -> Option<Value> {
    let mut sorted: Vec<_> = members.fields.iter().collect();
    sorted.sort_by_key(|(name, _)| name.as_str());
    let mut map = Map::new(path);
    for (name, value) in sorted {
        let path = path.key(name);
        match &value.kind {
            Some(Kind::StringValue(text)) => map.put(name.as_str(), Value::text(&path, text.as_str())),
            _ => refusals.unsupported(&path, "a member that is no text"),
        }
    }
    Some(Map::new(path).with("json", map.into()).into())
}
