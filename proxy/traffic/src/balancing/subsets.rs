//! Subsets: endpoints by their metadata, each subset with layers of its own (Envoy's `lb_subset_config`).
//!
//! Only subsets that routes ask for are made. A route knows its subset by a key, so that nothing is compared by name when it
//! is used.

use super::layers::Layers;
use super::{Member, Plan};
use foldhash::HashMap;
use outrigger_config::model::SubsetFallback;
use std::collections::BTreeMap;
use xxhash_rust::xxh64::xxh64;

/// What a route asks for: keys and values, as a digest that is the same everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SubsetKey(u64, u64);

impl SubsetKey {
    /// The key of this metadata; none if it asks for nothing.
    pub fn of(metadata: &BTreeMap<String, String>) -> Option<SubsetKey> {
        if metadata.is_empty() {
            return None;
        }
        // Each text with its length, so that no two lists make the same bytes.
        let mut bytes = Vec::new();
        for text in metadata.iter().flat_map(|(key, value)| [key, value]) {
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        Some(SubsetKey(xxh64(&bytes, 0), xxh64(&bytes, 1)))
    }
}

/// The subsets of a cluster.
#[derive(Debug)]
pub(super) struct SubsetBalancers {
    by_key: HashMap<SubsetKey, Layers>,
    fallback: Fallback,
}

#[derive(Debug)]
enum Fallback {
    None,
    Any,
    Default(Box<Layers>),
}

/// What a subset that is asked for comes to.
pub(super) enum Found<'a> {
    Subset(&'a Layers),
    /// It is not there, and nothing is in its place.
    Nothing,
    /// It is not there: any endpoint.
    Any,
    /// It is not there: those by default.
    Default(&'a Layers),
}

impl SubsetBalancers {
    /// The subsets that a plan asks for and that have a selector and an endpoint; none if the cluster has no subsets.
    pub(super) fn new(
        plan: &Plan<'_>,
        members: &[Member<'_>],
        previous: Option<&SubsetBalancers>,
    ) -> Option<SubsetBalancers> {
        let settings = plan.options.subsets().as_ref()?;
        let selected = |wanted: &BTreeMap<String, String>| {
            let selectors = settings.selectors().iter();
            selectors.into_iter().any(|selector| {
                selector.len() == wanted.len() && selector.iter().all(|key| wanted.contains_key(key))
            })
        };
        let mut by_key = HashMap::default();
        for wanted in plan.subsets.iter().filter(|wanted| selected(wanted)) {
            let Some(key) = SubsetKey::of(wanted) else {
                continue;
            };
            if members.iter().any(|member| has(member, wanted)) {
                let before = previous.and_then(|previous| previous.by_key.get(&key));
                by_key.insert(
                    key,
                    Layers::new(plan, members, |member| has(member, wanted), before),
                );
            }
        }
        let fallback = match settings.fallback() {
            SubsetFallback::None => Fallback::None,
            SubsetFallback::Any => Fallback::Any,
            SubsetFallback::Default(wanted) => {
                let before = match previous.map(|previous| &previous.fallback) {
                    Some(Fallback::Default(layers)) => Some(&**layers),
                    _ => None,
                };
                let layers = Layers::new(plan, members, |member| has(member, wanted), before);
                Fallback::Default(Box::new(layers))
            }
        };
        Some(SubsetBalancers { by_key, fallback })
    }

    pub(super) fn find(&self, key: SubsetKey) -> Found<'_> {
        match (self.by_key.get(&key), &self.fallback) {
            (Some(layers), _) => Found::Subset(layers),
            (None, Fallback::None) => Found::Nothing,
            (None, Fallback::Any) => Found::Any,
            (None, Fallback::Default(layers)) => Found::Default(layers),
        }
    }
}

fn has(member: &Member<'_>, wanted: &BTreeMap<String, String>) -> bool {
    let metadata = member.metadata;
    wanted
        .iter()
        .all(|(key, value)| metadata.and_then(|metadata| metadata.get(key)) == Some(value))
}
