//! Why a request ended as it did, after the fact: what the flight recorder kept of it, told in plain sentences by the
//! configuration that it was served by.
//!
//! Records hold numbers; [`Legends`] keeps the configurations that they are numbers of. What can be found out again is not
//! recorded but asked anew (which routes stand before the one that took a request, and why they did not), by the same code
//! as `outrigger explain`. It runs on the `control` thread's pool of blocking threads, so that nobody waits for it.

mod cause;
pub(crate) mod command;
mod connection;
mod decisions;
mod query;
mod report;
mod scene;
mod sentences;
mod timeouts;
mod words;

pub(crate) use query::{Format, WhyQuery};

use outrigger_dataplane::snapshot::{Legend, Snapshot};
use outrigger_telemetry::recorder::{Recorded, Recorder};
use parking_lot::Mutex;
use scene::Scene;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;

/// Configurations that are kept to tell of requests that they served, those that differ in endpoints alone as one; parts
/// that did not change are shared.
pub(crate) const LEGENDS_MAX: usize = 32;

/// The configurations of late, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Legends(Mutex<VecDeque<Arc<Legend>>>);

impl Legends {
    /// Keeps the configuration of a snapshot; the oldest goes.
    pub(crate) fn keep(&self, snapshot: &Snapshot) {
        let mut kept = self.0.lock();
        if kept
            .back()
            .is_some_and(|newest| newest.generations().contains(&snapshot.generation()))
        {
            return;
        }
        let legend = Legend::of(snapshot, kept.back().map(AsRef::as_ref));
        // It may be of the newest one's configurations, too, which it then takes the place of.
        kept.pop_back_if(|newest| newest.generations().start() == legend.generations().start());
        kept.push_back(Arc::new(legend));
        if kept.len() > LEGENDS_MAX {
            kept.pop_front();
        }
    }

    /// What is kept now, and the configuration in force, which may be newer still.
    fn all(&self, in_force: &Snapshot) -> Vec<Arc<Legend>> {
        self.keep(in_force);
        self.0.lock().iter().cloned().collect()
    }
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Answer {
    /// For people, with a line end.
    pub(crate) text: String,
    pub(crate) json: Value,
    /// Nothing was, and this is why.
    pub(crate) is_empty: bool,
}

/// Finds what is asked for and tells of it.
pub(crate) fn answer(
    recorder: &Recorder,
    legends: &Legends,
    in_force: &Snapshot,
    query: &WhyQuery,
) -> Answer {
    let legends = legends.all(in_force);
    let legend_of = |told: &Recorded| {
        legends
            .iter()
            .find(|legend| legend.generations().contains(&told.generation))
            .map(AsRef::as_ref)
    };
    let mut passed_over = false;
    let found = recorder.read(query.limit(), |told| {
        let scene = Scene::of(told, legend_of(told));
        passed_over |= query.needs_legend(&scene);
        query.takes(&scene)
    });
    let scenes: Vec<Scene<'_>> = found
        .iter()
        .map(|told| Scene::of(told, legend_of(told)))
        .collect();
    report::report(&scenes, recorder.is_on(), passed_over, query)
}

#[cfg(test)]
mod tests;
