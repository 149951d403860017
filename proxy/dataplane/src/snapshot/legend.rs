//! What the numbers in records of a configuration stand for, without anything that serves: kept for as long as somebody may
//! ask about requests that it served.

use super::Snapshot;
use outrigger_config::model::{Cluster, FilterChain, Listener, MeshConfig, Name};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// A configuration, and what the numbers of its chains and clusters are. Configurations that follow each other and differ
/// in endpoints alone share one, so that a mesh whose endpoints come and go does not run out of them.
#[derive(Debug, Clone)]
pub struct Legend {
    /// The first and the last one that it is of.
    generations: RangeInclusive<u64>,
    config: Arc<MeshConfig>,
    /// By slot: indexes of a listener and of its chain.
    chains: Arc<[Option<(u32, u32)>]>,
    /// By slot.
    clusters: Arc<[Option<Name>]>,
}

impl Legend {
    /// That of a snapshot. What is as it was in the one before is shared with it.
    pub fn of(snapshot: &Snapshot, before: Option<&Legend>) -> Legend {
        let mut chains = vec![None; snapshot.chains.len()];
        for (listener, policy) in (0..).zip(&snapshot.listeners) {
            for (chain, slot) in (0..).zip(&policy.chains) {
                if let Some(place) = chains.get_mut(slot.0 as usize) {
                    *place = Some((listener, chain));
                }
            }
        }
        let names = snapshot.clusters.iter();
        let clusters: Vec<Option<Name>> = names
            .map(|cluster| Some(cluster.as_ref()?.config.name().clone()))
            .collect();
        let mut legend = Legend {
            generations: snapshot.generation..=snapshot.generation,
            config: Arc::clone(&snapshot.config),
            chains: match before {
                Some(before) if *before.chains == *chains => Arc::clone(&before.chains),
                _ => chains.into(),
            },
            clusters: match before {
                Some(before) if *before.clusters == *clusters => Arc::clone(&before.clusters),
                _ => clusters.into(),
            },
        };
        if let Some(before) = before
            && before.generations.end() + 1 == snapshot.generation
            && legend.tells_the_same(before)
        {
            legend.generations = *before.generations.start()..=snapshot.generation;
        }
        legend
    }

    /// True if all that can be told by the one before is told the same by this one: endpoints alone are others.
    fn tells_the_same(&self, before: &Legend) -> bool {
        fn are_same<T>(one: &[Arc<T>], other: &[Arc<T>]) -> bool {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| Arc::ptr_eq(one, other))
        }
        let (config, old) = (&*self.config, &*before.config);
        let (clusters, old_clusters) = (config.clusters(), old.clusters());
        Arc::ptr_eq(&self.chains, &before.chains)
            && Arc::ptr_eq(&self.clusters, &before.clusters)
            && are_same(config.listeners(), old.listeners())
            && are_same(config.route_configurations(), old.route_configurations())
            && are_same(config.authorization_policies(), old.authorization_policies())
            && are_same(config.jwt_providers(), old.jwt_providers())
            && are_same(config.rate_limits(), old.rate_limits())
            && clusters.len() == old_clusters.len()
            && clusters
                .iter()
                .zip(old_clusters)
                .all(|(one, other)| Arc::ptr_eq(one, other) || one.is_but_for_endpoints(other))
    }

    /// The numbers of the configurations that it is of.
    pub fn generations(&self) -> &RangeInclusive<u64> {
        &self.generations
    }

    /// The configuration, the last of those.
    pub fn config(&self) -> &Arc<MeshConfig> {
        &self.config
    }

    /// A filter chain and its listener, by the number of a record.
    pub fn chain(&self, slot: u32) -> Option<(&Listener, &FilterChain)> {
        let (listener, chain) = (*self.chains.get(slot as usize)?)?;
        let listener = self.config.listeners().get(listener as usize)?;
        Some((listener, listener.filter_chains().get(chain as usize)?))
    }

    /// A cluster's name, by the number of a record.
    pub fn cluster_name(&self, slot: u32) -> Option<&Name> {
        self.clusters.get(slot as usize)?.as_ref()
    }

    /// A cluster, by the number of a record.
    pub fn cluster(&self, slot: u32) -> Option<&Cluster> {
        let index = self.config.cluster_index(self.cluster_name(slot)?)?;
        self.config.clusters().get(index).map(AsRef::as_ref)
    }
}
