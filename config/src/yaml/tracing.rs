//! Tracing.

use super::header_value::{self, Place};
use super::listener;
use super::reader::{Fields, Part, Reader, is_off, scalar_of};
use super::scalar::{self, Problem};
use super::shapes::{ROUTE_TRACE_SAMPLING, ROUTE_TRACING, TRACE_SAMPLING, TRACING};
use super::tree::Node;
use super::{Unique, headers};
use crate::model::{
    HeaderName, HeaderValue, ParentSampling, RouteTraceSampling, RouteTracing, TraceFormat, TraceSampling,
    Tracing, WrittenTraceFormat, defaults,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Attributes of spans at most.
const ATTRIBUTES_MAX: usize = 64;

/// The words of formats in which contexts are read.
pub(super) const FORMATS: [(&str, TraceFormat); 3] = [
    ("w3c", TraceFormat::W3c),
    ("b3", TraceFormat::B3),
    ("datadog", TraceFormat::Datadog),
];

/// The words of formats in which contexts are written.
pub(super) const WRITTEN_FORMATS: [(&str, WrittenTraceFormat); 4] = [
    ("w3c", WrittenTraceFormat::W3c),
    ("b3", WrittenTraceFormat::B3),
    ("b3_multi", WrittenTraceFormat::B3Multi),
    ("datadog", WrittenTraceFormat::Datadog),
];

/// The words of whose decisions count.
pub(super) const PARENTS: [(&str, ParentSampling); 3] = [
    ("follow", ParentSampling::Follow),
    ("follow_believed", ParentSampling::FollowBelieved),
    ("ignore", ParentSampling::Ignore),
];

/// The `tracing` of a filter chain's `http`; none: off.
pub(super) fn settings(reader: &mut Reader<'_>, http: &Fields<'_>) -> Option<Arc<Tracing>> {
    let node = listener::settings(reader, http, "tracing")?;
    let fields = reader.fields(node, &TRACING)?;
    let collector = reader.reference(&fields, "collector", Part::Collector);
    let sampling = fields
        .node(reader, "sampling")
        .and_then(|node| sampling(reader, node));
    let extract = formats(reader, &fields, "extract", &FORMATS);
    let inject = formats(reader, &fields, "inject", &WRITTEN_FORMATS);
    let force_header = fields.parsed(reader, "force_header", force_header);
    let keep_errors = fields.boolean(reader, "keep_errors").unwrap_or(false);
    let keep_slow = fields.duration_or_off(reader, "keep_slow").flatten();
    let span_name = fields.parsed(reader, "span_name", value);
    let attributes = attributes(reader, &fields);
    Some(Arc::new(Tracing {
        collector: collector?,
        sampling: sampling.unwrap_or_default(),
        extract: extract.unwrap_or_else(|| defaults::TRACE_EXTRACT.to_vec()),
        inject: inject.unwrap_or_else(|| defaults::TRACE_INJECT.to_vec()),
        force_header: force_header.unwrap_or_else(|| scalar::header_name(defaults::TRACE_FORCE_HEADER).ok()),
        keep_errors,
        keep_slow,
        span_name,
        attributes,
    }))
}

/// The `tracing` of a virtual host or a route.
pub(super) fn of_route(reader: &mut Reader<'_>, route: &Fields<'_>) -> Option<RouteTracing> {
    let node = route.node(reader, "tracing")?;
    if is_off(node) {
        return Some(RouteTracing::Off);
    }
    if scalar_of(node).is_some() {
        reader.mismatch(node, "`off` or a map (route tracing)");
        return None;
    }
    let fields = reader.fields(node, &ROUTE_TRACING)?;
    let sampling = fields
        .node(reader, "sampling")
        .and_then(|node| route_sampling(reader, node));
    let span_name = fields.parsed(reader, "span_name", value);
    Some(RouteTracing::Changed { sampling, span_name })
}

fn sampling(reader: &mut Reader<'_>, node: &Node) -> Option<TraceSampling> {
    let fields = reader.fields(node, &TRACE_SAMPLING)?;
    let parent = fields.choice(reader, "parent", &PARENTS);
    let fraction = fields.parsed(reader, "percent", scalar::percent);
    let traces_per_second = fields.integer32_or_off(reader, "traces_per_second");
    let default = TraceSampling::default();
    Some(TraceSampling {
        parent: parent.unwrap_or(default.parent),
        fraction: fraction.unwrap_or(default.fraction),
        traces_per_second,
    })
}

/// What a route does not say stays as its filter chain has it.
fn route_sampling(reader: &mut Reader<'_>, node: &Node) -> Option<RouteTraceSampling> {
    let fields = reader.fields(node, &ROUTE_TRACE_SAMPLING)?;
    let says_rate = fields.entry("traces_per_second").is_some();
    let traces_per_second = fields.integer32_or_off(reader, "traces_per_second");
    Some(RouteTraceSampling {
        parent: fields.choice(reader, "parent", &PARENTS),
        fraction: fields.parsed(reader, "percent", scalar::percent),
        traces_per_second: says_rate.then_some(traces_per_second),
    })
}

/// A list of formats, none twice; none: not given.
fn formats<T: Copy>(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    name: &str,
    words: &[(&'static str, T)],
) -> Option<Vec<T>> {
    fields.entry(name)?;
    let mut seen = Unique::new("format");
    let mut formats = Vec::new();
    let words: Vec<_> = words
        .iter()
        .map(|(word, format)| (*word, (*word, *format)))
        .collect();
    for node in fields.list(reader, name) {
        if let Some((word, format)) = reader.choose(node, &words) {
            seen.insert(reader, word, node.span);
            formats.push(format);
        }
    }
    Some(formats)
}

/// A header that is taken off: none that a request needs.
fn force_header(text: &str) -> Result<Option<HeaderName>, Problem> {
    match text {
        "off" => Ok(None),
        _ => headers::editable_name(text).map(Some),
    }
}

/// A value that is known when a request is over.
fn value(text: &str) -> Result<HeaderValue, Problem> {
    if text.is_empty() {
        return scalar::problem("this may not be empty");
    }
    if text.contains("%PATH_VARIABLE(") {
        return scalar::problem("`%PATH_VARIABLE(…)%` can only be used in header edits of routes");
    }
    let place = Place {
        matched: None,
        response: true,
    };
    header_value::value(text, place)
}

fn attributes(reader: &mut Reader<'_>, fields: &Fields<'_>) -> BTreeMap<String, HeaderValue> {
    let entries = fields.map(reader, "attributes");
    if entries.len() > ATTRIBUTES_MAX {
        let message = format!(
            "`attributes` has {} entries; at most {ATTRIBUTES_MAX} are allowed",
            entries.len()
        );
        reader.fault(fields.span_of("attributes"), message);
    }
    let mut attributes = BTreeMap::new();
    let mut keys = Unique::new("attribute");
    for entry in entries.iter().take(ATTRIBUTES_MAX) {
        if entry.key.is_empty() {
            reader.fault(entry.key_span, "an attribute's key may not be empty");
        }
        keys.insert(reader, entry.key.clone(), entry.key_span);
        if let Some(value) = reader.parse(&entry.value, "a text", value) {
            attributes.insert(entry.key.clone(), value);
        }
    }
    attributes
}
