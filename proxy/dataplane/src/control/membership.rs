//! How many endpoints of each standing clusters have, as metrics.

use crate::snapshot::{ClusterPolicy, Snapshot};
use outrigger_traffic::Standing;
use std::sync::Arc;

/// Notes the endpoints of clusters that are not as they were. Only whoever publishes writes these, into the cells of the first
/// worker.
pub(super) fn note(before: &Snapshot, next: &Snapshot) {
    for (slot, previous) in before.clusters.iter().enumerate() {
        let Some(previous) = previous else { continue };
        let follower = next.clusters.get(slot).and_then(Option::as_ref);
        if follower.is_none_or(|follower| follower.config.name() != previous.config.name()) {
            write(previous, [0; 4]);
        }
    }
    let is_first = before.revision == next.revision;
    for (slot, cluster) in next.clusters.iter().enumerate() {
        let Some(cluster) = cluster else { continue };
        let previous = before.clusters.get(slot).and_then(Option::as_ref);
        if is_first || previous.is_none_or(|previous| !Arc::ptr_eq(cluster, previous)) {
            write(cluster, count(cluster));
        }
    }
}

/// Healthy, degraded, draining and other endpoints.
fn count(cluster: &ClusterPolicy) -> [i64; 4] {
    let mut counts = [0; 4];
    for place in 0..cluster.endpoints.len() {
        counts[match cluster.standing(place) {
            Some(Standing::Healthy) => 0,
            Some(Standing::Degraded) => 1,
            Some(Standing::Draining) => 2,
            Some(Standing::Unhealthy | Standing::Unchecked) | None => 3,
        }] += 1;
    }
    counts
}

fn write(cluster: &ClusterPolicy, counts: [i64; 4]) {
    let cells = cluster.metrics.worker(0);
    let [healthy, degraded, draining, excluded] = counts;
    cells.endpoints.set(counts.iter().sum());
    cells.endpoints_healthy.set(healthy);
    cells.endpoints_degraded.set(degraded);
    cells.endpoints_draining.set(draining);
    cells.endpoints_excluded.set(excluded);
}
