//! What was seen of the nodes of a rollout, and whether it may go on.

use super::Rollout;
use serde::{Deserialize, Serialize};

/// Names of nodes, and refusals, that are kept of each kind; the others are counted.
pub(super) const NAMES_MAX: usize = 20;

/// Nodes that were counted, some of them by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// How many.
    pub count: usize,
    /// Some of them.
    pub names: Vec<String>,
}

impl Tally {
    /// One more.
    pub fn add(&mut self, name: &str) {
        self.count += 1;
        if self.names.len() < NAMES_MAX {
            self.names.push(name.to_owned());
        }
    }

    fn merge(&mut self, other: &Tally) {
        self.count += other.count;
        let room = NAMES_MAX.saturating_sub(self.names.len());
        self.names.extend(other.names.iter().take(room).cloned());
    }
}

/// A node that refused the revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeRefused {
    /// The node.
    pub node: String,
    /// The type of what it refused.
    pub resource_type: String,
    /// The name of what it refused.
    pub name: String,
    /// Why, as the node says.
    pub reason: String,
}

/// How the nodes stand that are chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// Those that have the revision.
    pub settled: Tally,
    /// Those that are connected and have not, yet.
    pub waiting: Tally,
    /// Those that refused something of it: each once, and not all if they are many.
    pub refusals: Vec<NodeRefused>,
    /// Every replica has told of its nodes, and had the time to meet them.
    pub is_complete: bool,
}

impl Observation {
    /// With another replica's.
    pub fn merge(&mut self, other: &Observation) {
        let Observation {
            settled,
            waiting,
            refusals,
            is_complete,
        } = other;
        self.settled.merge(settled);
        self.waiting.merge(waiting);
        let room = NAMES_MAX.saturating_sub(self.refusals.len());
        self.refusals.extend(refusals.iter().take(room).cloned());
        self.is_complete &= is_complete;
    }

    /// Everybody who is chosen has it, as far as can be known.
    pub fn is_settled(&self) -> bool {
        self.is_complete && self.waiting.count == 0 && self.refusals.is_empty()
    }
}

/// Whether a rollout may go on from a stage that has stood its pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It may.
    Proceed,
    /// Not yet.
    Wait,
    /// Not until a person has looked at it, for this reason.
    Hold(String),
    /// It is bad, for this reason.
    RollBack(String),
}

/// Is asked before each step to a next stage, and before the last stage is done. Whatever it says, a refusal rolls back
/// and a node that waits is waited for; so it may look at error rates alone.
pub trait Verdict: Send + Sync {
    /// Judges.
    fn judge(&self, rollout: &Rollout, seen: &Observation) -> Judgement;
}

/// By refusals and settling alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settling;

impl Verdict for Settling {
    fn judge(&self, _: &Rollout, seen: &Observation) -> Judgement {
        match seen.is_settled() {
            true => Judgement::Proceed,
            false => Judgement::Wait,
        }
    }
}
