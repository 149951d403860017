//! What is counted for a cluster, its limits and the discovery of its endpoints; their health has `health`.

use super::{Cells, Family};
use crate::cell::histogram::Histogram;
use crate::cell::labelled::{CounterBy, CounterFromZeroBy, FlagCounters};
use crate::cell::{Counter, Gauge, Series, SharedCounter, SharedGauge, Terms};
use crate::exposition::Heading;
use crate::labels::{
    AttemptEnd, CodeClass, ConnectionFailure, ConnectionProtocol, DestinationRefusal, Overflow,
    ResolutionOutcome, RetryDenied, RetryReason, RetryWait, RightLost, TlsFailure, TlsHandshake, TlsVersion,
    UpstreamClose, ZoneRouting,
};

cells! {
    /// What one worker counts for a cluster.
    pub struct ClusterCells ["cluster"] {
        /// Requests for which this cluster was chosen, refused by its limits or not, by the class of their final answer.
        requests: CounterFromZeroBy<CodeClass, { CodeClass::COUNT }> = "outrigger_cluster_requests_total",
        /// Requests for which this cluster was chosen by response flag; a request with two flags counts for both.
        response_flags: FlagCounters = "outrigger_cluster_response_flags_total",
        /// Requests in flight to the cluster now.
        requests_active: Gauge = "outrigger_cluster_requests_active",
        /// Attempts: a request that is retried once makes two.
        attempts: Counter = "outrigger_cluster_attempts_total",
        /// From the start of an attempt to its end, whatever ends it: its response, a cut, a timeout, another's answer.
        request_duration: Histogram = "outrigger_cluster_attempt_duration_seconds",
        /// From the start of an attempt to the head of its answer, waiting for a connection included.
        time_to_answer: Histogram = "outrigger_cluster_attempt_time_to_answer_seconds",
        /// Attempts that ended without the head of an answer, by what ended them.
        attempts_unanswered: CounterFromZeroBy<AttemptEnd, { AttemptEnd::COUNT }> =
            "outrigger_cluster_attempts_unanswered_total",
        /// Attempts that followed another, by what became of that.
        retries: CounterBy<RetryReason, { RetryReason::COUNT }> = "outrigger_cluster_retries_total",
        /// Retries that the budget did not allow, by its bound.
        retries_denied: CounterFromZeroBy<RetryDenied, { RetryDenied::COUNT }> = "outrigger_cluster_retries_denied_total",
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
        /// Requests that waited because there were as many connections as may be; most get one.
        connection_limit_waits: Counter = "outrigger_cluster_connection_limit_waits_total",
        /// Requests and TCP connections refused because a limit of the cluster was met, by limit.
        overflows: CounterFromZeroBy<Overflow, { Overflow::COUNT }> = "outrigger_cluster_overflows_total",
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
        endpoints: SharedGauge = "outrigger_cluster_endpoints",
        /// Endpoints that serve.
        endpoints_healthy: SharedGauge = "outrigger_cluster_endpoints_healthy",
        /// Endpoints that serve where healthy ones are too few.
        endpoints_degraded: SharedGauge = "outrigger_cluster_endpoints_degraded",
        /// Endpoints that get no new work.
        endpoints_draining: SharedGauge = "outrigger_cluster_endpoints_draining",
        /// Endpoints that serve in panic only.
        endpoints_excluded: SharedGauge = "outrigger_cluster_endpoints_excluded",
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
}
