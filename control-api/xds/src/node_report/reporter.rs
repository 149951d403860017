//! The node's end.

use super::{ClusterReport, NodeReport, Observed};

/// What was told, and what is to be told next. Time and the wire are its owner's.
#[derive(Debug, Default)]
pub struct Reporter {
    /// What the server has; none: nothing that is known of.
    told: Option<Observed>,
    number: u64,
}

impl Reporter {
    /// The report that brings the server from what it has to `now`; none: it has that. Only one may be under way; what
    /// became of it is told by [`Reporter::taken`] or [`Reporter::begin_again`].
    pub fn next(&self, (node, service): (&str, &str), now: &Observed) -> Option<NodeReport> {
        if self.told.as_ref() == Some(now) {
            return None;
        }
        let before = |name: &str| self.told.as_ref()?.clusters.get(name);
        let clusters: Vec<ClusterReport> = now
            .clusters()
            .filter(|cluster| before(&cluster.name) != Some(cluster))
            .cloned()
            .collect();
        let told = self.told.iter().flat_map(|told| told.clusters.keys());
        let well = told.filter(|name| !now.clusters.contains_key(*name));
        Some(NodeReport {
            node: node.to_owned(),
            service: service.to_owned(),
            number: self.number + 1,
            endpoints: now.endpoints,
            impaired: now.impaired,
            clusters,
            well: well.cloned().collect(),
            authorities: now.authorities.iter().cloned().collect(),
        })
    }

    /// The server took the report that was made of `now`.
    pub fn taken(&mut self, now: Observed) {
        self.told = Some(now);
        self.number += 1;
    }

    /// What the server has is not known: the next report tells everything.
    pub fn begin_again(&mut self) {
        self.told = None;
        self.number = 0;
    }
}
