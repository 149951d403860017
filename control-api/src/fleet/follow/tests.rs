use super::*;
use crate::store::{Documents, Draft, Moment, Source as Origin, embedded};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

const GOOD: &str = "defaults: { trust_domain: example.org }\n";
/// No mesh: only another program can have written it.
const BAD: &str = "defaults: { trust_domain: [ }\n";

async fn append(store: &dyn Store, parent: u64, text: &str) {
    let mut documents = Documents::new();
    documents.insert("m.yaml", text).unwrap();
    let draft = Draft {
        author: "another program".to_owned(),
        time: Moment::now(),
        reason: format!("revision {}", parent + 1),
        source: Origin::Local,
        documents,
    };
    store.append(parent, draft).await.unwrap();
}

/// A fleet that follows a store with these revisions.
async fn following(texts: &[&str]) -> (Arc<Fleet>, Arc<dyn Store>, JoinSet<()>) {
    let store: Arc<dyn Store> = Arc::new(embedded::in_memory(100).await.unwrap());
    for (parent, text) in (0..).zip(texts) {
        append(&*store, parent, text).await;
    }
    let (fleet, mut tasks) = (Arc::new(Fleet::new()), JoinSet::new());
    tasks.spawn(follow(Arc::clone(&fleet), Arc::clone(&store)));
    (fleet, store, tasks)
}

async fn reaches(fleet: &Fleet, number: u64, freshness: Freshness) {
    let mut plans = fleet.plans();
    let wanted = plans.wait_for(|plan| plan.stable.number() == number && plan.freshness == freshness);
    timeout(Duration::from_secs(60), wanted).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_start_with_a_revision_that_cannot_be_loaded_takes_the_newest_before_it() {
    let (fleet, store, _tasks) = following(&[GOOD, GOOD, BAD, BAD]).await;
    reaches(&fleet, 2, Freshness::Earlier).await;
    append(&*store, 4, "defaults: { trust_domain: other.example }\n").await;
    reaches(&fleet, 5, Freshness::Current).await;
    append(&*store, 5, BAD).await;
    reaches(&fleet, 5, Freshness::Earlier).await;
}

#[tokio::test]
async fn without_any_revision_that_can_be_loaded_the_plan_stays_unread() {
    let (fleet, store, _tasks) = following(&[BAD]).await;
    assert_eq!(stay(&fleet, &*store, 1).await, Ok(()), "nothing is there to stay");
    assert_eq!(fleet.plan().freshness, Freshness::Unread);
    append(&*store, 1, GOOD).await;
    reaches(&fleet, 2, Freshness::Current).await;
}

#[tokio::test]
async fn a_store_without_revisions_has_the_empty_mesh() {
    let (fleet, _store, _tasks) = following(&[]).await;
    reaches(&fleet, 0, Freshness::Current).await;
}
