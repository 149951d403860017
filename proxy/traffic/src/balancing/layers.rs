//! From the endpoints of a cluster to sets of them: priorities, of each the healthy, the degraded or all, and of those the
//! localities.

use super::hashing::{Consistent, Table, Weighted};
use super::host_set::HostSet;
use super::localities::{ZoneChoice, ZoneSpread, effective_weight};
use super::member::zone_aware;
use super::priorities::{Population, Share, shares};
use super::slow_start;
use super::weights::{below, mix};
use super::{EndpointLoad, Member, PeakEwma, PickContext, PickNotes, Picked, Plan, PriorityView, Standing};
use outrigger_config::model::{LoadBalancing, Locality, LocalityBalancing};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where the sets of a cluster, or of a subset of it, are.
#[derive(Debug)]
pub(super) struct Layers {
    /// The one set that all requests go to, where it is so plain, and which it is; then there are no outcomes.
    plain: Option<HostSet>,
    plain_key: Key,
    /// What happens to requests, with the percent at which each ends.
    outcomes: Box<[(u32, Outcome)]>,
    pub(super) views: Box<[PriorityView]>,
}

/// A priority, and which of its endpoints.
type Key = (u32, Kind);

/// [`Before::nth`] of the set of all zones.
const ALL_ZONES: usize = usize::MAX;

/// The sets that a key had before.
#[derive(Clone, Copy)]
struct Before<'p> {
    layers: Option<&'p Layers>,
    key: Key,
}

impl<'p> Before<'p> {
    fn nth(self, index: usize) -> Option<&'p HostSet> {
        let layers = self.layers?;
        if layers.plain.is_some() {
            return layers
                .plain
                .as_ref()
                .filter(|_| layers.plain_key == self.key && index == 0);
        }
        let mut outcomes = layers.outcomes.iter().map(|(_, outcome)| outcome);
        match &outcomes.find(|outcome| outcome.key == self.key)?.source {
            Source::Nothing => None,
            Source::One(set) => Some(set).filter(|_| index == 0),
            Source::Zones { all, .. } if index == ALL_ZONES => Some(all),
            Source::Weighted { sets, .. } | Source::Zones { sets, .. } => sets.get(index),
        }
    }
}

#[derive(Debug)]
struct Outcome {
    key: Key,
    notes: PickNotes,
    source: Source,
}

/// Which endpoints of a priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Healthy,
    Degraded,
    All,
}

#[derive(Debug)]
enum Source {
    /// Requests are refused.
    Nothing,
    One(HostSet),
    /// By weight: where each ends on a line.
    Weighted {
        ends: Box<[u64]>,
        sets: Box<[HostSet]>,
    },
    /// By zones, but for a part of requests, which goes anywhere.
    Zones {
        spread: ZoneSpread,
        routing_percent: u32,
        sets: Box<[HostSet]>,
        all: HostSet,
    },
}

/// The weight of somebody whose share is 1.
const SHARE_SCALE: f64 = (1u64 << 40) as f64;

/// What sets are made of.
struct Maker<'a, 'p> {
    plan: &'p Plan<'a>,
    members: &'p [Member<'a>],
    /// Theirs. Of those that have not been checked yet, what they count as beside the others.
    standings: Vec<Standing>,
    loads: Vec<&'a Arc<EndpointLoad>>,
    ewma: Option<PeakEwma>,
    /// Some endpoint of the cluster is slowed.
    slowed: bool,
    previous: Option<&'p Layers>,
    /// Tables of keys, by priority: one for all sets of it, whatever their health.
    tables: RefCell<BTreeMap<u32, Arc<Table>>>,
}

impl Layers {
    /// The layers of those members that are `wanted`.
    pub(super) fn new(
        plan: &Plan<'_>,
        members: &[Member<'_>],
        wanted: impl Fn(&Member<'_>) -> bool,
        previous: Option<&Layers>,
    ) -> Layers {
        let mut by_priority: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (place, member) in (0u32..).zip(members) {
            if wanted(member) {
                by_priority.entry(member.priority).or_default().push(place);
            }
        }
        let is_known = |member: &&Member<'_>| {
            wanted(member) && !matches!(member.standing, Standing::Unchecked | Standing::Draining)
        };
        let unchecked = match members.iter().any(|member| is_known(&member)) {
            true => Standing::Draining,
            false => Standing::Unhealthy,
        };
        let standings: Vec<Standing> = members
            .iter()
            .map(|member| match member.standing {
                Standing::Unchecked => unchecked,
                known => known,
            })
            .collect();
        let populations: Vec<Population> = by_priority
            .values()
            .map(|places| population(&standings, places))
            .collect();
        let options = plan.options;
        let shares = shares(
            &populations,
            options.overprovisioning_factor(),
            options.panic_threshold(),
        );
        let maker = Maker {
            plan,
            members,
            standings,
            loads: members.iter().map(|member| member.load).collect(),
            ewma: ewma(plan),
            slowed: members.iter().any(|member| slowed(plan, member).is_some()),
            previous,
            tables: RefCell::new(previous.map(Layers::tables).unwrap_or_default()),
        };
        let mut outcomes = Vec::new();
        let mut end = 0;
        for (index, ((&priority, places), share)) in by_priority.iter().zip(&shares).enumerate() {
            for (kind, percent) in maker.kinds(*share) {
                if percent > 0 {
                    end += percent;
                    outcomes.push((end, maker.outcome((index, priority), places, kind, *share)));
                }
            }
        }
        let views = by_priority.keys().zip(&populations).zip(&shares);
        let views = views
            .map(|((&priority, population), share)| PriorityView::of(priority, *population, *share))
            .collect();
        let mut layers = Layers {
            plain: None,
            plain_key: (0, Kind::Healthy),
            outcomes: Box::default(),
            views,
        };
        match outcomes.pop() {
            Some((
                _,
                Outcome {
                    key,
                    notes: PickNotes::NONE,
                    source: Source::One(set),
                },
            )) if outcomes.is_empty() => (layers.plain, layers.plain_key) = (Some(set), key),
            last => layers.outcomes = outcomes.into_iter().chain(last).collect(),
        }
        layers
    }

    /// An endpoint for an attempt, and what is to be noted of it.
    #[inline]
    pub(super) fn pick(&self, context: &PickContext<'_>) -> Picked {
        match &self.plain {
            Some(set) => Picked {
                endpoint: set.pick(context.random, context),
                notes: PickNotes::NONE,
            },
            None => self.pick_outcome(context),
        }
    }

    #[inline(never)]
    fn pick_outcome(&self, context: &PickContext<'_>) -> Picked {
        // A key stays with its priority, too.
        let point = below(mix(context.hash.unwrap_or(context.random)), 100) as u32;
        let first = self.outcomes.partition_point(|(end, _)| *end <= point);
        let Some((_, outcome)) = self.outcomes.get(first) else {
            return Picked::default();
        };
        let picked = outcome.pick(context);
        if context.avoid.is_empty() || picked.is_outside(context.avoid) {
            return picked;
        }
        // All that is there was tried: what another priority gets, or its degraded endpoints, were not.
        let others = self.outcomes.iter().map(|(_, outcome)| outcome.pick(context));
        others
            .into_iter()
            .find(|other| other.is_outside(context.avoid))
            .unwrap_or(picked)
    }

    /// The tables of keys that there are, by priority.
    fn tables(&self) -> BTreeMap<u32, Arc<Table>> {
        let plain = self.plain.iter().map(|set| (self.plain_key.0, set));
        let outcomes = self
            .outcomes
            .iter()
            .filter_map(|(_, outcome)| match &outcome.source {
                Source::One(set) => Some((outcome.key.0, set)),
                _ => None,
            });
        let sets = plain.chain(outcomes);
        sets.filter_map(|(priority, set)| Some((priority, Arc::clone(set.table()?.table()))))
            .collect()
    }

    #[cfg(test)]
    pub(super) fn plain(&self) -> Option<&HostSet> {
        self.plain.as_ref()
    }
}

impl Outcome {
    fn pick(&self, context: &PickContext<'_>) -> Picked {
        let (endpoint, notes) = self.pick_source(context);
        Picked { endpoint, notes }
    }

    fn pick_source(&self, context: &PickContext<'_>) -> (Option<usize>, PickNotes) {
        let random = mix(context.random ^ 0x5bd1_e995);
        match &self.source {
            Source::Nothing => (None, self.notes),
            Source::One(set) => (set.pick(random, context), self.notes),
            Source::Weighted { ends, sets } => {
                let point = below(random, ends.last().copied().unwrap_or(0));
                let set = sets.get(ends.partition_point(|&end| end <= point));
                let picked = set.and_then(|set| set.pick(mix(random), context));
                if picked.is_some_and(|place| context.avoid.contains(&place)) {
                    let mut others = sets.iter().filter_map(|set| set.pick(mix(random), context));
                    let other = others.find(|place| !context.avoid.contains(place));
                    return (other.or(picked), self.notes);
                }
                (picked, self.notes)
            }
            Source::Zones {
                spread,
                routing_percent,
                sets,
                all,
            } => {
                if below(random, 100) >= u64::from(*routing_percent) || !context.avoid.is_empty() {
                    return (all.pick(mix(random), context), self.notes);
                }
                let (zone, choice) = spread.zone(mix(random));
                let noted = match choice {
                    ZoneChoice::Direct => PickNotes::ZONE_DIRECT,
                    ZoneChoice::Sampled => PickNotes::ZONE_SAMPLED,
                    ZoneChoice::Cross => PickNotes::ZONE_CROSS,
                    ZoneChoice::NoRoom => PickNotes::ZONE_NO_ROOM,
                };
                let picked = sets.get(zone).and_then(|set| set.pick(mix(random ^ 1), context));
                let picked = picked.or_else(|| all.pick(mix(random ^ 1), context));
                (picked, self.notes.with(noted))
            }
        }
    }
}

impl<'a> Maker<'a, '_> {
    /// What a priority's requests go to, with their percents.
    fn kinds(&self, share: Share) -> [(Kind, u32); 2] {
        if share.panic {
            // The degraded ones are among all.
            return [(Kind::All, share.healthy + share.degraded), (Kind::Degraded, 0)];
        }
        [(Kind::Healthy, share.healthy), (Kind::Degraded, share.degraded)]
    }

    fn outcome(&self, (index, priority): (usize, u32), places: &[u32], kind: Kind, share: Share) -> Outcome {
        let key = (priority, kind);
        let before = Before {
            layers: self.previous,
            key,
        };
        if share.panic {
            let refused = self.plan.options.fails_in_panic();
            let source = if refused {
                Source::Nothing
            } else {
                let all: Vec<u32> = self.of_kind(places, Kind::All);
                Source::One(self.set(places, &all, before.nth(0)))
            };
            let notes = PickNotes::PANIC;
            return Outcome { key, notes, source };
        }
        let (source, notes) = self.source(index, places, kind, before);
        Outcome { key, notes, source }
    }

    fn source(&self, index: usize, places: &[u32], kind: Kind, before: Before<'_>) -> (Source, PickNotes) {
        let usable = self.of_kind(places, kind);
        let one = |notes| (Source::One(self.set(places, &usable, before.nth(0))), notes);
        // With keys, the weights of localities are in the table.
        if usable.is_empty() || self.plan.policy.is_consistent() {
            return one(PickNotes::NONE);
        }
        match self.plan.options.localities() {
            LocalityBalancing::Off => one(PickNotes::NONE),
            LocalityBalancing::Weighted => self
                .weighted(places, &usable, before)
                .unwrap_or_else(|| one(PickNotes::NONE)),
            LocalityBalancing::ZoneAware(_) => match self.zones(index, places, &usable, before) {
                Ok(source) => (source, PickNotes::NONE),
                Err(why) => one(why),
            },
        }
    }

    fn weighted(&self, places: &[u32], usable: &[u32], before: Before<'_>) -> Option<(Source, PickNotes)> {
        let groups = self.by_locality(usable);
        let counted = self.by_locality(places);
        let (mut end, mut ends, mut sets) = (0, Vec::new(), Vec::new());
        for (locality, group) in &groups {
            let all = counted
                .get(locality)
                .map_or(0, |all| self.of_kind(all, Kind::All).len());
            let priority = self.members[group[0] as usize].priority;
            let weight = effective_weight(
                self.locality_weight(*locality, priority),
                group.len() as u32,
                all as u32,
                self.plan.options.overprovisioning_factor(),
            );
            if weight > 0 {
                end += weight;
                ends.push(end);
                sets.push(self.set(places, group, before.nth(sets.len())));
            }
        }
        // All weights are 0: localities do not count, as in Envoy.
        (end > 0).then(|| {
            let (ends, sets) = (ends.into(), sets.into());
            (Source::Weighted { ends, sets }, PickNotes::NONE)
        })
    }

    /// The sets of zones; or what is to be noted where zones are not looked at.
    fn zones(
        &self,
        index: usize,
        places: &[u32],
        usable: &[u32],
        before: Before<'_>,
    ) -> Result<Source, PickNotes> {
        let (Some(settings), Some(view)) = (zone_aware(self.plan), self.plan.zones) else {
            return Err(PickNotes::NONE);
        };
        let mut groups = self.by_locality(usable);
        let own = groups.remove(&Some(&view.own)).unwrap_or_default();
        if settings.strict() {
            if own.is_empty() {
                return Err(PickNotes::ZONE_CROSS);
            }
            let set = self.set(places, &own, before.nth(0));
            return Ok(Source::Zones {
                spread: ZoneSpread::Direct,
                routing_percent: settings.routing_percent(),
                sets: [set].into(),
                all: self.set(places, usable, before.nth(ALL_ZONES)),
            });
        }
        // Only the first priority is routed by zones, in Envoy too.
        if index > 0 || groups.len() + usize::from(!own.is_empty()) < 2 {
            return Err(PickNotes::NONE);
        }
        if view.in_panic || view.senders.get(&view.own).is_none_or(|&count| count == 0) {
            return Err(PickNotes::ZONE_UNKNOWN);
        }
        if usable.len() < settings.cluster_size_min() as usize {
            return Err(PickNotes::ZONE_SMALL);
        }
        let senders_in = |locality: Option<&Locality>| {
            locality
                .and_then(|locality| view.senders.get(locality))
                .copied()
                .unwrap_or(0)
        };
        let mut senders = vec![senders_in(Some(&view.own))];
        let mut servers = vec![own.len() as u32];
        let mut sets = vec![self.set(places, &own, before.nth(0))];
        for (locality, group) in &groups {
            senders.push(senders_in(*locality));
            servers.push(group.len() as u32);
            sets.push(self.set(places, group, before.nth(sets.len())));
        }
        // Those that send from where nobody serves send as well.
        let elsewhere: u32 = view.senders.values().sum::<u32>() - senders.iter().sum::<u32>();
        if elsewhere > 0 {
            senders.push(elsewhere);
            servers.push(0);
        }
        Ok(Source::Zones {
            spread: ZoneSpread::new(&senders, &servers),
            routing_percent: settings.routing_percent(),
            sets: sets.into(),
            all: self.set(places, usable, before.nth(ALL_ZONES)),
        })
    }

    fn by_locality(&self, places: &[u32]) -> BTreeMap<Option<&'a Locality>, Vec<u32>> {
        let mut groups: BTreeMap<Option<&'a Locality>, Vec<u32>> = BTreeMap::new();
        for &place in places {
            let locality = self.members[place as usize].locality;
            groups.entry(locality).or_default().push(place);
        }
        groups
    }

    fn locality_weight(&self, locality: Option<&Locality>, priority: u32) -> u32 {
        let weights = self.plan.locality_weights.iter();
        let mut named =
            weights.filter(|weight| weight.priority() == priority && Some(weight.locality()) == locality);
        named
            .next()
            .map_or(1, outrigger_config::model::LocalityWeight::weight)
    }

    fn of_kind(&self, places: &[u32], kind: Kind) -> Vec<u32> {
        let is_of_kind = |place: &u32| match self.standings[*place as usize] {
            Standing::Draining | Standing::Unchecked => false,
            Standing::Healthy => kind != Kind::Degraded,
            Standing::Degraded => kind != Kind::Healthy,
            Standing::Unhealthy => kind == Kind::All,
        };
        places.iter().copied().filter(is_of_kind).collect()
    }

    /// The set of some of a priority's endpoints.
    fn set(&self, priority: &[u32], places: &[u32], previous: Option<&HostSet>) -> HostSet {
        if self.plan.policy.is_consistent() {
            return self.set_by_keys(priority, places);
        }
        let weights = self.weights(places);
        HostSet::new(
            self.plan.policy,
            self.ewma,
            places,
            &weights,
            &self.loads,
            previous,
        )
    }

    /// The same by keys; without a key, by the shares of keys. Who has no share gets nothing, unless nobody else may be
    /// picked.
    fn set_by_keys(&self, priority: &[u32], places: &[u32]) -> HostSet {
        let endpoints = self.weighted_by_keys(priority);
        let level = priority
            .first()
            .map_or(0, |&place| self.members[place as usize].priority);
        let mut shares = vec![0.0; self.members.len()];
        for endpoint in &endpoints {
            shares[endpoint.place as usize] = endpoint.share;
        }
        let share = |place: &u32| shares[*place as usize];
        let sharing: Vec<u32> = places
            .iter()
            .copied()
            .filter(|place| share(place) > 0.0)
            .collect();
        let (places, weights) = if sharing.is_empty() || !self.weighs_localities() {
            (places, self.weights(places))
        } else {
            let scaled = sharing.iter().map(|place| (share(place) * SHARE_SCALE) as u64);
            (&sharing[..], scaled.collect())
        };
        let mut tables = self.tables.borrow_mut();
        let known = tables.get(&level);
        let consistent = Consistent::new(self.plan.policy, &endpoints, places.into(), &self.loads, known);
        tables.insert(level, Arc::clone(consistent.table()));
        HostSet::consistent(places, &weights, self.members.len(), consistent)
    }

    fn weights(&self, places: &[u32]) -> Vec<u64> {
        let members = places.iter().map(|&place| &self.members[place as usize]);
        members.map(|member| self.weight(member)).collect()
    }

    fn weighs_localities(&self) -> bool {
        matches!(self.plan.options.localities(), LocalityBalancing::Weighted)
    }

    /// The endpoints of a priority with their shares of a table: by weight, within their localities if those have weights. Where
    /// all of those are 0, localities do not count, as in Envoy.
    fn weighted_by_keys(&self, priority: &[u32]) -> Vec<Weighted<'a>> {
        if self.weighs_localities() {
            let weighted = self.shares_of_keys(priority, true);
            if !weighted.is_empty() {
                return weighted;
            }
        }
        self.shares_of_keys(priority, false)
    }

    fn shares_of_keys(&self, priority: &[u32], localities: bool) -> Vec<Weighted<'a>> {
        let weight = |place: &u32| f64::from(self.members[*place as usize].weight.max(1));
        let groups = if localities {
            self.by_locality(priority)
        } else {
            BTreeMap::from([(None, priority.to_vec())])
        };
        let mut endpoints = Vec::with_capacity(priority.len());
        for (locality, group) in &groups {
            let level = self.members[group[0] as usize].priority;
            let share = if localities {
                f64::from(self.locality_weight(*locality, level))
            } else {
                1.0
            };
            let all: f64 = group.iter().map(weight).sum();
            if share > 0.0 {
                endpoints.extend(group.iter().map(|place| Weighted {
                    key: self.members[*place as usize].key,
                    share: share * weight(place) / all,
                    place: *place,
                }));
            }
        }
        let all: f64 = endpoints.iter().map(|endpoint| endpoint.share).sum();
        endpoints.iter_mut().for_each(|endpoint| endpoint.share /= all);
        endpoints
    }

    fn weight(&self, member: &Member<'_>) -> u64 {
        let weight = u64::from(member.weight.max(1));
        match (self.slowed, slowed(self.plan, member)) {
            (false, _) => weight,
            (true, Some(scaled)) => (weight * scaled).max(1),
            (true, None) => weight * slow_start::SCALE,
        }
    }
}

/// The share, of [`slow_start::SCALE`], that a member has while it is new; none: its whole.
pub(super) fn slowed(plan: &Plan<'_>, member: &Member<'_>) -> Option<u64> {
    let settings = plan.options.slow_start()?;
    let counts =
        !plan.policy.is_consistent() && matches!(member.standing, Standing::Healthy | Standing::Degraded);
    counts
        .then(|| slow_start::scaled(settings, member.since, plan.now))
        .flatten()
}

/// How responses are observed, where that counts.
pub(super) fn ewma(plan: &Plan<'_>) -> Option<PeakEwma> {
    match plan.policy {
        LoadBalancing::PeakEwma { decay, default_rtt } => Some(PeakEwma::new(decay, default_rtt, plan.epoch)),
        _ => None,
    }
}

fn population(standings: &[Standing], places: &[u32]) -> Population {
    let mut population = Population::default();
    for &place in places {
        match standings[place as usize] {
            Standing::Healthy => population.healthy += 1,
            Standing::Degraded => population.degraded += 1,
            Standing::Unhealthy => population.unhealthy += 1,
            Standing::Draining | Standing::Unchecked => {}
        }
    }
    population
}
