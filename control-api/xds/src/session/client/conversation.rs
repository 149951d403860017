//! What the client knows of one type: wanted, offered, taken, refused.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::super::interest::Interest;
use super::super::{Refusal, Variant, WILDCARD};
use super::amends::Amends;
use super::lapsed::Lapsed;
use super::offer::{Item, Offer};
use super::requests::Told;
use super::{ReceiveError, Received, Token, UNSETTLED_MAX, Versions};
use crate::resource::{RESOURCE_NAME_BYTES_MAX, RESOURCES_MAX, Resource, ResourceType};

#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) resource_type: ResourceType,
    variant: Variant,
    pub(super) interest: Interest,
    pub(super) entries: BTreeMap<Arc<str>, Entry>,
    /// Received and not settled, in the order of their coming; at most [`UNSETTLED_MAX`].
    pub(super) unsettled: VecDeque<Unsettled>,
    /// Of the last response that was taken as a whole.
    pub(super) version: Arc<str>,
    /// Something was taken, removed or expired since, so that the version does not stand for what is held.
    pub(super) is_beyond_version: bool,
    /// The lifetimes of what is taken.
    pub(super) expiries: BTreeSet<(Instant, Arc<str>)>,
    /// What this stream was told.
    pub(super) told: Told,
    pub(super) lapsed: Lapsed,
    /// The latest time that was handed in.
    pub(super) latest: Option<Instant>,
    pub(super) amends: Amends,
}

/// One resource.
#[derive(Debug)]
pub(super) struct Entry {
    /// Since when it is wanted, held, or known to be absent.
    pub(super) since: Instant,
    /// The last good one.
    pub(super) accepted: Option<Resource>,
    /// The latest that came and is not settled.
    pub(super) offered: Option<Resource>,
    pub(super) refused: Option<super::Refused>,
    /// What was refused last, if it could be read.
    pub(super) rejected: Option<Resource>,
    pub(super) expires: Option<Instant>,
    /// The server said that it does not have it.
    pub(super) is_absent: bool,
    /// A removal of it came and is not settled.
    pub(super) is_leaving: bool,
    /// Its version was given out by another server than the one at the other end.
    pub(super) is_foreign: bool,
}

/// A response that the owner has not yet settled.
#[derive(Debug)]
pub(super) struct Unsettled {
    pub(super) sequence: u64,
    pub(super) stream: u64,
    pub(super) nonce: String,
    pub(super) version: Arc<str>,
    /// What was handed to the owner, and when its lifetime is over.
    pub(super) upserts: Vec<(Resource, Option<Instant>)>,
    pub(super) removed: Vec<Arc<str>>,
    pub(super) malformed: Vec<Refusal>,
}

impl Entry {
    pub(super) fn wanted(since: Instant) -> Self {
        Self {
            since,
            accepted: None,
            offered: None,
            refused: None,
            rejected: None,
            expires: None,
            is_absent: false,
            is_leaving: false,
            is_foreign: false,
        }
    }

    /// Whether what is taken of it is all that can be in force, for as long as nothing else comes.
    pub(super) fn is_certain(&self) -> bool {
        let is_lasting = self.expires.is_none();
        self.refused.is_none() && self.offered.is_none() && !self.is_leaving && !self.is_foreign && is_lasting
    }

    /// Whether anything of it came that was not removed again.
    pub(super) fn is_known(&self) -> bool {
        self.accepted.is_some() || self.offered.is_some() || self.refused.is_some()
    }
}

impl Conversation {
    pub(super) fn new(resource_type: ResourceType, variant: Variant) -> Self {
        Self {
            resource_type,
            variant,
            interest: Interest::default(),
            entries: BTreeMap::new(),
            unsettled: VecDeque::new(),
            version: "".into(),
            is_beyond_version: false,
            expiries: BTreeSet::new(),
            told: Told::default(),
            lapsed: Lapsed::default(),
            latest: None,
            amends: Amends::default(),
        }
    }

    pub(super) fn resource_type(&self) -> ResourceType {
        self.resource_type
    }

    pub(super) fn stream_began(&mut self, number: u64, versions: Versions, now: Instant) {
        self.told = Told::of(number);
        self.amends = Amends::default();
        self.lapsed = Lapsed::default();
        self.latest = Some(now);
        if versions == Versions::Unknown {
            self.version = "".into();
        }
        for entry in self.entries.values_mut() {
            entry.is_foreign |= versions == Versions::Unknown;
            // Whether it exists is asked anew, and the time to wait for it begins anew.
            if entry.accepted.is_none() {
                entry.since = now;
                entry.is_absent = false;
            }
        }
    }

    pub(super) fn subscribe_all(&mut self) {
        if !self.interest.wildcard {
            self.interest.wildcard = true;
            self.told.subscribe(Arc::from(WILDCARD));
        }
    }

    pub(super) fn unsubscribe_all(&mut self) {
        if std::mem::take(&mut self.interest.wildcard) {
            self.told.unsubscribe(Arc::from(WILDCARD));
            let names = self
                .entries
                .keys()
                .filter(|name| !self.interest.names.contains(*name));
            for name in names.cloned().collect::<Vec<_>>() {
                self.forget(&name);
            }
        }
    }

    /// Returns whether the name can be had.
    pub(super) fn subscribe(&mut self, name: &str, now: Instant) -> bool {
        let possible = name != WILDCARD && (1..=RESOURCE_NAME_BYTES_MAX).contains(&name.len());
        if !possible || (self.interest.names.len() >= RESOURCES_MAX && !self.interest.names.contains(name)) {
            return false;
        }
        let name: Arc<str> = name.into();
        if self.interest.names.insert(Arc::clone(&name)) {
            self.entries
                .entry(Arc::clone(&name))
                .or_insert_with(|| Entry::wanted(now));
            self.lapsed.want(&name, now);
            self.told.subscribe(name);
        }
        self.latest = Some(now);
        true
    }

    pub(super) fn unsubscribe(&mut self, name: &str) {
        if let Some(name) = self.interest.names.take(name) {
            // A wildcard may hold it too: then the server says so (xDS protocol, "Unsubscribing from Resources").
            if !self.interest.wildcard || !self.entries.get(&name).is_some_and(Entry::is_known) {
                self.keep_a_while(&name);
                self.forget(&name);
            }
            self.told.unsubscribe(name);
        }
    }

    pub(super) fn restore(&mut self, resource: Resource, now: Instant) {
        if self.interest.wants(resource.name()) && self.entries.len() < RESOURCES_MAX {
            let name = Arc::clone(resource.name());
            self.entries.insert(
                name,
                Entry {
                    accepted: Some(resource),
                    ..Entry::wanted(now)
                },
            );
        }
    }

    /// See [`Lapsed`].
    fn keep_a_while(&mut self, name: &Arc<str>) {
        if let (Variant::StateOfTheWorld, Some(entry), Some(now)) =
            (self.variant, self.entries.get(name), self.latest)
        {
            let latest = entry
                .offered
                .as_ref()
                .or(entry.rejected.as_ref())
                .or(entry.accepted.as_ref());
            let expires = entry.expires.or_else(|| now.checked_add(latest?.ttl()?));
            self.lapsed
                .keep(name, latest.map(|latest| (latest.clone(), expires)), now);
        }
    }

    pub(super) fn forget(&mut self, name: &Arc<str>) {
        if let Some(entry) = self.entries.remove(name)
            && let Some(expires) = entry.expires
        {
            self.expiries.remove(&(expires, Arc::clone(name)));
        }
    }

    pub(super) fn expire(&mut self, now: Instant) -> Vec<Arc<str>> {
        let mut expired = Vec::new();
        while let Some((at, name)) = self.expiries.first().cloned()
            && at <= now
        {
            self.expiries.remove(&(at, Arc::clone(&name)));
            if let Some(entry) = self.entries.get_mut(&name) {
                entry.expires = None;
                entry.accepted = None;
                self.is_beyond_version = true;
                entry.since = now;
            }
            self.tidy(&name);
            expired.push(name);
        }
        expired
    }

    /// Drops an entry that says nothing any more.
    pub(super) fn tidy(&mut self, name: &Arc<str>) {
        if !self.interest.names.contains(name)
            && self.entries.get(name).is_some_and(|entry| !entry.is_known())
        {
            self.forget(name);
        }
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, _)| *at)
    }

    pub(super) fn accepted(&self) -> impl Iterator<Item = &Resource> {
        self.entries.values().filter_map(|entry| entry.accepted.as_ref())
    }

    pub(super) fn receive(
        &mut self,
        offer: Offer,
        sequence: u64,
        now: Instant,
    ) -> Result<Received, ReceiveError> {
        self.latest = Some(now);
        self.check(&offer)?;
        let mut unsettled = Unsettled {
            sequence,
            stream: self.told.stream,
            nonce: offer.nonce,
            version: offer.version,
            upserts: Vec::new(),
            removed: Vec::new(),
            malformed: Vec::new(),
        };
        let mut seen: BTreeSet<Arc<str>> = BTreeSet::new();
        let (mut unchanged, mut unasked) = (0, 0);
        for refusal in offer.malformed {
            let name = Arc::from(refusal.name.as_str());
            // Without a name that could be read it may be one that is wanted.
            if offer.is_unsure || self.interest.wants(&name) {
                unsettled.malformed.push(refusal);
            } else {
                unasked += 1;
            }
            seen.insert(name);
        }
        for item in offer.items {
            let name = Arc::clone(&item.name);
            match self.sort_in(item, now) {
                Sorted::Unasked => unasked += 1,
                Sorted::Unchanged => unchanged += 1,
                Sorted::Upsert(resource, expires) => unsettled.upserts.push((resource, expires)),
                Sorted::Malformed(reason) => unsettled.malformed.push(Refusal {
                    name: name.to_string(),
                    reason,
                }),
            }
            seen.insert(name);
        }
        if offer.is_full_state && !offer.is_unsure {
            unsettled.removed = self.absent_from(&seen);
        }
        unsettled.removed.extend(self.known_among(&offer.removed));
        for name in &unsettled.removed {
            if let Some(entry) = self.entries.get_mut(name) {
                entry.is_leaving = true;
                entry.offered = None;
            }
        }
        self.told.received(&unsettled.nonce);
        let received = Received {
            resource_type: self.resource_type,
            version: Arc::clone(&unsettled.version),
            upserts: unsettled
                .upserts
                .iter()
                .map(|(resource, _)| resource.clone())
                .collect(),
            removed: unsettled.removed.clone(),
            malformed: unsettled.malformed.clone(),
            unchanged,
            unasked,
            token: Token {
                resource_type: self.resource_type,
                sequence,
            },
        };
        self.unsettled.push_back(unsettled);
        Ok(received)
    }

    /// Whether the response can be applied at all; refuses it if it can be answered and must be.
    fn check(&mut self, offer: &Offer) -> Result<(), ReceiveError> {
        if !self.told.is_open {
            return Err(ReceiveError::Unasked(self.resource_type));
        }
        if offer.nonce.is_empty() {
            return Err(ReceiveError::NoNonce(self.resource_type));
        }
        if self.unsettled.len() >= UNSETTLED_MAX || self.told.answers.len() >= UNSETTLED_MAX {
            return Err(ReceiveError::Overrun(self.resource_type));
        }
        let error = if offer.len() > RESOURCES_MAX {
            ReceiveError::TooMany(self.resource_type, offer.len())
        } else if let Some(name) = offer.duplicate() {
            ReceiveError::Duplicate(self.resource_type, name)
        } else {
            return Ok(());
        };
        self.told.received(&offer.nonce);
        self.told.refuse(
            offer.nonce.clone(),
            &[Refusal {
                name: String::new(),
                reason: error.to_string(),
            }],
        );
        Err(error)
    }

    fn sort_in(&mut self, item: Item, now: Instant) -> Sorted {
        let expires = item.ttl.and_then(|ttl| now.checked_add(ttl));
        if !self.interest.wants(&item.name) {
            if let Some(body) = item.body.filter(|_| self.lapsed.keeps(&item.name)) {
                let resource =
                    Resource::new(self.resource_type, item.name, item.version, body).with_ttl(item.ttl);
                self.lapsed.replace(resource, expires);
            }
            return Sorted::Unasked;
        }
        let Some(body) = item.body else {
            return self
                .prolong(&item.name, &item.version, expires)
                .map_or_else(Sorted::Malformed, |()| Sorted::Unchanged);
        };
        if !self.entries.contains_key(&item.name) && self.entries.len() >= RESOURCES_MAX {
            return Sorted::Malformed(format!(
                "{RESOURCES_MAX} resources of {} are held already",
                self.resource_type
            ));
        }
        let entry = self
            .entries
            .entry(Arc::clone(&item.name))
            .or_insert_with(|| Entry::wanted(now));
        let held = entry.accepted.as_ref().filter(|held| **held.body() == *body);
        let held = held.filter(|_| entry.offered.is_none() && !entry.is_leaving);
        if let Some(body) = held.map(|held| Arc::clone(held.body())) {
            // As it was, perhaps under another version: nothing is left to be decided about it.
            let resource = Resource::new(self.resource_type, Arc::clone(&item.name), item.version, body);
            entry.accepted = Some(resource.with_ttl(item.ttl));
            entry.refused = None;
            entry.rejected = None;
            entry.is_foreign = false;
            self.expire_at(&item.name, expires);
            return Sorted::Unchanged;
        }
        let resource = Resource::new(self.resource_type, item.name, item.version, body).with_ttl(item.ttl);
        entry.offered = Some(resource.clone());
        Sorted::Upsert(resource, expires)
    }

    /// A resource without body prolongs the lifetime of the same version (xDS protocol, "TTL").
    fn prolong(
        &mut self,
        name: &Arc<str>,
        version: &Arc<str>,
        expires: Option<Instant>,
    ) -> Result<(), String> {
        let is_of =
            |resource: &Option<Resource>| resource.as_ref().is_some_and(|held| held.version() == version);
        match self.entries.get(name) {
            Some(entry) if is_of(&entry.accepted) => self.expire_at(name, expires),
            Some(entry) if is_of(&entry.offered) => {
                let upserts = self
                    .unsettled
                    .iter_mut()
                    .flat_map(|unsettled| &mut unsettled.upserts);
                for (_, until) in upserts.filter(|(resource, _)| resource.name() == name) {
                    *until = expires;
                }
            }
            Some(Entry {
                refused: Some(refused),
                ..
            }) if refused.version == *version => {}
            _ => {
                return Err(format!(
                    "it has no body, and version {version:?} of it is not held"
                ));
            }
        }
        Ok(())
    }

    /// Sets when the lifetime of what is taken is over.
    pub(super) fn expire_at(&mut self, name: &Arc<str>, expires: Option<Instant>) {
        if let Some(entry) = self.entries.get_mut(name) {
            if let Some(before) = std::mem::replace(&mut entry.expires, expires) {
                self.expiries.remove(&(before, Arc::clone(name)));
            }
            self.expiries.extend(expires.map(|at| (at, Arc::clone(name))));
        }
    }

    /// The names that are held, or about to be, and are not in a full state.
    fn absent_from(&self, seen: &BTreeSet<Arc<str>>) -> Vec<Arc<str>> {
        let is_staying = |entry: &Entry| entry.offered.is_some() || (entry.is_known() && !entry.is_leaving);
        let gone = self
            .entries
            .iter()
            .filter(|(name, entry)| is_staying(entry) && !seen.contains(*name));
        gone.map(|(name, _)| Arc::clone(name)).collect()
    }

    fn known_among(&self, names: &[String]) -> Vec<Arc<str>> {
        names
            .iter()
            .filter_map(|name| Some(Arc::clone(self.entries.get_key_value(name.as_str())?.0)))
            .collect()
    }
}

/// What became of one resource of an offer.
enum Sorted {
    /// It is not wanted.
    Unasked,
    /// It is held just so.
    Unchanged,
    /// The owner is to decide about it, and until when it would live.
    Upsert(Resource, Option<Instant>),
    /// It cannot be had, and why.
    Malformed(String),
}
