//! What one worker counts for a listener, a route and a cluster, and what the process counts as a whole.
//!
//! Each field is one metric family: its documentation is the family's help, its name stands beside it. The structs are
//! aligned to two cache lines, so that no two workers write to one.

use crate::cell::histogram::Histogram;
use crate::cell::labelled::{CounterBy, FlagCounters, RefusalCounters, SharedCounterBy};
use crate::cell::{Countdown, Counter, Gauge, Series, SharedCounter, SharedDuration, SharedGauge, Terms};
use crate::exposition::{Heading, Samples};
use crate::flags::ResponseFlags;
use crate::labels::{
    AuthorizationOutcome, CancelledAttempt, CodeClass, Coding, ConnectionClose, ConnectionFailure,
    ConnectionProtocol, ConnectionRefusal, ControlUpdate, CorsOrigin, DeadlineWait, DecisionCacheUse,
    DestinationRefusal, Detected, EdgeAnswerKind, ExportDrop, ExportFailure, ExternalAuthorizationFault,
    ExternalAuthorizationOutcome, FaultInjected, FaultSkipped, HedgeDenied, HttpProtocol, KeySetFetch,
    LastGoodWrite, MirrorDrop, NotCompressed, Overflow, OverloadRefusal, RateLimitFault, RateLimitKeyDrop,
    RateLimitOutcome, RenewalResult, ReportOutcome, ResolutionOutcome, RetryDenied, RetryReason, RetryWait,
    RightLost, SamplingDecision, ScrapeOutcome, SessionCookieUse, SourceFailure, SpliceFallback, StreamEnd,
    TailReason, TlsFailure, TlsHandshake, TlsVersion, TokenRefusal, TooLongResponse, TunnelEnd,
    UpgradeOutcome, UpgradeProtocol, UpstreamClose, ZoneRouting,
};
use std::time::Duration;

/// One metric family, read from cells of type `C`.
pub(crate) struct Family<C: 'static> {
    pub(crate) heading: Heading,
    /// The label of the cell itself, after those of `C`.
    pub(crate) label: Option<&'static str>,
    /// What that label can say, as far as it is known here.
    pub(crate) values: &'static [&'static str],
    /// Writes the samples of one label set: the cells of every worker, summed.
    pub(crate) write: fn(&[C], &mut Samples<'_>),
}

/// A struct of cells whose fields are metric families.
pub(crate) trait Cells: Sized + Send + Sync + 'static {
    /// The labels that tell one label set from another.
    const LABELS: &'static [&'static str];
    /// The families, in the order of the fields.
    const FAMILIES: &'static [Family<Self>];

    /// Cells that have counted nothing.
    fn new(terms: &Terms) -> Self;

    /// Has each of them count something.
    #[cfg(test)]
    fn touch(&self);
}

/// Declares structs of cells, with each field's documentation as its help text.
macro_rules! cells {
    ($($(#[$meta:meta])* pub struct $name:ident [$($label:literal),*] {
        $(#[doc = $help:literal] $field:ident: $kind:ty = $family:literal,)*
    })*) => {$(
        $(#[$meta])*
        #[derive(Debug)]
        #[repr(align(128))]
        pub struct $name { $(#[doc = $help] pub $field: $kind,)* }

        impl Cells for $name {
            const LABELS: &'static [&'static str] = &[$($label),*];
            const FAMILIES: &'static [Family<$name>] = &[$(Family {
                heading: Heading {
                    name: $family,
                    help: $help,
                    kind: <$kind as Series>::KIND,
                },
                label: <$kind as Series>::LABEL,
                values: <$kind as Series>::VALUES,
                write: |workers, out| {
                    <$kind as Series>::write(workers, |cells: &$name| &cells.$field, out);
                },
            }),*];

            fn new(terms: &Terms) -> $name {
                $name { $($field: <$kind as Series>::new(terms)),* }
            }

            #[cfg(test)]
            fn touch(&self) {
                $(self.$field.touch();)*
            }
        }
    )*};
}

mod health;

pub use health::HealthCells;

cells! {
    /// What one worker counts for a listener.
    pub struct ListenerCells ["listener"] {
        /// Downstream connections accepted.
        connections_accepted: Counter = "outrigger_listener_connections_accepted_total",
        /// Downstream connections open now.
        connections_active: Gauge = "outrigger_listener_connections_active",
        /// Downstream connections closed before they were served, by reason.
        connections_refused: CounterBy<ConnectionRefusal, { ConnectionRefusal::COUNT }> =
            "outrigger_listener_connections_refused_total",
        /// Downstream connections closed after they were served, by reason.
        connections_closed: CounterBy<ConnectionClose, { ConnectionClose::COUNT }> =
            "outrigger_listener_connections_closed_total",
        /// Downstream connections cut because they lost their right, by reason.
        connections_cut: CounterBy<RightLost, { RightLost::COUNT }> =
            "outrigger_listener_connections_cut_total",
        /// Requests and tunnels in flight cut because they lost their right, by reason.
        requests_cut: CounterBy<RightLost, { RightLost::COUNT }> = "outrigger_listener_requests_cut_total",
        /// Connections that the accepting worker gave to a less busy one.
        connections_handed_over: Counter = "outrigger_listener_connections_handed_over_total",
        /// TLS handshakes completed.
        tls_handshakes: CounterBy<TlsHandshake, { TlsHandshake::COUNT }> =
            "outrigger_listener_tls_handshakes_total",
        /// TLS connections, by version.
        tls_connections: CounterBy<TlsVersion, { TlsVersion::COUNT }> =
            "outrigger_listener_tls_connections_total",
        /// TLS handshakes that failed, by reason.
        tls_handshake_failures: CounterBy<TlsFailure, { TlsFailure::COUNT }> =
            "outrigger_listener_tls_handshake_failures_total",
        /// Downstream connections that turned out to speak HTTP, by version.
        http_connections: CounterBy<HttpProtocol, { HttpProtocol::COUNT }> =
            "outrigger_listener_http_connections_total",
        /// Downstream connections whose bytes were passed on as they are.
        tcp_connections: Counter = "outrigger_listener_tcp_connections_total",
        /// From accept to the end of connections whose bytes were passed on.
        tcp_connection_duration: Histogram = "outrigger_listener_tcp_connection_duration_seconds",
        /// What connections of filter chains in mode auto turned out to be.
        protocol_detected: CounterBy<Detected, { Detected::COUNT }> =
            "outrigger_listener_protocol_detected_total",
        /// Bytes that the kernel moved from socket to socket.
        spliced_bytes: Counter = "outrigger_listener_spliced_bytes_total",
        /// Long flows that had to be copied for a while, by reason.
        splice_fallbacks: CounterBy<SpliceFallback, { SpliceFallback::COUNT }> =
            "outrigger_listener_splice_fallbacks_total",
        /// HTTP/2 connections ended for a protocol error or a flood of frames.
        http2_connection_errors: Counter = "outrigger_listener_http2_connection_errors_total",
        /// Requests in flight now.
        requests_active: Gauge = "outrigger_listener_requests_active",
        /// Requests answered by the proxy itself because they were refused, by reason.
        refused_requests: RefusalCounters = "outrigger_listener_requests_refused_total",
        /// Requests answered 503 because the process is near what it may have, by reason.
        overload_refusals: CounterBy<OverloadRefusal, { OverloadRefusal::COUNT }> =
            "outrigger_listener_overload_refusals_total",
        /// Requests answered 401 because they brought no token that holds.
        unauthenticated_requests: Counter = "outrigger_listener_unauthenticated_requests_total",
        /// Upgrades and CONNECT requests that became tunnels.
        upgrades_established: CounterBy<UpgradeProtocol, { UpgradeProtocol::COUNT }> =
            "outrigger_listener_upgrades_established_total",
        /// Upgrades and CONNECT requests that the upstream answered with an ordinary response.
        upgrades_refused: CounterBy<UpgradeProtocol, { UpgradeProtocol::COUNT }> =
            "outrigger_listener_upgrades_refused_total",
        /// Upgrades and CONNECT requests that were allowed and got no answer from the upstream that could be passed on.
        upgrades_failed: CounterBy<UpgradeProtocol, { UpgradeProtocol::COUNT }> =
            "outrigger_listener_upgrades_failed_total",
        /// Upgrades that policy does not allow: over HTTP/1 ignored, over HTTP/2 answered 403; CONNECT that no route takes.
        upgrades_denied: CounterBy<UpgradeProtocol, { UpgradeProtocol::COUNT }> =
            "outrigger_listener_upgrades_denied_total",
        /// Requests that tracing looked at, by what was decided.
        traces: CounterBy<SamplingDecision, { SamplingDecision::COUNT }> = "outrigger_listener_traces_total",
        /// Requests whose spans were sent although their trace is not kept, by reason.
        traces_kept_at_end: CounterBy<TailReason, { TailReason::COUNT }> =
            "outrigger_listener_traces_kept_at_end_total",
        /// Tunnels open now.
        tunnels_active: Gauge = "outrigger_listener_tunnels_active",
        /// Tunnels that ended, by reason.
        tunnels_ended: CounterBy<TunnelEnd, { TunnelEnd::COUNT }> = "outrigger_listener_tunnels_ended_total",
        /// Requests answered by edge policy in place of a route, and local replies that became error pages.
        edge_answers: CounterBy<EdgeAnswerKind, { EdgeAnswerKind::COUNT }> =
            "outrigger_listener_edge_answers_total",
        /// Responses compressed, by content coding.
        compressed_responses: CounterBy<Coding, { Coding::COUNT }> =
            "outrigger_listener_compressed_responses_total",
        /// Bytes of response bodies that were compressed.
        compression_input_bytes: Counter = "outrigger_listener_compression_input_bytes_total",
        /// Bytes that became of them.
        compression_output_bytes: Counter = "outrigger_listener_compression_output_bytes_total",
        /// Responses that were not compressed where the filter chain compresses, by reason.
        not_compressed_responses: CounterBy<NotCompressed, { NotCompressed::COUNT }> =
            "outrigger_listener_not_compressed_responses_total",
        /// Requests that were to be decided on by an authorization service, by what became of them.
        external_authorizations: CounterBy<ExternalAuthorizationOutcome, { ExternalAuthorizationOutcome::COUNT }> =
            "outrigger_listener_external_authorizations_total",
        /// Questions that were put to authorization services.
        external_authorization_questions: Counter = "outrigger_listener_external_authorization_questions_total",
        /// From a question to the end of its answer, repetitions included.
        external_authorization_duration: Histogram = "outrigger_listener_external_authorization_duration_seconds",
        /// Failures of authorization services, by reason; also headers of their denials that could not be sent.
        external_authorization_faults: CounterBy<ExternalAuthorizationFault, { ExternalAuthorizationFault::COUNT }> =
            "outrigger_listener_external_authorization_faults_total",
        /// Look-ups of kept decisions of authorization services, by whether there was one.
        external_authorization_cache: CounterBy<DecisionCacheUse, { DecisionCacheUse::COUNT }> =
            "outrigger_listener_external_authorization_cache_total",
        /// Answers of authorization services that brought metadata, which has no meaning here.
        external_authorization_metadata_ignored: Counter =
            "outrigger_listener_external_authorization_metadata_ignored_total",
        /// Bytes of request bodies that were read for authorization services and are held now.
        external_authorization_body_bytes: Gauge = "outrigger_listener_external_authorization_body_bytes",
        /// Bytes read from downstream connections, after TLS.
        bytes_received: Counter = "outrigger_listener_received_bytes_total",
        /// Bytes written to downstream connections, before TLS.
        bytes_sent: Counter = "outrigger_listener_sent_bytes_total",
    }

    /// What one worker counts for the listeners of one direction.
    pub struct DirectionCells ["direction"] {
        /// Requests answered, by the class of the status sent downstream.
        requests: CounterBy<CodeClass, { CodeClass::COUNT }> = "outrigger_requests_total",
        /// Requests by response flag; a request with two flags counts for both.
        response_flags: FlagCounters = "outrigger_response_flags_total",
        /// From a request's first byte to the end of its response, retries included.
        duration: Histogram = "outrigger_request_duration_seconds",
        /// Requests in flight now.
        requests_active: Gauge = "outrigger_requests_active",
    }

    /// What one worker counts for a route.
    pub struct RouteCells ["route_configuration", "virtual_host", "route"] {
        /// Requests answered, by the class of the status sent downstream.
        requests: CounterBy<CodeClass, { CodeClass::COUNT }> = "outrigger_route_requests_total",
        /// Requests by response flag; a request with two flags counts for both.
        response_flags: FlagCounters = "outrigger_route_response_flags_total",
        /// From a request's first byte to the end of its response, retries included.
        duration: Histogram = "outrigger_route_request_duration_seconds",
        /// Requests in flight now.
        requests_active: Gauge = "outrigger_route_requests_active",
        /// Request body bytes.
        request_bytes: Counter = "outrigger_route_request_bytes_total",
        /// Response body bytes.
        response_bytes: Counter = "outrigger_route_response_bytes_total",
        /// Responses longer than the route allows, by what became of them.
        responses_too_long: CounterBy<TooLongResponse, { TooLongResponse::COUNT }> =
            "outrigger_route_responses_too_long_total",
        /// Cross-origin requests to routes with a CORS policy, preflights included, by whether their origin is allowed.
        cors_requests: CounterBy<CorsOrigin, { CorsOrigin::COUNT }> = "outrigger_route_cors_requests_total",
        /// Requests to routes with a session cookie, by what became of their cookie.
        session_cookies: CounterBy<SessionCookieUse, { SessionCookieUse::COUNT }> =
            "outrigger_route_session_cookies_total",
        /// Copies of requests that a mirror has answered, whatever its status.
        mirrored: Counter = "outrigger_route_mirrored_total",
        /// Copies of requests that did not get as far as an answer, by reason.
        mirrors_dropped: CounterBy<MirrorDrop, { MirrorDrop::COUNT }> =
            "outrigger_route_mirrors_dropped_total",
        /// Faults that were injected, by kind; a request with two counts for both.
        faults_injected: CounterBy<FaultInjected, { FaultInjected::COUNT }> =
            "outrigger_route_faults_injected_total",
        /// Requests that a fault had chosen and that were let be, by reason.
        faults_skipped: CounterBy<FaultSkipped, { FaultSkipped::COUNT }> =
            "outrigger_route_faults_skipped_total",
        /// Attempts that were made beside one that had not answered.
        hedges: Counter = "outrigger_route_hedges_total",
        /// Hedges whose answer came first, or was the better one.
        hedges_won: Counter = "outrigger_route_hedges_won_total",
        /// Attempts that were cancelled because the other one's answer was there, by which it was.
        hedged_attempts_cancelled: CounterBy<CancelledAttempt, { CancelledAttempt::COUNT }> =
            "outrigger_route_hedged_attempts_cancelled_total",
        /// Hedges that were due and not made, by reason.
        hedges_denied: CounterBy<HedgeDenied, { HedgeDenied::COUNT }> = "outrigger_route_hedges_denied_total",
        /// Requests whose time was up before they were sent, or sent again, by what they were waiting for.
        deadlines_passed: CounterBy<DeadlineWait, { DeadlineWait::COUNT }> =
            "outrigger_route_deadlines_passed_total",
        /// Requests that are held, or whose answers are slowed down, by a fault now.
        faults_active: Gauge = "outrigger_route_faults_active",
    }

    /// What one worker counts for a cluster.
    pub struct ClusterCells ["cluster"] {
        /// Requests whose final answer came from, or failed at, this cluster, by code class.
        requests: CounterBy<CodeClass, { CodeClass::COUNT }> = "outrigger_cluster_requests_total",
        /// Requests that went to this cluster by response flag; a request with two flags counts for both.
        response_flags: FlagCounters = "outrigger_cluster_response_flags_total",
        /// Requests in flight to the cluster now.
        requests_active: Gauge = "outrigger_cluster_requests_active",
        /// Attempts: a request that is retried once makes two.
        attempts: Counter = "outrigger_cluster_attempts_total",
        /// From the start of an attempt to the end of its response.
        request_duration: Histogram = "outrigger_cluster_attempt_duration_seconds",
        /// From the start of an attempt to the head of its answer, waiting for a connection included.
        time_to_answer: Histogram = "outrigger_cluster_attempt_time_to_answer_seconds",
        /// Attempts that followed another, by what became of that.
        retries: CounterBy<RetryReason, { RetryReason::COUNT }> = "outrigger_cluster_retries_total",
        /// Retries that the budget did not allow, by its bound.
        retries_denied: CounterBy<RetryDenied, { RetryDenied::COUNT }> = "outrigger_cluster_retries_denied_total",
        /// Requests that were not repeated once more because they had been as often as they may be.
        retry_limits_exceeded: Counter = "outrigger_cluster_retry_limits_exceeded_total",
        /// Requests that were repeated, and whose last answer was no reason to repeat them.
        retry_successes: Counter = "outrigger_cluster_retry_successes_total",
        /// Waits before retries, by what said how long.
        retry_waits: CounterBy<RetryWait, { RetryWait::COUNT }> = "outrigger_cluster_retry_waits_total",
        /// Connections opened, by what they carry.
        connections_opened: CounterBy<ConnectionProtocol, { ConnectionProtocol::COUNT }> =
            "outrigger_cluster_connections_opened_total",
        /// Connections open now.
        connections_active: Gauge = "outrigger_cluster_connections_active",
        /// Times that a limit of the cluster was met, by limit.
        overflows: CounterBy<Overflow, { Overflow::COUNT }> = "outrigger_cluster_overflows_total",
        /// Connections that could not be made, by reason.
        connection_failures: CounterBy<ConnectionFailure, { ConnectionFailure::COUNT }> =
            "outrigger_cluster_connection_failures_total",
        /// TLS handshakes with endpoints completed.
        tls_handshakes: CounterBy<TlsHandshake, { TlsHandshake::COUNT }> =
            "outrigger_cluster_tls_handshakes_total",
        /// TLS connections to endpoints, by version.
        tls_connections: CounterBy<TlsVersion, { TlsVersion::COUNT }> =
            "outrigger_cluster_tls_connections_total",
        /// TLS handshakes with endpoints that failed, by reason.
        tls_handshake_failures: CounterBy<TlsFailure, { TlsFailure::COUNT }> =
            "outrigger_cluster_tls_handshake_failures_total",
        /// From the first SYN to a connection that is ready, TLS included.
        connect_duration: Histogram = "outrigger_cluster_connect_duration_seconds",
        /// Connections that ended, by reason.
        connections_closed: CounterBy<UpstreamClose, { UpstreamClose::COUNT }> =
            "outrigger_cluster_connections_closed_total",
        /// Connections cut because their endpoint's certificate is believed no more, by reason.
        connections_cut: CounterBy<RightLost, { RightLost::COUNT }> =
            "outrigger_cluster_connections_cut_total",
        /// Attempts that found a connection open.
        pool_hits: Counter = "outrigger_cluster_pool_hits_total",
        /// Attempts that had to wait for a connection.
        pool_waits: Counter = "outrigger_cluster_pool_waits_total",
        /// Answers that broke the protocol.
        upstream_protocol_errors: Counter = "outrigger_cluster_protocol_errors_total",
        /// Bytes written to the cluster's connections, before TLS.
        bytes_sent: Counter = "outrigger_cluster_sent_bytes_total",
        /// Bytes read from the cluster's connections, after TLS.
        bytes_received: Counter = "outrigger_cluster_received_bytes_total",
        /// Runs of failures that had to be told of again: whoever ejects endpoints was behind.
        outlier_alarms_deferred: Counter = "outrigger_cluster_outlier_alarms_deferred_total",
        /// Original destinations that are remembered now, summed over the workers.
        destinations: Gauge = "outrigger_cluster_destinations",
        /// Original destinations forgotten before their time because there were too many.
        destinations_evicted: Counter = "outrigger_cluster_destinations_evicted_total",
        /// Attempts that were not sent to their original destination, by reason.
        destinations_refused: CounterBy<DestinationRefusal, { DestinationRefusal::COUNT }> =
            "outrigger_cluster_destinations_refused_total",
        /// Endpoints, those that drain included.
        endpoints: Gauge = "outrigger_cluster_endpoints",
        /// Endpoints that serve.
        endpoints_healthy: Gauge = "outrigger_cluster_endpoints_healthy",
        /// Endpoints that serve where healthy ones are too few.
        endpoints_degraded: Gauge = "outrigger_cluster_endpoints_degraded",
        /// Endpoints that get no new work.
        endpoints_draining: Gauge = "outrigger_cluster_endpoints_draining",
        /// Endpoints that serve in panic only.
        endpoints_excluded: Gauge = "outrigger_cluster_endpoints_excluded",
        /// Picks of endpoints in a priority that is in panic, refused ones included.
        panics: Counter = "outrigger_cluster_panic_picks_total",
        /// Picks for a subset that is not there.
        subset_fallbacks: Counter = "outrigger_cluster_subset_fallbacks_total",
        /// Picks of clusters that are balanced by zones, by what zones did.
        zone_routing: CounterBy<ZoneRouting, { ZoneRouting::COUNT }> = "outrigger_cluster_zone_routing_total",
    }

    /// How a circuit breaker of a cluster stands, at the scrape. High priority's are there where its limits were set.
    pub struct BreakerCells ["cluster", "priority", "breaker"] {
        /// What may still begin before the breaker opens.
        remaining: SharedGauge = "outrigger_cluster_breaker_remaining",
        /// 1 while the breaker is open: nothing more may begin.
        open: SharedGauge = "outrigger_cluster_breaker_open",
    }

    /// How adaptive concurrency of a cluster stands, at the scrape.
    pub struct AdaptiveCells ["cluster"] {
        /// Requests that may be active at once.
        limit: SharedGauge = "outrigger_cluster_adaptive_limit",
        /// Requests that are.
        active: SharedGauge = "outrigger_cluster_adaptive_active",
        /// 1 while the least response time is measured, at the lowest limit.
        measuring: SharedGauge = "outrigger_cluster_adaptive_measuring",
    }

    /// What one worker counts for clients of one identity.
    pub struct SourceCells ["source_identity"] {
        /// Requests by mutual TLS, by who made them and the class of the status sent; other: identities beyond the limit.
        requests: CounterBy<CodeClass, { CodeClass::COUNT }> = "outrigger_downstream_identity_requests_total",
    }

    /// What one worker counts for a filter chain's decisions by authorization policies, those of its routes included.
    pub struct AuthorizationCells ["listener", "filter_chain"] {
        /// Requests and TCP connections that policies were asked about, once more where there are shadow or AUDIT policies.
        decisions: CounterBy<AuthorizationOutcome, { AuthorizationOutcome::COUNT }> =
            "outrigger_authorization_decisions_total",
    }

    /// What one worker counts for an authorization policy.
    pub struct PolicyCells ["policy"] {
        /// Decisions that this policy made; what is denied because no ALLOW policy matches is no policy's.
        decisions: CounterBy<AuthorizationOutcome, { AuthorizationOutcome::COUNT }> =
            "outrigger_authorization_policy_decisions_total",
    }

    /// What one worker counts for a rate limit.
    pub struct RateLimitCells ["rate_limit"] {
        /// What the limit said of requests and connections, by what became of them.
        decisions: CounterBy<RateLimitOutcome, { RateLimitOutcome::COUNT }> =
            "outrigger_rate_limit_decisions_total",
        /// Values of its descriptor that are counted now.
        keys: SharedGauge = "outrigger_rate_limit_keys",
        /// Values of its descriptor that were forgotten because there were too many, by whether their bucket was full.
        keys_dropped: CounterBy<RateLimitKeyDrop, { RateLimitKeyDrop::COUNT }> =
            "outrigger_rate_limit_keys_dropped_total",
        /// From a question to its service to the end of the answer.
        service_duration: Histogram = "outrigger_rate_limit_service_duration_seconds",
        /// Times that its service could not tell, by reason; also headers of its refusals that could not be sent.
        service_faults: CounterBy<RateLimitFault, { RateLimitFault::COUNT }> =
            "outrigger_rate_limit_service_faults_total",
    }

    /// What is counted for the discovery of a cluster's endpoints. One task writes at a time.
    pub struct DiscoveryCells ["cluster"] {
        /// Questions that were asked of DNS, by what came of them.
        resolutions: CounterBy<ResolutionOutcome, { ResolutionOutcome::COUNT }> =
            "outrigger_cluster_dns_resolutions_total",
        /// Times that the endpoints in force changed.
        updates: SharedCounter = "outrigger_cluster_discovery_updates_total",
        /// Addresses in force.
        addresses: SharedGauge = "outrigger_cluster_discovered_addresses",
        /// Addresses that answers held and that are not used: too many, or of no host.
        addresses_left_out: SharedCounter = "outrigger_cluster_discovered_addresses_left_out_total",
        /// When the oldest of the answers in force came, in seconds since 1970; 0 while there is none.
        answer_time: SharedGauge = "outrigger_cluster_dns_answer_timestamp_seconds",
        /// 1 while an answer in force is older than its TTL because later questions failed.
        stale: SharedGauge = "outrigger_cluster_dns_stale",
        /// Answers that were dropped because nothing but failures came for too long.
        answers_expired: SharedCounter = "outrigger_cluster_dns_answers_expired_total",
    }

    /// What is counted for a certificate with its key: an identity by its name, or one in files by the certificate's. One
    /// task writes at a time.
    pub struct CertificateCells ["name"] {
        /// Seconds until the certificate that is shown expires; negative once it has.
        seconds_to_expiry: Countdown = "outrigger_certificate_seconds_to_expiry",
        /// Attempts to have it anew, by what came of them; for files, changes of theirs.
        renewals: CounterBy<RenewalResult, { RenewalResult::COUNT }> = "outrigger_certificate_renewals_total",
        /// Attempts to have it anew that failed, by reason.
        renewal_failures: CounterBy<SourceFailure, { SourceFailure::COUNT }> =
            "outrigger_certificate_renewal_failures_total",
    }

    /// What is counted for a trust bundle by its name, or for authorities in a file by that. One task writes at a time.
    pub struct TrustBundleCells ["name"] {
        /// Seconds until the first of its authorities expires; negative once it has.
        seconds_to_expiry: Countdown = "outrigger_trust_bundle_seconds_to_expiry",
        /// Changes of its source that could not be put in force, by reason; the one before stayed.
        failures: CounterBy<SourceFailure, { SourceFailure::COUNT }> = "outrigger_trust_bundle_failures_total",
    }

    /// What is counted for a certificate revocation list by its file, or `inline`, or the identity that it came with. One
    /// task writes at a time.
    pub struct RevocationListCells ["name"] {
        /// Seconds until its next update is due; negative once it is overdue.
        seconds_to_next_update: Countdown = "outrigger_revocation_list_seconds_to_next_update",
        /// Changes of its source that could not be put in force, by reason; the one before stayed.
        failures: CounterBy<SourceFailure, { SourceFailure::COUNT }> =
            "outrigger_revocation_list_failures_total",
    }

    /// What one worker counts for a JWT provider.
    pub struct TokenCells ["provider"] {
        /// Tokens accepted.
        verified: Counter = "outrigger_jwt_tokens_verified_total",
        /// Tokens accepted without looking at their signature again.
        remembered: Counter = "outrigger_jwt_tokens_remembered_total",
        /// Tokens that were not accepted, by reason. A request may be served all the same, for the sake of another.
        refused: CounterBy<TokenRefusal, { TokenRefusal::COUNT }> = "outrigger_jwt_tokens_refused_total",
    }

    /// What is counted for the keys of a JWT provider. One task writes at a time.
    pub struct KeySetCells ["provider"] {
        /// Times that the key set was read or fetched, by what came of it.
        fetches: CounterBy<KeySetFetch, { KeySetFetch::COUNT }> = "outrigger_jwks_fetches_total",
        /// Keys in force.
        keys: SharedGauge = "outrigger_jwks_keys",
        /// Keys of the set in force that are not used: not for signatures, or of a kind that is not supported.
        keys_left_out: SharedGauge = "outrigger_jwks_keys_left_out",
        /// When the key set in force was last read or fetched, in seconds since 1970; 0 while there is none.
        fetch_time: SharedGauge = "outrigger_jwks_fetch_timestamp_seconds",
        /// 1 while the key set could not be read or fetched the last time.
        failing: SharedGauge = "outrigger_jwks_failing",
    }

    /// What one worker counts for itself.
    pub struct WorkerCells [] {
        /// Bytes of bodies that are kept now: for replays, for copies, and for authorization services.
        buffered_bytes: Gauge = "outrigger_buffered_bytes",
        /// Bodies that were not kept because as many bytes as may be were: they went on, and could not be sent again.
        buffering_refused: Counter = "outrigger_buffering_refused_total",
    }

    /// What is measured of the threads of one kind.
    pub struct EventLoopCells ["thread"] {
        /// How late a thread comes to what is due; a timer is late by up to a millisecond in any case.
        delay: Histogram = "outrigger_event_loop_delay_seconds",
    }

    /// What is told of a resource of which the process may have so much. One task writes at a time.
    pub struct PressureCells ["resource"] {
        /// How much of it is in use, of its limit.
        percent: SharedGauge = "outrigger_overload_pressure_percent",
        /// How much of it is in use: connections, requests, or bytes.
        used: SharedGauge = "outrigger_overload_used",
        /// How much of it there may be.
        limit: SharedGauge = "outrigger_overload_limit",
    }

    /// What is told of something that is done near a limit. One task writes at a time.
    pub struct OverloadActionCells ["action"] {
        /// How far it is done: 0 is not at all, 100 altogether.
        percent: SharedGauge = "outrigger_overload_action_percent",
        /// Times that it began.
        begun: SharedCounter = "outrigger_overload_actions_begun_total",
    }

    /// What is told of remarks of one kind on the configuration in force. One task writes at a time.
    pub struct RemarkCells ["code"] {
        /// Remarks in the receipt of the configuration in force.
        remarks: SharedGauge = "outrigger_configuration_remarks",
    }

    /// What is counted for what one collector is sent, of one `signal`: `spans` or `logs`.
    pub struct ExportCells ["collector", "signal"] {
        /// Spans or log records that the collector took.
        exported: SharedCounter = "outrigger_telemetry_exported_total",
        /// Spans or log records that it did not get, or may not have got, by reason.
        dropped: SharedCounterBy<ExportDrop, { ExportDrop::COUNT }> = "outrigger_telemetry_dropped_total",
        /// Requests to it that failed, by reason.
        failures: SharedCounterBy<ExportFailure, { ExportFailure::COUNT }> = "outrigger_telemetry_failures_total",
        /// Spans or log records that wait to be sent, or are being sent.
        queue: SharedGauge = "outrigger_telemetry_queue_length",
    }

    /// What is counted for the process as a whole; any thread may write, but for what is counted by a label, which one
    /// task writes each.
    pub struct ProcessMetrics [] {
        /// Configurations that were put in force.
        configuration_updates_accepted: SharedCounter = "outrigger_configuration_updates_accepted_total",
        /// Configurations that were refused; the one before stayed in force.
        configuration_updates_rejected: SharedCounter = "outrigger_configuration_updates_rejected_total",
        /// Number of the configuration in force, counted from the start of the process.
        configuration_generation: SharedGauge = "outrigger_configuration_generation",
        /// When a configuration was last put in force, in seconds since 1970.
        configuration_last_success: SharedGauge = "outrigger_configuration_last_success_timestamp_seconds",
        /// How often certificates, authorities or revocation lists changed while the process runs.
        material_generation: SharedGauge = "outrigger_identity_material_generation",
        /// 1 while there is a stream from a control plane that it has answered on.
        control_connected: SharedGauge = "outrigger_control_connected",
        /// Streams from control planes that ended or never began, by reason.
        control_streams_ended: CounterBy<StreamEnd, { StreamEnd::COUNT }> =
            "outrigger_control_streams_ended_total",
        /// Resources that came from a control plane, by what became of them.
        control_updates: CounterBy<ControlUpdate, { ControlUpdate::COUNT }> = "outrigger_control_updates_total",
        /// Reports to control planes of how endpoints stand here, by what became of them.
        control_reports: CounterBy<ReportOutcome, { ReportOutcome::COUNT }> = "outrigger_control_reports_total",
        /// When a control plane last said something, in seconds since 1970; 0 if it never did.
        control_last_response: SharedGauge = "outrigger_control_last_response_timestamp_seconds",
        /// Configurations of a control plane that gave way to a newer one while they waited for what they add to be ready.
        control_pushes_superseded: SharedCounter = "outrigger_control_pushes_superseded_total",
        /// Attempts to write the last good configuration of a control plane to disk, by what became of them.
        control_last_good_writes: CounterBy<LastGoodWrite, { LastGoodWrite::COUNT }> =
            "outrigger_control_last_good_writes_total",
        /// 1 while what is in force comes from the last good configuration on disk.
        control_from_disk: SharedGauge = "outrigger_control_from_disk",
        /// Resources whose last version was refused.
        control_resources_refused: SharedGauge = "outrigger_control_resources_refused",
        /// Resources that wait for others.
        control_resources_waiting: SharedGauge = "outrigger_control_resources_waiting",
        /// Upgrades in place, by what became of them.
        upgrades_in_place: CounterBy<UpgradeOutcome, { UpgradeOutcome::COUNT }> =
            "outrigger_upgrades_in_place_total",
        /// How many upgrades in place have led to this process.
        upgrade_epoch: SharedGauge = "outrigger_upgrade_epoch",
        /// Listening sockets that this process did not bind itself.
        sockets_inherited: SharedGauge = "outrigger_sockets_inherited",
        /// Access log lines given to their sink.
        access_log_lines_written: SharedCounter = "outrigger_access_log_lines_written_total",
        /// Access log lines lost because their sink was slow, failed or closed.
        access_log_lines_dropped: SharedCounter = "outrigger_access_log_lines_dropped_total",
        /// Label sets beyond the limit, counted together under the label value other.
        label_sets_folded: SharedCounter = "outrigger_metric_label_sets_folded_total",
        /// Peers whose requests are counted under the source identity other, because there are too many identities.
        source_identities_folded: SharedCounter = "outrigger_downstream_identities_folded_total",
        /// Scrapes of the metrics that have ended, by what became of them.
        scrapes: SharedCounterBy<ScrapeOutcome, { ScrapeOutcome::COUNT }> = "outrigger_scrapes_total",
        /// Worker threads.
        workers: SharedGauge = "outrigger_workers",
        /// When the process started, in seconds since 1970.
        start_time: SharedGauge = "process_start_time_seconds",
        /// Processor time that all threads have used.
        cpu: SharedDuration = "process_cpu_seconds_total",
        /// Resident memory.
        resident_memory: SharedGauge = "process_resident_memory_bytes",
        /// Address space.
        virtual_memory: SharedGauge = "process_virtual_memory_bytes",
        /// Memory that the process may have by its control groups, or that the machine has if that is less.
        memory_limit: SharedGauge = "outrigger_memory_limit_bytes",
        /// Threads.
        threads: SharedGauge = "outrigger_threads",
        /// Open file descriptors.
        open_file_descriptors: SharedGauge = "process_open_fds",
        /// File descriptors that may be open at once.
        file_descriptors_max: SharedGauge = "process_max_fds",
    }
}

impl DirectionCells {
    /// A request has begun.
    #[inline]
    pub fn request_began(&self) {
        self.requests_active.inc();
    }

    /// Counts a request that has ended.
    #[inline]
    pub fn request_ended(&self, status: u16, flags: ResponseFlags, duration: Duration) {
        self.requests_active.dec();
        self.requests[CodeClass::of(status)].inc();
        self.response_flags.add(flags);
        self.duration.observe(duration);
    }
}

impl RouteCells {
    /// Counts a request that has ended: everything but [`RouteCells::requests_active`], which its owner keeps.
    #[inline]
    pub fn request_ended(
        &self,
        status: u16,
        flags: ResponseFlags,
        duration: Duration,
        request_bytes: u64,
        response_bytes: u64,
    ) {
        self.requests[CodeClass::of(status)].inc();
        self.response_flags.add(flags);
        self.duration.observe(duration);
        self.request_bytes.add(request_bytes);
        self.response_bytes.add(response_bytes);
    }
}
