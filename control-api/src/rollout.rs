//! Rollouts: a revision is given to nodes in stages, and goes back by itself if any of them refuses it.
//!
//! A [`Rollout`] is what is decided: of which revision, over which that everybody has, how far, and why it stands where
//! it stands. How it goes on is pure (`machine`: what was seen or told, and the time, are passed in). It lies in the store
//! (`kept`), changed only by whoever saw its last version, each step with its audit entry; so any replica takes the next
//! step, and one that starts goes on where it was. The [`Driver`] looks at nodes, takes steps, and brings the fleet's plan
//! to what is decided.
//!
//! The current revision of the store may be one that was rolled back: it stays current, since its documents are what the
//! next change is made of, and [`Rollout::stable`] says what is in force instead.

mod drive;
mod kept;
mod machine;
mod metrics;
mod observe;
mod stages;
mod verdict;

pub use drive::{Driver, DriverOptions, Turned};
pub use kept::{CommandError, Kept, command, survey, wish};
pub use machine::{Command, Disobeyed, Transition};
pub use metrics::RolloutMetrics;
pub use stages::{Pause, SETTLE_TIMEOUT, STAGES_MAX, Stage, Terms};
pub use verdict::{Judgement, NodeRefused, Observation, Settling, Tally, Verdict};

use crate::fleet::Selection;
use crate::store::Moment;
use serde::{Deserialize, Serialize};

/// Whom the audit log names for what the server does by itself.
pub const BY_ITSELF: &str = "outrigger-control";

/// How far a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nodes of the stage are being brought to the revision.
    Advancing,
    /// All of them have it; the stage's pause passes.
    Staged,
    /// It stays where it is until somebody tells it otherwise.
    Held,
    /// Everybody has it.
    Done,
    /// Nobody has it: all are told the stable revision again.
    RolledBack,
}

impl State {
    /// Nothing follows.
    pub fn is_final(self) -> bool {
        matches!(self, State::Done | State::RolledBack)
    }

    /// As it is shown.
    pub fn word(self) -> &'static str {
        match self {
            State::Advancing => "advancing",
            State::Staged => "staged",
            State::Held => "held",
            State::Done => "done",
            State::RolledBack => "rolled_back",
        }
    }
}

/// A release of a revision in stages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// What is released.
    pub revision: u64,
    /// What everybody else has, and all go back to; the revision itself once it is done.
    pub stable: u64,
    /// Its stages and bounds.
    pub terms: Terms,
    /// The place of the present stage in them, from 0.
    pub stage: usize,
    /// How far it is.
    pub state: State,
    /// Since when it is so.
    pub since: Moment,
    /// Who brought it there.
    pub by: String,
    /// Why.
    pub why: String,
    /// Who refused it, of a rollout that was rolled back; some of them, if they are many.
    pub refusals: Vec<NodeRefused>,
}

impl Rollout {
    /// A rollout at its first stage.
    pub fn begin(revision: u64, stable: u64, terms: Terms, now: Moment) -> Rollout {
        Rollout {
            revision,
            stable,
            terms,
            stage: 0,
            state: State::Advancing,
            since: now,
            by: BY_ITSELF.to_owned(),
            why: "the revision became current".to_owned(),
            refusals: Vec::new(),
        }
    }

    /// A revision that is given to everybody at once.
    pub fn at_once(revision: u64, now: Moment) -> Rollout {
        Rollout {
            state: State::Done,
            ..Rollout::begin(revision, revision, Terms::at_once(), now)
        }
    }

    /// What everybody has who is not chosen.
    pub fn in_force(&self) -> u64 {
        match self.state {
            State::Done => self.revision,
            _ => self.stable,
        }
    }

    /// Who is chosen for the revision now: all stages so far together, so that nobody is taken back by a next stage.
    /// None: there is nothing to choose, as it is final.
    pub fn chosen(&self) -> Option<Vec<Selection>> {
        let stages = self.terms.stages().iter().take(self.stage + 1);
        (!self.state.is_final()).then(|| stages.map(|stage| stage.selection.clone()).collect())
    }

    /// The present stage.
    pub fn at(&self) -> &Stage {
        let stages = self.terms.stages();
        stages.get(self.stage).unwrap_or_else(|| self.terms.last())
    }

    /// Nothing follows the present stage.
    pub fn is_last(&self) -> bool {
        self.stage + 1 >= self.terms.stages().len()
    }
}

#[cfg(test)]
mod tests;
