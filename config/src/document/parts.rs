//! Parts of a configuration that are read one resource at a time, and put together.
//!
//! What a resource refers to may not be there yet when it is read: references are kept with it and asked for when the
//! whole is put together. Reading costs what the resource has, putting together what there is of names and references.

use super::Value;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{
    AuthorizationPolicy, BalancingOptions, Cluster, Endpoint, Identity, JwtProvider, Listener,
    LocalityWeight, MeshConfig, Name, Origin, RateLimit, RouteConfiguration, TrustBundle,
};
use crate::receipt::Counts;
use crate::yaml;
use std::sync::Arc;

/// What one resource became.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parts {
    /// Listeners.
    pub listeners: Vec<Arc<Listener>>,
    /// Route configurations.
    pub route_configurations: Vec<Arc<RouteConfiguration>>,
    /// Clusters.
    pub clusters: Vec<Arc<Cluster>>,
    /// Identities.
    pub identities: Vec<Arc<Identity>>,
    /// Trust bundles.
    pub trust_bundles: Vec<Arc<TrustBundle>>,
    /// Authorization policies.
    pub authorization_policies: Vec<Arc<AuthorizationPolicy>>,
    /// JWT providers.
    pub jwt_providers: Vec<Arc<JwtProvider>>,
    /// Rate limits.
    pub rate_limits: Vec<Arc<RateLimit>>,
    /// What these refer to by name, each name and kind once; also to each other.
    pub references: Vec<Reference>,
    /// What looks odd, as far as it is kept.
    pub warnings: Vec<Diagnostic>,
    /// How much looks odd.
    pub remarked: Counts,
}

impl Parts {
    /// The names of one kind that these refer to.
    pub fn referred(&self, kind: ReferenceKind) -> impl Iterator<Item = &str> {
        let of_kind = self
            .references
            .iter()
            .filter(move |reference| reference.kind == kind);
        of_kind.map(|reference| reference.name.as_str())
    }
}

/// A name that policy refers to.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// What it is the name of.
    pub kind: ReferenceKind,
    /// The name.
    pub name: String,
    /// Where it is referred to first.
    pub origin: Origin,
}

/// What a name is the name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReferenceKind {
    /// A cluster.
    Cluster,
    /// A route configuration.
    RouteConfiguration,
    /// An identity.
    Identity,
    /// A trust bundle.
    TrustBundle,
    /// An authorization policy.
    AuthorizationPolicy,
    /// A JWT provider.
    JwtProvider,
    /// A rate limit.
    RateLimit,
    /// A collector.
    Collector,
    /// Some trust bundle that speaks for a trust domain, whichever (its name is empty).
    SomeTrustDomain,
    /// Trust bundles for no more than one trust domain (its name is empty).
    OneTrustDomain,
}

impl ReferenceKind {
    /// It is an identity or trust bundles that are meant.
    pub fn is_secret(self) -> bool {
        matches!(
            self,
            ReferenceKind::Identity
                | ReferenceKind::TrustBundle
                | ReferenceKind::SomeTrustDomain
                | ReferenceKind::OneTrustDomain
        )
    }

    /// It belongs to the place where a proxy runs, and is none of what a mesh declares: an identity, trust bundles, a
    /// collector.
    pub(crate) fn is_local(self) -> bool {
        self.is_secret() || self == ReferenceKind::Collector
    }
}

/// Endpoints of a cluster, which came apart from it.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointSet {
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) locality_weights: Vec<LocalityWeight>,
    pub(crate) overprovisioning_factor: Option<u32>,
}

impl EndpointSet {
    /// Nobody.
    pub fn empty() -> EndpointSet {
        EndpointSet {
            endpoints: Vec::new(),
            locality_weights: Vec::new(),
            overprovisioning_factor: None,
        }
    }
    /// The endpoints.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }
    /// Shares of localities.
    pub fn locality_weights(&self) -> &[LocalityWeight] {
        &self.locality_weights
    }
    /// How much of a priority counts as whole, percent; none: what the cluster says.
    pub fn overprovisioning_factor(&self) -> Option<u32> {
        self.overprovisioning_factor
    }
}

impl Cluster {
    /// This cluster with these endpoints in place of its own.
    pub fn with_endpoint_set(&self, set: &EndpointSet) -> Cluster {
        let factor = set.overprovisioning_factor;
        let overprovisioning_factor = factor.unwrap_or(self.balancing.overprovisioning_factor);
        Cluster {
            balancing: BalancingOptions {
                overprovisioning_factor,
                ..self.balancing.clone()
            },
            endpoints: set.endpoints.clone(),
            locality_weights: set.locality_weights.clone(),
            ..self.clone()
        }
    }

    /// True if the other is this one with other endpoints at most, and was written in the same place.
    pub fn is_but_for_endpoints(&self, other: &Cluster) -> bool {
        let place = |cluster: &Cluster| {
            let origin = &cluster.origin;
            (
                origin.file.clone(),
                origin.line,
                origin.column,
                origin.path.clone(),
            )
        };
        self.name == other.name && place(self) == place(other) && self.with_endpoints_of(other) == *other
    }

    /// This cluster with another's endpoints in place of its own.
    pub fn with_endpoints_of(&self, other: &Cluster) -> Cluster {
        self.with_endpoint_set(&EndpointSet {
            endpoints: other.endpoints.clone(),
            locality_weights: other.locality_weights.clone(),
            overprovisioning_factor: Some(other.balancing.overprovisioning_factor),
        })
    }
}

impl MeshConfig {
    /// This configuration with other versions of some clusters, which it has: nothing that refers to them has to be looked
    /// at again, as long as only their endpoints differ. A cluster that it has not is left out.
    pub fn with_clusters(&self, changed: &[Arc<Cluster>]) -> MeshConfig {
        let by_name: std::collections::HashMap<&Name, &Arc<Cluster>> =
            changed.iter().map(|cluster| (&cluster.name, cluster)).collect();
        let mut config = self.clone();
        for cluster in &mut config.clusters {
            if let Some(other) = by_name.get(&cluster.name) {
                *cluster = Arc::clone(other);
            }
        }
        config
    }

    /// This configuration with these clusters and route configurations alone: an excerpt, which is to be written and not to
    /// be obeyed, for what refers to others refers to nothing.
    pub fn excerpt(
        &self,
        clusters: Vec<Arc<Cluster>>,
        route_configurations: Vec<Arc<crate::model::RouteConfiguration>>,
    ) -> MeshConfig {
        MeshConfig {
            admin: self.admin.clone(),
            runtime: self.runtime.clone(),
            drain: self.drain.clone(),
            listeners: self.listeners.clone(),
            route_configurations,
            clusters,
            identities: self.identities.clone(),
            trust_bundles: self.trust_bundles.clone(),
            revocation: self.revocation.clone(),
            authorization_policies: self.authorization_policies.clone(),
            jwt_providers: self.jwt_providers.clone(),
            rate_limits: self.rate_limits.clone(),
            overload: self.overload.clone(),
            telemetry: self.telemetry.clone(),
            control: self.control.clone(),
            notes: self.notes.clone(),
        }
    }

    /// This configuration with what `other` says of the whole process: drain, overload, revocation, telemetry. Its admin endpoint and
    /// runtime, which belong to the place where it runs, stay.
    pub fn with_process_of(&self, other: &MeshConfig) -> MeshConfig {
        MeshConfig {
            drain: other.drain.clone(),
            overload: other.overload.clone(),
            revocation: other.revocation.clone(),
            telemetry: other.telemetry.clone(),
            ..self.clone()
        }
    }
}

/// A configuration put together, and what looks odd about the whole.
#[derive(Debug, Clone)]
pub struct Assembled {
    /// The configuration.
    pub config: MeshConfig,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
}

/// Reads one resource's parts: `document` is a map of some of the document's top-level lists. `resource` names it in
/// diagnostics and origins. References to parts that are not in it are kept, not asked for.
pub fn read_parts(resource: &str, document: Value) -> Result<Parts, Diagnostics> {
    yaml::parts::read(resource, document)
}

/// Reads endpoints: `document` is a map of `endpoints`, `locality_weights` and `overprovisioning_factor`, as a cluster has
/// them.
pub fn read_endpoints(resource: &str, document: Value) -> Result<EndpointSet, Diagnostics> {
    yaml::parts::endpoints(resource, document)
}

/// Reads process-wide sections (`drain`, `overload`, `revocation`, `telemetry`) and puts them in the place of `base`'s; a section that
/// is not given stays as it is.
pub fn read_process(resource: &str, document: Value, base: &MeshConfig) -> Result<MeshConfig, Diagnostics> {
    yaml::parts::process(resource, document, base)
}

/// Puts parts together with those of `base`, whose process-wide settings are taken over. A part that is there twice and
/// is the same both times is one. Refused: two different parts of one name, addresses that two listeners share, names that
/// nothing has, and what does not go together; each fault stands where the part came from.
pub fn assemble<'a>(
    base: &MeshConfig,
    parts: impl IntoIterator<Item = &'a Parts>,
) -> Result<Assembled, Diagnostics> {
    yaml::parts::assemble(base, parts)
}
