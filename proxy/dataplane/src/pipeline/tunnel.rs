//! A request that has become a tunnel: what is held and counted for it, and its end in metrics and access log.
//!
//! It lives as long as people talk, and so it keeps neither snapshot nor request: only what its end must tell.

use super::record::{Asked, KeptTrace, Record, Scene};
use super::rights::{self, Kept};
use super::{Request, RequestContext, Taken, notes};
use crate::access_log::AccessLog;
use crate::connection::Accepted;
use crate::snapshot::{ClusterPolicy, ClusterShared, EndpointState};
use crate::tunnel::{Limits, Moved, Pump, PumpEnd, Side, SideError};
use crate::worker::Worker;
use outrigger_config::model::{Name, RoutePriority};
use outrigger_http1::RequestHead;
use outrigger_telemetry::{
    ClusterMetrics, DirectionMetrics, EventKind, ListenerMetrics, ResponseFlags, RouteMetrics, TunnelEnd,
};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// The tunnel's places in the counts of its cluster and endpoint, as a request in flight has them.
pub(super) struct Held {
    cluster: Arc<ClusterShared>,
    metrics: Arc<ClusterMetrics>,
    endpoint: Arc<EndpointState>,
    worker: usize,
    priority: RoutePriority,
}

impl Held {
    pub(super) fn begin(
        cluster: &ClusterPolicy,
        endpoint: &Arc<EndpointState>,
        worker: &Worker,
        priority: RoutePriority,
    ) -> Held {
        // The request that becomes a tunnel is still counted: the tunnel takes its place, whatever the limit.
        cluster.shared.breakers.of(priority).requests().begin_anyway();
        cluster.metrics.worker(worker.index).requests_active.inc();
        endpoint.load.begin();
        Held {
            cluster: Arc::clone(&cluster.shared),
            metrics: Arc::clone(&cluster.metrics),
            endpoint: Arc::clone(endpoint),
            worker: worker.index,
            priority,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.cluster.breakers.of(self.priority).requests().end();
        self.metrics.worker(self.worker).requests_active.dec();
        self.endpoint.load.end();
    }
}

/// What an attempt has made: the upstream's side, and what is known of it.
pub(super) struct Made {
    pub(super) upstream: Side,
    /// For as long as the tunnel is there.
    pub(super) _held: Held,
    pub(super) cluster: Name,
    pub(super) idle_timeout: Option<Duration>,
    /// When it reaches its greatest age.
    pub(super) end: Option<Instant>,
    pub(super) reset_reason: h2::Reason,
}

/// A tunnel of which both ends know, to be run when the request is done with.
pub(crate) struct Tunnel {
    made: Made,
    record: Record,
    /// Empty unless it is logged.
    head: RequestHead,
    route: Arc<RouteMetrics>,
    listener: Arc<ListenerMetrics>,
    direction: Arc<DirectionMetrics>,
    access_logs: Arc<[AccessLog]>,
    chain: Name,
    idle: Option<Duration>,
    /// What it was when policies were asked about it.
    kept: Box<Kept>,
    /// The configuration that let it through.
    generation: u64,
    /// There where it is traced.
    trace: Option<Box<KeptTrace>>,
}

impl Tunnel {
    pub(super) fn begin(
        made: Made,
        mut request: Request<'_>,
        context: &RequestContext<'_>,
        route: &Arc<RouteMetrics>,
        taken: Option<Taken<'_>>,
    ) -> Tunnel {
        let (chain, worker) = (context.chain(), context.worker());
        let is_logged = request.record.is_logged();
        let trace = match (&chain.http().tracing, taken, &request.record.trace) {
            (Some(policy), Some(taken), Some(_)) => Some(Box::new(KeptTrace::of(policy, taken))),
            _ => None,
        };
        let kept = Kept::of(&mut request, context);
        let cells = chain.listener.worker(worker.index);
        cells.tunnels_active.inc();
        route.worker(worker.index).requests_active.inc();
        Tunnel {
            idle: made.idle_timeout,
            made,
            record: request.record,
            head: if is_logged {
                std::mem::take(request.head)
            } else {
                RequestHead::new()
            },
            route: Arc::clone(route),
            listener: Arc::clone(&chain.listener),
            direction: Arc::clone(&chain.direction),
            access_logs: Arc::clone(&chain.http().access_logs),
            chain: chain.config.name().clone(),
            kept,
            generation: context.snapshot.generation(),
            trace,
        }
    }

    /// Passes bytes on between the downstream and the upstream until both have ended, or one cannot go on. Then the
    /// request has ended, and is recorded.
    ///
    /// `owns_connection`: the connection is the tunnel's alone (HTTP/1), and its drain is too. Not cancel safe: a
    /// tunnel that is dropped before its end is cut.
    pub(crate) async fn run(self, downstream: Side, accepted: &Accepted, owns_connection: bool) {
        let Tunnel { made, record, .. } = self;
        let worker: &Rc<Worker> = &accepted.worker;
        let control = &accepted.registration.control;
        let mut kept = self.kept;
        let mut details = None;
        let mut pump = Pump::new(downstream, made.upstream, worker.tick());
        let mut limits = Limits {
            idle: self.idle,
            drain_deadline: None,
            end: made.end,
        };
        let end = poll_fn(|cx| {
            if owns_connection {
                control.set_waker(cx.waker());
                limits.drain_deadline = control.drain_deadline();
            }
            if control.rights.epoch() != kept.judged
                && let Some((lost, policy)) = rights::judge_tunnel(accepted, &mut kept)
            {
                details = policy;
                return Poll::Ready(PumpEnd::RightLost(lost));
            }
            let mut moved = Moved::default();
            let polled = pump.poll(worker, limits, &mut moved, cx);
            if moved.received + moved.sent > 0 {
                // For the listener as it is named now.
                let snapshot = control.snapshot();
                let cells = control.chain(&snapshot).listener.worker(worker.index);
                cells.bytes_received.add(moved.received);
                cells.bytes_sent.add(moved.sent);
            }
            polled
        })
        .await;
        // The driver of an HTTP/2 connection cuts it, with all its streams.
        let is_cut = control
            .drain_deadline()
            .is_some_and(|deadline| Instant::now() >= deadline);
        let end = match (end, control.rights.lost()) {
            // So does it where the connection has lost its right.
            (PumpEnd::Downstream(_), Some(lost)) => PumpEnd::RightLost(lost),
            (PumpEnd::Downstream(_), None) if is_cut => PumpEnd::Drained,
            (end, _) => end,
        };
        if let PumpEnd::RightLost(lost) = end {
            self.listener.worker(worker.index).requests_cut[lost].inc();
        }
        let mut record = record;
        if let Some(details) = details {
            record.explain(details);
        }
        note_end(&mut record, worker.tick(), &end, self.idle);
        let reason = close(&mut pump, &mut record, end, made.reset_reason);
        record.bytes_received = pump.bytes_received();
        record.bytes_sent = pump.bytes_sent();
        let cells = self.listener.worker(worker.index);
        cells.tunnels_active.dec();
        cells.tunnels_ended[reason].inc();
        let route = self.route.worker(worker.index);
        route.requests_active.dec();
        let scene = Scene {
            accepted,
            access_logs: &self.access_logs,
            chain: self.chain.as_str(),
            cluster: Some(made.cluster.as_str()),
        };
        let asked = Asked {
            head: &kept.head,
            generation: self.generation,
            trace: self.trace.as_deref(),
        };
        let direction = self.direction.worker(worker.index);
        record.tunnel_ended((direction, cells), route, &scene, &self.head, &asked);
    }
}

/// What the story of a tunnel says of an end that is neither side's doing.
#[cold]
fn note_end(record: &mut Record, now: Instant, end: &PumpEnd, idle: Option<Duration>) {
    let (kind, limit, detail, value) = match end {
        PumpEnd::Idle => {
            let micros = notes::micros(idle);
            (EventKind::Idle, "upgrade_idle_timeout", "tunnel", micros)
        }
        PumpEnd::RightLost(lost) => (EventKind::RightLost, "", lost.as_str(), 0),
        PumpEnd::Drained => (EventKind::Drained, "", "", 0),
        PumpEnd::Closed | PumpEnd::Downstream(_) | PumpEnd::Upstream(_) | PumpEnd::Aged => return,
    };
    record.note(now, kind, limit, detail, value);
}

/// Ends both sides as the tunnel ended, and notes why.
fn close(pump: &mut Pump, record: &mut Record, end: PumpEnd, reset_reason: h2::Reason) -> TunnelEnd {
    match end {
        PumpEnd::Closed => TunnelEnd::Closed,
        PumpEnd::Downstream(error) => {
            tracing::debug!(%error, "the downstream ended a tunnel");
            pump.upstream.reset(reset_reason);
            record.downstream_gone();
            TunnelEnd::DownstreamReset
        }
        PumpEnd::RightLost(lost) => {
            pump.upstream.reset(reset_reason);
            pump.downstream.reset(crate::rights::RESET_REASON);
            record.ended(ResponseFlags::NONE, lost.as_str());
            TunnelEnd::RightLost
        }
        PumpEnd::Upstream(SideError::Io(error)) if crate::rights::upstream_lost(&error).is_some() => {
            pump.upstream.reset(reset_reason);
            pump.downstream.reset(reset_reason);
            record.ended(ResponseFlags::UC, crate::rights::UPSTREAM_LOST);
            TunnelEnd::RightLost
        }
        PumpEnd::Upstream(error) => {
            tracing::debug!(%error, "the upstream ended a tunnel");
            pump.downstream.reset(reset_reason);
            record.ended(ResponseFlags::UC, "upstream_connection_closed");
            TunnelEnd::UpstreamReset
        }
        PumpEnd::Idle => {
            record.ended(ResponseFlags::SI, "upgrade_idle_timeout");
            TunnelEnd::Idle
        }
        PumpEnd::Aged => {
            pump.upstream.reset(reset_reason);
            pump.downstream.reset(reset_reason);
            record.ended(ResponseFlags::DT, "max_duration_timeout");
            TunnelEnd::Age
        }
        PumpEnd::Drained => {
            record.ended(ResponseFlags::NONE, "drain_timeout");
            TunnelEnd::Drain
        }
    }
}
