//! The stores that the suite runs over.

use super::etcd_process::EtcdProcess;
use super::{documents, draft, soon, told};
use crate::store::directory::DirectoryOptions;
use crate::store::{Documents, RevisionHead, Store, directory, embedded, etcd};
use std::sync::Arc;
use tempfile::TempDir;

/// Where a store is kept, and the stores that are open there.
pub(super) enum Place {
    Embedded(TempDir, Option<Arc<dyn Store>>),
    Directory(TempDir, Option<Arc<dyn Store>>),
    Etcd(EtcdProcess),
}

pub(super) const KEPT: u64 = 5;

impl Place {
    pub(super) fn embedded() -> Option<Place> {
        Some(Place::Embedded(TempDir::new().unwrap(), None))
    }

    pub(super) fn directory() -> Option<Place> {
        let directory = TempDir::new().unwrap();
        std::fs::create_dir(directory.path().join("mesh")).unwrap();
        Some(Place::Directory(directory, None))
    }

    /// None where etcd is missing.
    pub(super) fn etcd() -> Option<Place> {
        EtcdProcess::start().map(Place::Etcd)
    }

    /// A replica; where one process has the store, the same again.
    pub(super) async fn open(&mut self) -> Arc<dyn Store> {
        match self {
            Place::Embedded(_, Some(store)) | Place::Directory(_, Some(store)) => store.clone(),
            Place::Embedded(place, open) => {
                let store = embedded::open(&place.path().join("mesh.redb"), KEPT)
                    .await
                    .unwrap();
                open.insert(Arc::new(store)).clone()
            }
            Place::Directory(place, open) => {
                let options = DirectoryOptions {
                    state_file: Some(place.path().join("state.redb")),
                    revisions_kept: KEPT,
                    check: None,
                };
                let store = directory::open(&place.path().join("mesh"), options)
                    .await
                    .unwrap();
                open.insert(Arc::new(store)).clone()
            }
            Place::Etcd(process) => {
                let settings = process.settings();
                let opening = async {
                    // It may still be starting.
                    loop {
                        match etcd::open(&settings, KEPT).await {
                            Ok(store) => return store,
                            Err(_) => tokio::task::yield_now().await,
                        }
                    }
                };
                Arc::new(soon("etcd", opening).await)
            }
        }
    }

    /// Everything ends, and begins anew.
    pub(super) async fn restart(&mut self, last: Arc<dyn Store>) -> Arc<dyn Store> {
        match self {
            Place::Embedded(_, open) | Place::Directory(_, open) => *open = None,
            Place::Etcd(process) => process.restart(),
        }
        let weak = Arc::downgrade(&last);
        drop(last);
        assert!(weak.upgrade().is_none(), "a store is still open");
        if !matches!(self, Place::Etcd(_)) {
            // The database is closed when the last of its calls is through.
            return soon("the database", async {
                loop {
                    if let Some(store) = self.try_open().await {
                        return store;
                    }
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
        self.open().await
    }

    async fn try_open(&mut self) -> Option<Arc<dyn Store>> {
        let file = match self {
            Place::Embedded(place, _) => place.path().join("mesh.redb"),
            Place::Directory(place, _) => place.path().join("state.redb"),
            Place::Etcd(_) => return Some(self.open().await),
        };
        match embedded::open(&file, KEPT).await {
            Ok(closed_again) => drop(closed_again),
            Err(_) => return None,
        }
        Some(self.open().await)
    }

    /// Makes a revision in the way that the store has for it.
    pub(super) async fn revise(&self, store: &dyn Store, texts: &[(&str, &str)]) -> RevisionHead {
        let wanted: Documents = documents(texts);
        let current = store.position().await.unwrap().revision;
        let Place::Directory(place, _) = self else {
            return store.append(current, draft("anna", wanted)).await.unwrap();
        };
        // Moved into place as a whole, as programs that fetch repositories do.
        let (fresh, mesh) = (place.path().join("fresh"), place.path().join("mesh"));
        std::fs::create_dir(&fresh).unwrap();
        for (name, text) in texts {
            std::fs::write(fresh.join(name), text).unwrap();
        }
        std::fs::rename(&mesh, place.path().join("old")).unwrap();
        std::fs::rename(&fresh, &mesh).unwrap();
        std::fs::remove_dir_all(place.path().join("old")).unwrap();
        let position = told(store, "the directory's revision", |position| {
            position.revision > current
        })
        .await;
        store.revision(position.revision).await.unwrap().head.clone()
    }
}
