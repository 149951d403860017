//! The attempts of a request at its cluster, one after the other. Each one: pick an endpoint, take a pooled connection or
//! make one, send, await the answer's head, classify what came. Then the answer is passed on, or what came of the attempt
//! is thrown away, and after a wait there is another ([`series`] decides).

mod answer;
mod hedged;
mod observed;
mod series;
mod with_room;

pub(super) use answer::ThrownAway;
pub(super) use observed::end_by;
pub(super) use series::retry_reason;

use super::active::{ActiveAttempt, ActiveRequest};
use super::exchange::{self, Exchange, Stop};
use super::upgrade::Attempted;
use super::{Request, RequestContext, Taken};
use super::{compress, deadline, notes, respond, rights, trace, upgrade};
use crate::body::BodyLength;
use crate::pick::{NoEndpoint, pick};
use crate::pool::Awaited;
use crate::reply::LocalReply;
use crate::snapshot::{ClusterPolicy, EndpointState};
use crate::upstream::Upstream;
use outrigger_telemetry::{DeadlineWait, DestinationRefusal, EventKind};
use series::Series;
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

/// How an attempt ended that did not fail.
enum Ended {
    /// Its answer was passed on.
    PassedOn,
    /// Its answer is to be thrown away: another attempt was decided on.
    ThrownAway(Box<ThrownAway>),
}

/// Makes attempts until one's answer is passed on, or there is to be no other.
pub(super) async fn attempts(
    request: &mut Request<'_>,
    exchange: &mut Exchange<'_, '_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    cluster: &Arc<ClusterPolicy>,
    active: &ActiveRequest<'_>,
) -> Result<(), Stop> {
    let worker = context.worker();
    let mut series = Series::begin(request, taken, active);
    loop {
        let endpoint = pick(cluster, worker, &mut series.tried, context.ends())
            .map_err(|refusal| Stop::Reply(no_endpoint(refusal)))?;
        let now = match series.tried.attempts() {
            0 | 1 => worker.now(),
            _ => worker.tick(),
        };
        let mut under_way = match cluster.endpoint_limits {
            None => ActiveAttempt::begin(endpoint, now),
            Some(limits) => {
                let picked = (endpoint, now);
                with_room::begin(context, taken, cluster, limits, &mut series.tried, picked)
                    .map_err(|refusal| refused(refusal, active))?
            }
        };
        request.record.attempt(under_way.endpoint(), now);
        active.cells.attempts.inc();
        let ended = pin!(attempt(
            request,
            exchange,
            &mut series,
            context,
            taken,
            cluster,
            &mut under_way
        ))
        .await;
        if let Err(stop) = &ended {
            let awaited = std::mem::take(&mut exchange.awaited);
            let endpoint = under_way.endpoint();
            observed::stopped(cluster, endpoint, worker, &request.record, (stop, awaited));
            let is_answered = request.record.is_answered();
            observed::ended(cluster, worker, under_way.started, (!is_answered).then_some(stop));
            if let Stop::Attempt(error) = stop {
                let now = worker.tick();
                if let Some(limit) = error.limit {
                    let name = cluster.config.name().as_str();
                    request
                        .record
                        .note(now, EventKind::BreakerOpen, name, limit.as_str(), 0);
                }
                request.record.attempt_failed(error.detail, now);
                notes::attempt_failed(request, context, series.rules(), error);
            }
        }
        // What is waited for before another attempt is no load of this endpoint.
        drop(under_way);
        let thrown_away = match ended {
            Ok(Ended::PassedOn) => return Ok(()),
            Ok(Ended::ThrownAway(answer)) => Some(answer),
            Err(Stop::Attempt(error)) if !request.record.has_started() => {
                series.judge_failure(request, exchange, context, error)?;
                None
            }
            Err(stop) => return Err(stop),
        };
        if series.waits() || thrown_away.is_some() {
            // Boxed: it is rare.
            Box::pin(series.wait(exchange, request, thrown_away)).await?;
        }
    }
}

/// No endpoint has room.
#[cold]
fn refused(reply: LocalReply, active: &ActiveRequest<'_>) -> Stop {
    if let LocalReply::Overflow(limit) = reply {
        active.cells.overflows[limit].inc();
    }
    Stop::Reply(reply)
}

fn no_endpoint(reason: NoEndpoint) -> LocalReply {
    match reason {
        NoEndpoint::None => LocalReply::NoEndpoint,
        NoEndpoint::Refused(DestinationRefusal::NotAllowed) => LocalReply::DestinationNotAllowed,
        NoEndpoint::Refused(DestinationRefusal::Loop) => LocalReply::DestinationLoop,
    }
}

async fn attempt(
    request: &mut Request<'_>,
    exchange: &mut Exchange<'_, '_>,
    series: &mut Series<'_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    cluster: &Arc<ClusterPolicy>,
    under_way: &mut ActiveAttempt,
) -> Result<Ended, Stop> {
    // It may have been long under way: other attempts were made, or another service was asked.
    if let Some(lost) = rights::judge_due(context, request) {
        return Err(Stop::Reply(lost));
    }
    let worker = context.worker();
    if let Some(rules) = series.rules() {
        exchange.begin_try(rules, under_way.started);
    }
    let (mut upstream, length);
    let endpoint = under_way.endpoint();
    if request.upgrade.is_some() {
        // Boxed: it is rare, and its state not small.
        let attempting = Box::pin(upgrade::attempt(
            request, exchange, context, taken, cluster, endpoint,
        ));
        match attempting.await? {
            Attempted::Tunnel => {
                observed::connected(cluster, endpoint, worker);
                return Ok(Ended::PassedOn);
            }
            Attempted::Declined(declining, declined) => (upstream, length) = (*declining, declined),
        }
    } else {
        upstream = match worker
            .pools
            .try_acquire(worker, cluster, endpoint, taken.policy.priority)
        {
            Some(upstream) => upstream,
            None => acquire(request, exchange, context, taken, cluster, endpoint).await?,
        };
        request.record.connected(&upstream);
        exchange.begin_attempt(request.length);
        if exchange.tells_time_left() {
            tell_time_left(request, exchange, series, context)?;
        }
        series.tell(request, exchange);
        trace::tell(request, context);
        upstream.send_head(request.head, request.length, cluster.tls.is_some())?;
        length = match &taken.policy.hedging {
            None => poll_fn(|cx| exchange.poll_response_start(request, &mut upstream, cx)).await?,
            Some(hedging) => {
                let scene = hedged::Scene {
                    hedging,
                    context,
                    taken,
                    cluster,
                };
                // Boxed: it is rare, and its state not small.
                Box::pin(hedged::response_start(
                    &scene,
                    request,
                    exchange,
                    series,
                    under_way,
                    &mut upstream,
                ))
                .await?
            }
        };
    }
    let answered_after = observed::answered(
        cluster,
        under_way.endpoint(),
        worker,
        &exchange.response,
        request.is_grpc(),
        under_way.started,
    );
    if series.rules().is_some() && series.judge_answer(request, exchange, context, &mut upstream) {
        observed::took(cluster, worker, under_way.started);
        let status = exchange.response.status;
        request.record.answer_thrown_away(status, worker.now());
        return Ok(Ended::ThrownAway(Box::new(ThrownAway::new(upstream, length))));
    }
    exchange.forget_sent();
    request
        .record
        .attempt_answered(exchange.response.status, under_way.started, answered_after);
    series.active().answered(worker);
    begin_response(request, exchange, context, taken, length)?;
    if length != BodyLength::None {
        request.record.trailers = exchange.stream(request, &mut upstream).await?;
    }
    upstream.complete();
    observed::took(cluster, worker, under_way.started);
    let idle = exchange.stream_idle();
    exchange::flush(exchange.downstream, context, idle).await?;
    Ok(Ended::PassedOn)
}

/// The next hop is told what is left of the request's time, and of the attempt's if that is less.
#[inline(never)]
fn tell_time_left(
    request: &mut Request<'_>,
    exchange: &Exchange<'_, '_>,
    series: &Series<'_>,
    context: &RequestContext<'_>,
) -> Result<(), Stop> {
    let Some(mut left) = exchange.time_left(context.worker().tick()) else {
        return Ok(());
    };
    // Nobody here waits longer for this attempt.
    if let Some(timeout) = series.rules().and_then(|rules| rules.attempt_ends_after()) {
        left = left.min(timeout);
    }
    deadline::tell(request, left)
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
    taken: Taken<'_>,
    cluster: &Arc<ClusterPolicy>,
    endpoint: &Arc<EndpointState>,
) -> Result<Upstream, Stop> {
    let worker = context.worker();
    let awaited = Cell::new(Awaited::Nothing);
    let acquiring =
        Box::pin(
            worker
                .pools
                .acquire(worker, cluster, endpoint, taken.policy.priority, &awaited),
        );
    let acquired = exchange.within_limits(request, acquiring, &awaited).await;
    let now = worker.tick();
    match acquired {
        // It is not sent any more.
        Ok(_) | Err(Stop::Reply(LocalReply::RouteTimeout)) if exchange.is_late(now) => {
            exchange.awaited = awaited.get();
            let request_done = exchange.request_done();
            Err(deadline::not_sent(
                request,
                now,
                request_done,
                DeadlineWait::Connection,
            ))
        }
        acquired => acquired,
    }
}
