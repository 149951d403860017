//! Where a mesh is kept: its revisions, the audit log, and the small records that replicas share.
//!
//! The unit that is stored is a *revision*: all mesh documents as they were together, numbered 1, 2, 3, …, with who made
//! it, when, why and from what. There is no way to make one without an entry in the audit log: both are written by one
//! transaction, and so are records with the entry that tells of them ([`Commit`]). Whoever writes says what they believe
//! is there ("the current revision is 7", "this record has version 12"), and is told if it is not so.
//!
//! All stores have one set of rules, written once (`ledger`), over a map of keys to bytes that can change several keys at
//! once (`backend`), a file ([`embedded`]), etcd ([`etcd`]), or a file
//! beside a watched directory ([`directory`]). This module knows nothing of what documents mean, and checks none.

mod backend;
mod commit;
#[cfg(test)]
mod conformance;
mod digest;
pub mod directory;
pub mod embedded;
mod error;
pub mod etcd;
mod ledger;
mod manifest;
mod moment;
mod open;
mod record;
mod revision;

pub use commit::{Commit, Committed, EVENTS_MAX, RECORDS_MAX};
pub use digest::Digest;
pub(crate) use digest::Hashing;
pub use directory::Directory;
pub use embedded::Embedded;
pub use error::StoreError;
pub use ledger::Ledger;
pub use moment::Moment;
pub use open::open;
pub use record::{Body, RECORD_BYTES_MAX, Record, RecordKey, RecordWrite, Space};
pub use revision::{DOCUMENT_BYTES_MAX, DOCUMENTS_MAX, MESH_BYTES_MAX, NAME_BYTES_MAX};
pub use revision::{DocumentChange, Documents, Draft, Revision, RevisionHead, Source};

use crate::audit::{Entry, Event, Head};
use std::sync::Arc;
use tokio::sync::watch;
use tonic::async_trait;

/// How many revisions are kept unless told otherwise; older ones are dropped, their audit entries never. Plenty for a
/// year of three changes a day.
pub const REVISIONS_KEPT: u64 = 1_000;
/// The most that one call gives of a history, an audit log or a space of records.
pub const PAGE_MAX: usize = 1_000;

/// Where a store stands. A change of any part wakes those who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Counts all that was ever committed: what is newer has the greater number.
    pub sequence: u64,
    /// The current revision; 0 if there is none yet.
    pub revision: u64,
    /// The version that the last written record got; 0 if there is none yet.
    pub records: u64,
}

/// How a store is doing, for people and for readiness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// `embedded`, `directory` or `etcd`.
    pub kind: &'static str,
    /// Why revisions cannot be appended through this store, and what to do instead; none if they can.
    pub read_only: Option<String>,
    /// What is wrong at present: etcd cannot be reached, the directory's contents are refused.
    pub fault: Option<String>,
}

/// A store of one mesh. What is read is what was last committed, by whichever replica.
///
/// Every call ends: those that wait for disk or network fail with [`StoreError::Unavailable`] in bounded time. All are
/// cancel safe; a commit that was begun goes on if its caller goes away.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// How the store is doing.
    fn condition(&self) -> Condition;

    /// Where the store stands: now, and after every change. The last state is never missed: who looks after a pause or
    /// a lost connection sees what is in force then, though not every number between.
    fn watch(&self) -> watch::Receiver<Position>;

    /// Where the store stands, asked of the store itself rather than of what was last heard.
    async fn position(&self) -> Result<Position, StoreError>;

    /// A revision with its documents. Number 0 is the empty one that every mesh begins with.
    async fn revision(&self, number: u64) -> Result<Arc<Revision>, StoreError>;

    /// Heads of revisions, newest first, beginning below `before` (or with the current one); at most `limit`, and
    /// [`PAGE_MAX`].
    async fn history(&self, before: Option<u64>, limit: usize) -> Result<Vec<RevisionHead>, StoreError>;

    /// A record; none if there is none of this key.
    async fn record(&self, key: &RecordKey) -> Result<Option<Record>, StoreError>;

    /// A space's records in the order of their ids, beginning behind `after`; at most `limit`, and [`PAGE_MAX`].
    async fn records(
        &self,
        space: Space,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError>;

    /// Entries of the audit log, oldest first, beginning with the one of this sequence number (the first is 1); at most
    /// `limit`, and [`PAGE_MAX`].
    async fn entries(&self, from: u64, limit: usize) -> Result<Vec<Entry>, StoreError>;

    /// How long the audit log is, and the hash of its last entry.
    async fn audit_head(&self) -> Result<Head, StoreError>;

    /// Writes all of it in one transaction, or nothing.
    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError>;

    /// Makes a revision if the current one is `parent`, and its audit entry with it.
    async fn append(&self, parent: u64, draft: Draft) -> Result<RevisionHead, StoreError> {
        let committed = self.commit(Commit::revision(parent, draft)).await?;
        Ok(committed
            .revision
            .expect("a commit with a draft makes a revision"))
    }

    /// Enters something into the audit log.
    async fn enter(&self, event: Event) -> Result<Entry, StoreError> {
        let mut committed = self.commit(Commit::event(event)).await?;
        Ok(committed
            .entries
            .pop()
            .expect("a commit with an event makes an entry"))
    }

    /// Writes one record, without an audit entry, and gives its new version; 0 if it was removed.
    async fn write(&self, write: RecordWrite) -> Result<u64, StoreError> {
        let committed = self.commit(Commit::default().record(write)).await?;
        Ok(committed.versions.first().copied().unwrap_or_default())
    }
}
