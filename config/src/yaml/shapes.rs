//! The document's objects, field by field: what may be written, within which limits, and what holds if it is not.
//!
//! Defaults stand here as they would be written; a test holds them to `model::defaults`.

mod access_log;
mod action;
mod authorization;
mod balancing;
mod breakers;
mod chain;
mod cluster;
mod control;
mod cors;
mod discovery;
mod edge;
mod external_authorization;
mod fault;
mod health;
mod http;
mod identity;
mod jwt;
mod listener;
mod matching;
mod overload;
mod proxy_protocol;
mod rate_limit;
mod retry;
mod route;
mod target;
mod telemetry;
mod tls;
mod tracing;

pub(crate) use access_log::{
    ACCESS_LOG, ACCESS_LOG_FORMAT, ACCESS_LOGS, DURATION_COMPARISON, LOG_FILTER, LOG_SAMPLING,
    STATUS_COMPARISON,
};
pub(crate) use action::{DIRECT_RESPONSE, FORWARD, MIRROR, REDIRECT, REGEX_REWRITE, SESSION_COOKIE};
use authorization::STRINGS;
pub(crate) use authorization::{
    AUTHORIZATION_POLICY, CLAIM_MATCH, CONDITION, PATH_MATCH, POLICIES, STRING_MATCH,
};
pub(crate) use balancing::{
    LEAST_REQUEST, LOAD_BALANCING, LOAD_BALANCING_WORDS, LOCALITY, LOCALITY_BALANCING, LOCALITY_WEIGHT,
    MAGLEV, PEAK_EWMA, RING_HASH, SLOW_START, SUBSET_FALLBACK, SUBSETS, ZONE_AWARE,
};
use balancing::{LOAD_BALANCING_KIND, LOCALITY_BALANCING_KIND, LOCALITY_KIND, PRIORITY, SLOW_START_OR_OFF};
use breakers::ADAPTIVE_CONCURRENCY_KIND;
pub(crate) use breakers::{
    ADAPTIVE_CONCURRENCY, BREAKER_THRESHOLDS, CIRCUIT_BREAKERS, ENDPOINT_THRESHOLDS, RETRY_BUDGET,
};
pub(crate) use chain::{FILTER_CHAIN, FILTER_CHAIN_MATCH, MODES, TCP};
pub(crate) use cluster::{CLUSTER, ENDPOINT, POOL};
pub(crate) use control::CONTROL;
pub(crate) use cors::{CORS, ORIGIN};
pub(crate) use discovery::{DISCOVERY, DISCOVERY_TYPES, DNS_NAME};
pub(crate) use edge::{
    COMPRESSION, COMPRESSION_ALGORITHM, COMPRESSION_LEVELS, COMPRESSION_OR_OFF, ERROR_PAGE, HSTS,
    HTTPS_REDIRECT, MAINTENANCE, PAGE,
};
pub(crate) use external_authorization::{
    AUTHORIZATION_BODY, DECISION_CACHE, EXTERNAL_AUTHORIZATION, GRPC_AUTHORIZATION, HTTP_AUTHORIZATION,
    ROUTE_EXTERNAL_AUTHORIZATION,
};
use external_authorization::{EXTERNAL_AUTHORIZATION_OR_OFF, ROUTE_EXTERNAL_AUTHORIZATION_KIND};
use fault::FAULT_OR_OFF;
pub(crate) use fault::{FAULT, FAULT_ABORT, FAULT_DELAY, FAULT_RATE};
use health::OUTLIER_DETECTION_KIND;
pub(crate) use health::{
    GRPC_HEALTH_CHECK, HEALTH_CHECK, HEX, HTTP_HEALTH_CHECK, OUTLIER_DETECTION, TCP_HEALTH_CHECK,
};
pub(crate) use http::{FORWARD_CLIENT_CERTIFICATE, HTTP, PROXY_HEADER, UPGRADES};
pub(crate) use identity::{
    AUTHORITY, IDENTITY, IDENTITY_FILES, INLINE_CERTIFICATE, KEY_KINDS, REVOCATION, REVOCATION_LIST,
    SPIFFE_MATCH, TRUST_BUNDLE, WORKLOAD_API,
};
use jwt::JWT_REQUIREMENT_OR_OFF;
pub(crate) use jwt::{CLAIM_HEADER, JWKS, JWT_ALGORITHMS, JWT_PROVIDER, JWT_REQUIREMENT, TOKEN_LOCATION};
pub(crate) use listener::{CONNECTION_RATE, LISTENER};
pub(crate) use overload::OVERLOAD;
pub(crate) use proxy_protocol::{
    DOWNSTREAM_PROXY_PROTOCOL, DOWNSTREAM_PROXY_PROTOCOL_KIND, UPSTREAM_PROXY_PROTOCOL,
    UPSTREAM_PROXY_PROTOCOL_KIND,
};
use rate_limit::RATE_LIMIT_NAMES;
pub(crate) use rate_limit::{
    ADDRESS_PREFIXES, BUCKET, DESCRIPTOR_PART, DESCRIPTOR_WORDS, GLOBAL_RATE_LIMIT, LOCAL_RATE_LIMIT,
    RATE_LIMIT, RATE_LIMIT_OVERRIDE,
};
pub(crate) use retry::RETRY_OR_OFF;
pub(crate) use retry::{
    BACKOFF, HASH_COOKIE, HASH_POLICY, HEDGE_QUANTILE, HEDGING, HINT_PEERS, IDEMPOTENCE, RETRY,
};
pub(crate) use route::{
    GRPC_MATCH, HEADER_EDITS, HEADER_MATCH, QUERY_MATCH, ROUTE, ROUTE_CONFIGURATION, ROUTE_MATCH,
    VIRTUAL_HOST,
};
pub(crate) use target::{SUBSET, TARGET, TARGETS, TARGETS_WEIGHTED, WEIGHTED_CLUSTER};
pub(crate) use telemetry::{COLLECTOR, RECORDER, TELEMETRY};
use tls::{BELIEVED_ROOTS, BUNDLE, CA_FILE, SPIFFE_ID, SPIFFE_PREFIX, TRUST_DOMAIN};
pub(crate) use tls::{CERTIFICATE, CLIENT_VALIDATION, DOWNSTREAM_TLS, PEER, TLS_VERSIONS, UPSTREAM_TLS};
pub(crate) use tracing::{ROUTE_TRACE_SAMPLING, ROUTE_TRACING, TRACE_SAMPLING, TRACING};
use tracing::{ROUTE_TRACING_OR_OFF, TRACING_OR_OFF};

use super::shape::{Kind, Shape, defaulted, optional};

/// The largest number of a 32-bit field.
pub(crate) const U32: u64 = u32::MAX as u64;

pub(crate) static DOCUMENT: Shape = Shape::new(
    "configuration",
    "A configuration of Outrigger.",
    &[
        optional("admin", Kind::Object(&ADMIN), "The admin endpoint."),
        optional("runtime", Kind::Object(&RUNTIME), "Settings read once, at start."),
        optional("drain", Kind::Object(&DRAIN), "How the process ends."),
        optional(
            "listeners",
            Kind::List(&Kind::Object(&LISTENER)),
            "Where connections are accepted.",
        ),
        optional(
            "route_configurations",
            Kind::List(&Kind::Object(&ROUTE_CONFIGURATION)),
            "Named sets of virtual hosts, which filter chains refer to.",
        ),
        optional(
            "clusters",
            Kind::List(&Kind::Object(&CLUSTER)),
            "Groups of endpoints, which routes refer to.",
        ),
        optional(
            "identities",
            Kind::List(&Kind::Object(&IDENTITY)),
            "Certificates with their keys, which `tls` refers to by name.",
        ),
        optional(
            "trust_bundles",
            Kind::List(&Kind::Object(&TRUST_BUNDLE)),
            "Authorities that are believed, which `tls` refers to by name, or by the trust domains of peers.",
        ),
        optional(
            "revocation",
            Kind::Object(&REVOCATION),
            "Whom is believed no more.",
        ),
        optional(
            "authorization_policies",
            Kind::List(&Kind::Object(&AUTHORIZATION_POLICY)),
            "Who may do what; filter chains and routes say where.",
        ),
        optional(
            "jwt_providers",
            Kind::List(&Kind::Object(&JWT_PROVIDER)),
            "Whose tokens are accepted; filter chains and routes say where.",
        ),
        optional(
            "rate_limits",
            Kind::List(&Kind::Object(&RATE_LIMIT)),
            "How often something may be done; filter chains, virtual hosts and routes say where.",
        ),
        optional(
            "overload",
            Kind::Object(&OVERLOAD),
            "What the whole process may hold, and what it does near that.",
        ),
        optional(
            "telemetry",
            Kind::Object(&TELEMETRY),
            "What the process tells collectors of requests, and of itself.",
        ),
        optional(
            "control",
            Kind::Object(&CONTROL),
            "The control plane that policy comes from, too.",
        ),
    ],
);

pub(crate) static ADMIN: Shape = Shape::new(
    "admin",
    "The admin endpoint: readiness, metrics, dumps.",
    &[defaulted(
        "address",
        Kind::Address,
        "127.0.0.1:9901",
        "Where it listens.",
    )],
);

pub(crate) static RUNTIME: Shape = Shape::new(
    "runtime",
    "Settings read once, at start; changing them needs a restart.",
    &[
        optional(
            "workers",
            Kind::Integer { min: 1, max: 1024 },
            "Number of worker threads; one per available core if not given.",
        ),
        optional(
            "socket_mark",
            Kind::Integer {
                min: 1,
                max: u32::MAX as u64,
            },
            "Mark (`SO_MARK`) of sockets to upstreams, by which the kernel's rules know them; not marked if not given. \
             Needs the capability CAP_NET_ADMIN.",
        ),
        optional(
            "locality",
            LOCALITY_KIND,
            "Where this proxy runs, for clusters that are balanced by zones.",
        ),
    ],
);

pub(crate) static DRAIN: Shape = Shape::new(
    "drain",
    "How the process ends after SIGTERM.",
    &[
        defaulted(
            "grace",
            Kind::Duration { zero: true },
            "0s",
            "How long connections are still accepted after readiness has turned false.",
        ),
        defaulted(
            "timeout",
            Kind::Duration { zero: true },
            "600s",
            "How long requests in flight may take after that.",
        ),
    ],
);

pub(crate) static TCP_KEEPALIVE: Shape = Shape::new(
    "tcp_keepalive",
    "TCP keep-alive probes.",
    &[
        defaulted(
            "time",
            Kind::Duration { zero: false },
            "60s",
            "Idle time before the first probe.",
        ),
        defaulted(
            "interval",
            Kind::Duration { zero: false },
            "10s",
            "Time between probes.",
        ),
        defaulted(
            "probes",
            Kind::Integer { min: 1, max: 127 },
            "3",
            "Unanswered probes before the connection is dead.",
        ),
    ],
);

/// HTTP/2 windows: RFC 9113's initial value to its largest.
const WINDOW: Kind = Kind::Size {
    min: 65_535,
    max: (1 << 31) - 1,
};

pub(crate) static HTTP2: Shape = Shape::new(
    "http2",
    "HTTP/2 settings of one side of a connection.",
    &[
        defaulted(
            "concurrent_streams_max",
            Kind::Integer {
                min: 1,
                max: (1 << 31) - 1,
            },
            "1024",
            "Streams that may be open at once.",
        ),
        defaulted(
            "stream_window",
            WINDOW,
            "1MiB",
            "Bytes that may be sent on a stream before they are read.",
        ),
        defaulted(
            "connection_window",
            WINDOW,
            "4MiB",
            "Bytes that may be sent on a connection before they are read.",
        ),
        defaulted(
            "keepalive_interval",
            Kind::DurationOrOff { zero: false },
            "off",
            "A PING is sent after this long without a frame.",
        ),
        defaulted(
            "keepalive_timeout",
            Kind::Duration { zero: false },
            "20s",
            "A connection whose PING is not answered within this is closed.",
        ),
    ],
);

/// `off`, or TCP keep-alive settings.
pub(crate) const TCP_KEEPALIVE_OR_OFF: Kind =
    Kind::Either(&[Kind::Choice(&["off"]), Kind::Object(&TCP_KEEPALIVE)]);

/// Bytes of a request or response head: at most Envoy's largest.
pub(crate) const HEADERS_BYTES: Kind = Kind::Size {
    min: 1,
    max: 8192 * 1024,
};

/// Fields of a request or response head.
pub(crate) const HEADERS_COUNT: Kind = Kind::Integer { min: 1, max: 10_000 };
