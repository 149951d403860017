//! Clusters and their endpoints.

use super::{
    ADAPTIVE_CONCURRENCY_KIND, CIRCUIT_BREAKERS, DISCOVERY, HEADERS_BYTES, HEADERS_COUNT, HEALTH_CHECK,
    HTTP2, LOAD_BALANCING_KIND, LOCALITY_BALANCING_KIND, LOCALITY_KIND, LOCALITY_WEIGHT,
    OUTLIER_DETECTION_KIND, PRIORITY, RETRY_BUDGET, SLOW_START_OR_OFF, SUBSETS, TCP_KEEPALIVE_OR_OFF, U32,
    UPSTREAM_PROXY_PROTOCOL_KIND, UPSTREAM_TLS,
};
use crate::yaml::shape::{Kind, Shape, defaulted, optional, required};

pub(crate) static CLUSTER: Shape = Shape::new(
    "cluster",
    "A group of endpoints that serve the same thing.",
    &[
        required("name", Kind::Name, "Unique among clusters."),
        optional(
            "discovery",
            Kind::Object(&DISCOVERY),
            "Where endpoints come from; they are listed if not given.",
        ),
        optional(
            "endpoints",
            Kind::List(&Kind::Object(&ENDPOINT)),
            "Endpoints that are listed; addresses are unique. Without any, requests are answered 503.",
        ),
        defaulted(
            "load_balancing",
            LOAD_BALANCING_KIND,
            "round_robin",
            "How an endpoint is picked.",
        ),
        defaulted(
            "slow_start",
            SLOW_START_OR_OFF,
            "off",
            "New endpoints get their share little by little.",
        ),
        defaulted(
            "locality_balancing",
            LOCALITY_BALANCING_KIND,
            "off",
            "How localities share requests: they are not looked at, or have shares by `locality_weights`, or requests stay in \
             this proxy's own zone.",
        ),
        optional(
            "locality_weights",
            Kind::List(&Kind::Object(&LOCALITY_WEIGHT)),
            "Shares of localities; those that are not here have a share of 1.",
        ),
        defaulted(
            "overprovisioning_factor",
            Kind::Integer { min: 100, max: 1000 },
            "140",
            "A priority, or a locality, counts as whole while its healthy endpoints multiplied by this make all of it, percent.",
        ),
        defaulted(
            "panic_threshold",
            Kind::Integer { min: 0, max: 100 },
            "50",
            "Where fewer endpoints than this are healthy, percent, health is not looked at any more; 0: never.",
        ),
        defaulted(
            "fails_in_panic",
            Kind::Boolean,
            "false",
            "In panic requests are refused (503) rather than sent to endpoints that are not healthy.",
        ),
        optional(
            "subsets",
            Kind::Object(&SUBSETS),
            "Groups of endpoints that routes can ask for.",
        ),
        optional(
            "protocol",
            Kind::Choice(&["http1", "http2", "auto"]),
            "Which HTTP version is spoken; http1 if not given, auto (what ALPN settles) with `tls`.",
        ),
        optional(
            "tls",
            Kind::Object(&UPSTREAM_TLS),
            "TLS to the endpoints; plain text if not given.",
        ),
        defaulted(
            "proxy_protocol",
            UPSTREAM_PROXY_PROTOCOL_KIND,
            "off",
            "The PROXY protocol header that each connection begins with; HTTP connections are then not shared between \
             downstream connections.",
        ),
        defaulted(
            "connect_timeout",
            Kind::Duration { zero: false },
            "5s",
            "From the first SYN to a connection that is ready, TLS included.",
        ),
        optional(
            "health_check",
            Kind::Object(&HEALTH_CHECK),
            "Endpoints are asked whether they serve; they are not if not given.",
        ),
        defaulted(
            "outlier_detection",
            OUTLIER_DETECTION_KIND,
            "false",
            "Endpoints are ejected by their answers to requests.",
        ),
        optional(
            "circuit_breakers",
            Kind::Object(&CIRCUIT_BREAKERS),
            "How much of it may be in use at once; 1024 connections, waiting requests and requests of each priority if not given.",
        ),
        optional(
            "retry_budget",
            Kind::Object(&RETRY_BUDGET),
            "How many retries there may be; always on.",
        ),
        defaulted(
            "adaptive_concurrency",
            ADAPTIVE_CONCURRENCY_KIND,
            "false",
            "A limit on concurrent requests that follows response times.",
        ),
        optional("pool", Kind::Object(&POOL), "Limits of connections."),
        optional("http2", Kind::Object(&HTTP2), "HTTP/2 settings."),
        defaulted("tcp_keepalive", TCP_KEEPALIVE_OR_OFF, "off", "TCP keep-alive."),
        defaulted(
            "tcp_user_timeout",
            Kind::DurationOrOff { zero: false },
            "off",
            "TCP_USER_TIMEOUT; off: the kernel's.",
        ),
        defaulted(
            "response_headers_bytes_max",
            HEADERS_BYTES,
            "60KiB",
            "Bytes of a response head at most (502).",
        ),
        defaulted(
            "response_headers_count_max",
            HEADERS_COUNT,
            "100",
            "Fields of a response head at most (502).",
        ),
    ],
);

pub(crate) static ENDPOINT: Shape = Shape::new(
    "endpoint",
    "One address that serves.",
    &[
        required("address", Kind::Address, "Where."),
        defaulted("weight", Kind::Integer { min: 1, max: U32 }, "1", "Its share."),
        optional(
            "metadata",
            Kind::Map(&Kind::Text("a text")),
            "Key-value pairs, by which subsets are made.",
        ),
        optional("locality", LOCALITY_KIND, "Where it runs."),
        defaulted(
            "priority",
            PRIORITY,
            "0",
            "Endpoints of a higher number get requests only as those of lower numbers cannot take them all; no number is left out.",
        ),
        defaulted(
            "status",
            Kind::Choice(&["healthy", "draining", "unhealthy", "degraded"]),
            "healthy",
            "What is said of its health: it serves; it gets no new work; it is not to be used; it serves where the others are too few.",
        ),
    ],
);

pub(crate) static POOL: Shape = Shape::new(
    "pool",
    "Limits of upstream connections.",
    &[
        optional(
            "idle_timeout",
            Kind::Duration { zero: false },
            "An unused connection is closed after this; 3s for HTTP/1, 1h for HTTP/2 if not given.",
        ),
        defaulted(
            "connection_age_max",
            Kind::DurationOrOff { zero: false },
            "off",
            "A connection takes no new request after this age.",
        ),
        defaulted(
            "requests_per_connection_max",
            Kind::IntegerOrOff { min: 1, max: U32 },
            "off",
            "A connection takes no more than this many requests.",
        ),
    ],
);
