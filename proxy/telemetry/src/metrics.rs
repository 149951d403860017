//! Where handles come from and where scrapes read: the registry of label sets.
//!
//! A label set lives as long as somebody holds its handle: the same labels give the same live handle, so that counts
//! survive a reload; when the last holder drops it, its series vanish. Resolving takes a lock and belongs to the
//! compilation of a configuration, never to a request.

use crate::cell::labelled::label_pair;
use crate::cells::{
    AdaptiveCells, AuthorizationCells, BreakerCells, Cells, CertificateCells, ClusterCells, DiscoveryCells,
    HealthCells, KeySetCells, ListenerCells, OverloadActionCells, PolicyCells, PressureCells, ProcessMetrics,
    RateLimitCells, RevocationListCells, RouteCells, SourceCells, TokenCells, TrustBundleCells, WorkerCells,
};
use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{LabelPair, MetricFamily};
use prometheus::{Registry, TextEncoder};
use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

/// Label sets of one kind at most. Names come from configuration, so this is a bound on memory, not a working limit:
/// the design's largest mesh has 10,000 clusters.
pub(crate) const LABEL_SETS_MAX: usize = 65_536;
/// Source identities that are told apart, at most. They are names of the mesh's services and do not go: their number is
/// that of services, unless somebody names each instance.
pub(crate) const SOURCES_MAX: usize = 256;
/// The name of all sources after [`SOURCES_MAX`].
const OTHER_SOURCES: &str = "other";
/// The value of every label of what came after [`LABEL_SETS_MAX`].
const OVERFLOW: &str = "_overflow";

/// A listener's cells.
pub type ListenerMetrics = LabelledCells<ListenerCells>;
/// A route's cells.
pub type RouteMetrics = LabelledCells<RouteCells>;
/// A cluster's cells.
pub type ClusterMetrics = LabelledCells<ClusterCells>;
/// The cells of a filter chain's authorization.
pub type AuthorizationMetrics = LabelledCells<AuthorizationCells>;
/// A rate limit's cells.
pub type RateLimitMetrics = LabelledCells<RateLimitCells>;
/// An authorization policy's cells.
pub type PolicyMetrics = LabelledCells<PolicyCells>;
/// The cells of a cluster's discovery: one set, [`LabelledCells::worker`] 0, for workers do not discover.
pub type DiscoveryMetrics = LabelledCells<DiscoveryCells>;
/// The cells of the health of a cluster's endpoints: one set, for workers do not check.
pub type HealthMetrics = LabelledCells<HealthCells>;
/// A certificate's cells: one set, [`LabelledCells::worker`] 0, as for discovery.
pub type CertificateMetrics = LabelledCells<CertificateCells>;
/// A trust bundle's cells: one set.
pub type TrustBundleMetrics = LabelledCells<TrustBundleCells>;
/// A revocation list's cells: one set.
pub type RevocationListMetrics = LabelledCells<RevocationListCells>;
/// The cells of a JWT provider's tokens.
pub type TokenMetrics = LabelledCells<TokenCells>;
/// The cells of a JWT provider's keys: one set, [`LabelledCells::worker`] 0, for workers do not fetch.
pub type KeySetMetrics = LabelledCells<KeySetCells>;
/// The cells of a circuit breaker: one set.
pub type BreakerMetrics = LabelledCells<BreakerCells>;
/// The cells of a cluster's adaptive concurrency: one set.
pub type AdaptiveMetrics = LabelledCells<AdaptiveCells>;

/// The workers' own cells.
pub type WorkerMetrics = LabelledCells<WorkerCells>;
/// The cells of a resource that is limited: one set.
pub type PressureMetrics = LabelledCells<PressureCells>;
/// The cells of something that is done near a limit: one set.
pub type OverloadActionMetrics = LabelledCells<OverloadActionCells>;

/// The cells of one source identity.
pub type SourceMetrics = LabelledCells<SourceCells>;

/// The cells of one label set: `C` once for each worker.
#[derive(Debug)]
pub struct LabelledCells<C> {
    labels: Box<[String]>,
    workers: Box<[C]>,
}

impl<C> LabelledCells<C> {
    /// The cells that belong to the worker with this index; no other thread may write to them.
    ///
    /// # Panics
    /// If there is no such worker.
    #[inline]
    pub fn worker(&self, index: usize) -> &C {
        &self.workers[index]
    }

    /// All workers' cells, to be read.
    pub fn workers(&self) -> &[C] {
        &self.workers
    }
}

/// Label values to the cells that somebody holds.
type LiveCells<C> = HashMap<Box<[String]>, Weak<LabelledCells<C>>>;

/// The label sets of one kind that are alive.
struct Inventory<C> {
    workers: usize,
    refusal_reasons: &'static [&'static str],
    label_sets_max: usize,
    live: Mutex<LiveCells<C>>,
}

impl<C: Cells> Inventory<C> {
    fn new(workers: usize, refusal_reasons: &'static [&'static str], label_sets_max: usize) -> Arc<Self> {
        Arc::new(Inventory {
            workers,
            refusal_reasons,
            label_sets_max,
            live: Mutex::default(),
        })
    }

    /// The live handle of these labels, or a new one. When there are too many it is that of the overflow, and
    /// `overflowed` is called.
    fn resolve(&self, labels: &[&str], overflowed: impl FnOnce()) -> Arc<LabelledCells<C>> {
        let mut key: Box<[String]> = labels.iter().map(|label| (*label).to_owned()).collect();
        let mut live = self.live.lock();
        if let Some(cells) = live.get(&key).and_then(Weak::upgrade) {
            return cells;
        }
        if live.len() >= self.label_sets_max {
            live.retain(|_, cells| cells.strong_count() > 0);
        }
        if live.len() >= self.label_sets_max {
            overflowed();
            key = labels.iter().map(|_| OVERFLOW.to_owned()).collect();
            if let Some(cells) = live.get(&key).and_then(Weak::upgrade) {
                return cells;
            }
        }
        let workers = (0..self.workers).map(|_| C::new(self.refusal_reasons)).collect();
        let cells = Arc::new(LabelledCells {
            labels: key.clone(),
            workers,
        });
        live.insert(key, Arc::downgrade(&cells));
        cells
    }

    /// Every live handle, and its labels as a scrape wants them.
    fn live(&self) -> Vec<(Vec<LabelPair>, Arc<LabelledCells<C>>)> {
        let mut found = Vec::new();
        self.live.lock().retain(|_, cells| match cells.upgrade() {
            Some(cells) => {
                found.push(cells);
                true
            }
            None => false,
        });
        let pairs = |cells: &LabelledCells<C>| {
            C::LABELS
                .iter()
                .zip(&cells.labels)
                .map(|(name, value)| label_pair(name, value))
                .collect()
        };
        found.into_iter().map(|cells| (pairs(&cells), cells)).collect()
    }
}

/// Reads an inventory at each scrape.
struct InventoryCollector<C: Cells> {
    inventory: Arc<Inventory<C>>,
    descriptions: Vec<Desc>,
}

impl<C: Cells> InventoryCollector<C> {
    fn new(inventory: Arc<Inventory<C>>) -> InventoryCollector<C> {
        let describe = |family: &crate::cells::Family<C>| {
            let labels = C::LABELS
                .iter()
                .copied()
                .chain(family.label)
                .map(str::to_owned)
                .collect();
            Desc::new(
                family.name.to_owned(),
                family.help.trim().to_owned(),
                labels,
                HashMap::new(),
            )
            .expect("family and label names are valid: a test renders them all")
        };
        InventoryCollector {
            inventory,
            descriptions: C::FAMILIES.iter().map(describe).collect(),
        }
    }
}

impl<C: Cells> Collector for InventoryCollector<C> {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let live = self.inventory.live();
        let collect_family = |family: &crate::cells::Family<C>| {
            let mut samples = Vec::with_capacity(live.len());
            for (labels, cells) in &live {
                (family.samples)(&cells.workers, labels, &mut samples);
            }
            let mut collected = MetricFamily::default();
            collected.set_name(family.name.to_owned());
            collected.set_help(family.help.trim().to_owned());
            collected.set_field_type(family.kind);
            collected.set_metric(samples);
            collected
        };
        C::FAMILIES.iter().map(collect_family).collect()
    }
}

/// Every metric of the process.
pub struct Metrics {
    registry: Registry,
    listeners: Arc<Inventory<ListenerCells>>,
    routes: Arc<Inventory<RouteCells>>,
    clusters: Arc<Inventory<ClusterCells>>,
    discoveries: Arc<Inventory<DiscoveryCells>>,
    healths: Arc<Inventory<HealthCells>>,
    certificates: Arc<Inventory<CertificateCells>>,
    authorizations: Arc<Inventory<AuthorizationCells>>,
    policies: Arc<Inventory<PolicyCells>>,
    rate_limits: Arc<Inventory<RateLimitCells>>,
    trust_bundles: Arc<Inventory<TrustBundleCells>>,
    revocation_lists: Arc<Inventory<RevocationListCells>>,
    sources: Arc<Inventory<SourceCells>>,
    /// Kept, so that a source's counts outlive its connections.
    known_sources: Mutex<HashMap<String, Arc<SourceMetrics>>>,
    tokens: Arc<Inventory<TokenCells>>,
    key_sets: Arc<Inventory<KeySetCells>>,
    breakers: Arc<Inventory<BreakerCells>>,
    adaptive_limits: Arc<Inventory<AdaptiveCells>>,
    pressures: Arc<Inventory<PressureCells>>,
    overload_actions: Arc<Inventory<OverloadActionCells>>,
    workers: Arc<WorkerMetrics>,
    process: Arc<LabelledCells<ProcessMetrics>>,
}

impl Metrics {
    /// Metrics for `workers` workers. `refusal_reasons` are the values of the label `reason` of refused requests;
    /// [`crate::RefusalCounters::refuse`] takes an index into them.
    pub fn new(workers: usize, refusal_reasons: &'static [&'static str]) -> Arc<Metrics> {
        Metrics::with_limit(workers, refusal_reasons, LABEL_SETS_MAX)
    }

    pub(crate) fn with_limit(workers: usize, reasons: &'static [&'static str], limit: usize) -> Arc<Metrics> {
        let registry = Registry::new();
        let listeners = Inventory::new(workers, reasons, limit);
        let routes = Inventory::new(workers, reasons, limit);
        let clusters = Inventory::new(workers, reasons, limit);
        let discoveries = Inventory::new(1, reasons, limit);
        let healths = Inventory::new(1, reasons, limit);
        let certificates = Inventory::new(1, reasons, limit);
        let authorizations = Inventory::new(workers, reasons, limit);
        let policies = Inventory::new(workers, reasons, limit);
        let rate_limits = Inventory::new(workers, reasons, limit);
        let trust_bundles = Inventory::new(1, reasons, limit);
        let revocation_lists = Inventory::new(1, reasons, limit);
        let sources = Inventory::new(workers, reasons, SOURCES_MAX + 1);
        let tokens = Inventory::new(workers, reasons, limit);
        let key_sets = Inventory::new(1, reasons, limit);
        let breakers = Inventory::new(1, reasons, limit);
        let adaptive_limits = Inventory::new(1, reasons, limit);
        let pressures = Inventory::new(1, reasons, limit);
        let overload_actions = Inventory::new(1, reasons, limit);
        let own = Inventory::new(workers, reasons, 1);
        let processes = Inventory::new(1, reasons, 1);
        let worker_cells = own.resolve(&[], || {});
        let process = processes.resolve(&[], || {});
        let process_cells: &ProcessMetrics = process.worker(0);
        process_cells.workers.set(workers as i64);
        process_cells.start_time.set(now_in_seconds());
        let collectors: Vec<Box<dyn Collector>> = vec![
            Box::new(InventoryCollector::new(Arc::clone(&listeners))),
            Box::new(InventoryCollector::new(Arc::clone(&routes))),
            Box::new(InventoryCollector::new(Arc::clone(&clusters))),
            Box::new(InventoryCollector::new(Arc::clone(&discoveries))),
            Box::new(InventoryCollector::new(Arc::clone(&healths))),
            Box::new(InventoryCollector::new(Arc::clone(&certificates))),
            Box::new(InventoryCollector::new(Arc::clone(&authorizations))),
            Box::new(InventoryCollector::new(Arc::clone(&policies))),
            Box::new(InventoryCollector::new(Arc::clone(&rate_limits))),
            Box::new(InventoryCollector::new(Arc::clone(&trust_bundles))),
            Box::new(InventoryCollector::new(Arc::clone(&revocation_lists))),
            Box::new(InventoryCollector::new(Arc::clone(&sources))),
            Box::new(InventoryCollector::new(Arc::clone(&tokens))),
            Box::new(InventoryCollector::new(Arc::clone(&key_sets))),
            Box::new(InventoryCollector::new(Arc::clone(&breakers))),
            Box::new(InventoryCollector::new(Arc::clone(&adaptive_limits))),
            Box::new(InventoryCollector::new(Arc::clone(&pressures))),
            Box::new(InventoryCollector::new(Arc::clone(&overload_actions))),
            Box::new(InventoryCollector::new(own)),
            Box::new(InventoryCollector::new(processes)),
        ];
        for collector in collectors {
            registry
                .register(collector)
                .expect("family names are unique: a test registers them all");
        }
        Arc::new(Metrics {
            registry,
            listeners,
            routes,
            clusters,
            discoveries,
            healths,
            certificates,
            key_sets,
            breakers,
            adaptive_limits,
            authorizations,
            policies,
            rate_limits,
            trust_bundles,
            revocation_lists,
            sources,
            known_sources: Mutex::default(),
            tokens,
            pressures,
            overload_actions,
            workers: worker_cells,
            process,
        })
    }

    /// The handle of a listener.
    pub fn listener(&self, name: &str) -> Arc<ListenerMetrics> {
        self.listeners
            .resolve(&[name], || self.process().label_sets_overflowed.inc())
    }

    /// The handle of a route.
    pub fn route(&self, route_configuration: &str, virtual_host: &str, route: &str) -> Arc<RouteMetrics> {
        let labels = [route_configuration, virtual_host, route];
        self.routes
            .resolve(&labels, || self.process().label_sets_overflowed.inc())
    }

    /// The handle of a cluster.
    pub fn cluster(&self, name: &str) -> Arc<ClusterMetrics> {
        self.clusters
            .resolve(&[name], || self.process().label_sets_overflowed.inc())
    }

    /// The handle of the discovery of a cluster's endpoints.
    pub fn discovery(&self, cluster: &str) -> Arc<DiscoveryMetrics> {
        self.discoveries
            .resolve(&[cluster], || self.process().label_sets_overflowed.inc())
    }

    /// The handle of the health of a cluster's endpoints.
    pub fn health(&self, cluster: &str) -> Arc<HealthMetrics> {
        self.healths
            .resolve(&[cluster], || self.process().label_sets_overflowed.inc())
    }

    /// The handle of a certificate.
    pub fn certificate(&self, name: &str) -> Arc<CertificateMetrics> {
        self.certificates
            .resolve(&[name], || self.process().label_sets_overflowed.inc())
    }

    /// The handle of a filter chain's authorization.
    pub fn authorization(&self, listener: &str, filter_chain: &str) -> Arc<AuthorizationMetrics> {
        self.authorizations.resolve(&[listener, filter_chain], || {
            self.process().label_sets_overflowed.inc()
        })
    }

    /// The handle of an authorization policy.
    pub fn policy(&self, name: &str) -> Arc<PolicyMetrics> {
        self.policies
            .resolve(&[name], || self.process().label_sets_overflowed.inc())
    }

    /// The handle of a rate limit.
    pub fn rate_limit(&self, name: &str) -> Arc<RateLimitMetrics> {
        self.rate_limits
            .resolve(&[name], || self.process().label_sets_overflowed.inc())
    }

    /// The handle of a trust bundle.
    pub fn trust_bundle(&self, name: &str) -> Arc<TrustBundleMetrics> {
        self.trust_bundles
            .resolve(&[name], || self.process().label_sets_overflowed.inc())
    }

    /// The handle of a revocation list.
    pub fn revocation_list(&self, name: &str) -> Arc<RevocationListMetrics> {
        self.revocation_lists
            .resolve(&[name], || self.process().label_sets_overflowed.inc())
    }

    /// The handle of clients of this identity, or that of all others if there are too many. Takes a lock: once for each
    /// peer that connects, not for each request.
    pub fn source(&self, identity: &str) -> Arc<SourceMetrics> {
        let mut known = self.known_sources.lock();
        let identity = match known.get(identity) {
            Some(cells) => return Arc::clone(cells),
            None if known.len() < SOURCES_MAX => identity,
            None => {
                self.process().source_identities_folded.inc();
                OTHER_SOURCES
            }
        };
        let cells = self.sources.resolve(&[identity], || {});
        known
            .entry(identity.to_owned())
            .or_insert_with(|| Arc::clone(&cells));
        cells
    }

    /// The handle of a JWT provider's tokens.
    pub fn tokens(&self, provider: &str) -> Arc<TokenMetrics> {
        self.tokens
            .resolve(&[provider], || self.process().label_sets_overflowed.inc())
    }

    /// The handle of a cluster's circuit breaker.
    pub fn breaker(&self, cluster: &str, priority: &str, breaker: &str) -> Arc<BreakerMetrics> {
        self.breakers.resolve(&[cluster, priority, breaker], || {
            self.process().label_sets_overflowed.inc()
        })
    }

    /// The handle of a cluster's adaptive concurrency.
    pub fn adaptive_limit(&self, cluster: &str) -> Arc<AdaptiveMetrics> {
        self.adaptive_limits
            .resolve(&[cluster], || self.process().label_sets_overflowed.inc())
    }

    /// The handle of a JWT provider's keys.
    pub fn key_set(&self, provider: &str) -> Arc<KeySetMetrics> {
        self.key_sets
            .resolve(&[provider], || self.process().label_sets_overflowed.inc())
    }

    /// The handle of a resource that is limited.
    pub fn pressure(&self, resource: &str) -> Arc<PressureMetrics> {
        self.pressures
            .resolve(&[resource], || self.process().label_sets_overflowed.inc())
    }

    /// The handle of something that is done near a limit.
    pub fn overload_action(&self, action: &str) -> Arc<OverloadActionMetrics> {
        self.overload_actions
            .resolve(&[action], || self.process().label_sets_overflowed.inc())
    }

    /// What workers count for themselves.
    pub fn workers(&self) -> &Arc<WorkerMetrics> {
        &self.workers
    }

    /// What is counted for the process as a whole.
    pub fn process(&self) -> &ProcessMetrics {
        self.process.worker(0)
    }

    /// Everything in Prometheus' text format, families sorted by name. For the admin thread: it reads `/proc` and
    /// takes time in proportion to the label sets alive.
    pub fn render(&self) -> String {
        self.read_process();
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_else(|error| {
                tracing::error!(%error, "metrics cannot be rendered");
                String::new()
            })
    }

    /// Brings up to date what the kernel knows. Where there is no `/proc` the values stay 0.
    fn read_process(&self) {
        let process = self.process();
        if let Some(bytes) = fs::read_to_string("/proc/self/status")
            .ok()
            .as_deref()
            .and_then(resident_bytes)
        {
            process.resident_memory.set(bytes);
        }
        if let Ok(entries) = fs::read_dir("/proc/self/fd") {
            // One of the entries is the directory that is being read.
            process
                .open_file_descriptors
                .set((entries.count() as i64 - 1).max(0));
        }
    }
}

/// `VmRSS` of `/proc/self/status`, which is given in KiB.
fn resident_bytes(status: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn now_in_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as i64)
}

#[cfg(test)]
mod tests;
