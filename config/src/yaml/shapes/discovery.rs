//! Where a cluster's endpoints come from.

use crate::yaml::shape::{Kind, Shape, defaulted, optional, required};

/// The ways in which endpoints are found.
pub(crate) const DISCOVERY_TYPES: [&str; 4] = ["static", "strict_dns", "logical_dns", "original_destination"];

pub(crate) static DISCOVERY: Shape = Shape::new(
    "discovery",
    "Where a cluster's endpoints come from. `names` to `resolvers` are for DNS, the rest for original destinations.",
    &[
        required(
            "type",
            Kind::Choice(&DISCOVERY_TYPES),
            "static: `endpoints` lists them. strict_dns: every address of the names is one. logical_dns: the name is one, \
             and each new connection goes to its addresses of that moment. original_destination: a connection goes where \
             its downstream connection was meant for.",
        ),
        optional(
            "names",
            Kind::FilledList(&Kind::Object(&DNS_NAME)),
            "What is resolved; exactly one for logical_dns, at most 1000.",
        ),
        optional(
            "family",
            Kind::Choice(&["both", "v4", "v6", "v4_preferred", "v6_preferred"]),
            "Address families that are asked for and used; both if not given. A preferred one is used alone where it has \
             addresses.",
        ),
        optional(
            "ttl_min",
            Kind::Duration { zero: false },
            "An answer is kept at least this long; 1s if not given.",
        ),
        optional(
            "ttl_max",
            Kind::Duration { zero: false },
            "An answer is kept at most this long; 300s if not given.",
        ),
        optional(
            "stale_max",
            Kind::Duration { zero: true },
            "While answers fail, the last good one stays in force this long after it expired; 3600s if not given.",
        ),
        optional(
            "query_timeout",
            Kind::Duration { zero: false },
            "One query, its repetitions included; 5s if not given.",
        ),
        optional(
            "resolvers",
            Kind::List(&Kind::Text("10.0.0.10:53")),
            "Resolvers to ask, port 53 if none is given; those of the system if not given.",
        ),
        optional(
            "port",
            Kind::Integer { min: 1, max: 65_535 },
            "Connections go here instead of the original port.",
        ),
        optional(
            "allow",
            Kind::List(&Kind::Text("10.0.0.0/8")),
            "Destinations that connections may go to; all if not given.",
        ),
        optional(
            "keep_source",
            Kind::Boolean,
            "Connections have their client's address, so that the endpoint sees it; false if not given. Needs the \
             capability CAP_NET_ADMIN and the rules of `outrigger intercept apply --mode tproxy`.",
        ),
        optional(
            "endpoints_max",
            Kind::Integer {
                min: 1,
                max: 1_000_000,
            },
            "Destinations that are remembered at once at most, on each worker; 10000 if not given.",
        ),
        optional(
            "idle_timeout",
            Kind::Duration { zero: false },
            "A destination that nothing uses is forgotten after this; 60s if not given.",
        ),
    ],
);

pub(crate) static DNS_NAME: Shape = Shape::new(
    "dns name",
    "One name to resolve.",
    &[
        required("host", Kind::Text("backend.example"), "A domain name."),
        optional(
            "port",
            Kind::Integer { min: 1, max: 65_535 },
            "The endpoints' port.",
        ),
        optional(
            "srv",
            Kind::Boolean,
            "SRV records of the host give targets, ports and weights; only `true`.",
        ),
        // With the weight of an SRV record, which has 16 bits, a product of 32 bits.
        defaulted(
            "weight",
            Kind::Integer { min: 1, max: 65_535 },
            "1",
            "The share of each address; multiplied by an SRV record's own.",
        ),
    ],
)
.with_exactly_one(&["port", "srv"]);
