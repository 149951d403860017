//! What is done with requests.

use super::{HASH_POLICY, RETRY_OR_OFF, SUBSET, TARGET, TARGETS, TARGETS_WEIGHTED, UPGRADES};
use crate::yaml::shape::{Field, Kind, Shape, defaulted, optional, required};

const TEMPLATE_REWRITE: Field = optional(
    "template_rewrite",
    Kind::Text("/b/{id}"),
    "The path, with variables of the template that the route matches by.",
);

pub(crate) static FORWARD: Shape = Shape::new(
    "forward",
    "Forwarding to clusters.",
    &[
        TARGET,
        SUBSET,
        TARGETS_WEIGHTED,
        optional("prefix_rewrite", Kind::Text("/b"), "Replaces the matched prefix or path."),
        optional("regex_rewrite", Kind::Object(&REGEX_REWRITE), "Replaces what matches in the path."),
        TEMPLATE_REWRITE,
        optional("host_rewrite", Kind::Text("a host, with or without port"), "The authority that is sent."),
        optional(
            "timeout",
            Kind::DurationOrOff { zero: true },
            "From the end of the request to the end of the response; 15s if not given, and none for gRPC then; \
             `0s` or `off`: none.",
        ),
        optional(
            "stream_idle_timeout",
            Kind::DurationOrOff { zero: false },
            "A stream on which nothing moves is ended after this; the filter chain's if not given.",
        ),
        optional(
            "upgrades",
            UPGRADES,
            "Protocols that a client may upgrade to; the filter chain's if not given.",
        ),
        optional(
            "upgrade_idle_timeout",
            Kind::DurationOrOff { zero: false },
            "An upgraded connection or tunnel on which nothing moves is ended after this; the filter chain's if not given.",
        ),
        optional(
            "connect",
            Kind::Choice(&["terminate", "pass"]),
            "What becomes of a CONNECT request: what follows it goes to an endpoint as plain bytes, or it is passed on to \
             another proxy; terminate if not given. Only with `match: {connect: true}`.",
        ),
        optional(
            "mirrors",
            Kind::List(&Kind::Object(&MIRROR)),
            "Clusters that get copies of requests. Copies never slow or fail the original; their answers are thrown away.",
        ),
        optional(
            "session_cookie",
            Kind::Object(&SESSION_COOKIE),
            "A cookie that keeps a client at the endpoint that served it first.",
        ),
        optional(
            "retry",
            RETRY_OR_OFF,
            "When a failed attempt is repeated; the virtual host's if not given. `off`: only what provably never ran.",
        ),
        optional(
            "hash_policy",
            Kind::List(&Kind::Object(&HASH_POLICY)),
            "What the hash of a request is made of, for clusters with consistent hashing; these pick at random if not given.",
        ),
        defaulted(
            "priority",
            Kind::Choice(&["default", "high"]),
            "default",
            "Which of the clusters' circuit breakers requests count against.",
        ),
        defaulted(
            "stream_duration_max",
            Kind::DurationOrOff { zero: false },
            "off",
            "A stream ends at this age, its answer whole or not.",
        ),
        optional(
            "client_timeout_max",
            Kind::Duration { zero: false },
            "A `grpc-timeout`, or a deadline that a believed peer tells, is cut to this; to `timeout` if not given, where that is.",
        ),
    ],
)
.with_exactly_one(&TARGETS)
.with_at_most_one(&["prefix_rewrite", "regex_rewrite", "template_rewrite"]);

pub(crate) static REGEX_REWRITE: Shape = Shape::new(
    "regex_rewrite",
    "A regular expression and what its matches become.",
    &[
        required(
            "pattern",
            Kind::Text("a regular expression"),
            "Every match is replaced.",
        ),
        required(
            "substitution",
            Kind::Text("/x/\\1"),
            "The replacement; `\\1` stands for a group, `\\\\` for `\\`.",
        ),
    ],
);

pub(crate) static REDIRECT: Shape = Shape::new(
    "redirect",
    "A redirect; what is not given stays as it came.",
    &[
        optional("scheme", Kind::Choice(&["http", "https"]), "The scheme."),
        optional("host", Kind::Text("a host"), "The host."),
        optional("port", Kind::Integer { min: 1, max: 65_535 }, "The port."),
        optional("path", Kind::Text("/b"), "The path."),
        optional(
            "prefix_rewrite",
            Kind::Text("/b"),
            "Replaces the matched prefix or path.",
        ),
        optional(
            "regex_rewrite",
            Kind::Object(&REGEX_REWRITE),
            "Replaces what matches in the path.",
        ),
        TEMPLATE_REWRITE,
        defaulted(
            "status",
            Kind::Number(&[301, 302, 303, 307, 308]),
            "301",
            "The status.",
        ),
        defaulted("strip_query", Kind::Boolean, "false", "The query is dropped."),
    ],
)
.with_at_most_one(&["path", "prefix_rewrite", "regex_rewrite", "template_rewrite"]);

pub(crate) static DIRECT_RESPONSE: Shape = Shape::new(
    "direct_response",
    "An answer given here.",
    &[
        required("status", Kind::Integer { min: 200, max: 599 }, "The status."),
        defaulted(
            "body",
            Kind::Text("a text"),
            "\"\"",
            "The body; at most 4096 bytes.",
        ),
        defaulted(
            "content_type",
            Kind::Text("a media type"),
            "text/plain",
            "The body's media type.",
        ),
    ],
);

pub(crate) static MIRROR: Shape = Shape::new(
    "mirror",
    "A cluster that gets copies of a share of the requests.",
    &[
        required("cluster", Kind::Name, "The name of a cluster."),
        defaulted(
            "percent",
            Kind::Percent,
            "100",
            "The share that is copied, with at most four digits after the point.",
        ),
    ],
);

pub(crate) static SESSION_COOKIE: Shape = Shape::new(
    "session_cookie",
    "Session persistence by a cookie, whose value says which endpoint, and not its address.",
    &[
        required("name", Kind::Text("the name of a cookie"), "The cookie's name."),
        optional(
            "max_age",
            Kind::Duration { zero: false },
            "How long the browser keeps it; until it is closed if not given.",
        ),
        defaulted("path", Kind::Text("/"), "/", "The paths that it is sent for."),
        defaulted(
            "strict",
            Kind::Boolean,
            "false",
            "A request whose endpoint is not there any more is answered 503 rather than sent to another.",
        ),
        optional(
            "same_site",
            Kind::Choice(&["strict", "lax", "none"]),
            "Its SameSite attribute; not sent if not given.",
        ),
    ],
);
