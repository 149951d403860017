//! What is counted for a listener.

use super::{Cells, Family};
use crate::cell::histogram::Histogram;
use crate::cell::labelled::{CounterBy, CounterFromZeroBy, RefusalCounters};
use crate::cell::{Counter, Gauge, Series, Terms};
use crate::exposition::Heading;
use crate::labels::{
    Coding, ConnectionClose, ConnectionRefusal, DecisionCacheUse, Detected, EdgeAnswerKind,
    ExternalAuthorizationFault, ExternalAuthorizationOutcome, HttpProtocol, NotCompressed, OverloadRefusal,
    RightLost, SamplingDecision, SpliceFallback, TailReason, TlsFailure, TlsHandshake, TlsVersion, TunnelEnd,
    UpgradeProtocol,
};

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
        tls_handshake_failures: CounterFromZeroBy<TlsFailure, { TlsFailure::COUNT }> =
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
}
