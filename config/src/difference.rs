//! What a new configuration changes, by name.
//!
//! Pointers are compared before values, so that parts which [`reuse`] took over cost nothing. Where a part was written
//! (its `Origin`) takes no part in the comparison.

use crate::model::{
    AuthorizationPolicy, Cluster, Identity, JwtProvider, Listener, MeshConfig, Name, RateLimit,
    RouteConfiguration, TrustBundle, VirtualHost, model,
};
use std::collections::HashMap;
use std::sync::Arc;

model! {
    /// The names of parts of one kind that two configurations do not share.
    pub struct Changes {
        /// In the new one only, in its order.
        by_ref added: Vec<Name>,
        /// In both, with different values, in the new one's order.
        by_ref changed: Vec<Name>,
        /// In the old one only, in its order.
        by_ref removed: Vec<Name>,
    }
}

impl Changes {
    /// Nothing was added, changed or removed.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

model! {
    /// What a new configuration changes.
    pub struct Difference {
        /// Listeners.
        by_ref listeners: Changes,
        /// Route configurations.
        by_ref route_configurations: Changes,
        /// Clusters.
        by_ref clusters: Changes,
        /// Identities.
        by_ref identities: Changes,
        /// Trust bundles.
        by_ref trust_bundles: Changes,
        /// Authorization policies.
        by_ref authorization_policies: Changes,
        /// JWT providers.
        by_ref jwt_providers: Changes,
        /// Rate limits.
        by_ref rate_limits: Changes,
        /// Whom is believed no more.
        copy revocation_changed: bool,
        /// The process-wide settings; they need a restart.
        copy runtime_changed: bool,
        /// The admin endpoint; it needs a restart.
        copy admin_changed: bool,
        /// How the process ends.
        copy drain_changed: bool,
        /// What the whole process may hold.
        copy overload_changed: bool,
        /// What collectors are told.
        copy telemetry_changed: bool,
        /// Where policy comes from; it needs a restart.
        copy control_changed: bool,
    }
}

impl Difference {
    /// Nothing changed.
    pub fn is_empty(&self) -> bool {
        self.listeners.is_empty()
            && self.route_configurations.is_empty()
            && self.clusters.is_empty()
            && self.identities.is_empty()
            && self.trust_bundles.is_empty()
            && self.authorization_policies.is_empty()
            && self.jwt_providers.is_empty()
            && self.rate_limits.is_empty()
            && !self.revocation_changed
            && !self.control_changed
            && !self.telemetry_changed
            && !(self.runtime_changed || self.admin_changed || self.drain_changed || self.overload_changed)
    }
}

/// What `new` changes in `old`.
pub fn difference(old: &MeshConfig, new: &MeshConfig) -> Difference {
    Difference {
        listeners: changes(&old.listeners, &new.listeners),
        route_configurations: changes(&old.route_configurations, &new.route_configurations),
        clusters: changes(&old.clusters, &new.clusters),
        identities: changes(&old.identities, &new.identities),
        trust_bundles: changes(&old.trust_bundles, &new.trust_bundles),
        authorization_policies: changes(&old.authorization_policies, &new.authorization_policies),
        jwt_providers: changes(&old.jwt_providers, &new.jwt_providers),
        rate_limits: changes(&old.rate_limits, &new.rate_limits),
        revocation_changed: old.revocation != new.revocation,
        runtime_changed: old.runtime != new.runtime,
        admin_changed: old.admin != new.admin,
        drain_changed: old.drain != new.drain,
        overload_changed: old.overload != new.overload,
        telemetry_changed: old.telemetry != new.telemetry,
        control_changed: old.control != new.control,
    }
}

/// `new` with those of its parts that equal a part of `old` of the same name replaced by it, so that they are the same
/// by pointer. A part that is taken over keeps the old one's `Origin`.
pub fn reuse(old: &MeshConfig, mut new: MeshConfig) -> MeshConfig {
    take_over(&old.listeners, &mut new.listeners);
    take_over(&old.clusters, &mut new.clusters);
    take_over(&old.identities, &mut new.identities);
    take_over(&old.trust_bundles, &mut new.trust_bundles);
    take_over(&old.authorization_policies, &mut new.authorization_policies);
    take_over(&old.jwt_providers, &mut new.jwt_providers);
    take_over(&old.rate_limits, &mut new.rate_limits);
    take_over(&old.route_configurations, &mut new.route_configurations);
    let by_name = index(&old.route_configurations);
    for routes in &mut new.route_configurations {
        if let Some(before) = by_name
            .get(&routes.name)
            .filter(|before| !Arc::ptr_eq(before, routes))
        {
            let mut changed = RouteConfiguration::clone(routes);
            take_over(&before.virtual_hosts, &mut changed.virtual_hosts);
            *routes = Arc::new(changed);
        }
    }
    new
}

/// A part that policy refers to by name.
trait Named: PartialEq {
    fn name(&self) -> &Name;
}

macro_rules! named {
    ($($part:ty),*) => { $(impl Named for $part { fn name(&self) -> &Name { &self.name } })* };
}
named!(
    Listener,
    RouteConfiguration,
    VirtualHost,
    Cluster,
    Identity,
    TrustBundle,
    AuthorizationPolicy,
    JwtProvider,
    RateLimit
);

fn index<T: Named>(parts: &[Arc<T>]) -> HashMap<&Name, &Arc<T>> {
    parts.iter().map(|part| (part.name(), part)).collect()
}

fn same<T: Named>(old: &Arc<T>, new: &Arc<T>) -> bool {
    Arc::ptr_eq(old, new) || old == new
}

fn changes<T: Named>(old: &[Arc<T>], new: &[Arc<T>]) -> Changes {
    let (before, after) = (index(old), index(new));
    let mut changes = Changes {
        added: Vec::new(),
        changed: Vec::new(),
        removed: Vec::new(),
    };
    for part in new {
        match before.get(part.name()) {
            None => changes.added.push(part.name().clone()),
            Some(old) if !same(old, part) => changes.changed.push(part.name().clone()),
            Some(_) => {}
        }
    }
    changes.removed.extend(
        old.iter()
            .map(|part| part.name())
            .filter(|name| !after.contains_key(*name))
            .cloned(),
    );
    changes
}

fn take_over<T: Named>(old: &[Arc<T>], new: &mut [Arc<T>]) {
    let before = index(old);
    for part in new {
        if let Some(old) = before.get(part.name()).filter(|old| same(old, part)) {
            *part = Arc::clone(old);
        }
    }
}

#[cfg(test)]
mod tests;
