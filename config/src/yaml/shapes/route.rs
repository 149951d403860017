//! Route configurations, virtual hosts, routes, their matches and actions.

use super::{TARGET, TARGETS, TARGETS_WEIGHTED, UPGRADES};
use crate::yaml::shape::{Kind, Shape, defaulted, optional, required};

const EDITS: Kind = Kind::Object(&HEADER_EDITS);

pub(crate) static ROUTE_CONFIGURATION: Shape = Shape::new(
    "route configuration",
    "A named set of virtual hosts.",
    &[
        required("name", Kind::Name, "Unique among route configurations."),
        optional(
            "virtual_hosts",
            Kind::List(&Kind::Object(&VIRTUAL_HOST)),
            "Virtual hosts; no domain stands twice.",
        ),
    ],
);

pub(crate) static VIRTUAL_HOST: Shape = Shape::new(
    "virtual host",
    "Routes for a set of domains.",
    &[
        required("name", Kind::Name, "Unique in its route configuration."),
        required(
            "domains",
            Kind::FilledList(&Kind::Text("a.example, *.a.example, api.*, *")),
            "Which hosts, without port: exact before the longest suffix before the longest prefix before `*`.",
        ),
        optional(
            "request_headers",
            EDITS,
            "Edits of requests to upstreams, after the route's.",
        ),
        optional(
            "response_headers",
            EDITS,
            "Edits of responses, after the route's.",
        ),
        optional(
            "routes",
            Kind::List(&Kind::Object(&ROUTE)),
            "Routes; the first that matches is taken.",
        ),
    ],
);

pub(crate) static ROUTE: Shape = Shape::new(
    "route",
    "Which requests, and what is done with them.",
    &[
        optional(
            "name",
            Kind::Name,
            "Unique in its virtual host; `VIRTUALHOST/INDEX` if not given.",
        ),
        required(
            "match",
            Kind::Object(&ROUTE_MATCH),
            "Which requests: all conditions must hold.",
        ),
        optional("forward", Kind::Object(&FORWARD), "Forwarded to a cluster."),
        optional("redirect", Kind::Object(&REDIRECT), "Answered with a redirect."),
        optional(
            "direct_response",
            Kind::Object(&DIRECT_RESPONSE),
            "Answered here.",
        ),
        optional("request_headers", EDITS, "Edits of the request to the upstream."),
        optional(
            "response_headers",
            EDITS,
            "Edits of the response, local replies included.",
        ),
        optional(
            "request_body_max",
            Kind::Size {
                min: 0,
                max: i64::MAX as u64,
            },
            "Bytes of request body at most (413); unlimited if not given.",
        ),
    ],
)
.with_exactly_one(&["forward", "redirect", "direct_response"]);

pub(crate) static ROUTE_MATCH: Shape = Shape::new(
    "route match",
    "Which requests a route takes: all conditions must hold.",
    &[
        optional("path", Kind::Text("/a/b"), "The whole path."),
        optional(
            "prefix",
            Kind::Text("/a"),
            "The path's beginning, on segment borders: `/a` takes `/a/b`, not `/ab`.",
        ),
        optional(
            "template",
            Kind::Text("/a/{id}/b"),
            "Segments, of which `{name}` takes exactly one.",
        ),
        optional(
            "regex",
            Kind::Text("a regular expression"),
            "The whole path matches.",
        ),
        optional(
            "grpc",
            Kind::Object(&GRPC_MATCH),
            "The request is gRPC, for this service.",
        ),
        optional(
            "connect",
            Kind::Boolean,
            "CONNECT requests, which have no path, and nothing else; only `true`. Other routes never take them.",
        ),
        optional(
            "methods",
            Kind::FilledList(&Kind::Text("GET")),
            "Methods; any if not given.",
        ),
        optional(
            "headers",
            Kind::List(&Kind::Object(&HEADER_MATCH)),
            "Conditions on headers.",
        ),
        optional(
            "query",
            Kind::List(&Kind::Object(&QUERY_MATCH)),
            "Conditions on query parameters.",
        ),
    ],
)
.with_exactly_one(&["path", "prefix", "template", "regex", "grpc", "connect"]);

pub(crate) static GRPC_MATCH: Shape = Shape::new(
    "grpc",
    "A gRPC service, or one of its methods.",
    &[
        required(
            "service",
            Kind::Text("package.Service"),
            "The service's full name.",
        ),
        optional("method", Kind::Text("Method"), "The method; all if not given."),
    ],
);

/// The ways in which a header's or parameter's value is compared.
const VALUE_MATCH: &[&str] = &["exact", "prefix", "suffix", "contains", "regex", "present"];

pub(crate) static HEADER_MATCH: Shape = Shape::new(
    "header condition",
    "A condition on a request header; several fields of one name count as one, joined by commas.",
    &[
        required("name", Kind::Text("a header name"), "The header."),
        optional("exact", Kind::Text("a value"), "The value is this."),
        optional("prefix", Kind::Text("a value"), "The value begins with this."),
        optional("suffix", Kind::Text("a value"), "The value ends with this."),
        optional("contains", Kind::Text("a value"), "The value contains this."),
        optional(
            "regex",
            Kind::Text("a regular expression"),
            "The whole value matches.",
        ),
        optional(
            "present",
            Kind::Boolean,
            "The header is there, with any value; only `true`.",
        ),
        defaulted(
            "invert",
            Kind::Boolean,
            "false",
            "The condition holds where the rest does not.",
        ),
    ],
)
.with_exactly_one(VALUE_MATCH);

pub(crate) static QUERY_MATCH: Shape = Shape::new(
    "query condition",
    "A condition on the first query parameter of a name, percent-decoded.",
    &[
        required("name", Kind::Text("a parameter name"), "The parameter."),
        optional("exact", Kind::Text("a value"), "The value is this."),
        optional("prefix", Kind::Text("a value"), "The value begins with this."),
        optional("suffix", Kind::Text("a value"), "The value ends with this."),
        optional("contains", Kind::Text("a value"), "The value contains this."),
        optional(
            "regex",
            Kind::Text("a regular expression"),
            "The whole value matches.",
        ),
        optional(
            "present",
            Kind::Boolean,
            "The parameter is there, with any value; only `true`.",
        ),
        defaulted(
            "invert",
            Kind::Boolean,
            "false",
            "The condition holds where the rest does not.",
        ),
    ],
)
.with_exactly_one(VALUE_MATCH);

pub(crate) static HEADER_EDITS: Shape = Shape::new(
    "header edits",
    "Edits of one head: removals first, then add, set, append.",
    &[
        optional(
            "remove",
            Kind::List(&Kind::Text("a header name")),
            "Headers that are removed.",
        ),
        optional(
            "add",
            Kind::Map(&Kind::Text("a field value")),
            "Written only if no such header is there.",
        ),
        optional(
            "set",
            Kind::Map(&Kind::Text("a field value")),
            "Replaces all headers of that name.",
        ),
        optional(
            "append",
            Kind::Map(&Kind::Either(&[
                Kind::Text("a field value"),
                Kind::FilledList(&Kind::Text("a field value")),
            ])),
            "One more header each; several as a list.",
        ),
    ],
);

pub(crate) static FORWARD: Shape = Shape::new(
    "forward",
    "Forwarding to clusters.",
    &[
        TARGET,
        TARGETS_WEIGHTED,
        optional("prefix_rewrite", Kind::Text("/b"), "Replaces the matched prefix or path."),
        optional("regex_rewrite", Kind::Object(&REGEX_REWRITE), "Replaces what matches in the path."),
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
    ],
)
.with_exactly_one(&TARGETS)
.with_at_most_one(&["prefix_rewrite", "regex_rewrite"]);

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
        defaulted(
            "status",
            Kind::Number(&[301, 302, 303, 307, 308]),
            "301",
            "The status.",
        ),
        defaulted("strip_query", Kind::Boolean, "false", "The query is dropped."),
    ],
)
.with_at_most_one(&["path", "prefix_rewrite", "regex_rewrite"]);

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
