//! What holds for stores that revisions are appended to.

use super::place::Place;
use super::{documents, draft, event, told};
use crate::audit::verify;
use crate::store::{Commit, Documents, RecordKey, RecordWrite, Space, Store, StoreError};
use std::sync::Arc;

macro_rules! writers {
    ($($name:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Place::embedded().unwrap()).await;
            })*
        }
        mod etcd {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(place) = super::Place::etcd() {
                    super::$name(place).await;
                }
            })*
        }
    };
}

writers! {
    late_writer_is_told_what_is_current,
    many_writers_lose_nothing,
    many_counters_lose_nothing,
    token_is_used_once,
    large_revision_is_stored,
    caller_that_goes_away_leaves_a_whole_commit,
    draft_without_reason_is_refused,
}

async fn late_writer_is_told_what_is_current(mut place: Place) {
    let store = place.open().await;
    let one = documents(&[("a.yaml", "a: 1")]);
    store.append(0, draft("anna", one.clone())).await.unwrap();
    let late = store.append(0, draft("bert", one.clone())).await.unwrap_err();
    assert_eq!(
        late,
        StoreError::Conflict {
            expected: 0,
            current: 1
        }
    );
    let early = store.append(2, draft("bert", one.clone())).await.unwrap_err();
    assert_eq!(
        early,
        StoreError::Conflict {
            expected: 2,
            current: 1
        }
    );
    // Nothing of it is in the audit log, and the same documents again are a revision, too.
    assert_eq!(store.audit_head().await.unwrap().count, 1);
    assert_eq!(store.append(1, draft("bert", one)).await.unwrap().number, 2);
}

/// Adds a document of one's own, again and again until one is not too late.
async fn add(store: &dyn Store, name: &str) -> u64 {
    loop {
        let current = store.position().await.unwrap().revision;
        let mut documents: Documents = match store.revision(current).await {
            Ok(revision) => revision.documents.clone(),
            // Others made so many meanwhile.
            Err(StoreError::Dropped { .. }) => continue,
            Err(error) => panic!("{error}"),
        };
        documents.insert(name, name).unwrap();
        match store.append(current, draft(name, documents)).await {
            Ok(head) => return head.number,
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

const WRITERS: u64 = 4;
const EACH: u64 = 6;

async fn many_writers_lose_nothing(mut place: Place) {
    let mut writing = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = place.open().await;
        writing.spawn(async move {
            let mut numbers = Vec::new();
            for each in 0..EACH {
                numbers.push(add(&*store, &format!("{writer}-{each}")).await);
            }
            // Each one's own come in order.
            assert!(numbers.is_sorted());
            numbers
        });
    }
    let mut numbers: Vec<u64> = writing.join_all().await.concat();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=WRITERS * EACH).collect::<Vec<_>>());
    let store = place.open().await;
    let last = store.revision(WRITERS * EACH).await.unwrap();
    assert_eq!(last.documents.len() as u64, WRITERS * EACH);
    let entries = store.entries(1, 1_000).await.unwrap();
    let after: Vec<u64> = entries.iter().filter_map(|entry| entry.after).collect();
    assert_eq!(after, (1..=WRITERS * EACH).collect::<Vec<_>>());
    verify(&*store, None).await.unwrap();
}

async fn many_counters_lose_nothing(mut place: Place) {
    let key = RecordKey::new(Space::ROLLOUTS, "counter").unwrap();
    let mut counting = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let (store, key) = (place.open().await, key.clone());
        counting.spawn(async move {
            for _ in 0..EACH {
                loop {
                    let record = store.record(&key).await.unwrap();
                    let (version, count) =
                        record.map_or((0, 0), |record| (record.version, record.body.as_bytes()[0]));
                    let write = RecordWrite::replace(key.clone(), version, vec![count + 1]);
                    match store.commit(Commit::event(event("count")).record(write)).await {
                        Ok(_) => break,
                        Err(StoreError::RecordConflict { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        });
    }
    counting.join_all().await;
    let store = place.open().await;
    let count = store.record(&key).await.unwrap().unwrap().body.as_bytes()[0];
    assert_eq!(u64::from(count), WRITERS * EACH);
    assert_eq!(store.audit_head().await.unwrap().count, WRITERS * EACH);
}

async fn token_is_used_once(mut place: Place) {
    let store = place.open().await;
    let key = RecordKey::new(Space::JOIN_TOKENS, "t").unwrap();
    let version = store
        .write(RecordWrite::create(key.clone(), b"unused".as_slice()))
        .await
        .unwrap();
    let mut using = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, key) = (place.open().await, key.clone());
        using.spawn(async move {
            // Equal to the byte, as when a node asks several replicas at once.
            let write = RecordWrite::replace(key, version, b"used".as_slice());
            store
                .commit(Commit::event(event("token t")).record(write))
                .await
                .is_ok()
        });
    }
    let used = using.join_all().await;
    assert_eq!(used.iter().filter(|is_used| **is_used).count(), 1);
    assert_eq!(store.audit_head().await.unwrap().count, 1);
}

async fn large_revision_is_stored(mut place: Place) {
    let store = place.open().await;
    let mut large = Documents::new();
    for number in 0..3 {
        let text: String = (0..150_000)
            .map(|line| format!("line: {number}-{line}\n"))
            .collect();
        large.insert(format!("{number}.yaml"), text).unwrap();
    }
    assert!(large.bytes() > 5 * 1024 * 1024);
    store.append(0, draft("anna", large.clone())).await.unwrap();
    let mut changed = large.clone();
    changed.insert("small.yaml", "a: 1").unwrap();
    store.append(1, draft("anna", changed.clone())).await.unwrap();
    let store = place.restart(store).await;
    assert_eq!(store.revision(2).await.unwrap().documents, changed);
    assert_eq!(store.revision(1).await.unwrap().documents, large);
}

async fn caller_that_goes_away_leaves_a_whole_commit(mut place: Place) {
    let store: Arc<dyn Store> = place.open().await;
    let mut appending = Box::pin(store.append(0, draft("anna", documents(&[("a.yaml", "a: 1")]))));
    // Begun, and given up.
    let _ = tokio::time::timeout(std::time::Duration::ZERO, &mut appending).await;
    drop(appending);
    told(&*store, "the revision", |position| position.revision == 1).await;
    assert_eq!(store.audit_head().await.unwrap().count, 1);
}

async fn draft_without_reason_is_refused(mut place: Place) {
    let store = place.open().await;
    let mut silent = draft("anna", Documents::new());
    silent.reason = " ".to_owned();
    let error = store.append(0, silent).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "reason: it must have 1 to 4096 bytes; it has 1"
    );
}
