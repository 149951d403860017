//! Listeners, filter chains and how they speak HTTP.

use super::{CERTIFICATE, HEADERS_BYTES, HEADERS_COUNT, HTTP2, TCP_KEEPALIVE_OR_OFF, U32};
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
            "For a connection the most specific match wins: destination port, server name, transport, ALPN, source.",
        ),
    ],
);

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
        required("http", Kind::Object(&HTTP), "How HTTP is spoken."),
    ],
);

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
            "source_prefixes",
            Kind::List(&Kind::Text("10.0.0.0/8")),
            "Prefixes of the peer's address.",
        ),
        optional(
            "server_names",
            Kind::List(&Kind::Text("a.example, *.b.example")),
            "Server names (SNI); only where the chain has `tls`.",
        ),
        optional(
            "application_protocols",
            Kind::List(&Kind::Text("h2")),
            "ALPN names that the client offers; only where the chain has `tls`.",
        ),
        optional(
            "transport",
            Kind::Choice(&["raw", "tls"]),
            "What the first bytes say.",
        ),
    ],
);

pub(crate) static DOWNSTREAM_TLS: Shape = Shape::new(
    "downstream tls",
    "TLS termination from files.",
    &[
        required(
            "certificates",
            Kind::FilledList(&Kind::Object(&CERTIFICATE)),
            "The server name picks one; the first is the default.",
        ),
        defaulted(
            "application_protocols",
            Kind::FilledList(&Kind::Choice(&["h2", "http/1.1"])),
            "[h2, http/1.1]",
            "ALPN names offered, in order of preference.",
        ),
        optional(
            "client_ca_file",
            Kind::File,
            "A client certificate that chains to a root in this file is required; not asked for if not given.",
        ),
        defaulted(
            "handshake_timeout",
            Kind::Duration { zero: false },
            "10s",
            "From accept to the handshake's end.",
        ),
    ],
);

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
            "xff_num_trusted_hops",
            Kind::Integer { min: 0, max: 255 },
            "0",
            "Proxies in front of this one whose x-forwarded-* headers are trusted; 0: the headers are replaced.",
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
        optional(
            "access_logs",
            Kind::List(&Kind::Object(&ACCESS_LOG)),
            "Where requests are logged; nowhere if not given.",
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

pub(crate) static ACCESS_LOG: Shape = Shape::new(
    "access log",
    "One access log.",
    &[
        required(
            "path",
            Kind::Text("stdout, stderr or a file name"),
            "Where lines go.",
        ),
        defaulted(
            "format",
            Kind::Either(&[Kind::Choice(&["text", "json"]), Kind::Object(&ACCESS_LOG_FORMAT)]),
            "text",
            "Envoy's default line, a JSON object of the usual fields, or your own.",
        ),
    ],
);

pub(crate) static ACCESS_LOG_FORMAT: Shape = Shape::new(
    "format",
    "A format of your own, with Envoy's operators (%RESPONSE_CODE%).",
    &[
        optional("text", Kind::Text("a line with operators"), "A text line."),
        optional(
            "json",
            Kind::Map(&Kind::Text("a text with operators")),
            "A JSON object, keys to texts, in order.",
        ),
    ],
)
.with_exactly_one(&["text", "json"]);
