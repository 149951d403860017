//! What becomes of a response once its owner has decided.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::super::Refusal;
use super::conversation::{Conversation, Entry, Unsettled};
use super::requests::cut;
use super::{REASON_BYTES_MAX, Refused, SettleError, Settled};
use crate::resource::{RESOURCES_MAX, Resource};

impl Conversation {
    pub(super) fn settle(
        &mut self,
        sequence: u64,
        refused: Vec<Refusal>,
        now: Instant,
    ) -> Result<Settled, SettleError> {
        self.latest = Some(now);
        let is_waiting = |unsettled: &Unsettled| unsettled.sequence == sequence;
        if !self.unsettled.iter().any(is_waiting) {
            return Err(SettleError::Unknown(self.resource_type));
        }
        let Some(unsettled) = self.unsettled.pop_front_if(|earliest| is_waiting(earliest)) else {
            return Err(SettleError::OutOfOrder(self.resource_type));
        };
        let mut refusals = unsettled.malformed;
        refusals.extend(refused);
        let mut reasons: BTreeMap<&str, &str> = refusals
            .iter()
            .map(|refusal| (refusal.name.as_str(), refusal.reason.as_str()))
            .collect();
        let mut settled = Settled {
            accepted: 0,
            refused: refusals.len(),
        };
        for (resource, expires) in unsettled.upserts {
            let name = Arc::clone(resource.name());
            if !self.interest.wants(&name) {
                continue;
            }
            let reason = reasons.remove(&*name);
            let entry = self
                .entries
                .entry(Arc::clone(&name))
                .or_insert_with(|| Entry::wanted(now));
            entry.offered = entry
                .offered
                .take()
                .filter(|offered| !offered.is_shared_with(&resource));
            if let Some(reason) = reason {
                entry.refuse(Arc::clone(resource.version()), reason, now);
                entry.rejected = Some(resource);
                continue;
            }
            entry.accept(resource, now);
            self.expire_at(&name, expires);
            settled.accepted += 1;
        }
        for (name, reason) in reasons {
            // What could not be read, or is refused for the sake of something else; a place is not a name.
            let is_room = self.entries.len() < RESOURCES_MAX;
            if self.entries.contains_key(name)
                || (is_room && !name.starts_with('#') && self.interest.wants(name))
            {
                let entry = self
                    .entries
                    .entry(name.into())
                    .or_insert_with(|| Entry::wanted(now));
                entry.refuse(Arc::clone(&unsettled.version), reason, now);
            }
        }
        for name in &unsettled.removed {
            self.settle_removal(name, now);
        }
        self.is_beyond_version |= settled.accepted > 0 || !unsettled.removed.is_empty();
        // What was handed out once more is no response.
        if unsettled.stream == self.told.stream && !unsettled.nonce.is_empty() {
            if refusals.is_empty() {
                self.version = unsettled.version;
                self.is_beyond_version = false;
                self.told.acknowledge(unsettled.nonce);
            } else {
                self.told.refuse(unsettled.nonce, &refusals);
            }
        }
        Ok(settled)
    }

    fn settle_removal(&mut self, name: &Arc<str>, now: Instant) {
        self.expire_at(name, None);
        if let Some(entry) = self.entries.get_mut(name) {
            // It may have been offered anew meanwhile.
            let offered = entry.offered.take();
            *entry = Entry {
                is_absent: offered.is_none(),
                offered,
                ..Entry::wanted(now)
            };
        }
        self.tidy(name);
    }
}

impl Entry {
    pub(super) fn accept(&mut self, resource: Resource, now: Instant) {
        self.accepted = Some(resource);
        self.refused = None;
        self.rejected = None;
        self.since = now;
        self.is_absent = false;
        self.is_foreign = false;
    }

    pub(super) fn refuse(&mut self, version: Arc<str>, reason: &str, now: Instant) {
        let since = self.refused.as_ref().map_or(now, |refused| refused.since);
        let reason = cut(reason, REASON_BYTES_MAX).into();
        self.refused = Some(Refused {
            version,
            reason,
            since,
            at: now,
        });
        self.is_absent = false;
    }
}
