//! JSON Web Tokens: whose are accepted, and where they are required.

use super::{BUNDLE, CA_FILE};
use crate::yaml::shape::{Kind, Shape, defaulted, optional, required};

/// Algorithms as RFC 7518 and RFC 8037 name them.
pub(crate) const JWT_ALGORITHMS: [&str; 9] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
];

const CLAIM: Kind = Kind::Either(&[
    Kind::Text("realm_access.roles"),
    Kind::FilledList(&Kind::Text("a key")),
]);

pub(crate) static JWT_PROVIDER: Shape = Shape::new(
    "jwt provider",
    "Who issues tokens, and how they are checked (RFC 7519, RFC 8725).",
    &[
        required("name", Kind::Name, "Unique among JWT providers."),
        optional(
            "issuer",
            Kind::Text("https://issuer.example"),
            "What `iss` must be; not looked at if not given.",
        ),
        optional(
            "audiences",
            Kind::FilledList(&Kind::Text("an audience")),
            "`aud` must hold one of these; not looked at if not given.",
        ),
        required(
            "keys",
            Kind::Object(&JWKS),
            "The keys, a JSON Web Key Set (RFC 7517).",
        ),
        defaulted(
            "algorithms",
            Kind::FilledList(&Kind::Choice(&JWT_ALGORITHMS)),
            "[RS256, ES256]",
            "The only algorithms accepted.",
        ),
        optional(
            "locations",
            Kind::FilledList(&Kind::Object(&TOKEN_LOCATION)),
            "Where tokens are looked for, in this order; `authorization: Bearer` if not given.",
        ),
        defaulted(
            "forward",
            Kind::Boolean,
            "false",
            "The token is passed on to the upstream; else it is taken off.",
        ),
        optional(
            "payload_header",
            Kind::Text("x-jwt-payload"),
            "The verified payload goes upstream in this header, as base64url of its JSON.",
        ),
        optional(
            "claim_headers",
            Kind::List(&Kind::Object(&CLAIM_HEADER)),
            "Claims that go upstream in headers; clients' own are taken off.",
        ),
        defaulted(
            "clock_skew",
            Kind::Duration { zero: true },
            "60s",
            "How far clocks may differ, in whole seconds.",
        ),
        defaulted(
            "expiration_required",
            Kind::Boolean,
            "false",
            "A token without `exp` is refused.",
        ),
    ],
);

pub(crate) static JWKS: Shape = Shape::new(
    "key set",
    "Where keys come from. `ca_file` to `timeout` are for a URL; its server's certificate must chain to a root of the \
     operating system if nothing else is said.",
    &[
        optional("file", Kind::File, "A file, watched."),
        optional("inline", Kind::Text("{\"keys\": […]}"), "The set itself."),
        optional(
            "url",
            Kind::Text("https://issuer.example/keys"),
            "A URL, fetched in the background; the last good set is kept while it is away.",
        ),
        CA_FILE,
        optional(
            "roots",
            Kind::Choice(&["system"]),
            "system: the server's certificate must chain to a root of the operating system.",
        ),
        BUNDLE,
        optional(
            "refresh",
            Kind::Duration { zero: false },
            "How long a set is used before it is fetched again; 300s if not given.",
        ),
        optional(
            "timeout",
            Kind::Duration { zero: false },
            "How long one fetch may take; 5s if not given.",
        ),
    ],
)
.with_exactly_one(&["file", "inline", "url"])
.with_at_most_one(&["ca_file", "roots", "trust_bundle"]);

pub(crate) static TOKEN_LOCATION: Shape = Shape::new(
    "token location",
    "Where a token is looked for.",
    &[
        optional("header", Kind::Text("authorization"), "In a header."),
        optional(
            "prefix",
            Kind::Text("Bearer "),
            "What stands before the token in the header; `Bearer ` for `authorization`, and nothing for others, if not \
             given.",
        ),
        optional("query", Kind::Text("access_token"), "In a query parameter."),
        optional("cookie", Kind::Text("session"), "In a cookie."),
    ],
)
.with_exactly_one(&["header", "query", "cookie"]);

pub(crate) static CLAIM_HEADER: Shape = Shape::new(
    "claim header",
    "A claim that goes upstream in a header.",
    &[
        required("header", Kind::Text("x-subject"), "The header."),
        required(
            "claim",
            CLAIM,
            "Keys from the outside in, with dots between, or as a list.",
        ),
    ],
);

/// A static, since a constant may not refer to a static that refers to it.
static A_REQUIREMENT: Kind = Kind::Object(&JWT_REQUIREMENT);

/// `off`, or what is required.
pub(crate) const JWT_REQUIREMENT_OR_OFF: Kind =
    Kind::Either(&[Kind::Choice(&["off"]), Kind::Object(&JWT_REQUIREMENT)]);

pub(crate) static JWT_REQUIREMENT: Shape = Shape::new(
    "jwt requirement",
    "Which tokens a request needs.",
    &[
        optional("provider", Kind::Name, "A valid one of this JWT provider."),
        optional(
            "any_of",
            Kind::FilledList(&A_REQUIREMENT),
            "One of these holds; the first that does counts.",
        ),
        optional("all_of", Kind::FilledList(&A_REQUIREMENT), "All of these hold."),
        optional(
            "allow_missing",
            Kind::Boolean,
            "None; one that is there must be valid, for a provider beside this in `any_of`, or for any. Only `true`.",
        ),
        optional(
            "allow_missing_or_failed",
            Kind::Boolean,
            "None; valid ones are used, others are as none. Only `true`.",
        ),
    ],
)
.with_exactly_one(&["provider", "any_of", "all_of", "allow_missing", "allow_missing_or_failed"]);
