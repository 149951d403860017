//! What the server knows of one type: wanted by the client, sent to it, taken by it, and still to be sent.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use super::super::interest::{Interest, Turn};
use super::super::{View, WILDCARD};
use super::ask::{Ask, Names};
use super::{Heard, Refused, Violation};
use crate::resource::{RESOURCES_MAX, Resource, ResourceType};

#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) resource_type: ResourceType,
    pub(super) interest: Interest,
    is_open: bool,
    /// A request named something, so that an empty list no longer means everything.
    is_explicit: bool,
    /// What was sent, or is wanted by name.
    pub(super) tracks: BTreeMap<Arc<str>, Track>,
    /// To be sent, or to be told as absent.
    pub(super) puts: BTreeMap<Arc<str>, Wanted>,
    /// Sent and no more in the view, since when.
    pub(super) leaving: BTreeMap<Arc<str>, Instant>,
    /// What the client took the earlier version of, and not this one.
    pub(super) refusals: BTreeMap<Arc<str>, Refused>,
    /// Those of them that it had taken before.
    pub(super) late: BTreeSet<Arc<str>>,
    /// When anything last came to be sent, to be removed or to be answered.
    pub(super) touched: Option<Instant>,
    /// An answer is waited for even if it is empty, since when.
    pub(super) answer_due: Option<Instant>,
    pub(super) outstanding: Option<Outstanding>,
    /// Of the latest response.
    pub(super) nonce: String,
    /// When the lifetimes of what was sent are to be prolonged.
    pub(super) beats: BTreeSet<(Instant, Arc<str>)>,
    /// Names to be sent again although the client may say that it has them, from before it asked for any.
    warming: BTreeSet<Arc<str>>,
}

/// One resource.
#[derive(Debug, Default)]
pub(super) struct Track {
    pub(super) sent: Option<Sent>,
    pub(super) acknowledged: Option<Arc<str>>,
    /// When its lifetime is to be prolonged.
    pub(super) beat: Option<Instant>,
}

/// What the client was sent last, or says that it has.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) version: Arc<str>,
    /// None for a version that is unknown here.
    pub(super) resource: Option<Resource>,
    pub(super) at: Instant,
    /// When it had come to be sent.
    pub(super) since: Instant,
}

/// Something to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) since: Instant,
    /// It is to be answered even if the client should have it, or there is none.
    pub(super) is_forced: bool,
}

/// A response that is not answered.
#[derive(Debug)]
pub(super) struct Outstanding {
    /// When the oldest thing in it had come to be sent.
    pub(super) since: Instant,
    /// Something in it was asked for, or is waited for by the client.
    pub(super) is_forced: bool,
    /// The names in it, in its order, without those removed.
    pub(super) names: Vec<Arc<str>>,
    /// Those of them that came without a body.
    pub(super) beats: BTreeSet<Arc<str>>,
}

impl Conversation {
    pub(super) fn new(resource_type: ResourceType) -> Self {
        Self {
            resource_type,
            interest: Interest::default(),
            is_open: false,
            is_explicit: false,
            tracks: BTreeMap::new(),
            puts: BTreeMap::new(),
            leaving: BTreeMap::new(),
            refusals: BTreeMap::new(),
            late: BTreeSet::new(),
            touched: None,
            answer_due: None,
            outstanding: None,
            nonce: String::new(),
            beats: BTreeSet::new(),
            warming: BTreeSet::new(),
        }
    }

    pub(super) fn resource_type(&self) -> ResourceType {
        self.resource_type
    }

    /// Whether the client has ever asked for this type.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether something is to be sent or answered.
    pub(super) fn is_underway(&self) -> bool {
        !self.puts.is_empty() || self.outstanding.is_some() || self.answer_due.is_some()
    }

    /// Whether the client has just what it is to have: then nothing that it has refers to anything else.
    pub(super) fn is_quiet(&self) -> bool {
        !self.is_underway() && self.leaving.is_empty() && self.refusals.is_empty()
    }

    pub(super) fn view_changed(&mut self, view: &View, name: Arc<str>, now: Instant) {
        if self.interest.wants(&name) || self.tracks.contains_key(&name) {
            self.mark(
                view,
                name,
                Wanted {
                    since: now,
                    is_forced: false,
                },
            );
        }
    }

    /// Sends a resource again that the client waits for, though it has not changed.
    pub(super) fn send_again(&mut self, view: &View, name: &str, since: Instant) {
        if !self.is_open {
            if self.warming.len() < RESOURCES_MAX {
                self.warming.insert(name.into());
            }
        } else if let Some((name, track)) = self.tracks.get_key_value(name)
            && track.sent.is_some()
        {
            self.mark(
                view,
                Arc::clone(name),
                Wanted {
                    since,
                    is_forced: true,
                },
            );
        }
    }

    pub(super) fn receive(&mut self, ask: Ask, view: &View, now: Instant) -> Result<Heard, Violation> {
        let mut heard = Heard {
            resource_type: Some(self.resource_type),
            ..Heard::default()
        };
        let is_first = !std::mem::replace(&mut self.is_open, true);
        let is_whole = matches!(ask.names, Names::Whole { .. });
        let is_latest = ask.nonce == self.nonce;
        if is_whole && !is_first && !is_latest {
            // A request that answers an older response is overtaken: the answer to the latest tells all of it again
            // (xDS protocol, "Resource updates").
            heard.is_stale = true;
            if let Some(outstanding) = &mut self.outstanding {
                // What it asks for is known when that is answered.
                outstanding.is_forced = true;
            }
            return Ok(heard);
        }
        if !ask.nonce.is_empty() && is_latest {
            match self.outstanding.is_some() {
                true => self.answered(ask.error, &mut heard, view, now),
                false => self.answered_again(ask.error, is_whole, &mut heard, now),
            }
        } else {
            heard.is_stale = !ask.nonce.is_empty() && !is_first;
        }
        let turn = match ask.names {
            Names::Whole { names, version } => self.take_list(&names, &version, is_first, view, now),
            Names::Changed {
                subscribe,
                unsubscribe,
                held,
            } => self.take_changes(&subscribe, &unsubscribe, held, is_first, view, now),
        };
        heard.asked = turn.asked.len() + usize::from(turn.wildcard_asked);
        heard.dropped = turn.dropped.len() + usize::from(turn.wildcard_dropped);
        if self.interest.names.len() > RESOURCES_MAX {
            return Err(Violation::TooMany(self.resource_type, self.interest.names.len()));
        }
        Ok(heard)
    }

    fn take_list(
        &mut self,
        names: &[String],
        version: &str,
        is_first: bool,
        view: &View,
        now: Instant,
    ) -> Turn {
        self.is_explicit |= !names.is_empty();
        let is_legacy = names.is_empty() && !self.is_explicit && self.resource_type.is_full_state();
        let turn = self
            .interest
            .replace(is_legacy || names.iter().any(|name| name == WILDCARD), names);
        self.drop_unwanted(&turn);
        let set = view.of(self.resource_type);
        // With everything wanted and nothing else, the version stands for all of it, and the client has it from before.
        if is_first
            && turn.wildcard_asked
            && turn.asked.is_empty()
            && version == super::responses::version_of(set.digest())
        {
            for resource in set.iter() {
                self.adopt(resource.name(), resource.version(), view, now);
            }
            return turn;
        }
        self.mark_asked(&turn, false, view, now);
        if self.resource_type.is_full_state() && (turn.wildcard_asked || !turn.asked.is_empty()) {
            self.answer_due.get_or_insert(now);
            self.touched = Some(now);
        }
        turn
    }

    fn take_changes(
        &mut self,
        subscribe: &[String],
        unsubscribe: &[String],
        held: HashMap<String, String>,
        is_first: bool,
        view: &View,
        now: Instant,
    ) -> Turn {
        let mut turn = self.interest.change(subscribe, unsubscribe);
        if is_first && subscribe.is_empty() && unsubscribe.is_empty() && self.resource_type.is_full_state() {
            self.interest.wildcard = true;
            turn.wildcard_asked = true;
        }
        self.drop_unwanted(&turn);
        if turn.wildcard_asked {
            self.answer_due.get_or_insert(now);
            self.touched = Some(now);
        }
        if !is_first {
            self.mark_asked(&turn, true, view, now);
            return turn;
        }
        for (name, version) in held {
            if self.interest.wants(&name) {
                self.adopt(&name.into(), &version.into(), view, now);
            }
        }
        self.mark_asked(&turn, false, view, now);
        self.warming.clear();
        turn
    }

    /// Takes it that the client has a version from before. What it has in another version, or with a lifetime that may
    /// be half over, is sent; what is no more is removed.
    fn adopt(&mut self, name: &Arc<str>, version: &Arc<str>, view: &View, now: Instant) {
        let current = view.of(self.resource_type).find(name);
        let is_current = |resource: &&Resource| {
            resource.version() == version && resource.ttl().is_none() && !self.warming.contains(name)
        };
        let sent = Sent {
            version: Arc::clone(version),
            resource: current.filter(is_current).cloned(),
            at: now,
            since: now,
        };
        let name = current.map_or(name, Resource::name);
        self.tracks.insert(
            Arc::clone(name),
            Track {
                sent: Some(sent),
                acknowledged: Some(Arc::clone(version)),
                beat: None,
            },
        );
        self.mark(
            view,
            Arc::clone(name),
            Wanted {
                since: now,
                is_forced: false,
            },
        );
    }

    /// What a subscription brings to be sent. `is_again`: the client may have forgotten what it asks for again.
    fn mark_asked(&mut self, turn: &Turn, is_again: bool, view: &View, now: Instant) {
        for name in &turn.asked {
            // Told as held in a first request, and just so: then there is nothing to answer.
            let is_held = !is_again && self.tracks.get(name).is_some_and(|track| track.sent.is_some());
            self.tracks.entry(Arc::clone(name)).or_default();
            self.mark(
                view,
                Arc::clone(name),
                Wanted {
                    since: now,
                    is_forced: !is_held,
                },
            );
        }
        if turn.wildcard_asked {
            for resource in view.of(self.resource_type).iter() {
                self.mark(
                    view,
                    Arc::clone(resource.name()),
                    Wanted {
                        since: now,
                        is_forced: is_again,
                    },
                );
            }
        }
        if is_again && self.interest.wildcard {
            // The client does not know whether the wildcard still holds it (xDS protocol, "Unsubscribing from Resources").
            for name in &turn.dropped {
                self.mark(
                    view,
                    Arc::clone(name),
                    Wanted {
                        since: now,
                        is_forced: true,
                    },
                );
            }
        }
    }

    /// Puts a name where it belongs: to be sent, to be removed, or neither.
    pub(super) fn mark(&mut self, view: &View, name: Arc<str>, wanted: Wanted) {
        let track = self.tracks.get(&name).and_then(|track| track.sent.as_ref());
        self.touched = self.touched.max(Some(wanted.since));
        let before = self.puts.remove(&name);
        let since = before.map_or(wanted.since, |before| before.since.min(wanted.since));
        let is_forced = wanted.is_forced || before.is_some_and(|before| before.is_forced);
        let since = self
            .leaving
            .remove(&name)
            .map_or(since, |leaving| leaving.min(since));
        let current = view
            .of(self.resource_type)
            .find(&name)
            .filter(|_| self.interest.wants(&name));
        let is_put = match (current, track) {
            (Some(current), Some(sent)) => {
                is_forced
                    || !sent
                        .resource
                        .as_ref()
                        .is_some_and(|resource| resource.is_same_as(current))
            }
            (Some(_), None) => true,
            (None, Some(_)) => {
                self.leaving.insert(name, since);
                return;
            }
            (None, None) => is_forced,
        };
        if is_put {
            self.puts.insert(name, Wanted { since, is_forced });
        }
    }

    fn drop_unwanted(&mut self, turn: &Turn) {
        let dropped: Vec<Arc<str>> = if turn.wildcard_dropped {
            self.tracks
                .keys()
                .chain(self.puts.keys())
                .filter(|name| !self.interest.wants(name))
                .cloned()
                .collect()
        } else {
            turn.dropped
                .iter()
                .filter(|name| !self.interest.wants(name))
                .cloned()
                .collect()
        };
        for name in dropped {
            self.puts.remove(&name);
            self.leaving.remove(&name);
            self.forget(&name);
        }
    }

    /// Forgets what was sent.
    pub(super) fn forget(&mut self, name: &Arc<str>) {
        self.refusals.remove(name);
        self.late.remove(name);
        self.beat_at(name, None);
        if self.interest.names.contains(name) {
            self.tracks.insert(Arc::clone(name), Track::default());
        } else {
            self.tracks.remove(name);
        }
    }

    /// Sets when the lifetime of what was sent is to be prolonged.
    pub(super) fn beat_at(&mut self, name: &Arc<str>, at: Option<Instant>) {
        if let Some(track) = self.tracks.get_mut(name) {
            if let Some(before) = std::mem::replace(&mut track.beat, at) {
                self.beats.remove(&(before, Arc::clone(name)));
            }
            self.beats.extend(at.map(|at| (at, Arc::clone(name))));
        }
    }
}
