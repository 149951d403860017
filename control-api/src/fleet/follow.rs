//! From the store to the plan: revisions are loaded, and told as their rollouts have it.

use super::{Fleet, MeshRevision};
use crate::rollout::{Driver, DriverOptions};
use crate::store::{Documents, Revision, Store};
use outrigger_config::Source;
use std::sync::Arc;

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

/// Why a revision is not there.
#[derive(Debug, thiserror::Error)]
pub enum Unloadable {
    /// The store does not give it.
    #[error("{0}")]
    Store(#[from] crate::store::StoreError),
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
