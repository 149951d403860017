//! Cross-origin resource sharing.

use crate::yaml::shape::{Kind, Shape, defaulted, optional, required};

pub(crate) static CORS: Shape = Shape::new(
    "cors",
    "Which other origins' scripts may read answers (cross-origin resource sharing).",
    &[
        required(
            "allow_origins",
            Kind::Either(&[
                Kind::Choice(&["*"]),
                Kind::FilledList(&Kind::Either(&[
                    Kind::Text("https://a.example"),
                    Kind::Object(&ORIGIN),
                ])),
            ]),
            "Origins that are allowed; `*`: every one.",
        ),
        optional(
            "allow_methods",
            Kind::List(&Kind::Text("PUT")),
            "Methods that a preflight answer allows; those that it asks for if not given.",
        ),
        optional(
            "allow_headers",
            Kind::List(&Kind::Text("a header name")),
            "Headers that a preflight answer allows; those that it asks for if not given.",
        ),
        optional(
            "expose_headers",
            Kind::List(&Kind::Text("a header name")),
            "Response headers that scripts may read.",
        ),
        optional(
            "max_age",
            Kind::Duration { zero: true },
            "How long a browser may keep a preflight answer; its own default if not given.",
        ),
        defaulted(
            "allow_credentials",
            Kind::Boolean,
            "false",
            "Requests with credentials are allowed; not with `*`.",
        ),
    ],
);

pub(crate) static ORIGIN: Shape = Shape::new(
    "origin",
    "Origins that are compared otherwise than as a whole.",
    &[
        optional("exact", Kind::Text("https://a.example"), "The origin is this."),
        optional(
            "prefix",
            Kind::Text("http://localhost:"),
            "The origin begins with this.",
        ),
        optional("suffix", Kind::Text(".a.example"), "The origin ends with this."),
        optional("contains", Kind::Text("a text"), "The origin contains this."),
        optional(
            "regex",
            Kind::Text("a regular expression"),
            "The whole origin matches.",
        ),
    ],
)
.with_exactly_one(&["exact", "prefix", "suffix", "contains", "regex"]);
