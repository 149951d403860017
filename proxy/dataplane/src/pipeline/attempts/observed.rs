//! What attempts say of their endpoints and clusters: for outlier detection, for balancers that follow response times, and
//! for metrics. Clusters that have none of the first two pay a branch for each.

use super::super::exchange::Stop;
use super::super::record::Record;
use crate::outlier;
use crate::pool::Awaited;
use crate::reply::{LocalReply, Stalled};
use crate::snapshot::{ClusterPolicy, EndpointState};
use crate::worker::Worker;
use outrigger_http1::ResponseHead;
use outrigger_telemetry::{AttemptEnd, DeadlineWait};
use outrigger_traffic::PeakEwma;
use outrigger_traffic::health::Outcome;
use outrigger_traffic::retry::AttemptFailure;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// An attempt brought no answer, or one that did not end well.
#[cold]
pub(super) fn stopped(
    cluster: &Arc<ClusterPolicy>,
    endpoint: &Arc<EndpointState>,
    worker: &Worker,
    record: &Record,
    (stop, awaited): (&Stop, Awaited),
) {
    let outcome = outcome_of(stop, awaited);
    if let Some(outlier) = &cluster.outlier
        && !record.has_started()
        && let Some(outcome) = outcome
    {
        outlier.record(cluster, endpoint, worker, outcome);
    }
    if let (Some(ewma), Stop::Attempt(error)) = (cluster.balancer.observes(), stop)
        && (outcome.is_some() || error.failure == AttemptFailure::DiedAfterAnswer)
    {
        // Of a later attempt it is not known here how long it took: it counts as quick.
        let elapsed = match record.is_first_attempt() {
            true => worker.now().duration_since(record.started()),
            false => Duration::ZERO,
        };
        ewma.failed(&endpoint.load, worker.now().into_std(), elapsed);
    }
}

/// An attempt has made a tunnel.
pub(super) fn connected(cluster: &Arc<ClusterPolicy>, endpoint: &Arc<EndpointState>, worker: &Worker) {
    if let Some(outlier) = &cluster.outlier {
        outlier.record(cluster, endpoint, worker, Outcome::Connected);
    }
}

/// The head of an attempt's answer is here. Tells how long it took.
#[inline(always)]
pub(super) fn answered(
    cluster: &Arc<ClusterPolicy>,
    endpoint: &Arc<EndpointState>,
    worker: &Worker,
    response: &ResponseHead,
    grpc: bool,
    started: Instant,
) -> Duration {
    if let Some(outlier) = &cluster.outlier {
        let outcome = outlier::answered(response, grpc);
        outlier.record(cluster, endpoint, worker, outcome);
    }
    let elapsed = worker.now().duration_since(started);
    cluster
        .metrics
        .worker(worker.index)
        .time_to_answer
        .observe(elapsed);
    if let Some(ewma) = cluster.balancer.observes() {
        observe(ewma, endpoint, response.status, worker.now(), started);
    }
    elapsed
}

/// An attempt was cancelled because the other one's answer was there: that is no failure of its endpoint, but where response
/// times are followed, it needed at least as long. Otherwise one that stalls would never be seen to.
#[cold]
pub(super) fn cancelled(
    cluster: &ClusterPolicy,
    endpoint: &EndpointState,
    worker: &Worker,
    started: Instant,
) {
    let now = worker.tick();
    let cells = cluster.metrics.worker(worker.index);
    cells.attempts_unanswered[AttemptEnd::Cancelled].inc();
    cells.request_duration.observe(now.duration_since(started));
    if let Some(ewma) = cluster.balancer.observes() {
        ewma.answered(&endpoint.load, now.into_std(), now.duration_since(started));
    }
}

/// An attempt has ended, and not with the end of its answer. `unanswered`: there was not even the head of one, for this.
#[cold]
pub(super) fn ended(cluster: &ClusterPolicy, worker: &Worker, started: Instant, unanswered: Option<&Stop>) {
    if let Some(stop) = unanswered {
        cluster.metrics.worker(worker.index).attempts_unanswered[end_of(stop)].inc();
    }
    worker.tick();
    took(cluster, worker, started);
}

/// What ended an attempt that has no answer.
fn end_of(stop: &Stop) -> AttemptEnd {
    match stop {
        Stop::Attempt(error) => end_by(error.failure),
        Stop::Reply(
            LocalReply::RouteTimeout
            | LocalReply::DeadlinePassed(_)
            | LocalReply::StreamDuration { .. }
            | LocalReply::StreamIdle(Stalled::Endpoint),
        ) => AttemptEnd::TimedOut,
        // The client is the one who was slow.
        Stop::Reply(
            LocalReply::RequestTimeout | LocalReply::StreamIdle(Stalled::Request | Stalled::Reader),
        )
        | Stop::Downstream(_) => AttemptEnd::Downstream,
        Stop::Reply(_) => AttemptEnd::Refused,
    }
}

/// The same of one that failed by itself.
pub(in super::super) fn end_by(failure: AttemptFailure) -> AttemptEnd {
    match failure {
        AttemptFailure::TimedOut | AttemptFailure::TimedOutBeforeSend | AttemptFailure::ConnectTimeout => {
            AttemptEnd::TimedOut
        }
        AttemptFailure::Overflow => AttemptEnd::Overflow,
        AttemptFailure::RequestInvalid | AttemptFailure::BodyTooLargeToReplay => AttemptEnd::Refused,
        failure if failure.is_move() => AttemptEnd::Moved,
        _ => AttemptEnd::Failed,
    }
}

/// An attempt is over.
#[inline(always)]
pub(super) fn took(cluster: &ClusterPolicy, worker: &Worker, started: Instant) {
    let cells = cluster.metrics.worker(worker.index);
    cells
        .request_duration
        .observe(worker.now().duration_since(started));
}

/// What the end of an attempt that brought no answer counts as; none: it says nothing of the endpoint, as when the client
/// has gone, or when time was up in the queue for a connection.
#[cold]
fn outcome_of(stop: &Stop, awaited: Awaited) -> Option<Outcome> {
    let was_connecting = awaited == Awaited::Connection;
    let is_endpoints = match stop {
        Stop::Attempt(error) if error.failure == AttemptFailure::TimedOutBeforeSend => was_connecting,
        Stop::Attempt(error) => return outlier::failed(error.failure),
        Stop::Reply(LocalReply::RouteTimeout) => awaited != Awaited::Queue,
        Stop::Reply(LocalReply::DeadlinePassed(DeadlineWait::Connection)) => was_connecting,
        Stop::Reply(_) | Stop::Downstream(_) => false,
    };
    is_endpoints.then_some(Outcome::TimedOut)
}

/// Notes how long an endpoint took to the head of its answer. One that cannot answer counts as one that failed.
#[cold]
fn observe(ewma: &PeakEwma, endpoint: &EndpointState, status: u16, now: Instant, started: Instant) {
    let (at, elapsed) = (now.into_std(), now.duration_since(started));
    match status {
        502..=504 => ewma.failed(&endpoint.load, at, elapsed),
        _ => ewma.answered(&endpoint.load, at, elapsed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::AttemptError;

    fn attempt(failure: AttemptFailure) -> Stop {
        Stop::Attempt(AttemptError::new(failure, "x"))
    }

    #[test]
    fn the_proxy_s_own_limits_and_what_cannot_be_sent_say_nothing_of_an_endpoint() {
        for failure in [
            AttemptFailure::Overflow,
            AttemptFailure::RequestInvalid,
            AttemptFailure::UpgradeNotKnown,
            AttemptFailure::PooledClosedBeforeWrite,
            AttemptFailure::GoAwayAboveStream,
        ] {
            for awaited in [Awaited::Nothing, Awaited::Queue, Awaited::Connection] {
                let outcome = outcome_of(&attempt(failure), awaited);
                assert_eq!(outcome, None, "{failure:?}, {awaited:?}");
            }
        }
    }

    #[test]
    fn time_that_was_up_counts_unless_it_passed_in_the_queue() {
        let timed_out = Some(Outcome::TimedOut);
        for (stop, awaited, outcome) in [
            (
                attempt(AttemptFailure::TimedOutBeforeSend),
                Awaited::Connection,
                timed_out,
            ),
            (attempt(AttemptFailure::TimedOutBeforeSend), Awaited::Queue, None),
            (attempt(AttemptFailure::TimedOut), Awaited::Nothing, timed_out),
            (
                Stop::Reply(LocalReply::RouteTimeout),
                Awaited::Connection,
                timed_out,
            ),
            (Stop::Reply(LocalReply::RouteTimeout), Awaited::Nothing, timed_out),
            (Stop::Reply(LocalReply::RouteTimeout), Awaited::Queue, None),
            (
                Stop::Reply(LocalReply::DeadlinePassed(DeadlineWait::Connection)),
                Awaited::Connection,
                timed_out,
            ),
            (
                Stop::Reply(LocalReply::DeadlinePassed(DeadlineWait::Connection)),
                Awaited::Queue,
                None,
            ),
            (
                Stop::Reply(LocalReply::DeadlinePassed(DeadlineWait::Connection)),
                Awaited::Nothing,
                None,
            ),
            (
                Stop::Reply(LocalReply::DeadlinePassed(DeadlineWait::Backoff)),
                Awaited::Nothing,
                None,
            ),
        ] {
            assert_eq!(outcome_of(&stop, awaited), outcome, "{awaited:?}");
        }
    }
}
