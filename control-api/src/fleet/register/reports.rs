//! What nodes report by themselves, as long as they are connected.

use super::{Register, now_seconds};
use crate::access::{NodeClaim, Principal};
use crate::fleet::belief::{RETURN_WITHIN, Reporting};
use outrigger_xds::node_report::{NodeReport, Reported, Unusable};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Reports of a node come no sooner one after the other: what it is told, and half of it is what it is held to, since its
/// clock and the way here are not ours.
pub const REPORT_INTERVAL: Duration = Duration::from_secs(2);

/// What a node has reported.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeReported {
    /// When it last did, in seconds since 1970.
    pub at_seconds: f64,
    /// What it sees.
    pub reported: Reported,
    taken_at: Instant,
}

/// Why a report is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportRefused {
    /// No stream of this node is open, by whoever reports.
    #[error("no stream of this node is open; expected its stream first")]
    NotConnected,
    /// It comes too soon after the one before.
    #[error("a report came within {} ms of the one before", (REPORT_INTERVAL / 2).as_millis())]
    TooSoon,
    /// It does not go with what is held, or cannot be.
    #[error(transparent)]
    Unusable(#[from] Unusable),
}

impl Register {
    /// Takes a report of a node.
    ///
    /// # Errors
    /// Why not; what the node reported before stays.
    pub fn report(
        &self,
        claim: &NodeClaim,
        owner: &Principal,
        report: NodeReport,
        now: Instant,
    ) -> Result<(), ReportRefused> {
        let mut nodes = self.nodes.lock();
        let entry = nodes
            .get_mut(&claim.node)
            .filter(|entry| entry.streams > 0 && entry.owner == *owner)
            .filter(|entry| entry.status.service == claim.service)
            .ok_or(ReportRefused::NotConnected)?;
        let before = entry.reported.as_deref();
        let since = before.map(|before| now.saturating_duration_since(before.taken_at));
        if since.is_some_and(|since| since < REPORT_INTERVAL / 2) {
            return Err(ReportRefused::TooSoon);
        }
        let reported = Reported::take(before.map(|before| &before.reported), report)?;
        entry.reported = Some(Arc::new(NodeReported {
            at_seconds: now_seconds(),
            reported,
            taken_at: now,
        }));
        Ok(())
    }

    /// What a node has reported; none: it has not, or has gone.
    pub fn reported(&self, node: &str) -> Option<Arc<NodeReported>> {
        self.nodes.lock().get(node)?.reported.clone()
    }

    /// Those that are connected, or were a moment ago ([`RETURN_WITHIN`](crate::fleet::RETURN_WITHIN)).
    pub(in crate::fleet) fn lively(&self, now: Instant) -> Vec<Reporting> {
        let nodes = self.nodes.lock();
        let is_lively = |entry: &&super::Entry| {
            let gone = entry.gone_at.map(|gone| now.saturating_duration_since(gone));
            gone.is_none_or(|gone| gone < RETURN_WITHIN)
        };
        let entries = nodes.values().filter(is_lively);
        entries
            .map(|entry| (Arc::clone(&entry.status), entry.reported.clone()))
            .collect()
    }

    /// Every node, by id, with what it has reported.
    pub fn all_reported(&self) -> Vec<Reporting> {
        let nodes = self.nodes.lock();
        let entries = nodes.values();
        entries
            .map(|entry| (Arc::clone(&entry.status), entry.reported.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Agent, Fleet};
    use outrigger_xds::node_report::{Observed, Reporter};

    #[test]
    fn a_report_is_taken_of_a_node_that_is_there_and_not_too_often() {
        let fleet = Arc::new(Fleet::new());
        let claim = NodeClaim {
            node: "web-1".to_owned(),
            service: "shop/web".to_owned(),
        };
        let (web, other) = (
            Principal::Token("web".to_owned()),
            Principal::Token("other".to_owned()),
        );
        let mut reporter = Reporter::default();
        let mut observed = Observed::default();
        observed.add("a", 3, Vec::new());
        let who = ("web-1", "shop/web");
        let report = reporter.next(who, &observed).unwrap();
        let (register, start) = (fleet.register(), Instant::now());
        let tell = |owner: &Principal, report: &NodeReport, at: Duration| {
            register.report(&claim, owner, report.clone(), start + at)
        };
        let zero = Duration::ZERO;
        assert_eq!(tell(&web, &report, zero), Err(ReportRefused::NotConnected));
        let here = register
            .enter(Arc::clone(&fleet), &claim, &web, Agent::Outrigger, "1", None)
            .unwrap();
        assert_eq!(tell(&other, &report, zero), Err(ReportRefused::NotConnected));
        assert_eq!(tell(&web, &report, zero), Ok(()));
        reporter.taken(observed.clone());
        let held = |register: &Register| {
            register
                .reported("web-1")
                .unwrap()
                .reported
                .observed()
                .endpoints()
        };
        assert_eq!(held(register), 3);
        observed.add("b", 4, Vec::new());
        let second = reporter.next(who, &observed).unwrap();
        assert_eq!(
            tell(&web, &second, Duration::from_millis(10)),
            Err(ReportRefused::TooSoon)
        );
        assert_eq!(held(register), 3);
        assert_eq!(tell(&web, &second, REPORT_INTERVAL), Ok(()));
        assert_eq!(held(register), 7);
        let again = tell(&web, &second, REPORT_INTERVAL * 2);
        assert!(matches!(again, Err(ReportRefused::Unusable(_))), "{again:?}");
        drop(here);
        assert!(register.reported("web-1").is_none(), "it has gone");
    }
}
