//! The PROXY protocol of both sides.

use crate::yaml::shape::{Kind, Shape, defaulted, required};

/// Types of fields, or all or none of them.
const PASS_TLVS: Kind = Kind::Either(&[
    Kind::Choice(&["none", "all"]),
    Kind::FilledList(&Kind::Integer { min: 0, max: 255 }),
]);

pub(crate) const DOWNSTREAM_PROXY_PROTOCOL_KIND: Kind = Kind::Either(&[
    Kind::Choice(&["off", "optional", "required"]),
    Kind::Object(&DOWNSTREAM_PROXY_PROTOCOL),
]);

pub(crate) static DOWNSTREAM_PROXY_PROTOCOL: Shape = Shape::new(
    "downstream proxy_protocol",
    "How a listener reads the PROXY protocol (versions 1 and 2), before everything else.",
    &[
        required(
            "mode",
            Kind::Choice(&["off", "optional", "required"]),
            "Optional: a header that comes is obeyed; only for peers that are trusted. Required: a connection without one \
             is closed.",
        ),
        defaulted(
            "pass_tlvs",
            PASS_TLVS,
            "none",
            "Fields of version 2, by type (0xE0, 224), that are kept for upstreams to which the PROXY protocol is spoken.",
        ),
        defaulted(
            "timeout",
            Kind::Duration { zero: false },
            "5s",
            "From accept to the header's end.",
        ),
    ],
);

pub(crate) const UPSTREAM_PROXY_PROTOCOL_KIND: Kind = Kind::Either(&[
    Kind::Choice(&["off", "v1", "v2"]),
    Kind::Object(&UPSTREAM_PROXY_PROTOCOL),
]);

pub(crate) static UPSTREAM_PROXY_PROTOCOL: Shape = Shape::new(
    "upstream proxy_protocol",
    "How the PROXY protocol is spoken to a cluster.",
    &[
        required("version", Kind::Choice(&["v1", "v2"]), "Text, or binary."),
        defaulted(
            "pass_tlvs",
            PASS_TLVS,
            "none",
            "Fields of the downstream header, by type, that are passed on; only with v2.",
        ),
    ],
);
