//! Consistent hashing: the same key goes to the same endpoint for as long as that may be used.
//!
//! Tables are made over all endpoints of a priority, whatever their health. What may not be used (by health, or because
//! the request has tried it, or because it has its bound of requests) is passed over: the next on the ring takes the key, or
//! another entry of the Maglev table that follows from the key. So an endpoint that fails moves its own keys and no other, they come
//! back when it does, and a change of health makes no table anew. Envoy builds its tables of healthy endpoints only: where all
//! are, the choice is the same.
//!
//! **Bounded loads** (Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded Loads"; Envoy's
//! `hash_balance_factor`): an endpoint has at most the factor times its share of all requests of the cluster, this one
//! included, rounded up, and always room for one. With all at their bound, which rounding makes rare, the
//! least loaded for its share takes it.

use super::EndpointLoad;
use super::maglev::Maglev;
use super::ring::Ring;
use super::weights::{below, mix};
use outrigger_config::model::LoadBalancing;
use std::sync::Arc;

/// Steps that are taken in a table before endpoints are gone through one by one.
const STEPS_MAX: usize = 64;

/// An endpoint of a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Weighted<'a> {
    pub(super) key: &'a str,
    /// Of all endpoints of the table together 1.
    pub(super) share: f64,
    /// Its place among the cluster's endpoints.
    pub(super) place: u32,
}

/// Endpoints of one priority, by keys.
#[derive(Debug)]
pub(super) struct Consistent {
    table: Arc<Table>,
    /// By place among the cluster's endpoints: who may be picked.
    eligible: Box<[bool]>,
    /// The places of those that may.
    places: Box<[u32]>,
    bound: Option<Bound>,
}

/// A table, with what it was made of.
#[derive(Debug)]
pub(super) struct Table {
    kind: Kind,
    policy: LoadBalancing,
    made_of: Box<[(Box<str>, f64, u32)]>,
}

#[derive(Debug)]
enum Kind {
    Ring(Ring),
    Maglev(Maglev),
}

#[derive(Debug)]
struct Bound {
    factor_percent: u32,
    /// By place.
    loads: Box<[Option<ShareOfLoad>]>,
}

/// What an endpoint's share of all requests is, and its requests.
type ShareOfLoad = (f64, Arc<EndpointLoad>);

impl Bound {
    /// How full an endpoint would be with one more request: above 1 it has its bound.
    fn fullness(&self, place: usize, active: u32) -> f64 {
        let Some(Some((share, load))) = self.loads.get(place) else {
            return 0.0;
        };
        let slots = (u64::from(active).max(1) * u64::from(self.factor_percent)).div_ceil(100);
        let slots = (slots as f64 * share).ceil().max(1.0);
        (f64::from(load.active()) + 1.0) / slots
    }
}

impl Consistent {
    /// The table of these endpoints, of which those at `places` may be picked; `loads` are by place among the cluster's
    /// endpoints. The table `known` is taken over if it was made of the same.
    pub(super) fn new(
        policy: LoadBalancing,
        endpoints: &[Weighted<'_>],
        places: Box<[u32]>,
        loads: &[&Arc<EndpointLoad>],
        known: Option<&Arc<Table>>,
    ) -> Consistent {
        let mut endpoints = endpoints.to_vec();
        endpoints.sort_unstable_by_key(|endpoint| endpoint.key);
        let table = match known.filter(|known| known.is_of(policy, &endpoints)) {
            Some(known) => Arc::clone(known),
            None => Arc::new(Table::new(policy, &endpoints)),
        };
        let mut eligible = vec![false; loads.len()];
        for &place in &places {
            eligible[place as usize] = true;
        }
        let factor = match policy {
            LoadBalancing::RingHash { balance_factor, .. } => balance_factor,
            LoadBalancing::Maglev { balance_factor, .. } => balance_factor,
            _ => None,
        };
        let bound = factor.map(|factor_percent| {
            let usable = endpoints
                .iter()
                .filter(|endpoint| eligible[endpoint.place as usize]);
            let all: f64 = usable.clone().map(|endpoint| endpoint.share).sum();
            let mut bounds = vec![None; loads.len()];
            for endpoint in usable {
                let place = endpoint.place as usize;
                bounds[place] = Some((endpoint.share / all, Arc::clone(loads[place])));
            }
            Bound {
                factor_percent,
                loads: bounds.into(),
            }
        });
        Consistent {
            table,
            eligible: eligible.into(),
            places,
            bound,
        }
    }

    /// The endpoint of a key; none if none may be picked. `active`: requests of the cluster, this one included.
    pub(super) fn pick(&self, hash: u64, avoid: &[usize], active: u32) -> Option<usize> {
        let first = self.find(hash, |place| {
            !avoid.contains(&place)
                && self
                    .bound
                    .as_ref()
                    .is_none_or(|bound| bound.fullness(place, active) <= 1.0)
        });
        first
            .or_else(|| self.least_full(avoid, active))
            .or_else(|| self.find(hash, |_| true))
    }

    /// The first in the order of a key that may be picked and is accepted.
    fn find(&self, hash: u64, accepts: impl Fn(usize) -> bool) -> Option<usize> {
        if self.places.is_empty() {
            return None;
        }
        let accepts = |place: &usize| self.eligible[*place] && accepts(*place);
        let steps = self.table.steps();
        let stepped = (0..steps)
            .filter_map(|step| self.table.owner(hash, step))
            .find(accepts);
        stepped.or_else(|| {
            // So few may be picked that the table is no way to them.
            let count = self.places.len();
            let start = below(mix(hash), count as u64) as usize;
            (0..count)
                .map(|step| self.places[(start + step) % count] as usize)
                .find(accepts)
        })
    }

    fn least_full(&self, avoid: &[usize], active: u32) -> Option<usize> {
        let bound = self.bound.as_ref()?;
        let places = self.places.iter().map(|&place| place as usize);
        places
            .filter(|place| !avoid.contains(place))
            .min_by(|one, other| {
                bound
                    .fullness(*one, active)
                    .total_cmp(&bound.fullness(*other, active))
            })
    }

    /// Which endpoint has which keys.
    pub(super) fn table(&self) -> &Arc<Table> {
        &self.table
    }
}

impl Table {
    fn new(policy: LoadBalancing, endpoints: &[Weighted<'_>]) -> Table {
        let kind = match policy {
            LoadBalancing::Maglev { table_size, .. } => Kind::Maglev(Maglev::new(endpoints, table_size)),
            LoadBalancing::RingHash {
                size_min, size_max, ..
            } => Kind::Ring(Ring::new(endpoints, size_min, size_max)),
            _ => unreachable!("only consistent policies have tables"),
        };
        Table {
            kind,
            policy,
            made_of: endpoints
                .iter()
                .map(|endpoint| (endpoint.key.into(), endpoint.share, endpoint.place))
                .collect(),
        }
    }

    fn is_of(&self, policy: LoadBalancing, endpoints: &[Weighted<'_>]) -> bool {
        self.policy == policy
            && self.made_of.len() == endpoints.len()
            && self
                .made_of
                .iter()
                .zip(endpoints)
                .all(|((key, share, place), endpoint)| {
                    **key == *endpoint.key && *share == endpoint.share && *place == endpoint.place
                })
    }

    /// How many steps are worth taking.
    fn steps(&self) -> usize {
        match &self.kind {
            Kind::Ring(ring) => ring.size().min(STEPS_MAX),
            Kind::Maglev(_) => STEPS_MAX,
        }
    }

    fn owner(&self, hash: u64, step: usize) -> Option<usize> {
        match &self.kind {
            Kind::Ring(ring) => ring.owner(hash, step),
            Kind::Maglev(maglev) => maglev.owner(hash, step),
        }
    }
}
