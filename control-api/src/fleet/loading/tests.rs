//! How often revisions are loaded, and what for.

use super::*;
use crate::fleet::follow::follow;
use crate::fleet::{Agent, Freshness};
use crate::store::directory::{self, DirectoryOptions};
use crate::store::{Draft, Moment, Source, embedded};
use outrigger_config::MeshWork;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

const SHOP: &str = "services:
- {name: shop/web, ports: [{port: 80}], endpoints: [{address: 192.0.2.1:80}], uses: [shop/catalog]}
- {name: shop/catalog, ports: [{port: 80}], endpoints: [{address: 192.0.2.2:80}]}
";
const OTHERS: &str = "services:
- {name: other/one, ports: [{port: 80}], endpoints: [{address: 192.0.2.3:80}], uses: [other/one]}
";

async fn reaches(fleet: &Fleet, number: u64) {
    let mut plans = fleet.plans();
    let wanted =
        plans.wait_for(|plan| plan.stable.number() == number && plan.freshness == Freshness::Current);
    timeout(Duration::from_secs(60), wanted).await.unwrap().unwrap();
}

fn work(fleet: &Fleet) -> MeshWork {
    fleet.plan().stable.mesh().work()
}

/// Meshes, documents and views since.
fn since(fleet: &Fleet, before: MeshWork) -> (usize, usize, usize) {
    let now = work(fleet);
    (
        now.meshes_read - before.meshes_read,
        now.documents_read - before.documents_read,
        now.views_made - before.views_made,
    )
}

async fn append(store: &dyn Store, parent: u64, shop: &str) {
    let mut documents = Documents::new();
    documents.insert("others.yaml", OTHERS).unwrap();
    documents.insert("shop.yaml", shop).unwrap();
    let draft = Draft {
        author: "another program".to_owned(),
        time: Moment::now(),
        reason: "because".to_owned(),
        source: Source::Local,
        documents,
    };
    store.append(parent, draft).await.unwrap();
}

/// As a replica has it that did not look at the documents before: another one did.
#[tokio::test]
async fn a_revision_that_nobody_here_validated_is_loaded_once() {
    let store: Arc<dyn Store> = Arc::new(embedded::in_memory(100).await.unwrap());
    append(&*store, 0, SHOP).await;
    let (fleet, mut tasks) = (Arc::new(Fleet::new()), JoinSet::new());
    let nothing = work(&fleet);
    tasks.spawn(follow(Arc::clone(&fleet), Arc::clone(&store)));
    reaches(&fleet, 1).await;
    assert_eq!(since(&fleet, nothing), (1, 2, 3));
    let role = fleet.plan().stable.role("shop/web", "a", Agent::Grpc).unwrap();
    let first = fleet.plan().stable.view(&role).unwrap();
    let first_work = work(&fleet);

    append(&*store, 1, &SHOP.replace("192.0.2.2:80", "192.0.2.9:80")).await;
    reaches(&fleet, 2).await;
    // The catalog's clients, and the window's, which are wanted.
    assert_eq!(since(&fleet, first_work), (1, 1, 2));
    let second = fleet.plan().stable.view(&role).unwrap();
    assert_eq!(
        since(&fleet, first_work),
        (1, 1, 2),
        "what is wanted was made while all was looked at"
    );
    assert_eq!((first.view.revision(), second.view.revision()), (1, 2));
    assert!(fleet.waiting.revisions.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_directory_is_found_to_hold_is_released_as_it_was_loaded() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(place.path().join(name), text).unwrap();
    write("others.yaml", OTHERS);
    write("shop.yaml", SHOP);
    let (fleet, mut tasks) = (Arc::new(Fleet::new()), JoinSet::new());
    let (admitting, nothing) = (Arc::clone(&fleet), work(&fleet));
    let options = DirectoryOptions {
        state_file: None,
        revisions_kept: 100,
        check: Some(Arc::new(move |number, documents| {
            admitting.admit(number, documents)
        })),
    };
    let store = directory::open(place.path(), options).await.unwrap();
    tasks.spawn(follow(Arc::clone(&fleet), Arc::new(store)));
    reaches(&fleet, 1).await;
    assert_eq!(since(&fleet, nothing), (1, 2, 3));
    let first = work(&fleet);
    write("shop.yaml", &SHOP.replace("192.0.2.2:80", "192.0.2.9:80"));
    reaches(&fleet, 2).await;
    assert_eq!(since(&fleet, first), (1, 1, 2));
    assert!(fleet.waiting.revisions.lock().is_empty());
}

#[tokio::test]
async fn what_was_expected_is_taken_only_for_what_it_is() {
    let store: Arc<dyn Store> = Arc::new(embedded::in_memory(100).await.unwrap());
    let fleet = Arc::new(Fleet::new());
    let documents = |text: &str| {
        let mut documents = Documents::new();
        documents.insert("others.yaml", OTHERS).unwrap();
        documents.insert("shop.yaml", text).unwrap();
        documents
    };
    let other = fleet.load(1, &documents(&SHOP.replace("80", "81"))).unwrap();
    let own = fleet.load(1, &documents(SHOP)).unwrap();
    fleet.expect(&other);
    fleet.expect(&own);
    append(&*store, 0, SHOP).await;
    // Two wanted to be the first revision; one has become it.
    let found = fleet.revision(&*store, 1).await.unwrap();
    assert!(Arc::ptr_eq(&found, &own));
    fleet.discard(&own);
    let found = fleet.revision(&*store, 1).await.unwrap();
    assert!(!Arc::ptr_eq(&found, &own) && !Arc::ptr_eq(&found, &other));
    // As many wait as are looked at at a time.
    for number in 2..20 {
        fleet.expect(&fleet.load(number, &documents(SHOP)).unwrap());
    }
    assert_eq!(fleet.waiting.revisions.lock().len(), WAITING_MAX);
}
