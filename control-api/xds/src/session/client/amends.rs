//! A second thought: what was taken turns out not to go together with what came later, or what was refused does after all.
//!
//! The protocol has no message for it. The latest response of the type is answered once more: by a refusal that names all
//! that is refused now, or by an acknowledgement if nothing is. Servers that look at no more than the version and the nonce
//! see nothing new in it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::super::{Refusal, Request, Variant};
use super::conversation::Conversation;
use crate::resource::Resource;

/// What this stream has to be told once more.
#[derive(Debug, Default)]
pub(super) struct Amends {
    is_due: bool,
    /// Refused after they had been acknowledged.
    late: BTreeSet<Arc<str>>,
}

impl Conversation {
    /// What was taken is refused after all; `good` is in force in its place.
    pub(super) fn refuse_late(
        &mut self,
        refused: &Resource,
        reason: &str,
        good: Option<Resource>,
        now: Instant,
    ) {
        let Some(entry) = self.entries.get_mut(refused.name()) else {
            return;
        };
        // Otherwise it has been answered for already, or something else came.
        let is_taken = entry
            .accepted
            .as_ref()
            .is_some_and(|held| held.body() == refused.body());
        if !is_taken || entry.offered.is_some() || entry.is_leaving {
            return;
        }
        entry.refuse(Arc::clone(refused.version()), reason, now);
        entry.rejected = std::mem::replace(&mut entry.accepted, good);
        let name = Arc::clone(refused.name());
        self.amends.late.insert(name);
        self.amends.is_due = true;
        self.is_beyond_version = true;
    }

    /// What was refused is taken after all. False if it was not refused, or in another version.
    pub(super) fn accept_late(&mut self, taken: &Resource, now: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(taken.name()) else {
            return false;
        };
        let is_refused = entry
            .rejected
            .as_ref()
            .is_some_and(|rejected| rejected.body() == taken.body());
        if !is_refused || entry.refused.is_none() || entry.offered.is_some() || entry.is_leaving {
            return false;
        }
        entry.accept(taken.clone(), now);
        self.amends.late.remove(taken.name());
        self.amends.is_due = true;
        true
    }

    /// The names of what is refused and could be read.
    pub(super) fn rejected(&self) -> impl Iterator<Item = &Arc<str>> {
        let rejected = self.entries.iter().filter(|(_, entry)| entry.rejected.is_some());
        rejected.map(|(name, _)| name)
    }

    /// A request that only tells a subscription bears the latest nonce, too, in the state of the world: what was told once
    /// more is told again after it.
    pub(super) fn told_subscription(&mut self, variant: Variant) {
        self.amends.is_due |= variant == Variant::StateOfTheWorld && !self.amends.late.is_empty();
    }

    /// The latest response is answered once more.
    pub(super) fn amend(&mut self, variant: Variant) -> Option<Request> {
        if !self.amends.is_due || !self.told.is_settled() || self.is_undecided() {
            return None;
        }
        self.amends.is_due = false;
        let refusals: Vec<Refusal> = self
            .entries
            .iter()
            .filter_map(|(name, entry)| {
                let reason = entry.refused.as_ref()?.reason.to_string();
                Some(Refusal {
                    name: name.to_string(),
                    reason,
                })
            })
            .collect();
        self.told.answer_again(&refusals);
        self.answer(variant)
    }
}
