//! Why a store did not do what it was asked.

use super::record::RecordKey;

/// Why a store did not do what it was asked. Nothing was written, except after [`StoreError::Uncertain`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was faster: read the current revision, apply the change to that one, try again.
    #[error("the current revision is {current}, not {expected}: apply the change to that one")]
    Conflict {
        /// What the writer believed to be current.
        expected: u64,
        /// What is current.
        current: u64,
    },
    /// The same for a record.
    #[error("{key} has version {current}, not {expected} (0: there is none)")]
    RecordConflict {
        /// Which record.
        key: RecordKey,
        /// What the writer believed; 0 for "there is none".
        expected: u64,
        /// What there is; 0 for none.
        current: u64,
    },
    /// Revisions come from elsewhere.
    #[error("revisions are not made here: {reason}")]
    ReadOnly {
        /// Why, and what to do instead.
        reason: String,
    },
    /// A number above the current one.
    #[error("there is no revision {number}: the current one is {current}")]
    NoRevision {
        /// What was asked for.
        number: u64,
        /// What is current.
        current: u64,
    },
    /// A revision that was there once.
    #[error("revision {number} is no longer kept: the oldest is {oldest}")]
    Dropped {
        /// What was asked for.
        number: u64,
        /// The oldest that is kept.
        oldest: u64,
    },
    /// What was handed in cannot be stored.
    #[error("{what}: {reason}")]
    Refused {
        /// Which part of it.
        what: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// Another process has the database.
    #[error(
        "{path} is in use by another process: one process serves an embedded store; for several replicas, use etcd"
    )]
    InUse {
        /// The database's file.
        path: String,
    },
    /// Disk or network; trying again may help.
    #[error("the store cannot {operation}: {reason}")]
    Unavailable {
        /// What was being done.
        operation: &'static str,
        /// What went wrong.
        reason: String,
    },
    /// The connection was lost while committing, and what is stored does not tell whether it took place.
    #[error(
        "the connection was lost while committing, and it cannot be told whether that took place: {reason}"
    )]
    Uncertain {
        /// What went wrong.
        reason: String,
    },
    /// What is stored is not what was written.
    #[error("{what} is damaged: {reason}")]
    Damaged {
        /// Which part of the store.
        what: String,
        /// How it shows.
        reason: String,
    },
}

impl StoreError {
    pub(crate) fn refused(what: impl Into<String>, reason: impl Into<String>) -> StoreError {
        StoreError::Refused {
            what: what.into(),
            reason: reason.into(),
        }
    }

    pub(crate) fn unavailable(operation: &'static str, reason: impl ToString) -> StoreError {
        StoreError::Unavailable {
            operation,
            reason: reason.to_string(),
        }
    }

    pub(crate) fn damaged(what: impl Into<String>, reason: impl ToString) -> StoreError {
        StoreError::Damaged {
            what: what.into(),
            reason: reason.to_string(),
        }
    }
}
