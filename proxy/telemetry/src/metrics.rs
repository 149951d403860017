//! Every metric of the process: where handles come from, and where scrapes begin.

use crate::cell::Terms;
use crate::cell::histogram::LatencyBuckets;
use crate::cells::{
    AdaptiveCells, AuthorizationCells, BreakerCells, Cells, CertificateCells, ClusterCells, DirectionCells,
    DiscoveryCells, EventLoopCells, ExportCells, HealthCells, KeySetCells, ListenerCells,
    OverloadActionCells, PolicyCells, PressureCells, ProcessMetrics, RateLimitCells, RemarkCells,
    RevocationListCells, RouteCells, SourceCells, TokenCells, TrustBundleCells, WorkerCells,
};
use crate::exposition::ExpositionFormat;
use crate::inventory::{Inventory, LabelledCells, OTHER, Section};
use crate::scrape::Scrape;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Label sets of one kind at most. Names come from configuration, so this is a bound on memory, not a working limit:
/// the design's largest mesh has 10,000 clusters.
pub(crate) const LABEL_SETS_MAX: usize = 65_536;
/// Source identities that are told apart, at most. They are names of the mesh's services and do not go: their number is
/// that of services, unless somebody names each instance.
pub(crate) const SOURCES_MAX: usize = 256;
/// A listener's cells.
pub type ListenerMetrics = LabelledCells<ListenerCells>;
/// The cells of the listeners of one direction.
pub type DirectionMetrics = LabelledCells<DirectionCells>;
/// The cells of the threads of one kind.
pub type EventLoopMetrics = LabelledCells<EventLoopCells>;
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

/// The cells of a kind of remarks on the configuration: one set.
pub type RemarkMetrics = LabelledCells<RemarkCells>;

/// The cells of what one collector is sent.
pub type ExportMetrics = LabelledCells<ExportCells>;

/// The cells of one source identity.
pub type SourceMetrics = LabelledCells<SourceCells>;

/// Declares the inventories of the process: the kinds of cells, how many each label set has, and the title that the
/// kind has in the documentation. What is listed here is rendered, documented and checked.
macro_rules! inventories {
    ($($field:ident: $cells:ty, $workers:ident, $limit:ident, $title:literal;)*) => {
        struct Inventories { $($field: Arc<Inventory<$cells>>,)* }

        impl Inventories {
            fn new(workers: usize, terms: &Terms, limit: usize) -> Inventories {
                let count = |cells| match cells {
                    Writers::Workers => workers,
                    Writers::One => 1,
                };
                Inventories {
                    $($field: Inventory::new(count(Writers::$workers), terms.clone(), Limit::$limit.of(limit)),)*
                }
            }

            /// All of them, in the order of the documentation.
            fn sections(&self) -> Vec<Arc<dyn Section>> {
                vec![$(Arc::clone(&self.$field) as Arc<dyn Section>,)*]
            }

            /// Shows the kinds of cells.
            pub(crate) fn visit(visitor: &mut impl Visitor) {
                $(visitor.kind::<$cells>($title);)*
            }
        }
    };
}

/// Whoever wants to see each kind of cells.
pub(crate) trait Visitor {
    /// One kind, and its title in the documentation.
    fn kind<C: Cells>(&mut self, title: &'static str);
}

/// Shows `visitor` each kind of cells.
pub(crate) fn visit(visitor: &mut impl Visitor) {
    Inventories::visit(visitor);
}

/// How many cells a label set has.
enum Writers {
    /// One for each worker.
    Workers,
    /// One, which no worker writes.
    One,
}

/// How many label sets there may be.
enum Limit {
    /// As many as for most.
    Common,
    Sources,
    /// There are no labels.
    Single,
}

impl Limit {
    fn of(&self, common: usize) -> usize {
        match self {
            Limit::Common => common,
            Limit::Sources => SOURCES_MAX + 1,
            Limit::Single => 1,
        }
    }
}

inventories! {
    directions: DirectionCells, Workers, Common, "Directions";
    listeners: ListenerCells, Workers, Common, "Listeners";
    routes: RouteCells, Workers, Common, "Routes";
    clusters: ClusterCells, Workers, Common, "Clusters";
    breakers: BreakerCells, One, Common, "Circuit breakers";
    adaptive_limits: AdaptiveCells, One, Common, "Adaptive concurrency";
    discoveries: DiscoveryCells, One, Common, "Discovery";
    healths: HealthCells, One, Common, "Health";
    authorizations: AuthorizationCells, Workers, Common, "Authorization by filter chain";
    policies: PolicyCells, Workers, Common, "Authorization by policy";
    rate_limits: RateLimitCells, Workers, Common, "Rate limits";
    certificates: CertificateCells, One, Common, "Certificates";
    trust_bundles: TrustBundleCells, One, Common, "Trust bundles";
    revocation_lists: RevocationListCells, One, Common, "Revocation lists";
    sources: SourceCells, Workers, Sources, "Source identities";
    tokens: TokenCells, Workers, Common, "Tokens";
    key_sets: KeySetCells, One, Common, "Key sets";
    pressures: PressureCells, One, Common, "Overload by resource";
    overload_actions: OverloadActionCells, One, Common, "Overload by action";
    remarks: RemarkCells, One, Common, "Configuration by remark";
    exports: ExportCells, One, Common, "Collectors";
    event_loops: EventLoopCells, Workers, Common, "Event loops";
    workers: WorkerCells, Workers, Single, "Workers";
    processes: ProcessMetrics, One, Single, "Process";
}

/// Every metric of the process.
pub struct Metrics {
    inventories: Inventories,
    buckets: Arc<LatencyBuckets>,
    /// Kept, so that a source's counts outlive its connections.
    known_sources: Mutex<HashMap<String, Arc<SourceMetrics>>>,
    workers: Arc<WorkerMetrics>,
    process: Arc<LabelledCells<ProcessMetrics>>,
}

impl Metrics {
    /// Metrics for `workers` workers, with the default buckets. `refusal_reasons` are the values of the label `reason` of
    /// refused requests; [`crate::RefusalCounters::refuse`] takes an index into them.
    pub fn new(workers: usize, refusal_reasons: &'static [&'static str]) -> Arc<Metrics> {
        Metrics::with_buckets(workers, refusal_reasons, LatencyBuckets::default())
    }

    /// The same with other buckets. They stay for as long as the process runs: counts of other ones cannot be told in
    /// them.
    pub fn with_buckets(
        workers: usize,
        refusal_reasons: &'static [&'static str],
        buckets: LatencyBuckets,
    ) -> Arc<Metrics> {
        Metrics::with_limit(workers, refusal_reasons, buckets, LABEL_SETS_MAX)
    }

    pub(crate) fn with_limit(
        workers: usize,
        refusal_reasons: &'static [&'static str],
        buckets: LatencyBuckets,
        limit: usize,
    ) -> Arc<Metrics> {
        let buckets = Arc::new(buckets);
        let terms = Terms {
            refusal_reasons,
            buckets: Arc::clone(&buckets),
        };
        let inventories = Inventories::new(workers, &terms, limit);
        let worker_cells = inventories.workers.resolve(&[], || {});
        let process = inventories.processes.resolve(&[], || {});
        let process_cells: &ProcessMetrics = process.worker(0);
        process_cells.workers.set(workers as i64);
        process_cells.start_time.set(now_in_seconds());
        Arc::new(Metrics {
            inventories,
            buckets,
            known_sources: Mutex::default(),
            workers: worker_cells,
            process,
        })
    }

    /// The buckets of every histogram.
    pub fn buckets(&self) -> &LatencyBuckets {
        &self.buckets
    }

    /// Has every family count something, under label values that need escaping.
    #[cfg(test)]
    pub(crate) fn touch(&self) -> Vec<Arc<dyn std::any::Any>> {
        let sections = self.inventories.sections();
        sections.iter().map(|section| section.touch()).collect()
    }

    fn count_folded(&self) {
        self.process().label_sets_folded.inc();
    }

    /// The handle of a listener.
    pub fn listener(&self, name: &str) -> Arc<ListenerMetrics> {
        self.inventories
            .listeners
            .resolve(&[name], || self.count_folded())
    }

    /// The handle of a direction.
    pub fn direction(&self, direction: &str) -> Arc<DirectionMetrics> {
        self.inventories
            .directions
            .resolve(&[direction], || self.count_folded())
    }

    /// The handle of the threads of this kind.
    pub fn event_loop(&self, thread: &str) -> Arc<EventLoopMetrics> {
        self.inventories
            .event_loops
            .resolve(&[thread], || self.count_folded())
    }

    /// The handle of a route.
    pub fn route(&self, route_configuration: &str, virtual_host: &str, route: &str) -> Arc<RouteMetrics> {
        let labels = [route_configuration, virtual_host, route];
        self.inventories.routes.resolve(&labels, || self.count_folded())
    }

    /// The handle of a cluster.
    pub fn cluster(&self, name: &str) -> Arc<ClusterMetrics> {
        self.inventories.clusters.resolve(&[name], || self.count_folded())
    }

    /// The handle of the discovery of a cluster's endpoints.
    pub fn discovery(&self, cluster: &str) -> Arc<DiscoveryMetrics> {
        self.inventories
            .discoveries
            .resolve(&[cluster], || self.count_folded())
    }

    /// The handle of the health of a cluster's endpoints.
    pub fn health(&self, cluster: &str) -> Arc<HealthMetrics> {
        self.inventories
            .healths
            .resolve(&[cluster], || self.count_folded())
    }

    /// The handle of a certificate.
    pub fn certificate(&self, name: &str) -> Arc<CertificateMetrics> {
        self.inventories
            .certificates
            .resolve(&[name], || self.count_folded())
    }

    /// The handle of a filter chain's authorization.
    pub fn authorization(&self, listener: &str, filter_chain: &str) -> Arc<AuthorizationMetrics> {
        self.inventories
            .authorizations
            .resolve(&[listener, filter_chain], || self.count_folded())
    }

    /// The handle of an authorization policy.
    pub fn policy(&self, name: &str) -> Arc<PolicyMetrics> {
        self.inventories.policies.resolve(&[name], || self.count_folded())
    }

    /// The handle of a rate limit.
    pub fn rate_limit(&self, name: &str) -> Arc<RateLimitMetrics> {
        self.inventories
            .rate_limits
            .resolve(&[name], || self.count_folded())
    }

    /// The handle of a trust bundle.
    pub fn trust_bundle(&self, name: &str) -> Arc<TrustBundleMetrics> {
        self.inventories
            .trust_bundles
            .resolve(&[name], || self.count_folded())
    }

    /// The handle of a revocation list.
    pub fn revocation_list(&self, name: &str) -> Arc<RevocationListMetrics> {
        self.inventories
            .revocation_lists
            .resolve(&[name], || self.count_folded())
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
                OTHER
            }
        };
        let cells = self.inventories.sources.resolve(&[identity], || {});
        known
            .entry(identity.to_owned())
            .or_insert_with(|| Arc::clone(&cells));
        cells
    }

    /// The handle of a JWT provider's tokens.
    pub fn tokens(&self, provider: &str) -> Arc<TokenMetrics> {
        self.inventories
            .tokens
            .resolve(&[provider], || self.count_folded())
    }

    /// The handle of a cluster's circuit breaker.
    pub fn breaker(&self, cluster: &str, priority: &str, breaker: &str) -> Arc<BreakerMetrics> {
        self.inventories
            .breakers
            .resolve(&[cluster, priority, breaker], || self.count_folded())
    }

    /// The handle of a cluster's adaptive concurrency.
    pub fn adaptive_limit(&self, cluster: &str) -> Arc<AdaptiveMetrics> {
        self.inventories
            .adaptive_limits
            .resolve(&[cluster], || self.count_folded())
    }

    /// The handle of a JWT provider's keys.
    pub fn key_set(&self, provider: &str) -> Arc<KeySetMetrics> {
        self.inventories
            .key_sets
            .resolve(&[provider], || self.count_folded())
    }

    /// The handle of what a collector is sent; `signal` is `spans` or `logs`.
    pub fn export(&self, collector: &str, signal: &str) -> Arc<ExportMetrics> {
        let labels = [collector, signal];
        self.inventories.exports.resolve(&labels, || self.count_folded())
    }

    /// The handle of a resource that is limited.
    pub fn pressure(&self, resource: &str) -> Arc<PressureMetrics> {
        self.inventories
            .pressures
            .resolve(&[resource], || self.count_folded())
    }

    /// The cells of a kind of remarks on the configuration; they vanish with the last holder.
    pub fn remark(&self, code: &str) -> Arc<RemarkMetrics> {
        self.inventories.remarks.resolve(&[code], || self.count_folded())
    }

    /// The handle of something that is done near a limit.
    pub fn overload_action(&self, action: &str) -> Arc<OverloadActionMetrics> {
        self.inventories
            .overload_actions
            .resolve(&[action], || self.count_folded())
    }

    /// What workers count for themselves.
    pub fn workers(&self) -> &Arc<WorkerMetrics> {
        &self.workers
    }

    /// What is counted for the process as a whole.
    pub fn process(&self) -> &ProcessMetrics {
        self.process.worker(0)
    }

    /// Begins a scrape. For the control thread: workers are not asked.
    pub fn scrape(&self, format: ExpositionFormat) -> Scrape {
        Scrape::new(format, self.inventories.sections())
    }
}

fn now_in_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as i64)
}

#[cfg(test)]
mod tests;
