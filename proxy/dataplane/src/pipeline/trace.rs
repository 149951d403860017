//! A request's trace: which one it belongs to, whether its spans are kept, and what the next hop is told of it.
//!
//! All that is decided at the request's start stands in a [`RequestTrace`] of a few words. Spans are made at the end, of what the
//! record knows (`record/traces.rs`), and only if they are kept; the id of an attempt's span follows from the request's.

use super::record::Record;
use super::{Request, RequestContext, Taken, hints};
use crate::snapshot::{RouteTracing, TracingPolicy};
use outrigger_config::model::{PathMatch, Route};
use outrigger_http1::{Fields, KnownName, RequestHead};
use outrigger_telemetry::trace::{Carrier, Format, OutgoingContext, SpanId, TraceHeader, TraceId};
use std::borrow::Cow;

/// Flags of W3C's contexts.
const SAMPLED: u8 = 1;
const RANDOM: u8 = 2;

/// The trace of one request.
pub(super) struct RequestTrace {
    pub(super) trace_id: TraceId,
    /// The id of its server span.
    pub(super) span_id: SpanId,
    /// The span of whoever sent it.
    pub(super) parent: Option<SpanId>,
    /// Its trace is kept.
    pub(super) sampled: bool,
    /// If it is not, its end may keep its spans.
    pub(super) tail: bool,
    /// The trace id is random.
    pub(super) random: bool,
    /// It came by W3C's headers, so that a `tracestate` is its own, and well formed.
    has_state: bool,
    debug: bool,
    priority: Option<i8>,
}

impl RequestTrace {
    /// The flags that its context has, as W3C's have it.
    pub(super) fn flags(&self) -> u8 {
        u8::from(self.sampled) * SAMPLED + u8::from(self.random) * RANDOM
    }

    /// The `tracestate` that it goes with. One of a request whose trace came otherwise belongs to another trace, and nobody has
    /// looked at what is in it.
    pub(super) fn state<'f>(&self, fields: &'f Fields) -> Option<&'f [u8]> {
        fields.get(KnownName::Tracestate).filter(|_| self.has_state)
    }
}

/// Takes off the header with which a request is to be traced. True if it came from a peer that is believed.
#[inline(never)]
pub(super) fn take_force_header(
    context: &RequestContext<'_>,
    policy: &TracingPolicy,
    head: &mut RequestHead,
) -> bool {
    let Some(name) = policy.config.force_header() else {
        return false;
    };
    if head.fields.find(name.as_str()).is_none() {
        return false;
    }
    head.fields.remove(name.as_str());
    hints::is_believed(context)
}

/// Begins the trace of a request that is refused before anything is asked about it, where its chain traces.
#[cold]
pub(super) fn begin_refused(request: &mut Request<'_>, context: &RequestContext<'_>) {
    if let Some(policy) = context.chain().http().tracing.as_deref() {
        let is_forced = take_force_header(context, policy, request.head);
        begin(request, context, policy, None, is_forced);
    }
}

/// Reads the request's context, decides, and notes it; `taken`: the route that takes it, if one does.
#[inline(never)]
pub(super) fn begin(
    request: &mut Request<'_>,
    context: &RequestContext<'_>,
    policy: &TracingPolicy,
    taken: Option<Taken<'_>>,
    is_forced: bool,
) {
    let own = match changes(&request.record, context, taken) {
        None => None,
        Some(RouteTracing::Off) => return,
        Some(RouteTracing::Changed { sampler, .. }) => sampler.as_ref(),
    };
    let worker = context.worker();
    let mut extracted = policy
        .propagation
        .take(&mut HeadCarrier(&mut request.head.fields));
    let trace_id = extracted
        .trace_id
        .unwrap_or_else(|| TraceId::random(worker.random(), worker.random()));
    let changed = own.map(|own| own.over(&policy.sampler));
    let sampler = changed.as_ref().unwrap_or(&policy.sampler);
    let is_trusted = sampler.asks_for_trust() && hints::is_believed(context);
    let now = worker.now().into_std().saturating_duration_since(policy.epoch);
    let trust = (is_forced, is_trusted);
    let decision = sampler.decide(&mut extracted, trace_id, trust, now, || worker.random());
    context.listener().traces[decision].inc();
    let sampled = decision.is_kept();
    let trace = Box::new(RequestTrace {
        trace_id,
        span_id: SpanId::random(worker.random()),
        parent: extracted.parent,
        sampled,
        tail: policy.tail.is_some(),
        random: extracted.random || extracted.trace_id.is_none(),
        has_state: extracted.format == Some(Format::W3c),
        debug: extracted.debug && sampled,
        priority: extracted.priority,
    });
    request.record.trace = Some(trace);
    // Others than the attempts' endpoints see the request, too: for them it comes from its own span.
    if let Some(taken) = taken
        && (!taken.policy.mirrors.is_empty() || context.chain().http().external_authorization.is_some())
    {
        inject(request, policy, 0);
    }
}

/// What is otherwise in the chain's tracing: by the route that takes the request, or else by its virtual host.
pub(super) fn changes<'c>(
    record: &Record,
    context: &'c RequestContext<'_>,
    taken: Option<Taken<'c>>,
) -> Option<&'c RouteTracing> {
    if let Some(taken) = taken {
        return taken.policy.tracing.as_deref();
    }
    let hosts = &context.chain().http().routes.virtual_hosts;
    hosts.get(record.virtual_host()?)?.tracing.as_deref()
}

/// Tells the next hop of the trace, for the attempt that is under way.
#[inline(always)]
pub(super) fn tell(request: &mut Request<'_>, context: &RequestContext<'_>) {
    if request.record.trace.is_some()
        && let Some(policy) = &context.chain().http().tracing
    {
        let number = request.record.attempt_number();
        inject(request, policy, number);
    }
}

/// Writes the context for an attempt, counted from one, or for the request itself.
#[inline(never)]
fn inject(request: &mut Request<'_>, policy: &TracingPolicy, number: u32) {
    let Some(trace) = &request.record.trace else {
        return;
    };
    let (span_id, parent) = match number {
        0 => (trace.span_id, trace.parent),
        number => (trace.span_id.of_attempt(number), Some(trace.span_id)),
    };
    let told = OutgoingContext {
        trace_id: trace.trace_id,
        span_id,
        parent,
        sampled: trace.sampled,
        random: trace.random,
        debug: trace.debug,
        priority: trace.priority,
    };
    let carrier = &mut HeadCarrier(&mut request.head.fields);
    policy.propagation.inject(&told, carrier);
}

/// What of a path a route matches, as it was written: a few values, whatever is asked for. None: paths are not looked at.
pub(super) fn template(route: &Route) -> Option<Cow<'_, str>> {
    if route.matches().connect() {
        return None;
    }
    Some(match route.matches().path() {
        PathMatch::Exact(path) => Cow::Borrowed(path),
        PathMatch::Prefix(prefix) => Cow::Owned(format!("{}/*", prefix.strip_suffix('/').unwrap_or(prefix))),
        PathMatch::StringPrefix(prefix) => Cow::Owned(format!("{prefix}*")),
        PathMatch::Template(template) => Cow::Borrowed(template.source()),
        PathMatch::Regex(pattern) => Cow::Borrowed(pattern.source()),
    })
}

/// A head, as contexts are read from it and written to it.
struct HeadCarrier<'f>(&'f mut Fields);

/// The number of a header's name, for those that have one.
fn known(header: TraceHeader) -> Option<KnownName> {
    Some(match header {
        TraceHeader::Traceparent => KnownName::Traceparent,
        TraceHeader::Tracestate => KnownName::Tracestate,
        TraceHeader::B3 => KnownName::B3,
        TraceHeader::B3TraceId => KnownName::XB3Traceid,
        TraceHeader::B3SpanId => KnownName::XB3Spanid,
        TraceHeader::B3ParentSpanId => KnownName::XB3Parentspanid,
        TraceHeader::B3Sampled => KnownName::XB3Sampled,
        TraceHeader::B3Flags => KnownName::XB3Flags,
        TraceHeader::DatadogTraceId => KnownName::XDatadogTraceId,
        TraceHeader::DatadogParentId => KnownName::XDatadogParentId,
        TraceHeader::DatadogSamplingPriority => KnownName::XDatadogSamplingPriority,
        TraceHeader::DatadogTags => return None,
    })
}

impl Carrier for HeadCarrier<'_> {
    fn first(&self, header: TraceHeader) -> Option<&[u8]> {
        match known(header) {
            Some(known) => self.0.get(known),
            None => self.0.find(header.as_str()),
        }
    }

    fn each(&self, header: TraceHeader, see: &mut dyn FnMut(&[u8])) {
        match known(header) {
            Some(known) => self.0.get_all(known).for_each(see),
            None => self.0.find_all(header.as_str()).for_each(see),
        }
    }

    fn only(&self, header: TraceHeader) -> Option<&[u8]> {
        fn one<'v>(mut values: impl Iterator<Item = &'v [u8]>) -> Option<&'v [u8]> {
            let first = values.next()?;
            values.next().is_none().then_some(first)
        }
        match known(header) {
            Some(known) if !self.0.contains(known) => None,
            Some(known) => one(self.0.get_all(known)),
            None => one(self.0.find_all(header.as_str())),
        }
    }

    fn set(&mut self, header: TraceHeader, value: &[u8]) {
        match known(header) {
            Some(known) => self.0.set_known(known, value),
            None => self.0.set(header.as_str().as_bytes(), value),
        }
    }

    fn remove(&mut self, header: TraceHeader) {
        match known(header) {
            Some(known) => self.0.remove_known(known),
            None => self.0.remove(header.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_belongs_to_traces_of_w3c() {
        let mut fields = Fields::new();
        fields.push(b"tracestate", b"a=b");
        let state = |has_state| {
            let trace = RequestTrace {
                trace_id: TraceId::random(1, 2),
                span_id: SpanId::random(3),
                parent: None,
                sampled: true,
                tail: false,
                random: true,
                has_state,
                debug: false,
                priority: None,
            };
            trace.state(&fields).map(<[u8]>::to_vec)
        };
        assert_eq!(state(true), Some(b"a=b".to_vec()));
        assert_eq!(state(false), None);
    }

    #[test]
    fn every_header_is_found_where_it_is_put() {
        for header in TraceHeader::ALL {
            let mut fields = Fields::new();
            assert_eq!(
                known(header).map_or(header.as_str(), KnownName::as_str),
                header.as_str()
            );
            let mut carrier = HeadCarrier(&mut fields);
            carrier.set(header, b"a");
            carrier.set(header, b"b");
            assert_eq!(carrier.only(header), Some(&b"b"[..]));
            fields.push(header.as_str().as_bytes(), b"c");
            let mut carrier = HeadCarrier(&mut fields);
            assert_eq!(
                (carrier.first(header), carrier.only(header)),
                (Some(&b"b"[..]), None)
            );
            carrier.remove(header);
            assert_eq!(carrier.first(header), None);
            assert!(fields.is_empty());
        }
    }
}
