//! What came of one health check, for the log, the metrics and the rules.

use outrigger_telemetry::CheckOutcome;
use outrigger_traffic::health::CheckResult;
use std::fmt;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    Passed,
    /// Passed, and it says of itself that others should rather serve.
    Degraded,
    /// There was no connection.
    Connect(String),
    Tls(String),
    TimedOut,
    /// The connection ended before the answer did.
    Closed,
    Protocol(String),
    Status {
        status: u16,
        /// It is to be tried again.
        retriable: bool,
    },
    Body,
    /// What was looked for was not in the answer, as far as it is read.
    NotFound,
    NotServing,
    ServiceUnknown,
    Unimplemented,
    Grpc(String),
}

impl Finding {
    /// What the rules make of it.
    pub(crate) fn result(&self) -> CheckResult {
        match self {
            Finding::Passed | Finding::Degraded => CheckResult::Passed,
            Finding::Connect(_)
            | Finding::Tls(_)
            | Finding::TimedOut
            | Finding::Closed
            | Finding::Protocol(_)
            | Finding::NotFound
            | Finding::Status { retriable: true, .. } => CheckResult::Failed,
            Finding::Status { retriable: false, .. }
            | Finding::Body
            | Finding::NotServing
            | Finding::ServiceUnknown
            | Finding::Unimplemented
            | Finding::Grpc(_) => CheckResult::Refused,
        }
    }

    pub(crate) fn outcome(&self) -> CheckOutcome {
        match self {
            Finding::Passed | Finding::Degraded => CheckOutcome::Passed,
            Finding::Connect(_) => CheckOutcome::ConnectFailed,
            Finding::Tls(_) => CheckOutcome::TlsFailed,
            Finding::TimedOut => CheckOutcome::TimedOut,
            Finding::Closed => CheckOutcome::Closed,
            Finding::Protocol(_) => CheckOutcome::Protocol,
            Finding::Status { retriable: true, .. } => CheckOutcome::RetriableStatus,
            Finding::Status { retriable: false, .. } => CheckOutcome::Status,
            Finding::Body => CheckOutcome::Body,
            Finding::NotFound => CheckOutcome::NotFound,
            Finding::NotServing => CheckOutcome::NotServing,
            Finding::ServiceUnknown => CheckOutcome::ServiceUnknown,
            Finding::Unimplemented => CheckOutcome::Unimplemented,
            Finding::Grpc(_) => CheckOutcome::GrpcStatus,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Passed => f.write_str("passed"),
            Finding::Degraded => f.write_str("passed, degraded"),
            Finding::Connect(why) => write!(f, "no connection: {why}"),
            Finding::Tls(why) => write!(f, "TLS: {why}"),
            Finding::TimedOut => f.write_str("no answer in time"),
            Finding::Closed => f.write_str("the connection ended before the answer did"),
            Finding::Protocol(why) => write!(f, "protocol: {why}"),
            Finding::Status { status, .. } => write!(f, "status {status}"),
            Finding::Body => f.write_str("the body is another"),
            Finding::NotFound => f.write_str("what is looked for is not in the answer"),
            Finding::NotServing => f.write_str("not serving"),
            Finding::ServiceUnknown => f.write_str("the service is not known"),
            Finding::Unimplemented => f.write_str("the server does not speak of health"),
            Finding::Grpc(why) => write!(f, "gRPC status {why}"),
        }
    }
}
