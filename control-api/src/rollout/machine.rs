//! How a rollout goes on. Pure: what is seen, what is told and the time are passed in.
//!
//! | state | seen | told |
//! |---|---|---|
//! | advancing | all settled → staged; too long → held; a refusal → rolled back | advance, hold, roll back |
//! | staged | someone waits → advancing; the pause has passed and the verdict is good → next stage or done; a refusal → rolled back | advance, hold, roll back |
//! | held | a refusal → rolled back | advance, resume, roll back |
//! | done, rolled back | nothing | nothing |

use super::{BY_ITSELF, Judgement, NodeRefused, Observation, Pause, Rollout, State, Verdict};
use crate::audit::action;
use crate::interval;
use crate::store::Moment;
use std::fmt;
use std::str::FromStr;

/// What a person tells a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Go to the next stage now; from the last: be done.
    Advance,
    /// Stay at this stage.
    Hold,
    /// Go on by yourself, after having been held.
    Resume,
    /// Go back.
    RollBack,
}

impl Command {
    /// All of them.
    pub const ALL: [Command; 4] = [
        Command::Advance,
        Command::Hold,
        Command::Resume,
        Command::RollBack,
    ];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Command::Advance => "advance",
            Command::Hold => "hold",
            Command::Resume => "resume",
            Command::RollBack => "rollback",
        }
    }
}

impl FromStr for Command {
    type Err = String;

    fn from_str(text: &str) -> Result<Command, String> {
        let found = Command::ALL.into_iter().find(|command| command.word() == text);
        found.ok_or_else(|| format!("`{text}`; expected `advance`, `hold`, `resume` or `rollback`"))
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A step of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// How it is afterwards; who and why are in it.
    pub next: Rollout,
    /// What the audit log calls it; none: it is not worth an entry.
    pub action: Option<&'static str>,
}

/// Why a rollout does not do as it is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disobeyed {
    /// It is over.
    #[error("the rollout of revision {revision} is over: it is {}", state.word())]
    Over {
        /// Its revision.
        revision: u64,
        /// Its last state.
        state: State,
    },
    /// It is so already, or there is nothing to resume.
    #[error("a rollout that is {} cannot {command}", state.word())]
    Useless {
        /// What was told.
        command: Command,
        /// How it is.
        state: State,
    },
    /// A node has refused the revision: it goes back.
    #[error("{0}: it goes back, and reaches nobody else")]
    Refused(String),
}

impl Rollout {
    /// The step that follows from what is seen; none: it stays as it is.
    pub fn observe(&self, seen: &Observation, verdict: &dyn Verdict, now: Moment) -> Option<Transition> {
        if self.state.is_final() {
            return None;
        }
        if let Some(refusal) = seen.refusals.first() {
            let refused = Rollout {
                refusals: seen.refusals.clone(),
                ..self.clone()
            };
            return Some(refused.roll_back(BY_ITSELF, &because(refusal), now));
        }
        match self.state {
            State::Advancing if seen.is_settled() => {
                let why = format!("{} nodes have it", seen.settled.count);
                Some(self.turn(State::Staged, None, BY_ITSELF, &why, now))
            }
            State::Advancing => {
                let is_late = now >= self.since.after(self.terms.settle_timeout()) && seen.is_complete;
                is_late.then(|| {
                    let why = format!(
                        "{} nodes have not taken it within {}: {}",
                        seen.waiting.count,
                        interval::shown(self.terms.settle_timeout()),
                        seen.waiting.names.join(", "),
                    );
                    self.turn(State::Held, Some(action::ROLLOUT_HELD), BY_ITSELF, &why, now)
                })
            }
            State::Staged if seen.waiting.count > 0 => {
                let why = format!("{} nodes do not have it", seen.waiting.count);
                Some(self.turn(State::Advancing, None, BY_ITSELF, &why, now))
            }
            State::Staged => self.after_pause(seen, verdict, now),
            State::Held | State::Done | State::RolledBack => None,
        }
    }

    /// The step that a person wants.
    ///
    /// # Errors
    /// That it cannot be taken from here.
    pub fn obey(&self, command: Command, by: &str, why: &str, now: Moment) -> Result<Transition, Disobeyed> {
        let state = self.state;
        if state.is_final() {
            let revision = self.revision;
            return Err(Disobeyed::Over { revision, state });
        }
        match (command, state) {
            (Command::Advance, _) => Ok(self.advance(by, why, now)),
            (Command::Hold, State::Advancing | State::Staged) => {
                Ok(self.turn(State::Held, Some(action::ROLLOUT_HELD), by, why, now))
            }
            (Command::Resume, State::Held) => {
                Ok(self.turn(State::Advancing, Some(action::ROLLOUT_RESUMED), by, why, now))
            }
            (Command::RollBack, _) => Ok(self.roll_back(by, why, now)),
            (Command::Hold | Command::Resume, _) => Err(Disobeyed::Useless { command, state }),
        }
    }

    fn after_pause(&self, seen: &Observation, verdict: &dyn Verdict, now: Moment) -> Option<Transition> {
        let Pause::For(pause) = self.at().pause else {
            return None;
        };
        if !seen.is_settled() || now < self.since.after(pause) {
            return None;
        }
        match verdict.judge(self, seen) {
            Judgement::Proceed => {
                let why = format!("{} nodes have it, and nobody refused it", seen.settled.count);
                Some(self.advance(BY_ITSELF, &why, now))
            }
            Judgement::Wait => None,
            Judgement::Hold(why) => {
                Some(self.turn(State::Held, Some(action::ROLLOUT_HELD), BY_ITSELF, &why, now))
            }
            Judgement::RollBack(why) => Some(self.roll_back(BY_ITSELF, &why, now)),
        }
    }

    fn advance(&self, by: &str, why: &str, now: Moment) -> Transition {
        if self.is_last() {
            return self.turn(State::Done, Some(action::ROLLOUT_FINISHED), by, why, now);
        }
        let next = Rollout {
            stage: self.stage + 1,
            ..self.clone()
        };
        next.turn(State::Advancing, Some(action::ROLLOUT_ADVANCED), by, why, now)
    }

    fn roll_back(&self, by: &str, why: &str, now: Moment) -> Transition {
        self.turn(State::RolledBack, Some(action::ROLLOUT_REVERTED), by, why, now)
    }

    fn turn(
        &self,
        state: State,
        action: Option<&'static str>,
        by: &str,
        why: &str,
        now: Moment,
    ) -> Transition {
        let next = Rollout {
            state,
            since: now,
            by: by.to_owned(),
            why: why.to_owned(),
            ..self.clone()
        };
        Transition { next, action }
    }
}

/// A refusal in a line.
pub(super) fn because(refusal: &NodeRefused) -> String {
    let NodeRefused {
        node,
        resource_type,
        name,
        reason,
    } = refusal;
    format!("node `{node}` refused {resource_type} `{name}`: {reason}")
}
