//! Endpoints among which one is picked by nothing but the policy: all that are healthy, say, of a locality.

use super::ewma::PeakEwma;
use super::hashing::Consistent;
use super::rotation::{Position, Rotation};
use super::weights::{Weights, mix};
use super::{EndpointLoad, PickContext};
use outrigger_config::model::LoadBalancing;
use smallvec::SmallVec;
use std::sync::Arc;

/// Turns that round robin takes to find an endpoint that is not to be avoided, before it draws one.
const TURNS_MAX: usize = 8;

/// A set, by places among the cluster's endpoints.
#[derive(Debug)]
pub(super) struct HostSet {
    /// Places of its members, in order; none: all endpoints.
    members: Option<Box<[u32]>>,
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
        choices: u32,
        loads: Box<[Arc<EndpointLoad>]>,
    },
    PeakEwma {
        ewma: PeakEwma,
        loads: Box<[Arc<EndpointLoad>]>,
    },
    Consistent(Box<Consistent>),
}

impl HostSet {
    /// The set of `places`, each with its weight, among endpoints with these loads. From `previous`, the same set before,
    /// it goes on in the rotation where that one is, and takes over tables whose weights are the same.
    pub(super) fn new(
        policy: LoadBalancing,
        ewma: Option<PeakEwma>,
        places: &[u32],
        weights: &[u64],
        loads: &[&Arc<EndpointLoad>],
        previous: Option<&HostSet>,
    ) -> HostSet {
        let weights = Weights::new(weights.iter().copied());
        let same = previous.filter(|previous| *previous.weights == weights);
        let weights = same.map_or_else(|| Arc::new(weights), |same| Arc::clone(&same.weights));
        let of_members = || {
            places
                .iter()
                .map(|&place| Arc::clone(loads[place as usize]))
                .collect()
        };
        let policy = match (policy, ewma) {
            (LoadBalancing::RoundRobin, _) => Policy::RoundRobin {
                rotation: same
                    .and_then(HostSet::rotation)
                    .cloned()
                    .unwrap_or_else(|| Arc::new(Rotation::new(&weights))),
                position: previous.and_then(HostSet::position).cloned().unwrap_or_default(),
            },
            (LoadBalancing::LeastRequest { choices }, _) => Policy::LeastRequest {
                choices,
                loads: of_members(),
            },
            (LoadBalancing::PeakEwma { .. }, Some(ewma)) => Policy::PeakEwma {
                ewma,
                loads: of_members(),
            },
            _ => Policy::Random,
        };
        let is_all = places.len() == loads.len();
        HostSet {
            members: (!is_all).then(|| places.into()),
            weights,
            policy,
        }
    }

    /// A set by keys. Without a hash it is by weight.
    pub(super) fn consistent(places: &[u32], weights: &[u64], of: usize, consistent: Consistent) -> HostSet {
        HostSet {
            members: (places.len() != of).then(|| places.into()),
            weights: Arc::new(Weights::new(weights.iter().copied())),
            policy: Policy::Consistent(Box::new(consistent)),
        }
    }

    /// The table of keys.
    pub(super) fn table(&self) -> Option<&Consistent> {
        match &self.policy {
            Policy::Consistent(consistent) => Some(consistent),
            _ => None,
        }
    }

    /// The place of an endpoint for an attempt, outside `avoid` if possible; none if the set is empty.
    #[inline]
    pub(super) fn pick(&self, random: u64, context: &PickContext<'_>) -> Option<usize> {
        match (&self.policy, &self.members) {
            (Policy::RoundRobin { rotation, position }, None) if context.avoid.is_empty() => {
                if self.weights.count() == 0 {
                    return None;
                }
                Some(rotation.at(position.advance(), &self.weights))
            }
            (Policy::Consistent(consistent), _) if let Some(hash) = context.hash => {
                consistent.pick(hash, context.avoid, context.requests_active)
            }
            (_, None) => self.pick_member(random, context, context.avoid),
            (_, Some(members)) => {
                let avoid: SmallVec<[usize; 4]> = context
                    .avoid
                    .iter()
                    .filter_map(|&place| members.binary_search(&u32::try_from(place).ok()?).ok())
                    .collect();
                let member = self.pick_member(random, context, &avoid)?;
                members.get(member).map(|&place| place as usize)
            }
        }
    }

    /// Among members, by their numbers.
    fn pick_member(&self, random: u64, context: &PickContext<'_>, avoid: &[usize]) -> Option<usize> {
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
                    .find(|member| !avoid.contains(member));
                in_turn.or_else(|| self.draw(random, avoid))
            }
            Policy::Random | Policy::Consistent(_) => self.draw(random, avoid),
            Policy::LeastRequest { choices, loads } => {
                self.draw_best(random, avoid, *choices, |one, other| {
                    // active / weight, compared without division.
                    let load = |this: usize, against: usize| {
                        u128::from(loads[this].active()) * u128::from(self.weights.weight(against))
                    };
                    load(other, one) < load(one, other)
                })
            }
            Policy::PeakEwma { ewma, loads } => self.draw_best(random, avoid, 2, |one, other| {
                ewma.cost(&loads[other], context.now) < ewma.cost(&loads[one], context.now)
            }),
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

    /// Of so many different ones by weight the best: the first, unless another `is_better` than the best before it.
    #[inline]
    fn draw_best(
        &self,
        random: u64,
        avoid: &[usize],
        choices: u32,
        is_better: impl Fn(usize, usize) -> bool,
    ) -> Option<usize> {
        let first_outside = self.weights.draw_outside(random, avoid);
        let avoid = if first_outside.is_some() { avoid } else { &[] };
        let mut best = first_outside.or_else(|| self.weights.draw_outside(random, &[]))?;
        let mut excluded: SmallVec<[usize; 8]> = SmallVec::from_slice(avoid);
        excluded.push(best);
        let mut random = random;
        for _ in 1..choices {
            random = mix(random);
            let Some(another) = self.weights.draw_outside(random, &excluded) else {
                break;
            };
            excluded.push(another);
            if is_better(best, another) {
                best = another;
            }
        }
        Some(best)
    }

    #[cfg(test)]
    pub(super) fn weights(&self) -> &Arc<Weights> {
        &self.weights
    }
}
