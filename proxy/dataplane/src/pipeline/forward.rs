//! Forwarding: the attempts at a cluster, and what becomes of their end.

use super::edits::{Known, edit_request};
use super::exchange::{self, Exchange, Limits, Stop};
use super::upgrade::Attempted;
use super::{Request, RequestContext, Taken, is_idempotent};
use super::{compress, mirror, respond, rights, session, upgrade};
use crate::body::BodyLength;
use crate::error::{AttemptError, DownstreamError};
use crate::head::{grpc_timeout, grpc_timeout_text};
use crate::pick::{NoEndpoint, Tried, pick};
use crate::refusals;
use crate::reply::LocalReply;
use crate::server::Downstream;
use crate::snapshot::{ClusterPolicy, EndpointState};
use crate::upstream::Upstream;
use crate::worker::Worker;
use outrigger_config::model::Forward;
use outrigger_http1::{KnownName, RequestHead};
use outrigger_telemetry::{ClusterCells, CodeClass, DestinationRefusal, RetryReason, TooLongResponse};
use outrigger_traffic::retry::{AttemptFailure, Decision, default_decision};
use outrigger_traffic::{pick_cluster, rewrite};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Forwards a request and passes its response on.
pub(super) async fn forward(
    request: &mut Request<'_>,
    downstream: &mut Downstream<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    policy: &Forward,
) {
    let worker = context.worker();
    let with_session = match &taken.policy.session {
        Some(policy) => session::begin(request, context, taken, policy),
        None => None,
    };
    let slot = with_session
        .unwrap_or_else(|| taken.policy.clusters[pick_cluster(&taken.policy.weights, worker.random())]);
    let cluster = context
        .snapshot
        .cluster(slot)
        .expect("a route's clusters are in its snapshot");
    request.record.cluster = Some(slot);
    if let (Some(max), BodyLength::Exact(length)) = (taken.route.request_body_bytes_max(), request.length)
        && length > max
    {
        return respond::local(
            request,
            downstream,
            context,
            Some(taken),
            LocalReply::BodyTooLarge,
        )
        .await;
    }
    if request.upgrade.is_some()
        && let Err(reply) = upgrade::admit(request, context, policy)
    {
        return respond::local(request, downstream, context, Some(taken), reply).await;
    }
    let limits = limits(request, context, taken, policy);
    request.coding = compress::negotiate(context, request);
    rewrite_request(request, context, taken, policy);
    let active = ActiveRequest::begin(cluster, worker);
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
    if let Some(body) = &exchange.compressed {
        compress::end(context, body);
    }
    request.record.bytes_received = exchange.request_bytes;
    request.record.bytes_sent = exchange.response_bytes;
    request.record.set_request_ended(exchange.request_ended);
    worker.spares.keep_response(exchange.response);
    if let Some(upgrade) = &request.upgrade {
        let (cells, label) = (context.listener(), upgrade.label());
        match &ended {
            _ if request.made.is_some() => cells.upgrades_established[label].inc(),
            Ok(()) => cells.upgrades_refused[label].inc(),
            Err(_) => cells.upgrades_failed[label].inc(),
        }
    }
    let reply = match ended {
        Ok(()) => None,
        Err(Stop::Reply(reply)) => Some(reply),
        Err(Stop::Attempt(error)) => Some(failed(error, false, false)),
        Err(Stop::Downstream(DownstreamError::Malformed(error))) => {
            context
                .listener()
                .refused_requests
                .refuse(refusals::index(error.reason()));
            Some(LocalReply::Malformed {
                status: error.status(),
                reason: error.reason(),
            })
        }
        // Its connection was cut, of which it has heard in another way.
        Err(Stop::Downstream(_)) if rights::connection_lost(context).is_some() => {
            rights::connection_lost(context).map(LocalReply::RightLost)
        }
        Err(Stop::Downstream(error)) => {
            tracing::debug!(%error, "the downstream ended a request");
            request.record.downstream_gone();
            downstream.abort();
            None
        }
    };
    if reply == Some(LocalReply::ResponseTooLong) {
        let result = if request.record.has_started() {
            TooLongResponse::Cut
        } else {
            TooLongResponse::Refused
        };
        taken.policy.metrics.worker(worker.index).responses_too_long[result].inc();
    }
    match reply {
        Some(LocalReply::RightLost(lost)) => {
            Box::pin(rights::end(request, downstream, context, taken, lost)).await;
        }
        Some(_) if request.record.has_started() => {
            let answer = reply.map(LocalReply::answer);
            // The response's head is out: a gRPC client is told by a status, any other by the cut that the rest does
            // not come.
            if !respond::end_grpc(request, downstream, answer.as_ref()) {
                downstream.abort();
            }
            request.record.cut_off(answer);
        }
        Some(reply) => respond::local(request, downstream, context, Some(taken), reply).await,
        None => {}
    }
    active.cells.requests[CodeClass::of(request.record.status())].inc();
}

#[inline(always)]
fn limits(request: &Request<'_>, context: &RequestContext<'_>, taken: Taken<'_>, policy: &Forward) -> Limits {
    let grpc_deadline = if request.grpc {
        grpc_timeout(&request.head.fields).and_then(|time| request.record.started().checked_add(time))
    } else {
        None
    };
    // For gRPC the client's deadline counts; a timeout that was written caps it, the default one does not.
    // How long a handshake may take nobody can know; one that was written bounds it.
    let has_other_limits = request.grpc || request.upgrade.is_some();
    let route_timeout = if has_other_limits && !policy.timeout_explicit() {
        None
    } else {
        policy.timeout()
    };
    Limits {
        route_timeout,
        deadline: grpc_deadline,
        stream_idle: policy
            .stream_idle_timeout()
            .unwrap_or_else(|| context.chain().http().options.stream_idle_timeout()),
        body_bytes_max: taken.route.request_body_bytes_max(),
        response_bytes_max: taken.route.response_body_bytes_max(),
    }
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
            let original = head.path_and_query().to_owned();
            head.fields.set(b"x-envoy-original-path", original.as_bytes());
            head.set_path_and_query(&target);
        }
    }
    if let Some(host) = policy.host_rewrite() {
        head.set_authority(host);
    }
    for edits in [
        taken.route.request_headers(),
        taken.virtual_host.request_headers(),
    ] {
        if !edits.is_empty() {
            let known = Known {
                context,
                taken,
                record: &request.record,
                matched_path: request.matched_path.as_deref(),
            };
            edit_request(head, edits, &known);
        }
    }
}

/// A request counted as active at its cluster.
pub(super) struct ActiveRequest<'a> {
    cluster: &'a Arc<ClusterPolicy>,
    pub(super) cells: &'a ClusterCells,
}

impl<'a> ActiveRequest<'a> {
    pub(super) fn begin(cluster: &'a Arc<ClusterPolicy>, worker: &Worker) -> ActiveRequest<'a> {
        cluster.shared.requests_active.fetch_add(1, Ordering::Relaxed);
        let cells = cluster.metrics.worker(worker.index);
        cells.requests_active.inc();
        ActiveRequest { cluster, cells }
    }
}

impl Drop for ActiveRequest<'_> {
    fn drop(&mut self) {
        self.cluster
            .shared
            .requests_active
            .fetch_sub(1, Ordering::Relaxed);
        self.cells.requests_active.dec();
    }
}

/// An attempt counted as active at its endpoint.
pub(super) struct ActiveAttempt(Arc<EndpointState>);

impl ActiveAttempt {
    pub(super) fn begin(endpoint: Arc<EndpointState>) -> ActiveAttempt {
        endpoint.load.begin();
        ActiveAttempt(endpoint)
    }
}

impl Drop for ActiveAttempt {
    fn drop(&mut self) {
        self.0.load.end();
    }
}

/// A retry counted against its cluster's budget.
pub(super) struct BudgetedRetry<'a>(pub(super) &'a ClusterPolicy);

impl Drop for BudgetedRetry<'_> {
    fn drop(&mut self) {
        self.0.shared.retry_budget.end();
    }
}

async fn attempts(
    request: &mut Request<'_>,
    exchange: &mut Exchange<'_, '_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    cluster: &Arc<ClusterPolicy>,
    active: &ActiveRequest<'_>,
) -> Result<(), Stop> {
    let worker = context.worker();
    let mut tried = Tried::wishing(request.session.as_ref().and_then(|session| session.wish));
    let mut _budgeted = None;
    loop {
        let endpoint = pick(cluster, worker, &mut tried, context.ends())
            .map_err(|refusal| Stop::Reply(no_endpoint(refusal)))?;
        request.record.attempt(&endpoint);
        active.cells.attempts.inc();
        let under_way = ActiveAttempt::begin(endpoint);
        let endpoint = &under_way.0;
        let ended = pin!(attempt(request, exchange, context, taken, cluster, endpoint)).await;
        let error = match ended {
            Err(Stop::Attempt(error)) if !request.record.has_started() => error,
            ended => return ended,
        };
        tracing::debug!(failure = ?error.failure, source = ?error.source, endpoint = %endpoint.address_text, "attempt failed");
        let attempts = tried.attempts();
        let replayable = exchange.is_replayable();
        match default_decision(
            error.failure,
            is_idempotent(&request.head.method),
            replayable,
            attempts,
        ) {
            Decision::GiveUp(_) => return Err(Stop::Reply(failed(error, attempts > 1, false))),
            Decision::Retry => {}
        }
        if error.failure.is_budgeted() {
            let in_flight = cluster.shared.requests_active.load(Ordering::Relaxed);
            if !cluster.shared.retry_budget.try_begin(in_flight) {
                active.cells.retry_budget_denied.inc();
                return Err(Stop::Reply(failed(error, false, true)));
            }
            _budgeted = Some(BudgetedRetry(cluster));
        }
        if let Some(reason) = retry_reason(error.failure) {
            active.cells.retries[reason].inc();
        }
    }
}

fn no_endpoint(reason: NoEndpoint) -> LocalReply {
    match reason {
        NoEndpoint::None => LocalReply::NoEndpoint,
        NoEndpoint::Refused(DestinationRefusal::NotAllowed) => LocalReply::DestinationNotAllowed,
        NoEndpoint::Refused(DestinationRefusal::Loop) => LocalReply::DestinationLoop,
    }
}

fn failed(error: AttemptError, retries_exhausted: bool, over_budget: bool) -> LocalReply {
    LocalReply::Attempt {
        failure: error.failure,
        detail: error.detail,
        retries_exhausted,
        over_budget,
    }
}

pub(super) fn retry_reason(failure: AttemptFailure) -> Option<RetryReason> {
    Some(match failure {
        AttemptFailure::ConnectFailed | AttemptFailure::ConnectTimeout => RetryReason::ConnectFailure,
        AttemptFailure::RefusedStream => RetryReason::RefusedStream,
        AttemptFailure::GoAwayAboveStream => RetryReason::Goaway,
        AttemptFailure::PooledClosedBeforeWrite => RetryReason::PooledClosed,
        AttemptFailure::DiedBeforeAnswer { .. } => RetryReason::DiedBeforeAnswer,
        _ => return None,
    })
}

async fn attempt(
    request: &mut Request<'_>,
    exchange: &mut Exchange<'_, '_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    cluster: &Arc<ClusterPolicy>,
    endpoint: &Arc<EndpointState>,
) -> Result<(), Stop> {
    // It may have been long under way: other attempts were made, or another service was asked.
    if let Some(lost) = rights::judge_due(context, request) {
        return Err(Stop::Reply(lost));
    }
    let worker = context.worker();
    let started = if request.record.is_first_attempt() {
        worker.now()
    } else {
        worker.tick()
    };
    let (mut upstream, length);
    if request.upgrade.is_some() {
        // Boxed: it is rare, and its state not small.
        let attempting = Box::pin(upgrade::attempt(
            request, exchange, context, taken, cluster, endpoint,
        ));
        match attempting.await? {
            Attempted::Tunnel => return Ok(()),
            Attempted::Declined(declining, declined) => (upstream, length) = (*declining, declined),
        }
    } else {
        upstream = match worker.pools.try_acquire(worker, cluster, endpoint) {
            Some(upstream) => upstream,
            None => acquire(request, exchange, context, cluster, endpoint).await?,
        };
        request.record.connected(&upstream);
        exchange.begin_attempt(request.length);
        if let Some(deadline) = exchange.grpc_deadline() {
            // The next hop has what is left of the time.
            let left = grpc_timeout_text(deadline.saturating_duration_since(worker.tick()));
            request
                .head
                .fields
                .set_known(KnownName::GrpcTimeout, left.as_bytes());
        }
        upstream.send_head(request.head, request.length, cluster.tls.is_some())?;
        length = poll_fn(|cx| exchange.poll_response_start(request, &mut upstream, cx)).await?;
        request
            .record
            .upstream_answered(exchange.response.status, worker.now());
    }
    begin_response(request, exchange, context, taken, length)?;
    if length != BodyLength::None {
        request.record.trailers = exchange.stream(request, &mut upstream).await?;
    }
    upstream.complete();
    cluster
        .metrics
        .worker(worker.index)
        .request_duration
        .observe(worker.now().duration_since(started));
    let idle = exchange.stream_idle();
    exchange::flush(exchange.downstream, context, idle).await?;
    Ok(())
}

/// Passes on the head of the response.
#[inline(always)]
fn begin_response(
    request: &mut Request<'_>,
    exchange: &mut Exchange<'_, '_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    length: BodyLength,
) -> Result<(), Stop> {
    if let (Some(max), BodyLength::Exact(length)) = (taken.route.response_body_bytes_max(), length)
        && length > max
    {
        return Err(Stop::Reply(LocalReply::ResponseTooLong));
    }
    if let Some(authorized) = &mut request.authorized
        && exchange.keeps_nothing()
    {
        authorized.release();
    }
    respond::prepare(context, request, taken, &mut exchange.response);
    // An answer of known length before the request's end does without the rest. One that streams may well wait for it:
    // what is left of the request when the response ends decides then.
    let wants_all = exchange.request_done() || length == BodyLength::Unknown;
    // What came behind a request that was to become a tunnel may be anything: it is not read as another request. Where
    // it may still come, the connection ends in any case ([`crate::server::http1`]).
    let is_clear = request.upgrade.is_none() || !exchange.downstream.has_early_bytes();
    let may_go_on = wants_all && is_clear && !context.is_draining();
    exchange.compressed = compress::begin(context, request, taken, &mut exchange.response, length);
    let sent_length = match exchange.compressed {
        None => length,
        Some(_) => BodyLength::Unknown,
    };
    exchange
        .downstream
        .send_head(&exchange.response, sent_length, may_go_on)?;
    request.record.response_started(&exchange.response);
    Ok(())
}

/// Waits for a connection. Boxed: connecting is rare and its state large.
async fn acquire(
    request: &Request<'_>,
    exchange: &mut Exchange<'_, '_>,
    context: &RequestContext<'_>,
    cluster: &Arc<ClusterPolicy>,
    endpoint: &Arc<EndpointState>,
) -> Result<Upstream, Stop> {
    let worker = context.worker();
    let acquiring = Box::pin(worker.pools.acquire(worker, cluster, endpoint));
    Ok(exchange.within_limits(request, acquiring).await??)
}
