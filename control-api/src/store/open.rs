//! The store that the settings name.

use super::directory::{Check, DirectoryOptions};
use super::{REVISIONS_KEPT, Store, StoreError, directory, embedded, etcd};
use crate::settings::StoreSettings;
use std::path::Path;
use std::sync::Arc;

/// The file, in the data directory, of what a watched directory has no place for: history, records, the audit log.
const DIRECTORY_STATE: &str = "directory.redb";

/// Opens the store of these settings. Contents of a directory are let in if `check` has nothing against them; what comes
/// over the API is checked before it gets here.
pub async fn open(
    settings: &StoreSettings,
    data_directory: &Path,
    check: Option<Check>,
) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match settings {
        StoreSettings::Embedded(file) => Arc::new(embedded::open(file, REVISIONS_KEPT).await?),
        StoreSettings::Etcd(settings) => Arc::new(etcd::open(settings, REVISIONS_KEPT).await?),
        StoreSettings::Directory(path) => {
            let options = DirectoryOptions {
                state_file: Some(data_directory.join(DIRECTORY_STATE)),
                revisions_kept: REVISIONS_KEPT,
                check,
            };
            Arc::new(directory::open(path, options).await?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn settings_pick_the_store() {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("data");
        let file = StoreSettings::Embedded(data.join("mesh.redb"));
        let store = open(&file, &data, None).await.unwrap();
        assert_eq!(store.condition().kind, "embedded");
        let store = open(&StoreSettings::Directory(place.path().to_owned()), &data, None)
            .await
            .unwrap();
        assert_eq!(store.condition().kind, "directory");
        assert!(data.join("mesh.redb").is_file() && data.join("directory.redb").is_file());
    }
}
