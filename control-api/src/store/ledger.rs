//! The rules of a store, whichever database it lies in: what a commit must find, what it writes, what it drops.
//!
//! Every commit changes one key, `meta`, and only if that still is what the commit was planned on. So commits of all
//! replicas form one row, and whatever a plan has read holds when it is applied. A plan that came too late is made anew.

mod plan;
mod read;

use super::backend::{Backend, META, Write};
use super::revision::Revision;
use super::{Commit, Committed, Position, StoreError};
use parking_lot::Mutex;
use plan::{Plan, Prepared};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex as Turn, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A commit that is not through by then fails: a busy store is better told of than waited for.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(15);
/// Between attempts of a commit that other replicas were faster than: up to this, at random.
const CONTENTION_PAUSE_MAX: Duration = Duration::from_millis(20);
/// Revisions that are held in memory. Their unchanged documents are shared.
const REVISIONS_CACHED: usize = 8;

/// What every commit changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Meta {
    /// Of all that is stored; another one is refused.
    format: u32,
    /// How many commits there were.
    sequence: u64,
    /// The last one's id.
    commit: String,
    revision: u64,
    /// The oldest revision that is kept.
    oldest: u64,
    records: u64,
    audit: crate::audit::Head,
}

const FORMAT: u32 = 1;

impl Default for Meta {
    fn default() -> Meta {
        Meta {
            format: FORMAT,
            sequence: 0,
            commit: String::new(),
            revision: 0,
            oldest: 1,
            records: 0,
            audit: crate::audit::Head::default(),
        }
    }
}

impl Meta {
    /// A store that has none is empty.
    pub(super) fn parse(bytes: Option<&[u8]>) -> Result<Meta, StoreError> {
        let Some(bytes) = bytes else {
            return Ok(Meta::default());
        };
        let meta: Meta = plan::parse(META, bytes)?;
        match meta.format {
            FORMAT => Ok(meta),
            other => Err(StoreError::damaged(
                "the store",
                format!("it has format {other}; this program knows {FORMAT}"),
            )),
        }
    }

    pub(super) fn position(&self) -> Position {
        Position {
            sequence: self.sequence,
            revision: self.revision,
            records: self.records,
        }
    }
}

/// A store over some database. Cheap to clone: all clones are one.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    backend: Arc<dyn Backend>,
    revisions_kept: u64,
    position: watch::Sender<Position>,
    /// Commits of this process go one by one, first come, first served. A Tokio mutex: it is held while the database
    /// works, which is what it is for.
    turn: Turn<()>,
    /// The newest at the back.
    cache: Mutex<VecDeque<Arc<Revision>>>,
    /// Learns what other replicas commit.
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().take() {
            task.abort();
        }
    }
}

impl Ledger {
    pub(super) async fn start(backend: Arc<dyn Backend>, revisions_kept: u64) -> Result<Ledger, StoreError> {
        let shared = Arc::new(Shared {
            backend,
            revisions_kept: revisions_kept.max(1),
            position: watch::Sender::new(Position::default()),
            turn: Turn::new(()),
            cache: Mutex::new(VecDeque::new()),
            task: Mutex::new(None),
        });
        let (_, meta) = shared.meta().await?;
        shared.advance(meta.position());
        Ok(Ledger { shared })
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Shared {
    async fn meta(&self) -> Result<(Option<Vec<u8>>, Meta), StoreError> {
        let bytes = self.backend.read(META).await?;
        let meta = Meta::parse(bytes.as_deref())?;
        Ok((bytes, meta))
    }

    /// Tells those who watch, unless they know something newer.
    pub(super) fn advance(&self, position: Position) {
        self.position.send_if_modified(|known| {
            let is_newer = position.sequence > known.sequence;
            if is_newer {
                *known = position;
            }
            is_newer
        });
    }

    /// What those who watch were told last.
    pub(super) fn known(&self) -> Position {
        *self.position.borrow()
    }

    /// The database was put back to an older copy: what was known of it no longer holds.
    pub(super) fn reset(&self, position: Position) {
        tracing::warn!(
            revision = position.revision,
            "the store was put back to an older copy of itself"
        );
        self.cache.lock().clear();
        self.position.send_replace(position);
    }

    /// Ends this task when the last of the ledger is dropped.
    pub(super) fn own(&self, task: JoinHandle<()>) {
        if let Some(former) = self.task.lock().replace(task) {
            former.abort();
        }
    }

    /// Not cancel safe: runs in a task of its own, so that a caller that goes away leaves no watcher untold.
    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        commit.check()?;
        let deadline = Instant::now() + COMMIT_TIMEOUT;
        let Ok(_turn) = tokio::time::timeout_at(deadline, self.turn.lock()).await else {
            return Err(StoreError::unavailable(
                "commit",
                "too many others wait to commit",
            ));
        };
        let prepared = self.prepare(&commit).await?;
        let mut lost = None;
        loop {
            let attempted = match self.attempt(&commit, &prepared, &mut lost).await {
                Ok(None) if Instant::now() > deadline => Err(StoreError::unavailable(
                    "commit",
                    "other replicas commit all the time",
                )),
                attempted => attempted,
            };
            match (attempted, &lost) {
                (Ok(Some(committed)), _) => return Ok(committed),
                (Ok(None), _) => tokio::time::sleep(CONTENTION_PAUSE_MAX.mul_f64(fastrand::f64())).await,
                (Err(StoreError::Unavailable { reason, .. }), Some(Lost { reason: first, .. })) => {
                    let reason = format!("{first}; and then: {reason}");
                    return Err(StoreError::Uncertain { reason });
                }
                (Err(error), _) => return Err(error),
            }
        }
    }

    /// Plans and applies. None if another replica was faster, or the answer was lost: it may even be that the commit takes
    /// place a little later. So the next attempt looks first whether it did; and since both would change the same state of
    /// `meta`, only one of them can.
    async fn attempt(
        &self,
        commit: &Commit,
        prepared: &Prepared,
        lost: &mut Option<Lost>,
    ) -> Result<Option<Committed>, StoreError> {
        let (before, meta) = self.meta().await?;
        if let Some(Lost { plan, reason }) = lost {
            match self.is_found(plan, &meta).await? {
                Some(true) => {
                    self.advance(plan.meta.position());
                    return Ok(Some(plan.committed.clone()));
                }
                Some(false) => {}
                None => {
                    return Err(StoreError::Uncertain {
                        reason: reason.clone(),
                    });
                }
            }
        }
        let mut plan = match self.plan(&meta, commit, prepared).await {
            Ok(plan) => plan,
            // What it wanted to read may have been dropped by another replica's commit.
            Err(error @ StoreError::Damaged { .. }) => match self.meta().await?.1 == meta {
                true => return Err(error),
                false => return Ok(None),
            },
            Err(error) => return Err(error),
        };
        match self.backend.apply(before, plan.writes.clone()).await {
            Ok(true) => {
                self.advance(plan.meta.position());
                Ok(Some(plan.committed))
            }
            Ok(false) => Ok(None),
            Err(StoreError::Uncertain { reason }) => {
                tracing::debug!(reason, "the answer to a commit was lost");
                plan.writes.retain(Write::is_put);
                *lost = Some(Lost { plan, reason });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether what a plan would have left is there, or was built upon by later commits, which leave audit entries as they
    /// are. None if that cannot be told any more.
    async fn is_found(&self, plan: &Plan, now: &Meta) -> Result<Option<bool>, StoreError> {
        if now.sequence <= plan.meta.sequence {
            return Ok(Some(now.commit == plan.meta.commit));
        }
        for (key, value) in plan.witnesses() {
            match self.backend.read(key).await? {
                Some(found) if found == value => return Ok(Some(true)),
                _ if key.starts_with(plan::AUDIT) => return Ok(Some(false)),
                // A record may have been changed since.
                _ => {}
            }
        }
        Ok(None)
    }
}

/// A plan that may have been applied, or may yet be.
struct Lost {
    plan: Plan,
    reason: String,
}

#[cfg(test)]
mod tests;
