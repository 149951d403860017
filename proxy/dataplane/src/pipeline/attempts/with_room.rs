//! Endpoints of a cluster whose endpoints are limited: those at their limit are passed over.

use super::super::active::ActiveAttempt;
use super::super::{RequestContext, Taken};
use super::no_endpoint;
use crate::pick::{Tried, pick};
use crate::reply::LocalReply;
use crate::snapshot::{ClusterPolicy, EndpointState};
use outrigger_config::model::EndpointThresholds;
use outrigger_telemetry::Overflow;
use smallvec::SmallVec;
use std::sync::Arc;
use tokio::time::Instant;

/// Endpoints that are picked for one attempt at most.
const PICKED_MAX: usize = 64;

/// Begins an attempt at the endpoint that was picked, or, if that is at a limit, at another. One that has as many
/// requests as it may takes none; one that has as many connections as it may takes the request only if no other endpoint
/// does better, and the request waits.
///
/// What it refuses the caller counts, if anything is refused by it.
#[cold]
pub(super) fn begin(
    context: &RequestContext<'_>,
    taken: Taken<'_>,
    cluster: &Arc<ClusterPolicy>,
    limits: EndpointThresholds,
    tried: &mut Tried,
    picked: (Arc<EndpointState>, Instant),
) -> Result<ActiveAttempt, LocalReply> {
    let worker = context.worker();
    let (picked, started) = picked;
    let priority = taken.policy.priority;
    let is_full = |endpoint: &EndpointState| {
        let max = limits.connections_max().unwrap_or(u32::MAX);
        endpoint.load.connections() >= max && !worker.pools.has_free(endpoint.id, priority)
    };
    let mut seen: SmallVec<[u64; 8]> = SmallVec::new();
    let mut full = None;
    let mut endpoint = picked;
    loop {
        seen.push(endpoint.id);
        if is_full(&endpoint) {
            full.get_or_insert_with(|| Arc::clone(&endpoint));
        } else if let Some(begun) = ActiveAttempt::try_begin(cluster, &endpoint, started) {
            return Ok(begun);
        }
        tried.pass_over();
        endpoint = pick(cluster, worker, tried, context.ends()).map_err(no_endpoint)?;
        if seen.contains(&endpoint.id) || seen.len() == PICKED_MAX {
            break;
        }
    }
    if let Some(begun) = full.and_then(|endpoint| ActiveAttempt::try_begin(cluster, &endpoint, started)) {
        return Ok(begun);
    }
    Err(LocalReply::Overflow(Overflow::Endpoints))
}
