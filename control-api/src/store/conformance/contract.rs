//! What holds for all stores, also for those whose revisions come from elsewhere.

use super::place::{KEPT, Place};
use super::{documents, event, told};
use crate::audit::{Chain, Entry, Head, VerifyError, action, export, verify};
use crate::store::{Commit, RecordKey, RecordWrite, Space, StoreError};

/// Every test of the contract, over every store.
macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Place::embedded().unwrap()).await;
            })*
        }
        mod directory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Place::directory().unwrap()).await;
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

contract! {
    begins_empty,
    revisions_are_numbered_and_stay,
    old_revisions_are_dropped_but_not_their_entries,
    records_are_changed_only_as_they_were_believed,
    commit_is_whole_or_nothing,
    audit_log_verifies_and_is_exported,
    restart_keeps_everything,
    spaces_are_paged,
    watch_has_the_last_state,
    limits_are_told,
}

async fn begins_empty(mut place: Place) {
    let store = place.open().await;
    let position = store.position().await.unwrap();
    assert_eq!((position.revision, position.records), (0, 0));
    assert!(store.revision(0).await.unwrap().documents.is_empty());
    assert!(store.history(None, 10).await.unwrap().is_empty());
    assert!(store.entries(1, 10).await.unwrap().is_empty());
    assert_eq!(store.audit_head().await.unwrap(), Head::default());
    let error = store.revision(1).await.unwrap_err();
    assert_eq!(
        error,
        StoreError::NoRevision {
            number: 1,
            current: 0
        }
    );
    assert_eq!(verify(&*store, None).await.unwrap().head, Head::default());
}

async fn revisions_are_numbered_and_stay(mut place: Place) {
    let store = place.open().await;
    let texts: [&[(&str, &str)]; 3] = [
        &[("a.yaml", "a: 1"), ("b.yaml", "b: 1")],
        &[("a.yaml", "a: 2"), ("b.yaml", "b: 1")],
        &[("b.yaml", "b: 1"), ("c.yaml", "")],
    ];
    for (parent, texts) in (0..).zip(texts) {
        let head = place.revise(&*store, texts).await;
        assert_eq!((head.number, head.parent), (parent + 1, parent));
        assert_eq!(head.hash, documents(texts).hash());
        assert_eq!(head.documents, 2);
    }
    // A store that has nothing in memory reads the same.
    let store = place.restart(store).await;
    for (parent, texts) in (0..).zip(texts) {
        let revision = store.revision(parent + 1).await.unwrap();
        assert_eq!(revision.documents, documents(texts), "revision {}", parent + 1);
    }
    let history = store.history(None, 10).await.unwrap();
    let numbers: Vec<u64> = history.iter().map(|head| head.number).collect();
    assert_eq!(numbers, [3, 2, 1]);
    assert_eq!(store.history(Some(3), 1).await.unwrap(), history[1..2]);
    let entries = store.entries(1, 10).await.unwrap();
    for (entry, head) in entries.iter().zip(history.iter().rev()) {
        assert_eq!(entry.what, action::REVISION_APPENDED);
        assert_eq!(
            (entry.before, entry.after),
            (Some(head.parent), Some(head.number))
        );
        assert_eq!(
            (&entry.who, &entry.why, entry.time),
            (&head.author, &head.reason, head.time)
        );
        assert_eq!(entry.details["hash"], head.hash.to_string());
    }
    assert_eq!(entries.len(), 3);
}

async fn old_revisions_are_dropped_but_not_their_entries(mut place: Place) {
    let store = place.open().await;
    let made = KEPT + 3;
    for number in 1..=made {
        let text = format!("number: {number}");
        place
            .revise(&*store, &[("same.yaml", "same: 1"), ("a.yaml", &text)])
            .await;
    }
    let store = place.restart(store).await;
    let numbers: Vec<u64> = store
        .history(None, 100)
        .await
        .unwrap()
        .iter()
        .map(|head| head.number)
        .collect();
    assert_eq!(numbers, [8, 7, 6, 5, 4]);
    // What the oldest shares with those that were dropped is still there.
    let oldest = store.revision(4).await.unwrap();
    assert_eq!(
        oldest.documents,
        documents(&[("same.yaml", "same: 1"), ("a.yaml", "number: 4")])
    );
    let error = store.revision(3).await.unwrap_err();
    assert_eq!(error, StoreError::Dropped { number: 3, oldest: 4 });
    assert_eq!(store.entries(1, 100).await.unwrap().len() as u64, made);
    let report = verify(&*store, None).await.unwrap();
    assert_eq!(report.revisions as u64, KEPT);
}

async fn records_are_changed_only_as_they_were_believed(mut place: Place) {
    let store = place.open().await;
    let key = RecordKey::new(Space::ROLLOUTS, "7").unwrap();
    let first = store
        .write(RecordWrite::create(key.clone(), b"one".as_slice()))
        .await
        .unwrap();
    let again = store
        .write(RecordWrite::create(key.clone(), b"two".as_slice()))
        .await
        .unwrap_err();
    let conflict = |expected, current| StoreError::RecordConflict {
        key: key.clone(),
        expected,
        current,
    };
    assert_eq!(again, conflict(0, first));
    let second = store
        .write(RecordWrite::replace(key.clone(), first, b"two".as_slice()))
        .await
        .unwrap();
    assert!(second > first);
    let late = store
        .write(RecordWrite::remove(key.clone(), first))
        .await
        .unwrap_err();
    assert_eq!(late, conflict(first, second));
    let record = store.record(&key).await.unwrap().unwrap();
    assert_eq!(
        (record.version, record.body.as_bytes()),
        (second, b"two".as_slice())
    );
    assert_eq!(
        store
            .write(RecordWrite::remove(key.clone(), second))
            .await
            .unwrap(),
        0
    );
    assert_eq!(store.record(&key).await.unwrap(), None);
    // A version never comes again, so that nobody takes the new one for the old one.
    let third = store
        .write(RecordWrite::create(key.clone(), b"one".as_slice()))
        .await
        .unwrap();
    assert!(third > second);
    let late = store
        .write(RecordWrite::replace(key.clone(), first, b"x".as_slice()))
        .await
        .unwrap_err();
    assert_eq!(late, conflict(first, third));
}

async fn commit_is_whole_or_nothing(mut place: Place) {
    let store = place.open().await;
    let key = |id: &str| RecordKey::new(Space::JOIN_TOKENS, id).unwrap();
    let both = Commit::event(event("both"))
        .record(RecordWrite::create(key("a"), b"1".as_slice()))
        .record(RecordWrite::create(key("b"), b"1".as_slice()));
    let committed = store.commit(both).await.unwrap();
    assert_eq!(committed.versions.len(), 2);
    let before = (store.position().await.unwrap(), store.audit_head().await.unwrap());
    // The second does not fit.
    let half = Commit::event(event("half"))
        .record(RecordWrite::remove(key("a"), committed.versions[0]))
        .record(RecordWrite::create(key("b"), b"2".as_slice()));
    assert!(matches!(
        store.commit(half).await,
        Err(StoreError::RecordConflict { .. })
    ));
    assert_eq!(
        (store.position().await.unwrap(), store.audit_head().await.unwrap()),
        before
    );
    assert!(store.record(&key("a")).await.unwrap().is_some());
}

async fn audit_log_verifies_and_is_exported(mut place: Place) {
    let store = place.open().await;
    place.revise(&*store, &[("a.yaml", "a: 1")]).await;
    for number in 0..5 {
        let entry = store
            .enter(event(&format!("certificate {number}")).why("it was asked for"))
            .await
            .unwrap();
        assert_eq!(entry.sequence, number + 2);
    }
    let report = verify(&*store, None).await.unwrap();
    assert_eq!((report.head.count, report.revisions), (6, 1));
    let mut copy = Vec::new();
    assert_eq!(
        export(&*store, Head::default(), &mut copy).await.unwrap(),
        report.head
    );
    let lines = String::from_utf8(copy).unwrap();
    let mut chain = Chain::default();
    for line in lines.lines() {
        chain
            .follow(&serde_json::from_str::<Entry>(line).unwrap())
            .unwrap();
    }
    assert_eq!(chain.head(), report.head);
    store.enter(event("later")).await.unwrap();
    // Against a head that was kept.
    verify(&*store, Some(&report.head)).await.unwrap();
    let mut rest = Vec::new();
    export(&*store, report.head, &mut rest).await.unwrap();
    assert_eq!(String::from_utf8(rest).unwrap().lines().count(), 1);
    let longer = Head {
        count: 99,
        ..report.head
    };
    let error = verify(&*store, Some(&longer)).await.unwrap_err();
    assert!(
        matches!(error, VerifyError::Broken { sequence: 8, .. }),
        "{error}"
    );
    let other = Head {
        count: 3,
        ..report.head
    };
    let error = verify(&*store, Some(&other)).await.unwrap_err();
    assert!(
        matches!(error, VerifyError::Broken { sequence: 3, .. }),
        "{error}"
    );
}

async fn restart_keeps_everything(mut place: Place) {
    let store = place.open().await;
    place.revise(&*store, &[("a.yaml", "a: 1")]).await;
    let key = RecordKey::new(Space::SIGNING, "root").unwrap();
    let version = store
        .write(RecordWrite::create(key.clone(), b"key".as_slice()))
        .await
        .unwrap();
    store.enter(event("x")).await.unwrap();
    let before = (store.position().await.unwrap(), store.audit_head().await.unwrap());
    let store = place.restart(store).await;
    assert_eq!(
        (store.position().await.unwrap(), store.audit_head().await.unwrap()),
        before
    );
    assert_eq!(*store.watch().borrow(), before.0);
    let record = store.record(&key).await.unwrap().unwrap();
    assert_eq!(
        (record.version, record.body.as_bytes()),
        (version, b"key".as_slice())
    );
    place.revise(&*store, &[("a.yaml", "a: 2")]).await;
    verify(&*store, Some(&before.1)).await.unwrap();
}

async fn spaces_are_paged(mut place: Place) {
    let store = place.open().await;
    // More than one answer of etcd holds.
    let ids: Vec<String> = (0..80).map(|number| format!("{number:03}")).collect();
    for chunk in ids.chunks(16) {
        let commit = chunk.iter().fold(Commit::default(), |commit, id| {
            let key = RecordKey::new(Space::ROLLOUTS, id.clone()).unwrap();
            commit.record(RecordWrite::create(key, id.as_bytes()))
        });
        store.commit(commit).await.unwrap();
    }
    // Neighbours in the order of keys.
    for space in [
        Space::shared("rolloutr"),
        Space::shared("rollouts_"),
        Space::SIGNING,
    ] {
        let key = RecordKey::new(space, "000").unwrap();
        store
            .write(RecordWrite::create(key, b"x".as_slice()))
            .await
            .unwrap();
    }
    let of = |records: Vec<crate::store::Record>| -> Vec<String> {
        records.iter().map(|record| record.key.id().to_owned()).collect()
    };
    assert_eq!(
        of(store.records(Space::ROLLOUTS, None, 1_000).await.unwrap()),
        ids
    );
    let page = store.records(Space::ROLLOUTS, Some("009"), 3).await.unwrap();
    assert_eq!(of(page), ["010", "011", "012"]);
    assert!(
        store
            .records(Space::ROLLOUTS, Some("079"), 3)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn watch_has_the_last_state(mut place: Place) {
    let store = place.open().await;
    let mut watch = store.watch();
    assert_eq!(watch.borrow_and_update().revision, 0);
    let head = place.revise(&*store, &[("a.yaml", "a: 1")]).await;
    told(&*store, "the revision", |position| {
        position.revision == head.number
    })
    .await;
    assert!(watch.has_changed().unwrap());
    let key = RecordKey::new(Space::ROLLOUTS, "1").unwrap();
    let version = store
        .write(RecordWrite::create(key, b"x".as_slice()))
        .await
        .unwrap();
    let position = told(&*store, "the record", |position| position.records == version).await;
    assert_eq!(position, store.position().await.unwrap());
}

async fn limits_are_told(mut place: Place) {
    let store = place.open().await;
    let refused = |commit: Commit| {
        let store = store.clone();
        async move {
            match store.commit(commit).await {
                Err(StoreError::Refused { what, .. }) => what,
                other => panic!("{other:?}"),
            }
        }
    };
    let key = |number: usize| RecordKey::new(Space::ROLLOUTS, number.to_string()).unwrap();
    assert_eq!(refused(Commit::default()).await, "a commit");
    let large = vec![0; crate::store::RECORD_BYTES_MAX + 1];
    let large = Commit::default().record(RecordWrite::create(key(0), large));
    assert_eq!(refused(large).await, "the records of a commit");
    let twice = Commit::default()
        .record(RecordWrite::create(key(0), b"".as_slice()))
        .record(RecordWrite::create(key(0), b"".as_slice()));
    assert_eq!(refused(twice).await, "the records of a commit");
    let many = (0..9).fold(Commit::default(), |commit, _| commit.and(event("x")));
    assert_eq!(refused(many).await, "the audit entries of a commit");
    // The greatest that are allowed are stored, by all stores.
    let largest = vec![7; crate::store::RECORD_BYTES_MAX - 15];
    let most = (0..crate::store::RECORDS_MAX).fold(Commit::default(), |commit, number| {
        let body = if number == 0 { largest.clone() } else { vec![7] };
        commit.record(RecordWrite::create(key(number), body))
    });
    let most = (0..8).fold(most, |commit, _| {
        let long = "x".repeat(4_096);
        commit.and((0..16).fold(event("x"), |event, number| {
            event.detail(&number.to_string(), &long)
        }))
    });
    store.commit(most).await.unwrap();
    assert_eq!(
        store.record(&key(0)).await.unwrap().unwrap().body.as_bytes(),
        largest
    );
}
