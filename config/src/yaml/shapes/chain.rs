//! Filter chains: what they match, how TLS is terminated, where bytes go.

use super::{
    ACCESS_LOGS, DOWNSTREAM_TLS, HTTP, POLICIES, RATE_LIMIT_NAMES, SUBSET, TARGET, TARGETS, TARGETS_WEIGHTED,
};
use crate::yaml::shape::{Kind, Shape, defaulted, optional};

/// The modes of a filter chain.
pub(crate) const MODES: [&str; 3] = ["http", "tcp", "auto"];

pub(crate) static FILTER_CHAIN: Shape = Shape::new(
    "filter chain",
    "What is done with the connections that match.",
    &[
        optional(
            "name",
            Kind::Name,
            "Unique in its listener; `chain-INDEX` if not given.",
        ),
        optional(
            "match",
            Kind::Object(&FILTER_CHAIN_MATCH),
            "Which connections; all if not given.",
        ),
        optional(
            "tls",
            Kind::Object(&DOWNSTREAM_TLS),
            "TLS is terminated here; plain text if not given.",
        ),
        optional("http", Kind::Object(&HTTP), "How HTTP is spoken."),
        optional(
            "tcp",
            Kind::Object(&TCP),
            "Where bytes are passed on to: all, or with `http` those of other protocols.",
        ),
        optional(
            "authorization",
            POLICIES,
            "Authorization policies that apply here; without any, everything is allowed.",
        ),
        optional(
            "mode",
            Kind::Choice(&MODES),
            "What is spoken. It follows from what is given: `http`, `tcp`, or with both `auto`, what the first bytes say.",
        ),
        optional(
            "detection_timeout",
            Kind::Duration { zero: false },
            "A client that has said too little to tell its protocol after this is served as TCP; only with both `http` \
             and `tcp`; 10s if not given.",
        ),
    ],
)
.with_at_least_one(&["http", "tcp"]);

pub(crate) static FILTER_CHAIN_MATCH: Shape = Shape::new(
    "filter chain match",
    "Which connections a filter chain takes: all conditions must hold.",
    &[
        optional(
            "destination_port",
            Kind::Integer { min: 1, max: 65_535 },
            "The connection's local port.",
        ),
        optional(
            "destination_prefixes",
            Kind::List(&Kind::Text("10.0.0.0/8")),
            "Prefixes of the address that the connection was meant for.",
        ),
        optional(
            "source_prefixes",
            Kind::List(&Kind::Text("10.0.0.0/8")),
            "Prefixes of the peer's address.",
        ),
        optional(
            "server_names",
            Kind::List(&Kind::Text("a.example, *.b.example")),
            "Server names (SNI); only where the chain has `tls`, or `tcp` to pass TLS through.",
        ),
        optional(
            "application_protocols",
            Kind::List(&Kind::Text("h2")),
            "ALPN names that the client offers; only where the chain has `tls`, or `tcp` to pass TLS through.",
        ),
        optional(
            "transport",
            Kind::Choice(&["raw", "tls"]),
            "What the first bytes say.",
        ),
    ],
);

pub(crate) static TCP: Shape = Shape::new(
    "tcp",
    "Passing a connection's bytes on to an endpoint.",
    &[
        TARGET,
        SUBSET,
        TARGETS_WEIGHTED,
        defaulted(
            "idle_timeout",
            Kind::DurationOrOff { zero: false },
            "1h",
            "A connection on which no byte moves in either direction is closed after this.",
        ),
        defaulted(
            "connection_duration_max",
            Kind::DurationOrOff { zero: false },
            "off",
            "A connection is closed at this age.",
        ),
        defaulted(
            "connect_attempts_max",
            Kind::Integer { min: 1, max: 255 },
            "2",
            "Endpoints that are tried before the connection is given up.",
        ),
        optional(
            "rate_limits",
            RATE_LIMIT_NAMES,
            "Rate limits on new connections, beside the listener's; of their descriptors only what is known of a connection counts.",
        ),
        defaulted(
            "hash_source_address",
            Kind::Boolean,
            "false",
            "Clusters with consistent hashing pick by the client's address; else at random.",
        ),
        optional(
            "access_logs",
            ACCESS_LOGS,
            "Where connections are logged; nowhere if not given.",
        ),
    ],
)
.with_exactly_one(&TARGETS);
