//! What a client can say about its resources.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::conversation::{Conversation, Entry};
use crate::resource::ResourceType;

/// How long after asking for a resource a client takes it for absent if nothing came (xDS protocol, "Knowing When a
/// Requested Resource Does Not Exist": 15 seconds are recommended).
pub const ABSENT_AFTER: Duration = Duration::from_secs(15);

/// Whether a resource is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Asked for, and nothing came yet.
    Requested,
    /// A version of it is in force.
    Held,
    /// The server says that it has none, or nothing came for [`ABSENT_AFTER`]. It may still come at any time.
    Absent,
}

/// A version that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Of the resource; of the response if the resource could not be read.
    pub version: Arc<str>,
    /// Why, cut to [`REASON_BYTES_MAX`](super::REASON_BYTES_MAX).
    pub reason: Arc<str>,
    /// Since when no version that came was taken.
    pub since: Instant,
    /// When this one was refused.
    pub at: Instant,
}

/// One resource as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceState {
    /// The name.
    pub name: Arc<str>,
    /// Whether it is wanted by name, not only by the wildcard.
    pub is_named: bool,
    /// Whether it is there.
    pub presence: Presence,
    /// The version in force: the last good one.
    pub version: Option<Arc<str>>,
    /// Since when that version is in force, or the resource is wanted in vain.
    pub since: Instant,
    /// The later version that was refused.
    pub refused: Option<Refused>,
    /// When its lifetime is over, unless the server prolongs it.
    pub expires: Option<Instant>,
}

/// One type as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeState {
    /// The type.
    pub resource_type: ResourceType,
    /// Whether everything is wanted.
    pub is_wildcard: bool,
    /// How many are wanted by name.
    pub named: usize,
    /// How many are in force.
    pub held: usize,
    /// How many are wanted, and nothing came yet.
    pub requested: usize,
    /// How many are wanted and absent.
    pub absent: usize,
    /// How many have a refused version.
    pub refused: usize,
    /// Since when the longest refused one was not taken.
    pub refused_since: Option<Instant>,
    /// How many responses the owner has not settled.
    pub unsettled: usize,
    /// Of the last response that was taken as a whole.
    pub version: Arc<str>,
    /// Whether the stream at hand has brought anything of this type.
    pub is_answered: bool,
}

impl Conversation {
    pub(super) fn state(&self, name: &str, now: Instant) -> Option<ResourceState> {
        let (name, entry) = self.entries.get_key_value(name)?;
        Some(self.state_of(name, entry, now))
    }

    pub(super) fn states(&self, now: Instant) -> impl Iterator<Item = ResourceState> + '_ {
        self.entries
            .iter()
            .map(move |(name, entry)| self.state_of(name, entry, now))
    }

    fn state_of(&self, name: &Arc<str>, entry: &Entry, now: Instant) -> ResourceState {
        ResourceState {
            name: Arc::clone(name),
            is_named: self.interest.names.contains(name),
            presence: entry.presence(now),
            version: entry
                .accepted
                .as_ref()
                .map(|resource| Arc::clone(resource.version())),
            since: entry.since,
            refused: entry.refused.clone(),
            expires: entry.expires,
        }
    }

    pub(super) fn type_state(&self, now: Instant) -> TypeState {
        let count = |presence| {
            self.entries
                .values()
                .filter(|entry| entry.presence(now) == presence)
                .count()
        };
        let refusals = || self.entries.values().filter_map(|entry| entry.refused.as_ref());
        TypeState {
            resource_type: self.resource_type,
            is_wildcard: self.interest.wildcard,
            named: self.interest.names.len(),
            held: count(Presence::Held),
            requested: count(Presence::Requested),
            absent: count(Presence::Absent),
            refused: refusals().count(),
            refused_since: refusals().map(|refused| refused.since).min(),
            unsettled: self.unsettled.len(),
            version: Arc::clone(&self.version),
            is_answered: self.told.is_answered,
        }
    }
}

impl Entry {
    fn presence(&self, now: Instant) -> Presence {
        if self.accepted.is_some() {
            Presence::Held
        } else if self.is_absent || now.saturating_duration_since(self.since) >= ABSENT_AFTER {
            Presence::Absent
        } else {
            Presence::Requested
        }
    }
}
