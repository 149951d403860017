//! TLS of both sides, and whom a peer must be.

use crate::yaml::shape::{Field, Kind, Shape, defaulted, optional, required};

/// Versions as they are written.
pub(crate) const TLS_VERSIONS: [&str; 2] = ["TLSv1.2", "TLSv1.3"];

const MINIMUM_VERSION: Field = defaulted(
    "minimum_version",
    Kind::Choice(&TLS_VERSIONS),
    "TLSv1.2",
    "The oldest version spoken.",
);
const MAXIMUM_VERSION: Field = defaulted(
    "maximum_version",
    Kind::Choice(&TLS_VERSIONS),
    "TLSv1.3",
    "The newest version spoken.",
);
const POST_QUANTUM: Field = defaulted(
    "post_quantum",
    Kind::Choice(&["off", "preferred", "required"]),
    "preferred",
    "Key exchange that withstands a quantum computer (X25519MLKEM768); required: with nothing else, and TLS 1.3 only.",
);
const SESSION_RESUMPTION: Field = defaulted(
    "session_resumption",
    Kind::Boolean,
    "true",
    "Sessions may be resumed, until a certificate, roots or peers change.",
);
pub(super) const CA_FILE: Field = optional(
    "ca_file",
    Kind::File,
    "Roots (PEM) that the certificate must chain to.",
);
const ROOTS: Field = optional(
    "roots",
    Kind::Choice(&["system", "spiffe"]),
    "system: those of the operating system. spiffe: those of the trust bundle of the trust domain that the certificate \
     names.",
);
pub(super) const BUNDLE: Field = optional(
    "trust_bundle",
    Kind::Name,
    "The name of a trust bundle that the certificate must chain to.",
);
/// The fields that say who is believed; exactly one is given.
pub(super) const BELIEVED_ROOTS: &[&str] = &["ca_file", "roots", "trust_bundle"];

pub(crate) static CERTIFICATE: Shape = Shape::new(
    "certificate",
    "A certificate chain and its private key: an identity, or files, both PEM.",
    &[
        optional("certificate_file", Kind::File, "The chain, leaf first."),
        optional(
            "private_key_file",
            Kind::File,
            "The key: PKCS#8, PKCS#1 or SEC1; given with `certificate_file`.",
        ),
        optional(
            "ocsp_staple_file",
            Kind::File,
            "An OCSP response (DER) for clients that ask for one; with `certificate_file`, and only downstream.",
        ),
        optional("identity", Kind::Name, "The name of an identity."),
    ],
)
.with_exactly_one(&["certificate_file", "identity"]);

pub(crate) static DOWNSTREAM_TLS: Shape = Shape::new(
    "downstream tls",
    "TLS termination.",
    &[
        defaulted(
            "mode",
            Kind::Choice(&["strict", "permissive"]),
            "strict",
            "permissive: clients without TLS are served too, as ones without identity.",
        ),
        required(
            "certificates",
            Kind::FilledList(&Kind::Object(&CERTIFICATE)),
            "The server name picks one; the first is the default.",
        ),
        optional(
            "application_protocols",
            Kind::List(&Kind::Text("h2")),
            "ALPN names offered, in order of preference; where only HTTP is spoken, `h2` and `http/1.1` alone. If not \
             given: [h2, http/1.1], and none without `http`.",
        ),
        optional(
            "client",
            Kind::Object(&CLIENT_VALIDATION),
            "Client certificates; not asked for if not given.",
        ),
        MINIMUM_VERSION,
        MAXIMUM_VERSION,
        POST_QUANTUM,
        SESSION_RESUMPTION,
        defaulted(
            "handshake_timeout",
            Kind::Duration { zero: false },
            "10s",
            "From accept to the handshake's end.",
        ),
    ],
);

pub(crate) static CLIENT_VALIDATION: Shape = Shape::new(
    "client",
    "What is asked of a client: a certificate, by whom, for whom.",
    &[
        defaulted(
            "certificate",
            Kind::Choice(&["required", "optional"]),
            "required",
            "A client without a certificate is refused, or not; one whose certificate does not hold always is.",
        ),
        CA_FILE,
        ROOTS,
        BUNDLE,
        optional(
            "peers",
            Kind::FilledList(&Kind::Object(&PEER)),
            "The certificate must name one of these; any name will do if not given.",
        ),
    ],
)
.with_exactly_one(BELIEVED_ROOTS);

pub(crate) static UPSTREAM_TLS: Shape = Shape::new(
    "upstream tls",
    "TLS to endpoints.",
    &[
        CA_FILE,
        ROOTS,
        BUNDLE,
        optional(
            "peers",
            Kind::FilledList(&Kind::Object(&PEER)),
            "The server's certificate must name one of these; it must hold `server_name` if not given.",
        ),
        optional(
            "server_name",
            Kind::Text("a DNS name or an IP address"),
            "The server name (SNI); it may be left out where there are `peers`.",
        ),
        optional(
            "certificate",
            Kind::Object(&CERTIFICATE),
            "Our certificate, if the server asks.",
        ),
        MINIMUM_VERSION,
        MAXIMUM_VERSION,
        POST_QUANTUM,
        SESSION_RESUMPTION,
    ],
)
.with_exactly_one(BELIEVED_ROOTS);

pub(super) const SPIFFE_ID: Field = optional(
    "spiffe_id",
    Kind::Text("spiffe://example.org/ns/a/sa/b"),
    "This SPIFFE id.",
);
pub(super) const SPIFFE_PREFIX: Field = optional(
    "spiffe_prefix",
    Kind::Text("spiffe://example.org/ns/a"),
    "SPIFFE ids that begin with this, on segment borders.",
);
pub(super) const TRUST_DOMAIN: Field = optional(
    "trust_domain",
    Kind::Text("example.org"),
    "SPIFFE ids of this trust domain.",
);

pub(crate) static PEER: Shape = Shape::new(
    "peer",
    "What a certificate must name.",
    &[
        SPIFFE_ID,
        SPIFFE_PREFIX,
        TRUST_DOMAIN,
        optional(
            "dns",
            Kind::Text("a.example, *.a.example"),
            "A DNS name; with `*.` any name that ends with the rest.",
        ),
    ],
)
.with_exactly_one(&["spiffe_id", "spiffe_prefix", "trust_domain", "dns"]);
