//! Hedging: what is learnt of a route's requests lives on for as long as the route has its name and is hedged.

use crate::snapshot::HedgePolicy;
use outrigger_config::model::{Hedging, Name};
use outrigger_traffic::hedging::HedgeState;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// A route's place: route configuration, virtual host, route.
pub(super) type HedgePlace = (Name, Name, Name);

/// The states that somebody holds, by place.
#[derive(Debug, Default)]
pub(super) struct HedgeStates(Mutex<HashMap<HedgePlace, Weak<HedgeState>>>);

impl HedgeStates {
    /// A policy, with the state that its route has.
    pub(super) fn policy(&self, place: HedgePlace, settings: &Hedging) -> Box<HedgePolicy> {
        let mut states = self.0.lock();
        let state = match states.get(&place).and_then(Weak::upgrade) {
            Some(state) => state,
            None => {
                states.retain(|_, state| state.strong_count() > 0);
                let state = Arc::new(HedgeState::default());
                states.insert(place, Arc::downgrade(&state));
                state
            }
        };
        Box::new(HedgePolicy {
            settings: settings.clone(),
            state,
        })
    }
}
