//! Which version of each resource goes into the next configuration.
//!
//! From what is referred to to what refers: secrets, clusters, route configurations, listeners. A version is picked if all
//! that it refers to is there; else the one in force stays, as long as what it refers to is there.

use super::held::{Content, Version};
use super::{Assembly, WAIT_MAX};
use crate::resource::ResourceType;
use outrigger_config::MeshConfig;
use outrigger_config::document::{EndpointSet, Map, Parts, Path, ReferenceKind, Value, read_parts};
use outrigger_config::model::Cluster;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

type Versions = [BTreeMap<Arc<str>, Arc<Version>>; ResourceType::ALL.len()];

/// What was picked. A clone copies names and counts, no policy.
#[derive(Debug, Clone, Default)]
pub(super) struct Picked {
    versions: Versions,
    clusters: BTreeMap<Arc<str>, PickedCluster>,
    /// Clusters that are not there, by name.
    stand_ins: BTreeMap<String, Arc<Parts>>,
    /// Clusters by the name of their endpoints.
    by_endpoints: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
}

/// A cluster with its endpoints.
#[derive(Debug, Clone)]
struct PickedCluster {
    version: Arc<Version>,
    endpoints: Option<Arc<Version>>,
    parts: Arc<Parts>,
}

impl Picked {
    pub(super) fn parts(&self) -> impl Iterator<Item = &Parts> {
        let clusters = self.clusters.values().map(|cluster| &*cluster.parts);
        let of = |resource_type: ResourceType| {
            let versions = self.versions[resource_type as usize].values();
            versions.filter_map(|version| version.content.parts())
        };
        of(ResourceType::Secret)
            .chain(clusters)
            .chain(self.stand_ins.values().map(|parts| &**parts))
            .chain(of(ResourceType::RouteConfiguration))
            .chain(of(ResourceType::Listener))
    }

    pub(super) fn versions(&self) -> &Versions {
        &self.versions
    }

    pub(super) fn is_same(&self, other: &Picked) -> bool {
        let same = |one: &BTreeMap<Arc<str>, Arc<Version>>, other: &BTreeMap<Arc<str>, Arc<Version>>| {
            one.len() == other.len()
                && one
                    .values()
                    .zip(other.values())
                    .all(|(one, other)| Arc::ptr_eq(one, other))
        };
        self.versions
            .iter()
            .zip(&other.versions)
            .all(|(one, other)| same(one, other))
            && self.stand_ins.keys().eq(other.stand_ins.keys())
    }

    /// What these endpoints make of the clusters that ask for them; none if that needs a look at the whole.
    pub(super) fn other_endpoints(&self, name: &Arc<str>, version: &Arc<Version>) -> Option<OtherEndpoints> {
        let Content::Endpoints(set) = &version.content else {
            return None;
        };
        let mut clusters = Vec::new();
        for cluster in self.by_endpoints.get(name).into_iter().flatten() {
            let picked = self.clusters.get(cluster)?;
            clusters.push((Arc::clone(cluster), with_endpoints(&picked.version, set)?));
        }
        Some(OtherEndpoints {
            name: Arc::clone(name),
            version: Arc::clone(version),
            clusters,
        })
    }

    /// Puts them in the place of what was picked before.
    pub(super) fn put(&mut self, other: &OtherEndpoints) {
        self.versions[ResourceType::ClusterLoadAssignment as usize]
            .insert(Arc::clone(&other.name), Arc::clone(&other.version));
        for (cluster, parts) in &other.clusters {
            if let Some(picked) = self.clusters.get_mut(cluster) {
                picked.parts = Arc::clone(parts);
                picked.endpoints = Some(Arc::clone(&other.version));
            }
        }
    }
}

/// Endpoints, and the clusters that have them now.
#[derive(Debug, Clone)]
pub(super) struct OtherEndpoints {
    name: Arc<str>,
    version: Arc<Version>,
    clusters: Vec<(Arc<str>, Arc<Parts>)>,
}

impl OtherEndpoints {
    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn version(&self) -> &Arc<Version> {
        &self.version
    }

    pub(super) fn clusters(&self) -> impl Iterator<Item = Arc<Cluster>> {
        self.clusters
            .iter()
            .flat_map(|(_, parts)| parts.clusters.iter().cloned())
    }
}

fn with_endpoints(version: &Version, set: &EndpointSet) -> Option<Arc<Parts>> {
    let Content::Cluster(cluster) = &version.content else {
        return None;
    };
    let mut parts = cluster.parts.clone();
    for cluster in &mut parts.clusters {
        *cluster = Arc::new(cluster.with_endpoint_set(set));
    }
    Some(Arc::new(parts))
}

/// Names that there are.
struct There<'a>(HashMap<ReferenceKind, HashSet<&'a str>>);

impl<'a> There<'a> {
    fn of(base: &'a MeshConfig) -> There<'a> {
        let mut there = There(HashMap::new());
        macro_rules! kinds {
            ($($kind:ident: $parts:ident),*) => { $(
                there.0.insert(ReferenceKind::$kind, base.$parts().iter().map(|part| part.name().as_str()).collect());
            )* };
        }
        kinds!(Cluster: clusters, RouteConfiguration: route_configurations, Identity: identities, TrustBundle: trust_bundles);
        there
    }

    fn has(&self, kind: ReferenceKind, name: &str) -> bool {
        self.0.get(&kind).is_some_and(|names| names.contains(name))
    }

    fn add(&mut self, kind: ReferenceKind, name: &'a str) {
        self.0.entry(kind).or_default().insert(name);
    }

    fn add_parts(&mut self, parts: &'a Parts) {
        for part in &parts.clusters {
            self.add(ReferenceKind::Cluster, part.name().as_str());
        }
        for part in &parts.route_configurations {
            self.add(ReferenceKind::RouteConfiguration, part.name().as_str());
        }
        for part in &parts.identities {
            self.add(ReferenceKind::Identity, part.name().as_str());
        }
        for part in &parts.trust_bundles {
            self.add(ReferenceKind::TrustBundle, part.name().as_str());
        }
    }

    /// What parts refer to and is not there. Policies, which no resource waits for, are asked for when all is put
    /// together.
    fn missing<'p>(&self, parts: &'p Parts) -> Vec<(ReferenceKind, &'p str)> {
        let waited = parts.references.iter().filter(|reference| {
            matches!(
                reference.kind,
                ReferenceKind::Cluster
                    | ReferenceKind::RouteConfiguration
                    | ReferenceKind::Identity
                    | ReferenceKind::TrustBundle
            )
        });
        let own = |kind: ReferenceKind, name: &str| match kind {
            ReferenceKind::RouteConfiguration => {
                let mut routes = parts.route_configurations.iter();
                routes.any(|routes| routes.name().as_str() == name)
            }
            _ => false,
        };
        waited
            .filter(|one| !self.has(one.kind, &one.name) && !own(one.kind, &one.name))
            .map(|one| (one.kind, one.name.as_str()))
            .collect()
    }
}

fn shown(missing: &[(ReferenceKind, &str)]) -> Vec<String> {
    let what = |kind: &ReferenceKind| match kind {
        ReferenceKind::Cluster => "cluster",
        ReferenceKind::RouteConfiguration => "route configuration",
        ReferenceKind::Identity => "identity",
        _ => "trust bundle",
    };
    missing
        .iter()
        .map(|(kind, name)| format!("{} `{name}`", what(kind)))
        .collect()
}

impl Assembly {
    /// Picks, and notes on what is held what it waits for.
    pub(super) fn pick(&mut self, now: Instant) -> Picked {
        let mut picked = Picked::default();
        let mut waits: Vec<(ResourceType, Arc<str>, Vec<String>, bool)> = Vec::new();
        {
            let mut there = There::of(&self.base);
            let of = |resource_type: ResourceType| &self.held[resource_type as usize];
            for resource_type in [
                ResourceType::Runtime,
                ResourceType::Secret,
                ResourceType::ClusterLoadAssignment,
            ] {
                for (name, held) in of(resource_type) {
                    // Nothing refers to process-wide sections: what is taken away is away.
                    let gone = resource_type == ResourceType::Runtime && held.removed_since().is_some();
                    if let Some(version) = held.candidates().next().filter(|_| !gone) {
                        version
                            .content
                            .parts()
                            .into_iter()
                            .for_each(|parts| there.add_parts(parts));
                        picked.versions[resource_type as usize].insert(Arc::clone(name), Arc::clone(version));
                    }
                }
            }
            self.pick_clusters(&mut picked, &mut there, &mut waits, now);
            for resource_type in [ResourceType::RouteConfiguration, ResourceType::Listener] {
                for (name, held) in of(resource_type) {
                    let gone = resource_type == ResourceType::Listener && held.removed_since().is_some();
                    let mut missing = Vec::new();
                    let mut over = false;
                    for version in held.candidates().filter(|_| !gone) {
                        let Some(parts) = version.content.parts() else {
                            continue;
                        };
                        let lacks = there.missing(parts);
                        let clusters = lacks.iter().all(|(kind, _)| *kind == ReferenceKind::Cluster);
                        let waited =
                            held.waiting().map_or(version.since, |wait| wait.since) + WAIT_MAX <= now;
                        if missing.is_empty() {
                            missing = shown(&lacks);
                            over = waited;
                        }
                        let goes_on = lacks.is_empty() || (clusters && waited);
                        if !goes_on {
                            continue;
                        }
                        for (_, name) in lacks {
                            picked.stand_in(name);
                        }
                        there.add_parts(parts);
                        picked.versions[resource_type as usize].insert(Arc::clone(name), Arc::clone(version));
                        break;
                    }
                    waits.push((resource_type, Arc::clone(name), missing, over));
                }
            }
        }
        self.drop_unreferred(&mut picked);
        self.waiting = waits
            .iter()
            .any(|(_, _, missing, over)| !missing.is_empty() && !over);
        for (resource_type, name, missing, over) in waits {
            if let Some(held) = self.held[resource_type as usize].get_mut(&name) {
                held.wait(missing, now, over);
            }
        }
        picked
    }

    fn pick_clusters<'a>(
        &'a self,
        picked: &mut Picked,
        there: &mut There<'a>,
        waits: &mut Vec<(ResourceType, Arc<str>, Vec<String>, bool)>,
        now: Instant,
    ) {
        let sets = &self.held[ResourceType::ClusterLoadAssignment as usize];
        for (name, held) in &self.held[ResourceType::Cluster as usize] {
            let is_over = |since: Option<Instant>| since.is_some_and(|since| since + WAIT_MAX <= now);
            // What was taken away stays while routes refer to it, but not for ever.
            if is_over(held.removed_since()) {
                continue;
            }
            let mut missing = Vec::new();
            let mut over = false;
            for version in held.candidates() {
                let Content::Cluster(cluster) = &version.content else {
                    continue;
                };
                let mut lacks = shown(&there.missing(&cluster.parts));
                let set = cluster.endpoints.as_ref().map(|service| {
                    let set = sets
                        .get(service.as_str())
                        .and_then(|held| held.candidates().next());
                    (service, set)
                });
                let waited = is_over(Some(held.waiting().map_or(version.since, |wait| wait.since)));
                let without_secrets = !lacks.is_empty();
                if let Some((service, None)) = set {
                    lacks.push(format!("endpoints `{service}`"));
                }
                if missing.is_empty() {
                    missing.clone_from(&lacks);
                    over = waited;
                }
                if without_secrets || (!lacks.is_empty() && !waited) {
                    continue;
                }
                let set = set.map(|(service, set)| (Arc::<str>::from(service.as_str()), set));
                let Some(chosen) = self.picked_cluster(name, version, set.as_ref().map(|(_, set)| *set))
                else {
                    continue;
                };
                if let Some((service, _)) = set {
                    picked
                        .by_endpoints
                        .entry(service)
                        .or_default()
                        .insert(Arc::clone(name));
                }
                there.add(ReferenceKind::Cluster, name);
                picked.clusters.insert(Arc::clone(name), chosen);
                picked.versions[ResourceType::Cluster as usize].insert(Arc::clone(name), Arc::clone(version));
                break;
            }
            waits.push((ResourceType::Cluster, Arc::clone(name), missing, over));
        }
    }

    /// The cluster with its endpoints: the same by pointer as before, if it is of the same versions. `endpoints`: none if
    /// they do not come apart, `Some(None)` if they did not come in time.
    fn picked_cluster(
        &self,
        name: &Arc<str>,
        version: &Arc<Version>,
        endpoints: Option<Option<&Arc<Version>>>,
    ) -> Option<PickedCluster> {
        let endpoints = endpoints.flatten().map(|set| (set, &set.content));
        if let Some(before) = self.picked.clusters.get(name)
            && Arc::ptr_eq(&before.version, version)
            && match (&before.endpoints, &endpoints) {
                (None, None) => true,
                (Some(one), Some((other, _))) => Arc::ptr_eq(one, other),
                _ => false,
            }
        {
            return Some(before.clone());
        }
        let parts = match endpoints {
            Some((_, Content::Endpoints(set))) => with_endpoints(version, set)?,
            _ => Arc::new(version.content.parts()?.clone()),
        };
        Some(PickedCluster {
            version: Arc::clone(version),
            endpoints: endpoints.map(|(set, _)| Arc::clone(set)),
            parts,
        })
    }

    /// Leaves out what was taken away and nothing refers to any more.
    fn drop_unreferred(&self, picked: &mut Picked) {
        // Listeners were left out at once; what only they referred to goes with them, then what only that referred to.
        for resource_type in [
            ResourceType::RouteConfiguration,
            ResourceType::Cluster,
            ResourceType::ClusterLoadAssignment,
            ResourceType::Secret,
        ] {
            let held = &self.held[resource_type as usize];
            let gone: Vec<Arc<str>> = picked.versions[resource_type as usize]
                .keys()
                .filter(|name| held.get(*name).is_some_and(|held| held.best().is_none()))
                .cloned()
                .collect();
            if gone.is_empty() {
                continue;
            }
            let referred: HashSet<String> = match resource_type {
                ResourceType::ClusterLoadAssignment => {
                    picked.by_endpoints.keys().map(|name| name.to_string()).collect()
                }
                _ => picked
                    .parts()
                    .flat_map(|parts| parts.references.iter().map(|reference| reference.name.clone()))
                    .collect(),
            };
            for name in gone.iter().filter(|name| !referred.contains(&***name)) {
                picked.versions[resource_type as usize].remove(name);
                if resource_type == ResourceType::Cluster {
                    picked.clusters.remove(name);
                    picked.by_endpoints.retain(|_, clusters| {
                        clusters.remove(name);
                        !clusters.is_empty()
                    });
                }
            }
        }
    }
}

impl Picked {
    /// A cluster that is not there: it has no endpoints, so that requests to it are answered 503.
    fn stand_in(&mut self, name: &str) {
        let path = Path::root();
        let cluster = Map::new(&path).with("name", Value::text(&path, name));
        let clusters = Value::list(&path, [cluster.into()]);
        let document = Map::new(&path).with("clusters", clusters);
        let label = format!("cluster `{name}`, which is not there");
        // The name was read once already, where it is referred to.
        if let Ok(parts) = read_parts(&label, document.into()) {
            self.stand_ins.insert(name.to_owned(), Arc::new(parts));
        }
    }
}
