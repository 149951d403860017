//! A request in flight whose right is asked for again, and the end of one that has lost it.
//!
//! What it was when it was first decided is judged by the policies in force now: an equal request that came now would
//! get the same answer. How it goes on, if it may, is nothing new.

use super::{Request, RequestContext, Taken, respond};
use crate::connection::Accepted;
use crate::reply::LocalReply;
use crate::rights;
use crate::server::Downstream;
use outrigger_telemetry::RightLost;

/// Judges a request from which something may have been taken: why it may not go on, if it may not.
#[cold]
pub(super) fn judge(context: &RequestContext<'_>, request: &Request<'_>) -> Option<LocalReply> {
    let epoch = context.accepted.registration.control.rights.epoch();
    if let Some(lost) = rights::judge(context.accepted) {
        return Some(LocalReply::RightLost(lost));
    }
    tracing::debug!(grpc = request.grpc, "a request stays in its right");
    context.judged.set(epoch);
    None
}

/// Why the request's connection is cut, if it is.
pub(super) fn connection_lost(context: &RequestContext<'_>) -> Option<RightLost> {
    context.accepted.registration.control.rights.lost()
}

/// Ends a request that has lost its right.
///
/// One that has not been answered is answered as policy answers such requests; so is gRPC, whose status comes at the end.
/// What has begun otherwise is cut so that the client can tell: RST_STREAM, or a reset of the connection. A peer that is
/// believed no more gets no answer.
pub(super) async fn end(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    lost: RightLost,
) {
    context.listener().requests_cut[lost].inc();
    let reply = LocalReply::RightLost(lost);
    let answer = reply.answer();
    if lost == RightLost::Unauthorized && !request.record.has_started() {
        return respond::local(request, downstream, context, Some(taken), reply).await;
    }
    let is_told = lost == RightLost::Unauthorized && respond::end_grpc(request, downstream, Some(&answer));
    if !is_told {
        downstream.cut();
    }
    request.record.cut_off(Some(answer));
}

/// Judges a tunnel from which something may have been taken: why it may not go on, if it may not.
#[cold]
pub(super) fn judge_tunnel(accepted: &Accepted) -> Option<RightLost> {
    rights::judge(accepted)
}
