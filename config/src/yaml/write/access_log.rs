//! Access logs as YAML.

use super::emit::{Map, Out, list, text};
use super::route::string_match;
use super::{boolean, duration, number, path, percent, word};
use crate::model::{
    AccessLog, AccessLogFormat, AccessLogSink, LogFilter, LogMember, LogSamplingBy, Relation,
};
use crate::yaml::access_log::RELATIONS;

pub(super) fn access_log(log: &AccessLog) -> Out {
    let (to, sink) = match &log.sink {
        AccessLogSink::Stdout => ("path", word("stdout")),
        AccessLogSink::Stderr => ("path", word("stderr")),
        AccessLogSink::File(file) => ("path", path(file)),
        AccessLogSink::Collector(name) => ("collector", text(name)),
    };
    let format = match &log.format {
        AccessLogFormat::DefaultText => word("text"),
        AccessLogFormat::DefaultJson => word("json"),
        AccessLogFormat::Text(line) => Map::default().with("text", text(line)).into(),
        AccessLogFormat::Json(object) => Map::default().with("json", members(object)).into(),
    };
    let mut map = Map::default()
        .with(to, sink)
        .with("format", format)
        .with("omit_empty_values", boolean(log.omit_empty_values));
    if !log.headers_allowed.is_empty() {
        let names = log.headers_allowed.iter();
        map.put("headers_allowed", list(names.map(|name| text(name.as_str()))));
    }
    if let Some(filter) = &log.filter {
        map.put("filter", self::filter(filter));
    }
    map.into()
}

fn members(members: &[(String, LogMember)]) -> Map {
    let mut map = Map::default();
    for (key, value) in members {
        map.put(key, member(value));
    }
    map
}

fn member(value: &LogMember) -> Out {
    match value {
        LogMember::Text(value) => text(value),
        LogMember::Object(inner) => members(inner).into(),
        LogMember::List(items) => list(items.iter().map(member)),
    }
}

fn filter(filter: &LogFilter) -> Map {
    let map = Map::default();
    let filters = |filters: &[LogFilter]| list(filters.iter().map(self::filter));
    match filter {
        LogFilter::Status(relation, status) => map.with(
            "status",
            Map::default().with(name(*relation), number((*status).into())),
        ),
        LogFilter::Duration(relation, span) => {
            map.with("duration", Map::default().with(name(*relation), duration(*span)))
        }
        LogFilter::ResponseFlags(flags) if flags.is_empty() => map.with("response_flags", word("any")),
        LogFilter::ResponseFlags(flags) => {
            map.with("response_flags", list(flags.iter().map(|flag| word(flag))))
        }
        LogFilter::Sampled(sampling) => {
            let by = match sampling.by {
                LogSamplingBy::RequestId => "request_id",
                LogSamplingBy::Random => "random",
            };
            let share = percent(sampling.fraction.parts_per_million());
            map.with(
                "sampled",
                Map::default().with("percent", share).with("by", word(by)),
            )
        }
        LogFilter::Routes(routes) => map.with("routes", list(routes.iter().map(text))),
        LogFilter::NotHealthCheck => map.with("not_health_check", boolean(true)),
        LogFilter::Header(header) => {
            let condition = string_match(header.name.as_str(), &header.value, header.invert);
            map.with("headers", list([condition].into_iter()))
        }
        LogFilter::GrpcStatus(statuses) => map.with(
            "grpc_status",
            list(statuses.iter().map(|status| number((*status).into()))),
        ),
        LogFilter::Not(inner) => map.with("not", self::filter(inner)),
        LogFilter::AnyOf(inner) => map.with("any_of", filters(inner)),
        LogFilter::All(inner) => map.with("all_of", filters(inner)),
    }
}

fn name(relation: Relation) -> &'static str {
    let mut names = RELATIONS.iter().filter(|(_, known)| *known == relation);
    names.next().expect("every relation has a name").0
}
