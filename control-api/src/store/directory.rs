//! The store of those who keep their mesh in a repository: a directory of YAML files, watched. Whatever it holds when it
//! has settled becomes a revision; nobody else makes one.
//!
//! History, records and the audit log lie in an embedded database: in a file, or in memory.

mod contents;
mod watching;

use super::ledger::Ledger;
use super::{
    Commit, Committed, Condition, Documents, Draft, Moment, Position, Record, RecordKey, Revision,
    RevisionHead, Source, Space, Store, StoreError, embedded,
};
use crate::audit::{Entry, Event, Head, action};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::async_trait;
use watching::Watching;

/// The author of revisions that come from the directory.
pub const AUTHOR: &str = "directory";

/// Looked at without being told: the kernel tells nothing of network file systems, nor of links far up in the path.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// Whether documents can be put in force as the revision of a number, which they become at once if so; the text says what is
/// wrong with them.
pub type Check = Arc<dyn Fn(u64, &Documents) -> Result<(), String> + Send + Sync>;

/// Where history lies, and what is let in.
#[derive(Clone)]
pub struct DirectoryOptions {
    /// The file of history, records and audit log; none: in memory, where numbers begin at 1 with each start.
    pub state_file: Option<PathBuf>,
    /// How many revisions stay, at least 1.
    pub revisions_kept: u64,
    /// Contents that this refuses make no revision: the last ones stay in force, and the fault is shown and audited.
    pub check: Option<Check>,
}

/// A watched directory.
pub struct Directory {
    ledger: Ledger,
    state: Arc<State>,
    watching: JoinHandle<()>,
}

struct State {
    path: PathBuf,
    check: Option<Check>,
    fault: Mutex<Option<String>>,
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// Reads a directory, makes a revision of it if it is other than the last one, and watches it from then on. A directory
/// that cannot be read or is refused is a fault, not an error: what is stored stays in force.
pub async fn open(path: &Path, options: DirectoryOptions) -> Result<Directory, StoreError> {
    open_and_look(path, options, LOOK_INTERVAL).await
}

pub(super) async fn open_and_look(
    path: &Path,
    options: DirectoryOptions,
    look_interval: Duration,
) -> Result<Directory, StoreError> {
    let path = std::path::absolute(path)
        .map_err(|error| StoreError::refused(path.display().to_string(), error.to_string()))?;
    let ledger = match &options.state_file {
        Some(file) => embedded::open(file, options.revisions_kept).await?,
        None => embedded::in_memory(options.revisions_kept).await?,
    };
    let state = Arc::new(State {
        path,
        check: options.check,
        fault: Mutex::new(None),
    });
    // Watched before it is read, so that no change falls between.
    let watching = Watching::start(&state.path, look_interval);
    let mut taking = Taking {
        ledger: ledger.clone(),
        state: state.clone(),
        refused: None,
    };
    taking.take().await;
    let watching = tokio::spawn(taking.follow(watching));
    Ok(Directory {
        ledger,
        state,
        watching,
    })
}

/// Makes revisions of contents.
struct Taking {
    ledger: Ledger,
    state: Arc<State>,
    /// What was refused last, so that it is audited once.
    refused: Option<(super::Digest, String)>,
}

impl Taking {
    async fn follow(mut self, mut watching: Watching) {
        loop {
            watching.settled().await;
            self.take().await;
        }
    }

    async fn take(&mut self) {
        let fault = self.taken().await.err();
        let mut known = self.state.fault.lock();
        if let Some(fault) = fault.as_ref().filter(|fault| known.as_ref() != Some(fault)) {
            tracing::warn!(directory = %self.state.path.display(), fault, "the directory is not in force");
        }
        *known = fault;
    }

    /// What is wrong is told as people read it.
    async fn taken(&mut self) -> Result<(), String> {
        let path = self.state.path.clone();
        let text = |error: StoreError| error.to_string();
        let position = self.ledger.position().await.map_err(text)?;
        let current = self.ledger.revision(position.revision).await.map_err(text)?;
        let before = Arc::clone(&current);
        let read = tokio::task::spawn_blocking(move || contents::read(&path, &before.documents)).await;
        let documents = read.map_err(|error| error.to_string())??;
        if documents.hash() == current.head.hash {
            return Ok(());
        }
        if documents.is_empty() {
            return Err(format!(
                "there is no YAML file in {}, as if it were not mounted: revision {} stays in force; for a mesh with \
                 nothing in it, leave one empty file there",
                self.state.path.display(),
                position.revision
            ));
        }
        self.checked(&documents, position.revision).await?;
        let draft = Draft {
            author: AUTHOR.to_owned(),
            time: Moment::now(),
            reason: contents::reason(&current.documents, &documents),
            source: Source::Directory,
            documents,
        };
        let head = self.ledger.append(position.revision, draft).await.map_err(text)?;
        tracing::info!(
            revision = head.number,
            reason = head.reason,
            "the directory changed"
        );
        Ok(())
    }

    async fn checked(&mut self, documents: &Documents, current: u64) -> Result<(), String> {
        let Some(check) = self.state.check.clone() else {
            return Ok(());
        };
        let hash = documents.hash();
        if let Some((refused, reason)) = &self.refused
            && *refused == hash
        {
            return Err(reason.clone());
        }
        let documents = documents.clone();
        let checking = tokio::task::spawn_blocking(move || check(current + 1, &documents)).await;
        let Err(reason) = checking.map_err(|error| error.to_string())? else {
            self.refused = None;
            return Ok(());
        };
        let subject = self.state.path.display().to_string();
        let event = Event::new(Moment::now(), AUTHOR, action::REVISION_REFUSED, &subject)
            .why(&reason)
            .revisions(current, current)
            .detail("hash", hash);
        self.ledger
            .enter(event)
            .await
            .map_err(|error| error.to_string())?;
        self.refused = Some((hash, reason.clone()));
        Err(reason)
    }
}

impl Directory {
    fn read_only(&self) -> String {
        format!(
            "the mesh is what lies in {}: change it there, by a commit to the repository that it comes from",
            self.state.path.display()
        )
    }
}

#[async_trait]
impl Store for Directory {
    fn condition(&self) -> Condition {
        Condition {
            kind: "directory",
            read_only: Some(self.read_only()),
            fault: self.state.fault.lock().clone(),
        }
    }

    fn watch(&self) -> watch::Receiver<Position> {
        self.ledger.watch()
    }

    async fn position(&self) -> Result<Position, StoreError> {
        self.ledger.position().await
    }

    async fn revision(&self, number: u64) -> Result<Arc<Revision>, StoreError> {
        self.ledger.revision(number).await
    }

    async fn history(&self, before: Option<u64>, limit: usize) -> Result<Vec<RevisionHead>, StoreError> {
        self.ledger.history(before, limit).await
    }

    async fn record(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.ledger.record(key).await
    }

    async fn records(
        &self,
        space: Space,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.ledger.records(space, after, limit).await
    }

    async fn entries(&self, from: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.ledger.entries(from, limit).await
    }

    async fn audit_head(&self) -> Result<Head, StoreError> {
        self.ledger.audit_head().await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        match commit.revision {
            Some(_) => Err(StoreError::ReadOnly {
                reason: self.read_only(),
            }),
            None => self.ledger.commit(commit).await,
        }
    }
}
