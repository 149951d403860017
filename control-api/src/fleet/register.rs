//! How nodes stand: what each is connected as, was sent, took, refused and reports.

mod reports;

pub use reports::{NodeReported, REPORT_INTERVAL, ReportRefused};

use super::{Agent, NodeReceipt};
use crate::access::{NodeClaim, Principal};
use outrigger_xds::resource::ResourceType;
use outrigger_xds::session::Server;
use outrigger_xds::session::server::Progress;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::broadcast;

/// Nodes that have gone and are still remembered, at most; those that went first are forgotten.
const GONE_MAX: usize = 1_000;
/// Refusals of one node that are kept at most.
const REFUSALS_MAX: usize = 100;
/// Reports that wait for whoever watches them; one who is slower looks at the register instead.
const REPORTS_MAX: usize = 1_024;

/// A type of resources at one node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TypeReport {
    /// The type.
    #[serde(rename = "type")]
    pub resource_type: &'static str,
    /// Everything is wanted.
    pub wildcard: bool,
    /// How many are wanted by name.
    pub named: usize,
    /// How many were sent, or are said to be there.
    pub sent: usize,
    /// How many were taken.
    pub acknowledged: usize,
    /// How many were refused.
    pub refused: usize,
    /// How many are still to be sent or removed.
    pub outstanding: usize,
    /// The longest that the effective version of any has not been the current one, in seconds.
    pub lag_seconds: Option<f64>,
}

/// A resource that a node refused.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeRefusal {
    /// Its type.
    #[serde(rename = "type")]
    pub resource_type: &'static str,
    /// Its name.
    pub name: String,
    /// The version that was refused.
    pub version: String,
    /// The version that is still in force there; none: none is.
    pub effective: Option<String>,
    /// Why, as the node says.
    pub reason: String,
    /// For how long no version that it was sent was taken, in seconds.
    pub age_seconds: f64,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeStatus {
    /// Its id.
    pub node: String,
    /// The service or gateway whose node it is.
    pub service: String,
    /// What it runs.
    pub agent: &'static str,
    /// Its version, as it says.
    pub agent_version: String,
    /// Where it comes from.
    pub address: Option<SocketAddr>,
    /// A stream of it is open.
    pub connected: bool,
    /// Since when it is connected, or gone: seconds since 1970.
    pub since_seconds: f64,
    /// The revision that it is to have.
    pub revision: u64,
    /// The last revision that it took as a whole; none yet.
    pub in_force: Option<u64>,
    /// `settled`, `underway` or `refused`.
    pub progress: &'static str,
    /// By type, those that it asks for.
    pub types: Vec<TypeReport>,
    /// What it refused.
    pub refusals: Vec<NodeRefusal>,
    /// Why it has no view, if it has none.
    pub fault: Option<String>,
    /// The authorities that it was given by SDS and has taken: SHA-256 of each, hexadecimal.
    #[serde(skip)]
    pub authorities: Arc<[String]>,
    /// What it says is odd about the configuration that it has in force; none: nothing, or it does not tell.
    pub receipt: Option<NodeReceipt>,
}

/// All nodes.
#[derive(Debug)]
pub struct Register {
    nodes: Mutex<BTreeMap<String, Entry>>,
    reports: broadcast::Sender<Arc<NodeStatus>>,
}

#[derive(Debug)]
struct Entry {
    status: Arc<NodeStatus>,
    /// Who is connected by this id.
    owner: Principal,
    /// Streams of this id that are open: a node that reconnects may have two for a moment.
    streams: usize,
    gone_at: Option<Instant>,
    /// What it has reported since it is connected.
    reported: Option<Arc<NodeReported>>,
}

/// Somebody else is connected as this node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("another node is connected by this id; expected an id that no other node has")]
pub struct NodeTaken;

impl Default for Register {
    fn default() -> Register {
        Register {
            nodes: Mutex::default(),
            reports: broadcast::Sender::new(REPORTS_MAX),
        }
    }
}

impl Register {
    /// A stream of a node begins. It is there until the registration is dropped.
    ///
    /// # Errors
    /// If somebody else, or a node of another service, is connected by this id: how that one stands is not overwritten.
    pub fn enter(
        self: &Register,
        fleet: Arc<super::Fleet>,
        claim: &NodeClaim,
        owner: &Principal,
        agent: Agent,
        agent_version: &str,
        address: Option<SocketAddr>,
    ) -> Result<Registration, NodeTaken> {
        let mut nodes = self.nodes.lock();
        let before = nodes.get(&claim.node);
        let is_same = |entry: &&Entry| entry.owner == *owner && entry.status.service == claim.service;
        if before.is_some_and(|entry| entry.streams > 0 && !is_same(&entry)) {
            return Err(NodeTaken);
        }
        // What another had by this id, before it went, says nothing of this one.
        let before = before.filter(is_same);
        let (streams, in_force) = before.map_or((0, None), |entry| (entry.streams, entry.status.in_force));
        let reported = before.and_then(|entry| entry.reported.clone());
        let status = Arc::new(NodeStatus {
            node: claim.node.clone(),
            service: claim.service.clone(),
            agent: agent.word(),
            agent_version: agent_version.to_owned(),
            address,
            connected: true,
            since_seconds: now_seconds(),
            revision: 0,
            in_force,
            progress: "underway",
            types: Vec::new(),
            refusals: Vec::new(),
            fault: None,
            authorities: Arc::default(),
            receipt: None,
        });
        let entry = Entry {
            status: Arc::clone(&status),
            owner: owner.clone(),
            streams: streams + 1,
            gone_at: None,
            reported,
        };
        nodes.insert(claim.node.clone(), entry);
        drop(nodes);
        Ok(Registration { fleet, status })
    }

    /// Every node, by id; those that have gone lately included.
    pub fn all(&self) -> Vec<Arc<NodeStatus>> {
        let nodes = self.nodes.lock();
        nodes.values().map(|entry| Arc::clone(&entry.status)).collect()
    }

    /// One node.
    pub fn find(&self, node: &str) -> Option<Arc<NodeStatus>> {
        self.nodes.lock().get(node).map(|entry| Arc::clone(&entry.status))
    }

    /// Tells how nodes stand whenever that changes. Who lags behind is told so, and looks at [`Register::all`].
    pub fn reports(&self) -> broadcast::Receiver<Arc<NodeStatus>> {
        self.reports.subscribe()
    }

    fn put(&self, status: &Arc<NodeStatus>) {
        if let Some(entry) = self.nodes.lock().get_mut(&status.node) {
            entry.status = Arc::clone(status);
        }
        // Nobody may be watching.
        let _ = self.reports.send(Arc::clone(status));
    }

    fn leave(&self, node: &str, now: Instant) {
        let mut nodes = self.nodes.lock();
        let Some(entry) = nodes.get_mut(node) else { return };
        entry.streams = entry.streams.saturating_sub(1);
        if entry.streams > 0 {
            return;
        }
        entry.gone_at = Some(now);
        entry.reported = None;
        let mut status = NodeStatus::clone(&entry.status);
        status.connected = false;
        status.since_seconds = now_seconds();
        entry.status = Arc::new(status);
        let _ = self.reports.send(Arc::clone(&entry.status));
        let gone = nodes.values().filter(|entry| entry.gone_at.is_some()).count();
        if gone > GONE_MAX {
            let longest = nodes
                .iter()
                .filter_map(|(name, entry)| Some((entry.gone_at?, name.clone())));
            if let Some((_, name)) = longest.min() {
                nodes.remove(&name);
            }
        }
    }
}

/// A stream's place in the register.
#[derive(Debug)]
pub struct Registration {
    fleet: Arc<super::Fleet>,
    status: Arc<NodeStatus>,
}

impl Registration {
    /// Notes that there is nothing for the node, and why.
    pub fn fail(&mut self, fault: &str) {
        let mut status = NodeStatus::clone(&self.status);
        status.fault = Some(fault.to_owned());
        self.status = Arc::new(status);
        self.fleet.register.put(&self.status);
    }

    /// Notes that the node has taken a trust bundle of these authorities.
    pub fn believe(&mut self, authorities: &[String]) {
        if *self.status.authorities != *authorities {
            let mut status = NodeStatus::clone(&self.status);
            status.authorities = authorities.into();
            self.status = Arc::new(status);
            self.fleet.register.put(&self.status);
        }
    }

    /// Notes what the node says of its configuration.
    pub fn receipt(&mut self, receipt: Option<NodeReceipt>) {
        if receipt != self.status.receipt {
            let mut status = NodeStatus::clone(&self.status);
            status.receipt = receipt;
            self.status = Arc::new(status);
            self.fleet.register.put(&self.status);
        }
    }

    /// Notes how the node stands, if that changed.
    pub fn note(&mut self, session: &Server, fault: Option<&str>, now: Instant) {
        let revision = session.view().revision();
        let progress = session.progress();
        let next = NodeStatus {
            revision,
            in_force: match progress {
                Progress::Settled => Some(revision),
                _ => self.status.in_force,
            },
            progress: match progress {
                Progress::Settled => "settled",
                Progress::Refused => "refused",
                Progress::Underway => "underway",
            },
            types: types(session, now),
            refusals: refusals(session, now),
            fault: fault.map(str::to_owned),
            ..NodeStatus::clone(&self.status)
        };
        if next != *self.status {
            self.status = Arc::new(next);
            self.fleet.register.put(&self.status);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.fleet.register.leave(&self.status.node, Instant::now());
    }
}

fn types(session: &Server, now: Instant) -> Vec<TypeReport> {
    let of = |resource_type| session.type_status(resource_type, now);
    let report = |status: outrigger_xds::session::server::TypeStatus| TypeReport {
        resource_type: status.resource_type.name(),
        wildcard: status.is_wildcard,
        named: status.named,
        sent: status.sent,
        acknowledged: status.acknowledged,
        refused: status.refused,
        outstanding: status.unsent + status.leaving,
        lag_seconds: status.lag.as_ref().map(Duration::as_secs_f64),
    };
    ResourceType::ALL.into_iter().filter_map(of).map(report).collect()
}

fn refusals(session: &Server, now: Instant) -> Vec<NodeRefusal> {
    let has_refused = |resource_type: &ResourceType| {
        let status = session.type_status(*resource_type, now);
        status.is_some_and(|status| status.refused > 0)
    };
    let of = |resource_type: ResourceType| {
        session.statuses(resource_type, now).filter_map(move |status| {
            let refused = status.refused?;
            Some(NodeRefusal {
                resource_type: resource_type.name(),
                name: status.name.to_string(),
                version: refused.version.to_string(),
                effective: status.acknowledged.map(|version| version.to_string()),
                reason: refused.reason.to_string(),
                age_seconds: now.saturating_duration_since(refused.since).as_secs_f64(),
            })
        })
    };
    let types = ResourceType::ALL.into_iter().filter(has_refused);
    types.flat_map(of).take(REFUSALS_MAX).collect()
}

fn now_seconds() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Fleet;

    fn enter(fleet: &Arc<Fleet>, service: &str, owner: &str) -> Result<Registration, NodeTaken> {
        let claim = NodeClaim {
            node: "node-1".to_owned(),
            service: service.to_owned(),
        };
        let owner = Principal::Token(owner.to_owned());
        let register = fleet.register();
        register.enter(Arc::clone(fleet), &claim, &owner, Agent::Envoy, "1", None)
    }

    #[test]
    fn an_id_is_of_one_node_as_long_as_that_is_there() {
        let fleet = Arc::new(Fleet::new());
        let first = enter(&fleet, "shop/web", "web").unwrap();
        for (service, owner) in [
            ("shop/catalog", "catalog"),
            ("shop/catalog", "web"),
            ("shop/web", "other"),
        ] {
            assert_eq!(
                enter(&fleet, service, owner).unwrap_err(),
                NodeTaken,
                "{service} {owner}"
            );
        }
        let status = || fleet.register().find("node-1").unwrap();
        assert_eq!(
            (status().service.as_str(), status().connected),
            ("shop/web", true)
        );
        let again =
            enter(&fleet, "shop/web", "web").expect("a node that reconnects has two streams for a moment");
        drop(first);
        assert!(enter(&fleet, "shop/catalog", "catalog").is_err());
        drop(again);
        assert!(!status().connected);
        let _other = enter(&fleet, "shop/catalog", "catalog").expect("the first has gone");
        assert_eq!(
            (status().service.as_str(), status().in_force),
            ("shop/catalog", None)
        );
    }
}
