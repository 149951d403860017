//! Listeners.

use super::{DOWNSTREAM_PROXY_PROTOCOL_KIND, FILTER_CHAIN, TCP_KEEPALIVE_OR_OFF, U32};
use crate::yaml::shape::{Kind, Shape, defaulted, optional, required};

pub(crate) static LISTENER: Shape = Shape::new(
    "listener",
    "A listening address with its filter chains.",
    &[
        required("name", Kind::Name, "Unique among listeners."),
        required(
            "address",
            Kind::Address,
            "Unique among listeners; port 0 lets the kernel choose.",
        ),
        defaulted(
            "connections_max",
            Kind::Integer { min: 1, max: U32 },
            "100000",
            "Connections at once at most; one more is closed at once.",
        ),
        defaulted(
            "backlog",
            Kind::Integer {
                min: 1,
                max: (1 << 31) - 1,
            },
            "4096",
            "Listen backlog.",
        ),
        defaulted(
            "connection_rate_max",
            Kind::Either(&[Kind::Choice(&["off"]), Kind::Object(&CONNECTION_RATE)]),
            "off",
            "New connections in a second at most; those beyond are closed at once.",
        ),
        defaulted(
            "proxy_protocol",
            DOWNSTREAM_PROXY_PROTOCOL_KIND,
            "off",
            "Whether connections begin with a PROXY protocol header.",
        ),
        defaulted(
            "interception",
            Kind::Choice(&["off", "redirect", "tproxy"]),
            "off",
            "How the address that a connection was meant for is learnt, where rules of the kernel led it here: redirect by \
             SO_ORIGINAL_DST, tproxy from the socket itself.",
        ),
        defaulted(
            "direction",
            Kind::Choice(&["unspecified", "inbound", "outbound"]),
            "unspecified",
            "Where its requests come from, seen from the service that the proxy stands beside: metrics tell them apart by it.",
        ),
        defaulted(
            "tcp_keepalive",
            TCP_KEEPALIVE_OR_OFF,
            "off",
            "TCP keep-alive of accepted connections.",
        ),
        defaulted(
            "tcp_user_timeout",
            Kind::DurationOrOff { zero: false },
            "off",
            "TCP_USER_TIMEOUT of accepted connections; off: the kernel's.",
        ),
        required(
            "filter_chains",
            Kind::FilledList(&Kind::Object(&FILTER_CHAIN)),
            "For a connection the most specific match wins: destination port, \
             destination prefix, server name, transport, ALPN, source.",
        ),
    ],
);

pub(crate) static CONNECTION_RATE: Shape = Shape::new(
    "connection rate",
    "A rate of new connections, as a token bucket.",
    &[
        required(
            "per_second",
            Kind::Integer { min: 1, max: U32 },
            "Tokens that come back in a second.",
        ),
        optional(
            "burst",
            Kind::Integer { min: 1, max: U32 },
            "Tokens at most, and at first; `per_second` if not given.",
        ),
    ],
);
