//! Rebalancing: clusters whose endpoints' health has changed, on their way into the data plane.
//!
//! Whoever learns of a change sets it in the endpoint's `EndpointHealth` and notes the cluster here. Changes are
//! gathered for [`BATCH_DELAY`] and published together, so that half a fleet that goes costs one publish.

use outrigger_config::model::Name;
use outrigger_dataplane::DataPlane;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// From the first change to the publish that holds it.
const BATCH_DELAY: Duration = Duration::from_millis(5);

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
        loop {
            self.wake.notified().await;
            tokio::time::sleep(BATCH_DELAY).await;
            let mut plane = plane.lock().await;
            let changed = std::mem::take(&mut *self.changed.lock());
            plane.set_health(&changed).await;
        }
    }
}
