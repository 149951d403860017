//! Circuit breakers, retry budgets, adaptive concurrency.

use super::U32;
use crate::yaml::shape::{Kind, Shape, defaulted, optional};

const PERCENT: Kind = Kind::Integer { min: 0, max: 100 };
const COUNT: Kind = Kind::Integer { min: 1, max: U32 };
const COUNT_OR_OFF: Kind = Kind::IntegerOrOff { min: 1, max: U32 };

pub(crate) static CIRCUIT_BREAKERS: Shape = Shape::new(
    "circuit breakers",
    "How much of a cluster may be in use at once.",
    &[
        optional(
            "default",
            Kind::Object(&BREAKER_THRESHOLDS),
            "For requests of default priority.",
        ),
        optional(
            "high",
            Kind::Object(&BREAKER_THRESHOLDS),
            "For requests of routes with `priority: high`.",
        ),
        optional(
            "endpoint",
            Kind::Object(&ENDPOINT_THRESHOLDS),
            "For each endpoint.",
        ),
    ],
);

pub(crate) static BREAKER_THRESHOLDS: Shape = Shape::new(
    "breaker thresholds",
    "What may be in use at once by requests of one priority.",
    &[
        defaulted(
            "connections_max",
            COUNT,
            "1024",
            "Connections; at this limit a request waits. A worker may always have one.",
        ),
        defaulted(
            "pending_max",
            COUNT,
            "1024",
            "Requests that wait for a connection; beyond, 503 with flag UO.",
        ),
        defaulted(
            "requests_max",
            COUNT,
            "1024",
            "Requests; beyond, 503 with flag UO.",
        ),
    ],
);

pub(crate) static ENDPOINT_THRESHOLDS: Shape = Shape::new(
    "endpoint thresholds",
    "What may be in use at once at one endpoint; one at its limit is passed over for others.",
    &[
        defaulted("connections_max", COUNT_OR_OFF, "off", "Connections."),
        defaulted("requests_max", COUNT_OR_OFF, "off", "Requests."),
    ],
);

pub(crate) static RETRY_BUDGET: Shape = Shape::new(
    "retry budget",
    "How many retries of a cluster there may be, at once and in ten seconds; beyond, the answer at hand is passed on.",
    &[
        defaulted(
            "percent",
            PERCENT,
            "20",
            "In proportion to active and pending requests, and to the requests of the last ten seconds.",
        ),
        defaulted(
            "concurrency_min",
            Kind::Integer { min: 0, max: U32 },
            "3",
            "Retries at once that are always allowed; unless it is 0, so are ten in ten seconds.",
        ),
    ],
);

/// `true`, or settings.
pub(crate) const ADAPTIVE_CONCURRENCY_KIND: Kind =
    Kind::Either(&[Kind::Boolean, Kind::Object(&ADAPTIVE_CONCURRENCY)]);

pub(crate) static ADAPTIVE_CONCURRENCY: Shape = Shape::new(
    "adaptive concurrency",
    "A limit on concurrent requests that follows response times (Envoy's gradient controller); beyond, 503 with flag UO.",
    &[
        defaulted(
            "quantile",
            Kind::Integer { min: 1, max: 99 },
            "50",
            "The quantile of response times that is looked at, percent.",
        ),
        defaulted(
            "update_interval",
            Kind::Duration { zero: false },
            "100ms",
            "From one change of the limit to the next.",
        ),
        defaulted("concurrency_max", COUNT, "1000", "The limit at most."),
        defaulted(
            "concurrency_min",
            COUNT,
            "3",
            "The limit at least, and while the minimal response time is measured.",
        ),
        defaulted(
            "min_rtt_interval",
            Kind::Duration { zero: false },
            "60s",
            "From one measurement of the minimal response time to the next.",
        ),
        defaulted(
            "min_rtt_requests",
            COUNT,
            "50",
            "Requests by which it is measured.",
        ),
        defaulted(
            "jitter",
            PERCENT,
            "15",
            "A random part of this share of that interval is added to it, percent.",
        ),
        defaulted(
            "buffer",
            PERCENT,
            "25",
            "Response times above the minimum by less than this share of it are as good, percent.",
        ),
    ],
);
