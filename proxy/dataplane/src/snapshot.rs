//! Compiled policy: what the hot path reads. Immutable; published as a whole; parts that did not change are shared
//! with the snapshot before, so that pools, counts and sockets survive.
//!
//! Nothing here is looked up by name per request: routes hold slots of clusters, connections hold slots of chains.

mod chains;
mod clusters;
mod compile;
mod edge;
mod endpoints;
mod legend;
mod limits;
mod listeners;
pub(crate) mod rate_limit;
mod routes;
mod select;
pub(crate) mod tokens;
mod trace;

pub(crate) use chains::{
    AuthorizationLevel, AuthorizationLevels, ChainPolicy, ExternalAuthorizationPolicy, FaultPolicy,
    HttpPolicy, TcpPolicy, TlsPolicy,
};
pub use clusters::ClusterPolicy;
pub(crate) use clusters::{ClusterShared, DestinationsPolicy, UpstreamTlsPolicy, WantedSubsets};
pub use compile::{CompileFault, Compiler};
pub(crate) use edge::{EdgePolicy, MaintenancePolicy, PagePolicy, VirtualHostPolicy};
pub use endpoints::EndpointState;
pub use legend::Legend;
pub(crate) use limits::LimitGauges;
pub use limits::priority_name;
pub use listeners::SocketKey;
pub(crate) use listeners::{ConnectionPace, Detection, ListenerPolicy, ListenerShared};
pub use rate_limit::RateLimitPolicy;
pub(crate) use rate_limit::RateLimitSet;
pub(crate) use routes::{AffinityPolicy, HedgePolicy, RoutePolicy, RoutesPolicy};
pub(crate) use select::ConnectionFacts;
pub(crate) use trace::{RouteTracing, TracingPolicy};

use crate::outlier::OutlierAlarm;
use outrigger_config::model::{self, MeshConfig, Name};
use outrigger_identity::{Material, Revocations};
use outrigger_traffic::EndpointHealth;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokens::TokenProviders;
use tokio::sync::mpsc;

/// One compiled configuration.
#[derive(Debug)]
pub struct Snapshot {
    pub(crate) generation: u64,
    /// Counts publishes, those of endpoints or material alone included.
    pub(crate) revision: u64,
    pub(crate) config: Arc<MeshConfig>,
    /// What identities are made of.
    pub(crate) material: Arc<Material>,
    pub(crate) listeners: Vec<Arc<ListenerPolicy>>,
    pub(crate) chains: Vec<Option<Arc<ChainPolicy>>>,
    pub(crate) routes: Vec<Arc<RoutesPolicy>>,
    /// Compiled authorization policies, by their names.
    pub(crate) authorization: AuthorizationLevels,
    pub(crate) clusters: Vec<Option<Arc<ClusterPolicy>>>,
    pub(crate) tokens: Arc<TokenProviders>,
    pub(crate) rate_limits: Arc<[Arc<RateLimitPolicy>]>,
}

impl Snapshot {
    /// Counts accepted configurations, from 1.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Counts what was published, from 1: configurations, and changes of discovered endpoints and of material between them.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The configuration that was compiled.
    pub fn config(&self) -> &Arc<MeshConfig> {
        &self.config
    }

    /// What identities are made of, in this snapshot.
    pub fn material(&self) -> &Arc<Material> {
        &self.material
    }

    /// Whom is believed no more; the same by pointer for as long as nothing of it changes.
    pub fn revocations(&self) -> &Arc<Revocations> {
        self.material.revocations()
    }

    /// All clusters, for `/clusters`.
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<ClusterPolicy>> {
        self.clusters.iter().flatten()
    }

    /// All rate limits, for `/rate_limits`.
    pub fn rate_limits(&self) -> &[Arc<RateLimitPolicy>] {
        &self.rate_limits
    }

    pub(crate) fn chain(&self, slot: ChainSlot) -> Option<&Arc<ChainPolicy>> {
        self.chains.get(slot.0 as usize)?.as_ref()
    }

    pub(crate) fn cluster(&self, slot: ClusterSlot) -> Option<&Arc<ClusterPolicy>> {
        self.clusters.get(slot.0 as usize)?.as_ref()
    }

    /// True if a listener takes connections that were not addressed to it.
    pub(crate) fn intercepts(&self) -> bool {
        let off = model::Interception::Off;
        self.listeners
            .iter()
            .any(|listener| listener.config.interception() != off)
    }

    pub(crate) fn listener(&self, key: &SocketKey) -> Option<&Arc<ListenerPolicy>> {
        self.listeners.iter().find(|listener| listener.key == *key)
    }
}

impl Snapshot {
    /// Puts the limits of clusters that are not what they were before in force.
    pub(crate) fn limit_clusters(&self, before: &Snapshot) {
        for (slot, cluster) in self.clusters.iter().enumerate() {
            let Some(cluster) = cluster else { continue };
            let old = before.clusters.get(slot).and_then(Option::as_ref);
            if !old.is_some_and(|old| Arc::ptr_eq(&old.config, &cluster.config)) {
                cluster.shared.limit(&cluster.config);
            }
        }
    }
}

/// Index of a filter chain in [`Snapshot`]; stays the same across snapshots for as long as the chain's identity does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ChainSlot(pub(crate) u32);

/// Index of a cluster in [`Snapshot`]; stays the same across snapshots for as long as its name is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClusterSlot(pub(crate) u32);

/// Endpoints that are checked before they are in force, by cluster and address (a logical endpoint's first): the compiler
/// gives an endpoint that is new the health that is here. One that is not here, of a cluster with health checks, has not
/// passed any.
pub type Newcomers = Arc<Mutex<HashMap<Name, HashMap<SocketAddr, Arc<EndpointHealth>>>>>;

/// What ties the data plane to whoever looks after its endpoints' health.
#[derive(Debug, Clone)]
pub struct HealthLinks {
    /// What is checked ahead.
    pub newcomers: Newcomers,
    /// Who is told of runs of failures. Bounded.
    pub alarms: mpsc::Sender<OutlierAlarm>,
}

impl Default for HealthLinks {
    /// Nothing is checked ahead, and nobody listens.
    fn default() -> HealthLinks {
        HealthLinks {
            newcomers: Newcomers::default(),
            alarms: mpsc::channel(1).0,
        }
    }
}

/// What discovery found, by cluster. A cluster that is not named keeps what it had.
pub type Discovered = foldhash::HashMap<Name, EndpointSet>;

/// What discovery found for one cluster, shared for as long as it does not change. Where all addresses are one endpoint
/// (logical DNS), only addresses have a meaning.
pub type EndpointSet = Arc<[model::Endpoint]>;
