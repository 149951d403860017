//! Route configurations, virtual hosts, routes, their matches and actions.

use super::matching::{
    BEGINNING, CONTAINED, END, EXACT, INVERT, PATH, PATH_PATTERN, PATH_PREFIX, PATH_STRING_PREFIX,
    PATH_TEMPLATE, PATTERN, VALUE_MATCH,
};
use super::{
    CORS, DIRECT_RESPONSE, ERROR_PAGE, FAULT_OR_OFF, FORWARD, HSTS, HTTPS_REDIRECT, JWT_REQUIREMENT_OR_OFF,
    MAINTENANCE, POLICIES, RATE_LIMIT_NAMES, REDIRECT, RETRY_OR_OFF, ROUTE_EXTERNAL_AUTHORIZATION_KIND,
    ROUTE_TRACING_OR_OFF, SPIFFE_MATCH,
};
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
            "cors",
            Kind::Object(&CORS),
            "Cross-origin requests, where the route does not say otherwise; passed on like any other if not given.",
        ),
        defaulted(
            "https_redirect",
            Kind::Either(&[Kind::Boolean, Kind::Object(&HTTPS_REDIRECT)]),
            "false",
            "Requests that did not come by HTTPS are redirected before any route is looked at.",
        ),
        defaulted(
            "hsts",
            Kind::Either(&[Kind::Boolean, Kind::Object(&HSTS)]),
            "false",
            "`strict-transport-security` on answers over HTTPS.",
        ),
        optional(
            "maintenance",
            Kind::Object(&MAINTENANCE),
            "Every request is answered by a page; they are served if not given.",
        ),
        optional(
            "error_pages",
            Kind::List(&Kind::Object(&ERROR_PAGE)),
            "Pages in place of local replies.",
        ),
        optional(
            "retry",
            RETRY_OR_OFF,
            "When failed attempts are repeated, on routes that do not say otherwise; if not given, only what provably never ran.",
        ),
        optional(
            "rate_limits",
            RATE_LIMIT_NAMES,
            "Rate limits that apply beside those of the filter chain.",
        ),
        optional(
            "tracing",
            ROUTE_TRACING_OR_OFF,
            "Changes the filter chain's tracing, where routes do not say otherwise.",
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
        optional(
            "response_body_max",
            Kind::Size {
                min: 0,
                max: i64::MAX as u64,
            },
            "Bytes of response body at most: one that says it is longer is answered 502, one that turns out to be is cut; \
             unlimited if not given.",
        ),
        optional(
            "cors",
            Kind::Either(&[Kind::Choice(&["off"]), Kind::Object(&CORS)]),
            "Cross-origin requests; the virtual host's if not given.",
        ),
        defaulted(
            "compression",
            Kind::Choice(&["on", "off"]),
            "on",
            "Responses may be compressed, if the filter chain compresses.",
        ),
        optional(
            "authorization",
            POLICIES,
            "Authorization policies that apply here in addition to the filter chain's.",
        ),
        optional(
            "jwt",
            JWT_REQUIREMENT_OR_OFF,
            "Tokens that requests need; the filter chain's if not given.",
        ),
        optional(
            "rate_limits",
            RATE_LIMIT_NAMES,
            "Rate limits that apply beside those of the filter chain and the virtual host.",
        ),
        optional(
            "fault",
            FAULT_OR_OFF,
            "What is broken on purpose; the filter chain's if not given.",
        ),
        optional(
            "external_authorization",
            ROUTE_EXTERNAL_AUTHORIZATION_KIND,
            "Changes the filter chain's external authorization.",
        ),
        optional(
            "tracing",
            ROUTE_TRACING_OR_OFF,
            "Changes the filter chain's tracing, and what the virtual host changes of it.",
        ),
    ],
)
.with_exactly_one(&["forward", "redirect", "direct_response"]);

pub(crate) static ROUTE_MATCH: Shape = Shape::new(
    "route match",
    "Which requests a route takes: all conditions must hold.",
    &[
        PATH,
        PATH_PREFIX,
        PATH_STRING_PREFIX,
        PATH_TEMPLATE,
        PATH_PATTERN,
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
        optional(
            "source_identities",
            Kind::FilledList(&Kind::Object(&SPIFFE_MATCH)),
            "The peer's verified SPIFFE id is among these.",
        ),
    ],
)
.with_exactly_one(&["path", "prefix", "string_prefix", "template", "regex", "grpc", "connect"]);

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

pub(crate) static HEADER_MATCH: Shape = Shape::new(
    "header condition",
    "A condition on a header; several fields of one name count as one, joined by commas.",
    &[
        required("name", Kind::Text("a header name"), "The header."),
        EXACT,
        BEGINNING,
        END,
        CONTAINED,
        PATTERN,
        optional(
            "present",
            Kind::Boolean,
            "The header is there, with any value; only `true`.",
        ),
        INVERT,
    ],
)
.with_exactly_one(VALUE_MATCH);

pub(crate) static QUERY_MATCH: Shape = Shape::new(
    "query condition",
    "A condition on the first query parameter of a name, percent-decoded.",
    &[
        required("name", Kind::Text("a parameter name"), "The parameter."),
        EXACT,
        BEGINNING,
        END,
        CONTAINED,
        PATTERN,
        optional(
            "present",
            Kind::Boolean,
            "The parameter is there, with any value; only `true`.",
        ),
        INVERT,
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
            "Written only if no such header is there. Values may hold operators (%REQ(x-name)%); a percent sign is %%.",
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
