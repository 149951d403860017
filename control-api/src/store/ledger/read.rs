//! What a ledger tells.

use super::plan::{AUDIT, HEADS, MANIFESTS, RECORDS, chunk_key, number_key, parse, record_key, split_record};
use super::{Ledger, REVISIONS_CACHED, Shared};
use crate::audit::{Entry, Head};
use crate::store::backend::{Order, end_of};
use crate::store::manifest::Manifest;
use crate::store::{
    Body, Commit, Committed, Condition, Documents, PAGE_MAX, Position, Record, RecordKey, Revision,
    RevisionHead, Space, Store, StoreError,
};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio::sync::watch;
use tonic::async_trait;

#[async_trait]
impl Store for Ledger {
    fn condition(&self) -> Condition {
        Condition {
            kind: self.shared.backend.kind(),
            read_only: None,
            fault: self.shared.backend.fault(),
        }
    }

    fn watch(&self) -> watch::Receiver<Position> {
        self.shared.position.subscribe()
    }

    async fn position(&self) -> Result<Position, StoreError> {
        let (_, meta) = self.shared.meta().await?;
        self.shared.advance(meta.position());
        Ok(meta.position())
    }

    async fn revision(&self, number: u64) -> Result<Arc<Revision>, StoreError> {
        self.shared.revision(number).await
    }

    async fn history(&self, before: Option<u64>, limit: usize) -> Result<Vec<RevisionHead>, StoreError> {
        let to = before.map_or_else(|| end_of(HEADS), |before| number_key(HEADS, before));
        let (backend, limit) = (&self.shared.backend, limit.min(PAGE_MAX));
        let found = backend.scan(HEADS, &to, Order::Descending, limit).await?;
        found.iter().map(|(key, value)| parse(key, value)).collect()
    }

    async fn record(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let stored = self.shared.backend.read(&record_key(key)).await?;
        stored.map(|stored| record(key.clone(), stored)).transpose()
    }

    async fn records(
        &self,
        space: Space,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let prefix = format!("{RECORDS}{}/", space.name());
        // The first key behind this one.
        let from = after.map_or_else(|| prefix.clone(), |after| format!("{prefix}{after}\0"));
        let (backend, limit) = (&self.shared.backend, limit.min(PAGE_MAX));
        let found = backend
            .scan(&from, &end_of(&prefix), Order::Ascending, limit)
            .await?;
        let found = found.into_iter().map(|(key, value)| {
            let id = key.strip_prefix(&prefix).unwrap_or_default();
            record(RecordKey::new(space, id)?, value)
        });
        found.collect()
    }

    async fn entries(&self, from: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let from = number_key(AUDIT, from);
        let (backend, limit) = (&self.shared.backend, limit.min(PAGE_MAX));
        let found = backend
            .scan(&from, &end_of(AUDIT), Order::Ascending, limit)
            .await?;
        found.iter().map(|(key, value)| parse(key, value)).collect()
    }

    async fn audit_head(&self) -> Result<Head, StoreError> {
        let (_, meta) = self.shared.meta().await?;
        Ok(meta.audit)
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        let shared = self.shared.clone();
        // In a task of its own: it goes on, and tells those who watch, if its caller goes away.
        let committing = tokio::spawn(async move { shared.commit(commit).await });
        match committing.await {
            Ok(committed) => committed,
            Err(error) => Err(StoreError::unavailable("commit", error)),
        }
    }
}

fn record(key: RecordKey, stored: Vec<u8>) -> Result<Record, StoreError> {
    // Wiped when dropped, as it may be a key.
    let stored = Body::from(stored);
    let (version, body) = split_record(&key, stored.as_bytes())?;
    let body = Body::from(body);
    Ok(Record { key, version, body })
}

impl Shared {
    async fn revision(&self, number: u64) -> Result<Arc<Revision>, StoreError> {
        if number == 0 {
            return Ok(Arc::new(Revision::empty()));
        }
        if let Some(revision) = self.cached(number) {
            return Ok(revision);
        }
        let (_, meta) = self.meta().await?;
        if number > meta.revision {
            return Err(StoreError::NoRevision {
                number,
                current: meta.revision,
            });
        }
        match self.load(number).await {
            Ok(revision) => Ok(self.remember(Arc::new(revision))),
            Err(error) => {
                // It may have been dropped since the call began, or before.
                let (_, meta) = self.meta().await?;
                match number < meta.oldest {
                    true => Err(StoreError::Dropped {
                        number,
                        oldest: meta.oldest,
                    }),
                    false => Err(error),
                }
            }
        }
    }

    async fn load(&self, number: u64) -> Result<Revision, StoreError> {
        let head: RevisionHead = self.stored(number_key(HEADS, number)).await?;
        let manifest = self.manifest(number).await?;
        let known = self.nearest(number);
        let missing = manifest.missing(&known);
        let mut packs = Vec::with_capacity(missing.len());
        for at in &missing {
            let pack = &manifest.packs[*at];
            let mut bytes = Vec::new();
            for chunk in 0..pack.chunks {
                let key = chunk_key(&pack.id, chunk);
                let chunk = self.backend.read(&key).await?;
                bytes.extend(chunk.ok_or_else(|| StoreError::damaged(key, "it is not there"))?);
            }
            packs.push(bytes);
        }
        let documents = manifest.documents(&known, &missing, &packs)?;
        match documents.hash() == head.hash {
            true => Ok(Revision { head, documents }),
            false => Err(StoreError::damaged(
                format!("revision {number}"),
                "its documents have another hash",
            )),
        }
    }

    pub(super) async fn manifest(&self, number: u64) -> Result<Manifest, StoreError> {
        let key = number_key(MANIFESTS, number);
        let manifest: Manifest = self.stored(key.clone()).await?;
        match manifest.check() {
            Ok(()) => Ok(manifest),
            Err(reason) => Err(StoreError::damaged(key, reason)),
        }
    }

    async fn stored<T: DeserializeOwned>(&self, key: String) -> Result<T, StoreError> {
        match self.backend.read(&key).await? {
            Some(bytes) => parse(&key, &bytes),
            None => Err(StoreError::damaged(key, "it is not there")),
        }
    }

    fn cached(&self, number: u64) -> Option<Arc<Revision>> {
        let cache = self.cache.lock();
        cache.iter().find(|revision| revision.number() == number).cloned()
    }

    /// The documents of the cached revision that is likely to have most in common with this one.
    fn nearest(&self, number: u64) -> Documents {
        let cache = self.cache.lock();
        let nearest = cache
            .iter()
            .min_by_key(|revision| revision.number().abs_diff(number));
        nearest
            .map(|revision| revision.documents.clone())
            .unwrap_or_default()
    }

    fn remember(&self, revision: Arc<Revision>) -> Arc<Revision> {
        let mut cache = self.cache.lock();
        if cache.iter().all(|known| known.number() != revision.number()) {
            if cache.len() == REVISIONS_CACHED {
                cache.pop_front();
            }
            cache.push_back(revision.clone());
        }
        revision
    }
}
