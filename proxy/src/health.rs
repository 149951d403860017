//! The health of endpoints: who is asked whether it serves, who is ejected for its answers, and how that gets into the data
//! plane. The rules are `outrigger_traffic::health`'s; here are the connections, the clock and the tasks, all on the
//! `control` thread.
//!
//! One supervisor follows what is published: it starts and ends the checks of endpoints, and looks for outliers. What is
//! learnt is marked in the endpoint's `EndpointHealth`, which outlives configurations and discovery, and published by
//! [`Rebalancing`]. Endpoints that a configuration adds are checked before it is in force ([`Health::prepare`]), so that
//! none gets a request that has not passed a check.

mod checks;
mod exchange;
mod finding;
mod outliers;
mod probe;
mod report;
mod target;
#[cfg(test)]
mod tests;

use crate::rebalancing::Rebalancing;
use arc_swap::ArcSwap;
use checks::{CheckedEndpoint, ClusterChecks};
use outliers::ClusterOutliers;
use outrigger_config::MeshConfig;
use outrigger_config::model::{self, Discovery, Name};
use outrigger_dataplane::OutlierAlarm;
use outrigger_dataplane::snapshot::{ClusterPolicy, Discovered, HealthLinks, Newcomers, Snapshot};
use outrigger_identity::{Material, UpstreamIdentity};
use outrigger_telemetry::{HealthMetrics, Metrics};
use outrigger_traffic::{EndpointHealth, HealthMark, Standing};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use target::Target;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;

/// How long a configuration waits for the first checks of endpoints that it adds. After that it goes into force all the
/// same; endpoints that have not passed one by then get no requests until they have.
const WARM_TIMEOUT: Duration = Duration::from_secs(5);

/// Checks that are under way at once; more wait for their turn.
const CHECKS_MAX: usize = 256;

/// Runs of failures, and passed checks of ejected endpoints, that wait for the supervisor. One more is told again with the
/// next failure, or the next passed check.
const QUEUE_MAX: usize = 1024;

/// Everything that looks after endpoints.
pub(crate) struct Health {
    shared: Arc<Shared>,
    alarms: mpsc::Sender<OutlierAlarm>,
}

/// A cluster as it was counted, and where.
type CountedCluster = (Arc<ClusterPolicy>, Arc<HealthMetrics>);

/// What checks, the supervisor and the admin endpoint share.
pub(crate) struct Shared {
    circumstances: Arc<Circumstances>,
    newcomers: Newcomers,
    /// Endpoints that are checked ahead, by the address of their health.
    ahead: Mutex<HashMap<usize, Arc<CheckedEndpoint>>>,
    clusters: Mutex<HashMap<Name, ClusterChecks>>,
    outliers: Mutex<HashMap<Name, ClusterOutliers>>,
    /// What was counted last, by cluster: those that have checks or look for outliers.
    counted: Mutex<HashMap<Name, CountedCluster>>,
    /// Of the times that outlier detection is handed.
    epoch: Instant,
    queues: Mutex<Option<Queues>>,
}

/// What every check needs.
pub(crate) struct Circumstances {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) rebalancing: Arc<Rebalancing>,
    permits: Semaphore,
    passed: mpsc::Sender<(Name, SocketAddr)>,
    mark: Option<u32>,
}

/// What the supervisor is told.
struct Queues {
    alarms: mpsc::Receiver<OutlierAlarm>,
    passed: mpsc::Receiver<(Name, SocketAddr)>,
}

/// The checks of endpoints that are not in force yet. Dropping it ends those that were not taken over.
pub(crate) struct Prepared {
    clusters: Vec<ClusterChecks>,
    /// What stands in [`Shared::newcomers`] and [`Shared::ahead`] because of them.
    names: Vec<Name>,
    keys: Vec<usize>,
    shared: Arc<Shared>,
}

/// What an endpoint is known by: its health, which stays the same for as long as its cluster has it.
fn key(health: &Arc<EndpointHealth>) -> usize {
    Arc::as_ptr(health) as usize
}

impl Health {
    /// `mark`: `runtime.socket_mark`.
    pub(crate) fn new(metrics: Arc<Metrics>, rebalancing: Arc<Rebalancing>, mark: Option<u32>) -> Health {
        let (alarms, alarmed) = mpsc::channel(QUEUE_MAX);
        let (passed, has_passed) = mpsc::channel(QUEUE_MAX);
        let shared = Shared {
            circumstances: Arc::new(Circumstances {
                metrics,
                rebalancing,
                permits: Semaphore::new(CHECKS_MAX),
                passed,
                mark,
            }),
            newcomers: Newcomers::default(),
            ahead: Mutex::default(),
            clusters: Mutex::default(),
            outliers: Mutex::default(),
            counted: Mutex::default(),
            epoch: Instant::now(),
            queues: Mutex::new(Some(Queues {
                alarms: alarmed,
                passed: has_passed,
            })),
        };
        Health {
            shared: Arc::new(shared),
            alarms,
        }
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// What the data plane is started with.
    pub(crate) fn links(&self) -> HealthLinks {
        HealthLinks {
            newcomers: Arc::clone(&self.shared.newcomers),
            alarms: self.alarms.clone(),
        }
    }

    /// Starts checks of the endpoints that a configuration adds to what is in force.
    pub(crate) fn prepare(
        &self,
        config: &MeshConfig,
        discovered: &Discovered,
        material: &Material,
        in_force: Option<&Snapshot>,
    ) -> Prepared {
        let before: HashMap<&Name, &Arc<ClusterPolicy>> = in_force
            .iter()
            .flat_map(|snapshot| snapshot.clusters())
            .map(|cluster| (cluster.config().name(), cluster))
            .collect();
        let mut clusters: Vec<ClusterChecks> = Vec::new();
        for cluster in config.clusters() {
            let Some(check) = cluster.health_check() else {
                continue;
            };
            let before = before.get(cluster.name()).copied();
            let fresh = fresh_endpoints(cluster, discovered, before);
            if fresh.is_empty() {
                continue;
            }
            let identity = cluster
                .tls()
                .as_ref()
                .map(|tls| outrigger_identity::upstream(tls, &[], material));
            // What is at fault is told of when the configuration is put in force.
            let Ok(identity) = identity.transpose() else {
                continue;
            };
            clusters.push(self.shared.check_ahead(
                cluster,
                check,
                identity.as_ref(),
                fresh,
                before.is_none(),
            ));
        }
        Prepared {
            names: clusters.iter().map(|cluster| cluster.name().clone()).collect(),
            keys: clusters
                .iter()
                .flat_map(ClusterChecks::endpoints)
                .map(|endpoint| key(&endpoint.health))
                .collect(),
            clusters,
            shared: Arc::clone(&self.shared),
        }
    }

    /// Takes over the checks that were prepared for what is in force now.
    pub(crate) fn commit(&self, mut prepared: Prepared, in_force: &Snapshot) {
        {
            let mut clusters = self.shared.clusters.lock();
            for fresh in std::mem::take(&mut prepared.clusters) {
                // Where the cluster was checked before, endpoints join the others, by what was found ahead.
                clusters.entry(fresh.name().clone()).or_insert(fresh);
            }
        }
        self.shared.reconcile(in_force);
    }

    /// The supervisor: follows what is published, ejects outliers and lets them back, for as long as it is polled.
    ///
    /// # Panics
    /// If it was called before.
    pub(crate) fn supervise(
        &self,
        published: Arc<ArcSwap<Snapshot>>,
        mut revisions: watch::Receiver<u64>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let queues = self.shared.queues.lock().take();
        let mut queues = queues.expect("one supervisor is started");
        let shared = Arc::clone(&self.shared);
        async move {
            loop {
                let next = shared.next_tick();
                let tick = async {
                    match next {
                        Some(next) => tokio::time::sleep_until(next).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    changed = revisions.changed() => match changed {
                        Ok(()) => shared.reconcile(&published.load_full()),
                        // The data plane has ended.
                        Err(_) => return,
                    },
                    Some(alarm) = queues.alarms.recv() => shared.judge(&alarm),
                    Some((cluster, address)) = queues.passed.recv() => shared.passed_check(&cluster, address),
                    () = tick => shared.tick(),
                }
            }
        }
    }
}

impl Prepared {
    /// Waits until every endpoint has had its first check, at most [`WARM_TIMEOUT`].
    pub(crate) async fn warm(&self) {
        let all = async {
            for cluster in &self.clusters {
                cluster.checked().await;
            }
        };
        if tokio::time::timeout(WARM_TIMEOUT, all).await.is_err() {
            let late = self.clusters.iter().map(ClusterChecks::unchecked).sum::<usize>();
            tracing::warn!(
                endpoints = late,
                timeout = ?WARM_TIMEOUT,
                "endpoints are not checked in time: they get no requests until they have passed a check"
            );
        }
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        let mut newcomers = self.shared.newcomers.lock();
        let mut ahead = self.shared.ahead.lock();
        for name in &self.names {
            newcomers.remove(name);
        }
        for key in &self.keys {
            ahead.remove(key);
        }
    }
}

impl Shared {
    fn check_ahead(
        &self,
        cluster: &model::Cluster,
        check: &model::HealthCheck,
        identity: Option<&UpstreamIdentity>,
        fresh: Vec<Vec<SocketAddr>>,
        all_along: bool,
    ) -> ClusterChecks {
        let target = Target::new(cluster, check, identity, self.circumstances.mark);
        let mut checks = ClusterChecks::new(cluster.name(), target, &self.circumstances);
        let mut newcomers = self.newcomers.lock();
        let mut ahead = self.ahead.lock();
        let named = newcomers.entry(cluster.name().clone()).or_default();
        for addresses in fresh {
            let health = Arc::new(match all_along {
                true => EndpointHealth::new(),
                false => EndpointHealth::newcomer(),
            });
            health.mark(HealthMark::FailedCheck);
            health.mark(HealthMark::Unchecked);
            named.insert(addresses[0], Arc::clone(&health));
            let endpoint = CheckedEndpoint::unknown(addresses, health);
            ahead.insert(key(&endpoint.health), Arc::clone(&endpoint));
            checks.start(endpoint);
        }
        checks
    }

    /// Starts and ends checks, and goes over to other settings, by what is in force.
    fn reconcile(&self, snapshot: &Snapshot) {
        let mut clusters = self.clusters.lock();
        let mut outliers = self.outliers.lock();
        let mut checked = HashSet::new();
        let mut watched = HashSet::new();
        for policy in snapshot.clusters() {
            let name = policy.config().name();
            if let Some(check) = policy.config().health_check() {
                checked.insert(name);
                let same = clusters.remove(name);
                let checks = match same {
                    Some(same) if same.is_of(policy) => same,
                    before => {
                        let identity = policy.identity().map(Arc::as_ref);
                        let target = Target::new(policy.config(), check, identity, self.circumstances.mark);
                        let ahead = self.ahead.lock();
                        ClusterChecks::follow(policy, target, before, &ahead, &self.circumstances)
                    }
                };
                clusters.insert(name.clone(), checks);
            }
            if let Some(config) = policy.config().outlier_detection() {
                watched.insert(name);
                match outliers.get_mut(name) {
                    Some(watched) => watched.follow(policy, config),
                    None => {
                        let watching = ClusterOutliers::new(policy, config, &self.circumstances, self.epoch);
                        outliers.insert(name.clone(), watching);
                    }
                }
            }
        }
        // What is not checked any more has not failed its checks.
        clusters.retain(|name, checks| checked.contains(name) || checks.forget());
        outliers.retain(|name, watching| watched.contains(name) || watching.forget());
        self.count(snapshot);
    }

    /// Brings the numbers of healthy endpoints up to date: every change of health ends in a publish.
    fn count(&self, snapshot: &Snapshot) {
        let mut counted = self.counted.lock();
        let mut there = HashSet::new();
        for policy in snapshot.clusters() {
            let (config, name) = (policy.config(), policy.config().name());
            if config.health_check().is_none() && config.outlier_detection().is_none() {
                continue;
            }
            there.insert(name);
            let before = counted.remove(name);
            let metrics = match before {
                Some((before, metrics)) if Arc::ptr_eq(&before, policy) => {
                    counted.insert(name.clone(), (before, metrics));
                    continue;
                }
                Some((_, metrics)) => metrics,
                None => self.circumstances.metrics.health(name.as_str()),
            };
            let standings = policy.endpoints().iter().enumerate().map(|(place, endpoint)| {
                let status = policy.member(place).map(model::Endpoint::status);
                endpoint
                    .health()
                    .standing(status.unwrap_or(model::EndpointStatus::Healthy))
            });
            let (mut healthy, mut unhealthy) = (0, 0);
            for standing in standings {
                match standing {
                    Standing::Healthy | Standing::Degraded => healthy += 1,
                    Standing::Unhealthy | Standing::Unchecked => unhealthy += 1,
                    Standing::Draining => {}
                }
            }
            metrics.worker(0).endpoints_healthy.set(healthy);
            metrics.worker(0).endpoints_unhealthy.set(unhealthy);
            counted.insert(name.clone(), (Arc::clone(policy), metrics));
        }
        counted.retain(|name, _| there.contains(name));
    }
}

/// The addresses of each endpoint that a cluster adds to what is in force: one, or those of a logical endpoint.
fn fresh_endpoints(
    cluster: &model::Cluster,
    discovered: &Discovered,
    before: Option<&Arc<ClusterPolicy>>,
) -> Vec<Vec<SocketAddr>> {
    let known: HashSet<SocketAddr> = before
        .iter()
        .flat_map(|before| before.endpoints())
        .map(|endpoint| endpoint.address())
        .collect();
    let found = discovered
        .get(cluster.name())
        .or(before.and_then(|before| before.discovered()));
    let found = found.map(|found| &found[..]).unwrap_or_default();
    let each = |endpoints: &[model::Endpoint]| {
        let addresses = endpoints.iter().map(model::Endpoint::address);
        let fresh = addresses.filter(|address| !known.contains(address));
        fresh.map(|address| vec![address]).collect()
    };
    match cluster.discovery() {
        Discovery::Static => each(cluster.endpoints()),
        Discovery::StrictDns(_) => each(found),
        Discovery::LogicalDns(_) if known.is_empty() && !found.is_empty() => {
            vec![found.iter().map(model::Endpoint::address).collect()]
        }
        Discovery::LogicalDns(_) | Discovery::OriginalDestination(_) => Vec::new(),
    }
}
