//! Rate limits.

use super::U32;
use crate::yaml::shape::{Kind, Shape, defaulted, optional, required};

/// The fields by which filter chains, virtual hosts and routes name rate limits.
pub(crate) const RATE_LIMIT_NAMES: Kind = Kind::List(&Kind::Name);

/// Sources of a descriptor's values that a word names.
pub(crate) const DESCRIPTOR_WORDS: [&str; 8] = [
    "remote_address",
    "path_template",
    "path",
    "method",
    "host",
    "source_identity",
    "route",
    "virtual_host",
];

pub(crate) static RATE_LIMIT: Shape = Shape::new(
    "rate limit",
    "How often something may be done. Filter chains, virtual hosts and routes say where it applies; all that apply must allow a \
     request.",
    &[
        required("name", Kind::Name, "Unique among rate limits."),
        optional(
            "descriptors",
            Kind::List(&Kind::List(&Kind::Either(&[
                Kind::Choice(&DESCRIPTOR_WORDS),
                Kind::Object(&DESCRIPTOR_PART),
            ]))),
            "What requests are told apart by, each list a descriptor; a list does not count for a request that lacks one of its \
             parts. Local limits have one list, or none: then all requests count together.",
        ),
        optional(
            "local",
            Kind::Object(&LOCAL_RATE_LIMIT),
            "This process counts, exactly, across its workers.",
        ),
        optional(
            "global",
            Kind::Object(&GLOBAL_RATE_LIMIT),
            "A service counts that many proxies ask (Envoy's `ratelimit.v3`).",
        ),
        defaulted(
            "shadow",
            Kind::Boolean,
            "false",
            "It is asked and counted, and changes nothing.",
        ),
        defaulted(
            "status",
            Kind::Integer { min: 400, max: 599 },
            "429",
            "Status of what is refused.",
        ),
        defaulted(
            "grpc_status",
            Kind::Choice(&["unavailable", "resource_exhausted"]),
            "unavailable",
            "gRPC status of what is refused.",
        ),
        defaulted(
            "headers",
            Kind::Boolean,
            "false",
            "`x-ratelimit-limit`, `x-ratelimit-remaining` and `x-ratelimit-reset` are told with every answer.",
        ),
    ],
)
.with_exactly_one(&["local", "global"]);

/// Part of a descriptor: exactly one of these says where its value comes from.
pub(crate) const DESCRIPTOR_SOURCES: [&str; 12] = [
    "constant",
    "remote_address",
    "header",
    "query",
    "path_template",
    "path",
    "method",
    "host",
    "source_identity",
    "claim",
    "route",
    "virtual_host",
];

pub(crate) static DESCRIPTOR_PART: Shape = Shape::new(
    "descriptor part",
    "A part of a descriptor: a key, and where its value comes from.",
    &[
        optional(
            "key",
            Kind::Text("user"),
            "Its key; the name of the header, parameter or claim if not given, else that of the source (`generic_key` for a \
             constant).",
        ),
        optional("constant", Kind::Text("a text"), "This text."),
        optional(
            "remote_address",
            Kind::Either(&[Kind::Boolean, Kind::Object(&ADDRESS_PREFIXES)]),
            "The client's address, or its prefix.",
        ),
        optional(
            "header",
            Kind::Text("x-user"),
            "A header; a request without it lacks this part.",
        ),
        optional(
            "query",
            Kind::Text("user"),
            "A query parameter; a request without it lacks this part.",
        ),
        optional(
            "path_template",
            Kind::Boolean,
            "The path template of the route that was taken, else its path condition; bounded, unlike paths. Only `true`.",
        ),
        optional("path", Kind::Boolean, "The path, normalized; only `true`."),
        optional("method", Kind::Boolean, "The method; only `true`."),
        optional("host", Kind::Boolean, "The host, without its port; only `true`."),
        optional(
            "source_identity",
            Kind::Boolean,
            "The peer's verified SPIFFE id; a request without one lacks this part. Only `true`.",
        ),
        optional(
            "claim",
            Kind::Either(&[Kind::Text("sub"), Kind::FilledList(&Kind::Text("a key"))]),
            "A claim of a verified token, by its keys from the outside in; a request without it lacks this part.",
        ),
        optional(
            "provider",
            Kind::Name,
            "The JWT provider whose token is meant, with `claim`; any that was required if not given.",
        ),
        optional("route", Kind::Boolean, "The name of the route; only `true`."),
        optional(
            "virtual_host",
            Kind::Boolean,
            "The name of the virtual host; only `true`.",
        ),
    ],
)
.with_exactly_one(&DESCRIPTOR_SOURCES);

pub(crate) static ADDRESS_PREFIXES: Shape = Shape::new(
    "address prefixes",
    "How many bits of an address tell clients apart.",
    &[
        defaulted("v4_prefix", Kind::Integer { min: 0, max: 32 }, "32", "Of IPv4."),
        defaulted("v6_prefix", Kind::Integer { min: 0, max: 128 }, "128", "Of IPv6."),
    ],
);

pub(crate) static LOCAL_RATE_LIMIT: Shape = Shape::new(
    "local rate limit",
    "Token buckets of this process, one for each value of the descriptor.",
    &[
        required("limit", Kind::Object(&BUCKET), "The bucket of each value."),
        optional(
            "overrides",
            Kind::List(&Kind::Object(&RATE_LIMIT_OVERRIDE)),
            "Values with buckets of another size; the first that matches.",
        ),
        defaulted(
            "keys_max",
            Kind::Integer {
                min: 1,
                max: 10_000_000,
            },
            "10000",
            "Values that are counted at once, at most; beyond, those unused for longest are forgotten, and counted.",
        ),
    ],
);

pub(crate) static BUCKET: Shape = Shape::new(
    "bucket",
    "A token bucket: so many come back in each interval, evenly, and so many are there at once.",
    &[
        required(
            "requests",
            Kind::Integer { min: 1, max: U32 },
            "Requests, or new connections, in an interval.",
        ),
        defaulted(
            "per",
            Kind::Duration { zero: false },
            "1s",
            "The interval; at least 1ms.",
        ),
        optional(
            "burst",
            Kind::Integer { min: 1, max: U32 },
            "At once at most; `requests` if not given.",
        ),
    ],
);

pub(crate) static RATE_LIMIT_OVERRIDE: Shape = Shape::new(
    "rate limit override",
    "A bucket for some values.",
    &[
        required(
            "values",
            Kind::Map(&Kind::Text("a text")),
            "Keys of the descriptor with the values that are meant; keys that are not here have any value.",
        ),
        required("limit", Kind::Object(&BUCKET), "Their bucket."),
    ],
);

pub(crate) static GLOBAL_RATE_LIMIT: Shape = Shape::new(
    "global rate limit",
    "A rate limit service.",
    &[
        required(
            "cluster",
            Kind::Name,
            "The name of a cluster, which speaks HTTP/2.",
        ),
        optional(
            "authority",
            Kind::Text("ratelimit.example"),
            "`:authority`; the cluster's name if not given.",
        ),
        required("domain", Kind::Text("a text"), "The domain that is asked for."),
        defaulted("timeout", Kind::Duration { zero: false }, "20ms", "One question."),
        defaulted(
            "failure_denied",
            Kind::Boolean,
            "false",
            "A request is refused (500) where the service does not answer, or not in time; else it is let through.",
        ),
    ],
);
