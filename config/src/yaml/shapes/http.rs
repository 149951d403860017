//! How HTTP is spoken.

use super::{
    ACCESS_LOGS, COMPRESSION_OR_OFF, EXTERNAL_AUTHORIZATION_OR_OFF, FAULT_OR_OFF, HEADERS_BYTES,
    HEADERS_COUNT, HINT_PEERS, HTTP2, JWT_REQUIREMENT_OR_OFF, RATE_LIMIT_NAMES, TRACING_OR_OFF, U32,
};
use crate::yaml::shape::{Kind, Shape, defaulted, optional, required};

/// Protocols to upgrade to.
pub(crate) const UPGRADES: Kind = Kind::List(&Kind::Text("websocket"));

/// `pass`, or a value that is set or appended.
const PROXY_HEADER_KIND: Kind = Kind::Either(&[Kind::Choice(&["pass"]), Kind::Object(&PROXY_HEADER)]);

pub(crate) static HTTP: Shape = Shape::new(
    "http",
    "The HTTP side of a filter chain.",
    &[
        required(
            "route_configuration",
            Kind::Name,
            "The name of a route configuration.",
        ),
        defaulted(
            "accept_http_10",
            Kind::Boolean,
            "false",
            "HTTP/1.0 requests are accepted (else 505).",
        ),
        optional("http2", Kind::Object(&HTTP2), "HTTP/2 settings."),
        defaulted(
            "request_headers_bytes_max",
            HEADERS_BYTES,
            "60KiB",
            "Bytes of a request head at most (431).",
        ),
        defaulted(
            "request_headers_count_max",
            HEADERS_COUNT,
            "100",
            "Fields of a request head at most (431).",
        ),
        defaulted(
            "request_headers_timeout",
            Kind::Duration { zero: false },
            "10s",
            "From the first byte of a request to the end of its head (408).",
        ),
        defaulted(
            "idle_timeout",
            Kind::Duration { zero: false },
            "1h",
            "A connection without a request is closed after this.",
        ),
        defaulted(
            "stream_idle_timeout",
            Kind::DurationOrOff { zero: false },
            "5m",
            "A stream on which nothing moves is ended after this; a route may say otherwise.",
        ),
        defaulted(
            "connection_age_max",
            Kind::DurationOrOff { zero: false },
            "off",
            "A connection is drained after this age.",
        ),
        defaulted(
            "requests_per_connection_max",
            Kind::IntegerOrOff { min: 1, max: U32 },
            "off",
            "A connection is drained after this many requests.",
        ),
        defaulted(
            "escaped_slashes",
            Kind::Choice(&["keep", "unescape", "refuse"]),
            "keep",
            "What is done with %2F and %5C in paths.",
        ),
        defaulted(
            "repeated_slashes",
            Kind::Choice(&["keep", "merge", "refuse"]),
            "keep",
            "What is done with repeated slashes in paths.",
        ),
        defaulted(
            "upgrades",
            UPGRADES,
            "[websocket]",
            "Protocols that a client may upgrade to; to others it is not, as RFC 9110 has it. A route may say otherwise.",
        ),
        defaulted(
            "upgrade_idle_timeout",
            Kind::DurationOrOff { zero: false },
            "1h",
            "An upgraded connection or tunnel on which nothing moves is ended after this; a route may say otherwise.",
        ),
        defaulted(
            "xff_num_trusted_hops",
            Kind::Integer { min: 0, max: 255 },
            "0",
            "Proxies in front of this one whose x-forwarded-* headers are trusted; 0: the headers are replaced.",
        ),
        optional(
            "trusted_proxies",
            Kind::List(&Kind::Text("10.0.0.0/8")),
            "Prefixes of peers whose x-forwarded-* headers are trusted by `xff_num_trusted_hops`; all if not given.",
        ),
        defaulted(
            "compression",
            COMPRESSION_OR_OFF,
            "off",
            "Compression of responses; a route may turn it off.",
        ),
        defaulted(
            "server_header",
            PROXY_HEADER_KIND,
            "{set: outrigger}",
            "What is done with the `server` header of responses.",
        ),
        defaulted(
            "via_header",
            PROXY_HEADER_KIND,
            "pass",
            "What is done with the `via` header.",
        ),
        defaulted(
            "jwt",
            JWT_REQUIREMENT_OR_OFF,
            "off",
            "Tokens that requests need; a route may say otherwise.",
        ),
        defaulted(
            "external_authorization",
            EXTERNAL_AUTHORIZATION_OR_OFF,
            "off",
            "Another service is asked whether a request may go on; a route may say otherwise.",
        ),
        optional(
            "forward_client_certificate",
            Kind::Object(&FORWARD_CLIENT_CERTIFICATE),
            "What is done with x-forwarded-client-cert; it is taken off if not given.",
        ),
        optional(
            "rate_limits",
            RATE_LIMIT_NAMES,
            "Rate limits that apply to every request that a route takes.",
        ),
        defaulted(
            "fault",
            FAULT_OR_OFF,
            "off",
            "What is broken on purpose, on routes that do not say otherwise.",
        ),
        defaulted(
            "request_timeout",
            Kind::DurationOrOff { zero: false },
            "off",
            "From the end of a request's head to its last byte (408).",
        ),
        optional(
            "hint_peers",
            Kind::Object(&HINT_PEERS),
            "Peers whose hints on deadlines and retries are believed; those with a verified SPIFFE id if not given.",
        ),
        defaulted(
            "tracing",
            TRACING_OR_OFF,
            "off",
            "How requests are traced; a route may say otherwise.",
        ),
        optional(
            "access_logs",
            ACCESS_LOGS,
            "Where requests are logged; nowhere if not given.",
        ),
    ],
);

pub(crate) static FORWARD_CLIENT_CERTIFICATE: Shape = Shape::new(
    "forward client certificate",
    "What upstreams are told of clients' certificates by x-forwarded-client-cert.",
    &[
        required(
            "mode",
            Kind::Choice(&[
                "sanitize",
                "forward_only",
                "append_forward",
                "sanitize_set",
                "always_forward_only",
            ]),
            "With mutual TLS: taken off; passed as it came; this client appended to it; replaced by this client; passed. \
             Without: taken off, but for always_forward_only.",
        ),
        optional(
            "details",
            Kind::List(&Kind::Choice(&["cert", "chain", "subject", "uri", "dns"])),
            "What is told of a client beside our own URI names (By) and its certificate's SHA-256 (Hash).",
        ),
    ],
);

pub(crate) static PROXY_HEADER: Shape = Shape::new(
    "header value",
    "A value that replaces what came, or is appended to it.",
    &[
        optional("set", Kind::Text("a field value"), "Replaces what came."),
        optional("append", Kind::Text("a field value"), "Is appended to what came."),
    ],
)
.with_exactly_one(&["set", "append"]);
