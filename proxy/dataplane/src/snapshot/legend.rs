//! What the numbers in records of a configuration stand for, without anything that serves: kept for as long as somebody may
//! ask about requests that it served.

use super::Snapshot;
use outrigger_config::model::{Cluster, FilterChain, Listener, MeshConfig, Name};
use std::sync::Arc;

/// A configuration, and what the numbers of its chains and clusters are.
#[derive(Debug, Clone)]
pub struct Legend {
    generation: u64,
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
        Legend {
            generation: snapshot.generation,
            config: Arc::clone(&snapshot.config),
            chains: match before {
                Some(before) if *before.chains == *chains => Arc::clone(&before.chains),
                _ => chains.into(),
            },
            clusters: match before {
                Some(before) if *before.clusters == *clusters => Arc::clone(&before.clusters),
                _ => clusters.into(),
            },
        }
    }

    /// The configuration's number.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The configuration.
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
