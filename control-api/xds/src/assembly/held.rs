//! What is held of one resource: the version in force, the one that is offered, the one that was refused last.

use crate::decode::{Decoded, DecodedCluster, Process, Refusal};
use crate::resource::Resource;
use outrigger_config::Diagnostic;
use outrigger_config::document::{EndpointSet, Parts};
use outrigger_config::model::IdentitySource;
use std::sync::Arc;
use std::time::Instant;

/// A version that was read.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) resource: Resource,
    pub(super) content: Content,
    /// When it was offered.
    pub(super) since: Instant,
    /// It comes from an earlier life, in the place of one that is refused.
    is_recalled: bool,
}

/// What a resource says.
#[derive(Debug)]
pub(super) enum Content {
    Parts(Arc<Parts>),
    Cluster(Box<DecodedCluster>),
    Endpoints(EndpointSet),
    Process(Process),
}

impl From<Decoded> for Content {
    fn from(decoded: Decoded) -> Content {
        match decoded {
            Decoded::Listener(parts) | Decoded::RouteConfiguration(parts) | Decoded::Secret(parts) => {
                Content::Parts(Arc::new(parts))
            }
            Decoded::Cluster(cluster) => Content::Cluster(Box::new(cluster)),
            Decoded::Endpoints(set) => Content::Endpoints(set),
            Decoded::Runtime(process) => Content::Process(process),
        }
    }
}

impl Content {
    pub(super) fn parts(&self) -> Option<&Parts> {
        match self {
            Content::Parts(parts) => Some(parts),
            Content::Cluster(cluster) => Some(&cluster.parts),
            Content::Endpoints(_) | Content::Process(_) => None,
        }
    }

    /// It has a private key in it, or headers of collectors, which are never written to a disk.
    pub(super) fn holds_secret(&self) -> bool {
        if let Content::Process(process) = self {
            return process.holds_headers();
        }
        let identities = self.parts().map(|parts| parts.identities.as_slice());
        identities
            .unwrap_or_default()
            .iter()
            .any(|identity| matches!(identity.source(), IdentitySource::Inline(_)))
    }
}

/// A version that was refused.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) version: Arc<str>,
    pub(super) refusal: Refusal,
    pub(super) since: Instant,
    /// The version itself, if it could be read and did not go together with the rest: it may with another rest.
    withdrawn: Option<Arc<Version>>,
    /// How much had changed by then.
    changes: u64,
}

/// When a version is withdrawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Instant,
    /// How often anything but endpoints changed until then.
    pub(super) changes: u64,
}

impl Refused {
    fn is_of(&self, version: &Arc<Version>) -> bool {
        self.withdrawn
            .as_ref()
            .is_some_and(|withdrawn| Arc::ptr_eq(withdrawn, version))
    }
}

/// One resource.
#[derive(Debug, Default)]
pub(super) struct Held {
    good: Option<Arc<Version>>,
    offered: Option<Arc<Version>>,
    refused: Option<Refused>,
    removed: Option<Instant>,
    waiting: Option<Wait>,
}

/// A wait for other resources.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) since: Instant,
    pub(super) missing: Vec<String>,
    /// It has waited long enough, and did not get better by it.
    over: bool,
}

impl Held {
    /// It is this version already, offered or in force, and not on its way out.
    pub(super) fn is_version(&self, resource: &Resource) -> bool {
        // Some control planes have one version for everything, or begin to count anew.
        let same = |version: &Arc<Version>| {
            version.resource.version() == resource.version() && version.resource.body() == resource.body()
        };
        self.removed.is_none() && self.offered.as_ref().or(self.good.as_ref()).is_some_and(same)
    }

    pub(super) fn offer(&mut self, resource: Resource, content: Content, now: Instant) {
        self.removed = None;
        self.refused = None;
        self.waiting = None;
        self.offered = Some(Arc::new(Version {
            resource,
            content,
            since: now,
            is_recalled: false,
        }));
    }

    /// Offers a version of an earlier life; what is refused stays so.
    pub(super) fn recall(&mut self, resource: Resource, content: Content, now: Instant) {
        self.offered = Some(Arc::new(Version {
            resource,
            content,
            since: now,
            is_recalled: true,
        }));
        self.waiting = None;
    }

    pub(super) fn refuse(&mut self, version: &Arc<str>, refusal: Refusal, now: Instant) {
        // What was offered before, and is not in force, is not what the control plane wants any more.
        self.offered = None;
        self.refused = Some(Refused {
            version: Arc::clone(version),
            refusal,
            since: now,
            withdrawn: None,
            changes: 0,
        });
    }

    pub(super) fn remove(&mut self, now: Instant) {
        self.removed.get_or_insert(now);
        self.offered = None;
        self.refused = None;
    }

    /// Refuses the offered version; gives it out.
    pub(super) fn withdraw(&mut self, refusal: Refusal, at: Moment) -> Option<Resource> {
        let offered = self.offered.take()?;
        if !offered.is_recalled {
            let before = self.refused.as_ref().filter(|before| before.is_of(&offered));
            self.refused = Some(Refused {
                version: Arc::clone(offered.resource.version()),
                refusal,
                since: before.map_or(at.now, |before| before.since),
                withdrawn: Some(Arc::clone(&offered)),
                changes: at.changes,
            });
        }
        Some(offered.resource.clone())
    }

    pub(super) fn withdraw_with<'d>(
        &mut self,
        name: &str,
        faults: impl IntoIterator<Item = &'d Diagnostic>,
        at: Moment,
    ) -> Option<(Resource, Refusal)> {
        let refusal = Refusal::of(name, faults);
        Some((self.withdraw(refusal.clone(), at)?, refusal))
    }

    /// What was picked is the offered version.
    pub(super) fn is_offer(&self, picked: Option<&Arc<Version>>) -> bool {
        let offered = self.offered.as_ref();
        offered
            .zip(picked)
            .is_some_and(|(offered, picked)| Arc::ptr_eq(offered, picked))
    }

    /// The version that was refused for not going together with the rest.
    pub(super) fn withdrawn(&self) -> Option<&Arc<Version>> {
        self.refused.as_ref()?.withdrawn.as_ref()
    }

    /// Offers that version again, if more has changed since. False if there is none.
    pub(super) fn reconsider(&mut self, changes: u64) -> bool {
        let refused = self.refused.as_ref().filter(|refused| refused.changes < changes);
        let withdrawn = refused.and_then(|refused| refused.withdrawn.clone());
        if self.removed.is_some() || self.offered.is_some() || withdrawn.is_none() {
            return false;
        }
        self.offered = withdrawn;
        self.waiting = None;
        true
    }

    /// The version in force is wanted again.
    pub(super) fn forgive(&mut self) {
        self.refused = None;
    }

    /// The version that is wanted: the offered one, else the one in force, unless it was taken away.
    pub(super) fn best(&self) -> Option<&Arc<Version>> {
        let good = self.good.as_ref().filter(|_| self.removed.is_none());
        self.offered.as_ref().or(good)
    }

    /// Versions that may be picked, the wanted one first. One that was taken away may be while something refers to it.
    pub(super) fn candidates(&self) -> impl Iterator<Item = &Arc<Version>> {
        self.offered.iter().chain(&self.good)
    }

    pub(super) fn good(&self) -> Option<&Arc<Version>> {
        self.good.as_ref()
    }

    pub(super) fn removed_since(&self) -> Option<Instant> {
        self.removed
    }

    /// It is refused, and no version is there to go on with.
    pub(super) fn is_lost(&self) -> bool {
        self.refused.is_some() && self.is_unread() && self.removed.is_none()
    }

    /// Nothing is known of it but that it was refused.
    pub(super) fn is_unread(&self) -> bool {
        self.good.is_none() && self.offered.is_none()
    }

    pub(super) fn refused(&self) -> Option<&Refused> {
        self.refused.as_ref()
    }

    pub(super) fn waiting(&self) -> Option<&Wait> {
        self.waiting.as_ref()
    }

    /// Since when it waits for something that it would go on without.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        let waits = self.waiting.as_ref().filter(|wait| !wait.over);
        waits.map(|wait| wait.since)
    }

    /// It waits for `missing`; an empty list: for nothing.
    pub(super) fn wait(&mut self, missing: Vec<String>, now: Instant, over: bool) {
        if missing.is_empty() {
            self.waiting = None;
            return;
        }
        let since = self.waiting.as_ref().map_or(now, |wait| wait.since);
        self.waiting = Some(Wait { since, missing, over });
    }

    /// What was picked is in force. False if nothing is left of it.
    pub(super) fn settle(&mut self, picked: Option<&Arc<Version>>) -> bool {
        if let Some(picked) = picked
            && let Some(offered) = &self.offered
            && Arc::ptr_eq(picked, offered)
        {
            // Taken after all.
            self.refused.take_if(|refused| refused.is_of(picked));
            self.good = self.offered.take();
        }
        if self.removed.is_some() && picked.is_none() {
            self.good = None;
        }
        self.good.is_some() || self.offered.is_some() || self.refused.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_collectors_are_secrets() {
        let process = |collector: &str| {
            let sections = format!("{{\"telemetry\": {{\"collectors\": [{collector}]}}}}");
            let sections = serde_json::from_str(&sections).unwrap();
            let name = "outrigger".to_owned();
            Content::Process(Process { name, sections })
        };
        let with = process("{\"headers\": {\"authorization\": \"hidden\"}}");
        assert!(with.holds_secret() && !format!("{with:?}").contains("hidden"));
        assert!(!process("{}").holds_secret() && !process("").holds_secret());
    }
}
