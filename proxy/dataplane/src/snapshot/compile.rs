//! A configuration and the snapshot before it into the next snapshot, in proportion to what changed.

mod authorization;
mod balancing;
mod clusters;
mod edge;
mod faults;
mod hedging;
mod listeners;
mod rate_limits;
mod routes;
mod tokens;

use super::*;
use authorization::Authorization;
use foldhash::HashMap;
use outrigger_config::model::{Origin, RouteAction};
use outrigger_identity as identity;
use outrigger_identity::jwt::KeyCells;
use outrigger_telemetry::trace::SpanSinks;
use outrigger_telemetry::{AccessLogSinks, Metrics};
use rate_limits::RateLimits;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Why a valid configuration cannot be put in force: a page's file is at fault, or a log's, or TLS cannot be set up.
#[derive(Debug, Clone, PartialEq)]
pub struct CompileFault {
    /// Where the policy was written.
    pub origin: Origin,
    /// What is wrong, and with what.
    pub message: String,
}

impl std::fmt::Display for CompileFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}

/// Where names point.
struct Slots<'c> {
    clusters: HashMap<&'c Name, ClusterSlot>,
    providers: tokens::ProviderSlots<'c>,
    authorization: Authorization<'c>,
    rate_limits: RateLimits<'c>,
}

/// Compiles configurations. Holds what outlives them: metric registry, log writers, the ids of endpoints.
pub struct Compiler {
    metrics: Arc<Metrics>,
    sinks: Arc<AccessLogSinks>,
    next_endpoint_id: Arc<AtomicU64>,
    /// What times of balancers are counted from.
    epoch: Instant,
    next_decider_id: AtomicU64,
    keys: KeyCells,
    faults: faults::FaultStates,
    hedges: hedging::HedgeStates,
    next_provider_id: AtomicU64,
    health: HealthLinks,
    span_sinks: Option<Arc<dyn SpanSinks>>,
}

impl std::fmt::Debug for Compiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiler").finish_non_exhaustive()
    }
}

impl Compiler {
    /// A compiler whose snapshots count into `metrics` and log into `sinks`.
    pub fn new(metrics: Arc<Metrics>, sinks: Arc<AccessLogSinks>) -> Compiler {
        Compiler {
            metrics,
            sinks,
            next_endpoint_id: Arc::new(AtomicU64::new(1)),
            epoch: Instant::now(),
            next_decider_id: AtomicU64::new(1),
            keys: KeyCells::default(),
            faults: faults::FaultStates::default(),
            hedges: hedging::HedgeStates::default(),
            next_provider_id: AtomicU64::new(1),
            health: HealthLinks::default(),
            span_sinks: None,
        }
    }

    /// The same, whose spans go to these sinks; without them they go nowhere.
    pub fn with_span_sinks(self, sinks: Option<Arc<dyn SpanSinks>>) -> Compiler {
        Compiler {
            span_sinks: sinks,
            ..self
        }
    }

    /// The same, with the cells in which somebody keeps the keys of JWT providers.
    pub fn with_keys(self, keys: KeyCells) -> Compiler {
        Compiler { keys, ..self }
    }

    /// The same, tied to whoever looks after the health of endpoints.
    pub fn with_health_links(self, health: HealthLinks) -> Compiler {
        Compiler { health, ..self }
    }

    /// The next snapshot. Parts of `config` that are pointer-equal to those of `previous` are taken over as they are.
    /// Reads pages; `material` is what [`Material::load`] gave for this configuration. Reports every fault.
    pub fn compile(
        &self,
        config: Arc<MeshConfig>,
        discovered: &Discovered,
        material: Arc<Material>,
        previous: Option<&Snapshot>,
    ) -> Result<Snapshot, Vec<CompileFault>> {
        let mut faults = Vec::new();
        let clusters = self.clusters(&config, discovered, &material, previous, &mut faults);
        let mut cluster_slots = clusters::slots(&clusters);
        if !faults.is_empty() {
            // A cluster at fault has no slot. What points at it is compiled all the same, so that the faults of
            // listeners are found too, and then thrown away.
            for cluster in config.clusters() {
                cluster_slots
                    .entry(cluster.name())
                    .or_insert(ClusterSlot(u32::MAX));
            }
        }
        let tokens = self.token_providers(&config, previous);
        let slots = Slots {
            providers: tokens
                .all()
                .map(|slot| (tokens.provider(slot).config.name(), slot))
                .collect(),
            rate_limits: RateLimits::new(self, &config, &cluster_slots, previous),
            clusters: cluster_slots,
            authorization: Authorization::new(self, &config, previous),
        };
        let routes = self.routes(&config, previous, &slots, &mut faults);
        let (listeners, chains) = self.listeners(&config, &material, previous, &routes, &slots, &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        let authorization = slots.authorization.finish();
        let rate_limits = slots.rate_limits.finish();
        let generation = previous.map_or(0, |previous| previous.generation) + 1;
        // Made here, so that no request has to wait for a table.
        for slot in routes.iter().flat_map(|routes| &routes.session_clusters) {
            if let Some(cluster) = &clusters[slot.0 as usize] {
                cluster.sessions();
            }
        }
        Ok(Snapshot {
            generation,
            revision: previous.map_or(0, |previous| previous.revision) + 1,
            config,
            material,
            listeners,
            chains,
            routes,
            authorization,
            clusters,
            tokens,
            rate_limits,
        })
    }

    /// The same configuration with other endpoints; none if that changes nothing. Clusters that `changed` does not name
    /// are taken over as they are, and so is everything else.
    pub fn with_endpoints(&self, previous: &Snapshot, changed: &Discovered) -> Option<Snapshot> {
        let clusters = self.clusters_with(previous, changed)?;
        Some(with_clusters(previous, clusters))
    }

    /// The same configuration and endpoints, balanced by the present health of those of the clusters that are named; none
    /// if none of them is there. Endpoints stay with their pools and counts.
    pub fn with_health(&self, previous: &Snapshot, changed: &HashSet<Name>) -> Option<Snapshot> {
        let clusters = self.clusters_rebalanced(previous, changed)?;
        Some(with_clusters(previous, clusters))
    }

    /// The same configuration with other material: only chains and clusters that are made of what changed are new.
    pub fn with_material(
        &self,
        previous: &Snapshot,
        material: Arc<Material>,
    ) -> Result<Snapshot, Vec<CompileFault>> {
        let mut faults = Vec::new();
        let clusters = self.clusters_of(previous, &material, &mut faults);
        let chains = self.chains_of(previous, &material, &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Snapshot {
            generation: previous.generation,
            revision: previous.revision + 1,
            config: Arc::clone(&previous.config),
            material,
            listeners: previous.listeners.clone(),
            chains,
            routes: previous.routes.clone(),
            authorization: Arc::clone(&previous.authorization),
            clusters,
            tokens: Arc::clone(&previous.tokens),
            rate_limits: Arc::clone(&previous.rate_limits),
        })
    }
}

/// The same snapshot, published once more, with other clusters.
fn with_clusters(previous: &Snapshot, clusters: Vec<Option<Arc<ClusterPolicy>>>) -> Snapshot {
    Snapshot {
        generation: previous.generation,
        revision: previous.revision + 1,
        config: Arc::clone(&previous.config),
        material: Arc::clone(&previous.material),
        listeners: previous.listeners.clone(),
        chains: previous.chains.clone(),
        routes: previous.routes.clone(),
        authorization: Arc::clone(&previous.authorization),
        clusters,
        tokens: Arc::clone(&previous.tokens),
        rate_limits: Arc::clone(&previous.rate_limits),
    }
}

#[cfg(test)]
mod tests;
