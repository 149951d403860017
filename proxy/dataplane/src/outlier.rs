//! What attempts come to, for outlier detection: counted by workers, judged by whoever ejects endpoints.
//!
//! One call a finished attempt, [`OutlierPolicy::record`], and that only for clusters that look for outliers. Nothing is
//! ejected here: a run of failures that has reached its threshold is an [`OutlierAlarm`] on a bounded channel. One that does
//! not fit into it, or comes before its endpoint is known there, is told of by the next failure.

use crate::snapshot::{ClusterPolicy, EndpointState};
use crate::worker::Worker;
use outrigger_config::model::{Name, OutlierDetection};
use outrigger_http1::{Fields, ResponseHead};
use outrigger_traffic::EndpointHealth;
use outrigger_traffic::health::{Crossings, Outcome, OutlierRules, grpc_status_as_http};
use outrigger_traffic::retry::AttemptFailure;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A run of failures of an endpoint has reached its threshold.
#[derive(Debug, Clone)]
pub struct OutlierAlarm {
    /// The endpoint's cluster.
    pub cluster: Name,
    /// The endpoint.
    pub address: SocketAddr,
    /// What is known of its health: whoever cannot act on an alarm says so in its counts ([`OutlierAlarm::untold`]).
    pub health: Arc<EndpointHealth>,
    /// Which runs.
    pub crossings: Crossings,
}

impl OutlierAlarm {
    /// Nobody could act on it: the next failure tells again.
    pub fn untold(&self) {
        self.health.outlier_counts().untold(self.crossings);
    }
}

/// What a cluster that looks for outliers counts, and whom it tells.
#[derive(Debug)]
pub(crate) struct OutlierPolicy {
    rules: OutlierRules,
    alarms: mpsc::Sender<OutlierAlarm>,
}

impl OutlierPolicy {
    pub(crate) fn new(
        config: &OutlierDetection,
        endpoints: usize,
        alarms: &mpsc::Sender<OutlierAlarm>,
    ) -> OutlierPolicy {
        OutlierPolicy {
            rules: OutlierRules::new(config, endpoints),
            alarms: alarms.clone(),
        }
    }

    /// Counts what an attempt came to.
    #[inline]
    pub(crate) fn record(
        &self,
        cluster: &ClusterPolicy,
        endpoint: &EndpointState,
        worker: &Worker,
        outcome: Outcome,
    ) {
        if let Some(crossings) = endpoint.health.outlier_counts().record(outcome, &self.rules) {
            self.tell(cluster, endpoint, worker, crossings);
        }
    }

    #[cold]
    fn tell(&self, cluster: &ClusterPolicy, endpoint: &EndpointState, worker: &Worker, crossings: Crossings) {
        let alarm = OutlierAlarm {
            cluster: cluster.config.name().clone(),
            address: endpoint.address,
            health: Arc::clone(&endpoint.health),
            crossings,
        };
        if let Err(full) = self.alarms.try_send(alarm) {
            full.into_inner().untold();
            cluster.metrics.worker(worker.index).outlier_alarms_deferred.inc();
        }
    }
}

/// What an answer counts as. gRPC: the status of an answer that is one head, as Envoy looks at it; what comes in trailers
/// behind a body is not waited for.
#[inline]
pub(crate) fn answered(head: &ResponseHead, is_grpc: bool) -> Outcome {
    if is_grpc && let Some(status) = grpc_status(&head.fields) {
        return Outcome::Answered(grpc_status_as_http(status));
    }
    Outcome::Answered(head.status)
}

#[cold]
fn grpc_status(fields: &Fields) -> Option<u32> {
    let value = fields.find("grpc-status")?;
    // What is no number is no status that anybody knows.
    Some(
        std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(u32::MAX),
    )
}

/// What an attempt without an answer counts as; none: it says nothing of the endpoint. (Whether an attempt whose time was up
/// before it was sent had asked the endpoint for a connection knows who waited for it.)
pub(crate) fn failed(failure: AttemptFailure) -> Option<Outcome> {
    match failure {
        AttemptFailure::ConnectTimeout | AttemptFailure::TimedOut => Some(Outcome::TimedOut),
        // The end of a connection that nobody used is no fault, and neither is one that was announced; an answer that
        // had begun was counted. At our own limits the endpoint was not asked for
        // anything, and what a client asks for that cannot be sent is not its doing.
        AttemptFailure::Overflow
        | AttemptFailure::RequestInvalid
        | AttemptFailure::UpgradeNotKnown
        | AttemptFailure::TimedOutBeforeSend
        | AttemptFailure::PooledClosedBeforeWrite
        | AttemptFailure::GoAwayAboveStream
        | AttemptFailure::DiedAfterAnswer => None,
        AttemptFailure::ConnectFailed
        | AttemptFailure::RefusedStream
        | AttemptFailure::DiedBeforeAnswer { .. }
        | AttemptFailure::ResetBeforeAnswer
        | AttemptFailure::ResponseInvalid
        | AttemptFailure::BodyTooLargeToReplay => Some(Outcome::Failed),
    }
}
