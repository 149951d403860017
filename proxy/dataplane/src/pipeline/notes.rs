//! What the story of a request says of the answers that come from here: the reasons that are known only where a
//! [`LocalReply`] is chosen. Policies that refuse by name note that themselves.

use super::RequestContext;
use super::record::Record;
use crate::reply::LocalReply;
use outrigger_telemetry::EventKind;

/// Notes why the proxy answers by itself, or cuts an answer off.
#[cold]
pub(super) fn local_reply(record: &mut Record, context: &RequestContext<'_>, reply: LocalReply) {
    let (kind, detail, value) = match reply {
        LocalReply::Unauthenticated(_) => (EventKind::Unauthenticated, reply.answer().details, 0),
        LocalReply::ExternallyDenied { status } => {
            (EventKind::ExternallyAuthorized, "denied", u64::from(status))
        }
        LocalReply::ExternalAuthorizationFailed { status, details } => {
            (EventKind::ExternallyAuthorized, details, u64::from(status))
        }
        LocalReply::RateLimitServiceFailed => (EventKind::RateLimitUnknown, "", 0),
        LocalReply::NoEndpoint => (EventKind::NoEndpoint, "none_may_be_used", 0),
        LocalReply::DestinationNotAllowed => (EventKind::NoEndpoint, "destination_not_allowed", 0),
        LocalReply::DestinationLoop => (EventKind::NoEndpoint, "destination_loop", 0),
        LocalReply::Overflow { details } => (EventKind::BreakerOpen, details, 0),
        LocalReply::DeadlinePassed(waiting) => (EventKind::DeadlinePassed, waiting.as_str(), 0),
        LocalReply::RouteTimeout => (EventKind::DeadlinePassed, "response", 0),
        LocalReply::RightLost(lost) => (EventKind::RightLost, lost.as_str(), 0),
        LocalReply::Overloaded => (EventKind::Overloaded, "", 0),
        LocalReply::FaultAbort { status } => (EventKind::FaultAbort, "status", u64::from(status)),
        LocalReply::FaultGrpcAbort { status } => (EventKind::FaultAbort, "grpc_status", u64::from(status)),
        // What is left says it by its flags and details, or has been noted with its policy.
        _ => return,
    };
    record.note(context.worker().now(), kind, "", detail, value);
}
