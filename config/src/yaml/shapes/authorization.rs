//! Authorization policies and their conditions.

use super::matching::{
    BEGINNING, CONTAINED, END, EXACT, PATH, PATH_PATTERN, PATH_PREFIX, PATH_STRING_PREFIX, PATH_TEMPLATE,
    PATTERN, VALUE_MATCH,
};
use super::{HEADER_MATCH, QUERY_MATCH};
use crate::yaml::shape::{Kind, Shape, defaulted, optional, required};

pub(crate) static AUTHORIZATION_POLICY: Shape = Shape::new(
    "authorization policy",
    "A named policy, which filter chains and routes refer to: DENY policies are asked first; where there are ALLOW \
     policies, what none of them allows is denied.",
    &[
        required("name", Kind::Name, "Unique among authorization policies."),
        required(
            "action",
            Kind::Choice(&["allow", "deny", "audit"]),
            "What is done with what a rule matches; audit: it is counted and logged.",
        ),
        defaulted(
            "shadow",
            Kind::Boolean,
            "false",
            "The policy is asked, counted and logged, and changes nothing.",
        ),
        optional(
            "rules",
            Kind::List(&Kind::Object(&CONDITION)),
            "It matches what one of these matches; nothing if there is none.",
        ),
    ],
);

/// The names of policies that apply to a filter chain or a route.
pub(crate) const POLICIES: Kind = Kind::List(&Kind::Name);

const PREFIXES: Kind = Kind::FilledList(&Kind::Text("10.0.0.0/8"));
pub(super) const STRINGS: Kind = Kind::FilledList(&Kind::Either(&[
    Kind::Text("a text"),
    Kind::Object(&STRING_MATCH),
]));
/// A static, since a constant may not refer to a static that refers to it.
static A_CONDITION: Kind = Kind::Object(&CONDITION);

pub(crate) static CONDITION: Shape = Shape::new(
    "condition",
    "What is asked of a connection and a request: all fields must hold. Of a list one value must, but of `headers`, \
     `query` and `claims` all.",
    &[
        optional("always", Kind::Boolean, "Holds always; only `true`."),
        optional(
            "authenticated",
            Kind::Boolean,
            "The peer has a verified certificate; only `true`.",
        ),
        optional(
            "spiffe_ids",
            Kind::FilledList(&Kind::Text("spiffe://example.org/ns/a/sa/b")),
            "The peer's SPIFFE id is one of these.",
        ),
        optional(
            "spiffe_prefixes",
            Kind::FilledList(&Kind::Text("spiffe://example.org/ns/a")),
            "The peer's SPIFFE id begins with one of these, on segment borders.",
        ),
        optional(
            "trust_domains",
            Kind::FilledList(&Kind::Text("example.org")),
            "The peer's SPIFFE id is of one of these trust domains.",
        ),
        optional(
            "peer_names",
            STRINGS,
            "A name in the peer's certificate (URI, DNS), or its subject if it has none.",
        ),
        optional(
            "remote_addresses",
            PREFIXES,
            "The client's address: that of `x-forwarded-for` where proxies in front are trusted.",
        ),
        optional(
            "direct_addresses",
            PREFIXES,
            "The address of the connection's peer, PROXY protocol included.",
        ),
        optional(
            "destination_addresses",
            PREFIXES,
            "The address that the connection was meant for.",
        ),
        optional(
            "destination_ports",
            Kind::FilledList(&Kind::Either(&[
                Kind::Integer { min: 1, max: 65_535 },
                Kind::Text("8000-8100"),
            ])),
            "The port that the connection was meant for: one, or a range.",
        ),
        optional(
            "server_names",
            STRINGS,
            "The server name (SNI); `*.a.example` takes every name that ends with the rest.",
        ),
        optional("methods", Kind::FilledList(&Kind::Text("GET")), "The method."),
        optional(
            "paths",
            Kind::FilledList(&Kind::Object(&PATH_MATCH)),
            "The path, normalized, without the query.",
        ),
        optional(
            "hosts",
            Kind::FilledList(&Kind::Text("a.example, *.a.example, api.*, *")),
            "The host, without its port.",
        ),
        optional(
            "headers",
            Kind::FilledList(&Kind::Object(&HEADER_MATCH)),
            "Conditions on headers, all of which must hold.",
        ),
        optional(
            "query",
            Kind::FilledList(&Kind::Object(&QUERY_MATCH)),
            "Conditions on query parameters, all of which must hold.",
        ),
        optional(
            "claims",
            Kind::FilledList(&Kind::Object(&CLAIM_MATCH)),
            "Conditions on claims of verified tokens, all of which must hold.",
        ),
        optional("not", Kind::Object(&CONDITION), "This does not hold."),
        optional("any_of", Kind::FilledList(&A_CONDITION), "One of these holds."),
        optional("all_of", Kind::FilledList(&A_CONDITION), "All of these hold."),
    ],
);

pub(crate) static PATH_MATCH: Shape = Shape::new(
    "path match",
    "Which paths.",
    &[PATH, PATH_PREFIX, PATH_STRING_PREFIX, PATH_TEMPLATE, PATH_PATTERN],
)
.with_exactly_one(&["path", "prefix", "string_prefix", "template", "regex"]);

pub(crate) static STRING_MATCH: Shape = Shape::new(
    "text match",
    "How a text is compared, where it is not compared as a whole.",
    &[
        optional("exact", Kind::Text("a value"), "It is this."),
        optional("prefix", Kind::Text("a value"), "It begins with this."),
        optional("suffix", Kind::Text("a value"), "It ends with this."),
        optional("contains", Kind::Text("a value"), "It contains this."),
        optional("regex", Kind::Text("a regular expression"), "All of it matches."),
        optional("present", Kind::Boolean, "It is there at all; only `true`."),
    ],
)
.with_exactly_one(VALUE_MATCH);

pub(crate) static CLAIM_MATCH: Shape = Shape::new(
    "claim condition",
    "A condition on a claim of a verified token: texts, numbers and booleans as JSON writes them; of a list, any element.",
    &[
        optional(
            "provider",
            Kind::Name,
            "The JWT provider whose token is meant; any that was required if not given.",
        ),
        required(
            "path",
            Kind::Either(&[
                Kind::Text("realm_access.roles"),
                Kind::FilledList(&Kind::Text("a key")),
            ]),
            "Keys from the outside in, with dots between, or as a list.",
        ),
        EXACT,
        BEGINNING,
        END,
        CONTAINED,
        PATTERN,
        optional("present", Kind::Boolean, "The claim is there; only `true`."),
    ],
)
.with_exactly_one(VALUE_MATCH);
