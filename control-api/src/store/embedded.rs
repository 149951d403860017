//! The store in a file beside the server: redb, with one process at a time.

use super::StoreError;
use super::backend::{Backend, META, Order, Pair, Write, end_of};
use super::ledger::Ledger;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use std::path::Path;
use std::sync::Arc;
use tonic::async_trait;

const TABLE: TableDefinition<&str, &[u8]> = TableDefinition::new("outrigger");
/// Values are not bounded by redb; chunks of 1 MiB, as everywhere.
const CHUNK_BYTES: usize = 1024 * 1024;

/// The embedded store. The default; see `docs/control/stores.md` for when another serves better.
pub type Embedded = Ledger;

/// Opens the store of this file, or begins one, with the directories that it lies in. `revisions_kept`: how many revisions stay, at least 1.
///
/// The file is readable by its owner only: it holds signing keys.
pub async fn open(path: &Path, revisions_kept: u64) -> Result<Embedded, StoreError> {
    let path = path.to_owned();
    let file = blocking("open the database", move || open_file(&path)).await?;
    Ledger::start(Arc::new(file), revisions_kept).await
}

/// A store that is gone with the process; for tests and demonstrations.
pub async fn in_memory(revisions_kept: u64) -> Result<Embedded, StoreError> {
    let backend = redb::backends::InMemoryBackend::new();
    let database = Database::builder().create_with_backend(backend);
    let database = database.map_err(|error| StoreError::unavailable("begin in memory", error))?;
    Ledger::start(Arc::new(File::new(database)?), revisions_kept).await
}

fn open_file(path: &Path) -> Result<File, StoreError> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let shown = path.display().to_string();
    let failed = |error: &dyn std::fmt::Display| StoreError::Unavailable {
        operation: "open the database",
        reason: format!("{shown}: {error}"),
    };
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent);
        made.map_err(|error| failed(&error))?;
    }
    let options = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path);
    let file = options.map_err(|error| failed(&error))?;
    let backend = redb::backends::FileBackend::new(file);
    match backend.and_then(|backend| Database::builder().create_with_backend(backend)) {
        Ok(database) => File::new(database),
        Err(DatabaseError::DatabaseAlreadyOpen) => Err(StoreError::InUse { path: shown }),
        Err(error) => Err(failed(&error)),
    }
}

/// A redb database as the ledger needs it.
pub(super) struct File {
    database: Arc<Database>,
}

impl File {
    fn new(database: Database) -> Result<File, StoreError> {
        // The table has to be there for reads.
        let begun = || -> Result<(), redb::Error> {
            let transaction = database.begin_write()?;
            transaction.open_table(TABLE)?;
            Ok(transaction.commit()?)
        };
        begun().map_err(|error| StoreError::unavailable("open the database", error))?;
        Ok(File {
            database: Arc::new(database),
        })
    }

    async fn with<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = self.database.clone();
        blocking(operation, move || {
            work(&database).map_err(|error| match error {
                redb::Error::Corrupted(reason) => StoreError::damaged("the database", reason),
                error => StoreError::unavailable(operation, error),
            })
        })
        .await
    }
}

/// Runs what waits for the disk where waiting harms nobody.
async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(StoreError::unavailable(operation, error)),
    }
}

#[async_trait]
impl Backend for File {
    fn kind(&self) -> &'static str {
        "embedded"
    }

    fn chunk_bytes(&self) -> usize {
        CHUNK_BYTES
    }

    fn fault(&self) -> Option<String> {
        None
    }

    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let key = key.to_owned();
        self.with("read", move |database| {
            let table = database.begin_read()?.open_table(TABLE)?;
            let found = table.get(key.as_str())?;
            Ok(found.map(|value| value.value().to_vec()))
        })
        .await
    }

    async fn scan(&self, from: &str, to: &str, order: Order, limit: usize) -> Result<Vec<Pair>, StoreError> {
        let (from, to) = (from.to_owned(), to.to_owned());
        if from >= to {
            return Ok(Vec::new());
        }
        self.with("read", move |database| {
            let table = database.begin_read()?.open_table(TABLE)?;
            let range = table.range(from.as_str()..to.as_str())?;
            let owned = |pair: Result<(redb::AccessGuard<'_, &str>, redb::AccessGuard<'_, &[u8]>), _>| {
                let (key, value) = pair?;
                Ok((key.value().to_owned(), value.value().to_vec()))
            };
            match order {
                Order::Ascending => range.take(limit).map(owned).collect(),
                Order::Descending => range.rev().take(limit).map(owned).collect(),
            }
        })
        .await
    }

    async fn stage(&self, values: Vec<Pair>) -> Result<Vec<Write>, StoreError> {
        let values = values.into_iter();
        Ok(values.map(|(key, value)| Write::Put { key, value }).collect())
    }

    async fn apply(&self, meta: Option<Vec<u8>>, writes: Vec<Write>) -> Result<bool, StoreError> {
        self.with("commit", move |database| {
            apply(database, meta.as_deref(), &writes)
        })
        .await
    }
}

/// On disk when it returns: redb's default durability.
fn apply(database: &Database, meta: Option<&[u8]>, writes: &[Write]) -> Result<bool, redb::Error> {
    let transaction = database.begin_write()?;
    let is_expected = {
        let mut table = transaction.open_table(TABLE)?;
        let is_expected = table.get(META)?.as_ref().map(|value| value.value()) == meta;
        if is_expected {
            for write in writes {
                match write {
                    Write::Put { key, value } => {
                        table.insert(key.as_str(), value.as_slice())?;
                    }
                    Write::Keep { .. } => {}
                    Write::Delete { key } => {
                        table.remove(key.as_str())?;
                    }
                    Write::DeleteAll { prefix } => {
                        table.retain_in(prefix.as_str()..end_of(prefix).as_str(), |_, _| false)?;
                    }
                }
            }
        }
        is_expected
    };
    match is_expected {
        true => transaction.commit()?,
        false => transaction.abort()?,
    }
    Ok(is_expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn writes_apply_only_to_the_expected_state() {
        let place = tempfile::tempdir().unwrap();
        let file = open_file(&place.path().join("mesh.redb")).unwrap();
        let put = |key: &str, value: &str| Write::Put {
            key: key.to_owned(),
            value: value.into(),
        };
        let first = vec![put(META, "1"), put("a/1", "x"), put("a/2", "x"), put("a0", "x")];
        assert!(file.apply(None, first).await.unwrap());
        for wrong in [None, Some(b"2".to_vec())] {
            assert!(!file.apply(wrong, vec![put("a/1", "y")]).await.unwrap());
        }
        assert_eq!(file.read("a/1").await.unwrap(), Some(b"x".to_vec()));
        let away = Write::DeleteAll {
            prefix: "a/".to_owned(),
        };
        assert!(file.apply(Some(b"1".to_vec()), vec![away]).await.unwrap());
        let left = file.scan("", "z", Order::Ascending, 10).await.unwrap();
        let left: Vec<String> = left.into_iter().map(|(key, _)| key).collect();
        assert_eq!(left, ["a0", META]);
    }
}
