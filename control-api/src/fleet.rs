//! The fleet: which revision of the mesh each node is to have, and how each stands.
//!
//! A [`Plan`] says which revision is whose; it is published whole, and streams that see another plan bring their node to
//! its view. What nodes say is kept in a [`Register`], from which status is read. Nothing here speaks to nodes:
//! [`crate::ads`] does, nor to a store: [`follow`] does.

mod belief;
pub mod follow;
mod loading;
mod plan;
mod receipt;
mod register;
mod revision;

pub use belief::{Belief, RETURN_WITHIN, Reporting};
pub use loading::Unloadable;
pub use plan::{Freshness, Plan, Release, Selection};
pub use receipt::{NodeReceipt, NodeRemark};
pub use register::{
    NodeRefusal, NodeReported, NodeStatus, NodeTaken, REPORT_INTERVAL, Register, Registration, ReportRefused,
    TypeReport,
};
#[cfg(test)]
pub(crate) use revision::revision_of;
pub use revision::{Agent, MeshRevision, NodeView, TRUST_BUNDLE};

use outrigger_config::model::SpiffeId;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;

use crate::access::NodeClaim;

/// The fleet of one mesh.
#[derive(Debug)]
pub struct Fleet {
    plan: watch::Sender<Arc<Plan>>,
    register: Register,
    waiting: loading::Waiting,
    started: Instant,
}

impl Fleet {
    /// A fleet without nodes, for a mesh of which nothing was read yet ([`Freshness::Unread`]).
    pub fn new() -> Fleet {
        Fleet::since(Instant::now())
    }

    /// The same, of which nodes can have known since `started`.
    pub fn since(started: Instant) -> Fleet {
        Fleet {
            plan: watch::Sender::new(Arc::new(Plan::default())),
            register: Register::default(),
            waiting: loading::Waiting::default(),
            started,
        }
    }

    /// Which revision is whose now.
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan.borrow())
    }

    /// Tells of each other plan.
    pub fn plans(&self) -> watch::Receiver<Arc<Plan>> {
        self.plan.subscribe()
    }

    /// Changes who is to have what; `change` makes the next plan of the present one.
    pub fn replan(&self, change: impl FnOnce(&Plan) -> Plan) {
        self.plan.send_modify(|plan| {
            *plan = Arc::new(change(plan));
            self.waiting.settle(plan);
        });
    }

    /// How nodes stand.
    pub fn register(&self) -> &Register {
        &self.register
    }

    /// Whether an identity may be a node of what it claims: the mesh's documents say whose identity it is.
    ///
    /// # Errors
    /// The reason why not.
    pub fn allows(&self, id: &SpiffeId, claim: &NodeClaim) -> Result<(), String> {
        let plan = self.plan();
        let identities = plan
            .of(&claim.node, &claim.service)
            .mesh()
            .identities_of(&claim.service);
        match identities.iter().any(|own| *own == id.to_string()) {
            true => Ok(()),
            false if identities.is_empty() => Err(format!(
                "the mesh has no service or gateway `{}` with an identity",
                claim.service
            )),
            false => Err(format!("{id} is not the identity of `{}`", claim.service)),
        }
    }
}

impl Default for Fleet {
    fn default() -> Fleet {
        Fleet::new()
    }
}
