//! What the story of a request says of the answers that come from here: the reasons that are known only where a
//! [`LocalReply`] is chosen. Policies that refuse by name note that themselves.

use super::RequestContext;
use super::record::Record;
use crate::reply::LocalReply;
use outrigger_config::model::EndpointStatus;
use outrigger_telemetry::EventKind;
use outrigger_traffic::Standing;

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
        LocalReply::NoEndpoint => return no_endpoint(record, context),
        LocalReply::DestinationNotAllowed => (EventKind::NoEndpoint, "destination_not_allowed", 0),
        LocalReply::DestinationLoop => (EventKind::NoEndpoint, "destination_loop", 0),
        LocalReply::Overflow(limit) => (EventKind::BreakerOpen, limit.as_str(), 0),
        LocalReply::DeadlinePassed(waiting) => (EventKind::DeadlinePassed, waiting.as_str(), 0),
        LocalReply::RouteTimeout => (EventKind::DeadlinePassed, "response", 0),
        LocalReply::RightLost(lost) => (EventKind::RightLost, lost.as_str(), 0),
        LocalReply::FaultAbort { status } => (EventKind::FaultAbort, "status", u64::from(status)),
        LocalReply::FaultGrpcAbort { status } => (EventKind::FaultAbort, "grpc_status", u64::from(status)),
        // What is left says it by its flags and details, or has been noted with its policy.
        _ => return,
    };
    record.note(context.worker().now(), kind, "", detail, value);
}

/// Notes why a cluster has no endpoint for a request, as far as its endpoints tell now.
fn no_endpoint(record: &mut Record, context: &RequestContext<'_>) {
    let Some(cluster) = record.cluster.and_then(|slot| context.snapshot.cluster(slot)) else {
        return;
    };
    let serves = |place: &usize| {
        let status = cluster
            .member(*place)
            .map_or(EndpointStatus::Healthy, |member| member.status());
        let standing = cluster.endpoints()[*place].health().standing(status);
        matches!(standing, Standing::Healthy | Standing::Degraded)
    };
    let all = cluster.endpoints().len();
    let usable = (0..all).filter(serves).count();
    let detail = match (all, usable) {
        (0, _) => "no_endpoints",
        (_, 0) => "none_healthy",
        // Those that are wished for, or fit, are not among them, or drain.
        _ => "none_may_be_used",
    };
    let name = cluster.config.name().as_str();
    let now = context.worker().now();
    record.note(now, EventKind::NoEndpoint, name, detail, all as u64);
}
