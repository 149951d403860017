//! Requests in flight, and tunnels, whose right is asked for again, and the end of those that have lost it.
//!
//! What a request was when it was first decided is judged by the policies in force now: those of its chain, and of the
//! route that an equal request would take. So it ends exactly if an equal request that came now would be denied. How it
//! goes on, if it may, is nothing new.

use super::authorize::{self, Standing};
use super::{HeadView, Request, RequestContext, Taken, notes, respond};
use crate::connection::Accepted;
use crate::reply::LocalReply;
use crate::rights;
use crate::server::Downstream;
use outrigger_http1::RequestHead;
use outrigger_telemetry::RightLost;
use outrigger_traffic::Found;
use outrigger_traffic::authorization::Claims;
use std::net::IpAddr;

/// What is kept of a request that has become a tunnel, to be asked again.
pub(super) struct Kept {
    pub(super) head: RequestHead,
    pub(super) claims: Option<Box<Claims>>,
    pub(super) remote: Option<IpAddr>,
    /// The epoch of the connection's rights by which it was found to be in its right.
    pub(super) judged: u32,
}

impl Kept {
    pub(super) fn of(request: &mut Request<'_>, context: &RequestContext<'_>) -> Box<Kept> {
        let remote = Standing::of(request, context).remote;
        let head = match request.record.asked.take() {
            Some(asked) => *asked,
            None => request.head.clone(),
        };
        Box::new(Kept {
            head,
            claims: request.claims.take(),
            remote,
            judged: context.judged.get(),
        })
    }

    fn standing(&self) -> Standing<'_> {
        Standing {
            head: &self.head,
            claims: self.claims.as_deref(),
            remote: self.remote,
        }
    }
}

/// Judges a request if something may have been taken from it: why it may not go on, if it may not.
#[inline]
pub(super) fn judge_due(context: &RequestContext<'_>, request: &Request<'_>) -> Option<LocalReply> {
    if context.is_due() {
        judge(context, request)
    } else {
        None
    }
}

/// Judges a request from which something may have been taken: why it may not go on, if it may not.
#[cold]
fn judge(context: &RequestContext<'_>, request: &Request<'_>) -> Option<LocalReply> {
    let epoch = context.accepted.registration.control.rights.epoch();
    if let Some(lost) = rights::judge(context.accepted) {
        return Some(LocalReply::RightLost(lost));
    }
    if refusal(context.accepted, &Standing::of(request, context)).is_some() {
        return Some(LocalReply::RightLost(RightLost::Unauthorized));
    }
    context.judged.set(epoch);
    None
}

/// Judges a tunnel from which something may have been taken: why it may not go on, if it may not, and by which policy.
#[cold]
pub(super) fn judge_tunnel(accepted: &Accepted, kept: &mut Kept) -> Option<(RightLost, Option<String>)> {
    let epoch = accepted.registration.control.rights.epoch();
    if let Some(lost) = rights::judge(accepted) {
        return Some((lost, None));
    }
    if let Some(policy) = refusal(accepted, &kept.standing()) {
        return Some((RightLost::Unauthorized, Some(details(&policy))));
    }
    kept.judged = epoch;
    None
}

/// The name of the policy (or `none`) by which an equal request would be denied now. A connection whose chain has gone is
/// asked by the policies that its chain had.
fn refusal(accepted: &Accepted, standing: &Standing<'_>) -> Option<String> {
    let snapshot = accepted.registration.control.snapshot();
    let chain = accepted.registration.control.chain(&snapshot);
    let routes = &chain.http().routes;
    let route = match routes.table.find(&HeadView(standing.head, &accepted.ends)) {
        Found::Route { virtual_host, route } => routes.virtual_hosts[virtual_host].routes.get(route),
        // Nothing would be denied, and how this one is routed stays as it began.
        Found::NoVirtualHost | Found::NoRoute { .. } => None,
    };
    authorize::refusal(standing, &accepted.ends, chain, route)
}

/// As logs tell it.
fn details(policy: &str) -> String {
    format!("{}[{policy}]", RightLost::Unauthorized.as_str())
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
    if lost == RightLost::Unauthorized
        && let Some(policy) = refusal(context.accepted, &Standing::of(request, context))
    {
        request.record.explain(details(&policy));
    }
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
    notes::local_reply(request, context, Some(taken), reply);
}
