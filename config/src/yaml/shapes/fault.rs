//! Fault injection.

use super::{HEADER_MATCH, SPIFFE_MATCH, U32};
use crate::yaml::shape::{Field, Kind, Shape, defaulted, optional, required};

/// `off`, or what is broken on purpose.
pub(crate) const FAULT_OR_OFF: Kind = Kind::Either(&[Kind::Choice(&["off"]), Kind::Object(&FAULT)]);

const PERCENT: Field = defaulted(
    "percent",
    Kind::Percent,
    "100",
    "How many requests, with at most four digits after the point.",
);

pub(crate) static FAULT: Shape = Shape::new(
    "fault",
    "What is done to some requests on purpose, to see what others make of it.",
    &[
        optional(
            "headers",
            Kind::List(&Kind::Object(&HEADER_MATCH)),
            "Only requests with these headers.",
        ),
        optional(
            "identities",
            Kind::FilledList(&Kind::Object(&SPIFFE_MATCH)),
            "Only requests of peers with one of these verified SPIFFE ids.",
        ),
        optional(
            "delay",
            Kind::Object(&FAULT_DELAY),
            "Requests are held before they are passed on.",
        ),
        optional("abort", Kind::Object(&FAULT_ABORT), "Requests are not passed on."),
        optional(
            "response_rate",
            Kind::Object(&FAULT_RATE),
            "Answers are slowed down.",
        ),
        defaulted(
            "by_header",
            Kind::Boolean,
            "false",
            "Believed peers (`hint_peers`) may ask for faults of a request by Envoy's headers (`x-envoy-fault-…`).",
        ),
        defaulted(
            "affected_max",
            Kind::Percent,
            "100",
            "The share of all requests of the route that is touched at most, whatever is said above; over the last thousand.",
        ),
        defaulted(
            "active_max",
            Kind::IntegerOrOff { min: 1, max: U32 },
            "off",
            "Requests that are touched at once at most.",
        ),
        required(
            "expires",
            Kind::Text("2030-01-31T18:00:00Z"),
            "It is off from this moment on (RFC 3339); `never`: it stays until it is taken out.",
        ),
    ],
)
.with_at_least_one(&["delay", "abort", "response_rate", "by_header"]);

pub(crate) static FAULT_DELAY: Shape = Shape::new(
    "fault delay",
    "Requests are held.",
    &[
        PERCENT,
        required("duration", Kind::Duration { zero: false }, "For how long."),
    ],
);

pub(crate) static FAULT_ABORT: Shape = Shape::new(
    "fault abort",
    "Requests are not passed on.",
    &[
        PERCENT,
        optional(
            "status",
            Kind::Integer { min: 200, max: 599 },
            "They are answered with this status.",
        ),
        optional(
            "grpc_status",
            Kind::Integer { min: 0, max: 16 },
            "They are answered with this gRPC status.",
        ),
        optional(
            "reset",
            Kind::Boolean,
            "Their connection (HTTP/1) or stream (HTTP/2) is reset; only `true`.",
        ),
    ],
)
.with_exactly_one(&["status", "grpc_status", "reset"]);

pub(crate) static FAULT_RATE: Shape = Shape::new(
    "fault response rate",
    "Answers are slowed down.",
    &[
        PERCENT,
        required(
            "bytes_per_second",
            Kind::Size {
                min: 1024,
                max: 1 << 40,
            },
            "How fast their bodies go.",
        ),
    ],
);
