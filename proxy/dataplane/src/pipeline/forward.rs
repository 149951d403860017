//! Forwarding: which cluster, by which limits and with which head, and what becomes of the end of the attempts there
//! ([`super::attempts`]).

use super::active::ActiveRequest;
use super::attempts::attempts;
use super::edits::{Known, edit_request};
use super::exchange::{Exchange, Limits, Stop};
use super::record::ORIGINAL_PATH;
use super::{Request, RequestContext, Taken};
use super::{affinity, compress, deadline, mirror, notes, respond, rights, session, upgrade};
use crate::body::BodyLength;
use crate::error::DownstreamError;
use crate::refusals;
use crate::reply::{LocalReply, Stalled};
use crate::server::Downstream;
use crate::snapshot::ClusterPolicy;
use outrigger_config::model::Forward;
use outrigger_http1::{RequestHead, Version};
use outrigger_telemetry::{ClusterCells, CodeClass, TooLongResponse};
use outrigger_traffic::{pick_cluster, rewrite};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// Forwards a request and passes its response on.
pub(super) async fn forward(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    policy: &Forward,
) {
    let worker = context.worker();
    let cluster = target(request, context, taken);
    let admitted = admit(request, context, taken, policy)
        .and_then(|()| ActiveRequest::begin(cluster, worker, taken.policy.priority));
    let active = match admitted {
        Ok(active) => active,
        Err(reply) => {
            respond::local(request, downstream, context, Some(taken), reply).await;
            return count(request, cluster.metrics.worker(worker.index));
        }
    };
    let limits = limits(request, context, taken, policy);
    request.coding = compress::negotiate(context, request);
    rewrite_request(request, context, taken, policy);
    let mut exchange = Exchange::new(downstream, context, limits, request.length);
    exchange.pace = request.pace.take();
    // A tunnel has one other end.
    if !taken.policy.mirrors.is_empty() && request.upgrade.is_none() {
        exchange.copy_to(mirror::begin(request, context, taken));
    }
    if let Some(authorized) = &mut request.authorized
        && let Some(ahead) = authorized.take_ahead()
    {
        exchange.resume(ahead);
    }
    // Pinned where it is made, as its caller does it.
    let ended = pin!(attempts(request, &mut exchange, context, taken, cluster, &active)).await;
    note_end(request, &mut exchange, context);
    worker.spares.keep_response(exchange.response);
    let reply = match ended {
        Ok(()) => {
            count_upgrade(request, context, true);
            None
        }
        Err(stop) => {
            if stop.tells_time() {
                active.failed(worker);
            }
            count_upgrade(request, context, false);
            stopped(request, downstream, context, taken, stop)
        }
    };
    match reply {
        Some(LocalReply::RightLost(lost)) => {
            Box::pin(rights::end(request, downstream, context, taken, lost)).await;
        }
        Some(reply) if request.record.has_started() => {
            let answer = reply.answer();
            // The response's head is out: a gRPC client is told by a status, any other by the cut that the rest does
            // not come.
            if !respond::end_grpc(request, downstream, Some(&answer)) {
                downstream.abort();
            }
            request.record.cut_off(Some(answer));
            notes::local_reply(request, context, Some(taken), reply);
        }
        Some(reply) => respond::local(request, downstream, context, Some(taken), reply).await,
        None => {}
    }
    count(request, active.cells);
}

/// Counts the end of a request for the cluster that was chosen for it, whether it ever came there or not.
#[inline(always)]
fn count(request: &Request<'_>, cells: &ClusterCells) {
    cells.requests[CodeClass::of(request.record.status())].inc();
    cells.response_flags.add(request.record.flags());
}

/// The cluster that the request goes to.
#[inline(always)]
fn target<'c>(
    request: &mut Request<'_>,
    context: &'c RequestContext<'_>,
    taken: Taken<'_>,
) -> &'c Arc<ClusterPolicy> {
    let with_session = match &taken.policy.session {
        Some(policy) => session::begin(request, context, taken, policy),
        None => None,
    };
    let target =
        with_session.unwrap_or_else(|| pick_cluster(&taken.policy.weights, context.worker().random()));
    let slot = taken.policy.clusters[target];
    request.record.cluster = Some(slot);
    let cluster = context
        .snapshot
        .cluster(slot)
        .expect("a route's clusters are in its snapshot");
    if let Some(policy) = &taken.policy.affinity {
        affinity::begin(request, context, policy, target, cluster);
    }
    cluster
}

/// Refuses what cannot be forwarded.
#[inline(always)]
fn admit(
    request: &mut Request<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    policy: &Forward,
) -> Result<(), LocalReply> {
    if let (Some(max), BodyLength::Exact(length)) = (taken.route.request_body_bytes_max(), request.length)
        && length > max
    {
        return Err(LocalReply::BodyTooLarge);
    }
    if request.upgrade.is_some() {
        upgrade::admit(request, context, policy)?;
    }
    Ok(())
}

/// Notes what the attempts have moved.
#[inline(always)]
fn note_end(request: &mut Request<'_>, exchange: &mut Exchange<'_, '_>, context: &RequestContext<'_>) {
    if let Some(body) = &exchange.compressed {
        compress::end(context, body);
    }
    request.record.bytes_received = exchange.request_bytes;
    request.record.bytes_sent = exchange.response_bytes;
    request.record.set_request_ended(exchange.request_ended);
}

#[inline(always)]
fn count_upgrade(request: &Request<'_>, context: &RequestContext<'_>, has_ended_well: bool) {
    if let Some(upgrade) = &request.upgrade {
        let (cells, label) = (context.listener(), upgrade.label());
        match has_ended_well {
            _ if request.made.is_some() => cells.upgrades_established[label].inc(),
            true => cells.upgrades_refused[label].inc(),
            false => cells.upgrades_failed[label].inc(),
        }
    }
}

/// What a request ends with whose response did not end well; nothing where nobody is there for an answer.
#[cold]
fn stopped(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    stop: Stop,
) -> Option<LocalReply> {
    let reply = match stop {
        Stop::Reply(reply) => reply,
        Stop::Attempt(error) => LocalReply::Attempt {
            failure: error.failure,
            detail: error.detail,
            retries_exhausted: false,
            over_budget: false,
        },
        Stop::Downstream(DownstreamError::Malformed(error)) => {
            context
                .listener()
                .refused_requests
                .refuse(refusals::index(error.reason()));
            LocalReply::Malformed {
                status: error.status(),
                reason: error.reason(),
            }
        }
        // The rest of its answer is here, and it does not take that.
        Stop::Downstream(DownstreamError::Stalled) => LocalReply::StreamIdle(Stalled::Reader),
        Stop::Downstream(error) => {
            // Its connection was cut, of which it has heard in another way.
            if let Some(lost) = rights::connection_lost(context) {
                return Some(LocalReply::RightLost(lost));
            }
            tracing::debug!(%error, "the downstream ended a request");
            request.record.downstream_gone();
            if downstream.version() == Version::Http2 {
                notes::if_drained(request, context);
            }
            downstream.abort();
            return None;
        }
    };
    deadline::count(context, taken, reply);
    if reply == LocalReply::ResponseTooLong {
        let result = if request.record.has_started() {
            TooLongResponse::Cut
        } else {
            TooLongResponse::Refused
        };
        let cells = taken.policy.metrics.worker(context.worker().index);
        cells.responses_too_long[result].inc();
    }
    Some(reply)
}

#[inline(always)]
fn limits(request: &Request<'_>, context: &RequestContext<'_>, taken: Taken<'_>, policy: &Forward) -> Limits {
    let route_timeout = route_timeout(request, policy);
    let deadlines = request.deadlines.as_deref();
    Limits {
        tells_time_left: policy.timeout_explicit() && route_timeout.is_some()
            || deadlines.is_some_and(|deadlines| deadlines.is_told()),
        route_timeout,
        deadline: deadlines.and_then(|deadlines| deadlines.standing()),
        request_end: deadlines.and_then(|deadlines| deadlines.request_end()),
        stream_idle: stream_idle_timeout(context, policy),
        body_bytes_max: taken.route.request_body_bytes_max(),
        response_bytes_max: taken.route.response_body_bytes_max(),
    }
}

/// How long the request may take from its end on.
#[inline(always)]
pub(super) fn route_timeout(request: &Request<'_>, policy: &Forward) -> Option<Duration> {
    // For gRPC the client's deadline counts; a timeout that was written caps it, the default one does not.
    // How long a handshake may take nobody can know; one that was written bounds it.
    let has_other_limits = request.is_grpc() || request.upgrade.is_some();
    let route_timeout = if has_other_limits && !policy.timeout_explicit() {
        None
    } else {
        policy.timeout()
    };
    match &request.hints {
        None => route_timeout,
        Some(hints) => hints.route_timeout(policy).unwrap_or(route_timeout),
    }
}

/// How long nothing may move.
#[inline(always)]
pub(super) fn stream_idle_timeout(context: &RequestContext<'_>, policy: &Forward) -> Option<Duration> {
    policy
        .stream_idle_timeout()
        .unwrap_or_else(|| context.chain().http().options.stream_idle_timeout())
}

#[inline(always)]
fn rewrite_request(
    request: &mut Request<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    policy: &Forward,
) {
    let head: &mut RequestHead = request.head;
    if let Some(rewriting) = policy.path_rewrite() {
        let mut target = rewrite::rewrite_path(rewriting, taken.route.matches().path(), head.path());
        if let Some(query) = head.query() {
            target.push('?');
            target.push_str(query);
        }
        if target != head.path_and_query() {
            request.record.keep_original(head);
            let original = head.path_and_query().to_owned();
            head.fields.set(ORIGINAL_PATH.as_bytes(), original.as_bytes());
            request.record.path_rewritten();
            head.set_path_and_query(&target);
        }
    }
    if let Some(host) = policy.host_rewrite() {
        request.record.keep_original(head);
        head.set_authority(host);
    }
    for edits in [
        taken.route.request_headers(),
        taken.virtual_host.request_headers(),
    ] {
        if !edits.is_empty() {
            let known = Known {
                ends: context.ends(),
                taken: Some(taken),
                record: &request.record,
                matched_path: request.matched_path.as_deref(),
            };
            edit_request(head, edits, &known);
        }
    }
}
