//! Which endpoint an attempt goes to, and which of a route's weighted clusters a request.
//!
//! A [`Balancer`] belongs to one cluster in one configuration and is shared by all workers without a lock: its only
//! moving part is one atomic position. What endpoints are doing is counted in [`EndpointLoad`], which outlives
//! configurations. Nothing here knows addresses, connections or health.
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
//!   weight, and a busy one tends to active requests in proportion to weights.

mod health;
mod load;
mod rotation;
mod weights;

pub use health::{EndpointHealth, HealthMark, Standing};
pub use load::EndpointLoad;

use outrigger_config::model::{Fraction, LoadBalancing};
use rotation::{Position, Rotation};
use smallvec::SmallVec;
use std::sync::Arc;
use weights::Weights;

/// Turns that round robin takes to find an endpoint that is not to be avoided, before it draws one.
const TURNS_MAX: usize = 8;

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

/// Picks endpoints of one cluster, by the indices that they were given in.
#[derive(Debug)]
pub struct Balancer {
    weights: Arc<Weights>,
    policy: Policy,
}

#[derive(Debug)]
enum Policy {
    RoundRobin {
        rotation: Arc<Rotation>,
        position: Arc<Position>,
    },
    Random,
    LeastRequest {
        loads: Box<[Arc<EndpointLoad>]>,
    },
}

impl Balancer {
    /// A balancer over endpoints with these weights (0 counts as 1). From `previous`, the same cluster's balancer of
    /// the configuration before, it goes on in the rotation where that one is, and takes over tables whose weights are
    /// the same.
    pub fn new(
        policy: LoadBalancing,
        endpoints: &[(u32, Arc<EndpointLoad>)],
        previous: Option<&Balancer>,
    ) -> Balancer {
        let weights = Weights::new(endpoints.iter().map(|(weight, _)| *weight));
        let same = previous.filter(|previous| *previous.weights == weights);
        let weights = same.map_or_else(|| Arc::new(weights), |same| Arc::clone(&same.weights));
        let policy = match policy {
            LoadBalancing::RoundRobin => Policy::RoundRobin {
                rotation: same
                    .and_then(Balancer::rotation)
                    .cloned()
                    .unwrap_or_else(|| Arc::new(Rotation::new(&weights))),
                position: previous.and_then(Balancer::position).cloned().unwrap_or_default(),
            },
            LoadBalancing::Random => Policy::Random,
            LoadBalancing::PeakEwma { .. }
            | LoadBalancing::RingHash { .. }
            | LoadBalancing::Maglev { .. } => Policy::Random,
            LoadBalancing::LeastRequest { .. } => Policy::LeastRequest {
                loads: endpoints.iter().map(|(_, load)| Arc::clone(load)).collect(),
            },
        };
        Balancer { weights, policy }
    }

    /// The endpoint for an attempt; none if there are no endpoints. `random` is any 64 bits, uniform and new for each
    /// pick. `avoid` names endpoints that this request has tried: another is taken if there is one, by weight among
    /// the others. Indices that do not exist are ignored.
    #[inline]
    pub fn pick(&self, random: u64, avoid: &[usize]) -> Option<usize> {
        match &self.policy {
            Policy::RoundRobin { rotation, position } => {
                if self.weights.count() == 0 {
                    return None;
                }
                // Each turn moves the shared position, so that what is skipped here is not given twice to the
                // endpoint that stands behind it.
                let turns = if avoid.is_empty() { 1 } else { TURNS_MAX };
                let in_turn = (0..turns)
                    .map(|_| rotation.at(position.advance(), &self.weights))
                    .find(|endpoint| !avoid.contains(endpoint));
                in_turn.or_else(|| self.draw(random, avoid))
            }
            Policy::Random => self.draw(random, avoid),
            Policy::LeastRequest { loads } => self.draw_less_loaded(loads, random, avoid),
        }
    }

    fn rotation(&self) -> Option<&Arc<Rotation>> {
        match &self.policy {
            Policy::RoundRobin { rotation, .. } => Some(rotation),
            _ => None,
        }
    }

    fn position(&self) -> Option<&Arc<Position>> {
        match &self.policy {
            Policy::RoundRobin { position, .. } => Some(position),
            _ => None,
        }
    }

    /// By weight, outside `avoid` if possible.
    fn draw(&self, random: u64, avoid: &[usize]) -> Option<usize> {
        self.weights
            .draw_outside(random, avoid)
            .or_else(|| self.weights.draw_outside(random, &[]))
    }

    fn draw_less_loaded(&self, loads: &[Arc<EndpointLoad>], random: u64, avoid: &[usize]) -> Option<usize> {
        let first_outside = self.weights.draw_outside(random, avoid);
        let avoid = if first_outside.is_some() { avoid } else { &[] };
        let first = first_outside.or_else(|| self.weights.draw_outside(random, &[]))?;
        let mut excluded: SmallVec<[usize; 8]> = SmallVec::from_slice(avoid);
        excluded.push(first);
        let Some(second) = self.weights.draw_outside(mix(random), &excluded) else {
            return Some(first);
        };
        // active / weight, compared without division.
        let first_load = u128::from(loads[first].active()) * u128::from(self.weights.weight(second));
        let second_load = u128::from(loads[second].active()) * u128::from(self.weights.weight(first));
        Some(if second_load < first_load { second } else { first })
    }
}

/// Another 64 bits from these, independent enough for a second draw (the finalizer of SplitMix64).
fn mix(random: u64) -> u64 {
    let mut mixed = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
