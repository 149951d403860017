//! What is the directory's own.

use super::{documents, draft, soon, told};
use crate::audit::action;
use crate::store::directory::{Directory, DirectoryOptions};
use crate::store::{Store, StoreError, directory};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn options() -> DirectoryOptions {
    DirectoryOptions {
        state_file: None,
        revisions_kept: 10,
        check: None,
    }
}

/// Looks only when it is told.
async fn open(path: &Path, options: DirectoryOptions) -> Result<Directory, StoreError> {
    directory::open_and_look(path, options, Duration::from_secs(3_600)).await
}

async fn faulty(store: &Directory, expected: &str) {
    soon("the fault", async {
        while !store
            .condition()
            .fault
            .is_some_and(|fault| fault.contains(expected))
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn appending_is_refused_with_the_way_to_go() {
    let place = tempfile::tempdir().unwrap();
    let store = open(place.path(), options()).await.unwrap();
    let error = store
        .append(0, draft("anna", documents(&[("a.yaml", "")])))
        .await
        .unwrap_err();
    let StoreError::ReadOnly { reason } = &error else {
        panic!("{error}");
    };
    assert!(reason.contains("commit to the repository"), "{reason}");
    assert_eq!(store.condition().read_only.as_ref(), Some(reason));
}

#[tokio::test]
async fn first_contents_are_there_at_once() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("a.yaml"), "a: 1").unwrap();
    let store = open(place.path(), options()).await.unwrap();
    let revision = store.revision(1).await.unwrap();
    assert_eq!(revision.documents, documents(&[("a.yaml", "a: 1")]));
    assert_eq!(
        (revision.head.author.as_str(), revision.head.reason.as_str()),
        ("directory", "added a.yaml")
    );
}

/// As the kubelet does it: files are links through `..data`, which is swapped by a rename.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swapped_link_of_kubernetes_is_seen() {
    let place = tempfile::tempdir().unwrap();
    let mesh = place.path();
    let publish = |version: &str, text: &str| {
        let data = mesh.join(format!("..{version}"));
        fs::create_dir(&data).unwrap();
        fs::write(data.join("a.yaml"), text).unwrap();
        symlink(format!("..{version}"), mesh.join("..data_tmp")).unwrap();
        fs::rename(mesh.join("..data_tmp"), mesh.join("..data")).unwrap();
    };
    publish("1", "a: 1");
    symlink("..data/a.yaml", mesh.join("a.yaml")).unwrap();
    let store = open(mesh, options()).await.unwrap();
    publish("2", "a: 2");
    fs::remove_dir_all(mesh.join("..1")).unwrap();
    told(&store, "the second", |position| position.revision == 2).await;
    assert_eq!(
        store.revision(2).await.unwrap().documents,
        documents(&[("a.yaml", "a: 2")])
    );
}

/// As programs that fetch repositories do it: the path itself is a link.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swapped_link_of_the_path_is_seen() {
    let place = tempfile::tempdir().unwrap();
    let publish = |version: &str| {
        let data = place.path().join(version);
        fs::create_dir(&data).unwrap();
        fs::write(data.join("a.yaml"), version).unwrap();
        symlink(&data, place.path().join("fresh")).unwrap();
        fs::rename(place.path().join("fresh"), place.path().join("mesh")).unwrap();
    };
    publish("1");
    let store = open(&place.path().join("mesh"), options()).await.unwrap();
    for (number, version) in [(2, "2"), (3, "3")] {
        publish(version);
        told(&store, version, |position| position.revision == number).await;
    }
    // What the link leads to now is watched.
    fs::write(place.path().join("3/a.yaml"), "4").unwrap();
    told(&store, "the fourth", |position| position.revision == 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directory_that_is_emptied_or_gone_stays_in_force() {
    let place = tempfile::tempdir().unwrap();
    let mesh = place.path().join("mesh");
    fs::create_dir(&mesh).unwrap();
    fs::write(mesh.join("a.yaml"), "a: 1").unwrap();
    let store = open(&mesh, options()).await.unwrap();
    fs::remove_file(mesh.join("a.yaml")).unwrap();
    faulty(&store, "revision 1 stays in force").await;
    fs::remove_dir(&mesh).unwrap();
    faulty(&store, "No such file").await;
    assert_eq!(store.position().await.unwrap().revision, 1);
    fs::create_dir(&mesh).unwrap();
    fs::write(mesh.join("b.yaml"), "").unwrap();
    told(&store, "the second", |position| position.revision == 2).await;
    soon("the end of the fault", async {
        while store.condition().fault.is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_contents_make_no_revision_and_are_audited_once() {
    let place = tempfile::tempdir().unwrap();
    let write = |text: &str| fs::write(place.path().join("a.yaml"), text).unwrap();
    write("good");
    let check = |_: u64, documents: &crate::store::Documents| match documents.text("a.yaml") {
        Some("bad") => Err("a.yaml:1:1: it is bad".to_owned()),
        _ => Ok(()),
    };
    let options = DirectoryOptions {
        check: Some(Arc::new(check)),
        ..options()
    };
    let store = open(place.path(), options).await.unwrap();
    write("bad");
    faulty(&store, "it is bad").await;
    // Something else happens there: the same contents are looked at again.
    fs::write(place.path().join("notes.txt"), "").unwrap();
    write("better");
    told(&store, "the better one", |position| position.revision == 2).await;
    let entries = store.entries(1, 10).await.unwrap();
    let refused: Vec<_> = entries
        .iter()
        .filter(|entry| entry.what == action::REVISION_REFUSED)
        .collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(
        (refused[0].why.as_str(), refused[0].after),
        ("a.yaml:1:1: it is bad", Some(1))
    );
}

#[tokio::test]
async fn directory_that_is_not_there_yet_is_a_fault() {
    let store = open(Path::new("/nowhere/at/all"), options()).await.unwrap();
    assert!(store.condition().fault.unwrap().contains("/nowhere/at/all"));
    assert_eq!(store.position().await.unwrap().revision, 0);
}

/// Nothing tells of directories far up in the path; they are looked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directory_that_comes_untold_is_found() {
    let place = tempfile::tempdir().unwrap();
    let mesh = place.path().join("far/up/mesh");
    let store = directory::open_and_look(&mesh, options(), Duration::from_millis(10))
        .await
        .unwrap();
    fs::create_dir_all(&mesh).unwrap();
    fs::write(mesh.join("a.yaml"), "").unwrap();
    told(&store, "the first", |position| position.revision == 1).await;
}
