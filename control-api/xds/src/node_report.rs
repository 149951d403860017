//! What a node tells the control API by itself: how endpoints stand as it sees them, and which authorities it believes.
//!
//! xDS has a way to be told to check endpoints (HDS) and one to count load (LRS), and neither says that an endpoint was
//! ejected. So this is a service of our own, `outrigger.control.v1.NodeReports`, beside ADS: one unary call, made only
//! when something has changed, and not more often than the last answer allows. Control planes without it answer
//! `UNIMPLEMENTED`, and are not asked again on that stream.
//!
//! A report says what differs from the one before. Only endpoints that are *impaired* (not plainly healthy) are named, at
//! most [`ENDPOINTS_MAX`] in [`CLUSTERS_MAX`] clusters; all are counted. [`Reporter`] is the node's end, [`Reported`] the
//! server's; where they do not fit together, the server asks the node to begin again.

mod reported;
mod reporter;

#[cfg(test)]
mod tests;

pub use reported::{Reported, Unusable};
pub use reporter::Reporter;

use prost::Message;
use std::collections::{BTreeMap, BTreeSet};

/// The service.
pub const SERVICE: &str = "outrigger.control.v1.NodeReports";
/// Its one call, from [`NodeReport`] to [`NodeReportAnswer`].
pub const REPORT: &str = "/outrigger.control.v1.NodeReports/Report";

/// Clusters of a node that are told of at most: those with an impaired endpoint.
pub const CLUSTERS_MAX: usize = 512;
/// Impaired endpoints of a node that are named at most.
pub const ENDPOINTS_MAX: usize = 1_024;
/// Authorities that are named at most: a mesh has one root, or two while it goes from one to the next.
pub const AUTHORITIES_MAX: usize = 64;
/// A cluster's name at most; one that is longer is only counted.
pub const NAME_BYTES_MAX: usize = 256;
/// An address, or a fingerprint, at most.
const TEXT_BYTES_MAX: usize = 128;
/// A report at most: every cluster with its name, every endpoint with its address, and what stands around them.
pub const REPORT_BYTES_MAX: usize =
    2 * CLUSTERS_MAX * (NAME_BYTES_MAX + 32) + (ENDPOINTS_MAX + AUTHORITIES_MAX) * (TEXT_BYTES_MAX + 16);

/// A report.
#[derive(Clone, PartialEq, Message)]
pub struct NodeReport {
    /// Who reports.
    #[prost(string, tag = "1")]
    pub node: String,
    /// The service or gateway whose node it is.
    #[prost(string, tag = "2")]
    pub service: String,
    /// Of this report, from 1 on. With 1 all that was told before is void.
    #[prost(uint64, tag = "3")]
    pub number: u64,
    /// Endpoints of all clusters.
    #[prost(uint64, tag = "4")]
    pub endpoints: u64,
    /// Those of them that are impaired, named or not.
    #[prost(uint64, tag = "5")]
    pub impaired: u64,
    /// Clusters with an impaired endpoint of which something is not as it was told; each whole.
    #[prost(message, repeated, tag = "6")]
    pub clusters: Vec<ClusterReport>,
    /// Clusters that were told of, and are gone or have no impaired endpoint any more.
    #[prost(string, repeated, tag = "7")]
    pub well: Vec<String>,
    /// The authorities that the node believes for its own trust domain: SHA-256 of each, hexadecimal. All of them, each time.
    #[prost(string, repeated, tag = "8")]
    pub authorities: Vec<String>,
}

/// A cluster with an impaired endpoint.
#[derive(Clone, PartialEq, Message)]
pub struct ClusterReport {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its endpoints.
    #[prost(uint64, tag = "2")]
    pub endpoints: u64,
    /// Those that are impaired.
    #[prost(uint64, tag = "3")]
    pub impaired: u64,
    /// The first of those.
    #[prost(message, repeated, tag = "4")]
    pub named: Vec<EndpointReport>,
}

/// An endpoint.
#[derive(Clone, PartialEq, Message)]
pub struct EndpointReport {
    /// `ADDRESS:PORT`.
    #[prost(string, tag = "1")]
    pub address: String,
    /// Where it stands.
    #[prost(enumeration = "EndpointStanding", tag = "2")]
    pub standing: i32,
    /// Its health check fails.
    #[prost(bool, tag = "3")]
    pub failed_check: bool,
    /// It was ejected for its answers.
    #[prost(bool, tag = "4")]
    pub ejected: bool,
}

/// Where an endpoint stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum EndpointStanding {
    /// It gets its share.
    Healthy = 0,
    /// It gets requests where too few others are healthy.
    Degraded = 1,
    /// It gets none.
    Unhealthy = 2,
    /// It gets none until it has passed a check.
    Unchecked = 3,
    /// It gets no new sessions.
    Draining = 4,
}

impl EndpointStanding {
    /// As it is shown.
    pub fn word(self) -> &'static str {
        match self {
            EndpointStanding::Healthy => "healthy",
            EndpointStanding::Degraded => "degraded",
            EndpointStanding::Unhealthy => "unhealthy",
            EndpointStanding::Unchecked => "unchecked",
            EndpointStanding::Draining => "draining",
        }
    }
}

/// What is said to a report.
#[derive(Clone, PartialEq, Message)]
pub struct NodeReportAnswer {
    /// It does not follow what is held here: it was not taken, and the node is to tell everything.
    #[prost(bool, tag = "1")]
    pub begin_again: bool,
    /// The next report is to come no sooner than this, in milliseconds.
    #[prost(uint64, tag = "2")]
    pub interval_millis: u64,
}

/// What a node sees at one time, within the bounds of a report.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    endpoints: u64,
    impaired: u64,
    clusters: BTreeMap<String, ClusterReport>,
    named: usize,
    authorities: BTreeSet<String>,
}

impl Observed {
    /// Adds a cluster: how many endpoints it has, and those that are impaired. Which are named when there are too many
    /// follows from the order in which clusters and endpoints are added.
    pub fn add(&mut self, cluster: &str, endpoints: usize, mut impaired: Vec<EndpointReport>) {
        self.endpoints += endpoints as u64;
        self.impaired += impaired.len() as u64;
        if impaired.is_empty() || self.clusters.len() == CLUSTERS_MAX || cluster.len() > NAME_BYTES_MAX {
            return;
        }
        let count = impaired.len() as u64;
        impaired.truncate(ENDPOINTS_MAX - self.named);
        self.named += impaired.len();
        let report = ClusterReport {
            name: cluster.to_owned(),
            endpoints: endpoints as u64,
            impaired: count,
            named: impaired,
        };
        self.clusters.insert(cluster.to_owned(), report);
    }

    /// Adds an authority that is believed, by the SHA-256 of its certificate, hexadecimal.
    pub fn believe(&mut self, fingerprint: &str) {
        if self.authorities.len() < AUTHORITIES_MAX && fingerprint.len() <= TEXT_BYTES_MAX {
            self.authorities.insert(fingerprint.to_owned());
        }
    }

    /// Endpoints of all clusters.
    pub fn endpoints(&self) -> u64 {
        self.endpoints
    }

    /// Those that are impaired.
    pub fn impaired(&self) -> u64 {
        self.impaired
    }

    /// The clusters that are told of, by name.
    pub fn clusters(&self) -> impl Iterator<Item = &ClusterReport> {
        self.clusters.values()
    }

    /// This authority is believed.
    pub fn believes(&self, fingerprint: &str) -> bool {
        self.authorities.contains(fingerprint)
    }
}
