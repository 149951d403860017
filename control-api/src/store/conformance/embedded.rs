//! What is the embedded store's own.

use super::{documents, draft, event};
use crate::audit::{VerifyError, verify};
use crate::store::{Store, StoreError, embedded};
use redb::{Database, ReadableDatabase, TableDefinition};
use std::path::Path;

const TABLE: TableDefinition<&str, &[u8]> = TableDefinition::new("outrigger");

#[tokio::test]
async fn second_opener_is_told() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("mesh.redb");
    let _first = embedded::open(&file, 10).await.unwrap();
    let error = embedded::open(&file, 10).await.err().unwrap();
    assert_eq!(
        error,
        StoreError::InUse {
            path: file.display().to_string()
        }
    );
}

#[tokio::test]
async fn file_is_its_owners() {
    use std::os::unix::fs::PermissionsExt;
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("mesh.redb");
    let _store = embedded::open(&file, 10).await.unwrap();
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

/// A copy that is taken at any moment opens, whole: as after a power cut at that moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_amid_writes_are_whole() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("mesh.redb");
    let store = embedded::open(&file, 10).await.unwrap();
    store
        .append(0, draft("anna", documents(&[("a.yaml", "0")])))
        .await
        .unwrap();
    let writing = tokio::spawn(async move {
        for number in 1..60 {
            let text = format!("{number}");
            store
                .append(number, draft("anna", documents(&[("a.yaml", &text)])))
                .await
                .unwrap();
        }
    });
    let mut copies = 0;
    let mut seen = 0;
    while !writing.is_finished() {
        let copy = place.path().join(format!("copy-{copies}.redb"));
        cut(&file, &copy);
        copies += 1;
        let store = embedded::open(&copy, 10).await.unwrap();
        let position = store.position().await.unwrap();
        assert!(position.revision >= seen, "{} after {seen}", position.revision);
        seen = position.revision;
        let revision = store.revision(seen).await.unwrap();
        assert_eq!(
            revision.documents.text("a.yaml"),
            Some((seen - 1).to_string().as_str())
        );
        assert_eq!(verify(&store, None).await.unwrap().head.count, seen);
    }
    writing.await.unwrap();
    assert!(copies > 1, "nothing was copied amid writes");
}

/// Copies a file that is being written to. The copy is as the file was at one moment: it is made again if the file
/// changed meanwhile.
fn cut(file: &Path, copy: &Path) {
    loop {
        let first = std::fs::read(file).unwrap();
        if std::fs::read(file).unwrap() == first {
            std::fs::write(copy, first).unwrap();
            return;
        }
    }
}

/// Changes the database behind the store's back.
fn tamper(file: &Path, change: impl FnOnce(&mut redb::Table<'_, &str, &[u8]>)) {
    let database = Database::open(file).unwrap();
    let transaction = database.begin_write().unwrap();
    change(&mut transaction.open_table(TABLE).unwrap());
    transaction.commit().unwrap();
}

fn value(file: &Path, key: &str) -> Vec<u8> {
    let database = Database::open(file).unwrap();
    let table = database.begin_read().unwrap().open_table(TABLE).unwrap();
    table.get(key).unwrap().unwrap().value().to_vec()
}

async fn written() -> (tempfile::TempDir, std::path::PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("mesh.redb");
    let store = embedded::open(&file, 10).await.unwrap();
    store
        .append(0, draft("anna", documents(&[("a.yaml", "a: 1")])))
        .await
        .unwrap();
    store.enter(event("one")).await.unwrap();
    store
        .append(1, draft("bert", documents(&[("a.yaml", "a: 2")])))
        .await
        .unwrap();
    store.enter(event("two")).await.unwrap();
    verify(&store, None).await.unwrap();
    (place, file)
}

fn key(prefix: &str, number: u64) -> String {
    format!("{prefix}/{number:020}")
}

#[tokio::test]
async fn changed_and_removed_entries_are_found() {
    for number in 1..=4 {
        let (_place, file) = written().await;
        let entry = String::from_utf8(value(&file, &key("audit", number))).unwrap();
        let changed = entry.replace("\"who\":\"", "\"who\":\"x");
        tamper(&file, |table| {
            table
                .insert(key("audit", number).as_str(), changed.as_bytes())
                .unwrap();
        });
        let store = embedded::open(&file, 10).await.unwrap();
        let error = verify(&store, None).await.unwrap_err();
        assert!(
            matches!(error, VerifyError::Broken { sequence, .. } if sequence == number),
            "{error}"
        );
        drop(store);

        let (_place, file) = written().await;
        tamper(&file, |table| {
            table.remove(key("audit", number).as_str()).unwrap();
        });
        let store = embedded::open(&file, 10).await.unwrap();
        let error = verify(&store, None).await.unwrap_err();
        assert!(
            matches!(error, VerifyError::Broken { sequence, .. } if sequence == number),
            "{error}"
        );
    }
}

#[tokio::test]
async fn revision_that_is_not_the_audited_one_is_found() {
    let (_place, file) = written().await;
    let head = String::from_utf8(value(&file, &key("head", 2))).unwrap();
    tamper(&file, |table| {
        let other = head.replace("bert", "anna");
        table.insert(key("head", 2).as_str(), other.as_bytes()).unwrap();
    });
    let store = embedded::open(&file, 10).await.unwrap();
    let error = verify(&store, None).await.unwrap_err();
    assert!(
        matches!(error, VerifyError::Revision { number: 2, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn changed_document_is_not_given_out() {
    let (_place, file) = written().await;
    let manifest = String::from_utf8(value(&file, &key("manifest", 2))).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let pack = format!("pack/{}/0000", manifest["packs"][0]["id"].as_str().unwrap());
    tamper(&file, |table| {
        table.insert(pack.as_str(), b"a: 3".as_slice()).unwrap();
    });
    let store = embedded::open(&file, 10).await.unwrap();
    let error = store.revision(2).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "document a.yaml is damaged: its text has another hash"
    );
}

#[tokio::test]
async fn store_of_a_later_program_is_refused() {
    let (_place, file) = written().await;
    let meta = String::from_utf8(value(&file, "meta")).unwrap();
    tamper(&file, |table| {
        let later = meta.replace("\"format\":1", "\"format\":2");
        table.insert("meta", later.as_bytes()).unwrap();
    });
    let error = embedded::open(&file, 10).await.err().unwrap();
    assert!(error.to_string().contains("format 2"), "{error}");
}
