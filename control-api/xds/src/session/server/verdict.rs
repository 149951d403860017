//! What the client says of a response: what it took, what it refused, and on second thoughts.

use std::sync::Arc;
use std::time::Instant;

use super::super::{Refusal, View};
use super::ask;
use super::conversation::{Conversation, Wanted};
use super::{Heard, Refused};

impl Conversation {
    /// The latest response is answered once more: the client had a second thought about what it was sent with it or
    /// before, and names all that it refuses now. In the state of the world a request without an error may only tell a
    /// subscription: it takes back no more than what was refused in this way.
    pub(super) fn answered_again(
        &mut self,
        error: Option<ask::Refused>,
        is_whole: bool,
        heard: &mut Heard,
        now: Instant,
    ) {
        let is_explicit = error.is_some() || !is_whole;
        let named = error.map(ask::Refused::into_named).unwrap_or_default();
        let is_taken =
            |name: &Arc<str>| !named.contains_key(name) && (is_explicit || self.late.contains(name));
        let taken: Vec<Arc<str>> = self
            .refusals
            .keys()
            .filter(|name| is_taken(name))
            .cloned()
            .collect();
        for name in taken {
            self.refusals.remove(&name);
            self.late.remove(&name);
            if let Some(track) = self.tracks.get_mut(&name) {
                track.acknowledged = track.sent.as_ref().map(|sent| Arc::clone(&sent.version));
            }
            heard.acknowledged += 1;
        }
        for (name, reason) in named {
            let Some(track) = self
                .tracks
                .get_mut(&name)
                .filter(|_| !self.refusals.contains_key(&name))
            else {
                continue;
            };
            let Some(sent) = &track.sent else { continue };
            // What is in force in its place is not known here.
            track.acknowledged = None;
            heard.refused.push(Refusal {
                name: name.to_string(),
                reason: reason.to_string(),
            });
            self.late.insert(Arc::clone(&name));
            let refused = Refused {
                version: Arc::clone(&sent.version),
                reason,
                since: now,
                at: now,
            };
            self.refusals.insert(name, refused);
        }
    }

    /// The latest response is answered.
    pub(super) fn answered(
        &mut self,
        error: Option<ask::Refused>,
        heard: &mut Heard,
        view: &View,
        now: Instant,
    ) {
        let Some(outstanding) = self.outstanding.take() else {
            return;
        };
        let blamed = error
            .map(|error| error.blame(&outstanding.names))
            .unwrap_or_default();
        for name in outstanding.names {
            let Some(track) = self.tracks.get_mut(&name) else {
                continue;
            };
            let Some(sent) = &track.sent else { continue };
            let Some(reason) = blamed.get(&name) else {
                track.acknowledged = Some(Arc::clone(&sent.version));
                self.refusals.remove(&name);
                self.late.remove(&name);
                heard.acknowledged += 1;
                continue;
            };
            heard.refused.push(Refusal {
                name: name.to_string(),
                reason: reason.to_string(),
            });
            if outstanding.beats.contains(&name) {
                // The client no longer has what was to be prolonged.
                track.sent = None;
                track.acknowledged = None;
                self.mark(
                    view,
                    name,
                    Wanted {
                        since: now,
                        is_forced: true,
                    },
                );
            } else {
                let since = self.refusals.get(&name).map_or(now, |refused| refused.since);
                let version = Arc::clone(&sent.version);
                self.refusals.insert(
                    name,
                    Refused {
                        version,
                        reason: Arc::clone(reason),
                        since,
                        at: now,
                    },
                );
            }
        }
    }
}
