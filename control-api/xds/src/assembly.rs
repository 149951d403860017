//! Resources put together to a configuration: what is held of each, which version is in force, and what waits for what.
//!
//! A response is offered (`offer`): what cannot be read is refused by name, the rest is a candidate. `propose` puts
//! together the best configuration that there is: a listener only with its routes, a route only with its clusters, a
//! cluster only with its endpoints, each resource in its offered version, or in the one that was in force before as long as
//! the offered one waits for something. When the owner has put the proposal in force it says `commit`; if that failed,
//! `withdraw`. What is refused keeps the last good version in force, and its age can be seen.
//!
//! No clock and no I/O: the time is passed in.

mod amends;
mod held;
mod pick;
mod standing;
mod wanted;

pub use standing::{ResourceStanding, Standing};
pub use wanted::Wanted;

use crate::decode::{self, Decoded, Refusal};
use crate::resource::{Resource, ResourceType};
use held::{Content, Held, Moment};
use outrigger_config::document::assemble;
use outrigger_config::{Diagnostic, Diagnostics, MeshConfig, difference, reuse};
use pick::Picked;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a resource waits for what it refers to before it goes on without: a cluster without endpoints, a route to
/// a cluster that is not there. Envoy's default of `initial_fetch_timeout`.
pub const WAIT_MAX: Duration = Duration::from_secs(15);

type Decoder = fn(&Resource) -> Result<Decoded, Refusal>;

/// Everything that is held of a control plane's resources.
#[derive(Debug)]
pub struct Assembly {
    base: Arc<MeshConfig>,
    decoder: Decoder,
    held: [BTreeMap<Arc<str>, Held>; ResourceType::ALL.len()],
    /// What was put in force last.
    in_force: Arc<MeshConfig>,
    /// Clusters in force, with the endpoints that they had.
    picked: Picked,
    /// Something waits for something else.
    waiting: bool,
    /// Anything but endpoints changed since.
    whole_changed: bool,
    /// How often anything but endpoints changed.
    changes: u64,
    endpoints_changed: BTreeSet<Arc<str>>,
    touched: Touched,
}

/// Whose standing may be another than it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// That of any resource; and what is wanted may be, too.
    pub whole: bool,
    /// That of these endpoints.
    pub endpoints: BTreeSet<Arc<str>>,
}

/// What comes of what is held.
#[derive(Debug)]
pub enum Next {
    /// Nothing is to be done.
    InForce,
    /// This is to be put in force; the owner says [`Assembly::commit`] or [`Assembly::withdraw`].
    Put(Box<Proposal>),
    /// What is held does not go together with the base, and nothing offered is to blame: what is in force stays.
    Stuck(Diagnostics),
}

/// What is to be put in force.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The configuration.
    pub config: Arc<MeshConfig>,
    /// It differs from the one in force in endpoints of clusters only.
    pub only_endpoints: bool,
    /// What looks odd about it as a whole.
    pub warnings: Vec<Diagnostic>,
    change: Change,
}

impl Proposal {
    /// The version of a resource that was proposed, if it is part of what changes.
    fn version(&self, resource_type: ResourceType, name: &Arc<str>) -> Option<&Arc<held::Version>> {
        match &self.change {
            Change::Whole(picked) => picked.versions()[resource_type as usize].get(name),
            Change::Endpoints(others) => others
                .iter()
                .find(|other| resource_type == ResourceType::ClusterLoadAssignment && other.name() == name)
                .map(pick::OtherEndpoints::version),
        }
    }
}

/// What is picked once a proposal is in force.
#[derive(Debug, Clone)]
enum Change {
    Whole(Picked),
    /// Only these are others. There may be very many clusters: what did not change is not looked at.
    Endpoints(Vec<pick::OtherEndpoints>),
}

impl Assembly {
    /// Nothing but what `base` declares itself: its process-wide settings, and its identities, trust bundles, clusters…
    pub fn new(base: Arc<MeshConfig>) -> Assembly {
        Assembly::with_decoder(base, |resource| {
            decode::decode(
                resource.resource_type().type_url(),
                resource.name(),
                resource.body(),
            )
        })
    }

    fn with_decoder(base: Arc<MeshConfig>, decoder: Decoder) -> Assembly {
        Assembly {
            in_force: Arc::clone(&base),
            base,
            decoder,
            held: Default::default(),
            picked: Picked::default(),
            waiting: false,
            whole_changed: true,
            changes: 0,
            endpoints_changed: BTreeSet::new(),
            touched: Touched::default(),
        }
    }

    /// Another base, after the local document changed; gives the one before, to go back to if the other does not go
    /// together with what is held.
    pub fn rebase(&mut self, base: Arc<MeshConfig>) -> Arc<MeshConfig> {
        self.whole_changed = true;
        self.changes += 1;
        std::mem::replace(&mut self.base, base)
    }

    /// What was refused of a type is not, after all, where `is_good` says so: the control plane went back to the version in
    /// force.
    pub fn forgive(&mut self, resource_type: ResourceType, is_good: impl Fn(&str) -> bool) {
        for (name, held) in &mut self.held[resource_type as usize] {
            if held.refused().is_some() && is_good(name) {
                held.forgive();
                self.touched.whole = true;
            }
        }
    }

    /// Takes in what a response brought and took away. Resources that cannot be read are refused: they are returned, and
    /// what was held of them before stays.
    pub fn offer(
        &mut self,
        upserts: &[Resource],
        removed: &[(ResourceType, Arc<str>)],
        now: Instant,
    ) -> Vec<(Resource, Refusal)> {
        let mut refused = Vec::new();
        for resource in upserts {
            let held = self.held[resource.resource_type() as usize]
                .entry(Arc::clone(resource.name()))
                .or_default();
            if held.is_version(resource) {
                continue;
            }
            match (self.decoder)(resource) {
                Ok(decoded) => {
                    held.offer(resource.clone(), Content::from(decoded), now);
                    self.changed(resource.resource_type(), resource.name());
                }
                Err(refusal) => {
                    held.refuse(resource.version(), refusal.clone(), now);
                    self.touched.add(resource.resource_type(), resource.name());
                    refused.push((resource.clone(), refusal));
                }
            }
        }
        for (resource_type, name) in removed {
            if let Some(held) = self.held[*resource_type as usize].get_mut(name) {
                held.remove(now);
                self.changed(*resource_type, name);
            }
        }
        refused
    }

    /// Whose standing may have changed since this was asked last.
    pub fn take_touched(&mut self) -> Touched {
        std::mem::take(&mut self.touched)
    }

    fn changed(&mut self, resource_type: ResourceType, name: &Arc<str>) {
        self.touched.add(resource_type, name);
        match resource_type {
            ResourceType::ClusterLoadAssignment => drop(self.endpoints_changed.insert(Arc::clone(name))),
            _ => {
                self.whole_changed = true;
                self.changes += 1;
            }
        }
    }

    /// What to put in force now. Offered versions that do not go together with the rest are refused, and given out in
    /// `refused`.
    pub fn propose(&mut self, now: Instant, refused: &mut Vec<(Resource, Refusal)>) -> Next {
        if let Some(next) = self.propose_endpoints(now) {
            return next;
        }
        self.touched.whole = true;
        // Each turn but the last takes at least one offered version away.
        loop {
            let picked = self.pick(now);
            let base = self.with_process(refused, now);
            match assemble(&base, picked.parts()) {
                Ok(assembled) => {
                    let config = reuse(&self.in_force, assembled.config);
                    if difference(&self.in_force, &config).is_empty() && self.picked.is_same(&picked) {
                        self.commit_offered(&picked);
                        return Next::InForce;
                    }
                    return Next::Put(Box::new(Proposal {
                        config: Arc::new(config),
                        only_endpoints: false,
                        warnings: assembled.warnings,
                        change: Change::Whole(picked),
                    }));
                }
                Err(faults) if self.blame(&faults, &picked, refused, now) => {}
                Err(faults) => {
                    self.whole_changed = false;
                    return Next::Stuck(faults);
                }
            }
        }
    }

    fn moment(&self, now: Instant) -> Moment {
        let changes = self.changes;
        Moment { now, changes }
    }

    /// The short way: nothing but endpoints of clusters in force changed.
    fn propose_endpoints(&mut self, now: Instant) -> Option<Next> {
        // What waits may have waited for these.
        if self.whole_changed || self.waiting || self.due(now) {
            return None;
        }
        let mut others = Vec::new();
        for name in &self.endpoints_changed {
            let held = self.held[ResourceType::ClusterLoadAssignment as usize].get(name)?;
            if held.removed_since().is_some() {
                // Only the long way forgets what nothing refers to any more.
                return None;
            }
            let version = held.best()?;
            others.push(self.picked.other_endpoints(name, version)?);
        }
        let changed: Vec<_> = others.iter().flat_map(pick::OtherEndpoints::clusters).collect();
        if changed.is_empty() {
            self.endpoints_changed.clear();
            return Some(Next::InForce);
        }
        Some(Next::Put(Box::new(Proposal {
            config: Arc::new(self.in_force.with_clusters(&changed)),
            only_endpoints: true,
            warnings: Vec::new(),
            change: Change::Endpoints(others),
        })))
    }

    /// Endpoints of clusters in force that need not wait until something else is put in force, as when a proposal waits for
    /// what it adds: they go ahead of it. The owner says [`Assembly::commit`] or [`Assembly::withdraw`].
    pub fn propose_ahead(&self) -> Option<Box<Proposal>> {
        let held = &self.held[ResourceType::ClusterLoadAssignment as usize];
        let others = self.endpoints_changed.iter().filter_map(|name| {
            let held = held.get(name).filter(|held| held.removed_since().is_none())?;
            let other = self.picked.other_endpoints(name, held.best()?)?;
            let is_used = other.clusters().next().is_some();
            is_used.then_some(other)
        });
        let others: Vec<_> = others.collect();
        let changed: Vec<_> = others.iter().flat_map(pick::OtherEndpoints::clusters).collect();
        (!changed.is_empty()).then(|| {
            Box::new(Proposal {
                config: Arc::new(self.in_force.with_clusters(&changed)),
                only_endpoints: true,
                warnings: Vec::new(),
                change: Change::Endpoints(others),
            })
        })
    }

    fn with_process(&mut self, refused: &mut Vec<(Resource, Refusal)>, now: Instant) -> MeshConfig {
        let at = self.moment(now);
        let mut base = MeshConfig::clone(&self.base);
        for held in self.held[ResourceType::Runtime as usize].values_mut() {
            // The offered version, or else the good one.
            while let Some(version) = held.best() {
                let Content::Process(process) = &version.content else {
                    break;
                };
                match process.apply(&base) {
                    Ok(applied) => {
                        base = applied;
                        break;
                    }
                    Err(refusal) => match held.withdraw(refusal.clone(), at) {
                        Some(resource) => refused.push((resource, refusal)),
                        None => break,
                    },
                }
            }
        }
        base
    }

    /// Refuses offered versions in which faults stand; all that are offered if none of the faults does. False if nothing
    /// is offered.
    fn blame(
        &mut self,
        faults: &Diagnostics,
        picked: &Picked,
        refused: &mut Vec<(Resource, Refusal)>,
        now: Instant,
    ) -> bool {
        let before = refused.len();
        let at = self.moment(now);
        let mut others = Vec::new();
        for (resource_type, held) in ResourceType::ALL.iter().zip(&mut self.held) {
            let picked = &picked.versions()[*resource_type as usize];
            for (name, held) in held.iter_mut() {
                if !held.is_offer(picked.get(name)) {
                    continue;
                }
                let label = decode::label(*resource_type, name);
                let own: Vec<&Diagnostic> = faults.iter().filter(|fault| fault.file() == label).collect();
                match own.is_empty() {
                    true => others.push((*resource_type, Arc::clone(name))),
                    false => refused.extend(held.withdraw_with(name, own, at)),
                }
            }
        }
        if refused.len() == before {
            // A fault between two stands at one of them: the other may be the one that is new.
            let is_named = |(_, name): &&(ResourceType, Arc<str>)| {
                let quoted = format!("`{name}`");
                faults.iter().any(|fault| fault.message().contains(&quoted))
            };
            let named: Vec<_> = others.iter().filter(is_named).cloned().collect();
            for (resource_type, name) in if named.is_empty() { others } else { named } {
                if let Some(held) = self.held[resource_type as usize].get_mut(&name) {
                    refused.extend(held.withdraw_with(&name, faults.iter(), at));
                }
            }
        }
        refused.len() > before
    }

    /// What was proposed is in force.
    pub fn commit(&mut self, proposal: &Proposal) {
        self.in_force = Arc::clone(&proposal.config);
        match &proposal.change {
            Change::Whole(picked) => self.commit_offered(picked),
            Change::Endpoints(others) => {
                for other in others {
                    let name = other.name();
                    if let Some(held) = self.held[ResourceType::ClusterLoadAssignment as usize].get_mut(name)
                    {
                        held.settle(Some(other.version()));
                    }
                    self.touched.add(ResourceType::ClusterLoadAssignment, name);
                    self.endpoints_changed.remove(name);
                    self.picked.put(other);
                }
            }
        }
    }

    fn commit_offered(&mut self, picked: &Picked) {
        for (held, in_force) in self.held.iter_mut().zip(picked.versions()) {
            held.retain(|name, held| held.settle(in_force.get(name)));
        }
        self.picked = picked.clone();
        self.whole_changed = false;
        self.endpoints_changed.clear();
    }

    /// What was proposed could not be put in force: offered versions are refused for `reason`, only those of one type, or
    /// of one name, if `of` says whose fault it was. What was in force before is to be proposed again.
    pub fn withdraw(
        &mut self,
        proposal: &Proposal,
        reason: &str,
        of: Option<(ResourceType, Option<&str>)>,
        now: Instant,
    ) -> Vec<(Resource, Refusal)> {
        let mut refused = Vec::new();
        let at = self.moment(now);
        for (resource_type, held) in ResourceType::ALL.iter().zip(&mut self.held) {
            for (name, held) in held.iter_mut() {
                let is_it = of.is_none_or(|(meant, only)| {
                    *resource_type == meant && only.is_none_or(|only| only == &**name)
                });
                let refusal = Refusal::whole(name, reason);
                if is_it
                    && held.is_offer(proposal.version(*resource_type, name))
                    && let Some(resource) = held.withdraw(refusal.clone(), at)
                {
                    refused.push((resource, refusal));
                }
            }
        }
        self.whole_changed = true;
        self.touched.whole = true;
        refused
    }

    /// When waiting ends, and another proposal is due; none if nothing waits.
    pub fn next_look(&self) -> Option<Instant> {
        let held = self.held.iter().flatten();
        let waiting = held.filter_map(|(_, held)| held.waiting_since());
        // A cluster that was taken away stays no longer than that, too.
        let clusters = self.held[ResourceType::Cluster as usize].values();
        let leaving = clusters.filter_map(held::Held::removed_since);
        waiting.chain(leaving).min().map(|since| since + WAIT_MAX)
    }

    fn due(&self, now: Instant) -> bool {
        self.next_look().is_some_and(|look| look <= now)
    }

    /// Something waits for something else, and will not go on without it yet.
    pub fn is_waiting(&self) -> bool {
        self.held
            .iter()
            .flatten()
            .any(|(_, held)| held.waiting_since().is_some())
    }

    /// The configuration in force: the base until something was committed.
    pub fn in_force(&self) -> &Arc<MeshConfig> {
        &self.in_force
    }

    /// The good versions of all resources, without secrets that hold private keys: what may be kept on a disk.
    pub fn keepable(&self) -> Vec<Resource> {
        let good = self.held.iter().flatten().filter_map(|(_, held)| held.good());
        good.filter(|version| !version.content.holds_secret())
            .map(|version| version.resource.clone())
            .collect()
    }
}

impl Touched {
    fn add(&mut self, resource_type: ResourceType, name: &Arc<str>) {
        match resource_type {
            ResourceType::ClusterLoadAssignment => drop(self.endpoints.insert(Arc::clone(name))),
            _ => self.whole = true,
        }
    }
}

#[cfg(test)]
mod tests;
