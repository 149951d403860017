//! Access logs out of the configuration.

use super::{AccessLog, Destination};
use outrigger_config::model;
use outrigger_http1::KnownName;
use outrigger_telemetry::{
    AccessLogFormat, AccessLogSinks, FormatError, FormatOptions, GrpcNames, HeaderName, JsonTemplate,
    LogAttributes, LogFilter, LogRelation, ResponseFlags, Sink,
};
use outrigger_traffic::value_matches;

/// # Errors
/// What is wrong with a format, or why a sink cannot be opened, for people.
pub(crate) fn compile(config: &model::AccessLog, sinks: &AccessLogSinks) -> Result<AccessLog, String> {
    let format = format(config).map_err(|error| format!("access log format: {error}"))?;
    let filter = config.filter().as_ref();
    Ok(AccessLog {
        filter: filter.map(|filter| self::filter(filter).number_names(&number_of)),
        format: format.number_names(number_of),
        to: destination(config, sinks)?,
    })
}

fn destination(config: &model::AccessLog, sinks: &AccessLogSinks) -> Result<Destination, String> {
    let sink = match config.sink() {
        model::AccessLogSink::Stdout => Sink::Stdout,
        model::AccessLogSink::Stderr => Sink::Stderr,
        model::AccessLogSink::File(path) => Sink::File(path.clone()),
        model::AccessLogSink::Collector(name) => {
            let attributes = attributes(config).map_err(|error| format!("access log format: {error}"))?;
            return Ok(match sinks.collector(name.as_str()) {
                Some(sink) => Destination::Records {
                    sink,
                    attributes: attributes.number_names(number_of),
                },
                // Nothing is sent by whoever only checks.
                None => Destination::Nowhere,
            });
        }
    };
    sinks
        .open(&sink)
        .map(Destination::Lines)
        .map_err(|error| format!("access log {sink}: {error}"))
}

/// Fields with a well-known name are looked up by its number.
fn number_of(name: &str) -> Option<u8> {
    KnownName::from_lowercase(name.as_bytes()).map(|known| known as u8)
}

fn headers_allowed(config: &model::AccessLog) -> Vec<String> {
    let names = config.headers_allowed().iter();
    names.map(|name| name.as_str().to_owned()).collect()
}

/// The members of a JSON format; a text has none.
fn attributes(config: &model::AccessLog) -> Result<LogAttributes, FormatError> {
    let options = FormatOptions {
        headers_allowed: &headers_allowed(config),
        omit_empty_values: true,
    };
    match config.format() {
        model::AccessLogFormat::DefaultText | model::AccessLogFormat::Text(_) => Ok(LogAttributes::default()),
        model::AccessLogFormat::DefaultJson => Ok(LogAttributes::default_json(options)),
        model::AccessLogFormat::Json(members) => LogAttributes::json(&templates(members), options),
    }
}

fn format(config: &model::AccessLog) -> Result<AccessLogFormat, FormatError> {
    let options = FormatOptions {
        headers_allowed: &headers_allowed(config),
        omit_empty_values: config.omit_empty_values(),
    };
    match config.format() {
        model::AccessLogFormat::DefaultText => Ok(AccessLogFormat::default_text(options)),
        model::AccessLogFormat::DefaultJson => Ok(AccessLogFormat::default_json(options)),
        model::AccessLogFormat::Text(line) => AccessLogFormat::text(line, options),
        model::AccessLogFormat::Json(members) => AccessLogFormat::json(&templates(members), options),
    }
}

fn templates(members: &[(String, model::LogMember)]) -> Vec<(String, JsonTemplate)> {
    let of = |(key, member): &(String, model::LogMember)| (key.clone(), template(member));
    members.iter().map(of).collect()
}

fn template(member: &model::LogMember) -> JsonTemplate {
    match member {
        model::LogMember::Text(text) => JsonTemplate::Text(text.clone()),
        model::LogMember::Object(members) => JsonTemplate::Object(templates(members)),
        model::LogMember::List(items) => JsonTemplate::List(items.iter().map(template).collect()),
    }
}

fn filter(config: &model::LogFilter) -> LogFilter {
    let all = |filters: &[model::LogFilter]| filters.iter().map(filter).collect();
    match config {
        model::LogFilter::Status(relation, status) => LogFilter::Status(self::relation(*relation), *status),
        model::LogFilter::Duration(relation, limit) => {
            let milliseconds = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            LogFilter::Milliseconds(self::relation(*relation), milliseconds)
        }
        model::LogFilter::ResponseFlags(names) if names.is_empty() => LogFilter::AnyFlag,
        model::LogFilter::ResponseFlags(names) => {
            let known = names.iter().filter_map(|name| ResponseFlags::from_name(name));
            LogFilter::SomeFlag(known.fold(ResponseFlags::NONE, |flags, flag| flags | flag))
        }
        model::LogFilter::Sampled(sampling) => {
            let share = sampling.fraction().parts_per_million();
            match sampling.by() {
                model::LogSamplingBy::Random => LogFilter::Random(share),
                model::LogSamplingBy::RequestId => {
                    LogFilter::ByHeader(share, HeaderName::named("x-request-id"))
                }
            }
        }
        model::LogFilter::Routes(names) => {
            let mut routes: Vec<Box<str>> = names.iter().map(|name| name.as_str().into()).collect();
            routes.sort_unstable();
            LogFilter::Routes(routes.into())
        }
        model::LogFilter::NotHealthCheck => LogFilter::NotHealthCheck(HeaderName::named("user-agent")),
        model::LogFilter::Header(condition) => header(condition),
        model::LogFilter::GrpcStatus(statuses) => {
            let bits = statuses.iter().fold(0, |bits, status| bits | 1_u32 << status);
            LogFilter::GrpcStatus(GrpcNames::default(), bits)
        }
        model::LogFilter::Not(inner) => LogFilter::Not(Box::new(filter(inner))),
        model::LogFilter::AnyOf(inner) => LogFilter::AnyOf(all(inner)),
        model::LogFilter::All(inner) => LogFilter::All(all(inner)),
    }
}

fn header(condition: &model::HeaderMatch) -> LogFilter {
    let name = match condition.name().as_str() {
        ":method" => HeaderName::Method,
        ":path" => HeaderName::Path,
        ":authority" => HeaderName::Authority,
        ":scheme" => HeaderName::Scheme,
        name => HeaderName::named(name),
    };
    let condition = condition.clone();
    LogFilter::Header(
        name,
        Box::new(move |value| {
            value.is_some_and(|value| value_matches(condition.value(), value)) != condition.invert()
        }),
    )
}

fn relation(relation: model::Relation) -> LogRelation {
    match relation {
        model::Relation::AtLeast => LogRelation::AtLeast,
        model::Relation::AtMost => LogRelation::AtMost,
        model::Relation::Equals => LogRelation::Equals,
        model::Relation::Differs => LogRelation::Differs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_knows_the_flags_that_there_are() {
        assert_eq!(model::RESPONSE_FLAGS, ResponseFlags::NAMES);
    }
}
