//! TCP proxying: a downstream connection whose bytes are passed on to an endpoint.
//!
//! 1. *pick*: one of the chain's clusters by weight; *authorize* and *limit* (`rate_limit`): policies and rate limits are asked
//!    before anything is dialled;
//! 2. *dial* (`dial`): endpoints by the cluster's balancer, until one is connected or the attempts are used up;
//! 3. *relay* (`crate::relay`): bytes both ways until both sides have ended;
//! 4. *record* (`record`): metrics and access log, once.
//!
//! A connection begins and ends under the policy that it was accepted by: a reload changes nothing for it, unless it
//! takes its chain away. Then, as when the process drains, it has until the drain's deadline.

pub(crate) mod dial;
mod rate_limit;
mod record;

use crate::authorization;
use crate::connection::Accepted;
use crate::io::Stream;
use crate::relay::{self, FirstBytes, RelayEnd, Terms};
use crate::rights;
use crate::snapshot::{ChainPolicy, ClusterPolicy, TcpPolicy};
use crate::timer::after;
use crate::worker::LocalSnapshot;
use bytes::Bytes;
use dial::{Dial, DialFault, DialTerms, Dialled};
use outrigger_telemetry::{ConnectionClose, UpstreamClose};
use outrigger_traffic::pick_cluster;
use record::{Outcome, Record};
use std::sync::Arc;

/// A connection to an endpoint that was begun before it was known that bytes are to be passed on.
pub(crate) struct Prepared {
    pub(crate) cluster: Arc<ClusterPolicy>,
    /// What became of it. `Err`: no endpoint could be had.
    pub(crate) dialled: Result<Dialled, DialFault>,
    /// Read from the endpoint so far.
    pub(crate) first: Bytes,
}

/// Passes the connection's bytes on until it ends. `first`: what was read of it so far.
pub(crate) async fn serve(stream: Stream, first: Bytes, accepted: Accepted, prepared: Option<Prepared>) {
    let (snapshot, chain, cluster, terms) = {
        let snapshot = accepted.registration.control.snapshot();
        let chain = Arc::clone(accepted.registration.control.chain(&snapshot));
        let (cluster, terms) = pick(&snapshot, policy(&chain), accepted.worker.random());
        let cluster = match &prepared {
            Some(prepared) => Arc::clone(&prepared.cluster),
            None => Arc::clone(cluster),
        };
        (snapshot, chain, cluster, terms)
    };
    let worker = &accepted.worker;
    let listener = chain.listener.worker(worker.index);
    let mut record = Record::begin(&accepted, &chain, &snapshot);
    if let Some(verdict) = authorization::decide_bytes(&accepted, &chain) {
        if let Some(details) = verdict.refusal {
            if prepared.is_some_and(|prepared| prepared.dialled.is_ok()) {
                cluster.metrics.worker(worker.index).connections_closed[UpstreamClose::Unused].inc();
            }
            drop(stream);
            record.remark(verdict.remarks);
            return end(record, &accepted, &chain, None, Record::unauthorized(details));
        }
        record.remark(verdict.remarks);
    }
    if let Some(limits) = &policy(&chain).rate_limits
        && let Some(refusal) = Box::pin(rate_limit::limit(&accepted, &snapshot, limits)).await
    {
        if prepared.is_some_and(|prepared| prepared.dialled.is_ok()) {
            cluster.metrics.worker(worker.index).connections_closed[UpstreamClose::Unused].inc();
        }
        drop(stream);
        return end(record, &accepted, &chain, None, Record::rate_limited(refusal));
    }
    record.picked(&cluster, &chain, &snapshot);
    drop(snapshot);
    let (dialled, from_upstream) = match prepared {
        Some(prepared) => (prepared.dialled, prepared.first),
        None => (dial(&stream, &accepted, &cluster, terms).await, Bytes::new()),
    };
    let outcome = match dialled {
        Err(fault) => {
            // A plain close would say that the server was there and had nothing to say.
            relay::reset(&stream);
            drop(stream);
            record.not_connected(fault)
        }
        Ok(mut dialled) => {
            record.connected(&mut dialled, &cluster, worker);
            let cells = cluster.metrics.worker(worker.index);
            let options = &policy(&chain).options;
            let terms = Terms {
                memory: &worker.relays,
                listener,
                cluster: cells,
                idle_timeout: options.idle_timeout(),
                deadline: after(accepted.opened, options.connection_duration_max()),
                control: Some(&accepted.registration.control),
                judge: Some(&|| rights::judge_bytes(&accepted)),
                splice_after_bytes: relay::SPLICE_AFTER_BYTES,
            };
            let first = FirstBytes {
                from_downstream: first,
                from_upstream,
            };
            let (upstream, _occupied) = dialled.into_stream();
            // The state of a relay is small, and a dial's, which was larger, is gone.
            let relayed = relay::relay(stream, upstream, first, &terms).await;
            cells.connections_closed[upstream_close(relayed.end)].inc();
            Outcome::of(relayed)
        }
    };
    end(record, &accepted, &chain, Some(&cluster), outcome);
}

/// Closes a connection to which nothing would be allowed, whatever it speaks. `details`: why, for logs.
pub(crate) fn refuse(stream: Stream, accepted: &Accepted, chain: &ChainPolicy, details: String) {
    drop(stream);
    let snapshot = accepted.registration.control.snapshot();
    let record = Record::begin(accepted, chain, &snapshot);
    end(record, accepted, chain, None, Record::unauthorized(details));
}

/// Counts and logs a connection that has ended.
fn end(
    record: Record,
    accepted: &Accepted,
    chain: &ChainPolicy,
    cluster: Option<&ClusterPolicy>,
    outcome: Outcome,
) {
    let listener = chain.listener.worker(accepted.worker.index);
    listener.connections_closed[outcome.close].inc();
    listener
        .tcp_connection_duration
        .observe(accepted.opened.elapsed());
    record.finish(accepted, chain, cluster, outcome);
}

/// The chain's TCP side; only for connections whose bytes are passed on.
pub(crate) fn policy(chain: &ChainPolicy) -> &TcpPolicy {
    chain
        .tcp
        .as_ref()
        .expect("a connection whose bytes are passed on has a chain that does so")
}

/// The cluster that this connection's bytes go to, and how its endpoints are tried.
pub(crate) fn pick<'s>(
    snapshot: &'s LocalSnapshot,
    policy: &TcpPolicy,
    random: u64,
) -> (&'s Arc<ClusterPolicy>, DialTerms) {
    let index = pick_cluster(&policy.weights, random);
    let cluster = snapshot
        .cluster(policy.clusters[index])
        .expect("a chain's clusters are in its snapshot");
    let terms = DialTerms {
        attempts_max: policy.options.connect_attempts_max(),
        hashes_source: policy.options.hash_source_address(),
        subset: policy.subsets.as_ref().and_then(|subsets| subsets[index]),
    };
    (cluster, terms)
}

/// Dials unless the client resets its connection meanwhile.
async fn dial(
    stream: &Stream,
    accepted: &Accepted,
    cluster: &Arc<ClusterPolicy>,
    terms: DialTerms,
) -> Result<Dialled, DialFault> {
    let mut dialling = Dial::new(Arc::clone(cluster), terms, &accepted.ends);
    // Boxed, so that the task of a connection that is served does not keep the room for a handshake.
    let result = tokio::select! {
        biased;
        dialled = Box::pin(dialling.run(&accepted.worker, &accepted.ends)) => Some(dialled),
        () = relay::failed(stream) => None,
    };
    result.unwrap_or_else(|| Err(dialling.abandoned()))
}

fn upstream_close(end: RelayEnd) -> UpstreamClose {
    match end {
        RelayEnd::Closed {
            downstream_first: true,
        }
        | RelayEnd::DownstreamReset => UpstreamClose::Downstream,
        RelayEnd::Closed {
            downstream_first: false,
        } => UpstreamClose::Peer,
        RelayEnd::UpstreamReset => UpstreamClose::Error,
        RelayEnd::Idle => UpstreamClose::Idle,
        RelayEnd::Deadline => UpstreamClose::AgeMax,
        RelayEnd::Drained => UpstreamClose::Drained,
        RelayEnd::RightLost(_) => UpstreamClose::Downstream,
        RelayEnd::UpstreamLost(_) => UpstreamClose::RightLost,
    }
}

fn downstream_close(end: RelayEnd) -> ConnectionClose {
    match end {
        RelayEnd::Closed {
            downstream_first: true,
        } => ConnectionClose::Peer,
        RelayEnd::Closed {
            downstream_first: false,
        }
        | RelayEnd::UpstreamReset
        | RelayEnd::UpstreamLost(_) => ConnectionClose::Upstream,
        RelayEnd::DownstreamReset => ConnectionClose::Error,
        RelayEnd::Idle => ConnectionClose::Idle,
        RelayEnd::Deadline => ConnectionClose::AgeMax,
        RelayEnd::Drained => ConnectionClose::Drain,
        RelayEnd::RightLost(_) => ConnectionClose::RightLost,
    }
}
