//! Whether a log is as it was written.

use super::{Entry, Head, action};
use crate::store::{PAGE_MAX, RevisionHead, Store, StoreError};
use std::collections::HashMap;
use std::io::Write;

/// Why a log is not as it was written.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// An entry was changed, removed, added or moved.
    #[error("the audit log is broken at entry {sequence}: {reason}")]
    Broken {
        /// Where it shows first.
        sequence: u64,
        /// How.
        reason: String,
    },
    /// A revision does not fit its entry.
    #[error("revision {number} is not the one that the audit log tells of: {reason}")]
    Revision {
        /// Which.
        number: u64,
        /// How it shows.
        reason: String,
    },
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A copy could not be written.
    #[error("the copy of the audit log cannot be written: {0}")]
    Write(#[from] std::io::Error),
}

/// Goes along a log, whether it comes from a store or from an export.
#[derive(Debug, Default)]
pub struct Chain {
    head: Head,
}

impl Chain {
    /// A chain that goes on behind this head, which is believed.
    pub fn behind(head: Head) -> Chain {
        Chain { head }
    }

    /// How far it went.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Takes the next entry, if it is the next one and as it was written.
    pub fn follow(&mut self, entry: &Entry) -> Result<(), VerifyError> {
        let expected = self.head.count + 1;
        let broken = |reason: String| VerifyError::Broken {
            sequence: expected,
            reason,
        };
        if entry.sequence != expected {
            return Err(broken(format!("entry {} is in its place", entry.sequence)));
        }
        if entry.previous != self.head.hash {
            return Err(broken("it does not follow the entry before it".to_owned()));
        }
        if entry.hash != entry.computed_hash() {
            return Err(broken("its fields are not those that were written".to_owned()));
        }
        self.head = entry.head();
        Ok(())
    }
}

/// What was looked at and found right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The log's length and last hash. Keep it, and give it to the next [`verify()`].
    pub head: Head,
    /// How many of the kept revisions were compared with their entries.
    pub revisions: usize,
}

/// Reads the whole log of a store, and compares kept revisions with their entries. With a head that was kept elsewhere,
/// a log that was cut or written anew is found, too.
///
/// Entries and revisions that come meanwhile are left to the next time.
pub async fn verify(store: &dyn Store, kept: Option<&Head>) -> Result<Report, VerifyError> {
    // In this order: every revision that is found has its entry below the head that is read then.
    let mut revisions = heads_of(store).await?;
    let end = store.audit_head().await?;
    let compared = revisions.len();
    let mut chain = Chain::default();
    while chain.head.count < end.count {
        for entry in following(store, &chain, &end).await? {
            chain.follow(&entry)?;
            if entry.what == action::REVISION_APPENDED
                && let Some(head) = entry.after.and_then(|number| revisions.remove(&number))
            {
                compare(&entry, &head)?;
            }
            is_kept(&chain, kept)?;
        }
    }
    if chain.head != end {
        return Err(VerifyError::Broken {
            sequence: end.count,
            reason: "it is not the last entry that was written".to_owned(),
        });
    }
    if let Some(kept) = kept.filter(|kept| kept.count > end.count) {
        return Err(VerifyError::Broken {
            sequence: end.count + 1,
            reason: format!("the log ends before it, but had {} entries", kept.count),
        });
    }
    match revisions.into_keys().min() {
        Some(number) => Err(VerifyError::Revision {
            number,
            reason: "it has no entry".to_owned(),
        }),
        None => Ok(Report {
            head: end,
            revisions: compared,
        }),
    }
}

/// Copies the log of a store behind `from` entries, a line of JSON each, and gives the head up to which it goes. What it
/// writes is checked on the way.
pub async fn export(store: &dyn Store, from: Head, to: &mut (dyn Write + Send)) -> Result<Head, VerifyError> {
    let end = store.audit_head().await?;
    let mut chain = Chain::behind(from);
    while chain.head.count < end.count {
        for entry in following(store, &chain, &end).await? {
            chain.follow(&entry)?;
            serde_json::to_writer(&mut *to, &entry).map_err(std::io::Error::from)?;
            to.write_all(b"\n")?;
        }
    }
    to.flush()?;
    Ok(chain.head)
}

async fn heads_of(store: &dyn Store) -> Result<HashMap<u64, RevisionHead>, StoreError> {
    let (mut heads, mut before) = (HashMap::new(), None);
    loop {
        let page = store.history(before, PAGE_MAX).await?;
        before = page.last().map(|head| head.number);
        let is_last = page.len() < PAGE_MAX;
        heads.extend(page.into_iter().map(|head| (head.number, head)));
        if is_last {
            return Ok(heads);
        }
    }
}

/// The next entries up to the end; at least one.
async fn following(store: &dyn Store, chain: &Chain, end: &Head) -> Result<Vec<Entry>, VerifyError> {
    let next = chain.head.count + 1;
    let mut entries = store.entries(next, PAGE_MAX).await?;
    entries.retain(|entry| entry.sequence <= end.count);
    match entries.is_empty() {
        true => Err(VerifyError::Broken {
            sequence: next,
            reason: "it is not there".to_owned(),
        }),
        false => Ok(entries),
    }
}

fn is_kept(chain: &Chain, kept: Option<&Head>) -> Result<(), VerifyError> {
    match kept.filter(|kept| kept.count == chain.head.count && kept.hash != chain.head.hash) {
        None => Ok(()),
        Some(kept) => Err(VerifyError::Broken {
            sequence: kept.count,
            reason: format!("its hash was {}: the log was written anew", kept.hash),
        }),
    }
}

fn compare(entry: &Entry, head: &RevisionHead) -> Result<(), VerifyError> {
    let fits = entry.details.get("hash").map(String::as_str) == Some(&head.hash.to_string())
        && entry.who == head.author
        && entry.time == head.time
        && entry.before == Some(head.parent);
    match fits {
        true => Ok(()),
        false => Err(VerifyError::Revision {
            number: head.number,
            reason: format!(
                "entry {} has another author, time, parent or hash",
                entry.sequence
            ),
        }),
    }
}
