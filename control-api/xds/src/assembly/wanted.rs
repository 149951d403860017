//! What is to be subscribed to, since something that is held refers to it.

use super::Assembly;
use super::held::Content;
use outrigger_config::document::{Parts, ReferenceKind};
use std::collections::BTreeSet;

/// Names that have to be subscribed to, since something held refers to them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Route configurations.
    pub route_configurations: BTreeSet<String>,
    /// Endpoints.
    pub endpoints: BTreeSet<String>,
    /// Secrets, but for those that the base declares itself.
    pub secrets: BTreeSet<String>,
}

impl Assembly {
    /// Names that something held refers to, and that are to be subscribed to.
    pub fn wanted(&self) -> Wanted {
        let mut wanted = Wanted::default();
        // Also of the version in force, while another one waits, and of one that may be taken after all when these change.
        let held = self.held.iter().flatten().map(|(_, held)| held);
        let staying = held.filter(|held| held.removed_since().is_none());
        for version in staying.flat_map(|held| held.candidates().chain(held.withdrawn())) {
            if let Some(parts) = version.content.parts() {
                self.want_references(parts, &mut wanted);
            }
            if let Content::Cluster(cluster) = &version.content {
                wanted.endpoints.extend(cluster.endpoints.clone());
            }
        }
        wanted
    }

    fn want_references(&self, parts: &Parts, wanted: &mut Wanted) {
        let own = |name: &str| {
            let identities = self.base.identities().iter().map(|part| part.name().as_str());
            let bundles = self.base.trust_bundles().iter().map(|part| part.name().as_str());
            identities.chain(bundles).any(|own| own == name)
        };
        for reference in &parts.references {
            let name = reference.name.clone();
            match reference.kind {
                ReferenceKind::RouteConfiguration => {
                    let inline = parts.route_configurations.iter();
                    if !inline.clone().any(|routes| routes.name().as_str() == name) {
                        wanted.route_configurations.insert(name);
                    }
                }
                ReferenceKind::Identity | ReferenceKind::TrustBundle if !own(&name) => {
                    wanted.secrets.insert(name);
                }
                _ => {}
            }
        }
    }
}
