//! Which endpoint an attempt goes to, and which of a route's weighted clusters a request.
//!
//! A [`Balancer`] belongs to one cluster in one publish and is shared by all workers without a lock: its only moving
//! parts are the positions of round robin. What endpoints are doing is counted in [`EndpointLoad`], and what is known of
//! their health in [`EndpointHealth`]; both outlive configurations. A pick reads no health: a change of it makes another balancer.
//! Nothing here knows connections.
//!
//! A pick goes through layers (`layers`), which most clusters do not have: the subset that a route asks for
//! (`subsets`), a priority and its healthy or degraded endpoints, or in panic all of them (`priorities`), a locality of it
//! (`localities`); and then by the policy among what is left (`host_set`). Endpoints that drain are in none of them.
//!
//! * **Round robin**: in turn by weight. Equal weights go round in order. Otherwise, where the weights (divided by
//!   their greatest common divisor) are small, a schedule is computed once by nginx's smooth weighted round robin,
//!   which spreads heavy endpoints evenly where Envoy's earliest deadline first sends equal weights in bursts; where
//!   they are large, positions go round the sum of weights in steps of the golden ratio. Either way each
//!   endpoint is picked exactly its weight's times in any run of as many picks as the weights sum to.
//! * **Random**: by weight, independently.
//! * **Least request**: two different endpoints at random by weight, then the one with fewer active requests *for its
//!   weight*; the first on a tie. With equal weights that is Envoy's, except that Envoy may draw one endpoint twice.
//!   With unequal weights Envoy changes to a schedule of weight / (active + 1); here an idle cluster is shared by
//!   weight, and a busy one tends to active requests in proportion to weights. More than two may be looked at.
//! * **Peak EWMA** (`ewma`): of two the one that costs less.
//! * **Ring hash** (`ring`) and **Maglev** (`maglev`): by the request's key (`hashing`).

mod ewma;
mod hashing;
mod health;
mod host_set;
mod layers;
mod load;
mod localities;
mod maglev;
mod member;
mod priorities;
mod ring;
mod rotation;
mod slow_start;
mod subsets;
mod weights;

pub use ewma::PeakEwma;
pub use health::{EndpointHealth, HealthMark, Standing};
pub use load::EndpointLoad;
pub use member::{Member, Plan, ZoneView};
pub use subsets::SubsetKey;

use layers::Layers;
use outrigger_config::model::Fraction;
use std::time::Instant;
use subsets::{Found, SubsetBalancers};

/// The index of the weighted cluster that `random` (any 64 bits, uniform) falls to. `cumulative` holds the running
/// sums of the weights, which end above zero; a cluster of weight 0 is never picked.
pub fn pick_cluster(cumulative: &[u32], random: u64) -> usize {
    let Some((&total, before)) = cumulative.split_last() else {
        return 0;
    };
    if before.is_empty() {
        return 0;
    }
    let point = weights::below(random, u64::from(total));
    cumulative
        .partition_point(|&end| u64::from(end) <= point)
        .min(before.len())
}

/// True if `random` (any 64 bits, uniform) falls within the share.
pub fn falls_within(fraction: Fraction, random: u64) -> bool {
    falls_within_parts(fraction.parts_per_million(), random)
}

/// The same for a share that is nobody's configuration.
pub(crate) fn falls_within_parts(parts_per_million: u32, random: u64) -> bool {
    weights::below(random, u64::from(Fraction::ALL.parts_per_million())) < u64::from(parts_per_million)
}

/// What a pick is made by.
#[derive(Debug, Clone, Copy)]
pub struct PickContext<'a> {
    /// Any 64 bits, uniform and new for each pick.
    pub random: u64,
    /// The key of the request, for consistent hashing; none: it is picked at random there.
    pub hash: Option<u64>,
    /// Places of endpoints that this request has tried: another is taken if there is one. What does not exist is ignored.
    pub avoid: &'a [usize],
    /// The subset that is asked for; none: any endpoint.
    pub subset: Option<SubsetKey>,
    /// Requests of the cluster, this one included; counts with bounded loads only.
    pub requests_active: u32,
    /// Now; counts with peak EWMA only.
    pub now: Instant,
}

/// What came of a pick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Picked {
    /// A place among the cluster's endpoints; none: none may be picked.
    pub endpoint: Option<usize>,
    /// What is to be counted of it.
    pub notes: PickNotes,
}

impl Picked {
    fn is_outside(self, avoid: &[usize]) -> bool {
        self.endpoint.is_some_and(|place| !avoid.contains(&place))
    }
}

/// What is to be counted of a pick; nothing, of most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PickNotes(u8);

impl PickNotes {
    /// Nothing.
    pub const NONE: PickNotes = PickNotes(0);
    /// Its priority was in panic.
    pub const PANIC: PickNotes = PickNotes(1);
    /// The subset that was asked for is not there.
    pub const SUBSET_FALLBACK: PickNotes = PickNotes(2);
    /// By zones: this proxy's own takes all.
    pub const ZONE_DIRECT: PickNotes = PickNotes(4);
    /// By zones: this proxy's own, by its share.
    pub const ZONE_SAMPLED: PickNotes = PickNotes(8);
    /// By zones: another.
    pub const ZONE_CROSS: PickNotes = PickNotes(16);
    /// By zones: any, since rounding left no room anywhere.
    pub const ZONE_NO_ROOM: PickNotes = PickNotes(32);
    /// Not by zones: where others send from is not known well enough.
    pub const ZONE_UNKNOWN: PickNotes = PickNotes(64);
    /// Not by zones: the cluster has too few endpoints.
    pub const ZONE_SMALL: PickNotes = PickNotes(128);

    /// Nothing is to be counted.
    pub fn is_none(self) -> bool {
        self == PickNotes::NONE
    }

    /// True if that is among them.
    pub fn has(self, note: PickNotes) -> bool {
        self.0 & note.0 != 0
    }

    fn with(self, note: PickNotes) -> PickNotes {
        PickNotes(self.0 | note.0)
    }
}

/// How one priority stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriorityView {
    /// Which.
    pub priority: u32,
    /// Endpoints that serve.
    pub healthy: u32,
    /// Endpoints that serve where those are too few.
    pub degraded: u32,
    /// Endpoints that serve in panic only.
    pub unhealthy: u32,
    /// Percent of requests that go to its healthy endpoints, or, in panic, to all.
    pub healthy_percent: u32,
    /// Percent of requests that go to its degraded ones.
    pub degraded_percent: u32,
    /// Health is not looked at.
    pub panic: bool,
}

impl PriorityView {
    fn of(priority: u32, population: priorities::Population, share: priorities::Share) -> PriorityView {
        PriorityView {
            priority,
            healthy: population.healthy,
            degraded: population.degraded,
            unhealthy: population.unhealthy,
            healthy_percent: share.healthy,
            degraded_percent: share.degraded,
            panic: share.panic,
        }
    }
}

/// Picks endpoints of one cluster, by their places. Immutable but for the positions of round robin: a change of health, of
/// members or of shares is another balancer.
#[derive(Debug)]
pub struct Balancer {
    layers: Layers,
    subsets: Option<Box<SubsetBalancers>>,
    ewma: Option<PeakEwma>,
    is_consistent: bool,
    /// By place, where some endpoint is slowed: the share that each has of its own, of a thousand.
    slowed: Option<Box<[u16]>>,
    /// By place, unless all do: whether sessions stay.
    keeps: Option<Box<[bool]>>,
}

impl Balancer {
    /// A balancer over these members. From `previous`, the same cluster's balancer before, it goes on in rotations where that
    /// one is, and takes over tables that are the same.
    pub fn new(plan: &Plan<'_>, members: &[Member<'_>], previous: Option<&Balancer>) -> Balancer {
        let shares = || members.iter().map(|member| layers::slowed(plan, member));
        let slowed = shares().any(|share| share.is_some()).then(|| {
            // At most a thousand.
            shares()
                .map(|share| share.unwrap_or(slow_start::SCALE) as u16)
                .collect()
        });
        let keeps = members.iter().any(|member| !member.keeps);
        Balancer {
            layers: Layers::new(plan, members, |_| true, previous.map(|previous| &previous.layers)),
            subsets: SubsetBalancers::new(
                plan,
                members,
                previous.and_then(|previous| previous.subsets.as_deref()),
            )
            .map(Box::new),
            ewma: layers::ewma(plan),
            is_consistent: plan.policy.is_consistent(),
            slowed,
            keeps: keeps.then(|| members.iter().map(|member| member.keeps).collect()),
        }
    }

    /// The endpoint for an attempt.
    #[inline]
    pub fn pick(&self, context: &PickContext<'_>) -> Picked {
        match context.subset {
            None => self.layers.pick(context),
            Some(subset) => self.pick_of_subset(subset, context),
        }
    }

    #[inline(never)]
    fn pick_of_subset(&self, subset: SubsetKey, context: &PickContext<'_>) -> Picked {
        let Some(subsets) = &self.subsets else {
            // There are no subsets: none can be asked for, and none is there.
            return Picked {
                endpoint: None,
                notes: PickNotes::SUBSET_FALLBACK,
            };
        };
        let (layers, noted) = match subsets.find(subset) {
            Found::Subset(layers) => (Some(layers), PickNotes::NONE),
            Found::Nothing => (None, PickNotes::SUBSET_FALLBACK),
            Found::Any => (Some(&self.layers), PickNotes::SUBSET_FALLBACK),
            Found::Default(layers) => (Some(layers), PickNotes::SUBSET_FALLBACK),
        };
        let picked = layers.map(|layers| layers.pick(context)).unwrap_or_default();
        Picked {
            endpoint: picked.endpoint,
            notes: picked.notes.with(noted),
        }
    }

    /// True if the hash of a request counts.
    pub fn is_consistent(&self) -> bool {
        self.is_consistent
    }

    /// How responses are observed, where that counts.
    pub fn observes(&self) -> Option<&PeakEwma> {
        self.ewma.as_ref()
    }

    /// True if a session that an endpoint has stays with it.
    pub fn keeps(&self, place: usize) -> bool {
        self.keeps
            .as_ref()
            .is_none_or(|keeps| keeps.get(place).copied().unwrap_or(false))
    }

    /// True if shares change with time: a balancer of some time later gives some endpoint more.
    pub fn is_slowing(&self) -> bool {
        self.slowed.is_some()
    }

    /// The share, of a thousand, that an endpoint has of its own weight: less than all while it is new.
    pub fn share_per_mille(&self, place: usize) -> u16 {
        let slowed = self.slowed.as_ref().and_then(|slowed| slowed.get(place).copied());
        slowed.unwrap_or(slow_start::SCALE as u16)
    }

    /// How priorities stand, the first first.
    pub fn priorities(&self) -> &[PriorityView] {
        &self.layers.views
    }
}

#[cfg(test)]
mod tests;
