//! What an edge gateway does for browsers.

use crate::yaml::shape::{Field, Kind, Shape, defaulted, optional, required};

pub(crate) static HTTPS_REDIRECT: Shape = Shape::new(
    "https_redirect",
    "Plain HTTP requests are redirected to HTTPS.",
    &[
        optional(
            "port",
            Kind::Integer { min: 1, max: 65_535 },
            "The port of the HTTPS URL; 443 if not given.",
        ),
        defaulted(
            "status",
            Kind::Number(&[301, 302, 303, 307, 308]),
            "301",
            "The status.",
        ),
    ],
);

pub(crate) static HSTS: Shape = Shape::new(
    "hsts",
    "`strict-transport-security` on answers over HTTPS.",
    &[
        defaulted(
            "max_age",
            Kind::Duration { zero: true },
            "8760h",
            "How long a browser asks by HTTPS only; 0s tells it to forget.",
        ),
        defaulted("include_subdomains", Kind::Boolean, "false", "Subdomains too."),
        defaulted(
            "preload",
            Kind::Boolean,
            "false",
            "May stand in the lists that browsers are built with; only with subdomains, and for a year.",
        ),
    ],
);

pub(crate) static MAINTENANCE: Shape = Shape::new(
    "maintenance",
    "Every request is answered by a page, but for those from some addresses.",
    &[
        required(
            "page",
            Kind::Object(&PAGE),
            "What is answered; with status 503 if it has none.",
        ),
        optional(
            "retry_after",
            Kind::Duration { zero: false },
            "The answer's `retry-after`; not sent if not given.",
        ),
        optional(
            "allow",
            Kind::List(&Kind::Text("10.0.0.0/8")),
            "Prefixes of clients that are served as ever.",
        ),
    ],
);

pub(crate) static ERROR_PAGE: Shape = Shape::new(
    "error page",
    "A page in place of the local replies with these statuses; gRPC requests are answered as ever.",
    &[
        required(
            "statuses",
            Kind::FilledList(&Kind::Integer { min: 400, max: 599 }),
            "Statuses of local replies; each stands once in a virtual host.",
        ),
        required("page", Kind::Object(&PAGE), "What is answered."),
    ],
);

pub(crate) static PAGE: Shape = Shape::new(
    "page",
    "A page of your own.",
    &[
        optional("body", Kind::Text("a text"), "The page; at most 64 KiB."),
        optional(
            "body_file",
            Kind::File,
            "A file with the page, read when the configuration is put in force; at most 64 KiB.",
        ),
        optional(
            "status",
            Kind::Integer { min: 200, max: 599 },
            "The status; that of the reply that it stands for if not given.",
        ),
        defaulted(
            "content_type",
            Kind::Text("a media type"),
            "text/html; charset=utf-8",
            "The page's media type.",
        ),
    ],
)
.with_exactly_one(&["body", "body_file"]);

/// `off`, or settings.
pub(crate) const COMPRESSION_OR_OFF: Kind =
    Kind::Either(&[Kind::Choice(&["off"]), Kind::Object(&COMPRESSION)]);

pub(crate) static COMPRESSION: Shape = Shape::new(
    "compression",
    "Compression of responses, as clients accept it.",
    &[
        required(
            "algorithms",
            Kind::FilledList(&Kind::Either(&[
                Kind::Choice(&["gzip", "br", "zstd"]),
                Kind::Object(&COMPRESSION_ALGORITHM),
            ])),
            "Codings, those preferred first among those that a client likes equally.",
        ),
        defaulted(
            "content_types",
            Kind::FilledList(&Kind::Text("text/html, text/*")),
            "[text/*, application/json, application/javascript, application/xml, application/xhtml+xml, \
             application/wasm, image/svg+xml]",
            "Media types that are compressed, without parameters.",
        ),
        defaulted(
            "bytes_min",
            Kind::Size { min: 0, max: 1 << 30 },
            "1KiB",
            "Responses that are known to be shorter are left alone.",
        ),
    ],
);

pub(crate) static COMPRESSION_ALGORITHM: Shape = Shape::new(
    "compression algorithm",
    "A coding with its level.",
    &[
        optional("gzip", Kind::Object(&GZIP), "RFC 1952."),
        optional("br", Kind::Object(&BROTLI), "RFC 7932."),
        optional("zstd", Kind::Object(&ZSTD), "RFC 8878."),
    ],
)
.with_exactly_one(&["gzip", "br", "zstd"]);

/// The settings of each coding.
pub(crate) static COMPRESSION_LEVELS: [(&str, &Shape); 3] =
    [("gzip", &GZIP), ("br", &BROTLI), ("zstd", &ZSTD)];

const fn level(min: u64, max: u64, default: &'static str) -> Field {
    defaulted(
        "level",
        Kind::Integer { min, max },
        default,
        "More costs more time and saves more bytes.",
    )
}

static GZIP: Shape = Shape::new("gzip", "Settings of gzip.", &[level(1, 9, "4")]);
static BROTLI: Shape = Shape::new("br", "Settings of Brotli.", &[level(0, 11, "4")]);
static ZSTD: Shape = Shape::new("zstd", "Settings of zstd.", &[level(1, 19, "3")]);
