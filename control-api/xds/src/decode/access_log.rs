//! Access logs: where lines go, what they hold, and which requests have one.

mod filter;

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
pub(crate) const FILTER_MESSAGES: &[&Message] = filter::MESSAGES;

message! {
    pub(super) ACCESS_LOG, refuse_access_log: AccessLog as "envoy.config.accesslog.v3.AccessLog" {
        used: config_type, filter;
        refused: ;
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
        used: format, omit_empty_values;
        refused: content_type, formatters;
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
                let found = one(refusals, &path.field("typed_config"), any);
                let filter = log.filter.as_ref();
                let filter =
                    filter.and_then(|filter| filter::decode(refusals, &path.field("filter"), filter));
                values.extend(found.map(|mut map| {
                    map.put_some("filter", filter);
                    Value::from(map)
                }));
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
            None => (None, None),
            Some(FileFormat::Format(line)) => (Some(text(&path.field("format"), line)), None),
            Some(FileFormat::JsonFormat(members)) => {
                (json(refusals, &path.field("json_format"), members), None)
            }
            Some(FileFormat::TypedJsonFormat(members)) => {
                (json(refusals, &path.field("typed_json_format"), members), None)
            }
            Some(FileFormat::LogFormat(found)) => self::format(refusals, &path.field("log_format"), found),
        };
        (sink, format)
    } else if url == type_url::<StdoutAccessLog>() {
        let log: StdoutAccessLog = read_as(refusals, path, &any.value)?;
        refuse_stdout(refusals, path, &log);
        let format = log
            .access_log_format
            .map(|stdout_access_log::AccessLogFormat::LogFormat(found)| {
                self::format(refusals, &path.field("log_format"), &found)
            })
            .unwrap_or_default();
        (Value::text(path, "stdout"), format)
    } else if url == type_url::<StderrAccessLog>() {
        let log: StderrAccessLog = read_as(refusals, path, &any.value)?;
        refuse_stderr(refusals, path, &log);
        let format = log
            .access_log_format
            .map(|stderr_access_log::AccessLogFormat::LogFormat(found)| {
                self::format(refusals, &path.field("log_format"), &found)
            })
            .unwrap_or_default();
        (Value::text(path, "stderr"), format)
    } else {
        let help = "lines go to standard output, standard error or a file";
        refusals.fault_with_help(path, format!("{url} is not implemented"), help);
        return None;
    };
    let mut map = Map::new(path).with("path", sink);
    let (format, omits) = format;
    map.put_some("format", format);
    map.put_some("omit_empty_values", omits);
    Some(map)
}

/// The format, and whether what is missing is left out, where that is said.
fn format(
    refusals: &mut Refusals,
    path: &Path,
    format: &SubstitutionFormatString,
) -> (Option<Value>, Option<Value>) {
    refuse_format(refusals, path, format);
    let omits = format
        .omit_empty_values
        .then(|| Value::plain(&path.field("omit_empty_values"), true));
    #[allow(deprecated, reason = "older control planes still say it like this")]
    let found = match &format.format {
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
    };
    (found, omits)
}

/// Lines end by themselves here.
fn text(path: &Path, line: &str) -> Value {
    let line = line.strip_suffix('\n').unwrap_or(line);
    Map::new(path).with("text", Value::text(path, line)).into()
}

fn json(refusals: &mut Refusals, path: &Path, members: &Struct) -> Option<Value> {
    let object = object(refusals, path, members);
    Some(Map::new(path).with("json", object).into())
}

fn object(refusals: &mut Refusals, path: &Path, members: &Struct) -> Value {
    let mut sorted: Vec<_> = members.fields.iter().collect();
    sorted.sort_by_key(|(name, _)| name.as_str());
    let mut map = Map::new(path);
    for (name, value) in sorted {
        let path = path.key(name);
        if let Some(value) = member(refusals, &path, value.kind.as_ref()) {
            map.put(name.as_str(), value);
        }
    }
    map.into()
}

/// Resources are nested no deeper than protobuf's decoder allows, and the document's reader less.
fn member(refusals: &mut Refusals, path: &Path, kind: Option<&Kind>) -> Option<Value> {
    match kind {
        Some(Kind::StringValue(text)) => Some(Value::text(path, text.as_str())),
        Some(Kind::StructValue(members)) => Some(object(refusals, path, members)),
        Some(Kind::ListValue(items)) => {
            let items = items.values.iter().enumerate();
            let values: Vec<_> = items
                .filter_map(|(index, item)| member(refusals, &path.index(index), item.kind.as_ref()))
                .collect();
            Some(Value::list(path, values))
        }
        _ => {
            refusals.unsupported(path, "a member that is no text, map or list");
            None
        }
    }
}
