//! Holds routes and connections to what their clusters are: hashes, subsets, zones.
//!
//! These are read in different places of the document, so that this looks at the whole, once it is there.

use super::reader::{Reader, quoted};
use crate::model::{
    Cluster, LocalityBalancing, MeshConfig, Name, Origin, RouteAction, Subsets, WeightedCluster,
};
use crate::receipt::Code;
use std::collections::{HashMap, HashSet};

type Clusters<'c> = HashMap<&'c Name, &'c Cluster>;

pub(super) fn check(reader: &mut Reader<'_>, config: &MeshConfig) {
    let clusters: Clusters<'_> = config
        .clusters
        .iter()
        .map(|cluster| (&cluster.name, cluster.as_ref()))
        .collect();
    let hosts = config
        .route_configurations
        .iter()
        .flat_map(|routes| &routes.virtual_hosts);
    for route in hosts.flat_map(|host| &host.routes) {
        let RouteAction::Forward(forward) = &route.action else {
            continue;
        };
        let sender = Sender {
            what: "route",
            name: &route.name,
            origin: &route.origin,
            hash: "hash_policy",
            hashes: !forward.hash_policy.is_empty(),
        };
        sender.check(reader, &forward.clusters, &clusters);
    }
    let chains = config
        .listeners
        .iter()
        .flat_map(|listener| &listener.filter_chains);
    for chain in chains {
        let Some(tcp) = chain.mode.tcp() else {
            continue;
        };
        let sender = Sender {
            what: "filter chain",
            name: &chain.name,
            origin: &chain.origin,
            hash: "hash_source_address",
            hashes: tcp.hash_source_address,
        };
        sender.check(reader, &tcp.clusters, &clusters);
    }
    check_zones(reader, config);
}

/// What sends to clusters.
struct Sender<'c> {
    what: &'static str,
    name: &'c Name,
    origin: &'c Origin,
    /// The field that says by what it hashes.
    hash: &'static str,
    hashes: bool,
}

impl Sender<'_> {
    fn check(&self, reader: &mut Reader<'_>, targets: &[WeightedCluster], clusters: &Clusters<'_>) {
        self.check_hash(reader, targets, clusters);
        let mut asked = HashSet::new();
        for target in targets.iter().filter(|target| !target.subset.is_empty()) {
            let keys: Vec<&str> = target.subset.keys().map(String::as_str).collect();
            // Shares of one cluster with other values of the same keys are one question.
            if let Some(cluster) = clusters.get(&target.cluster)
                && asked.insert((&cluster.name, keys.clone()))
            {
                self.check_subset(reader, &keys, cluster);
            }
        }
    }

    fn check_hash(&self, reader: &mut Reader<'_>, targets: &[WeightedCluster], clusters: &Clusters<'_>) {
        let (what, name, hash) = (self.what, self.name, self.hash);
        let consistent = targets.iter().find(|target| {
            clusters
                .get(&target.cluster)
                .is_some_and(|cluster| cluster.load_balancing.is_consistent())
        });
        match consistent {
            Some(target) if !self.hashes => {
                let message = format!(
                    "the {what} `{name}` has no `{hash}`: the cluster `{}`, which picks by hash, picks at random",
                    target.cluster
                );
                let help = match self.hash {
                    "hash_policy" => "such as `hash_policy: [{header: x-user}]`",
                    _ => "write `hash_source_address: true`",
                };
                reader.warn_of(Code::HashPolicyMissing, (what, name), self.origin, message, help);
            }
            None if self.hashes
                && targets
                    .iter()
                    .all(|target| clusters.contains_key(&target.cluster)) =>
            {
                let message = format!(
                    "`{hash}` of the {what} `{name}` has no effect: no cluster that it sends to picks by hash"
                );
                let help = "give the cluster `load_balancing: maglev` or `ring_hash`, or remove it";
                reader.warn_of(Code::HashPolicyUnused, (what, name), self.origin, message, help);
            }
            _ => {}
        }
    }

    fn check_subset(&self, reader: &mut Reader<'_>, keys: &[&str], cluster: &Cluster) {
        let (what, name) = (self.what, self.name);
        let Some(subsets) = &cluster.balancing.subsets else {
            let message = format!(
                "the {what} `{name}` asks for a subset of the cluster `{}`, which has none",
                cluster.name
            );
            let help = format!(
                "give the cluster `subsets: {{selectors: [[{}]]}}`",
                keys.join(", ")
            );
            let at = reader.place(self.origin);
            reader.fault_with_help(at, message, help);
            return;
        };
        if !has_selector(subsets, keys) {
            let message = format!(
                "the {what} `{name}` asks for a subset by {}, and no selector of the cluster `{}` has just these keys",
                quoted(keys),
                cluster.name
            );
            let help = format!(
                "add the selector `[{}]`: else `fallback` says what happens",
                keys.join(", ")
            );
            reader.warn_of(
                Code::SubsetWithoutSelector,
                (what, name),
                self.origin,
                message,
                help,
            );
        }
    }
}

/// Both are sorted.
fn has_selector(subsets: &Subsets, keys: &[&str]) -> bool {
    let is_it = |selector: &Vec<String>| selector.iter().map(String::as_str).eq(keys.iter().copied());
    subsets.selectors.iter().any(is_it)
}

/// Zones are known by where this proxy runs.
fn check_zones(reader: &mut Reader<'_>, config: &MeshConfig) {
    let has_zone = config
        .runtime
        .locality
        .as_ref()
        .is_some_and(|locality| !locality.zone.is_empty());
    for cluster in &config.clusters {
        if !has_zone && matches!(cluster.balancing.localities, LocalityBalancing::ZoneAware(_)) {
            let message = format!(
                "the cluster `{}` is balanced by zones, and this proxy's own is not known",
                cluster.name
            );
            let help = "write it: `runtime: {locality: region/zone}`";
            let at = reader.place(&cluster.origin);
            reader.fault_with_help(at, message, help);
        }
    }
}
