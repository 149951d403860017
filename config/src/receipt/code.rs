//! Kinds of remarks, with names that stay the same.

use std::fmt;

macro_rules! codes {
    ($($variant:ident = $name:literal, $meaning:literal, $remedy:literal;)*) => {
        /// What a remark is about. Names never change: monitoring and scripts know them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// All, in the order of the documentation.
            pub const ALL: &'static [Code] = &[$(Code::$variant),*];

            /// Its name, in kebab-case.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $name,)* }
            }
            /// What it means, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Code::$variant => $meaning,)* }
            }
            /// What to do about it, in a sentence.
            pub fn remedy(self) -> &'static str {
                match self { $(Code::$variant => $remedy,)* }
            }
        }
    };
}

codes! {
    PartUnused = "part-unused",
        "Nothing refers to this part.", "Refer to it, or remove it.";
    PolicyUnused = "policy-unused",
        "Nothing in the mesh refers to this policy.", "Refer to it, or remove it.";
    ServiceUnused = "service-unused",
        "Nothing in the mesh calls this service.", "Name it in `uses` of a service, or in routes, or remove it.";
    VirtualHostEmpty = "virtual-host-empty",
        "This virtual host has no routes: its requests are answered 404.", "Give it routes.";
    RouteShadowed = "route-shadowed",
        "An earlier route takes every request that this one would take.", "Put this route before that one, or remove it.";
    ConnectionComesBack = "connection-comes-back",
        "Connections are sent to where they were meant for, which is this listener itself.",
        "Say how they are led here by `interception`, or give the cluster's `discovery` a `port`.";
    PermissiveUnused = "permissive-unused",
        "`mode: permissive` has no effect: the filter chain takes only TLS connections.",
        "Take the conditions on TLS out of its `match`, or the mode.";
    HttpBehindTls = "http-behind-tls",
        "`http` has no effect: the chain passes TLS connections on, so that nothing of HTTP is seen.",
        "Give the chain `tls`, or remove `http`.";
    PublicAuthority = "public-authority",
        "Whoever has a certificate of a public authority is let in.",
        "Say who is meant by `peers`, or believe an authority of your own.";
    PeerNeverBelieved = "peer-never-believed",
        "No trust bundle speaks for the trust domain of a peer that is named.", "Declare a trust bundle of that trust domain.";
    RevocationListMissing = "revocation-list-missing",
        "A revocation list is required and there is none: every certificate is refused.", "Give `lists`, or remove `list_required`.";
    ControlTlsUnused = "control-tls-unused",
        "A setting of TLS to the control plane has no effect: no server has TLS.", "Write `https://`, or remove it.";
    TrustedProxiesUnused = "trusted-proxies-unused",
        "`trusted_proxies` has no effect: `xff_num_trusted_hops` is 0.", "Say how many proxies stand in front, or remove it.";
    CertificateDetailsUnused = "certificate-details-unused",
        "`details` has no effect: in this mode nothing is told of the client's certificate.",
        "Choose a mode that tells, or remove it.";
    AuthorizationContextUnused = "authorization-context-unused",
        "`context` has no effect: nobody is asked over gRPC, which alone has a place for it.",
        "Ask over `grpc`, or remove it.";
    OriginTooWide = "origin-too-wide",
        "An origin of CORS matches origins of others, too.", "Write the exact origin, or end the text on a border.";
    UpgradesUnused = "upgrades-unused",
        "`upgrades` has no effect on a route that takes CONNECT requests.", "Remove it.";
    HashPolicyMissing = "hash-policy-missing",
        "A cluster picks by hash, and nothing says of what: it picks at random.", "Give the route a `hash_policy`, the chain `hash_source_address`.";
    HashPolicyUnused = "hash-policy-unused",
        "A hash is made, and no cluster that is sent to picks by it.", "Give the cluster `load_balancing: maglev` or `ring_hash`, or remove it.";
    HashCookiePathUnused = "hash-cookie-path-unused",
        "`path` of a hash cookie has no effect: without `ttl` no cookie is given.", "Write `ttl`, or remove it.";
    SubsetEmpty = "subset-empty",
        "An empty `subset` is every endpoint.", "Remove it.";
    SubsetWithoutSelector = "subset-without-selector",
        "A subset is asked for by keys that no selector of the cluster has: `fallback` says what happens.", "Add the selector.";
    RetryUnused = "retry-unused",
        "The virtual host's `retry` has no effect: no route forwards without saying otherwise.", "Remove it.";
    RetriesNothing = "retries-nothing",
        "The policy names no condition under which to retry.", "Write `retry_on`, or `retry: off`.";
    RetriesNotIdempotent = "retries-not-idempotent",
        "What was answered is never sent again: these requests are not idempotent.",
        "Write `idempotent: declared` if what is done is, or `idempotent: {header: NAME}`.";
    RetriableListUnused = "retriable-list-unused",
        "A list of what may be retried has no effect: its condition is not in `retry_on`.", "Add the condition, or remove the list.";
    AttemptTimeoutNeverPasses = "attempt-timeout-never-passes",
        "`per_try_timeout` never passes: the route's `timeout` ends the request before.", "Give the route a longer `timeout`, or attempts a shorter one.";
    HedgingNotIdempotent = "hedging-not-idempotent",
        "`hedging` has no effect: the route takes only methods that are not idempotent.",
        "Write `idempotent: declared` if what is done is, or `idempotent: {header: NAME}`.";
    HintIdentitiesUnused = "hint-identities-unused",
        "`identities` of `hint_peers` has no effect: every authenticated peer is believed.", "Write `authenticated: false`, or remove it.";
    FaultExpired = "fault-expired",
        "This fault has expired: it does nothing any more.", "Remove it, or let it expire later.";
    PolicyMatchesNothing = "policy-matches-nothing",
        "A policy without rules denies or notes nothing.", "Write `rules: [{always: true}]` where everything is meant.";
    DenyByConnection = "deny-by-connection",
        "Where bytes are passed on, what a DENY policy asks of requests counts as met.", "Ask for what is known of a connection.";
    AuditNeverKnown = "audit-never-known",
        "An AUDIT policy asks for requests where bytes are passed on.", "Ask for what is known of a connection.";
    RateLimitNeverCounts = "rate-limit-never-counts",
        "What the rate limit tells requests apart by is never known where it applies.", "Tell them apart by what is known there, or provide it.";
    BalancingUnused = "balancing-unused",
        "A setting of balancing has no effect: there is one endpoint.", "Remove it.";
    SlowStartWithHash = "slow-start-with-hash",
        "`slow_start` has no effect: the hash says which endpoint is picked.", "Remove it.";
    LocalityWeightsUnused = "locality-weights-unused",
        "`locality_weights` has no effect: localities are not picked by weight.", "Write `locality_balancing: weighted`, or remove it.";
    Http2SettingsUnused = "http2-settings-unused",
        "`http2` has no effect: the cluster speaks HTTP/1.", "Write `protocol: http2`, or remove it.";
    HealthCheckLongerThanInterval = "health-check-longer-than-interval",
        "One check may take longer than the interval: a failure is found later than the interval says.", "Lower `timeout`.";
    OutlierDetectionUnused = "outlier-detection-unused",
        "Nothing is ever ejected.", "Let something be ejected, or remove `outlier_detection`.";
    CollectorPortOdd = "collector-port-odd",
        "A collector's port is the one where collectors take the other protocol.", "Write the other `protocol`, or another port.";
    LocalOriginNotCounted = "local-origin-not-counted",
        "A setting has no effect: failures seen here are not counted apart.", "Write `split_external_local_origin_errors: true`, or remove it.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
