//! Requests of routes that hedge: where the answer does not come in time, the request is sent to another endpoint, too, and
//! the first good answer is the one that is passed on.
//!
//! While the second attempt waits for its connection nothing has changed for the first: whatever ends that ends the
//! wait. From the moment on at which the second is sent the two are equal. The first answer that policy would not repeat
//! wins, and the other attempt is dropped, which cancels it: an HTTP/2 stream is reset, an HTTP/1 connection closed.
//! If one fails, the other goes on as the only attempt, and what becomes of that is judged as ever.

use super::super::active::ActiveAttempt;
use super::super::exchange::{Came, Exchange, Second, Stop};
use super::super::{Request, RequestContext, Taken, trace};
use super::series::Series;
use super::{observed, tell_time_left, with_room};
use crate::body::BodyLength;
use crate::pick::pick;
use crate::pool::Awaited;
use crate::snapshot::{ClusterPolicy, HedgePolicy};
use crate::timer::after;
use crate::upstream::Upstream;
use crate::worker::Worker;
use outrigger_config::model::HedgeAfter;
use outrigger_http1::ResponseHead;
use outrigger_telemetry::{
    AttemptOutcome, CancelledAttempt, EventKind, HedgeDenied, RetryDenied, RouteCells,
};
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, ready};
use tokio::time::Instant;

/// What stays the same while an answer is waited for.
pub(super) struct Scene<'s> {
    pub(super) hedging: &'s HedgePolicy,
    pub(super) context: &'s RequestContext<'s>,
    pub(super) taken: Taken<'s>,
    pub(super) cluster: &'s Arc<ClusterPolicy>,
}

/// A second attempt with a connection, of which nothing is sent.
struct Ready {
    upstream: Upstream,
    under_way: ActiveAttempt,
}

impl<'s> Scene<'s> {
    fn worker(&self) -> &'s Rc<Worker> {
        self.context.worker()
    }

    fn cells(&self) -> &'s RouteCells {
        self.taken.policy.metrics.worker(self.worker().index)
    }

    fn hedges_at_try_timeout(&self) -> bool {
        self.hedging.settings.after() == HedgeAfter::PerTryTimeout
    }
}

/// Waits for the head of the answer to a request that was sent to `upstream`, and makes another attempt beside it where
/// that is due: how much body the answer has. Where it is the other one's, `upstream` and `under_way` are that one's.
pub(super) async fn response_start(
    scene: &Scene<'_>,
    request: &mut Request<'_>,
    exchange: &mut Exchange<'_, '_>,
    series: &mut Series<'_>,
    under_way: &mut ActiveAttempt,
    upstream: &mut Upstream,
) -> Result<BodyLength, Stop> {
    let state = &scene.hedging.state;
    let started = under_way.started;
    if request.record.is_first_attempt() {
        state.begin_request();
    }
    let answered = hedged(scene, request, exchange, series, under_way, upstream).await;
    series.end_hedge();
    if answered.is_ok() {
        let elapsed = scene.worker().now().duration_since(started);
        state.answered(&scene.hedging.settings, elapsed);
    }
    answered
}

async fn hedged(
    scene: &Scene<'_>,
    request: &mut Request<'_>,
    exchange: &mut Exchange<'_, '_>,
    series: &mut Series<'_>,
    under_way: &mut ActiveAttempt,
    upstream: &mut Upstream,
) -> Result<BodyLength, Stop> {
    let started = under_way.started;
    let per_try_timeout = series.rules().and_then(|rules| rules.per_try_timeout());
    let delay = scene
        .hedging
        .state
        .delay(&scene.hedging.settings, per_try_timeout);
    let due = after(started, delay).filter(|_| series.may_run_twice(request, exchange));
    let Some(due) = due else {
        return exchange.response_start(request, upstream).await;
    };
    if scene.hedges_at_try_timeout() {
        exchange.hold_try();
    }
    if let Some(length) = until(due, request, exchange, upstream).await? {
        return Ok(length);
    }
    let made = series.tried.attempts();
    let begun = match begin(scene, request, exchange, series, under_way, upstream).await {
        Ok(Begun::Ready(ready)) => Ok(ready),
        Ok(Begun::Answered(length)) => {
            scene.cells().hedges_denied[HedgeDenied::NoConnection].inc();
            Err(Some(length))
        }
        Ok(Begun::Denied(reason)) => {
            scene.cells().hedges_denied[reason].inc();
            Err(None)
        }
        Err(stop) => {
            scene.cells().hedges_denied[HedgeDenied::NoConnection].inc();
            forget_picks(series, made);
            return Err(stop);
        }
    };
    match begun {
        Ok(ready) => race(scene, request, exchange, series, (under_way, upstream), ready).await,
        Err(answered) => {
            forget_picks(series, made);
            match answered {
                Some(length) => Ok(length),
                None => {
                    // It is not hedged, so that its own time counts, which may have passed.
                    if scene.hedges_at_try_timeout()
                        && let Some(rules) = series.rules()
                    {
                        exchange.resume_try(rules, started);
                    }
                    exchange.response_start(request, upstream).await
                }
            }
        }
    }
}

/// What was picked for a second attempt that was not made is none.
fn forget_picks(series: &mut Series<'_>, made: u32) {
    while series.tried.attempts() > made {
        series.tried.pass_over();
    }
}

/// Waits as for every attempt, until a second one is due.
async fn until(
    due: Instant,
    request: &Request<'_>,
    exchange: &mut Exchange<'_, '_>,
    upstream: &mut Upstream,
) -> Result<Option<BodyLength>, Stop> {
    let mut due = pin!(tokio::time::sleep_until(due));
    poll_fn(|cx| {
        if let Poll::Ready(answered) = exchange.poll_response_start(request, upstream, cx) {
            return Poll::Ready(answered.map(Some));
        }
        ready!(due.as_mut().poll(cx));
        Poll::Ready(Ok(None))
    })
    .await
}

/// What came of beginning a second attempt.
enum Begun {
    Ready(Ready),
    /// The first attempt has answered before.
    Answered(BodyLength),
    Denied(HedgeDenied),
}

/// Picks another endpoint, asks whether there may be another attempt, and waits for a connection beside the first.
async fn begin(
    scene: &Scene<'_>,
    request: &Request<'_>,
    exchange: &mut Exchange<'_, '_>,
    series: &mut Series<'_>,
    under_way: &ActiveAttempt,
    upstream: &mut Upstream,
) -> Result<Begun, Stop> {
    let second = match allow(scene, exchange, series, under_way) {
        Ok(second) => second,
        Err(reason) => return Ok(Begun::Denied(reason)),
    };
    let (worker, cluster) = (scene.worker(), scene.cluster);
    let priority = scene.taken.policy.priority;
    let awaited = Cell::new(Awaited::Nothing);
    let acquired = {
        let acquiring = worker
            .pools
            .acquire(worker, cluster, second.endpoint(), priority, &awaited);
        let mut acquiring = pin!(acquiring);
        poll_fn(|cx| {
            if let Poll::Ready(answered) = exchange.poll_response_start(request, upstream, cx) {
                return Poll::Ready(Err(answered));
            }
            acquiring.as_mut().poll(cx).map(Ok)
        })
        .await
    };
    match acquired {
        Ok(Ok(upstream)) => Ok(Begun::Ready(Ready {
            upstream,
            under_way: second,
        })),
        Ok(Err(error)) => {
            let stop = Stop::Attempt(error);
            observed::stopped(
                cluster,
                second.endpoint(),
                worker,
                &request.record,
                (&stop, awaited.get()),
            );
            Ok(Begun::Denied(HedgeDenied::NoConnection))
        }
        Err(answered) => answered.map(Begun::Answered),
    }
}

/// The second attempt's place at another endpoint, if there may be one.
fn allow(
    scene: &Scene<'_>,
    exchange: &Exchange<'_, '_>,
    series: &mut Series<'_>,
    under_way: &ActiveAttempt,
) -> Result<ActiveAttempt, HedgeDenied> {
    let (context, cluster, worker) = (scene.context, scene.cluster, scene.worker());
    if !exchange.may_race() {
        return Err(HedgeDenied::Body);
    }
    if !series.has_attempts_left() {
        return Err(HedgeDenied::AttemptsUsedUp);
    }
    let picked = pick(cluster, worker, &mut series.tried, context.ends());
    let endpoint = picked.map_err(|_| HedgeDenied::NoEndpoint)?;
    let started = worker.tick();
    let begun = match cluster.endpoint_limits {
        None => ActiveAttempt::begin(endpoint, started),
        Some(limits) => {
            let picked = (endpoint, started);
            with_room::begin(context, scene.taken, cluster, limits, &mut series.tried, picked)
                .map_err(|_| HedgeDenied::NoEndpoint)?
        }
    };
    if begun.endpoint().id == under_way.endpoint().id {
        return Err(HedgeDenied::NoEndpoint);
    }
    let state = &scene.hedging.state;
    if !state.begin_hedge(&scene.hedging.settings) {
        return Err(HedgeDenied::ExtraLoad);
    }
    series.begin_hedge(worker).map_err(|denied| {
        state.give_back_hedge();
        match denied {
            RetryDenied::AtOnce => HedgeDenied::AtOnce,
            RetryDenied::Recent => HedgeDenied::Recent,
            RetryDenied::Restrained => HedgeDenied::Restrained,
        }
    })?;
    Ok(begun)
}

/// Sends the request a second time, and waits for the better answer.
async fn race(
    scene: &Scene<'_>,
    request: &mut Request<'_>,
    exchange: &mut Exchange<'_, '_>,
    series: &mut Series<'_>,
    (under_way, upstream): (&mut ActiveAttempt, &mut Upstream),
    ready: Ready,
) -> Result<BodyLength, Stop> {
    let (worker, cells) = (scene.worker(), scene.cells());
    let Ready {
        upstream: mut stream,
        under_way: beside,
    } = ready;
    let started = beside.started;
    cells.hedges.inc();
    series.active().cells.attempts.inc();
    request.record.attempt(beside.endpoint(), started);
    request.record.note(started, EventKind::Hedge, "", "", 0);
    request.record.connected(&stream);
    // The first may run, whatever the other one says.
    request.may_have_run = true;
    if exchange.tells_time_left() {
        tell_time_left(request, exchange, series, scene.context).inspect_err(|stop| {
            observed::ended(scene.cluster, worker, started, Some(stop));
        })?;
    }
    series.tell(request, exchange);
    trace::tell(request, scene.context);
    let sent = stream.send_head(request.head, request.length, scene.cluster.tls.is_some());
    let mut second = Second::new(stream, worker.spares.response(), request.length);
    let came = match sent {
        Err(error) => Came::Second(Err(error)),
        Ok(()) => poll_fn(|cx| exchange.poll_race(request, upstream, &mut second, cx)).await,
    };
    let first = (&*under_way, &mut *upstream);
    let judged = judge(
        scene,
        request,
        exchange,
        series,
        first,
        (&mut second, &beside),
        came,
    );
    let now = worker.tick();
    let (end, of_other) = match judged {
        Ok(judged) => judged,
        Err(stop) => {
            request.record.other_ended(AttemptOutcome::Cancelled, now);
            return Err(stop);
        }
    };
    match end {
        End::First(length) => {
            let goes_on = (under_way.endpoint(), &*upstream);
            request.record.answered_by(goes_on, of_other, now);
            drop(second);
            drop(beside);
            series.end_hedge();
            match length {
                Some(length) => Ok(length),
                None => exchange.response_start(request, upstream).await,
            }
        }
        End::Second(length) => {
            request.record.other_ended(of_other, now);
            // The first is dropped by this, and so cancelled.
            *upstream = exchange.take_over(second);
            *under_way = beside;
            let length = match length {
                Some(length) => length,
                None => {
                    if let Some(rules) = series.rules() {
                        exchange.begin_try(rules, started);
                    }
                    exchange.response_start(request, upstream).await?
                }
            };
            cells.hedges_won.inc();
            Ok(length)
        }
    }
}

/// Which attempt goes on: with its answer, or alone.
enum End {
    First(Option<BodyLength>),
    Second(Option<BodyLength>),
}

/// Decides by what came first which of the two attempts goes on, and tells what became of the other.
fn judge(
    scene: &Scene<'_>,
    request: &Request<'_>,
    exchange: &Exchange<'_, '_>,
    series: &Series<'_>,
    (first, upstream): (&ActiveAttempt, &mut Upstream),
    (second, beside): (&mut Second, &ActiveAttempt),
    came: Came,
) -> Result<(End, AttemptOutcome), Stop> {
    let (cluster, worker) = (scene.cluster, scene.worker());
    let cancelled = |attempt: &ActiveAttempt, which| {
        scene.cells().hedged_attempts_cancelled[which].inc();
        observed::cancelled(cluster, attempt.endpoint(), worker, attempt.started);
    };
    let stopped = |attempt: &ActiveAttempt, stop: &Stop| {
        let what = (stop, Awaited::Nothing);
        observed::stopped(cluster, attempt.endpoint(), worker, &request.record, what);
        observed::ended(cluster, worker, attempt.started, Some(stop));
    };
    let unwanted = |attempt: &ActiveAttempt, head: &ResponseHead| {
        let endpoint = attempt.endpoint();
        observed::answered(
            cluster,
            endpoint,
            worker,
            head,
            request.is_grpc(),
            attempt.started,
        );
        observed::took(cluster, worker, attempt.started);
        AttemptOutcome::Answered(head.status)
    };
    Ok(match came {
        Came::First(Ok(length)) => {
            if series.is_unwanted(request, exchange, &exchange.response, upstream) {
                (End::Second(None), unwanted(first, &exchange.response))
            } else {
                cancelled(beside, CancelledAttempt::Hedge);
                (End::First(Some(length)), AttemptOutcome::Cancelled)
            }
        }
        Came::Second(Ok(length)) => {
            if series.is_unwanted(request, exchange, &second.head, &mut second.upstream) {
                (End::First(None), unwanted(beside, &second.head))
            } else {
                cancelled(first, CancelledAttempt::First);
                (End::Second(Some(length)), AttemptOutcome::Cancelled)
            }
        }
        Came::First(Err(error)) => {
            let outcome = AttemptOutcome::Failed(error.detail);
            stopped(first, &Stop::Attempt(error));
            (End::Second(None), outcome)
        }
        Came::Second(Err(error)) => {
            let outcome = AttemptOutcome::Failed(error.detail);
            stopped(beside, &Stop::Attempt(error));
            (End::First(None), outcome)
        }
        // The first one's own time is up.
        Came::Stopped(Stop::Attempt(error)) => {
            let outcome = AttemptOutcome::Failed(error.detail);
            stopped(first, &Stop::Attempt(error));
            (End::Second(None), outcome)
        }
        Came::Stopped(stop) => {
            stopped(beside, &stop);
            return Err(stop);
        }
    })
}
