//! Local replies: the one place that decides what status, body, flag and gRPC code a fault of the request, of policy
//! or of the upstream becomes.

mod stalled;

pub(crate) use stalled::Stalled;

use crate::refusals;
use outrigger_config::model::RateLimitedGrpcStatus;
use outrigger_config::model::defaults::MAINTENANCE_STATUS;
use outrigger_identity::jwt::JwtFault;
use outrigger_telemetry::{DeadlineWait, Overflow, ResponseFlags, RightLost, grpc_status as grpc};
use outrigger_traffic::retry::AttemptFailure;

/// Why the proxy answers by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LocalReply {
    /// No virtual host or no route matched.
    NoRoute,
    /// The route's cluster has no endpoint that may be used.
    NoEndpoint,
    /// The connection was meant for where the route's cluster does not go.
    DestinationNotAllowed,
    /// The connection was meant for this proxy itself, or was not led here from elsewhere.
    DestinationLoop,
    /// As many requests are with the cluster as may be at once.
    Overflow(Overflow),
    /// The attempt failed and no other was allowed.
    Attempt {
        failure: AttemptFailure,
        detail: &'static str,
        retries_exhausted: bool,
        over_budget: bool,
    },
    /// The route's timeout, or `grpc-timeout`, passed.
    RouteTimeout,
    /// The request's time was up before it was sent, or sent again.
    DeadlinePassed(DeadlineWait),
    /// The stream reached its greatest age.
    StreamDuration { request_done: bool },
    /// The request's body did not end in time.
    RequestTimeout,
    /// Nothing moved on the stream for too long.
    StreamIdle(Stalled),
    /// The request's head did not end in time.
    HeadTimeout,
    /// A TLS handshake where plain HTTP is spoken.
    TlsOnPlainPort,
    /// The request's body is longer than the route allows.
    BodyTooLarge,
    /// The response's body is longer than the route allows.
    ResponseTooLong,
    /// The request cannot be parsed; the reason is the parser's, the status too.
    Malformed { status: u16, reason: &'static str },
    /// The request's path cannot be normalized.
    BadPath { reason: &'static str },
    /// CONNECT, which no route allows.
    ConnectRefused,
    /// An extended CONNECT to a protocol that is not allowed.
    UpgradeRefused,
    /// The request should have come by HTTPS, and its client follows no redirect.
    HttpsRequired,
    /// The request names no host, and its answer would have to.
    HostMissing,
    /// The virtual host is down for maintenance.
    Maintenance,
    /// Authorization policies do not allow it. Which one, and why, is for logs alone.
    Denied,
    /// An authorization service says no.
    ExternallyDenied { status: u16 },
    /// An authorization service could not be asked, or what it says cannot be followed.
    ExternalAuthorizationFailed { status: u16, details: &'static str },
    /// It comes too often; `details` are Envoy's for who counts.
    RateLimited {
        status: u16,
        grpc_status: RateLimitedGrpcStatus,
        details: &'static str,
    },
    /// Whether it comes too often cannot be found out.
    RateLimitServiceFailed,
    /// No token holds where one has to.
    Unauthenticated(JwtFault),
    /// The process is near what it may have.
    Overloaded,
    /// A fault that was configured.
    FaultAbort { status: u16 },
    /// The same with a gRPC status.
    FaultGrpcAbort { status: u8 },
    /// The request, or its connection, has lost its right while it was served.
    RightLost(RightLost),
}

/// What is sent and noted for a local reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The HTTP status; a gRPC request gets 200 and `grpc_status` instead.
    pub(crate) status: u16,
    /// The gRPC status.
    pub(crate) grpc_status: u8,
    /// For metrics and the access log.
    pub(crate) flags: ResponseFlags,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub(crate) details: &'static str,
    /// The body, or the gRPC message.
    pub(crate) body: &'static str,
}

impl LocalReply {
    /// It stands for an attempt by which the request may have run.
    pub(crate) fn may_have_run(self) -> bool {
        matches!(self, LocalReply::Attempt { failure, .. } if !failure.never_ran())
    }

    /// Status, flag, details and body of this reply.
    pub(crate) fn answer(self) -> Answer {
        match self {
            LocalReply::NoRoute => {
                Answer::new(404, ResponseFlags::NR, "route_not_found", "no route matched\n")
            }
            LocalReply::NoEndpoint => Answer::new(
                503,
                ResponseFlags::UH,
                "no_healthy_upstream",
                "no healthy upstream\n",
            ),
            LocalReply::DestinationNotAllowed => Answer {
                details: "destination_not_allowed",
                ..LocalReply::NoEndpoint.answer()
            },
            LocalReply::DestinationLoop => Answer {
                details: "destination_loop",
                ..LocalReply::NoEndpoint.answer()
            },
            LocalReply::Overflow(limit) => {
                Answer::new(503, ResponseFlags::UO, overflow_details(limit), OVERFLOW_BODY)
            }
            LocalReply::RouteTimeout => Answer {
                grpc_status: grpc::DEADLINE_EXCEEDED,
                ..Answer::new(
                    504,
                    ResponseFlags::UT,
                    "response_timeout",
                    "upstream request timeout\n",
                )
            },
            LocalReply::DeadlinePassed(_) => Answer {
                details: "deadline_passed",
                ..LocalReply::RouteTimeout.answer()
            },
            // As Envoy, and so are the next details.
            LocalReply::StreamDuration { request_done } => Answer {
                grpc_status: grpc::DEADLINE_EXCEEDED,
                ..Answer::new(
                    if request_done { 504 } else { 408 },
                    ResponseFlags::DT,
                    "max_duration_timeout",
                    "the stream took too long\n",
                )
            },
            LocalReply::RequestTimeout => Answer {
                grpc_status: grpc::DEADLINE_EXCEEDED,
                ..Answer::new(
                    408,
                    ResponseFlags::DPE,
                    refusals::REQUEST_TIMEOUT,
                    "the request took too long\n",
                )
            },
            LocalReply::StreamIdle(stalled) => {
                let status = if stalled == Stalled::Request { 408 } else { 504 };
                Answer::new(
                    status,
                    ResponseFlags::SI,
                    "stream_idle_timeout",
                    "stream timeout\n",
                )
            }
            LocalReply::HeadTimeout => Answer::new(
                408,
                ResponseFlags::DPE,
                "request_header_timeout",
                "the request's headers took too long\n",
            ),
            LocalReply::TlsOnPlainPort => Answer::new(
                400,
                ResponseFlags::DPE,
                refusals::TLS_ON_PLAIN_PORT,
                "this port speaks plain HTTP; the client began a TLS handshake\n",
            ),
            LocalReply::BodyTooLarge => Answer {
                grpc_status: grpc::RESOURCE_EXHAUSTED,
                ..Answer::new(
                    413,
                    ResponseFlags::NONE,
                    "request_payload_too_large",
                    "request body too large\n",
                )
            },
            LocalReply::ResponseTooLong => Answer {
                grpc_status: grpc::RESOURCE_EXHAUSTED,
                ..Answer::new(
                    502,
                    ResponseFlags::UPE,
                    "response_payload_too_large",
                    "upstream response too large\n",
                )
            },
            LocalReply::Malformed { status, reason } => {
                Answer::new(status, ResponseFlags::DPE, reason, malformed_body(status))
            }
            LocalReply::BadPath { reason } => Answer::new(400, ResponseFlags::DPE, reason, "bad request\n"),
            LocalReply::ConnectRefused => Answer::new(
                405,
                ResponseFlags::NR,
                "connect_not_allowed",
                "CONNECT is not allowed here\n",
            ),
            // As Envoy.
            LocalReply::UpgradeRefused => Answer::new(
                403,
                ResponseFlags::NONE,
                "upgrade_failed",
                "this protocol is not allowed here\n",
            ),
            LocalReply::HttpsRequired => Answer {
                // A client that tries again gets the same: it must be told otherwise first.
                grpc_status: grpc::FAILED_PRECONDITION,
                ..Answer::new(
                    403,
                    ResponseFlags::NONE,
                    "https_required",
                    "HTTPS is required here\n",
                )
            },
            LocalReply::HostMissing => Answer::new(400, ResponseFlags::DPE, "host_missing", "bad request\n"),
            LocalReply::Maintenance => Answer::new(
                MAINTENANCE_STATUS,
                ResponseFlags::NONE,
                "maintenance",
                "down for maintenance\n",
            ),
            // As Envoy. The details are those of a log that names no policy.
            LocalReply::Denied => Answer::new(
                403,
                ResponseFlags::NONE,
                "rbac_access_denied",
                "RBAC: access denied\n",
            ),
            LocalReply::ExternallyDenied { status } => {
                Answer::new(status, ResponseFlags::UAEX, "ext_authz_denied", "access denied\n")
            }
            LocalReply::ExternalAuthorizationFailed { status, details } => Answer::new(
                status,
                ResponseFlags::UAEX,
                details,
                "whether this is allowed could not be found out\n",
            ),
            LocalReply::RateLimited {
                status,
                grpc_status,
                details,
            } => Answer {
                grpc_status: match grpc_status {
                    RateLimitedGrpcStatus::Unavailable => grpc::UNAVAILABLE,
                    RateLimitedGrpcStatus::ResourceExhausted => grpc::RESOURCE_EXHAUSTED,
                },
                ..Answer::new(status, ResponseFlags::RL, details, "too many requests\n")
            },
            // As Envoy.
            LocalReply::RateLimitServiceFailed => Answer::new(
                500,
                ResponseFlags::RLSE,
                "rate_limiter_error",
                "whether this comes too often could not be found out\n",
            ),
            LocalReply::Unauthenticated(fault) => {
                Answer::new(401, ResponseFlags::NONE, fault.details(), fault.line())
            }
            // As Envoy's overload manager.
            LocalReply::Overloaded => Answer::new(503, ResponseFlags::OM, "overload", "overloaded\n"),
            // As Envoy's fault filter.
            LocalReply::FaultAbort { status } => Answer::new(
                status,
                ResponseFlags::FI,
                "fault_filter_abort",
                "fault filter abort\n",
            ),
            LocalReply::FaultGrpcAbort { status } => Answer {
                grpc_status: status,
                ..LocalReply::FaultAbort {
                    status: http_status_of(status),
                }
                .answer()
            },
            // What a request gets that policy denies from its start: whoever asks again gets the same.
            LocalReply::RightLost(lost) => {
                Answer::new(403, ResponseFlags::NONE, lost.as_str(), "RBAC: access denied\n")
            }
            LocalReply::Attempt {
                failure,
                detail,
                retries_exhausted,
                over_budget,
            } => attempt_answer(failure, detail, retries_exhausted, over_budget),
        }
    }
}

impl Answer {
    fn new(status: u16, flags: ResponseFlags, details: &'static str, body: &'static str) -> Answer {
        Answer {
            status,
            grpc_status: grpc::of_http(status),
            flags,
            details,
            body,
        }
    }
}

/// The HTTP status that stands for a gRPC status, for requests that are not gRPC; from `google/rpc/code.proto`.
fn http_status_of(grpc_status: u8) -> u16 {
    match grpc_status {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}

/// As Envoy's circuit breakers, and its adaptive concurrency filter.
fn overflow_details(limit: Overflow) -> &'static str {
    match limit {
        Overflow::Adaptive => "reached_concurrency_limit",
        _ => "overflow",
    }
}

/// What is said of a request for which there is no room.
const OVERFLOW_BODY: &str = "upstream overloaded\n";

fn malformed_body(status: u16) -> &'static str {
    match status {
        414 => "request target too long\n",
        431 => "request header fields too large\n",
        501 => "transfer coding not implemented\n",
        505 => "HTTP version not supported\n",
        _ => "bad request\n",
    }
}

fn attempt_answer(
    failure: AttemptFailure,
    details: &'static str,
    retries_exhausted: bool,
    over_budget: bool,
) -> Answer {
    use AttemptFailure as F;
    let (status, flags, body) = match failure {
        F::ConnectFailed | F::ConnectTimeout => (503, ResponseFlags::UF, "upstream connect error\n"),
        F::RefusedStream | F::ResetBeforeAnswer => (503, ResponseFlags::UR, "upstream reset the stream\n"),
        F::GoAwayAboveStream
        | F::PooledClosedBeforeWrite
        | F::DiedBeforeAnswer { .. }
        | F::DiedAfterAnswer => (503, ResponseFlags::UC, "upstream connection ended\n"),
        F::TimedOut | F::TimedOutBeforeSend => (504, ResponseFlags::UT, "upstream request timeout\n"),
        F::RequestInvalid => (400, ResponseFlags::DPE, malformed_body(400)),
        F::UpgradeNotKnown => (502, ResponseFlags::UPE, "the upstream knows no such upgrade\n"),
        F::ResponseInvalid => (502, ResponseFlags::UPE, "upstream sent an invalid response\n"),
        F::Overflow => (503, ResponseFlags::UO, OVERFLOW_BODY),
        F::BodyTooLargeToReplay => (503, ResponseFlags::UC, "upstream connection ended\n"),
    };
    let mut flags = flags;
    if retries_exhausted {
        flags |= ResponseFlags::URX;
    }
    if over_budget {
        flags |= ResponseFlags::UO;
    }
    Answer::new(status, flags, details, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reply_has_a_body_and_details() {
        let replies = [
            (LocalReply::NoRoute, 404, grpc::UNIMPLEMENTED),
            (LocalReply::NoEndpoint, 503, grpc::UNAVAILABLE),
            (LocalReply::Overflow(Overflow::Requests), 503, grpc::UNAVAILABLE),
            (LocalReply::RouteTimeout, 504, grpc::DEADLINE_EXCEEDED),
            (
                LocalReply::DeadlinePassed(DeadlineWait::Nothing),
                504,
                grpc::DEADLINE_EXCEEDED,
            ),
            (
                LocalReply::StreamDuration { request_done: true },
                504,
                grpc::DEADLINE_EXCEEDED,
            ),
            (LocalReply::RequestTimeout, 408, grpc::DEADLINE_EXCEEDED),
            (LocalReply::StreamIdle(Stalled::Endpoint), 504, grpc::UNAVAILABLE),
            (LocalReply::StreamIdle(Stalled::Request), 408, grpc::UNKNOWN),
            (LocalReply::HeadTimeout, 408, grpc::UNKNOWN),
            (LocalReply::BodyTooLarge, 413, grpc::RESOURCE_EXHAUSTED),
            (LocalReply::ResponseTooLong, 502, grpc::RESOURCE_EXHAUSTED),
            (
                LocalReply::Malformed {
                    status: 400,
                    reason: "x",
                },
                400,
                grpc::INTERNAL,
            ),
            (LocalReply::BadPath { reason: "x" }, 400, grpc::INTERNAL),
            (LocalReply::ConnectRefused, 405, grpc::UNKNOWN),
            (LocalReply::UpgradeRefused, 403, grpc::PERMISSION_DENIED),
            (LocalReply::HttpsRequired, 403, grpc::FAILED_PRECONDITION),
            (LocalReply::HostMissing, 400, grpc::INTERNAL),
            (LocalReply::Maintenance, 503, grpc::UNAVAILABLE),
            (LocalReply::Denied, 403, grpc::PERMISSION_DENIED),
            (
                LocalReply::ExternallyDenied { status: 401 },
                401,
                grpc::UNAUTHENTICATED,
            ),
            (
                LocalReply::ExternalAuthorizationFailed {
                    status: 403,
                    details: "ext_authz_error",
                },
                403,
                grpc::PERMISSION_DENIED,
            ),
            (
                LocalReply::RateLimited {
                    status: 420,
                    grpc_status: RateLimitedGrpcStatus::ResourceExhausted,
                    details: "x",
                },
                420,
                grpc::RESOURCE_EXHAUSTED,
            ),
            (LocalReply::RateLimitServiceFailed, 500, grpc::UNKNOWN),
            (
                LocalReply::Unauthenticated(JwtFault::Expired),
                401,
                grpc::UNAUTHENTICATED,
            ),
            (LocalReply::Overloaded, 503, grpc::UNAVAILABLE),
            (LocalReply::FaultAbort { status: 503 }, 503, grpc::UNAVAILABLE),
            (
                LocalReply::FaultAbort { status: 403 },
                403,
                grpc::PERMISSION_DENIED,
            ),
            (LocalReply::FaultGrpcAbort { status: 8 }, 429, 8),
            (LocalReply::FaultGrpcAbort { status: 14 }, 503, 14),
            (
                LocalReply::RightLost(RightLost::Unauthorized),
                403,
                grpc::PERMISSION_DENIED,
            ),
        ];
        for (reply, status, grpc_status) in replies {
            let answer = reply.answer();
            assert_eq!(
                (answer.status, answer.grpc_status),
                (status, grpc_status),
                "{reply:?}"
            );
            assert!(!answer.body.is_empty() && !answer.details.is_empty(), "{reply:?}");
        }
    }

    #[test]
    fn attempts_carry_their_flags() {
        let reply = LocalReply::Attempt {
            failure: AttemptFailure::ConnectFailed,
            detail: "connection_refused",
            retries_exhausted: true,
            over_budget: false,
        };
        let answer = reply.answer();
        assert_eq!(answer.status, 503);
        assert_eq!(answer.flags, ResponseFlags::UF | ResponseFlags::URX);
    }

    #[test]
    fn what_cannot_be_sent_is_the_client_s_fault() {
        let reply = LocalReply::Attempt {
            failure: AttemptFailure::RequestInvalid,
            detail: "request_not_expressible_in_http2",
            retries_exhausted: false,
            over_budget: false,
        };
        let answer = reply.answer();
        assert_eq!((answer.status, answer.flags), (400, ResponseFlags::DPE));
    }
}
