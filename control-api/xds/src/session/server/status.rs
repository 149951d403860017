//! What a session can say about its node.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::View;
use super::conversation::{Conversation, Track};
use crate::resource::ResourceType;

/// How far a node is on its way to its view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Something is to be sent, or to be answered, or nothing was ever asked for.
    Underway,
    /// All is answered, and something was refused. Removals may be held back because of it.
    Refused,
    /// The node has taken all of its view that it asks for.
    Settled,
}

impl Progress {
    /// Whether the node has taken all of it.
    #[must_use]
    pub fn is_settled(self) -> bool {
        self == Self::Settled
    }
}

/// A version that the node refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The version.
    pub version: Arc<str>,
    /// Why, as the node says.
    pub reason: Arc<str>,
    /// Since when the node took no version that it was sent.
    pub since: Instant,
    /// When it refused this one.
    pub at: Instant,
}

/// One resource of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceStatus {
    /// The name.
    pub name: Arc<str>,
    /// Whether the node wants it by name, not only by the wildcard.
    pub is_named: bool,
    /// The version that it is to have; none if it is to have none.
    pub current: Option<Arc<str>>,
    /// The version that it was sent on this stream, or says that it has, and when.
    pub sent: Option<(Arc<str>, Instant)>,
    /// The version that it took last: the effective one.
    pub acknowledged: Option<Arc<str>>,
    /// The version that it refused later.
    pub refused: Option<Refused>,
    /// For how long the effective version has not been the current one.
    pub lag: Option<Duration>,
}

/// One type of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeStatus {
    /// The type.
    pub resource_type: ResourceType,
    /// Whether the node wants everything.
    pub is_wildcard: bool,
    /// How many it wants by name.
    pub named: usize,
    /// How many it was sent, or says that it has.
    pub sent: usize,
    /// How many of them it took.
    pub acknowledged: usize,
    /// How many it refused.
    pub refused: usize,
    /// How many are still to be sent.
    pub unsent: usize,
    /// How many are still to be removed: they wait for what may refer to them.
    pub leaving: usize,
    /// Whether a response is unanswered.
    pub is_unanswered: bool,
    /// The longest lag of any resource.
    pub lag: Option<Duration>,
}

pub(super) fn progress(conversations: &[Conversation]) -> Progress {
    let mut open = conversations
        .iter()
        .filter(|conversation| conversation.is_open())
        .peekable();
    if open.peek().is_none() {
        return Progress::Underway;
    }
    let mut progress = Progress::Settled;
    for conversation in open {
        if conversation.is_underway() {
            return Progress::Underway;
        }
        if !conversation.refusals.is_empty() {
            progress = Progress::Refused;
        } else if !conversation.leaving.is_empty() && progress == Progress::Settled {
            progress = Progress::Underway;
        }
    }
    progress
}

impl Conversation {
    pub(super) fn statuses<'a>(
        &'a self,
        view: &'a View,
        now: Instant,
    ) -> impl Iterator<Item = ResourceStatus> + 'a {
        let unsent = self.puts.keys().filter(|name| !self.tracks.contains_key(*name));
        let tracked = self
            .tracks
            .iter()
            .map(move |(name, track)| self.status_of(view, name, track, now));
        tracked.chain(unsent.map(move |name| self.status_of(view, name, &Track::default(), now)))
    }

    pub(super) fn status(&self, view: &View, name: &str, now: Instant) -> Option<ResourceStatus> {
        if let Some((name, track)) = self.tracks.get_key_value(name) {
            return Some(self.status_of(view, name, track, now));
        }
        let (name, _) = self.puts.get_key_value(name)?;
        Some(self.status_of(view, name, &Track::default(), now))
    }

    fn status_of(&self, view: &View, name: &Arc<str>, track: &Track, now: Instant) -> ResourceStatus {
        let wanted = view
            .of(self.resource_type)
            .find(name)
            .filter(|_| self.interest.wants(name));
        ResourceStatus {
            name: Arc::clone(name),
            is_named: self.interest.names.contains(name),
            current: wanted.map(|resource| Arc::clone(resource.version())),
            sent: track
                .sent
                .as_ref()
                .map(|sent| (Arc::clone(&sent.version), sent.at)),
            acknowledged: track.acknowledged.clone(),
            refused: self.refusals.get(name).cloned(),
            lag: self
                .behind_since(name, track)
                .map(|since| now.saturating_duration_since(since)),
        }
    }

    /// Since when the node has not had what it is to have of a resource.
    fn behind_since(&self, name: &Arc<str>, track: &Track) -> Option<Instant> {
        let unsent = self.puts.get(name).map(|wanted| wanted.since);
        let leaving = self.leaving.get(name).copied();
        let refused = self.refusals.get(name).map(|refused| refused.since);
        let unanswered = track
            .sent
            .as_ref()
            .filter(|sent| track.acknowledged.as_ref() != Some(&sent.version));
        [unsent, leaving, refused, unanswered.map(|sent| sent.since)]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn type_status(&self, now: Instant) -> TypeStatus {
        let is_taken = |track: &&Track| {
            track
                .sent
                .as_ref()
                .is_some_and(|sent| track.acknowledged.as_ref() == Some(&sent.version))
        };
        let behind = self
            .tracks
            .iter()
            .filter_map(|(name, track)| self.behind_since(name, track));
        let since = behind.chain(self.puts.values().map(|wanted| wanted.since)).min();
        TypeStatus {
            resource_type: self.resource_type,
            is_wildcard: self.interest.wildcard,
            named: self.interest.names.len(),
            sent: self.tracks.values().filter(|track| track.sent.is_some()).count(),
            acknowledged: self.tracks.values().filter(is_taken).count(),
            refused: self.refusals.len(),
            unsent: self.puts.len(),
            leaving: self.leaving.len(),
            is_unanswered: self.outstanding.is_some(),
            lag: since.map(|since| now.saturating_duration_since(since)),
        }
    }
}
