//! Overload: looks at what the process uses, again and again, and has the data plane act on it.
//!
//! What to do at which pressure is decided by [`outrigger_traffic::overload`], and done by the workers. This runs on the
//! `control` thread, apart from requests: it and the admin endpoint go on whatever is refused.

mod cgroup;
mod memory;

use arc_swap::ArcSwap;
use memory::Memory;
use outrigger_config::model::{MemoryLimit, Overload as Limits};
use outrigger_dataplane::OverloadControl;
use outrigger_dataplane::snapshot::Snapshot;
use outrigger_telemetry::{Metrics, OverloadActionMetrics, PressureMetrics};
use outrigger_traffic::overload::{Actions, Held, Resource, Usage};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Actions as metrics name them, in the order in which they come.
const ACTIONS: [&str; 3] = ["stop_keepalive", "refuse_requests", "refuse_connections"];

/// How long a worker that is too busy to hear of a look holds up what comes after it.
const HEARD_TIMEOUT: Duration = Duration::from_secs(5);

/// How many bytes of memory the control groups of this process allow it: the limit that is nearest to being met. None:
/// there is no limit, or it cannot be read.
pub(crate) fn group_limit_bytes() -> Option<u64> {
    let usage = Memory::of(MemoryLimit::Cgroup).usage()?;
    usage.limit
}

/// Watches what the process uses.
pub(crate) struct Overload {
    control: OverloadControl,
    published: Arc<ArcSwap<Snapshot>>,
    metrics: Arc<Metrics>,
    actions: [Arc<OverloadActionMetrics>; 3],
    state: Mutex<State>,
}

/// What was found at the last look.
#[derive(Default)]
struct State {
    limits: Option<Limits>,
    memory: Memory,
    usages: Vec<Usage>,
    /// Of each usage that has a limit.
    pressures: Vec<(Resource, Arc<PressureMetrics>)>,
    held: Held,
    actions: Actions,
    /// What of them metrics and the log have told.
    told: Actions,
}

impl Overload {
    pub(crate) fn new(
        control: OverloadControl,
        published: Arc<ArcSwap<Snapshot>>,
        metrics: Arc<Metrics>,
    ) -> Overload {
        Overload {
            control,
            published,
            actions: ACTIONS.map(|action| metrics.overload_action(action)),
            metrics,
            state: Mutex::default(),
        }
    }

    /// Looks after each interval, until the task is aborted.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let interval = self.published.load().config().overload().interval();
            tokio::time::sleep(interval).await;
            self.look().await;
        }
    }

    /// Looks now, by the limits in force, and acts: when this returns, every worker does what follows from it, and metrics
    /// and the log tell of it. If it is cancelled, the workers do it all the same.
    pub(crate) async fn look(&self) {
        let acted = self.decide();
        if tokio::time::timeout(HEARD_TIMEOUT, acted).await.is_err() {
            tracing::warn!("a worker is too busy to hear of overload");
        }
        self.tell(&mut self.state.lock());
    }

    /// Finds what is to be done, and has the workers do it.
    fn decide(&self) -> impl Future<Output = ()> + use<> {
        let config = Arc::clone(self.published.load().config());
        let limits = config.overload();
        let state = &mut *self.state.lock();
        if state.limits.as_ref() != Some(limits) {
            // Whatever was held up by other limits is over.
            state.held = Held::default();
            state.memory = Memory::of(limits.memory_max());
            state.limits = Some(limits.clone());
        }
        state.usages.clear();
        state.usages.extend(self.control.usages(limits));
        if limits.memory_max() != MemoryLimit::Off {
            state.usages.extend(state.memory.usage());
        }
        state.held = state.held.note(&state.usages);
        state.actions = state.held.actions(limits);
        self.control.act(state.actions)
    }

    /// Metrics, and the log where something has changed.
    fn tell(&self, state: &mut State) {
        let limited = |resource: Resource| {
            state
                .usages
                .iter()
                .any(|usage| usage.resource == resource && usage.limit.is_some())
        };
        state.pressures.retain(|(resource, _)| limited(*resource));
        for usage in &state.usages {
            let (Some(limit), Some(pressure)) = (usage.limit, usage.pressure()) else {
                continue;
            };
            let known = state
                .pressures
                .iter()
                .position(|(resource, _)| *resource == usage.resource);
            let place = known.unwrap_or_else(|| {
                let cells = self.metrics.pressure(usage.resource.as_str());
                state.pressures.push((usage.resource, cells));
                state.pressures.len() - 1
            });
            let cells = state.pressures[place].1.worker(0);
            cells.pressure.set_percent(pressure.percent());
            let (used, of) = match usage.resource.is_in_bytes() {
                true => (&cells.used_bytes, &cells.limit_bytes),
                false => (&cells.used, &cells.limit),
            };
            used.set(gauge(usage.used));
            of.set(gauge(limit));
        }
        let before = std::mem::replace(&mut state.told, state.actions);
        let degrees = degrees(state.actions).into_iter().zip(degrees(before));
        for ((now, before), (name, cells)) in degrees.zip(ACTIONS.iter().zip(&self.actions)) {
            let cells = cells.worker(0);
            cells.degree.set_percent(now);
            let worst = worst(&state.usages);
            match (before > 0, now > 0) {
                (false, true) => {
                    cells.begun.inc();
                    tracing::warn!(action = name, "overload: {worst}");
                }
                (true, false) => tracing::info!(action = name, "overload is over: {worst}"),
                _ => {}
            }
        }
    }

    /// As `/server_info` shows it.
    pub(crate) fn report(&self) -> Value {
        let state = self.state.lock();
        let pressures: serde_json::Map<String, Value> = state
            .usages
            .iter()
            .filter_map(|usage| {
                let value = json!({
                    "used": usage.used,
                    "limit": usage.limit?,
                    "percent": usage.pressure()?.percent(),
                });
                Some((usage.resource.as_str().to_owned(), value))
            })
            .collect();
        let actions: serde_json::Map<String, Value> = ACTIONS
            .iter()
            .zip(degrees(state.actions))
            .map(|(name, percent)| ((*name).to_owned(), json!(percent)))
            .collect();
        json!({ "pressures": pressures, "actions_percent": actions })
    }
}

/// How far each of [`ACTIONS`] is done, of a hundred.
fn degrees(actions: Actions) -> [u32; 3] {
    let all = |is_done: bool| if is_done { 100 } else { 0 };
    [
        all(actions.stop_keepalive),
        actions.refuse_requests.percent(),
        all(actions.refuse_connections),
    ]
}

/// The resource under the highest pressure, in words.
fn worst(usages: &[Usage]) -> String {
    let pressures = usages
        .iter()
        .filter_map(|usage| Some((usage.pressure()?, usage, usage.limit?)));
    match pressures.max_by_key(|(pressure, ..)| *pressure) {
        Some((pressure, usage, limit)) => format!(
            "{} at {} % ({} of {limit})",
            usage.resource.as_str(),
            pressure.percent(),
            usage.used
        ),
        None => "nothing is limited".to_owned(),
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
