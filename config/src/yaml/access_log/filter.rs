//! Filters of access logs.
//!
//! A filter is a map of which all fields hold. One of one part is that part, so that what is written out reads back as
//! the same.

use crate::model::{Fraction, HeaderName, LogFilter, LogSampling, LogSamplingBy, RESPONSE_FLAGS, Relation};
use crate::yaml::condition::only_true;
use crate::yaml::headers;
use crate::yaml::reader::{Fields, Reader, scalar_of};
use crate::yaml::scalar::{self, Problem};
use crate::yaml::shapes::{DURATION_COMPARISON, LOG_FILTER, LOG_SAMPLING, STATUS_COMPARISON};
use crate::yaml::tree::{Node, Value};

/// Filters inside each other at most, which bounds what deciding costs in stack.
const DEPTH_MAX: usize = 8;

/// The fields of a comparison.
pub(in crate::yaml) const RELATIONS: [(&str, Relation); 4] = [
    ("at_least", Relation::AtLeast),
    ("at_most", Relation::AtMost),
    ("equals", Relation::Equals),
    ("differs_from", Relation::Differs),
];

pub(super) fn filter(reader: &mut Reader<'_>, node: &Node, depth: usize) -> Option<LogFilter> {
    if depth >= DEPTH_MAX {
        reader.fault(
            node.span,
            format!("more than {DEPTH_MAX} filters inside each other"),
        );
        return None;
    }
    if matches!(&node.value, Value::Map(entries) if entries.is_empty()) {
        reader.fault_with_help(
            node.span,
            "this filter asks nothing",
            "leave it out to log everything",
        );
        return None;
    }
    let fields = reader.fields(node, &LOG_FILTER)?;
    let mut all = Vec::new();
    of_the_outcome(reader, &fields, &mut all);
    of_the_request(reader, &fields, &mut all);
    if let Some(node) = fields.node(reader, "not") {
        let inner = filter(reader, node, depth + 1);
        all.extend(inner.map(|inner| LogFilter::Not(Box::new(inner))));
    }
    let any_of = below(reader, &fields, "any_of", depth);
    all.extend(one_or(any_of, LogFilter::AnyOf));
    let all_of = below(reader, &fields, "all_of", depth);
    all.extend(one_or(all_of, LogFilter::All));
    one_or(all, LogFilter::All)
}

fn below(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str, depth: usize) -> Vec<LogFilter> {
    let nodes = fields.list(reader, name).iter();
    nodes.filter_map(|node| filter(reader, node, depth + 1)).collect()
}

fn one_or(mut filters: Vec<LogFilter>, of: fn(Vec<LogFilter>) -> LogFilter) -> Option<LogFilter> {
    match filters.len() {
        0 | 1 => filters.pop(),
        _ => Some(of(filters)),
    }
}

fn of_the_outcome(reader: &mut Reader<'_>, fields: &Fields<'_>, all: &mut Vec<LogFilter>) {
    if let Some(node) = fields.node(reader, "status")
        && let Some(compared) = reader.fields(node, &STATUS_COMPARISON)
    {
        for (name, relation) in RELATIONS {
            let status = compared.integer(reader, name);
            all.extend(
                status
                    .and_then(|status| u16::try_from(status).ok())
                    .map(|status| LogFilter::Status(relation, status)),
            );
        }
    }
    if let Some(node) = fields.node(reader, "duration")
        && let Some(compared) = reader.fields(node, &DURATION_COMPARISON)
    {
        for (name, relation) in RELATIONS {
            let duration = compared.duration(reader, name);
            all.extend(duration.map(|duration| LogFilter::Duration(relation, duration)));
        }
    }
    if let Some(node) = fields.node(reader, "response_flags") {
        all.extend(response_flags(reader, node));
    }
    let mut statuses = Vec::new();
    for node in fields.list(reader, "grpc_status") {
        let status = reader.integer(node, 0, 16);
        statuses.extend(status.and_then(|status| u8::try_from(status).ok()));
    }
    if !statuses.is_empty() {
        all.push(LogFilter::GrpcStatus(statuses));
    }
}

fn response_flags(reader: &mut Reader<'_>, node: &Node) -> Option<LogFilter> {
    if scalar_of(node).is_some() {
        let any = reader.choose(node, &[("any", ())]);
        return any.map(|()| LogFilter::ResponseFlags(Vec::new()));
    }
    let choices: Vec<(&'static str, &'static str)> =
        RESPONSE_FLAGS.iter().map(|flag| (*flag, *flag)).collect();
    let nodes = reader.items(node, true).iter();
    let flags: Vec<&'static str> = nodes.filter_map(|node| reader.choose(node, &choices)).collect();
    (!flags.is_empty()).then_some(LogFilter::ResponseFlags(flags))
}

fn of_the_request(reader: &mut Reader<'_>, fields: &Fields<'_>, all: &mut Vec<LogFilter>) {
    if let Some(node) = fields.node(reader, "sampled") {
        all.extend(sampled(reader, node).map(LogFilter::Sampled));
    }
    let nodes = fields.list(reader, "routes").iter();
    let routes: Vec<_> = nodes.filter_map(|node| reader.name(node)).collect();
    if !routes.is_empty() {
        all.push(LogFilter::Routes(routes));
    }
    if only_true(reader, fields, "not_health_check") {
        all.push(LogFilter::NotHealthCheck);
    }
    let headers = headers::header_matches_by(reader, fields, "headers", header_name);
    all.extend(headers.into_iter().map(LogFilter::Header));
}

/// Pseudo-headers too: a log has no other way to say path or method.
fn header_name(text: &str) -> Result<HeaderName, Problem> {
    match text {
        ":method" | ":path" | ":authority" | ":scheme" => Ok(HeaderName(text.into())),
        _ => scalar::header_name(text),
    }
}

fn sampled(reader: &mut Reader<'_>, node: &Node) -> Option<LogSampling> {
    let of = |fraction: Fraction, by| LogSampling { fraction, by };
    if scalar_of(node).is_some() {
        let fraction = reader.parse(node, "a percentage", scalar::percent);
        return fraction.map(|fraction| of(fraction, LogSamplingBy::RequestId));
    }
    let fields = reader.fields(node, &LOG_SAMPLING)?;
    let fraction = fields.parsed(reader, "percent", scalar::percent);
    let choices = [
        ("request_id", LogSamplingBy::RequestId),
        ("random", LogSamplingBy::Random),
    ];
    let by = fields.choice(reader, "by", &choices);
    Some(of(fraction?, by.unwrap_or(LogSamplingBy::RequestId)))
}
