//! A rollout as it lies in the store, and all that changes it there.
//!
//! One record holds the rollout; whoever writes it says which version they saw. Others, one a replica, hold how the
//! replica's nodes stand; and one may hold how a revision is to be released that is being made.

use super::machine::because;
use super::observe::observe;
use super::{Command, Disobeyed, Observation, Rollout, Terms, Transition};
use crate::audit::{Event, action};
use crate::fleet::Fleet;
use crate::store::{Commit, Moment, Record, RecordKey, RecordWrite, Space, Store, StoreError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The record of the rollout.
const ROLLOUT: &str = "rollout";
/// What records of replicas' reports begin with; no other record comes between them.
const REPORT: &str = "report.";
/// Tries of a command that others were faster than.
const TRIES: usize = 5;

/// A rollout, and the version of its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The rollout.
    pub rollout: Rollout,
    /// Of its record.
    pub version: u64,
}

/// How a replica's nodes stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Report {
    pub(super) revision: u64,
    pub(super) stage: usize,
    pub(super) seen: Observation,
}

/// Why a command is not obeyed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no rollout of this revision.
    #[error("there is no rollout of revision {revision}{}", current.map(|current| format!(": the last one is that of {current}")).unwrap_or_default())]
    None {
        /// What was asked for.
        revision: u64,
        /// The revision of the rollout that there is.
        current: Option<u64>,
    },
    /// It cannot be done as it stands.
    #[error("{0}")]
    Disobeyed(#[from] Disobeyed),
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl Kept {
    /// The rollout that there is: the present one, or the last.
    ///
    /// # Errors
    /// The store's; a record that is none.
    pub async fn read(store: &dyn Store) -> Result<Option<Kept>, StoreError> {
        let Some(record) = store.record(&key(ROLLOUT)?).await? else {
            return Ok(None);
        };
        Ok(Some(Kept {
            rollout: parse(&record)?,
            version: record.version,
        }))
    }

    /// Takes a step, if nobody was faster.
    pub(super) async fn step(&self, store: &dyn Store, step: &Transition) -> Result<(), StoreError> {
        let next = &step.next;
        let write = RecordWrite::replace(key(ROLLOUT)?, self.version, body(next));
        let mut commit = Commit::default().record(write);
        if let Some(what) = step.action {
            commit = commit.and(entry(next, what).revisions(self.rollout.told_most(), next.told_most()));
        }
        store.commit(commit).await?;
        Ok(())
    }
}

impl Rollout {
    /// The newest revision that some node is told.
    fn told_most(&self) -> u64 {
        match self.state.is_final() {
            true => self.in_force(),
            false => self.revision,
        }
    }
}

/// Writes the first state of a rollout in the place of the one before, with what the audit log is to know of it.
pub(super) async fn begin(
    store: &dyn Store,
    before: Option<&Kept>,
    next: &Rollout,
    wish: Option<&Record>,
) -> Result<(), StoreError> {
    let version = before.map_or(0, |kept| kept.version);
    let mut commit = Commit::default().record(RecordWrite::replace(key(ROLLOUT)?, version, body(next)));
    if let Some(wish) = wish {
        commit = commit.record(RecordWrite::remove(wish.key.clone(), wish.version));
    }
    if let Some(over) = before.filter(|kept| !kept.rollout.state.is_final()) {
        let why = format!("revision {} became current", next.revision);
        commit = commit.and(entry(&over.rollout, action::ROLLOUT_SUPERSEDED).why(&why));
    }
    if !next.state.is_final() {
        let started = entry(next, action::ROLLOUT_STARTED).revisions(next.stable, next.revision);
        commit = commit.and(started.detail("stages", &next.terms));
    }
    store.commit(commit).await?;
    Ok(())
}

/// The write that says how revision `revision` is to be released; it belongs into the commit that makes the revision, so
/// that none is ever released otherwise.
///
/// # Errors
/// None of numbers.
pub fn wish(revision: u64, terms: &Terms) -> Result<RecordWrite, StoreError> {
    let body = serde_json::to_vec(terms).expect("terms are JSON");
    Ok(RecordWrite::create(wish_key(revision)?, body))
}

/// How a revision is to be released, if it was said with it.
pub(super) async fn wished(store: &dyn Store, revision: u64) -> Result<Option<(Record, Terms)>, StoreError> {
    let record = store.record(&wish_key(revision)?).await?;
    let read = |record: Record| parse(&record).map(|terms| (record, terms));
    record.map(read).transpose()
}

/// What replicas report, of all rollouts; with the ids of their records.
pub(super) async fn reports(store: &dyn Store) -> Result<Vec<(Record, Report)>, StoreError> {
    let records = store
        .records(Space::ROLLOUTS, Some(REPORT), crate::store::PAGE_MAX)
        .await?;
    let own = records
        .into_iter()
        .take_while(|record| record.key.id().starts_with(REPORT));
    own.map(|record| parse(&record).map(|report| (record, report)))
        .collect()
}

/// Writes a replica's report; `version` is what it wrote last.
pub(super) async fn report(
    store: &dyn Store,
    replica: &str,
    version: u64,
    report: &Report,
) -> Result<u64, StoreError> {
    let write = RecordWrite::replace(report_key(replica)?, version, body(report));
    store.write(write).await
}

/// Which record is a replica's.
pub(super) fn report_key(replica: &str) -> Result<RecordKey, StoreError> {
    key(&format!("{REPORT}{replica}"))
}

/// How nodes stand towards a rollout: those of this replica, and what others report.
///
/// # Errors
/// The store's.
pub async fn survey(
    store: &dyn Store,
    fleet: &Fleet,
    replica: Option<&str>,
    rollout: &Rollout,
) -> Result<Observation, StoreError> {
    let mut seen = observe(fleet, rollout.revision);
    let own = replica.map(report_key).transpose()?;
    for (record, report) in reports(store).await? {
        if Some(&record.key) != own.as_ref() && report.revision == rollout.revision {
            seen.merge(&report.seen);
        }
    }
    Ok(seen)
}

/// Tells the rollout of a revision what to do.
///
/// # Errors
/// There is no such rollout, it cannot do that as it stands, or the store's.
pub async fn command(
    store: &dyn Store,
    (fleet, replica): (&Fleet, Option<&str>),
    revision: u64,
    command: Command,
    (by, why): (&str, &str),
    now: Moment,
) -> Result<Rollout, CommandError> {
    for attempt in 1.. {
        let kept = Kept::read(store).await?;
        let current = kept.as_ref().map(|kept| kept.rollout.revision);
        let Some(kept) = kept.filter(|kept| kept.rollout.revision == revision) else {
            return Err(CommandError::None { revision, current });
        };
        let step = kept.rollout.obey(command, by, why, now)?;
        if command == Command::Advance {
            // The driver may not have looked since; nobody may be faster than a refusal.
            let seen = survey(store, fleet, replica, &kept.rollout).await?;
            if let Some(refusal) = seen.refusals.first() {
                return Err(Disobeyed::Refused(because(refusal)).into());
            }
        }
        match kept.step(store, &step).await {
            Err(StoreError::RecordConflict { .. }) if attempt < TRIES => {}
            done => return Ok(done.map(|()| step.next)?),
        }
    }
    unreachable!("the last try returns")
}

fn entry(rollout: &Rollout, what: &str) -> Event {
    let subject = format!("revision {}", rollout.revision);
    let stages = rollout.terms.stages().len();
    Event::new(rollout.since, &rollout.by, what, &subject)
        .why(&rollout.why)
        .detail(
            "stage",
            format!("{} of {stages}: {}", rollout.stage + 1, rollout.at()),
        )
        .detail("stable", rollout.stable)
}

fn wish_key(revision: u64) -> Result<RecordKey, StoreError> {
    key(&format!("wish.{revision}"))
}

fn key(id: &str) -> Result<RecordKey, StoreError> {
    RecordKey::new(Space::ROLLOUTS, id)
}

fn body(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("it is JSON")
}

fn parse<T: DeserializeOwned>(record: &Record) -> Result<T, StoreError> {
    serde_json::from_slice(record.body.as_bytes()).map_err(|error| StoreError::Damaged {
        what: record.key.to_string(),
        reason: error.to_string(),
    })
}
