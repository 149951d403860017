//! What checks of endpoints, and ejections, come to.

use crate::cell::labelled::Label;

labels! {
    /// What came of a health check.
    pub enum CheckOutcome = "result" {
        /// The endpoint serves.
        Passed = "passed",
        /// There was no connection.
        ConnectFailed = "connect_failed",
        /// The TLS handshake failed.
        TlsFailed = "tls_failed",
        /// There was no whole answer in time.
        TimedOut = "timed_out",
        /// The connection ended before the answer did.
        Closed = "closed",
        /// The answer broke the protocol, or the protocol was not agreed on.
        Protocol = "protocol",
        /// A status that is to be tried again.
        RetriableStatus = "retriable_status",
        /// A status that is not expected.
        Status = "status",
        /// The body does not begin as it should.
        Body = "body",
        /// What was to be in the answer was not, as far as it is read.
        NotFound = "not_found",
        /// gRPC: the service does not serve.
        NotServing = "not_serving",
        /// gRPC: the server does not know the service.
        ServiceUnknown = "service_unknown",
        /// gRPC: the server does not speak of health.
        Unimplemented = "unimplemented",
        /// gRPC: another status than OK.
        GrpcStatus = "grpc_status",
    }

    /// What an endpoint became by its checks.
    pub enum HealthChange = "to" {
        /// It serves from now on.
        Healthy = "healthy",
        /// It does not any more.
        Unhealthy = "unhealthy",
    }

    /// Why an endpoint is an outlier.
    pub enum Outlier = "reason" {
        /// Answers 5xx in a row.
        Consecutive5xx = "consecutive_5xx",
        /// Answers 502, 503 and 504 in a row.
        ConsecutiveGatewayFailure = "consecutive_gateway_failure",
        /// Failures seen here in a row.
        ConsecutiveLocalOriginFailure = "consecutive_local_origin_failure",
        /// Fewer successes than the others.
        SuccessRate = "success_rate",
        /// Fewer successes than the others, by the failures seen here.
        LocalOriginSuccessRate = "local_origin_success_rate",
        /// Too large a share of failures.
        FailurePercentage = "failure_percentage",
        /// Too large a share of failures seen here.
        LocalOriginFailurePercentage = "local_origin_failure_percentage",
    }

    /// Why an outlier is not ejected.
    pub enum EjectionPrevented = "reason" {
        /// As many as may be are ejected, or no other endpoint would serve.
        TooMany = "too_many",
        /// Chance decided so: not all ejections of its kind are made.
        NotEnforced = "not_enforced",
    }

    /// Why an ejection ended.
    pub enum EjectionEnd = "reason" {
        /// Its time was over.
        Time = "time",
        /// A health check found the endpoint healthy.
        Check = "check",
        /// Outlier detection was turned off.
        TurnedOff = "turned_off",
    }
}
