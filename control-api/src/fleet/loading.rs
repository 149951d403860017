//! Revisions are loaded once, whoever needs them first: who validates documents, and who then releases them, get the same.

use super::{Fleet, MeshRevision, Plan};
use crate::store::{Documents, Revision, Store, StoreError};
use outrigger_config::Diagnostics;
use parking_lot::Mutex;
use std::sync::Arc;

/// Revisions that were loaded and are nobody's yet: as many as are looked at at a time, of which one is released.
const WAITING_MAX: usize = 4;

/// Why a revision is not there.
#[derive(Debug, thiserror::Error)]
pub enum Unloadable {
    /// The store does not give it.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// Its documents are at fault.
    #[error("{0}")]
    Faults(String),
}

/// What was loaded and is not told to nodes yet.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    revisions: Mutex<Vec<Arc<MeshRevision>>>,
    /// One is loaded at a time, so that who waits finds what the one before has loaded.
    turn: tokio::sync::Mutex<()>,
}

impl Waiting {
    fn find(&self, revision: &Revision) -> Option<Arc<MeshRevision>> {
        let waiting = self.revisions.lock();
        let is_it = |known: &&Arc<MeshRevision>| {
            known.number() == revision.number() && known.hash() == revision.head.hash
        };
        waiting.iter().find(is_it).map(Arc::clone)
    }

    /// The oldest gives way.
    fn keep(&self, revision: &Arc<MeshRevision>) {
        let mut waiting = self.revisions.lock();
        if waiting.len() >= WAITING_MAX {
            waiting.remove(0);
        }
        waiting.push(Arc::clone(revision));
    }

    /// Of what nodes are told by a plan, and of what came before that, nobody has to be reminded.
    pub(super) fn settle(&self, plan: &Plan) {
        let newest = newest(plan).number();
        self.revisions.lock().retain(|known| known.number() > newest);
    }
}

impl Fleet {
    /// Loads documents as revision `number`, which they may become. Takes as long as it takes to look at what is new in them:
    /// not for threads that serve.
    ///
    /// # Errors
    /// All faults, with file, line and column.
    pub fn load(&self, number: u64, documents: &Documents) -> Result<Arc<MeshRevision>, Diagnostics> {
        let loaded = MeshRevision::load(number, documents, Some(newest(&self.plan())))?;
        Ok(Arc::new(loaded))
    }

    /// What was loaded is about to become a revision: nobody loads it again.
    pub fn expect(&self, loaded: &Arc<MeshRevision>) {
        self.waiting.keep(loaded);
    }

    /// Loads documents that become revision `number` if there is nothing against them.
    ///
    /// # Errors
    /// What is, in words.
    pub fn admit(&self, number: u64, documents: &Documents) -> Result<(), String> {
        let loaded = self
            .load(number, documents)
            .map_err(|faults| faults.to_string())?;
        self.expect(&loaded);
        Ok(())
    }

    /// What was expected does not become a revision.
    pub fn discard(&self, loaded: &Arc<MeshRevision>) {
        let mut waiting = self.waiting.revisions.lock();
        waiting.retain(|known| !Arc::ptr_eq(known, loaded));
    }

    /// The revision of a number, if nodes are told it.
    pub fn told(&self, number: u64) -> Option<Arc<MeshRevision>> {
        told(&self.plan(), number)
    }

    /// A revision of the store: the one that nodes are told, or that is expected, if it is one of these; else it is loaded, off
    /// the threads that serve. One that is newer than what nodes are told is kept for who is to tell them. May be dropped at
    /// any time.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub async fn revision(
        self: &Arc<Self>,
        store: &dyn Store,
        number: u64,
    ) -> Result<Arc<MeshRevision>, Unloadable> {
        if let Some(told) = self.told(number) {
            return Ok(told);
        }
        let revision = store.revision(number).await?;
        let _turn = self.waiting.turn.lock().await;
        let plan = self.plan();
        if let Some(known) = told(&plan, number).or_else(|| self.waiting.find(&revision)) {
            return Ok(known);
        }
        let is_newer = number > newest(&plan).number();
        let fleet = Arc::clone(self);
        let loading = tokio::task::spawn_blocking(move || {
            let loaded = fleet.load(number, &revision.documents)?;
            if is_newer {
                fleet.expect(&loaded);
            }
            Ok(loaded)
        });
        let loaded = loading
            .await
            .map_err(|error| Unloadable::Faults(error.to_string()))?;
        loaded.map_err(|faults: Diagnostics| Unloadable::Faults(faults.to_string()))
    }
}

/// The revision of a number that nodes are told.
fn told(plan: &Plan, number: u64) -> Option<Arc<MeshRevision>> {
    let released = plan.release.iter().map(|release| &release.revision);
    let mut told = [&plan.stable].into_iter().chain(released);
    told.find(|revision| revision.number() == number).map(Arc::clone)
}

/// The newest revision that nodes are told.
fn newest(plan: &Plan) -> &Arc<MeshRevision> {
    let released = plan.release.as_ref().map(|release| &release.revision);
    released.map_or(&plan.stable, |released| {
        match released.number() > plan.stable.number() {
            true => released,
            false => &plan.stable,
        }
    })
}

#[cfg(test)]
mod tests;
