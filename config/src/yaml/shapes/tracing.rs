//! Tracing.

use super::U32;
use crate::yaml::shape::{Field, Kind, Shape, defaulted, optional, required};

/// `off`, or how requests are traced.
pub(crate) const TRACING_OR_OFF: Kind = Kind::Either(&[Kind::Choice(&["off"]), Kind::Object(&TRACING)]);

/// `off`, or what a virtual host or a route changes.
pub(crate) const ROUTE_TRACING_OR_OFF: Kind =
    Kind::Either(&[Kind::Choice(&["off"]), Kind::Object(&ROUTE_TRACING)]);

const SPAN_NAME: Field = optional(
    "span_name",
    Kind::Text("checkout"),
    "The name of requests' spans; operators as in header edits. If not given, the method and what the route matches of \
     the path.",
);

pub(crate) static TRACING: Shape = Shape::new(
    "tracing",
    "Which requests are traced, and how.",
    &[
        required(
            "collector",
            Kind::Name,
            "The name of a collector, where spans are sent.",
        ),
        optional(
            "sampling",
            Kind::Object(&TRACE_SAMPLING),
            "Which traces are kept; a route may say otherwise.",
        ),
        defaulted(
            "extract",
            Kind::List(&Kind::Choice(&["w3c", "b3", "datadog"])),
            "[w3c]",
            "Formats in which contexts are read; the first in which there is one is believed.",
        ),
        defaulted(
            "inject",
            Kind::FilledList(&Kind::Choice(&["w3c", "b3", "b3_multi", "datadog"])),
            "[w3c]",
            "Formats in which contexts are written, all of them.",
        ),
        defaulted(
            "force_header",
            Kind::Text("x-envoy-force-trace"),
            "x-envoy-force-trace",
            "A header with which believed peers (`hint_peers`) have a request traced; `off`: there is none.",
        ),
        defaulted(
            "keep_errors",
            Kind::Boolean,
            "false",
            "Spans of requests that end in an error are sent although their trace is not kept.",
        ),
        defaulted(
            "keep_slow",
            Kind::DurationOrOff { zero: false },
            "off",
            "So are those of requests that take at least this long.",
        ),
        SPAN_NAME,
        optional(
            "attributes",
            Kind::Map(&Kind::Text("a text")),
            "What requests' spans say beside what they always do; operators as in header edits.",
        ),
    ],
);

pub(crate) static TRACE_SAMPLING: Shape = Shape::new(
    "trace sampling",
    "Which traces are kept.",
    &[
        defaulted(
            "parent",
            Kind::Choice(&["follow", "follow_believed", "ignore"]),
            "follow",
            "What whoever sent a request has decided: it counts; only of believed peers (`hint_peers`); it does not.",
        ),
        defaulted(
            "percent",
            Kind::Percent,
            "100",
            "How many of the other traces, with at most four digits after the point; which ones follows from their ids.",
        ),
        defaulted(
            "traces_per_second",
            Kind::IntegerOrOff { min: 1, max: U32 },
            "off",
            "How many of those a second at most, in the whole process.",
        ),
    ],
);

pub(crate) static ROUTE_TRACE_SAMPLING: Shape = Shape::new(
    "route trace sampling",
    "Which traces are kept; what is not given is as around it: in the virtual host, in the filter chain.",
    &[
        optional(
            "parent",
            Kind::Choice(&["follow", "follow_believed", "ignore"]),
            "What whoever sent a request has decided: it counts; only of believed peers (`hint_peers`); it does not.",
        ),
        optional(
            "percent",
            Kind::Percent,
            "How many of the other traces, with at most four digits after the point; which ones follows from their ids.",
        ),
        optional(
            "traces_per_second",
            Kind::IntegerOrOff { min: 1, max: U32 },
            "How many of those a second at most, in the whole process; not shared with others.",
        ),
    ],
);

pub(crate) static ROUTE_TRACING: Shape = Shape::new(
    "route tracing",
    "What a virtual host or a route changes in its filter chain's tracing.",
    &[
        optional(
            "sampling",
            Kind::Object(&ROUTE_TRACE_SAMPLING),
            "Which traces are kept, where that is not as around it.",
        ),
        SPAN_NAME,
    ],
)
.with_at_least_one(&["sampling", "span_name"]);
