//! Retries and hedging.

use super::{HEADER_MATCH, SPIFFE_MATCH};
use crate::yaml::shape::{Kind, Shape, defaulted, optional, required};

/// `off`, or when requests are sent again.
pub(crate) const RETRY_OR_OFF: Kind = Kind::Either(&[Kind::Choice(&["off"]), Kind::Object(&RETRY)]);

/// What may be retried, by the names of [`crate::model::RetryConditions`].
pub(crate) const RETRY_ON: &[&str] = &[
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "refused-stream",
    "retriable-4xx",
    "retriable-status-codes",
    "retriable-headers",
    "envoy-ratelimited",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

pub(crate) static RETRY: Shape = Shape::new(
    "retry",
    "When a failed attempt is repeated. What may have run and is not idempotent is never sent twice, whatever is said here.",
    &[
        optional(
            "retry_on",
            Kind::List(&Kind::Choice(RETRY_ON)),
            "What is repeated, by Envoy's names.",
        ),
        defaulted(
            "retries_max",
            Kind::Integer { min: 1, max: 100 },
            "1",
            "Attempts after the first, at most.",
        ),
        defaulted(
            "per_try_timeout",
            Kind::DurationOrOff { zero: false },
            "off",
            "One attempt, from its start, or the request's end if that is later, to the end of its answer's head.",
        ),
        defaulted(
            "per_try_idle_timeout",
            Kind::DurationOrOff { zero: false },
            "off",
            "An attempt on which nothing moves for this long before its answer's head is there has failed.",
        ),
        optional(
            "backoff",
            Kind::Object(&BACKOFF),
            "How long is waited before a retry.",
        ),
        defaulted(
            "retry_after_max",
            Kind::DurationOrOff { zero: false },
            "off",
            "An answer's `retry-after` or `x-ratelimit-reset` of at most this long is waited for in place of the backoff; off: \
             they are not looked at.",
        ),
        optional(
            "retriable_status_codes",
            Kind::List(&Kind::Integer { min: 200, max: 599 }),
            "Statuses that are repeated, with `retriable-status-codes` in `retry_on`.",
        ),
        optional(
            "retriable_headers",
            Kind::List(&Kind::Object(&HEADER_MATCH)),
            "Answers that are repeated, with `retriable-headers` in `retry_on`: one of these conditions holds.",
        ),
        defaulted(
            "idempotent",
            Kind::Either(&[
                Kind::Choice(&["by_method", "declared"]),
                Kind::Object(&IDEMPOTENCE),
            ]),
            "by_method",
            "Which requests may be sent twice though they may have run: those whose method is idempotent; all, since whoever \
             writes `declared` says so; or also those with a header.",
        ),
        defaulted(
            "avoid_tried_endpoints",
            Kind::Boolean,
            "true",
            "Endpoints that were tried are avoided while there are others.",
        ),
        defaulted(
            "hedging",
            Kind::Either(&[Kind::Choice(&["off"]), Kind::Object(&HEDGING)]),
            "off",
            "A second attempt before the first has failed.",
        ),
    ],
);

pub(crate) static BACKOFF: Shape = Shape::new(
    "backoff",
    "Before the retry of number n one waits a random part of base * (2^n - 1).",
    &[
        defaulted(
            "base",
            Kind::Duration { zero: false },
            "25ms",
            "Before the first retry, at most.",
        ),
        optional(
            "max",
            Kind::Duration { zero: false },
            "Before any retry, at most; ten times `base` if not given.",
        ),
    ],
);

pub(crate) static IDEMPOTENCE: Shape = Shape::new(
    "idempotent",
    "Requests that may be sent twice beside those whose method is idempotent.",
    &[required(
        "header",
        Kind::Text("idempotency-key"),
        "Requests with this header.",
    )],
);

pub(crate) static HEDGING: Shape = Shape::new(
    "hedging",
    "Sending a request a second time before the first attempt has failed; the slower one is cancelled. Only what is \
     idempotent and kept whole is hedged.",
    &[
        required(
            "after",
            Kind::Either(&[
                Kind::Duration { zero: false },
                Kind::Choice(&["per_try_timeout"]),
                Kind::Object(&HEDGE_QUANTILE),
            ]),
            "When: after a time, after what a share of the route's requests needs, or when `per_try_timeout` passes.",
        ),
        defaulted(
            "hedges_max",
            Kind::Integer { min: 1, max: 1 },
            "1",
            "Attempts beside the first at once; there is never more than one.",
        ),
        defaulted(
            "extra_load_max",
            Kind::Integer { min: 1, max: 100 },
            "10",
            "Hedges in proportion to the route's requests, percent, at most.",
        ),
    ],
);

pub(crate) static HEDGE_QUANTILE: Shape = Shape::new(
    "hedge quantile",
    "A quantile of what the route's latest requests needed.",
    &[
        required(
            "quantile",
            Kind::Percent,
            "Percent, as 95 or 99.9; above 0 and below 100, with at most three digits after the point.",
        ),
        defaulted(
            "delay_min",
            Kind::Duration { zero: false },
            "1ms",
            "A hedge is never made sooner.",
        ),
    ],
);

pub(crate) static HASH_POLICY: Shape = Shape::new(
    "hash policy",
    "What the hash of a request is made of, for clusters with consistent hashing.",
    &[
        optional("header", Kind::Text("x-user"), "A header's value."),
        optional("cookie", Kind::Object(&HASH_COOKIE), "A cookie's value."),
        optional(
            "source_address",
            Kind::Boolean,
            "The client's address, without its port; only `true`.",
        ),
        optional(
            "query",
            Kind::Text("user"),
            "The first value of a query parameter.",
        ),
        defaulted(
            "terminal",
            Kind::Boolean,
            "false",
            "If this gave a hash, those after it are not looked at.",
        ),
    ],
)
.with_exactly_one(&["header", "cookie", "source_address", "query"]);

pub(crate) static HASH_COOKIE: Shape = Shape::new(
    "hash cookie",
    "A cookie whose value is hashed.",
    &[
        required("name", Kind::Text("the name of a cookie"), "The cookie's name."),
        optional(
            "ttl",
            Kind::Duration { zero: true },
            "A request without the cookie is given one for this long, `0s`: until the browser is closed; if not given, it is \
             not.",
        ),
        defaulted(
            "path",
            Kind::Text("/"),
            "/",
            "The `Path` of the cookie that is given.",
        ),
    ],
);

pub(crate) static HINT_PEERS: Shape = Shape::new(
    "hint peers",
    "Downstream peers whose hints are believed: deadlines, that a request is a retry, and how it is to be retried and timed.",
    &[
        defaulted(
            "authenticated",
            Kind::Boolean,
            "true",
            "Every peer with a verified SPIFFE id.",
        ),
        optional(
            "identities",
            Kind::List(&Kind::Object(&SPIFFE_MATCH)),
            "Peers with one of these ids.",
        ),
        optional(
            "addresses",
            Kind::List(&Kind::Text("10.0.0.0/8")),
            "Peers of connections from these addresses.",
        ),
    ],
);
