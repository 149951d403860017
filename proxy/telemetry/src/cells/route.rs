//! What is counted for a route.

use super::{Cells, Family};
use crate::cell::histogram::{Histogram, Measured};
use crate::cell::labelled::{CounterBy, CounterFromZeroBy, FlagCounters, RareCounterBy};
use crate::cell::{Counter, Gauge, Series, Terms};
use crate::exposition::Heading;
use crate::flags::ResponseFlags;
use crate::grpc_status::GrpcOutcome;
use crate::labels::{
    CancelledAttempt, CodeClass, CorsOrigin, DeadlineWait, FaultInjected, FaultSkipped, HedgeDenied,
    MirrorDrop, SessionCookieUse, TooLongResponse,
};
use std::time::Duration;

cells! {
    /// What one worker counts for a route.
    pub struct RouteCells ["route_configuration", "virtual_host", "route"] {
        /// Requests answered, by the class of the status sent downstream.
        requests: CounterFromZeroBy<CodeClass, { CodeClass::COUNT }> = "outrigger_route_requests_total",
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
        /// Requests of gRPC, by the status that their client got; other: a number that is no status; none: over before there was one.
        grpc_requests: RareCounterBy<GrpcOutcome, { GrpcOutcome::COUNT }> = "outrigger_route_grpc_requests_total",
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
}

impl RouteCells {
    /// Finds a duration's bucket, as [`RouteCells::request_ended`] and [`super::DirectionCells::request_ended`] want it.
    #[inline]
    pub fn measure(&self, duration: Duration) -> Measured {
        self.duration.measure(duration)
    }

    /// Counts a request that has ended: everything but its bytes and [`RouteCells::requests_active`], which its owner
    /// keeps.
    #[inline]
    pub fn request_ended(&self, class: CodeClass, flags: ResponseFlags, duration: Measured) {
        self.requests[class].inc();
        self.response_flags.add(flags);
        self.duration.count_measured(duration);
    }
}
