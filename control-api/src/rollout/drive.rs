//! Takes the steps of rollouts, and brings the fleet's plan to what is decided.

use super::kept::{self, Kept, Report};
use super::observe::observe;
use super::{Observation, Rollout, RolloutMetrics, Settling, Terms, Verdict};
use crate::fleet::follow::stay;
use crate::fleet::{Fleet, Freshness, MeshRevision, Plan, RETURN_WITHIN, Release, Unloadable};
use crate::store::{Moment, RecordWrite, Store, StoreError};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Between two looks at nodes, while a rollout is under way.
const TICK: Duration = Duration::from_millis(500);
/// After a store that could not be read or written.
const PAUSE: Duration = Duration::from_secs(1);
/// A replica's report is written again after this, though nothing changed, so that it is known to be there.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// A report that has not been written for so long is of a replica that has gone: three were missed.
const REPORT_LIFETIME: Duration = Duration::from_secs(15);
/// Since a step, for all replicas to have reported on it.
const REPORTS_WITHIN: Duration = Duration::from_secs(5);

/// How a server drives rollouts.
#[derive(Clone)]
pub struct DriverOptions {
    /// How revisions are released that do not say it; none: to everybody at once.
    pub terms: Option<Terms>,
    /// This replica's name, unique among those of the store; none: it is the only one.
    pub replica: Option<String>,
    /// From the driver's start until the absence of nodes means that they are gone.
    pub return_within: Duration,
    /// Whether rollouts may go on.
    pub verdict: Arc<dyn Verdict>,
    /// Where it is shown; none: nowhere.
    pub metrics: Option<RolloutMetrics>,
}

impl Default for DriverOptions {
    fn default() -> DriverOptions {
        DriverOptions {
            terms: None,
            replica: None,
            return_within: RETURN_WITHIN,
            verdict: Arc::new(Settling),
            metrics: None,
        }
    }
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turned {
    /// Something was written, here or by another replica: there may be more to do at once.
    Moved,
    /// A rollout is under way: look again soon.
    Underway,
    /// Nothing is to be done until the store changes.
    Idle,
}

/// Drives the rollouts of one store for the nodes of one replica.
pub struct Driver {
    fleet: Arc<Fleet>,
    store: Arc<dyn Store>,
    options: DriverOptions,
    started: Option<Instant>,
    /// What this replica reported last: when, as which version of its record.
    reported: Option<(Report, Instant, u64)>,
    /// Others' reports: the version of each, and since when it is that.
    heard: HashMap<String, (u64, Instant)>,
    /// A revision that cannot be loaded, which was told.
    unloadable: Option<u64>,
    /// The revision before which nothing could be loaded either.
    nothing_before: Option<u64>,
}

impl Driver {
    /// Drives by these options.
    pub fn new(fleet: Arc<Fleet>, store: Arc<dyn Store>, options: DriverOptions) -> Driver {
        Driver {
            fleet,
            store,
            options,
            started: None,
            reported: None,
            heard: HashMap::new(),
            unloadable: None,
            nothing_before: None,
        }
    }

    /// Drives until the store ends. May be dropped at any time: what is decided is in the store.
    pub async fn run(mut self) {
        let mut positions = self.store.watch();
        loop {
            positions.borrow_and_update();
            let pause = match self.turn(Moment::now(), Instant::now()).await {
                Ok(Turned::Moved) => continue,
                Ok(Turned::Underway) => Some(TICK),
                Ok(Turned::Idle) => None,
                Err(error) => {
                    tracing::error!(%error, "the store cannot be read or written: rollouts stand still");
                    // What changed meanwhile is looked at then.
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let changed = match pause {
                Some(pause) => tokio::time::timeout(pause, positions.changed()).await,
                None => Ok(positions.changed().await),
            };
            if let Ok(Err(_)) = changed {
                return;
            }
        }
    }

    /// Looks at the store and the nodes, and takes one step if there is one to take.
    ///
    /// # Errors
    /// The store's. Nothing is lost: the next turn finds what this one did not do.
    pub async fn turn(&mut self, now: Moment, at: Instant) -> Result<Turned, StoreError> {
        let store = Arc::clone(&self.store);
        let started = *self.started.get_or_insert(at);
        let current = store.position().await?.revision;
        let (kept, freshness) = match Kept::read(&*store).await? {
            Some(kept) if kept.rollout.revision >= current => (kept, Freshness::Current),
            None if current == 0 => {
                self.show_nothing();
                return Ok(Turned::Idle);
            }
            before => match self.begin(before, current, now).await? {
                Begun::Moved => return Ok(Turned::Moved),
                Begun::Unloadable(None) => {
                    self.stay(current).await?;
                    return Ok(Turned::Idle);
                }
                Begun::Unloadable(Some(kept)) => (kept, Freshness::Earlier),
            },
        };
        if let Some(metrics) = &self.options.metrics {
            metrics.is(&kept.rollout);
        }
        let is_shown = self.show(&kept.rollout, freshness).await?;
        if !is_shown {
            self.stay(current).await?;
        }
        if kept.rollout.state.is_final() {
            return Ok(Turned::Idle);
        }
        let mut seen = observe(&self.fleet, kept.rollout.revision);
        seen.is_complete &= is_shown && at.saturating_duration_since(started) >= self.options.return_within;
        if self.options.replica.is_some() {
            self.exchange(&kept.rollout, &mut seen, now, at).await?;
        }
        if let Some(metrics) = &self.options.metrics {
            metrics.seen(&seen);
        }
        let Some(step) = kept.rollout.observe(&seen, &*self.options.verdict, now) else {
            return Ok(Turned::Underway);
        };
        match kept.step(&*store, &step).await {
            Ok(()) => tracing::info!(
                revision = step.next.revision,
                stage = step.next.stage + 1,
                state = step.next.state.word(),
                why = step.next.why,
                "a rollout takes a step"
            ),
            // Another replica was faster.
            Err(StoreError::RecordConflict { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(Turned::Moved)
    }

    /// A revision became current that no rollout is of.
    async fn begin(&mut self, before: Option<Kept>, current: u64, now: Moment) -> Result<Begun, StoreError> {
        if self.unloadable == Some(current) {
            return Ok(Begun::Unloadable(before));
        }
        if let Err(unloadable) = self.revision(current).await {
            let Unloadable::Faults(faults) = unloadable else {
                return Err(stores(unloadable));
            };
            tracing::error!(
                revision = current,
                "a revision of the mesh cannot be used, the one before stays:\n{faults}"
            );
            self.unloadable = Some(current);
            return Ok(Begun::Unloadable(before));
        }
        let wished = kept::wished(&*self.store, current).await?;
        let (wish, wished) = wished.unzip();
        let terms = wished.or_else(|| self.options.terms.clone());
        let stable = match &before {
            Some(kept) => kept.rollout.in_force(),
            None => self.fleet.plan().stable.number(),
        };
        let next = match terms {
            // Nobody has anything yet that could be gone back to.
            Some(terms) if stable > 0 => Rollout::begin(current, stable, terms, now),
            _ => Rollout::at_once(current, now),
        };
        if next.state.is_final() {
            // Nothing has to be decided first.
            self.show(&next, Freshness::Current).await?;
        }
        match kept::begin(&*self.store, before.as_ref(), &next, wish.as_ref()).await {
            Ok(()) if !next.state.is_final() => {
                tracing::info!(revision = current, stable, stages = %next.terms, "a rollout begins");
            }
            Ok(()) | Err(StoreError::RecordConflict { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(Begun::Moved)
    }

    /// The store has no revision: the mesh is empty.
    fn show_nothing(&self) {
        if self.fleet.plan().freshness == Freshness::Unread {
            self.fleet.replan(|plan| Plan {
                freshness: Freshness::Current,
                ..plan.clone()
            });
        }
    }

    /// Nodes keep what they have, or, if that is nothing yet, get the newest revision that can be loaded.
    async fn stay(&mut self, current: u64) -> Result<(), StoreError> {
        if self.nothing_before == Some(current) {
            return Ok(());
        }
        stay(&self.fleet, &*self.store, current).await?;
        if self.fleet.plan().freshness == Freshness::Unread {
            self.nothing_before = Some(current);
        }
        Ok(())
    }

    /// Brings the plan to what a rollout says; false if a revision of it cannot be loaded.
    async fn show(&mut self, rollout: &Rollout, freshness: Freshness) -> Result<bool, StoreError> {
        let plan = self.fleet.plan();
        let (stable, chosen) = (rollout.in_force(), rollout.chosen());
        let released = plan.release.as_ref();
        let is_shown = plan.freshness == freshness
            && plan.stable.number() == stable
            && released.map(|release| &release.selections) == chosen.as_ref()
            && released.is_none_or(|release| release.revision.number() == rollout.revision);
        if is_shown {
            return Ok(true);
        }
        let loaded = async {
            let stable = self.revision(stable).await?;
            let release = match chosen {
                None => None,
                Some(selections) => Some(Release {
                    revision: self.revision(rollout.revision).await?,
                    selections,
                }),
            };
            Ok(Plan {
                stable,
                release,
                freshness,
            })
        };
        match loaded.await {
            Ok(plan) => {
                tracing::info!(
                    revision = rollout.revision,
                    stable,
                    state = rollout.state.word(),
                    "nodes are told the mesh anew"
                );
                self.fleet.replan(|_| plan);
                Ok(true)
            }
            Err(Unloadable::Store(
                error @ (StoreError::Unavailable { .. } | StoreError::Uncertain { .. }),
            )) => Err(error),
            Err(unloadable) => {
                tracing::error!(%unloadable, "a revision of a rollout cannot be used: nodes keep what they have");
                Ok(false)
            }
        }
    }

    async fn revision(&self, number: u64) -> Result<Arc<MeshRevision>, Unloadable> {
        self.fleet.revision(&*self.store, number).await
    }

    /// Reports to other replicas, and adds what they report.
    async fn exchange(
        &mut self,
        rollout: &Rollout,
        seen: &mut Observation,
        now: Moment,
        at: Instant,
    ) -> Result<(), StoreError> {
        let replica = self.options.replica.clone().unwrap_or_default();
        let own = kept::report_key(&replica)?;
        let report = Report {
            revision: rollout.revision,
            stage: rollout.stage,
            seen: seen.clone(),
        };
        self.report(&replica, report, at).await?;
        let mut heard = HashMap::new();
        for (record, report) in kept::reports(&*self.store).await? {
            if record.key == own {
                continue;
            }
            let id = record.key.id().to_owned();
            let before = self
                .heard
                .get(&id)
                .filter(|(version, _)| *version == record.version);
            let since = before.map_or(at, |(_, since)| *since);
            if at.saturating_duration_since(since) >= REPORT_LIFETIME {
                // Somebody else may be faster, or it may be there after all: both are well.
                let _ = self
                    .store
                    .write(RecordWrite::remove(record.key, record.version))
                    .await;
                continue;
            }
            heard.insert(id, (record.version, since));
            if report.revision == rollout.revision {
                seen.merge(&report.seen);
            }
            seen.is_complete &= report.revision == rollout.revision && report.stage == rollout.stage;
        }
        self.heard = heard;
        seen.is_complete &= now >= rollout.since.after(REPORTS_WITHIN);
        Ok(())
    }

    async fn report(&mut self, replica: &str, report: Report, at: Instant) -> Result<(), StoreError> {
        let version = match &self.reported {
            Some((last, when, version)) => {
                let age = at.saturating_duration_since(*when);
                let is_other_stage = (last.revision, last.stage) != (report.revision, report.stage);
                let is_due = match *last == report {
                    true => age >= REPORT_INTERVAL,
                    false => is_other_stage || !report.seen.refusals.is_empty() || age >= TICK,
                };
                if !is_due {
                    return Ok(());
                }
                *version
            }
            None => 0,
        };
        match kept::report(&*self.store, replica, version, &report).await {
            Ok(version) => self.reported = Some((report, at, version)),
            // It was removed by one who thought this replica gone, or is there from before.
            Err(StoreError::RecordConflict { current, .. }) => {
                let version = kept::report(&*self.store, replica, current, &report).await?;
                self.reported = Some((report, at, version));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// What came of a revision that became current.
enum Begun {
    Moved,
    /// It changes nothing: the rollout before, if there is one, goes on.
    Unloadable(Option<Kept>),
}

fn stores(unloadable: Unloadable) -> StoreError {
    match unloadable {
        Unloadable::Store(error) => error,
        Unloadable::Faults(reason) => StoreError::Damaged {
            what: "a revision".to_owned(),
            reason,
        },
    }
}
