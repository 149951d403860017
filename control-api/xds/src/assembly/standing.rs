//! How each resource stands: for `/config_dump`, metrics and the control API.

use super::Assembly;
use super::held::Held;
use crate::decode::Refusal;
use crate::resource::ResourceType;
use std::sync::Arc;
use std::time::Instant;

/// How a resource stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The version that is wanted is in force.
    InForce,
    /// The version that is wanted waits for these: "cluster `b`".
    Waiting(Vec<String>),
    /// The version that came last was refused; what was in force before stays.
    Refused {
        /// That version.
        version: Arc<str>,
        /// Why.
        refusal: Refusal,
        /// When.
        since: Instant,
    },
    /// It was taken away, and something still refers to it.
    Leaving,
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceStanding {
    /// Its type.
    pub resource_type: ResourceType,
    /// Its name.
    pub name: Arc<str>,
    /// The version in force, and since when it is there; none: none is.
    pub in_force: Option<(Arc<str>, Instant)>,
    /// How it stands.
    pub standing: Standing,
}

impl Assembly {
    /// Every resource, by type and name.
    pub fn standings(&self) -> impl Iterator<Item = ResourceStanding> {
        ResourceType::ALL
            .into_iter()
            .zip(&self.held)
            .flat_map(|(resource_type, held)| {
                held.iter()
                    .map(move |(name, held)| standing(resource_type, name, held))
            })
    }

    /// One resource; none: nothing is held of it.
    pub fn standing(&self, resource_type: ResourceType, name: &str) -> Option<ResourceStanding> {
        let (name, held) = self.held[resource_type as usize].get_key_value(name)?;
        Some(standing(resource_type, name, held))
    }
}

fn standing(resource_type: ResourceType, name: &Arc<str>, held: &Held) -> ResourceStanding {
    let standing = match (held.refused(), held.waiting()) {
        _ if held.removed_since().is_some() => Standing::Leaving,
        (Some(refused), _) => Standing::Refused {
            version: Arc::clone(&refused.version),
            refusal: refused.refusal.clone(),
            since: refused.since,
        },
        (None, Some(wait)) if !wait.missing.is_empty() => Standing::Waiting(wait.missing.clone()),
        (None, _) => Standing::InForce,
    };
    let good = held.good();
    ResourceStanding {
        resource_type,
        name: Arc::clone(name),
        in_force: good.map(|good| (Arc::clone(good.resource.version()), good.since)),
        standing,
    }
}
