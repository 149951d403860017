//! What is written in one transaction.

use super::record::{RECORD_BYTES_MAX, RecordWrite};
use super::{Draft, RevisionHead, StoreError};
use crate::audit::{Entry, Event};

/// Records that one commit changes at most; with the rest of it they have to fit etcd's limit of 128 operations.
pub const RECORDS_MAX: usize = 16;
/// Audit entries of one commit at most, besides the revision's own.
pub const EVENTS_MAX: usize = 8;

/// All that is to be written in one transaction: a revision, changes of records, audit entries, or several of these. So a
/// rollout's state and the revision that it is of, or a used token and the entry that says so, are never seen apart.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    pub(super) revision: Option<(u64, Draft)>,
    pub(super) records: Vec<RecordWrite>,
    pub(super) events: Vec<Event>,
}

impl Commit {
    /// A revision, if the current one is `parent`. Its audit entry comes by itself.
    pub fn revision(parent: u64, draft: Draft) -> Commit {
        Commit {
            revision: Some((parent, draft)),
            ..Commit::default()
        }
    }

    /// An audit entry.
    pub fn event(event: Event) -> Commit {
        Commit::default().and(event)
    }

    /// And a change of a record.
    #[must_use]
    pub fn record(mut self, write: RecordWrite) -> Commit {
        self.records.push(write);
        self
    }

    /// And an audit entry.
    #[must_use]
    pub fn and(mut self, event: Event) -> Commit {
        self.events.push(event);
        self
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        if let Some((_, draft)) = &self.revision {
            draft.check()?;
        }
        if self.revision.is_none() && self.records.is_empty() && self.events.is_empty() {
            return Err(StoreError::refused("a commit", "there is nothing in it"));
        }
        let bytes: usize = self.records.iter().map(RecordWrite::bytes).sum();
        if bytes > RECORD_BYTES_MAX {
            let reason = format!("{bytes} bytes; {RECORD_BYTES_MAX} are the most");
            return Err(StoreError::refused("the records of a commit", reason));
        }
        let keys: std::collections::BTreeSet<_> = self.records.iter().map(|write| &write.key).collect();
        if self.records.len() > RECORDS_MAX || keys.len() < self.records.len() {
            let reason = format!("{RECORDS_MAX} are the most, each once");
            return Err(StoreError::refused("the records of a commit", reason));
        }
        if self.events.len() > EVENTS_MAX {
            return Err(StoreError::refused(
                "the audit entries of a commit",
                format!("{EVENTS_MAX} are the most"),
            ));
        }
        Ok(())
    }
}

/// What a commit made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The revision, if there was one in it.
    pub revision: Option<RevisionHead>,
    /// The new versions of its records, in its order; 0 for those that were removed.
    pub versions: Vec<u64>,
    /// Its audit entries: the revision's own first, then the others in its order.
    pub entries: Vec<Entry>,
}
