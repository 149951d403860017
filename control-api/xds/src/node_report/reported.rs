//! The server's end.

use super::{
    AUTHORITIES_MAX, CLUSTERS_MAX, ENDPOINTS_MAX, EndpointStanding, NAME_BYTES_MAX, NodeReport, Observed,
    TEXT_BYTES_MAX,
};

/// What a node has told so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Reported {
    number: u64,
    observed: Observed,
}

/// Why a report is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It does not follow the one before: everything is to be told again.
    #[error("report {number} does not follow {held}")]
    OutOfOrder {
        /// Of this one.
        number: u64,
        /// Of the last one that was taken; 0: none was.
        held: u64,
    },
    /// It says more than may be, or what cannot be.
    #[error("{0}")]
    Faulty(String),
}

impl Reported {
    /// What is known once `report` was taken; `held` is what was known before. The report comes from a peer, and is
    /// believed nothing about its bounds.
    ///
    /// # Errors
    /// It does not follow `held`, or says more than may be; what is held stays.
    pub fn take(held: Option<&Reported>, report: NodeReport) -> Result<Reported, Unusable> {
        let before = held.map_or(0, |held| held.number);
        if report.number != 1 && report.number.checked_sub(1) != Some(before) || report.number == 0 {
            return Err(Unusable::OutOfOrder {
                number: report.number,
                held: before,
            });
        }
        let mut observed = match held {
            Some(held) if report.number > 1 => held.observed.clone(),
            _ => Observed::default(),
        };
        observed.endpoints = report.endpoints;
        observed.impaired = report.impaired;
        for name in &report.well {
            observed.clusters.remove(name);
        }
        for cluster in report.clusters {
            let texts = cluster.named.iter().map(|endpoint| endpoint.address.len());
            if cluster.name.len() > NAME_BYTES_MAX || texts.max().is_some_and(|bytes| bytes > TEXT_BYTES_MAX)
            {
                return Err(faulty("a name is longer than may be"));
            }
            let known = |standing: i32| EndpointStanding::try_from(standing).is_ok();
            if !cluster.named.iter().all(|endpoint| known(endpoint.standing)) {
                return Err(faulty("an endpoint stands in no way that is known"));
            }
            observed.clusters.insert(cluster.name.clone(), cluster);
        }
        observed.named = observed
            .clusters
            .values()
            .map(|cluster| cluster.named.len())
            .sum();
        if observed.clusters.len() > CLUSTERS_MAX || observed.named > ENDPOINTS_MAX {
            return Err(faulty("it names more clusters or endpoints than may be"));
        }
        let too_long = |text: &String| text.len() > TEXT_BYTES_MAX;
        if report.authorities.len() > AUTHORITIES_MAX || report.authorities.iter().any(too_long) {
            return Err(faulty("it names more authorities than may be"));
        }
        observed.authorities = report.authorities.into_iter().collect();
        Ok(Reported {
            number: report.number,
            observed,
        })
    }

    /// What the node sees.
    pub fn observed(&self) -> &Observed {
        &self.observed
    }
}

fn faulty(text: &str) -> Unusable {
    Unusable::Faulty(text.to_owned())
}
