//! Health checks and outlier detection.

use super::{STRING_MATCH, U32};
use crate::yaml::shape::{Kind, Shape, defaulted, optional, required};

const PERCENT: Kind = Kind::Integer { min: 0, max: 100 };
/// Failures or successes in a row.
const IN_A_ROW: Kind = Kind::Integer { min: 1, max: 1000 };
const IN_A_ROW_OR_OFF: Kind = Kind::IntegerOrOff { min: 1, max: 1000 };
const COUNT: Kind = Kind::Integer { min: 1, max: U32 };
const STATUSES: Kind = Kind::FilledList(&Kind::Text("200, 200-299"));

pub(crate) static HEALTH_CHECK: Shape = Shape::new(
    "health check",
    "Asking endpoints whether they serve, through the cluster's own TLS and protocol.",
    &[
        optional("http", Kind::Object(&HTTP_HEALTH_CHECK), "By a request."),
        optional(
            "grpc",
            Kind::Object(&GRPC_HEALTH_CHECK),
            "By `grpc.health.v1.Health/Check`.",
        ),
        optional(
            "tcp",
            Kind::Object(&TCP_HEALTH_CHECK),
            "By a connection, and what is said on it.",
        ),
        defaulted(
            "timeout",
            Kind::Duration { zero: false },
            "1s",
            "One check, from its connection to its answer.",
        ),
        defaulted(
            "interval",
            Kind::Duration { zero: false },
            "5s",
            "From one check to the next.",
        ),
        defaulted(
            "jitter",
            PERCENT,
            "10",
            "An interval is longer by a random part of this share of it, percent, so that proxies do not ask in step.",
        ),
        optional(
            "unhealthy_interval",
            Kind::Duration { zero: false },
            "The interval while an endpoint is unhealthy; the same if not given.",
        ),
        optional(
            "no_traffic_interval",
            Kind::Duration { zero: false },
            "The interval while nothing is sent to the cluster; the same if not given.",
        ),
        defaulted(
            "unhealthy_threshold",
            IN_A_ROW,
            "3",
            "Failures in a row that make an endpoint unhealthy. Over HTTP an answer with a status that is neither expected nor \
             retriable does so at once.",
        ),
        defaulted(
            "healthy_threshold",
            IN_A_ROW,
            "2",
            "Successes in a row that make it healthy again; the first check of a new endpoint decides by itself.",
        ),
        optional(
            "port",
            Kind::Integer { min: 1, max: 65_535 },
            "The port that is asked; the endpoint's if not given.",
        ),
        defaulted(
            "reuse_connection",
            Kind::Boolean,
            "true",
            "The connection is kept for the next check.",
        ),
    ],
)
.with_exactly_one(&["http", "grpc", "tcp"]);

pub(crate) static HTTP_HEALTH_CHECK: Shape = Shape::new(
    "http health check",
    "Asking by a request.",
    &[
        required(
            "path",
            Kind::Text("/healthz"),
            "The path, with a query if there is one.",
        ),
        defaulted(
            "method",
            Kind::Text("GET"),
            "GET",
            "The method; the request has no body.",
        ),
        optional(
            "host",
            Kind::Text("a host, with or without port"),
            "The authority; the cluster's name if not given.",
        ),
        optional(
            "headers",
            Kind::Map(&Kind::Text("a field value")),
            "Headers that are sent.",
        ),
        defaulted(
            "expected_statuses",
            STATUSES,
            "[200]",
            "Statuses of a healthy endpoint, one or a range each.",
        ),
        optional(
            "retriable_statuses",
            STATUSES,
            "Statuses that are failures, counted to the threshold; others that are not expected count at once.",
        ),
        optional(
            "expected_body",
            Kind::Either(&[Kind::Text("a part of the body"), Kind::Object(&STRING_MATCH)]),
            "What the beginning of the body (64 KiB) must hold; a text alone must be contained. It is not looked at if not given.",
        ),
    ],
);

pub(crate) static GRPC_HEALTH_CHECK: Shape = Shape::new(
    "grpc health check",
    "Asking by gRPC's health protocol.",
    &[
        optional(
            "service",
            Kind::Text("package.Service"),
            "The service that is asked for; the whole server if not given.",
        ),
        optional(
            "authority",
            Kind::Text("a host, with or without port"),
            "The authority; the cluster's name if not given.",
        ),
    ],
);

/// A text, or bytes by their hexadecimal digits.
const BYTES: Kind = Kind::Either(&[Kind::Text("a text"), Kind::Object(&HEX)]);

pub(crate) static TCP_HEALTH_CHECK: Shape = Shape::new(
    "tcp health check",
    "Asking by a connection.",
    &[
        optional(
            "send",
            BYTES,
            "What is sent; if not given, the connection is enough.",
        ),
        optional(
            "receive",
            Kind::FilledList(&BYTES),
            "What must be found in the answer, in this order; if not given, an answer is not waited for.",
        ),
    ],
);

pub(crate) static HEX: Shape = Shape::new(
    "bytes",
    "Bytes.",
    &[required(
        "hex",
        Kind::Text("00ff"),
        "Two hexadecimal digits for each.",
    )],
);

/// `true`, or how endpoints are ejected.
pub(crate) const OUTLIER_DETECTION_KIND: Kind =
    Kind::Either(&[Kind::Boolean, Kind::Object(&OUTLIER_DETECTION)]);

pub(crate) static OUTLIER_DETECTION: Shape = Shape::new(
    "outlier detection",
    "Ejection of endpoints by their answers to requests, with Envoy's names and numbers.",
    &[
        defaulted(
            "consecutive_5xx",
            IN_A_ROW_OR_OFF,
            "5",
            "Answers 5xx in a row, failed attempts included.",
        ),
        defaulted(
            "enforcing_consecutive_5xx",
            PERCENT,
            "100",
            "How many of those ejections are made, percent.",
        ),
        defaulted(
            "consecutive_gateway_failure",
            IN_A_ROW_OR_OFF,
            "5",
            "Answers 502, 503 and 504 in a row.",
        ),
        defaulted(
            "enforcing_consecutive_gateway_failure",
            PERCENT,
            "0",
            "How many of those ejections are made, percent.",
        ),
        defaulted(
            "consecutive_local_origin_failure",
            IN_A_ROW_OR_OFF,
            "5",
            "Failures seen here (connections, resets, timeouts) in a row, where they are told from others.",
        ),
        defaulted(
            "enforcing_consecutive_local_origin_failure",
            PERCENT,
            "100",
            "How many of those ejections are made, percent.",
        ),
        defaulted(
            "split_external_local_origin_errors",
            Kind::Boolean,
            "false",
            "Failures seen here are counted apart from what endpoints answer.",
        ),
        defaulted(
            "interval",
            Kind::Duration { zero: false },
            "10s",
            "From one look at statistics, and at what may come back, to the next.",
        ),
        defaulted(
            "base_ejection_time",
            Kind::Duration { zero: false },
            "30s",
            "An ejection lasts this long, multiplied by the number of ejections that the endpoint has had.",
        ),
        optional(
            "max_ejection_time",
            Kind::Duration { zero: false },
            "An ejection lasts at most this long; 300s if not given, or the base if that is longer.",
        ),
        defaulted(
            "max_ejection_time_jitter",
            Kind::Duration { zero: true },
            "0s",
            "A random part of this is added to an ejection.",
        ),
        defaulted(
            "max_ejection_percent",
            PERCENT,
            "10",
            "The share of endpoints that are ejected at once at most.",
        ),
        defaulted(
            "always_eject_one",
            Kind::Boolean,
            "true",
            "The first ejection is made whatever that share is, but never of the last endpoint.",
        ),
        defaulted(
            "success_rate_minimum_hosts",
            COUNT,
            "5",
            "Success rates need this many endpoints with enough requests.",
        ),
        defaulted(
            "success_rate_request_volume",
            COUNT,
            "100",
            "Requests in an interval that are enough.",
        ),
        defaulted(
            "success_rate_stdev_factor",
            COUNT,
            "1900",
            "Endpoints are ejected whose success rate is below the mean by this many standard deviations, in thousandths.",
        ),
        defaulted(
            "enforcing_success_rate",
            PERCENT,
            "100",
            "How many of those ejections are made, percent.",
        ),
        defaulted(
            "enforcing_local_origin_success_rate",
            PERCENT,
            "100",
            "As that, for failures seen here.",
        ),
        defaulted(
            "failure_percentage_threshold",
            Kind::Integer { min: 1, max: 100 },
            "85",
            "Endpoints are ejected of whose requests this share failed, percent.",
        ),
        defaulted(
            "enforcing_failure_percentage",
            PERCENT,
            "0",
            "How many of those ejections are made, percent.",
        ),
        defaulted(
            "enforcing_failure_percentage_local_origin",
            PERCENT,
            "0",
            "As that, for failures seen here.",
        ),
        defaulted(
            "failure_percentage_minimum_hosts",
            COUNT,
            "5",
            "Failure percentages need this many endpoints with enough requests.",
        ),
        defaulted(
            "failure_percentage_request_volume",
            COUNT,
            "50",
            "Requests in an interval that are enough.",
        ),
        defaulted(
            "successful_active_health_check_uneject_host",
            Kind::Boolean,
            "true",
            "An endpoint that an active check finds healthy is ejected no more.",
        ),
    ],
);
