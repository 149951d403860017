//! Identities, trust bundles and revocation.

use super::{BELIEVED_ROOTS, BUNDLE, CA_FILE, SPIFFE_ID, SPIFFE_PREFIX, TRUST_DOMAIN};
use crate::yaml::shape::{Kind, Shape, defaulted, optional, required};

/// Kinds of keys as they are written.
pub(crate) const KEY_KINDS: [&str; 4] = ["ecdsa_p256", "ecdsa_p384", "ed25519", "rsa_2048"];

pub(crate) static IDENTITY: Shape = Shape::new(
    "identity",
    "A certificate with its key, known by a name.",
    &[
        required("name", Kind::Name, "Unique among identities."),
        optional("files", Kind::Object(&IDENTITY_FILES), "From files, watched."),
        optional(
            "inline",
            Kind::Object(&INLINE_CERTIFICATE),
            "From the document itself. The key is never shown again.",
        ),
        optional(
            "workload_api",
            Kind::Object(&WORKLOAD_API),
            "From the SPIFFE Workload API.",
        ),
        optional(
            "authority",
            Kind::Object(&AUTHORITY),
            "From a certificate authority, which is sent a request; the key is made here and never leaves.",
        ),
    ],
)
.with_exactly_one(&["files", "inline", "workload_api", "authority"]);

pub(crate) static IDENTITY_FILES: Shape = Shape::new(
    "identity files",
    "A certificate chain and its private key in files, both PEM.",
    &[
        required("certificate_file", Kind::File, "The chain, leaf first."),
        required("private_key_file", Kind::File, "The key: PKCS#8, PKCS#1 or SEC1."),
        optional(
            "ocsp_staple_file",
            Kind::File,
            "An OCSP response (DER) for clients that ask for one.",
        ),
    ],
);

pub(crate) static INLINE_CERTIFICATE: Shape = Shape::new(
    "inline certificate",
    "A certificate chain and its private key as they are, both PEM.",
    &[
        required(
            "certificate_chain",
            Kind::Text("-----BEGIN CERTIFICATE----- …"),
            "The chain, leaf first.",
        ),
        required(
            "private_key",
            Kind::Text("${TLS_KEY}"),
            "The key: PKCS#8, PKCS#1 or SEC1.",
        ),
        optional(
            "ocsp_staple",
            Kind::Text("base64"),
            "An OCSP response (DER, in base64) for clients that ask for one.",
        ),
    ],
);

pub(crate) static WORKLOAD_API: Shape = Shape::new(
    "workload api",
    "The SPIFFE Workload API (`FetchX509SVID`).",
    &[
        required(
            "socket",
            Kind::File,
            "Its Unix socket; `unix://` may stand before it.",
        ),
        optional(
            "spiffe_id",
            Kind::Text("spiffe://example.org/ns/a/sa/b"),
            "Which of the identities that it gives; its first if not given.",
        ),
    ],
);

pub(crate) static AUTHORITY: Shape = Shape::new(
    "authority",
    "A certificate authority that is asked by Istio's `CreateCertificate` over gRPC.",
    &[
        required("url", Kind::Text("https://ca.example:15012"), "Where it is."),
        CA_FILE,
        optional(
            "roots",
            Kind::Choice(&["system"]),
            "system: its certificate must chain to a root of the operating system.",
        ),
        BUNDLE,
        optional(
            "server_name",
            Kind::Text("a DNS name or an IP address"),
            "The name that its certificate must hold; the URL's host if not given.",
        ),
        optional(
            "token_file",
            Kind::File,
            "Holds the token that says who we are, read anew for each request; none is sent if not given.",
        ),
        required(
            "spiffe_id",
            Kind::Text("spiffe://example.org/ns/a/sa/b"),
            "The id that is asked for; a certificate for another is refused.",
        ),
        defaulted(
            "validity",
            Kind::Duration { zero: false },
            "24h",
            "How long the certificate should be valid; the authority may shorten it.",
        ),
        defaulted(
            "key",
            Kind::Choice(&KEY_KINDS),
            "ecdsa_p256",
            "The kind of key that is made.",
        ),
    ],
)
.with_exactly_one(BELIEVED_ROOTS);

pub(crate) static TRUST_BUNDLE: Shape = Shape::new(
    "trust bundle",
    "Authorities that are believed, known by a name.",
    &[
        required("name", Kind::Name, "Unique among trust bundles."),
        optional(
            "trust_domain",
            Kind::Text("example.org"),
            "The trust domain for which it speaks (SPIFFE), where `roots: spiffe` looks for it; by name only if not given.",
        ),
        optional(
            "file",
            Kind::File,
            "PEM, or the SPIFFE bundle format (a JWKS); watched.",
        ),
        optional(
            "inline",
            Kind::Text("-----BEGIN CERTIFICATE----- …"),
            "As a file's contents.",
        ),
        optional(
            "identity",
            Kind::Name,
            "What came with this identity, which is from the Workload API or an authority.",
        ),
    ],
)
.with_exactly_one(&["file", "inline", "identity"]);

pub(crate) static REVOCATION: Shape = Shape::new(
    "revocation",
    "Whom is believed no more, in handshakes of both sides and on connections that are open.",
    &[
        optional(
            "lists",
            Kind::List(&Kind::Object(&REVOCATION_LIST)),
            "Certificate revocation lists; each is for the certificates of its issuer.",
        ),
        defaulted(
            "list_required",
            Kind::Boolean,
            "false",
            "A certificate whose issuer has no list is refused.",
        ),
        defaulted(
            "outdated_allowed",
            Kind::Boolean,
            "true",
            "A list past its next update still counts; else certificates of its issuer are refused.",
        ),
        optional(
            "denied",
            Kind::List(&Kind::Object(&SPIFFE_MATCH)),
            "Identities that are refused.",
        ),
    ],
);

pub(crate) static REVOCATION_LIST: Shape = Shape::new(
    "revocation list",
    "A certificate revocation list.",
    &[
        optional("file", Kind::File, "PEM of one or more, or one in DER; watched."),
        optional("inline", Kind::Text("-----BEGIN X509 CRL----- …"), "PEM."),
    ],
)
.with_exactly_one(&["file", "inline"]);

pub(crate) static SPIFFE_MATCH: Shape = Shape::new(
    "spiffe match",
    "Which SPIFFE ids are meant.",
    &[SPIFFE_ID, SPIFFE_PREFIX, TRUST_DOMAIN],
)
.with_exactly_one(&["spiffe_id", "spiffe_prefix", "trust_domain"]);
