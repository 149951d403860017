//! Access logs.

use crate::yaml::shape::{Kind, Shape, defaulted, optional, required};

/// The logs of a protocol.
pub(crate) const ACCESS_LOGS: Kind = Kind::List(&Kind::Object(&ACCESS_LOG));

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
