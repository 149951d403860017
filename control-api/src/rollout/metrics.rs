//! What is shown of rollouts. Each server shows the same: how far a rollout is lies in the store.

use super::{Observation, Rollout, State};
use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use std::sync::Arc;

/// All states, as labels.
const STATES: [State; 5] = [
    State::Advancing,
    State::Staged,
    State::Held,
    State::Done,
    State::RolledBack,
];

/// The families; copies count together.
#[derive(Clone)]
pub struct RolloutMetrics {
    revision: IntGauge,
    stage: IntGauge,
    stages: IntGauge,
    state: IntGaugeVec,
    nodes: IntGaugeVec,
    ended: IntCounterVec,
    /// The rollout that was seen last.
    last: Arc<Mutex<Option<(u64, State)>>>,
}

impl RolloutMetrics {
    /// Registers `outrigger_control_rollout_revision`, `…_rollout_stage`, `…_rollout_stages`, `…_rollout_state{state}`,
    /// `…_rollout_nodes{standing}` and `…_rollouts_ended_total{outcome}`.
    ///
    /// # Errors
    /// If they are there already.
    pub fn register(registry: &Registry) -> Result<RolloutMetrics, prometheus::Error> {
        let name = |rest: &str| format!("outrigger_control_rollout{rest}");
        let metrics = RolloutMetrics {
            revision: IntGauge::new(
                name("_revision"),
                "The revision that is being released; 0 while none is.",
            )?,
            stage: IntGauge::new(
                name("_stage"),
                "The stage of the release, from 1; 0 while there is none.",
            )?,
            stages: IntGauge::new(name("_stages"), "Its stages; 0 while there is none.")?,
            state: IntGaugeVec::new(
                Opts::new(name("_state"), "1 for the state of the newest rollout."),
                &["state"],
            )?,
            nodes: IntGaugeVec::new(
                Opts::new(
                    name("_nodes"),
                    "Nodes that are chosen for the revision, by whether they have it.",
                ),
                &["standing"],
            )?,
            ended: IntCounterVec::new(
                Opts::new(
                    name("s_ended_total"),
                    "Rollouts that ended while this server ran, in stages or at once.",
                ),
                &["outcome"],
            )?,
            last: Arc::default(),
        };
        let collectors: [Box<dyn Collector>; 6] = [
            Box::new(metrics.revision.clone()),
            Box::new(metrics.stage.clone()),
            Box::new(metrics.stages.clone()),
            Box::new(metrics.state.clone()),
            Box::new(metrics.nodes.clone()),
            Box::new(metrics.ended.clone()),
        ];
        for collector in collectors {
            registry.register(collector)?;
        }
        for outcome in [State::Done.word(), State::RolledBack.word(), SUPERSEDED] {
            metrics.ended.with_label_values(&[outcome]);
        }
        metrics.seen(&Observation::default());
        Ok(metrics)
    }

    /// This is the newest rollout now.
    pub(super) fn is(&self, rollout: &Rollout) {
        let is_over = rollout.state.is_final();
        let unless_over = |value: u64| if is_over { 0 } else { number(value) };
        self.revision.set(unless_over(rollout.revision));
        self.stage.set(unless_over(rollout.stage as u64 + 1));
        self.stages.set(unless_over(rollout.terms.stages().len() as u64));
        for state in STATES {
            let is_it = i64::from(state == rollout.state);
            self.state.with_label_values(&[state.word()]).set(is_it);
        }
        if is_over {
            self.seen(&Observation::default());
        }
        let mut last = self.last.lock();
        let before = last.replace((rollout.revision, rollout.state));
        for outcome in ended(before, (rollout.revision, rollout.state)) {
            self.ended.with_label_values(&[outcome]).inc();
        }
    }

    /// How its nodes stand.
    pub(super) fn seen(&self, seen: &Observation) {
        for (standing, count) in [
            ("settled", seen.settled.count),
            ("waiting", seen.waiting.count),
            ("refused", seen.refusals.len()),
        ] {
            self.nodes
                .with_label_values(&[standing])
                .set(number(count as u64));
        }
    }
}

/// How a rollout ended in whose place another came.
const SUPERSEDED: &str = "superseded";

/// What ended from one look to the next.
fn ended(before: Option<(u64, State)>, now: (u64, State)) -> Vec<&'static str> {
    let Some(before) = before.filter(|before| *before != now) else {
        // What ended before this server ran is not counted.
        return Vec::new();
    };
    let is_other = before.0 != now.0;
    let superseded = (is_other && !before.1.is_final()).then_some(SUPERSEDED);
    let is_new_end = now.1.is_final() && (is_other || !before.1.is_final());
    let own = is_new_end.then(|| now.1.word());
    superseded.into_iter().chain(own).collect()
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_is_counted_once() {
        use State::*;
        for (before, now, expected) in [
            (None, (1, Done), &[][..]),
            (Some((1, Done)), (1, Done), &[]),
            (Some((1, Done)), (2, Done), &["done"]),
            (Some((1, Done)), (2, Advancing), &[]),
            (Some((2, Advancing)), (2, Staged), &[]),
            (Some((2, Staged)), (2, Done), &["done"]),
            (Some((2, Held)), (2, RolledBack), &["rolled_back"]),
            (Some((2, RolledBack)), (3, Advancing), &[]),
            (Some((3, Advancing)), (4, Advancing), &["superseded"]),
            (
                Some((3, Advancing)),
                (4, RolledBack),
                &["superseded", "rolled_back"],
            ),
        ] {
            assert_eq!(ended(before, now), expected, "{before:?} {now:?}");
        }
    }
}
