//! What is under way at clusters and endpoints, counted for as long as it is held.

use crate::reply::LocalReply;
use crate::snapshot::{ClusterPolicy, EndpointState};
use crate::worker::Worker;
use outrigger_config::model::RoutePriority;
use outrigger_telemetry::{ClusterCells, Overflow, RetryDenied};
use outrigger_traffic::adaptive::AdaptiveLimit;
use outrigger_traffic::retry::{Allowance, RetryDenial};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A request counted as active at its cluster, and at its adaptive limit where it has one.
pub(super) struct ActiveRequest<'a> {
    cluster: &'a Arc<ClusterPolicy>,
    pub(super) cells: &'a ClusterCells,
    priority: RoutePriority,
    /// Where response times count. Boxed: it is rare.
    measured: Option<Box<Measured>>,
}

/// A request's place at its cluster's adaptive limit, from its beginning to the head of its answer.
struct Measured {
    /// Since the epoch of the cluster's times.
    began: Duration,
    /// It is held still.
    is_held: Cell<bool>,
}

impl<'a> ActiveRequest<'a> {
    /// Counts a request, if the cluster's limits allow one more.
    #[inline(always)]
    pub(super) fn begin(
        cluster: &'a Arc<ClusterPolicy>,
        worker: &Worker,
        priority: RoutePriority,
    ) -> Result<ActiveRequest<'a>, LocalReply> {
        let cells = cluster.metrics.worker(worker.index);
        let mut measured = None;
        if let Some(limit) = &cluster.adaptive {
            measured = Some(begin_measured(limit, cluster, worker)?);
        }
        if !cluster.shared.begin_request(priority, worker.now().into_std()) {
            if let (Some(_), Some(limit)) = (&measured, &cluster.adaptive) {
                limit.end();
            }
            cells.overflows[Overflow::Requests].inc();
            return Err(LocalReply::Overflow(Overflow::Requests));
        }
        cells.requests_active.inc();
        Ok(ActiveRequest {
            cluster,
            cells,
            priority,
            measured,
        })
    }

    /// The head of an answer is here: what follows may take as long as it likes.
    #[inline(always)]
    pub(super) fn answered(&self, worker: &Worker) {
        if let Some(measured) = &self.measured {
            self.record(measured, worker);
        }
    }

    /// There will be no answer, and the time that it took to know is the upstream's doing. It does nothing if the head of an
    /// answer was here. Not to be told of those whose clients have left or who never came to an upstream.
    pub(super) fn failed(&self, worker: &Worker) {
        if let Some(measured) = &self.measured {
            worker.tick();
            self.record(measured, worker);
        }
    }

    #[cold]
    fn record(&self, measured: &Measured, worker: &Worker) {
        if let Some(limit) = &self.cluster.adaptive
            && measured.is_held.replace(false)
        {
            let now = since_epoch(self.cluster, worker);
            limit.answered(measured.began, now, worker.random());
            limit.end();
        }
    }

    /// Begins a retry of the request, if its cluster's budget allows one more; one that was held before must be dropped.
    /// `percent`: to what a believed peer lowers the budget.
    #[cold]
    pub(super) fn begin_retry(
        &self,
        worker: &Worker,
        percent: Option<u32>,
        was_sent: bool,
    ) -> Result<BudgetedRetry<'a>, RetryDenied> {
        self.budgeted(worker, percent, was_sent)
            .inspect_err(|bound| self.cells.retries_denied[*bound].inc())
    }

    /// [`ActiveRequest::begin_retry`], without counting what is denied.
    #[cold]
    pub(super) fn budgeted(
        &self,
        worker: &Worker,
        percent: Option<u32>,
        was_sent: bool,
    ) -> Result<BudgetedRetry<'a>, RetryDenied> {
        let cluster = self.cluster;
        let own = Allowance::from(cluster.config.retry_budget());
        let allowance = Allowance {
            was_sent,
            ..percent.map_or(own, |percent| own.lowered_to(percent))
        };
        match cluster.shared.begin_retry(allowance, worker.tick().into_std()) {
            Ok(()) => Ok(BudgetedRetry(cluster)),
            Err(_) if percent.is_some_and(|percent| own.lowered_to(percent) != own) => {
                Err(RetryDenied::Restrained)
            }
            Err(RetryDenial::AtOnce) => Err(RetryDenied::AtOnce),
            Err(RetryDenial::Recent) => Err(RetryDenied::Recent),
        }
    }
}

impl Drop for ActiveRequest<'_> {
    fn drop(&mut self) {
        self.cluster.shared.breakers.of(self.priority).requests().end();
        if let (Some(measured), Some(limit)) = (&self.measured, &self.cluster.adaptive)
            && measured.is_held.get()
        {
            limit.end();
        }
        self.cells.requests_active.dec();
    }
}

/// Begins a request at the cluster's adaptive limit.
#[cold]
fn begin_measured(
    limit: &AdaptiveLimit,
    cluster: &ClusterPolicy,
    worker: &Worker,
) -> Result<Box<Measured>, LocalReply> {
    let now = since_epoch(cluster, worker);
    if limit.try_begin(now, worker.random()) {
        return Ok(Box::new(Measured {
            began: now,
            is_held: Cell::new(true),
        }));
    }
    cluster.metrics.worker(worker.index).overflows[Overflow::Adaptive].inc();
    Err(LocalReply::Overflow(Overflow::Adaptive))
}

fn since_epoch(cluster: &ClusterPolicy, worker: &Worker) -> Duration {
    worker
        .now()
        .into_std()
        .saturating_duration_since(cluster.shared.since)
}

/// An attempt counted as active at its endpoint.
pub(super) struct ActiveAttempt {
    endpoint: Arc<EndpointState>,
    /// Its own time runs from here.
    pub(super) started: Instant,
}

impl ActiveAttempt {
    /// Counts an attempt at an endpoint that is not limited.
    #[inline(always)]
    pub(super) fn begin(endpoint: Arc<EndpointState>, started: Instant) -> ActiveAttempt {
        endpoint.load.begin();
        ActiveAttempt { endpoint, started }
    }

    /// Counts an attempt at an endpoint, unless that has as many as it may.
    pub(super) fn try_begin(
        cluster: &ClusterPolicy,
        endpoint: &Arc<EndpointState>,
        started: Instant,
    ) -> Option<ActiveAttempt> {
        let requests_max = cluster.endpoint_limits.and_then(|limits| limits.requests_max());
        endpoint.load.try_begin(requests_max).then(|| ActiveAttempt {
            endpoint: Arc::clone(endpoint),
            started,
        })
    }

    pub(super) fn endpoint(&self) -> &Arc<EndpointState> {
        &self.endpoint
    }
}

impl Drop for ActiveAttempt {
    fn drop(&mut self) {
        self.endpoint.load.end();
    }
}

/// A retry counted against its cluster's budget, from the wait before it to the end of its request.
pub(super) struct BudgetedRetry<'a>(&'a ClusterPolicy);

impl Drop for BudgetedRetry<'_> {
    fn drop(&mut self) {
        self.0.shared.retry_budget.end();
    }
}
