//! From the store to the plan: each revision that becomes current is loaded and, unless it is held back, everybody's.

use super::{Fleet, MeshRevision, Plan};
use crate::store::{Documents, Revision, Store};
use outrigger_config::Source;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// After a store that could not be read.
const PAUSE: Duration = Duration::from_secs(1);

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

/// Brings the fleet to each revision that becomes current; ends with the store. A revision that cannot be loaded, which
/// only other programs can have written, changes nothing and is told. May be dropped at any time.
pub async fn follow(fleet: Arc<Fleet>, store: Arc<dyn Store>) {
    let mut positions = store.watch();
    loop {
        let wanted = positions.borrow_and_update().revision;
        if wanted != fleet.plan().stable.number() {
            match load(&*store, wanted, &fleet.plan().stable).await {
                Ok(revision) => {
                    tracing::info!(
                        revision = wanted,
                        "a revision of the mesh is released to all nodes"
                    );
                    let stable = Arc::new(revision);
                    fleet.replan(|_| Plan {
                        stable,
                        release: None,
                    });
                }
                Err(Unloadable::Store(error)) => {
                    tracing::error!(%error, "the store cannot be read");
                    sleep(PAUSE).await;
                    continue;
                }
                Err(Unloadable::Faults(faults)) => {
                    tracing::error!(
                        revision = wanted,
                        "a revision of the mesh cannot be used, the one before stays:\n{faults}"
                    );
                }
            }
        }
        if positions.changed().await.is_err() {
            return;
        }
    }
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
