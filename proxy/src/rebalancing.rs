//! Rebalancing: clusters whose endpoints' health or shares have changed, on their way into the data plane.
//!
//! Whoever learns of a change sets it in the endpoint's `EndpointHealth` and notes the cluster here. Changes are
//! gathered for [`BATCH_DELAY`] and published together, so that half a fleet that goes costs one publish.
//!
//! While some endpoint is in its slow start, its cluster is published again each [`SLOW_START_STEPS`]th of the window, with the
//! shares of that time.

use outrigger_config::model::Name;
use outrigger_dataplane::DataPlane;
use outrigger_dataplane::snapshot::Snapshot;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// From the first change to the publish that holds it.
const BATCH_DELAY: Duration = Duration::from_millis(5);

/// Steps in which a share grows over its window.
const SLOW_START_STEPS: u32 = 20;

/// Between steps, however short the window.
const SLOW_START_STEP_MIN: Duration = Duration::from_millis(50);

/// What is to be published.
#[derive(Default)]
pub(crate) struct Rebalancing {
    /// Clusters that have changed since the last publish.
    changed: Mutex<HashSet<Name>>,
    wake: Notify,
}

impl Rebalancing {
    /// The health of some endpoint of this cluster is not what its balancer was made over. Cheap; from any thread.
    pub(crate) fn note(&self, cluster: &Name) {
        self.changed.lock().insert(cluster.clone());
        self.wake.notify_one();
    }

    /// Publishes changes, for as long as it is polled: what drains needs them too.
    pub(crate) async fn publish(self: Arc<Self>, plane: Arc<tokio::sync::Mutex<DataPlane>>) {
        let (published, mut revisions) = {
            let plane = plane.lock().await;
            (plane.published(), plane.revisions())
        };
        let mut stepped = Instant::now();
        loop {
            // Endpoints that are new came by a publish.
            let slowing = Slowing::of(&published.load());
            let grown = async {
                match slowing.step {
                    // From the step before, however much else is published meanwhile.
                    Some(step) => tokio::time::sleep_until(stepped + step).await,
                    None => std::future::pending().await,
                }
            };
            let mut due = HashSet::new();
            tokio::select! {
                () = self.wake.notified() => tokio::time::sleep(BATCH_DELAY).await,
                () = grown => {
                    stepped = Instant::now();
                    due = slowing.clusters;
                }
                // The sender is the data plane's, which is here.
                _ = revisions.changed() => continue,
            }
            let mut plane = plane.lock().await;
            due.extend(std::mem::take(&mut *self.changed.lock()));
            plane.set_health(&due).await;
        }
    }
}

/// Clusters of which some endpoint does not have its whole share yet.
#[derive(Default)]
struct Slowing {
    clusters: HashSet<Name>,
    /// Until the next publish of them; none: there are none.
    step: Option<Duration>,
}

impl Slowing {
    fn of(snapshot: &Snapshot) -> Slowing {
        let mut slowing = Slowing::default();
        for cluster in snapshot
            .clusters()
            .filter(|cluster| cluster.balancer().is_slowing())
        {
            let config = cluster.config();
            let Some(settings) = config.balancing().slow_start() else {
                continue;
            };
            let step = (settings.window() / SLOW_START_STEPS).max(SLOW_START_STEP_MIN);
            slowing.step = Some(slowing.step.map_or(step, |least| least.min(step)));
            slowing.clusters.insert(config.name().clone());
        }
        slowing
    }
}
