//! Faults: the state of each lives on for as long as its place in the configuration has one, whatever changes.

use crate::snapshot::FaultPolicy;
use outrigger_config::model::{Fault, Name};
use outrigger_traffic::fault::FaultState;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// Where a fault stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum FaultPlace {
    /// A listener's filter chain.
    Chain(Name, Name),
    /// A route configuration's virtual host's route.
    Route(Name, Name, Name),
}

/// The states that somebody holds, by place.
#[derive(Debug, Default)]
pub(super) struct FaultStates(Mutex<HashMap<FaultPlace, Weak<FaultState>>>);

impl FaultStates {
    /// A policy, with the state that its place has.
    pub(super) fn policy(&self, place: FaultPlace, config: &Arc<Fault>) -> Arc<FaultPolicy> {
        let mut states = self.0.lock();
        let state = match states.get(&place).and_then(Weak::upgrade) {
            Some(state) => state,
            None => {
                states.retain(|_, state| state.strong_count() > 0);
                let state = Arc::new(FaultState::default());
                states.insert(place, Arc::downgrade(&state));
                state
            }
        };
        Arc::new(FaultPolicy {
            config: Arc::clone(config),
            state,
        })
    }
}
