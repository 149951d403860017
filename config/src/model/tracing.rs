//! Tracing: which requests are traced, how contexts come and go, and what spans say.

use super::{Fraction, HeaderName, HeaderValue, Name, model};
use std::collections::BTreeMap;
use std::time::Duration;

model! {
    /// How the requests of a filter chain are traced (Envoy's `tracing`, by OpenTelemetry).
    pub struct Tracing {
        /// Where spans are sent; it exists.
        by_ref collector: Name,
        /// Which traces are kept, where a route does not say otherwise.
        copy sampling: TraceSampling,
        /// Formats in which contexts are read, none twice; the first in which there is one is believed. Empty: every
        /// request begins a trace.
        by_ref extract: Vec<TraceFormat>,
        /// Formats in which contexts are written, none twice, all of them.
        by_ref inject: Vec<WrittenTraceFormat>,
        /// A header with which believed peers (hint peers) have a request traced; never passed on. None: there is none.
        by_ref force_header: Option<HeaderName>,
        /// The spans of requests that end in an error are sent although their trace is not kept.
        copy keep_errors: bool,
        /// So are those of requests that take at least this long; none: not.
        copy keep_slow: Option<Duration>,
        /// The name of requests' spans, where a route does not say otherwise; none: method and path as the route matches it.
        by_ref span_name: Option<HeaderValue>,
        /// What spans of requests say beside what they always do, by key.
        by_ref attributes: BTreeMap<String, HeaderValue>,
    }
}

/// Which traces are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceSampling {
    pub(crate) parent: ParentSampling,
    pub(crate) fraction: Fraction,
    pub(crate) traces_per_second: Option<u32>,
}

impl TraceSampling {
    /// Whether the decision of whoever sent a request counts.
    pub fn parent(self) -> ParentSampling {
        self.parent
    }
    /// The share of the other traces; which ones follows from their ids.
    pub fn fraction(self) -> Fraction {
        self.fraction
    }
    /// How many of that share at most, in the whole process; at least 1. None: no limit.
    pub fn traces_per_second(self) -> Option<u32> {
        self.traces_per_second
    }
}

/// What a virtual host or a route changes of which traces are kept; none: as the filter chain has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouteTraceSampling {
    pub(crate) parent: Option<ParentSampling>,
    pub(crate) fraction: Option<Fraction>,
    pub(crate) traces_per_second: Option<Option<u32>>,
}

impl RouteTraceSampling {
    /// Whether the decision of whoever sent a request counts.
    pub fn parent(self) -> Option<ParentSampling> {
        self.parent
    }
    /// The share of the other traces; which ones follows from their ids.
    pub fn fraction(self) -> Option<Fraction> {
        self.fraction
    }
    /// How many of that share at most, in the whole process; at least 1, or no limit. Whose limit it is, the chain, the virtual
    /// host or the route, has it for all of its requests together that have no nearer one.
    pub fn traces_per_second(self) -> Option<Option<u32>> {
        self.traces_per_second
    }
}

impl Default for TraceSampling {
    /// What is said where nothing is: [`super::defaults::TRACE_FRACTION`].
    fn default() -> TraceSampling {
        TraceSampling {
            parent: ParentSampling::Follow,
            fraction: super::defaults::TRACE_FRACTION,
            traces_per_second: None,
        }
    }
}

/// Whether the decision of whoever sent a request counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParentSampling {
    /// It does.
    Follow,
    /// It does if it is a believed peer (hint peers).
    FollowBelieved,
    /// It does not.
    Ignore,
}

/// A format in which contexts come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceFormat {
    /// `traceparent` and `tracestate`.
    W3c,
    /// `b3`, or `x-b3-traceid` and its like.
    B3,
    /// `x-datadog-trace-id` and its like.
    Datadog,
}

/// A format in which contexts go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrittenTraceFormat {
    /// `traceparent` and `tracestate`.
    W3c,
    /// `b3`.
    B3,
    /// `x-b3-traceid` and its like.
    B3Multi,
    /// `x-datadog-trace-id` and its like.
    Datadog,
}

/// What a virtual host changes in its filter chain's tracing, or a route in both's.
#[derive(Debug, Clone, PartialEq)]
pub enum RouteTracing {
    /// Its requests are not traced, and contexts are passed on as they came.
    Off,
    /// They are traced otherwise.
    Changed {
        /// What is otherwise.
        sampling: Option<RouteTraceSampling>,
        /// In place of the virtual host's or the chain's; none: that.
        span_name: Option<HeaderValue>,
    },
}
