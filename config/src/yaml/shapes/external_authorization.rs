//! External authorization.

use super::STRINGS;
use crate::yaml::shape::{Kind, Shape, defaulted, optional, required};

const CONTEXT: Kind = Kind::Map(&Kind::Text("a text"));

/// `off`, or which service is asked.
pub(crate) const EXTERNAL_AUTHORIZATION_OR_OFF: Kind =
    Kind::Either(&[Kind::Choice(&["off"]), Kind::Object(&EXTERNAL_AUTHORIZATION)]);

/// `off`, or what a route tells in addition.
pub(crate) const ROUTE_EXTERNAL_AUTHORIZATION_KIND: Kind = Kind::Either(&[
    Kind::Choice(&["off"]),
    Kind::Object(&ROUTE_EXTERNAL_AUTHORIZATION),
]);

pub(crate) static EXTERNAL_AUTHORIZATION: Shape = Shape::new(
    "external authorization",
    "How another service is asked whether a request may go on, after tokens and policies (Envoy's `ext_authz`, v3).",
    &[
        optional(
            "grpc",
            Kind::Object(&GRPC_AUTHORIZATION),
            "By `envoy.service.auth.v3.Authorization/Check`.",
        ),
        optional(
            "http",
            Kind::Object(&HTTP_AUTHORIZATION),
            "By a request that is answered 200 if it may go on.",
        ),
        defaulted(
            "timeout",
            Kind::Duration { zero: false },
            "200ms",
            "The whole question, retries included.",
        ),
        defaulted(
            "failure_allowed",
            Kind::Boolean,
            "false",
            "A request is let through where the service does not answer, or not in time.",
        ),
        defaulted(
            "error_status",
            Kind::Integer { min: 400, max: 599 },
            "403",
            "Status where the service fails and failure is not allowed.",
        ),
        optional(
            "request_headers",
            STRINGS,
            "Names of request headers that the service is told of. If not given: all over gRPC, and over HTTP \
             `authorization` alone.",
        ),
        optional(
            "body",
            Kind::Object(&AUTHORIZATION_BODY),
            "The body is told too; it is not read if not given.",
        ),
        defaulted(
            "include_peer_certificate",
            Kind::Boolean,
            "false",
            "The peer's certificate is told.",
        ),
        optional("context", CONTEXT, "Told as context extensions (gRPC)."),
        optional(
            "cache",
            Kind::Object(&DECISION_CACHE),
            "Decisions are kept; each request is asked for if not given.",
        ),
    ],
)
.with_exactly_one(&["grpc", "http"]);

pub(crate) static GRPC_AUTHORIZATION: Shape = Shape::new(
    "grpc authorization service",
    "A service that is asked over gRPC.",
    &[
        required(
            "cluster",
            Kind::Name,
            "The name of a cluster, which speaks HTTP/2.",
        ),
        optional(
            "authority",
            Kind::Text("authz.example"),
            "`:authority`; the cluster's name if not given.",
        ),
    ],
);

pub(crate) static HTTP_AUTHORIZATION: Shape = Shape::new(
    "http authorization service",
    "A service that is asked over HTTP: the request's method, path and headers.",
    &[
        required("cluster", Kind::Name, "The name of a cluster."),
        optional(
            "authority",
            Kind::Text("authz.example"),
            "`host`; the request's own if not given.",
        ),
        optional(
            "path_prefix",
            Kind::Text("/authorize"),
            "Stands before the request's path; nothing if not given.",
        ),
        optional(
            "upstream_headers",
            STRINGS,
            "Names of the answer's headers that the upstream is told, in place of the client's.",
        ),
        optional(
            "client_headers",
            STRINGS,
            "Names of the answer's headers that the client is told if it is denied, beside `www-authenticate`, \
             `proxy-authenticate`, `location` and `set-cookie`.",
        ),
    ],
);

pub(crate) static AUTHORIZATION_BODY: Shape = Shape::new(
    "authorization body",
    "How the body is told.",
    &[
        required(
            "bytes_max",
            Kind::Size {
                min: 1,
                max: 16 * 1024 * 1024,
            },
            "Bytes at most.",
        ),
        defaulted(
            "partial_allowed",
            Kind::Boolean,
            "false",
            "Of a longer body the beginning is told; else it is answered 413.",
        ),
    ],
);

pub(crate) static DECISION_CACHE: Shape = Shape::new(
    "decision cache",
    "Decisions that are kept for requests of which the service is told the same; of other headers it is not told.",
    &[
        required("time_to_live", Kind::Duration { zero: false }, "How long."),
        defaulted(
            "entries_max",
            Kind::Integer {
                min: 1,
                max: 1_000_000,
            },
            "10000",
            "Decisions at most, for each worker.",
        ),
        optional(
            "headers",
            Kind::List(&Kind::Text("a header name")),
            "Headers that the service is told and that tell requests apart, beside `authorization` and `cookie`.",
        ),
    ],
);

pub(crate) static ROUTE_EXTERNAL_AUTHORIZATION: Shape = Shape::new(
    "route external authorization",
    "What a route changes in its filter chain's external authorization.",
    &[required(
        "context",
        CONTEXT,
        "Told in addition, in place of those of the same key.",
    )],
);
