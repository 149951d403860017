//! What is under way at clusters and endpoints, counted for as long as it is held.

use crate::snapshot::{ClusterPolicy, EndpointState};
use crate::worker::Worker;
use outrigger_telemetry::{ClusterCells, RetryDenied};
use outrigger_traffic::retry::{Allowance, RetryDenial};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A request counted as active at its cluster.
pub(super) struct ActiveRequest<'a> {
    cluster: &'a Arc<ClusterPolicy>,
    pub(super) cells: &'a ClusterCells,
}

impl<'a> ActiveRequest<'a> {
    pub(super) fn begin(cluster: &'a Arc<ClusterPolicy>, worker: &Worker) -> ActiveRequest<'a> {
        cluster.shared.begin_request(worker.now().into_std());
        let cells = cluster.metrics.worker(worker.index);
        cells.requests_active.inc();
        ActiveRequest { cluster, cells }
    }

    /// Begins a retry of the request, if its cluster's budget allows one more; one that was held before must be dropped.
    #[cold]
    pub(super) fn begin_retry(&self, worker: &Worker) -> Result<BudgetedRetry<'a>, RetryDenial> {
        let cluster = self.cluster;
        let allowance = Allowance::from(cluster.config.retry_budget());
        match cluster.shared.begin_retry(allowance, worker.tick().into_std()) {
            Ok(()) => Ok(BudgetedRetry(cluster)),
            Err(denial) => {
                let bound = match denial {
                    RetryDenial::AtOnce => RetryDenied::AtOnce,
                    RetryDenial::Recent => RetryDenied::Recent,
                };
                self.cells.retries_denied[bound].inc();
                Err(denial)
            }
        }
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

    pub(super) fn endpoint(&self) -> &Arc<EndpointState> {
        &self.0
    }
}

impl Drop for ActiveAttempt {
    fn drop(&mut self) {
        self.0.load.end();
    }
}

/// A retry counted against its cluster's budget, from the wait before it to the end of its request.
pub(super) struct BudgetedRetry<'a>(&'a ClusterPolicy);

impl Drop for BudgetedRetry<'_> {
    fn drop(&mut self) {
        self.0.shared.retry_budget.end();
    }
}
