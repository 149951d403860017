//! What becomes of resources that are refused: shown though they could not be read, offered again when the rest is another,
//! or in the version of an earlier life.

use super::Assembly;
use super::held::Content;
use crate::decode::Refusal;
use crate::resource::{RESOURCES_MAX, Resource, ResourceType};
use crate::session;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

impl Assembly {
    /// Notes resources that came in a response of this version and could not be read at all, in place of those of the
    /// response of the type before that had not even a name, and are called by their place in it (`#3`).
    pub fn refuse_unread(
        &mut self,
        resource_type: ResourceType,
        version: &Arc<str>,
        unread: &[session::Refusal],
        now: Instant,
    ) {
        let of_type = &mut self.held[resource_type as usize];
        let before = of_type.len();
        of_type.retain(|name, held| !(is_place(name) && held.is_unread()));
        self.touched.whole |= of_type.len() != before;
        for session::Refusal { name, reason } in unread {
            let name: Arc<str> = name.as_str().into();
            if of_type.len() >= RESOURCES_MAX && !of_type.contains_key(&name) {
                // They are told to the control plane all the same.
                break;
            }
            let held = of_type.entry(Arc::clone(&name)).or_default();
            held.refuse(version, Refusal::whole(&name, reason), now);
            self.touched.whole = true;
        }
    }

    /// Offers versions again that were refused for not going together with the rest, if that is another since. True if
    /// there are any: then a proposal is due. To be asked when what came has been put in force, so that nothing else is
    /// refused for their sake.
    pub fn reconsider(&mut self) -> bool {
        let changes = self.changes;
        let mut any = false;
        for held in self.held.iter_mut().flat_map(BTreeMap::values_mut) {
            any |= held.reconsider(changes);
        }
        self.whole_changed |= any;
        any
    }

    /// The good version of a resource, unless a later one is refused.
    pub fn unrefused(&self, resource_type: ResourceType, name: &str) -> Option<&Resource> {
        let held = self.held[resource_type as usize].get(name)?;
        let good = held.good().filter(|_| held.refused().is_none());
        good.map(|good| &good.resource)
    }

    /// The good version of a resource, whatever came later.
    pub fn good(&self, resource_type: ResourceType, name: &str) -> Option<&Resource> {
        let held = self.held[resource_type as usize].get(name)?;
        held.good().map(|good| &good.resource)
    }

    /// What is refused, and of which no version is there to go on with.
    pub fn lost(&self) -> Vec<(ResourceType, Arc<str>)> {
        let of_type = ResourceType::ALL.into_iter().zip(&self.held);
        let lost = of_type.flat_map(|(resource_type, held)| {
            let lost = held.iter().filter(|(_, held)| held.is_lost());
            lost.map(move |(name, _)| (resource_type, Arc::clone(name)))
        });
        lost.collect()
    }

    /// Takes versions that were good in an earlier life for those of [`Assembly::lost`] that are theirs; the refused ones
    /// stay refused. Those that cannot be read are returned.
    pub fn recall(&mut self, resources: Vec<Resource>, now: Instant) -> Vec<(Resource, Refusal)> {
        let mut refused = Vec::new();
        for resource in resources {
            let (resource_type, name) = (resource.resource_type(), Arc::clone(resource.name()));
            let of_type = &mut self.held[resource_type as usize];
            let Some(held) = of_type.get_mut(&name).filter(|held| held.is_lost()) else {
                continue;
            };
            match (self.decoder)(&resource) {
                Ok(decoded) => {
                    held.recall(resource, Content::from(decoded), now);
                    self.changed(resource_type, &name);
                }
                Err(refusal) => refused.push((resource, refusal)),
            }
        }
        refused
    }
}

/// Whether this is the place of a resource whose name could not be read, and no name.
fn is_place(name: &str) -> bool {
    let place = name.strip_prefix('#');
    place.is_some_and(|place| place.bytes().all(|byte| byte.is_ascii_digit()))
}
