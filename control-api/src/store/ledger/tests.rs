//! Answers that are lost, as a network loses them.

use super::*;
use crate::audit::{Event, verify};
use crate::store::backend::{Order, Pair};
use crate::store::{Documents, Draft, Moment, RecordKey, RecordWrite, Source, Space, Store, embedded};
use tonic::async_trait;

/// What happens to a commit's transaction whose answer is lost.
#[derive(Debug, Clone, Copy)]
enum Loss {
    NeverArrives,
    Arrives,
    /// It arrives, and then somebody else commits.
    ArrivesAndIsBuiltUpon,
    /// It arrives when it is tried again, just before that.
    ArrivesLate,
    /// Somebody else commits, so it does not fit when it arrives.
    ArrivesTooLate,
}

/// The state that it is for, and what it writes.
type Transaction = (Option<Vec<u8>>, Vec<Write>);

/// Loses the answer to the first transaction.
struct Lossy {
    inner: Arc<dyn Backend>,
    loss: Mutex<Option<Loss>>,
    late: Mutex<Option<Transaction>>,
    /// What somebody else commits.
    others: Commit,
}

#[async_trait]
impl Backend for Lossy {
    fn kind(&self) -> &'static str {
        "lossy"
    }

    fn chunk_bytes(&self) -> usize {
        self.inner.chunk_bytes()
    }

    fn fault(&self) -> Option<String> {
        None
    }

    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.read(key).await
    }

    async fn scan(&self, from: &str, to: &str, order: Order, limit: usize) -> Result<Vec<Pair>, StoreError> {
        self.inner.scan(from, to, order, limit).await
    }

    async fn stage(&self, values: Vec<Pair>) -> Result<Vec<Write>, StoreError> {
        self.inner.stage(values).await
    }

    async fn apply(&self, meta: Option<Vec<u8>>, writes: Vec<Write>) -> Result<bool, StoreError> {
        let late = self.late.lock().take();
        if let Some((meta, writes)) = late {
            assert!(self.inner.apply(meta, writes).await.unwrap());
        }
        let loss = self.loss.lock().take();
        let Some(loss) = loss else {
            return self.inner.apply(meta, writes).await;
        };
        match loss {
            Loss::NeverArrives => {}
            Loss::Arrives => assert!(self.inner.apply(meta, writes).await.unwrap()),
            Loss::ArrivesAndIsBuiltUpon => {
                assert!(self.inner.apply(meta, writes).await.unwrap());
                self.someone_commits().await;
            }
            Loss::ArrivesLate => *self.late.lock() = Some((meta, writes)),
            Loss::ArrivesTooLate => {
                self.someone_commits().await;
                assert!(!self.inner.apply(meta, writes).await.unwrap());
            }
        }
        Err(StoreError::Uncertain {
            reason: "the line was cut".to_owned(),
        })
    }
}

impl Lossy {
    async fn someone_commits(&self) {
        let other = Ledger::start(self.inner.clone(), 10).await.unwrap();
        other.commit(self.others.clone()).await.unwrap();
    }
}

async fn lossy(loss: Loss, others: Commit) -> Ledger {
    let inner = embedded::in_memory(10).await.unwrap().shared.backend.clone();
    let backend = Lossy {
        inner,
        loss: Mutex::new(Some(loss)),
        late: Mutex::new(None),
        others,
    };
    Ledger::start(Arc::new(backend), 10).await.unwrap()
}

fn event(subject: &str) -> Event {
    Event::new(Moment(0), "test", "test.done", subject)
}

fn draft(author: &str) -> Draft {
    let mut documents = Documents::new();
    documents.insert("a.yaml", author).unwrap();
    Draft {
        author: author.to_owned(),
        time: Moment(0),
        reason: "a test".to_owned(),
        source: Source::Api,
        documents,
    }
}

const LOSSES: [Loss; 5] = [
    Loss::NeverArrives,
    Loss::Arrives,
    Loss::ArrivesAndIsBuiltUpon,
    Loss::ArrivesLate,
    Loss::ArrivesTooLate,
];

#[tokio::test]
async fn entry_is_made_once_whatever_is_lost() {
    for loss in LOSSES {
        // Somebody else's is alike to the letter.
        let store = lossy(loss, Commit::event(event("x"))).await;
        let entry = store.enter(event("x")).await.unwrap();
        let entries = store.entries(1, 10).await.unwrap();
        let others = matches!(loss, Loss::ArrivesAndIsBuiltUpon | Loss::ArrivesTooLate);
        assert_eq!(entries.len(), 1 + usize::from(others), "{loss:?}");
        assert!(entries.contains(&entry), "{loss:?}");
        verify(&store, None).await.unwrap();
    }
}

#[tokio::test]
async fn revision_is_made_once_or_its_writer_is_told_of_another() {
    for loss in LOSSES {
        let others = match loss {
            Loss::ArrivesTooLate => Commit::revision(0, draft("bert")),
            _ => Commit::revision(1, draft("bert")),
        };
        let store = lossy(loss, others).await;
        let made = store.append(0, draft("anna")).await;
        let history = store.history(None, 10).await.unwrap();
        let authors: Vec<&str> = history.iter().rev().map(|head| head.author.as_str()).collect();
        match loss {
            Loss::NeverArrives | Loss::Arrives | Loss::ArrivesLate => {
                assert_eq!(authors, ["anna"], "{loss:?}")
            }
            Loss::ArrivesAndIsBuiltUpon => assert_eq!(authors, ["anna", "bert"]),
            Loss::ArrivesTooLate => {
                assert_eq!(authors, ["bert"]);
                assert_eq!(
                    made,
                    Err(StoreError::Conflict {
                        expected: 0,
                        current: 1
                    })
                );
                continue;
            }
        }
        assert_eq!(made.unwrap(), history[history.len() - 1], "{loss:?}");
        assert_eq!(store.watch().borrow().revision, 1, "{loss:?}");
    }
}

#[tokio::test]
async fn record_that_is_taken_by_another_is_not_taken_for_ones_own() {
    let key = RecordKey::new(Space::JOIN_TOKENS, "t").unwrap();
    // Alike to the letter: both want to be the one who uses the token.
    let used = || Commit::default().record(RecordWrite::create(key.clone(), b"used".as_slice()));
    for entry in [Commit::default(), Commit::event(event("t"))] {
        let used = || {
            let record = RecordWrite::create(key.clone(), b"used".as_slice());
            entry.clone().record(record)
        };
        let store = lossy(Loss::ArrivesTooLate, used()).await;
        let error = store.commit(used()).await.unwrap_err();
        assert!(matches!(error, StoreError::RecordConflict { .. }), "{error}");
    }
    // Written, and changed by somebody else since: an entry would tell, but without one nothing is left of it.
    let changed = Commit::default().record(RecordWrite::replace(key.clone(), 1, b"other".as_slice()));
    let store = lossy(Loss::ArrivesAndIsBuiltUpon, changed.clone()).await;
    let error = store.commit(used()).await.unwrap_err();
    assert!(matches!(error, StoreError::Uncertain { .. }), "{error}");
    let store = lossy(Loss::ArrivesAndIsBuiltUpon, changed).await;
    store.commit(used().and(event("t"))).await.unwrap();
    for loss in [Loss::NeverArrives, Loss::Arrives, Loss::ArrivesLate] {
        let store = lossy(loss, Commit::default()).await;
        let committed = store.commit(used()).await.unwrap();
        assert_eq!(
            store.record(&key).await.unwrap().unwrap().version,
            committed.versions[0],
            "{loss:?}"
        );
    }
}
