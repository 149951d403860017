//! Discovery: which clusters' names are being resolved, and what comes of it on its way into the data plane.
//!
//! Resolvers start when a configuration that wants them is about to be applied, and end when one without them is in
//! force; a cluster whose settings stay keeps its own. Changes of endpoints are gathered for [`BATCH_DELAY`] and
//! published together, so that a storm of answers costs few publishes.

mod observer;

use observer::Observer;
use outrigger_config::MeshConfig;
use outrigger_config::model::{self, Name};
use outrigger_dataplane::DataPlane;
use outrigger_dataplane::snapshot::{Discovered, EndpointSet};
use outrigger_discovery::{Clients, ClusterResolver, RecordReport, Resolution};
use outrigger_telemetry::Metrics;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long applying a configuration waits for the first answers of clusters that it adds. After that it goes into
/// force all the same, and requests to what is not resolved are answered with 503.
pub(crate) const WARM_TIMEOUT: Duration = Duration::from_secs(5);

/// From the first change of endpoints to the publish that holds it.
const BATCH_DELAY: Duration = Duration::from_millis(10);

/// All running resolvers.
pub(crate) struct Discovery {
    clients: Clients,
    metrics: Arc<Metrics>,
    shared: Arc<Shared>,
}

/// What resolvers, the publisher and the admin endpoint share.
#[derive(Default)]
pub(crate) struct Shared {
    /// The resolvers of the configuration in force.
    running: Mutex<HashMap<Name, Arc<Running>>>,
    /// Clusters whose endpoints have changed since the last publish.
    changed: Mutex<HashSet<Name>>,
    wake: Notify,
}

struct Running {
    settings: model::Discovery,
    resolver: ClusterResolver,
}

/// The resolvers of a configuration that is not in force yet. Dropping it stops those that it started.
pub(crate) struct Prepared {
    running: HashMap<Name, Arc<Running>>,
    fresh: Vec<Name>,
}

/// A cluster's discovery as the admin endpoint shows it.
pub(crate) struct Report {
    pub(crate) warm: bool,
    pub(crate) stale: bool,
    pub(crate) records: Vec<RecordReport>,
}

impl Discovery {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Discovery {
        Discovery {
            clients: Clients::default(),
            metrics,
            shared: Arc::default(),
        }
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Starts the resolvers that a configuration wants and that are not running.
    pub(crate) fn prepare(&self, config: &MeshConfig) -> Prepared {
        let running = self.shared.running.lock();
        let mut prepared = Prepared {
            running: HashMap::new(),
            fresh: Vec::new(),
        };
        for cluster in config.clusters() {
            let settings = cluster.discovery();
            let Some(dns) = settings.dns() else { continue };
            let before = running.get(cluster.name());
            let resolver = match before.filter(|before| before.settings == *settings) {
                Some(before) => Arc::clone(before),
                None => {
                    prepared.fresh.push(cluster.name().clone());
                    Arc::new(self.start(cluster.name(), settings, dns, before))
                }
            };
            prepared.running.insert(cluster.name().clone(), resolver);
        }
        prepared
    }

    fn start(
        &self,
        cluster: &Name,
        settings: &model::Discovery,
        dns: &model::DnsDiscovery,
        before: Option<&Arc<Running>>,
    ) -> Running {
        let now = tokio::time::Instant::now().into_std();
        // What is asked by other rules keeps its answer until there is a new one.
        let resolution = match before {
            Some(before) => before.resolver.resolution().succeed(dns.clone(), now),
            None => Resolution::new(dns.clone(), now),
        };
        let client = self.clients.client(dns.resolvers(), dns.query_timeout());
        let metrics = self.metrics.discovery(cluster.as_str());
        let observer = Observer::new(cluster.clone(), metrics, Arc::clone(&self.shared));
        Running {
            settings: settings.clone(),
            resolver: ClusterResolver::start(resolution, client, Arc::new(observer)),
        }
    }

    /// Takes over the resolvers of the configuration that is in force now, and stops the others.
    pub(crate) fn commit(&self, prepared: Prepared) {
        let before = std::mem::replace(&mut *self.shared.running.lock(), prepared.running);
        // Dropped without the lock: ending a resolver takes one of its own.
        drop(before);
        let mut changed = self.shared.changed.lock();
        changed.extend(prepared.fresh);
        // A change that came while the configuration was being applied was not its own to publish.
        self.shared.wake.notify_one();
    }
}

impl Prepared {
    /// Waits until all that was started has had its first answers, at most [`WARM_TIMEOUT`].
    pub(crate) async fn warm(&self) {
        let warming: Vec<_> = self
            .fresh()
            .map(|(_, running)| running.resolver.warmed())
            .collect();
        let all = async {
            for warmed in warming {
                warmed.await;
            }
        };
        if tokio::time::timeout(WARM_TIMEOUT, all).await.is_err() {
            let cold: Vec<&str> = self
                .fresh()
                .filter(|(_, running)| !running.resolver.resolution().is_warm())
                .map(|(name, _)| name.as_str())
                .collect();
            tracing::warn!(
                clusters = cold.len(),
                first = cold.first(),
                timeout = ?WARM_TIMEOUT,
                "clusters are not resolved in time: their requests fail until they are"
            );
        }
    }

    /// What has been found for the clusters that are new or have changed.
    pub(crate) fn discovered(&self) -> Discovered {
        self.fresh()
            .map(|(name, running)| (name.clone(), running.endpoints()))
            .collect()
    }

    fn fresh(&self) -> impl Iterator<Item = (&Name, &Arc<Running>)> {
        self.fresh
            .iter()
            .filter_map(|name| Some((name, self.running.get(name)?)))
    }
}

impl Running {
    fn endpoints(&self) -> EndpointSet {
        let found = Arc::clone(self.resolver.resolution().endpoints());
        found
            .iter()
            .map(|endpoint| model::Endpoint::found(endpoint.address, endpoint.weight, 0))
            .collect()
    }
}

impl Shared {
    /// A cluster's endpoints are not what was published.
    fn note_changed(&self, cluster: &Name) {
        self.changed.lock().insert(cluster.clone());
        self.wake.notify_one();
    }

    /// The endpoints of the clusters that changed; those of resolvers that are not in force are left out.
    fn take_changed(&self) -> Discovered {
        let changed = std::mem::take(&mut *self.changed.lock());
        let running = self.running.lock();
        changed
            .into_iter()
            .filter_map(|name| {
                let endpoints = running.get(&name)?.endpoints();
                Some((name, endpoints))
            })
            .collect()
    }

    /// How the discovery of a cluster stands; none if its endpoints are not discovered.
    pub(crate) fn report(&self, cluster: &Name) -> Option<Report> {
        let running = Arc::clone(self.running.lock().get(cluster)?);
        let now = Instant::now();
        let resolution = running.resolver.resolution();
        Some(Report {
            warm: resolution.is_warm(),
            stale: resolution.is_stale(now),
            records: resolution.report(now),
        })
    }
}

/// Publishes changes of endpoints, for as long as it is polled: what drains needs them too.
pub(crate) async fn publish(shared: Arc<Shared>, plane: Arc<tokio::sync::Mutex<DataPlane>>) {
    loop {
        shared.wake.notified().await;
        tokio::time::sleep(BATCH_DELAY).await;
        // Under the lock, so that no configuration changes hands between reading endpoints and publishing them.
        let mut plane = plane.lock().await;
        plane.set_endpoints(&shared.take_changed()).await;
    }
}
