//! What was unsubscribed from in the state of the world, and may be wanted again before the server has noticed.
//!
//! A list that is overtaken by a response is never looked at. So a name that is left out of one list and stands in the
//! next may never have been missing for the server, and then the server does not send the resource again. For a while
//! the client therefore keeps what it has of such a name, and hands it out once more itself. If the server did notice,
//! it sends the resource too. Delta has no such gap: there a name that is asked for again is answered again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::conversation::{Conversation, Unsettled};
use super::{Received, Token, UNSETTLED_MAX};
use crate::resource::Resource;

/// How long a resource is kept after it was unsubscribed from: as long as an answer may take.
const KEPT_FOR: Duration = super::ABSENT_AFTER;

/// How many resources of one type are kept so; more are not kept at all.
const KEPT_MAX: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Lapsed {
    kept: BTreeMap<Arc<str>, Kept>,
    /// Wanted again, and not yet handed out.
    due: Vec<(Resource, Option<Instant>)>,
}

#[derive(Debug)]
struct Kept {
    /// None if nothing had come; it may be under way.
    resource: Option<(Resource, Option<Instant>)>,
    since: Instant,
}

impl Lapsed {
    /// Keeps what a name had when it was unsubscribed from, and when its lifetime is over.
    pub(super) fn keep(
        &mut self,
        name: &Arc<str>,
        resource: Option<(Resource, Option<Instant>)>,
        now: Instant,
    ) {
        self.kept
            .retain(|_, kept| now.saturating_duration_since(kept.since) < KEPT_FOR);
        if self.kept.len() < KEPT_MAX {
            self.kept.insert(Arc::clone(name), Kept { resource, since: now });
        }
    }

    /// The server goes on to send it, since it has not noticed.
    pub(super) fn replace(&mut self, resource: Resource, expires: Option<Instant>) {
        if let Some(kept) = self.kept.get_mut(resource.name()) {
            kept.resource = Some((resource, expires));
        }
    }

    /// A name is wanted again.
    pub(super) fn want(&mut self, name: &str, now: Instant) {
        if let Some(Kept {
            resource: Some((resource, expires)),
            since,
        }) = self.kept.remove(name)
            && now.saturating_duration_since(since) < KEPT_FOR
            && expires.is_none_or(|expires| now < expires)
        {
            self.due.push((resource, expires));
        }
    }

    /// Whether a name is kept.
    pub(super) fn keeps(&self, name: &str) -> bool {
        self.kept.contains_key(name)
    }
}

impl Conversation {
    /// What is wanted again and was kept, as if it came anew; it is settled like a response and not answered.
    pub(super) fn replay(&mut self, sequence: u64) -> Option<Received> {
        if self.lapsed.due.is_empty() || self.unsettled.len() >= UNSETTLED_MAX {
            return None;
        }
        let mut upserts = std::mem::take(&mut self.lapsed.due);
        upserts.retain(|(resource, _)| self.interest.wants(resource.name()));
        for (resource, _) in &upserts {
            if let Some(entry) = self.entries.get_mut(resource.name()) {
                entry.offered = Some(resource.clone());
            }
        }
        let received = Received {
            resource_type: self.resource_type,
            version: Arc::clone(&self.version),
            upserts: upserts.iter().map(|(resource, _)| resource.clone()).collect(),
            removed: Vec::new(),
            malformed: Vec::new(),
            unchanged: 0,
            unasked: 0,
            token: Token {
                resource_type: self.resource_type,
                sequence,
            },
        };
        self.unsettled.push_back(Unsettled {
            sequence,
            stream: self.told.stream,
            nonce: String::new(),
            version: Arc::clone(&self.version),
            upserts,
            removed: Vec::new(),
            malformed: Vec::new(),
        });
        Some(received)
    }
}
