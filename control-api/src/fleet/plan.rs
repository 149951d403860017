//! Which revision of the mesh is whose.

use super::revision::MeshRevision;
use std::sync::Arc;
use xxhash_rust::xxh64::xxh64;

/// Who is to have which revision.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// What everybody has who is not chosen for something newer.
    pub stable: Arc<MeshRevision>,
    /// A newer revision that is being released in stages; none: none is.
    pub release: Option<Release>,
    /// How `stable` stands to what the store has.
    pub freshness: Freshness,
}

/// How what everybody has stands to the store's current revision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Freshness {
    /// Nothing of the store was loaded yet: nobody is told anything, least of all that there is nothing.
    #[default]
    Unread,
    /// The store's current revision cannot be loaded, and this is one before it: what it has not may be there.
    Earlier,
    /// It is the store's, or was when it was last looked at.
    Current,
}

/// A revision on its way to everybody.
#[derive(Debug, Clone)]
pub struct Release {
    /// The revision.
    pub revision: Arc<MeshRevision>,
    /// Who has it now: whoever one of these chooses.
    pub selections: Vec<Selection>,
}

/// Nodes that are chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Only nodes of this service or gateway; none: of all.
    pub service: Option<String>,
    /// The share of those, in parts of a million. A node that is chosen stays so as the share grows.
    pub share_millionths: u32,
}

impl Selection {
    /// Everybody.
    pub const ALL: Selection = Selection {
        service: None,
        share_millionths: 1_000_000,
    };

    /// This node is chosen. The same nodes are for the same `seed`, on every replica.
    pub fn has(&self, seed: u64, node: &str, service: &str) -> bool {
        let is_asked = self.service.as_deref().is_none_or(|asked| asked == service);
        is_asked && xxh64(node.as_bytes(), seed) % 1_000_000 < u64::from(self.share_millionths)
    }
}

impl Plan {
    /// The revision that a node is to have.
    pub fn of(&self, node: &str, service: &str) -> &Arc<MeshRevision> {
        let release = self.release.as_ref();
        let chosen = release.filter(|release| release.has(node, service));
        chosen.map_or(&self.stable, |release| &release.revision)
    }
}

impl Release {
    /// This node is chosen. The same nodes are, on every replica.
    pub fn has(&self, node: &str, service: &str) -> bool {
        let seed = self.revision.number();
        self.selections
            .iter()
            .any(|selection| selection.has(seed, node, service))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_growing_share_keeps_whom_it_chose() {
        let share = |share_millionths| Selection {
            service: None,
            share_millionths,
        };
        let nodes: Vec<String> = (0..10_000).map(|number| format!("node-{number}")).collect();
        let chosen = |selection: Selection| {
            let of = move |node: &&String| selection.has(7, node, "a");
            nodes
                .iter()
                .filter(of)
                .cloned()
                .collect::<std::collections::BTreeSet<_>>()
        };
        let (few, more, all) = (
            chosen(share(100_000)),
            chosen(share(500_000)),
            chosen(Selection::ALL),
        );
        assert!((800..1_200).contains(&few.len()), "{}", few.len());
        assert!(few.is_subset(&more));
        assert_eq!(all.len(), nodes.len());
        assert!(chosen(share(0)).is_empty());
    }

    #[test]
    fn a_share_is_of_one_service_if_it_says_so() {
        let selection = Selection {
            service: Some("shop/web".into()),
            share_millionths: 1_000_000,
        };
        assert!(selection.has(1, "n", "shop/web"));
        assert!(!selection.has(1, "n", "shop/catalog"));
    }
}
