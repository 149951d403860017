//! From the store to the plan: revisions are loaded, and told as their rollouts have it.

use super::{Fleet, Freshness, MeshRevision, Plan};
use crate::rollout::{Driver, DriverOptions};
use crate::store::{Documents, Revision, Store, StoreError};
use outrigger_config::Source;
use std::sync::Arc;

/// Revisions that are tried, newest first, where a server starts with one that cannot be loaded. Each may take seconds.
const EARLIER_MAX: usize = 20;

/// The texts of a revision, as its diagnostics name them.
pub fn sources(revision: &Revision) -> Vec<Source> {
    sources_of(&revision.documents)
}

/// The texts of documents, as their diagnostics name them.
pub fn sources_of(documents: &Documents) -> Vec<Source> {
    let documents = documents.iter();
    let source = |(name, text): (&str, &Arc<str>)| Source {
        name: name.to_owned(),
        text: text.to_string(),
    };
    documents.map(source).collect()
}

/// Brings the fleet to each revision that becomes current, at once unless a release in stages is wished for it; ends with
/// the store. May be dropped at any time.
pub async fn follow(fleet: Arc<Fleet>, store: Arc<dyn Store>) {
    Driver::new(fleet, store, DriverOptions::default()).run().await;
}

/// The current revision cannot be loaded: what everybody has stays. Where that is nothing yet, it is the newest one before
/// that can be loaded, if there is one.
pub(crate) async fn stay(fleet: &Fleet, store: &dyn Store, current: u64) -> Result<(), StoreError> {
    let before = fleet.plan();
    if before.freshness != Freshness::Unread {
        if before.freshness == Freshness::Current {
            fleet.replan(|plan| Plan {
                freshness: Freshness::Earlier,
                ..plan.clone()
            });
        }
        return Ok(());
    }
    for head in store.history(Some(current), EARLIER_MAX).await? {
        match load(store, head.number, &before.stable).await {
            Ok(revision) => {
                tracing::warn!(
                    revision = head.number,
                    current,
                    "an earlier revision of the mesh is in force, for the current one cannot be"
                );
                let stable = Arc::new(revision);
                fleet.replan(|plan| Plan {
                    stable,
                    freshness: Freshness::Earlier,
                    ..plan.clone()
                });
                return Ok(());
            }
            Err(Unloadable::Store(error)) => return Err(error),
            Err(Unloadable::Faults(_)) => {}
        }
    }
    tracing::error!(
        current,
        "no revision of the mesh can be used: nodes are told nothing until there is one"
    );
    Ok(())
}

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

/// Loads a revision; off the threads that serve.
///
/// # Errors
/// Why it cannot be had.
pub async fn load(
    store: &dyn Store,
    number: u64,
    before: &Arc<MeshRevision>,
) -> Result<MeshRevision, Unloadable> {
    let revision = store.revision(number).await?;
    let before = Arc::clone(before);
    let loading = tokio::task::spawn_blocking(move || {
        MeshRevision::load(number, &sources(&revision), Some(&before)).map_err(|faults| faults.to_string())
    });
    let loaded = loading.await.unwrap_or_else(|error| Err(error.to_string()));
    loaded.map_err(Unloadable::Faults)
}

#[cfg(test)]
mod tests;
