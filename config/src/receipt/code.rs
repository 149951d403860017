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
    OneEndpointNeverEjected = "one-endpoint-never-ejected",
        "Outlier detection on a cluster of one endpoint: the last one is never ejected.", "Give the cluster more endpoints, or remove `outlier_detection`.";
    LocalOriginNotCounted = "local-origin-not-counted",
        "A setting has no effect: failures seen here are not counted apart.", "Write `split_external_local_origin_errors: true`, or remove it.";
    ListenerCovered = "listener-covered",
        "A listener on one address takes connections that this one, on all addresses of the port, seems to take.",
        "Give one of them another port.";
    ListenerLimitNeverReached = "listener-limit-never-reached",
        "A listener's `connections_max` is above the limit of the process.", "Make it smaller than that of `overload`, or remove it.";
    ChainNeverMatches = "chain-never-matches",
        "No connection of its listener comes to this filter chain.",
        "Change its `match`, or say by `interception` how connections for other destinations come here.";
    ClientCertificateNeverKnown = "client-certificate-never-known",
        "`forward_client_certificate` has nothing to tell: clients are not asked for a certificate.", "Give the chain `tls: {client: …}`, or remove it.";
    IdentityNeverKnown = "identity-never-known",
        "A condition asks who the client is where no client is asked for a certificate.", "Give the chain `tls: {client: …}`, or remove the condition.";
    ClaimNeverKnown = "claim-never-known",
        "A policy asks for claims of a token that is required nowhere that it applies.", "Require the provider by `jwt`, or ask for something else.";
    AllowAlwaysDenied = "allow-always-denied",
        "All that an ALLOW policy allows, a DENY policy beside it denies.", "Narrow the rules of the one that denies, or remove the other.";
    AllowAddsNothing = "allow-adds-nothing",
        "An ALLOW policy stands beside one that allows everything.", "Remove it, or narrow the rules of the other.";
    RoutesBehindMaintenance = "routes-behind-maintenance",
        "No route of the virtual host is ever taken: everybody gets the maintenance page.", "Name in `allow` who is served as ever, or remove `maintenance`.";
    RoutesBehindRedirect = "routes-behind-redirect",
        "No route of the virtual host is ever taken: no request comes by HTTPS, and all others are redirected.",
        "Use the route configuration in a filter chain with `tls`, too, or remove its routes.";
    HstsNeverSent = "hsts-never-sent",
        "`hsts` has no effect: no request comes by HTTPS.", "Give the chain `tls`, or remove it.";
    RouteTimeoutNeverPasses = "route-timeout-never-passes",
        "A route's `timeout` never passes: `stream_duration_max` ends the stream before.", "Give `stream_duration_max` more than `timeout`, or remove one of them.";
    IdleTimeoutNeverPasses = "idle-timeout-never-passes",
        "An idle timeout never passes: another limit ends the stream or the connection before.", "Make it shorter, or remove it.";
    TimeoutAboveIdle = "timeout-above-idle",
        "An answer may take longer than a stream may be idle: a server that is silent for so long is cut.",
        "Write `stream_idle_timeout: off` in the route, which its `timeout` bounds, or a shorter `timeout`.";
    HedgeNeverDue = "hedge-never-due",
        "No hedge is ever made: the attempt or the request has timed out before it is due.", "Hedge sooner, or wait longer for answers.";
    RetryBudgetNothing = "retry-budget-nothing",
        "Nothing is ever retried or hedged: the cluster's retry budget is 0.", "Give the cluster a `retry_budget`, or write `retry: off`.";
    RetriesMultiply = "retries-multiply",
        "A route retries, and asks the next proxy by a header to retry, too: the attempts multiply.", "Retry in one place.";
    MirrorOfNothing = "mirror-of-nothing",
        "A mirror gets 0 percent of the requests.", "Give it a share, or remove it.";
    UpgradeTimeoutUnused = "upgrade-timeout-unused",
        "`upgrade_idle_timeout` has no effect: nothing may be upgraded there.", "Write `upgrades`, or remove it.";
    SubsetOfNobody = "subset-of-nobody",
        "A subset is asked for in which no endpoint is: `fallback` says what happens.", "Give an endpoint the `metadata`, or ask for another subset.";
    SubsetsUnused = "subsets-unused",
        "A cluster has `subsets`, and no route asks for one.", "Ask for one by `subset`, or remove it.";
    FaultOfNothing = "fault-of-nothing",
        "A fault touches no request: its share is 0.", "Give it a share, or remove it.";
    FaultUnguarded = "fault-unguarded",
        "A fault breaks every request, whoever sends it, with no end.", "Ask for `headers` or `identities`, or write `affected_max`, `active_max` or `expires`.";
    RateLimitNeverRefuses = "rate-limit-never-refuses",
        "A stricter rate limit beside this one counts the same requests.", "Make it the stricter one, tell requests apart by something else, or remove it.";
    RateLimitOverrideShadowed = "rate-limit-override-shadowed",
        "An earlier override takes every value that this one would take.", "Put it before that one, or remove it.";
    LocalityBalancingUnused = "locality-balancing-unused",
        "`locality_balancing` has no effect: no endpoint's locality is known, or there are too few endpoints.", "Give endpoints a `locality`, lower `cluster_size_min`, or remove it.";
    LocalityWeightsNothing = "locality-weights-nothing",
        "The weights of all localities of a priority sum to nothing: its endpoints are never picked.", "Give one of them a weight.";
    SlowStartUnused = "slow-start-unused",
        "`slow_start` has nothing to start slowly: endpoints are listed, and none is ever found unhealthy.", "Give the cluster `health_check` or `outlier_detection`, or remove it.";
    PriorityNeverUsed = "priority-never-used",
        "Endpoints of a lower priority never get a request: nothing finds those before them unhealthy.", "Give the cluster `health_check` or `outlier_detection`, or one priority.";
    PanicNever = "panic-never",
        "A setting of panic has no effect: nothing finds an endpoint unhealthy.", "Give the cluster `health_check` or `outlier_detection`, or remove it.";
    OutlierStatisticsNeverCounted = "outlier-statistics-never-counted",
        "Ejection by statistics takes more endpoints than the cluster has.", "Lower the number of endpoints that it takes, or remove its settings.";
    HealthCheckSlowerThanEjection = "health-check-slower-than-ejection",
        "An ejected endpoint is back before a health check has looked at it.", "Check more often, or eject for longer.";
    PendingLimitNeverReached = "pending-limit-never-reached",
        "`pending_max` is never reached: pending requests count among `requests_max`, which is no more.", "Make it smaller than `requests_max`.";
    HighPriorityUnused = "high-priority-unused",
        "Limits for high priority have no effect: no route to the cluster has it.", "Give a route `priority: high`, or remove them.";
    EndpointLimitNeverReached = "endpoint-limit-never-reached",
        "A limit for each endpoint is above that of the whole cluster.", "Make it smaller than the cluster's, or remove it.";
    AdaptiveLimitNeverReached = "adaptive-limit-never-reached",
        "The adaptive limit never acts: its minimum is above what the circuit breakers allow.", "Lower `concurrency_min`, or raise `requests_max`.";
    CertificateExpired = "certificate-expired",
        "A certificate or an authority has expired.", "Replace it.";
    LatencyObjectiveNotMeasured = "latency-objective-not-measured",
        "No bucket of the histograms ends where the rules for alerts look: none comes for what is slow.",
        "Add `500ms`, or look elsewhere with rules of your own.";
    CertificateExpiresSoon = "certificate-expires-soon",
        "A certificate or an authority that is read from a file will expire soon.", "Replace it, or see why whoever renews it has not.";
    CertificateNotYetValid = "certificate-not-yet-valid",
        "A certificate or an authority is not valid yet.", "Check the clock, or wait.";
    PrivateKeyOpen = "private-key-open",
        "Other users of the machine may read a private key.", "Take their permissions away.";
}

impl Code {
    /// What is said follows from who uses a part, not from the part alone.
    pub(crate) fn depends_on_use(self) -> bool {
        matches!(
            self,
            Code::SubsetsUnused
                | Code::OneEndpointNeverEjected
                | Code::HighPriorityUnused
                | Code::IdentityNeverKnown
                | Code::ClaimNeverKnown
                | Code::AllowAlwaysDenied
                | Code::AllowAddsNothing
                | Code::RateLimitNeverCounts
                | Code::RateLimitNeverRefuses
                | Code::RoutesBehindRedirect
                | Code::HstsNeverSent
                | Code::UpgradeTimeoutUnused
                | Code::AuthorizationContextUnused
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
