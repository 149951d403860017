//! One attempt at an upstream for a request that asks for a tunnel.

use super::super::exchange::{Exchange, Stop};
use super::super::tunnel::{Held, Made};
use super::super::{Request, RequestContext, Taken, respond, trace};
use super::{Upgrade, terminates};
use crate::body::BodyLength;
use crate::error::AttemptError;
use crate::pool::Awaited;
use crate::snapshot::{ClusterPolicy, EndpointState};
use crate::upstream::connect;
use crate::upstream::{Upstream, Wanted};
use crate::worker::Worker;
use outrigger_config::model::{RouteAction, RoutePriority, UpstreamProtocol};
use outrigger_traffic::retry::AttemptFailure;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What came of an attempt.
pub(in super::super) enum Attempted {
    /// A tunnel, of which the client has been told; it is in the request.
    Tunnel,
    /// The upstream has declined, and its ordinary response has begun.
    Declined(Box<Upstream>, BodyLength),
}

/// Asks the endpoint. A tunnel that comes about is put into the request.
pub(in super::super) async fn attempt(
    request: &mut Request<'_>,
    exchange: &mut Exchange<'_, '_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    cluster: &Arc<ClusterPolicy>,
    endpoint: &Arc<EndpointState>,
) -> Result<Attempted, Stop> {
    let worker = context.worker();
    let started = worker.tick();
    let mut upgrade = request
        .upgrade
        .take()
        .expect("a request that upgrades says to what");
    let result = ask(request, &mut upgrade, exchange, context, taken, cluster, endpoint).await;
    let reason = upgrade.reset_reason();
    request.upgrade = Some(upgrade);
    let (upstream, length) = result?;
    if length.is_some() {
        return Ok(Attempted::Declined(
            Box::new(upstream),
            length.unwrap_or(BodyLength::None),
        ));
    }
    exchange.downstream.send_tunnel_head(&exchange.response)?;
    request.record.response_started(&exchange.response);
    let cells = cluster.metrics.worker(worker.index);
    let elapsed = Instant::now().duration_since(started);
    cells.request_duration.observe(elapsed);
    cells.time_to_answer.observe(elapsed);
    request.made = Some(Box::new(Made {
        upstream: upstream.into_side(),
        _held: Held::begin(cluster, endpoint, worker, taken.policy.priority),
        cluster: cluster.config.name().clone(),
        idle_timeout: idle_timeout(context, taken),
        end: request
            .deadlines
            .as_ref()
            .and_then(|deadlines| deadlines.stream_end()),
        reset_reason: reason,
    }));
    Ok(Attempted::Tunnel)
}

fn idle_timeout(context: &RequestContext<'_>, taken: Taken<'_>) -> Option<Duration> {
    let own = match taken.route.action() {
        RouteAction::Forward(policy) => policy.upgrade_idle_timeout(),
        _ => None,
    };
    own.unwrap_or_else(|| context.chain().http().options.upgrade_idle_timeout())
}

/// Asks, and readies the answer for the client. A length: the answer is an ordinary one.
async fn ask(
    request: &mut Request<'_>,
    upgrade: &mut Upgrade,
    exchange: &mut Exchange<'_, '_>,
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    cluster: &Arc<ClusterPolicy>,
    endpoint: &Arc<EndpointState>,
) -> Result<(Upstream, Option<BodyLength>), Stop> {
    let worker = context.worker();
    exchange.begin_attempt(BodyLength::None);
    exchange.tunnelled = false;
    let awaited = Cell::new(Awaited::Nothing);
    if terminates(upgrade, taken) {
        let priority = taken.policy.priority;
        let connecting = Box::pin(async {
            let place = worker
                .pools
                .place(worker, cluster, endpoint, priority, &awaited)
                .await?;
            awaited.set(Awaited::Connection);
            let connected = connect::connect_tcp(cluster, endpoint, worker).await?;
            Ok::<_, AttemptError>((connected, place))
        });
        let (connected, place) = exchange.within_limits(request, connecting, &awaited).await?;
        let upstream = connect::alone(connected, cluster, endpoint, worker, place);
        request.record.connected(&upstream);
        exchange.response.clear();
        // To be connected is the endpoint's answer, and the time of the answer is that of the route.
        request.record.upstream_answered(200, worker.now());
        request.record.answered_here(200, "connect_terminated");
        respond::prepare(context, request, taken, &mut exchange.response);
        upgrade.answer(&mut exchange.response, false);
        return Ok((upstream, None));
    }
    let acquiring = Box::pin(acquire(
        upgrade,
        worker,
        cluster,
        endpoint,
        taken.policy.priority,
        &awaited,
    ));
    let mut upstream = exchange.within_limits(request, acquiring, &awaited).await?;
    request.record.connected(&upstream);
    let http2 = upstream.is_http2();
    upgrade.dress(request.head, http2, [worker.random(), worker.random()])?;
    trace::tell(request, context);
    let protocol = upgrade.protocol().to_ascii_lowercase();
    let wanted = if upgrade.how == super::How::Connect {
        Wanted::Connect
    } else {
        Wanted::Protocol(&protocol)
    };
    upstream.send_head_for(request.head, wanted, cluster.tls.is_some())?;
    let length = exchange.response_start(request, &mut upstream).await?;
    let is_tunnel = upgrade.judge(&exchange.response, http2, exchange.tunnelled)?;
    request
        .record
        .upstream_answered(exchange.response.status, worker.now());
    if !is_tunnel {
        return Ok((upstream, Some(length)));
    }
    respond::prepare(context, request, taken, &mut exchange.response);
    upgrade.answer(&mut exchange.response, http2);
    Ok((upstream, None))
}

/// A connection on which the upgrade can be asked for. Over HTTP/2 the endpoint must have said that it understands
/// extended CONNECT (RFC 8441 section 3); one that has not is spoken to in HTTP/1 where the cluster leaves that open.
async fn acquire(
    upgrade: &Upgrade,
    worker: &Rc<Worker>,
    cluster: &Arc<ClusterPolicy>,
    endpoint: &Arc<EndpointState>,
    priority: RoutePriority,
    awaited: &Cell<Awaited>,
) -> Result<Upstream, AttemptError> {
    let upstream = worker
        .pools
        .acquire(worker, cluster, endpoint, priority, awaited)
        .await?;
    if upgrade.how == super::How::Connect || upstream.takes_protocols() {
        return Ok(upstream);
    }
    if cluster.config.protocol() != UpstreamProtocol::Auto {
        return Err(AttemptError::new(
            AttemptFailure::UpgradeNotKnown,
            "upstream_without_extended_connect",
        ));
    }
    drop(upstream);
    let place = worker
        .pools
        .place(worker, cluster, endpoint, priority, awaited)
        .await?;
    awaited.set(Awaited::Connection);
    Ok(connect::connect_http1(cluster, endpoint, worker, place).await?)
}
