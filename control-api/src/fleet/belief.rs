//! Which nodes believe an authority, as they say themselves: the evidence that its key may sign.
//!
//! Our proxies report the authorities of their trust bundles; nodes that get theirs by SDS have acknowledged a secret that
//! holds it. A node whose service has no identity needs none. Whoever says nothing is not taken to believe.

use super::{Fleet, NodeReported, NodeStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A node that has gone for less than this may be on its way back, without having heard of the authority; and until so
/// long after a start nodes may be on their way to this server: Envoy's longest pause between tries.
pub const RETURN_WITHIN: Duration = Duration::from_secs(30);
/// Nodes that are named at most.
const NAMES_MAX: usize = 20;

/// How far an authority is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Belief {
    /// Live nodes that believe it.
    pub believing: usize,
    /// Live nodes that are not known to.
    pub doubting: usize,
    /// The first of these.
    pub doubters: Vec<String>,
    /// All nodes that there are can have come to this server since it started.
    pub is_complete: bool,
}

impl Belief {
    /// Every live node believes it, and there are some.
    pub fn is_evidence(&self) -> bool {
        self.is_complete && self.doubting == 0 && self.believing > 0
    }
}

impl Fleet {
    /// Asks the nodes that live, or did a moment ago, whether they believe the authority of this fingerprint: SHA-256,
    /// hexadecimal.
    pub fn belief(&self, fingerprint: &str, now: Instant) -> Belief {
        let mut belief = Belief {
            is_complete: now.saturating_duration_since(self.started) >= RETURN_WITHIN,
            ..Belief::default()
        };
        let plan = self.plan();
        for (status, reported) in self.register().lively(now) {
            let mesh = plan.of(&status.node, &status.service).mesh();
            if mesh.identities_of(&status.service).is_empty() {
                continue;
            }
            if status.connected && believes(&status, reported.as_deref(), fingerprint) {
                belief.believing += 1;
                continue;
            }
            belief.doubting += 1;
            if belief.doubters.len() < NAMES_MAX {
                belief.doubters.push(status.node.clone());
            }
        }
        belief
    }
}

/// What a node is known to believe.
fn believes(status: &NodeStatus, reported: Option<&NodeReported>, fingerprint: &str) -> bool {
    let by_report = reported.is_some_and(|reported| reported.reported.observed().believes(fingerprint));
    by_report || status.authorities.iter().any(|own| own == fingerprint)
}

/// Nodes with what they reported.
pub type Reporting = (Arc<NodeStatus>, Option<Arc<NodeReported>>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{NodeClaim, Principal};
    use crate::fleet::{Agent, Plan, REPORT_INTERVAL, Registration, revision_of};
    use outrigger_xds::node_report::{Observed, Reporter};

    const MESH: &str = "
defaults: { trust_domain: example.org }
services:
  - { name: shop/web, ports: [{ port: 80, protocol: http, application_port: 9001 }], endpoints: [{ address: 127.0.0.1:15106 }], sidecar: { interception: 'off', inbound: 127.0.0.1:15106, outbound: 127.0.0.1:15101 } }
  - { name: shop/plain, ports: [{ port: 80, protocol: http }], endpoints: [{ address: 127.0.0.1:1 }] }
";

    struct Setting {
        fleet: Arc<Fleet>,
        /// When there can be evidence.
        later: Instant,
    }

    impl Setting {
        fn new() -> Setting {
            let fleet = Arc::new(Fleet::new());
            let stable = Arc::new(revision_of(1, MESH));
            fleet.replan(|plan| Plan {
                stable,
                ..plan.clone()
            });
            let later = Instant::now() + RETURN_WITHIN;
            Setting { fleet, later }
        }

        fn claim(node: &str, service: &str) -> NodeClaim {
            NodeClaim {
                node: node.to_owned(),
                service: service.to_owned(),
            }
        }

        fn enter(&self, node: &str, service: &str) -> Registration {
            let claim = Setting::claim(node, service);
            let (fleet, owner) = (Arc::clone(&self.fleet), Principal::Loopback);
            let register = self.fleet.register();
            register
                .enter(fleet, &claim, &owner, Agent::Outrigger, "1", None)
                .unwrap()
        }

        fn report(&self, node: &str, authorities: &[&str], at: Instant) {
            let mut observed = Observed::default();
            authorities.iter().for_each(|one| observed.believe(one));
            let report = Reporter::default().next((node, "shop/web"), &observed).unwrap();
            let claim = Setting::claim(node, "shop/web");
            let register = self.fleet.register();
            register.report(&claim, &Principal::Loopback, report, at).unwrap();
        }
    }

    #[test]
    fn there_is_evidence_once_every_live_node_has_said_so() {
        let setting = Setting::new();
        let belief = |at: Instant| setting.fleet.belief("new", at);
        let later = setting.later;
        assert!(!belief(later).is_evidence(), "nobody is there to say anything");
        let one = setting.enter("one", "shop/web");
        let mut two = setting.enter("two", "shop/web");
        assert_eq!((belief(later).believing, belief(later).doubting), (0, 2));
        setting.report("one", &["old", "new"], later);
        let seen = belief(later);
        assert_eq!(
            (seen.believing, seen.doubters.as_slice()),
            (1, &["two".to_owned()][..])
        );
        assert!(!seen.is_evidence());
        // It has acknowledged a secret with both.
        two.believe(&["old".to_owned(), "new".to_owned()]);
        assert!(belief(later).is_evidence());
        assert!(
            !belief(later - RETURN_WITHIN).is_evidence(),
            "others may be on their way to a server that has just started"
        );
        // Who has just gone may come back with what it had.
        drop(one);
        let now = Instant::now();
        assert_eq!(setting.fleet.belief("new", now).doubters, ["one"]);
        let gone = now + RETURN_WITHIN + Duration::from_secs(1);
        assert!(belief(gone).is_evidence(), "it has gone for good");
        // Who begins anew has said nothing yet.
        let _one = setting.enter("one", "shop/web");
        assert!(!belief(gone).is_evidence());
        setting.report("one", &["old"], gone);
        assert!(!belief(gone).is_evidence(), "it does not believe this one");
        setting.report("one", &["new"], gone + REPORT_INTERVAL);
        assert!(belief(gone).is_evidence());
    }

    #[test]
    fn who_has_no_identity_is_not_asked() {
        let setting = Setting::new();
        let mut web = setting.enter("web", "shop/web");
        web.believe(&["new".to_owned()]);
        let _plain = setting.enter("plain", "shop/plain");
        let seen = setting.fleet.belief("new", setting.later);
        assert!(seen.is_evidence() && seen.believing == 1, "{seen:?}");
    }
}
