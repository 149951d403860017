//! A mesh as one view looks at it: what is looked at is what the view depends on.
//!
//! Views have no other way into the mesh, so that one that was made is known to be the same as long as what it depends on is.
//! That a name is *not* there is a fault, and a view with a fault is always made anew; only names of policies, which views
//! look for in every text, are a dependency when they come or go.

use super::gateway::Gateway;
use super::policy::{KINDS, Named};
use super::read::{DeclaredNode, Defaults};
use super::service::Service;
use super::{ByName, Mesh};
use crate::yaml::tree::Node;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// What a view depends on, beside what holds for all of them.
#[derive(Debug, Default)]
pub(super) struct On {
    services: BTreeSet<Arc<str>>,
    /// By the numbers of their kinds.
    policies: BTreeSet<(usize, Arc<str>)>,
    gateway: Option<Arc<Gateway>>,
    node: Option<Arc<DeclaredNode>>,
}

/// A mesh, and what of it was looked at.
pub(super) struct Looking<'m> {
    mesh: &'m Mesh,
    on: On,
}

impl<'m> Looking<'m> {
    pub(super) fn at(mesh: &'m Mesh) -> Looking<'m> {
        Looking {
            mesh,
            on: On::default(),
        }
    }

    /// The mesh, for what is told of a name that is not there, and for what was read of it.
    pub(super) fn mesh(&self) -> &'m Mesh {
        self.mesh
    }

    /// What holds where nothing else is said. All views depend on it.
    pub(super) fn defaults(&self) -> &'m Defaults {
        &self.mesh.defaults
    }

    pub(super) fn service(&mut self, name: &str) -> Option<&'m Service> {
        let (name, found) = self.mesh.services.get_key_value(name)?;
        if !self.on.services.contains(name) {
            self.on.services.insert(Arc::clone(name));
        }
        Some(found)
    }

    pub(super) fn gateway(&mut self, name: &str) -> Option<&'m Gateway> {
        let found = self.mesh.gateways.get(name)?;
        self.on.gateway = Some(Arc::clone(found));
        Some(found)
    }

    pub(super) fn node(&mut self, name: &str) -> Option<&'m DeclaredNode> {
        let found = self.mesh.nodes.get(name)?;
        self.on.node = Some(Arc::clone(found));
        Some(found)
    }

    /// The policies that these may refer to.
    pub(super) fn policies_of<'n>(&mut self, nodes: impl Iterator<Item = &'n Arc<Node>>) -> Named {
        let mut named = Named::default();
        nodes.for_each(|node| self.mesh.policies.named_in(node, &mut named));
        self.policies(named)
    }

    /// All policies.
    pub(super) fn all_policies(&mut self) -> Named {
        self.policies(self.mesh.policies.all())
    }

    fn policies(&mut self, named: Named) -> Named {
        for (at, (_, policies)) in named.each().enumerate() {
            let names = policies.keys().map(|name| (at, Arc::clone(name)));
            self.on.policies.extend(names);
        }
        named
    }

    /// What was looked at.
    pub(super) fn on(self) -> On {
        self.on
    }
}

/// What is other in a mesh than in the one before.
#[derive(Debug)]
pub(super) struct Changed<'m> {
    mesh: &'m Mesh,
    /// What all views depend on.
    all: bool,
    /// Also where only the place is another.
    services: HashSet<Arc<str>>,
    policies: HashSet<(usize, Arc<str>)>,
}

impl<'m> Changed<'m> {
    pub(super) fn between(before: &Mesh, mesh: &'m Mesh) -> Changed<'m> {
        fn changed<T>(before: &ByName<Arc<T>>, now: &ByName<Arc<T>>) -> impl Iterator<Item = Arc<str>> {
            let is_other = |(name, part): &(&Arc<str>, &Arc<T>)| {
                now.get(&**name).is_none_or(|now| !Arc::ptr_eq(now, part))
            };
            let names: Vec<_> = before
                .iter()
                .filter(is_other)
                .map(|(name, _)| Arc::clone(name))
                .collect();
            names.into_iter()
        }
        let policies = |at: usize| {
            let (_, now) = mesh.policies.each().nth(at).expect("there is one of each kind");
            let (_, before) = before.policies.each().nth(at).expect("there is one of each kind");
            let has_same_names = before.keys().eq(now.keys());
            (has_same_names, changed(before, now).map(move |name| (at, name)))
        };
        let policies: Vec<_> = (0..KINDS.len()).map(policies).collect();
        let has_same_defaults = Arc::ptr_eq(&before.defaults, &mesh.defaults)
            || (before.defaults.node.is_none() && mesh.defaults.node.is_none());
        Changed {
            mesh,
            all: !has_same_defaults || policies.iter().any(|(has_same_names, _)| !has_same_names),
            services: changed(&before.services, &mesh.services).collect(),
            policies: policies.into_iter().flat_map(|(_, changed)| changed).collect(),
        }
    }

    /// Something is other that a view depends on.
    pub(super) fn concerns(&self, on: &On) -> bool {
        let is_there = |gateway: &Arc<Gateway>| {
            let now = self.mesh.gateways.get(&gateway.name);
            now.is_some_and(|now| Arc::ptr_eq(now, gateway))
        };
        let stands = |node: &Arc<DeclaredNode>| {
            let now = self.mesh.nodes.get(&node.name);
            now.is_some_and(|now| Arc::ptr_eq(now, node))
        };
        self.all
            || !on.gateway.iter().all(is_there)
            || !on.node.iter().all(stands)
            || meet(&on.services, &self.services)
            || meet(&on.policies, &self.policies)
    }

    /// Something is other that what is said of a service depends on.
    pub(super) fn concerns_service(&self, name: &Arc<str>) -> bool {
        self.all || self.services.contains(name)
    }
}

/// They have something in common.
fn meet<T: Ord + std::hash::Hash + Eq>(on: &BTreeSet<T>, changed: &HashSet<T>) -> bool {
    match changed.len() < on.len() {
        true => changed.iter().any(|changed| on.contains(changed)),
        false => on.iter().any(|one| changed.contains(one)),
    }
}
