//! What is etcd's own: replicas, restarts under change, compaction, what writers leave behind.

use super::etcd_process::EtcdProcess;
use super::place::{KEPT, Place};
use super::{documents, draft, event, soon, told};
use crate::audit::verify;
use crate::settings::EtcdSettings;
use crate::store::{Documents, RecordKey, RecordWrite, Space, Store, StoreError, etcd};
use std::sync::Arc;

fn process(place: &mut Place) -> &mut EtcdProcess {
    match place {
        Place::Etcd(process) => process,
        _ => panic!("not etcd"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_is_told_of_what_another_commits() {
    let Some(mut place) = Place::etcd() else { return };
    let (one, other) = (place.open().await, place.open().await);
    for number in 1..=3 {
        let text = number.to_string();
        one.append(number - 1, draft("anna", documents(&[("a.yaml", &text)])))
            .await
            .unwrap();
        told(&*other, "the revision", |position| position.revision == number).await;
        let revision = other.revision(number).await.unwrap();
        assert_eq!(revision.documents.text("a.yaml"), Some(text.as_str()));
    }
    let key = RecordKey::new(Space::ROLLOUTS, "1").unwrap();
    let version = other
        .write(RecordWrite::create(key.clone(), b"x".as_slice()))
        .await
        .unwrap();
    told(&*one, "the record", |position| position.records == version).await;
    assert_eq!(one.record(&key).await.unwrap().unwrap().version, version);
}

/// Writers of two replicas go on while etcd is killed and started again. Who is told of success finds it there once; who
/// is told that nothing was written does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_change_loses_nothing() {
    let Some(mut place) = Place::etcd() else { return };
    let mut writing = tokio::task::JoinSet::new();
    let (done, mut progress) = tokio::sync::watch::channel(0_u32);
    let done = Arc::new(done);
    for writer in 0..2 {
        let store = place.open().await;
        let done = done.clone();
        writing.spawn(async move {
            let (mut entered, mut refused, mut uncertain) = (Vec::new(), Vec::new(), Vec::new());
            for number in 0..150 {
                let subject = format!("{writer}-{number}");
                match store.enter(event(&subject)).await {
                    Ok(_) => entered.push(subject),
                    Err(StoreError::Uncertain { .. }) => uncertain.push(subject),
                    Err(StoreError::Unavailable { .. }) => refused.push(subject),
                    Err(error) => panic!("{error}"),
                }
                done.send_modify(|done| *done += 1);
            }
            (entered, refused, uncertain)
        });
    }
    let store = place.open().await;
    for at in [40, 120, 200] {
        soon("progress", progress.wait_for(|done| *done >= at))
            .await
            .unwrap();
        process(&mut place).restart();
    }
    let all = soon("the writers", writing.join_all()).await;
    let told_by: Vec<String> = store
        .entries(1, 1_000)
        .await
        .unwrap()
        .into_iter()
        .map(|entry| entry.subject)
        .collect();
    let count = |subject: &String| told_by.iter().filter(|told| *told == subject).count();
    for (entered, refused, uncertain) in &all {
        assert!(entered.len() > 100, "{} entered", entered.len());
        assert!(entered.iter().all(|subject| count(subject) == 1));
        assert!(refused.iter().all(|subject| count(subject) == 0));
        assert!(uncertain.iter().all(|subject| count(subject) <= 1));
    }
    verify(&*store, None).await.unwrap();
    // And the watch came back.
    let other = place.open().await;
    let head = other.append(0, draft("anna", Documents::new())).await.unwrap();
    told(&*store, "the revision", |position| {
        position.revision == head.number
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_goes_on_behind_a_compaction() {
    let Some(mut place) = Place::etcd() else { return };
    let one = place.open().await;
    let other = place.open().await;
    one.append(0, draft("anna", Documents::new())).await.unwrap();
    told(&*other, "the first", |position| position.revision == 1).await;
    // While nobody can watch, much is committed and compacted.
    process(&mut place).restart();
    for number in 1..20 {
        one.append(number, draft("anna", Documents::new())).await.unwrap();
    }
    let status = process(&mut place).control(&["endpoint", "status", "--write-out=json"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let revision = status[0]["Status"]["header"]["revision"].to_string();
    process(&mut place).control(&["compact", &revision]);
    told(&*other, "the last", |position| position.revision == 20).await;
    one.append(20, draft("anna", Documents::new())).await.unwrap();
    told(&*other, "one more", |position| position.revision == 21).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_last_when_committed_and_else_go() {
    let Some(mut place) = Place::etcd() else { return };
    let store = place.open().await;
    let large = |seed: u32| -> Documents {
        let text: String = (0..100_000)
            .map(|line| format!("line: {seed}-{line}\n"))
            .collect();
        documents(&[("a.yaml", &text)])
    };
    store.append(0, draft("anna", large(1))).await.unwrap();
    let late = store.append(0, draft("anna", large(2))).await.unwrap_err();
    assert!(matches!(late, StoreError::Conflict { .. }));
    // All leases are taken back: what was committed does not hang on one.
    let process = process(&mut place);
    for lease in process.control(&["lease", "list"]).lines().skip(1) {
        process.control(&["lease", "revoke", lease]);
    }
    let packs = process.control(&["get", "--prefix", "--keys-only", "/outrigger/pack/"]);
    let packs = packs.lines().filter(|line| !line.is_empty()).count();
    assert_eq!(packs, large(1).bytes().div_ceil(1024 * 1024));
    let fresh = place.open().await;
    assert_eq!(fresh.revision(1).await.unwrap().documents, large(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_do_not_answer_are_passed_over() {
    let Some(mut place) = Place::etcd() else { return };
    let _started = place.open().await;
    let mut settings = process(&mut place).settings();
    // Accepts and never answers; and a port that nobody listens on.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    settings.endpoints.insert(0, format!("http://{closed}"));
    settings
        .endpoints
        .insert(1, format!("http://{}", silent.local_addr().unwrap()));
    let store = etcd::open(&settings, KEPT).await.unwrap();
    store.append(0, draft("anna", Documents::new())).await.unwrap();
    let other = place.open().await;
    other.append(1, draft("anna", Documents::new())).await.unwrap();
    told(&store, "the second", |position| position.revision == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_that_is_away_is_a_fault_in_bounded_time() {
    let Some(mut place) = Place::etcd() else { return };
    let store = place.open().await;
    process(&mut place).kill();
    let error = soon("an answer", store.position()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    assert!(store.condition().fault.is_some());
    let settings = process(&mut place).settings();
    assert!(etcd::open(&settings, KEPT).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_put_back_to_an_older_state_is_noticed() {
    let Some(mut place) = Place::etcd() else { return };
    let store = place.open().await;
    for number in 0..3 {
        store
            .append(
                number,
                draft("anna", documents(&[("a.yaml", &number.to_string())])),
            )
            .await
            .unwrap();
    }
    store.revision(1).await.unwrap();
    process(&mut place).restart_empty();
    told(&*store, "the loss", |position| position.revision == 0).await;
    store
        .append(0, draft("bert", documents(&[("a.yaml", "new")])))
        .await
        .unwrap();
    // Not what was remembered of the old first one.
    assert_eq!(store.revision(1).await.unwrap().head.author, "bert");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_and_password_are_used() {
    let Some(mut place) = Place::etcd() else { return };
    let before = place.open().await;
    let process = process(&mut place);
    process.control(&["user", "add", "root:first"]);
    process.control(&["user", "grant-role", "root", "root"]);
    process.control(&["auth", "enable"]);
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(password.path(), "first\n").unwrap();
    let mut settings = process.settings();
    settings.user = Some(("root".to_owned(), password.path().to_owned()));
    let store = etcd::open(&settings, KEPT).await.unwrap();
    store.append(0, draft("anna", Documents::new())).await.unwrap();
    let error = before.position().await.unwrap_err();
    assert!(error.to_string().contains("user name is empty"), "{error}");
    std::fs::write(password.path(), "wrong").unwrap();
    let error = etcd::open(&settings, KEPT).await.err().unwrap();
    assert!(error.to_string().contains("authentication failed"), "{error}");
    // A restarted member has forgotten all tokens.
    std::fs::write(password.path(), "first").unwrap();
    process.restart();
    soon("a new token", async {
        while store.append(1, draft("anna", Documents::new())).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutual_tls_is_spoken() {
    let Some(process) = EtcdProcess::start_tls() else {
        return;
    };
    let settings = process.settings();
    let mut place = Place::Etcd(process);
    let store = place.open().await;
    store
        .append(0, draft("anna", documents(&[("a.yaml", "a: 1")])))
        .await
        .unwrap();
    let other = place.open().await;
    other.append(1, draft("anna", Documents::new())).await.unwrap();
    told(&*store, "the second", |position| position.revision == 2).await;
    let anonymous = EtcdSettings {
        client: None,
        ..settings.clone()
    };
    assert!(etcd::open(&anonymous, KEPT).await.is_err());
    // Etcd's authority is none of the system's.
    let unbelieving = EtcdSettings {
        roots_file: None,
        ..settings
    };
    assert!(etcd::open(&unbelieving, KEPT).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_revisions_leave_no_documents() {
    let Some(mut place) = Place::etcd() else { return };
    let store = place.open().await;
    for number in 0..40 {
        let name = format!("{}.yaml", number % 3);
        let mut all = store.revision(number).await.unwrap().documents.clone();
        all.insert(name, number.to_string()).unwrap();
        store.append(number, draft("anna", all)).await.unwrap();
    }
    let keys = process(&mut place).control(&["get", "--prefix", "--keys-only", "/outrigger/"]);
    let count = |part: &str| {
        keys.lines()
            .filter(|key| key.starts_with(&format!("/outrigger/{part}/")))
            .count()
    };
    assert_eq!((count("head"), count("manifest")), (KEPT as usize, KEPT as usize));
    // Each of those that are kept has one of its own, and the oldest of them two more from before.
    assert_eq!(count("pack"), KEPT as usize + 2);
}
