//! Access logs.

use super::HEADER_MATCH;
use crate::model::RESPONSE_FLAGS;
use crate::yaml::shape::{Kind, Shape, defaulted, optional, required};

/// The logs of a protocol.
pub(crate) const ACCESS_LOGS: Kind = Kind::List(&Kind::Object(&ACCESS_LOG));

pub(crate) static ACCESS_LOG: Shape = Shape::new(
    "access log",
    "One access log.",
    &[
        optional(
            "path",
            Kind::Text("stdout, stderr or a file name"),
            "Where lines go.",
        ),
        optional(
            "collector",
            Kind::Name,
            "Each line goes to this collector of `telemetry`, as a log record of OTLP; the members of a JSON format are its attributes.",
        ),
        defaulted(
            "format",
            Kind::Either(&[Kind::Choice(&["text", "json"]), Kind::Object(&ACCESS_LOG_FORMAT)]),
            "text",
            "Envoy's default line, a JSON object of the usual fields, or your own.",
        ),
        defaulted(
            "omit_empty_values",
            Kind::Boolean,
            "false",
            "What is missing is left out: nothing in place of `-` in texts, and no member in place of `null` in JSON.",
        ),
        optional(
            "headers_allowed",
            Kind::List(&Kind::Text("x-api-key")),
            "Headers, and parameters, that print although their names say that they are credentials.",
        ),
        optional(
            "filter",
            Kind::Object(&LOG_FILTER),
            "Which requests and connections have a line; without it all.",
        ),
    ],
)
.with_exactly_one(&["path", "collector"]);

pub(crate) static ACCESS_LOG_FORMAT: Shape = Shape::new(
    "format",
    "A format of your own, with Envoy's operators (%RESPONSE_CODE%).",
    &[
        optional("text", Kind::Text("a line with operators"), "A text line."),
        optional(
            "json",
            Kind::Map(&Kind::Nested("a text with operators")),
            "A JSON object, in order: keys to texts, or to maps and lists of such.",
        ),
    ],
)
.with_exactly_one(&["text", "json"]);

/// A static, since a constant may not refer to a static that refers to it.
static A_FILTER: Kind = Kind::Object(&LOG_FILTER);

pub(crate) static LOG_FILTER: Shape = Shape::new(
    "log filter",
    "What is asked of a request or connection that has ended: all fields must hold. What it does not have (a TCP connection's \
     status, route or header) does not hold.",
    &[
        optional(
            "status",
            Kind::Object(&STATUS_COMPARISON),
            "The status that was sent; 0 where none was.",
        ),
        optional(
            "duration",
            Kind::Object(&DURATION_COMPARISON),
            "From the first byte of the request to the last of the response, or the TCP connection's age; in whole \
             milliseconds.",
        ),
        optional(
            "response_flags",
            Kind::Either(&[
                Kind::Choice(&["any"]),
                Kind::FilledList(&Kind::Choice(RESPONSE_FLAGS)),
            ]),
            "One of these response flags is set, or any at all.",
        ),
        optional(
            "sampled",
            Kind::Either(&[Kind::Percent, Kind::Object(&LOG_SAMPLING)]),
            "A share of them.",
        ),
        optional(
            "routes",
            Kind::FilledList(&Kind::Name),
            "The route's name is one of these.",
        ),
        optional(
            "not_health_check",
            Kind::Boolean,
            "It is no probe of a load balancer or an orchestrator: a `GET` or `HEAD` that did not fail, with a probe's `user-agent`, from a loopback, link-local or private address; only `true`.",
        ),
        optional(
            "headers",
            Kind::FilledList(&Kind::Object(&HEADER_MATCH)),
            "Conditions on headers of the request, `:method`, `:path` (with its query) and `:authority` too, all of which must hold.",
        ),
        optional(
            "grpc_status",
            Kind::FilledList(&Kind::Integer { min: 0, max: 16 }),
            "Of gRPC requests, the status is one of these.",
        ),
        optional("not", Kind::Object(&LOG_FILTER), "This does not hold."),
        optional("any_of", Kind::FilledList(&A_FILTER), "One of these holds."),
        optional("all_of", Kind::FilledList(&A_FILTER), "All of these hold."),
    ],
);

const STATUS: Kind = Kind::Integer { min: 0, max: 999 };
const SPAN: Kind = Kind::Duration { zero: true };

/// The ways of comparing, which each comparison has.
const COMPARISON: &[&str] = &["at_least", "at_most", "equals", "differs_from"];

pub(crate) static STATUS_COMPARISON: Shape = Shape::new(
    "status comparison",
    "What a status is compared with: all fields must hold.",
    &[
        optional("at_least", STATUS, "It is not less."),
        optional("at_most", STATUS, "It is not more."),
        optional("equals", STATUS, "It is this."),
        optional("differs_from", STATUS, "It is another."),
    ],
)
.with_at_least_one(COMPARISON);

pub(crate) static DURATION_COMPARISON: Shape = Shape::new(
    "duration comparison",
    "What a duration is compared with: all fields must hold.",
    &[
        optional("at_least", SPAN, "It is not less."),
        optional("at_most", SPAN, "It is not more."),
        optional("equals", SPAN, "It is this."),
        optional("differs_from", SPAN, "It is another."),
    ],
)
.with_at_least_one(COMPARISON);

pub(crate) static LOG_SAMPLING: Shape = Shape::new(
    "log sampling",
    "A share of requests.",
    &[
        required("percent", Kind::Percent, "How many."),
        defaulted(
            "by",
            Kind::Choice(&["request_id", "random"]),
            "request_id",
            "Which: by `x-request-id`, so that whoever logs the same share logs the same requests, or at random.",
        ),
    ],
);
