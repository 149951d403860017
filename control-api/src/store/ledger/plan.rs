//! What a commit writes.

use super::{Meta, Shared};
use crate::audit::{Entry, Event, action};
use crate::store::backend::{META, Write};
use crate::store::manifest::{Manifest, PACKS_MAX, pack};
use crate::store::record::RecordWrite;
use crate::store::{Commit, Committed, Draft, RecordKey, RevisionHead, StoreError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// A commit's id: a random UUID in hexadecimal digits.
const ID_BYTES: usize = 32;
pub(super) const AUDIT: &str = "audit/";
pub(super) const HEADS: &str = "head/";
pub(super) const MANIFESTS: &str = "manifest/";
pub(super) const RECORDS: &str = "record/";
/// Of a commit's writes at most these drop old revisions; with all others they stay below etcd's 128 operations: 1 for
/// `meta`, 9 entries, 16 records, 2 and 33 chunks of a revision.
const DROPS_MAX: usize = 60;

/// What is written, and what is told when it is.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) meta: Meta,
    pub(super) writes: Vec<Write>,
    pub(super) committed: Committed,
}

/// The part of a plan that does not depend on what other replicas commit meanwhile.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Tells this commit from all others.
    pub(super) id: String,
    revision: Option<PreparedRevision>,
}

#[derive(Debug)]
struct PreparedRevision {
    manifest: Manifest,
    head: RevisionHead,
    pack: Vec<Write>,
}

impl Plan {
    /// Keys and values by which this commit is known for certain, as they hold its id.
    pub(super) fn witnesses(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.writes.iter().filter_map(|write| match write {
            Write::Put { key, value } if key.starts_with(AUDIT) || key.starts_with(RECORDS) => {
                Some((key.as_str(), value.as_slice()))
            }
            _ => None,
        })
    }
}

impl Shared {
    /// Packs a revision's documents and brings them near.
    pub(super) async fn prepare(&self, commit: &Commit) -> Result<Prepared, StoreError> {
        let id = Uuid::new_v4().simple().to_string();
        let Some((parent, draft)) = &commit.revision else {
            return Ok(Prepared { id, revision: None });
        };
        let (_, meta) = self.meta().await?;
        is_current(*parent, &meta)?;
        let before = match *parent {
            0 => Manifest::default(),
            number => match self.manifest(number).await {
                Ok(manifest) => manifest,
                Err(error) => {
                    // It may have been dropped since: then it is no longer the current one either.
                    let (_, meta) = self.meta().await?;
                    is_current(*parent, &meta)?;
                    return Err(error);
                }
            },
        };
        let packed = pack(&before, &draft.documents, &id, self.backend.chunk_bytes());
        let chunks = packed.chunks.into_iter().enumerate();
        let values = chunks.map(|(at, chunk)| (chunk_key(&id, at), chunk)).collect();
        let revision = PreparedRevision {
            manifest: packed.manifest,
            head: head(*parent, draft),
            pack: self.backend.stage(values).await?,
        };
        Ok(Prepared {
            id,
            revision: Some(revision),
        })
    }

    pub(super) async fn plan(
        &self,
        before: &Meta,
        commit: &Commit,
        prepared: &Prepared,
    ) -> Result<Plan, StoreError> {
        let mut meta = before.clone();
        meta.sequence += 1;
        meta.commit = prepared.id.clone();
        let mut writes = Vec::new();
        let mut events: Vec<Event> = Vec::new();
        if let Some(PreparedRevision { manifest, head, pack }) = &prepared.revision {
            is_current(head.parent, before)?;
            meta.revision = head.number;
            writes.extend_from_slice(pack);
            writes.push(put(number_key(HEADS, head.number), head)?);
            writes.push(put(number_key(MANIFESTS, head.number), manifest)?);
            writes.extend(self.drop_old(&mut meta, manifest).await?);
            events.push(event_of(head));
        }
        events.extend(commit.events.iter().cloned());
        let mut entries: Vec<Entry> = Vec::with_capacity(events.len());
        for event in events {
            let entry = Entry::following(&meta.audit, &prepared.id, event);
            meta.audit = entry.head();
            writes.push(put(number_key(AUDIT, entry.sequence), &entry)?);
            entries.push(entry);
        }
        let mut versions = Vec::with_capacity(commit.records.len());
        for write in &commit.records {
            let (version, write) = self.record_write(&mut meta, write).await?;
            versions.push(version);
            writes.push(write);
        }
        writes.push(put(META.to_owned(), &meta)?);
        let revision = prepared.revision.as_ref();
        Ok(Plan {
            meta,
            writes,
            committed: Committed {
                revision: revision.map(|revision| revision.head.clone()),
                versions,
                entries,
            },
        })
    }

    async fn record_write(&self, meta: &mut Meta, write: &RecordWrite) -> Result<(u64, Write), StoreError> {
        let key = record_key(&write.key);
        let current = match self.backend.read(&key).await? {
            Some(stored) => split_record(&write.key, &stored)?.0,
            None => 0,
        };
        if current != write.expected {
            return Err(StoreError::RecordConflict {
                key: write.key.clone(),
                expected: write.expected,
                current,
            });
        }
        // Removals count, too: those who watch have to be told.
        meta.records += 1;
        Ok(match &write.body {
            None => (0, Write::Delete { key }),
            Some(body) => {
                let mut value = meta.records.to_be_bytes().to_vec();
                value.extend_from_slice(meta.commit.as_bytes());
                value.extend_from_slice(body.as_bytes());
                (meta.records, Write::Put { key, value })
            }
        })
    }

    /// Drops revisions that are too many, the oldest first, a few with each new one.
    async fn drop_old(&self, meta: &mut Meta, newest: &Manifest) -> Result<Vec<Write>, StoreError> {
        let mut writes = Vec::new();
        let first_kept = (meta.revision + 1).saturating_sub(self.revisions_kept);
        while meta.oldest < first_kept && writes.len() + 2 + PACKS_MAX <= DROPS_MAX {
            let number = meta.oldest;
            let dropped = self.manifest(number).await?;
            let next = match number + 1 == meta.revision {
                true => newest.clone(),
                false => self.manifest(number + 1).await?,
            };
            for pack in dropped.packs_without(&next) {
                writes.push(Write::DeleteAll {
                    prefix: format!("pack/{}/", pack.id),
                });
            }
            for prefix in [HEADS, MANIFESTS] {
                writes.push(Write::Delete {
                    key: number_key(prefix, number),
                });
            }
            meta.oldest += 1;
        }
        Ok(writes)
    }
}

fn is_current(parent: u64, meta: &Meta) -> Result<(), StoreError> {
    match parent == meta.revision {
        true => Ok(()),
        false => Err(StoreError::Conflict {
            expected: parent,
            current: meta.revision,
        }),
    }
}

fn head(parent: u64, draft: &Draft) -> RevisionHead {
    RevisionHead {
        number: parent + 1,
        parent,
        author: draft.author.clone(),
        time: draft.time,
        reason: draft.reason.clone(),
        source: draft.source.clone(),
        hash: draft.documents.hash(),
        documents: draft.documents.len(),
        bytes: draft.documents.bytes(),
    }
}

fn event_of(head: &RevisionHead) -> Event {
    let subject = format!("revision {}", head.number);
    Event::new(head.time, &head.author, action::REVISION_APPENDED, &subject)
        .why(&head.reason)
        .revisions(head.parent, head.number)
        .detail("hash", head.hash)
        .detail("source", &head.source)
}

/// Numbers in keys have their full width, so that keys are in the order of numbers.
pub(super) fn number_key(prefix: &str, number: u64) -> String {
    format!("{prefix}{number:020}")
}

pub(super) fn chunk_key(pack: &str, at: usize) -> String {
    format!("pack/{pack}/{at:04}")
}

pub(super) fn record_key(key: &RecordKey) -> String {
    format!("{RECORDS}{key}")
}

/// A stored record: its version (8 bytes, the greatest first), the id of the commit that wrote it (32 digits), and its body.
pub(super) fn split_record<'a>(key: &RecordKey, stored: &'a [u8]) -> Result<(u64, &'a [u8]), StoreError> {
    match stored.split_first_chunk::<8>() {
        Some((version, rest)) if rest.len() >= ID_BYTES => {
            Ok((u64::from_be_bytes(*version), &rest[ID_BYTES..]))
        }
        _ => Err(StoreError::damaged(format!("record {key}"), "it is too short")),
    }
}

fn put(key: String, value: &impl Serialize) -> Result<Write, StoreError> {
    match serde_json::to_vec(value) {
        Ok(value) => Ok(Write::Put { key, value }),
        Err(error) => Err(StoreError::refused(key, error.to_string())),
    }
}

pub(super) fn parse<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::damaged(key, error))
}
